//! Backups taken while the platform works, and what comes of them: on every form, under load, and after the loss of the
//! whole broker.

use std::fs;
use std::path::Path;
use std::process::Output;

use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::Value;
use tahuka_proto::insight::v1::ProgrammeReport;
use tahuka_tests::{Broker, Platform};
use tempfile::TempDir;

use crate::demonstration::{Part, as_the_files_say};
use crate::programme::{Programme, RUBAVU, on};
use crate::reporting::report;
use crate::story::{AssistanceKind, BudgetKind, PlanState, eventually, usd};

fn text(out: &Output) -> String {
    assert!(out.status.success(), "{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout.clone()).expect("text")
}

fn json(out: &Output) -> Value {
    serde_json::from_str(&text(out)).expect("JSON")
}

fn refused(out: &Output) -> String {
    assert_eq!(out.status.code(), Some(1), "{}", String::from_utf8_lossy(&out.stdout));
    String::from_utf8_lossy(&out.stderr).into_owned()
}

async fn told(programme: &Programme) -> ProgrammeReport {
    report(&programme.iom, programme).await
}

pub async fn a_backup_comes_back_to_the_last_figure(mut platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let goats = programme.package(AssistanceKind::Livestock, "goats", 180).await;
    let grant = programme.grant("JP-I", 1000, BudgetKind::Livestock).await;
    programme.instalment(&grant, usd(1000), on(2011, 1, 15)).await;
    let person = programme.person(RUBAVU, "H-1", 1980).await;
    let plan = programme.submit(&person, &goats).await.expect("a plan is submitted");
    programme.until_plan(&plan.id, PlanState::Funded).await;
    programme.until_counted("people_registered", 1).await;
    programme.until_counted("money_reserved", 18_000).await;
    let before = told(&programme).await;

    let dir = TempDir::new().expect("a directory");
    let archive = dir.path().join("monday.tahuka");
    let file = archive.to_str().expect("a path");
    let made = json(&platform.command(&["backup", "--out", file, "--with-keys", "--json"]));
    assert!(made["rows"].as_i64().is_some_and(|rows| rows > 20), "{made}");
    private(&archive);
    assert!(refused(&platform.command(&["backup", "--out", file])).contains("there already"));

    // It is tried out somewhere else, and a damaged one is found out.
    let drill = json(&platform.command(&["drill", "--backup", file, "--json"]));
    assert_eq!(drill["passed"], true, "{drill}");
    assert!(drill["figures"].as_object().is_some_and(|figures| figures.len() > 50), "{drill}");
    assert_eq!(drill["figures"]["ledger.USD.available"], "82000", "{drill}");
    let damaged = dir.path().join("damaged.tahuka");
    let mut bytes = fs::read(&archive).expect("the archive");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&damaged, &bytes).expect("a file");
    refused(&platform.command(&["drill", "--backup", damaged.to_str().expect("a path")]));
    bytes.truncate(middle);
    fs::write(&damaged, &bytes).expect("a file");
    refused(&platform.command(&["drill", "--backup", damaged.to_str().expect("a path")]));

    // What comes later is not in it, and it goes over nothing that is there.
    programme.person(RUBAVU, "H-2", 1990).await;
    programme.until_counted("people_registered", 2).await;
    refused(&platform.command(&["restore", file, "--reset-stream"]));
    assert_eq!(told(&programme).await.sections[0].figures[1].value, Some(2));

    for name in platform.processes() {
        platform.kill(name);
    }
    let url = platform.another_database().await;
    match &url {
        Some(url) => {
            let stale = refused(&platform.command(&["restore", file, "--into-url", url]));
            assert!(stale.contains("--reset-stream"), "{stale}");
            let owner = as_its_owner(url).await;
            text(&platform.command(&["restore", file, "--into-url", &owner, "--reset-stream"]));
            let again = refused(&platform.command(&["restore", file, "--into-url", url, "--reset-stream"]));
            assert!(again.contains("not empty"), "{again}");
        }
        None => {
            for entry in fs::read_dir(platform.data_dir()).expect("the data").flatten() {
                if entry.path().is_dir() {
                    fs::remove_dir_all(entry.path()).expect("the keys are gone");
                } else if entry.path().extension().is_some_and(|end| end != "log") {
                    fs::remove_file(entry.path()).expect("and so are the data");
                }
            }
            text(&platform.command(&["restore", file, "--with-keys"]));
        }
    }
    platform.restart_all(url.as_deref()).await;

    let as_before = async || {
        let now = told(&programme).await;
        (now.sections == before.sections && now.grants == before.grants && now.districts == before.districts).then_some(())
    };
    eventually("the report is as it was", || async { as_before().await.is_some() }).await;
    // Money and people go on from there.
    programme.approve(&plan.id).await;
    programme.until_balances(&grant, [1000, 820, 0, 180, 0]).await;
    programme.person(RUBAVU, "H-2", 1990).await;
    programme.until_counted("people_registered", 2).await;
    let drill = json(&platform.command(&["drill", "--now", "--json"]));
    assert_eq!(drill["passed"], true, "{drill}");
}

