//! Identifiers: UUIDv7, so that ids sort by the time they were made.

use uuid::Uuid;

pub fn new_id() -> Uuid {
    Uuid::now_v7()
}
