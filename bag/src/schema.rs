//! The schema that lies beside each file of records: JSON Schema (2020-12), which any validator understands, with the
//! version of the table and its key. It is read back in the very form that it is written in.

use serde_json::{Map, Value, json};

use crate::{Error, Result, record};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// Small letters, with hyphens.
    Uuid,
    /// ISO 8601: 2026-11-25.
    Date,
    /// RFC 3339 in UTC with microseconds: 2026-11-25T09:07:00.000000Z.
    Timestamp,
    /// A number, or a string of digits beyond 2^53-1.
    Integer,
    Double,
    Boolean,
    /// Any JSON.
    Json,
    /// Base64.
    Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    pub nullable: bool,
}

/// A table, in the version of its columns. Every record has every column; where there is nothing, null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    pub service: String,
    pub table: String,
    /// Counts up when a column is added.
    pub version: u32,
    /// The columns that records are sorted by; no two records have the same.
    pub key: Vec<String>,
    /// By name.
    pub columns: Vec<Column>,
}

const KINDS: [(Kind, &str); 9] = [
    (Kind::Text, "text"),
    (Kind::Uuid, "uuid"),
    (Kind::Date, "date"),
    (Kind::Timestamp, "timestamp"),
    (Kind::Integer, "integer"),
    (Kind::Double, "double"),
    (Kind::Boolean, "boolean"),
    (Kind::Json, "json"),
    (Kind::Bytes, "bytes"),
];

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Versions above 1 of the tables that this program reads. Whoever adds a column counts up here.
const VERSIONS: &[(&str, &str, u32)] = &[];

/// The newest version of a table that this program knows.
pub fn newest(service: &str, table: &str) -> u32 {
    VERSIONS.iter().find(|(of, name, _)| (*of, *name) == (service, table)).map_or(1, |(_, _, version)| *version)
}

impl TableSchema {
    pub fn new(service: &str, table: &str, version: u32, key: &[&str], columns: Vec<Column>) -> Self {
        let mut columns = columns;
        columns.sort_by(|a, b| record::key_order(&a.name, &b.name));
        let key = key.iter().map(|k| (*k).to_owned()).collect();
        TableSchema { service: service.to_owned(), table: table.to_owned(), version, key, columns }
    }

    /// Where its records are in the bag.
    pub fn records_path(&self) -> String {
        format!("data/{}/{}.jsonl", self.service, self.table)
    }

    pub fn schema_path(&self) -> String {
        format!("data/{}/{}.schema.json", self.service, self.table)
    }

    pub fn column(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns.iter().enumerate().find(|(_, column)| column.name == name)
    }

    /// The file's bytes: canonical JSON and a line's end.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let names: Vec<&str> = self.columns.iter().map(|c| c.name.as_str()).collect();
        let properties: Map<String, Value> = self.columns.iter().map(|c| (c.name.clone(), c.to_json())).collect();
        let schema = json!({
            "$schema": DIALECT,
            "title": format!("{}.{}", self.service, self.table),
            "type": "object",
            "properties": properties,
            "required": names,
            "additionalProperties": false,
            "x-tahuka-version": self.version,
            "x-tahuka-key": self.key,
        });
        let mut bytes = record::canonical(&schema)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let refused = |what: &str| Error::Format(format!("not a schema of records: {what}"));
        let schema: Value = serde_json::from_slice(bytes).map_err(|e| refused(&e.to_string()))?;
        let (service, table) = schema["title"].as_str().and_then(|t| t.split_once('.')).ok_or_else(|| refused("no title"))?;
        let version = schema["x-tahuka-version"].as_u64().and_then(|v| u32::try_from(v).ok());
        let version = version.filter(|v| *v > 0).ok_or_else(|| refused("no x-tahuka-version"))?;
        let key = schema["x-tahuka-key"].as_array().ok_or_else(|| refused("no x-tahuka-key"))?;
        let key: Option<Vec<&str>> = key.iter().map(Value::as_str).collect();
        let key = key.filter(|k| !k.is_empty()).ok_or_else(|| refused("no x-tahuka-key"))?;
        let properties = schema["properties"].as_object().ok_or_else(|| refused("no properties"))?;
        let columns: Result<Vec<Column>> = properties
            .iter()
            .map(|(name, property)| {
                let told = property["x-tahuka-kind"].as_str();
                let kind = KINDS.iter().find(|(_, name)| Some(*name) == told).map(|(kind, _)| *kind);
                let nullable = property["x-tahuka-nullable"].as_bool();
                match (kind, nullable) {
                    (Some(kind), Some(nullable)) => Ok(Column { name: name.clone(), kind, nullable }),
                    _ => Err(refused(&format!("the kind of {name:?} is not known"))),
                }
            })
            .collect();
        let read = TableSchema::new(service, table, version, &key, columns?);
        let keyed = |k: &String| {
            read.column(k)
                .is_some_and(|(_, c)| !c.nullable && matches!(c.kind, Kind::Uuid | Kind::Integer | Kind::Text | Kind::Date))
        };
        if !read.key.iter().all(keyed) {
            return Err(refused("its key has a column that records cannot be sorted by"));
        }
        // What a validator of JSON Schema reads must say the same as what is read here.
        if read.to_bytes()? != bytes {
            return Err(refused("it is not in the form that this program writes"));
        }
        Ok(read)
    }

    /// What a schema of a later version says of itself, where it may have another form.
    pub fn version_told(bytes: &[u8]) -> Option<u64> {
        serde_json::from_slice::<Value>(bytes).ok()?["x-tahuka-version"].as_u64()
    }
}

