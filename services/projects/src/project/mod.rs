//! A community project: its money is asked of funding, it is approved once funded, built facility by facility, and
//! completed within its budget.

pub mod rpc;
pub mod store;

use chrono::NaiveDate;
use tahuka_chassis::{Amount, PlaceCode, Refusal, coded};
use uuid::Uuid;

coded!(State {
    Draft = 1 "draft",
    Submitted = 2 "submitted",
    Funded = 3 "funded",
    Waiting = 4 "waiting",
    Approved = 5 "approved",
    InProgress = 6 "in_progress",
    Completed = 7 "completed",
    Cancelled = 8 "cancelled",
});

coded!(FacilityKind { School = 1 "school", HealthPost = 2 "health_post", TransitCentre = 3 "transit_centre" });

pub const SEXES: &[&str] = &["female", "male", "unknown"];
pub const AGE_BANDS: &[&str] = &["0-4", "5-11", "12-17", "18-24", "25-59", "60+", "unknown"];
const MOST_PEOPLE: i64 = 1_000_000;

/// What changes of a project as it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    pub state: State,
    pub budget: Amount,
    pub cost: Option<Amount>,
    pub grant_id: Option<Uuid>,
    pub progress_percent: i32,
    pub people_served: i64,
    pub facilities: Vec<Facility>,
    pub submitted_on: Option<NaiveDate>,
    pub funded_on: Option<NaiveDate>,
    pub approved_on: Option<NaiveDate>,
    pub completed_on: Option<NaiveDate>,
    pub cancelled_on: Option<NaiveDate>,
    pub cancellation_reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facility {
    pub id: Uuid,
    /// None while planned.
    pub completed_on: Option<NaiveDate>,
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
    Report {
        percent: i32,
        on: NaiveDate,
    },
    CompleteFacility {
        id: Uuid,
        on: NaiveDate,
    },
    /// People not counted before.
    Count {
        people: i64,
        on: NaiveDate,
    },
    Complete {
        cost: Amount,
        on: NaiveDate,
    },
    Cancel {
        reason: String,
        on: NaiveDate,
    },
}

impl Project {
    pub fn next(mut self, command: Command) -> Result<Project, Refusal> {
        match command {
            Command::Submit { on } => {
                if self.state != State::Draft {
                    return Err(Refusal::precondition("PROJECT_NOT_DRAFT", "the project has been submitted already"));
                }
                (self.state, self.submitted_on) = (State::Submitted, Some(on));
            }
            Command::Fund { grant_id, on } => {
                self.awaits_funding(&[State::Submitted, State::Waiting])?;
                (self.state, self.grant_id, self.funded_on) = (State::Funded, Some(grant_id), Some(on));
            }
            Command::Wait => {
                self.awaits_funding(&[State::Submitted])?;
                self.state = State::Waiting;
            }
            Command::Approve { on } => {
                if self.state != State::Funded {
                    return Err(Refusal::precondition("PROJECT_NOT_FUNDED", "only a funded project can be approved"));
                }
                not_before("approved_on", on, self.funded_on.max(self.submitted_on), "the project was funded")?;
                (self.state, self.approved_on) = (State::Approved, Some(on));
            }
            Command::Report { percent, on } => {
                self.can_be_worked_on()?;
                not_before("reported_on", on, self.approved_on, "the project was approved")?;
                if !(0..=100).contains(&percent) {
                    return Err(Refusal::invalid("percent", "must be 0 to 100"));
                }
                if percent < self.progress_percent {
                    return Err(Refusal::invalid("percent", "must not be less than before"));
                }
                (self.state, self.progress_percent) = (State::InProgress, percent);
            }
            Command::CompleteFacility { id, on } => {
                self.can_be_worked_on()?;
                not_before("completed_on", on, self.approved_on, "the project was approved")?;
                let facility = self.facilities.iter_mut().find(|f| f.id == id);
                let facility = facility.ok_or_else(|| Refusal::not_found("facility", id))?;
                if facility.completed_on.is_some() {
                    return Err(Refusal::precondition("FACILITY_COMPLETED", "the facility has been completed already"));
                }
                // What stands was worked on, whether or not somebody reported it.
                (self.state, facility.completed_on) = (State::InProgress, Some(on));
            }
            Command::Count { people, on } => {
                if !matches!(self.state, State::Approved | State::InProgress | State::Completed) {
                    return Err(not_approved());
                }
                not_before("counted_on", on, self.approved_on, "the project was approved")?;
                self.people_served = self.people_served.saturating_add(people);
            }
            Command::Complete { cost, on } => {
                self.can_be_worked_on()?;
                if self.facilities.iter().any(|f| f.completed_on.is_none()) {
                    return Err(Refusal::precondition("FACILITIES_OPEN", "complete every facility of the project first"));
                }
                let last = self.facilities.iter().filter_map(|f| f.completed_on).max();
                not_before("completed_on", on, last.max(self.approved_on), "its last facility was completed")?;
                if cost.currency != self.budget.currency {
                    return Err(Refusal::invalid("cost.currency_code", "must be the budget's"));
                }
                if cost.minor > self.budget.minor {
                    return Err(Refusal::invalid("cost", "must not be above the budget"));
                }
                (self.state, self.cost, self.completed_on) = (State::Completed, Some(cost), Some(on));
                self.progress_percent = 100;
            }
            Command::Cancel { reason, on } => {
                self.is_not_over()?;
                not_before("cancelled_on", on, self.approved_on.max(self.submitted_on), "the project was submitted or approved")?;
                (self.state, self.cancelled_on, self.cancellation_reason) = (State::Cancelled, Some(on), reason);
            }
        }
        Ok(self)
    }

