//! An answer of the command line: for people a table, for programs JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use tahuka_chassis::Refusal;

pub struct Table {
    columns: &'static [&'static str],
    rows: Vec<Vec<Value>>,
}

impl Table {
    pub fn new(columns: &'static [&'static str]) -> Self {
        Table { columns, rows: Vec::new() }
    }

    /// A row with a value for each column.
    pub fn row(&mut self, values: impl IntoIterator<Item = Value>) {
        self.rows.push(values.into_iter().collect());
    }

    /// A list of objects.
    pub fn json(&self) -> Result<String, Refusal> {
        let object = |row: &Vec<Value>| -> Map<String, Value> {
            self.columns.iter().map(|column| (*column).to_owned()).zip(row.iter().cloned()).collect()
        };
        let all: Vec<_> = self.rows.iter().map(object).collect();
        serde_json::to_string_pretty(&all).map(|text| text + "\n").map_err(Refusal::internal)
    }

    /// Columns as wide as they must be. Nothing in it can speak to the terminal.
    pub fn text(&self) -> String {
        let head: Vec<String> = self.columns.iter().map(|column| column.replace('_', " ").to_uppercase()).collect();
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.iter().map(plain).collect()).collect();
        let width = |n: usize| rows.iter().chain([&head]).filter_map(|row| row.get(n)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..self.columns.len()).map(|n| width(n).unwrap_or_default()).collect();
        let mut text = String::new();
        for row in [&head].into_iter().chain(&rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(line, "{cell:<width$}  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn plain(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    };
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["slug", "staff", "signed_on"]);
        table.row([json!("iom"), json!(["anne", "béa"]), json!("")]);
        table.row([json!("mi\u{1b}[31m"), json!([]), json!("2026-01-01")]);
        table
    }

    #[test]
    fn people_get_columns() {
        let told = "SLUG     STAFF     SIGNED ON\niom      anne,béa  -\nmi [31m  -         2026-01-01\n";
        assert_eq!(table().text(), told);
    }

    #[test]
    fn programs_get_objects() {
        let told: Value = serde_json::from_str(&table().json().unwrap()).unwrap();
        assert_eq!(told[0], json!({ "slug": "iom", "staff": ["anne", "béa"], "signed_on": "" }));
    }
}
