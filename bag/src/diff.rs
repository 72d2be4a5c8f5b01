//! What is different between two bags, by table: records that one has and the other has not, and records that changed.
//! Files are in the order of their keys, so both are read once, side by side.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Envelope, Error, Handover, Result, TableSchema, Total, manifest, payload};

/// So many records of each table are named; all are counted.
const NAMED: usize = 20;
const LONGEST: u64 = 64 << 20;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub tables: Vec<TableDifference>,
    pub totals: Vec<TotalDifference>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TableDifference {
    pub path: String,
    /// Records that only the second bag has.
    pub added: u64,
    /// Records that only the first bag has.
    pub removed: u64,
    pub changed: u64,
    pub same: u64,
    /// The first ones, by key.
    pub named: Vec<RecordDifference>,
    /// The tables have not the same columns.
    pub schema_changed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordDifference {
    pub how: &'static str,
    pub key: String,
    /// Of a changed record: the columns that are different. Their values are not told.
    pub columns: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TotalDifference {
    pub name: String,
    pub by: String,
    pub first: i64,
    pub second: i64,
}

impl Difference {
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.totals.is_empty()
    }
}

/// Compares two bags that are folders. Verifies neither.
pub fn diff(first: &Path, second: &Path) -> Result<Difference> {
    let (a, b) = (handover(first)?, handover(second)?);
    let paths = |handover: &Handover| -> BTreeMap<String, String> {
        let files = handover.services.values().flat_map(|slice| &slice.files);
        files.filter(|(path, _)| path.ends_with(".jsonl")).map(|(path, file)| (path.clone(), file.sha256.clone())).collect()
    };
    let (in_a, in_b) = (paths(&a), paths(&b));
    let all: BTreeSet<&String> = in_a.keys().chain(in_b.keys()).collect();
    let mut difference = Difference { totals: totals(&a.totals, &b.totals), ..Difference::default() };
    for path in all {
        if !payload::is_payload_path(path) {
            return Err(Error::Format(format!("{path:?} is no path of a bag")));
        }
        if in_a.get(path) == in_b.get(path) {
            continue;
        }
        let table = table(path, in_a.contains_key(path).then_some(first), in_b.contains_key(path).then_some(second))?;
        if table.added + table.removed + table.changed > 0 || table.schema_changed {
            difference.tables.push(table);
        }
    }
    Ok(difference)
}

fn handover(root: &Path) -> Result<Handover> {
    let path = root.join(manifest::PATH);
    Handover::open(&Envelope::parse(&fs::read(&path).map_err(Error::file(&path))?)?)
}

fn totals(a: &[Total], b: &[Total]) -> Vec<TotalDifference> {
    let mut both: BTreeMap<(&str, &str), (i64, i64)> = BTreeMap::new();
    a.iter().for_each(|t| both.entry((&t.name, &t.by)).or_default().0 = t.value);
    b.iter().for_each(|t| both.entry((&t.name, &t.by)).or_default().1 = t.value);
    let differ = both.into_iter().filter(|(_, (first, second))| first != second);
    differ
        .map(|((name, by), (first, second))| TotalDifference { name: name.to_owned(), by: by.to_owned(), first, second })
        .collect()
}

fn table(path: &str, first: Option<&Path>, second: Option<&Path>) -> Result<TableDifference> {
    let mut a = Side::open(first, path)?;
    let mut b = Side::open(second, path)?;
    let (schema_a, schema_b) = (schema(first, path)?, schema(second, path)?);
    let schema_changed = matches!((&schema_a, &schema_b), (Some(a), Some(b)) if a != b);
    let Some(schema) = schema_a.or(schema_b) else { return Ok(TableDifference::default()) };
    let mut found = TableDifference { path: path.to_owned(), schema_changed, ..TableDifference::default() };
    a.step(&schema)?;
    b.step(&schema)?;
    loop {
        let order = match (&a.record, &b.record) {
            (None, None) => return Ok(found),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(x), Some(y)) => by_key(&schema, x, y),
        };
        match order {
            Ordering::Less => {
                found.removed += 1;
                found.name("removed", &schema, a.record.as_ref(), Vec::new());
                a.step(&schema)?;
            }
            Ordering::Greater => {
                found.added += 1;
                found.name("added", &schema, b.record.as_ref(), Vec::new());
                b.step(&schema)?;
            }
            Ordering::Equal => {
                if a.line == b.line {
                    found.same += 1;
                } else {
                    found.changed += 1;
                    let columns = changed(a.record.as_ref(), b.record.as_ref());
                    found.name("changed", &schema, a.record.as_ref(), columns);
                }
                a.step(&schema)?;
                b.step(&schema)?;
            }
        }
    }
}

