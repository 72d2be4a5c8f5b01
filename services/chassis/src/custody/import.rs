//! A bundle of another installation, taken in: its rows with their ids, whose custody then passes as in every transfer; and
//! its events, in the recipient's name, for whoever counts them. Each piece is one transaction with the note of how far it
//! went, so that an import that broke off goes on, and one that is done again changes nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use prost::Message as _;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tahuka_bag::{Column, TableSchema};
use tahuka_proto::handover::v1::{
    SliceSealed, SliceTransferred, TrancheClosed, TrancheSealRequested, TrancheTransferRequested, UnitsSealed,
};
use tahuka_proto::{EventKind, EventMessage};
use uuid::Uuid;

use super::bundle::JOURNAL;
use super::{UnitKind, record, seal, transfer};
use crate::refusal::Refusal;
use crate::service::{Built, ServiceSpec};
use crate::store::{Store, Tx};
use crate::{clock, edge};

/// Values of one statement; SQLite binds no more than 32,766.
const VALUES: usize = 30_000;
/// Lines of one transaction.
const LINES: usize = 1000;

/// A bag that has been verified, and where it goes.
pub struct Incoming {
    /// The bag's root.
    pub bag: PathBuf,
    pub tranche: Uuid,
    pub bundle_number: i32,
    pub programme: Uuid,
    pub sender: Uuid,
    /// Who has it from now on.
    pub recipient: Uuid,
    pub request: TrancheSealRequested,
}

/// A service of this installation.
pub struct Place<'a> {
    pub spec: &'a ServiceSpec,
    pub store: &'a Store,
    pub built: &'a Built,
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Rows and events that were not here.
    pub added: u64,
    /// Rows whose custodian is another now.
    pub passed: u64,
}

