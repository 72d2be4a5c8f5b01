//! Who has done what with an agreement: its audit trail, which is only ever added to.

use chrono::NaiveDate;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Tx, clock, coded, ids};

use super::{Agreement, State};

coded!(
    Action {
        Proposed = 1 "proposed",
        AmendmentProposed = 2 "amendment_proposed",
        Signed = 3 "signed",
        Revoked = 4 "revoked",
    }
);

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "agreement_change")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub agreement_id: Uuid,
    pub custodian_id: Uuid,
    pub recipient_id: Uuid,
    /// The party that acted, and who of its staff.
    pub tenant_id: Uuid,
    pub subject: String,
    pub action: String,
    pub revision: i32,
    /// Of the agreement, after it.
    pub state: String,
    pub revision_in_force: i32,
    pub happened_on: Date,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The revision that is in force; 0 for none.
pub fn in_force(agreement: &Agreement) -> i32 {
    if agreement.state == State::Active { agreement.revision } else { 0 }
}

/// What the caller has done with `revision`; `agreement` is as it is now.
pub async fn note(tx: &Tx, agreement: &Agreement, action: Action, revision: i32, on: NaiveDate) -> Result<(), Refusal> {
    let caller = tx.caller();
    note_of(tx, caller.tenant_id, &caller.subject, agreement, action, revision, on).await
}

/// As `note`, of a party that is not here to do it.
pub async fn note_of(
    tx: &Tx,
    tenant: Uuid,
    subject: &str,
    agreement: &Agreement,
    action: Action,
    revision: i32,
    on: NaiveDate,
) -> Result<(), Refusal> {
    let row = Model {
        id: ids::new_id(),
        agreement_id: agreement.id,
        custodian_id: agreement.custodian_id,
        recipient_id: agreement.recipient_id,
        tenant_id: tenant,
        subject: subject.to_owned(),
        action: action.word().to_owned(),
        revision,
        state: agreement.state.as_str().to_owned(),
        revision_in_force: in_force(agreement),
        happened_on: on,
        recorded_at: clock::now(),
    };
    Entity::insert(row.into_active_model()).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Of an agreement that the caller has read.
pub async fn list(tx: &Tx, agreement: Uuid, page: &Page) -> Result<Vec<Model>, Refusal> {
    Ok(keyset(Entity::find().filter(Column::AgreementId.eq(agreement)), Column::Id, page).all(tx.conn()).await?)
}
