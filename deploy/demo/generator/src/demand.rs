//! What is asked for in each phase: how many people, where, for what. Shares of the phases follow what was published;
//! the rest is assumed.

use crate::dice::Dice;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Training,
    Capital,
    Livestock,
    Shelter,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Training, Kind::Capital, Kind::Livestock, Kind::Shelter];

    pub fn code(self) -> &'static str {
        match self {
            Kind::Training => "vocational_training",
            Kind::Capital => "startup_capital",
            Kind::Livestock => "livestock",
            Kind::Shelter => "shelter",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Need {
    pub kind: Kind,
    pub item: &'static str,
    /// Number of the cohort that will take the trainee.
    pub cohort: Option<usize>,
    /// Comes after the money is gone.
    pub late: bool,
}

/// Somebody to be registered.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    pub phase: usize,
    pub district: &'static str,
    pub need: Option<Need>,
}

/// A cohort before it has names.
#[derive(Debug, Clone, Copy)]
pub struct Class {
    pub phase: usize,
    pub district: &'static str,
    pub trade: &'static str,
    pub seats: usize,
    /// Counts the cohorts of its district and phase.
    pub number: usize,
}

pub struct Quota {
    pub phase: &'static str,
    pub districts: &'static [&'static str],
    pub training: usize,
    /// Start-up capital is paid in these districts only.
    pub capital: (usize, &'static [&'static str]),
    pub livestock: usize,
    pub shelter: [(&'static str, usize); 3],
    pub late_livestock: usize,
    pub late_shelter: usize,
    /// Registered without asking for anything.
    pub no_request: usize,
}

const SOUTH_AND_WEST: &[&str] = &["RW22", "RW23", "RW24", "RW25", "RW31", "RW32", "RW33", "RW34", "RW35", "RW36", "RW37"];
const EAST: &[&str] = &["RW51", "RW52", "RW53", "RW54", "RW55", "RW57"];
const SEVEN: &[&str] = &["RW44", "RW45", "RW51", "RW52", "RW53", "RW55", "RW57"];
const TEN: &[&str] = &["RW22", "RW23", "RW24", "RW25", "RW31", "RW32", "RW33", "RW34", "RW37", "RW43"];

pub const QUOTAS: [Quota; 4] = [
    Quota {
        phase: "I",
        districts: SOUTH_AND_WEST,
        training: 480,
        capital: (240, &["RW24", "RW25", "RW31", "RW33", "RW34", "RW35", "RW36", "RW37"]),
        livestock: 800,
        shelter: [("roofing_set", 250), ("windows_and_doors_set", 120), ("full_set", 120)],
        late_livestock: 0,
        late_shelter: 0,
        no_request: 62,
    },
    Quota {
        phase: "II",
        districts: EAST,
        training: 360,
        capital: (150, EAST),
        livestock: 350,
        shelter: [("roofing_set", 120), ("windows_and_doors_set", 60), ("full_set", 60)],
        late_livestock: 0,
        late_shelter: 0,
        no_request: 36,
    },
    // 36 % skills, 41 % livestock, 23 % housing, as the press told it.
    Quota {
        phase: "III",
        districts: SEVEN,
        training: 1098,
        capital: (0, &[]),
        livestock: 1250,
        shelter: [("roofing_set", 400), ("windows_and_doors_set", 170), ("full_set", 132)],
        late_livestock: 0,
        late_shelter: 0,
        no_request: 98,
    },
    // About 1,500 trainees and 1,512 for livestock, as IOM told it.
    Quota {
        phase: "IV",
        districts: TEN,
        training: 1500,
        capital: (560, TEN),
        livestock: 1512,
        shelter: [("roofing_set", 900), ("windows_and_doors_set", 430), ("full_set", 430)],
        late_livestock: 160,
        late_shelter: 190,
        no_request: 184,
    },
];

/// Returnees of a district, against an average one.
fn weight(district: &str) -> u32 {
    match district {
        "RW33" => 15,
        "RW43" => 13,
        "RW36" | "RW31" => 12,
        "RW34" | "RW37" | "RW52" => 11,
        "RW32" | "RW54" | "RW57" | "RW44" => 10,
        _ => 9,
    }
}

const TRADES: &[(&str, u32)] =
    &[("tailoring", 38), ("mechanical_engineering", 12), ("welding", 14), ("carpentry", 20), ("knitting", 16)];
const ANIMALS: &[(&str, u32)] = &[("goats", 52), ("pigs", 28), ("sheep", 20)];

/// Divides `total` over the districts by weight; what is left over goes to the largest remainders.
fn divide(total: usize, districts: &[&'static str]) -> Vec<(&'static str, usize)> {
    let sum: u32 = districts.iter().map(|d| weight(d)).sum();
    let share = |d: &str| total * weight(d) as usize;
    let mut parts: Vec<_> = districts.iter().map(|d| (*d, share(d) / sum.max(1) as usize)).collect();
    let mut by_remainder: Vec<usize> = (0..parts.len()).collect();
    by_remainder.sort_by_key(|at| (std::cmp::Reverse(share(districts[*at]) % sum.max(1) as usize), *at));
    let left = total - parts.iter().map(|(_, n)| n).sum::<usize>();
    for at in by_remainder.into_iter().take(left) {
        parts[at].1 += 1;
    }
    parts
}

/// Everybody who is to be registered, and the cohorts to come, in no order yet.
pub fn slots() -> (Vec<Slot>, Vec<Class>) {
    let mut dice = Dice::of("demand");
    let (mut slots, mut classes) = (Vec::new(), Vec::new());
    for (phase, quota) in QUOTAS.iter().enumerate() {
        for (district, people) in divide(quota.training, quota.districts) {
            for (number, seats) in seats(people, &mut dice).into_iter().enumerate() {
                let trade = dice.weigh(TRADES);
                let need = Need { kind: Kind::Training, item: trade, cohort: Some(classes.len()), late: false };
                slots.extend((0..seats).map(|_| Slot { phase, district, need: Some(need) }));
                classes.push(Class { phase, district, trade, seats, number });
            }
        }
        let mut ask = |kind, items: Vec<&'static str>, districts: &[&'static str], late| {
            let mut items = items.into_iter();
            for (district, people) in divide(items.len(), districts) {
                let needs = items.by_ref().take(people).map(|item| Need { kind, item, cohort: None, late });
                slots.extend(needs.map(|need| Slot { phase, district, need: Some(need) }));
            }
        };
        ask(Kind::Capital, vec!["small_business"; quota.capital.0], quota.capital.1, false);
        let mut animals = |count| (0..count).map(|_| dice.weigh(ANIMALS)).collect::<Vec<_>>();
        ask(Kind::Livestock, animals(quota.livestock), quota.districts, false);
        ask(Kind::Livestock, animals(quota.late_livestock), quota.districts, true);
        let mut sets: Vec<&'static str> = quota.shelter.iter().flat_map(|(item, count)| vec![*item; *count]).collect();
        dice.shuffle(&mut sets);
        ask(Kind::Shelter, sets, quota.districts, false);
        // The dearest set, so that nobody's place in the queue depends on what small change is left.
        ask(Kind::Shelter, vec!["full_set"; quota.late_shelter], quota.districts, true);
        for (district, people) in divide(quota.no_request, quota.districts) {
            slots.extend((0..people).map(|_| Slot { phase, district, need: None }));
        }
    }
    (slots, classes)
}

/// Sizes of the classes that so many people make: 15 to 35 each, about 25.
fn seats(people: usize, dice: &mut Dice) -> Vec<usize> {
    let classes = ((people + 12) / 25).max(people.div_ceil(35)).max(1);
    let mut seats: Vec<usize> = (0..classes).map(|at| people / classes + usize::from(at < people % classes)).collect();
    for at in 1..classes {
        let moved = dice.below(6).min(seats[at - 1].saturating_sub(17)).min(34_usize.saturating_sub(seats[at]));
        seats[at - 1] -= moved;
        seats[at] += moved;
    }
    seats
}
