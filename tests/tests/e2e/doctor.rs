//! The doctor: a platform that is well is found well, and each thing that is broken is found by its name.

use std::process::Command;

use sea_orm::{ConnectionTrait as _, Database};
use serde_json::Value;
use tahuka_tests::{Form, Platform};

use crate::programme::{Programme, RUBAVU};

/// Whether it is content, and what it has found.
fn doctor(arguments: &[String], more: &[&str]) -> (bool, Vec<Value>) {
    let out = Command::new(tahuka_tests::binary())
        .args(["doctor", "--json", "--set", "demo.enabled=true"])
        .args(arguments)
        .args(more)
        .output()
        .expect("the binary runs");
    let told = String::from_utf8(out.stdout).expect("text");
    let findings = serde_json::from_str(&told).unwrap_or_else(|e| panic!("{e}: {told}{}", String::from_utf8_lossy(&out.stderr)));
    (out.status.success(), findings)
}

/// The findings of this outcome, as `id subject`.
fn with(findings: &[Value], outcome: &str) -> Vec<String> {
    let of = |finding: &&Value| finding["outcome"] == outcome;
    let name =
        |finding: &Value| format!("{} {}", finding["id"].as_str().expect("an id"), finding["subject"].as_str().expect("text"));
    findings.iter().filter(of).map(|finding| name(finding).trim().to_owned()).collect()
}

/// What fails is exactly this.
fn fails(found: (bool, Vec<Value>), expected: &[&str]) {
    let (content, findings) = found;
    assert_eq!(with(&findings, "fail"), expected, "{findings:#?}");
    assert_eq!(content, expected.is_empty());
    let advised = findings.iter().filter(|finding| finding["outcome"] == "fail");
    assert!(advised.into_iter().all(|finding| finding["advice"].as_str().is_some_and(|advice| !advice.is_empty())));
}

fn a_process(platform: &Platform) -> &'static str {
    platform.processes().last().copied().expect("a process")
}

