//! A running platform: processes of the real binary, in a directory and a database of their own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, Database};
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
}

const SERVICES: [&str; 6] = ["tenancy", "registry", "assistance", "projects", "funding", "insight"];

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
    /// Which databases and which broker, as arguments.
    common: Vec<String>,
    binary: PathBuf,
    dir: TempDir,
    processes: Vec<Process>,
    database: Option<(String, String)>,
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

/// A database for each service on the server that `url` names; the URL with `{service}` in it.
async fn new_databases(url: &str) -> String {
    let name = format!("tahuka_{}", uuid::Uuid::new_v4().simple());
    let server = Database::connect(url).await.expect("the test database server answers");
    for service in SERVICES {
        server.execute_unprepared(&format!("CREATE DATABASE {name}_{service}")).await.expect("a database can be made");
    }
    let (base, query) = url.split_once('?').map_or((url, String::new()), |(b, q)| (b, format!("?{q}")));
    let (server, _) = base.rsplit_once('/').expect("a database URL has a path");
    format!("{server}/{name}_{{service}}{query}")
}

impl Platform {
    /// Starts it and waits until it is ready. None where the form needs parts that were not given.
    pub async fn start(form: Form) -> Option<Platform> {
        let parts = match form {
            Form::Embedded => None,
            _ => Some(production_parts()?),
        };
        let parts = match parts {
            Some((server, nats)) => Some((server.clone(), new_database(&server).await, nats)),
            None => None,
        };
        Some(Self::on(form, parts).await)
    }

    /// The same with a database for each service.
    pub async fn start_apart() -> Option<Platform> {
        let (server, nats) = production_parts()?;
        let url = new_databases(&server).await;
        Some(Self::on(Form::Separate, Some((server, url, nats))).await)
    }

    /// The same with a broker of its own.
    pub async fn start_with_broker(broker: &str) -> Option<Platform> {
        let (server, _) = production_parts()?;
        let url = new_database(&server).await;
        Some(Self::on(Form::Separate, Some((server, url, broker.to_owned()))).await)
    }

    /// On a database server, one or several databases on it, and a broker.
    async fn on(form: Form, parts: Option<(String, String, String)>) -> Platform {
        let dir = TempDir::new().expect("a temporary directory");
        let port = free_port();
        let mut common = vec!["--data-dir".to_owned(), dir.path().display().to_string()];
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
            database,
        };
        let gateway = ["--set".to_owned(), format!("gateway.listen=127.0.0.1:{port}")];
        if form == Form::Separate {
            let ports: Vec<(&str, u16)> = SERVICES.iter().map(|s| (*s, free_port())).collect();
            let mut peers = Vec::new();
            platform.peers = ports.iter().map(|(service, port)| (*service, format!("http://127.0.0.1:{port}"))).collect();
            for (service, port) in &ports {
                peers.extend(["--set".to_owned(), format!("peers.{service}=http://127.0.0.1:{port}")]);
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
        let mut arguments = vec!["serve".to_owned(), "--demo".into(), "--target".into(), name.into()];
        arguments.extend(common);
        arguments.extend(["--set".into(), format!("operators.listen={operators}"), "--set".into(), "log.level=warn".into()]);
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

    /// `kill -9` of one process, then the same process again, ready.
    pub async fn kill_and_restart(&mut self, name: &str) {
        self.kill(name);
        self.restart(name).await;
    }

    /// `kill -9` of one process.
    pub fn kill(&mut self, name: &str) {
        let at = self.processes.iter().position(|p| p.name == name).expect("a process of this name");
        self.processes[at].child.kill().expect("it can be killed");
        self.processes[at].child.wait().expect("it ends");
    }

    /// A process that was killed, again, ready.
    pub async fn restart(&mut self, name: &str) {
        let at = self.processes.iter().position(|p| p.name == name).expect("a process of this name");
        let again = self.run(name, &self.processes[at].arguments.clone());
        self.processes[at].child = again;
        self.processes[at].wait_ready().await;
    }

    /// Every process that was killed, again, on the database of this URL where one is told.
    pub async fn restart_all(&mut self, database: Option<&str>) {
        if let Some(url) = database {
            let before = self.database().expect("a platform on PostgreSQL").to_owned();
            let moved =
                |arguments: &mut Vec<String>| arguments.iter_mut().filter(|a| **a == before).for_each(|a| *a = url.to_owned());
            moved(&mut self.common);
            self.processes.iter_mut().for_each(|process| moved(&mut process.arguments));
            self.database = self.database.take().map(|(server, _)| (server, url.to_owned()));
        }
        for name in self.processes() {
            self.restart(name).await;
        }
    }

    /// A command of an operator's, on the same databases and the same broker where its arguments say nothing else.
    pub fn command(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(&self.binary).args(&self.common).args(arguments).output().expect("the binary runs")
    }

    /// A new database on the same server.
    pub async fn another_database(&self) -> Option<String> {
        let (server, _) = self.database.as_ref()?;
        Some(new_database(server).await)
    }

    /// A token of the built-in identity provider.
    pub fn token(&self, tenant: &str, subject: &str) -> String {
        let out = Command::new(&self.binary)
            .args(["token", "--tenant", tenant, "--subject", subject, "--data-dir"])
            .arg(self.dir.path())
            .output()
            .expect("the binary runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).expect("a token is text").trim().to_owned()
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
