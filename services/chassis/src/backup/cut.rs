//! The one moment of which a backup tells, in every service's database at once, and held until it is written.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use sea_orm::DbBackend;
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::postgres::PgPool;
use sea_orm::sqlx::{self, AssertSqlSafe, Postgres};

use super::archive::{Writer, Written};
use super::{Backend, FORMAT, FilePart, Manifest, sqlite, tables};
use crate::clock;
use crate::config::Config;
use crate::refusal::Refusal;
use crate::service::ServiceSpec;
use crate::store::{Store, security};

/// How long writers may have to wait behind the locks, in seconds: at first, and at the most. And how often it is tried.
const WAIT: u32 = 2;
const LONGEST_WAIT: u32 = 10;
const TRIES: u32 = 15;
/// A cut needs these for each service: its snapshot, its locks, and what is counted.
const CONNECTIONS: u32 = 4;

pub struct Cut {
    pub taken_at: DateTime<Utc>,
    /// Every service's store, as it was at that moment.
    pub stores: Vec<Store>,
    held: Held,
}

enum Held {
    /// A transaction with its snapshot for each service, in the order of the stores.
    Postgres(Vec<PoolConnection<Postgres>>),
    /// The writers of each service wait for these.
    Sqlite(sqlite::Hold),
}

impl Cut {
    pub async fn of(specs: &[ServiceSpec], config: &Config) -> Result<Self, Refusal> {
        let mut database = config.database.clone();
        database.max_connections = database.max_connections.max(CONNECTIONS);
        let mut stores = Vec::new();
        for spec in specs {
            sqlite::there(spec.name, config)?;
            stores.push(Store::open(spec.name, &database, &config.data_dir).await?);
        }
        let backend = stores.first().map(|store| store.connection().get_database_backend());
        if backend != Some(DbBackend::Postgres) {
            let held = Held::Sqlite(sqlite::Hold::of(&stores).await?);
            return Ok(Cut { taken_at: clock::now(), stores, held });
        }
        let mut tries = 0;
        loop {
            match snapshots(&stores, (WAIT + tries).min(LONGEST_WAIT)).await {
                Ok((taken_at, held, names)) => {
                    let stores = stores.into_iter().zip(names).map(|(store, name)| store.at_snapshot(name)).collect();
                    return Ok(Cut { taken_at, stores, held: Held::Postgres(held) });
                }
                // Somebody writes for long; it is let through.
                Err(refusal) if refusal.is_transient() && tries < TRIES => {
                    tries += 1;
                    tracing::warn!(error = %refusal, "the services could not all be held; it is tried again");
                    tokio::time::sleep(Duration::from_millis(200 * u64::from(tries))).await;
                }
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// Writes what the databases held at that moment into a new archive at `place`. `figures` were counted in `stores`;
    /// `keys` are files with their names below the directory of keys.
    pub async fn write(
        self,
        place: &Path,
        figures: BTreeMap<String, String>,
        keys: &[(String, std::path::PathBuf)],
    ) -> Result<(Manifest, Written), Refusal> {
        let mut writer = Writer::create(place)?;
        let (backend, services) = match self.held {
            Held::Postgres(held) => {
                let mut services = Vec::new();
                for (store, mut snapshot) in self.stores.iter().zip(held) {
                    services.push(tables::copy_out(store.service(), &mut snapshot, &mut writer).await?);
                    sqlx::raw_sql("ROLLBACK").execute(&mut *snapshot).await.map_err(sql)?;
                }
                (Backend::Postgres, services)
            }
            Held::Sqlite(hold) => (Backend::Sqlite, hold.copy_out(&self.stores, place, &mut writer).await?),
        };
        let keys: Vec<FilePart> =
            keys.iter().map(|(name, file)| writer.file(&format!("keys/{name}"), file)).collect::<Result<_, _>>()?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let manifest = Manifest { format: FORMAT, version, backend, taken_at: self.taken_at, services, figures, keys };
        let written = writer.finish(&manifest)?;
        Ok((manifest, written))
    }
}

pub(super) fn sql(error: sqlx::Error) -> Refusal {
    sea_orm::DbErr::Exec(sea_orm::RuntimeErr::SqlxError(error.into())).into()
}

async fn run(connection: &mut PoolConnection<Postgres>, statement: String) -> Result<(), Refusal> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut **connection).await.map(|_| ()).map_err(sql)
}

type Snapshots = (DateTime<Utc>, Vec<PoolConnection<Postgres>>, Vec<String>);

/// Opens a snapshot in each service's database, of one moment.
async fn snapshots(stores: &[Store], wait: u32) -> Result<Snapshots, Refusal> {
    let pools: Vec<&PgPool> = stores.iter().map(|store| store.connection().get_postgres_connection_pool()).collect();
    let places: Vec<_> = pools.iter().map(|pool| place_of(pool)).collect();
    let mut locks = Vec::new();
    if places.iter().any(|place| Some(place) != places.first()) {
        // All at once: while one is waited for, the writers of the others wait too.
        locks = try_join_all(stores.iter().zip(&pools).map(|(store, pool)| lock(store.service(), pool, wait))).await?;
    }
    let (mut held, mut names): (Vec<PoolConnection<Postgres>>, Vec<String>) = (Vec::new(), Vec::new());
    for (n, pool) in pools.iter().enumerate() {
        let mut snapshot = pool.acquire().await.map_err(sql)?;
        // A connection that is given back with its transaction open would be somebody else's surprise.
        snapshot.close_on_drop();
        run(&mut snapshot, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned()).await?;
        let shared = places.iter().take(n).position(|place| Some(place) == places.get(n));
        let name = match shared.and_then(|first| names.get(first)) {
            Some(name) => {
                run(&mut snapshot, format!("SET TRANSACTION SNAPSHOT '{name}'")).await?;
                name.clone()
            }
            None => sqlx::query_scalar("SELECT pg_export_snapshot()").fetch_one(&mut *snapshot).await.map_err(sql)?,
        };
        held.push(snapshot);
        names.push(name);
    }
    let taken_at = clock::now();
    for lock in locks {
        lock.rollback().await.map_err(sql)?;
    }
    Ok((taken_at, held, names))
}

/// Keeps every change of a service out until the transaction ends.
async fn lock(service: &str, pool: &PgPool, wait: u32) -> Result<sqlx::Transaction<'static, Postgres>, Refusal> {
    let mut lock = pool.begin().await.map_err(sql)?;
    let prepare = format!("SET LOCAL statement_timeout = '{wait}s'; SET LOCAL ROLE {}", security::system(service));
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *lock).await.map_err(sql)?;
    let tables = format!("{service}.idempotency, {service}.inbox, {service}.journal");
    let locked = sqlx::raw_sql(AssertSqlSafe(format!("LOCK TABLE {tables} IN SHARE MODE"))).execute(&mut *lock).await;
    match locked {
        Ok(_) => Ok(lock),
        // Cancelled by the time that is over, or to end a deadlock.
        Err(sqlx::Error::Database(e)) if e.code().is_some_and(|code| ["57014", "55P03", "40P01"].contains(&&*code)) => {
            Err(Refusal::Unavailable(format!("a quiet moment of {service}")))
        }
        Err(e) => Err(sql(e)),
    }
}

/// Which database of which server it is.
fn place_of(pool: &PgPool) -> (String, u16, Option<String>) {
    let options = pool.connect_options();
    let host = options.get_socket().map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string());
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    (host, options.get_port(), Some(database.to_owned()))
}