async fn sql(platform: &Platform, statements: &[&str]) {
    let db = Database::connect(platform.database().expect("a database")).await.expect("it answers");
    for statement in statements {
        db.execute_unprepared(statement).await.unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
    db.close().await.expect("it closes");
}

pub async fn a_platform_that_is_well_is_found_well(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    programme.person(RUBAVU, "H-1", 1980).await;
    let arguments = platform.arguments(a_process(&platform)).to_vec();
    let (content, findings) = doctor(&arguments, &[]);
    assert!(content, "{findings:#?}");
    for id in
        ["config-valid", "keys-present", "database-reach", "database-schema", "journal-relayed", "dead-letters", "access-log"]
    {
        assert!(with(&findings, "ok").iter().any(|found| found.starts_with(id)), "{id}: {findings:#?}");
    }
    let on_parts = platform.form != Form::Embedded;
    for id in ["database-policies", "database-roles", "nats-streams", "consumers-listen", "journal-in-stream"] {
        assert_eq!(with(&findings, "ok").iter().any(|found| found.starts_with(id)), on_parts, "{id}: {findings:#?}");
    }
    // A doctor changes nothing, and knows nobody.
    let told = serde_json::to_string(&findings).expect("json");
    assert!(!told.contains("MUKAMANA") && !told.contains(&programme.id));

    let all: Vec<String> =
        platform.processes().iter().flat_map(|p| ["--remote".to_owned(), platform.operators(p).to_owned()]).collect();
    let (content, findings) = doctor(&all, &["--gateway", &platform.gateway]);
    assert!(content, "{findings:#?}");
    assert_eq!(with(&findings, "ok").iter().filter(|f| f.starts_with("process-ready")).count(), platform.processes().len());
    assert_eq!(with(&findings, "ok").iter().filter(|f| f.starts_with("gateway-")).count(), 2, "{findings:#?}");
}

pub async fn what_is_out_of_reach_is_found(mut platform: Platform) {
    let process = a_process(&platform);
    let (operators, gateway) = (platform.operators(process).to_owned(), platform.gateway.clone());
    platform.kill(process);
    let found = doctor(&[], &["--remote", &operators, "--gateway", &gateway]);
    fails(found, &[&format!("process-reach {operators}"), &format!("gateway-reach {gateway}")]);

    let arguments = platform.arguments(process).to_vec();
    std::fs::remove_file(platform.data_dir().join("keys/page.key")).expect("there is a key");
    let (content, findings) = doctor(&arguments, &["--target", "registry"]);
    assert!(!content && with(&findings, "fail").contains(&"keys-present page.key".to_owned()), "{findings:#?}");
    let (content, findings) = doctor(&arguments, &["--set", "gateway.lisen=x"]);
    assert!(!content);
    assert_eq!(with(&findings, "fail"), ["config-valid"]);
    if platform.form == Form::Embedded {
        std::fs::rename(platform.data_dir().join("registry.db"), platform.data_dir().join("gone.db")).expect("it is there");
        let (_, findings) = doctor(&arguments, &["--target", "registry"]);
        assert!(with(&findings, "fail").contains(&"database-reach registry".to_owned()), "{findings:#?}");
        return;
    }
    let nowhere = format!("postgres://tahuka@127.0.0.1:{}/nowhere", tahuka_tests::free_port());
    let database = |url: &str| {
        let at = arguments.iter().position(|a| a == "--database").expect("a database");
        [&arguments[..at], &["--database".to_owned(), url.to_owned()], &arguments[at + 2..]].concat()
    };
    let (_, findings) = doctor(&database(&nowhere), &["--target", "registry", "--pre"]);
    assert!(with(&findings, "fail").contains(&"database-reach registry".to_owned()), "{findings:#?}");
    assert!(with(&findings, "skipped").contains(&"database-version registry".to_owned()), "{findings:#?}");
    let no_nats = format!("nats.url=nats://127.0.0.1:{}", tahuka_tests::free_port());
    let (_, findings) = doctor(&without_nats(&arguments), &["--target", "registry", "--set", &no_nats]);
    assert!(with(&findings, "fail").contains(&"nats-reach".to_owned()), "{findings:#?}");
}

fn without_nats(arguments: &[String]) -> Vec<String> {
    let at = arguments.iter().position(|a| a == "--nats").expect("a broker");
    [&arguments[..at], &arguments[at + 2..]].concat()
}

pub async fn what_is_open_in_the_database_is_found(platform: Platform) {
    let Some(url) = platform.database().map(str::to_owned) else { return };
    let programme = Programme::begin(&platform).await;
    programme.person(RUBAVU, "H-1", 1980).await;
    let arguments = platform.arguments(a_process(&platform)).to_vec();
    let registry = |more: &[&str]| doctor(&arguments, &[&["--target", "registry,gateway"], more].concat());
    fails(registry(&[]), &[]);

    let table = "registry.household";
    for (broken, mended, expected) in [
        (
            format!("ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"),
            format!("ALTER TABLE {table} FORCE ROW LEVEL SECURITY"),
            "database-policies registry",
        ),
        (
            format!("CREATE POLICY also ON {table} FOR SELECT USING (true)"),
            format!("DROP POLICY also ON {table}"),
            "database-policies registry",
        ),
        (
            "CREATE TABLE registry.aside (name text)".to_owned(),
            "DROP TABLE registry.aside".to_owned(),
            "database-policies registry",
        ),
        (
            "GRANT CREATE ON SCHEMA registry TO tahuka_registry_rw".to_owned(),
            "REVOKE CREATE ON SCHEMA registry FROM tahuka_registry_rw".to_owned(),
            "database-roles registry",
        ),
    ] {
        sql(&platform, &[&broken]).await;
        fails(registry(&[]), &[expected].repeat(if broken.contains("also") { 2 } else { 1 }));
        sql(&platform, &[&mended]).await;
    }

    let take = "CREATE TABLE public.kept AS SELECT * FROM registry.seaql_migrations ORDER BY version LIMIT 1";
    let newest = "DELETE FROM registry.seaql_migrations WHERE version IN (SELECT version FROM public.kept)";
    sql(&platform, &[take, newest]).await;
    fails(registry(&[]), &["database-schema registry"]);
    sql(&platform, &["INSERT INTO registry.seaql_migrations SELECT * FROM public.kept", "DROP TABLE public.kept"]).await;

    // Somebody with the owner's rights changes what the access log says.
    let forge = "UPDATE registry.access_log SET purpose = 'nothing' WHERE seq = (SELECT max(seq) FROM registry.access_log)";
    sql(&platform, &["ALTER TABLE registry.access_log DISABLE TRIGGER ALL", forge]).await;
    fails(registry(&[]), &["access-log registry"]);

    // A login without a right to anything, before and after.
    let login = format!("stranger_{}", uuid::Uuid::new_v4().simple());
    sql(&platform, &[&format!("CREATE ROLE {login} LOGIN")]).await;
    let as_stranger = url.replace("tahuka@", &format!("{login}@"));
    assert_ne!(as_stranger, url);
    let at = arguments.iter().position(|a| a == "--database").expect("a database");
    let stranger = [&arguments[..at], &["--database".to_owned(), as_stranger], &arguments[at + 2..]].concat();
    let (content, findings) = doctor(&stranger, &["--target", "registry", "--pre"]);
    assert!(!content && with(&findings, "fail").contains(&"database-rights registry".to_owned()), "{findings:#?}");
    sql(&platform, &[&format!("DROP ROLE {login}")]).await;
}

pub async fn what_is_lost_between_journal_and_stream_is_found(mut platform: Platform) {
    if platform.database().is_none() {
        return;
    }
    Programme::begin(&platform).await;
    let process = a_process(&platform);
    let arguments = platform.arguments(process).to_vec();
    let tenancy = |more: &[&str]| doctor(&arguments, &[&["--target", "tenancy,assistance"], more].concat());
    fails(tenancy(&[]), &[]);
    fails(tenancy(&["--set", "nats.replicas=3"]), &["nats-replicas"]);
    // Another stream knows nothing of this journal, and nobody listens there.
    let (_, findings) = tenancy(&["--set", "nats.prefix=elsewhere"]);
    let failed = with(&findings, "fail");
    assert!(failed.contains(&"journal-in-stream tenancy".to_owned()), "{failed:?}");
    assert!(failed.iter().any(|found| found.starts_with("consumers-listen assistance_")), "{failed:?}");

    for process in platform.processes() {
        platform.kill(process);
    }
    let wait = "UPDATE tenancy.journal SET published_at = NULL, stream_seq = NULL, recorded_at = now() - interval '1 hour'";
    let park = "INSERT INTO assistance.dead_letter SELECT 'plans', event_id, kind, custodian_id, aggregate_id, body, \
                'storage: x', 5, recorded_at, now() FROM tenancy.journal LIMIT 1";
    sql(&platform, &[wait, park]).await;
    let (_, findings) = tenancy(&[]);
    assert_eq!(with(&findings, "fail"), ["journal-relayed tenancy"], "{findings:#?}");
    assert!(with(&findings, "warn").contains(&"dead-letters assistance".to_owned()), "{findings:#?}");
}
