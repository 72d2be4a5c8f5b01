//! How a batch of rows lands: all of its good rows in one transaction, with the events and the counts, so that an
//! import that breaks off has done either the whole of a batch or nothing of it.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::NaiveDate;
use tahuka_chassis::custody::{UnitKind, seal};
use tahuka_chassis::{Caller, Refusal, Store, Tx, clock, ids};
use uuid::Uuid;

use super::held::State;
use super::store::{self, error, held, run, submission};
use super::{Fault, Row};
use crate::consent::store::Model as Consent;
use crate::consent::{self, Form, Purpose};
use crate::household::Dwelling;
use crate::household::rpc::{new as new_household, registered as household_registered};
use crate::household::store::{self as household, Change, Model as Household};
use crate::individual::Relation;
use crate::individual::rpc::registered as individual_registered;
use crate::individual::store::{self as individual, Model as Individual};
use crate::return_episode::rpc::recorded;
use crate::return_episode::store::{self as return_episode, Model as ReturnEpisode};
use crate::vulnerability::rpc::assessed;
use crate::vulnerability::store::{self as vulnerability, Set, assessment, holding};

/// Rows of one transaction: large enough to be fast, small enough to let others write in between.
pub const BATCH: usize = 200;

/// A row as read: its number in the file, and the person or the faults.
pub struct Told {
    pub row: i64,
    pub what: Result<Row, Vec<Fault>>,
    /// As it came.
    pub cells: Vec<String>,
}

/// Lands the batch and moves the run's counts on.
pub async fn land(store: &Store, caller: &Caller, run: &mut run::Model, sets: &[Set], batch: &[Told]) -> Result<(), Refusal> {
    let mut tx = store.begin(caller).await?;
    let mut landing = Landing::open(&tx, run, sets, batch).await?;
    for told in batch {
        match &told.what {
            Err(faults) => landing.reject(told.row, faults),
            Ok(row) => landing.take(&tx, told, row),
        }
    }
    let next = landing.close(&mut tx).await?;
    tx.commit().await?;
    *run = next;
    Ok(())
}

/// A household that rows of the batch belong to.
struct Home {
    row: Household,
    is_new: bool,
    change: Change,
    /// Criteria met by its members, of the last assessment and of the batch.
    criteria: BTreeSet<String>,
    assess: bool,
    assessed_on: NaiveDate,
}

/// What is known before the rows are looked at.
#[derive(Default)]
pub(super) struct Known {
    known: HashMap<String, submission::Model>,
    registered: HashSet<String>,
    waiting: HashMap<String, held::Model>,
    sealed: HashMap<Uuid, Uuid>,
}

pub(super) struct Landing<'a> {
    run: run::Model,
    sets: &'a [Set],
    known: HashMap<String, submission::Model>,
    /// Whose person is here, whoever sent it.
    registered: HashSet<String>,
    waiting: HashMap<String, held::Model>,
    /// Households that are being handed over, each with its tranche.
    sealed: HashMap<Uuid, Uuid>,
    held: Vec<held::Model>,
    seen: HashSet<&'a str>,
    homes: Vec<Home>,
    by_number: HashMap<(String, String), usize>,
    individuals: Vec<(Individual, usize)>,
    returns: Vec<ReturnEpisode>,
    consents: Vec<Consent>,
    submissions: Vec<submission::Model>,
    errors: Vec<error::Model>,
}

impl<'a> Landing<'a> {
    async fn open(tx: &Tx, run: &run::Model, sets: &'a [Set], batch: &'a [Told]) -> Result<Self, Refusal> {
        let rows: Vec<&Row> = batch.iter().filter_map(|told| told.what.as_ref().ok()).collect();
        let submissions = || rows.iter().map(|r| r.submission_id.as_str());
        let known = store::known(tx, run.programme_id, submissions()).await?;
        let registered = store::registered(tx, run.programme_id, submissions()).await?;
        let waiting = store::known_held(tx, run.programme_id, submissions()).await?;
        let districts: BTreeSet<_> = rows.iter().map(|r| r.district.code).collect();
        let numbers: BTreeSet<_> = rows.iter().map(|r| r.household_number.as_str()).collect();
        let (districts, numbers): (Vec<_>, Vec<_>) = (districts.into_iter().collect(), numbers.into_iter().collect());
        let households = household::numbered(tx, run.programme_id, &districts, &numbers).await?;
        let sealed = seal::among(tx, UnitKind::Household, households.iter().map(|h| h.id)).await?;
        Self::with(tx, run, sets, households, Known { known, registered, waiting, sealed }).await
    }

