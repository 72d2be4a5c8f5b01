//! OCHA p-codes of Rwanda: `RW`, then 1 (province), 2 (district), 4 (sector) or 6 (cell) digits.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlaceCode(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlaceLevel {
    Province,
    District,
    Sector,
    Cell,
}

impl PlaceCode {
    /// None unless `code` has the form of a p-code below the country.
    pub fn parse(code: &str) -> Option<Self> {
        let digits = code.strip_prefix("RW")?;
        let shaped = matches!(digits.len(), 1 | 2 | 4 | 6) && digits.bytes().all(|b| b.is_ascii_digit());
        shaped.then(|| Self(code.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn level(&self) -> PlaceLevel {
        match self.0.len() {
            3 => PlaceLevel::Province,
            4 => PlaceLevel::District,
            6 => PlaceLevel::Sector,
            _ => PlaceLevel::Cell,
        }
    }

    /// The district that holds this place; None for a province.
    pub fn district(&self) -> Option<&str> {
        self.0.get(..4)
    }
}

impl fmt::Display for PlaceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
