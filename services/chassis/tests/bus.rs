//! How an event travels: the same cases on the in-process bus and on JetStream, with a journal, a
//! relay, an inbox and dead letters that are the real ones.

#![allow(clippy::expect_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use sea_orm_migration::prelude::*;
use tahuka_chassis::bus::stream::Stream;
use tahuka_chassis::consumer::dead_letters::{self, Outcome};
use tahuka_chassis::consumer::rebuild;
use tahuka_chassis::custody::Slice;
use tahuka_chassis::journal::status;
use tahuka_chassis::{Built, Config, Consumer, Ctx, Event, House, Refusal, ServiceSpec, Store, Tx, async_trait, ids};
use tahuka_proto::tenancy::v1::ProgrammeCreated;
use tempfile::TempDir;
use tonic::service::Routes;
use uuid::Uuid;

/// Keeps what it hears, in the order in which it hears it.
struct Tally;

#[async_trait]
impl Consumer for Tally {
    fn name(&self) -> &'static str {
        "tally"
    }

    fn hears(&self) -> &'static [&'static str] {
        &["tahuka.tenancy.v1.ProgrammeCreated"]
    }

    async fn handle(&self, tx: &mut Tx, event: &Event) -> Result<(), Refusal> {
        let told: ProgrammeCreated = event.decode()?;
        match told.name.as_str() {
            "poison" => return Err(Refusal::invalid("name", "is poison")),
            // Until the consumer has been mended.
            "ailing" | "ailing too" if !is_mended(event.custodian) => return Err(Refusal::internal("MUKAMANA is not known")),
            // Gives way twice, in a transaction that rolls back: the count of tries is kept outside.
            "flaky" if tries(&told.programme_id) < 3 => return Err(Refusal::Unavailable("a neighbour".into())),
            _ => {}
        }
        execute(tx, "INSERT INTO tally (event_id, name) VALUES ($1, $2)", vec![event.id.into(), told.name.into()]).await
    }
}

/// How often this programme has been tried, this time included.
fn tries(id: &str) -> u32 {
    use std::collections::HashMap;
    use std::sync::{LazyLock, Mutex};
    static TRIES: LazyLock<Mutex<HashMap<String, u32>>> = LazyLock::new(Mutex::default);
    let mut tries = TRIES.lock().expect("no test panics while it counts");
    let count = tries.entry(id.to_owned()).or_default();
    *count += 1;
    *count
}

/// Whether the consumer can take what it could not for this custodian; each test has its own.
fn is_mended(custodian: Uuid) -> bool {
    MENDED.lock().expect("no test panics here").contains(&custodian)
}

static MENDED: std::sync::Mutex<Vec<Uuid>> = std::sync::Mutex::new(Vec::new());

async fn execute(tx: &Tx, sql: &str, values: Vec<sea_orm::Value>) -> Result<(), Refusal> {
    let statement = Statement::from_sql_and_values(tx.conn().get_database_backend(), sql, values);
    tx.conn().execute_raw(statement).await?;
    Ok(())
}

struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261124_tally"
    }
}

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let key = match manager.get_database_backend() {
            DbBackend::Postgres => "BIGSERIAL PRIMARY KEY",
            _ => "INTEGER PRIMARY KEY AUTOINCREMENT",
        };
        let event_id = if manager.get_database_backend() == DbBackend::Postgres { "UUID" } else { "TEXT" };
        let sql = format!("CREATE TABLE tally (seq {key}, event_id {event_id} NOT NULL, name TEXT NOT NULL)");
        manager.get_connection().execute_unprepared(&sql).await?;
        Ok(())
    }
}

fn service() -> ServiceSpec {
    fn build(_: Ctx) -> Built {
        Built { routes: Routes::default(), consumers: vec![Arc::new(Tally)] }
    }
    ServiceSpec {
        name: "probe",
        migrations: || vec![Box::new(Migration)],
        scoped_tables: &[],
        shared_tables: &[],
        slice: &Slice::NONE,
        build,
    }
}

