//! The dead letters as an operator has to do with them. What is told of one names no person: its ids, and of the error
//! what kind it was.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, QueryResult, Statement};
use uuid::Uuid;

use super::{Consumer, Event};
use crate::clock;
use crate::refusal::Refusal;
use crate::store::{Store, Tx};

/// An event that a consumer could not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub consumer: String,
    pub event_id: Uuid,
    pub kind: String,
    pub custodian: Uuid,
    pub aggregate_id: Uuid,
    /// What kind of error it was, without its words: those may quote what was stored.
    pub error: String,
    pub tries: i64,
    pub recorded_at: DateTime<Utc>,
    pub failed_at: DateTime<Utc>,
}

/// What became of a dead letter that was tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Taken,
    /// It stays. Why, without words that may quote what was stored.
    Failed(String),
    /// It stays, because an earlier event of the same aggregate does.
    Behind(Uuid),
    /// Nobody of this name listens in this service any more.
    NoConsumer,
}

const COLUMNS: &str = "consumer, event_id, kind, custodian_id, aggregate_id, body, error, tries, recorded_at, failed_at";

/// In the order in which the events were recorded, of one consumer or of all.
pub async fn list(store: &Store, consumer: Option<&str>) -> Result<Vec<DeadLetter>, Refusal> {
    let tx = store.system("dead letters").await?;
    rows(&tx, consumer, None).await?.iter().map(letter).collect()
}

async fn rows(tx: &Tx, consumer: Option<&str>, event: Option<Uuid>) -> Result<Vec<QueryResult>, Refusal> {
    let (mut conditions, mut values): (Vec<String>, Vec<sea_orm::Value>) = (Vec::new(), Vec::new());
    for (column, value) in [("consumer", consumer.map(Into::into)), ("event_id", event.map(Into::into))] {
        if let Some(value) = value {
            values.push(value);
            conditions.push(format!("{column} = ${}", values.len()));
        }
    }
    let filter = if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    // The ids of events ascend with the time of their making.
    let sql = format!("SELECT {COLUMNS} FROM dead_letter {filter} ORDER BY event_id, consumer");
    let backend = tx.conn().get_database_backend();
    Ok(tx.conn().query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?)
}

fn letter(row: &QueryResult) -> Result<DeadLetter, Refusal> {
    let error: String = row.try_get("", "error")?;
    Ok(DeadLetter {
        consumer: row.try_get("", "consumer")?,
        event_id: row.try_get("", "event_id")?,
        kind: row.try_get("", "kind")?,
        custodian: row.try_get("", "custodian_id")?,
        aggregate_id: row.try_get("", "aggregate_id")?,
        error: code(&error).to_owned(),
        tries: row.try_get("", "tries")?,
        recorded_at: row.try_get("", "recorded_at")?,
        failed_at: row.try_get("", "failed_at")?,
    })
}

/// The kind of an error that was kept in words.
fn code(error: &str) -> &'static str {
    match error {
        e if e.starts_with("invalid request: ") => "INVALID_FIELD",
        e if e.starts_with("storage: ") => "STORE_FAILED",
        e if e.starts_with("internal: ") => "INTERNAL",
        e if e.ends_with(" not found") => "NOT_FOUND",
        e if e.ends_with(" is not reachable; try again") => "UNAVAILABLE",
        "authentication failed" => "UNAUTHENTICATED",
        _ => "REFUSED",
    }
}

