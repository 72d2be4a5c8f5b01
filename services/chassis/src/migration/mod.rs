//! The chassis's own tables, in every service's database, and the run of all migrations.

mod m20261124_events;
mod m20261124_idempotency;
mod m20261125_access_log;
mod m20261126_backup_mark;

use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::{MigrationTrait, MigratorTraitSelf};

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
/// PostgreSQL an advisory lock lets one go first.
pub(crate) async fn migrate(spec: &ServiceSpec, store: &Store) -> Result<(), Refusal> {
    let db = store.connection();
    if db.get_database_backend() == DbBackend::Postgres {
        use sea_orm::TransactionTrait as _;
        let gate = db.begin().await?;
        gate.execute_unprepared("SELECT pg_advisory_xact_lock(7241885)").await?;
        db.execute_unprepared(&format!("CREATE SCHEMA IF NOT EXISTS {}", spec.name)).await?;
        Migrations(spec.migrations).up(db, None).await?;
        security::secure(spec, db).await?;
        gate.commit().await?;
        return Ok(());
    }
    Migrations(spec.migrations).up(db, None).await?;
    Ok(())
}
