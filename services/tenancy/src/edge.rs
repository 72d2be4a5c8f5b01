//! What the edges of this service share beside the chassis's own.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use sea_orm::{DbErr, SqlErr};
use tahuka_chassis::{Refusal, edge};

/// Trimmed text of 1 to `most` characters.
pub fn text(field: &str, text: &str, most: usize) -> Result<String, Refusal> {
    let text = edge::required(field, text)?;
    if text.chars().count() > most {
        return Err(Refusal::invalid(field, format!("must have at most {most} characters")));
    }
    Ok(text.to_owned())
}

/// P-codes of districts, each once, sorted.
pub fn districts(field: &str, codes: &[String]) -> Result<Vec<String>, Refusal> {
    let mut districts = Vec::with_capacity(codes.len());
    for (i, code) in codes.iter().enumerate() {
        districts.push(edge::district(&format!("{field}[{i}]"), code)?);
    }
    districts.sort();
    districts.dedup();
    Ok(districts)
}

pub fn timestamp(at: DateTime<Utc>) -> Option<Timestamp> {
    Some(Timestamp { seconds: at.timestamp(), nanos: i32::try_from(at.timestamp_subsec_nanos()).unwrap_or_default() })
}

/// `conflict` when a unique index refused the row.
pub fn unique(error: DbErr, conflict: Refusal) -> Refusal {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => conflict,
        _ => error.into(),
    }
}

/// A stored word that this version does not know.
pub fn unknown(column: &'static str) -> Refusal {
    Refusal::internal(format!("unknown word in {column}"))
}
