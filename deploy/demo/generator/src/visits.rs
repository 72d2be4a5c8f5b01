//! visits.csv: a sample of those who were helped, seen again some months later.

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::deliveries::Delivery;
use crate::dice::Dice;
use crate::person;
use crate::programme::Programme;
use crate::training::Trainee;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    pub submission_id: String,
    pub visited_on: NaiveDate,
    pub outcome: String,
    pub visitor: String,
}

const SAMPLE: u32 = 350;
const VISITORS: usize = 14;

pub fn make(programme: &Programme, trainees: &[Trainee], deliveries: &[Delivery]) -> Vec<Visit> {
    let mut dice = Dice::of("visits");
    let visitors: Vec<String> = (0..VISITORS)
        .map(|at| {
            let (surname, given) = person::name(at % 2 == 0, &mut dice);
            format!("{} {given}", surname.to_uppercase()).trim().to_owned()
        })
        .collect();
    let trained = trainees.iter().filter(|t| t.completed()).map(|t| (&t.submission_id, "vocational_training", t.ends_on));
    let given = deliveries.iter().filter_map(|d| Some((&d.submission_id, d.kind.as_str(), d.delivered_on?)));
    let mut visits = Vec::new();
    for (submission_id, kind, helped_on) in trained.chain(given) {
        let (from, to) =
            (helped_on + Days::new(93), (helped_on + Days::new(362)).min(programme.programme.ends_on - Days::new(8)));
        if !dice.happens(SAMPLE) || to < from {
            continue;
        }
        visits.push(Visit {
            submission_id: submission_id.clone(),
            visited_on: dice.workday(from, to),
            outcome: outcome(kind, &mut dice).into(),
            visitor: dice.pick(&visitors).clone(),
        });
    }
    visits.sort_by(|a, b| (a.visited_on, &a.submission_id).cmp(&(b.visited_on, &b.submission_id)));
    visits
}

fn outcome(kind: &str, dice: &mut Dice) -> &'static str {
    let outcomes: &[(&str, u32)] = match kind {
        "vocational_training" => &[("employed", 71), ("not_employed", 21), ("not_found", 8)],
        "startup_capital" => &[("business_running", 77), ("business_closed", 16), ("not_found", 7)],
        "livestock" => &[("livestock_alive", 80), ("livestock_died", 9), ("livestock_sold", 6), ("not_found", 5)],
        _ => &[("house_roofed", 90), ("house_not_roofed", 6), ("not_found", 4)],
    };
    dice.weigh(outcomes)
}