    /// For households that are known.
    pub(super) async fn with(
        tx: &Tx,
        run: &run::Model,
        sets: &'a [Set],
        households: Vec<Household>,
        known: Known,
    ) -> Result<Self, Refusal> {
        let Known { known, registered, waiting, sealed } = known;
        let last = vulnerability::all(tx, households.iter().filter_map(|h| h.assessment_id)).await?;
        let last: HashMap<Uuid, assessment::Model> = last.into_iter().map(|a| (a.id, a)).collect();

        let mut homes = Vec::new();
        let mut by_number = HashMap::new();
        for row in households {
            let before = row.assessment_id.and_then(|id| last.get(&id));
            let criteria = before.map(assessment::Model::met).transpose()?.unwrap_or_default();
            by_number.insert((row.district.clone(), row.household_number.clone()), homes.len());
            let assessed_on = before.map_or(row.registered_on, |a| a.assessed_on);
            homes.push(Home { row, is_new: false, change: Change::default(), criteria, assess: false, assessed_on });
        }
        Ok(Landing {
            run: run.clone(),
            sets,
            known,
            registered,
            waiting,
            sealed,
            held: Vec::new(),
            seen: HashSet::new(),
            homes,
            by_number,
            individuals: Vec::new(),
            returns: Vec::new(),
            consents: Vec::new(),
            submissions: Vec::new(),
            errors: Vec::new(),
        })
    }

    fn reject(&mut self, row: i64, faults: &[Fault]) {
        self.run.rows_read += 1;
        self.run.rejected += 1;
        self.errors.extend(faults.iter().map(|fault| error::Model {
            id: ids::new_id(),
            programme_id: self.run.programme_id,
            custodian_id: self.run.custodian_id,
            import_id: self.run.id,
            row_number: row,
            column_name: fault.column.to_owned(),
            reason: fault.rule.to_owned(),
            version: 1,
            recorded_at: clock::now(),
        }));
    }

    fn take(&mut self, tx: &Tx, told: &Told, row: &'a Row) {
        let number = told.row;
        if let Some(before) = self.known.get(&row.submission_id) {
            // A run that is taken up again counts what it has landed already as what it was.
            let own = before.import_id == self.run.id && before.row_number == number;
            self.run.rows_read += 1;
            self.run.accepted += i64::from(own);
            self.run.repeated += i64::from(!own);
            return;
        }
        if let Some(before) = self.waiting.get(&row.submission_id) {
            let own = before.import_id == self.run.id && before.row_number == number;
            self.run.rows_read += 1;
            self.run.held += i64::from(own);
            self.run.repeated += i64::from(!own);
            return;
        }
        if self.seen.contains(row.submission_id.as_str()) || self.registered.contains(&row.submission_id) {
            self.run.rows_read += 1;
            self.run.repeated += 1;
            return;
        }
        match self.home_of(tx, row) {
            Err(fault) => self.reject(number, &[fault]),
            Ok(home) => match self.sealed.get(&self.homes[home].row.id).copied() {
                Some(tranche) => self.hold(told, row, home, tranche),
                None => self.register(number, row, home),
            },
        }
    }

    /// Keeps the row until the handover of its household has ended.
    fn hold(&mut self, told: &Told, row: &'a Row, home: usize, tranche: Uuid) {
        let home = &self.homes[home].row;
        self.held.push(held::Model {
            id: ids::new_id(),
            programme_id: self.run.programme_id,
            custodian_id: self.run.custodian_id,
            recorded_at: clock::now(),
            district: home.district.clone(),
            import_id: self.run.id,
            row_number: told.row,
            submission_id: row.submission_id.clone(),
            household_id: home.id,
            tranche_id: tranche,
            cells: told.cells.clone().into(),
            state: State::Waiting.word().to_owned(),
            column_name: String::new(),
            reason: String::new(),
            settled_at: None,
        });
        self.seen.insert(&row.submission_id);
        self.run.rows_read += 1;
        self.run.held += 1;
    }

    /// The household that the row belongs to, made if it is not there.
    pub(super) fn home_of(&mut self, tx: &Tx, row: &Row) -> Result<usize, Fault> {
        if let Some(set) = holding(self.sets, row.submitted_on)
            && !row.criteria.iter().all(|code| set.criteria.knows(code))
        {
            return Err(Fault { column: "vulnerability", rule: "has a code that is not a criterion of the programme" });
        }
        let key = (row.district.code.to_owned(), row.household_number.clone());
        if let Some(at) = self.by_number.get(&key).copied() {
            let home = &self.homes[at].row;
            if tx.require_write(home.custodian_id, Some(&home.district)).is_err() {
                return Err(Fault { column: "household_number", rule: "is of a household that is not the caller's to change" });
            }
            if home.category != row.category.code() {
                return Err(Fault { column: "category", rule: "is not that of the household" });
            }
            if row.person.relation == Some(Relation::Head) && home.head_id.is_some() {
                return Err(Fault { column: "relation_to_head", rule: "the household has a head already" });
            }
            return Ok(at);
        }
        let custodian = tx.caller().tenant_id;
        if tx.require_write(custodian, Some(row.district.code)).is_err() {
            return Err(Fault { column: "district_pcode", rule: "is not a district that the caller may write in" });
        }
        let dwelling = Dwelling {
            category: row.category,
            place: row.place,
            district: row.district,
            number: row.household_number.clone(),
            size: row.household_size,
            registered_on: row.submitted_on,
            source: "import".to_owned(),
            enumerator: row.enumerator.clone(),
        };
        let at = self.homes.len();
        self.by_number.insert(key, at);
        self.homes.push(Home {
            row: new_household(dwelling, self.run.programme_id, custodian),
            is_new: true,
            change: Change::default(),
            criteria: BTreeSet::new(),
            assess: false,
            assessed_on: row.submitted_on,
        });
        Ok(at)
    }

