//! The house in this process, on a database of its own, and calls to its services by path.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use tahuka_chassis::passport::{Bearer, METADATA, Mint};
use tahuka_chassis::{Config, Enforcement, House, Peers, ServiceSpec, keys};
use tahuka_proto::access::{self, Rule};
use tahuka_tests::BytesCodec;
use tempfile::TempDir;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};

/// Where the house keeps its records, and where it enforces scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Sqlite,
    Postgres(Enforcement),
}

/// One RPC of the contract.
#[derive(Clone)]
pub struct Rpc {
    pub path: String,
    pub service: String,
    pub method: MethodDescriptor,
    pub rule: &'static Rule,
}

pub fn rpcs() -> Vec<Rpc> {
    let all =
        access::pool().services().filter(|s| s.full_name().starts_with("tahuka.")).flat_map(|s| s.methods().collect::<Vec<_>>());
    let mut all: Vec<_> = all
        .map(|method| {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            let rule = access::rule(&path).unwrap_or_else(|| panic!("{path} has no access rule"));
            let service = access::service_of(&path).expect("a service of the house").to_owned();
            Rpc { path, service, method, rule }
        })
        .collect();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

/// What an RPC answered: its messages, or how it refused.
#[derive(Debug, Clone)]
pub struct Answer {
    pub messages: Vec<DynamicMessage>,
    pub bytes: Vec<u8>,
    pub status: Option<Status>,
}

impl Answer {
    pub fn code(&self) -> Code {
        self.status.as_ref().map_or(Code::Ok, Status::code)
    }

    /// Everything that the caller gets, as bytes: messages, error text and details.
    pub fn everything(&self) -> Vec<u8> {
        let mut all = self.bytes.clone();
        if let Some(status) = &self.status {
            all.extend((status.code() as i32).to_be_bytes());
            all.extend(status.message().as_bytes());
            all.extend(status.details());
        }
        all
    }

    pub fn is_silent(&self) -> bool {
        self.bytes.is_empty()
    }
}

pub struct Home {
    pub house: House,
    pub form: Form,
    mint: Mint,
    administrators: Vec<(&'static str, DatabaseConnection)>,
    _dir: TempDir,
}

pub fn services() -> Vec<ServiceSpec> {
    vec![
        tahuka_tenancy::service(),
        tahuka_registry::service(),
        tahuka_assistance::service(),
        tahuka_projects::service(),
        tahuka_funding::service(),
        tahuka_insight::service(),
        tahuka_handover::service(),
    ]
}

/// The database server that the run has been given. Missing where it is required is a failure, not a skip.
pub fn server() -> Option<String> {
    let given = std::env::var("TAHUKA_TEST_DATABASE_URL").ok();
    let required = std::env::var("TAHUKA_TEST_REQUIRE").is_ok_and(|v| v == "1");
    assert!(given.is_some() || !required, "TAHUKA_TEST_DATABASE_URL must be set: run `make test`");
    given
}

/// Gives the database to a role that is no superuser, as in an installation; its URL for that role.
async fn owned(url: &str) -> String {
    const OWNER: &str = "tahuka_matrix_owner";
    let db = Database::connect(url).await.expect("the new database answers");
    let make = |role: &str, rights: &str| {
        format!("DO $$ BEGIN CREATE ROLE {role} {rights}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$")
    };
    let (base, name) = url.rsplit_once('/').expect("a database URL has a path");
    let name = name.split_once('?').map_or(name, |(name, _)| name);
    let mut statements =
        vec![make(OWNER, "LOGIN CREATEROLE PASSWORD 'owner'"), format!("ALTER DATABASE {name} OWNER TO {OWNER}")];
    // Roles are the server's, and another test may have made them first.
    for role in services().iter().flat_map(|s| [format!("tahuka_{}_rw", s.name), format!("tahuka_{}_system", s.name)]) {
        statements.push(make(&role, "NOLOGIN NOBYPASSRLS"));
        statements.push(format!("GRANT {role} TO {OWNER}"));
    }
    for statement in statements {
        // Two tests may grant the same at once.
        let mut tries = 0;
        while let Err(e) = db.execute_unprepared(&statement).await {
            tries += 1;
            assert!(tries < 20, "{statement}: {e}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let host = base.rsplit_once('@').map_or_else(|| base.split_once("://").expect("a URL").1, |(_, host)| host);
    format!("postgres://{OWNER}:owner@{host}/{}", url.rsplit_once('/').expect("a path").1)
}

impl Home {
    /// None where the form needs a database server that was not given.
    pub async fn start(form: Form) -> Option<Home> {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        let (mut enforcement, mut administrator) = (Enforcement::Both, None);
        if let Form::Postgres(one) = form {
            let url = tahuka_tests::new_database(&server()?).await;
            config.database.url = Some(owned(&url).await);
            config.database.max_connections = 6;
            (enforcement, administrator) = (one, Some(url));
        }
        let config = Arc::new(config);
        let house = House::start_with(services(), config.clone(), enforcement).await.expect("the house starts");
        let mint = Mint::new(&keys::signing_key(&config.passport_key_file()).expect("a key")).expect("a mint");
        let mut administrators = Vec::new();
        for (service, _) in &house.stores {
            let url = match &administrator {
                Some(url) => url.clone(),
                None => format!("sqlite://{}", dir.path().join(format!("{service}.db")).display()),
            };
            let mut options = sea_orm::ConnectOptions::new(url);
            options.max_connections(1).sqlx_logging(false).set_schema_search_path(*service);
            administrators.push((*service, Database::connect(options).await.expect("a connection")));
        }
        Some(Home { house, form, mint, administrators, _dir: dir })
    }

    pub fn passport(&self, bearer: &Bearer) -> String {
        self.mint.passport(bearer).expect("a passport")
    }

    pub fn peers(&self) -> &Peers {
        &self.house.peers
    }

    /// A connection to a service's database that no policy holds back.
    pub fn administrator(&self, service: &str) -> &DatabaseConnection {
        &self.administrators.iter().find(|(name, _)| *name == service).expect("a service of the house").1
    }

    /// Calls the RPC; each message is one of its request stream.
    pub async fn call(&self, rpc: &Rpc, messages: Vec<Vec<u8>>, passport: Option<&str>) -> Answer {
        let mut client = tonic::client::Grpc::new(self.peers().channel(&rpc.service).expect("a service of the house"));
        let mut request = Request::new(futures::stream::iter(messages));
        if let Some(passport) = passport {
            let value = MetadataValue::try_from(passport).expect("a passport is text");
            request.metadata_mut().insert(METADATA, value);
        }
        let mut answer = Answer { messages: Vec::new(), bytes: Vec::new(), status: None };
        client.ready().await.expect("a channel in this process is ready");
        let mut stream = match client.streaming(request, rpc.path.parse().expect("a path"), BytesCodec).await {
            Ok(response) => response.into_inner(),
            Err(status) => return Answer { status: Some(status), ..answer },
        };
        while let Some(message) = stream.next().await {
            match message {
                Ok(bytes) => {
                    let message = DynamicMessage::decode(rpc.method.output(), bytes.as_slice());
                    answer.messages.push(message.expect("an answer of the contract"));
                    answer.bytes.extend(bytes);
                }
                Err(status) => {
                    answer.status = Some(status);
                    break;
                }
            }
        }
        answer
    }

    /// Waits until every event has had its effect everywhere.
    pub async fn settle(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        let mut quiet = 0;
        while quiet < 3 {
            assert!(Instant::now() < until, "events do not settle");
            let mut waiting = 0_i64;
            for (service, db) in &self.administrators {
                let sql = "SELECT count(*) AS n FROM journal WHERE published_at IS NULL";
                let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("a journal");
                let open: i64 = row.expect("a count").try_get("", "n").expect("a number");
                let sql = "SELECT count(*) AS n FROM dead_letter";
                let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("dead letters");
                let dead: i64 = row.expect("a count").try_get("", "n").expect("a number");
                assert_eq!(dead, 0, "{service} has parked events");
                waiting += open;
            }
            quiet = if waiting == 0 { quiet + 1 } else { 0 };
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
