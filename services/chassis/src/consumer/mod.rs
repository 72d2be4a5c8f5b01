//! What a service does when an event arrives: exactly once in effect, in order, and never in the
//! way of the rest.

pub mod dead_letters;
pub mod rebuild;
mod store;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::SpanContext;
use prost::Message;
use tahuka_proto::UnitKind;
use uuid::Uuid;

use crate::bus::{Bus, BusError, Deliver, Envelope, Subscription, Turn};
use crate::custody::held::{self, Care, Due};
use crate::refusal::Refusal;
use crate::store::{Store, Tx};
use crate::{clock, telemetry};

/// How often an event that fails of itself is tried before it is parked.
const TRIES: u32 = 5;

#[async_trait]
pub trait Consumer: Send + Sync {
    /// Unique within the service; the inbox is kept under it.
    fn name(&self) -> &'static str;

    /// Full proto names of the events.
    fn hears(&self) -> &'static [&'static str];

    /// The effect of one event, in a transaction of the system's that holds its inbox row too. Several
    /// events may share one transaction.
    async fn handle(&self, tx: &mut Tx, event: &Event) -> Result<(), Refusal>;

    /// After the last event of a transaction: writes what `handle` has kept in it (`Tx::keep`), for all of them together.
    async fn settle(&self, _: &mut Tx) -> Result<(), Refusal> {
        Ok(())
    }

    /// Effects of events are committed.
    fn taken(&self) {}
}

/// An event that has arrived.
#[derive(Debug, Clone)]
pub struct Event {
    pub id: Uuid,
    /// Full proto name of the body.
    pub kind: String,
    pub custodian: Uuid,
    pub aggregate_id: Uuid,
    pub recorded_at: DateTime<Utc>,
    pub body: Bytes,
}

impl Event {
    /// What it tells of, where that can pass to another custodian.
    pub fn unit(&self) -> Option<(UnitKind, Uuid)> {
        let (kind, id) = tahuka_proto::unit_of(&self.kind, &self.body)?;
        Some((kind, Uuid::try_parse(&id).ok()?))
    }

    pub fn decode<M: Message + Default>(&self) -> Result<M, Refusal> {
        M::decode(self.body.clone()).map_err(Refusal::internal)
    }
}

impl From<&Envelope> for Event {
    fn from(envelope: &Envelope) -> Self {
        Event {
            id: envelope.id,
            kind: envelope.kind.clone(),
            custodian: envelope.custodian,
            aggregate_id: envelope.aggregate_id,
            recorded_at: envelope.recorded_at,
            body: envelope.body.clone(),
        }
    }
}

/// Lets `consumer` listen on the bus, durable as `service.name`.
pub(crate) async fn subscribe(
    bus: &dyn Bus,
    service: &'static str,
    store: Store,
    consumer: Arc<dyn Consumer>,
    holds: bool,
) -> Result<(), BusError> {
    let name = format!("{service}.{}", consumer.name());
    let kinds = consumer.hears().to_vec();
    bus.subscribe(Subscription { name, kinds, handler: Arc::new(Inbox { store, consumer, holds, bus: bus.system() }) }).await
}

/// How many dead letters there are, and since when the oldest is one.
pub(crate) async fn dead_letters(tx: &Tx) -> Result<(i64, Option<DateTime<Utc>>), Refusal> {
    store::dead_letters(tx).await
}

/// A consumer behind its inbox.
struct Inbox {
    store: Store,
    consumer: Arc<dyn Consumer>,
    /// Whether the service has records that can be sealed, and pass to another custodian.
    holds: bool,
    /// Which bus it listens to, for traces.
    bus: &'static str,
}

/// An event with the trace that it comes from.
struct Arrived {
    event: Event,
    trace: Option<SpanContext>,
}

#[async_trait]
impl Deliver for Inbox {
    async fn deliver(&self, events: &[Envelope]) {
        let arrived =
            |e: &Envelope| Arrived { event: Event::from(e), trace: e.traceparent.as_deref().and_then(telemetry::parsed) };
        let events: Vec<Arrived> = events.iter().map(arrived).collect();
        // The common case: all of them in one transaction. If one fails, each gets its own.
        if events.len() > 1 && self.take(&events).await.is_ok() {
            return;
        }
        for event in &events {
            self.insist(event).await;
        }
    }

    async fn turn(&self) -> Result<Option<Box<dyn Turn>>, BusError> {
        store::turn(&self.store, self.consumer.name()).await
    }
}

