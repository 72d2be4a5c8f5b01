//! The metrics of the process, in the Prometheus text format. `docs/metrics.md` says what each of them means.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::clock;
use crate::refusal::Refusal;

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// By the stable convention for RPC.
pub const RPC_DURATION: &str = "rpc_server_call_duration_seconds";

const CALLS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
const TRANSACTIONS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
const EVENTS: [f64; 12] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0];

enum Kind {
    Counter,
    Gauge,
    Histogram(&'static [f64]),
}
use Kind::{Counter, Gauge, Histogram};

const DESCRIBED: &[(Kind, &str, &str)] = &[
    (Histogram(&CALLS), RPC_DURATION, "Calls answered, from the request's head to the last byte of the answer"),
    (Gauge, "tahuka_calls_in_flight", "Calls that have not been answered yet"),
    (Counter, "tahuka_access_refusals_total", "Calls that were not let in"),
    (Counter, "tahuka_cache_requests_total", "Look-ups of identities and passports that are known already"),
    (Counter, "tahuka_gateway_key_set_fetches_total", "Key sets of tenants' issuers that were fetched"),
    (Counter, "tahuka_suppressed_cells_total", "Figures held back since few people are behind them"),
    (Histogram(&TRANSACTIONS), "tahuka_transaction_wait_seconds", "Until a transaction had its connection"),
    (Histogram(&TRANSACTIONS), "tahuka_transaction_duration_seconds", "Transactions, from the wish for one to its end"),
    (Gauge, "tahuka_database_connections", "Connections of this process to its database"),
    (Gauge, "tahuka_database_connections_max", "Connections that this process may have"),
    (Gauge, "tahuka_schema_version", "Migrations that the database has"),
    (Gauge, "tahuka_schema_missing", "Migrations that this binary knows and the database has not"),
    (Gauge, "tahuka_outbox_pending", "Events in the journal that are not on the bus yet"),
    (Gauge, "tahuka_outbox_lag_seconds", "Age of the oldest event that is not on the bus yet"),
    (Counter, "tahuka_events_published_total", "Events put on the bus"),
    (Counter, "tahuka_relay_failures_total", "Batches that could not be put on the bus"),
    (Gauge, "tahuka_consumer_pending", "Events that wait for the consumer"),
    (Gauge, "tahuka_consumer_lag_seconds", "Age of the oldest event that waits for the consumer"),
    (Counter, "tahuka_consumer_handled_total", "Events that have had their effect"),
    (Counter, "tahuka_consumer_failures_total", "Tries of a consumer that failed"),
    (Histogram(&EVENTS), "tahuka_event_delay_seconds", "From an event's recording to its effect"),
    (Counter, "tahuka_events_parked_total", "Events put into the dead letters"),
    (Gauge, "tahuka_dead_letters", "Dead letters that are there now"),
    (Gauge, "tahuka_dead_letter_age_seconds", "Since the oldest dead letter failed"),
    (Gauge, "tahuka_held", "Events that wait for the end of a handover"),
    (Counter, "tahuka_custody_failures_total", "Steps of a handover that failed and are tried again"),
    (Gauge, "tahuka_ledger_drift", "Minor units by which the ledger does not balance"),
    (Counter, "tahuka_access_log_rows_total", "Accesses written down, or held back"),
    (Gauge, "tahuka_access_log_intact", "Whether the newest part of the access log's chain is whole"),
    (Gauge, "tahuka_backup_age_seconds", "Since the last backup"),
    (Gauge, "tahuka_drill_age_seconds", "Since the backup that was last tried out"),
    (Gauge, "tahuka_certificate_expiry_timestamp_seconds", "When the certificate ends"),
    (Gauge, "tahuka_build_info", "The version that runs"),
    (Gauge, "tahuka_ready", "Whether the process is ready for calls"),
    (Gauge, "tahuka_sampled_timestamp_seconds", "When the store and the bus were last asked"),
    (Gauge, "process_resident_memory_bytes", "Memory in use"),
    (Counter, "process_cpu_seconds_total", "Processor time of all threads"),
    (Gauge, "process_open_fds", "Open files and connections"),
    (Gauge, "process_max_fds", "Files and connections that may be open"),
    (Gauge, "process_start_time_seconds", "When the process began"),
];

/// The names of all metrics of the house.
pub fn described() -> impl Iterator<Item = &'static str> {
    DESCRIBED.iter().map(|(_, name, _)| *name)
}

