//! programme.toml as far as the files depend on it: what is given and at what price, the phases, the money.

use std::path::Path;

use chrono::NaiveDate;
use serde::Deserialize;

use crate::Fault;

#[derive(Deserialize)]
pub struct Programme {
    pub districts: Vec<District>,
    pub programme: Frame,
    pub criteria: Criteria,
    pub packages: Vec<Package>,
    pub exchange_rates: Vec<Rate>,
    pub phases: Vec<Phase>,
    pub grants: Vec<Grant>,
}

#[derive(Deserialize)]
pub struct Frame {
    pub ends_on: NaiveDate,
}

#[derive(Deserialize)]
pub struct District {
    pub pcode: String,
    pub name: String,
}

#[derive(Deserialize)]
pub struct Criteria {
    pub band_floors: [i32; 4],
    pub criteria: Vec<Criterion>,
}

#[derive(Deserialize)]
pub struct Criterion {
    pub code: String,
    pub weight: i32,
}

#[derive(Deserialize)]
pub struct Package {
    pub kind: String,
    pub item: String,
    pub unit_cost: Money,
    pub conditions: Conditions,
}

#[derive(Deserialize)]
pub struct Conditions {
    pub age_bands: Vec<String>,
    pub least_priority_band: i32,
}

#[derive(Deserialize)]
pub struct Rate {
    pub rate: String,
    pub valid_on: NaiveDate,
}

#[derive(Deserialize)]
pub struct Phase {
    pub code: String,
    pub registered_from: NaiveDate,
    pub registered_to: NaiveDate,
}

#[derive(Deserialize)]
pub struct Grant {
    pub code: String,
    pub phase: String,
    pub amount: Money,
    pub starts_on: NaiveDate,
    pub ends_on: NaiveDate,
    pub earmarks: Earmarks,
    pub budget_lines: Vec<Line>,
    pub instalments: Vec<Instalment>,
    pub expenditures: Vec<Expenditure>,
}

#[derive(Deserialize)]
pub struct Earmarks {
    pub districts: Vec<String>,
}

#[derive(Deserialize)]
pub struct Line {
    pub code: String,
    pub kind: String,
    pub amount: Money,
}

#[derive(Deserialize)]
pub struct Instalment {
    pub received_on: NaiveDate,
    pub amount: Money,
}

#[derive(Deserialize)]
pub struct Expenditure {
    pub line: String,
    pub amount: Money,
    pub spent_on: NaiveDate,
}

#[derive(Deserialize, Clone)]
#[serde(try_from = "Told")]
pub struct Money {
    pub currency: String,
    /// Cents of dollars, yen.
    pub minor: i64,
}

#[derive(Deserialize)]
struct Told {
    currency: String,
    amount: String,
}

impl TryFrom<Told> for Money {
    type Error = String;

    fn try_from(told: Told) -> Result<Self, String> {
        let decimals = if told.currency == "USD" { 2 } else { 0 };
        let (whole, cents) = told.amount.split_once('.').unwrap_or((&told.amount, ""));
        if cents.len() != decimals {
            return Err(format!("{} {} must have {decimals} decimals", told.currency, told.amount));
        }
        let minor = format!("{whole}{cents}").parse().map_err(|_| format!("{} is not an amount", told.amount))?;
        Ok(Money { currency: told.currency, minor })
    }
}

impl Programme {
    pub fn read(directory: &Path) -> Result<Self, Fault> {
        Ok(toml::from_str(&std::fs::read_to_string(directory.join("programme.toml"))?)?)
    }

    pub fn phase(&self, code: &str) -> Result<&Phase, Fault> {
        self.phases.iter().find(|p| p.code == code).ok_or_else(|| format!("phase {code} is missing").into())
    }

    pub fn grant(&self, phase: &str) -> Result<&Grant, Fault> {
        self.grants.iter().find(|g| g.phase == phase).ok_or_else(|| format!("phase {phase} has no grant").into())
    }

    pub fn package(&self, kind: &str, item: &str) -> Result<&Package, Fault> {
        let found = self.packages.iter().find(|p| p.kind == kind && p.item == item);
        found.ok_or_else(|| format!("the catalogue has no {kind} {item}").into())
    }

    /// What the codes of a `vulnerability` column come to.
    pub fn band(&self, codes: &[&str]) -> i32 {
        let met = self.criteria.criteria.iter().filter(|c| codes.contains(&c.code.as_str()));
        let score: i32 = met.map(|c| c.weight).sum();
        1 + self.criteria.band_floors.iter().map(|floor| i32::from(score >= *floor)).sum::<i32>()
    }

    /// In cents, at the rate in force on the day: half to even, as funding credits it.
    pub fn dollars(&self, money: &Money, on: NaiveDate) -> Result<i64, Fault> {
        if money.currency == "USD" {
            return Ok(money.minor);
        }
        let rate = self.exchange_rates.iter().filter(|r| r.valid_on <= on).max_by_key(|r| r.valid_on);
        let rate = rate.ok_or_else(|| format!("no rate is in force on {on}"))?;
        let (whole, fraction) = rate.rate.split_once('.').unwrap_or((&rate.rate, ""));
        let billionths: i128 = format!("{whole}{fraction:0<9}").parse()?;
        let (dividend, divisor) = (i128::from(money.minor) * billionths * 100, 1_000_000_000);
        let (quotient, twice) = (dividend.div_euclid(divisor), dividend.rem_euclid(divisor) * 2);
        let up = twice > divisor || (twice == divisor && quotient % 2 != 0);
        Ok(i64::try_from(quotient + i128::from(up))?)
    }
}

impl Grant {
    pub fn line(&self, kind: &str) -> Option<&Line> {
        self.budget_lines.iter().find(|l| l.kind == kind)
    }

    /// The day from which all of its money is there.
    pub fn last_instalment(&self) -> Option<NaiveDate> {
        self.instalments.iter().map(|i| i.received_on).max()
    }
}
