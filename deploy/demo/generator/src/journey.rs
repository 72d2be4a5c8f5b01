//! The way home: where to, when fled, when back and through which crossing; and what the household lives in now.

use chrono::{Datelike, Days, NaiveDate};

use crate::dice::Dice;

#[derive(Debug, Clone)]
pub struct Journey {
    pub country: &'static str,
    pub fled: i32,
    pub back_on: NaiveDate,
    pub entry_point: &'static str,
    pub transit_centre: &'static str,
}

pub fn home(district: &str, on: NaiveDate, dice: &mut Dice) -> Journey {
    let countries: &[(&str, u32)] = match &district[..3] {
        "RW3" => &[("COD", 93), ("BDI", 2), ("UGA", 1), ("COG", 3), ("ZMB", 1)],
        "RW2" => &[("COD", 66), ("BDI", 22), ("COG", 5), ("ZMB", 4), ("TZA", 3)],
        "RW4" => &[("COD", 68), ("UGA", 27), ("COG", 3), ("ZMB", 2)],
        _ => &[("COD", 42), ("TZA", 27), ("UGA", 20), ("BDI", 8), ("ZMB", 3)],
    };
    let country = dice.weigh(countries);
    let days = match dice.below(100) {
        0..=21 => dice.between(12, 364),
        22..=61 => dice.between(365, 1400),
        62..=83 => dice.between(1400, 3300),
        _ => dice.between(3300, 5000),
    };
    let back_on = on - Days::new(days.unsigned_abs().into());
    let fled = dice.weigh(&[
        (1994, 790),
        (1995, 15),
        (1996, 55),
        (1997, 50),
        (1998, 20),
        (1959, 15),
        (1961, 10),
        (1963, 10),
        (1973, 20),
    ]);
    let entry_point = entry_point(country, district, dice);
    let transit_centre = match entry_point {
        _ if back_on.year() < 2001 || dice.happens(240) => "",
        "Grande Barrière" | "Petite Barrière" => "nkamira",
        "Rusizi I" | "Rusizi II" | "Bugarama" => "nyagatare_rusizi",
        _ => "",
    };
    Journey { country, fled: fled.min(back_on.year()), back_on, entry_point, transit_centre }
}

fn entry_point(country: &str, district: &str, dice: &mut Dice) -> &'static str {
    if dice.happens(45) {
        return "";
    }
    let crossings: &[(&str, u32)] = match (country, district) {
        ("COD", "RW36" | "RW37" | "RW22" | "RW23" | "RW24" | "RW25") => {
            &[("Rusizi I", 60), ("Rusizi II", 22), ("Bugarama", 10), ("Grande Barrière", 8)]
        }
        ("COD", _) => &[("Grande Barrière", 62), ("Petite Barrière", 24), ("Rusizi I", 14)],
        ("UGA", "RW43" | "RW44") => &[("Cyanika", 80), ("Gatuna", 20)],
        ("UGA", _) => &[("Kagitumba", 60), ("Gatuna", 40)],
        ("TZA", _) => &[("Rusumo", 100)],
        ("BDI", "RW57") => &[("Nemba", 90), ("Gasenyi", 10)],
        ("BDI", "RW36" | "RW37") => &[("Ruhwa", 100)],
        ("BDI", _) => &[("Akanyaru Haut", 70), ("Akanyaru Bas", 30)],
        _ => &[("Kigali airport", 100)],
    };
    dice.weigh(crossings)
}

/// What a household's want is made of.
pub struct Home {
    pub size: i32,
    /// Where the first person registered heads it.
    pub head: Option<(bool, i32)>,
    pub back_on: Option<NaiveDate>,
    pub on: NaiveDate,
    pub wants_shelter: bool,
}

/// Codes of the criteria met, in the order of the form.
pub fn want(home: &Home, dice: &mut Dice) -> Vec<&'static str> {
    let mut met = Vec::new();
    let returned = home.back_on.is_some();
    let mut add = |code, holds: bool| {
        if holds {
            met.push(code);
        }
    };
    let no_shelter = dice.happens(match (home.wants_shelter, returned) {
        (true, _) => 520,
        (false, true) => 260,
        (false, false) => 90,
    });
    add("child_headed", home.head.is_some_and(|(_, age)| age < 18));
    add("no_shelter", no_shelter);
    add("disability", dice.happens(65));
    add("elderly_head", home.head.is_some_and(|(_, age)| age >= 60));
    let alone = match home.head {
        Some((is_female, _)) => is_female && dice.happens(720),
        None => dice.happens(180),
    };
    add("female_headed", alone);
    add("single_parent", home.size > 1 && dice.happens(if alone { 420 } else { 45 }));
    add("chronic_illness", dice.happens(70));
    add("no_income", dice.happens(if returned { 330 } else { 210 }));
    add("large_household", home.size >= 7);
    add("orphan_care", home.size > 2 && dice.happens(75));
    add("no_land", dice.happens(if returned { 380 } else { 230 }));
    add("poor_roof", !no_shelter && (home.wants_shelter || dice.happens(190)));
    add("recent_return", home.back_on.is_some_and(|back| (home.on - back).num_days() < 365));
    met
}