/// The database's URL for an owner of its own, who is no superuser: row-level security is not passed over for it.
async fn as_its_owner(database: &str) -> String {
    let mut url = url::Url::parse(database).expect("a URL");
    let (name, owner) = (url.path().trim_start_matches('/').to_owned(), format!("owner_{}", uuid::Uuid::new_v4().simple()));
    let db = Database::connect(database).await.expect("the database answers");
    for sql in [
        format!("CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD 'o'"),
        format!("ALTER DATABASE {name} OWNER TO {owner}"),
        // Roles of services are made once in a server, by whoever came first.
        format!(
            "DO $$ DECLARE r text; BEGIN FOR r IN SELECT rolname FROM pg_roles WHERE rolname ~ '^tahuka_.*_(rw|system)$' LOOP \
             EXECUTE format('GRANT %I TO {owner} WITH ADMIN OPTION', r); END LOOP; END $$"
        ),
    ] {
        db.execute_unprepared(&sql).await.expect("the owner is made");
    }
    url.set_username(&owner).expect("a user");
    url.set_password(Some("o")).expect("a password");
    url.to_string()
}

#[cfg(unix)]
fn private(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(file).expect("the archive").permissions().mode() & 0o777, 0o600);
}

/// How many events the services have journalled so far.
fn journalled(platform: &Platform) -> i64 {
    let services = json(&platform.command(&["journal", "status", "--json"]));
    services.as_array().expect("a list").iter().map(|service| service["events"].as_i64().expect("a number")).sum()
}

/// How many rows of the database are told of.
async fn count(url: &str, sql: &str) -> i64 {
    let db = Database::connect(url).await.expect("the database answers");
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("an answer").expect("a row");
    let count = row.try_get_by_index(0).expect("a number");
    db.close().await.expect("it closes");
    count
}

/// Effects whose events nobody has told of, and what names a person that nobody has registered.
const WITHOUT_CAUSE: [&str; 2] = [
    "SELECT count(*) FROM (SELECT event_id FROM assistance.inbox UNION ALL SELECT event_id FROM funding.inbox \
     UNION ALL SELECT event_id FROM projects.inbox UNION ALL SELECT event_id FROM insight.inbox \
     UNION ALL SELECT event_id FROM registry.inbox UNION ALL SELECT event_id FROM tenancy.inbox UNION ALL SELECT event_id FROM handover.inbox) AS taken \
     WHERE event_id NOT IN (SELECT event_id FROM tenancy.journal UNION ALL SELECT event_id FROM registry.journal \
     UNION ALL SELECT event_id FROM assistance.journal UNION ALL SELECT event_id FROM projects.journal \
     UNION ALL SELECT event_id FROM funding.journal UNION ALL SELECT event_id FROM insight.journal \
     UNION ALL SELECT event_id FROM handover.journal)",
    "SELECT count(*) FROM assistance.plan AS plan WHERE NOT EXISTS \
     (SELECT 1 FROM registry.individual AS individual WHERE individual.id = plan.individual_id)",
];

/// Each service with a database of its own, and backups while the programme is played: none holds an effect without its
/// cause, and the programme does not notice.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_meanwhile_a_backup_is_of_one_moment() {
    let part = Part::of_the_programme();
    let Some(platform) = Platform::start_apart().await else { return };
    let playing = part.play(&platform);
    let dir = TempDir::new().expect("a directory");
    let mut archives = Vec::new();
    for mark in [600, 2000, 4000] {
        eventually(&format!("{mark} events"), || async { journalled(&platform) >= mark }).await;
        let file = dir.path().join(format!("{mark}.tahuka")).display().to_string();
        text(&platform.command(&["backup", "--out", &file]));
        archives.push(file);
    }
    as_the_files_say(&part, &playing.ended().await);
    for file in &archives {
        let url = platform.another_database().await.expect("a database");
        let quiet = ["--set", "nats.prefix=another"];
        text(&platform.command(&[&["restore", file, "--into-url", &url], &quiet[..]].concat()));
        for sql in WITHOUT_CAUSE {
            assert_eq!(count(&url, sql).await, 0, "{file}: {sql}");
        }
        assert!(count(&url, "SELECT count(*) FROM insight.inbox").await > 100, "{file}");
        assert_eq!(json(&platform.command(&["drill", "--backup", file, "--json"]))["passed"], true);
    }
}

