//! What the stores of this service share.

use tahuka_chassis::{Currency, Refusal};

/// A currency code that the database holds.
pub fn currency(code: &str) -> Result<Currency, Refusal> {
    Currency::parse(code).ok_or_else(|| Refusal::internal(format!("currency {code:?} in the store")))
}
