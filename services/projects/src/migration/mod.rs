//! The tables of projects. Expand and contract; a released file is never edited.

mod m20261124_projects;
mod m20261128_passed;

use sea_orm_migration::MigrationTrait;

pub fn all() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(m20261124_projects::Migration), Box::new(m20261128_passed::Migration)]
}

/// Tables under scope, and whether they have a district.
///
/// A national campaign has the district '': no caller's limit names it, so it is seen by whom no limit holds (as the
/// chassis has it for every nation-wide record), and a local one by whom its own district is open to. Both back ends
/// agree: the query filter and the policy compare the same column with the same list.
pub const SCOPED: &[(&str, bool)] =
    &[("project", true), ("facility", true), ("progress", true), ("people_served", true), ("campaign", true)];
