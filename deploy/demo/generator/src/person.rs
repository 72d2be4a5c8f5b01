//! One person who does not exist: name, sex, age, papers, phone.

use chrono::{Datelike, Days, NaiveDate};

use crate::demand::{Kind, Need};
use crate::dice::Dice;
use crate::names;
use crate::spelling;

pub struct Person {
    pub surname: String,
    pub given: String,
    pub is_female: bool,
    /// As it is written: day, month or year known; empty for unknown.
    pub birth: String,
    pub birth_year: i32,
    pub relation: &'static str,
    pub document: (&'static str, String),
    pub phone: String,
}

/// What of the person follows from the household.
pub struct Place {
    pub on: NaiveDate,
    /// Of returnees.
    pub back_on: Option<NaiveDate>,
    pub has_head: bool,
    /// Of whoever was registered before from the same household.
    pub phone: Option<String>,
}

pub fn make(need: Option<Need>, place: &Place, dice: &mut Dice) -> Person {
    let is_female = dice.happens(share_of_women(need));
    let (birth, birth_year) = birth(need, place, dice);
    let age = place.on.year() - birth_year;
    let relation = match relation(need, age, place.has_head, dice) {
        "child" if dice.happens(120) => {
            if is_female {
                "daughter"
            } else {
                "son"
            }
        }
        other => other,
    };
    let (surname, given) = name(is_female, dice);
    let document = document(age, birth_year, is_female, place, dice);
    let phone = match &place.phone {
        Some(shared) if dice.happens(350) => shared.clone(),
        _ if dice.happens(if age < 16 { 20 } else { 520 }) => phone(dice),
        _ => String::new(),
    };
    Person {
        surname: spelling::surname(&surname, dice),
        given: if given.is_empty() { given } else { spelling::given(&given, dice) },
        is_female,
        birth,
        birth_year,
        relation,
        document,
        phone,
    }
}

fn share_of_women(need: Option<Need>) -> u32 {
    match need.map(|n| (n.kind, n.item)) {
        Some((Kind::Training, "tailoring")) => 790,
        Some((Kind::Training, "knitting")) => 860,
        Some((Kind::Training, "carpentry")) => 90,
        Some((Kind::Training, _)) => 70,
        Some((Kind::Capital, _)) => 580,
        _ => 540,
    }
}

/// Written, and the year. Trainees are 18 to 59 on the day by what is written.
fn birth(need: Option<Need>, place: &Place, dice: &mut Dice) -> (String, i32) {
    let kind = need.map(|n| n.kind);
    loop {
        let age = match kind {
            Some(Kind::Training) => dice.between(18, 34).min(dice.between(18, 45)),
            Some(Kind::Capital) => dice.between(19, 58),
            Some(_) => dice.between(21, 79).min(dice.between(21, 88)),
            None => dice.between(3, 81).min(dice.between(0, 81)),
        };
        let days = age * 365 + age / 4 + dice.between(1, 360);
        let Some(date) = place.on.checked_sub_days(Days::new(days.unsigned_abs().into())) else { continue };
        let (year, middle_of_year) = (date.year(), NaiveDate::from_ymd_opt(date.year(), 7, 1));
        let middle_of_month = date.with_day(15);
        let (text, meant) = match dice.below(100) {
            0..=46 => (year.to_string(), middle_of_year),
            47..=49 => (date.format("%Y-%m").to_string(), middle_of_month),
            50..=61 => (format!("{year}-01-01"), NaiveDate::from_ymd_opt(year, 1, 1)),
            62 | 63 if kind != Some(Kind::Training) => (String::new(), Some(date)),
            _ => (date.format("%Y-%m-%d").to_string(), Some(date)),
        };
        let years = meant.and_then(|meant| place.on.years_since(meant));
        let fits = kind != Some(Kind::Training) || years.is_some_and(|years| (18..60).contains(&years));
        if fits {
            return (text, year);
        }
    }
}

fn relation(need: Option<Need>, age: i32, has_head: bool, dice: &mut Dice) -> &'static str {
    const OF_YOUTH: &[(&str, u32)] =
        &[("head", 24), ("child", 41), ("spouse", 16), ("sibling", 10), ("other_relative", 5), ("", 4)];
    const OF_ADULTS: &[(&str, u32)] = &[("head", 82), ("spouse", 13), ("parent", 2), ("other_rel", 1), ("", 2)];
    const BESIDE_A_HEAD: &[(&str, u32)] = &[("spouse", 45), ("child", 25), ("sibling", 14), ("parent", 8), ("other_relative", 8)];
    const OF_MINORS: &[(&str, u32)] = &[("child", 82), ("foster_child", 9), ("grandchild", 6), ("unrelated", 3)];
    if age < 18 {
        return dice.weigh(OF_MINORS);
    }
    if has_head {
        return dice.weigh(BESIDE_A_HEAD);
    }
    match need.map(|n| n.kind) {
        Some(Kind::Training) | None if age < 45 => dice.weigh(OF_YOUTH),
        _ => dice.weigh(OF_ADULTS),
    }
}

/// Surname and given name, sometimes as another clerk hears them; some people have one name.
pub fn name(is_female: bool, dice: &mut Dice) -> (String, String) {
    let (own, given) = match is_female {
        true => (names::SURNAMES_OF_WOMEN, names::GIVEN_OF_WOMEN),
        false => (names::SURNAMES_OF_MEN, names::GIVEN_OF_MEN),
    };
    let surname = if dice.happens(480) { dice.pick_early(own) } else { dice.pick_early(names::SURNAMES) };
    let given = if dice.happens(32) { "" } else { dice.pick_early(given) };
    let mut hear = |name: &str| if dice.happens(35) { spelling::otherwise(name, dice) } else { name.to_owned() };
    (hear(surname), hear(given))
}

fn document(age: i32, birth_year: i32, is_female: bool, place: &Place, dice: &mut Dice) -> (&'static str, String) {
    let nothing = |dice: &mut Dice| (if dice.happens(700) { "none" } else { "" }, String::new());
    if age < 16 {
        return if dice.happens(300) {
            ("birth_certificate", format!("AN {}/{birth_year}", dice.digits(4)))
        } else {
            nothing(dice)
        };
    }
    let back = place.back_on.map(|on| on.year());
    match dice.below(1000) {
        0..=629 => ("national_id", spelling::national_id(&national_id(birth_year, is_female, dice), dice)),
        630..=769 if back.is_some() => ("repatriation_form", format!("VRF-{}-{}", back.unwrap_or_default(), dice.digits(6))),
        770..=809 if back.is_some() => ("refugee_card", format!("HCR {}", dice.digits(8))),
        810..=814 => ("passport", format!("XX{}", dice.digits(6))),
        815..=824 => ("other", format!("Attestation {}", dice.digits(5))),
        _ => nothing(dice),
    }
}

/// Built as a real one, but for the status digit 9, which nobody has.
pub fn national_id(birth_year: i32, is_female: bool, dice: &mut Dice) -> String {
    format!("9{birth_year}{}{}0{}", if is_female { 7 } else { 8 }, dice.digits(7), dice.digits(2))
}

/// With the prefix of an operator that is closed: no such number reaches anybody.
fn phone(dice: &mut Dice) -> String {
    let number = format!("75{}", dice.digits(7));
    spelling::phone(&number, dice)
}
