//! What the scope costs: a query in a caller's name (query filter and row-level security) against the same query on a
//! plain connection of the owner, on a million households in PostgreSQL, as a ratio of medians taken in turn in one run.
//! `make bench` runs it; TAHUKA_BENCH_HOUSEHOLDS changes the number.

#![allow(clippy::expect_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use sea_orm::entity::prelude::*;
use sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DbBackend, QueryOrder, QuerySelect, QueryTrait, Select, Statement,
    TransactionTrait,
};
use tahuka_chassis::config::DatabaseConfig;
use tahuka_chassis::{Caller, Config, Scope, ScopeEntry, Scoped, Store, TenantKind};
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};

mod household {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "household")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub programme_id: Uuid,
        pub custodian_id: Uuid,
        pub district: String,
        pub household_number: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
use household::{Column, Entity};

impl Scoped for Entity {
    fn custodian() -> Column {
        Column::CustodianId
    }
    fn district() -> Option<Column> {
        Some(Column::District)
    }
}

const PROGRAMME: Uuid = Uuid::from_u128(0x10);
const IOM: Uuid = Uuid::from_u128(0x1);
const ROUNDS: usize = 300;

fn caller(districts: &[&str]) -> Caller {
    let scope = ScopeEntry {
        category: DataCategory::Registration.into(),
        level: DisclosureLevel::Identified.into(),
        custodian: IOM,
        districts: districts.iter().map(|d| (*d).to_owned()).collect(),
        write: true,
        ..Default::default()
    };
    let mut caller = Caller::system("bench");
    (caller.tenant_id, caller.tenant_kind, caller.scope) = (IOM, TenantKind::Operator, Scope::Entries(vec![scope]));
    caller
}

/// Ten custodians, of whom IOM has half; thirty districts; ids as UUIDv7 are: by time.
async fn fill(db: &DatabaseConnection, households: u64) {
    let sql = format!(
        "INSERT INTO registry.household (id, programme_id, custodian_id, version, recorded_at, district, place, category, \
         household_number, household_size, registered_on, registration_source, enumerator, priority_band) \
         SELECT ('01900000-' || lpad(to_hex(n >> 16), 4, '0') || '-7' || lpad(to_hex(n & 4095), 3, '0') || '-8000-' || lpad(to_hex(n), 12, '0'))::uuid, \
         '{PROGRAMME}'::uuid, lpad(to_hex(CASE WHEN n % 2 = 0 THEN 1 ELSE 2 + (n / 2) % 9 END), 32, '0')::uuid, 1, now(), \
         'RW' || (11 + n / 20 % 30), 'RW' || (11 + n / 20 % 30), 'returnee', 'H-' || n, 4, date '2012-01-01', 'bench', 'E-1', 0 \
         FROM generate_series(1, {households}) AS n"
    );
    db.execute_unprepared(&sql).await.expect("households");
    db.execute_unprepared("VACUUM ANALYZE registry.household").await.expect("statistics");
}

struct Case {
    name: &'static str,
    caller: Caller,
    /// What is asked, before any scope.
    asked: Select<Entity>,
    /// The same rows, without a scope.
    same: Select<Entity>,
}

