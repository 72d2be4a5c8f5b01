//! How much of a programme has been heard: its position, one row for each custodian.

use chrono::{DateTime, Utc};
use sea_orm::Statement;
use sea_orm::entity::prelude::*;
use tahuka_chassis::{Refusal, Scoped, Tx};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "heard")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub programme_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub custodian_id: Uuid,
    pub events_counted: i64,
    pub last_event_at: DateTimeUtc,
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

/// So many more events, the last of them recorded at `at`.
pub async fn count(tx: &Tx, programme: Uuid, custodian: Uuid, events: i64, at: DateTime<Utc>) -> Result<(), Refusal> {
    let sql = "INSERT INTO heard (programme_id, custodian_id, events_counted, last_event_at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (programme_id, custodian_id) DO UPDATE SET events_counted = heard.events_counted + excluded.events_counted, \
               last_event_at = CASE WHEN excluded.last_event_at > heard.last_event_at \
               THEN excluded.last_event_at ELSE heard.last_event_at END";
    let values = [programme.into(), custodian.into(), events.into(), at.into()];
    tx.conn().execute_raw(Statement::from_sql_and_values(tx.conn().get_database_backend(), sql, values)).await?;
    Ok(())
}

pub async fn list(tx: &Tx, programme: Uuid) -> Result<Vec<Model>, Refusal> {
    Ok(tx.find::<Entity>().filter(Column::ProgrammeId.eq(programme)).all(tx.conn()).await?)
}
