//! A backup of the databases of all services in one archive, taken while the platform runs, and the way back.
//!
//! **Why it is consistent.** Services tell each other what they did, and clients carry ids from one to the next, so the
//! copies must be of one moment: whatever a copy tells of another service must be in that service's copy.
//!
//! * Services that share a PostgreSQL database are read in one exported snapshot: one moment, and nobody waits.
//! * Services with databases of their own are held for that moment: `idempotency`, `inbox` and `journal` are locked
//!   against writers in all of them, in the order in which every change takes them, until a snapshot is open in each.
//!   A change writes into one of the three, be it a client's, a consumer's or a relay's mark, so while the locks are held
//!   nothing is committed anywhere. An effect that a snapshot holds was committed before the locks were there, its event
//!   was published before that, and journalled before that: the snapshot of its source, opened later, holds the event.
//! * SQLite files are copied while the writers of all of them wait.
//!
//! **What is on the bus is not in it.** The journal's marks are left out: after a restore every event goes out once more,
//! onto a stream that is made anew, and the inboxes pass over what has had its effect. What was published and not yet
//! applied at that moment is so applied once. A stream from before would hold events that the restored services never
//! told of, so a restore asks for its end (`bus::stream`).
//!
//! Keys are not in it unless they are asked for.

mod archive;
mod content;
mod cut;
mod mark;
mod restore;
mod sqlite;
mod tables;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use archive::{Written, keys_in, verify};
pub use cut::Cut;
pub(crate) use mark::noted_in;
pub use mark::{Kind, Mark, note, noted};
pub use restore::{differences, restore};

/// Of the archive. A binary reads the formats up to its own.
pub const FORMAT: u32 = 1;

/// What stands in the archive, as its last entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// Of the binary that made it.
    pub version: String,
    pub backend: Backend,
    pub taken_at: DateTime<Utc>,
    pub services: Vec<ServicePart>,
    /// What was counted at the same moment, for a drill to count again: name and value.
    pub figures: BTreeMap<String, String>,
    /// Names of the key files in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<FilePart>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    Postgres,
    Sqlite,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePart {
    pub service: String,
    /// Names of the migrations that its schema has.
    pub migrations: Vec<String>,
    pub journal: JournalMark,
    /// Each after those that it refers to.
    pub tables: Vec<TablePart>,
    /// The database as a file, on SQLite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FilePart>,
}

/// How far the journal was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalMark {
    pub events: i64,
    pub newest: i64,
    pub unpublished: i64,
    /// The farthest place in the stream.
    pub stream_seq: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablePart {
    pub table: String,
    pub rows: u64,
    /// Empty on SQLite, where the file as a whole is copied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    #[serde(default)]
    pub bytes: u64,
    /// Of the rows as they stand in the archive.
    #[serde(default)]
    pub sha256: String,
    /// Of the rows in whatever order: the same for every copy of the table.
    #[serde(default)]
    pub content: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePart {
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
}

impl Manifest {
    pub fn rows(&self) -> u64 {
        self.services.iter().flat_map(|service| &service.tables).map(|table| table.rows).sum()
    }

    pub fn service(&self, name: &str) -> Option<&ServicePart> {
        self.services.iter().find(|part| part.service == name)
    }
}
