//! Who answers for what was counted. A unit (household, project, grant) goes from one custodian to another in a tranche,
//! with all facts that came of its events. The journals of the services come in order each, but in any order beside each
//! other when the read model is made anew: nothing here depends on which of them is heard first.

pub mod saga;
pub mod store;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use tahuka_chassis::coded;
use tahuka_proto::UnitKind;
use uuid::Uuid;

pub type Unit = (UnitKind, Uuid);

coded!(
    /// How far a service that holds records of a tranche has come, by its own journal.
    Step {
        Sealed = 1 "sealed",
        Unsealed = 2 "unsealed",
        Transferred = 3 "transferred",
    }
);

coded!(
    /// What the handover service has asked for last.
    Asked {
        Nothing = 1 "nothing",
        Seal = 2 "seal",
        Unseal = 3 "unseal",
        Transfer = 4 "transfer",
    }
);

/// Whose events must have been counted before a slice is fixed here.
pub const HOLDERS: [&str; 4] = ["registry", "assistance", "projects", "funding"];

/// The service that seals units of this kind and gives them over.
pub fn owner(kind: UnitKind) -> &'static str {
    match kind {
        UnitKind::Household => "registry",
        UnitKind::Project => "projects",
        UnitKind::Grant => "funding",
    }
}

/// The kinds of unit that a service seals and gives over.
pub fn owned(service: &str) -> impl Iterator<Item = UnitKind> {
    UnitKind::ALL.into_iter().filter(move |kind| owner(*kind) == service)
}

/// A tranche that a unit is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    pub tranche: Uuid,
    /// To whom it was given, and when; None while it is only sealed.
    pub given: Option<(Uuid, DateTime<Utc>)>,
}

/// The tranches of some units.
#[derive(Debug, Default)]
pub struct Memberships(pub HashMap<Unit, Vec<Membership>>);

impl Memberships {
    /// Who answers for the unit, if it was ever given over: whom it was given to last.
    pub fn custodian(&self, unit: Unit) -> Option<Uuid> {
        let given = self.0.get(&unit)?.iter().filter_map(|member| member.given);
        given.max_by_key(|(_, at)| *at).map(|(to, _)| to)
    }

    /// The tranches whose figures a fact of this time counts in: what is recorded after a unit was given over is the
    /// recipient's own work.
    pub fn counts_in(&self, unit: Unit, recorded_at: DateTime<Utc>) -> impl Iterator<Item = Uuid> {
        let members = self.0.get(&unit).into_iter().flatten();
        members.filter(move |member| member.given.is_none_or(|(_, at)| recorded_at <= at)).map(|member| member.tranche)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_whose_it_was_given_to_last_and_counts_in_each_tranche_until_it_was_given() {
        let unit = (UnitKind::Household, Uuid::from_u128(7));
        let (first, second, third) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let (ministry, district) = (Uuid::from_u128(11), Uuid::from_u128(12));
        let at = |year: i32| format!("{year}-06-30T12:00:00Z").parse::<DateTime<Utc>>().unwrap();
        let member = |tranche, given| Membership { tranche, given };
        let members = Memberships(HashMap::from([(
            unit,
            vec![member(second, Some((district, at(2013)))), member(first, Some((ministry, at(2012)))), member(third, None)],
        )]));
        assert_eq!(members.custodian(unit), Some(district));
        assert_eq!(members.custodian((UnitKind::Project, unit.1)), None);
        let counted = |when| members.counts_in(unit, when).collect::<Vec<_>>();
        assert_eq!(counted(at(2012)), [second, first, third]);
        assert_eq!(counted(at(2013)), [second, third]);
        assert_eq!(counted(at(2014)), [third]);
    }

    #[test]
    fn each_kind_of_unit_has_one_owner_among_the_holders() {
        for kind in UnitKind::ALL {
            assert!(HOLDERS.contains(&owner(kind)));
            assert_eq!(HOLDERS.into_iter().filter(|service| owned(service).any(|k| k == kind)).count(), 1);
        }
        assert_eq!(owned("assistance").count(), 0);
    }
}