/// A house with the one service, on one of the buses. `None` where JetStream is asked for and not there.
struct Home {
    dir: TempDir,
    config: Config,
    house: House,
}

#[derive(Clone, Copy)]
enum On {
    InProcess,
    JetStream,
}

/// What `make test` gives; missing where it is required is a failure, not a skip.
fn given(name: &str) -> Option<String> {
    let given = std::env::var(name).ok();
    let required = std::env::var("TAHUKA_TEST_REQUIRE").is_ok_and(|v| v == "1");
    assert!(given.is_some() || !required, "{name} must be set: run `make test`");
    given
}

impl Home {
    /// On a PostgreSQL database of its own, with JetStream.
    async fn on_postgres() -> Option<Home> {
        let (url, nats) = (given("TAHUKA_TEST_DATABASE_URL")?, given("TAHUKA_TEST_NATS_URL")?);
        let name = format!("tahuka_bus_{}", Uuid::new_v4().simple());
        let server = Database::connect(&url).await.expect("the database server answers");
        server.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a database can be made");
        let (base, _) = url.rsplit_once('/').expect("a database URL has a path");
        let dir = TempDir::new().expect("a directory");
        let mut config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        config.database.url = Some(format!("{base}/{name}"));
        config.nats.url = Some(nats);
        config.nats.prefix = format!("t{}", Uuid::new_v4().simple());
        let house = House::start(vec![service()], Arc::new(config.clone())).await.expect("the house starts");
        Some(Home { dir, config, house })
    }

    async fn new(on: On) -> Option<Home> {
        let dir = TempDir::new().expect("a directory");
        let mut config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        if matches!(on, On::JetStream) {
            config.nats.url = Some(given("TAHUKA_TEST_NATS_URL")?);
            config.nats.prefix = format!("t{}", Uuid::new_v4().simple());
        }
        let house = House::start(vec![service()], Arc::new(config.clone())).await.expect("the house starts");
        Some(Home { dir, config, house })
    }

    /// Another process on the same database and stream.
    async fn replica(&self) -> Home {
        let dir = TempDir::new().expect("a directory");
        let config = Config { data_dir: dir.path().to_owned(), ..self.config.clone() };
        let house = House::start(vec![service()], Arc::new(config.clone())).await.expect("the replica starts");
        Home { dir, config, house }
    }

    /// Stops, and starts again on the same data.
    async fn restarted(self) -> Home {
        let Home { dir, config, house } = self;
        house.stop().await;
        let house = House::start(vec![service()], Arc::new(config.clone())).await.expect("the house starts again");
        Home { dir, config, house }
    }

    fn store(&self) -> &Store {
        &self.house.stores[0].1
    }

    /// Tells of programmes with these names, in one transaction.
    async fn tell(&self, names: &[&str]) {
        let mut tx = self.store().system("test").await.expect("a transaction");
        for name in names {
            let id = ids::new_id();
            let event = ProgrammeCreated { programme_id: id.to_string(), name: (*name).to_owned(), ..Default::default() };
            tx.publish(Uuid::nil(), id, &event).await.expect("it is journalled");
        }
        tx.commit().await.expect("it commits");
    }

    /// The same of one programme of this custodian.
    async fn tell_of(&self, custodian: Uuid, programme: Uuid, names: &[&str]) {
        let mut tx = self.store().system("test").await.expect("a transaction");
        for name in names {
            let event = ProgrammeCreated { programme_id: programme.to_string(), name: (*name).to_owned(), ..Default::default() };
            tx.publish(custodian, programme, &event).await.expect("it is journalled");
        }
        tx.commit().await.expect("it commits");
    }

    async fn column(&self, sql: &str) -> Vec<String> {
        let tx = self.store().system("test").await.expect("a transaction");
        let rows = tx.conn().query_all_raw(Statement::from_string(tx.conn().get_database_backend(), sql)).await.expect("rows");
        rows.iter().map(|r| r.try_get_by_index::<String>(0).expect("a text")).collect()
    }

