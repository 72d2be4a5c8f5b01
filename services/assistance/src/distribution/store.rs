//! Distributions on disk. The row is written before its entitlements are read, so that two writers wait for each other.

use chrono::NaiveDate;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Scoped, Tx};

use super::State;
use crate::catalogue::Kind;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "distribution")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub district: String,
    /// P-code, the district's or finer.
    pub place: String,
    pub kind: String,
    pub name: String,
    pub planned_on: Date,
    pub state: String,
    pub entitlements: i32,
    pub delivered: i32,
    pub closed_on: Option<Date>,
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

pub async fn insert(tx: &Tx, row: Model) -> Result<(), Refusal> {
    Entity::insert(row.into_active_model()).exec_without_returning(tx.conn()).await?;
    Ok(())
}

pub async fn get(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let found = tx.find::<Entity>().filter(Column::Id.eq(id)).one(tx.conn()).await?;
    found.ok_or_else(|| Refusal::not_found("distribution", id))
}

/// A distribution that the caller may write; otherwise as if it were not there.
pub async fn get_for_write(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let distribution = get(tx, id).await?;
    tx.require_write(distribution.custodian_id, Some(&distribution.district))?;
    Ok(distribution)
}

#[derive(Debug)]
pub struct Filter {
    pub programme_id: Option<Uuid>,
    pub district: Option<String>,
    pub kind: Option<Kind>,
}

pub async fn list(tx: &Tx, filter: &Filter, page: &Page) -> Result<Vec<Model>, Refusal> {
    let conditions = [
        filter.programme_id.map(|id| Column::ProgrammeId.eq(id)),
        filter.district.as_deref().map(|district| Column::District.eq(district)),
        filter.kind.map(|kind| Column::Kind.eq(kind.word())),
    ];
    let select = conditions.into_iter().flatten().fold(tx.find::<Entity>(), QueryFilter::filter);
    Ok(keyset(select, Column::Id, page).all(tx.conn()).await?)
}

/// Counts `more` deliveries of an open distribution.
pub async fn deliver(tx: &Tx, distribution: Uuid, more: usize) -> Result<(), Refusal> {
    let more = i32::try_from(more).map_err(Refusal::internal)?;
    write(tx, distribution, vec![(Column::Delivered, Expr::col(Column::Delivered).add(more))]).await
}

/// Closes an open distribution.
pub async fn close(tx: &Tx, distribution: Uuid, on: NaiveDate) -> Result<(), Refusal> {
    let changes = vec![(Column::State, Expr::val(State::Closed.word())), (Column::ClosedOn, Expr::val(on))];
    write(tx, distribution, changes).await
}

async fn write(tx: &Tx, distribution: Uuid, changes: Vec<(Column, Expr)>) -> Result<(), Refusal> {
    let update = Entity::update_many()
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.eq(distribution))
        .filter(Column::State.eq(State::Open.word()));
    let update = changes.into_iter().fold(update, |update, (column, value)| update.col_expr(column, value));
    let done = update.exec(tx.conn()).await?;
    if done.rows_affected == 1 {
        return Ok(());
    }
    Err(Refusal::precondition("DISTRIBUTION_CLOSED", "the distribution is closed; make a new one"))
}
