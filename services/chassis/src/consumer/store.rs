//! All SQL of the inbox and the dead letters.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement, TransactionTrait};
use uuid::Uuid;

use super::Event;
use crate::bus::{BusError, Turn};
use crate::clock;
use crate::refusal::Refusal;
use crate::store::{Store, Tx};

/// Whether `consumer` sees this event for the first time; remembers it with the transaction.
pub(super) async fn first_time(tx: &Tx, consumer: &str, event: Uuid) -> Result<bool, Refusal> {
    let sql = "INSERT INTO inbox (consumer, event_id, handled_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    Ok(tx.run(sql, vec![consumer.into(), event.into(), clock::now().into()]).await? == 1)
}

/// How many dead letters there are, and since when the oldest is one.
pub(super) async fn dead_letters(tx: &Tx) -> Result<(i64, Option<DateTime<Utc>>), Refusal> {
    let sql = "SELECT count(*) AS n, min(failed_at) AS oldest FROM dead_letter";
    let statement = Statement::from_string(tx.conn().get_database_backend(), sql);
    let Some(row) = tx.conn().query_one_raw(statement).await? else { return Ok((0, None)) };
    Ok((row.try_get("", "n")?, row.try_get("", "oldest")?))
}

pub(super) async fn park(tx: &Tx, consumer: &str, event: &Event, error: &str, tries: u32) -> Result<(), Refusal> {
    let sql = "INSERT INTO dead_letter (consumer, event_id, kind, custodian_id, aggregate_id, body, error, tries, recorded_at, failed_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING";
    let values = vec![
        consumer.into(),
        event.id.into(),
        event.kind.as_str().into(),
        event.custodian.into(),
        event.aggregate_id.into(),
        event.body.to_vec().into(),
        error.into(),
        i64::from(tries).into(),
        event.recorded_at.into(),
        clock::now().into(),
    ];
    tx.run(sql, values).await?;
    Ok(())
}

/// A consumer's turn: on PostgreSQL a lock of a transaction that stays open, and goes when its connection does. SQLite
/// has one process, and no turns.
struct Held(Option<DatabaseTransaction>);

#[async_trait]
impl Turn for Held {
    async fn hold(&self) -> Result<(), BusError> {
        match &self.0 {
            Some(turn) => turn.execute_unprepared("SELECT 1").await.map(|_| ()).map_err(BusError::of),
            None => Ok(()),
        }
    }
}

pub(super) async fn turn(store: &Store, consumer: &str) -> Result<Option<Box<dyn Turn>>, BusError> {
    let db = store.connection();
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(Some(Box::new(Held(None))));
    }
    let turn = db.begin().await.map_err(BusError::of)?;
    let sql = "SELECT pg_try_advisory_xact_lock(hashtext(current_schema() || '.' || $1), 7241887) AS mine";
    let row = turn.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, [consumer.into()])).await;
    let mine = row.map_err(BusError::of)?.is_some_and(|row| row.try_get("", "mine").unwrap_or(false));
    Ok(if mine { Some(Box::new(Held(Some(turn)))) } else { None })
}