/// The metrics of this process; installs the recorder at first use.
pub(super) fn handle() -> Result<&'static PrometheusHandle, Refusal> {
    if let Some(handle) = METRICS.get() {
        return Ok(handle);
    }
    let recorder = recorder().map_err(Refusal::internal)?;
    let handle = recorder.handle();
    let _ = metrics::set_global_recorder(recorder);
    for (kind, name, help) in DESCRIBED {
        match kind {
            Counter => metrics::describe_counter!(*name, *help),
            Gauge => metrics::describe_gauge!(*name, *help),
            Histogram(_) => metrics::describe_histogram!(*name, *help),
        }
    }
    #[allow(clippy::cast_precision_loss)] // Seconds.
    metrics::gauge!("process_start_time_seconds").set(clock::now().timestamp() as f64);
    metrics::gauge!("tahuka_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(METRICS.get_or_init(|| handle))
}

fn recorder() -> Result<metrics_exporter_prometheus::PrometheusRecorder, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for (kind, name, _) in DESCRIBED {
        if let Histogram(buckets) = kind {
            builder = builder.set_buckets_for_metric(Matcher::Full((*name).to_owned()), buckets)?;
        }
    }
    Ok(builder.build_recorder())
}

/// All metrics in the Prometheus text format.
pub fn metrics_text() -> String {
    super::process::look();
    handle().map(PrometheusHandle::render).unwrap_or_default()
}

/// Puts what was recorded into its buckets, so that it does not pile up where nobody asks for it.
pub(super) fn tidy() {
    if let Ok(handle) = handle() {
        handle.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_metric_is_in_the_list_for_operators_and_nothing_else_is() {
        let list = include_str!("../../../../docs/metrics.md");
        let mut listed: Vec<&str> = list.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        let mut described: Vec<&str> = described().collect();
        listed.sort_unstable();
        described.sort_unstable();
        assert_eq!(listed, described);
    }

    /// Words of the text that are names of metrics, without what a histogram adds to them.
    fn names(text: &str) -> BTreeSet<&str> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c));
        let named = words.filter(|w| ["tahuka_", "rpc_server_", "process_"].iter().any(|of| w.starts_with(of)));
        let plain = |w| ["_bucket", "_sum", "_count"].iter().find_map(|end| str::strip_suffix(w, end)).unwrap_or(w);
        named.filter(|w| *w != "tahuka_target").map(plain).collect()
    }

    #[test]
    fn rules_and_dashboards_ask_for_metrics_that_there_are() {
        let described: BTreeSet<&str> = described().collect();
        for (file, text) in [
            ("alerts.yaml", include_str!("../../../../deploy/observability/alerts.yaml")),
            ("people-served", include_str!("../../../../deploy/observability/dashboards/people-served.json")),
            ("events-flow", include_str!("../../../../deploy/observability/dashboards/events-flow.json")),
            ("database", include_str!("../../../../deploy/observability/dashboards/database.json")),
            ("money", include_str!("../../../../deploy/observability/dashboards/money.json")),
        ] {
            let asked = names(text);
            assert!(asked.len() > 4, "{file}: {asked:?}");
            assert!(asked.is_subset(&described), "{file}: {:?}", asked.difference(&described));
        }
    }

    #[test]
    fn each_alert_has_its_runbook() {
        let rules = include_str!("../../../../deploy/observability/alerts.yaml");
        let runbooks = include_str!("../../../../docs/runbooks.md");
        let alerts: Vec<&str> = rules.lines().filter_map(|l| l.trim().strip_prefix("- alert: ")).collect();
        let sections: BTreeSet<&str> = runbooks.lines().filter_map(|l| l.strip_prefix("## ")).collect();
        assert_eq!(alerts.iter().copied().collect::<BTreeSet<_>>(), sections);
        for alert in alerts {
            assert!(rules.contains(&format!("/docs/runbooks#{}\n", alert.to_lowercase())), "{alert} leads nowhere");
        }
    }

    #[test]
    fn durations_come_in_buckets() {
        handle().unwrap();
        metrics::histogram!(RPC_DURATION, "rpc_method" => "test").record(0.02);
        let text = metrics_text();
        assert!(text.contains("rpc_server_call_duration_seconds_bucket{rpc_method=\"test\",le=\"0.025\"}"), "{text}");
        assert!(text.contains("# HELP rpc_server_call_duration_seconds "), "{text}");
    }
}
