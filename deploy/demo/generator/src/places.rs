//! Districts with their sectors and cells, from the registry's list of places.

use std::collections::BTreeMap;

const PLACES: &str = include_str!("../../../../services/registry/places/rw.csv");

pub struct Places {
    names: BTreeMap<&'static str, &'static str>,
}

impl Places {
    pub fn load() -> Self {
        Self { names: PLACES.lines().skip(1).filter_map(|line| line.split_once(',')).collect() }
    }

    pub fn name(&self, code: &str) -> &'static str {
        self.names.get(code).copied().unwrap_or_default()
    }

    pub fn knows(&self, code: &str) -> bool {
        self.names.contains_key(code)
    }

    pub fn sectors(&self, district: &str) -> Vec<&'static str> {
        self.under(district, 6)
    }

    pub fn cells(&self, sector: &str) -> Vec<&'static str> {
        self.under(sector, 8)
    }

    fn under(&self, code: &str, length: usize) -> Vec<&'static str> {
        self.names.keys().copied().filter(|c| c.len() == length && c.starts_with(code)).collect()
    }
}