impl Column {
    pub fn new(name: &str, kind: Kind, nullable: bool) -> Self {
        Column { name: name.to_owned(), kind, nullable }
    }

    fn to_json(&self) -> Value {
        let word = KINDS.iter().find(|(kind, _)| *kind == self.kind).map_or("", |(_, word)| *word);
        let (mut types, more): (Vec<&str>, Value) = match self.kind {
            Kind::Text => (vec!["string"], json!({})),
            Kind::Uuid => (vec!["string"], json!({"format": "uuid"})),
            Kind::Date => (vec!["string"], json!({"format": "date"})),
            Kind::Timestamp => (vec!["string"], json!({"format": "date-time"})),
            Kind::Integer => (vec!["integer", "string"], json!({"pattern": "^-?[1-9][0-9]{15,18}$"})),
            Kind::Double => (vec!["number"], json!({})),
            Kind::Boolean => (vec!["boolean"], json!({})),
            Kind::Json => (Vec::new(), json!({})),
            Kind::Bytes => (vec!["string"], json!({"contentEncoding": "base64"})),
        };
        let mut property = Map::from_iter([
            ("x-tahuka-kind".to_owned(), Value::from(word)),
            ("x-tahuka-nullable".to_owned(), Value::from(self.nullable)),
        ]);
        if self.nullable {
            types.push("null");
        }
        if self.kind != Kind::Json {
            property.insert("type".to_owned(), Value::from(types));
        }
        property.extend(more.as_object().cloned().unwrap_or_default());
        Value::Object(property)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn household() -> TableSchema {
        let columns = KINDS.iter().map(|(kind, word)| Column::new(&format!("of_{word}"), *kind, *kind != Kind::Uuid)).collect();
        TableSchema::new("registry", "household", 1, &["of_uuid"], columns)
    }

    #[test]
    fn a_schema_is_read_as_it_was_written() {
        assert_eq!(TableSchema::parse(&household().to_bytes().unwrap()).unwrap(), household());
    }

    #[test]
    fn a_schema_that_says_one_thing_to_us_and_another_to_a_validator_is_refused() {
        let text = String::from_utf8(household().to_bytes().unwrap()).unwrap();
        let changed = text.replacen("\"type\":[\"boolean\",\"null\"]", "\"type\":[\"string\",\"null\"]", 1);
        assert_ne!(text, changed);
        assert!(TableSchema::parse(changed.as_bytes()).is_err());
        assert!(
            TableSchema::parse(
                text.replace("uuid\",\"x-tahuka-nullable\":false", "uuid\",\"x-tahuka-nullable\":true").as_bytes()
            )
            .is_err()
        );
    }
}
