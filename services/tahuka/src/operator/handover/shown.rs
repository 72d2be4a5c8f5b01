//! Keys, agreements and tranches as tables.

use serde_json::{Value, json};
use tahuka_proto::handover::v1 as handover;

use crate::operator::desk::shown_day;
use crate::operator::table::Table;
use crate::operator::tenant::word;

pub fn keys(keys: &[handover::SigningKey]) -> Table {
    let mut table = Table::new(&["id", "key_id", "label", "registered_on", "retired_on", "fingerprint"]);
    for key in keys {
        table.row([
            json!(key.id),
            json!(key.key_id),
            json!(key.label),
            json!(shown_day(key.registered_on.as_ref())),
            json!(shown_day(key.retired_on.as_ref())),
            json!(key.fingerprint),
        ]);
    }
    table
}

pub fn agreements(agreements: &[handover::HandoverAgreement]) -> Table {
    let mut table = Table::new(&["id", "state", "programme", "sender", "recipient", "sender_signed_on", "recipient_signed_on"]);
    for agreement in agreements {
        table.row([
            json!(agreement.id),
            json!(word(agreement.state().as_str_name(), "HANDOVER_AGREEMENT_STATE_")),
            json!(agreement.programme_name),
            json!(agreement.sender_name),
            json!(agreement.recipient_name),
            json!(shown_day(agreement.sender_signed_on.as_ref())),
            json!(shown_day(agreement.recipient_signed_on.as_ref())),
        ]);
    }
    table
}

/// All of one agreement, a line for each thing.
pub fn agreement(agreement: &handover::HandoverAgreement) -> Table {
    let mut table = Table::new(&["what", "value"]);
    let mut line = |what: &str, value: Value| table.row([json!(what), value]);
    line("id", json!(agreement.id));
    line("state", json!(word(agreement.state().as_str_name(), "HANDOVER_AGREEMENT_STATE_")));
    line("programme", json!(agreement.programme_name));
    line("sender", json!(agreement.sender_name));
    line("recipient", json!(agreement.recipient_name));
    line("purpose", json!(agreement.purpose));
    for criterion in &agreement.criteria {
        let name = word(criterion.criterion().as_str_name(), "CRITERION_");
        let value = if criterion.waived { format!("waived: {}", criterion.reason) } else { "must be in order".into() };
        line(&name, json!(value));
    }
    for left in &agreement.retained {
        let value = format!("{}={}", left.category().as_str_name(), left.level().as_str_name()).to_lowercase();
        line("left to the sender", json!(value));
    }
    for (whose, key) in [("sender's key", &agreement.sender_key), ("recipient's key", &agreement.recipient_key)] {
        if let Some(key) = key {
            line(whose, json!(key.key_id));
            line("its fingerprint", json!(key.fingerprint));
        }
    }
    line("sender signed", json!(shown_day(agreement.sender_signed_on.as_ref())));
    line("recipient signed", json!(shown_day(agreement.recipient_signed_on.as_ref())));
    table
}

pub fn tranches(tranches: &[handover::Tranche]) -> Table {
    let mut table =
        Table::new(&["id", "number", "name", "state", "bundle", "manifest_sha256", "districts", "projects", "grants"]);
    for tranche in tranches {
        table.row([
            json!(tranche.id),
            json!(tranche.number),
            json!(tranche.name),
            json!(word(tranche.state().as_str_name(), "TRANCHE_STATE_")),
            json!(tranche.bundle_number),
            json!(tranche.manifest_sha256),
            json!(tranche.districts),
            json!(tranche.project_ids.len()),
            json!(tranche.grant_ids.len()),
        ]);
    }
    table
}

/// How far each service is with its slice.
pub fn slices(tranche: &handover::Tranche) -> Table {
    let mut table = Table::new(&["tranche", "state", "service", "sealed", "bundled", "transferred", "records", "merkle_root"]);
    let state = word(tranche.state().as_str_name(), "TRANCHE_STATE_");
    if tranche.slices.is_empty() {
        table.row([json!(tranche.id), json!(state), json!(""), json!(""), json!(""), json!(""), json!(""), json!("")]);
    }
    for slice in &tranche.slices {
        table.row([
            json!(tranche.id),
            json!(state),
            json!(slice.service),
            json!(slice.sealed),
            json!(slice.bundled),
            json!(slice.transferred),
            json!(slice.records),
            json!(slice.merkle_root),
        ]);
    }
    table
}

pub fn readiness(checks: &[handover::ReadinessCheck]) -> Table {
    let mut table = Table::new(&["criterion", "verdict", "finding", "first_ids"]);
    for check in checks {
        let verdict = match (check.met, check.waived) {
            (true, _) => "met".to_owned(),
            (false, true) => format!("waived: {}", check.reason),
            (false, false) => "in the way".to_owned(),
        };
        table.row([
            json!(word(check.criterion().as_str_name(), "CRITERION_")),
            json!(verdict),
            json!(check.finding),
            json!(check.first_ids),
        ]);
    }
    table
}
