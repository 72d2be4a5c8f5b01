//! A service's database: whether it can be reached, what its server is, what a role may do there, and how far its journal is.

use chrono::{DateTime, Utc};
use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::{ConnectionTrait, DbBackend, Statement, TryGetable};
use uuid::Uuid;

use super::PATIENCE;
use crate::caller::Caller;
use crate::clock;
use crate::config::Config;
use crate::migration::Schema;
use crate::refusal::Refusal;
use crate::service::ServiceSpec;
use crate::store::{Store, security};

/// Counting stops here: an operator needs no more exact word of a backlog.
const MOST: u64 = 100_000;

/// The service's store, if its database answers at the first try. Nothing is made.
pub async fn open(service: &'static str, config: &Config) -> Result<Store, Refusal> {
    match config.database.url_of(service)? {
        Some(url) => {
            // The reason may quote the URL, which holds a password.
            let parsed = url.parse::<PgConnectOptions>();
            let options = parsed.map_err(|_| Refusal::invalid("database.url", "must be a URL of PostgreSQL"))?;
            let answer = tokio::time::timeout(PATIENCE, options.connect()).await;
            let gone = |why: String| Refusal::Unavailable(format!("the database of {service} ({why})"));
            let connection = answer.map_err(|_| gone(format!("no answer in {} s", PATIENCE.as_secs())))?;
            let connection = connection.map_err(|e| gone(e.to_string()))?;
            let _ = sea_orm::sqlx::Connection::close(connection).await;
        }
        None => {
            let file = config.data_dir.join(format!("{service}.db"));
            if !file.exists() {
                let advice = format!("{} is not there", file.display());
                return Err(Refusal::precondition("NO_DATABASE", advice));
            }
        }
    }
    Store::open(service, &config.database, &config.data_dir).await
}

/// The server behind a store.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Of PostgreSQL as its number, e.g. 150004; none: SQLite.
    pub version: Option<i32>,
    /// Seconds by which the server's clock is ahead of this machine's.
    pub ahead: f64,
}

pub async fn server(store: &Store) -> Result<Server, Refusal> {
    let db = store.connection();
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(Server { version: None, ahead: 0.0 });
    }
    let before = clock::now();
    let sql = "SELECT current_setting('server_version_num')::int AS version, \
               extract(epoch FROM clock_timestamp())::float8 AS time";
    let row = one(db, sql.to_owned()).await?;
    let after = clock::now();
    let middle = before + (after - before) / 2;
    let ahead = row.try_get::<f64>("", "time")? - middle.timestamp_micros() as f64 / 1e6;
    Ok(Server { version: Some(row.try_get("", "version")?), ahead })
}

/// Of the service's schema, beside what this binary knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrations {
    pub missing: Vec<String>,
    /// A newer binary has made them.
    pub unknown: Vec<String>,
}

pub async fn migrations(spec: &ServiceSpec, store: &Store) -> Result<Migrations, Refusal> {
    let Schema { missing, unknown } = Schema::of(spec, store).await?;
    Ok(Migrations { missing, unknown })
}

/// What a role of PostgreSQL may do in the service's database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub name: String,
    pub is_superuser: bool,
    pub bypasses_policies: bool,
    pub makes_roles: bool,
    /// CREATE on the database.
    pub makes_schemas: bool,
    /// CREATE on the service's schema.
    pub changes_schema: bool,
    /// Tables of the service's schema.
    pub owns: i64,
    /// Of the service's two roles for run time, how many it may take on.
    pub takes_on: i64,
    pub reads_migrations: bool,
}

impl Role {
    /// `tahuka migrate` can run as it.
    pub fn migrates(&self) -> bool {
        self.is_superuser || (self.makes_roles && self.makes_schemas)
    }

    /// The service can run as it.
    pub fn serves(&self) -> bool {
        self.is_superuser || (self.takes_on == 2 && self.reads_migrations)
    }
}

