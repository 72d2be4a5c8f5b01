//! Signing keys on disk. A tenant's own.

use chrono::NaiveDate;
use sea_orm::ActiveValue::Set;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Tx, taken};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "signing_key")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub key_id: String,
    pub public_key: String,
    pub label: String,
    pub registered_on: Date,
    pub retired_on: Option<Date>,
    pub version: i64,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub async fn insert(tx: &Tx, row: Model) -> Result<Model, Refusal> {
    Entity::insert(row.clone().into_active_model())
        .exec_without_returning(tx.conn())
        .await
        .map_err(taken("KEY_KNOWN", "this key is registered already"))?;
    Ok(row)
}

fn own(tx: &Tx) -> Select<Entity> {
    Entity::find().filter(Column::TenantId.eq(tx.caller().tenant_id))
}

pub async fn get(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    own(tx).filter(Column::Id.eq(id)).one(tx.conn()).await?.ok_or_else(|| Refusal::not_found("signing key", id))
}

/// The caller's own key of this key id.
pub async fn by_key_id(tx: &Tx, key_id: &str) -> Result<Model, Refusal> {
    let found = own(tx).filter(Column::KeyId.eq(key_id)).one(tx.conn()).await?;
    found.ok_or_else(|| Refusal::not_found("signing key", None))
}

pub async fn list(tx: &Tx, page: &Page) -> Result<Vec<Model>, Refusal> {
    Ok(keyset(own(tx), Column::Id, page).all(tx.conn()).await?)
}

pub async fn retire(tx: &Tx, row: Model, on: NaiveDate) -> Result<Model, Refusal> {
    let change = ActiveModel { retired_on: Set(Some(on)), version: Set(row.version + 1), ..Default::default() };
    let done = Entity::update_many()
        .set(change)
        .filter(Column::Id.eq(row.id))
        .filter(Column::Version.eq(row.version))
        .exec(tx.conn())
        .await?;
    if done.rows_affected == 1 {
        return Ok(Model { retired_on: Some(on), version: row.version + 1, ..row });
    }
    Err(Refusal::conflict("CHANGED_MEANWHILE", "the key has changed since; read it again"))
}
