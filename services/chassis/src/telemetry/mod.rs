//! What operators see of the house: `log` (JSON lines), `metrics` (for Prometheus) and `gauges` (what is asked of the
//! stores and the bus now and then), `trace` (how a trace goes from process to process), `spans` (which spans there are)
//! and `call` (one call, measured). All hold ids and codes, never persons.

mod call;
mod gauges;
mod log;
mod metrics;
mod process;
mod spans;
mod trace;

use std::sync::OnceLock;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{KeyValue, trace as api};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

use crate::config::{Config, TelemetryConfig};
use crate::refusal::Refusal;

pub use call::{Answering, Call, call_id, known_tenant, looked_up, refused};
pub use gauges::Gauges;
pub(crate) use gauges::{Sampled, sample};
pub use metrics::{RPC_DURATION, described, metrics_text};
pub(crate) use spans::{Processing, Publishing, Transaction, processing, service};
pub use trace::{CALL_ID, TRACEPARENT, inject, trace_id, traceparent};
pub(crate) use trace::{asking, parsed};

static TRACES: OnceLock<Traces> = OnceLock::new();

struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    fn of(provider: SdkTracerProvider) -> Self {
        let tracer = provider.tracer("tahuka");
        Traces { provider, tracer }
    }
}

/// Starts logs, metrics and traces as configured; `name` is that of the process, such as `registry`. A second call
/// changes nothing.
pub fn start(config: &Config, name: &str) -> Result<(), Refusal> {
    log::start(&config.log, name)?;
    metrics::handle()?;
    if let Some(endpoint) = &config.telemetry.otlp_endpoint {
        let traces = Traces::of(exporting(endpoint, &config.telemetry, name)?);
        let _ = TRACES.set(traces);
    }
    Ok(())
}

/// Sends what is left. Called last, when nothing runs any more.
pub async fn stop() {
    let Some(traces) = TRACES.get() else { return };
    // It waits for the exporter, which needs this runtime to send: so not on a thread of it.
    let ended = tokio::task::spawn_blocking(|| traces.provider.shutdown()).await;
    if !matches!(ended, Ok(Ok(()))) {
        tracing::warn!("the last spans could not be sent");
    }
}

fn exporting(endpoint: &str, config: &TelemetryConfig, name: &str) -> Result<SdkTracerProvider, Refusal> {
    if !(0.0..=1.0).contains(&config.sample_ratio) {
        return Err(Refusal::invalid("telemetry.sample_ratio", "must be from 0 to 1"));
    }
    let refused = |e: opentelemetry_otlp::ExporterBuildError| Refusal::invalid("telemetry.otlp_endpoint", e.to_string());
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build().map_err(refused)?;
    let resource = Resource::builder()
        .with_service_name(if name == "all" { "tahuka".to_owned() } else { format!("tahuka-{name}") })
        .with_attribute(KeyValue::new("service.namespace", "tahuka"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()))
        .build();
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample_ratio)));
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_sampler(sampler).with_resource(resource).build())
}

/// Where traces do not leave, calls have trace ids all the same, for the logs and for whoever keeps traces further on.
fn tracer() -> &'static SdkTracer {
    let silent = || Traces::of(SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build());
    &TRACES.get_or_init(silent).tracer
}

fn builder(name: impl Into<std::borrow::Cow<'static, str>>, kind: api::SpanKind) -> api::SpanBuilder {
    api::SpanBuilder::from_name(name).with_kind(kind)
}
