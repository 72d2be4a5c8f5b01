//! Control totals: the figures that both sides compare. They are counted from records by the same rules when a bag is
//! written and when it is verified.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use crate::Total;

struct Rule {
    service: &'static str,
    table: &'static str,
    name: &'static str,
    /// One figure for each value of this column.
    by: Option<&'static str>,
    /// Only records that say this.
    only: Option<(&'static str, &'static str)>,
    /// The sum of this column; none: a count.
    sum: Option<&'static str>,
    /// Only records whose column names a grant of the tranche; others are there because records point to them.
    granted: Option<&'static str>,
}

const fn count(service: &'static str, table: &'static str, name: &'static str) -> Rule {
    Rule { service, table, name, by: None, only: None, sum: None, granted: None }
}

impl Rule {
    const fn by(self, column: &'static str) -> Rule {
        Rule { by: Some(column), ..self }
    }

    const fn only(self, column: &'static str, says: &'static str) -> Rule {
        Rule { only: Some((column, says)), ..self }
    }

    const fn sum(self, column: &'static str) -> Rule {
        Rule { sum: Some(column), ..self }
    }

    const fn granted(self, column: &'static str) -> Rule {
        Rule { granted: Some(column), ..self }
    }
}

const RULES: &[Rule] = &[
    count("registry", "household", "households"),
    count("registry", "individual", "individuals"),
    count("registry", "individual", "individuals_by_sex").by("sex"),
    count("registry", "return_episode", "return_episodes"),
    count("registry", "consent", "consents"),
    count("assistance", "plan", "plans").by("state"),
    count("assistance", "entitlement", "deliveries").by("item").only("state", "delivered"),
    count("assistance", "enrolment", "enrolments").by("state"),
    count("assistance", "visit", "visits"),
    count("projects", "project", "projects").by("state"),
    count("projects", "facility", "facilities").by("kind"),
    count("projects", "people_served", "people_served").sum("people"),
    count("funding", "donor_grant", "grants").granted("id"),
    count("funding", "donor_grant", "granted").by("currency").sum("amount_minor").granted("id"),
    count("funding", "instalment", "received").by("credited_currency").sum("credited_minor"),
    count("funding", "posting", "postings"),
    count("funding", "entry", "expenditure").by("currency").only("bucket", "spent").sum("minor"),
    count("funding", "reservation", "reservations").by("state"),
];

/// Counts one service's totals while its records go by.
pub struct Tally {
    service: String,
    grants: HashSet<String>,
    sums: BTreeMap<(usize, String), i64>,
}

/// A table's part in the totals: found once for each file, not for each record.
#[derive(Debug, Clone)]
pub struct Counted(Vec<usize>);

impl Counted {
    /// No total counts this table.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The columns that totals ask for.
    pub fn columns(&self) -> impl Iterator<Item = &'static str> {
        let rules = self.0.iter().map(|n| &RULES[*n]);
        rules.flat_map(|rule| [rule.by, rule.only.map(|(column, _)| column), rule.sum, rule.granted].into_iter().flatten())
    }
}

impl Tally {
    /// `grant_ids` are the tranche's.
    pub fn new(service: &str, grant_ids: &[String]) -> Self {
        Tally { service: service.to_owned(), grants: grant_ids.iter().cloned().collect(), sums: BTreeMap::new() }
    }

    pub fn of_table(&self, table: &str) -> Counted {
        let rules = RULES.iter().enumerate().filter(|(_, rule)| rule.service == self.service && rule.table == table);
        Counted(rules.map(|(n, _)| n).collect())
    }

    /// A record as it is written.
    pub fn add(&mut self, counted: &Counted, record: &Map<String, Value>) {
        self.count(counted, |column| match record.get(column) {
            Some(Value::String(text)) => Some(Cow::Borrowed(text.as_str())),
            Some(Value::Number(number)) => Some(Cow::Owned(number.to_string())),
            _ => None,
        });
    }

    /// A record by what its columns say, as text; none for null.
    pub fn count<'a>(&mut self, counted: &Counted, says: impl Fn(&str) -> Option<Cow<'a, str>>) {
        for &number in &counted.0 {
            let rule = &RULES[number];
            if let Some((column, wanted)) = rule.only
                && says(column).as_deref() != Some(wanted)
            {
                continue;
            }
            if let Some(column) = rule.granted
                && !says(column).is_some_and(|grant| self.grants.contains(grant.as_ref()))
            {
                continue;
            }
            let value = match rule.sum {
                None => 1,
                Some(column) => says(column).and_then(|text| text.parse().ok()).unwrap_or(0),
            };
            let by = rule.by.and_then(&says).unwrap_or_default();
            self.put(number, &by, value);
        }
    }

    fn put(&mut self, rule: usize, by: &str, value: i64) {
        let sum = self.sums.entry((rule, by.to_owned())).or_default();
        // A bag that would overflow it is none that anybody can have written; the figures then differ.
        *sum = sum.saturating_add(value);
    }

    /// Takes what another one has counted, of other files of the same service.
    pub fn join(&mut self, other: Tally) {
        for ((rule, by), value) in other.sums {
            self.put(rule, &by, value);
        }
    }

    /// In the order of names, then of what they are by.
    pub fn finish(self) -> Vec<Total> {
        let total = |((rule, by), value): ((usize, String), i64)| Total { name: RULES[rule].name.to_owned(), by, value };
        let mut totals: Vec<Total> = self.sums.into_iter().map(total).collect();
        totals.sort();
        totals
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tally(service: &str, rows: &[(&str, Value)]) -> Vec<(String, String, i64)> {
        let mut tally = Tally::new(service, &["g1".to_owned()]);
        for (table, row) in rows {
            let counted = tally.of_table(table);
            tally.add(&counted, row.as_object().unwrap());
        }
        tally.finish().into_iter().map(|t| (t.name, t.by, t.value)).collect()
    }

    #[test]
    fn goats_count_once_they_are_delivered() {
        let rows = [
            ("entitlement", json!({"item": "goat", "state": "delivered"})),
            ("entitlement", json!({"item": "goat", "state": "delivered"})),
            ("entitlement", json!({"item": "goat", "state": "open"})),
            ("entitlement", json!({"item": "seeds", "state": "delivered"})),
        ];
        assert_eq!(
            tally("assistance", &rows),
            [("deliveries".to_owned(), "goat".to_owned(), 2), ("deliveries".to_owned(), "seeds".to_owned(), 1)]
        );
    }

    #[test]
    fn money_is_summed_by_currency_and_only_of_grants_that_go_over() {
        let rows = [
            ("donor_grant", json!({"id": "g1", "amount_minor": 500, "currency": "USD"})),
            ("donor_grant", json!({"id": "g2", "amount_minor": 900, "currency": "USD"})),
            ("entry", json!({"bucket": "spent", "minor": 7, "currency": "RWF"})),
            ("entry", json!({"bucket": "spent", "minor": "9007199254740993", "currency": "RWF"})),
            ("entry", json!({"bucket": "cash", "minor": -7, "currency": "RWF"})),
        ];
        assert_eq!(
            tally("funding", &rows),
            [
                ("expenditure".to_owned(), "RWF".to_owned(), 9_007_199_254_741_000),
                ("granted".to_owned(), "USD".to_owned(), 500),
                ("grants".to_owned(), String::new(), 1)
            ]
        );
    }
}
