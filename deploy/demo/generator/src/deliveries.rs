//! deliveries.csv: lists of people of one district who are to get livestock, shelter items or capital, and who came for it.

use std::collections::BTreeMap;

use chrono::{Datelike, Days, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::Fault;
use crate::demand::{Kind, QUOTAS};
use crate::dice::{Dice, workday_after};
use crate::programme::Programme;
use crate::registrations::{Fate, Registration};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub list: String,
    pub district_pcode: String,
    pub place_pcode: String,
    pub kind: String,
    pub planned_on: NaiveDate,
    pub submission_id: String,
    /// None: on the list, and never came.
    pub delivered_on: Option<NaiveDate>,
    pub proof_kind: String,
    pub proof_reference: String,
}

/// People of a list, about.
const USUAL: usize = 55;
const SMALLEST: usize = 20;

pub fn make(programme: &Programme, rows: &[Registration]) -> Result<Vec<Delivery>, Fault> {
    let mut dice = Dice::of("deliveries");
    let mut groups: BTreeMap<(usize, &str, Kind), Vec<&Registration>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.fate == Fate::Lands) {
        match row.need {
            Some(need) if need.kind != Kind::Training && !need.late => {
                groups.entry((row.phase, row.district, need.kind)).or_default().push(row);
            }
            _ => {}
        }
    }
    let mut deliveries = Vec::new();
    for ((phase, district, kind), mut people) in groups {
        let quota = &QUOTAS[phase];
        let paid = programme.grant(quota.phase)?.last_instalment().ok_or("a grant has no instalment")?;
        // Neighbours are on one list.
        people.sort_by_key(|row| (row.form.cell_pcode.clone(), row.on, row.form.submission_id.clone()));
        let lists = ((people.len() + USUAL / 2) / USUAL).clamp(1, (people.len() / SMALLEST).max(1));
        for number in 0..lists {
            let (from, to) = (people.len() * number / lists, people.len() * (number + 1) / lists);
            let list = List {
                name: format!("{}-{district}-{}-{}", quota.phase, kind.code(), number + 1),
                district,
                kind,
                planned_on: planned(quota.phase, paid, &mut dice),
                people: &people[from..to],
            };
            list.hand_out(&mut dice, &mut deliveries);
        }
    }
    Ok(deliveries)
}

fn planned(phase: &str, paid: NaiveDate, dice: &mut Dice) -> NaiveDate {
    let (first, last) = match phase {
        "I" => (24, 270),
        "II" => (31, 290),
        "III" => (12, 150),
        _ => (12, 345),
    };
    dice.workday(paid + Days::new(first), paid + Days::new(last))
}

struct List<'a> {
    name: String,
    district: &'a str,
    kind: Kind,
    planned_on: NaiveDate,
    people: &'a [&'a Registration],
}

impl List<'_> {
    fn hand_out(&self, dice: &mut Dice, deliveries: &mut Vec<Delivery>) {
        let place = self.sector();
        for (at, row) in self.people.iter().enumerate() {
            let delivered_on = match dice.below(1000) {
                0..=8 => None,
                9..=869 => Some(self.planned_on),
                _ => Some(workday_after(self.planned_on + Days::new(1 + dice.below(12) as u64))),
            };
            let proof = match dice.below(100) {
                0..=55 => "signature",
                56..=88 => "thumbprint",
                89..=95 => "photo",
                _ => "witness",
            };
            let reference = match proof {
                "photo" => format!("IMG_{}_{:03}", self.planned_on.format("%Y%m%d"), at + 1),
                _ => format!("{}/{}/{:03}", self.name, self.planned_on.year(), at + 1),
            };
            deliveries.push(Delivery {
                list: self.name.clone(),
                district_pcode: self.district.into(),
                place_pcode: place.clone(),
                kind: self.kind.code().into(),
                planned_on: self.planned_on,
                submission_id: row.form.submission_id.clone(),
                delivered_on,
                proof_kind: delivered_on.map(|_| proof).unwrap_or_default().into(),
                proof_reference: delivered_on.map(|_| reference).unwrap_or_default(),
            });
        }
    }

    /// Where most of the people live.
    fn sector(&self) -> String {
        let mut sectors: BTreeMap<&str, usize> = BTreeMap::new();
        for sector in self.people.iter().filter_map(|row| row.form.cell_pcode.get(..6)) {
            *sectors.entry(sector).or_default() += 1;
        }
        let most = sectors.into_iter().max_by_key(|(sector, people)| (*people, std::cmp::Reverse(*sector)));
        most.map_or(self.district, |(sector, _)| sector).to_owned()
    }
}
