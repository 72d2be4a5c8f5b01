//! Handover agreements on disk. Seen by their two parties.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, IntoActiveModel};
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Tx, clock};

use super::{Agreement, State};
use crate::json;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "handover_agreement")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub sender_id: Uuid,
    pub recipient_id: Uuid,
    pub programme_id: Uuid,
    pub state: String,
    pub purpose: String,
    pub programme: Json,
    pub sender_name: String,
    pub recipient_name: String,
    pub criteria: Json,
    pub retained: Json,
    pub sender_key: String,
    pub recipient_key: String,
    pub envelope: String,
    pub proposed_on: Date,
    pub sender_signed_on: Option<Date>,
    pub recipient_signed_on: Option<Date>,
    pub ended_on: Option<Date>,
    pub version: i64,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    fn new(agreement: &Agreement) -> Result<Self, Refusal> {
        Ok(Model {
            id: agreement.id,
            sender_id: agreement.sender_id,
            recipient_id: agreement.recipient_id,
            programme_id: agreement.programme_id,
            state: agreement.state.word().to_owned(),
            purpose: agreement.purpose.clone(),
            programme: json::kept(&agreement.programme)?,
            sender_name: agreement.sender_name.clone(),
            recipient_name: agreement.recipient_name.clone(),
            criteria: json::kept(&agreement.criteria)?,
            retained: json::kept(&agreement.retained)?,
            sender_key: agreement.sender_key.clone(),
            recipient_key: agreement.recipient_key.clone(),
            envelope: agreement.envelope.clone(),
            proposed_on: agreement.proposed_on,
            sender_signed_on: agreement.sender_signed_on,
            recipient_signed_on: agreement.recipient_signed_on,
            ended_on: agreement.ended_on,
            version: 1,
            recorded_at: clock::now(),
        })
    }

    pub fn agreement(&self) -> Result<Agreement, Refusal> {
        Ok(Agreement {
            id: self.id,
            programme_id: self.programme_id,
            sender_id: self.sender_id,
            recipient_id: self.recipient_id,
            state: State::parse(&self.state).ok_or_else(|| Refusal::internal("unknown word in handover_agreement.state"))?,
            purpose: self.purpose.clone(),
            programme: json::read(&self.programme, "handover_agreement.programme")?,
            sender_name: self.sender_name.clone(),
            recipient_name: self.recipient_name.clone(),
            criteria: json::read(&self.criteria, "handover_agreement.criteria")?,
            retained: json::read(&self.retained, "handover_agreement.retained")?,
            sender_key: self.sender_key.clone(),
            recipient_key: self.recipient_key.clone(),
            envelope: self.envelope.clone(),
            proposed_on: self.proposed_on,
            sender_signed_on: self.sender_signed_on,
            recipient_signed_on: self.recipient_signed_on,
            ended_on: self.ended_on,
        })
    }
}

pub async fn insert(tx: &Tx, agreement: &Agreement) -> Result<Model, Refusal> {
    let row = Model::new(agreement)?;
    Entity::insert(row.clone().into_active_model()).exec_without_returning(tx.conn()).await?;
    Ok(row)
}

fn of(tenant: Uuid) -> Select<Entity> {
    Entity::find().filter(Condition::any().add(Column::SenderId.eq(tenant)).add(Column::RecipientId.eq(tenant)))
}

pub async fn get(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let found = of(tx.caller().tenant_id).filter(Column::Id.eq(id)).one(tx.conn()).await?;
    found.ok_or_else(|| Refusal::not_found("handover agreement", id))
}

/// For the house itself, which is no party.
pub async fn known(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    Entity::find_by_id(id).one(tx.conn()).await?.ok_or_else(|| Refusal::not_found("handover agreement", id))
}

pub async fn list(tx: &Tx, programme: Option<Uuid>, page: &Page) -> Result<Vec<Model>, Refusal> {
    let select = programme.into_iter().fold(of(tx.caller().tenant_id), |s, id| s.filter(Column::ProgrammeId.eq(id)));
    Ok(keyset(select, Column::Id, page).all(tx.conn()).await?)
}

/// Makes whoever seals a tranche of the sender's at the same moment wait, so that each sees what the other holds.
pub async fn one_at_a_time(tx: &Tx, sender: Uuid, programme: Uuid) -> Result<(), Refusal> {
    Entity::update_many()
        .col_expr(Column::Version, Expr::col(Column::Version))
        .filter(Column::SenderId.eq(sender))
        .filter(Column::ProgrammeId.eq(programme))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Writes what `old` has become.
pub async fn update(tx: &Tx, old: Model, agreement: &Agreement) -> Result<Model, Refusal> {
    let row = Model { version: old.version + 1, recorded_at: old.recorded_at, ..Model::new(agreement)? };
    let change = ActiveModel {
        state: Set(row.state.clone()),
        recipient_key: Set(row.recipient_key.clone()),
        envelope: Set(row.envelope.clone()),
        sender_signed_on: Set(row.sender_signed_on),
        recipient_signed_on: Set(row.recipient_signed_on),
        ended_on: Set(row.ended_on),
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
