//! Agreements on disk. Seen by their two parties.

use chrono::NaiveDate;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, IntoActiveModel, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use tahuka_chassis::{Page, Refusal, Tx, clock};
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};

use super::{Agreement, State, Term};
use crate::edge::unknown;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "agreement")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub recipient_id: Uuid,
    pub state: String,
    pub terms: Json,
    pub purpose: String,
    pub starts_on: Date,
    pub ends_on: Date,
    pub custodian_signed_on: Option<Date>,
    pub recipient_signed_on: Option<Date>,
    pub revoked_on: Option<Date>,
    pub version: i64,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

#[derive(Serialize, Deserialize)]
struct TermRow {
    category: String,
    level: String,
    districts: Vec<String>,
    write: bool,
}

impl TermRow {
    fn term(self) -> Option<Term> {
        Some(Term {
            category: DataCategory::from_str_name(&self.category)?,
            level: DisclosureLevel::from_str_name(&self.level)?,
            districts: self.districts,
            write: self.write,
        })
    }
}

impl Model {
    fn new(agreement: &Agreement) -> Result<Self, Refusal> {
        let term = |term: &Term| TermRow {
            category: term.category.as_str_name().to_owned(),
            level: term.level.as_str_name().to_owned(),
            districts: term.districts.clone(),
            write: term.write,
        };
        let terms: Vec<_> = agreement.terms.iter().map(term).collect();
        Ok(Model {
            id: agreement.id,
            programme_id: agreement.programme_id,
            custodian_id: agreement.custodian_id,
            recipient_id: agreement.recipient_id,
            state: agreement.state.as_str().to_owned(),
            terms: serde_json::to_value(terms).map_err(Refusal::internal)?,
            purpose: agreement.purpose.clone(),
            starts_on: agreement.starts_on,
            ends_on: agreement.ends_on,
            custodian_signed_on: agreement.custodian_signed_on,
            recipient_signed_on: agreement.recipient_signed_on,
            revoked_on: agreement.revoked_on,
            version: 1,
            recorded_at: clock::now(),
        })
    }

    /// With its state as of today.
    pub fn agreement(&self) -> Result<Agreement, Refusal> {
        let state = match self.state.as_str() {
            "proposed" => {
                State::Proposed { custodian: self.custodian_signed_on.is_some(), recipient: self.recipient_signed_on.is_some() }
            }
            "active" => State::Active,
            "revoked" => State::Revoked,
            "expired" => State::Expired,
            _ => return Err(unknown("agreement.state")),
        };
        let terms: Vec<TermRow> = serde_json::from_value(self.terms.clone()).map_err(|_| unknown("agreement.terms"))?;
        let terms = terms.into_iter().map(|row| row.term().ok_or_else(|| unknown("agreement.terms")));
        let agreement = Agreement {
            id: self.id,
            programme_id: self.programme_id,
            custodian_id: self.custodian_id,
            recipient_id: self.recipient_id,
            state,
            terms: terms.collect::<Result<_, _>>()?,
            purpose: self.purpose.clone(),
            starts_on: self.starts_on,
            ends_on: self.ends_on,
            custodian_signed_on: self.custodian_signed_on,
            recipient_signed_on: self.recipient_signed_on,
            revoked_on: self.revoked_on,
        };
        Ok(agreement.dated(clock::today()))
    }
}

pub async fn insert(tx: &Tx, agreement: &Agreement) -> Result<Model, Refusal> {
    let row = Model::new(agreement)?;
    Entity::insert(row.clone().into_active_model()).exec_without_returning(tx.conn()).await?;
    Ok(row)
}

pub async fn get(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let found = parties(tx).filter(Column::Id.eq(id)).one(tx.conn()).await?;
    found.ok_or_else(|| Refusal::not_found("agreement", id))
}

pub async fn list(tx: &Tx, programme: Option<Uuid>, page: &Page) -> Result<Vec<Model>, Refusal> {
    let mut select = parties(tx).order_by_asc(Column::Id).limit(page.size + 1);
    if let Some(after) = page.after {
        select = select.filter(Column::Id.gt(after));
    }
    if let Some(programme) = programme {
        select = select.filter(Column::ProgrammeId.eq(programme));
    }
    Ok(select.all(tx.conn()).await?)
}

/// Writes the new state of `old`; what was agreed never changes.
pub async fn update(tx: &Tx, old: Model, agreement: &Agreement) -> Result<Model, Refusal> {
    let row = Model { version: old.version + 1, recorded_at: old.recorded_at, ..Model::new(agreement)? };
    let change = ActiveModel {
        state: Set(row.state.clone()),
        custodian_signed_on: Set(row.custodian_signed_on),
        recipient_signed_on: Set(row.recipient_signed_on),
        revoked_on: Set(row.revoked_on),
        version: Set(row.version),
        ..Default::default()
    };
    let done = Entity::update_many()
        .set(change)
        .filter(Column::Id.eq(old.id))
        .filter(Column::Version.eq(old.version))
        .exec(tx.conn())
        .await?;
    if done.rows_affected == 1 {
        return Ok(row);
    }
    Err(Refusal::conflict("CHANGED_MEANWHILE", "the agreement has changed since; read it again"))
}

/// Every agreement that may be in force for the recipient `today`.
pub async fn in_force(tx: &Tx, recipient: Uuid, today: NaiveDate) -> Result<Vec<Agreement>, Refusal> {
    let rows = held_out_to(recipient, today)
        .filter(Column::State.eq(State::Active.as_str()))
        .filter(Column::StartsOn.lte(today))
        .order_by_asc(Column::Id)
        .all(tx.conn())
        .await?;
    rows.iter().map(Model::agreement).collect()
}

/// Those that are proposed to the recipient or active, and have not ended by `today`.
pub fn held_out_to(recipient: Uuid, today: NaiveDate) -> Select<Entity> {
    Entity::find()
        .filter(Column::RecipientId.eq(recipient))
        .filter(Column::State.is_in([State::PROPOSED.as_str(), State::Active.as_str()]))
        .filter(Column::EndsOn.gte(today))
}

fn parties(tx: &Tx) -> Select<Entity> {
    let tenant = tx.caller().tenant_id;
    Entity::find().filter(Condition::any().add(Column::CustodianId.eq(tenant)).add(Column::RecipientId.eq(tenant)))
}
