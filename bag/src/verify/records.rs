//! One file of records, read once from end to end: digest, Merkle leaves, form, order, references and totals in the same
//! pass.

use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;

use super::fault::{Check, Faults};
use super::ids::{Ids, IdsOf};
use super::lines::{Lines, Next};
use super::money::{Entry, Ledger};
use super::relation::{OWN, RELATIONS, Relation};
use crate::line::{Shape, Spans};
use crate::merkle::Run;
use crate::schema::Kind;
use crate::totals::Counted;
use crate::{FileEntry, Handover, TableSchema, Tally, value};

/// What is known of a file before it is read.
pub struct Job {
    pub service: String,
    pub path: String,
    pub told: FileEntry,
    pub size: u64,
    pub schema: TableSchema,
    /// The number of its first line among the lines of its service.
    pub start: u64,
    /// Others refer to its ids.
    pub keeps_ids: bool,
    /// The jobs that must be done before, because this one refers to their ids.
    pub needs: Vec<usize>,
}

impl Job {
    pub fn is(&self, table: (&str, &str)) -> bool {
        (self.service.as_str(), self.schema.table.as_str()) == table
    }

    pub fn relations(&self) -> impl Iterator<Item = &'static Relation> {
        RELATIONS.iter().filter(|r| r.is_of(&self.service, &self.schema.table))
    }
}

/// What reading a file gives.
pub struct Done {
    pub run: Run,
    pub records: u64,
    pub tally: Tally,
    pub faults: Faults,
    pub ids: Option<Arc<Ids>>,
    /// References to what is read later: the relation, the id, the line.
    pub late: Vec<(&'static Relation, u128, u64)>,
    pub ledger: Option<Ledger>,
}

/// What other files gave that this one needs.
pub struct Before<'a> {
    pub ids: IdsOf<'a>,
    pub ledger: Option<Ledger>,
}

/// A relation with its columns found.
struct Bound {
    relation: &'static Relation,
    column: usize,
    only: Option<(usize, Vec<u8>)>,
    target: Option<Arc<Ids>>,
    near: usize,
}

