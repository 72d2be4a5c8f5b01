//! What must be asked for: of the store and the bus, every 15 seconds, in the house's own name.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use opentelemetry::context::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::{metrics as recorded, spans};
use crate::access_log::{self, Verdict};
use crate::backup::{self, Kind};
use crate::bus::Bus;
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::store::Store;
use crate::{clock, consumer, journal};

const EVERY: Duration = Duration::from_secs(15);
/// An answer that takes longer is given up until the next time.
const PATIENCE: Duration = Duration::from_secs(10);
const CHAIN_EVERY: Duration = Duration::from_secs(15 * 60);
/// Rows of the access log that are looked at, from the newest on.
const CHAIN_ROWS: u64 = 1000;

type Answer = Pin<Box<dyn Future<Output = Result<f64, Refusal>> + Send>>;

/// A service's own gauges.
#[derive(Clone, Default)]
pub struct Gauges(Arc<Mutex<Vec<Gauge>>>);

#[derive(Clone)]
struct Gauge {
    name: &'static str,
    every: Duration,
    ask: Arc<dyn Fn(Store) -> Answer + Send + Sync>,
}

impl Gauges {
    /// `ask` is asked every so often.
    pub fn add<F>(&self, name: &'static str, every: Duration, ask: impl Fn(Store) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<f64, Refusal>> + Send + 'static,
    {
        if let Ok(mut all) = self.0.lock() {
            all.push(Gauge { name, every, ask: Arc::new(move |store| Box::pin(ask(store))) });
        }
    }
}

/// A service whose state is asked for.
pub(crate) struct Sampled {
    pub store: Store,
    pub bus: Arc<dyn Bus>,
    /// The names of its consumers.
    pub consumers: Vec<&'static str>,
    pub own: Gauges,
}

/// Asks, until `stop`.
pub(crate) async fn sample(sampled: Sampled, stop: CancellationToken) {
    let context = spans::service(sampled.store.service());
    let asking = async {
        let own = sampled.own.0.lock().map(|own| own.clone()).unwrap_or_default();
        let mut asked: Vec<Option<Instant>> = vec![None; own.len()];
        let mut chain_asked: Option<Instant> = None;
        loop {
            sampled.ask().await;
            for (gauge, asked) in own.iter().zip(&mut asked) {
                if is_due(*asked, gauge.every) {
                    *asked = Some(Instant::now());
                    sampled.ask_own(gauge).await;
                }
            }
            if is_due(chain_asked, CHAIN_EVERY) {
                chain_asked = Some(Instant::now());
                sampled.ask_chain().await;
            }
            recorded::tidy();
            tokio::time::sleep(EVERY).await;
        }
    };
    stop.run_until_cancelled(asking.with_context(context)).await;
}

fn is_due(asked: Option<Instant>, every: Duration) -> bool {
    asked.is_none_or(|at| at.elapsed() + EVERY / 2 >= every)
}

fn age(since: Option<DateTime<Utc>>) -> f64 {
    since.map_or(0.0, |since| (clock::now() - since).as_seconds_f64().max(0.0))
}

#[allow(clippy::cast_precision_loss)] // Counts and seconds far below 2^52.
fn told(count: i64) -> f64 {
    count as f64
}

impl Sampled {
    async fn ask(&self) {
        let service = self.store.service();
        let (used, idle, most) = self.store.connections();
        metrics::gauge!("tahuka_database_connections", "service" => service, "state" => "used").set(used);
        metrics::gauge!("tahuka_database_connections", "service" => service, "state" => "idle").set(idle);
        metrics::gauge!("tahuka_database_connections_max", "service" => service).set(most);
        match tokio::time::timeout(PATIENCE, async { tokio::join!(self.ask_store(), self.ask_bus()) }).await {
            Ok((Ok(()), Ok(()))) => {
                metrics::gauge!("tahuka_sampled_timestamp_seconds", "service" => service).set(told(clock::now().timestamp()));
            }
            Ok((store, bus)) => {
                for refusal in [store.err(), bus.err()].into_iter().flatten() {
                    tracing::warn!(error = %refusal, "not all gauges could be asked for");
                }
            }
            Err(_) => tracing::warn!("the store or the bus takes too long to be asked for gauges"),
        }
    }

    async fn ask_store(&self) -> Result<(), Refusal> {
        let service = self.store.service();
        let tx = self.store.read(&Caller::system("metrics")).await?;
        let (pending, oldest) = journal::store::waiting(tx.conn()).await?;
        metrics::gauge!("tahuka_outbox_pending", "service" => service).set(told(pending));
        metrics::gauge!("tahuka_outbox_lag_seconds", "service" => service).set(age(oldest));
        let (dead, oldest) = consumer::dead_letters(&tx).await?;
        metrics::gauge!("tahuka_dead_letters", "service" => service).set(told(dead));
        metrics::gauge!("tahuka_dead_letter_age_seconds", "service" => service).set(age(oldest));
        for (kind, name) in [(Kind::Backup, "tahuka_backup_age_seconds"), (Kind::Drill, "tahuka_drill_age_seconds")] {
            if let Some(mark) = backup::noted_in(&tx, kind).await? {
                metrics::gauge!(name, "service" => service).set(age(Some(mark.taken_at)));
            }
        }
        Ok(())
    }

    async fn ask_bus(&self) -> Result<(), Refusal> {
        let service = self.store.service();
        for consumer in &self.consumers {
            let waiting = self.bus.waiting(&format!("{service}.{consumer}")).await;
            let waiting = waiting.map_err(|e| Refusal::Unavailable(format!("the bus ({e})")))?;
            if let Some(waiting) = waiting {
                let pending = i64::try_from(waiting.events).unwrap_or(i64::MAX);
                metrics::gauge!("tahuka_consumer_pending", "service" => service, "consumer" => *consumer).set(told(pending));
                metrics::gauge!("tahuka_consumer_lag_seconds", "service" => service, "consumer" => *consumer)
                    .set(age(waiting.oldest));
            }
        }
        Ok(())
    }

    async fn ask_own(&self, gauge: &Gauge) {
        match tokio::time::timeout(PATIENCE, (gauge.ask)(self.store.clone())).await {
            Ok(Ok(value)) => metrics::gauge!(gauge.name, "service" => self.store.service()).set(value),
            Ok(Err(refusal)) => tracing::warn!(gauge = gauge.name, error = %refusal, "a gauge could not be asked for"),
            Err(_) => tracing::warn!(gauge = gauge.name, "a gauge takes too long to be asked for"),
        }
    }

    async fn ask_chain(&self) {
        let service = self.store.service();
        match tokio::time::timeout(PATIENCE, access_log::verify_newest(&self.store, CHAIN_ROWS)).await {
            Ok(Ok(verdict)) => {
                if let Verdict::Broken { row, why } = &verdict {
                    tracing::error!(row, why, "the access log is broken: run `tahuka audit verify`");
                }
                let intact = matches!(verdict, Verdict::Whole { .. });
                metrics::gauge!("tahuka_access_log_intact", "service" => service).set(if intact { 1.0 } else { 0.0 });
            }
            Ok(Err(refusal)) => tracing::warn!(error = %refusal, "the access log could not be looked at"),
            Err(_) => tracing::warn!("the access log takes too long to be looked at"),
        }
    }
}
