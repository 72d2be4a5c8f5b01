//! What a caller sees of a programme in the read model: how far events have been heard, how precisely the caller is let
//! in, and whose money it sees.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tahuka_chassis::{Refusal, Scope, TenantKind, Tx};
use tahuka_proto::options::v1::DisclosureLevel;
use uuid::Uuid;

use crate::{grant, heard};

pub struct View {
    pub programme: Uuid,
    pub level: DisclosureLevel,
    /// False where the caller is held to some districts: what belongs to no district is not there for it.
    pub whole: bool,
    /// None for every grant's money; else of these grants only, and of none ('').
    pub grants: Option<BTreeSet<String>>,
    pub events_counted: i64,
    pub last_event_at: Option<DateTime<Utc>>,
}

impl View {
    pub async fn of(tx: &Tx, programme: Uuid) -> Result<Self, Refusal> {
        let heard = heard::list(tx, programme).await?;
        if heard.is_empty() {
            return Err(Refusal::not_found("programme", programme));
        }
        let caller = tx.caller();
        let (mut level, mut whole) = (DisclosureLevel::Identified, true);
        if let Scope::Entries(entries) = &caller.scope {
            // Sums run over all that the caller is let into, so the least level rules. Only what is of this programme counts.
            let here = || entries.iter().filter(|entry| heard.iter().any(|h| h.custodian_id == entry.custodian));
            level = here().map(|entry| entry.level()).min().unwrap_or_default();
            whole = heard.iter().all(|h| here().any(|e| e.custodian == h.custodian_id && e.districts.is_empty()));
        }
        let sees_all = caller.scope == Scope::System || matches!(caller.tenant_kind, TenantKind::Operator | TenantKind::Ministry);
        let grants = match sees_all {
            true => None,
            // The appeal is public: what is pledged to it without a grant is everybody's to know.
            false => Some(grant::of_donor(tx, programme, caller.tenant_id).await?.into_iter().chain([String::new()]).collect()),
        };
        Ok(View {
            programme,
            level,
            whole,
            grants,
            events_counted: heard.iter().map(|h| h.events_counted).sum(),
            last_event_at: heard.iter().map(|h| h.last_event_at).max(),
        })
    }

    /// Whether small counts of people are withheld.
    pub fn withholds(&self) -> bool {
        self.level < DisclosureLevel::Pseudonymised
    }
}
