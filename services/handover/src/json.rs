//! What is kept in JSON columns, and how times are told in what is signed.

use chrono::{DateTime, SecondsFormat, Utc};
use sea_orm::JsonValue;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tahuka_chassis::Refusal;

pub fn kept<T: Serialize>(value: &T) -> Result<JsonValue, Refusal> {
    serde_json::to_value(value).map_err(Refusal::internal)
}

pub fn read<T: DeserializeOwned>(value: &JsonValue, column: &'static str) -> Result<T, Refusal> {
    serde_json::from_value(value.clone()).map_err(|_| Refusal::internal(format!("{column} cannot be read")))
}

/// RFC 3339 in UTC, with microseconds: what both databases keep.
pub fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}
