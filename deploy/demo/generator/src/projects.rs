//! projects.csv: ten community projects with twelve facilities. How many of which kind is published, and so is the
//! transit centre's place; the rest is assumed.

use chrono::{Days, NaiveDate};
use serde::Serialize;

use crate::Fault;
use crate::dice::{Dice, workday_after};

#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub code: String,
    pub title: String,
    pub district_pcode: String,
    pub place_pcode: String,
    pub partners: String,
    pub budget_currency: String,
    pub budget_amount: String,
    pub cost_amount: String,
    pub phase: String,
    pub starts_on: NaiveDate,
    pub submitted_on: NaiveDate,
    pub approved_on: NaiveDate,
    pub completed_on: NaiveDate,
    pub facility_kind: String,
    pub facility_name: String,
    pub facility_place_pcode: String,
    pub facility_completed_on: NaiveDate,
    pub counted_on: NaiveDate,
    pub method: String,
    /// Women and girls, then men and boys, by age band.
    #[serde(rename = "f_0_4")]
    pub f0: u32,
    #[serde(rename = "f_5_11")]
    pub f5: u32,
    #[serde(rename = "f_12_17")]
    pub f12: u32,
    #[serde(rename = "f_18_24")]
    pub f18: u32,
    #[serde(rename = "f_25_59")]
    pub f25: u32,
    #[serde(rename = "f_60")]
    pub f60: u32,
    #[serde(rename = "m_0_4")]
    pub m0: u32,
    #[serde(rename = "m_5_11")]
    pub m5: u32,
    #[serde(rename = "m_12_17")]
    pub m12: u32,
    #[serde(rename = "m_18_24")]
    pub m18: u32,
    #[serde(rename = "m_25_59")]
    pub m25: u32,
    #[serde(rename = "m_60")]
    pub m60: u32,
}

impl Row {
    pub fn people(&self) -> u32 {
        [self.f0, self.f5, self.f12, self.f18, self.f25, self.f60, self.m0, self.m5, self.m12, self.m18, self.m25, self.m60]
            .iter()
            .sum()
    }
}

struct Project {
    code: &'static str,
    title: &'static str,
    place: &'static str,
    partners: &'static str,
    /// In dollars.
    budget: u32,
    cost: u32,
    phase: &'static str,
    submitted_on: &'static str,
    /// Months of work.
    months: u64,
    /// Kind, name, place, people.
    facilities: &'static [(&'static str, &'static str, &'static str, u32)],
}

const PROJECTS: &[Project] = &[
    Project {
        code: "P01",
        title: "Nkamira transit centre",
        place: "RW3306",
        partners: "MIDIMAR;Rubavu District",
        budget: 300_000,
        cost: 296_410,
        phase: "I",
        submitted_on: "2010-12-06",
        months: 11,
        facilities: &[("transit_centre", "Nkamira Transit Centre", "RW3306", 1620)],
    },
    Project {
        code: "P02",
        title: "School and health post for Kabatwa",
        place: "RW3404",
        partners: "MIDIMAR;Nyabihu District;Kabatwa parents' committee",
        budget: 310_000,
        cost: 305_275,
        phase: "I",
        submitted_on: "2010-12-13",
        months: 13,
        facilities: &[("school", "Kabatwa Primary School", "RW3404", 840), ("health_post", "Kabatwa Health Post", "RW3404", 910)],
    },
    Project {
        code: "P03",
        title: "Health post for Nyakabuye",
        place: "RW3615",
        partners: "MIDIMAR;Rusizi District",
        budget: 95_000,
        cost: 93_880,
        phase: "I",
        submitted_on: "2011-01-17",
        months: 8,
        facilities: &[("health_post", "Nyakabuye Health Post", "RW3615", 780)],
    },
    Project {
        code: "P04",
        title: "School for Ruheru",
        place: "RW2312",
        partners: "MIDIMAR;Nyaruguru District;Ruheru parents' committee",
        budget: 215_000,
        cost: 212_940,
        phase: "I",
        submitted_on: "2011-01-24",
        months: 12,
        facilities: &[("school", "Ruheru Primary School", "RW2312", 720)],
    },
    Project {
        code: "P05",
        title: "School for Ndego",
        place: "RW5408",
        partners: "MIDIMAR;Kayonza District",
        budget: 245_000,
        cost: 241_600,
        phase: "II",
        submitted_on: "2011-05-23",
        months: 10,
        facilities: &[("school", "Ndego Primary School", "RW5408", 790)],
    },
    Project {
        code: "P06",
        title: "Health post for Rwimiyaga",
        place: "RW5213",
        partners: "MIDIMAR;Nyagatare District",
        budget: 125_000,
        cost: 122_350,
        phase: "II",
        submitted_on: "2011-06-06",
        months: 8,
        facilities: &[("health_post", "Rwimiyaga Health Post", "RW5213", 880)],
    },
    Project {
        code: "P07",
        title: "Health post for Rweru",
        place: "RW5714",
        partners: "MIDIMAR;Bugesera District",
        budget: 130_000,
        cost: 127_715,
        phase: "III",
        submitted_on: "2012-08-27",
        months: 9,
        facilities: &[("health_post", "Rweru Health Post", "RW5714", 760)],
    },
    Project {
        code: "P08",
        title: "Two health posts for Karongi's hills",
        place: "RW31",
        partners: "MIDIMAR;Karongi District",
        budget: 190_000,
        cost: 188_420,
        phase: "IV",
        submitted_on: "2013-08-19",
        months: 10,
        facilities: &[
            ("health_post", "Gashari Health Post", "RW3102", 690),
            ("health_post", "Mutuntu Health Post", "RW3108", 650),
        ],
    },
    Project {
        code: "P09",
        title: "Health post for Muganza",
        place: "RW2207",
        partners: "MIDIMAR;Gisagara District",
        budget: 96_000,
        cost: 95_130,
        phase: "IV",
        submitted_on: "2013-09-16",
        months: 8,
        facilities: &[("health_post", "Muganza Health Post", "RW2207", 710)],
    },
    Project {
        code: "P10",
        title: "School for Kinigi",
        place: "RW4307",
        partners: "MIDIMAR;Musanze District;Kinigi parents' committee",
        budget: 205_000,
        cost: 203_260,
        phase: "IV",
        submitted_on: "2013-09-23",
        months: 11,
        facilities: &[("school", "Kinigi Primary School", "RW4307", 870)],
    },
];

