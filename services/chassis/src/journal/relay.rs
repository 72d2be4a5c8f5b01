//! From the journal to the bus, in order, until every event is accepted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::{DatabaseConnection, TransactionTrait};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::store;
use crate::bus::Bus;
use crate::refusal::Refusal;

const BATCH: u64 = 256;
const POLL: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// How often the stream is asked whether it still has what it accepted.
const CHECK: Duration = Duration::from_secs(15);

/// Runs until `stop`; a failure is logged and tried again.
pub async fn run(db: DatabaseConnection, bus: Arc<dyn Bus>, wake: Arc<Notify>, stop: CancellationToken) {
    let mut backoff = Duration::from_millis(50);
    let mut checked: Option<Instant> = None;
    loop {
        if checked.is_none_or(|at| at.elapsed() > CHECK) {
            match catch_up(&db, &*bus).await {
                Ok(()) => checked = Some(Instant::now()),
                Err(e) => tracing::warn!(error = %e, "the stream cannot be compared with the journal"),
            }
        }
        let pause = match relay(&db, &*bus).await {
            Ok(0) => {
                backoff = Duration::from_millis(50);
                POLL
            }
            Ok(_) => Duration::ZERO,
            Err(e) => {
                tracing::warn!(error = %e, "events wait: the relay will try again");
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
                backoff
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            () = wake.notified(), if pause == POLL => {}
        }
    }
}

/// Publishes one batch; how many events.
async fn relay(db: &DatabaseConnection, bus: &dyn Bus) -> Result<usize, Refusal> {
    // The turn is held by a transaction of its own on PostgreSQL. SQLite has one process and no turns:
    // there the batch is read and marked outside a transaction, so that no writer waits for the bus.
    if db.get_database_backend() == sea_orm::DbBackend::Postgres {
        let turn = db.begin().await?;
        if !store::my_turn(&turn).await? {
            return Ok(0);
        }
        let batch = store::unpublished(&turn, BATCH).await?;
        let marks = publish(bus, &batch).await?;
        store::mark(&turn, &marks).await?;
        turn.commit().await?;
        return Ok(batch.len());
    }
    let batch = store::unpublished(db, BATCH).await?;
    let marks = publish(bus, &batch).await?;
    store::mark(db, &marks).await?;
    Ok(batch.len())
}

async fn publish(bus: &dyn Bus, batch: &[(i64, crate::bus::Envelope)]) -> Result<Vec<(i64, Option<u64>)>, Refusal> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let envelopes: Vec<_> = batch.iter().map(|(_, envelope)| envelope.clone()).collect();
    let places = bus.publish(&envelopes).await.map_err(|e| Refusal::Unavailable(format!("the bus ({e})")))?;
    metrics::counter!("tahuka_events_published_total").increment(batch.len() as u64);
    if let Some(oldest) = batch.first() {
        let lag = crate::clock::now() - oldest.1.recorded_at;
        metrics::gauge!("tahuka_outbox_lag_seconds").set(lag.num_milliseconds() as f64 / 1000.0);
    }
    Ok(batch.iter().map(|(seq, _)| *seq).zip(places).collect())
}

/// Looks for the newest event that the stream still has where it was put, in growing steps backwards, and lets
/// everything after it go out again. The inboxes pass over what had its effect.
async fn catch_up(db: &DatabaseConnection, bus: &dyn Bus) -> Result<(), Refusal> {
    let mut back = 0;
    let kept = loop {
        let Some((place, event)) = store::published(db, back).await? else { break 0 };
        if bus.holds(place, event).await.map_err(|e| Refusal::Unavailable(format!("the bus ({e})")))? {
            break place;
        }
        back = (back * 4).max(1);
    };
    if back > 0 {
        let lost = store::unmark_after(db, kept).await?;
        tracing::warn!(lost, "the stream has lost events that it had accepted; they go out again");
    }
    Ok(())
}