fn cases(known: Uuid) -> Vec<Case> {
    let page = || Entity::find().filter(Column::ProgrammeId.eq(PROGRAMME)).order_by_asc(Column::Id).limit(51);
    let district = || page().filter(Column::District.eq("RW33"));
    let one = || Entity::find().filter(Column::Id.eq(known));
    let iom = Column::CustodianId.eq(IOM);
    vec![
        Case {
            name: "a page of the programme, as its custodian",
            caller: caller(&[]),
            asked: page(),
            same: page().filter(iom.clone()),
        },
        Case {
            name: "a page of one district, as its officer",
            caller: caller(&["RW33"]),
            asked: district(),
            same: district().filter(iom.clone()),
        },
        Case { name: "one household by its id", caller: caller(&["RW33"]), asked: one(), same: one().filter(iom) },
    ]
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

async fn measure(store: &Store, plain: &DatabaseConnection, case: &Case) -> (f64, f64) {
    let (mut scoped, mut unscoped, mut scoped_whole, mut unscoped_whole) = (vec![], vec![], vec![], vec![]);
    let mut rows = (0, 0);
    for round in 0..ROUNDS + 20 {
        let begun = Instant::now();
        let tx = store.read(&case.caller).await.expect("a transaction");
        let asked = case.asked.clone().filter(tx.within::<Entity>());
        let started = Instant::now();
        rows.0 = asked.all(tx.conn()).await.expect("rows").len();
        let (query, whole) = (started.elapsed(), begun.elapsed());
        drop(tx);

        let begun = Instant::now();
        let tx = plain.begin().await.expect("a transaction");
        let started = Instant::now();
        rows.1 = case.same.clone().all(&tx).await.expect("rows").len();
        let (plain_query, plain_whole) = (started.elapsed(), begun.elapsed());
        drop(tx);
        if round >= 20 {
            scoped.push(query);
            scoped_whole.push(whole);
            unscoped.push(plain_query);
            unscoped_whole.push(plain_whole);
        }
    }
    assert_eq!(rows.0, rows.1, "{}: both give the same rows", case.name);
    let (a, b, c, d) = (median(scoped), median(unscoped), median(scoped_whole), median(unscoped_whole));
    println!("{}: {} rows", case.name, rows.0);
    println!("  query         scoped {a:>9.1?}   unscoped {b:>9.1?}   ratio {:.2}", a.as_secs_f64() / b.as_secs_f64());
    println!("  transaction   scoped {c:>9.1?}   unscoped {d:>9.1?}   ratio {:.2}", c.as_secs_f64() / d.as_secs_f64());
    (a.as_secs_f64() / b.as_secs_f64(), c.as_secs_f64() / d.as_secs_f64())
}

async fn plan(store: &Store, case: &Case) {
    let tx = store.read(&case.caller).await.expect("a transaction");
    let asked = case.asked.clone().filter(tx.within::<Entity>()).build(DbBackend::Postgres);
    let explained = format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {}", asked.sql);
    let values = asked.values.map(|v| v.0).unwrap_or_default();
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, explained, values);
    for row in tx.conn().query_all_raw(statement).await.expect("a plan") {
        println!("    {}", row.try_get_by_index::<String>(0).expect("a line"));
    }
}

#[tokio::main]
async fn main() {
    let url = std::env::var("TAHUKA_TEST_DATABASE_URL").expect("TAHUKA_TEST_DATABASE_URL: run `make bench`");
    let households = std::env::var("TAHUKA_BENCH_HOUSEHOLDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let url = tahuka_tests::new_database(&url).await;
    let config = Config { database: DatabaseConfig { url: Some(url.clone()), ..Default::default() }, ..Default::default() };
    tahuka_chassis::migrate(&[tahuka_registry::service()], &config).await.expect("a schema");
    let owner = Database::connect(format!("{url}?options=-csearch_path%3Dregistry")).await.expect("the database answers");
    fill(&owner, households).await;
    let store = Store::open("registry", &config.database, &config.data_dir).await.expect("a store");
    let known = Entity::find()
        .filter(Column::CustodianId.eq(IOM))
        .filter(Column::District.eq("RW33"))
        .one(&owner)
        .await
        .expect("rows")
        .expect("a household of Rubavu")
        .id;
    println!("{households} households, {ROUNDS} rounds, medians\n");
    let mut worst = 0.0_f64;
    for case in cases(known) {
        let (query, _) = measure(&store, &owner, &case).await;
        plan(&store, &case).await;
        worst = worst.max(query);
    }
    println!("\nworst ratio of a scoped query to the same query unscoped: {worst:.2} (goal: at most 1.15)");
}
