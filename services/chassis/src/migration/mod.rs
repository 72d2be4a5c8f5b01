//! The chassis's own tables, in every service's database, and the run of all migrations.

mod m20261124_events;
mod m20261124_idempotency;
mod m20261125_access_log;

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
        ];
        all.extend((self.0)());
        all
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
