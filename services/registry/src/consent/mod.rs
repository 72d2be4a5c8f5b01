//! Consent: to what, how, from when, until when.

pub mod rpc;
pub mod store;

use chrono::NaiveDate;

use crate::individual::{Rule, coded};

coded!(
    Purpose { Assistance = "assistance", Handover = "handover", Research = "research" },
    "must be assistance, handover or research"
);

coded!(
    Form { Written = "written", Oral = "oral", Thumbprint = "thumbprint", RegistrationForm = "registration_form" },
    "must be written, oral, thumbprint or registration_form"
);

/// Whether a consent holds on a day; on the day of its withdrawal it does not.
pub fn holds(given_on: NaiveDate, withdrawn_on: Option<NaiveDate>, on: NaiveDate) -> bool {
    given_on <= on && withdrawn_on.is_none_or(|end| on < end)
}

pub fn withdrawal(given_on: NaiveDate, withdrawn_on: NaiveDate) -> Result<NaiveDate, Rule> {
    if withdrawn_on < given_on { Err("is before the consent was given") } else { Ok(withdrawn_on) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consent_holds_from_its_date_until_withdrawn() {
        let day = |d| NaiveDate::from_ymd_opt(2012, 1, d).unwrap();
        assert!(!holds(day(2), None, day(1)));
        assert!(holds(day(2), None, day(2)));
        assert!(holds(day(2), Some(day(4)), day(3)));
        assert!(!holds(day(2), Some(day(4)), day(4)));
        assert!(withdrawal(day(2), day(1)).is_err());
    }
}
