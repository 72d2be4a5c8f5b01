//! registrations.csv: who comes to be registered on which day, in which household, and what goes wrong on the way.

use std::collections::{BTreeMap, HashSet};

use chrono::{Days, NaiveDate};

use crate::Fault;
use crate::demand::{Need, Slot};
use crate::dice::Dice;
use crate::form::Form;
use crate::journey::{self, Home, Journey};
use crate::person::{self, Person, Place};
use crate::places::Places;
use crate::programme::Programme;
use crate::spelling;

const SPOILT: usize = 120;
const WITHOUT_CONSENT: usize = 15;
const SENT_TWICE: usize = 150;
const REGISTERED_TWICE: usize = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Lands,
    /// The same submission again.
    Repeats,
    Refused,
}

#[derive(Clone)]
pub struct Registration {
    pub form: Form,
    pub on: NaiveDate,
    pub phase: usize,
    pub district: &'static str,
    pub need: Option<Need>,
    pub fate: Fate,
    pub is_returnee: bool,
    birth_year: i32,
    household: usize,
    criteria: Vec<&'static str>,
    /// Of the household, all of its people taken together.
    pub band: i32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    Comes,
    Spoilt(usize),
    WithoutConsent,
    Again,
}

struct Arrival {
    on: NaiveDate,
    slot: Slot,
    visit: Visit,
}

/// In the order of the file.
pub fn make(programme: &Programme, slots: &[Slot], places: &Places) -> Result<Vec<Registration>, Fault> {
    let arrivals = arrivals(programme, slots)?;
    let mut field = Field {
        places,
        dice: Dice::of("registrations"),
        done: Vec::with_capacity(arrivals.len()),
        ids: HashSet::new(),
        numbers: BTreeMap::new(),
        journeys: Vec::new(),
    };
    for arrival in &arrivals {
        field.register(arrival);
    }
    let mut done = field.done;
    let mut met: BTreeMap<usize, Vec<&'static str>> = BTreeMap::new();
    for row in &done {
        met.entry(row.household).or_default().extend(&row.criteria);
    }
    for row in &mut done {
        row.band = programme.band(&met[&row.household]);
    }
    Ok(with_repeats(done))
}

/// Who comes when, by day; teams work in several districts on the same day.
fn arrivals(programme: &Programme, slots: &[Slot]) -> Result<Vec<Arrival>, Fault> {
    let mut dice = Dice::of("arrivals");
    let mut windows = Vec::new();
    for quota in &crate::demand::QUOTAS {
        let phase = programme.phase(quota.phase)?;
        let paid = programme.grant(quota.phase)?.last_instalment().ok_or("a grant has no instalment")?;
        windows.push((phase.registered_from, phase.registered_to, paid));
    }
    let mut arrivals = Vec::new();
    let mut come = |slot: Slot, visit, dice: &mut Dice| {
        let (from, to, paid) = windows[slot.phase];
        let (from, to) = match slot.need {
            Some(need) if need.late => (paid + Days::new(5), to),
            Some(_) => (from, to.min(paid - Days::new(5))),
            None if visit == Visit::Again => (from + Days::new(21), to),
            None => (from, to),
        };
        arrivals.push((dice.workday(from, to), slot.district, dice.roll(), slot, visit));
    };
    for slot in slots {
        come(*slot, Visit::Comes, &mut dice);
    }
    let asking: Vec<&Slot> = slots.iter().filter(|s| s.need.is_some_and(|n| !n.late)).collect();
    for how in 0..SPOILT {
        come(**dice.pick(&asking), Visit::Spoilt(how), &mut dice);
    }
    for _ in 0..WITHOUT_CONSENT {
        come(**dice.pick(&asking), Visit::WithoutConsent, &mut dice);
    }
    for _ in 0..REGISTERED_TWICE {
        let slot = Slot { need: None, ..**dice.pick(&asking) };
        come(slot, Visit::Again, &mut dice);
    }
    arrivals.sort_by_key(|(on, district, roll, ..)| (*on, *district, *roll));
    Ok(arrivals.into_iter().map(|(on, _, _, slot, visit)| Arrival { on, slot, visit }).collect())
}