/// Tries the dead letters again, in their order, with the consumers of this service: each in one transaction that takes
/// it out of the dead letters too, so its effect comes once however often and from wherever this is called. Later events
/// of the same aggregate may have been taken since; consumers guard against that as against any event that comes late.
pub async fn replay(
    store: &Store,
    consumers: &[Arc<dyn Consumer>],
    consumer: Option<&str>,
    event: Option<Uuid>,
) -> Result<Vec<(DeadLetter, Outcome)>, Refusal> {
    let all = list(store, consumer).await?;
    let mut outcomes: Vec<(DeadLetter, Outcome)> = Vec::new();
    let mut stays: Vec<(String, Uuid, Uuid)> = Vec::new();
    for letter in all {
        if event.is_some_and(|event| event != letter.event_id) {
            stays.push((letter.consumer.clone(), letter.aggregate_id, letter.event_id));
            continue;
        }
        let before =
            stays.iter().find(|(consumer, aggregate, _)| *consumer == letter.consumer && *aggregate == letter.aggregate_id);
        let outcome = match (before, consumers.iter().find(|known| known.name() == letter.consumer)) {
            (Some((_, _, earlier)), _) => Outcome::Behind(*earlier),
            (None, None) => Outcome::NoConsumer,
            (None, Some(consumer)) => again(store, consumer, &letter).await?,
        };
        if outcome != Outcome::Taken {
            stays.push((letter.consumer.clone(), letter.aggregate_id, letter.event_id));
        }
        outcomes.push((letter, outcome));
    }
    Ok(outcomes)
}

async fn again(store: &Store, consumer: &Arc<dyn Consumer>, letter: &DeadLetter) -> Result<Outcome, Refusal> {
    let mut tx = store.system(consumer.name()).await?;
    let found = rows(&tx, Some(&letter.consumer), Some(letter.event_id)).await?;
    let Some(row) = found.first() else { return Ok(Outcome::Taken) };
    let event = Event {
        id: letter.event_id,
        kind: letter.kind.clone(),
        custodian: letter.custodian,
        aggregate_id: letter.aggregate_id,
        recorded_at: letter.recorded_at,
        body: row.try_get::<Vec<u8>>("", "body")?.into(),
    };
    // Whoever else tries it at this moment waits here, and then finds nothing to take.
    if remove(&tx, letter).await? == 0 {
        return Ok(Outcome::Taken);
    }
    let taken = match consumer.handle(&mut tx, &event).await {
        Ok(()) => consumer.settle(&mut tx).await,
        refused => refused,
    };
    match taken {
        Ok(()) => {
            tx.commit().await?;
            tracing::info!(consumer = consumer.name(), event = %event.id, kind = event.kind, "a dead letter was taken after all");
            Ok(Outcome::Taken)
        }
        Err(refusal) => {
            drop(tx);
            let error = refusal.to_string();
            let tx = store.system(consumer.name()).await?;
            let sql =
                "UPDATE dead_letter SET error = $1, tries = tries + 1, failed_at = $2 WHERE consumer = $3 AND event_id = $4";
            let code = code(&error).to_owned();
            let of = [letter.consumer.as_str().into(), letter.event_id.into()];
            tx.run(sql, [error.into(), clock::now().into()].into_iter().chain(of).collect()).await?;
            tx.commit().await?;
            Ok(Outcome::Failed(code))
        }
    }
}

async fn remove(tx: &Tx, letter: &DeadLetter) -> Result<u64, Refusal> {
    let sql = "DELETE FROM dead_letter WHERE consumer = $1 AND event_id = $2";
    tx.run(sql, vec![letter.consumer.as_str().into(), letter.event_id.into()]).await
}

/// Gives an event up: its effect never comes. Its inbox row stays, so that it is passed over if it is sent again.
pub async fn discard(store: &Store, letter: &DeadLetter) -> Result<bool, Refusal> {
    let tx = store.system("dead letters").await?;
    let gone = remove(&tx, letter).await? == 1;
    tx.commit().await?;
    if gone {
        let DeadLetter { consumer, event_id, kind, .. } = letter;
        tracing::warn!(%consumer, event = %event_id, kind, "a dead letter was discarded");
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_by_its_kind_and_not_in_its_words() {
        for (refusal, told) in [
            (Refusal::invalid("name", "is poison"), "INVALID_FIELD"),
            (Refusal::not_found("record", None), "NOT_FOUND"),
            (Refusal::internal("UWIMANA"), "INTERNAL"),
            (Refusal::Storage(sea_orm::DbErr::Custom("UWIMANA".into())), "STORE_FAILED"),
            (Refusal::Unavailable("a neighbour".into()), "UNAVAILABLE"),
            (Refusal::precondition("STATE", "UWIMANA"), "REFUSED"),
        ] {
            assert_eq!(code(&refusal.to_string()), told);
        }
    }
}
