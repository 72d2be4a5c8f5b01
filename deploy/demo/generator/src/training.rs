//! training.csv: cohorts of one district and trade, five months each, and what became of every trainee.

use std::collections::BTreeMap;

use chrono::{Datelike, Days, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::Fault;
use crate::demand::{Class, QUOTAS};
use crate::dice::{Dice, workday_after};
use crate::places::Places;
use crate::programme::Programme;
use crate::registrations::{Fate, Registration};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trainee {
    pub cohort: String,
    pub provider: String,
    pub trade: String,
    pub district_pcode: String,
    pub starts_on: NaiveDate,
    pub ends_on: NaiveDate,
    pub capacity: usize,
    pub submission_id: String,
    pub result: String,
    pub drop_out_reason: String,
    pub certificate_number: String,
    pub toolkit: String,
}

impl Trainee {
    pub fn completed(&self) -> bool {
        self.result == "completed"
    }
}

const REASONS: &[(&str, u32)] = &[
    ("moved to another district", 24),
    ("found work before the end", 20),
    ("illness", 16),
    ("care of a child or relative", 22),
    ("too far from home", 12),
    ("not known", 6),
];

pub fn make(programme: &Programme, classes: &[Class], rows: &[Registration], places: &Places) -> Result<Vec<Trainee>, Fault> {
    let mut dice = Dice::of("training");
    let mut members: BTreeMap<usize, Vec<&Registration>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.fate == Fate::Lands) {
        if let Some(cohort) = row.need.and_then(|n| n.cohort) {
            members.entry(cohort).or_default().push(row);
        }
    }
    let mut trainees = Vec::new();
    let mut certificates: BTreeMap<(i32, &str), usize> = BTreeMap::new();
    for (at, class) in classes.iter().enumerate() {
        let phase = QUOTAS[class.phase].phase;
        let paid = programme.grant(phase)?.last_instalment().ok_or("a grant has no instalment")?;
        let (starts_on, ends_on) = term(class, paid, &mut dice);
        let mut people = members.remove(&at).unwrap_or_default();
        people.sort_by_key(|row| (row.form.surname.trim().to_lowercase(), row.form.submission_id.clone()));
        for row in people {
            let completed = !dice.happens(40);
            let certificate = if completed {
                let number = certificates.entry((ends_on.year(), class.district)).or_default();
                *number += 1;
                format!("VT-{}-{}-{number:04}", ends_on.year(), &class.district[2..])
            } else {
                String::new()
            };
            trainees.push(Trainee {
                cohort: format!("{phase}-{}-{}-{}", class.district, class.trade, class.number + 1),
                provider: format!("{} Vocational Training Centre", places.name(class.district)),
                trade: class.trade.into(),
                district_pcode: class.district.into(),
                starts_on,
                ends_on,
                capacity: class.seats.div_ceil(5) * 5,
                submission_id: row.form.submission_id.clone(),
                result: if completed { "completed" } else { "dropped_out" }.into(),
                drop_out_reason: if completed { "" } else { dice.weigh(REASONS) }.into(),
                certificate_number: certificate,
                toolkit: if completed && !dice.happens(25) { "yes" } else { "no" }.into(),
            });
        }
    }
    Ok(trainees)
}

/// From a Monday to the Friday five months later. Half of the fourth phase's classes wait for the first half's rooms.
fn term(class: &Class, paid: NaiveDate, dice: &mut Dice) -> (NaiveDate, NaiveDate) {
    let later = match (QUOTAS[class.phase].phase, class.number % 2) {
        ("III", _) => 5,
        ("IV", 1) => 146,
        _ => 10,
    };
    let weeks = if later == 5 { dice.below(2) } else { dice.below(4) };
    let mut starts_on = workday_after(paid + Days::new(later + 7 * weeks as u64));
    while starts_on.weekday() != chrono::Weekday::Mon {
        starts_on = starts_on + Days::new(1);
    }
    (starts_on, starts_on + Days::new(7 * 21 + 4))
}
