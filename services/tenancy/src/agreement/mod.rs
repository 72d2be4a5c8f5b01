//! A data sharing agreement: proposed by the custodian, active once both have signed, and then
//! revoked by either or expired by its date. Another version takes its place once both have signed that.

mod amendment;
pub mod change;
pub mod rpc;
pub mod store;

use chrono::NaiveDate;
use tahuka_chassis::{Refusal, TenantKind};
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use uuid::Uuid;

pub use amendment::Amendment;
pub use change::Action;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub recipient_id: Uuid,
    pub state: State,
    pub terms: Vec<Term>,
    pub purpose: String,
    pub starts_on: NaiveDate,
    /// The last day.
    pub ends_on: NaiveDate,
    pub custodian_signed_on: Option<NaiveDate>,
    pub recipient_signed_on: Option<NaiveDate>,
    pub revoked_on: Option<NaiveDate>,
    /// Of what is agreed; the first is 1.
    pub revision: i32,
}

/// One thing that the custodian lets the recipient see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    pub category: DataCategory,
    pub level: DisclosureLevel,
    /// P-codes; empty for everywhere, nation-wide records included.
    pub districts: Vec<String>,
    pub write: bool,
    /// Ids; empty for all. Money of other grants is not shown.
    pub grants: Vec<Uuid>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    Custodian,
    Recipient,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Who has signed so far; never both.
    Proposed {
        custodian: bool,
        recipient: bool,
    },
    Active,
    Revoked,
    Expired,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Sign(Party),
    Revoke,
    Expire,
}

impl State {
    /// As its custodian proposes it, which is to sign it.
    pub const PROPOSED: State = State::Proposed { custodian: true, recipient: false };

    pub fn next(self, command: Command) -> Result<State, Refusal> {
        let signed = || Refusal::precondition("ALREADY_SIGNED", "the caller's organisation has signed this agreement already");
        match (self, command) {
            (State::Proposed { custodian: true, .. }, Command::Sign(Party::Custodian))
            | (State::Proposed { recipient: true, .. }, Command::Sign(Party::Recipient))
            | (State::Active, Command::Sign(_)) => Err(signed()),
            (State::Proposed { custodian, recipient }, Command::Sign(party)) => {
                let custodian = custodian || party == Party::Custodian;
                let recipient = recipient || party == Party::Recipient;
                Ok(if custodian && recipient { State::Active } else { State::Proposed { custodian, recipient } })
            }
            (State::Proposed { .. } | State::Active, Command::Revoke) => Ok(State::Revoked),
            (State::Active, Command::Expire) => Ok(State::Expired),
            (State::Proposed { .. }, Command::Expire) => {
                Err(Refusal::precondition("NOT_ACTIVE", "an agreement that is not signed by both cannot expire"))
            }
            (State::Revoked | State::Expired, _) => {
                Err(Refusal::precondition("AGREEMENT_OVER", "the agreement has ended; propose a new one"))
            }
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            State::Proposed { .. } => "proposed",
            State::Active => "active",
            State::Revoked => "revoked",
            State::Expired => "expired",
        }
    }
}

impl Agreement {
    /// The tenant's part in it; None for a stranger, who may not know of it.
    pub fn party(&self, tenant: Uuid) -> Option<Party> {
        match tenant {
            t if t == self.custodian_id => Some(Party::Custodian),
            t if t == self.recipient_id => Some(Party::Recipient),
            _ => None,
        }
    }

    /// With its state as of `today`: time alone ends an agreement.
    pub fn dated(mut self, today: NaiveDate) -> Self {
        if today > self.ends_on {
            self.state = self.state.next(Command::Expire).unwrap_or(self.state);
        }
        self
    }

    pub fn in_force(&self, today: NaiveDate) -> bool {
        self.state == State::Active && (self.starts_on..=self.ends_on).contains(&today)
    }

    pub fn sign(mut self, party: Party, on: NaiveDate) -> Result<Self, Refusal> {
        self.state = self.state.next(Command::Sign(party))?;
        if on > self.ends_on {
            return Err(Refusal::invalid("signed_on", "must not be after the agreement's last day"));
        }
        match party {
            Party::Custodian => self.custodian_signed_on = Some(on),
            Party::Recipient => self.recipient_signed_on = Some(on),
        }
        Ok(self)
    }

    pub fn revoke(mut self, on: NaiveDate) -> Result<Self, Refusal> {
        self.state = self.state.next(Command::Revoke)?;
        if self.custodian_signed_on.is_some_and(|signed| on < signed) {
            return Err(Refusal::invalid("revoked_on", "must not be before the agreement was proposed"));
        }
        self.revoked_on = Some(on);
        Ok(self)
    }
}

