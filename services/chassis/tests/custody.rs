//! How custody passes, in a service of its own: sealed records are written by nobody, what arrives meanwhile waits, and
//! the rows of a tranche have one custodian at every moment. On both kinds of database.

#![allow(clippy::expect_used)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use sea_orm_migration::prelude::*;
use sha2::{Digest as _, Sha256};
use tahuka_chassis::custody::import::{Imported, Incoming, Place, import};
use tahuka_chassis::custody::{Owned, Rows, Slice, SliceTable, UnitKind};
use tahuka_chassis::{Built, Config, Consumer, Ctx, Event, House, Refusal, ServiceSpec, Store, Tx, async_trait, ids};
use tahuka_proto::EventMessage;
use tahuka_proto::handover::v1::*;
use tahuka_proto::registry::v1::{IndividualRegistered, ReturnRecorded};
use tempfile::TempDir;
use tonic::service::Routes;
use uuid::Uuid;

const DISTRICT: &str = "RW33";

/// Writes down each member that it is told of, in the name of whoever the event is of.
struct Members;

#[async_trait]
impl Consumer for Members {
    fn name(&self) -> &'static str {
        "members"
    }

    fn hears(&self) -> &'static [&'static str] {
        &[IndividualRegistered::KIND]
    }

    async fn handle(&self, tx: &mut Tx, event: &Event) -> Result<(), Refusal> {
        let told: IndividualRegistered = event.decode()?;
        let home = Uuid::try_parse(&told.household_id).map_err(Refusal::internal)?;
        let sql = "INSERT INTO member (id, custodian_id, home_id, class_id, word) VALUES ($1, $2, $3, NULL, $4)";
        write(tx, sql, vec![ids::new_id().into(), event.custodian.into(), home.into(), told.category.into()]).await
    }
}

async fn write(tx: &Tx, sql: &str, values: Vec<sea_orm::Value>) -> Result<(), Refusal> {
    tx.conn().execute_raw(Statement::from_sql_and_values(tx.conn().get_database_backend(), sql, values)).await?;
    Ok(())
}

struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261127_probe"
    }
}

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let on_postgres = manager.get_database_backend() == DbBackend::Postgres;
        let uuid = if on_postgres { "UUID" } else { "uuid_text" };
        let more = match on_postgres {
            true => {
                "since DATE, told_at TIMESTAMP WITH TIME ZONE, amount BIGINT, sure BOOLEAN, extra JSON, raw BYTEA, size INTEGER"
            }
            false => {
                "since date_text, told_at timestamp_with_timezone_text, amount bigint, sure boolean, extra json_text, raw blob, \
                 size integer"
            }
        };
        for sql in [
            format!(
                "CREATE TABLE home (id {uuid} PRIMARY KEY, programme_id {uuid} NOT NULL, custodian_id {uuid} NOT NULL, \
                 district TEXT NOT NULL, word TEXT NOT NULL, {more}, passed TEXT NOT NULL DEFAULT '')"
            ),
            format!("CREATE TABLE class (id {uuid} PRIMARY KEY, custodian_id {uuid} NOT NULL)"),
            format!(
                "CREATE TABLE member (id {uuid} PRIMARY KEY, custodian_id {uuid} NOT NULL, home_id {uuid} NOT NULL, \
                 class_id {uuid}, word TEXT NOT NULL)"
            ),
        ] {
            manager.get_connection().execute_unprepared(&sql).await?;
        }
        Ok(())
    }
}

static SLICE: Slice = Slice {
    owns: Some(Owned { kind: UnitKind::Household, table: "home", numbered: true }),
    tables: &[
        SliceTable { table: "home", key: &["id"], rows: &[Rows::Of { kind: UnitKind::Household, column: "id" }] },
        SliceTable { table: "class", key: &["id"], rows: &[Rows::Container { by: &[("member", "class_id")] }] },
        SliceTable { table: "member", key: &["id"], rows: &[Rows::Of { kind: UnitKind::Household, column: "home_id" }] },
    ],
    ..Slice::NONE
};

fn service() -> ServiceSpec {
    fn build(_: Ctx) -> Built {
        Built { routes: Routes::default(), consumers: vec![Arc::new(Members)] }
    }
    ServiceSpec {
        name: "probe",
        migrations: || vec![Box::new(Migration)],
        scoped_tables: &[("home", true), ("class", false), ("member", false)],
        shared_tables: &[],
        slice: &SLICE,
        build,
    }
}

