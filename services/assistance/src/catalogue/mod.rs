//! The catalogue: what the programme can give, what is in it, what it costs, and who may have it.

pub mod rpc;
pub mod store;

use serde::{Deserialize, Serialize};
use tahuka_chassis::coded;

coded!(
    Kind {
        VocationalTraining = 1 "vocational_training",
        StartupCapital = 2 "startup_capital",
        Livestock = 3 "livestock",
        Shelter = 4 "shelter",
    }
);

coded!(
    /// Of a household.
    Category { Returnee = 1 "returnee", HostCommunity = 2 "host_community" }
);

/// As the registry tells them.
pub const AGE_BANDS: [&str; 6] = ["0-4", "5-11", "12-17", "18-24", "25-59", "60+"];
pub const HIGHEST_BAND: i32 = 5;
pub const MOST_OF_AN_ITEM: i32 = 10_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub name: String,
    pub quantity: i32,
    pub unit: String,
}

/// Who may have a package; what is empty or 0 asks nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    pub categories: Vec<Category>,
    pub age_bands: Vec<String>,
    pub least_priority_band: i32,
}

impl Conditions {
    /// The first condition that is not met, by its name in the contract.
    pub fn unmet(&self, category: Category, age_band: &str, priority_band: i32) -> Option<&'static str> {
        if !self.categories.is_empty() && !self.categories.contains(&category) {
            Some("categories")
        } else if !self.age_bands.is_empty() && !self.age_bands.iter().any(|band| band == age_band) {
            Some("age_bands")
        } else if priority_band < self.least_priority_band {
            Some("least_priority_band")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_conditions_is_for_everybody() {
        assert_eq!(Conditions::default().unmet(Category::HostCommunity, "unknown", 0), None);
    }

    #[test]
    fn each_condition_is_told_by_its_name() {
        let conditions = Conditions {
            categories: vec![Category::Returnee],
            age_bands: vec!["18-24".into(), "25-59".into()],
            least_priority_band: 3,
        };
        assert_eq!(conditions.unmet(Category::Returnee, "18-24", 3), None);
        assert_eq!(conditions.unmet(Category::HostCommunity, "18-24", 3), Some("categories"));
        assert_eq!(conditions.unmet(Category::Returnee, "60+", 3), Some("age_bands"));
        assert_eq!(conditions.unmet(Category::Returnee, "unknown", 3), Some("age_bands"));
        assert_eq!(conditions.unmet(Category::Returnee, "25-59", 2), Some("least_priority_band"));
        assert_eq!(conditions.unmet(Category::Returnee, "25-59", 0), Some("least_priority_band"));
    }
}
