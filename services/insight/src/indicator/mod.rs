//! Indicators: the catalogue, as data, and the cells that keep their counts.

mod catalogue;
pub mod rpc;
pub mod store;
pub mod table;

use std::borrow::Cow;

use chrono::NaiveDate;
use tahuka_chassis::{Refusal, coded};
use uuid::Uuid;

pub use catalogue::{CATALOGUE, get};

coded!(
    /// In what an indicator counts.
    Unit {
        Persons = 1 "persons",
        Households = 2 "households",
        Items = 3 "items",
        Money = 4 "money",
        Percent = 5 "percent",
        Events = 6 "events",
    }
);

coded!(
    /// By what an indicator can be told apart.
    Dimension {
        District = 1 "district",
        Kind = 2 "kind",
        Sex = 3 "sex",
        AgeBand = 4 "age_band",
        Category = 5 "category",
        Grant = 6 "grant",
        Month = 7 "month",
    }
);

/// How an indicator is read off its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The sum of the cells of its code.
    Sum,
    /// People, each counted once in all and once for each kind: the kinds do not add up, and have cells of their own.
    PeopleByKind { by_kind: &'static str },
    /// The share that the cells of `part` have in those of `of`, in whole percent.
    Share { part: &'static str, of: &'static str },
}

#[derive(Debug, PartialEq, Eq)]
pub struct Indicator {
    pub code: &'static str,
    pub name: &'static str,
    pub unit: Unit,
    pub definition: &'static str,
    pub dimensions: &'static [Dimension],
    pub counts_people: bool,
    pub measure: Measure,
    /// Money of a grant, which a donor sees of its own grants only.
    pub of_grants: bool,
}

/// What makes a cell one. Empty where not known or not tied to one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub indicator: Cow<'static, str>,
    pub district: String,
    pub kind: String,
    pub sex: String,
    pub age_band: String,
    pub category: String,
    pub grant_id: String,
    pub month: String,
    pub currency: String,
}

impl Cell {
    /// A cell of the month of `day`.
    pub fn of(programme_id: Uuid, custodian_id: Uuid, day: NaiveDate, indicator: &'static str) -> Self {
        Cell {
            programme_id,
            custodian_id,
            indicator: indicator.into(),
            district: String::new(),
            kind: String::new(),
            sex: String::new(),
            age_band: String::new(),
            category: String::new(),
            grant_id: String::new(),
            month: day.format("%Y-%m").to_string(),
            currency: String::new(),
        }
    }

    pub fn custodian(mut self, custodian: Uuid) -> Self {
        self.custodian_id = custodian;
        self
    }

    pub fn district(mut self, district: &str) -> Self {
        self.district = district.to_owned();
        self
    }

    pub fn kind(mut self, kind: &str) -> Self {
        self.kind = kind.to_owned();
        self
    }

    pub fn person(mut self, sex: &str, age_band: &str, category: &str) -> Self {
        self.sex = sex.to_owned();
        self.age_band = age_band.to_owned();
        self.category = category.to_owned();
        self
    }

    pub fn grant(mut self, grant_id: &str) -> Self {
        self.grant_id = grant_id.to_owned();
        self
    }

    pub fn currency(mut self, currency: &str) -> Self {
        self.currency = currency.to_owned();
        self
    }
}

/// A month, YYYY-MM; None for an empty one.
pub fn month(field: &str, text: &str) -> Result<Option<String>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let whole = text.len() == 7 && format!("{text}-01").parse::<NaiveDate>().is_ok();
    if whole { Ok(Some(text.to_owned())) } else { Err(Refusal::invalid(field, "must be a month: YYYY-MM")) }
}

/// A share in whole percent, half up; None where there is nothing to be a share of.
pub fn percent(part: i64, of: i64) -> Option<i64> {
    (of > 0).then(|| (200 * part + of) / (2 * of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_four_and_two_digits_of_the_calendar() {
        assert_eq!(month("from_month", "").unwrap(), None);
        assert_eq!(month("from_month", "2012-09").unwrap().as_deref(), Some("2012-09"));
        for wrong in ["2012", "2012-13", "2012-9", "2012-09-01", "12-09", "sept 12"] {
            assert!(month("from_month", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_share_is_rounded_half_up_and_has_no_value_of_nothing() {
        assert_eq!(percent(0, 0), None);
        assert_eq!(percent(1, 3), Some(33));
        assert_eq!(percent(2, 3), Some(67));
        assert_eq!(percent(1, 8), Some(13));
        assert_eq!(percent(7, 7), Some(100));
    }

    #[test]
    fn codes_are_unique_and_every_indicator_can_be_told_by_month() {
        for (n, indicator) in CATALOGUE.iter().enumerate() {
            assert!(CATALOGUE[n + 1..].iter().all(|other| other.code != indicator.code), "{}", indicator.code);
            assert!(indicator.dimensions.contains(&Dimension::Month), "{}", indicator.code);
            assert!(!indicator.definition.is_empty() && get(indicator.code) == Some(indicator));
        }
    }
}
