//! The programme's money played through, by the rules that funding holds: who is paid by which grant, and who waits.

use chrono::NaiveDate;

use crate::demand::QUOTAS;
use crate::programme::{Grant, Programme};
use crate::registrations::Fate;
use crate::{Fault, Story};

/// Something that asks for money.
struct Ask<'a> {
    kind: &'a str,
    district: Option<&'a str>,
    /// In cents.
    cost: i64,
    on: NaiveDate,
    band: i32,
    phase: usize,
    /// A cost that is there already is due on its own day, whenever it is paid.
    incurred: bool,
    late: bool,
    drops_out: bool,
}

#[derive(Clone, Copy)]
enum Event {
    Opens(usize),
    Receives { grant: usize, cents: i64 },
    Asks(usize),
    Releases(usize),
    Administers { grant: usize, cents: i64 },
}

/// Plays all of it in the order of the calendar and phase by phase, as a demonstration does: the same people must be paid.
pub fn check(programme: &Programme, story: &Story) -> Result<(), Fault> {
    let asks = asks(programme, story)?;
    let mut calendar = events(programme, &asks)?;
    let mut by_phase = calendar.clone();
    calendar.sort_by_key(|(on, phase, step, _)| (*on, *phase, *step));
    by_phase.sort_by_key(|(on, phase, step, _)| (*phase, *step, *on));
    for (order, events) in [("calendar", calendar), ("phase by phase", by_phase)] {
        let mut chest = Chest::new(programme, &asks);
        for (on, _, _, event) in events {
            chest.take(event, on)?;
        }
        for (at, ask) in asks.iter().enumerate() {
            let paid = chest.paid[at].as_ref();
            let in_time = paid.is_some_and(|by| {
                let grant = &programme.grants[by.grant];
                grant.phase == QUOTAS[ask.phase].phase && grant.last_instalment().max(Some(ask.on)) >= Some(by.on)
            });
            match (ask.late, paid) {
                (false, Some(_)) if !in_time => {
                    return Err(format!("{order}: {} asked on {} is paid late or by another grant", ask.kind, ask.on).into());
                }
                (false, None) => return Err(format!("{order}: {} asked on {} is not paid", ask.kind, ask.on).into()),
                (true, Some(_)) => return Err(format!("{order}: {} asked on {} should wait", ask.kind, ask.on).into()),
                _ => {}
            }
        }
    }
    Ok(())
}

fn asks<'a>(programme: &Programme, story: &'a Story) -> Result<Vec<Ask<'a>>, Fault> {
    let phase_of = |code: &str| QUOTAS.iter().position(|q| q.phase == code).ok_or("a phase is not known");
    let cents = |dollars: &str| dollars.replace('.', "").parse::<i64>();
    let dropped: std::collections::HashSet<&str> =
        story.training.iter().filter(|t| !t.completed()).map(|t| t.submission_id.as_str()).collect();
    let mut asks = Vec::new();
    for row in story.registrations.iter().filter(|row| row.fate == Fate::Lands) {
        let Some(need) = row.need else { continue };
        asks.push(Ask {
            kind: need.kind.code(),
            district: Some(row.district),
            cost: programme.package(need.kind.code(), need.item)?.unit_cost.minor,
            on: row.on,
            band: row.band,
            phase: row.phase,
            incurred: false,
            late: need.late,
            drops_out: dropped.contains(row.form.submission_id.as_str()),
        });
    }
    let mut last = "";
    for row in story.projects.iter() {
        if std::mem::replace(&mut last, &row.code) == row.code {
            continue;
        }
        asks.push(Ask {
            kind: "project",
            district: Some(&row.district_pcode),
            cost: cents(&row.budget_amount)?,
            on: row.submitted_on,
            band: 0,
            phase: phase_of(&row.phase)?,
            incurred: false,
            late: false,
            drops_out: false,
        });
    }
    for row in &story.campaigns {
        asks.push(Ask {
            kind: "campaign",
            district: Some(row.district_pcode.as_str()).filter(|d| !d.is_empty()),
            cost: cents(&row.cost_amount)?,
            on: row.held_on,
            band: 0,
            phase: phase_of(&row.phase)?,
            incurred: true,
            late: false,
            drops_out: false,
        });
    }
    Ok(asks)
}

type Dated = (NaiveDate, usize, u8, Event);

