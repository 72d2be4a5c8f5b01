//! The stream on the broker as an operator has to do with it: what it holds, and its end. Services make it anew when it
//! is gone, and fill it from their journals.

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{ConsumerErrorKind, RawMessageErrorKind};
use async_nats::jetstream::{self, ErrorCode};
use uuid::Uuid;

use super::{BusError, jetstream::JetStreamBus};
use crate::config::NatsConfig;

pub struct Stream {
    context: jetstream::Context,
    pub name: String,
}

/// What a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    pub events: u64,
    pub first: u64,
    pub last: u64,
}

impl State {
    /// Whether nothing between the first and the last place is missing.
    pub fn is_whole(&self) -> bool {
        self.events == (self.last + 1).saturating_sub(self.first)
    }
}

impl Stream {
    /// None where the bus is the process's own.
    pub async fn of(nats: &NatsConfig) -> Result<Option<Self>, BusError> {
        let Some(client) = JetStreamBus::client(nats).await? else { return Ok(None) };
        Ok(Some(Stream { context: jetstream::new(client), name: JetStreamBus::stream_name(&nats.prefix) }))
    }

    /// None: there is no stream.
    pub async fn state(&self) -> Result<Option<State>, BusError> {
        match self.context.get_stream(&self.name).await {
            Ok(stream) => {
                let state = &stream.cached_info().state;
                Ok(Some(State { events: state.messages, first: state.first_sequence, last: state.last_sequence }))
            }
            Err(e) if is_missing(&e.kind()) => Ok(None),
            Err(e) => Err(BusError::of(e)),
        }
    }

    /// The event at this place.
    pub async fn event_at(&self, place: u64) -> Result<Option<Uuid>, BusError> {
        let stream = self.context.get_stream_no_info(&self.name).await.map_err(BusError::of)?;
        match stream.get_raw_message(place).await {
            Ok(message) => Ok(message.headers.get("Nats-Msg-Id").and_then(|id| Uuid::try_parse(id.as_str()).ok())),
            Err(e) if e.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(e) => Err(BusError::of(e)),
        }
    }

    /// Its end, with every consumer's place in it.
    pub async fn delete(&self) -> Result<(), BusError> {
        if self.state().await?.is_some() {
            self.context.delete_stream(&self.name).await.map_err(BusError::of)?;
        }
        Ok(())
    }

    /// A consumer's place in it: the consumer begins at the first event again.
    pub async fn forget(&self, consumer: &str) -> Result<(), BusError> {
        let stream = self.context.get_stream_no_info(&self.name).await.map_err(BusError::of)?;
        match stream.delete_consumer(&consumer.replace('.', "_")).await {
            Ok(_) => Ok(()),
            Err(e) if is_unknown(&e.kind()) => Ok(()),
            Err(e) => Err(BusError::of(e)),
        }
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn is_unknown(kind: &ConsumerErrorKind) -> bool {
    matches!(kind, ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND)
}