/// The role of this name, or the one that is logged in. None where there is no such role, and on SQLite.
pub async fn role(store: &Store, name: Option<&str>) -> Result<Option<Role>, Refusal> {
    let db = store.connection();
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(None);
    }
    let service = store.service();
    let (tenants, system) = (security::tenants(service), security::system(service));
    let sql = format!(
        "WITH place AS (SELECT to_regnamespace('{service}')::oid AS id) \
         SELECT r.rolname::text AS name, r.rolsuper, r.rolbypassrls, r.rolcreaterole, \
         has_database_privilege(r.oid, current_database(), 'CREATE') AS makes_schemas, \
         coalesce(has_schema_privilege(r.oid, place.id, 'CREATE'), false) AS changes_schema, \
         (SELECT count(*) FROM pg_class c WHERE c.relnamespace = place.id AND c.relkind IN ('r', 'p') AND c.relowner = r.oid) AS owns, \
         (SELECT count(*) FROM pg_roles t WHERE t.rolname IN ('{tenants}', '{system}') AND pg_has_role(r.oid, t.oid, 'MEMBER')) \
         AS takes_on, \
         coalesce(has_schema_privilege(r.oid, place.id, 'USAGE') AND \
         has_table_privilege(r.oid, to_regclass('{service}.seaql_migrations'), 'SELECT'), false) AS reads_migrations \
         FROM pg_roles r, place WHERE r.rolname = coalesce($1::text, current_user::text)"
    );
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [name.map(str::to_owned).into()]);
    let Some(row) = db.query_one_raw(statement).await? else { return Ok(None) };
    Ok(Some(Role {
        name: row.try_get("", "name")?,
        is_superuser: row.try_get("", "rolsuper")?,
        bypasses_policies: row.try_get("", "rolbypassrls")?,
        makes_roles: row.try_get("", "rolcreaterole")?,
        makes_schemas: row.try_get("", "makes_schemas")?,
        changes_schema: row.try_get("", "changes_schema")?,
        owns: row.try_get("", "owns")?,
        takes_on: row.try_get("", "takes_on")?,
        reads_migrations: row.try_get("", "reads_migrations")?,
    }))
}

/// How far a service's journal is on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// The newest event's number.
    pub newest: i64,
    /// Events that wait for the relay; 100,000 stands for more.
    pub waiting: i64,
    pub waiting_since: Option<DateTime<Utc>>,
    /// Of the newest event on the bus: its place in the stream, and its id.
    pub on_the_bus: Option<(u64, Uuid)>,
}

pub async fn backlog(store: &Store) -> Result<Backlog, Refusal> {
    let tx = store.read(&Caller::system("inspect")).await?;
    let db = tx.conn();
    let waiting = format!("SELECT count(*) AS n FROM (SELECT 1 FROM journal WHERE published_at IS NULL LIMIT {MOST}) AS waiting");
    let since = "SELECT recorded_at AS n FROM journal WHERE published_at IS NULL ORDER BY seq LIMIT 1";
    let newest = "SELECT seq AS n FROM journal ORDER BY seq DESC LIMIT 1";
    let on_the_bus = "SELECT stream_seq, event_id FROM journal WHERE stream_seq IS NOT NULL ORDER BY stream_seq DESC LIMIT 1";
    let on_the_bus = match all(db, on_the_bus.to_owned()).await?.first() {
        Some(row) => Some((row.try_get::<i64>("", "stream_seq")?.unsigned_abs(), row.try_get("", "event_id")?)),
        None => None,
    };
    Ok(Backlog {
        newest: first(db, newest).await?.unwrap_or_default(),
        waiting: first(db, &waiting).await?.unwrap_or_default(),
        waiting_since: first(db, since).await?,
        on_the_bus,
    })
}

/// Events that a consumer could not take, of one kind.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DeadLetters {
    pub consumer: String,
    pub kind: String,
    /// What sort of refusal it was, without its words.
    pub error: String,
    pub count: i64,
}

pub async fn dead_letters(store: &Store) -> Result<Vec<DeadLetters>, Refusal> {
    let tx = store.read(&Caller::system("inspect")).await?;
    let sql = "SELECT consumer, kind, CASE WHEN error LIKE 'invalid request:%' THEN 'invalid' \
               WHEN error LIKE 'storage:%' THEN 'storage' WHEN error LIKE 'internal:%' THEN 'internal' \
               WHEN error LIKE '%not found' THEN 'not_found' ELSE 'refused' END AS sort, count(*) AS n \
               FROM dead_letter GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
    let rows = all(tx.conn(), sql.to_owned()).await?;
    let read = |row: &sea_orm::QueryResult| {
        Ok(DeadLetters {
            consumer: row.try_get("", "consumer")?,
            kind: row.try_get("", "kind")?,
            error: row.try_get("", "sort")?,
            count: row.try_get("", "n")?,
        })
    };
    rows.iter().map(read).collect()
}

/// The durable names of the service's consumers on the bus.
pub fn consumers(spec: &ServiceSpec, store: &Store, config: &Config) -> Result<Vec<String>, Refusal> {
    let built = spec.for_command(store.clone(), config)?;
    Ok(built.consumers.iter().map(|consumer| format!("{}_{}", spec.name, consumer.name())).collect())
}

pub(super) async fn all(db: &impl ConnectionTrait, sql: String) -> Result<Vec<sea_orm::QueryResult>, Refusal> {
    Ok(db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?)
}

async fn one(db: &impl ConnectionTrait, sql: String) -> Result<sea_orm::QueryResult, Refusal> {
    all(db, sql).await?.into_iter().next().ok_or_else(|| Refusal::internal("the database gives no row"))
}

/// The value `n` of the first row, if there is one.
async fn first<T: TryGetable>(db: &impl ConnectionTrait, sql: &str) -> Result<Option<T>, Refusal> {
    match all(db, sql.to_owned()).await?.first() {
        Some(row) => Ok(Some(row.try_get("", "n")?)),
        None => Ok(None),
    }
}
