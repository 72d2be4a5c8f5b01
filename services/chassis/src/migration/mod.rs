//! The chassis's own tables, in every service's database, and the run of all migrations.

mod m20261124_events;
mod m20261124_idempotency;
mod m20261125_access_log;
mod m20261126_backup_mark;
mod m20261127_custody;

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use sea_orm_migration::{MigrationTrait, MigratorTraitSelf};

use crate::config::DatabaseConfig;
use crate::custody::trigger;
use crate::refusal::Refusal;
use crate::service::ServiceSpec;
use crate::store::{Store, security};

struct Migrations(fn() -> Vec<Box<dyn MigrationTrait>>);

impl MigratorTraitSelf for Migrations {
    fn migrations(&self) -> Vec<Box<dyn MigrationTrait>> {
        let mut all: Vec<Box<dyn MigrationTrait>> = vec![
            Box::new(m20261124_events::Migration),
            Box::new(m20261124_idempotency::Migration),
            Box::new(m20261125_access_log::Migration),
            Box::new(m20261126_backup_mark::Migration),
            Box::new(m20261127_custody::Migration),
        ];
        all.extend((self.0)());
        all
    }
}

/// The names of a service's migrations, the chassis's among them.
pub(crate) fn names(spec: &ServiceSpec) -> Vec<String> {
    Migrations(spec.migrations).migrations().iter().map(|migration| migration.name().to_owned()).collect()
}

/// Those of a service's migrations that a schema of before has had.
pub(crate) struct Known<'a> {
    pub spec: &'a ServiceSpec,
    pub names: &'a [String],
}

impl MigratorTraitSelf for Known<'_> {
    fn migrations(&self) -> Vec<Box<dyn MigrationTrait>> {
        let all = Migrations(self.spec.migrations).migrations();
        all.into_iter().filter(|migration| self.names.iter().any(|name| name == migration.name())).collect()
    }
}

/// Brings the service's database to the newest schema. Several processes may try at once: on
/// PostgreSQL an advisory lock lets one go first. A schema that is newer than this binary is left alone: it has all that
/// this binary needs, and old replicas run on it while new ones come.
pub(crate) async fn migrate(spec: &ServiceSpec, store: &Store, config: &DatabaseConfig) -> Result<(), Refusal> {
    let db = store.connection();
    if db.get_database_backend() == DbBackend::Postgres {
        use sea_orm::TransactionTrait as _;
        let gate = db.begin().await?;
        gate.execute_unprepared("SELECT pg_advisory_xact_lock(7241885)").await?;
        if Schema::of(spec, store).await?.is_newer() {
            tracing::warn!(service = spec.name, "the schema is newer than this binary; nothing is changed");
            return Ok(gate.commit().await?);
        }
        db.execute_unprepared(&format!("CREATE SCHEMA IF NOT EXISTS {}", spec.name)).await?;
        Migrations(spec.migrations).up(db, None).await?;
        security::secure(spec, db, config.login_role_of(spec.name).as_deref()).await?;
        gate.commit().await?;
        return Ok(());
    }
    Migrations(spec.migrations).up(db, None).await?;
    trigger::embed(spec, db).await
}

/// Ok when the schema has all that this binary needs.
pub(crate) async fn require_current(spec: &ServiceSpec, store: &Store) -> Result<(), Refusal> {
    match Schema::of(spec, store).await?.missing.len() {
        0 => Ok(()),
        1 => Err(Refusal::precondition("SCHEMA_BEHIND", "a migration is missing; run `tahuka migrate`")),
        n => Err(Refusal::precondition("SCHEMA_BEHIND", format!("{n} migrations are missing; run `tahuka migrate`"))),
    }
}

/// The migrations that a database has had, beside those that this binary knows.
pub(crate) struct Schema {
    /// Known here, not there.
    pub missing: Vec<String>,
    /// There, not known here.
    pub unknown: Vec<String>,
}

impl Schema {
    pub async fn of(spec: &ServiceSpec, store: &Store) -> Result<Self, Refusal> {
        let db = store.connection();
        let (there, from) = match db.get_database_backend() {
            DbBackend::Postgres => {
                let table = format!("{}.seaql_migrations", spec.name);
                (format!("SELECT count(*) AS n FROM pg_class WHERE oid = to_regclass('{table}')"), table)
            }
            _ => {
                let count = "SELECT count(*) AS n FROM sqlite_master WHERE name = 'seaql_migrations'".to_owned();
                (count, "seaql_migrations".to_owned())
            }
        };
        let run = |sql: String| db.query_all_raw(Statement::from_string(db.get_database_backend(), sql));
        let is_there = run(there).await?.first().map_or(Ok(0), |row| row.try_get::<i64>("", "n"))? > 0;
        let mut had = Vec::new();
        if is_there {
            for row in run(format!("SELECT version FROM {from}")).await? {
                had.push(row.try_get::<String>("", "version")?);
            }
        }
        let known: Vec<String> = Migrations(spec.migrations).migrations().iter().map(|m| m.name().to_owned()).collect();
        let missing = known.iter().filter(|m| !had.contains(m)).cloned().collect::<Vec<_>>();
        let schema = Schema { missing, unknown: had.iter().filter(|m| !known.contains(m)).cloned().collect() };
        schema.tell(spec.name, had.len());
        Ok(schema)
    }

    fn tell(&self, service: &'static str, had: usize) {
        let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        metrics::gauge!("tahuka_schema_version", "service" => service).set(count(had));
        metrics::gauge!("tahuka_schema_missing", "service" => service).set(count(self.missing.len()));
    }

    fn is_newer(&self) -> bool {
        self.missing.is_empty() && !self.unknown.is_empty()
    }
}
