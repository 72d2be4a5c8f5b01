//! Reads all files of records on all processors: the largest first, and each after those whose ids it refers to.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::fault::{Check, Faults};
use super::ids::IdsOf;
use super::money::Ledger;
use super::records::{Before, Done, Job, dangling, read};
use super::relation::RELATIONS;
use super::structure::read_small;
use crate::merkle::Tree;
use crate::payload::sha256;
use crate::{Handover, TableSchema, Tally, Total, schema};

#[derive(Default)]
pub struct Read {
    pub records: u64,
    pub totals: Vec<Total>,
}

const ENTRY: (&str, &str) = ("funding", "entry");
const BALANCE: (&str, &str) = ("funding", "balance");
const POSTING: (&str, &str) = ("funding", "posting");

pub fn read_all(root: &Path, handover: &Handover, found: &BTreeMap<String, u64>, threads: usize, faults: &mut Faults) -> Read {
    let jobs = jobs(root, handover, found, faults);
    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(1, |n| n.get()),
        told => told,
    };
    let board = Board {
        state: Mutex::new(State { waiting: (0..jobs.len()).collect(), done: jobs.iter().map(|_| None).collect() }),
        changed: Condvar::new(),
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(|| work(root, &jobs, handover, &board));
        }
    });
    let state = board.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    let done: Vec<Done> = state.done.into_iter().flatten().collect();
    if done.len() < jobs.len() {
        faults.add(Check::Records, "", None, "not every file could be read");
        return Read::default();
    }
    conclude(handover, &jobs, done, faults)
}

struct State {
    waiting: Vec<usize>,
    done: Vec<Option<Done>>,
}

struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn work(root: &Path, jobs: &[Job], handover: &Handover, board: &Board) {
    let mut state = board.lock();
    while !state.waiting.is_empty() {
        let is_done = |n: &usize| state.done[*n].is_some();
        let ready = state.waiting.iter().copied().filter(|n| jobs[*n].needs.iter().all(is_done));
        let Some(next) = ready.max_by_key(|n| jobs[*n].size) else {
            state = board.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        state.waiting.retain(|n| *n != next);
        let job = &jobs[next];
        let ids: BTreeMap<usize, _> =
            job.needs.iter().filter_map(|n| Some((*n, state.done[*n].as_ref()?.ids.clone()?))).collect();
        let ledger = if job.is(ENTRY) {
            Some(Ledger::new(ids.iter().find(|(n, _)| jobs[**n].is(POSTING)).map_or(0, |(_, ids)| ids.len())))
        } else if job.is(BALANCE) {
            // A bag of balances alone: each must then be zero.
            let entries = jobs.iter().position(|job| job.is(ENTRY));
            let taken = entries.and_then(|n| state.done[n].as_mut()).and_then(|done| done.ledger.take());
            Some(taken.unwrap_or_default())
        } else {
            None
        };
        drop(state);
        let of = |table: (&str, &str)| ids.iter().find(|(n, _)| jobs[**n].is(table)).map(|(_, ids)| ids.clone());
        let done = read(root, job, handover, Before { ids: &of, ledger });
        state = board.lock();
        state.done[next] = Some(done);
        board.changed.notify_all();
    }
}

/// The files of records with their schemas. One whose schema cannot be used is refused here and not read.
fn jobs(root: &Path, handover: &Handover, found: &BTreeMap<String, u64>, faults: &mut Faults) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for (service, slice) in &handover.services {
        let mut start = 0;
        for (path, told) in &slice.files {
            let Some(table) = path.strip_suffix(".jsonl") else {
                if told.records != 0 {
                    faults.add(Check::Counts, path, None, "is no file of records, and is said to have some");
                }
                continue;
            };
            let schema_path = format!("{table}.schema.json");
            let schema = schema_of(root, service, path, &schema_path, handover, found, faults);
            if let (Some(schema), Some(size)) = (schema, found.get(path)) {
                jobs.push(Job {
                    service: service.clone(),
                    path: path.clone(),
                    told: told.clone(),
                    size: *size,
                    schema,
                    start,
                    keeps_ids: false,
                    needs: Vec::new(),
                });
            }
            start = start.saturating_add(told.records);
        }
        // A schema whose records are not there would be read by nobody.
        let lone = |path: &&String| {
            path.strip_suffix(".schema.json").is_some_and(|table| !slice.files.contains_key(&format!("{table}.jsonl")))
        };
        for path in slice.files.keys().filter(lone) {
            faults.add(Check::Structure, path, None, "is a schema with no records beside it");
        }
    }
    for n in 0..jobs.len() {
        let targets: Vec<_> = jobs[n].relations().filter(|r| !r.late).map(|r| r.target).collect();
        let mut needs: Vec<usize> = (0..jobs.len()).filter(|m| *m != n && targets.iter().any(|t| jobs[*m].is(*t))).collect();
        if jobs[n].is(BALANCE) {
            needs.extend(jobs.iter().position(|job| job.is(ENTRY)));
        }
        jobs[n].needs = needs;
        jobs[n].keeps_ids = RELATIONS.iter().any(|r| jobs[n].is(r.target));
    }
    jobs
}

