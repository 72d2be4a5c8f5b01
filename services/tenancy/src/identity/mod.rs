//! What a subject may do and see: roles make permissions, custody and agreements make the scope.

pub mod rpc;
pub mod store;

use chrono::NaiveDate;
use tahuka_chassis::{ScopeEntry, TenantKind};
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use uuid::Uuid;

use crate::agreement::Agreement;

/// What the gateway writes into a passport.
#[derive(Debug, Clone)]
pub struct Identity {
    pub tenant_id: Uuid,
    pub tenant_kind: TenantKind,
    pub roles: Vec<String>,
    pub permissions: Vec<String>,
    pub districts: Vec<String>,
    pub scope: Vec<ScopeEntry>,
}

const CATEGORIES: [DataCategory; 6] = [
    DataCategory::Tenancy,
    DataCategory::Registration,
    DataCategory::Assistance,
    DataCategory::Projects,
    DataCategory::Funding,
    DataCategory::Reporting,
];

/// The tenant's own custody, then what each agreement in force `today` opens to it; all of it
/// within the staff member's `districts`, if there is a limit.
pub fn scope(tenant: Uuid, districts: &[String], agreements: &[Agreement], today: NaiveDate) -> Vec<ScopeEntry> {
    let own = CATEGORIES.into_iter().map(|category| ScopeEntry {
        category: category.into(),
        level: DisclosureLevel::Identified.into(),
        custodian: tenant,
        districts: districts.to_vec(),
        write: true,
        ..Default::default()
    });
    let agreed = agreements.iter().filter(|agreement| agreement.recipient_id == tenant && agreement.in_force(today)).flat_map(
        |agreement| {
            agreement.terms.iter().filter_map(|term| {
                Some(ScopeEntry {
                    category: term.category.into(),
                    level: term.level.into(),
                    custodian: agreement.custodian_id,
                    districts: both(&term.districts, districts)?,
                    write: term.write,
                    ..Default::default()
                })
            })
        },
    );
    own.chain(agreed).collect()
}

/// Where both limits hold (an empty one is no limit); None where they leave nothing.
fn both(one: &[String], other: &[String]) -> Option<Vec<String>> {
    match (one, other) {
        ([], only) | (only, []) => Some(only.to_vec()),
        _ => {
            let shared: Vec<_> = one.iter().filter(|d| other.contains(d)).cloned().collect();
            (!shared.is_empty()).then_some(shared)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agreement::{State, Term};

    const MINISTRY: Uuid = Uuid::from_u128(1);
    const OPERATOR: Uuid = Uuid::from_u128(2);

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn places(codes: &[&str]) -> Vec<String> {
        codes.iter().map(|c| (*c).to_owned()).collect()
    }

    fn agreement(state: State, districts: &[&str]) -> Agreement {
        Agreement {
            id: Uuid::from_u128(3),
            programme_id: Uuid::from_u128(4),
            custodian_id: OPERATOR,
            recipient_id: MINISTRY,
            state,
            terms: vec![Term {
                category: DataCategory::Registration,
                level: DisclosureLevel::Identified,
                districts: places(districts),
                write: false,
                ..Default::default()
            }],
            purpose: "joint implementation".into(),
            starts_on: day("2026-01-01"),
            ends_on: day("2029-12-31"),
            custodian_signed_on: Some(day("2025-12-01")),
            recipient_signed_on: Some(day("2025-12-02")),
            revoked_on: None,
        }
    }

    fn agreed(districts: &[&str], agreement: Agreement, today: &str) -> Vec<ScopeEntry> {
        let mut entries = scope(MINISTRY, &places(districts), &[agreement], day(today));
        entries.retain(|e| e.custodian != MINISTRY);
        entries
    }

    #[test]
    fn a_tenant_has_its_own_custody_in_every_category_within_the_staff_members_districts() {
        let entries = scope(MINISTRY, &places(&["RW33"]), &[], day("2026-06-01"));
        assert_eq!(entries.len(), CATEGORIES.len());
        assert!(entries.iter().all(|e| e.custodian == MINISTRY && e.write && e.districts == ["RW33"]));
    }

    #[test]
    fn only_an_agreement_in_force_opens_anothers_records() {
        assert_eq!(agreed(&[], agreement(State::Active, &[]), "2026-06-01").len(), 1);
        assert!(agreed(&[], agreement(State::Active, &[]), "2025-12-31").is_empty());
        assert!(agreed(&[], agreement(State::Active, &[]), "2030-01-01").is_empty());
        for state in [State::PROPOSED, State::Revoked, State::Expired] {
            assert!(agreed(&[], agreement(state, &[]), "2026-06-01").is_empty(), "{state:?}");
        }
        let other = Agreement { recipient_id: Uuid::from_u128(9), ..agreement(State::Active, &[]) };
        assert!(agreed(&[], other, "2026-06-01").is_empty());
    }

    #[test]
    fn the_narrower_limit_of_districts_holds() {
        let districts = |staff: &[&str], term: &[&str]| {
            agreed(staff, agreement(State::Active, term), "2026-06-01").pop().map(|e| e.districts)
        };
        assert_eq!(districts(&[], &["RW33"]), Some(places(&["RW33"])));
        assert_eq!(districts(&["RW33"], &[]), Some(places(&["RW33"])));
        assert_eq!(districts(&["RW33", "RW41"], &["RW41", "RW42"]), Some(places(&["RW41"])));
        assert_eq!(districts(&["RW33"], &["RW41"]), None);
        assert_eq!(districts(&[], &[]), Some(Vec::new()));
    }
}
