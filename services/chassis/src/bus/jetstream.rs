//! NATS JetStream: one stream, durable pull consumers, CloudEvents 1.0 in binary mode.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{self, StorageType};
use async_nats::jetstream::{self, AckKind, Message};
use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use futures::StreamExt as _;
use tahuka_proto::EventKind;
use uuid::Uuid;

use super::{Bus, BusError, Envelope, Subscription};

const FETCH: usize = 256;
const ACK_WAIT: Duration = Duration::from_secs(60);

pub struct JetStreamBus {
    context: jetstream::Context,
    prefix: String,
    replicas: usize,
}

impl JetStreamBus {
    /// Connects, and makes the stream where it is missing. `prefix` begins the stream's name and subjects.
    pub async fn connect(url: &str, prefix: &str, replicas: usize) -> Result<Self, BusError> {
        let client = async_nats::ConnectOptions::new()
            .name("tahuka")
            .retry_on_initial_connect()
            .connection_timeout(Duration::from_secs(5))
            .connect(url)
            .await
            .map_err(BusError::of)?;
        let bus = JetStreamBus { context: jetstream::new(client), prefix: prefix.to_owned(), replicas };
        let mut tries = 0;
        while let Err(e) = bus.stream().await {
            tries += 1;
            if tries == 20 {
                return Err(e);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(bus)
    }

    async fn stream(&self) -> Result<stream::Stream, BusError> {
        let config = stream::Config {
            name: format!("{}_EVENTS", self.prefix.to_uppercase()),
            subjects: vec![format!("{}.evt.>", self.prefix)],
            storage: StorageType::File,
            num_replicas: self.replicas,
            duplicate_window: Duration::from_secs(120),
            ..Default::default()
        };
        self.context.get_or_create_stream(config).await.map_err(BusError::of)
    }
}

#[async_trait]
impl Bus for JetStreamBus {
    async fn publish(&self, events: &[Envelope]) -> Result<Vec<Option<u64>>, BusError> {
        let mut pending = Vec::with_capacity(events.len());
        for event in events {
            let subject = format!("{}.{}", self.prefix, event.subject);
            let sent = self.context.publish_with_headers(subject, headers(event), event.body.clone()).await;
            pending.push(sent.map_err(BusError::of)?);
        }
        let mut places = Vec::with_capacity(events.len());
        for ack in pending {
            match ack.await {
                Ok(ack) => places.push(Some(ack.sequence)),
                Err(e) => {
                    // A stream that is gone is made again; the events go out with the next try.
                    self.stream().await?;
                    return Err(BusError::of(e));
                }
            }
        }
        Ok(places)
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<(), BusError> {
        let filter_subjects = subscription
            .kinds
            .iter()
            .filter_map(|kind| EventKind::of(kind))
            .map(|e| format!("{}.evt.*.{}.{}.{}", self.prefix, e.service, e.aggregate, e.name))
            .collect();
        let config = pull::Config {
            durable_name: Some(subscription.name.replace('.', "_")),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: FETCH as i64,
            filter_subjects,
            ..Default::default()
        };
        let bus = JetStreamBus { context: self.context.clone(), prefix: self.prefix.clone(), replicas: self.replicas };
        // Made here once, so that a wrong configuration is told at start.
        bus.consumer(&config).await?;
        tokio::spawn(async move {
            loop {
                if let Err(e) = bus.consume(&config, &subscription).await {
                    tracing::warn!(error = %e, consumer = subscription.name, "the consumer will try again");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        });
        Ok(())
    }

    async fn last_seq(&self) -> Result<Option<u64>, BusError> {
        let stream = self.stream().await?;
        let info = stream.get_info().await.map_err(BusError::of)?;
        Ok(Some(info.state.last_sequence))
    }
}

impl JetStreamBus {
    async fn consumer(&self, config: &pull::Config) -> Result<PullConsumer, BusError> {
        let name = config.durable_name.clone().unwrap_or_default();
        self.stream().await?.create_consumer(pull::Config { name: Some(name), ..config.clone() }).await.map_err(BusError::of)
    }

    /// Takes batches until something fails; then the consumer is looked up, or made, anew.
    async fn consume(&self, config: &pull::Config, subscription: &Subscription) -> Result<(), BusError> {
        let consumer = self.consumer(config).await?;
        loop {
            let mut batch =
                consumer.batch().max_messages(FETCH).expires(Duration::from_secs(5)).messages().await.map_err(BusError::of)?;
            // The first message is waited for; then what has come is taken together.
            let mut messages: Vec<Message> = Vec::new();
            while let Some(message) = batch.next().await {
                messages.push(message.map_err(BusError::of)?);
                if messages.len() >= FETCH {
                    break;
                }
                let more = tokio::time::timeout(Duration::from_millis(2), batch.next()).await;
                match more {
                    Ok(Some(message)) => messages.push(message.map_err(BusError::of)?),
                    Ok(None) | Err(_) => break,
                }
            }
            drop(batch);
            self.hand_over(&messages, subscription).await?;
        }
    }

    async fn hand_over(&self, messages: &[Message], subscription: &Subscription) -> Result<(), BusError> {
        let mut envelopes = Vec::with_capacity(messages.len());
        for message in messages {
            match envelope(message) {
                Some(envelope) => envelopes.push(envelope),
                // Nothing of ours: taken off, so that the rest goes on.
                None => message.ack_with(AckKind::Term).await.map_err(BusError::of)?,
            }
        }
        if !envelopes.is_empty() {
            subscription.handler.deliver(&envelopes).await;
        }
        for message in messages {
            message.ack().await.map_err(BusError::of)?;
        }
        Ok(())
    }
}

fn headers(event: &Envelope) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", event.id.to_string());
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-id", event.id.to_string());
    headers.insert("ce-type", event.kind.as_str());
    headers.insert("ce-source", format!("/tahuka/{}", event.kind.split('.').nth(1).unwrap_or_default()));
    headers.insert("ce-time", event.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true));
    headers.insert("ce-subject", event.aggregate_id.to_string());
    headers.insert("ce-custodian", event.custodian.to_string());
    headers.insert("content-type", "application/protobuf");
    if let Some(traceparent) = &event.traceparent {
        headers.insert("traceparent", traceparent.as_str());
    }
    headers
}

fn envelope(message: &Message) -> Option<Envelope> {
    let headers = message.headers.as_ref()?;
    let text = |name: &str| headers.get(name).map(|v| v.as_str());
    Some(Envelope {
        id: Uuid::try_parse(text("ce-id")?).ok()?,
        kind: text("ce-type")?.to_owned(),
        subject: message.subject.to_string(),
        custodian: Uuid::try_parse(text("ce-custodian")?).ok()?,
        aggregate_id: Uuid::try_parse(text("ce-subject")?).ok()?,
        body: message.payload.clone(),
        traceparent: text("traceparent").map(str::to_owned),
        recorded_at: DateTime::parse_from_rfc3339(text("ce-time")?).ok()?.with_timezone(&Utc),
    })
}