/// Takes the bag into the services of this installation. Refused, before anything is written, where a later bundle of the
/// tranche has been taken in.
pub async fn import(places: &[Place<'_>], incoming: &Incoming) -> Result<Imported, Refusal> {
    for place in places {
        newest(place.store, incoming).await?;
    }
    let journals: Vec<PathBuf> =
        places.iter().map(|place| file(incoming, place.spec.name, JOURNAL)).filter(|file| file.exists()).collect();
    let units = units(places, incoming)?;
    let told = told(places, incoming, &units);
    // What these events led to is in the rows: only who counts is to hear them.
    for place in places.iter().filter(|place| !place.spec.slice.is_none()) {
        pass_over(place, incoming, &journals, &told).await?;
    }
    let mut done = Imported::default();
    for place in places {
        for table in place.spec.slice.tables {
            done.added += rows(place, incoming, table.table, table.key).await?;
        }
    }
    for place in places.iter().filter(|place| !place.spec.slice.is_none()) {
        done.passed += pass(place, incoming, &units).await?;
    }
    for place in places.iter().filter(|place| !place.spec.slice.is_none()) {
        done.added += events(place, incoming).await?;
    }
    if let Some(first) = places.iter().find(|place| place.spec.slice.owns.is_some()) {
        tell(first.store, incoming, &told).await?;
    }
    Ok(done)
}

fn file(incoming: &Incoming, service: &str, name: &str) -> PathBuf {
    incoming.bag.join(format!("data/{service}/{name}.jsonl"))
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> Refusal {
    let path = path.display().to_string();
    move |e| Refusal::invalid("BAG", format!("{path}: {e}"))
}

/// Refuses a bundle in whose place a later one has come.
async fn newest(store: &Store, incoming: &Incoming) -> Result<(), Refusal> {
    let tx = store.system("import").await?;
    let sql = "SELECT coalesce(max(bundle_number), 0) AS n FROM bundle_import WHERE tranche_id = $1";
    let rows = tx.query(sql, vec![incoming.tranche.into()]).await?;
    let there: i32 = rows.first().map_or(Ok(0), |row| row.try_get("", "n"))?;
    if there > incoming.bundle_number {
        let advice = format!("bundle {there} of this tranche has been imported, which takes the place of this one");
        return Err(Refusal::precondition("OLDER_BUNDLE", advice));
    }
    if there < incoming.bundle_number {
        tx.run("DELETE FROM bundle_import WHERE tranche_id = $1", vec![incoming.tranche.into()]).await?;
    }
    tx.commit().await
}

/// How many lines of a file have been taken in.
async fn progress(store: &Store, incoming: &Incoming, what: &str) -> Result<usize, Refusal> {
    let tx = store.system("import").await?;
    let sql = "SELECT lines FROM bundle_import WHERE tranche_id = $1 AND path = $2";
    let rows = tx.query(sql, vec![incoming.tranche.into(), what.into()]).await?;
    let lines: i64 = rows.first().map_or(Ok(0), |row| row.try_get("", "lines"))?;
    usize::try_from(lines).map_err(Refusal::internal)
}

async fn note(tx: &Tx, incoming: &Incoming, what: &str, lines: usize) -> Result<(), Refusal> {
    let sql = "INSERT INTO bundle_import (tranche_id, path, bundle_number, lines) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (tranche_id, path) DO UPDATE SET bundle_number = excluded.bundle_number, lines = excluded.lines";
    let lines = i64::try_from(lines).map_err(Refusal::internal)?;
    tx.run(sql, vec![incoming.tranche.into(), what.into(), incoming.bundle_number.into(), lines.into()]).await.map(|_| ())
}

/// The lines of a file from one on, in pieces.
struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    at: usize,
}

impl Lines {
    fn open(path: PathBuf, from: usize) -> Result<Self, Refusal> {
        let reader = BufReader::with_capacity(1 << 20, File::open(&path).map_err(unreadable(&path))?);
        let mut lines = Lines { path, reader, at: 0 };
        let mut passed = Vec::new();
        while lines.at < from {
            passed.clear();
            if lines.reader.read_until(b'\n', &mut passed).map_err(unreadable(&lines.path))? == 0 {
                break;
            }
            lines.at += 1;
        }
        Ok(lines)
    }

    fn next(&mut self) -> Result<Vec<Map<String, Value>>, Refusal> {
        let (mut records, mut line) = (Vec::new(), Vec::new());
        while records.len() < LINES {
            line.clear();
            if self.reader.read_until(b'\n', &mut line).map_err(unreadable(&self.path))? == 0 {
                break;
            }
            self.at += 1;
            let bad = |e: serde_json::Error| Refusal::invalid("BAG", format!("{}, line {}: {e}", self.path.display(), self.at));
            records.push(serde_json::from_slice(&line).map_err(bad)?);
        }
        Ok(records)
    }
}

/// The ids of the units of the bag, by kind.
fn units(places: &[Place<'_>], incoming: &Incoming) -> Result<BTreeMap<UnitKind, Vec<Uuid>>, Refusal> {
    let mut units = BTreeMap::new();
    for (place, owned) in places.iter().filter_map(|place| Some((place, place.spec.slice.owns.as_ref()?))) {
        let mut found = Vec::new();
        let path = file(incoming, place.spec.name, owned.table);
        if owned.kind == UnitKind::Grant {
            // Others are told of, since what is reserved refers to them.
            let ids = incoming.request.grant_ids.iter().map(|id| edge::uuid("grant_ids", id));
            found = ids.collect::<Result<_, _>>()?;
        } else if path.exists() {
            let mut lines = Lines::open(path, 0)?;
            loop {
                let records = lines.next()?;
                if records.is_empty() {
                    break;
                }
                for record in records {
                    found.push(edge::uuid("id", record.get("id").and_then(Value::as_str).unwrap_or_default())?);
                }
            }
        }
        units.insert(owned.kind, found);
    }
    Ok(units)
}

/// An event that this installation tells of the tranche.
struct Told {
    id: Uuid,
    kind: &'static str,
    body: Vec<u8>,
}

/// The handover in short, for who counts: which units are the tranche's, and that they have passed. The same bag gives
/// events of the same ids.
fn told(places: &[Place<'_>], incoming: &Incoming, units: &BTreeMap<UnitKind, Vec<Uuid>>) -> Vec<Told> {
    let mut all = Vec::new();
    let mut say = |kind: &'static str, body: Vec<u8>| {
        let name = format!("{} {} {}", incoming.tranche, incoming.bundle_number, all.len());
        let mut id = [0; 16];
        id.copy_from_slice(&Sha256::digest(name)[..16]);
        all.push(Told { id: Uuid::from_bytes(id), kind, body });
    };
    let (tranche_id, programme_id) = (incoming.tranche.to_string(), incoming.programme.to_string());
    let (sender_id, recipient_id) = (incoming.sender.to_string(), incoming.recipient.to_string());
    say(TrancheSealRequested::KIND, incoming.request.encode_to_vec());
    for (kind, ids) in units {
        for page in ids.chunks(seal::PAGE) {
            let unit_ids = page.iter().map(Uuid::to_string).collect();
            let event = UnitsSealed { tranche_id: tranche_id.clone(), unit_kind: kind.word().to_owned(), unit_ids };
            say(UnitsSealed::KIND, event.encode_to_vec());
        }
    }
    for place in places.iter().filter(|place| !place.spec.slice.is_none()) {
        let service = place.spec.name.to_owned();
        let event = SliceSealed { tranche_id: tranche_id.clone(), service, ..Default::default() };
        say(SliceSealed::KIND, event.encode_to_vec());
    }
    let happened_on = incoming.request.happened_on;
    let transfer = TrancheTransferRequested {
        tranche_id: tranche_id.clone(),
        programme_id: programme_id.clone(),
        sender_id: sender_id.clone(),
        recipient_id: recipient_id.clone(),
        happened_on,
    };
    say(TrancheTransferRequested::KIND, transfer.encode_to_vec());
    for place in places.iter().filter(|place| !place.spec.slice.is_none()) {
        let service = place.spec.name.to_owned();
        let event = SliceTransferred { tranche_id: tranche_id.clone(), service, ..Default::default() };
        say(SliceTransferred::KIND, event.encode_to_vec());
    }
    let closed = TrancheClosed {
        tranche_id,
        programme_id,
        sender_id,
        recipient_id,
        happened_on,
        closed_at: Some(edge::timestamp(clock::now())),
    };
    say(TrancheClosed::KIND, closed.encode_to_vec());
    all
}

/// Marks the bag's events as taken by the service's consumers.
async fn pass_over(place: &Place<'_>, incoming: &Incoming, journals: &[PathBuf], told: &[Told]) -> Result<(), Refusal> {
    let heard = |kind: &str| -> Vec<&'static str> {
        let listening = place.built.consumers.iter().filter(|consumer| consumer.hears().contains(&kind));
        listening.map(|consumer| consumer.name()).collect()
    };
    for (number, journal) in journals.iter().enumerate() {
        let what = format!("inbox/{number}");
        let mut lines = Lines::open(journal.clone(), progress(place.store, incoming, &what).await?)?;
        loop {
            let records = lines.next()?;
            if records.is_empty() {
                break;
            }
            let mut marks = Vec::new();
            for record in &records {
                let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
                let id = edge::uuid("event_id", text("event_id"))?;
                marks.extend(heard(text("kind")).into_iter().map(|consumer| (consumer, id)));
            }
            let tx = place.store.system("import").await?;
            mark(&tx, &marks).await?;
            note(&tx, incoming, &what, lines.at).await?;
            tx.commit().await?;
        }
    }
    let tx = place.store.system("import").await?;
    let marks: Vec<_> = told.iter().map(|event| (super::consumer::NAME, event.id)).collect();
    mark(&tx, &marks).await?;
    tx.commit().await
}

async fn mark(tx: &Tx, marks: &[(&'static str, Uuid)]) -> Result<(), Refusal> {
    for marks in marks.chunks(VALUES / 2 - 1) {
        let mut values: Vec<sea_orm::Value> = vec![clock::now().into()];
        let mut places = Vec::new();
        for (consumer, event) in marks {
            values.extend([(*consumer).into(), (*event).into()]);
            places.push(format!("(${}, ${}, $1)", values.len() - 1, values.len()));
        }
        let sql =
            format!("INSERT INTO inbox (consumer, event_id, handled_at) VALUES {} ON CONFLICT DO NOTHING", places.join(", "));
        tx.run(&sql, values).await?;
    }
    Ok(())
}

/// The bag's schema of the table, if this installation's table has every column of it.
async fn schema(place: &Place<'_>, incoming: &Incoming, table: &str) -> Result<TableSchema, Refusal> {
    let path = incoming.bag.join(format!("data/{}/{table}.schema.json", place.spec.name));
    let schema = std::fs::read(&path).map_err(unreadable(&path))?;
    let schema = TableSchema::parse(&schema).map_err(|e| Refusal::invalid("BAG", format!("{}: {e}", path.display())))?;
    let tx = place.store.system("import").await?;
    let own = record::columns(&tx, table).await?;
    let known = |told: &Column| own.iter().any(|column| column.name == told.name && column.kind == told.kind);
    match schema.columns.iter().find(|column| !known(column)) {
        None => Ok(schema),
        Some(column) => {
            let what = format!("{}.{table} has no {}; upgrade this installation first", place.spec.name, column.name);
            Err(Refusal::precondition("SCHEMA_BEHIND", what))
        }
    }
}

/// Takes a table's rows in. What is here already stays, but for what is still the sender's: a later bag knows more of it.
async fn rows(place: &Place<'_>, incoming: &Incoming, table: &str, key: &[&str]) -> Result<u64, Refusal> {
    let path = file(incoming, place.spec.name, table);
    if !path.exists() {
        return Ok(0);
    }
    let schema = schema(place, incoming, table).await?;
    let names: Vec<String> = schema.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let changes: Vec<String> = names.iter().map(|name| format!("{name} = excluded.{name}")).collect();
    let what = format!("{}/{table}", place.spec.name);
    let mut lines = Lines::open(path, progress(place.store, incoming, &what).await?)?;
    let mut added = 0;
    loop {
        let records = lines.next()?;
        if records.is_empty() {
            return Ok(added);
        }
        let tx = place.store.system("import").await?;
        for records in records.chunks((VALUES - 1) / names.len()) {
            let mut values: Vec<sea_orm::Value> = vec![incoming.sender.into()];
            let mut places = Vec::new();
            for told in records {
                let from = values.len();
                for column in &schema.columns {
                    values.push(record::stored(told.get(&column.name).unwrap_or(&Value::Null), column)?);
                }
                let row: Vec<String> = (from + 1..=values.len()).map(|n| format!("${n}")).collect();
                places.push(format!("({})", row.join(", ")));
            }
            let sql = format!(
                "INSERT INTO {table} ({}) VALUES {} ON CONFLICT ({}) DO UPDATE SET {} WHERE {table}.custodian_id = $1",
                names.join(", "),
                places.join(", "),
                key.join(", "),
                changes.join(", ")
            );
            added += tx.run(&sql, values).await?;
        }
        note(&tx, incoming, &what, lines.at).await?;
        tx.commit().await?;
    }
}

/// Gives the units to the recipient, as a transfer does.
async fn pass(place: &Place<'_>, incoming: &Incoming, units: &BTreeMap<UnitKind, Vec<Uuid>>) -> Result<u64, Refusal> {
    const WHAT: &str = "transfer";
    if progress(place.store, incoming, WHAT).await? > 0 {
        return Ok(0);
    }
    let tx = place.store.system("import").await?;
    for (kind, ids) in units.iter().filter(|(kind, _)| place.spec.slice.knows(**kind)) {
        seal::insert(&tx, incoming.tranche, *kind, ids).await?;
    }
    let passed = transfer::transfer(&tx, place.spec.slice, incoming.tranche, incoming.recipient).await?;
    seal::lift(&tx, incoming.tranche).await?;
    note(&tx, incoming, WHAT, 1).await?;
    tx.commit().await?;
    Ok(passed)
}

/// Takes the journal's events in, with ids and times kept, in the recipient's name.
async fn events(place: &Place<'_>, incoming: &Incoming) -> Result<u64, Refusal> {
    let path = file(incoming, place.spec.name, JOURNAL);
    if !path.exists() {
        return Ok(0);
    }
    let mut schema = schema(place, incoming, JOURNAL).await?;
    // Numbers are each installation's own.
    schema.columns.retain(|column| column.name != "seq");
    let names: Vec<String> = schema.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let what = format!("{}/{JOURNAL}", place.spec.name);
    let mut lines = Lines::open(path, progress(place.store, incoming, &what).await?)?;
    let mut added = 0;
    loop {
        let mut records = lines.next()?;
        if records.is_empty() {
            return Ok(added);
        }
        let tx = place.store.system("import").await?;
        for records in records.chunks_mut(VALUES / names.len()) {
            let mut values: Vec<sea_orm::Value> = Vec::with_capacity(records.len() * names.len());
            let mut places = Vec::with_capacity(records.len());
            for told in records {
                let kind = told.get("kind").and_then(Value::as_str).and_then(EventKind::of);
                let advice = "the journal has an event that is not known here; upgrade this installation first";
                let kind = kind.ok_or_else(|| Refusal::precondition("BUNDLE_TOO_NEW", advice))?;
                told.insert("subject".to_owned(), subject(incoming.recipient, kind).into());
                told.insert("custodian_id".to_owned(), incoming.recipient.to_string().into());
                let from = values.len();
                for column in &schema.columns {
                    values.push(record::stored(told.get(&column.name).unwrap_or(&Value::Null), column)?);
                }
                let row: Vec<String> = (from + 1..=values.len()).map(|n| format!("${n}")).collect();
                places.push(format!("({})", row.join(", ")));
            }
            let sql = format!(
                "INSERT INTO journal ({}) VALUES {} ON CONFLICT (event_id) DO NOTHING",
                names.join(", "),
                places.join(", ")
            );
            added += tx.run(&sql, values).await?;
        }
        note(&tx, incoming, &what, lines.at).await?;
        tx.commit().await?;
    }
}

fn subject(custodian: Uuid, kind: &EventKind) -> String {
    format!("evt.{custodian}.{}.{}.{}", kind.service, kind.aggregate, kind.name)
}

/// Tells of the handover, for who counts.
async fn tell(store: &Store, incoming: &Incoming, told: &[Told]) -> Result<(), Refusal> {
    let tx = store.system("import").await?;
    for event in told {
        let kind = EventKind::of(event.kind).ok_or_else(|| Refusal::internal(event.kind))?;
        let sql = "INSERT INTO journal (event_id, kind, subject, custodian_id, aggregate_id, body, recorded_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (event_id) DO NOTHING";
        let values = vec![
            event.id.into(),
            event.kind.into(),
            subject(incoming.sender, kind).into(),
            incoming.sender.into(),
            incoming.tranche.into(),
            event.body.clone().into(),
            clock::now().into(),
        ];
        tx.run(sql, values).await?;
    }
    tx.commit().await
}
