//! The one clock of the house: the time at which something was recorded. When it happened is for the caller to say.

use chrono::{DateTime, NaiveDate, SubsecRound, Utc};

/// Now, to the microsecond: as precise as both databases keep it.
#[allow(clippy::disallowed_methods)]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

pub fn today() -> NaiveDate {
    now().date_naive()
}
