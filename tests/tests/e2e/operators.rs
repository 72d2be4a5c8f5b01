//! The operators' port: health and numbers, and not one name.

use tahuka_tests::Platform;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::programme::{Programme, RUBAVU};

/// Status line and body.
async fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.expect("the operators' port answers");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it is asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers in text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

pub async fn health_and_metrics_name_nobody(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    programme.person(RUBAVU, "H-1", 1980).await;
    for process in platform.processes() {
        let address = platform.operators(process);
        for path in ["/healthz", "/readyz"] {
            assert_eq!(get(address, path).await.0, "HTTP/1.1 200 OK", "{process}{path}");
        }
        let (_, metrics) = get(address, "/metrics").await;
        assert!(metrics.contains("tahuka_build_info"), "{process}: {metrics}");
        for name in ["MUKAMANA", "Alphonsine", &programme.id] {
            assert!(!metrics.contains(name), "{process} tells of {name}");
        }
    }
    let registry = if platform.processes().contains(&"registry") { "registry" } else { "all" };
    let (_, metrics) = get(platform.operators(registry), "/metrics").await;
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
