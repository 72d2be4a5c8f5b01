//! The country's places down to the cell, by p-code. A code begins with its parent's code, so the list needs no
//! parent column.

use std::collections::HashMap;
use std::sync::LazyLock;

static PLACES: LazyLock<HashMap<&'static str, &'static str>> =
    LazyLock::new(|| include_str!("../places/rw.csv").lines().skip(1).filter_map(|line| line.split_once(',')).collect());

/// A place that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub code: &'static str,
    pub name: &'static str,
}

/// Lengths of a p-code: country, province, district, sector, cell.
const LENGTHS: [usize; 5] = [2, 3, 4, 6, 8];

impl Place {
    pub fn find(code: &str) -> Option<Place> {
        PLACES.get_key_value(code).map(|(code, name)| Place { code, name })
    }

    /// 0 country, 1 province, 2 district, 3 sector, 4 cell.
    pub fn level(self) -> usize {
        LENGTHS.iter().position(|l| *l == self.code.len()).unwrap_or(0)
    }

    /// The district it is in or is.
    pub fn district(self) -> Option<Place> {
        self.code.get(..4).and_then(Place::find)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_country_is_there() {
        let count = |level| PLACES.keys().filter_map(|c| Place::find(c)).filter(|p| p.level() == level).count();
        assert_eq!([0, 1, 2, 3, 4].map(count), [1, 5, 30, 416, 2148]);
        let has_parent = |c: &str| LENGTHS.iter().filter(|l| **l < c.len()).all(|l| PLACES.contains_key(&c[..*l]));
        assert!(PLACES.keys().all(|c| has_parent(c)));
    }

    #[test]
    fn a_cell_knows_its_district() {
        let cell = Place::find("RW330401").unwrap();
        assert_eq!(cell.level(), 4);
        assert_eq!(cell.district().map(|d| d.name), Some("Rubavu"));
        assert_eq!(Place::find("RW3"), Some(Place { code: "RW3", name: "Western Province" }));
        assert_eq!(Place::find("RW3").and_then(Place::district), None);
        assert_eq!(Place::find("RW99"), None);
    }
}
