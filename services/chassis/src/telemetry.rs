//! Logs and metrics. Logs are structured, to standard error, and hold ids and codes, never persons.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::LogConfig;
use crate::refusal::Refusal;

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Starts logging as configured. A second call changes nothing.
pub fn start(config: &LogConfig) -> Result<(), Refusal> {
    let filter = EnvFilter::try_new(&config.level).map_err(|e| Refusal::invalid("log.level", e.to_string()))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_span_events(FmtSpan::NONE).with_writer(std::io::stderr);
    let _ = match config.format.as_str() {
        "json" => builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
        "text" => builder.try_init(),
        _ => return Err(Refusal::invalid("log.format", "must be json or text")),
    };
    metrics_handle()?;
    Ok(())
}

/// The metrics of this process; installs the recorder at first use.
fn metrics_handle() -> Result<&'static PrometheusHandle, Refusal> {
    if let Some(handle) = METRICS.get() {
        return Ok(handle);
    }
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _ = metrics::set_global_recorder(recorder);
    metrics::gauge!("tahuka_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(METRICS.get_or_init(|| handle))
}

/// All metrics in the Prometheus text format.
pub fn metrics_text() -> String {
    metrics_handle().map(PrometheusHandle::render).unwrap_or_default()
}

/// A new W3C trace context.
pub fn new_traceparent() -> String {
    let trace = uuid::Uuid::new_v4().simple().to_string();
    let span = uuid::Uuid::new_v4().simple().to_string();
    format!("00-{trace}-{}-01", &span[..16])
}

/// The trace id within a traceparent.
pub fn trace_id(traceparent: &str) -> &str {
    traceparent.split('-').nth(1).unwrap_or_default()
}
