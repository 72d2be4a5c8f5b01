//! Consents on disk.

use chrono::NaiveDate;
use sea_orm::ActiveValue::Set;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Scoped, Tx, ids};

use super::{Form, Purpose};
use crate::individual::store as individual;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "consent")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub district: String,
    pub household_id: Uuid,
    pub individual_id: Uuid,
    pub purpose: String,
    pub form: String,
    pub given_on: Date,
    pub withdrawn_on: Option<Date>,
    pub version: i64,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Scoped for Entity {
    fn custodian() -> Column {
        Column::CustodianId
    }
    fn district() -> Option<Column> {
        Some(Column::District)
    }
}

impl Model {
    pub fn new(of: &individual::Model, purpose: Purpose, form: Form, given_on: NaiveDate, recorded_at: DateTimeUtc) -> Self {
        Model {
            id: ids::new_id(),
            programme_id: of.programme_id,
            custodian_id: of.custodian_id,
            district: of.district.clone(),
            household_id: of.household_id,
            individual_id: of.id,
            purpose: purpose.code().to_owned(),
            form: form.code().to_owned(),
            given_on,
            withdrawn_on: None,
            version: 1,
            recorded_at,
        }
    }
}

pub async fn get_for_write(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let found = tx.find::<Entity>().filter(Column::Id.eq(id)).one(tx.conn()).await?;
    let consent = found.ok_or_else(|| Refusal::not_found("consent", id))?;
    tx.require_write(consent.custodian_id, Some(&consent.district))?;
    Ok(consent)
}

pub async fn list(tx: &Tx, individual_id: Uuid, page: &Page) -> Result<Vec<Model>, Refusal> {
    let select = tx.find::<Entity>().filter(Column::IndividualId.eq(individual_id));
    Ok(keyset(select, Column::Id, page).all(tx.conn()).await?)
}

/// All consents of these people to one purpose, withdrawn ones too.
pub async fn of(tx: &Tx, individuals: impl IntoIterator<Item = Uuid>, purpose: Purpose) -> Result<Vec<Model>, Refusal> {
    let select = tx.find::<Entity>().filter(Column::IndividualId.is_in(individuals)).filter(Column::Purpose.eq(purpose.code()));
    Ok(select.all(tx.conn()).await?)
}

pub async fn insert(tx: &Tx, rows: Vec<Model>) -> Result<(), Refusal> {
    if !rows.is_empty() {
        Entity::insert_many(rows.into_iter().map(IntoActiveModel::into_active_model)).exec_without_returning(tx.conn()).await?;
    }
    Ok(())
}

pub async fn withdraw(tx: &Tx, consent: Model, on: NaiveDate) -> Result<Model, Refusal> {
    let next = Model { version: consent.version + 1, withdrawn_on: Some(on), ..consent };
    let row = ActiveModel { version: Set(next.version), withdrawn_on: Set(Some(on)), ..Default::default() };
    let done = Entity::update_many()
        .set(row)
        .filter(Column::Id.eq(next.id))
        .filter(Column::Version.eq(next.version - 1))
        .exec(tx.conn())
        .await?;
    if done.rows_affected == 1 {
        return Ok(next);
    }
    Err(Refusal::conflict("ETAG_MISMATCH", "the consent has changed since; read it again and repeat"))
}
