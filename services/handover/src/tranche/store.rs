//! Tranches on disk. Seen by their two parties.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, IntoActiveModel, QueryOrder, QuerySelect as _};
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Tx, clock, taken};

use super::{State, Tranche};
use crate::json;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tranche")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub sender_id: Uuid,
    pub recipient_id: Uuid,
    pub agreement_id: Uuid,
    pub programme_id: Uuid,
    pub name: String,
    pub number: i32,
    pub state: String,
    pub contents: Json,
    pub bundle_number: i32,
    pub envelope: String,
    pub manifest_sha256: String,
    pub readiness: Json,
    pub verification: String,
    pub planned_on: Date,
    pub sealed_on: Option<Date>,
    pub bundled_on: Option<Date>,
    pub verified_on: Option<Date>,
    pub sender_signed_on: Option<Date>,
    pub recipient_signed_on: Option<Date>,
    pub ended_on: Option<Date>,
    pub sealed_at: Option<DateTimeUtc>,
    pub bundled_at: Option<DateTimeUtc>,
    pub closed_at: Option<DateTimeUtc>,
    pub version: i64,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    fn new(tranche: &Tranche) -> Result<Self, Refusal> {
        Ok(Model {
            id: tranche.id,
            sender_id: tranche.sender_id,
            recipient_id: tranche.recipient_id,
            agreement_id: tranche.agreement_id,
            programme_id: tranche.programme_id,
            name: tranche.name.clone(),
            number: tranche.number,
            state: tranche.state.word().to_owned(),
            contents: json::kept(&tranche.contents)?,
            bundle_number: tranche.bundle_number,
            envelope: tranche.envelope.clone(),
            manifest_sha256: tranche.manifest_sha256.clone(),
            readiness: json::kept(&tranche.readiness)?,
            verification: tranche.verification.clone(),
            planned_on: tranche.planned_on,
            sealed_on: tranche.sealed_on,
            bundled_on: tranche.bundled_on,
            verified_on: tranche.verified_on,
            sender_signed_on: tranche.sender_signed_on,
            recipient_signed_on: tranche.recipient_signed_on,
            ended_on: tranche.ended_on,
            sealed_at: tranche.sealed_at,
            bundled_at: tranche.bundled_at,
            closed_at: tranche.closed_at,
            version: 1,
            recorded_at: clock::now(),
        })
    }

    pub fn tranche(&self) -> Result<Tranche, Refusal> {
        Ok(Tranche {
            id: self.id,
            agreement_id: self.agreement_id,
            programme_id: self.programme_id,
            sender_id: self.sender_id,
            recipient_id: self.recipient_id,
            name: self.name.clone(),
            number: self.number,
            state: State::parse(&self.state).ok_or_else(|| Refusal::internal("unknown word in tranche.state"))?,
            contents: json::read(&self.contents, "tranche.contents")?,
            bundle_number: self.bundle_number,
            envelope: self.envelope.clone(),
            manifest_sha256: self.manifest_sha256.clone(),
            readiness: json::read(&self.readiness, "tranche.readiness")?,
            verification: self.verification.clone(),
            planned_on: self.planned_on,
            sealed_on: self.sealed_on,
            bundled_on: self.bundled_on,
            verified_on: self.verified_on,
            sender_signed_on: self.sender_signed_on,
            recipient_signed_on: self.recipient_signed_on,
            ended_on: self.ended_on,
            sealed_at: self.sealed_at,
            bundled_at: self.bundled_at,
            closed_at: self.closed_at,
        })
    }
}

pub async fn insert(tx: &Tx, tranche: &Tranche) -> Result<Model, Refusal> {
    let row = Model::new(tranche)?;
    Entity::insert(row.clone().into_active_model())
        .exec_without_returning(tx.conn())
        .await
        .map_err(taken("CHANGED_MEANWHILE", "another tranche was planned at the same moment; plan this one again"))?;
    Ok(row)
}

/// The number of the agreement's next tranche.
pub async fn next_number(tx: &Tx, agreement: Uuid) -> Result<i32, Refusal> {
    let last = Entity::find().filter(Column::AgreementId.eq(agreement)).order_by_desc(Column::Number);
    Ok(last.one(tx.conn()).await?.map_or(1, |row| row.number + 1))
}

fn of(tenant: Uuid) -> Select<Entity> {
    Entity::find().filter(Condition::any().add(Column::SenderId.eq(tenant)).add(Column::RecipientId.eq(tenant)))
}

pub async fn get(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let found = of(tx.caller().tenant_id).filter(Column::Id.eq(id)).one(tx.conn()).await?;
    found.ok_or_else(|| Refusal::not_found("tranche", id))
}

/// For the house itself, which is no party. Whoever else is to note an answer waits: the one that finds all of them there is
/// the last.
pub async fn known(tx: &Tx, id: Uuid) -> Result<Option<Model>, Refusal> {
    Ok(Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await?)
}

#[derive(Debug)]
pub struct Filter {
    pub programme_id: Option<Uuid>,
    pub agreement_id: Option<Uuid>,
}

pub async fn list(tx: &Tx, filter: &Filter, page: &Page) -> Result<Vec<Model>, Refusal> {
    let conditions =
        [filter.programme_id.map(|id| Column::ProgrammeId.eq(id)), filter.agreement_id.map(|id| Column::AgreementId.eq(id))];
    let select = conditions.into_iter().flatten().fold(of(tx.caller().tenant_id), QueryFilter::filter);
    Ok(keyset(select, Column::Id, page).all(tx.conn()).await?)
}

/// The sender's other tranches of the programme whose records are held fast.
pub async fn holding(tx: &Tx, tranche: &Tranche) -> Result<Vec<Tranche>, Refusal> {
    let at_rest = State::ALL.iter().filter(|state| !state.holds()).map(|state| state.word());
    let rows = Entity::find()
        .filter(Column::SenderId.eq(tranche.sender_id))
        .filter(Column::ProgrammeId.eq(tranche.programme_id))
        .filter(Column::Id.ne(tranche.id))
        .filter(Column::State.is_not_in(at_rest))
        .all(tx.conn())
        .await?;
    rows.iter().map(Model::tranche).collect()
}

/// Writes what `old` has become.
pub async fn update(tx: &Tx, old: Model, tranche: &Tranche) -> Result<Model, Refusal> {
    let row = Model { version: old.version + 1, recorded_at: old.recorded_at, ..Model::new(tranche)? };
    let change = ActiveModel {
        state: Set(row.state.clone()),
        bundle_number: Set(row.bundle_number),
        envelope: Set(row.envelope.clone()),
        manifest_sha256: Set(row.manifest_sha256.clone()),
        readiness: Set(row.readiness.clone()),
        verification: Set(row.verification.clone()),
        sealed_on: Set(row.sealed_on),
        bundled_on: Set(row.bundled_on),
        verified_on: Set(row.verified_on),
        sender_signed_on: Set(row.sender_signed_on),
        recipient_signed_on: Set(row.recipient_signed_on),
        ended_on: Set(row.ended_on),
        sealed_at: Set(row.sealed_at),
        bundled_at: Set(row.bundled_at),
        closed_at: Set(row.closed_at),
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
    Err(Refusal::conflict("CHANGED_MEANWHILE", "the tranche has changed since; read it again"))
}