/// Day, phase, and the step of a phase in which it happens.
fn events(programme: &Programme, asks: &[Ask]) -> Result<Vec<Dated>, Fault> {
    let mut events = Vec::new();
    for (phase, quota) in QUOTAS.iter().enumerate() {
        let (at, grant) = the_grant(programme, quota.phase)?;
        events.push((grant.starts_on, phase, 0, Event::Opens(at)));
        for (number, instalment) in grant.instalments.iter().enumerate() {
            let cents = programme.dollars(&instalment.amount, instalment.received_on)?;
            let step = if number == 0 { 1 } else { 3 };
            events.push((instalment.received_on, phase, step, Event::Receives { grant: at, cents }));
        }
        for cost in &grant.expenditures {
            events.push((cost.spent_on, phase, 6, Event::Administers { grant: at, cents: cost.amount.minor }));
        }
    }
    for (at, ask) in asks.iter().enumerate() {
        events.push((ask.on, ask.phase, if ask.incurred { 5 } else { 2 }, Event::Asks(at)));
        if ask.drops_out {
            let (_, grant) = the_grant(programme, QUOTAS[ask.phase].phase)?;
            let paid = grant.last_instalment().unwrap_or(ask.on);
            events.push((paid + chrono::Days::new(150), ask.phase, 4, Event::Releases(at)));
        }
    }
    Ok(events)
}

fn the_grant<'a>(programme: &'a Programme, phase: &str) -> Result<(usize, &'a Grant), Fault> {
    let found = programme.grants.iter().enumerate().find(|(_, g)| g.phase == phase);
    found.ok_or_else(|| format!("phase {phase} has no grant").into())
}

struct Pot<'a> {
    grant: &'a Grant,
    opened: bool,
    cash: i64,
    /// Left in each budget line, in the grant's order.
    room: Vec<i64>,
}

struct Chest<'a> {
    asks: &'a [Ask<'a>],
    pots: Vec<Pot<'a>>,
    open: Vec<usize>,
    /// Who pays, by ask.
    paid: Vec<Option<Payer>>,
}

#[derive(Clone, Copy)]
struct Payer {
    grant: usize,
    line: usize,
    on: NaiveDate,
}

impl<'a> Chest<'a> {
    fn new(programme: &'a Programme, asks: &'a [Ask<'a>]) -> Self {
        let pot = |grant: &'a Grant| Pot {
            grant,
            opened: false,
            cash: 0,
            room: grant.budget_lines.iter().map(|l| l.amount.minor).collect(),
        };
        Self { asks, pots: programme.grants.iter().map(pot).collect(), open: Vec::new(), paid: vec![None; asks.len()] }
    }

    fn take(&mut self, event: Event, on: NaiveDate) -> Result<(), Fault> {
        match event {
            Event::Opens(grant) => self.pots[grant].opened = true,
            Event::Receives { grant, cents } => {
                self.pots[grant].cash += cents;
                self.serve(on);
            }
            Event::Asks(at) => {
                if !self.pay(at, on) {
                    self.open.push(at);
                }
            }
            Event::Releases(at) => {
                if let Some(Payer { grant, line, .. }) = self.paid[at] {
                    self.pots[grant].cash += self.asks[at].cost;
                    self.pots[grant].room[line] += self.asks[at].cost;
                }
            }
            Event::Administers { grant, cents } => {
                let pot = &mut self.pots[grant];
                let line = pot.grant.budget_lines.iter().position(|l| l.kind == "administration");
                let line = line.ok_or_else(|| format!("{} has no administration line", pot.grant.code))?;
                if !pot.grant_holds(on) || cents > pot.cash.min(pot.room[line]) {
                    return Err(format!("{}: the administration cost of {on} is not covered", pot.grant.code).into());
                }
                pot.cash -= cents;
                pot.room[line] -= cents;
            }
        }
        Ok(())
    }

    /// The most urgent first, then the oldest.
    fn serve(&mut self, on: NaiveDate) {
        let mut queue = std::mem::take(&mut self.open);
        queue.sort_by_key(|at| (-self.asks[*at].band, self.asks[*at].on, *at));
        self.open = queue.into_iter().filter(|at| !self.pay(*at, on)).collect();
    }

    fn pay(&mut self, at: usize, on: NaiveDate) -> bool {
        let ask = &self.asks[at];
        let due = if ask.incurred { ask.on } else { ask.on.max(on) };
        let candidates = self.pots.iter().enumerate().filter_map(|(number, pot)| {
            let line = pot.grant.budget_lines.iter().position(|l| l.kind == ask.kind)?;
            let tied = &pot.grant.earmarks.districts;
            let here = tied.is_empty() || ask.district.is_some_and(|d| tied.iter().any(|t| t == d));
            let can = pot.opened && pot.grant_holds(due) && ask.cost <= pot.cash.min(pot.room[line]);
            (here && can).then_some((tied.is_empty(), tied.len(), pot.grant.ends_on, number, line))
        });
        let Some((.., grant, line)) = candidates.min() else { return false };
        self.pots[grant].cash -= ask.cost;
        self.pots[grant].room[line] -= ask.cost;
        self.paid[at] = Some(Payer { grant, line, on: due });
        true
    }
}

impl Pot<'_> {
    fn grant_holds(&self, on: NaiveDate) -> bool {
        (self.grant.starts_on..=self.grant.ends_on).contains(&on)
    }
}
