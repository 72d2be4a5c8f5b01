//! Donors on disk. A donor's own tenant sees itself only.

use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, TenantKind, Tx};

use crate::fields::nationwide;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "donor")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub custodian_id: Uuid,
    pub name: String,
    pub tenant_id: Option<Uuid>,
    pub country: String,
    pub version: i64,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

nationwide!();

fn seen(tx: &Tx) -> Select<Entity> {
    let select = tx.find::<Entity>();
    match tx.caller().tenant_kind {
        TenantKind::Donor => select.filter(Column::TenantId.eq(tx.caller().tenant_id)),
        _ => select,
    }
}

pub async fn get(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let found = seen(tx).filter(Column::Id.eq(id)).one(tx.conn()).await?;
    found.ok_or_else(|| Refusal::not_found("donor", id))
}

pub async fn list(tx: &Tx, page: &Page) -> Result<Vec<Model>, Refusal> {
    Ok(keyset(seen(tx), Column::Id, page).all(tx.conn()).await?)
}

pub async fn insert(tx: &Tx, row: &Model) -> Result<(), Refusal> {
    Entity::insert(row.clone().into_active_model()).exec_without_returning(tx.conn()).await?;
    Ok(())
}
