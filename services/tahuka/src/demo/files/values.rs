//! The values that the programme's files hold: days, money, and the words of the contract's enums. Each refuses by rule
//! while it is read, so that the reader can say in which file and row.

use chrono::{Duration, NaiveDate};
use serde::Deserialize;
use tahuka_chassis::{Amount, Currency, edge};
use tahuka_proto::google::r#type::{Date, Money};
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::{assistance, funding, projects, tenancy};

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Day(NaiveDate);

impl Day {
    pub fn read(text: &str) -> Option<Day> {
        NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10).map(Day)
    }

    /// What the platform told; none where it told no whole date.
    pub fn told(date: Option<&Date>) -> Option<Day> {
        edge::optional_date("date", date).ok().flatten().map(Day)
    }

    pub fn proto(self) -> Option<Date> {
        Some(edge::to_date(self.0))
    }

    /// The day in the middle of two.
    pub fn midway(self, to: Day) -> Day {
        Day(self.0 + Duration::days((to.0 - self.0).num_days() / 2))
    }
}

impl TryFrom<String> for Day {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Day::read(&text).ok_or("must be a day, YYYY-MM-DD")
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Money, above or at zero.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Sum(Amount);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    currency: String,
    amount: String,
}

impl Sum {
    pub fn read(currency: &str, amount: &str) -> Result<Sum, &'static str> {
        let currency = Currency::parse(currency).ok_or("the currency must be an ISO 4217 code")?;
        let (units, fraction) = amount.split_once('.').unwrap_or((amount, ""));
        let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        let decimals = usize::try_from(currency.decimals()).unwrap_or(0);
        if units.is_empty() || !digits(units) || !digits(fraction) || fraction.len() > decimals {
            return Err("the amount must be digits with at most the currency's decimals");
        }
        let minor = format!("{units}{fraction:0<decimals$}").parse().map_err(|_| "the amount is too large")?;
        Ok(Sum(Amount { minor, currency }))
    }

    pub fn proto(&self) -> Option<Money> {
        Some(edge::to_money(&self.0))
    }

    pub fn currency(&self) -> &str {
        self.0.currency.as_str()
    }

    pub fn minor(&self) -> i64 {
        self.0.minor
    }
}

impl TryFrom<Written> for Sum {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        Sum::read(&written.currency, &written.amount)
    }
}

/// `USD 1,234.50`, for a reader.
pub fn shown(money: Option<&Money>) -> String {
    money.and_then(|m| edge::money("money", Some(m)).ok()).map(|a| minor(a.minor, a.currency.as_str())).unwrap_or_default()
}

/// Minor units of a currency, for a reader.
pub fn minor(minor: i64, currency: &str) -> String {
    let decimals = Currency::parse(currency).map_or(2, |c| c.decimals());
    let scale = 10_u64.pow(decimals);
    let (sign, size) = (if minor < 0 { "-" } else { "" }, minor.unsigned_abs());
    let fraction = if decimals == 0 { String::new() } else { format!(".{:0w$}", size % scale, w = decimals as usize) };
    format!("{currency} {sign}{}{fraction}", grouped(size / scale))
}

/// `1234.50`, for a machine.
pub fn decimal(money: &Money) -> String {
    let decimals = Currency::parse(&money.currency_code).map_or(2, |c| c.decimals()) as usize;
    let sign = if money.units < 0 || money.nanos < 0 { "-" } else { "" };
    let fraction = format!("{:09}", money.nanos.unsigned_abs());
    let fraction = if decimals == 0 { String::new() } else { format!(".{}", &fraction[..decimals.min(9)]) };
    format!("{sign}{}{fraction}", money.units.unsigned_abs())
}

/// Digits in groups of three.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// An enum of the contract that a file names by the end of its proto name, in lower case.
pub trait Named: Copy {
    fn of(word: &str) -> Option<Self>;
}

macro_rules! named {
    ($($enum:ty = $prefix:literal),* $(,)?) => {
        $(impl Named for $enum {
            fn of(word: &str) -> Option<Self> {
                let lower = word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                let told = Self::from_str_name(&format!(concat!($prefix, "{}"), word.to_ascii_uppercase()));
                told.filter(|value| lower && i32::from(*value) != 0)
            }
        })*
    };
}

named!(
    DataCategory = "",
    DisclosureLevel = "",
    assistance::v1::AssistanceKind = "ASSISTANCE_KIND_",
    assistance::v1::Outcome = "OUTCOME_",
    assistance::v1::ProofKind = "PROOF_KIND_",
    funding::v1::BudgetKind = "BUDGET_KIND_",
    projects::v1::CampaignLevel = "CAMPAIGN_LEVEL_",
    projects::v1::Channel = "CHANNEL_",
    projects::v1::FacilityKind = "FACILITY_KIND_",
    tenancy::v1::DistrictBasis = "DISTRICT_BASIS_",
    tenancy::v1::TenantKind = "TENANT_KIND_",
);

/// One word of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String", bound = "E: Named")]
pub struct Word<E>(pub E);

impl<E: Named> TryFrom<String> for Word<E> {
    type Error = String;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        E::of(&word).map(Word).ok_or_else(|| {
            let full = std::any::type_name::<E>();
            format!("is no word of {}", full.rsplit("::").next().unwrap_or(full))
        })
    }
}

/// Entries of one cell, with semicolons between.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Entries(pub Vec<String>);

impl From<String> for Entries {
    fn from(cell: String) -> Self {
        Entries(cell.split(';').map(|entry| entry.trim().to_owned()).filter(|entry| !entry.is_empty()).collect())
    }
}

/// `yes` or `no`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_its_currency_and_no_more_decimals_than_it() {
        assert_eq!(shown(Sum::read("USD", "1234567.5").unwrap().proto().as_ref()), "USD 1,234,567.50");
        assert_eq!(shown(Sum::read("JPY", "87000000").unwrap().proto().as_ref()), "JPY 87,000,000");
        assert_eq!(decimal(&Sum::read("USD", "1234.5").unwrap().proto().unwrap()), "1234.50");
        assert_eq!(decimal(&Sum::read("JPY", "87").unwrap().proto().unwrap()), "87");
        for (currency, amount) in [("USD", "1.005"), ("JPY", "1.5"), ("usd", "1"), ("USD", "-1"), ("USD", ""), ("USD", "1,000")] {
            assert!(Sum::read(currency, amount).is_err(), "{currency} {amount}");
        }
    }

    #[test]
    fn a_word_is_one_of_the_contract() {
        use assistance::v1::AssistanceKind;
        assert_eq!(AssistanceKind::of("livestock"), Some(AssistanceKind::Livestock));
        for wrong in ["unspecified", "Livestock", "car", ""] {
            assert_eq!(AssistanceKind::of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_day_is_a_day() {
        let day = |text: &str| Day::read(text);
        assert!(day("2012-02-30").is_none() && day("2012-2-3").is_none());
        assert_eq!(day("2012-01-01").unwrap().midway(day("2012-01-31").unwrap()), day("2012-01-16").unwrap());
    }
}
