//! What a subject may do and see: roles make permissions, custody and agreements make the scope.

pub mod rpc;
pub mod store;

use chrono::NaiveDate;
use tahuka_chassis::{ScopeEntry, TenantKind};
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use uuid::Uuid;

use crate::agreement::Agreement;
use crate::staff::Kind;
use crate::tenant::identity_provider::ClaimMapping;

/// What the gateway writes into a passport.
#[derive(Debug, Clone)]
pub struct Identity {
    pub subject: String,
    pub kind: Kind,
    pub tenant_id: Uuid,
    pub tenant_kind: TenantKind,
    pub roles: Vec<String>,
    pub permissions: Vec<String>,
    pub districts: Vec<String>,
    pub scope: Vec<ScopeEntry>,
}

/// What a token says of its bearer, in the claims that its issuer's mapping names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    pub subject: String,
    /// Empty for a person.
    pub client_id: String,
    pub roles: Vec<String>,
    /// P-codes; `EVERYWHERE` for no limit.
    pub districts: Vec<String>,
}

const EVERYWHERE: &str = "*";

impl Told {
    /// Whom the token speaks for, and the kinds that this may be. Where clients have a claim of their own, a client's token
    /// is never a person's, nor the other way round: a person who signs in through a client is not the client.
    pub fn whom(&self, mapping: &ClaimMapping) -> (&str, &[Kind]) {
        match (&mapping.client, self.client_id.as_str()) {
            (None, _) => (&self.subject, Kind::ALL),
            (Some(_), "") => (&self.subject, &[Kind::Person]),
            (Some(_), client) => (client, &[Kind::Workload]),
        }
    }
}

/// Roles and districts, as tenancy grants them or as a trusted token tells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    pub roles: Vec<String>,
    /// Empty for no limit.
    pub districts: Vec<String>,
}

impl Granted {
    /// As far as the token names it too, where the issuer's mapping says that it must. None where nothing is left.
    pub fn narrowed(mut self, mapping: &ClaimMapping, told: &Told) -> Option<Granted> {
        if mapping.roles.is_some() {
            self.roles.retain(|role| told.roles.contains(role));
        }
        if mapping.districts.is_some() && !told.districts.iter().any(|d| d == EVERYWHERE) {
            let claimed = (!told.districts.is_empty()).then_some(told.districts.as_slice())?;
            self.districts = both(claimed, &self.districts)?;
        }
        (!self.roles.is_empty()).then_some(self)
    }
}

/// The longest that a passport tells of a purpose, in characters.
const LONGEST_PURPOSE: usize = 160;

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
                    grants: term.grants.iter().map(Uuid::to_string).collect(),
                    purpose: agreement.purpose.chars().take(LONGEST_PURPOSE).collect(),
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
                grants: Vec::new(),
            }],
            revision: 1,
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

    #[test]
    fn an_entry_carries_its_agreements_grants_and_purpose() {
        let mut agreement = agreement(State::Active, &[]);
        agreement.terms[0].grants = vec![Uuid::from_u128(7)];
        agreement.purpose = "p".repeat(500);
        let entry = agreed(&[], agreement, "2026-06-01").remove(0);
        assert_eq!(entry.grants, [Uuid::from_u128(7).to_string()]);
        assert_eq!(entry.purpose.len(), LONGEST_PURPOSE);
    }

    fn mapping(client: bool, roles: bool, districts: bool) -> ClaimMapping {
        let named = |named: bool| named.then(|| "claim".to_owned());
        ClaimMapping { client: named(client), roles: named(roles), districts: named(districts), ..Default::default() }
    }

    #[test]
    fn a_clients_token_is_never_a_persons() {
        let person = Told { subject: "anne".into(), ..Default::default() };
        let client = Told { client_id: "sync".into(), ..person.clone() };
        assert_eq!(person.whom(&mapping(false, false, false)), ("anne", Kind::ALL));
        assert_eq!(client.whom(&mapping(false, false, false)), ("anne", Kind::ALL));
        assert_eq!(person.whom(&mapping(true, false, false)), ("anne", [Kind::Person].as_slice()));
        assert_eq!(client.whom(&mapping(true, false, false)), ("sync", [Kind::Workload].as_slice()));
    }

    #[test]
    fn what_a_token_says_only_narrows() {
        let granted = |roles: &[&str], districts: &[&str]| Granted { roles: places(roles), districts: places(districts) };
        let told = |roles: &[&str], districts: &[&str]| Told {
            roles: places(roles),
            districts: places(districts),
            ..Default::default()
        };
        let narrowed = |is: &Granted, by: Told, roles, districts| is.clone().narrowed(&mapping(false, roles, districts), &by);

        // Nothing is mapped: the token says nothing.
        let is = granted(&["auditor", "case_worker"], &[]);
        assert_eq!(narrowed(&is, told(&["king"], &["RW33"]), false, false), Some(is.clone()));
        // Roles: those in both.
        assert_eq!(narrowed(&is, told(&["auditor", "king"], &[]), true, false), Some(granted(&["auditor"], &[])));
        assert_eq!(narrowed(&is, told(&[], &[]), true, false), None);
        // Districts: those in both, "*" for no limit; a token that says none is let in nowhere.
        assert_eq!(narrowed(&is, told(&[], &["RW33"]), false, true).unwrap().districts, ["RW33"]);
        assert_eq!(narrowed(&is, told(&[], &["*"]), false, true), Some(is.clone()));
        assert_eq!(narrowed(&is, told(&[], &[]), false, true), None);
        let local = granted(&["auditor"], &["RW33", "RW43"]);
        assert_eq!(narrowed(&local, told(&[], &["RW43", "RW41"]), false, true).unwrap().districts, ["RW43"]);
        assert_eq!(narrowed(&local, told(&[], &["*"]), false, true), Some(local.clone()));
        assert_eq!(narrowed(&local, told(&[], &["RW41"]), false, true), None);
    }
}
