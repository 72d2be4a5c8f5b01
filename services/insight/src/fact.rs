//! Facts: what each event added to which cell, one row for each. A fact never changes: who answers for it follows from
//! its unit (see `custody`), so a tranche goes over without a fact being written.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use tahuka_chassis::{Event, Refusal, Tx};
use tahuka_proto::UnitKind;

use crate::custody::Unit;
use crate::indicator::Cell;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "fact")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: Uuid,
    /// Its place among the event's facts.
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i32,
    pub programme_id: Uuid,
    /// Who answered for it when it was counted.
    pub custodian_id: Uuid,
    pub indicator: String,
    pub district: String,
    pub kind: String,
    pub sex: String,
    pub age_band: String,
    pub category: String,
    pub grant_id: String,
    pub month: String,
    pub currency: String,
    pub happened_on: Date,
    pub recorded_at: DateTimeUtc,
    /// What the event is of; empty for what belongs to none, as a campaign.
    pub unit_kind: String,
    pub unit_id: Option<Uuid>,
    pub value: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What an event adds to a cell. The cell's custodian is the one that the event tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    pub cell: Cell,
    pub value: i64,
    /// What it is of.
    pub unit: Option<Unit>,
}

/// A delta with the event that it comes from.
#[derive(Debug, Clone)]
pub struct Fact {
    pub event: Uuid,
    pub number: i32,
    pub happened_on: NaiveDate,
    pub recorded_at: DateTime<Utc>,
    pub delta: Delta,
}

impl Fact {
    pub fn all(event: &Event, happened_on: NaiveDate, deltas: Vec<Delta>) -> impl Iterator<Item = Fact> {
        let (event, recorded_at) = (event.id, event.recorded_at);
        let numbered = (0..).zip(deltas);
        numbered.map(move |(number, delta)| Fact { event, number, happened_on, recorded_at, delta })
    }

    /// The grant whose money it is.
    pub fn grant(&self) -> Option<Uuid> {
        let cell = &self.delta.cell;
        if cell.currency.is_empty() { None } else { Uuid::try_parse(&cell.grant_id).ok() }
    }

    /// What decides who answers for it: money goes with its grant, all else with the household or project.
    pub fn held_by(&self) -> Option<Unit> {
        self.grant().map(|id| (UnitKind::Grant, id)).or(self.delta.unit)
    }

    fn row(self) -> ActiveModel {
        let Delta { cell, value, unit } = self.delta;
        ActiveModel {
            event_id: Set(self.event),
            number: Set(self.number),
            programme_id: Set(cell.programme_id),
            custodian_id: Set(cell.custodian_id),
            indicator: Set(cell.indicator.into_owned()),
            district: Set(cell.district),
            kind: Set(cell.kind),
            sex: Set(cell.sex),
            age_band: Set(cell.age_band),
            category: Set(cell.category),
            grant_id: Set(cell.grant_id),
            month: Set(cell.month),
            currency: Set(cell.currency),
            happened_on: Set(self.happened_on),
            recorded_at: Set(self.recorded_at),
            unit_kind: Set(unit.map_or("", |(kind, _)| kind.word()).to_owned()),
            unit_id: Set(unit.map(|(_, id)| id)),
            value: Set(value),
        }
    }
}

/// Rows of one statement, within what SQLite binds.
const CHUNK: usize = 1_000;

pub async fn insert(tx: &Tx, facts: Vec<Fact>) -> Result<(), Refusal> {
    let mut rows = facts.into_iter().map(Fact::row).peekable();
    while rows.peek().is_some() {
        let chunk: Vec<_> = rows.by_ref().take(CHUNK).collect();
        Entity::insert_many(chunk).exec_without_returning(tx.conn()).await?;
    }
    Ok(())
}
