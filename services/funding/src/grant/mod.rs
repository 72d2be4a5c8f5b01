//! A grant: how much, when, and what it may be spent on.

pub mod rpc;
pub mod store;

use chrono::NaiveDate;

use tahuka_chassis::coded;

coded!(
    /// What a budget line is for.
    BudgetKind {
        VocationalTraining = 1 "vocational_training",
        StartupCapital = 2 "startup_capital",
        Livestock = 3 "livestock",
        Shelter = 4 "shelter",
        Project = 5 "project",
        Campaign = 6 "campaign",
        Administration = 7 "administration",
    }
);

/// What the donor ties its money to. An empty list ties nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Earmarks {
    /// P-codes.
    pub districts: Vec<String>,
    pub kinds: Vec<BudgetKind>,
}

impl Earmarks {
    /// A nation-wide need is outside an earmark by district.
    pub fn cover(&self, kind: BudgetKind, district: Option<&str>) -> bool {
        let here = self.districts.is_empty() || district.is_some_and(|d| self.districts.iter().any(|own| own == d));
        here && (self.kinds.is_empty() || self.kinds.contains(&kind))
    }

    /// Sorts the most specific first: tied by both, by place, by kind, by nothing; then by how many they name.
    pub fn breadth(&self) -> (u8, usize, usize) {
        let rank = match (self.districts.is_empty(), self.kinds.is_empty()) {
            (false, false) => 0,
            (false, true) => 1,
            (true, false) => 2,
            (true, true) => 3,
        };
        (rank, self.districts.len(), self.kinds.len())
    }
}

/// First and last day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    pub starts_on: NaiveDate,
    pub ends_on: NaiveDate,
}

impl Period {
    pub fn holds(&self, on: NaiveDate) -> bool {
        (self.starts_on..=self.ends_on).contains(&on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earmark_covers_what_it_names() {
        let rubavu = Earmarks { districts: vec!["RW33".into()], kinds: vec![BudgetKind::Shelter] };
        assert!(rubavu.cover(BudgetKind::Shelter, Some("RW33")));
        assert!(!rubavu.cover(BudgetKind::Livestock, Some("RW33")));
        assert!(!rubavu.cover(BudgetKind::Shelter, Some("RW34")));
        assert!(!rubavu.cover(BudgetKind::Shelter, None));
        assert!(Earmarks::default().cover(BudgetKind::Campaign, None));
    }
}
