//! How one service reaches another: by name, in this process or over the network, with the same client.

mod spread;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, RwLock};

use tahuka_proto::Subjects;
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::MetadataValue;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};

use crate::access_log;
use crate::caller::Caller;
use crate::passport;
use crate::refusal::Refusal;
use crate::telemetry;

use spread::Spread;

/// A service of the house; the generated clients take it as their transport.
/// A peer that cannot be reached answers UNAVAILABLE.
pub type Peer = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible>;

#[derive(Clone, Default)]
pub struct Peers {
    known: Arc<RwLock<HashMap<String, Peer>>>,
}

impl Peers {
    /// The service of this name, wherever it runs.
    pub fn channel(&self, service: &str) -> Result<Peer, Refusal> {
        let known = self.known.read().map_err(Refusal::internal)?;
        let peer = known.get(service).cloned().ok_or_else(|| Refusal::Unavailable(format!("the {service} service")))?;
        Ok(telemetry::asking(service, peer))
    }

    pub fn add(&self, service: &str, peer: Peer) {
        if let Ok(mut known) = self.known.write() {
            known.insert(service.to_owned(), peer);
        }
    }

    /// A service at its addresses (URLs, divided by commas); connected at first use, and again whenever a connection is lost.
    pub fn add_remote(&self, service: &str, addresses: &str) -> Result<(), Refusal> {
        let spread = Spread::over(&format!("peers.{service}"), addresses)?;
        let name: Arc<str> = service.into();
        let peer = service_fn(move |request: http::Request<Body>| {
            let (place, name) = (spread.next(), name.clone());
            async move {
                let unavailable = |name| Status::from(Refusal::Unavailable(format!("the {name} service"))).into_http();
                let Some(place) = place else { return Ok(unavailable(name)) };
                Ok(place.channel.clone().oneshot(request).await.unwrap_or_else(|e| {
                    tracing::warn!(error = %e, service = %name, "a service is not reachable");
                    place.failed();
                    unavailable(name)
                }))
            }
        });
        self.add(service, BoxCloneSyncService::new(peer));
        Ok(())
    }
}

/// `message` as a request on the caller's behalf: with its passport and its purpose, no more. Its trace goes with
/// whatever is asked.
pub fn forward<M: Subjects>(caller: &Caller, message: M) -> tonic::Request<M> {
    let mut request = tonic::Request::new(caller.as_told(message));
    if let Ok(value) = MetadataValue::try_from(&caller.passport) {
        request.metadata_mut().insert(passport::METADATA, value);
    }
    if let Ok(value) = MetadataValue::try_from(&caller.purpose)
        && !caller.purpose.is_empty()
    {
        request.metadata_mut().insert(access_log::PURPOSE, value);
    }
    request
}