/// Shares in a thousand: girls and women by age band, then boys and men.
fn shares(kind: &str) -> [u32; 12] {
    match kind {
        "school" => [4, 372, 118, 6, 12, 2, 4, 356, 108, 6, 10, 2],
        "health_post" => [118, 84, 58, 92, 172, 38, 110, 80, 46, 48, 122, 32],
        _ => [98, 112, 76, 82, 142, 22, 94, 104, 70, 64, 118, 18],
    }
}

pub fn make(programme: &crate::programme::Programme) -> Result<Vec<Row>, Fault> {
    let mut dice = Dice::of("projects");
    let mut rows = Vec::new();
    for project in PROJECTS {
        let submitted_on: NaiveDate = project.submitted_on.parse()?;
        let paid = programme.grant(project.phase)?.last_instalment().ok_or("a grant has no instalment")?;
        let approved_on = workday_after(submitted_on.max(paid) + Days::new(6 + dice.below(9) as u64));
        let starts_on = workday_after(approved_on + Days::new(14));
        let stands = |dice: &mut Dice| workday_after(starts_on + Days::new(project.months * 30 - dice.below(12) as u64));
        let built: Vec<NaiveDate> = project.facilities.iter().map(|_| stands(&mut dice)).collect();
        let last = built.iter().max().copied().unwrap_or(starts_on);
        let completed_on = workday_after(last + Days::new(12 + dice.below(6) as u64));
        let counted_on = workday_after(completed_on + Days::new(60));
        for ((kind, name, place, people), facility_completed_on) in project.facilities.iter().zip(built) {
            let mut of = shares(kind).map(|share| (people * share / 1000).max(1));
            let odd = people.saturating_sub(of.iter().sum());
            of[4] += odd;
            let method = match *kind {
                "school" => "school register",
                "health_post" => "patients' register, each person once",
                _ => "arrivals' register, each person once",
            };
            rows.push(Row {
                code: project.code.into(),
                title: project.title.into(),
                district_pcode: project.place[..4].into(),
                place_pcode: project.place.into(),
                partners: project.partners.into(),
                budget_currency: "USD".into(),
                budget_amount: format!("{}.00", project.budget),
                cost_amount: format!("{}.00", project.cost),
                phase: project.phase.into(),
                starts_on,
                submitted_on,
                approved_on,
                completed_on,
                facility_kind: (*kind).into(),
                facility_name: (*name).into(),
                facility_place_pcode: (*place).into(),
                facility_completed_on,
                counted_on,
                method: method.into(),
                f0: of[0],
                f5: of[1],
                f12: of[2],
                f18: of[3],
                f25: of[4],
                f60: of[5],
                m0: of[6],
                m5: of[7],
                m12: of[8],
                m18: of[9],
                m25: of[10],
                m60: of[11],
            });
        }
    }
    Ok(rows)
}
