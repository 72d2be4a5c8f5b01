//! The store: transactions from a `Caller` only, and each carries the caller's scope. Reads through
//! `Tx::find` are filtered by it; on PostgreSQL row-level security holds the same rule once more.

mod idempotency;
mod reach;
pub(crate) mod security;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{
    Condition, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, EntityTrait,
    IsolationLevel, QueryFilter, Select, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use tahuka_proto::EventMessage;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::caller::{Caller, Scope};
use crate::config::DatabaseConfig;
use crate::refusal::Refusal;
use crate::telemetry::Transaction;
use crate::{ids, journal};

use reach::Reach;

pub use idempotency::Once;

/// An entity whose rows belong to a custodian and, where it has one, to a district.
pub trait Scoped: EntityTrait {
    fn custodian() -> Self::Column;
    /// None: the rows are nation-wide.
    fn district() -> Option<Self::Column>;
}

/// Where scope is enforced: in the queries and in the database. No configuration leads to anything but both; the others
/// are for tests that show that each of the two holds alone.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Enforcement {
    #[default]
    Both,
    FilterOnly,
    DatabaseOnly,
}

#[derive(Clone)]
pub struct Store {
    service: &'static str,
    enforcement: Enforcement,
    reader: DatabaseConnection,
    writer: DatabaseConnection,
    committed: Arc<Notify>,
    /// Every read is in this snapshot, which a transaction of somebody else has exported (PostgreSQL).
    snapshot: Option<Arc<str>>,
}

impl Store {
    /// Opens the service's own database: a schema on PostgreSQL, a file on SQLite.
    pub async fn open(service: &'static str, config: &DatabaseConfig, data_dir: &std::path::Path) -> Result<Self, Refusal> {
        let committed = Arc::new(Notify::new());
        if let Some(url) = config.url_of(service)? {
            let mut options = ConnectOptions::new(url);
            options
                .max_connections(config.max_connections)
                .acquire_timeout(Duration::from_secs(30))
                .set_schema_search_path(service)
                .sqlx_logging(false);
            options.set_application_name(format!("tahuka-{service}"));
            let both = Database::connect(options).await?;
            return Ok(Store {
                service,
                enforcement: Enforcement::Both,
                reader: both.clone(),
                writer: both,
                committed,
                snapshot: None,
            });
        }
        std::fs::create_dir_all(data_dir).map_err(Refusal::internal)?;
        let file = data_dir.join(format!("{service}.db"));
        let connect = |connections: u32| {
            let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rwc", file.display()));
            options.max_connections(connections).acquire_timeout(Duration::from_secs(60)).sqlx_logging(false);
            options.map_sqlx_sqlite_opts(|o| {
                use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
                o.journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Normal)
                    .busy_timeout(Duration::from_secs(30))
                    .foreign_keys(true)
            });
            options
        };
        // One writer: SQLite has one anyway, and a queue is fairer than its busy loop.
        let writer = Database::connect(connect(1)).await?;
        let reader = Database::connect(connect(4)).await?;
        Ok(Store { service, enforcement: Enforcement::Both, reader, writer, committed, snapshot: None })
    }

    /// The store with scope enforced in one place only. SQLite has the queries alone.
    pub(crate) fn enforced(self, enforcement: Enforcement) -> Result<Self, Refusal> {
        if enforcement == Enforcement::DatabaseOnly && self.writer.get_database_backend() != DbBackend::Postgres {
            return Err(Refusal::internal("SQLite does not enforce scope"));
        }
        Ok(Store { enforcement, ..self })
    }

    pub fn service(&self) -> &'static str {
        self.service
    }

    /// The connection for migrations and for the relay, which know no tenant.
    pub(crate) fn connection(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// The connection for reading what no tenant asks for.
    pub(crate) fn reading(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// The store as it was when the snapshot of this name was exported.
    pub(crate) fn at_snapshot(self, name: String) -> Self {
        Store { snapshot: Some(name.into()), ..self }
    }

    /// Gives its connections back to the database, for whoever opens stores that do not last.
    pub async fn close(self) {
        for connection in [self.reader, self.writer] {
            if let Err(e) = connection.close().await {
                tracing::warn!(error = %e, "a connection did not close");
            }
        }
    }

    /// Told at each commit that may have left an event to publish.
    pub(crate) fn committed(&self) -> Arc<Notify> {
        self.committed.clone()
    }

    /// Its connections from this process: in use, idle, and the most that there may be.
    pub(crate) fn connections(&self) -> (f64, f64, f64) {
        let of = |db: &DatabaseConnection| match db.get_database_backend() {
            DbBackend::Postgres => {
                let pool = db.get_postgres_connection_pool();
                (pool.size(), pool.num_idle(), pool.options().get_max_connections())
            }
            _ => {
                let pool = db.get_sqlite_connection_pool();
                (pool.size(), pool.num_idle(), pool.options().get_max_connections())
            }
        };
        let mut pools = vec![of(&self.writer)];
        if self.writer.get_database_backend() != DbBackend::Postgres {
            pools.push(of(&self.reader));
        }
        pools.into_iter().fold((0.0, 0.0, 0.0), |(used, idle, most), (size, free, limit)| {
            // The pool counts idle ones without a lock, and may tell nonsense for a moment.
            let free = u32::try_from(free).map_or(0, |free| free.min(size));
            (used + f64::from(size - free), idle + f64::from(free), most + f64::from(limit))
        })
    }

    fn measured(&self, mode: &'static str) -> Transaction {
        let system = if self.writer.get_database_backend() == DbBackend::Postgres { "postgresql" } else { "sqlite" };
        Transaction::begin(self.service, mode, system)
    }

    /// A transaction that reads what the caller may see.
    pub async fn read(&self, caller: &Caller) -> Result<Tx, Refusal> {
        let measured = self.measured("read");
        let Some(snapshot) = &self.snapshot else {
            let inner = self.reader.begin().await?;
            return self.scoped(inner, caller, measured).await;
        };
        let options = TransactionOptions { isolation_level: Some(IsolationLevel::RepeatableRead), ..Default::default() };
        let inner = self.reader.begin_with_options(options).await?;
        inner.execute_unprepared(&format!("SET TRANSACTION SNAPSHOT '{snapshot}'")).await?;
        self.scoped(inner, caller, measured).await
    }

    /// A transaction that may write, where the caller may.
    pub async fn begin(&self, caller: &Caller) -> Result<Tx, Refusal> {
        let options =
            TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() };
        let measured = self.measured("write");
        let inner = self.writer.begin_with_options(options).await?;
        self.scoped(inner, caller, measured).await
    }

    /// A transaction of the house's own background work, named for the audit.
    pub async fn system(&self, name: &str) -> Result<Tx, Refusal> {
        self.begin(&Caller::system(name)).await
    }

    async fn scoped(&self, inner: DatabaseTransaction, caller: &Caller, measured: Transaction) -> Result<Tx, Refusal> {
        measured.begun();
        if inner.get_database_backend() == DbBackend::Postgres {
            inner.execute_raw(security::carry(self.service, caller, self.enforcement)).await?;
        }
        let (caller, committed) = (caller.clone(), self.committed.clone());
        let service = self.service;
        let (once, published, kept) = (None, false, None);
        Ok(Tx { inner, service, caller, enforcement: self.enforcement, committed, once, published, kept, measured })
    }
}

