//! A reintegration plan: one package for one person, from the draft to what was handed over.

pub mod drafting;
pub mod events;
pub mod rpc;
pub mod store;

use chrono::NaiveDate;
use tahuka_chassis::{Refusal, coded};
use uuid::Uuid;

use crate::catalogue::Kind;

coded!(
    /// Submitted: funding has been asked. Waiting: no grant covers it. In progress: on a cohort's or a distribution's list.
    State {
        Draft = 1 "draft",
        Submitted = 2 "submitted",
        Funded = 3 "funded",
        Waiting = 4 "waiting",
        Approved = 5 "approved",
        InProgress = 6 "in_progress",
        Completed = 7 "completed",
        Cancelled = 8 "cancelled",
    }
);

coded!(Sex { Female = 1 "female", Male = 2 "male", Unknown = 3 "unknown" });

/// How far a plan is, and the day of each step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    pub state: State,
    pub drafted_on: NaiveDate,
    pub submitted_on: Option<NaiveDate>,
    /// The grant that pays.
    pub grant_id: Option<Uuid>,
    pub funded_on: Option<NaiveDate>,
    pub approved_on: Option<NaiveDate>,
    pub completed_on: Option<NaiveDate>,
    pub cancelled_on: Option<NaiveDate>,
    pub cancellation_reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Submit {
        on: NaiveDate,
    },
    Fund {
        grant_id: Uuid,
        on: NaiveDate,
    },
    Wait,
    Approve {
        on: NaiveDate,
    },
    /// Onto a cohort's or a distribution's list, on a day where that is told.
    Begin {
        on: Option<NaiveDate>,
    },
    /// Off the list again, not served.
    Lapse,
    Complete {
        on: NaiveDate,
    },
    Cancel {
        on: NaiveDate,
        reason: String,
    },
}

/// Why a plan does not take a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    State {
        reason: &'static str,
        advice: &'static str,
    },
    /// The step would lie before the one that it follows.
    Day,
}

impl Broken {
    /// `day` is the field of the step's date; `place` that of the plan in a batch, empty where it is none.
    pub fn refusal(self, day: &str, place: &str) -> Refusal {
        const RULE: &str = "must not be before the plan's last step";
        match self {
            Broken::State { reason, advice } => crate::batch::of_element(place, Refusal::precondition(reason, advice)),
            Broken::Day if place.is_empty() || day.starts_with(place) => Refusal::invalid(day, RULE),
            Broken::Day => Refusal::invalid(day, format!("{RULE} ({place})")),
        }
    }
}

impl Life {
    pub fn drafted(on: NaiveDate) -> Self {
        Life {
            state: State::Draft,
            drafted_on: on,
            submitted_on: None,
            grant_id: None,
            funded_on: None,
            approved_on: None,
            completed_on: None,
            cancelled_on: None,
            cancellation_reason: None,
        }
    }

    pub fn next(self, command: Command) -> Result<Life, Broken> {
        use State::{Approved, Cancelled, Completed, Draft, Funded, InProgress, Submitted, Waiting};
        let before = self.last_step();
        let due = |on: NaiveDate| if on < before { Err(Broken::Day) } else { Ok(Some(on)) };
        let refused = |reason, advice| Err(Broken::State { reason, advice });
        match (self.state, command) {
            (Draft, Command::Submit { on }) => Ok(Life { state: Submitted, submitted_on: due(on)?, ..self }),
            (_, Command::Submit { .. }) => refused("PLAN_NOT_DRAFT", "the plan has been submitted before"),
            // The money's day is funding's to say: a new instalment may be entered late.
            (Submitted | Waiting, Command::Fund { grant_id, on }) => {
                Ok(Life { state: Funded, grant_id: Some(grant_id), funded_on: Some(on), ..self })
            }
            (Submitted, Command::Wait) => Ok(Life { state: Waiting, ..self }),
            (_, Command::Fund { .. } | Command::Wait) => refused("PLAN_NOT_SUBMITTED", "the plan asks for no money"),
            (Funded, Command::Approve { on }) => Ok(Life { state: Approved, approved_on: due(on)?, ..self }),
            (_, Command::Approve { .. }) => {
                refused("PLAN_NOT_FUNDED", "only a funded plan can be approved; one that waits is served when money comes")
            }
            (Approved, Command::Begin { on }) => {
                on.map(due).transpose()?;
                Ok(Life { state: InProgress, ..self })
            }
            (_, Command::Begin { .. }) => {
                refused("PLAN_NOT_APPROVED", "only an approved plan can be served, by one list at a time")
            }
            (InProgress, Command::Lapse) => Ok(Life { state: Approved, ..self }),
            (InProgress, Command::Complete { on }) => Ok(Life { state: Completed, completed_on: due(on)?, ..self }),
            (_, Command::Lapse | Command::Complete { .. }) => refused("PLAN_NOT_IN_PROGRESS", "the plan is on no list"),
            (Completed, Command::Cancel { .. }) => refused("PLAN_COMPLETED", "what was handed over cannot be cancelled"),
            (Cancelled, Command::Cancel { .. }) => refused("PLAN_CANCELLED", "the plan is cancelled already"),
            (_, Command::Cancel { on, reason }) => {
                Ok(Life { state: Cancelled, cancelled_on: due(on)?, cancellation_reason: Some(reason), ..self })
            }
        }
    }