struct Field<'a> {
    places: &'a Places,
    dice: Dice,
    done: Vec<Registration>,
    ids: HashSet<String>,
    /// Households so far, by district.
    numbers: BTreeMap<&'static str, usize>,
    /// By household; None for the host community.
    journeys: Vec<Option<Journey>>,
}

impl Field<'_> {
    fn register(&mut self, arrival: &Arrival) {
        let row = match arrival.visit {
            Visit::Again => self.again(arrival),
            Visit::Comes if self.joins(arrival) => Some(self.another(arrival)),
            _ => None,
        };
        let mut row = match row {
            Some(row) => row,
            None => self.first(arrival),
        };
        match arrival.visit {
            Visit::Spoilt(how) => {
                row.form.spoil(how);
                row.fate = Fate::Refused;
            }
            Visit::WithoutConsent => {
                row.form.consent = "no".into();
                row.fate = Fate::Refused;
            }
            Visit::Comes | Visit::Again => {}
        }
        self.done.push(row);
    }

    /// Whether whoever comes belongs to the household that came just before.
    fn joins(&mut self, arrival: &Arrival) -> bool {
        let Some(last) = self.done.last() else { return false };
        let family: Vec<_> = self.done.iter().rev().take(3).filter(|row| row.household == last.household).collect();
        let is_late = |need: Option<Need>| need.is_some_and(|n| n.late);
        let may = last.fate == Fate::Lands
            && family.iter().any(|row| row.form.relation_to_head == "head")
            && (last.on, last.district) == (arrival.on, arrival.slot.district)
            && !is_late(last.need)
            && !is_late(arrival.slot.need);
        may && family.len() < 3 && self.dice.happens(if arrival.slot.need.is_none() { 450 } else { 110 })
    }

    /// The first of a household.
    fn first(&mut self, arrival: &Arrival) -> Registration {
        let (on, district, need) = (arrival.on, arrival.slot.district, arrival.slot.need);
        let needs_return = matches!(arrival.visit, Visit::Spoilt(_));
        let is_returnee = needs_return || self.dice.happens(775);
        let journey = is_returnee.then(|| journey::home(district, on, &mut self.dice));
        let back_on = journey.as_ref().map(|j| j.back_on);
        let place = Place { on, back_on, has_head: false, phone: None };
        let who = person::make(need, &place, &mut self.dice);
        let size = self.dice.weigh(&[(1, 6), (2, 9), (3, 14), (4, 18), (5, 18), (6, 14), (7, 11), (8, 6), (9, 4)]);
        let size = if who.relation == "head" { size } else { size.max(2) };
        let is_late = need.is_some_and(|n| n.late);
        let wants_shelter = need.is_some_and(|n| n.kind == crate::demand::Kind::Shelter);
        let home = Home {
            size,
            head: (who.relation == "head").then_some((who.is_female, 2012 - who.birth_year)),
            back_on,
            on,
            wants_shelter,
        };
        // Who is worst off was found first; those who come late wait in the last band.
        let criteria = match (is_late, wants_shelter) {
            (true, true) => vec!["poor_roof"],
            (true, false) => Vec::new(),
            _ => journey::want(&home, &mut self.dice),
        };
        let cell = self.cell(arrival);
        let number = self.numbers.entry(district).or_default();
        *number += 1;
        let form = Form {
            household_number: format!("{district}-{number:05}"),
            category: if is_returnee { "returnee" } else { "host_community" }.into(),
            cell_pcode: cell,
            household_size: size.to_string(),
            enumerator: format!("E{}-{}", &district[2..], 1 + self.dice.below(4)),
            ..Form::default()
        };
        self.journeys.push(journey);
        self.fill(arrival, form, who, criteria, self.journeys.len() - 1)
    }

    /// One more of the household that came just before.
    fn another(&mut self, arrival: &Arrival) -> Registration {
        let last = &self.done[self.done.len() - 1];
        let place = Place {
            on: arrival.on,
            back_on: self.journeys[last.household].as_ref().map(|j| j.back_on),
            has_head: true,
            phone: Some(last.form.phone.clone()).filter(|p| !p.is_empty()),
        };
        let (household, mut criteria) = (last.household, last.criteria.clone());
        let size = last.form.household_size.parse::<i32>().unwrap_or(1).max(3);
        let form = Form { household_size: size.to_string(), ..last.form.clone() };
        let who = person::make(arrival.slot.need, &place, &mut self.dice);
        let wants_shelter = arrival.slot.need.is_some_and(|n| n.kind == crate::demand::Kind::Shelter);
        if wants_shelter && !criteria.iter().any(|c| matches!(*c, "no_shelter" | "poor_roof")) {
            criteria.push("poor_roof");
        }
        self.fill(arrival, form, who, criteria, household)
    }

    /// Somebody who is registered already comes to another clerk, who hears the name otherwise.
    fn again(&mut self, arrival: &Arrival) -> Option<Registration> {
        let known: Vec<usize> = (0..self.done.len())
            .filter(|at| {
                let row = &self.done[*at];
                let long_ago = row.on + Days::new(10) < arrival.on;
                row.phase == arrival.slot.phase && row.district == arrival.slot.district && long_ago && row.is_returnee
            })
            .filter(|at| self.done[*at].fate == Fate::Lands && self.done[*at].need.is_some())
            .collect();
        if known.is_empty() {
            return None;
        }
        let at = *self.dice.pick(&known);
        let dice = &mut self.dice;
        let before = &self.done[at];
        let keeps_papers = dice.happens(500);
        let name = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let heard = spelling::otherwise(&title(&name(&before.form.surname)), dice);
        let who = Person {
            surname: spelling::surname(&heard, dice),
            given: spelling::plain(&name(&before.form.given_name)),
            is_female: before.form.sex.to_ascii_lowercase().starts_with('f'),
            birth: if dice.happens(600) { before.birth_year.to_string() } else { before.form.birth_date.clone() },
            birth_year: before.birth_year,
            relation: "head",
            document: match keeps_papers {
                true => (kind_of_paper(&before.form.document_kind), before.form.document_number.clone()),
                false => ("none", String::new()),
            },
            phone: before.form.phone.clone(),
        };
        let (household, criteria) = (before.household, before.criteria.clone());
        let size = before.form.household_size.clone();
        let cell = if dice.happens(700) { before.form.cell_pcode.clone() } else { String::new() };
        let district = arrival.slot.district;
        let number = self.numbers.entry(district).or_default();
        *number += 1;
        let form = Form {
            household_number: format!("{district}-{number:05}"),
            category: "returnee".into(),
            cell_pcode: cell,
            household_size: size,
            enumerator: format!("E{}-{}", &district[2..], 1 + self.dice.below(4)),
            ..Form::default()
        };
        self.journeys.push(self.journeys[household].clone());
        Some(self.fill(arrival, form, who, criteria, self.journeys.len() - 1))
    }

    fn fill(
        &mut self,
        arrival: &Arrival,
        form: Form,
        who: Person,
        criteria: Vec<&'static str>,
        household: usize,
    ) -> Registration {
        let submission_id = loop {
            let id = format!("{:012x}", self.dice.roll() >> 16);
            if self.ids.insert(id.clone()) {
                break id;
            }
        };
        let dice = &mut self.dice;
        let journey = self.journeys[household].as_ref();
        // Who was born abroad has not fled.
        let fled = journey.map(|j| j.fled).filter(|fled| *fled >= who.birth_year && !dice.happens(20));
        let sex = match (who.is_female, dice.below(100)) {
            (true, 0..=92) => "female",
            (true, 93..=97) => "F",
            (true, _) => "Female",
            (false, 0..=92) => "male",
            (false, 93..=97) => "M",
            (false, _) => "Male",
        };
        let need = arrival.slot.need;
        let form = Form {
            submission_id,
            submitted_on: arrival.on.to_string(),
            district_pcode: arrival.slot.district.into(),
            relation_to_head: who.relation.into(),
            surname: who.surname,
            given_name: who.given,
            sex: sex.into(),
            birth_date: who.birth,
            document_kind: who.document.0.into(),
            document_number: who.document.1,
            phone: who.phone,
            country_of_asylum: journey.map(|j| j.country).unwrap_or_default().into(),
            fled_year: fled.map(|y| y.to_string()).unwrap_or_default(),
            returned_on: journey.map(|j| j.back_on.to_string()).unwrap_or_default(),
            entry_point: journey.map(|j| j.entry_point).unwrap_or_default().into(),
            transit_centre: journey.map(|j| j.transit_centre).unwrap_or_default().into(),
            vulnerability: match criteria.as_slice() {
                [] => if dice.happens(500) { "none" } else { "" }.into(),
                codes => codes.join(if dice.happens(60) { "; " } else { ";" }),
            },
            consent: if dice.happens(30) { "Yes" } else { "yes" }.into(),
            assistance_requested: need.map(|n| n.kind.code()).unwrap_or_default().into(),
            assistance_item: need.map(|n| n.item).unwrap_or_default().into(),
            ..form
        };
        Registration {
            form,
            on: arrival.on,
            phase: arrival.slot.phase,
            district: arrival.slot.district,
            need,
            fate: Fate::Lands,
            is_returnee: journey.is_some(),
            birth_year: who.birth_year,
            household,
            criteria,
            band: 0,
        }
    }

    /// A team is in two sectors of a district on a day.
    fn cell(&mut self, arrival: &Arrival) -> String {
        if self.dice.happens(12) {
            return String::new();
        }
        let mut day = Dice::of(&format!("{} {}", arrival.slot.district, arrival.on));
        let sectors = self.places.sectors(arrival.slot.district);
        let of_the_day = [*day.pick(&sectors), *day.pick(&sectors)];
        let sector = of_the_day[self.dice.below(of_the_day.len())];
        let cells = self.places.cells(sector);
        (*self.dice.pick(&cells)).to_owned()
    }
}