    pub(super) fn register(&mut self, number: i64, row: &'a Row, at: usize) {
        let now = clock::now();
        let home = &mut self.homes[at];
        let mut individual = Individual::new(row.person.clone(), &home.row, row.submitted_on, now);
        individual.submission_id = Some(row.submission_id.clone());
        if row.person.relation == Some(Relation::Head) {
            home.row.head_id = Some(individual.id);
            home.change.head_id = Some(individual.id);
        }
        if row.household_size > home.row.household_size {
            home.row.household_size = row.household_size;
            home.change.size = Some(row.household_size);
        }
        if holding(self.sets, row.submitted_on).is_none() {
            self.run.unassessed += 1;
        } else {
            home.assess |= home.row.assessment_id.is_none() || !row.criteria.is_subset(&home.criteria);
            home.criteria.extend(row.criteria.iter().cloned());
            home.assessed_on = home.assessed_on.max(row.submitted_on);
        }
        if let Some(returned) = row.returned.clone() {
            self.returns.push(ReturnEpisode::new(returned, &home.row, Some(individual.id), now));
        }
        self.consents.push(Consent::new(&individual, Purpose::Assistance, Form::RegistrationForm, row.submitted_on, now));
        self.submissions.push(submission::Model {
            id: ids::new_id(),
            programme_id: self.run.programme_id,
            custodian_id: self.run.custodian_id,
            submission_id: row.submission_id.clone(),
            import_id: self.run.id,
            row_number: number,
            individual_id: individual.id,
            version: 1,
            recorded_at: now,
        });
        self.individuals.push((individual, at));
        self.seen.insert(&row.submission_id);
        self.run.rows_read += 1;
        self.run.accepted += 1;
    }

    fn assess(&mut self) -> Result<Vec<assessment::Model>, Refusal> {
        let mut rows = Vec::new();
        for home in self.homes.iter_mut().filter(|home| home.assess) {
            let Some(set) = holding(self.sets, home.assessed_on) else { continue };
            let score = set.criteria.score(&home.criteria);
            let row = assessment::Model::new(&score, set, &home.row, home.assessed_on, clock::now())?;
            home.row.priority_band = row.priority_band;
            home.row.assessment_id = Some(row.id);
            home.change.priority = Some((row.priority_band, row.id));
            rows.push(row);
        }
        Ok(rows)
    }

    /// Writes everything; the run as it is after the batch.
    async fn close(mut self, tx: &mut Tx) -> Result<run::Model, Refusal> {
        store::insert_held(tx, std::mem::take(&mut self.held)).await?;
        store::insert_errors(tx, std::mem::take(&mut self.errors)).await?;
        store::write(tx, &self.run).await?;
        self.settle(tx).await
    }

    /// Writes the people; the run's counts are its caller's.
    pub(super) async fn settle(mut self, tx: &mut Tx) -> Result<run::Model, Refusal> {
        let assessments = self.assess()?;
        let categories: Vec<String> = self.homes.iter().map(|home| home.row.category.clone()).collect();
        let (new, old): (Vec<Home>, Vec<Home>) = self.homes.into_iter().partition(|home| home.is_new);
        let new: Vec<Household> = new.into_iter().map(|home| home.row).collect();
        household::insert(tx, new.clone()).await?;
        for home in old.into_iter().filter(|home| home.change.is_some()) {
            household::change(tx, home.row, home.change).await?;
        }
        individual::insert(tx, self.individuals.iter().map(|(row, _)| row.clone()).collect()).await?;
        return_episode::insert(tx, self.returns.clone()).await?;
        consent::store::insert(tx, self.consents).await?;
        vulnerability::insert(tx, assessments.clone()).await?;
        store::insert_submissions(tx, self.submissions).await?;

        for row in &new {
            tx.publish(row.custodian_id, row.id, &household_registered(row)).await?;
        }
        for (row, home) in &self.individuals {
            let category = categories.get(*home).map(String::as_str).unwrap_or_default();
            tx.publish(row.custodian_id, row.id, &individual_registered(row, category)).await?;
        }
        for row in &self.returns {
            tx.publish(row.custodian_id, row.id, &recorded(row)).await?;
        }
        for row in &assessments {
            tx.publish(row.custodian_id, row.household_id, &assessed(row)).await?;
        }
        Ok(self.run)
    }
}
