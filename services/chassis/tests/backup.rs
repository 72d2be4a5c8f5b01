//! Archives across versions: what an older binary wrote is restored and brought to the newer schema; what a newer one
//! wrote is refused; a restore that fails leaves nothing behind.

#![allow(clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use sea_orm_migration::prelude::*;
use tahuka_chassis::backup::{self, Cut, Kind, Manifest, Mark};
use tahuka_chassis::custody::Slice;
use tahuka_chassis::{Built, Config, Ctx, Refusal, ServiceSpec, Store, async_trait, clock, ids, migrate};
use tahuka_proto::tenancy::v1::ProgrammeCreated;
use tempfile::TempDir;
use tonic::service::Routes;
use uuid::Uuid;

/// One statement as a migration.
struct Step(&'static str, &'static str);

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.0
    }
}

#[async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(self.1).await.map(|_| ())
    }
}

const KEPT: Step = Step(
    "m1_kept",
    "CREATE TABLE kept (id INTEGER PRIMARY KEY, word TEXT); CREATE TABLE a_part (id INTEGER PRIMARY KEY, \
     kept_id INTEGER NOT NULL REFERENCES kept (id)); INSERT INTO kept VALUES (1, 'made by the migration')",
);
const NEWER: Step = Step("m2_newer", "ALTER TABLE kept ADD COLUMN length INTEGER DEFAULT 7");
const IMPOSSIBLE: Step = Step("m2_impossible", "CREATE UNIQUE INDEX one_part ON a_part (kept_id)");

fn spec(migrations: fn() -> Vec<Box<dyn MigrationTrait>>) -> ServiceSpec {
    fn build(_: Ctx) -> Built {
        Built { routes: Routes::default(), consumers: Vec::new() }
    }
    ServiceSpec { name: "probe", migrations, scoped_tables: &[], shared_tables: &[], slice: &Slice::NONE, build }
}

fn old() -> ServiceSpec {
    spec(|| vec![Box::new(KEPT)])
}

fn new() -> ServiceSpec {
    spec(|| vec![Box::new(KEPT), Box::new(NEWER)])
}

fn impossible() -> ServiceSpec {
    spec(|| vec![Box::new(KEPT), Box::new(IMPOSSIBLE)])
}

/// What `make test` gives; missing where it is required is a failure, not a skip.
fn server() -> Option<String> {
    let given = std::env::var("TAHUKA_TEST_DATABASE_URL").ok();
    let required = std::env::var("TAHUKA_TEST_REQUIRE").is_ok_and(|v| v == "1");
    assert!(given.is_some() || !required, "TAHUKA_TEST_DATABASE_URL must be set: run `make test`");
    given
}

/// An empty place: a directory, and a database where there is a server.
async fn place(server: Option<&str>) -> (TempDir, Config) {
    let dir = TempDir::new().expect("a directory");
    let mut config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
    if let Some(url) = server {
        let name = format!("tahuka_backup_{}", Uuid::new_v4().simple());
        let db = Database::connect(url).await.expect("the database server answers");
        db.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a database can be made");
        let (base, _) = url.rsplit_once('/').expect("a database URL has a path");
        config.database.url = Some(format!("{base}/{name}"));
    }
    (dir, config)
}

async fn text(config: &Config, sql: &str) -> Vec<String> {
    let store = Store::open("probe", &config.database, &config.data_dir).await.expect("the store opens");
    let tx = store.system("test").await.expect("a transaction");
    let rows = tx.conn().query_all_raw(Statement::from_string(tx.conn().get_database_backend(), sql)).await.expect("rows");
    let told = rows.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect();
    drop(tx);
    store.close().await;
    told
}

/// A service with some rows that differ in all that a row can have, and an event.
async fn filled(config: &Config) {
    migrate(&[old()], config).await.expect("it is migrated");
    let store = Store::open("probe", &config.database, &config.data_dir).await.expect("the store opens");
    let mut tx = store.system("test").await.expect("a transaction");
    for (id, word) in [(2, "a\tb\nc\\N"), (3, "Béatrice"), (4, "")] {
        let sql = "INSERT INTO kept (id, word) VALUES ($1, $2)";
        let backend = tx.conn().get_database_backend();
        tx.conn().execute_raw(Statement::from_sql_and_values(backend, sql, [id.into(), word.into()])).await.expect("a row");
    }
    tx.conn().execute_unprepared("INSERT INTO kept (id, word) VALUES (5, NULL)").await.expect("a row");
    tx.conn().execute_unprepared("INSERT INTO a_part VALUES (1, 2), (2, 2)").await.expect("its parts");
    let event = ProgrammeCreated { name: "told".into(), ..Default::default() };
    tx.publish(Uuid::nil(), ids::new_id(), &event).await.expect("it is journalled");
    tx.commit().await.expect("it commits");
    store.close().await;
}