fn title(name: &str) -> String {
    let lower = name.to_lowercase();
    let mut letters = lower.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn kind_of_paper(kind: &str) -> &'static str {
    ["national_id", "repatriation_form", "refugee_card", "passport", "birth_certificate", "other"]
        .into_iter()
        .find(|k| *k == kind)
        .unwrap_or("none")
}

/// Tablets send again what was not acknowledged, a little later on the same day.
fn with_repeats(done: Vec<Registration>) -> Vec<Registration> {
    let mut dice = Dice::of("repeats");
    let landing: Vec<usize> = (0..done.len()).filter(|at| done[*at].fate == Fate::Lands).collect();
    let mut sent_twice: HashSet<usize> = HashSet::new();
    while sent_twice.len() < SENT_TWICE {
        sent_twice.insert(*dice.pick(&landing));
    }
    let days: Vec<NaiveDate> = done.iter().map(|row| row.on).collect();
    let mut rows: Vec<((usize, usize), Registration)> = Vec::with_capacity(done.len() + SENT_TWICE);
    for (at, row) in done.into_iter().enumerate() {
        if sent_twice.contains(&at) {
            let later = (at + 1 + dice.below(45)).min(days.len() - 1);
            let place = (at..=later).rev().find(|other| days[*other] == row.on).unwrap_or(at);
            rows.push(((place, 1 + at), Registration { fate: Fate::Repeats, need: None, ..row.clone() }));
        }
        rows.push(((at, 0), row));
    }
    rows.sort_by_key(|(place, _)| *place);
    rows.into_iter().map(|(_, row)| row).collect()
}