/// The broker comes back with nothing in the midst of the programme. The journals fill it again; nothing is lost or
/// counted twice. Afterwards the read model is thrown away, and comes back the same.
#[tokio::test(flavor = "multi_thread")]
async fn the_broker_loses_everything_and_the_report_does_not() {
    let part = Part::of_the_programme();
    let Some(mut broker) = Broker::start() else { return };
    let Some(mut platform) = Platform::start_with_broker(&broker.url()).await else { return };
    let playing = part.play(&platform);
    for mark in [900, 3000] {
        eventually(&format!("{mark} events"), || async { journalled(&platform) >= mark }).await;
        broker.lose_everything();
    }
    let report = playing.ended().await;
    as_the_files_say(&part, &report);
    assert!(platform.is_alive());
    let before = shown(&platform);
    assert!(before.len() > 50, "{before:?}");

    let running = refused(&platform.command(&["journal", "replay", "--service", "insight"]));
    assert!(running.contains("stop its processes"), "{running}");
    platform.kill("insight");
    // Its turn ends with its connection, which the database may notice a little later.
    eventually("insight listens no more", || async {
        platform.command(&["journal", "replay", "--service", "insight"]).status.success()
    })
    .await;
    let database = platform.database().expect("a database").to_owned();
    assert_eq!(count(&database, "SELECT count(*) FROM insight.cell").await, 0);
    platform.restart("insight").await;
    eventually("the report is as it was", || async { shown(&platform) == before }).await;

    // And once more with all events sent anew, onto a new stream.
    text(&platform.command(&["journal", "replay"]));
    eventually("everything is out again", || async {
        let services = json(&platform.command(&["journal", "status", "--json"]));
        services.as_array().expect("a list").iter().all(|service| service["unpublished"] == 0 && service["in_stream"] == true)
    })
    .await;
    assert_eq!(shown(&platform), before);
}

/// Every figure of the programme's report as a backup counts it.
fn shown(platform: &Platform) -> Vec<(String, String)> {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("now.tahuka");
    let made = json(&platform.command(&["backup", "--out", file.to_str().expect("a path"), "--json"]));
    let figures = made["figures"].as_object().expect("an object");
    figures
        .iter()
        .filter(|(name, _)| name.starts_with("report."))
        .map(|(name, value)| (name.clone(), value.to_string()))
        .collect()
}

/// A dead letter is shown without what it says, is taken once, and by whoever it belongs to.
pub async fn a_dead_letter_is_replayed_from_the_command_line(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    programme.person(RUBAVU, "H-1", 1980).await;
    programme.until_counted("people_registered", 1).await;
    let before = told(&programme).await;
    assert!(json(&platform.command(&["dead-letters", "list", "--json"])).as_array().expect("a list").is_empty());

    // As if insight had not been able to take it.
    let id = park(&platform).await;
    let letters = json(&platform.command(&["dead-letters", "list", "--json"]));
    assert_eq!((letters[0]["service"].as_str(), letters[0]["error"].as_str()), (Some("insight"), Some("STORE_FAILED")));
    let told_of_it = text(&platform.command(&["dead-letters", "show", &id]));
    assert!(!told_of_it.contains("MUKAMANA") && told_of_it.contains("read_model"), "{told_of_it}");
    assert!(refused(&platform.command(&["dead-letters", "show", "00000000-0000-0000-0000-000000000001"])).contains("not found"));

    let replay = ["dead-letters", "replay", "--service", "insight"];
    assert!(text(&platform.command(&replay)).contains("taken"));
    let after = told(&programme).await;
    assert_eq!(after.events_counted, before.events_counted + 1);
    assert!(text(&platform.command(&replay)).is_empty());
    assert_eq!(told(&programme).await.events_counted, before.events_counted + 1);

    let id = park(&platform).await;
    assert!(text(&platform.command(&["dead-letters", "discard", &id])).contains("given up"));
    assert!(json(&platform.command(&["dead-letters", "list", "--json"])).as_array().expect("a list").is_empty());
}

/// Puts one more event, as the registry's newest, among insight's dead letters; its id.
async fn park(platform: &Platform) -> String {
    let columns = "kind, custodian_id, aggregate_id, body";
    let id = uuid::Uuid::new_v4();
    let id_in_sql = if platform.database().is_some() { format!("'{id}'::uuid") } else { format!("X'{}'", id.simple()) };
    let newest = "kind = 'tahuka.registry.v1.IndividualRegistered' ORDER BY seq DESC LIMIT 1";
    let error = "'storage: MUKAMANA is there twice', 5, recorded_at, recorded_at";
    let (url, from, into) = match platform.database() {
        Some(url) => (url.to_owned(), "registry.journal", "insight.dead_letter"),
        None => {
            (format!("sqlite://{}?mode=rw", platform.data_dir().join("insight.db").display()), "registry.journal", "dead_letter")
        }
    };
    let db =
        Database::connect(sea_orm::ConnectOptions::new(url).max_connections(1).to_owned()).await.expect("the database answers");
    if platform.database().is_none() {
        let file = platform.data_dir().join("registry.db");
        db.execute_unprepared(&format!("ATTACH '{}' AS registry", file.display())).await.expect("both are read");
    }
    let sql = format!(
        "INSERT INTO {into} (consumer, event_id, {columns}, error, tries, recorded_at, failed_at) \
         SELECT 'read_model', {id_in_sql}, {columns}, {error} FROM {from} WHERE {newest}"
    );
    db.execute_unprepared(&sql).await.expect("it is parked");
    db.close().await.expect("it closes");
    id.to_string()
}
