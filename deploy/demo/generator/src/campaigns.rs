//! campaigns.csv: what returnees and their neighbours were told, across the country and district by district. All of it
//! is assumed.

use chrono::{Days, NaiveDate};
use serde::Serialize;

use crate::Fault;
use crate::dice::{Dice, workday_after};
use crate::places::Places;
use crate::programme::Programme;

#[derive(Debug, Clone, Serialize)]
pub struct Campaign {
    pub code: String,
    pub level: String,
    pub district_pcode: String,
    pub title: String,
    pub topic: String,
    pub channels: String,
    pub starts_on: NaiveDate,
    pub ends_on: NaiveDate,
    pub held_on: NaiveDate,
    pub reach: u32,
    pub cost_currency: String,
    pub cost_amount: String,
    pub phase: String,
}

/// Phase, first day, days, title, topic, channels, reach, cost in dollars.
type National = (&'static str, &'static str, u64, &'static str, &'static str, &'static str, u32, u32);

const NATIONAL: &[National] = &[
    (
        "II",
        "2011-06-13",
        14,
        "Coming home",
        "What awaits those who return: registration, land, schools, health insurance",
        "radio;television;print",
        310_000,
        14_800,
    ),
    (
        "II",
        "2012-03-05",
        26,
        "A trade for every hand",
        "Vocational training and where to ask for it",
        "radio;print",
        240_000,
        11_200,
    ),
    (
        "IV",
        "2013-09-16",
        33,
        "After the cessation clause",
        "What the end of refugee status means for those who left between 1959 and 1998",
        "radio;television;print;transit_centre",
        420_000,
        15_600,
    ),
    (
        "IV",
        "2014-03-03",
        26,
        "Neighbours again",
        "Returnees and host communities: peaceful settling of disputes over land and houses",
        "radio;television;theatre",
        365_000,
        13_900,
    ),
    (
        "IV",
        "2014-09-08",
        19,
        "Health insurance for all",
        "How to join the community health insurance",
        "radio;print",
        290_000,
        9_700,
    ),
];

/// Phase, then districts.
const LOCAL: &[(&str, &[&str])] = &[
    ("I", &["RW33", "RW36", "RW34", "RW31", "RW37", "RW24", "RW23", "RW35"]),
    ("II", &["RW54", "RW52", "RW55", "RW53"]),
    ("III", &["RW57", "RW51", "RW44", "RW45"]),
    ("IV", &["RW33", "RW43", "RW32", "RW31", "RW22", "RW25", "RW37", "RW34"]),
];

const TOPICS: &[(&str, &str, &str)] = &[
    ("Your rights, your services", "Identity cards, land, schools and health insurance", "community_meeting;radio"),
    ("One village", "Returnees and neighbours settle disputes together", "theatre;community_meeting"),
    ("Back to school", "Enrolment of children who come home", "school;community_meeting"),
    ("Keep your animals well", "Care of livestock and what to do when it is ill", "community_meeting;print"),
    ("Come in and ask", "Registration and assistance for those who have just crossed", "transit_centre;radio"),
    ("A skill to live on", "Trades that are taught in the district and who can join", "community_meeting;school;print"),
];

pub fn make(programme: &Programme, places: &Places) -> Result<Vec<Campaign>, Fault> {
    let mut dice = Dice::of("campaigns");
    let mut campaigns = Vec::new();
    for (at, (phase, from, days, title, topic, channels, reach, cost)) in NATIONAL.iter().enumerate() {
        let starts_on: NaiveDate = from.parse()?;
        let ends_on = starts_on + Days::new(*days);
        campaigns.push(Campaign {
            code: format!("N{:02}", at + 1),
            level: "national".into(),
            district_pcode: String::new(),
            title: (*title).into(),
            topic: (*topic).into(),
            channels: (*channels).into(),
            starts_on,
            ends_on,
            held_on: ends_on,
            reach: *reach,
            cost_currency: "USD".into(),
            cost_amount: format!("{cost}.00"),
            phase: (*phase).into(),
        });
    }
    let locals = LOCAL.iter().flat_map(|(phase, districts)| districts.iter().map(move |d| (*phase, *d)));
    for (at, (phase, district)) in locals.enumerate() {
        let paid = programme.grant(phase)?.last_instalment().ok_or("a grant has no instalment")?;
        let (title, topic, channels) = TOPICS[at % TOPICS.len()];
        let starts_on = dice.workday(paid + Days::new(10), paid + Days::new(if phase == "IV" { 380 } else { 220 }));
        let ends_on = workday_after(starts_on + Days::new(dice.below(5) as u64));
        campaigns.push(Campaign {
            code: format!("L{:02}", at + 1),
            level: "local".into(),
            district_pcode: district.into(),
            title: format!("{title}: {}", places.name(district)),
            topic: topic.into(),
            channels: channels.into(),
            starts_on,
            ends_on,
            held_on: ends_on,
            reach: u32::try_from(dice.between(60, 410) * 10)?,
            cost_currency: "USD".into(),
            cost_amount: format!("{}.00", dice.between(210, 350) * 10),
            phase: phase.into(),
        });
    }
    Ok(campaigns)
}
