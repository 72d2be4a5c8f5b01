//! The operators' port: health and numbers, and not one name.

use tahuka_tests::{Platform, get};

use crate::programme::{Programme, RUBAVU};

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
    let called = "rpc_method=\"/tahuka.registry.v1.HouseholdService/CreateHousehold\"";
    assert!(metrics.lines().any(|l| l.starts_with("rpc_server_call_duration_seconds") && l.contains(called)), "{metrics}");
    // Nor do the logs.
    for entry in std::fs::read_dir(platform.data_dir()).expect("the platform's directory").flatten() {
        if entry.path().extension().is_some_and(|e| e == "log") {
            let log = std::fs::read_to_string(entry.path()).expect("a log");
            assert!(!log.contains("MUKAMANA") && !log.contains("Alphonsine"), "{:?} names a person", entry.file_name());
        }
    }
}