async fn archived(config: &Config, file: &Path) -> Manifest {
    let cut = Cut::of(&[old()], config).await.expect("a moment");
    let figures = BTreeMap::from([("counted".to_owned(), "5".to_owned())]);
    let (manifest, written) = cut.write(file, figures, &[]).await.expect("an archive");
    assert_eq!(written.bytes, std::fs::metadata(file).expect("the archive").len());
    assert_eq!(backup::verify(file).expect("it is whole"), manifest);
    manifest
}

fn reason(refused: Result<(), Refusal>) -> &'static str {
    match refused {
        Err(Refusal::Precondition { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

async fn an_archive_is_restored_by_a_newer_binary_and_by_no_older(server: Option<String>) {
    let (dir, from) = place(server.as_deref()).await;
    filled(&from).await;
    let file = dir.path().join("archive");
    let manifest = archived(&from, &file).await;
    assert_eq!(manifest.service("probe").map(|part| (part.journal.events, part.journal.unpublished)), Some((1, 1)));
    let words = "SELECT coalesce(word, 'nothing') FROM kept ORDER BY id";
    let before = text(&from, words).await;
    assert_eq!(before, ["made by the migration", "a\tb\nc\\N", "Béatrice", "", "nothing"]);

    // One whose migration the data do not bear leaves nothing behind.
    let (_dir, to) = place(server.as_deref()).await;
    backup::restore(&[impossible()], &to, &file, &manifest).await.expect_err("two parts of one");
    let fewer = || spec(Vec::new);
    assert_eq!(reason(backup::restore(&[fewer()], &to, &file, &manifest).await), "ARCHIVE_TOO_NEW");
    backup::restore(&[new()], &to, &file, &manifest).await.expect("it is empty, and knows the archive");
    assert_eq!(text(&to, words).await, before);
    assert_eq!(text(&to, "SELECT CAST(length AS TEXT) FROM kept WHERE id = 2").await, ["7"]);
    assert!(backup::differences(&[new()], &to, &manifest).await.expect("it is compared").is_empty());
    assert_eq!(reason(backup::restore(&[new()], &to, &file, &manifest).await), "NOT_EMPTY");

    // The journal goes on after its last number, and a missing row is missed.
    let store = Store::open("probe", &to.database, &to.data_dir).await.expect("the store opens");
    let mut tx = store.system("test").await.expect("a transaction");
    let event = ProgrammeCreated { name: "told later".into(), ..Default::default() };
    tx.publish(Uuid::nil(), ids::new_id(), &event).await.expect("it is journalled");
    tx.commit().await.expect("it commits");
    store.close().await;
    assert_eq!(text(&to, "SELECT CAST(seq AS TEXT) FROM journal ORDER BY seq").await, ["1", "2"]);
    let differences = backup::differences(&[new()], &to, &manifest).await.expect("it is compared");
    assert_eq!(differences, ["probe.journal: 1 rows in the archive, 2 restored"]);
}

async fn a_changed_row_is_found_out(server: Option<String>) {
    let (dir, config) = place(server.as_deref()).await;
    filled(&config).await;
    let file = dir.path().join("archive");
    let manifest = archived(&config, &file).await;
    let mark = Mark { taken_at: clock::now(), sha256: "0".repeat(64), bytes: 7 };
    let store = Store::open("probe", &config.database, &config.data_dir).await.expect("the store opens");
    assert_eq!(backup::noted(&store, Kind::Backup).await.expect("it is asked"), None);
    for _ in 0..2 {
        backup::note(&store, Kind::Backup, &mark).await.expect("it is noted");
    }
    assert_eq!(backup::noted(&store, Kind::Backup).await.expect("it is asked"), Some(mark));
    assert_eq!(backup::noted(&store, Kind::Drill).await.expect("it is asked"), None);

    let (_dir, to) = place(server.as_deref()).await;
    backup::restore(&[old()], &to, &file, &manifest).await.expect("it is restored");
    let postgres = store.system("test").await.expect("a transaction").conn().get_database_backend() == DbBackend::Postgres;
    store.close().await;
    assert!(backup::differences(&[old()], &to, &manifest).await.expect("it is compared").is_empty());
    if postgres {
        let store = Arc::new(Store::open("probe", &to.database, &to.data_dir).await.expect("the store opens"));
        let tx = store.system("test").await.expect("a transaction");
        tx.conn().execute_unprepared("UPDATE kept SET word = 'Beatrice' WHERE id = 3").await.expect("it is changed");
        tx.commit().await.expect("it commits");
        let differences = backup::differences(&[old()], &to, &manifest).await.expect("it is compared");
        assert_eq!(differences, ["probe.kept: its rows are not those of the archive"]);
    }
}

macro_rules! on_both_databases {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$case(None).await; })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                if let Some(server) = super::server() { super::$case(Some(server)).await; }
            })*
        }
    };
}

on_both_databases![an_archive_is_restored_by_a_newer_binary_and_by_no_older, a_changed_row_is_found_out];
