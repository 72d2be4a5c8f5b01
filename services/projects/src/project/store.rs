//! Projects on disk, each with its facilities, its progress reports and the people that it serves.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect};
use tahuka_chassis::page::keyset;
use tahuka_chassis::{Amount, Currency, Page, Refusal, Scoped, Tx, taken};

use super::{Command, Facility, Project, State};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "project")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub district: String,
    /// P-code, the district's or finer.
    pub place: String,
    pub code: String,
    pub title: String,
    /// Texts.
    pub partners: Json,
    pub budget_minor: i64,
    pub budget_currency: String,
    pub cost_minor: Option<i64>,
    pub cost_currency: Option<String>,
    pub state: String,
    pub progress_percent: i32,
    /// The sum of all counts.
    pub people_served: i64,
    pub grant_id: Option<Uuid>,
    pub starts_on: Date,
    pub submitted_on: Option<Date>,
    pub funded_on: Option<Date>,
    pub approved_on: Option<Date>,
    pub completed_on: Option<Date>,
    pub cancelled_on: Option<Date>,
    pub cancellation_reason: String,
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

pub mod facility {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "facility")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub programme_id: Uuid,
        pub custodian_id: Uuid,
        pub district: String,
        pub project_id: Uuid,
        pub kind: String,
        pub name: String,
        pub place: String,
        /// None while planned.
        pub completed_on: Option<Date>,
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
}

pub mod progress {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "progress")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub programme_id: Uuid,
        pub custodian_id: Uuid,
        pub district: String,
        pub project_id: Uuid,
        pub reported_on: Date,
        pub percent: i32,
        pub note: String,
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
}

pub mod people_served {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "people_served")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub programme_id: Uuid,
        pub custodian_id: Uuid,
        pub district: String,
        pub project_id: Uuid,
        pub counted_on: Date,
        pub sex: String,
        pub age_band: String,
        /// Not counted before.
        pub people: i64,
        pub method: String,
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
}

/// A project and its facilities, by ascending id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub row: Model,
    pub facilities: Vec<facility::Model>,
}

impl Held {
    pub fn project(&self) -> Result<Project, Refusal> {
        let row = &self.row;
        let amount = |minor, currency: &str| Currency::parse(currency).map(|currency| Amount { minor, currency });
        Ok(Project {
            state: State::parse(&row.state).ok_or_else(|| Refusal::internal("project.state is not known"))?,
            budget: amount(row.budget_minor, &row.budget_currency)
                .ok_or_else(|| Refusal::internal("project.budget_currency is not known"))?,
            cost: row.cost_minor.zip(row.cost_currency.as_deref()).and_then(|(minor, currency)| amount(minor, currency)),
            grant_id: row.grant_id,
            progress_percent: row.progress_percent,
            people_served: row.people_served,
            facilities: self.facilities.iter().map(|f| Facility { id: f.id, completed_on: f.completed_on }).collect(),
            submitted_on: row.submitted_on,
            funded_on: row.funded_on,
            approved_on: row.approved_on,
            completed_on: row.completed_on,
            cancelled_on: row.cancelled_on,
            cancellation_reason: row.cancellation_reason.clone(),
        })
    }
}

pub async fn insert(tx: &Tx, held: &Held) -> Result<(), Refusal> {
    let code = taken("CODE_TAKEN", "code is in use in this programme; read that project or choose another code");
    Entity::insert(held.row.clone().into_active_model()).exec_without_returning(tx.conn()).await.map_err(code)?;
    let facilities = held.facilities.iter().cloned().map(IntoActiveModel::into_active_model);
    facility::Entity::insert_many(facilities).exec_without_returning(tx.conn()).await?;
    Ok(())
}

pub async fn get(tx: &Tx, id: Uuid) -> Result<Held, Refusal> {
    let found = tx.find::<Entity>().filter(Column::Id.eq(id)).one(tx.conn()).await?;
    with_facilities(tx, found.ok_or_else(|| Refusal::not_found("project", id))?).await
}

/// A project that the caller may write, held until the transaction ends; otherwise as if it were not there.
pub async fn get_for_write(tx: &Tx, id: Uuid) -> Result<Held, Refusal> {
    let held = find_for_write(tx, id).await?.ok_or_else(|| Refusal::not_found("project", id))?;
    tx.require_write(held.row.custodian_id, Some(&held.row.district))?;
    Ok(held)
}

/// Locked, so that reports and counts that come at the same time queue instead of failing.
pub async fn find_for_write(tx: &Tx, id: Uuid) -> Result<Option<Held>, Refusal> {
    match tx.find::<Entity>().filter(Column::Id.eq(id)).lock_exclusive().one(tx.conn()).await? {
        Some(row) => with_facilities(tx, row).await.map(Some),
        None => Ok(None),
    }
}

async fn with_facilities(tx: &Tx, row: Model) -> Result<Held, Refusal> {
    let facilities = facilities_of(tx, [row.id]).await?;
    Ok(Held { row, facilities })
}

