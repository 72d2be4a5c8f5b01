//! A programme: the frame that every record belongs to, with its time and its high-return districts.

pub mod rpc;
pub mod store;

use chrono::NaiveDate;
use tahuka_chassis::Refusal;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programme {
    pub id: Uuid,
    pub custodian_id: Uuid,
    pub name: String,
    pub time: Time,
    pub districts: Vec<District>,
}

/// The programme's days, first and last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    pub starts_on: NaiveDate,
    pub ends_on: NaiveDate,
}

impl Time {
    pub fn new(starts_on: NaiveDate, ends_on: NaiveDate) -> Result<Self, Refusal> {
        if ends_on < starts_on {
            return Err(Refusal::invalid("ends_on", "must not be before starts_on"));
        }
        Ok(Time { starts_on, ends_on })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct District {
    pub pcode: String,
    pub name: String,
    pub basis: Basis,
    pub source: String,
}

/// How we know that returnees go to a district in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    Attested,
    Assumed,
}

impl Basis {
    pub fn as_str(self) -> &'static str {
        match self {
            Basis::Attested => "attested",
            Basis::Assumed => "assumed",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Basis::Attested, Basis::Assumed].into_iter().find(|b| b.as_str() == word)
    }
}

/// Refuses a district that is named twice.
pub fn distinct(districts: Vec<District>) -> Result<Vec<District>, Refusal> {
    for (i, district) in districts.iter().enumerate() {
        if districts[..i].iter().any(|earlier| earlier.pcode == district.pcode) {
            return Err(Refusal::invalid(format!("districts[{i}].pcode"), "is named twice"));
        }
    }
    Ok(districts)
}
