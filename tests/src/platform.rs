//! A running platform: processes of the real binary, in a directory and a database of their own.

mod operating;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, Database};
use tahuka_proto::registry::v1::ListHouseholdsRequest;
use tahuka_proto::registry::v1::household_service_client::HouseholdServiceClient;
use tahuka_proto::tenancy::v1::ListProgrammesRequest;
use tahuka_proto::tenancy::v1::programme_service_client::ProgrammeServiceClient;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};

use crate::voice::Voice;

/// How the platform is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One process, SQLite, in-process bus.
    Embedded,
    /// One process, PostgreSQL and JetStream.
    Production,
    /// A process for each service and one for the gateway, PostgreSQL and JetStream.
    Separate,
    /// One that runs already, at TAHUKA_TEST_GATEWAY, for whose platform operator the keys in TAHUKA_TEST_KEYS speak. It has
    /// seen other tests, and is known by its gateway alone.
    Elsewhere,
}

const SERVICES: [&str; 7] = ["tenancy", "registry", "assistance", "projects", "funding", "insight", "handover"];

struct Process {
    name: &'static str,
    arguments: Vec<String>,
    child: Child,
    operators: String,
}

pub struct Platform {
    pub form: Form,
    pub gateway: String,
    /// Addresses of the services' own ports, in the separate form.
    peers: Vec<(&'static str, String)>,
    /// Which data, as arguments.
    common: Vec<String>,
    binary: PathBuf,
    dir: TempDir,
    processes: Vec<Process>,
    /// Ports of services at which nobody listens.
    spares: Vec<(&'static str, u16)>,
    database: Option<(String, String)>,
    /// Of a platform elsewhere: where its keys are, and what is put behind the names of tenants.
    elsewhere: Option<(PathBuf, String)>,
}

/// The parts that a test run has been given. Missing where they are required is a failure, not a skip.
pub fn production_parts() -> Option<(String, String)> {
    let database = std::env::var("TAHUKA_TEST_DATABASE_URL").ok();
    let nats = std::env::var("TAHUKA_TEST_NATS_URL").ok();
    match (database, nats) {
        (Some(database), Some(nats)) => Some((database, nats)),
        _ => {
            let required = std::env::var("TAHUKA_TEST_REQUIRE").is_ok_and(|v| v == "1");
            assert!(!required, "TAHUKA_TEST_DATABASE_URL and TAHUKA_TEST_NATS_URL must be set: run `make test`");
            None
        }
    }
}

/// The binary under test, built by `make test` before the tests run.
pub fn binary() -> PathBuf {
    if let Ok(path) = std::env::var("TAHUKA_BINARY") {
        return path.into();
    }
    // Beside the test itself, wherever cargo builds: <target>/<profile>/deps/<test>.
    let test = std::env::current_exe().expect("a test has a path");
    let target = test.ancestors().nth(2).expect("a test is built below a profile").join("tahuka");
    assert!(target.exists(), "{} is missing: cargo build -p tahuka", target.display());
    target
}

/// A port that nobody listens on, each only once: below those that the system gives to outgoing connections.
pub fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new((std::process::id() % 18_000) as u16));
    loop {
        let port = 12_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A database of its own on the server that `url` names; its URL.
pub async fn new_database(url: &str) -> String {
    let name = format!("tahuka_{}", uuid::Uuid::new_v4().simple());
    let server = Database::connect(url).await.expect("the test database server answers");
    server.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a database can be made");
    let (base, query) = url.split_once('?').map_or((url, String::new()), |(b, q)| (b, format!("?{q}")));
    let (server, _) = base.rsplit_once('/').expect("a database URL has a path");
    format!("{server}/{name}{query}")
}

impl Platform {
    /// Starts it and waits until it is ready. None where the form needs parts that were not given.
    pub async fn start(form: Form) -> Option<Platform> {
        Self::start_with(form, &[], false).await
    }

    /// As `start`, with `settings` (KEY=VALUE) for each process. With `spares`, each service of the separate form has a
    /// second address at which nobody listens yet: see `replace`.
    pub async fn start_with(form: Form, settings: &[&str], spares: bool) -> Option<Platform> {
        let parts = match form {
            Form::Elsewhere => return Some(Self::elsewhere()),
            Form::Embedded => None,
            _ => {
                let (server, nats) = production_parts()?;
                let url = new_database(&server).await;
                Some((server, url, nats))
            }
        };
        Some(Self::on(form, settings, spares, parts).await)
    }

    fn elsewhere() -> Platform {
        let gateway = std::env::var("TAHUKA_TEST_GATEWAY").expect("TAHUKA_TEST_GATEWAY names a platform that runs");
        let keys = std::env::var("TAHUKA_TEST_KEYS").expect("TAHUKA_TEST_KEYS names the folder of the platform's keys");
        let apart = format!("-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        Platform {
            form: Form::Elsewhere,
            gateway,
            peers: Vec::new(),
            common: Vec::new(),
            binary: binary(),
            dir: TempDir::new().expect("a temporary directory"),
            processes: Vec::new(),
            spares: Vec::new(),
            database: None,
            elsewhere: Some((keys.into(), apart)),
        }
    }

    /// What a tenant is called here, by its name in the scenario.
    pub fn slug(&self, tenant: &str) -> String {
        match &self.elsewhere {
            Some((_, apart)) if tenant != "platform" => format!("{tenant}{apart}"),
            _ => tenant.to_owned(),
        }
    }

    /// On a server, one or several databases on it, and a broker.
    async fn on(form: Form, settings: &[&str], spares: bool, parts: Option<(String, String, String)>) -> Platform {
        let dir = TempDir::new().expect("a temporary directory");
        let port = free_port();
        let mut common = vec!["--data-dir".to_owned(), dir.path().display().to_string()];
        common.extend(settings.iter().flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]));
        let mut database = None;
        if let Some((server, url, nats)) = parts {
            let prefix = format!("t{}", uuid::Uuid::new_v4().simple());
            common.extend(["--database".into(), url.clone(), "--nats".into(), nats]);
            common.extend(["--set".into(), format!("nats.prefix={prefix}")]);
            common.extend(["--set".into(), "database.max_connections=4".into()]);
            database = Some((server, url));
        }
        let mut platform = Platform {
            form,
            gateway: format!("http://127.0.0.1:{port}"),
            peers: Vec::new(),
            common: common.clone(),
            binary: binary(),
            dir,
            processes: Vec::new(),
            spares: Vec::new(),
            database,
            elsewhere: None,
        };
        let gateway = ["--set".to_owned(), format!("gateway.listen=127.0.0.1:{port}")];
        if form == Form::Separate {
            let ports: Vec<(&str, u16)> = SERVICES.iter().map(|s| (*s, free_port())).collect();
            let mut peers = Vec::new();
            platform.peers = ports.iter().map(|(service, port)| (*service, format!("http://127.0.0.1:{port}"))).collect();
            for (service, port) in &ports {
                let mut addresses = format!("http://127.0.0.1:{port}");
                if spares {
                    let spare = free_port();
                    platform.spares.push((service, spare));
                    addresses += &format!(",http://127.0.0.1:{spare}");
                }
                peers.extend(["--set".to_owned(), format!("peers.{service}={addresses}")]);
            }
            for (service, port) in &ports {
                let listen = ["--set".to_owned(), format!("listen=127.0.0.1:{port}")];
                platform.spawn(service, [common.clone(), peers.clone(), listen.to_vec()].concat());
            }
            platform.spawn("gateway", [common, peers, gateway.to_vec()].concat());
        } else {
            platform.spawn("all", [common, gateway.to_vec()].concat());
        }
        for process in &mut platform.processes {
            process.wait_ready().await;
        }
        platform
    }