    fn awaits_funding(&self, states: &[State]) -> Result<(), Refusal> {
        if states.contains(&self.state) {
            return Ok(());
        }
        Err(Refusal::precondition("PROJECT_NOT_SUBMITTED", "the project awaits no answer of funding"))
    }

    fn can_be_worked_on(&self) -> Result<(), Refusal> {
        self.is_not_over()?;
        if matches!(self.state, State::Approved | State::InProgress) { Ok(()) } else { Err(not_approved()) }
    }

    fn is_not_over(&self) -> Result<(), Refusal> {
        if matches!(self.state, State::Completed | State::Cancelled) {
            return Err(Refusal::precondition("PROJECT_OVER", "the project has been completed or cancelled"));
        }
        Ok(())
    }
}

fn not_approved() -> Refusal {
    Refusal::precondition("PROJECT_NOT_APPROVED", "the project must be approved first, and not cancelled")
}

fn not_before(field: &str, on: NaiveDate, earliest: Option<NaiveDate>, what: &str) -> Result<(), Refusal> {
    if earliest.is_some_and(|e| on < e) {
        return Err(Refusal::invalid(field, format!("must not be before the day when {what}")));
    }
    Ok(())
}

/// The district of a place where something can be built.
pub fn site<'a>(field: &str, place: &'a PlaceCode) -> Result<&'a str, Refusal> {
    place.district().ok_or_else(|| Refusal::invalid(field, "must be a district, sector or cell"))
}

/// People of one sex and age band.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub sex: &'static str,
    pub age_band: &'static str,
    pub people: i64,
}

impl Count {
    /// `field` is the name of the count in the request.
    pub fn parse(field: &str, sex: &str, age_band: &str, people: i64) -> Result<Self, Refusal> {
        let among = |name: &str, words: &[&'static str], told: &str| {
            let word = words.iter().find(|w| **w == told).copied();
            word.ok_or_else(|| Refusal::invalid(format!("{field}.{name}"), format!("must be one of {}", words.join(", "))))
        };
        if !(1..=MOST_PEOPLE).contains(&people) {
            return Err(Refusal::invalid(format!("{field}.people"), "must be 1 to 1000000"));
        }
        Ok(Count { sex: among("sex", SEXES, sex)?, age_band: among("age_band", AGE_BANDS, age_band)?, people })
    }
}

