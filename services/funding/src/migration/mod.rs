//! Funding's tables. Expand and contract; a released file is never edited.

mod m20261124_funding;
mod m20261127_unit;
mod m20261128_passed;

use sea_orm_migration::MigrationTrait;

pub fn all() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(m20261124_funding::Migration), Box::new(m20261127_unit::Migration), Box::new(m20261128_passed::Migration)]
}

/// Tables under scope, and whether they have a district. Grants and their ledger are the whole programme's.
pub const SCOPED: &[(&str, bool)] = &[
    ("donor", false),
    ("donor_grant", false),
    ("budget_line", false),
    ("instalment", false),
    ("exchange_rate", false),
    ("reservation", true),
    ("posting", false),
    ("entry", false),
    ("balance", false),
    ("pledge", false),
];
