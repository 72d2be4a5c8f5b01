//! Who has done what with a tranche: its trail, which is only ever added to.

use chrono::NaiveDate;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Tx, clock, ids};

use super::Tranche;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tranche_change")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tranche_id: Uuid,
    pub sender_id: Uuid,
    pub recipient_id: Uuid,
    /// The party that acted; nil where the platform went on by itself.
    pub tenant_id: Uuid,
    pub action: String,
    /// Of the tranche, after it.
    pub state: String,
    pub bundle_number: i32,
    pub note: String,
    pub happened_on: Date,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What the caller has done; `tranche` is as it is now.
pub async fn note(tx: &Tx, tranche: &Tranche, action: &str, note: &str, on: NaiveDate) -> Result<(), Refusal> {
    let row = Model {
        id: ids::new_id(),
        tranche_id: tranche.id,
        sender_id: tranche.sender_id,
        recipient_id: tranche.recipient_id,
        tenant_id: tx.caller().tenant_id,
        action: action.to_owned(),
        state: tranche.state.word().to_owned(),
        bundle_number: tranche.bundle_number,
        note: note.to_owned(),
        happened_on: on,
        recorded_at: clock::now(),
    };
    Entity::insert(row.into_active_model()).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Of a tranche that the caller has read.
pub async fn list(tx: &Tx, tranche: Uuid, page: &Page) -> Result<Vec<Model>, Refusal> {
    Ok(keyset(Entity::find().filter(Column::TrancheId.eq(tranche)), Column::Id, page).all(tx.conn()).await?)
}