/// At least one, and each sex and age band once.
pub fn distinct(counts: Vec<Count>) -> Result<Vec<Count>, Refusal> {
    if counts.is_empty() {
        return Err(Refusal::invalid("counts", "must name at least one"));
    }
    for (i, count) in counts.iter().enumerate() {
        if counts[..i].iter().any(|earlier| (earlier.sex, earlier.age_band) == (count.sex, count.age_band)) {
            return Err(Refusal::invalid(format!("counts[{i}]"), "names a sex and age band twice"));
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use tahuka_chassis::Currency;

    use super::*;

    fn day(month: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2011, month, 1).unwrap()
    }

    fn usd(minor: i64) -> Amount {
        Amount { minor, currency: Currency::parse("USD").unwrap() }
    }

    fn draft() -> Project {
        let facility = |id| Facility { id: Uuid::from_u128(id), completed_on: None };
        Project {
            state: State::Draft,
            budget: usd(1000),
            cost: None,
            grant_id: None,
            progress_percent: 0,
            people_served: 0,
            facilities: vec![facility(1), facility(2)],
            submitted_on: None,
            funded_on: None,
            approved_on: None,
            completed_on: None,
            cancelled_on: None,
            cancellation_reason: String::new(),
        }
    }

    fn told(commands: &[Command]) -> Result<Project, Refusal> {
        commands.iter().cloned().try_fold(draft(), Project::next)
    }

    fn approved() -> Vec<Command> {
        let fund = Command::Fund { grant_id: Uuid::from_u128(9), on: day(3) };
        vec![Command::Submit { on: day(2) }, fund, Command::Approve { on: day(4) }]
    }

    fn built() -> Vec<Command> {
        let facility = |id, month| Command::CompleteFacility { id: Uuid::from_u128(id), on: day(month) };
        [approved(), vec![facility(1, 6), facility(2, 7)]].concat()
    }

    fn after(mut commands: Vec<Command>, last: Command) -> Result<Project, Refusal> {
        commands.push(last);
        told(&commands)
    }

    fn reason(result: Result<Project, Refusal>) -> String {
        match result {
            Ok(project) => project.state.word().to_owned(),
            Err(Refusal::Precondition { reason, .. }) => reason.to_owned(),
            Err(Refusal::Invalid(violations)) => violations[0].0.clone(),
            Err(other) => other.to_string(),
        }
    }

    #[test]
    fn a_project_goes_from_draft_to_completed() {
        let project = after(built(), Command::Complete { cost: usd(990), on: day(8) }).unwrap();
        assert_eq!((project.state, project.progress_percent, project.cost), (State::Completed, 100, Some(usd(990))));
        assert_eq!((project.grant_id, project.funded_on), (Some(Uuid::from_u128(9)), Some(day(3))));
    }

    #[test]
    fn what_waits_is_funded_later_and_a_late_answer_is_left() {
        let fund = Command::Fund { grant_id: Uuid::from_u128(9), on: day(3) };
        let submit = Command::Submit { on: day(2) };
        assert_eq!(reason(told(&[submit.clone(), Command::Wait, fund.clone()])), "funded");
        assert_eq!(reason(told(&[submit.clone(), fund.clone(), Command::Wait])), "PROJECT_NOT_SUBMITTED");
        let cancel = Command::Cancel { reason: "the site floods".into(), on: day(3) };
        assert_eq!(reason(told(&[submit, cancel, fund])), "PROJECT_NOT_SUBMITTED");
    }

    #[test]
    fn only_what_is_funded_is_approved() {
        let approve = Command::Approve { on: day(4) };
        assert_eq!(reason(told(std::slice::from_ref(&approve))), "PROJECT_NOT_FUNDED");
        assert_eq!(reason(told(&[Command::Submit { on: day(2) }, Command::Wait, approve.clone()])), "PROJECT_NOT_FUNDED");
        assert_eq!(reason(after(approved(), approve)), "PROJECT_NOT_FUNDED");
        let mut early = approved();
        early[2] = Command::Approve { on: day(2) };
        assert_eq!(reason(told(&early)), "approved_on");
    }

    #[test]
    fn progress_never_goes_back() {
        let report = |percent| Command::Report { percent, on: day(5) };
        assert_eq!(reason(told(&[report(10)])), "PROJECT_NOT_APPROVED");
        assert_eq!(reason(after(approved(), report(0))), "in_progress");
        assert_eq!(reason(after(approved(), report(101))), "percent");
        assert_eq!(reason(after([approved(), vec![report(50)]].concat(), report(49))), "percent");
        assert_eq!(reason(after([approved(), vec![report(50)]].concat(), report(50))), "in_progress");
        assert_eq!(reason(after(approved(), Command::Report { percent: 1, on: day(3) })), "reported_on");
    }

    #[test]
    fn it_is_completed_with_all_its_facilities_and_within_its_budget() {
        let complete = |cost, month| Command::Complete { cost, on: day(month) };
        assert_eq!(reason(after(approved(), complete(usd(1), 8))), "FACILITIES_OPEN");
        assert_eq!(reason(after(built(), complete(usd(1001), 8))), "cost");
        let francs = Amount { minor: 1, currency: Currency::parse("RWF").unwrap() };
        assert_eq!(reason(after(built(), complete(francs, 8))), "cost.currency_code");
        assert_eq!(reason(after(built(), complete(usd(1000), 6))), "completed_on");
        assert_eq!(reason(after(built(), complete(usd(1000), 7))), "completed");
        let again = Command::CompleteFacility { id: Uuid::from_u128(1), on: day(8) };
        assert_eq!(reason(after(built(), again)), "FACILITY_COMPLETED");
        let unknown = Command::CompleteFacility { id: Uuid::from_u128(3), on: day(8) };
        assert_eq!(reason(after(approved(), unknown)), "facility not found");
    }

    #[test]
    fn what_is_over_stays_so_but_people_are_still_counted() {
        let count = Command::Count { people: 40, on: day(9) };
        let complete = Command::Complete { cost: usd(990), on: day(8) };
        let cancel = Command::Cancel { reason: "no site".into(), on: day(9) };
        let completed = [built(), vec![complete.clone()]].concat();
        assert_eq!(reason(after(completed.clone(), cancel.clone())), "PROJECT_OVER");
        assert_eq!(reason(after(completed.clone(), complete)), "PROJECT_OVER");
        assert_eq!(after([completed, vec![count.clone()]].concat(), count.clone()).map(|p| p.people_served).unwrap(), 80);
        assert_eq!(reason(after([approved(), vec![cancel]].concat(), count.clone())), "PROJECT_NOT_APPROVED");
        assert_eq!(reason(told(&[count])), "PROJECT_NOT_APPROVED");
    }

    #[test]
    fn people_are_counted_by_known_words_and_once() {
        let count = |sex, band, people| Count::parse("counts[0]", sex, band, people).is_ok();
        assert!(count("female", "60+", 1) && count("unknown", "unknown", 1_000_000));
        assert!(!count("f", "60+", 1) && !count("female", "60", 1) && !count("female", "60+", 0));
        assert!(!count("female", "60+", 1_000_001));
        let one = Count { sex: "female", age_band: "0-4", people: 3 };
        assert!(distinct(vec![one, Count { sex: "male", ..one }]).is_ok());
        assert!(distinct(vec![one, one]).is_err() && distinct(Vec::new()).is_err());
    }

    #[test]
    fn it_stands_in_a_district_sector_or_cell() {
        let district = |code| site("place", &PlaceCode::parse(code).unwrap()).map(str::to_owned).ok();
        assert_eq!(district("RW33"), Some("RW33".into()));
        assert_eq!(district("RW330401"), Some("RW33".into()));
        assert_eq!(district("RW3"), None);
    }
}
