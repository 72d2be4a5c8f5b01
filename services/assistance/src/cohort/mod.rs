//! A cohort: people who learn a trade together. Each trainee completes, which delivers the plan, or drops out, which
//! cancels it.

pub mod enrolment;
pub mod rpc;
pub mod store;

use std::collections::HashSet;

use chrono::NaiveDate;
use tahuka_chassis::{Refusal, coded};
use uuid::Uuid;

pub const LARGEST: i32 = 500;

coded!(
    /// Open: takes trainees.
    State { Open = 1 "open", Completed = 2 "completed" }
);

coded!(EnrolmentState { Enrolled = 1 "enrolled", Completed = 2 "completed", DroppedOut = 3 "dropped_out" });

/// The days of the training, first and last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    pub starts_on: NaiveDate,
    pub ends_on: NaiveDate,
}

impl Time {
    pub fn new(starts_on: NaiveDate, ends_on: NaiveDate) -> Result<Self, Refusal> {
        if ends_on < starts_on {
            return Err(Refusal::invalid("ends_on", "must not be before starts_on"));
        }
        Ok(Time { starts_on, ends_on })
    }
}

/// How the training ended for one trainee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    Completed { certificate: String },
    DroppedOut { reason: String },
}

/// Every trainee must be told of, and nobody else; nobody is told twice. `place` names the nth that is told.
pub fn everybody(trainees: &HashSet<Uuid>, told: &[Uuid], place: impl Fn(usize) -> String) -> Result<(), Refusal> {
    if let Some(n) = told.iter().position(|id| !trainees.contains(id)) {
        let advice = "the plan is not enrolled in this cohort";
        return Err(crate::batch::of_element(&place(n), Refusal::precondition("NOT_ENROLLED", advice)));
    }
    if told.len() < trainees.len() {
        return Err(Refusal::invalid("results", "must tell of every trainee of the cohort"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_ends_no_earlier_than_it_starts() {
        let day = |n| NaiveDate::from_ymd_opt(2012, 5, n).unwrap();
        assert!(Time::new(day(2), day(2)).is_ok());
        assert!(Time::new(day(2), day(1)).is_err());
    }

    #[test]
    fn every_trainee_is_told_of_and_nobody_else() {
        let [ann, ben, cas] = [1, 2, 3].map(Uuid::from_u128);
        let place = |n| format!("results[{n}]");
        let trainees = HashSet::from([ann, ben]);
        assert!(everybody(&trainees, &[ben, ann], place).is_ok());
        let stranger = everybody(&trainees, &[ann, cas], place).unwrap_err();
        assert!(matches!(stranger, Refusal::Precondition { reason: "NOT_ENROLLED", advice } if advice.starts_with("results[1]")));
        assert!(matches!(everybody(&trainees, &[ben], place), Err(Refusal::Invalid(_))));
        assert!(everybody(&HashSet::new(), &[], place).is_ok());
    }
}
