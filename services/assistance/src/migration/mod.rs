//! The tables of assistance. Expand and contract; a released file is never edited.

mod m20261124_assistance;

use sea_orm_migration::MigrationTrait;

pub fn all() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(m20261124_assistance::Migration)]
}

/// Tables under scope, and whether they have a district.
pub const SCOPED: &[(&str, bool)] = &[
    ("package", false),
    ("plan", true),
    ("cohort", true),
    ("enrolment", true),
    ("distribution", true),
    ("entitlement", true),
    ("visit", true),
];