/// What may be agreed with a recipient of this kind at all.
pub fn check_terms(recipient: TenantKind, terms: &[Term]) -> Result<(), Refusal> {
    if terms.is_empty() {
        return Err(Refusal::invalid("terms", "must name at least one category"));
    }
    if recipient == TenantKind::Platform {
        return Err(Refusal::precondition("PLATFORM_SEES_NO_DATA", "choose a recipient that is not the platform's own tenant"));
    }
    for (i, term) in terms.iter().enumerate() {
        let of_persons = matches!(term.category, DataCategory::Registration | DataCategory::Assistance);
        if recipient == TenantKind::Donor && of_persons && term.level > DisclosureLevel::Aggregate {
            return Err(Refusal::invalid(format!("terms[{i}].level"), "a donor sees persons in AGGREGATE only"));
        }
        if term.write && term.level == DisclosureLevel::Aggregate {
            return Err(Refusal::invalid(format!("terms[{i}].write"), "nobody can write what is seen in AGGREGATE only"));
        }
        let of_money = matches!(term.category, DataCategory::Funding | DataCategory::Reporting);
        if !term.grants.is_empty() && !of_money {
            return Err(Refusal::invalid(format!("terms[{i}].grants"), "grants limit FUNDING and REPORTING only"));
        }
        if !term.grants.is_empty() && term.write {
            return Err(Refusal::invalid(format!("terms[{i}].grants"), "what is limited to grants is for reading only"));
        }
        if term.write && recipient == TenantKind::Donor {
            return Err(Refusal::invalid(format!("terms[{i}].write"), "a donor does not write a custodian's records"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn proposed() -> Agreement {
        Agreement {
            id: Uuid::from_u128(1),
            programme_id: Uuid::from_u128(2),
            custodian_id: Uuid::from_u128(3),
            recipient_id: Uuid::from_u128(4),
            state: State::PROPOSED,
            terms: Vec::new(),
            purpose: "joint implementation".into(),
            starts_on: day("2010-07-01"),
            ends_on: day("2014-06-30"),
            custodian_signed_on: Some(day("2010-06-01")),
            recipient_signed_on: None,
            revoked_on: None,
            revision: 1,
        }
    }

    #[test]
    fn it_is_active_once_both_have_signed_and_in_force_between_its_dates() -> Result<(), Refusal> {
        let agreement = proposed();
        assert!(!agreement.in_force(day("2011-01-01")));
        let agreement = agreement.sign(Party::Recipient, day("2010-06-15"))?;
        assert_eq!(agreement.state, State::Active);
        assert!(!agreement.in_force(day("2010-06-30")));
        assert!(agreement.in_force(day("2010-07-01")));
        assert!(agreement.in_force(day("2014-06-30")));
        assert!(!agreement.in_force(day("2014-07-01")));
        Ok(())
    }

    #[test]
    fn nobody_signs_twice() -> Result<(), Refusal> {
        assert!(proposed().sign(Party::Custodian, day("2010-06-15")).is_err());
        let active = proposed().sign(Party::Recipient, day("2010-06-15"))?;
        assert!(active.clone().sign(Party::Recipient, day("2010-06-16")).is_err());
        assert!(active.sign(Party::Custodian, day("2010-06-16")).is_err());
        Ok(())
    }

    #[test]
    fn what_is_revoked_or_expired_stays_so() -> Result<(), Refusal> {
        let revoked = proposed().revoke(day("2010-06-20"))?;
        assert!(revoked.clone().sign(Party::Recipient, day("2010-06-21")).is_err());
        assert!(revoked.clone().revoke(day("2010-06-21")).is_err());
        assert_eq!(revoked.dated(day("2015-01-01")).state, State::Revoked);

        let expired = proposed().sign(Party::Recipient, day("2010-06-15"))?.dated(day("2014-07-01"));
        assert_eq!(expired.state, State::Expired);
        assert!(expired.revoke(day("2014-07-02")).is_err());
        assert_eq!(proposed().dated(day("2014-07-01")).state, State::PROPOSED);
        Ok(())
    }

    #[test]
    fn every_state_meets_every_command() {
        let states = [
            State::PROPOSED,
            State::Proposed { custodian: false, recipient: true },
            State::Active,
            State::Revoked,
            State::Expired,
        ];
        let commands = [Command::Sign(Party::Custodian), Command::Sign(Party::Recipient), Command::Revoke, Command::Expire];
        let table: Vec<Vec<_>> =
            states.iter().map(|s| commands.iter().map(|c| s.next(*c).map_or("-", State::as_str)).collect()).collect();
        assert_eq!(
            table,
            [
                ["-", "active", "revoked", "-"],
                ["active", "-", "revoked", "-"],
                ["-", "-", "revoked", "expired"],
                ["-", "-", "-", "-"],
                ["-", "-", "-", "-"],
            ]
        );
    }

    #[test]
    fn a_donor_is_never_shown_a_person() {
        let term = |category, level, write| Term { category, level, districts: Vec::new(), write, grants: Vec::new() };
        let registration = |level| term(DataCategory::Registration, level, false);
        let check = |kind, term: Term| check_terms(kind, &[term]).is_ok();
        assert!(check(TenantKind::Donor, registration(DisclosureLevel::Aggregate)));
        assert!(check(TenantKind::Donor, term(DataCategory::Funding, DisclosureLevel::Identified, false)));
        assert!(check(TenantKind::Ministry, registration(DisclosureLevel::Identified)));
        assert!(!check(TenantKind::Donor, registration(DisclosureLevel::Pseudonymised)));
        assert!(!check(TenantKind::Donor, term(DataCategory::Funding, DisclosureLevel::Identified, true)));
        assert!(!check(TenantKind::Platform, registration(DisclosureLevel::Aggregate)));
        assert!(!check(TenantKind::Ministry, term(DataCategory::Projects, DisclosureLevel::Aggregate, true)));
        assert!(check_terms(TenantKind::Ministry, &[]).is_err());

        let of_a_grant = |term: Term| Term { grants: vec![Uuid::from_u128(9)], ..term };
        let funding = |write| term(DataCategory::Funding, DisclosureLevel::Identified, write);
        assert!(check(TenantKind::Donor, of_a_grant(funding(false))));
        assert!(!check(TenantKind::Ministry, of_a_grant(funding(true))));
        assert!(!check(TenantKind::Ministry, of_a_grant(registration(DisclosureLevel::Aggregate))));
    }
}