/// One transaction in a caller's name. Dropped without a commit, it leaves no trace.
pub struct Tx {
    inner: DatabaseTransaction,
    service: &'static str,
    caller: Caller,
    enforcement: Enforcement,
    committed: Arc<Notify>,
    once: Option<idempotency::Key>,
    published: bool,
    /// What is to be written before the commit, for several events together.
    kept: Option<Box<dyn Any + Send + Sync>>,
    measured: Transaction,
}

impl Tx {
    pub fn conn(&self) -> &DatabaseTransaction {
        &self.inner
    }

    /// Whose store it is.
    pub fn service(&self) -> &'static str {
        self.service
    }

    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The rows of `E` that the caller may see.
    pub fn find<E: Scoped>(&self) -> Select<E> {
        E::find().filter(self.within::<E>())
    }

    /// The scope as a condition, for updates and hand-made queries.
    pub fn within<E: Scoped>(&self) -> Condition {
        if self.caller.scope == Scope::System || self.enforcement == Enforcement::DatabaseOnly {
            return Condition::all();
        }
        Reach::to_read(&self.caller.scope).condition::<E>()
    }

    /// Refuses, as if it were not there, a record that the caller may not write.
    pub fn require_write(&self, custodian: Uuid, district: Option<&str>) -> Result<(), Refusal> {
        let left_to_the_database = self.enforcement == Enforcement::DatabaseOnly;
        if left_to_the_database || self.caller.may_write(custodian, district) {
            Ok(())
        } else {
            Err(Refusal::not_found("record", None))
        }
    }

    /// Writes the event into the journal, in this transaction; it goes out once this commits.
    pub async fn publish<M: EventMessage>(&mut self, custodian: Uuid, aggregate_id: Uuid, event: &M) -> Result<(), Refusal> {
        let kind = tahuka_proto::EventKind::of(M::KIND).ok_or_else(|| Refusal::internal(M::KIND))?;
        let unit = event.unit().and_then(|(kind, id)| Some((kind, Uuid::try_parse(id).ok()?)));
        let row = journal::NewEvent {
            unit,
            id: ids::new_id(),
            kind: kind.kind,
            service: kind.service,
            aggregate: kind.aggregate,
            name: kind.name,
            custodian,
            aggregate_id,
            body: event.encode_to_vec(),
            traceparent: self.measured.traceparent().or_else(|| self.caller.traceparent.clone()),
        };
        journal::store::append(&self.inner, row).await?;
        self.published = true;
        Ok(())
    }

    /// Keeps something in the transaction until it is taken out again. It goes with the transaction, and one that still
    /// keeps something does not commit.
    pub fn keep<T: Send + Sync + 'static>(&mut self, what: T) {
        self.kept = Some(Box::new(what));
    }

    /// Takes out what was kept.
    pub fn kept<T: 'static>(&mut self) -> Option<T> {
        self.kept.take().and_then(|kept| kept.downcast().ok()).map(|kept| *kept)
    }

    pub async fn commit(mut self) -> Result<(), Refusal> {
        if self.kept.is_some() {
            return Err(Refusal::internal("what a transaction keeps was not written"));
        }
        self.inner.commit().await?;
        self.measured.committed();
        if self.published {
            self.committed.notify_one();
        }
        Ok(())
    }

    pub(crate) async fn run(&self, backend_sql: &str, values: Vec<sea_orm::Value>) -> Result<u64, Refusal> {
        let backend = self.inner.get_database_backend();
        let done = self.inner.execute_raw(Statement::from_sql_and_values(backend, backend_sql, values)).await?;
        Ok(done.rows_affected())
    }
}
