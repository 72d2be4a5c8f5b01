//! The registry's tables. Expand and contract; a released file is never edited.

mod m20261124_registry;
mod m20261127_held;
mod m20261128_passed;

use sea_orm_migration::MigrationTrait;

pub fn all() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(m20261124_registry::Migration), Box::new(m20261127_held::Migration), Box::new(m20261128_passed::Migration)]
}

/// Tables under scope, and whether they have a district.
pub const SCOPED: &[(&str, bool)] = &[
    ("household", true),
    ("individual", true),
    ("return_episode", true),
    ("consent", true),
    ("criteria_set", false),
    ("assessment", true),
    ("import_run", false),
    ("import_error", false),
    ("submission", false),
    ("held_submission", true),
];
