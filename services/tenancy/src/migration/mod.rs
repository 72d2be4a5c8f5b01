//! Tenancy's tables. Expand and contract; a released file is never edited.

mod m20261124_tenancy;

use sea_orm_migration::MigrationTrait;

pub fn all() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(m20261124_tenancy::Migration)]
}
