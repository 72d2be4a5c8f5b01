//! Pledges on disk.

use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, QueryOrder};
use tahuka_chassis::{Refusal, Tx};

use super::Promise;
use crate::fields::nationwide;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pledge")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub donor_id: Uuid,
    /// None: for any kind.
    pub kind: Option<String>,
    pub amount_minor: i64,
    pub currency: String,
    pub pledged_on: Date,
    pub grant_id: Option<Uuid>,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

nationwide!();

impl From<Model> for Promise {
    fn from(row: Model) -> Self {
        Promise { kind: row.kind, currency: row.currency, minor: row.amount_minor, grant_id: row.grant_id }
    }
}

pub async fn insert(tx: &Tx, row: &Model) -> Result<(), Refusal> {
    Entity::insert(row.clone().into_active_model()).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Every pledge to the programme, oldest first.
pub async fn promises(tx: &Tx, programme: Uuid) -> Result<Vec<Promise>, Refusal> {
    let select = tx.find::<Entity>().filter(Column::ProgrammeId.eq(programme));
    let rows = select.order_by_asc(Column::PledgedOn).order_by_asc(Column::Id).all(tx.conn()).await?;
    Ok(rows.into_iter().map(Promise::from).collect())
}