async fn facilities_of(tx: &Tx, projects: impl IntoIterator<Item = Uuid>) -> Result<Vec<facility::Model>, Refusal> {
    let select = tx.find::<facility::Entity>().filter(facility::Column::ProjectId.is_in(projects));
    Ok(select.order_by_asc(facility::Column::Id).all(tx.conn()).await?)
}

#[derive(Debug, Default)]
pub struct Filter {
    pub programme_id: Option<Uuid>,
    pub district: Option<String>,
    pub state: Option<State>,
}

/// One page, with the next token.
pub async fn list(tx: &Tx, filter: &Filter, page: &Page) -> Result<(Vec<Held>, String), Refusal> {
    let mut select = tx.find::<Entity>();
    if let Some(programme) = filter.programme_id {
        select = select.filter(Column::ProgrammeId.eq(programme));
    }
    if let Some(district) = &filter.district {
        select = select.filter(Column::District.eq(district.as_str()));
    }
    if let Some(state) = filter.state {
        select = select.filter(Column::State.eq(state.word()));
    }
    let (rows, next) = page.cut(keyset(select, Column::Id, page).all(tx.conn()).await?, |row| row.id);
    let mut held: Vec<Held> = rows.into_iter().map(|row| Held { row, facilities: Vec::new() }).collect();
    for facility in facilities_of(tx, held.iter().map(|h| h.row.id)).await? {
        if let Ok(at) = held.binary_search_by_key(&facility.project_id, |h| h.row.id) {
            held[at].facilities.push(facility);
        }
    }
    Ok((held, next))
}

/// Does what the command says and writes it as the next version; refused when another write came first.
pub async fn change(tx: &Tx, held: Held, command: Command) -> Result<Held, Refusal> {
    let project = held.project()?.next(command)?;
    let Held { row: old, mut facilities } = held;
    for (facility, now) in facilities.iter_mut().zip(&project.facilities) {
        if facility.completed_on != now.completed_on {
            facility.completed_on = now.completed_on;
            let change = facility::ActiveModel { completed_on: Set(now.completed_on), ..Default::default() };
            facility::Entity::update_many().set(change).filter(facility::Column::Id.eq(now.id)).exec(tx.conn()).await?;
        }
    }
    let row = Model {
        cost_minor: project.cost.as_ref().map(|c| c.minor),
        cost_currency: project.cost.as_ref().map(|c| c.currency.as_str().to_owned()),
        state: project.state.word().to_owned(),
        progress_percent: project.progress_percent,
        people_served: project.people_served,
        grant_id: project.grant_id,
        submitted_on: project.submitted_on,
        funded_on: project.funded_on,
        approved_on: project.approved_on,
        completed_on: project.completed_on,
        cancelled_on: project.cancelled_on,
        cancellation_reason: project.cancellation_reason,
        version: old.version + 1,
        ..old
    };
    let change = ActiveModel {
        cost_minor: Set(row.cost_minor),
        cost_currency: Set(row.cost_currency.clone()),
        state: Set(row.state.clone()),
        progress_percent: Set(row.progress_percent),
        people_served: Set(row.people_served),
        grant_id: Set(row.grant_id),
        submitted_on: Set(row.submitted_on),
        funded_on: Set(row.funded_on),
        approved_on: Set(row.approved_on),
        completed_on: Set(row.completed_on),
        cancelled_on: Set(row.cancelled_on),
        cancellation_reason: Set(row.cancellation_reason.clone()),
        version: Set(row.version),
        ..Default::default()
    };
    let update = Entity::update_many().set(change).filter(Column::Id.eq(row.id)).filter(Column::Version.eq(old.version));
    let done = update.exec(tx.conn()).await?;
    if done.rows_affected == 1 {
        return Ok(Held { row, facilities });
    }
    Err(Refusal::conflict("ETAG_MISMATCH", "the project has changed since; read it again and repeat"))
}

pub async fn insert_progress(tx: &Tx, row: progress::Model) -> Result<(), Refusal> {
    progress::Entity::insert(row.into_active_model()).exec_without_returning(tx.conn()).await?;
    Ok(())
}

pub async fn list_progress(tx: &Tx, project: Uuid, page: &Page) -> Result<(Vec<progress::Model>, String), Refusal> {
    let select = tx.find::<progress::Entity>().filter(progress::Column::ProjectId.eq(project));
    Ok(page.cut(keyset(select, progress::Column::Id, page).all(tx.conn()).await?, |row| row.id))
}

pub async fn insert_people_served(tx: &Tx, rows: Vec<people_served::Model>) -> Result<(), Refusal> {
    let rows = rows.into_iter().map(IntoActiveModel::into_active_model);
    people_served::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    Ok(())
}

pub async fn list_people_served(tx: &Tx, project: Uuid, page: &Page) -> Result<(Vec<people_served::Model>, String), Refusal> {
    let select = tx.find::<people_served::Entity>().filter(people_served::Column::ProjectId.eq(project));
    Ok(page.cut(keyset(select, people_served::Column::Id, page).all(tx.conn()).await?, |row| row.id))
}
