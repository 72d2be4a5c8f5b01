//! How one service reaches another: by name, in this process or over the network, with the same client.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, RwLock};

use tahuka_proto::Subjects;
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::MetadataValue;
use tonic::transport::Endpoint;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};

use crate::access_log;
use crate::caller::Caller;
use crate::passport;
use crate::refusal::Refusal;

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
        known.get(service).cloned().ok_or_else(|| Refusal::Unavailable(format!("the {service} service")))
    }

    pub fn add(&self, service: &str, peer: Peer) {
        if let Ok(mut known) = self.known.write() {
            known.insert(service.to_owned(), peer);
        }
    }

    /// A service at an address; connected at first use, and again whenever the connection is lost.
    pub fn add_remote(&self, service: &str, address: &str) -> Result<(), Refusal> {
        let endpoint = Endpoint::from_shared(address.to_owned())
            .map_err(|e| Refusal::invalid(format!("peers.{service}"), e.to_string()))?
            .connect_timeout(std::time::Duration::from_secs(2))
            .http2_keep_alive_interval(std::time::Duration::from_secs(10))
            .keep_alive_while_idle(true);
        let channel = endpoint.connect_lazy();
        let name: Arc<str> = service.into();
        let peer = service_fn(move |request: http::Request<Body>| {
            let (channel, name) = (channel.clone(), name.clone());
            async move {
                Ok(channel.oneshot(request).await.unwrap_or_else(|e| {
                    tracing::warn!(error = %e, service = %name, "a service is not reachable");
                    Status::from(Refusal::Unavailable(format!("the {name} service"))).into_http()
                }))
            }
        });
        self.add(service, BoxCloneSyncService::new(peer));
        Ok(())
    }
}

/// `message` as a request on the caller's behalf: with its passport, its purpose and its trace, no more.
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
    if let Some(value) = caller.traceparent.as_deref().and_then(|t| MetadataValue::try_from(t).ok()) {
        request.metadata_mut().insert("traceparent", value);
    }
    request
}
