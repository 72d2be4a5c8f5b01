//! Tenancy's tables. Expand and contract; a released file is never edited.

mod m20261124_tenancy;
mod m20261125_identity;
mod m20261125_roles;
mod m20261127_handover;

use sea_orm_migration::MigrationTrait;
use tahuka_chassis::SharedTable;

pub fn all() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m20261124_tenancy::Migration),
        Box::new(m20261125_identity::Migration),
        Box::new(m20261125_roles::Migration),
        Box::new(m20261127_handover::Migration),
    ]
}

const PLATFORM: &str = "{kind} = 'platform'";
const PARTIES: &str = "{tenant} IN (custodian_id, recipient_id)";

/// Who sees and writes what. Organisations know each other by id, so that one can propose an agreement to another.
pub const SHARED: &[SharedTable] = &[
    SharedTable { table: "tenant", read: "true", add: PLATFORM, change: PLATFORM },
    SharedTable { table: "identity_provider", read: PLATFORM, add: PLATFORM, change: PLATFORM },
    SharedTable { table: "role", read: "true", add: "false", change: "false" },
    SharedTable { table: "staff_member", read: STAFF, add: STAFF, change: STAFF },
    SharedTable { table: "programme", read: SEES_PROGRAMME, add: "custodian_id = {tenant}", change: "custodian_id = {tenant}" },
    SharedTable { table: "agreement", read: PARTIES, add: "custodian_id = {tenant}", change: PARTIES },
    SharedTable { table: "agreement_amendment", read: PARTIES, add: PARTIES, change: PARTIES },
    SharedTable { table: "agreement_change", read: PARTIES, add: OWN_DEED, change: "false" },
    SharedTable { table: "programme_custodian", read: "tenant_id = {tenant}", add: "false", change: "false" },
];

/// Nobody writes down another's deeds.
const OWN_DEED: &str = "tenant_id = {tenant} AND {tenant} IN (custodian_id, recipient_id)";
const STAFF: &str = "tenant_id = {tenant} OR {kind} = 'platform'";
const SEES_PROGRAMME: &str = "custodian_id = {tenant} \
     OR id IN (SELECT programme_id FROM tenancy.agreement WHERE recipient_id = {tenant}) \
     OR id IN (SELECT programme_id FROM tenancy.programme_custodian WHERE tenant_id = {tenant})";
