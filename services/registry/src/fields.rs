//! What the edges and stores of this service share: dates that lie behind us, rules put to fields, one page of a list.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use tahuka_chassis::page::Page;
use tahuka_chassis::{Refusal, clock, edge};
use tahuka_proto::google::r#type::Date;

use crate::individual::{self, Rule};

/// Puts the field's name to a broken rule.
pub fn at<T>(field: &str, parsed: Result<T, Rule>) -> Result<T, Refusal> {
    parsed.map_err(|rule| Refusal::invalid(field, rule))
}

/// A day on which something happened: not tomorrow.
pub fn past(field: &str, date: Option<&Date>) -> Result<NaiveDate, Refusal> {
    let date = edge::date(field, date)?;
    if date > clock::today() { Err(Refusal::invalid(field, "must not be in the future")) } else { Ok(date) }
}

/// A text that must be there.
pub fn text(field: &str, value: &str) -> Result<String, Refusal> {
    at(field, individual::text(value).and_then(|t| t.ok_or("must not be empty")))
}

pub fn optional_text(field: &str, value: &str) -> Result<Option<String>, Refusal> {
    at(field, individual::text(value))
}

pub fn stamp(at: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }
}

/// The rows of one page and one more, by ascending id.
pub fn keyset<E: EntityTrait>(select: Select<E>, id: E::Column, page: &Page) -> Select<E> {
    let select = match page.after {
        Some(after) => select.filter(id.gt(after)),
        None => select,
    };
    select.order_by_asc(id).limit(page.size + 1)
}
