//! The operators' port: probes over HTTP and gRPC, and the metrics. It is there before anything else of the process, so
//! that whoever waits can see what for.

use std::net::SocketAddr;

use axum::routing::get;
use http::StatusCode;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::lifecycle::Lifecycle;
use crate::refusal::Refusal;
use crate::{server, telemetry};

pub(crate) async fn serve(
    lifecycle: Lifecycle,
    listen: &str,
    stop: CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Result<SocketAddr, Refusal> {
    let listener = server::bind(listen).await?;
    let address = listener.local_addr().map_err(Refusal::internal)?;
    let (startup, readiness) = (lifecycle.clone(), lifecycle.clone());
    let health = tonic::service::Routes::new(lifecycle.health()).prepare().into_axum_router();
    let router = axum::Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/startupz", get(move || async move { answer(startup.startup(), "started") }))
        .route("/readyz", get(move || async move { answer(readiness.readiness(), "ready") }))
        .route("/metrics", get(|| async { telemetry::metrics_text() }))
        .fallback_service(health);
    tasks.spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(e) = served {
            tracing::error!(error = %e, "the operators' port failed");
        }
    });
    Ok(address)
}

fn answer(state: Result<(), String>, good: &str) -> (StatusCode, String) {
    match state {
        Ok(()) => (StatusCode::OK, format!("{good}\n")),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}
