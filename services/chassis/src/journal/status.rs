//! How far a service's journal has got, for operators.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, Statement};
use uuid::Uuid;

use crate::bus::stream::{State, Stream};
use crate::refusal::Refusal;
use crate::store::Store;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub events: i64,
    pub newest: i64,
    pub newest_at: Option<DateTime<Utc>>,
    pub unpublished: i64,
    pub oldest_unpublished_at: Option<DateTime<Utc>>,
    /// The places in the stream of the first and the last event that it was given, each with the event.
    pub first: Option<(u64, Uuid)>,
    pub last: Option<(u64, Uuid)>,
}

pub async fn status(store: &Store) -> Result<Status, Refusal> {
    let tx = store.system("journal").await?;
    let backend = tx.conn().get_database_backend();
    let one = async |sql: &str| tx.conn().query_one_raw(Statement::from_string(backend, sql)).await;
    let counts = "SELECT count(*) AS events, coalesce(max(seq), 0) AS newest, max(recorded_at) AS newest_at FROM journal";
    let waits = "SELECT count(*) AS events, min(recorded_at) AS oldest FROM journal WHERE published_at IS NULL";
    let nothing = || Refusal::internal("the journal does not answer");
    let (counts, waits) = (one(counts).await?.ok_or_else(nothing)?, one(waits).await?.ok_or_else(nothing)?);
    let end = async |order: &str| -> Result<Option<(u64, Uuid)>, Refusal> {
        let sql =
            format!("SELECT stream_seq, event_id FROM journal WHERE stream_seq IS NOT NULL ORDER BY stream_seq {order} LIMIT 1");
        let Some(row) = one(&sql).await? else { return Ok(None) };
        Ok(Some((row.try_get::<i64>("", "stream_seq")?.unsigned_abs(), row.try_get("", "event_id")?)))
    };
    Ok(Status {
        events: counts.try_get("", "events")?,
        newest: counts.try_get("", "newest")?,
        newest_at: counts.try_get("", "newest_at")?,
        unpublished: waits.try_get("", "events")?,
        oldest_unpublished_at: waits.try_get("", "oldest")?,
        first: end("ASC").await?,
        last: end("DESC").await?,
    })
}

impl Status {
    /// Whether the stream still has everything of this journal that it was given.
    pub async fn is_in(&self, stream: &Stream, state: &State) -> Result<bool, Refusal> {
        if !state.is_whole() {
            return Ok(false);
        }
        for (place, event) in [self.first, self.last].into_iter().flatten() {
            let there = stream.event_at(place).await.map_err(|e| Refusal::Unavailable(format!("the bus ({e})")))?;
            if there != Some(event) {
                return Ok(false);
            }
        }
        // On a bus without places, published events have none.
        Ok(self.last.is_some() || self.events == self.unpublished)
    }
}

/// Lets every event go out once more.
pub async fn publish_again(store: &Store) -> Result<u64, Refusal> {
    let tx = store.system("journal").await?;
    let events = super::store::replay(tx.conn()).await?;
    tx.commit().await?;
    Ok(events)
}