impl TableDifference {
    fn name(&mut self, how: &'static str, schema: &TableSchema, record: Option<&Map<String, Value>>, columns: Vec<String>) {
        if self.named.len() < NAMED
            && let Some(record) = record
        {
            let part = |column: &String| match record.get(column) {
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None => String::new(),
            };
            let key = schema.key.iter().map(part).collect::<Vec<_>>().join(" ");
            self.named.push(RecordDifference { how, key, columns });
        }
    }
}

fn schema(root: Option<&Path>, path: &str) -> Result<Option<TableSchema>> {
    let Some(root) = root else { return Ok(None) };
    let path = root.join(format!("{}.schema.json", path.trim_end_matches(".jsonl")));
    TableSchema::parse(&fs::read(&path).map_err(Error::file(&path))?).map(Some)
}

fn changed(a: Option<&Map<String, Value>>, b: Option<&Map<String, Value>>) -> Vec<String> {
    let (Some(a), Some(b)) = (a, b) else { return Vec::new() };
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    names.into_iter().filter(|name| a.get(*name) != b.get(*name)).cloned().collect()
}

fn by_key(schema: &TableSchema, a: &Map<String, Value>, b: &Map<String, Value>) -> Ordering {
    let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let one = |column: &String| match (a.get(column), b.get(column)) {
        (Some(x), Some(y)) if schema.column(column).is_some_and(|(_, c)| c.kind == crate::Kind::Integer) => {
            number(x).cmp(&number(y))
        }
        (Some(Value::String(x)), Some(Value::String(y))) => x.cmp(y),
        (x, y) => x.is_some().cmp(&y.is_some()),
    };
    schema.key.iter().fold(Ordering::Equal, |order, column| order.then_with(|| one(column)))
}

/// One of the two files, at a record.
struct Side {
    path: String,
    reader: Option<BufReader<File>>,
    line: Vec<u8>,
    number: u64,
    record: Option<Map<String, Value>>,
}

impl Side {
    fn open(root: Option<&Path>, path: &str) -> Result<Self> {
        let open = |root: &Path| {
            let path = root.join(path);
            File::open(&path).map_err(Error::file(&path))
        };
        let reader = root.map(open).transpose()?.map(|file| BufReader::with_capacity(256 << 10, file));
        Ok(Side { path: path.to_owned(), reader, line: Vec::new(), number: 0, record: None })
    }

    fn step(&mut self, schema: &TableSchema) -> Result<()> {
        let before = self.record.take();
        let Some(reader) = &mut self.reader else { return Ok(()) };
        self.line.clear();
        self.number += 1;
        reader.by_ref().take(LONGEST).read_until(b'\n', &mut self.line).map_err(Error::file(Path::new(&self.path)))?;
        if self.line.is_empty() {
            return Ok(());
        }
        let refused = |what: &str| Error::Format(format!("{}, line {}: {what}; verify the bundle", self.path, self.number));
        let record: Map<String, Value> = serde_json::from_slice(&self.line).map_err(|_| refused("not a record"))?;
        if before.is_some_and(|before| by_key(schema, &before, &record) != Ordering::Less) {
            return Err(refused("out of order"));
        }
        self.record = Some(record);
        Ok(())
    }
}

/// For a person.
pub fn text(difference: &Difference) -> String {
    if difference.is_empty() {
        return "The two bundles hold the same records.\n".to_owned();
    }
    let mut text = String::new();
    for table in &difference.tables {
        text.push_str(&format!(
            "{}: {} added, {} removed, {} changed, {} the same{}\n",
            table.path,
            table.added,
            table.removed,
            table.changed,
            table.same,
            if table.schema_changed { "; not the same columns" } else { "" }
        ));
        for record in &table.named {
            let columns = if record.columns.is_empty() { String::new() } else { format!(": {}", record.columns.join(", ")) };
            text.push_str(&format!("  {:<8} {}{columns}\n", record.how, record.key));
        }
        let more = table.added + table.removed + table.changed - table.named.len() as u64;
        if more > 0 {
            text.push_str(&format!("  and {more} more\n"));
        }
    }
    if !difference.totals.is_empty() {
        text.push_str(&format!("\n{:<36} {:>20} {:>20}\n", "Totals", "first", "second"));
    }
    for total in &difference.totals {
        let label = if total.by.is_empty() { total.name.clone() } else { format!("{}: {}", total.name, total.by) };
        text.push_str(&format!("  {label:<34} {:>20} {:>20}\n", total.first, total.second));
    }
    text
}
