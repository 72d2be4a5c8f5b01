//! The services of one process, started: stores opened, schemas brought up to date, doors set,
//! relays and consumers running. `--target all` and a single target differ only in the list.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::ServiceExt as _;

use crate::access_log::AccessLog;
use crate::bundles::Bundles;
use crate::bus::{self, Bus};
use crate::config::{Config, TlsConfig};
use crate::custody::{self, Custody};
use crate::lifecycle::Lifecycle;
use crate::passport::{Inspector, Ring};
use crate::peers::{Peer, Peers};
use crate::refusal::Refusal;
use crate::service::{Ctx, ServiceSpec};
use crate::store::{Enforcement, Store};
use crate::telemetry::{Gauges, Sampled};
use crate::{consumer, door, journal, migration, operators, page, pseudonym, server, telemetry};

/// Running services. Stops them all when asked to.
pub struct House {
    pub peers: Peers,
    pub stores: Vec<(&'static str, Store)>,
    pub stop: CancellationToken,
    pub lifecycle: Lifecycle,
    config: Arc<Config>,
    tasks: JoinSet<()>,
    /// The guarded services of this process, for other processes.
    served: Vec<(&'static str, Peer)>,
}

/// Brings the databases of these services to the newest schema.
pub async fn migrate(specs: &[ServiceSpec], config: &Config) -> Result<(), Refusal> {
    for spec in specs {
        let store = Store::open(spec.name, &config.database, &config.data_dir).await?;
        migration::migrate(spec, &store, &config.database).await?;
    }
    Ok(())
}

/// What a start does about a database or a bus that is not there (yet).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Waits for it, and says so to whoever probes: a process among many, started in any order.
    Waits,
    /// Fails: a person watches.
    None,
}

/// How long between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// How often each store is asked whether it answers.
const LOOK: Duration = Duration::from_secs(2);
/// How often it is asked what waits for the end of a handover.
const HELD_EVERY: Duration = Duration::from_secs(15);

impl House {
    /// A house with nothing in it yet but its lifecycle and the ways to other processes.
    pub fn open(config: Arc<Config>) -> Result<Self, Refusal> {
        let peers = Peers::default();
        for (service, addresses) in &config.peers {
            peers.add_remote(service, addresses)?;
        }
        let (lifecycle, mut tasks) = (Lifecycle::default(), JoinSet::new());
        let stop = CancellationToken::new();
        let (report, stopped) = (lifecycle.clone().report(), stop.clone());
        tasks.spawn(async move {
            tokio::select! { () = report => {} () = stopped.cancelled() => {} }
        });
        Ok(House { peers, stores: Vec::new(), stop, lifecycle, config, tasks, served: Vec::new() })
    }

    /// A house with these services in it.
    pub async fn start(specs: Vec<ServiceSpec>, config: Arc<Config>) -> Result<Self, Refusal> {
        Self::start_with(specs, config, Enforcement::Both).await
    }

    #[doc(hidden)]
    pub async fn start_with(specs: Vec<ServiceSpec>, config: Arc<Config>, enforcement: Enforcement) -> Result<Self, Refusal> {
        let mut house = Self::open(config)?;
        house.take_in(specs, Patience::None, enforcement).await?;
        house.lifecycle.started();
        Ok(house)
    }

    /// Starts these services: stores, doors, consumers, relays.
    pub async fn take_in(
        &mut self,
        specs: Vec<ServiceSpec>,
        patience: Patience,
        enforcement: Enforcement,
    ) -> Result<(), Refusal> {
        let config = self.config.clone();
        page::follow(&config)?;
        pseudonym::follow(&config)?;
        let inspector = Inspector::following(Ring::of(&config)?)?;
        if specs.is_empty() {
            return Ok(());
        }
        let bus: Arc<dyn Bus> = match config.nats.server()? {
            Some(url) => {
                let connect = || async {
                    let bus = bus::JetStreamBus::connect(&url, &config.nats, self.stop.clone()).await;
                    bus.map_err(|e| Refusal::Unavailable(format!("NATS ({e})")))
                };
                Arc::new(self.tried("NATS", patience, connect).await?)
            }
            None => Arc::new(bus::InProcessBus::default()),
        };
        for spec in specs {
            let what = format!("database of {}", spec.name);
            let open = || async {
                let store = Store::open(spec.name, &config.database, &config.data_dir).await?.enforced(enforcement)?;
                if config.database.migrate_on_start {
                    migration::migrate(&spec, &store, &config.database).await?;
                }
                migration::require_current(&spec, &store).await?;
                Ok(store)
            };
            let store = self.tried(&what, patience, open).await?;
            let gauges = Gauges::default();
            let (peers, bundles) = (self.peers.clone(), Bundles::of(&config));
            let built = (spec.build)(Ctx { store: store.clone(), peers, config: config.clone(), gauges: gauges.clone() });
            let (mut consumers, holds) = (built.consumers, !spec.slice.is_none());
            if holds {
                let wake = Arc::new(Notify::new());
                consumers.push(Arc::new(Custody { wake: wake.clone() }));
                gauges.add("tahuka_held", HELD_EVERY, custody::held::count);
                let (store, consumers) = (store.clone(), consumers.clone());
                let holder = custody::steps::Holder { store, slice: spec.slice, consumers, wake, bundles };
                self.tasks.spawn(custody::steps::run(holder, self.stop.clone()));
            }
            let names = consumers.iter().map(|consumer| consumer.name()).collect();
            for consumer in consumers {
                let subscribe = || async {
                    let (store, consumer) = (store.clone(), consumer.clone());
                    let subscribed = consumer::subscribe(&*bus, spec.name, store, consumer, holds).await;
                    subscribed.map_err(|e| Refusal::Unavailable(format!("NATS ({e})")))
                };
                self.tried("NATS", patience, subscribe).await?;
            }
            let peer = door::guard(built.routes, inspector.at(spec.name), AccessLog::of(store.clone()));
            let sampled = Sampled { store: store.clone(), bus: bus.clone(), consumers: names, own: gauges };
            self.tasks.spawn(telemetry::sample(sampled, self.stop.clone()));
            self.peers.add(spec.name, peer.clone());
            self.served.push((spec.name, peer));
            self.stores.push((spec.name, store));
        }
        // Relays start last, when every consumer of this process listens.
        for (_, store) in &self.stores {
            self.tasks.spawn(journal::relay::run(store.clone(), bus.clone(), self.stop.clone()));
            self.tasks.spawn(watched(store.clone(), self.lifecycle.clone(), self.stop.clone()));
        }
        Ok(())
    }

