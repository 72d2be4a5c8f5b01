//! The services of one process, started: stores opened, schemas brought up to date, doors set,
//! relays and consumers running. `--target all` and a single target differ only in the list.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::ServiceExt as _;

use crate::access_log::AccessLog;
use crate::bus::{self, Bus};
use crate::config::Config;
use crate::passport::{Inspector, Ring};
use crate::peers::{Peer, Peers};
use crate::refusal::Refusal;
use crate::service::{Ctx, ServiceSpec};
use crate::store::{Enforcement, Store};
use crate::{consumer, door, journal, keys, migration, page, pseudonym, telemetry};

/// Running services. Stops them all when asked to.
pub struct House {
    pub peers: Peers,
    pub stores: Vec<(&'static str, Store)>,
    pub stop: CancellationToken,
    tasks: JoinSet<()>,
    /// The guarded services of this process, for other processes.
    served: Vec<(&'static str, Peer)>,
}

/// Brings the databases of these services to the newest schema.
pub async fn migrate(specs: &[ServiceSpec], config: &Config) -> Result<(), Refusal> {
    for spec in specs {
        let store = Store::open(spec.name, &config.database, &config.data_dir).await?;
        migration::migrate(spec, &store).await?;
    }
    Ok(())
}

impl House {
    pub async fn start(specs: Vec<ServiceSpec>, config: Arc<Config>) -> Result<Self, Refusal> {
        Self::start_with(specs, config, Enforcement::Both).await
    }

    #[doc(hidden)]
    pub async fn start_with(specs: Vec<ServiceSpec>, config: Arc<Config>, enforcement: Enforcement) -> Result<Self, Refusal> {
        page::set_key(keys::seed(&config.page_key_file())?);
        pseudonym::set_key(keys::seed(&config.pseudonym_key_file())?);
        let inspector = Inspector::following(Ring::of(&config)?)?;
        let peers = Peers::default();
        for (service, address) in &config.peers {
            peers.add_remote(service, address)?;
        }
        let stop = CancellationToken::new();
        let bus: Arc<dyn Bus> = match &config.nats.url {
            Some(url) => {
                let nats = &config.nats;
                let connected = bus::JetStreamBus::connect(url, &nats.prefix, nats.replicas, stop.clone()).await;
                Arc::new(connected.map_err(Refusal::internal)?)
            }
            None => Arc::new(bus::InProcessBus::default()),
        };
        let mut house = House { peers: peers.clone(), stores: Vec::new(), stop, tasks: JoinSet::new(), served: Vec::new() };
        for spec in specs {
            let store = Store::open(spec.name, &config.database, &config.data_dir).await?.enforced(enforcement)?;
            if config.database.migrate_on_start {
                migration::migrate(&spec, &store).await?;
            }
            let built = (spec.build)(Ctx { store: store.clone(), peers: peers.clone(), config: config.clone() });
            for consumer in built.consumers {
                consumer::subscribe(&*bus, spec.name, store.clone(), consumer).await.map_err(Refusal::internal)?;
            }
            let peer = door::guard(built.routes, inspector.at(spec.name), AccessLog::of(store.clone()));
            peers.add(spec.name, peer.clone());
            house.served.push((spec.name, peer));
            house.stores.push((spec.name, store));
        }
        // Relays start last, when every consumer of this process listens.
        for (_, store) in &house.stores {
            let (db, wake) = (store.connection().clone(), store.committed());
            house.tasks.spawn(journal::relay::run(db, bus.clone(), wake, house.stop.clone()));
        }
        Ok(house)
    }

    /// Serves the services of this process on `listen`, for the other processes of the house.
    pub async fn serve_peers(&mut self, listen: &str) -> Result<SocketAddr, Refusal> {
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
        let mut router = axum::Router::new();
        for service in tahuka_proto::access::pool().services() {
            let name = service.full_name().to_owned();
            let Some((_, peer)) = self.served.iter().find(|(s, _)| name.starts_with(&format!("tahuka.{s}."))) else { continue };
            reporter.set_service_status(name.clone(), tonic_health::ServingStatus::Serving).await;
            let inner = peer.clone().map_request(|r: http::Request<axum::body::Body>| r.map(Body::new));
            router = router.route_service(&format!("/{name}/{{method}}"), inner.map_response(|r| r.map(axum::body::Body::new)));
        }
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(tahuka_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(Refusal::internal)?;
        let routes = tonic::service::Routes::from(router).add_service(health).add_service(reflection);
        serve(routes, listen, self.stop.clone(), &mut self.tasks).await
    }

    /// `/healthz`, `/readyz` and `/metrics`, for operators.
    pub async fn serve_operators(&mut self, listen: &str) -> Result<SocketAddr, Refusal> {
        use axum::routing::get;
        let stores: Vec<Store> = self.stores.iter().map(|(_, s)| s.clone()).collect();
        let ready = move || {
            let stores = stores.clone();
            async move {
                for store in stores {
                    if store.system("readiness").await.is_err() {
                        let why = format!("the store of {} does not answer\n", store.service());
                        return (http::StatusCode::SERVICE_UNAVAILABLE, why);
                    }
                }
                (http::StatusCode::OK, "ready\n".to_owned())
            }
        };
        let router = axum::Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(|| async { telemetry::metrics_text() }));
        let listener = bind(listen).await?;
        let address = listener.local_addr().map_err(Refusal::internal)?;
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
            if let Err(e) = served {
                tracing::error!(error = %e, "the operators' port failed");
            }
        });
        Ok(address)
    }

    /// Serves `routes` until the house stops.
    pub async fn serve_routes(&mut self, routes: tonic::service::Routes, listen: &str) -> Result<SocketAddr, Refusal> {
        serve(routes, listen, self.stop.clone(), &mut self.tasks).await
    }

    /// Stops: no new requests, running ones finish, relays end.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(std::time::Duration::from_secs(20), all).await;
    }
}

async fn bind(listen: &str) -> Result<TcpListener, Refusal> {
    TcpListener::bind(listen).await.map_err(|e| Refusal::invalid("listen", format!("{listen}: {e}")))
}

async fn serve(
    routes: tonic::service::Routes,
    listen: &str,
    stop: CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Result<SocketAddr, Refusal> {
    let listener = bind(listen).await?;
    let address = listener.local_addr().map_err(Refusal::internal)?;
    let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
    tasks.spawn(async move {
        let served = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(std::time::Duration::from_secs(20)))
            .concurrency_limit_per_connection(256)
            // Room for a token that is too large, so that it is refused as any other bad token.
            .http2_max_header_list_size(32 * 1024)
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
            .await;
        if let Err(e) = served {
            tracing::error!(error = %e, "the gRPC server failed");
        }
    });
    Ok(address)
}