struct Home {
    _dir: TempDir,
    config: Config,
    house: House,
    programme: Uuid,
    sender: Uuid,
    recipient: Uuid,
    tranche: Uuid,
}

/// What `make test` gives; missing where it is required is a failure, not a skip.
fn server() -> Option<String> {
    let given = std::env::var("TAHUKA_TEST_DATABASE_URL").ok();
    let required = std::env::var("TAHUKA_TEST_REQUIRE").is_ok_and(|v| v == "1");
    assert!(given.is_some() || !required, "TAHUKA_TEST_DATABASE_URL must be set: run `make test`");
    given
}

impl Home {
    async fn new(server: Option<String>) -> Home {
        let dir = TempDir::new().expect("a directory");
        let mut config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        if let Some(url) = server {
            let name = format!("tahuka_custody_{}", Uuid::new_v4().simple());
            let db = Database::connect(&url).await.expect("the database server answers");
            db.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a database can be made");
            let (base, _) = url.rsplit_once('/').expect("a database URL has a path");
            config.database.url = Some(format!("{base}/{name}"));
        }
        config.server.drain_seconds = 0;
        let house = House::start(vec![service()], Arc::new(config.clone())).await.expect("the house starts");
        let [programme, sender, recipient, tranche] = [(); 4].map(|()| ids::new_id());
        Home { _dir: dir, config, house, programme, sender, recipient, tranche }
    }

    async fn restarted(self) -> Home {
        self.house.stop().await;
        let house = House::start(vec![service()], Arc::new(self.config.clone())).await.expect("the house starts again");
        Home { house, ..self }
    }

    fn store(&self) -> &Store {
        &self.house.stores[0].1
    }

    async fn run(&self, sql: &str, values: Vec<sea_orm::Value>) -> Result<(), Refusal> {
        let tx = self.store().system("test").await?;
        write(&tx, sql, values).await?;
        tx.commit().await
    }

    async fn count(&self, sql: &str, values: Vec<sea_orm::Value>) -> i64 {
        let tx = self.store().system("test").await.expect("a transaction");
        let statement = Statement::from_sql_and_values(tx.conn().get_database_backend(), sql, values);
        let row = tx.conn().query_one_raw(statement).await.expect("a count").expect("a row");
        row.try_get_by_index(0).expect("a number")
    }

    async fn words(&self, home: Uuid) -> Vec<(String, Uuid)> {
        let tx = self.store().system("test").await.expect("a transaction");
        let sql = "SELECT word, custodian_id FROM member WHERE home_id = $1 ORDER BY id";
        let statement = Statement::from_sql_and_values(tx.conn().get_database_backend(), sql, [home.into()]);
        let rows = tx.conn().query_all_raw(statement).await.expect("rows");
        let word = |row: &sea_orm::QueryResult| {
            (row.try_get("", "word").expect("a word"), row.try_get("", "custodian_id").expect("a custodian"))
        };
        rows.iter().map(word).collect()
    }

    async fn home(&self, district: &str) -> Uuid {
        let id = ids::new_id();
        let sql = "INSERT INTO home (id, programme_id, custodian_id, district, word) VALUES ($1, $2, $3, $4, 'first')";
        let values = vec![id.into(), self.programme.into(), self.sender.into(), district.into()];
        self.run(sql, values).await.expect("a home");
        id
    }

    async fn member(&self, home: Uuid, class: Option<Uuid>) -> Result<Uuid, Refusal> {
        let id = ids::new_id();
        let sql = "INSERT INTO member (id, custodian_id, home_id, class_id, word) VALUES ($1, $2, $3, $4, 'kept')";
        self.run(sql, vec![id.into(), self.sender.into(), home.into(), class.into()]).await.map(|()| id)
    }

    async fn tell<M: EventMessage>(&self, aggregate: Uuid, event: &M) {
        let mut tx = self.store().system("test").await.expect("a transaction");
        tx.publish(self.sender, aggregate, event).await.expect("it is journalled");
        tx.commit().await.expect("it commits");
    }

    async fn seal(&self) {
        self.ask_to_seal().await;
        self.until(SliceSealed::KIND, 1).await;
    }

    async fn ask_to_seal(&self) {
        let event = TrancheSealRequested {
            tranche_id: self.tranche.to_string(),
            programme_id: self.programme.to_string(),
            sender_id: self.sender.to_string(),
            recipient_id: self.recipient.to_string(),
            districts: vec![DISTRICT.into()],
            ..Default::default()
        };
        self.tell(self.tranche, &event).await;
    }

