//! All SQL of the journal.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};
use tahuka_proto::UnitKind;
use uuid::Uuid;

use crate::bus::Envelope;
use crate::clock;

/// What a service has to tell.
pub struct NewEvent {
    pub id: Uuid,
    pub kind: &'static str,
    pub service: &'static str,
    pub aggregate: &'static str,
    pub name: &'static str,
    pub custodian: Uuid,
    pub aggregate_id: Uuid,
    pub body: Vec<u8>,
    pub traceparent: Option<String>,
    /// What it tells of, where that can pass to another custodian.
    pub unit: Option<(UnitKind, Uuid)>,
}

fn statement(db: &impl ConnectionTrait, sql: &str, values: Vec<sea_orm::Value>) -> Statement {
    Statement::from_sql_and_values(db.get_database_backend(), sql, values)
}

/// Writes one event in the caller's transaction. Its order is the order of this table.
pub async fn append(db: &impl ConnectionTrait, event: NewEvent) -> Result<(), DbErr> {
    let subject = format!("evt.{}.{}.{}.{}", event.custodian, event.service, event.aggregate, event.name);
    let sql = "INSERT INTO journal (event_id, kind, subject, custodian_id, aggregate_id, body, traceparent, recorded_at, \
               unit_kind, unit_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let values = vec![
        event.id.into(),
        event.kind.into(),
        subject.into(),
        event.custodian.into(),
        event.aggregate_id.into(),
        event.body.into(),
        event.traceparent.into(),
        clock::now().into(),
        event.unit.map(|(kind, _)| kind.word().to_owned()).into(),
        event.unit.map(|(_, id)| id).into(),
    ];
    db.execute_raw(statement(db, sql, values)).await?;
    Ok(())
}

/// The next events to publish, in order.
pub(super) async fn unpublished(db: &impl ConnectionTrait, most: u64) -> Result<Vec<(i64, Envelope)>, DbErr> {
    let sql = format!(
        "SELECT seq, event_id, kind, subject, custodian_id, aggregate_id, body, traceparent, recorded_at \
         FROM journal WHERE published_at IS NULL ORDER BY seq LIMIT {most}"
    );
    db.query_all_raw(statement(db, &sql, vec![])).await?.iter().map(envelope).collect()
}

/// More than so many events that wait are not counted.
const MOST_COUNTED: u64 = 100_000;

/// How many events are not on the bus yet, and since when the oldest waits.
pub(crate) async fn waiting(db: &impl ConnectionTrait) -> Result<(i64, Option<DateTime<Utc>>), DbErr> {
    let count = format!("SELECT count(*) AS n FROM (SELECT 1 FROM journal WHERE published_at IS NULL LIMIT {MOST_COUNTED}) AS w");
    let count = db.query_one_raw(statement(db, &count, vec![])).await?;
    let oldest = "SELECT recorded_at FROM journal WHERE published_at IS NULL ORDER BY seq LIMIT 1";
    let oldest = db.query_one_raw(statement(db, oldest, vec![])).await?;
    Ok((count.map_or(Ok(0), |row| row.try_get("", "n"))?, oldest.map(|row| row.try_get("", "recorded_at")).transpose()?))
}

fn envelope(row: &QueryResult) -> Result<(i64, Envelope), DbErr> {
    let body: Vec<u8> = row.try_get("", "body")?;
    let envelope = Envelope {
        id: row.try_get("", "event_id")?,
        kind: row.try_get("", "kind")?,
        subject: row.try_get("", "subject")?,
        custodian: row.try_get("", "custodian_id")?,
        aggregate_id: row.try_get("", "aggregate_id")?,
        body: body.into(),
        traceparent: row.try_get("", "traceparent")?,
        recorded_at: row.try_get::<DateTime<Utc>>("", "recorded_at")?,
    };
    Ok((row.try_get("", "seq")?, envelope))
}

/// Marks events as published, each with its place in the stream.
pub(super) async fn mark(db: &impl ConnectionTrait, published: &[(i64, Option<u64>)]) -> Result<(), DbErr> {
    let (Some((first, at_first)), Some((last, at_last))) = (published.first(), published.last()) else { return Ok(()) };
    let now = clock::now();
    let place = |at: Option<u64>| at.and_then(|n| i64::try_from(n).ok());
    let count = i64::try_from(published.len()).unwrap_or(i64::MAX);
    // A whole run of consecutive numbers, the common case, takes one statement.
    let gap = place(*at_first).map(|at| at - first);
    let in_step = published.iter().all(|(seq, at)| place(*at).map(|at| at - seq) == gap);
    if in_step && last - first + 1 == count && place(*at_last).is_some() == gap.is_some() {
        let sql = "UPDATE journal SET published_at = $1, stream_seq = seq + $2 WHERE seq BETWEEN $3 AND $4";
        db.execute_raw(statement(db, sql, vec![now.into(), gap.into(), (*first).into(), (*last).into()])).await?;
        return Ok(());
    }
    for (seq, at) in published {
        let sql = "UPDATE journal SET published_at = $1, stream_seq = $2 WHERE seq = $3";
        db.execute_raw(statement(db, sql, vec![now.into(), place(*at).into(), (*seq).into()])).await?;
    }
    Ok(())
}

/// The event that has the farthest place in the stream.
pub(super) async fn published(db: &impl ConnectionTrait) -> Result<Option<(u64, Uuid)>, DbErr> {
    let sql = "SELECT stream_seq, event_id FROM journal WHERE stream_seq IS NOT NULL ORDER BY stream_seq DESC LIMIT 1";
    let Some(row) = db.query_one_raw(statement(db, sql, vec![])).await? else { return Ok(None) };
    let place: i64 = row.try_get("", "stream_seq")?;
    Ok(Some((place.unsigned_abs(), row.try_get("", "event_id")?)))
}

/// Lets every event go out again: for a stream that has lost some, and for read models that are to be rebuilt. How many.
pub async fn replay(db: &impl ConnectionTrait) -> Result<u64, DbErr> {
    let sql = "UPDATE journal SET published_at = NULL, stream_seq = NULL";
    Ok(db.execute_raw(statement(db, sql, vec![])).await?.rows_affected())
}

/// On PostgreSQL, whether this replica may relay in this transaction; one at a time may.
pub(super) async fn my_turn(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(true);
    }
    let sql = "SELECT pg_try_advisory_xact_lock(hashtext(current_schema()), 7241886) AS mine";
    let row = db.query_one_raw(statement(db, sql, vec![])).await?;
    row.map_or(Ok(false), |row| row.try_get("", "mine"))
}
