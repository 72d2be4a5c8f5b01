//! One service at all its addresses: names are resolved again and again, each address is asked for its health, and calls
//! go round among those that want them. A replica that leaves says so first and gets no more calls, a new one is found
//! within seconds, and nobody needs a load balancer that understands HTTP/2.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock, Weak};
use std::time::Duration;

use futures::future::join_all;
use http::Uri;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::refusal::Refusal;

/// How often addresses are looked up and asked for their health.
const ROUND: Duration = Duration::from_secs(1);
/// How long one of them may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) struct Spread {
    /// As configured.
    uris: Vec<Uri>,
    places: RwLock<Arc<[Arc<Place>]>>,
    turn: AtomicUsize,
}

/// One address of the service.
pub(super) struct Place {
    address: String,
    pub channel: Channel,
    wants_calls: AtomicBool,
}

impl Place {
    fn new(address: String, origin: &Uri) -> Result<Arc<Self>, Refusal> {
        let endpoint = Endpoint::from_shared(address.clone()).map_err(Refusal::internal)?;
        let channel = endpoint
            .origin(origin.clone())
            .connect_timeout(PATIENCE)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_while_idle(true)
            .connect_lazy();
        Ok(Arc::new(Place { address, channel, wants_calls: AtomicBool::new(true) }))
    }

    /// Asked for no more calls until its health says that it wants them.
    pub fn failed(&self) {
        self.wants_calls.store(false, Ordering::Relaxed);
    }

    async fn ask(&self) {
        let mut health = HealthClient::new(self.channel.clone());
        let answer = tokio::time::timeout(PATIENCE, health.check(HealthCheckRequest::default())).await;
        let wants = match answer {
            Ok(Ok(answer)) => answer.into_inner().status == ServingStatus::Serving as i32,
            // It is there and says nothing of its health.
            Ok(Err(status)) => status.code() == Code::Unimplemented,
            Err(_) => false,
        };
        self.wants_calls.store(wants, Ordering::Relaxed);
    }
}

impl Spread {
    /// `addresses`: URLs divided by commas. `field` names the key of the configuration in errors.
    pub fn over(field: &str, addresses: &str) -> Result<Arc<Self>, Refusal> {
        let mut uris = Vec::new();
        for address in addresses.split(',').map(str::trim).filter(|a| !a.is_empty()) {
            let uri = address.parse::<Uri>().ok().filter(|u| u.scheme_str() == Some("http") && u.host().is_some());
            uris.push(uri.ok_or_else(|| Refusal::invalid(field, "must be http://HOST:PORT, or several divided by commas"))?);
        }
        if uris.is_empty() {
            return Err(Refusal::invalid(field, "must name an address"));
        }
        let places = uris.iter().map(|uri| Place::new(uri.to_string(), uri)).collect::<Result<Vec<_>, _>>()?;
        let spread = Arc::new(Spread { uris, places: RwLock::new(places.into()), turn: AtomicUsize::new(0) });
        tokio::spawn(follow(Arc::downgrade(&spread)));
        Ok(spread)
    }

    /// Where the next call goes: in turn among those that want calls, and where none does, among all.
    pub fn next(&self) -> Option<Arc<Place>> {
        let places = self.places.read().ok()?.clone();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let wanted: Vec<&Arc<Place>> = places.iter().filter(|p| p.wants_calls.load(Ordering::Relaxed)).collect();
        let place = if wanted.is_empty() { places.get(turn % places.len().max(1)) } else { Some(wanted[turn % wanted.len()]) };
        place.cloned()
    }

    async fn round(&self) {
        let mut found = BTreeSet::new();
        for uri in &self.uris {
            let (Some(host), port) = (uri.host(), uri.port_u16().unwrap_or(80)) else { continue };
            // A host that cannot be resolved for now keeps the addresses that it had.
            let Ok(Ok(addresses)) = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, port))).await else { return };
            found.extend(addresses.map(|address| (format!("http://{address}"), uri.to_string())));
        }
        let Some(known) = self.places.read().ok().map(|places| places.clone()) else { return };
        let mut places = Vec::with_capacity(found.len());
        for (address, origin) in found {
            match known.iter().find(|place| place.address == address) {
                Some(place) => places.push(place.clone()),
                None => places.extend(origin.parse().ok().and_then(|origin: Uri| Place::new(address, &origin).ok())),
            }
        }
        join_all(places.iter().map(|place| place.ask())).await;
        if let Ok(mut now) = self.places.write() {
            *now = places.into();
        }
    }
}

/// Goes round until nobody calls the service any more.
async fn follow(spread: Weak<Spread>) {
    loop {
        let Some(spread) = spread.upgrade() else { return };
        spread.round().await;
        drop(spread);
        tokio::time::sleep(ROUND).await;
    }
}
