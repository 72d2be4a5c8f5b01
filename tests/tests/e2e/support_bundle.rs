//! The support bundle: what helps, and nobody in it.

use std::process::Command;

use sea_orm::{ConnectionTrait as _, Database};
use tahuka_tests::Platform;

use crate::programme::{Programme, RUBAVU};

const SECRET: &str = "s3cret-of-the-database";

pub async fn a_support_bundle_names_nobody(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let person = programme.person(RUBAVU, "H-CANARY-77", 1980).await;
    // An event that could not be taken, whose error says what no error should.
    if let Some(url) = platform.database() {
        let db = Database::connect(url).await.expect("it answers");
        let park = "INSERT INTO assistance.dead_letter SELECT 'plans', event_id, kind, custodian_id, aggregate_id, body, \
                    'storage: MUKAMANA Alphonsine', 5, recorded_at, now() FROM tenancy.journal LIMIT 1";
        db.execute_unprepared(park).await.expect("it is parked");
        db.close().await.expect("it closes");
    }
    let file = platform.data_dir().join("support.tar.gz");
    let process = platform.processes().last().copied().expect("a process");
    let make = || {
        let remotes = platform.processes().into_iter().flat_map(|p| ["--remote".to_owned(), platform.operators(p).to_owned()]);
        Command::new(tahuka_tests::binary())
            .args(["support-bundle", "--out"])
            .arg(&file)
            .args(remotes)
            .args(platform.arguments(process))
            .env("TAHUKA__PLATFORM__SUBJECT", "somebody")
            .output()
            .expect("the binary runs")
    };
    let out = make();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(make().status.code(), Some(1), "it overwrites nothing");

    let into = platform.data_dir().join("bundle");
    std::fs::create_dir(&into).expect("a directory");
    let unpacked = Command::new("tar").arg("-xzf").arg(&file).arg("-C").arg(&into).status().expect("tar runs");
    assert!(unpacked.success());
    let read =
        |name: &str| std::fs::read_to_string(into.join("tahuka-support").join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(read("about.json").contains(env!("CARGO_PKG_VERSION")));
    assert!(read("services.json").contains("\"registry\""));
    assert!(read("doctor.json").contains("config-valid"));
    assert!(read("README.txt").contains("doctor.json"));
    let port = platform.operators(process).replace(':', "_");
    assert!(read(&format!("process/{port}/metrics.txt")).contains("tahuka_build_info"));
    assert!(read(&format!("process/{port}/readyz.txt")).starts_with("# 200"));
    if platform.database().is_some() {
        assert!(read("services.json").contains("\"error\": \"storage\""), "the sort of it is told");
    }

    let all = everything(&into);
    assert!(all.len() > 1000);
    let keys: Vec<String> = ["page.key", "pseudonym.key", "passport.key"]
        .map(|key| std::fs::read_to_string(platform.data_dir().join("keys").join(key)).expect("a key").trim().to_owned())
        .into();
    let people = [
        "MUKAMANA".to_owned(),
        "Alphonsine".into(),
        "H-CANARY-77".into(),
        person.household,
        person.individual,
        programme.id.clone(),
    ];
    for canary in people.iter().chain(&keys) {
        assert!(!all.contains(canary.as_str()), "the bundle tells {canary}");
    }
}

pub async fn a_support_bundle_masks_secrets(platform: Platform) {
    let file = platform.data_dir().join("masked.tar.gz");
    let out = Command::new(tahuka_tests::binary())
        .args(["support-bundle", "--target", "registry", "--out"])
        .arg(&file)
        .args(["--database", &format!("postgres://tahuka:{SECRET}@127.0.0.1:{}/x", tahuka_tests::free_port())])
        .args(["--nats", &format!("nats://tahuka:{SECRET}@127.0.0.1:{}", tahuka_tests::free_port())])
        .output()
        .expect("the binary runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let into = platform.data_dir().join("masked");
    std::fs::create_dir(&into).expect("a directory");
    assert!(Command::new("tar").arg("-xzf").arg(&file).arg("-C").arg(&into).status().expect("tar runs").success());
    let all = everything(&into);
    assert!(all.contains("database-reach") && !all.contains(SECRET), "{all}");
}

/// The text of every file below.
fn everything(dir: &std::path::Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
        if entry.path().is_dir() {
            all += &everything(&entry.path());
        } else {
            all += &std::fs::read_to_string(entry.path()).expect("text");
        }
    }
    all
}
