//! A return: from which country, fled when, back when and where.

pub mod rpc;
pub mod store;

use chrono::{Datelike, NaiveDate};

use crate::individual::Rule;

/// The first people fled then.
const FIRST_YEAR: i32 = 1959;

#[derive(Debug, Clone)]
pub struct Return {
    /// ISO 3166-1 alpha-3.
    pub country: String,
    pub fled_year: Option<i32>,
    pub returned_on: NaiveDate,
    pub entry_point: Option<String>,
    pub transit_centre: Option<String>,
}

pub fn country(code: &str) -> Result<String, Rule> {
    let code = code.trim();
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err("must be a country code of three capital letters");
    }
    if code == "RWA" { Err("must be another country") } else { Ok(code.to_owned()) }
}

pub fn fled(year: i32, returned_on: NaiveDate) -> Result<i32, Rule> {
    if year > returned_on.year() {
        return Err("is after the return");
    }
    if year < FIRST_YEAR { Err("must be 1959 or later") } else { Ok(year) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_flees_after_returning() {
        let back = NaiveDate::from_ymd_opt(2012, 3, 1).unwrap();
        assert_eq!(fled(1994, back), Ok(1994));
        assert_eq!(fled(2012, back), Ok(2012));
        assert_eq!(fled(2013, back), Err("is after the return"));
        assert!(fled(1900, back).is_err());
    }

    #[test]
    fn asylum_is_abroad() {
        assert_eq!(country("COD").as_deref(), Ok("COD"));
        assert!(country("RWA").is_err());
        assert!(country("cod").is_err());
        assert!(country("CD").is_err());
    }
}