struct Pass<'a> {
    job: &'a Job,
    shape: Shape,
    spans: Spans,
    key: Vec<(usize, Kind)>,
    /// The key of the line before, as it is written.
    before: Vec<Vec<u8>>,
    relations: Vec<Bound>,
    /// Columns that every line has the same value in.
    same: Vec<(usize, Vec<u8>, &'static str)>,
    districts: Option<(usize, &'a [String])>,
    counted: Counted,
    columns: Vec<(&'static str, usize)>,
    id: Option<usize>,
    postings: Option<Arc<Ids>>,
    done: Done,
    ids: Ids,
}

pub fn read(root: &Path, job: &Job, handover: &Handover, before: Before) -> Done {
    let mut pass = Pass::new(job, handover, before);
    if job.size != job.told.bytes {
        let why = format!("is {} bytes long, and not {} as was signed", job.size, job.told.bytes);
        pass.fault(Check::Digests, None, why);
    }
    // What has grown is not read to whatever end it may have.
    if job.size <= job.told.bytes {
        let read = Lines::open(&root.join(&job.path)).and_then(|lines| pass.read(lines));
        if let Err(e) = read {
            pass.fault(Check::Digests, None, format!("cannot be read: {e}"));
        }
        if pass.done.records != job.told.records {
            let why = format!("has {} records, and not {} as was signed", pass.done.records, job.told.records);
            pass.fault(Check::Counts, None, why);
        }
    }
    pass.finish()
}

fn quoted(text: &str) -> Vec<u8> {
    serde_json::Value::from(text).to_string().into_bytes()
}

impl<'a> Pass<'a> {
    fn new(job: &'a Job, handover: &'a Handover, before: Before) -> Self {
        let schema = &job.schema;
        let tranche = &handover.tranche;
        let tally = Tally::new(&job.service, &tranche.grant_ids);
        let counted = tally.of_table(&schema.table);
        let column = |name: &str| schema.column(name).map(|(n, _)| n);
        let mut faults = Faults::default();

        let mut same = Vec::new();
        if let Some(n) = column("programme_id") {
            same.push((n, quoted(&tranche.programme.id), "belongs to another programme"));
        }
        if OWN.iter().any(|table| job.is(*table))
            && let Some(n) = column("custodian_id")
        {
            same.push((n, quoted(&tranche.sender.id), "is not the sender's to hand over"));
        }
        let mut bound = Vec::new();
        for relation in job.relations() {
            let only = relation.only.map(|(name, says)| (column(name), quoted(says)));
            match (column(relation.column), only) {
                (Some(n), None) => bound.push((relation, n, None)),
                (Some(n), Some((Some(on), says))) => bound.push((relation, n, Some((on, says)))),
                _ => faults.add(Check::Records, &schema.schema_path(), None, format!("has no column {}", relation.column)),
            }
        }
        let target = |relation: &Relation| if relation.late { None } else { (before.ids)(relation.target) };
        let relations = bound
            .into_iter()
            .map(|(relation, column, only)| Bound { relation, column, only, target: target(relation), near: 0 })
            .collect();
        let columns: Vec<(&'static str, Option<usize>)> = counted.columns().map(|name| (name, column(name))).collect();
        for (name, _) in columns.iter().filter(|(_, n)| n.is_none()) {
            faults.add(Check::Records, &schema.schema_path(), None, format!("has no column {name}, by which totals are counted"));
        }
        Pass {
            job,
            shape: Shape::of(schema),
            spans: Spans::default(),
            key: schema.key.iter().filter_map(|k| schema.column(k)).map(|(n, c)| (n, c.kind)).collect(),
            before: Vec::new(),
            relations,
            same,
            districts: column("district")
                .filter(|_| job.is(("registry", "household")))
                .map(|n| (n, tranche.districts.as_slice())),
            counted,
            columns: columns.into_iter().filter_map(|(name, n)| Some((name, n?))).collect(),
            id: column("id"),
            postings: (before.ids)(("funding", "posting")).filter(|_| job.is(("funding", "entry"))),
            done: Done { run: Run::at(job.start), records: 0, tally, faults, ids: None, late: Vec::new(), ledger: before.ledger },
            ids: Ids::default(),
        }
    }

    fn fault(&mut self, check: Check, line: Option<u64>, why: impl Into<String>) {
        self.done.faults.add(check, &self.job.path, line, why);
    }

    fn read(&mut self, mut lines: Lines) -> std::io::Result<()> {
        loop {
            let number = self.done.records + 1;
            match lines.next()? {
                Next::Line(from, to) => self.line(lines.slice(from, to), number),
                Next::End => break,
                Next::CutOff => {
                    self.fault(Check::Records, Some(number), "is cut off");
                    break;
                }
                Next::TooLong => {
                    self.fault(Check::Records, Some(number), "is longer than any record is");
                    break;
                }
            }
        }
        let (_, sha256) = lines.finish()?;
        if sha256 != self.job.told.sha256 {
            self.fault(Check::Digests, None, "has changed: its SHA-256 is not the one that was signed");
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], number: u64) {
        self.done.records = number;
        self.done.run.push(line);
        if let Err(wrong) = self.shape.check(line, &mut self.spans) {
            self.fault(Check::Records, Some(number), wrong);
            return;
        }
        self.order(line, number);
        for n in 0..self.same.len() {
            let (column, wanted, why) = &self.same[n];
            if self.spans.token(line, *column) != wanted {
                let why = *why;
                self.fault(Check::Tranche, Some(number), why);
            }
        }
        if let Some((column, districts)) = self.districts
            && !self.spans.says(line, column).is_some_and(|district| districts.iter().any(|d| *d == district))
        {
            self.fault(Check::Tranche, Some(number), "is in a district that is not of this tranche");
        }
        self.references(line, number);
        if !self.counted.is_empty() {
            let (columns, spans) = (&self.columns, &self.spans);
            self.done.tally.count(&self.counted, |name| {
                let column = columns.iter().find(|(known, _)| *known == name)?.1;
                spans.says(line, column)
            });
        }
        if self.job.keeps_ids
            && let Some(id) = self.id.and_then(|column| self.spans.uuid(line, column))
        {
            self.ids.push(id);
            if self.job.is(("funding", "posting")) {
                let told = self.named(line, "entries").and_then(value::integer).and_then(|n| u32::try_from(n).ok());
                self.ids.push_told(told.unwrap_or(u32::MAX));
            }
        }
        self.money(line, number);
    }

    fn order(&mut self, line: &[u8], number: u64) {
        let mut how = if self.before.is_empty() { Ordering::Less } else { Ordering::Equal };
        for (n, (column, kind)) in self.key.iter().enumerate() {
            let token = self.spans.token(line, *column);
            match self.before.get_mut(n) {
                Some(before) => {
                    how = how.then_with(|| value::order(*kind, before, token));
                    before.clear();
                    before.extend_from_slice(token);
                }
                None => self.before.push(token.to_vec()),
            }
        }
        match how {
            Ordering::Less => {}
            Ordering::Equal => self.fault(Check::Order, Some(number), "is the same record as the line before"),
            Ordering::Greater => self.fault(Check::Order, Some(number), "is out of order"),
        }
    }

    fn references(&mut self, line: &[u8], number: u64) {
        for n in 0..self.relations.len() {
            let bound = &mut self.relations[n];
            if bound.only.as_ref().is_some_and(|(column, says)| self.spans.token(line, *column) != says) {
                continue;
            }
            let Some(id) = self.spans.uuid(line, bound.column) else { continue };
            if bound.relation.late {
                self.done.late.push((bound.relation, id, number));
                continue;
            }
            let found = bound.target.as_ref().and_then(|ids| ids.find_near(id, &mut bound.near));
            if found.is_none() {
                let why = dangling(bound.relation);
                self.fault(Check::References, Some(number), why);
            }
        }
    }

    fn named<'l>(&self, line: &'l [u8], column: &str) -> Option<&'l [u8]> {
        self.job.schema.column(column).map(|(n, _)| self.spans.token(line, n))
    }

    fn money(&mut self, line: &[u8], number: u64) {
        if self.done.ledger.is_none() {
            return;
        }
        let id = |column: &str| self.job.schema.column(column).and_then(|(n, _)| self.spans.uuid(line, n));
        let text = |column: &str| self.job.schema.column(column).and_then(|(n, _)| self.spans.says(line, n));
        let (Some(grant), Some(bucket), Some(currency)) = (id("grant_id"), text("bucket"), text("currency")) else { return };
        let Some(minor) = self.named(line, "minor").and_then(value::integer) else { return };
        let (posting, line_id) = (id("posting_id"), id("line_id"));
        let place = posting.and_then(|posting| self.postings.as_ref()?.find(posting));
        let is_entry = self.job.is(("funding", "entry"));
        let Some(ledger) = &mut self.done.ledger else { return };
        if is_entry {
            let Some(posting) = posting else { return };
            ledger.add(&Entry { posting, place, grant, bucket: &bucket, line: line_id, currency: &currency, minor });
        } else if !ledger.balance((grant, bucket.into_owned(), line_id.unwrap_or(0), currency.into_owned()), minor) {
            self.fault(Check::Money, Some(number), "is not the sum of its entries");
        }
    }

    fn finish(mut self) -> Done {
        let path = &self.job.path;
        if let Some(ledger) = &mut self.done.ledger {
            if self.job.is(("funding", "entry")) {
                let postings = self.postings.clone().unwrap_or_default();
                ledger.close(&postings, path, "data/funding/posting.jsonl", &mut self.done.faults);
            } else if ledger.untold() {
                self.done.faults.add(Check::Money, path, None, "has no balance for an account that has entries");
            }
        }
        if self.job.keeps_ids {
            self.ids.close();
            self.done.ids = Some(Arc::new(self.ids));
        }
        self.done
    }
}

/// What is wrong with a reference that leads nowhere.
pub fn dangling(relation: &Relation) -> String {
    format!("its {} names a record of {}/{} that is not in the bundle", relation.column, relation.target.0, relation.target.1)
}
