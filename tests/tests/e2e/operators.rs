//! The operators' port: health and numbers, and not one name.

use tahuka_tests::{Form, Platform, get};

use crate::programme::{Programme, RUBAVU};
use crate::story::eventually;

pub async fn health_and_metrics_name_nobody(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    programme.person(RUBAVU, "H-1", 1980).await;
    for process in platform.processes() {
        let address = platform.operators(process);
        for path in ["/livez", "/startupz", "/readyz"] {
            let (status, why) = get(address, path).await.expect("the operators' port answers");
            assert_eq!(status, 200, "{process}{path}: {why}");
        }
        let (_, metrics) = get(address, "/metrics").await.expect("metrics");
        assert!(metrics.contains("tahuka_build_info"), "{process}: {metrics}");
        for name in ["MUKAMANA", "Alphonsine", &programme.id] {
            assert!(!metrics.contains(name), "{process} tells of {name}");
        }
    }
    let registry = if platform.processes().contains(&"registry") { "registry" } else { "all" };
    let (_, metrics) = get(platform.operators(registry), "/metrics").await.expect("metrics");
    let called = "rpc_method=\"tahuka.registry.v1.HouseholdService/CreateHousehold\"";
    assert!(metrics.lines().any(|l| l.starts_with("rpc_server_call_duration_seconds") && l.contains(called)), "{metrics}");
    // Nor do the logs.
    for (process, log) in platform.logs() {
        assert!(!log.contains("MUKAMANA") && !log.contains("Alphonsine"), "{process} names a person");
    }
}

/// The value of the line that begins so.
fn value(metrics: &str, series: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

pub async fn what_must_be_asked_for_is_there_soon(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    programme.person(RUBAVU, "H-1", 1980).await;
    let platform = &platform;
    let of = |service: &'static str| if platform.processes().contains(&service) { service } else { "all" };
    // It is asked for at the start, and then every 15 seconds.
    eventually("the gauges tell of a store in order", || async move {
        let told = get(platform.operators(of("registry")), "/metrics").await.expect("metrics").1;
        let is = |series: &str, least: f64| value(&told, series).is_some_and(|value| value >= least);
        is("tahuka_outbox_pending{service=\"registry\"}", 0.0)
            && is("tahuka_outbox_lag_seconds{service=\"registry\"}", 0.0)
            && is("tahuka_dead_letters{service=\"registry\"}", 0.0)
            && is("tahuka_schema_version{service=\"registry\"}", 3.0)
            && value(&told, "tahuka_schema_missing{service=\"registry\"}") == Some(0.0)
            && value(&told, "tahuka_access_log_intact{service=\"registry\"}") == Some(1.0)
            && is("tahuka_sampled_timestamp_seconds{service=\"registry\"}", 1.0)
            && is("tahuka_database_connections_max{service=\"registry\"}", 1.0)
    })
    .await;
    let funding = get(platform.operators(of("funding")), "/metrics").await.expect("metrics").1;
    assert_eq!(value(&funding, "tahuka_ledger_drift{service=\"funding\"}"), Some(0.0), "{funding}");
    if platform.form != Form::Embedded {
        eventually("the bus tells what waits", || async move {
            let told = get(platform.operators(of("insight")), "/metrics").await.expect("metrics").1;
            value(&told, "tahuka_consumer_pending{service=\"insight\",consumer=\"read_model\"}").is_some()
        })
        .await;
    }
}
