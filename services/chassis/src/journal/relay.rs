//! From the journal to the bus, in order, until every event is accepted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::context::FutureExt as _;
use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::store;
use crate::bus::{Bus, Envelope};
use crate::refusal::Refusal;
use crate::store::Store;
use crate::telemetry::{self, Publishing};

const BATCH: u64 = 256;
const POLL: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// How often the stream is asked whether it still has what it accepted: before anything new goes onto another one.
const CHECK: Duration = Duration::from_secs(2);

/// Runs until `stop`; a failure is logged and tried again.
pub(crate) async fn run(store: Store, bus: Arc<dyn Bus>, stop: CancellationToken) {
    let service = store.service();
    let (db, wake) = (store.connection().clone(), store.committed());
    relaying(service, db, bus, wake, stop).with_context(telemetry::service(service)).await;
}

async fn relaying(service: &'static str, db: DatabaseConnection, bus: Arc<dyn Bus>, wake: Arc<Notify>, stop: CancellationToken) {
    let mut backoff = Duration::from_millis(50);
    let mut checked: Option<Instant> = None;
    loop {
        let round = async {
            if checked.is_none_or(|at| at.elapsed() > CHECK) {
                catch_up(&db, &*bus).await?;
                checked = Some(Instant::now());
            }
            relay(&db, &*bus).await
        };
        let pause = match round.await {
            Ok(0) => {
                backoff = Duration::from_millis(50);
                POLL
            }
            Ok(sent) => {
                metrics::counter!("tahuka_events_published_total", "service" => service).increment(sent as u64);
                Duration::ZERO
            }
            Err(e) => {
                metrics::counter!("tahuka_relay_failures_total", "service" => service).increment(1);
                tracing::warn!(error = %e, "events wait: the relay will try again");
                checked = None;
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
        let marks = publish(bus, batch).await?;
        settle(&turn, bus, &marks).await?;
        turn.commit().await?;
        return Ok(marks.len());
    }
    let batch = store::unpublished(db, BATCH).await?;
    let marks = publish(bus, batch).await?;
    settle(db, bus, &marks).await?;
    Ok(marks.len())
}

/// The numbers of what was published, each with its place in the stream.
async fn publish(bus: &dyn Bus, batch: Vec<(i64, Envelope)>) -> Result<Vec<(i64, Option<u64>)>, Refusal> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let (numbers, envelopes): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
    let (spans, envelopes) = Publishing::begin(bus.system(), envelopes);
    let places = bus.publish(&envelopes).await;
    spans.end(places.is_err());
    let places = places.map_err(|e| Refusal::Unavailable(format!("the bus ({e})")))?;
    Ok(numbers.into_iter().zip(places).collect())
}

/// Where the stream does not have the newest event any more that it was given, everything goes out again, in order: an
/// older place may hold the right event or another's. The inboxes pass over what had its effect.
async fn catch_up(db: &DatabaseConnection, bus: &dyn Bus) -> Result<(), Refusal> {
    let Some((place, event)) = store::published(db).await? else { return Ok(()) };
    if holds(bus, place, event).await? { Ok(()) } else { publish_again(db).await }
}

async fn holds(bus: &dyn Bus, place: u64, event: Uuid) -> Result<bool, Refusal> {
    bus.holds(place, event).await.map_err(|e| Refusal::Unavailable(format!("the bus ({e})")))
}

async fn publish_again(db: &impl ConnectionTrait) -> Result<(), Refusal> {
    let lost = store::replay(db).await?;
    tracing::warn!(events = lost, "the stream has lost events that it had accepted; the journal goes out again");
    Ok(())
}

/// Marks what was published. Places before those of earlier events may be those of another stream, made since the last
/// look at it; then nothing is marked.
async fn settle(db: &impl ConnectionTrait, bus: &dyn Bus, marks: &[(i64, Option<u64>)]) -> Result<(), Refusal> {
    if let Some(least) = marks.iter().filter_map(|(_, place)| *place).min()
        && let Some((newest, event)) = store::published(db).await?
        && least <= newest
        && !holds(bus, newest, event).await?
    {
        return publish_again(db).await;
    }
    Ok(store::mark(db, marks).await?)
}