    /// The day of the last step that somebody took.
    fn last_step(&self) -> NaiveDate {
        self.approved_on.or(self.submitted_on).unwrap_or(self.drafted_on)
    }
}

/// Whom a cohort or a distribution serves, and what a plan asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<'a> {
    pub programme_id: Uuid,
    pub district: &'a str,
    pub kind: Kind,
    /// None for any.
    pub item: Option<&'a str>,
}

impl Call<'_> {
    pub fn serves(&self, plan: &Call<'_>) -> Result<(), Refusal> {
        let differs = if self.programme_id != plan.programme_id {
            "the plan is of another programme"
        } else if self.district != plan.district {
            "the plan is of another district"
        } else if self.kind != plan.kind {
            "the plan is of another kind of assistance"
        } else if self.item.is_some_and(|item| plan.item != Some(item)) {
            "the plan is of another trade"
        } else {
            return Ok(());
        };
        Err(Refusal::precondition("PLAN_DOES_NOT_FIT", differs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2012, 5, n).unwrap()
    }

    fn reason(result: Result<Life, Broken>) -> &'static str {
        match result {
            Err(Broken::State { reason, .. }) => reason,
            Err(Broken::Day) => "DAY",
            Ok(_) => "",
        }
    }

    fn after(commands: &[Command]) -> Result<Life, Broken> {
        commands.iter().cloned().try_fold(Life::drafted(day(1)), Life::next)
    }

    fn to_progress() -> Vec<Command> {
        vec![
            Command::Submit { on: day(2) },
            Command::Fund { grant_id: Uuid::from_u128(7), on: day(20) },
            Command::Approve { on: day(4) },
            Command::Begin { on: Some(day(5)) },
        ]
    }

    #[test]
    fn from_the_draft_to_what_was_handed_over() {
        let mut story = to_progress();
        story.push(Command::Complete { on: day(9) });
        let life = after(&story).unwrap();
        assert_eq!((life.state, life.grant_id, life.completed_on), (State::Completed, Some(Uuid::from_u128(7)), Some(day(9))));
        assert_eq!(reason(life.next(Command::Cancel { on: day(9), reason: "moved".into() })), "PLAN_COMPLETED");
    }

    #[test]
    fn a_plan_that_waits_is_funded_later_and_approved_only_then() {
        let waiting = after(&[Command::Submit { on: day(2) }, Command::Wait]).unwrap();
        assert_eq!(reason(waiting.clone().next(Command::Approve { on: day(3) })), "PLAN_NOT_FUNDED");
        let funded = waiting.next(Command::Fund { grant_id: Uuid::from_u128(7), on: day(20) }).unwrap();
        assert_eq!(reason(funded.clone().next(Command::Wait)), "PLAN_NOT_SUBMITTED");
        assert_eq!(funded.next(Command::Approve { on: day(2) }).map(|l| l.state), Ok(State::Approved));
    }

    #[test]
    fn no_step_lies_before_the_one_that_it_follows() {
        assert_eq!(reason(after(&[Command::Submit { on: day(1) }])), "");
        let draft = Life::drafted(day(5));
        assert_eq!(reason(draft.next(Command::Submit { on: day(4) })), "DAY");
        let mut story = to_progress();
        story[2] = Command::Approve { on: day(1) };
        assert_eq!(reason(after(&story)), "DAY");
    }

    #[test]
    fn what_was_not_collected_can_be_listed_anew() {
        let mut story = to_progress();
        story.extend([Command::Lapse, Command::Begin { on: None }]);
        assert_eq!(after(&story).map(|l| l.state), Ok(State::InProgress));
        story.push(Command::Begin { on: None });
        assert_eq!(reason(after(&story)), "PLAN_NOT_APPROVED");
    }

    #[test]
    fn a_plan_can_be_cancelled_until_it_is_completed_and_takes_no_money_after() {
        let story = to_progress();
        for steps in 0..=story.len() {
            let cancelled = after(&story[..steps]).unwrap().next(Command::Cancel { on: day(9), reason: "moved".into() }).unwrap();
            assert_eq!(cancelled.state, State::Cancelled);
            assert_eq!(reason(cancelled.next(story[1].clone())), "PLAN_NOT_SUBMITTED");
        }
    }

    #[test]
    fn a_list_serves_its_own_district_and_trade() {
        let cohort =
            Call { programme_id: Uuid::nil(), district: "RW33", kind: Kind::VocationalTraining, item: Some("tailoring") };
        assert!(cohort.serves(&cohort.clone()).is_ok());
        assert!(Call { item: None, ..cohort.clone() }.serves(&cohort).is_ok());
        for other in [
            Call { programme_id: Uuid::max(), ..cohort.clone() },
            Call { district: "RW43", ..cohort.clone() },
            Call { kind: Kind::Livestock, ..cohort.clone() },
            Call { item: Some("masonry"), ..cohort.clone() },
        ] {
            assert!(cohort.serves(&other).is_err(), "{other:?}");
        }
    }
}