    /// What `attempt` brings; with patience, as soon as it brings it.
    async fn tried<T, F>(&self, what: &str, patience: Patience, attempt: impl Fn() -> F) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, Refusal>>,
    {
        loop {
            let tried = tokio::select! {
                tried = attempt() => tried,
                () = self.stop.cancelled() => return Err(Refusal::Unavailable(what.to_owned())),
            };
            match tried {
                // What is configured wrongly does not come right by waiting.
                Err(refusal) if patience == Patience::Waits && !matches!(refusal, Refusal::Invalid(_)) => {
                    if self.lifecycle.waits_for(what, refusal.to_string()) {
                        tracing::warn!(%what, why = %refusal, "waiting for what is not there yet");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(refusal) => return Err(refusal),
                Ok(got) => {
                    self.lifecycle.has(what);
                    return Ok(got);
                }
            }
        }
    }

    /// Serves the services of this process on `listen`, for the other processes of the house.
    pub async fn serve_peers(&mut self, listen: &str) -> Result<SocketAddr, Refusal> {
        let mut router = axum::Router::new();
        let mut names = Vec::new();
        for service in tahuka_proto::access::pool().services() {
            let name = service.full_name().to_owned();
            let Some((_, peer)) = self.served.iter().find(|(s, _)| name.starts_with(&format!("tahuka.{s}."))) else { continue };
            let inner = peer.clone().map_request(|r: http::Request<axum::body::Body>| r.map(Body::new));
            router = router.route_service(&format!("/{name}/{{method}}"), inner.map_response(|r| r.map(axum::body::Body::new)));
            names.push(name);
        }
        self.lifecycle.serves(&names);
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(tahuka_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(Refusal::internal)?;
        let routes = tonic::service::Routes::from(router).add_service(self.lifecycle.health()).add_service(reflection);
        server::serve(routes, listen, &TlsConfig::default(), &self.config.server, self.stop.clone(), &mut self.tasks).await
    }

    /// Probes and metrics, for operators.
    pub async fn serve_operators(&mut self, listen: &str) -> Result<SocketAddr, Refusal> {
        operators::serve(self.lifecycle.clone(), listen, self.stop.clone(), &mut self.tasks).await
    }

    /// Serves `routes` to tenants until the house stops.
    pub async fn serve_routes(&mut self, routes: tonic::service::Routes, listen: &str) -> Result<SocketAddr, Refusal> {
        let (config, stop) = (self.config.clone(), self.stop.clone());
        server::serve(routes, listen, &config.gateway.tls, &config.server, stop, &mut self.tasks).await
    }

    /// Stops: says that it leaves, still answers for as long as others need to hear of it, lets running calls end, ends
    /// relays.
    pub async fn stop(mut self) {
        self.lifecycle.leaves();
        tokio::time::sleep(Duration::from_secs(self.config.server.drain_seconds)).await;
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(self.config.server.grace_seconds), all).await;
    }
}

/// Tells whether the store answers, for as long as the house stands.
async fn watched(store: Store, lifecycle: Lifecycle, stop: CancellationToken) {
    let what = format!("database of {}", store.service());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        match tokio::time::timeout(LOOK * 2, store.system("readiness")).await {
            Ok(Ok(_)) => lifecycle.has(&what),
            _ if lifecycle.waits_for(&what, "does not answer") => tracing::warn!(%what, "a database does not answer"),
            _ => {}
        }
    }
}
