//! The next version of an active agreement. What was agreed holds until both have signed it.

use chrono::NaiveDate;
use tahuka_chassis::{Refusal, coded};
use uuid::Uuid;

use super::{Agreement, Party, State, Term};

coded!(
    /// What has become of a proposal: it waits for a signature, is agreed, a newer one took its place, or the agreement
    /// ended first.
    Standing {
        Open = 1 "open",
        Adopted = 2 "adopted",
        Superseded = 3 "superseded",
        Lapsed = 4 "lapsed",
    }
);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amendment {
    pub id: Uuid,
    pub agreement_id: Uuid,
    pub custodian_id: Uuid,
    pub recipient_id: Uuid,
    pub revision: i32,
    pub standing: Standing,
    pub terms: Vec<Term>,
    pub purpose: String,
    pub starts_on: NaiveDate,
    /// The last day.
    pub ends_on: NaiveDate,
    pub custodian_signed_on: Option<NaiveDate>,
    pub recipient_signed_on: Option<NaiveDate>,
}

impl Amendment {
    pub fn sign(mut self, party: Party, on: NaiveDate) -> Result<Self, Refusal> {
        let signed = match party {
            Party::Custodian => &mut self.custodian_signed_on,
            Party::Recipient => &mut self.recipient_signed_on,
        };
        if signed.is_some() {
            return Err(Refusal::precondition("ALREADY_SIGNED", "the caller's organisation has signed this amendment already"));
        }
        *signed = Some(on);
        if on > self.ends_on {
            return Err(Refusal::invalid("signed_on", "must not be after the amendment's last day"));
        }
        if self.custodian_signed_on.is_some() && self.recipient_signed_on.is_some() {
            self.standing = Standing::Adopted;
        }
        Ok(self)
    }
}

impl Agreement {
    /// Whether another version can be proposed now.
    pub fn may_be_amended(&self) -> Result<(), Refusal> {
        match self.state {
            State::Active => Ok(()),
            State::Proposed { .. } => {
                Err(Refusal::precondition("NOT_ACTIVE", "sign the agreement first, or revoke it and propose another one"))
            }
            State::Revoked | State::Expired => {
                Err(Refusal::precondition("AGREEMENT_OVER", "the agreement has ended; propose a new one"))
            }
        }
    }

    /// What is agreed from now on, if both have signed it; otherwise as it was.
    pub fn adopting(mut self, amendment: &Amendment) -> Self {
        if amendment.standing == Standing::Adopted {
            self.terms.clone_from(&amendment.terms);
            self.purpose.clone_from(&amendment.purpose);
            (self.starts_on, self.ends_on) = (amendment.starts_on, amendment.ends_on);
            self.custodian_signed_on = amendment.custodian_signed_on;
            self.recipient_signed_on = amendment.recipient_signed_on;
            self.revision = amendment.revision;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn term(category: DataCategory) -> Term {
        Term { category, level: DisclosureLevel::Aggregate, districts: vec![], write: false, grants: vec![] }
    }

    fn agreement() -> Agreement {
        Agreement {
            id: Uuid::from_u128(1),
            programme_id: Uuid::from_u128(2),
            custodian_id: Uuid::from_u128(3),
            recipient_id: Uuid::from_u128(4),
            state: State::Active,
            terms: vec![term(DataCategory::Registration)],
            purpose: "first".into(),
            starts_on: day("2026-01-01"),
            ends_on: day("2026-12-31"),
            custodian_signed_on: Some(day("2025-12-01")),
            recipient_signed_on: Some(day("2025-12-02")),
            revoked_on: None,
            revision: 1,
        }
    }

    fn amendment() -> Amendment {
        Amendment {
            id: Uuid::from_u128(5),
            agreement_id: Uuid::from_u128(1),
            custodian_id: Uuid::from_u128(3),
            recipient_id: Uuid::from_u128(4),
            revision: 2,
            standing: Standing::Open,
            terms: vec![term(DataCategory::Projects)],
            purpose: "second".into(),
            starts_on: day("2026-01-01"),
            ends_on: day("2027-12-31"),
            custodian_signed_on: Some(day("2026-05-01")),
            recipient_signed_on: None,
        }
    }

    #[test]
    fn the_old_version_holds_until_both_have_signed_the_new_one() -> Result<(), Refusal> {
        assert_eq!(agreement().adopting(&amendment()), agreement());
        let signed = amendment().sign(Party::Recipient, day("2026-05-02"))?;
        let amended = agreement().adopting(&signed);
        assert_eq!((amended.revision, amended.terms.as_slice()), (2, [term(DataCategory::Projects)].as_slice()));
        assert!(amended.in_force(day("2027-06-01")));
        Ok(())
    }

    #[test]
    fn nobody_signs_an_amendment_twice_or_too_late() {
        assert!(amendment().sign(Party::Custodian, day("2026-05-02")).is_err());
        assert!(amendment().sign(Party::Recipient, day("2028-01-01")).is_err());
    }

    #[test]
    fn only_what_is_active_can_be_amended() {
        assert!(agreement().may_be_amended().is_ok());
        for state in [State::PROPOSED, State::Revoked, State::Expired] {
            assert!(Agreement { state, ..agreement() }.may_be_amended().is_err(), "{state:?}");
        }
    }
}
