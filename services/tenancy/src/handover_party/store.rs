//! Who else answers for records of a programme, on disk.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{Condition, IntoActiveModel};
use tahuka_chassis::{Refusal, Tx};

use crate::agreement::{Agreement, State, store as agreement};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "programme_custodian")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub programme_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// The handover agreement that made it so.
    pub agreement_id: Uuid,
    pub since: Date,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub async fn add(tx: &Tx, row: Model) -> Result<(), Refusal> {
    let known = OnConflict::columns([Column::ProgrammeId, Column::TenantId]).do_nothing().to_owned();
    Entity::insert(row.into_active_model()).on_conflict(known).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Every agreement of the programme that one of the two lets others in by.
pub async fn agreements(tx: &Tx, programme: Uuid, sender: Uuid, recipient: Uuid) -> Result<Vec<Agreement>, Refusal> {
    use agreement::Column as Of;
    let rows = agreement::Entity::find()
        .filter(Of::ProgrammeId.eq(programme))
        .filter(Condition::any().add(Of::CustodianId.eq(sender)).add(Of::CustodianId.eq(recipient)))
        .filter(Of::State.eq(State::Active.as_str()))
        .all(tx.conn())
        .await?;
    rows.iter().map(agreement::Model::agreement).collect()
}