impl Inbox {
    async fn take(&self, events: &[Arrived]) -> Result<(), Refusal> {
        let (service, consumer) = (self.store.service(), self.consumer.name());
        let told = events.iter().map(|a| (a.event.kind.as_str(), a.event.id, a.trace.as_ref()));
        let spans = telemetry::processing(service, consumer, self.bus, told);
        let taken = self.take_in_one(events, &spans).with_context(spans.shared.clone()).await;
        if let Err(refusal) = &taken {
            metrics::counter!("tahuka_consumer_failures_total", "service" => service, "consumer" => consumer).increment(1);
            spans.end(Some(refusal.kind()));
        } else {
            spans.end(None);
        }
        taken
    }

    /// All of them in one transaction.
    async fn take_in_one(&self, events: &[Arrived], spans: &telemetry::Processing) -> Result<(), Refusal> {
        let (service, consumer) = (self.store.service(), self.consumer.name());
        let mut tx = self.store.system(consumer).await?;
        let mut handled = Vec::with_capacity(events.len());
        let care = if self.holds { Some(Care::of(&tx, consumer).await?) } else { None };
        for (number, Arrived { event, .. }) in events.iter().enumerate() {
            if store::first_time(&tx, consumer, event.id).await? {
                let due = match &care {
                    Some(care) => care.due(&tx, consumer, event).await?,
                    None => Due::Now(event.clone()),
                };
                match due {
                    Due::Now(event) => self.consumer.handle(&mut tx, &event).with_context(spans.of(number)).await?,
                    Due::Behind(tranche) => held::hold(&tx, consumer, event, tranche).await?,
                }
                handled.push(event.recorded_at);
            } else {
                spans.known_already(number);
            }
        }
        self.consumer.settle(&mut tx).await?;
        tx.commit().await?;
        self.consumer.taken();
        metrics::counter!("tahuka_consumer_handled_total", "service" => service, "consumer" => consumer)
            .increment(handled.len() as u64);
        let (delay, now) =
            (metrics::histogram!("tahuka_event_delay_seconds", "service" => service, "consumer" => consumer), clock::now());
        for recorded_at in handled {
            delay.record((now - recorded_at).as_seconds_f64().max(0.0));
        }
        Ok(())
    }

    /// Tries until the event is taken or parked. What is the store's fault is tried without end.
    async fn insist(&self, arrived: &Arrived) {
        let mut tries = 0;
        let mut pause = Duration::from_millis(50);
        loop {
            let Err(mut refusal) = self.take(std::slice::from_ref(arrived)).await else { return };
            if let Refusal::Sealed { tranche } = refusal {
                match self.hold(&arrived.event, tranche).await {
                    Ok(()) => return,
                    Err(e) => refusal = e,
                }
            }
            if !refusal.is_transient() {
                tries += 1;
            }
            if tries >= TRIES {
                match self.park(&arrived.event, &refusal, tries).await {
                    Ok(()) => return,
                    Err(e) => tracing::error!(error = %e, "an event could not be parked"),
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    /// Keeps what a seal refuses until it is lifted.
    async fn hold(&self, event: &Event, tranche: Uuid) -> Result<(), Refusal> {
        let tx = self.store.system(self.consumer.name()).await?;
        if store::first_time(&tx, self.consumer.name(), event.id).await? {
            held::hold(&tx, self.consumer.name(), event, tranche).await?;
        }
        tx.commit().await
    }

    async fn park(&self, event: &Event, refusal: &Refusal, tries: u32) -> Result<(), Refusal> {
        let tx = self.store.system(self.consumer.name()).await?;
        store::first_time(&tx, self.consumer.name(), event.id).await?;
        park(&tx, self.consumer.name(), event, refusal, tries).await?;
        tx.commit().await
    }
}

/// Puts an event into the dead letters.
pub(crate) async fn park(tx: &Tx, consumer: &str, event: &Event, refusal: &Refusal, tries: u32) -> Result<(), Refusal> {
    tracing::error!(consumer, event = %event.id, kind = event.kind, error = %refusal, "an event is parked in dead_letter");
    store::park(tx, consumer, event, &refusal.to_string(), tries).await?;
    metrics::counter!("tahuka_events_parked_total", "service" => tx.service(), "consumer" => consumer.to_owned()).increment(1);
    Ok(())
}

/// The turn of whoever goes by this name; None while another replica has it.
pub(crate) async fn turn(store: &Store, name: &str) -> Result<Option<Box<dyn Turn>>, BusError> {
    store::turn(store, name).await
}
