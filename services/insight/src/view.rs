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

/// The grants that the caller's agreements name, where those are all that it is let into; None where some entry of each
/// custodian names none and holds everywhere. What belongs to no grant is the appeal's, and public.
fn named(scope: &Scope, custodians: &[Uuid]) -> Option<BTreeSet<String>> {
    let Scope::Entries(entries) = scope else { return None };
    let here: Vec<_> = entries.iter().filter(|entry| custodians.contains(&entry.custodian)).collect();
    let all = |custodian: &Uuid| {
        here.iter().any(|entry| entry.custodian == *custodian && entry.grants.is_empty() && entry.districts.is_empty())
    };
    if here.iter().all(|entry| entry.grants.is_empty()) || custodians.iter().all(all) {
        return None;
    }
    Some(here.iter().flat_map(|entry| entry.grants.iter().cloned()).chain([String::new()]).collect())
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
        let own: Option<BTreeSet<String>> = match sees_all {
            true => None,
            // The appeal is public: what is pledged to it without a grant is everybody's to know.
            false => Some(grant::of_donor(tx, programme, caller.tenant_id).await?.into_iter().chain([String::new()]).collect()),
        };
        let custodians: Vec<_> = heard.iter().map(|h| h.custodian_id).collect();
        let grants = match (own, named(&caller.scope, &custodians)) {
            (Some(own), Some(named)) => Some(own.intersection(&named).cloned().collect()),
            (own, named) => own.or(named),
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

#[cfg(test)]
mod tests {
    use tahuka_chassis::ScopeEntry;

    use super::*;

    const CUSTODIAN: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    fn entry(custodian: Uuid, districts: &[&str], grants: &[&str]) -> ScopeEntry {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        ScopeEntry { custodian, districts: words(districts), grants: words(grants), ..Default::default() }
    }

    #[test]
    fn grants_that_an_agreement_names_are_a_limit_unless_another_one_names_none() {
        let of = |entries: Vec<ScopeEntry>| named(&Scope::Entries(entries), &[CUSTODIAN]);
        let set = |grants: &[&str]| Some(grants.iter().chain(&[""]).map(|g| (*g).to_owned()).collect());
        assert_eq!(named(&Scope::System, &[CUSTODIAN]), None);
        assert_eq!(of(vec![entry(CUSTODIAN, &[], &[])]), None);
        assert_eq!(of(vec![entry(CUSTODIAN, &["RW33"], &[])]), None);
        assert_eq!(of(vec![entry(CUSTODIAN, &[], &["a"]), entry(CUSTODIAN, &[], &["b"])]), set(&["a", "b"]));
        assert_eq!(of(vec![entry(CUSTODIAN, &[], &["a"]), entry(CUSTODIAN, &[], &[])]), None);
        // One district's money of every grant, and one grant's everywhere: sums tell only what both let in.
        assert_eq!(of(vec![entry(CUSTODIAN, &[], &["a"]), entry(CUSTODIAN, &["RW33"], &[])]), set(&["a"]));
        // Another custodian's records are no matter here.
        assert_eq!(of(vec![entry(CUSTODIAN, &[], &["a"]), entry(OTHER, &[], &[])]), set(&["a"]));
        assert_eq!(of(vec![entry(CUSTODIAN, &[], &[]), entry(OTHER, &[], &["a"])]), None);
    }
}
