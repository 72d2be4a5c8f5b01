//! The bus: how an event of one service reaches the others. Two forms of one trait: in this
//! process, and NATS JetStream.

mod in_process;
mod jetstream;
mod login;
pub mod stream;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use in_process::InProcessBus;
pub use jetstream::JetStreamBus;
pub(crate) use login::with_login;

/// One event on its way.
#[derive(Debug, Clone)]
pub struct Envelope {
    pub id: Uuid,
    /// Full proto name of the body.
    pub kind: String,
    /// `evt.<custodian>.<service>.<aggregate>.<event>`; the bus puts the installation's prefix before it.
    pub subject: String,
    pub custodian: Uuid,
    pub aggregate_id: Uuid,
    pub body: Bytes,
    pub traceparent: Option<String>,
    pub recorded_at: DateTime<Utc>,
}

/// What has not reached a consumer yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub events: u64,
    /// When the first of them was recorded.
    pub oldest: Option<DateTime<Utc>>,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BusError(pub String);

impl BusError {
    pub(crate) fn of(error: impl std::fmt::Display) -> Self {
        BusError(error.to_string())
    }
}

/// Where events are handed in.
#[async_trait]
pub trait Deliver: Send + Sync {
    /// Returns once each of the events has had its effect or is parked.
    async fn deliver(&self, events: &[Envelope]);

    /// The turn to listen, which one replica has at a time, so that order holds over all of them; None while another
    /// one has it. It lasts until it is dropped.
    async fn turn(&self) -> Result<Option<Box<dyn Turn>>, BusError>;
}

#[async_trait]
pub trait Turn: Send + Sync {
    /// Fails once the turn is lost.
    async fn hold(&self) -> Result<(), BusError>;
}

/// A consumer that listens: durable under its name.
pub struct Subscription {
    /// `service.consumer`.
    pub name: String,
    /// Full proto names of the events that it hears.
    pub kinds: Vec<&'static str>,
    pub handler: Arc<dyn Deliver>,
}

#[async_trait]
pub trait Bus: Send + Sync {
    /// Takes events in order; returns, for each, its place in the stream where there is one, once
    /// all are safe: stored by the broker, or taken by every consumer of this process.
    async fn publish(&self, events: &[Envelope]) -> Result<Vec<Option<u64>>, BusError>;

    async fn subscribe(&self, subscription: Subscription) -> Result<(), BusError>;

    /// Whether the stream still has this event at this place.
    async fn holds(&self, place: u64, event: Uuid) -> Result<bool, BusError>;

    /// What waits for the consumer of this name; None where nothing waits on the bus itself.
    async fn waiting(&self, consumer: &str) -> Result<Option<Waiting>, BusError>;

    /// Its name in traces.
    fn system(&self) -> &'static str;
}
