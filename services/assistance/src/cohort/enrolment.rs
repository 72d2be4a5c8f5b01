//! Enrolments on disk: who has a seat in a cohort, and how it ended.

use chrono::NaiveDate;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Scoped, Tx, clock, ids, taken};

use super::EnrolmentState;
use crate::batch::{overtaken, per_row};
use crate::plan::store as plan;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "enrolment")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub district: String,
    pub cohort_id: Uuid,
    pub plan_id: Uuid,
    pub individual_id: Uuid,
    pub household_id: Uuid,
    pub state: String,
    pub enrolled_on: Date,
    pub ended_on: Option<Date>,
    pub drop_out_reason: Option<String>,
    pub certificate_number: Option<String>,
    pub toolkit_given: bool,
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
    /// The plan's custodian answers for it, whoever runs the cohort.
    pub fn new(cohort: Uuid, plan: &plan::Model, enrolled_on: NaiveDate) -> Self {
        Model {
            id: ids::new_id(),
            programme_id: plan.programme_id,
            custodian_id: plan.custodian_id,
            district: plan.district.clone(),
            cohort_id: cohort,
            plan_id: plan.id,
            individual_id: plan.individual_id,
            household_id: plan.household_id,
            state: EnrolmentState::Enrolled.word().to_owned(),
            enrolled_on,
            ended_on: None,
            drop_out_reason: None,
            certificate_number: None,
            toolkit_given: false,
            version: 1,
            recorded_at: clock::now(),
        }
    }
}

pub async fn insert(tx: &Tx, rows: Vec<Model>) -> Result<(), Refusal> {
    let rows = rows.into_iter().map(IntoActiveModel::into_active_model);
    let done = Entity::insert_many(rows).exec_without_returning(tx.conn()).await;
    done.map(|_| ()).map_err(taken("ALREADY_ENROLLED", "one of the plans is enrolled already"))
}

/// Where the person of this plan has a seat now.
pub async fn of_plan(tx: &Tx, plan: Uuid) -> Result<Option<Model>, Refusal> {
    let seated = Column::PlanId.eq(plan).and(Column::State.eq(EnrolmentState::Enrolled.word()));
    Ok(tx.find::<Entity>().filter(seated).one(tx.conn()).await?)
}

/// All who have a seat in the cohort now.
pub async fn seated(tx: &Tx, cohort: Uuid) -> Result<Vec<Model>, Refusal> {
    let seated = Column::CohortId.eq(cohort).and(Column::State.eq(EnrolmentState::Enrolled.word()));
    Ok(tx.find::<Entity>().filter(seated).all(tx.conn()).await?)
}

pub async fn list(tx: &Tx, cohort: Uuid, page: &Page) -> Result<Vec<Model>, Refusal> {
    let select = tx.find::<Entity>().filter(Column::CohortId.eq(cohort));
    Ok(keyset(select, Column::Id, page).all(tx.conn()).await?)
}

/// These have completed: each with the certificate's number, and whether a toolkit was given.
pub async fn complete(tx: &Tx, rows: Vec<(Model, String, bool)>, on: NaiveDate) -> Result<(), Refusal> {
    let certificates = rows.iter().map(|(row, certificate, _)| (row.id, certificate.clone())).collect();
    let toolkits = rows.iter().map(|(row, _, given)| (row.id, *given)).collect();
    let changes = vec![
        (Column::CertificateNumber, per_row(Column::Id, Column::CertificateNumber, certificates)),
        (Column::ToolkitGiven, per_row(Column::Id, Column::ToolkitGiven, toolkits)),
    ];
    end(tx, EnrolmentState::Completed, rows.iter().map(|(row, _, _)| row.id).collect(), on, changes).await
}

/// These have dropped out, each with its reason.
pub async fn drop_out(tx: &Tx, rows: Vec<(Model, String)>, on: NaiveDate) -> Result<(), Refusal> {
    let reasons = rows.iter().map(|(row, reason)| (row.id, reason.clone())).collect();
    let changes = vec![(Column::DropOutReason, per_row(Column::Id, Column::DropOutReason, reasons))];
    end(tx, EnrolmentState::DroppedOut, rows.iter().map(|(row, _)| row.id).collect(), on, changes).await
}

async fn end(tx: &Tx, state: EnrolmentState, ids: Vec<Uuid>, on: NaiveDate, changes: Vec<(Column, Expr)>) -> Result<(), Refusal> {
    if ids.is_empty() {
        return Ok(());
    }
    let wanted = u64::try_from(ids.len()).map_err(Refusal::internal)?;
    let update = Entity::update_many()
        .col_expr(Column::State, Expr::val(state.word()))
        .col_expr(Column::EndedOn, Expr::val(on))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.is_in(ids))
        .filter(Column::State.eq(EnrolmentState::Enrolled.word()));
    let update = changes.into_iter().fold(update, |update, (column, value)| update.col_expr(column, value));
    let done = update.exec(tx.conn()).await?;
    if done.rows_affected == wanted { Ok(()) } else { Err(overtaken()) }
}
