//! What the edges of this service share: rules put to fields.

use tahuka_chassis::Refusal;

use crate::individual::{self, Rule};

/// Puts the field's name to a broken rule.
pub fn at<T>(field: &str, parsed: Result<T, Rule>) -> Result<T, Refusal> {
    parsed.map_err(|rule| Refusal::invalid(field, rule))
}

/// A text that must be there.
pub fn text(field: &str, value: &str) -> Result<String, Refusal> {
    at(field, individual::text(value).and_then(|t| t.ok_or("must not be empty")))
}

pub fn optional_text(field: &str, value: &str) -> Result<Option<String>, Refusal> {
    at(field, individual::text(value))
}