fn schema_of(
    root: &Path,
    service: &str,
    path: &str,
    schema_path: &str,
    handover: &Handover,
    found: &BTreeMap<String, u64>,
    faults: &mut Faults,
) -> Option<TableSchema> {
    let told = handover.services.get(service)?.files.get(schema_path)?;
    found.get(schema_path)?;
    let bytes = read_small(root, schema_path, faults)?;
    if sha256(&bytes) != told.sha256 || bytes.len() as u64 != told.bytes {
        faults.add(Check::Digests, schema_path, None, "has changed: its SHA-256 is not the one that was signed");
        return None;
    }
    let version = TableSchema::version_told(&bytes).unwrap_or(0);
    let table = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".jsonl");
    let newest = schema::newest(service, table);
    if version > u64::from(newest) {
        let why = format!("version {version} is newer than {newest}, which this program reads: use a newer program");
        faults.add(Check::Format, schema_path, None, why);
        return None;
    }
    match TableSchema::parse(&bytes) {
        Ok(schema) if schema.records_path() == path => Some(schema),
        Ok(_) => {
            faults.add(Check::Format, schema_path, None, "is the schema of another table");
            None
        }
        Err(e) => {
            faults.add(Check::Format, schema_path, None, e.to_string());
            None
        }
    }
}

/// What can be said only when all files have been read.
fn conclude(handover: &Handover, jobs: &[Job], done: Vec<Done>, faults: &mut Faults) -> Read {
    let ids_of =
        |table: (&str, &str)| jobs.iter().zip(&done).find(|(job, _)| job.is(table)).and_then(|(_, done)| done.ids.clone());
    for (job, done) in jobs.iter().zip(&done) {
        for (relation, id, line) in &done.late {
            if ids_of(relation.target).is_none_or(|ids| ids.find(*id).is_none()) {
                faults.add(Check::References, &job.path, *line, dangling(relation));
            }
        }
    }
    units(handover, &ids_of, faults);

    let mut read = Read::default();
    let mut tallies: BTreeMap<&str, (Tree, Tally)> = BTreeMap::new();
    for (job, done) in jobs.iter().zip(done) {
        let (tree, tally) =
            tallies.entry(&job.service).or_insert_with(|| (Tree::new(), Tally::new(&job.service, &handover.tranche.grant_ids)));
        // After a file that is longer or shorter than was signed, leaves are not where they were.
        if tree.leaves() == job.start {
            tree.append(&done.run);
        }
        tally.join(done.tally);
        read.records += done.records;
        faults.join(done.faults);
    }
    for (service, slice) in &handover.services {
        let (tree, tally) = tallies.remove(service.as_str()).unwrap_or_else(|| (Tree::new(), Tally::new(service, &[])));
        if hex::encode(tree.root()) != slice.merkle_root {
            faults.add(Check::Merkle, &format!("data/{service}"), None, "its records are not those whose Merkle root was signed");
        }
        let counted = tally.finish();
        if counted != slice.totals {
            faults.add(
                Check::Totals,
                crate::manifest::PATH,
                None,
                format!("the totals of {service} are not those of its records"),
            );
        }
        read.totals.extend(counted);
    }
    let slice = |totals| crate::Slice { records: 0, merkle_root: String::new(), files: BTreeMap::new(), totals };
    read.totals = Handover::sum_totals(&BTreeMap::from([(String::new(), slice(std::mem::take(&mut read.totals)))]));
    read
}

/// The projects and grants that the tranche names are there, and no other project.
fn units(handover: &Handover, ids_of: IdsOf, faults: &mut Faults) {
    let tranche = &handover.tranche;
    let parsed = |ids: &[String]| -> Vec<Option<u128>> {
        ids.iter().map(|id| u128::from_str_radix(&id.replace('-', ""), 16).ok()).collect()
    };
    for (told, table) in [(&tranche.project_ids, ("projects", "project")), (&tranche.grant_ids, ("funding", "donor_grant"))] {
        let ids = ids_of(table).unwrap_or_default();
        let place = format!("data/{}/{}.jsonl", table.0, table.1);
        let missing = parsed(told).iter().filter(|id| !id.is_some_and(|id| ids.find(id).is_some())).count();
        if missing > 0 {
            faults.add(Check::Tranche, &place, None, format!("{missing} that the tranche names are not there"));
        }
        if table.0 == "projects" && ids.len() != told.len() {
            faults.add(Check::Tranche, &place, None, format!("has {} projects, and the tranche names {}", ids.len(), told.len()));
        }
    }
}
