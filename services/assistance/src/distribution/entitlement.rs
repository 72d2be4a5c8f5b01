//! Entitlements on disk: who is on a distribution's list, and the proof that it was handed over.

use chrono::NaiveDate;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Scoped, Tx, clock, ids, taken};

use super::{EntitlementState, Proof};
use crate::batch::{overtaken, per_row};
use crate::plan::store as plan;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "entitlement")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub district: String,
    pub distribution_id: Uuid,
    pub plan_id: Uuid,
    pub individual_id: Uuid,
    pub household_id: Uuid,
    pub item: String,
    pub state: String,
    pub proof_kind: Option<String>,
    pub proof_reference: Option<String>,
    pub delivered_on: Option<Date>,
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
    pub fn new(distribution: Uuid, plan: &plan::Model) -> Self {
        Model {
            id: ids::new_id(),
            programme_id: plan.programme_id,
            custodian_id: plan.custodian_id,
            district: plan.district.clone(),
            distribution_id: distribution,
            plan_id: plan.id,
            individual_id: plan.individual_id,
            household_id: plan.household_id,
            item: plan.item.clone(),
            state: EntitlementState::Open.word().to_owned(),
            proof_kind: None,
            proof_reference: None,
            delivered_on: None,
            version: 1,
            recorded_at: clock::now(),
        }
    }

    pub fn state(&self) -> Result<EntitlementState, Refusal> {
        EntitlementState::parse(&self.state).ok_or_else(|| Refusal::internal("entitlement.state"))
    }
}

pub async fn insert(tx: &Tx, rows: Vec<Model>) -> Result<(), Refusal> {
    let rows = rows.into_iter().map(IntoActiveModel::into_active_model);
    let done = Entity::insert_many(rows).exec_without_returning(tx.conn()).await;
    done.map(|_| ()).map_err(taken("ALREADY_LISTED", "one of the plans is on a list already"))
}

/// The whole list of a distribution, lapsed ones included.
pub async fn all(tx: &Tx, distribution: Uuid) -> Result<Vec<Model>, Refusal> {
    Ok(tx.find::<Entity>().filter(Column::DistributionId.eq(distribution)).all(tx.conn()).await?)
}

pub async fn list(tx: &Tx, distribution: Uuid, state: Option<EntitlementState>, page: &Page) -> Result<Vec<Model>, Refusal> {
    let mut select = tx.find::<Entity>().filter(Column::DistributionId.eq(distribution));
    if let Some(state) = state {
        select = select.filter(Column::State.eq(state.word()));
    }
    Ok(keyset(select, Column::Id, page).all(tx.conn()).await?)
}

/// When something was handed over, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub proof: Proof,
    pub reference: String,
    pub on: NaiveDate,
}

/// Writes the proofs of deliveries into entitlements that are still open.
pub async fn deliver(tx: &Tx, deliveries: &[(Uuid, Delivery)]) -> Result<(), Refusal> {
    let proofs = deliveries.iter().map(|(id, d)| (*id, d.proof.word())).collect();
    let references = deliveries.iter().map(|(id, d)| (*id, d.reference.clone())).collect();
    let days = deliveries.iter().map(|(id, d)| (*id, d.on)).collect();
    let changes = vec![
        (Column::ProofKind, per_row(Column::Id, Column::ProofKind, proofs)),
        (Column::ProofReference, per_row(Column::Id, Column::ProofReference, references)),
        (Column::DeliveredOn, per_row(Column::Id, Column::DeliveredOn, days)),
    ];
    end(tx, EntitlementState::Delivered, deliveries.iter().map(|(id, _)| *id).collect(), changes).await
}

/// These were not collected.
pub async fn lapse(tx: &Tx, ids: Vec<Uuid>) -> Result<(), Refusal> {
    end(tx, EntitlementState::Lapsed, ids, Vec::new()).await
}

/// The person of this plan leaves the list, not served.
pub async fn give_up(tx: &Tx, plan: Uuid) -> Result<(), Refusal> {
    let open = Column::PlanId.eq(plan).and(Column::State.eq(EntitlementState::Open.word()));
    match tx.find::<Entity>().filter(open).one(tx.conn()).await? {
        Some(entitlement) => lapse(tx, vec![entitlement.id]).await,
        None => Ok(()),
    }
}

async fn end(tx: &Tx, state: EntitlementState, ids: Vec<Uuid>, changes: Vec<(Column, Expr)>) -> Result<(), Refusal> {
    if ids.is_empty() {
        return Ok(());
    }
    let wanted = u64::try_from(ids.len()).map_err(Refusal::internal)?;
    let update = Entity::update_many()
        .col_expr(Column::State, Expr::val(state.word()))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.is_in(ids))
        .filter(Column::State.eq(EntitlementState::Open.word()));
    let update = changes.into_iter().fold(update, |update, (column, value)| update.col_expr(column, value));
    let done = update.exec(tx.conn()).await?;
    if done.rows_affected == wanted { Ok(()) } else { Err(overtaken()) }
}
