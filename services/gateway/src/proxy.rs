//! The way of a call: access rule by path, token for passport, on to the service, undecoded, and watched while it is open.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use opentelemetry::context::FutureExt as _;
use tahuka_chassis::passport::METADATA;
use tahuka_chassis::telemetry::{self, Answering, CALL_ID};
use tahuka_chassis::{Config, Lifecycle, NO_ROLE, Peers, Refusal, UNKNOWN_RPC, permits};
use tahuka_proto::access;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::{ServiceExt, service_fn};

use crate::identity::Identities;
use crate::open_call::{self, Watched};

/// Its name in metrics and logs.
const GATEWAY: &str = "gateway";

/// The gateway's gRPC: every service of the contract, reflection and health.
pub fn routes(peers: Peers, config: &Arc<Config>, lifecycle: &Lifecycle) -> Result<Routes, Refusal> {
    let identities = Identities::new(peers.clone(), config)?;

    let described = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(tahuka_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Both versions: clients of today ask for either.
    let (v1, v1alpha) = (described().build_v1(), described().build_v1alpha());
    let (v1, v1alpha) = (v1.map_err(Refusal::internal)?, v1alpha.map_err(Refusal::internal)?);

    let pass = service_fn(move |request: Request<axum::body::Body>| {
        let call = Answering::begin(GATEWAY, request.uri().path(), request.headers());
        let id = call.id();
        let answer = hand_on(peers.clone(), identities.clone(), request.map(Body::new)).with_context(call.context());
        async move {
            let response = answer.await.unwrap_or_else(|status| status.into_http());
            let mut response = call.answered(response);
            // So that whoever asks an operator can say which call it was.
            response.headers_mut().insert(CALL_ID, id);
            Ok::<_, Infallible>(response.map(axum::body::Body::new))
        }
    });
    let router = axum::Router::new().fallback_service(pass);
    // Health and reflection are added as routes of their own; everything else falls back to the way through.
    Ok(Routes::from(axum::Router::new())
        .add_service(lifecycle.health())
        .add_service(v1)
        .add_service(v1alpha)
        .into_axum_router()
        .fallback_service(router)
        .into())
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

fn hand_on(peers: Peers, identities: Identities, request: Request<Body>) -> Answer {
    Box::pin(through(peers, identities, request))
}

async fn through(peers: Peers, identities: Identities, mut request: Request<Body>) -> Result<Response<Body>, Status> {
    let path = request.uri().path().to_owned();
    let rule = access::rule(&path).ok_or_else(|| {
        refused(Refusal::permission(UNKNOWN_RPC));
        Status::unimplemented(UNKNOWN_RPC)
    })?;
    let service = access::service_of(&path).unwrap_or_default();
    let token = bearer_token(&request).map_err(refused)?;
    let known = identities.bearer(&token).await.map_err(refused)?;
    telemetry::known_tenant(known.bearer.tenant_id);
    if !known.bearer.permissions.iter().any(|p| permits(p, &rule.permission)) {
        return Err(refused(Refusal::permission(NO_ROLE)));
    }
    let passport = identities.passport(&known, service)?;
    let headers = request.headers_mut();
    headers.remove(AUTHORIZATION);
    headers.insert(METADATA, HeaderValue::try_from(passport).map_err(Refusal::internal)?);
    let peer = peers.channel(service)?;
    let mut verdict = open_call::watch(identities, token, known);
    // A call that is given up is dropped, and with it the request's body: a stream into a service ends.
    let Ok(response) = tokio::select! {
        response = peer.oneshot(request) => response,
        status = &mut verdict => return Err(status),
    };
    Ok(response.map(|body| Watched::body(body, verdict)))
}

/// Counts the refusal.
fn refused(refusal: Refusal) -> Status {
    telemetry::refused(GATEWAY, &refusal);
    refusal.into()
}

fn bearer_token(request: &Request<Body>) -> Result<String, Refusal> {
    let value = request.headers().get(AUTHORIZATION).and_then(|v| v.to_str().ok());
    let token = value.and_then(|v| v.strip_prefix("Bearer ").or_else(|| v.strip_prefix("bearer ")));
    token.map(str::to_owned).ok_or(Refusal::Unauthenticated)
}
