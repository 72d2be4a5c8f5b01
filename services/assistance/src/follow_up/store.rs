//! Visits on disk.

use chrono::NaiveDate;
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, QuerySelect};
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Scoped, Tx, taken};

use crate::catalogue::Kind;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "visit")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub district: String,
    pub plan_id: Uuid,
    pub household_id: Uuid,
    pub individual_id: Uuid,
    pub kind: String,
    pub visited_on: Date,
    pub months_after: i32,
    pub outcome: String,
    pub favourable: bool,
    pub visitor: String,
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

pub async fn insert(tx: &Tx, rows: Vec<Model>) -> Result<(), Refusal> {
    let rows = rows.into_iter().map(IntoActiveModel::into_active_model);
    let done = Entity::insert_many(rows).exec_without_returning(tx.conn()).await;
    done.map(|_| ()).map_err(taken("VISIT_EXISTS", "one of the plans has a visit of that day already"))
}

/// Plan and day of the visits that these plans have had.
pub async fn days(tx: &Tx, plans: &[Uuid]) -> Result<Vec<(Uuid, NaiveDate)>, Refusal> {
    let select = tx
        .find::<Entity>()
        .select_only()
        .columns([Column::PlanId, Column::VisitedOn])
        .filter(Column::PlanId.is_in(plans.iter().copied()));
    Ok(select.into_tuple().all(tx.conn()).await?)
}

#[derive(Debug)]
pub struct Filter {
    pub programme_id: Option<Uuid>,
    pub plan_id: Option<Uuid>,
    pub district: Option<String>,
    pub kind: Option<Kind>,
}

pub async fn list(tx: &Tx, filter: &Filter, page: &Page) -> Result<Vec<Model>, Refusal> {
    let conditions = [
        filter.programme_id.map(|id| Column::ProgrammeId.eq(id)),
        filter.plan_id.map(|id| Column::PlanId.eq(id)),
        filter.district.as_deref().map(|district| Column::District.eq(district)),
        filter.kind.map(|kind| Column::Kind.eq(kind.word())),
    ];
    let select = conditions.into_iter().flatten().fold(tx.find::<Entity>(), QueryFilter::filter);
    Ok(keyset(select, Column::Id, page).all(tx.conn()).await?)
}
