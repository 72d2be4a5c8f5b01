//! The read model's tables. Expand and contract; a released file is never edited.

mod m20261124_insight;

use sea_orm_migration::MigrationTrait;

pub fn all() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(m20261124_insight::Migration)]
}

/// Tables under scope, and whether they have a district. What is nation-wide has an empty district, which no limit
/// to districts lets through.
pub const SCOPED: &[(&str, bool)] = &[
    ("heard", false),
    ("cell", true),
    ("helped_person", true),
    ("need", true),
    ("grant_line", false),
    ("published_figure", false),
];
