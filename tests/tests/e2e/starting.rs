//! How a process starts where others must come first: it waits, says for what, and goes on by itself. And as whom it
//! works in the database: a role that can do what the service does and nothing to the schema.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, Database};
use tahuka_tests::{binary, free_port, get, new_database, production_parts};
use tempfile::TempDir;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// Ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `url` with another user.
fn as_user(url: &str, user: &str, password: &str) -> String {
    let mut url = url::Url::parse(url).expect("a URL");
    url.set_username(user).expect("a user");
    url.set_password(Some(password)).expect("a password");
    url.to_string()
}

async fn until(address: &str, path: &str, what: impl Fn(u16, &str) -> bool) -> String {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let told = get(address, path).await;
        match &told {
            Some((status, text)) if what(*status, text) => return text.clone(),
            _ => assert!(Instant::now() < end, "{path} goes on saying {told:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn health(address: &str, service: &str) -> i32 {
    let channel = Endpoint::from_shared(format!("http://{address}")).expect("an address").connect().await.expect("it answers");
    let request = HealthCheckRequest { service: service.into() };
    HealthClient::new(channel).check(request).await.expect("health is told").into_inner().status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_waits_for_its_schema_and_works_without_the_right_to_change_it() {
    let Some((server, nats)) = production_parts() else { return };
    let database = new_database(&server).await;
    let id = uuid::Uuid::new_v4().simple().to_string();
    let (migrator, login) = (format!("migrator_{id}"), format!("login_{id}_registry"));
    let owner = Database::connect(&database).await.expect("the database answers");
    let name = url::Url::parse(&database).expect("a URL").path().trim_start_matches('/').to_owned();
    for sql in [
        format!("CREATE ROLE {migrator} LOGIN CREATEROLE PASSWORD 'm'"),
        format!("CREATE ROLE {login} LOGIN PASSWORD 'l'"),
        format!("GRANT CREATE ON DATABASE {name} TO {migrator}"),
        // Roles of services are made once in a server: whoever migrates here may have come after another database's owner.
        format!(
            "DO $$ DECLARE r text; BEGIN FOREACH r IN ARRAY ARRAY['tahuka_registry_rw', 'tahuka_registry_system'] LOOP \
             IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = r) THEN EXECUTE format('GRANT %I TO {migrator} WITH ADMIN OPTION', r); \
             END IF; END LOOP; END $$"
        ),
    ] {
        owner.execute_unprepared(&sql).await.expect("the roles are made");
    }
    let dir = TempDir::new().expect("a directory");
    fs::write(dir.path().join("registry"), as_user(&database, &login, "l")).expect("a secret");
    let operators = format!("127.0.0.1:{}", free_port());
    let serve = |dir: &Path| {
        Command::new(binary())
            .args(["serve", "--target", "registry", "--nats", &nats, "--data-dir"])
            .arg(dir)
            .args(["--set", &format!("database.url_file={}/{{service}}", dir.display())])
            .args(["--set", "database.migrate_on_start=false", "--set", &format!("nats.prefix=t{id}")])
            .args(["--set", &format!("operators.listen={operators}"), "--set", "server.drain_seconds=2"])
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts")
    };
    let mut process = Process(serve(dir.path()));

    // It is there, and says what it waits for.
    let why = until(&operators, "/startupz", |status, text| status == 503 && text.contains("tahuka migrate")).await;
    assert!(why.contains("database of registry") && why.contains("migrations are missing"), "{why}");
    assert_eq!(get(&operators, "/livez").await.expect("it lives").0, 200);
    let (serving, not_serving) = (1, 2);
    assert_eq!(health(&operators, "liveness").await, serving);
    assert_eq!((health(&operators, "startup").await, health(&operators, "readiness").await), (not_serving, not_serving));

    // Then another role brings the schema, and it goes on by itself.
    let migrated = Command::new(binary())
        .args(["migrate", "--target", "registry", "--database", &as_user(&database, &migrator, "m")])
        .args(["--set", "database.login_role=login_{id}_{service}".replace("{id}", &id).as_str()])
        .output()
        .expect("the binary runs");
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    until(&operators, "/readyz", |status, _| status == 200).await;
    assert_eq!((health(&operators, "startup").await, health(&operators, "readiness").await), (serving, serving));

    // What it works as can read and write, and owns nothing.
    let as_login = Database::connect(as_user(&database, &login, "l")).await.expect("it may log in");
    as_login.execute_unprepared("SELECT count(*) FROM registry.journal").await.expect("it reads");
    for refused in [
        "CREATE TABLE registry.more (id int)",
        "ALTER TABLE registry.household DISABLE ROW LEVEL SECURITY",
        "DROP POLICY reads ON registry.household",
        "DELETE FROM registry.access_log",
        "CREATE SCHEMA more",
        "INSERT INTO registry.seaql_migrations (version, applied_at) VALUES ('m', 0)",
    ] {
        assert!(as_login.execute_unprepared(refused).await.is_err(), "{refused}");
    }

    // It says that it leaves before it does, and ends in good order.
    let asked = Command::new("kill").arg(process.0.id().to_string()).status().expect("kill runs");
    assert!(asked.success());
    until(&operators, "/readyz", |status, text| status == 503 && text.contains("stopping")).await;
    assert_eq!(health(&operators, "readiness").await, not_serving);
    let ended = tokio::task::spawn_blocking(move || process.0.wait()).await.expect("it is waited for");
    assert!(ended.expect("it ends").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_configured_wrongly_is_said_at_once() {
    let dir = TempDir::new().expect("a directory");
    for (setting, words) in [
        ("database.url_file=/nowhere/{service}", "database.url_file: /nowhere/registry"),
        ("gateway.tls.certificate_file=/nowhere.pem", "needs certificate_file and key_file"),
        ("peers.tenancy=ftp://tenancy", "peers.tenancy: must be http://HOST:PORT"),
        ("no.such=key", "no"),
    ] {
        let out = Command::new(binary())
            .args(["serve", "--target", "registry,gateway", "--data-dir"])
            .arg(dir.path())
            .args(["--set", setting, "--set", "operators.listen=127.0.0.1:0", "--set", "gateway.listen=127.0.0.1:0"])
            .output()
            .expect("the binary runs");
        let told = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success() && told.contains(words), "{setting}: {told}");
    }
}
