//! The read model's tables. Expand and contract; a released file is never edited.

mod m20261124_insight;
mod m20261127_facts;

use sea_orm_migration::MigrationTrait;
use tahuka_chassis::SharedTable;

pub fn all() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(m20261124_insight::Migration), Box::new(m20261127_facts::Migration)]
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
    ("tranche_figure", true),
];

/// What only the house itself reads: single facts, and how handovers stand.
pub const SHARED: &[SharedTable] = &[own("fact"), own("tranche"), own("tranche_part"), own("tranche_unit"), own("slice_answer")];

const fn own(table: &'static str) -> SharedTable {
    SharedTable { table, read: "false", add: "false", change: "false" }
}
