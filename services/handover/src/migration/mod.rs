//! The tables of the handover. Expand and contract; a released file is never edited.

mod m20261127_handover;

use sea_orm_migration::MigrationTrait;
use tahuka_chassis::SharedTable;

pub fn all() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(m20261127_handover::Migration)]
}

const OWN: &str = "tenant_id = {tenant}";
const PARTIES: &str = "{tenant} IN (sender_id, recipient_id)";
const SENDER: &str = "sender_id = {tenant}";
/// Nobody writes down another's deeds.
const OWN_DEED: &str = "tenant_id = {tenant} AND {tenant} IN (sender_id, recipient_id)";

/// Who sees and writes what.
pub const SHARED: &[SharedTable] = &[
    SharedTable { table: "signing_key", read: OWN, add: OWN, change: OWN },
    SharedTable { table: "handover_agreement", read: PARTIES, add: SENDER, change: PARTIES },
    SharedTable { table: "tranche", read: PARTIES, add: SENDER, change: PARTIES },
    SharedTable { table: "slice", read: PARTIES, add: SENDER, change: SENDER },
    SharedTable { table: "tranche_change", read: PARTIES, add: OWN_DEED, change: "false" },
];
