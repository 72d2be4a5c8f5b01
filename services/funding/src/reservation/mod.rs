//! A reservation: what a plan, a project or a campaign needs, from the day it is asked for to the
//! day it is spent. Without money it is open, and is the appeal's need.

pub mod flow;
pub mod rpc;
pub mod store;

use chrono::NaiveDate;
use tahuka_chassis::{Amount, Currency, Refusal, coded};
use uuid::Uuid;

use crate::grant::{BudgetKind, Earmarks, Period};
use crate::ledger::{Bucket, Purse};

coded!(NeedKind { Plan = 1 "plan", Project = 2 "project", Campaign = 3 "campaign" });

coded!(
    State {
        Open = 1 "open",
        Reserved = 2 "reserved",
        Committed = 3 "committed",
        Spent = 4 "spent",
        Released = 5 "released",
        Withdrawn = 6 "withdrawn",
    }
);

coded!(
    /// How far the thing itself is, whatever its money does.
    Stage { Proposed = 1 "proposed", Approved = 2 "approved", Incurred = 3 "incurred" }
);

impl Stage {
    /// Where the money goes once there is some.
    pub fn funded(self) -> State {
        match self {
            Stage::Proposed => State::Reserved,
            Stage::Approved => State::Committed,
            Stage::Incurred => State::Spent,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// A budget line pays, for a thing that is this far.
    Fund(Stage),
    Approve,
    /// The cost is there.
    Incur,
    /// The money goes back, and the cost waits for other money.
    Reopen,
    Cancel,
}

impl State {
    pub fn next(self, command: Command) -> Result<State, Refusal> {
        match (self, command) {
            (State::Open, Command::Fund(stage)) => Ok(stage.funded()),
            (State::Open, Command::Approve | Command::Incur) => Ok(State::Open),
            (State::Open, Command::Cancel) => Ok(State::Withdrawn),
            (State::Reserved, Command::Approve) => Ok(State::Committed),
            (State::Reserved | State::Committed, Command::Incur) => Ok(State::Spent),
            (State::Reserved | State::Committed, Command::Reopen) => Ok(State::Open),
            (State::Reserved | State::Committed, Command::Cancel) => Ok(State::Released),
            _ => Err(Refusal::precondition("RESERVATION_STATE", "the reservation is not in a state that allows this")),
        }
    }

    /// Where its money is in the ledger.
    pub fn bucket(self) -> Option<Bucket> {
        match self {
            State::Reserved => Some(Bucket::Reserved),
            State::Committed => Some(Bucket::Committed),
            State::Spent => Some(Bucket::Spent),
            State::Open | State::Released | State::Withdrawn => None,
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    pub kind: BudgetKind,
    /// P-code; None for nation-wide.
    pub district: Option<String>,
    pub cost: Amount,
    /// The day it was asked for; once it is incurred, the day of the cost.
    pub since: NaiveDate,
    pub stage: Stage,
}

impl Need {
    /// The day that must lie in a grant's period: of the cost once it is incurred, else of the money.
    pub fn due_on(&self, funded_on: NaiveDate) -> NaiveDate {
        match self.stage {
            Stage::Incurred => self.since,
            _ => self.paid_on(funded_on),
        }
    }

    /// The day on which money that came on `funded_on` goes to it.
    pub fn paid_on(&self, funded_on: NaiveDate) -> NaiveDate {
        self.since.max(funded_on)
    }
}

/// A budget line that might pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub purse: Purse,
    pub line_id: Uuid,
    pub kind: BudgetKind,
    pub period: Period,
    pub earmarks: Earmarks,
    /// The grant's.
    pub currency: Currency,
    /// Left in the line, in minor units of the grant's currency.
    pub room: i64,
    /// Cash that the grant has not promised.
    pub available: i64,
    /// What the need costs in the grant's currency; None where no rate is in force.
    pub price: Option<i64>,
}

impl Candidate {
    /// The most that the line can pay.
    pub fn most(&self) -> i64 {
        self.room.min(self.available)
    }

    /// What the line would pay for the need; None when it may not or can not.
    pub fn pays(&self, need: &Need, on: NaiveDate) -> Option<i64> {
        let fits = self.kind == need.kind && self.period.holds(on) && self.earmarks.cover(need.kind, need.district.as_deref());
        self.price.filter(|price| fits && *price > 0 && *price <= self.most())
    }
}

/// Who pays: the most specific earmark first, so that free money lasts; then what ends earliest.
pub fn pick<'a>(need: &Need, on: NaiveDate, candidates: &'a [Candidate]) -> Option<(&'a Candidate, i64)> {
    (candidates.iter())
        .filter_map(|c| Some((c, c.pays(need, on)?)))
        .min_by_key(|(c, _)| (c.earmarks.breadth(), c.period.ends_on, c.purse.grant_id, c.line_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i32, month: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(year, month, 1).unwrap()
    }

    fn need() -> Need {
        Need {
            kind: BudgetKind::Shelter,
            district: Some("RW33".into()),
            cost: Amount { minor: 300, currency: Currency::parse("USD").unwrap() },
            since: day(2011, 5),
            stage: Stage::Proposed,
        }
    }

    fn grant(id: u128, ends: i32, districts: &[&str], kinds: &[BudgetKind]) -> Candidate {
        Candidate {
            purse: Purse { grant_id: Uuid::from_u128(id), programme_id: Uuid::nil(), custodian_id: Uuid::nil() },
            line_id: Uuid::from_u128(id),
            kind: BudgetKind::Shelter,
            period: Period { starts_on: day(2010, 1), ends_on: day(ends, 12) },
            earmarks: Earmarks { districts: districts.iter().map(|d| (*d).to_owned()).collect(), kinds: kinds.to_vec() },
            currency: Currency::parse("USD").unwrap(),
            room: 1000,
            available: 1000,
            price: Some(300),
        }
    }

    fn picked(candidates: &[Candidate]) -> Option<u128> {
        pick(&need(), day(2011, 5), candidates).map(|(c, _)| c.purse.grant_id.as_u128())
    }

    #[test]
    fn the_most_specific_earmark_pays_first() {
        let free = grant(1, 2011, &[], &[]);
        let kind = grant(2, 2013, &[], &[BudgetKind::Shelter]);
        let place = grant(3, 2013, &["RW33", "RW34"], &[]);
        let narrow = grant(4, 2013, &["RW33"], &[]);
        let both = grant(5, 2013, &["RW33"], &[BudgetKind::Shelter]);
        let mut all = vec![free, kind, place, narrow, both];
        for expected in [5, 4, 3, 2, 1] {
            assert_eq!(picked(&all), Some(expected));
            all.pop();
        }
        assert_eq!(picked(&all), None);
    }

    #[test]
    fn then_what_ends_earliest() {
        assert_eq!(picked(&[grant(1, 2013, &[], &[]), grant(2, 2011, &[], &[]), grant(3, 2012, &[], &[])]), Some(2));
    }

    #[test]
    fn what_may_not_or_can_not_pay_is_passed_over() {
        let refused = [
            grant(1, 2010, &[], &[]),
            grant(2, 2013, &["RW11"], &[]),
            grant(3, 2013, &[], &[BudgetKind::Livestock]),
            Candidate { kind: BudgetKind::Livestock, ..grant(4, 2013, &[], &[]) },
            Candidate { room: 299, ..grant(5, 2013, &[], &[]) },
            Candidate { available: 299, ..grant(6, 2013, &[], &[]) },
            Candidate { price: None, ..grant(7, 2013, &[], &[]) },
        ];
        assert_eq!(picked(&refused), None);
    }

    #[test]
    fn money_follows_the_thing_and_a_settled_need_stays_settled() {
        assert_eq!(State::Open.next(Command::Fund(Stage::Incurred)).ok(), Some(State::Spent));
        assert_eq!(State::Reserved.next(Command::Approve).ok(), Some(State::Committed));
        assert_eq!(State::Reserved.next(Command::Incur).ok(), Some(State::Spent));
        assert_eq!(State::Committed.next(Command::Cancel).ok(), Some(State::Released));
        assert_eq!(State::Open.next(Command::Cancel).ok(), Some(State::Withdrawn));
        for settled in [State::Spent, State::Released, State::Withdrawn] {
            for command in [Command::Fund(Stage::Proposed), Command::Approve, Command::Incur, Command::Reopen, Command::Cancel] {
                assert!(settled.next(command).is_err(), "{settled:?} {command:?}");
            }
        }
    }

    #[test]
    fn a_cost_that_is_incurred_keeps_its_day() {
        let later = day(2012, 1);
        assert_eq!(need().due_on(later), later);
        assert_eq!(Need { stage: Stage::Incurred, ..need() }.due_on(later), day(2011, 5));
    }
}