    fn spawn(&mut self, name: &'static str, common: Vec<String>) {
        let operators = format!("127.0.0.1:{}", free_port());
        let mut arguments = ["serve", "--demo", "--target", name, "--set", "log.level=warn"].map(str::to_owned).to_vec();
        arguments.extend(common);
        arguments.extend(["--set".into(), format!("operators.listen={operators}")]);
        let child = self.run(name, &arguments);
        self.processes.push(Process { name, arguments, child, operators });
    }

    fn run(&self, name: &str, arguments: &[String]) -> Child {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.dir.path().join(format!("{name}.log")));
        Command::new(&self.binary)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(log.expect("a log file"))
            .spawn()
            .expect("the binary starts")
    }

    /// Waits until the gateway has found out at which addresses tenancy and the registry are.
    pub async fn await_peers(&self) {
        let operator = self.as_("platform", "operator").await;
        let (mut in_a_row, until) = (0, Instant::now() + Duration::from_secs(60));
        while in_a_row < 10 {
            let programmes = ListProgrammesRequest::default();
            let households = ListHouseholdsRequest::default();
            let answers = [
                ProgrammeServiceClient::new(operator.line()).list_programmes(programmes).await.err(),
                HouseholdServiceClient::new(operator.line()).list_households(households).await.err(),
            ];
            let unreachable = answers.iter().flatten().any(|status| status.code() == tonic::Code::Unavailable);
            in_a_row = if unreachable { 0 } else { in_a_row + 1 };
            assert!(Instant::now() < until, "the services are not reachable");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A new process of the service at its spare address; when it is ready, the old one is asked to end, and ends. The
    /// address of the old one is the spare from then on.
    pub async fn replace(&mut self, name: &str) {
        let at = self.processes.iter().position(|p| p.name == name).expect("a process of this name");
        let spare = self.spares.iter().position(|(service, _)| *service == name).expect("a service with a spare address");
        let old_listen = self.processes[at].arguments.iter().find(|a| a.starts_with("listen=")).expect("a port").clone();
        let old_port = old_listen.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
        let port = std::mem::replace(&mut self.spares[spare].1, old_port);
        let operators = format!("127.0.0.1:{}", free_port());
        let mut arguments = self.processes[at].arguments.clone();
        for argument in &mut arguments {
            if argument.starts_with("listen=") {
                *argument = format!("listen=127.0.0.1:{port}");
            } else if argument.starts_with("operators.listen=") {
                *argument = format!("operators.listen={operators}");
            }
        }
        let name = self.processes[at].name;
        let child = self.run(name, &arguments);
        let mut new = Process { name, arguments, child, operators };
        new.wait_ready().await;
        let mut old = std::mem::replace(&mut self.processes[at], new);
        let asked = Command::new("kill").arg(old.child.id().to_string()).status().expect("kill runs");
        assert!(asked.success(), "{name} can be asked to end");
        let ended = tokio::task::spawn_blocking(move || old.child.wait()).await.expect("it is waited for");
        assert!(ended.expect("it ends").success(), "{name} ends in good order");
    }

    /// A token of the built-in identity provider.
    pub fn token(&self, tenant: &str, subject: &str) -> String {
        self.issuer(&["--tenant", &self.slug(tenant), "--subject", subject]).trim().to_owned()
    }

    /// The public key set of the built-in identity provider.
    pub fn key_set(&self) -> String {
        self.issuer(&["--jwks"])
    }

    fn issuer(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.binary);
        command.arg("token").args(arguments).arg("--data-dir").arg(self.dir.path());
        if let Some((keys, _)) = &self.elsewhere {
            command.env("TAHUKA__KEYS_DIR", keys);
        }
        let out = command.output().expect("the binary runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).expect("it is text")
    }

    /// What its processes have written to standard error, each with its name.
    pub fn logs(&self) -> Vec<(String, String)> {
        let mut logs = Vec::new();
        for entry in fs::read_dir(self.dir.path()).expect("the platform's directory").flatten() {
            if entry.path().extension().is_some_and(|e| e == "log") {
                let log = String::from_utf8_lossy(&fs::read(entry.path()).expect("a log")).into_owned();
                logs.push((entry.file_name().to_string_lossy().into_owned(), log));
            }
        }
        logs
    }

    /// Tells every process to end, and waits until it has.
    pub fn terminate(&mut self) {
        for process in &mut self.processes {
            let _ = Command::new("kill").arg(process.child.id().to_string()).status();
        }
        for process in &mut self.processes {
            let _ = process.child.wait();
        }
    }

    pub fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    /// The URL of this platform's own database.
    pub fn database(&self) -> Option<&str> {
        self.database.as_ref().map(|(_, url)| url.as_str())
    }

    pub async fn channel(&self) -> Channel {
        Endpoint::from_shared(self.gateway.clone()).expect("an address").connect().await.expect("the gateway answers")
    }

    /// The gateway, as this staff member of this tenant.
    pub async fn as_(&self, tenant: &str, subject: &str) -> Voice {
        Voice::new(self.channel().await, Some(self.token(tenant, subject)))
    }

    /// Whether every process of it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.processes.iter_mut().all(|p| matches!(p.child.try_wait(), Ok(None)))
    }

    /// The names of its processes.
    pub fn processes(&self) -> Vec<&'static str> {
        self.processes.iter().map(|p| p.name).collect()
    }

    /// The service's own port, as the other processes of the house reach it.
    pub fn peer(&self, service: &str) -> &str {
        let (_, address) = self.peers.iter().find(|(name, _)| *name == service).expect("a service with a port of its own");
        address
    }

    /// What a command needs to find the parts of the process that runs `name`: the flags of its configuration.
    pub fn arguments(&self, name: &str) -> &[String] {
        let process = self.processes.iter().find(|p| p.name == name).expect("a process of this name");
        // After `serve --demo --target NAME`.
        &process.arguments[4..]
    }

    /// The id of the process that runs `name`.
    pub fn pid(&self, name: &str) -> u32 {
        self.processes.iter().find(|p| p.name == name).expect("a process of this name").child.id()
    }

    /// The operators' port of the process that runs `name`.
    pub fn operators(&self, name: &str) -> &str {
        &self.processes.iter().find(|p| p.name == name).expect("a process of this name").operators
    }
}

impl Process {
    /// Ready when it says so itself.
    async fn wait_ready(&mut self) {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let why = match get(&self.operators, "/readyz").await {
                Some((200, _)) => return,
                Some((_, why)) => why,
                None => "nobody listens".into(),
            };
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended at start: {status}", self.name);
            }
            assert!(Instant::now() < until, "{} is not ready: {why}", self.name);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What `http://<address><path>` answers: status and body. None where nobody does.
pub async fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

impl Drop for Platform {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
        if std::thread::panicking() {
            for entry in fs::read_dir(self.dir.path()).into_iter().flatten().flatten() {
                if entry.path().extension().is_some_and(|e| e == "log") {
                    let text = fs::read_to_string(entry.path()).unwrap_or_default();
                    let tail: Vec<_> = text.lines().rev().take(20).collect();
                    for line in tail.iter().rev() {
                        eprintln!("{}: {line}", entry.file_name().to_string_lossy());
                    }
                }
            }
        }
    }
}
