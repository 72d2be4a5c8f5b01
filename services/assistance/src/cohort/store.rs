//! Cohorts on disk. Seats are given and taken by conditional updates, so that no two writers give the same one.

use chrono::NaiveDate;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Scoped, Tx};

use super::{State, enrolment};
use crate::batch::overtaken;
use crate::catalogue::Kind;
use crate::plan::Call;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "cohort")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub district: String,
    pub trade: String,
    pub provider: String,
    pub name: String,
    pub capacity: i32,
    /// Seats taken. Who drops out at the end keeps the seat; who is cancelled before gives it up.
    pub enrolled: i32,
    pub completed: i32,
    pub state: String,
    pub starts_on: Date,
    pub ends_on: Date,
    pub completed_on: Option<Date>,
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
    pub fn call(&self) -> Call<'_> {
        Call {
            programme_id: self.programme_id,
            district: &self.district,
            kind: Kind::VocationalTraining,
            item: Some(&self.trade),
        }
    }
}

pub async fn insert(tx: &Tx, row: Model) -> Result<(), Refusal> {
    Entity::insert(row.into_active_model()).exec_without_returning(tx.conn()).await?;
    Ok(())
}

pub async fn get(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let found = tx.find::<Entity>().filter(Column::Id.eq(id)).one(tx.conn()).await?;
    found.ok_or_else(|| Refusal::not_found("cohort", id))
}

/// An open cohort that the caller may write; as if it were not there for who may not.
pub async fn get_open(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let cohort = get(tx, id).await?;
    tx.require_write(cohort.custodian_id, Some(&cohort.district))?;
    if cohort.state == State::Open.word() { Ok(cohort) } else { Err(closed()) }
}

fn closed() -> Refusal {
    Refusal::precondition("COHORT_COMPLETED", "the cohort is closed; make a new one")
}

#[derive(Debug)]
pub struct Filter {
    pub programme_id: Option<Uuid>,
    pub district: Option<String>,
    pub trade: Option<String>,
}

pub async fn list(tx: &Tx, filter: &Filter, page: &Page) -> Result<Vec<Model>, Refusal> {
    let conditions = [
        filter.programme_id.map(|id| Column::ProgrammeId.eq(id)),
        filter.district.as_deref().map(|district| Column::District.eq(district)),
        filter.trade.as_deref().map(|trade| Column::Trade.eq(trade)),
    ];
    let select = conditions.into_iter().flatten().fold(tx.find::<Entity>(), QueryFilter::filter);
    Ok(keyset(select, Column::Id, page).all(tx.conn()).await?)
}

/// Takes seats for `more` trainees while there are as many.
pub async fn take_seats(tx: &Tx, cohort: Uuid, more: usize) -> Result<Model, Refusal> {
    let more = i32::try_from(more).map_err(Refusal::internal)?;
    let done = Entity::update_many()
        .col_expr(Column::Enrolled, Expr::col(Column::Enrolled).add(more))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.eq(cohort))
        .filter(Column::State.eq(State::Open.word()))
        .filter(Expr::col(Column::Enrolled).add(more).lte(Expr::col(Column::Capacity)))
        .exec(tx.conn())
        .await?;
    let cohort = get(tx, cohort).await?;
    match done.rows_affected {
        1 => Ok(cohort),
        _ if cohort.state != State::Open.word() => Err(closed()),
        _ => {
            let left = cohort.capacity - cohort.enrolled;
            Err(Refusal::precondition("COHORT_FULL", format!("the cohort has {left} seats left")))
        }
    }
}

/// Closes the cohort, so that nobody is enrolled any more; the trainees are to be read after this.
pub async fn complete(tx: &Tx, cohort: Uuid, completed: usize, on: NaiveDate) -> Result<Model, Refusal> {
    let completed = i32::try_from(completed).map_err(Refusal::internal)?;
    let done = Entity::update_many()
        .col_expr(Column::State, Expr::val(State::Completed.word()))
        .col_expr(Column::Completed, Expr::val(completed))
        .col_expr(Column::CompletedOn, Expr::val(on))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.eq(cohort))
        .filter(Column::State.eq(State::Open.word()))
        .exec(tx.conn())
        .await?;
    if done.rows_affected == 1 { get(tx, cohort).await } else { Err(closed()) }
}

/// The trainee of this plan gives up the seat before the training ends.
pub async fn leave(tx: &Tx, plan: Uuid, on: NaiveDate, reason: &str) -> Result<(), Refusal> {
    let Some(enrolment) = enrolment::of_plan(tx, plan).await? else { return Ok(()) };
    if on < enrolment.enrolled_on {
        return Err(Refusal::invalid("cancelled_on", "must not be before the enrolment"));
    }
    let done = Entity::update_many()
        .col_expr(Column::Enrolled, Expr::col(Column::Enrolled).sub(1))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.eq(enrolment.cohort_id))
        .filter(Column::State.eq(State::Open.word()))
        .exec(tx.conn())
        .await?;
    if done.rows_affected != 1 {
        return Err(overtaken());
    }
    enrolment::drop_out(tx, vec![(enrolment, reason.to_owned())], on).await
}
