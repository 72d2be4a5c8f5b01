//! Plans on disk.

use std::collections::HashMap;

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{IntoActiveModel, QuerySelect};
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Scoped, Tx, taken};

use super::{Call, Command, Life, State};
use crate::batch::{of_element, overtaken, per_row};
use crate::catalogue::Kind;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plan")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub district: String,
    pub household_id: Uuid,
    pub individual_id: Uuid,
    pub package_id: Uuid,
    pub kind: String,
    pub item: String,
    pub sex: String,
    /// At drafted_on.
    pub age_band: String,
    pub category: String,
    /// 0 where not assessed.
    pub priority_band: i32,
    pub cost_minor: i64,
    pub cost_currency: String,
    pub state: String,
    pub grant_id: Option<Uuid>,
    pub drafted_on: Date,
    pub submitted_on: Option<Date>,
    pub funded_on: Option<Date>,
    pub approved_on: Option<Date>,
    pub completed_on: Option<Date>,
    pub cancelled_on: Option<Date>,
    pub cancellation_reason: Option<String>,
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
    pub fn kind(&self) -> Result<Kind, Refusal> {
        Kind::parse(&self.kind).ok_or_else(|| Refusal::internal("plan.kind"))
    }

    pub fn call(&self) -> Result<Call<'_>, Refusal> {
        Ok(Call { programme_id: self.programme_id, district: &self.district, kind: self.kind()?, item: Some(&self.item) })
    }

    pub fn life(&self) -> Result<Life, Refusal> {
        Ok(Life {
            state: State::parse(&self.state).ok_or_else(|| Refusal::internal("plan.state"))?,
            drafted_on: self.drafted_on,
            submitted_on: self.submitted_on,
            grant_id: self.grant_id,
            funded_on: self.funded_on,
            approved_on: self.approved_on,
            completed_on: self.completed_on,
            cancelled_on: self.cancelled_on,
            cancellation_reason: self.cancellation_reason.clone(),
        })
    }

    pub fn with(self, life: Life) -> Self {
        Model {
            state: life.state.word().to_owned(),
            drafted_on: life.drafted_on,
            submitted_on: life.submitted_on,
            grant_id: life.grant_id,
            funded_on: life.funded_on,
            approved_on: life.approved_on,
            completed_on: life.completed_on,
            cancelled_on: life.cancelled_on,
            cancellation_reason: life.cancellation_reason,
            ..self
        }
    }
}

pub async fn get(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    find(tx, id).await?.ok_or_else(|| Refusal::not_found("plan", id))
}

pub async fn find(tx: &Tx, id: Uuid) -> Result<Option<Model>, Refusal> {
    Ok(tx.find::<Entity>().filter(Column::Id.eq(id)).one(tx.conn()).await?)
}

/// A plan that the caller may write; otherwise as if it were not there.
pub async fn get_for_write(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let plan = get(tx, id).await?;
    tx.require_write(plan.custodian_id, Some(&plan.district))?;
    Ok(plan)
}

/// Plans that the caller may write, in the order of the ids; `place` names the nth in a refusal.
pub async fn all_for_write(tx: &Tx, ids: &[Uuid], place: impl Fn(usize) -> String) -> Result<Vec<Model>, Refusal> {
    let rows = tx.find::<Entity>().filter(Column::Id.is_in(ids.iter().copied())).all(tx.conn()).await?;
    let rows: HashMap<_, _> = rows.into_iter().map(|row| (row.id, row)).collect();
    let one = |(n, id): (usize, &Uuid)| {
        let written = |plan: &&Model| tx.require_write(plan.custodian_id, Some(&plan.district)).is_ok();
        let plan = rows.get(id).filter(written).cloned();
        plan.ok_or_else(|| of_element(&place(n), Refusal::not_found("plan", *id)))
    };
    ids.iter().enumerate().map(one).collect()
}

/// Person and package of the plans of these that are not cancelled.
pub async fn live(tx: &Tx, people: &[Uuid], packages: &[Uuid]) -> Result<Vec<(Uuid, Uuid)>, Refusal> {
    let select = tx
        .find::<Entity>()
        .select_only()
        .columns([Column::IndividualId, Column::PackageId])
        .filter(Column::IndividualId.is_in(people.iter().copied()))
        .filter(Column::PackageId.is_in(packages.iter().copied()))
        .filter(Column::State.ne(State::Cancelled.word()));
    Ok(select.into_tuple().all(tx.conn()).await?)
}

#[derive(Debug, Default)]
pub struct Filter {
    pub programme_id: Option<Uuid>,
    pub state: Option<State>,
    pub kind: Option<Kind>,
    pub item: Option<String>,
    pub district: Option<String>,
    pub household_id: Option<Uuid>,
    pub individual_id: Option<Uuid>,
    /// Inclusive.
    pub submitted_from: Option<Date>,
    /// Inclusive.
    pub submitted_to: Option<Date>,
}