    async fn transfer(&self) {
        let event = TrancheTransferRequested {
            tranche_id: self.tranche.to_string(),
            recipient_id: self.recipient.to_string(),
            ..Default::default()
        };
        self.tell(self.tranche, &event).await;
        self.until(SliceTransferred::KIND, 1).await;
    }

    async fn close(&self) {
        self.tell(self.tranche, &TrancheClosed { tranche_id: self.tranche.to_string(), ..Default::default() }).await;
        self.until_no("SELECT count(*) FROM seal").await;
        self.until_no("SELECT count(*) FROM held_event").await;
    }

    async fn told(&self, kind: &str) -> i64 {
        self.count("SELECT count(*) FROM journal WHERE kind = $1", vec![kind.into()]).await
    }

    async fn until(&self, kind: &str, count: i64) {
        let until = Instant::now() + Duration::from_secs(30);
        while self.told(kind).await < count {
            assert!(Instant::now() < until, "{kind} is not told");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn event<M: EventMessage>(&self) -> M {
        let tx = self.store().system("test").await.expect("a transaction");
        let sql = "SELECT body FROM journal WHERE kind = $1";
        let statement = Statement::from_sql_and_values(tx.conn().get_database_backend(), sql, [M::KIND.into()]);
        let row = tx.conn().query_one_raw(statement).await.expect("a row").expect("it is told");
        M::decode(row.try_get::<Vec<u8>>("", "body").expect("a body").as_slice()).expect("an event")
    }

    async fn until_some(&self, sql: &str) {
        let until = Instant::now() + Duration::from_secs(30);
        while self.count(sql, Vec::new()).await == 0 {
            assert!(Instant::now() < until, "{sql}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn until_no(&self, sql: &str) {
        let until = Instant::now() + Duration::from_secs(30);
        while self.count(sql, Vec::new()).await > 0 {
            assert!(Instant::now() < until, "{sql}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A member that somebody else's service tells of.
    async fn hear_of(&self, home: Uuid, word: &str) {
        let event = IndividualRegistered { household_id: home.to_string(), category: word.into(), ..Default::default() };
        self.tell(home, &event).await;
    }

    fn is_sealed<T: std::fmt::Debug>(&self, outcome: Result<T, Refusal>) {
        match outcome {
            Err(Refusal::Sealed { tranche }) => assert_eq!(tranche, self.tranche),
            other => panic!("not refused as sealed: {other:?}"),
        }
    }
}

async fn a_seal_refuses_every_write_and_names_the_tranche(server: Option<String>) {
    let home = Home::new(server).await;
    let (sealed, elsewhere) = (home.home(DISTRICT).await, home.home("RW11").await);
    let member = home.member(sealed, None).await.expect("nothing is sealed yet");
    home.seal().await;

    home.is_sealed(home.member(sealed, None).await);
    for sql in [
        "UPDATE member SET word = 'changed' WHERE id = $1",
        "UPDATE member SET word = word WHERE id = $1",
        "DELETE FROM member WHERE id = $1",
    ] {
        home.is_sealed(home.run(sql, vec![member.into()]).await);
    }
    home.is_sealed(home.run("UPDATE home SET word = 'changed' WHERE id = $1", vec![sealed.into()]).await);
    // Nor does a row move into a sealed home from one that is not.
    let other = home.member(elsewhere, None).await.expect("another district is not sealed");
    home.is_sealed(home.run("UPDATE member SET home_id = $1 WHERE id = $2", vec![sealed.into(), other.into()]).await);
    home.run("UPDATE member SET word = 'changed' WHERE id = $1", vec![other.into()]).await.expect("it is not sealed");

    let status: tonic::Status = home.member(sealed, None).await.expect_err("it is sealed").into();
    assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    use tonic_types::StatusExt as _;
    let info = status.get_details_error_info().expect("a reason");
    assert_eq!((info.reason.as_str(), info.metadata.get("tranche_id")), ("RECORD_SEALED", Some(&home.tranche.to_string())));
}

async fn a_tranche_passes_whole_and_once(server: Option<String>) {
    let home = Home::new(server).await;
    let (passing, staying) = (home.home(DISTRICT).await, home.home("RW11").await);
    let [mixed, whole] = [(); 2].map(|()| ids::new_id());
    for class in [mixed, whole] {
        let sql = "INSERT INTO class (id, custodian_id) VALUES ($1, $2)";
        home.run(sql, vec![class.into(), home.sender.into()]).await.expect("a class");
        home.member(passing, Some(class)).await.expect("a member");
    }
    home.member(staying, Some(mixed)).await.expect("a member");
    home.seal().await;
    assert_eq!(home.told(UnitsSealed::KIND).await, 1);
    home.transfer().await;

    let theirs = "SELECT count(*) FROM {} WHERE custodian_id = $1";
    for (table, count) in [("home", 1), ("member", 2), ("class", 1)] {
        assert_eq!(home.count(&theirs.replace("{}", table), vec![home.recipient.into()]).await, count, "{table}");
    }
    assert_eq!(
        home.count("SELECT count(*) FROM class WHERE id = $1 AND custodian_id = $2", vec![mixed.into(), home.sender.into()])
            .await,
        1
    );
    // Still sealed, until it is closed.
    home.is_sealed(home.member(passing, None).await);

    // Told again, as after a broker's loss, and by a process that has started anew: nothing happens twice.
    let tx = home.store().system("test").await.expect("a transaction");
    tahuka_chassis::journal::store::replay(tx.conn()).await.expect("the marks are gone");
    tx.commit().await.expect("it commits");
    let home = home.restarted().await;
    home.close().await;
    home.member(passing, None).await.expect("it is not sealed any more");
    for kind in [SliceSealed::KIND, SliceTransferred::KIND, UnitsSealed::KIND] {
        assert_eq!(home.told(kind).await, 1, "{kind}");
    }
}

async fn what_is_unsealed_is_as_before(server: Option<String>) {
    let home = Home::new(server).await;
    let sealed = home.home(DISTRICT).await;
    home.seal().await;
    home.hear_of(sealed, "while sealed").await;
    home.is_sealed(home.member(sealed, None).await);
    home.tell(home.tranche, &TrancheUnsealRequested { tranche_id: home.tranche.to_string(), ..Default::default() }).await;
    home.until(SliceUnsealed::KIND, 1).await;
    home.until_no("SELECT count(*) FROM held_event").await;
    assert_eq!(home.words(sealed).await, [("while sealed".to_owned(), home.sender)]);
    home.member(sealed, None).await.expect("it is not sealed any more");
    // And can be sealed again, with what has come meanwhile.
    let later = home.home(DISTRICT).await;
    home.ask_to_seal().await;
    home.until(SliceSealed::KIND, 2).await;
    home.is_sealed(home.member(later, None).await);
}

async fn what_arrives_meanwhile_waits_in_order_for_the_new_custodian(server: Option<String>) {
    let home = Home::new(server).await;
    let (sealed, free) = (home.home(DISTRICT).await, home.home("RW11").await);
    home.seal().await;
    for word in ["a", "b", "c"] {
        home.hear_of(sealed, word).await;
        home.hear_of(free, word).await;
    }
    let until = Instant::now() + Duration::from_secs(30);
    while home.words(free).await.len() < 3 || home.count("SELECT count(*) FROM held_event", Vec::new()).await < 3 {
        assert!(Instant::now() < until, "held events stand in the way of others");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(home.words(sealed).await.is_empty());
    let home = home.restarted().await;
    home.transfer().await;
    home.hear_of(sealed, "d").await;
    home.close().await;
    // One that was told before the transfer, and is heard after the closing.
    home.hear_of(sealed, "e").await;
    let until = Instant::now() + Duration::from_secs(30);
    while home.words(sealed).await.len() < 5 {
        assert!(Instant::now() < until, "{:?}", home.words(sealed).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let expected: Vec<_> = ["a", "b", "c", "d", "e"].map(|word| (word.to_owned(), home.recipient)).into();
    assert_eq!(home.words(sealed).await, expected);
    assert!(home.words(free).await.iter().all(|(_, custodian)| *custodian == home.sender));
    assert_eq!(home.count("SELECT count(*) FROM dead_letter", Vec::new()).await, 0);
}

/// Asks for the bundle; its folder.
async fn bundled(home: &Home) -> PathBuf {
    let event = TrancheBundleRequested { tranche_id: home.tranche.to_string(), bundle_number: 1 };
    home.tell(home.tranche, &event).await;
    home.until(SliceBundled::KIND, 1).await;
    home.config.data_dir.join(format!("bundles/{}/1", home.tranche))
}

async fn a_slice_is_written_in_one_form_from_either_database(server: Option<String>) {
    let home = Home::new(server).await;
    let [first, second, programme, sender] = [1, 2, 3, 4].map(Uuid::from_u128);
    let sql = "INSERT INTO home (id, programme_id, custodian_id, district, word, since, told_at, amount, sure, extra, raw, size) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    let day = chrono::NaiveDate::from_ymd_opt(2012, 5, 4).expect("a day");
    let at = day.and_hms_micro_opt(10, 0, 0, 7).expect("a time").and_utc();
    let full = vec![
        second.into(),
        programme.into(),
        sender.into(),
        DISTRICT.into(),
        "Bé\"a\n".into(),
        day.into(),
        at.into(),
        9_007_199_254_740_993_i64.into(),
        true.into(),
        serde_json::json!({"b": 1, "a": [null]}).into(),
        vec![0_u8, 255].into(),
        7_i32.into(),
    ];
    let home = Home { programme, sender, ..home };
    home.run(sql, full).await.expect("a home");
    let plain = "INSERT INTO home (id, programme_id, custodian_id, district, word) VALUES ($1, $2, $3, $4, '')";
    home.run(plain, vec![first.into(), programme.into(), sender.into(), DISTRICT.into()]).await.expect("a home");
    home.home("RW11").await;
    home.hear_of(first, "told").await;
    home.seal().await;
    let dir = bundled(&home).await;

    let lines = std::fs::read_to_string(dir.join("data/probe/home.jsonl")).expect("the homes");
    let of = |n: u32| format!("00000000-0000-0000-0000-{n:012}");
    let (programme, sender) = (of(3), of(4));
    assert_eq!(
        lines,
        format!(
            "{{\"amount\":null,\"custodian_id\":\"{sender}\",\"district\":\"RW33\",\"extra\":null,\"id\":\"{}\",\
             \"programme_id\":\"{programme}\",\"raw\":null,\"since\":null,\"size\":null,\"sure\":null,\"told_at\":null,\"word\":\"\"}}\n\
             {{\"amount\":\"9007199254740993\",\"custodian_id\":\"{sender}\",\"district\":\"RW33\",\"extra\":{{\"a\":[null],\"b\":1}},\
             \"id\":\"{}\",\"programme_id\":\"{programme}\",\"raw\":\"AP8=\",\"since\":\"2012-05-04\",\"size\":7,\"sure\":true,\
             \"told_at\":\"2012-05-04T10:00:00.000007Z\",\"word\":\"Bé\\\"a\\n\"}}\n",
            of(1),
            of(2)
        )
    );
    let event = home.event::<SliceBundled>().await;
    let mut tree = tahuka_bag::merkle::Tree::new();
    let mut records = 0;
    for file in &event.files {
        let content = std::fs::read(dir.join(&file.path)).expect("the file");
        assert_eq!(<i64 as TryFrom<usize>>::try_from(content.len()).ok(), Some(file.bytes), "{}", file.path);
        assert_eq!(hex::encode(Sha256::digest(&content)), file.sha256, "{}", file.path);
        if file.path.ends_with(".jsonl") {
            let lines: Vec<&[u8]> = content.split(|b| *b == b'\n').filter(|line| !line.is_empty()).collect();
            assert_eq!(<i64 as TryFrom<usize>>::try_from(lines.len()).ok(), Some(file.records), "{}", file.path);
            records += lines.len();
            lines.iter().for_each(|line| tree.push(line));
        }
    }
    assert_eq!(
        (hex::encode(tree.root()), <i64 as TryFrom<usize>>::try_from(records).ok()),
        (event.merkle_root, Some(event.records))
    );
    let journal = std::fs::read_to_string(dir.join("data/probe/journal.jsonl")).expect("the journal");
    assert_eq!(journal.lines().count(), 1, "{journal}");
    assert!(journal.contains(IndividualRegistered::KIND) && journal.contains(&of(1)));
}

async fn a_bundle_is_taken_in_once_and_goes_on_where_it_broke_off(server: Option<String>) {
    let from = Home::new(server.clone()).await;
    let (passing, class) = (from.home(DISTRICT).await, ids::new_id());
    from.run("INSERT INTO class (id, custodian_id) VALUES ($1, $2)", vec![class.into(), from.sender.into()])
        .await
        .expect("a class");
    from.member(passing, Some(class)).await.expect("a member");
    from.hear_of(passing, "told").await;
    from.until_some("SELECT count(*) FROM member WHERE word = 'told'").await;
    from.seal().await;
    let bag = bundled(&from).await;

    let to = Home::new(server).await;
    let request = TrancheSealRequested { tranche_id: from.tranche.to_string(), ..Default::default() };
    let mut incoming = Incoming {
        bag: bag.clone(),
        tranche: from.tranche,
        bundle_number: 2,
        programme: from.programme,
        sender: from.sender,
        recipient: from.recipient,
        request,
    };
    let spec = service();
    let built = spec.for_command(to.store().clone(), &to.config).expect("the service");
    let places = [Place { spec: &spec, store: to.store(), built: &built }];
    // It breaks off before the events.
    let (schema, away) = (bag.join("data/probe/journal.schema.json"), bag.join("away"));
    std::fs::rename(&schema, &away).expect("the schema");
    import(&places, &incoming).await.expect_err("a file is missing");
    std::fs::rename(&away, &schema).expect("the schema");
    let done = import(&places, &incoming).await.expect("it is taken in");
    assert_eq!(done.added, 1, "the event, the rows were there");
    let again = import(&places, &incoming).await.expect("it is taken in");
    assert_eq!(again, Imported::default());

    to.until_no("SELECT count(*) FROM journal WHERE published_at IS NULL").await;
    let expected = [("kept".to_owned(), from.recipient), ("told".to_owned(), from.recipient)];
    assert_eq!(to.words(passing).await, expected, "the event had its effect there, and has none here");
    let theirs = "SELECT count(*) FROM class WHERE custodian_id = $1";
    assert_eq!(to.count(theirs, vec![from.recipient.into()]).await, 1);
    let told = "SELECT count(*) FROM journal WHERE kind = $1 AND custodian_id = $2 AND unit_id = $3";
    let values = vec![IndividualRegistered::KIND.into(), from.recipient.into(), passing.into()];
    assert_eq!(to.count(told, values).await, 1);
    for kind in [UnitsSealed::KIND, TrancheTransferRequested::KIND, TrancheClosed::KIND] {
        assert_eq!(to.told(kind).await, 1, "{kind}");
    }
    assert_eq!(to.count("SELECT count(*) FROM seal", Vec::new()).await, 0);
    to.member(passing, None).await.expect("nothing is sealed here");

    incoming.bundle_number = 1;
    match import(&places, &incoming).await {
        Err(Refusal::Precondition { reason, .. }) => assert_eq!(reason, "OLDER_BUNDLE"),
        other => panic!("{other:?}"),
    }
}

async fn whoever_writes_while_it_is_sealed_is_waited_for(server: Option<String>) {
    let is_postgres = server.is_some();
    let home = Home::new(server).await;
    let sealed = home.home(DISTRICT).await;
    if !is_postgres {
        // One writer at a time: there is nobody to wait for.
        home.seal().await;
        home.is_sealed(home.member(sealed, None).await);
        return;
    }
    let mut slow = home.store().system("test").await.expect("a transaction");
    let sql = "INSERT INTO member (id, custodian_id, home_id, class_id, word) VALUES ($1, $2, $3, NULL, 'slow')";
    write(&slow, sql, vec![ids::new_id().into(), home.sender.into(), sealed.into()]).await.expect("not sealed yet");
    home.ask_to_seal().await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(home.told(SliceSealed::KIND).await, 0, "it is sealed while somebody writes");
    let event = ReturnRecorded { household_id: sealed.to_string(), ..Default::default() };
    slow.publish(home.sender, sealed, &event).await.expect("it is journalled");
    slow.commit().await.expect("it commits");
    home.until(SliceSealed::KIND, 1).await;
    assert_eq!(home.words(sealed).await.len(), 1);
    // What the writer told is before the seal in the journal.
    let seq = "SELECT count(*) FROM journal a JOIN journal b ON a.kind = $1 AND b.kind = $2 AND a.seq < b.seq";
    let kinds = vec![ReturnRecorded::KIND.into(), UnitsSealed::KIND.into()];
    assert_eq!(home.count(seq, kinds).await, 1);
    home.is_sealed(home.member(sealed, None).await);
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

on_both_databases![
    a_seal_refuses_every_write_and_names_the_tranche,
    a_tranche_passes_whole_and_once,
    what_is_unsealed_is_as_before,
    what_arrives_meanwhile_waits_in_order_for_the_new_custodian,
    a_slice_is_written_in_one_form_from_either_database,
    a_bundle_is_taken_in_once_and_goes_on_where_it_broke_off,
    whoever_writes_while_it_is_sealed_is_waited_for,
];
