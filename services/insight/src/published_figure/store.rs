//! Published figures on disk.

use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel as _, QueryOrder as _};
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Scoped, Tx};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "published_figure")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub code: String,
    pub value: Option<i64>,
    pub text: String,
    pub source: String,
    pub published_on: Option<Date>,
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
        None
    }
}

pub async fn insert(tx: &Tx, row: Model) -> Result<(), Refusal> {
    Entity::insert(row.into_active_model()).exec_without_returning(tx.conn()).await?;
    Ok(())
}

pub async fn list(tx: &Tx, programme: Uuid, page: &Page) -> Result<Vec<Model>, Refusal> {
    let select = tx.find::<Entity>().filter(Column::ProgrammeId.eq(programme));
    Ok(keyset(select, Column::Id, page).all(tx.conn()).await?)
}

/// All of a programme, the last published last.
pub async fn all(tx: &Tx, programme: Uuid) -> Result<Vec<Model>, Refusal> {
    let select = tx.find::<Entity>().filter(Column::ProgrammeId.eq(programme)).order_by_asc(Column::Id);
    let mut rows = select.all(tx.conn()).await?;
    rows.sort_by_key(|row| row.published_on);
    Ok(rows)
}