pub async fn list(tx: &Tx, filter: &Filter, page: &Page) -> Result<Vec<Model>, Refusal> {
    let conditions = [
        filter.programme_id.map(|id| Column::ProgrammeId.eq(id)),
        filter.state.map(|state| Column::State.eq(state.word())),
        filter.kind.map(|kind| Column::Kind.eq(kind.word())),
        filter.item.as_deref().map(|item| Column::Item.eq(item)),
        filter.district.as_deref().map(|district| Column::District.eq(district)),
        filter.household_id.map(|id| Column::HouseholdId.eq(id)),
        filter.individual_id.map(|id| Column::IndividualId.eq(id)),
        filter.submitted_from.map(|day| Column::SubmittedOn.gte(day)),
        filter.submitted_to.map(|day| Column::SubmittedOn.lte(day)),
    ];
    let select = conditions.into_iter().flatten().fold(tx.find::<Entity>(), QueryFilter::filter);
    Ok(keyset(select, Column::Id, page).all(tx.conn()).await?)
}

pub async fn insert(tx: &Tx, rows: Vec<Model>) -> Result<(), Refusal> {
    let rows = rows.into_iter().map(IntoActiveModel::into_active_model);
    let done = Entity::insert_many(rows).exec_without_returning(tx.conn()).await;
    let exists = taken("PLAN_EXISTS", "the person has a plan of this package already");
    done.map(|_| ()).map_err(exists)
}

/// Takes the plans one step further, all from the same state. `named` gives the field of the nth step's date and the
/// plan's place in a batch, for refusals. Refused as well when another write came first.
pub async fn advance(
    tx: &Tx,
    steps: Vec<(Model, Command)>,
    named: impl Fn(usize) -> (String, String),
) -> Result<Vec<Model>, Refusal> {
    let Some(from) = steps.first().map(|(plan, _)| plan.state.clone()) else { return Ok(Vec::new()) };
    let one = |(n, (plan, command)): (usize, (Model, Command))| {
        let life = plan.life()?.next(command).map_err(|broken| {
            let (day, place) = named(n);
            broken.refusal(&day, &place)
        })?;
        Ok::<_, Refusal>(Model { version: plan.version + 1, ..plan.with(life) })
    };
    let next = steps.into_iter().enumerate().map(one).collect::<Result<Vec<_>, _>>()?;
    write(tx, &from, &next).await?;
    Ok(next)
}

/// A step of one plan that is no part of a batch.
pub async fn step(tx: &Tx, plan: Model, command: Command, day: &str) -> Result<Model, Refusal> {
    let next = advance(tx, vec![(plan, command)], |_| (day.to_owned(), String::new())).await?;
    next.into_iter().next().ok_or_else(|| Refusal::internal("a step without a plan"))
}

async fn write(tx: &Tx, from: &str, next: &[Model]) -> Result<(), Refusal> {
    let Some(first) = next.first() else { return Ok(()) };
    let update = Entity::update_many()
        .col_expr(Column::State, Expr::val(first.state.as_str()))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.is_in(next.iter().map(|plan| plan.id)))
        .filter(Column::State.eq(from));
    let day = |column: Column, of: fn(&Model) -> Option<Date>| {
        (column, per_row(Column::Id, column, next.iter().map(|plan| (plan.id, of(plan))).collect()))
    };
    let changes = match State::parse(&first.state) {
        Some(State::Submitted) => vec![day(Column::SubmittedOn, |plan| plan.submitted_on)],
        Some(State::Funded) => {
            let grants = next.iter().map(|plan| (plan.id, plan.grant_id)).collect();
            vec![day(Column::FundedOn, |plan| plan.funded_on), (Column::GrantId, per_row(Column::Id, Column::GrantId, grants))]
        }
        Some(State::Approved) => vec![day(Column::ApprovedOn, |plan| plan.approved_on)],
        Some(State::Completed) => vec![day(Column::CompletedOn, |plan| plan.completed_on)],
        Some(State::Cancelled) => {
            let reasons = next.iter().map(|plan| (plan.id, plan.cancellation_reason.clone())).collect();
            vec![
                day(Column::CancelledOn, |plan| plan.cancelled_on),
                (Column::CancellationReason, per_row(Column::Id, Column::CancellationReason, reasons)),
            ]
        }
        Some(State::Draft | State::Waiting | State::InProgress) | None => Vec::new(),
    };
    let update = changes.into_iter().fold(update, |update, (column, value)| update.col_expr(column, value));
    let done = update.exec(tx.conn()).await?;
    let wanted = u64::try_from(next.len()).map_err(Refusal::internal)?;
    if done.rows_affected == wanted { Ok(()) } else { Err(overtaken()) }
}
