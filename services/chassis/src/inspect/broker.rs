//! The NATS server: whether it is there, keeps streams, and holds what the journals say.

use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::{self, ErrorCode, stream};
use uuid::Uuid;

use super::PATIENCE;
use crate::bus::{BusError, with_login};
use crate::config::NatsConfig;

pub struct Broker {
    client: async_nats::Client,
    context: jetstream::Context,
    prefix: String,
}

/// The stream of the installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    pub replicas: usize,
    /// Those that are there and up to date, the leader among them.
    pub current: usize,
    pub on_disk: bool,
    pub events: u64,
}

/// How far a durable consumer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Events that wait for it.
    pub pending: u64,
    /// In hand, and not acknowledged.
    pub in_hand: usize,
    pub delivered_again: usize,
}

impl Broker {
    /// None where the bus is in the process.
    pub async fn connect(config: &NatsConfig) -> Result<Option<Self>, BusError> {
        let url = config.server().map_err(BusError::of)?;
        let Some(url) = url else { return Ok(None) };
        let mut options = async_nats::ConnectOptions::new().name("tahuka-inspect").connection_timeout(PATIENCE);
        if let Some(file) = &config.credentials_file {
            options = options.credentials_file(file).await.map_err(BusError::of)?;
        }
        if let Some(file) = &config.ca_file {
            options = options.add_root_certificates(file.clone());
        }
        let client = within(with_login(options, &url).connect(url)).await?;
        let mut context = jetstream::new(client.clone());
        context.set_timeout(PATIENCE);
        Ok(Some(Broker { client, context, prefix: config.prefix.clone() }))
    }

    /// Version of the server.
    pub fn version(&self) -> String {
        self.client.server_info().version
    }

    /// Servers of its cluster that it tells of; 1 for a server of its own.
    pub fn servers(&self) -> usize {
        let info = self.client.server_info();
        let mut hosts: Vec<&str> = info.connect_urls.iter().map(String::as_str).collect();
        hosts.sort_unstable();
        hosts.dedup();
        if info.cluster.is_none() { 1 } else { hosts.len().max(1) }
    }

    /// Whether the server, and this account on it, keep streams.
    pub async fn keeps_streams(&self) -> Result<(), String> {
        if !self.client.server_info().jetstream {
            return Err("the server runs without JetStream".into());
        }
        self.context.query_account().await.map(|_| ()).map_err(|e| format!("JetStream does not answer this account ({e})"))
    }

    /// The installation's stream; none before a process has made it.
    pub async fn stream(&self) -> Result<Option<Stream>, BusError> {
        let Some(stream) = self.find().await? else { return Ok(None) };
        let info = stream.cached_info();
        let current = info.cluster.as_ref().map_or(1, |cluster| {
            usize::from(cluster.leader.is_some()) + cluster.replicas.iter().filter(|peer| peer.current && !peer.offline).count()
        });
        Ok(Some(Stream {
            replicas: info.config.num_replicas,
            current,
            on_disk: info.config.storage == stream::StorageType::File,
            events: info.state.messages,
        }))
    }

    /// Whether the stream has this event in this place.
    pub async fn holds(&self, place: u64, event: Uuid) -> Result<bool, BusError> {
        let Some(stream) = self.find().await? else { return Ok(false) };
        match stream.get_raw_message(place).await {
            Ok(message) => Ok(message.headers.get("Nats-Msg-Id").is_some_and(|id| id.as_str() == event.to_string())),
            Err(e) if e.kind() == stream::RawMessageErrorKind::NoMessageFound => Ok(false),
            Err(e) => Err(BusError::of(e)),
        }
    }

    /// The durable consumer of this name; none: nobody has ever listened under it.
    pub async fn heard(&self, consumer: &str) -> Result<Option<Heard>, BusError> {
        let Some(stream) = self.find().await? else { return Ok(None) };
        match stream.consumer_info(consumer).await {
            Ok(info) => Ok(Some(Heard {
                pending: info.num_pending,
                in_hand: info.num_ack_pending,
                delivered_again: info.num_redelivered,
            })),
            Err(e) if e.kind() == ConsumerInfoErrorKind::NotFound => Ok(None),
            Err(e) => Err(BusError::of(e)),
        }
    }

    async fn find(&self) -> Result<Option<stream::Stream>, BusError> {
        let name = format!("{}_EVENTS", self.prefix.to_uppercase());
        match self.context.get_stream(name).await {
            Ok(stream) => Ok(Some(stream)),
            Err(e) => match e.kind() {
                jetstream::context::GetStreamErrorKind::JetStream(told) if told.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    Ok(None)
                }
                _ => Err(BusError::of(e)),
            },
        }
    }
}

async fn within<T, E: std::fmt::Display>(ask: impl Future<Output = Result<T, E>>) -> Result<T, BusError> {
    match tokio::time::timeout(PATIENCE, ask).await {
        Ok(answer) => answer.map_err(BusError::of),
        Err(_) => Err(BusError(format!("no answer in {} s", PATIENCE.as_secs()))),
    }
}
