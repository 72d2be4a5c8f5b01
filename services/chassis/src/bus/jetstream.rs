//! NATS JetStream: one stream, durable pull consumers, CloudEvents 1.0 in binary mode.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::stream::{self, RawMessageErrorKind, StorageType};
use async_nats::jetstream::{self, AckKind, Message};
use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use futures::StreamExt as _;
use tahuka_proto::EventKind;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::NatsConfig;

use super::{Bus, BusError, Envelope, Subscription, Waiting, with_login};

const FETCH: usize = 256;
const ACK_WAIT: Duration = Duration::from_secs(30);
/// How long more messages are waited for, once there is one.
const GATHER: Duration = Duration::from_millis(2);

#[derive(Clone)]
pub struct JetStreamBus {
    context: jetstream::Context,
    prefix: String,
    replicas: usize,
    stop: CancellationToken,
}

impl JetStreamBus {
    /// Connects, and makes the stream where it is missing. Its consumers listen until `stop`.
    pub async fn connect(url: &str, config: &NatsConfig, stop: CancellationToken) -> Result<Self, BusError> {
        let client =
            with_login(options(config).await?, url).retry_on_initial_connect().connect(url).await.map_err(BusError::of)?;
        let (prefix, replicas) = (config.prefix.clone(), config.replicas);
        let bus = JetStreamBus { context: jetstream::new(client), prefix, replicas, stop };
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

    /// For an operator's command, which does not wait for a server that is not there. None: no server is configured.
    pub(super) async fn client(config: &NatsConfig) -> Result<Option<async_nats::Client>, BusError> {
        let Some(url) = config.server().map_err(BusError::of)? else { return Ok(None) };
        with_login(options(config).await?, &url).connect(url).await.map(Some).map_err(BusError::of)
    }

    pub(super) fn stream_name(prefix: &str) -> String {
        format!("{}_EVENTS", prefix.to_uppercase())
    }

    async fn stream(&self) -> Result<stream::Stream, BusError> {
        let config = stream::Config {
            name: Self::stream_name(&self.prefix),
            subjects: vec![format!("{}.evt.>", self.prefix)],
            storage: StorageType::File,
            num_replicas: self.replicas,
            duplicate_window: Duration::from_secs(120),
            ..Default::default()
        };
        self.context.get_or_create_stream(config).await.map_err(BusError::of)
    }
}

async fn options(config: &NatsConfig) -> Result<async_nats::ConnectOptions, BusError> {
    let mut options = async_nats::ConnectOptions::new().name("tahuka").connection_timeout(Duration::from_secs(5));
    if let Some(file) = &config.credentials_file {
        options = options.credentials_file(file).await.map_err(BusError::of)?;
    }
    if let Some(file) = &config.ca_file {
        options = options.add_root_certificates(file.clone());
    }
    Ok(options)
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
        let name = durable(&subscription.name);
        let config = pull::Config {
            name: Some(name.clone()),
            durable_name: Some(name),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: FETCH as i64,
            filter_subjects,
            ..Default::default()
        };
        let bus = self.clone();
        tokio::spawn(async move {
            let listening = async {
                loop {
                    if let Err(e) = bus.consume(&config, &subscription).await {
                        tracing::warn!(error = %e, consumer = subscription.name, "the consumer will try again");
                    }
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            };
            // What is in hand is dropped: it was not acknowledged, so it comes again.
            bus.stop.run_until_cancelled(listening).await;
        });
        Ok(())
    }

    async fn holds(&self, place: u64, event: Uuid) -> Result<bool, BusError> {
        match self.stream().await?.get_raw_message(place).await {
            Ok(message) => Ok(message.headers.get("Nats-Msg-Id").is_some_and(|id| id.as_str() == event.to_string())),
            Err(e) if e.kind() == RawMessageErrorKind::NoMessageFound => Ok(false),
            Err(e) => Err(BusError::of(e)),
        }
    }

    async fn waiting(&self, consumer: &str) -> Result<Option<Waiting>, BusError> {
        let stream = self.context.get_stream_no_info(Self::stream_name(&self.prefix)).await.map_err(BusError::of)?;
        let info = match stream.consumer_info(durable(consumer)).await {
            Ok(info) => info,
            Err(e) if e.kind() == ConsumerInfoErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(BusError::of(e)),
        };
        let events = info.num_pending + info.num_ack_pending as u64;
        if events == 0 {
            return Ok(Some(Waiting { events, oldest: None }));
        }
        // The first event after those that are done with, of any kind that it hears.
        let mut first: Option<(u64, Option<DateTime<Utc>>)> = None;
        for subject in info.config.filter_subjects {
            let next = stream.raw_message_builder().sequence(info.ack_floor.stream_sequence + 1).next_by_subject(subject);
            match next.send().await {
                Ok(message) if first.is_none_or(|(place, _)| message.sequence < place) => {
                    first = Some((message.sequence, recorded_at(&message.headers)));
                }
                Ok(_) => {}
                Err(e) if e.kind() == RawMessageErrorKind::NoMessageFound => {}
                Err(e) => return Err(BusError::of(e)),
            }
        }
        Ok(Some(Waiting { events, oldest: first.and_then(|(_, recorded)| recorded) }))
    }

    fn system(&self) -> &'static str {
        "nats"
    }
}

/// The name of a consumer on the server, which allows no dots.
fn durable(consumer: &str) -> String {
    consumer.replace('.', "_")
}

impl JetStreamBus {
    /// The durable consumer. Where its last holder ended with messages in hand, it is made anew from the first of
    /// them: JetStream alone would bring them only after newer ones. The inbox passes over what had its effect.
    async fn consumer(&self, config: &pull::Config) -> Result<PullConsumer, BusError> {
        let stream = self.stream().await?;
        let name = config.durable_name.as_deref().unwrap_or_default();
        let mut config = config.clone();
        if let Ok(known) = stream.get_consumer::<pull::Config>(name).await {
            let info = known.cached_info();
            let same = info.config.filter_subjects == config.filter_subjects;
            if same && info.num_ack_pending == 0 {
                return Ok(known);
            }
            // One that hears other events now begins at the beginning.
            if same {
                let start_sequence = info.ack_floor.stream_sequence + 1;
                config.deliver_policy = DeliverPolicy::ByStartSequence { start_sequence };
            }
            stream.delete_consumer(name).await.map_err(BusError::of)?;
        }
        stream.create_consumer(config).await.map_err(BusError::of)
    }

    /// Takes messages, while it is this replica's turn, until something fails; then the consumer is looked up, or made,
    /// anew.
    async fn consume(&self, config: &pull::Config, subscription: &Subscription) -> Result<(), BusError> {
        let Some(turn) = subscription.handler.turn().await? else { return Ok(()) };
        let consumer = self.consumer(config).await?;
        let mut coming = consumer.stream().max_messages_per_batch(FETCH).messages().await.map_err(BusError::of)?;
        loop {
            // The first message is waited for; then what has come is taken together.
            let Some(first) = coming.next().await else { return Ok(()) };
            let mut messages = vec![first.map_err(BusError::of)?];
            while messages.len() < FETCH {
                match tokio::time::timeout(GATHER, coming.next()).await {
                    Ok(Some(message)) => messages.push(message.map_err(BusError::of)?),
                    Ok(None) | Err(_) => break,
                }
            }
            turn.hold().await?;
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
        recorded_at: recorded_at(headers)?,
    })
}

fn recorded_at(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(headers.get("ce-time")?.as_str()).ok()?.with_timezone(&Utc))
}
