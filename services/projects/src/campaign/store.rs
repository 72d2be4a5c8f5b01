//! Campaigns on disk.

use sea_orm::ActiveValue::Set;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use tahuka_chassis::page::keyset;
use tahuka_chassis::{Page, Refusal, Scoped, Tx, taken};

use super::{Campaign, Command, Level, State};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "campaign")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    /// '' for a national one.
    pub district: String,
    pub code: String,
    pub level: String,
    pub title: String,
    pub topic: String,
    /// Words.
    pub channels: Json,
    pub starts_on: Date,
    pub ends_on: Date,
    pub state: String,
    pub held_on: Option<Date>,
    pub reach: i64,
    pub cost_minor: Option<i64>,
    pub cost_currency: Option<String>,
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

pub async fn insert(tx: &Tx, row: &Model) -> Result<(), Refusal> {
    let code = taken("CODE_TAKEN", "code is in use in this programme; read that campaign or choose another code");
    Entity::insert(row.clone().into_active_model()).exec_without_returning(tx.conn()).await.map_err(code)?;
    Ok(())
}

pub async fn get(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let found = tx.find::<Entity>().filter(Column::Id.eq(id)).one(tx.conn()).await?;
    found.ok_or_else(|| Refusal::not_found("campaign", id))
}

/// A campaign that the caller may write; otherwise as if it were not there.
pub async fn get_for_write(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let row = get(tx, id).await?;
    tx.require_write(row.custodian_id, Some(&row.district))?;
    Ok(row)
}

#[derive(Debug, Default)]
pub struct Filter {
    pub programme_id: Option<Uuid>,
    pub level: Option<Level>,
    pub district: Option<String>,
}

/// One page, with the next token.
pub async fn list(tx: &Tx, filter: &Filter, page: &Page) -> Result<(Vec<Model>, String), Refusal> {
    let mut select = tx.find::<Entity>();
    if let Some(programme) = filter.programme_id {
        select = select.filter(Column::ProgrammeId.eq(programme));
    }
    if let Some(level) = filter.level {
        select = select.filter(Column::Level.eq(level.word()));
    }
    if let Some(district) = &filter.district {
        select = select.filter(Column::District.eq(district.as_str()));
    }
    Ok(page.cut(keyset(select, Column::Id, page).all(tx.conn()).await?, |row| row.id))
}

/// Does what the command says and writes it as the next version; refused when another write came first.
pub async fn change(tx: &Tx, old: Model, command: Command) -> Result<Model, Refusal> {
    let state = State::parse(&old.state).ok_or_else(|| Refusal::internal("campaign.state is not known"))?;
    // Nothing is done to a campaign that was held, so what came of it need not be read.
    let campaign = Campaign { state, starts_on: old.starts_on, held: None }.next(command)?;
    let mut row = Model { state: campaign.state.word().to_owned(), version: old.version + 1, ..old };
    if let Some(held) = campaign.held {
        (row.held_on, row.reach) = (Some(held.on), held.reach);
        (row.cost_minor, row.cost_currency) = (Some(held.cost.minor), Some(held.cost.currency.as_str().to_owned()));
    }
    let change = ActiveModel {
        state: Set(row.state.clone()),
        held_on: Set(row.held_on),
        reach: Set(row.reach),
        cost_minor: Set(row.cost_minor),
        cost_currency: Set(row.cost_currency.clone()),
        version: Set(row.version),
        ..Default::default()
    };
    let update = Entity::update_many().set(change).filter(Column::Id.eq(row.id)).filter(Column::Version.eq(old.version));
    let done = update.exec(tx.conn()).await?;
    if done.rows_affected == 1 {
        return Ok(row);
    }
    Err(Refusal::conflict("ETAG_MISMATCH", "the campaign has changed since; read it again and repeat"))
}
