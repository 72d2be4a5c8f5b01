//! The same for SQLite, where a service's database is a file.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sea_orm::sqlx::{self, AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, Sqlite, SqlitePool};

use super::archive::Writer;
use super::cut::sql;
use super::tables::Pieces;
use super::{JournalMark, ServicePart, TablePart};
use crate::config::Config;
use crate::refusal::Refusal;
use crate::store::Store;

const TRIES: u32 = 20;

/// The file of a service's database.
pub(super) fn file_of(service: &str, config: &Config) -> PathBuf {
    config.data_dir.join(format!("{service}.db"))
}

/// Refuses where there is nothing to back up: opening would make it.
pub(super) fn there(service: &str, config: &Config) -> Result<(), Refusal> {
    let file = file_of(service, config);
    if config.database.is_embedded() && !file.exists() {
        let advice = format!("{} is not there; say --data-dir or --database", file.display());
        return Err(Refusal::precondition("NO_DATABASE", advice));
    }
    Ok(())
}

/// No writer of any of the databases gets through while it is there.
pub(super) struct Hold(Vec<PoolConnection<Sqlite>>);

impl Hold {
    pub async fn of(stores: &[Store]) -> Result<Self, Refusal> {
        let mut tries = 0;
        loop {
            match Self::all(stores).await {
                Ok(held) => return Ok(Hold(held)),
                // Whoever has one of them may wait for another that is held here: let go, and again.
                Err(_) if tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(50 * u64::from(tries))).await;
                }
                Err(refusal) => return Err(refusal),
            }
        }
    }

    async fn all(stores: &[Store]) -> Result<Vec<PoolConnection<Sqlite>>, Refusal> {
        let mut held = Vec::new();
        for store in stores {
            let mut one = pool(store).acquire().await.map_err(sql)?;
            one.close_on_drop();
            sqlx::raw_sql("PRAGMA busy_timeout = 2000; BEGIN IMMEDIATE").execute(&mut *one).await.map_err(sql)?;
            held.push(one);
        }
        Ok(held)
    }

    /// Copies of the files, made beside the archive and gone when they are in it.
    pub async fn copy_out(self, stores: &[Store], place: &Path, writer: &mut Writer) -> Result<Vec<ServicePart>, Refusal> {
        let copies = Copies::beside(place)?;
        for store in stores {
            // Another connection reads; those that hold only keep writers out, for a copy is not made in a transaction.
            let copy = copies.0.join(format!("{}.db", store.service()));
            let mut reader = store.reading().get_sqlite_connection_pool().acquire().await.map_err(sql)?;
            let into = format!("VACUUM INTO '{}'", copy.display().to_string().replace('\'', "''"));
            sqlx::raw_sql(AssertSqlSafe(into)).execute(&mut *reader).await.map_err(sql)?;
        }
        for mut held in self.0 {
            sqlx::raw_sql("ROLLBACK").execute(&mut *held).await.map_err(sql)?;
        }
        let mut services = Vec::new();
        for store in stores {
            let name = format!("{}.db", store.service());
            let copy = copies.0.join(&name);
            let mut part = told(store.service(), &copy).await?;
            part.file = Some(writer.file(&name, &copy)?);
            services.push(part);
        }
        Ok(services)
    }
}

fn pool(store: &Store) -> &SqlitePool {
    store.connection().get_sqlite_connection_pool()
}

/// A directory that goes when it is not needed any more.
struct Copies(PathBuf);

impl Copies {
    fn beside(place: &Path) -> Result<Self, Refusal> {
        let dir = place.with_file_name(format!(".{}", uuid::Uuid::new_v4()));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&dir).map_err(|e| Refusal::internal(format!("{}: {e}", dir.display())))?;
        Ok(Copies(dir))
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn open(file: &Path, read_only: bool) -> Result<SqliteConnection, Refusal> {
    SqliteConnectOptions::new().filename(file).read_only(read_only).connect().await.map_err(sql)
}

/// What a database file that nobody else has open holds.
async fn told(service: &str, file: &Path) -> Result<ServicePart, Refusal> {
    let mut db = open(file, true).await?;
    let checked: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut db).await.map_err(sql)?;
    if checked != "ok" {
        return Err(Refusal::internal(format!("{service}.db is damaged: {checked}")));
    }
    let versions = "SELECT version FROM seaql_migrations ORDER BY version";
    let migrations = sqlx::query_scalar(versions).fetch_all(&mut db).await.map_err(sql)?;
    let marks = "SELECT count(*), coalesce(max(seq), 0), coalesce(sum(published_at IS NULL), 0), coalesce(max(stream_seq), 0) \
                 FROM journal";
    let row = sqlx::query(marks).fetch_one(&mut db).await.map_err(sql)?;
    let get = |n: usize| row.try_get::<i64, _>(n).map_err(sql);
    let journal = JournalMark { events: get(0)?, newest: get(1)?, unpublished: get(2)?, stream_seq: get(3)? };
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
                  AND name <> 'seaql_migrations' ORDER BY name";
    let names: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut db).await.map_err(sql)?;
    let mut tables = Vec::new();
    for table in names {
        let count = format!("SELECT count(*) FROM \"{table}\"");
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mut db).await.map_err(sql)?;
        let (columns, sha256, content) = Default::default();
        tables.push(TablePart { table, rows: rows.unsigned_abs(), columns, bytes: 0, sha256, content });
    }
    db.close().await.map_err(sql)?;
    Ok(ServicePart { service: service.to_owned(), migrations, journal, tables, file: None })
}

/// How many rows the tables of an archive's service have now.
pub(super) async fn counted(part: &ServicePart, config: &Config) -> Result<Vec<u64>, Refusal> {
    let mut db = open(&file_of(&part.service, config), true).await?;
    let mut all = Vec::new();
    for table in &part.tables {
        let count = format!("SELECT count(*) FROM \"{}\"", table.table);
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mut db).await.map_err(sql)?;
        all.push(rows.unsigned_abs());
    }
    db.close().await.map_err(sql)?;
    Ok(all)
}

/// Puts an archive's file into its place, where none is yet. Events that stood on a broker's stream go out again: the
/// stream is another one now. What this process's own bus had delivered stays delivered.
pub(super) async fn copy_in(part: &ServicePart, config: &Config, pieces: &mut Pieces) -> Result<(), Refusal> {
    let failed = |e: std::io::Error| Refusal::internal(format!("{}.db: {e}", part.service));
    let Some(from) = &part.file else { return Err(Refusal::internal("the archive has no file of this service")) };
    let beside = config.data_dir.join(format!(".{}.restored", part.service));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside).map_err(failed)?;
    while let Some(piece) = pieces.of(&from.name).await? {
        file.write_all(&piece).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    let mut db = open(&beside, false).await?;
    let unmark = "UPDATE journal SET published_at = NULL, stream_seq = NULL WHERE stream_seq IS NOT NULL";
    sqlx::raw_sql(unmark).execute(&mut db).await.map_err(sql)?;
    db.close().await.map_err(sql)?;
    std::fs::rename(&beside, file_of(&part.service, config)).map_err(failed)
}
