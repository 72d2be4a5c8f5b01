//! A client in another language that has nothing but the protos.

use std::path::Path;
use std::process::Command;

use tahuka_tests::Platform;

use crate::programme::{MUSANZE, Programme, RUBAVU};
use crate::reporting::report;

pub async fn a_stock_python_client_meets_the_same_doors(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    programme.person(RUBAVU, "H-1", 1980).await;
    programme.person(MUSANZE, "H-2", 1990).await;
    programme.until_counted("people_registered", 2).await;
    // What the gateway knew of Japan before it was let in is good for seconds.
    report(&programme.japan, &programme).await;

    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("stock-client/run");
    let arguments = [&platform.gateway, &programme.id, &platform.token("iom", "manager"), &platform.token("japan", "officer")]
        .map(String::from);
    let out = tokio::task::spawn_blocking(move || Command::new(client).args(arguments).output())
        .await
        .expect("the client is waited for")
        .expect("the client starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let told: serde_json::Value = serde_json::from_slice(&out.stdout).expect("one JSON object");
    assert_eq!(told["iom_households"], 2);
    assert_eq!(told["iom_heads"], serde_json::json!(["MUKAMANA"]));
    assert_eq!(told["japan_households"], "PERMISSION_DENIED");
    assert_eq!(told["japan_report"]["campaigns_held"], 0);
    // Two people are too few to be told to a donor.
    assert_eq!(told["japan_report"]["people_registered"], serde_json::Value::Null);
    assert_eq!(told["health"], "SERVING");
    let reflected = told["reflected"].as_array().expect("a list of services");
    assert!(reflected.contains(&serde_json::json!("tahuka.registry.v1.HouseholdService")), "{reflected:?}");
}