    async fn heard(&self) -> Vec<String> {
        self.column("SELECT name FROM tally ORDER BY seq").await
    }

    async fn until_heard(&self, count: usize) -> Vec<String> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let heard = self.heard().await;
            if heard.len() >= count {
                return heard;
            }
            assert!(Instant::now() < until, "only {} of {count} events came", heard.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets the journal send everything again, as after a crash between publishing and marking.
    async fn forget_marks(&self) {
        let tx = self.store().system("test").await.expect("a transaction");
        tahuka_chassis::journal::store::replay(tx.conn()).await.expect("the marks are gone");
        tx.commit().await.expect("it commits");
    }
}

async fn every_event_is_heard_once_and_in_order(on: On) {
    let Some(home) = Home::new(on).await else { return };
    let names: Vec<String> = (0..600).map(|n| format!("p{n:04}")).collect();
    for part in names.chunks(7) {
        home.tell(&part.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    assert_eq!(home.until_heard(names.len()).await, names);
}

async fn what_is_sent_twice_has_one_effect(on: On) {
    let Some(home) = Home::new(on).await else { return };
    home.tell(&["a", "b"]).await;
    home.until_heard(2).await;
    home.forget_marks().await;
    home.tell(&["c"]).await;
    assert_eq!(home.until_heard(3).await, ["a", "b", "c"]);
    assert_eq!(home.column("SELECT consumer FROM inbox").await.len(), 3);
}

async fn what_cannot_be_taken_is_parked_and_the_rest_goes_on(on: On) {
    let Some(home) = Home::new(on).await else { return };
    home.tell(&["a", "poison", "b"]).await;
    assert_eq!(home.until_heard(2).await, ["a", "b"]);
    let errors = home.column("SELECT error FROM dead_letter").await;
    assert_eq!(errors, ["invalid request: name: is poison"]);
}

async fn what_fails_for_a_while_is_tried_again(on: On) {
    let Some(home) = Home::new(on).await else { return };
    home.tell(&["flaky", "b"]).await;
    assert_eq!(home.until_heard(2).await, ["flaky", "b"]);
    assert!(home.column("SELECT error FROM dead_letter").await.is_empty());
}

async fn what_was_journalled_before_a_stop_goes_out_after_it(on: On) {
    let Some(home) = Home::new(on).await else { return };
    home.tell(&["a"]).await;
    home.until_heard(1).await;
    // Committed by a process that ends before its relay could see it.
    home.house.stop.cancel();
    home.tell(&["b", "c"]).await;
    let home = home.restarted().await;
    assert_eq!(home.until_heard(3).await, ["a", "b", "c"]);
    assert!(home.dir.path().join("probe.db").exists());
}

/// A dead letter is told without its words, keeps its place before later ones of its record, and is taken once.
async fn a_dead_letter_is_taken_once_its_consumer_is_mended(on: On) {
    let Some(home) = Home::new(on).await else { return };
    let (custodian, programme) = (ids::new_id(), ids::new_id());
    home.tell_of(custodian, programme, &["ailing", "ailing too", "b"]).await;
    home.tell_of(custodian, ids::new_id(), &["ailing"]).await;
    home.until_heard(1).await;
    let store = home.store();
    let until = Instant::now() + Duration::from_secs(60);
    let letters = loop {
        let letters = dead_letters::list(store, Some("tally")).await.expect("a list");
        if letters.len() == 3 {
            break letters;
        }
        assert!(Instant::now() < until, "only {} are parked", letters.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(letters.iter().all(|letter| letter.error == "INTERNAL" && letter.custodian == custodian && letter.tries == 5));
    assert_eq!(letters[0].aggregate_id, programme);
    assert!(dead_letters::list(store, Some("another")).await.expect("a list").is_empty());

    let consumers: Vec<Arc<dyn Consumer>> = vec![Arc::new(Tally)];
    let replay = async |event| {
        let all = dead_letters::replay(store, &consumers, None, event).await.expect("they are tried");
        all.into_iter().map(|(_, outcome)| outcome).collect::<Vec<_>>()
    };
    // Not mended yet: the later one of the same record waits for the earlier, the other record's does not.
    let failed = Outcome::Failed("INTERNAL".into());
    assert_eq!(replay(None).await, [failed.clone(), Outcome::Behind(letters[0].event_id), failed]);
    assert_eq!(dead_letters::list(store, None).await.expect("a list")[0].tries, 6);
    assert_eq!(dead_letters::replay(store, &[], None, None).await.expect("they are tried")[0].1, Outcome::NoConsumer);

    MENDED.lock().expect("no test panics here").push(custodian);
    assert_eq!(replay(Some(letters[1].event_id)).await, [Outcome::Behind(letters[0].event_id)]);
    assert!(dead_letters::discard(store, &letters[2]).await.expect("it is given up"));
    assert!(!dead_letters::discard(store, &letters[2]).await.expect("it is gone already"));
    let both = tokio::join!(replay(None), replay(None));
    assert!(both.0.iter().chain(&both.1).all(|outcome| *outcome == Outcome::Taken));
    assert_eq!(home.heard().await, ["b", "ailing", "ailing too"]);
    assert!(dead_letters::list(store, None).await.expect("a list").is_empty());

    // Sent again, none of them has an effect: not even the one that was given up.
    home.forget_marks().await;
    home.tell(&["c"]).await;
    assert_eq!(home.until_heard(4).await, ["b", "ailing", "ailing too", "c"]);
}

/// What a consumer has made is forgotten while it does not listen, and comes again from the journal.
async fn a_read_model_is_made_anew_from_the_journal(on: On) {
    let Some(home) = Home::new(on).await else { return };
    let names: Vec<String> = (0..40).map(|n| format!("p{n:04}")).collect();
    home.tell(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(home.until_heard(names.len()).await, names);
    let Home { dir, config, house } = home;
    house.stop().await;
    let store = Store::open("probe", &config.database, &config.data_dir).await.expect("the store opens");
    let consumers: Vec<Arc<dyn Consumer>> = vec![Arc::new(Tally)];
    let forgotten = rebuild::forget(&store, &consumers, &["tally"]).await.expect("nobody listens");
    assert_eq!(forgotten.rows, 80);
    match Stream::of(&config.nats).await.expect("the server answers") {
        Some(stream) => {
            let state = stream.state().await.expect("it answers").expect("a stream");
            let told = status::status(&store).await.expect("a status");
            assert_eq!((told.events, told.unpublished, state.events), (40, 0, 40));
            assert!(told.is_in(&stream, &state).await.expect("it is compared"));
            stream.forget("probe.tally").await.expect("its place is forgotten");
            stream.forget("probe.tally").await.expect("and may be gone already");
        }
        None => assert_eq!(status::publish_again(&store).await.expect("they go out again"), 40),
    }
    drop(forgotten);
    store.close().await;
    let house = House::start(vec![service()], Arc::new(config.clone())).await.expect("the house starts again");
    let home = Home { dir, config, house };
    assert_eq!(home.until_heard(names.len()).await, names);
}

/// A change that is rolled back tells nobody.
async fn what_is_not_committed_is_not_told(on: On) {
    let Some(home) = Home::new(on).await else { return };
    {
        let mut tx = home.store().system("test").await.expect("a transaction");
        let event = ProgrammeCreated { name: "never".into(), ..Default::default() };
        tx.publish(Uuid::nil(), ids::new_id(), &event).await.expect("it is journalled");
    }
    home.tell(&["a"]).await;
    assert_eq!(home.until_heard(1).await, ["a"]);
    assert_eq!(home.column("SELECT kind FROM journal").await.len(), 1);
}

macro_rules! on_both_buses {
    ($($case:ident),* $(,)?) => {
        mod in_process {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$case(super::On::InProcess).await; })*
        }
        mod jetstream {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$case(super::On::JetStream).await; })*
        }
    };
}

on_both_buses![
    every_event_is_heard_once_and_in_order,
    what_is_sent_twice_has_one_effect,
    what_cannot_be_taken_is_parked_and_the_rest_goes_on,
    what_fails_for_a_while_is_tried_again,
    what_was_journalled_before_a_stop_goes_out_after_it,
    what_is_not_committed_is_not_told,
    a_dead_letter_is_taken_once_its_consumer_is_mended,
    a_read_model_is_made_anew_from_the_journal,
];

/// While a process of it listens, a read model is not forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn who_listens_is_not_made_to_forget() {
    let Some(home) = Home::on_postgres().await else { return };
    home.tell(&["a"]).await;
    home.until_heard(1).await;
    let consumers: Vec<Arc<dyn Consumer>> = vec![Arc::new(Tally)];
    let refused = rebuild::forget(home.store(), &consumers, &["tally"]).await.err().expect("somebody listens");
    assert!(matches!(refused, Refusal::Precondition { reason: "RUNNING", .. }), "{refused}");
    assert_eq!(home.heard().await, ["a"]);
}

/// A stream that is lost under a running process, and made anew by somebody else: everything goes out again, the old
/// events among what is new, and a consumer that had not heard of them does.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_while_everybody_works_goes_out_again() {
    let Some(home) = Home::new(On::JetStream).await else { return };
    home.tell(&["a", "b"]).await;
    home.until_heard(2).await;
    let stream = Stream::of(&home.config.nats).await.expect("the server answers").expect("a server");
    stream.delete().await.expect("the stream is lost");
    for name in ["c", "d", "e", "f", "g"] {
        home.tell(&[name]).await;
    }
    let mut heard = home.until_heard(7).await;
    heard.sort();
    assert_eq!(heard, ["a", "b", "c", "d", "e", "f", "g"]);
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        if stream.state().await.expect("it answers").is_some_and(|state| state.events == 7) {
            break;
        }
        assert!(Instant::now() < until, "the stream does not hold the whole journal again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// JetStream alone can lose what it has accepted: a stream that comes back empty is filled again.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_loses_goes_out_again() {
    let Some(home) = Home::new(On::JetStream).await else { return };
    home.tell(&["a", "b", "c"]).await;
    home.until_heard(3).await;
    let url = home.config.nats.url.clone().expect("a server");
    let context = async_nats::jetstream::new(async_nats::connect(url).await.expect("the server answers"));
    let stream = format!("{}_EVENTS", home.config.nats.prefix.to_uppercase());
    context.delete_stream(&stream).await.expect("the stream is lost");

    // Filled beyond the old marks before the journal is compared with it.
    context
        .create_stream(async_nats::jetstream::stream::Config {
            name: stream.clone(),
            subjects: vec![format!("{}.evt.>", home.config.nats.prefix)],
            ..Default::default()
        })
        .await
        .expect("a new stream");
    for _ in 0..5 {
        let subject = format!("{}.evt.x.other.thing.done", home.config.nats.prefix);
        context.publish(subject, "another's".into()).await.expect("it is sent").await.expect("and kept");
    }
    let home = home.restarted().await;
    home.tell(&["d"]).await;
    assert_eq!(home.until_heard(4).await, ["a", "b", "c", "d"]);
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let mut found = context.get_stream(&stream).await.expect("the stream is there again");
        if found.info().await.expect("its state").state.messages == 5 + 4 {
            break;
        }
        assert!(Instant::now() < until, "the stream does not hold the whole journal again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Two processes of one service: one listens at a time, and the other takes over where it ended.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_keep_the_order_between_them() {
    let Some(first) = Home::on_postgres().await else { return };
    let second = first.replica().await;
    let names: Vec<String> = (0..300).map(|n| format!("p{n:04}")).collect();
    let (before, after) = names.split_at(200);
    for (n, part) in before.chunks(7).enumerate() {
        let teller = if n % 2 == 0 { &first } else { &second };
        teller.tell(&part.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    second.until_heard(50).await;
    first.house.stop().await;
    for part in after.chunks(7) {
        second.tell(&part.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    assert_eq!(second.until_heard(names.len()).await, names);
}
