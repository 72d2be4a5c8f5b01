//! What a handed over tranche comes to: the figures of its units' events up to the handover, by cell and without
//! custodian, so that they are the same wherever the tranche is.

mod answer;
pub mod bundle;
pub mod store;

use std::collections::BTreeMap;

use serde_json::Value;
use tahuka_bag::record;
use tahuka_bag::schema::{Column, Kind, TableSchema};
use tahuka_chassis::Refusal;

use crate::indicator::get;

pub use answer::answer;

/// The columns that make a figure one, in the order that the figures are sorted by.
pub const KEY: [&str; 9] = ["indicator", "district", "kind", "sex", "age_band", "category", "grant_id", "month", "currency"];

/// The figures by what makes each of them one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures(BTreeMap<[String; 9], i64>);

impl Figures {
    pub fn of(rows: Vec<store::Model>) -> Self {
        let mut figures: BTreeMap<[String; 9], i64> = BTreeMap::new();
        for row in rows {
            let key = [
                row.indicator,
                row.district,
                row.kind,
                row.sex,
                row.age_band,
                row.category,
                row.grant_id,
                row.month,
                row.currency,
            ];
            *figures.entry(key).or_default() += row.value;
        }
        figures.retain(|_, value| *value != 0);
        Figures(figures)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// One record for each, as it is in the tranche's bundle.
    pub fn records(&self) -> impl Iterator<Item = Value> {
        self.0.iter().map(|(key, value)| {
            let members = KEY.iter().zip(key).map(|(name, text)| ((*name).to_owned(), Value::from(text.as_str())));
            Value::Object(members.chain([("value".to_owned(), record::integer(*value))]).collect())
        })
    }

    /// The sums by indicator, district, kind, grant and currency. `sees` says of which grants: money of others is left
    /// out, and what else was paid by them is told without the grant.
    pub fn summed(&self, sees: impl Fn(&str) -> bool) -> BTreeMap<[&str; 5], i64> {
        let mut sums: BTreeMap<[&str; 5], i64> = BTreeMap::new();
        for ([indicator, district, kind, _, _, _, grant, _, currency], value) in &self.0 {
            let of_grants = get(indicator).is_some_and(|indicator| indicator.of_grants);
            let grant = match sees(grant) {
                true => grant.as_str(),
                false if of_grants => continue,
                false => "",
            };
            *sums.entry([indicator, district, kind, grant, currency]).or_default() += value;
        }
        sums.retain(|_, value| *value != 0);
        sums
    }
}

/// The form of the records, which lies beside them in the bundle.
pub fn schema() -> TableSchema {
    let text = |name: &str| Column { name: name.to_owned(), kind: Kind::Text, nullable: false };
    let value = Column { name: "value".to_owned(), kind: Kind::Integer, nullable: false };
    TableSchema::new("insight", "figures", 1, &KEY, KEY.into_iter().map(text).chain([value]).collect())
}

/// The records as lines: what the file in the bundle holds.
pub fn lines(figures: &Figures) -> Result<Vec<Vec<u8>>, Refusal> {
    figures.records().map(|one| record::canonical(&one).map_err(Refusal::internal)).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn row(indicator: &str, district: &str, grant: &str, value: i64) -> store::Model {
        store::Model {
            tranche_id: Uuid::nil(),
            programme_id: Uuid::nil(),
            custodian_id: Uuid::nil(),
            indicator: indicator.into(),
            district: district.into(),
            kind: String::new(),
            sex: "female".into(),
            age_band: String::new(),
            category: String::new(),
            grant_id: grant.into(),
            month: "2012-03".into(),
            currency: String::new(),
            value,
        }
    }

    #[test]
    fn figures_are_sorted_canonical_and_without_noughts() {
        let rows = [row("people_helped", "RW43", "", 2), row("people_helped", "RW33", "", 1 << 60), row("visits_met", "", "", 0)];
        let figures = Figures::of(rows.to_vec());
        assert_eq!(figures, Figures::of(rows.into_iter().rev().collect()));
        let lines = lines(&figures).unwrap();
        let text = |n: usize| String::from_utf8(lines[n].clone()).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            text(1),
            r#"{"age_band":"","category":"","currency":"","district":"RW43","grant_id":"","indicator":"people_helped","kind":"","month":"2012-03","sex":"female","value":2}"#
        );
        assert!(text(0).contains(r#""value":"1152921504606846976""#), "beyond what every reader takes for the same number");
    }

    #[test]
    fn money_of_a_grant_that_is_not_seen_is_left_out() {
        let figures = Figures::of(vec![
            row("money_spent", "RW33", "a", 5),
            row("money_spent", "RW33", "b", 7),
            row("assistance_delivered", "RW33", "a", 1),
            row("assistance_delivered", "RW33", "b", 1),
        ]);
        let sums = figures.summed(|grant| grant != "b");
        let told: Vec<_> = sums.iter().map(|(key, value)| (key[0], key[3], *value)).collect();
        assert_eq!(told, [("assistance_delivered", "", 1), ("assistance_delivered", "a", 1), ("money_spent", "a", 5)]);
    }
}
