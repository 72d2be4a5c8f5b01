//! From an archive into empty databases. The schema is first the one of the archive, then this binary's.

use std::path::Path;
use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use sea_orm::sqlx::{self, AssertSqlSafe, ConnectOptions as _, Connection as _};
use sea_orm_migration::MigratorTraitSelf as _;

use super::archive::pieces;
use super::cut::sql;
use super::tables::{self, Pieces};
use super::{Backend, Manifest, ServicePart, sqlite};
use crate::config::Config;
use crate::migration;
use crate::refusal::Refusal;
use crate::service::ServiceSpec;
use crate::store::Store;

/// Fills the databases that `config` names with what the archive holds, which `super::verify` has read. Where it fails,
/// what it had made is gone again.
pub async fn restore(specs: &[ServiceSpec], config: &Config, archive: &Path, manifest: &Manifest) -> Result<(), Refusal> {
    let mut places = Vec::new();
    for part in &manifest.services {
        let spec = specs.iter().find(|spec| spec.name == part.service);
        let spec = spec.ok_or_else(|| too_new(&format!("a service {}", part.service)))?;
        let known = migration::names(spec);
        if let Some(newer) = part.migrations.iter().find(|name| !known.contains(name)) {
            return Err(too_new(&format!("{} at {newer}", part.service)));
        }
        places.push((spec, part));
    }
    let on_sqlite = config.database.is_embedded();
    if on_sqlite != (manifest.backend == Backend::Sqlite) {
        let advice = "an archive is restored onto the kind of database that it was taken from: see --database and --into-url";
        return Err(Refusal::precondition("OTHER_DATABASE", advice));
    }
    for (spec, _) in &places {
        empty(spec.name, config, on_sqlite).await?;
    }
    let filled = fill(&places, config, archive, on_sqlite).await;
    if filled.is_err() {
        for (spec, _) in &places {
            if let Err(e) = clear(spec.name, config, on_sqlite).await {
                tracing::error!(error = %e, service = spec.name, "what was restored of it could not be removed");
            }
        }
    }
    filled
}

fn too_new(what: &str) -> Refusal {
    let advice = format!("the archive has {what}, which this binary does not know; restore it with the binary that made it");
    Refusal::precondition("ARCHIVE_TOO_NEW", advice)
}

async fn empty(service: &'static str, config: &Config, on_sqlite: bool) -> Result<(), Refusal> {
    let refused = |place: String| {
        let advice = format!("{place} is not empty; name an empty database, or remove what is there");
        Err(Refusal::precondition("NOT_EMPTY", advice))
    };
    if on_sqlite {
        let file = sqlite::file_of(service, config);
        return if file.exists() { refused(file.display().to_string()) } else { Ok(()) };
    }
    let store = Store::open(service, &config.database, &config.data_dir).await?;
    let there = "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p', 'v', 'S')";
    let pool = store.connection().get_postgres_connection_pool();
    let tables: i64 = sqlx::query_scalar(there).bind(service).fetch_one(pool).await.map_err(sql)?;
    let mut alone = pool.connect_options().as_ref().clone().application_name("tahuka-restore").connect().await.map_err(sql)?;
    store.close().await;
    // One that waits for its schema would begin its work in the midst of the restore. Whoever has just ended may still be
    // seen for a moment.
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1";
    let mut looks = 0;
    loop {
        let name = format!("tahuka-{service}");
        let running: i64 = sqlx::query_scalar(others).bind(name).fetch_one(&mut alone).await.map_err(sql)?;
        if running == 0 {
            break;
        }
        looks += 1;
        if looks == 10 {
            let advice = format!(
                "a process of {service} is connected to this database; stop every process, restore, and start them again"
            );
            return Err(Refusal::precondition("RUNNING", advice));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    alone.close().await.map_err(sql)?;
    if tables == 0 { Ok(()) } else { refused(format!("the schema {service}")) }
}

/// Removes what a restore has made where nothing was before.
async fn clear(service: &'static str, config: &Config, on_sqlite: bool) -> Result<(), Refusal> {
    if on_sqlite {
        let file = sqlite::file_of(service, config);
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", file.display()));
        }
        return Ok(());
    }
    let store = Store::open(service, &config.database, &config.data_dir).await?;
    store.connection().execute_unprepared(&format!("DROP SCHEMA IF EXISTS {service} CASCADE")).await?;
    store.close().await;
    Ok(())
}

async fn fill(places: &[(&ServiceSpec, &ServicePart)], config: &Config, archive: &Path, on_sqlite: bool) -> Result<(), Refusal> {
    if on_sqlite {
        std::fs::create_dir_all(&config.data_dir).map_err(Refusal::internal)?;
    }
    let mut pieces = Pieces::new(pieces(archive));
    for (spec, part) in places {
        if on_sqlite {
            sqlite::copy_in(part, config, &mut pieces).await?;
        }
        let store = Store::open(spec.name, &config.database, &config.data_dir).await?;
        if !on_sqlite {
            let db = store.connection();
            db.execute_unprepared(&format!("CREATE SCHEMA IF NOT EXISTS {}", spec.name)).await?;
            migration::Known { spec, names: &part.migrations }.up(db, None).await?;
            let mut tx = db.get_postgres_connection_pool().begin().await.map_err(sql)?;
            tables::copy_in(part, &mut tx, &mut pieces).await?;
            tx.commit().await.map_err(sql)?;
            let analyze = format!(
                "ANALYZE {}",
                part.tables.iter().map(|t| format!("{}.\"{}\"", spec.name, t.table)).collect::<Vec<_>>().join(", ")
            );
            sqlx::raw_sql(AssertSqlSafe(analyze)).execute(db.get_postgres_connection_pool()).await.map_err(sql)?;
        }
        migration::migrate(spec, &store, &config.database).await?;
        store.close().await;
    }
    Ok(())
}

/// What the restored tables hold that the archive's did not, or the other way round; of tables that a newer schema has
/// changed, the number of rows alone.
pub async fn differences(specs: &[ServiceSpec], config: &Config, manifest: &Manifest) -> Result<Vec<String>, Refusal> {
    let mut found = Vec::new();
    for part in &manifest.services {
        let Some(spec) = specs.iter().find(|spec| spec.name == part.service) else { continue };
        let store = Store::open(spec.name, &config.database, &config.data_dir).await?;
        let now: Vec<(u64, Option<String>)> = if manifest.backend == Backend::Sqlite {
            sqlite::counted(part, config).await?.into_iter().map(|rows| (rows, None)).collect()
        } else {
            let same_schema = part.migrations.len() == migration::names(spec).len();
            let mut tx = store.connection().get_postgres_connection_pool().begin().await.map_err(sql)?;
            let contents = tables::contents(part, &mut tx).await?;
            contents.into_iter().map(|(rows, content)| (rows, same_schema.then_some(content))).collect()
        };
        store.close().await;
        for (table, (rows, content)) in part.tables.iter().zip(now) {
            let name = format!("{}.{}", part.service, table.table);
            if rows != table.rows {
                found.push(format!("{name}: {} rows in the archive, {rows} restored", table.rows));
            } else if content.is_some_and(|content| content != table.content) {
                found.push(format!("{name}: its rows are not those of the archive"));
            }
        }
    }
    Ok(found)
}
