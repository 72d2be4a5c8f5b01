//! From proto to domain and back, for the types that every edge shares. Each refusal names the field.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use tahuka_proto::google::r#type::{Date, Money};
use uuid::Uuid;

use crate::amount::{Amount, Currency};
use crate::clock;
use crate::place::PlaceCode;
use crate::refusal::Refusal;

pub fn uuid(field: &str, text: &str) -> Result<Uuid, Refusal> {
    Uuid::try_parse(text).map_err(|_| Refusal::invalid(field, "must be a UUID"))
}

pub fn required<'a>(field: &str, text: &'a str) -> Result<&'a str, Refusal> {
    let text = text.trim();
    if text.is_empty() { Err(Refusal::invalid(field, "must not be empty")) } else { Ok(text) }
}

/// A whole date; a date without month or day is refused.
pub fn date(field: &str, date: Option<&Date>) -> Result<NaiveDate, Refusal> {
    optional_date(field, date)?.ok_or_else(|| Refusal::invalid(field, "must be given"))
}

pub fn optional_date(field: &str, date: Option<&Date>) -> Result<Option<NaiveDate>, Refusal> {
    let Some(date) = date else { return Ok(None) };
    let (Ok(month), Ok(day)) = (u32::try_from(date.month), u32::try_from(date.day)) else {
        return Err(Refusal::invalid(field, "must be a date of the calendar"));
    };
    if !(1000..=9999).contains(&date.year) {
        return Err(Refusal::invalid(field, "must have a year of four digits"));
    }
    NaiveDate::from_ymd_opt(date.year, month, day)
        .map(Some)
        .ok_or_else(|| Refusal::invalid(field, "must be a whole date of the calendar"))
}

pub fn to_date(date: NaiveDate) -> Date {
    Date { year: date.year(), month: date.month() as i32, day: date.day() as i32 }
}

/// An amount that its currency can express: no fraction of a minor unit.
pub fn money(field: &str, money: Option<&Money>) -> Result<Amount, Refusal> {
    let money = money.ok_or_else(|| Refusal::invalid(field, "must be given"))?;
    let currency = Currency::parse(&money.currency_code)
        .ok_or_else(|| Refusal::invalid(format!("{field}.currency_code"), "must be an ISO 4217 code"))?;
    let scale = 10_i64.pow(currency.decimals());
    let nanos_per_minor = 1_000_000_000 / scale;
    let nanos = i64::from(money.nanos);
    let signs_agree = money.units == 0 || nanos == 0 || (money.units > 0) == (nanos > 0);
    if nanos.abs() >= 1_000_000_000 || nanos % nanos_per_minor != 0 || !signs_agree {
        return Err(Refusal::invalid(format!("{field}.nanos"), format!("{currency} has {} decimals", currency.decimals())));
    }
    let minor = money
        .units
        .checked_mul(scale)
        .and_then(|m| m.checked_add(nanos / nanos_per_minor))
        .ok_or_else(|| Refusal::invalid(format!("{field}.units"), "is too large"))?;
    Ok(Amount { minor, currency })
}

pub fn to_money(amount: &Amount) -> Money {
    let scale = 10_i64.pow(amount.currency.decimals());
    let nanos = (amount.minor % scale) * (1_000_000_000 / scale);
    Money {
        currency_code: amount.currency.as_str().to_owned(),
        units: amount.minor / scale,
        nanos: i32::try_from(nanos).unwrap_or_default(),
    }
}

pub fn place(field: &str, code: &str) -> Result<PlaceCode, Refusal> {
    PlaceCode::parse(code).ok_or_else(|| Refusal::invalid(field, "must be a p-code: RW and 1, 2, 4 or 6 digits"))
}

/// A district's p-code.
pub fn district(field: &str, code: &str) -> Result<String, Refusal> {
    let place = place(field, code)?;
    if place.as_str().len() == 4 {
        Ok(code.to_owned())
    } else {
        Err(Refusal::invalid(field, "must be a district's p-code: RW and 2 digits"))
    }
}

/// The etag that a caller sends back must name the current version; an empty one is refused (AIP-154).
pub fn etag(field: &str, etag: &str, current: i64) -> Result<(), Refusal> {
    if etag.is_empty() {
        return Err(Refusal::invalid(field, "must be the etag last read"));
    }
    if etag != current.to_string() {
        return Err(Refusal::conflict("ETAG_MISMATCH", "the record has changed since; read it again and repeat"));
    }
    Ok(())
}

/// A day on which something happened: not tomorrow.
pub fn past(field: &str, date: Option<&Date>) -> Result<NaiveDate, Refusal> {
    let date = self::date(field, date)?;
    if date > clock::today() { Err(Refusal::invalid(field, "must not be in the future")) } else { Ok(date) }
}

/// A text that must be there: inner spaces single, no control characters, at most `longest` characters.
pub fn text(field: &str, value: &str, longest: usize) -> Result<String, Refusal> {
    optional_text(field, value, longest)?.ok_or_else(|| Refusal::invalid(field, "must not be empty"))
}

/// As `text`; None for an empty one.
pub fn optional_text(field: &str, value: &str, longest: usize) -> Result<Option<String>, Refusal> {
    if value.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return Err(Refusal::invalid(field, "must not have control characters"));
    }
    let clean = value.split_whitespace().collect::<Vec<_>>().join(" ");
    if clean.chars().count() > longest {
        return Err(Refusal::invalid(field, format!("must have at most {longest} characters")));
    }
    Ok((!clean.is_empty()).then_some(clean))
}

/// Money above zero.
pub fn positive_money(field: &str, told: Option<&Money>) -> Result<Amount, Refusal> {
    let amount = money(field, told)?;
    if amount.minor > 0 { Ok(amount) } else { Err(Refusal::invalid(field, "must be above zero")) }
}

/// Money that the database holds; None when its currency code is not one.
pub fn stored_money(minor: i64, currency: &str) -> Option<Money> {
    Currency::parse(currency).map(|currency| to_money(&Amount { minor, currency }))
}

/// None for an empty text.
pub fn optional_uuid(field: &str, text: &str) -> Result<Option<Uuid>, Refusal> {
    if text.is_empty() { Ok(None) } else { uuid(field, text).map(Some) }
}

/// None for an empty text.
pub fn optional_district(field: &str, code: &str) -> Result<Option<String>, Refusal> {
    if code.is_empty() { Ok(None) } else { district(field, code).map(Some) }
}

/// Empty for none.
pub fn shown_uuid(id: Option<Uuid>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

pub fn timestamp(at: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }
}
