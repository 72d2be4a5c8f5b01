//! The database's own part on PostgreSQL: every table under a policy, and each policy holding for reads and for writes,
//! whatever statement is sent.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, QueryResult, Statement};
use tahuka_chassis::{Caller, Scope, ScopeEntry, ServiceSpec, Store, TenantKind, Tx};
use tahuka_proto::options::v1::DisclosureLevel;
use uuid::Uuid;

use crate::home::{Home, services};
use crate::seed::RUBAVU;
use crate::world::World;

/// Tables without a policy, each with its reason.
const WITHOUT: &[(&str, &str)] = &[("seaql_migrations", "no role of the house has any right to it")];

/// Tables whose rows are every tenant's to read, each with its reason.
const OPEN: &[(&str, &str)] = &[
    ("tenant", "organisations know each other, so that one can propose an agreement to another"),
    ("role", "what a role may do is no secret"),
];

/// Tables whose policies the owner need not heed.
const OWNERS: &[(&str, &str)] = &[("journal", "the relay is the owner's, and no tenant's")];

async fn rows(db: &DatabaseConnection, sql: &str) -> Vec<QueryResult> {
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    db.query_all_raw(statement).await.unwrap_or_else(|e| panic!("{sql}: {e}"))
}

fn text(row: &QueryResult, column: &str) -> String {
    row.try_get("", column).unwrap_or_else(|e| panic!("{column}: {e}"))
}

/// A new table cannot be forgotten: it is in one of its service's lists, or on the short list above.
pub async fn every_table_is_under_a_policy(home: &Home) {
    let mut everywhere: Option<BTreeSet<String>> = None;
    let mut tables: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    for spec in services() {
        let sql = format!(
            "SELECT c.relname AS name, c.relrowsecurity AS guarded, c.relforcerowsecurity AS forced, \
             (SELECT string_agg(DISTINCT p.cmd, ' ') FROM pg_policies p WHERE p.schemaname = '{0}' AND p.tablename = c.relname \
              AND 'tahuka_{0}_rw' = ANY (p.roles)) AS verbs, \
             (SELECT count(*) FROM pg_policies p WHERE p.schemaname = '{0}' AND p.tablename = c.relname AND p.cmd IN ('INSERT', 'UPDATE') \
              AND p.with_check IS NOT NULL) AS checked, \
             has_table_privilege('tahuka_{0}_rw', c.oid, 'SELECT, INSERT, UPDATE, DELETE') AS granted, \
             EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'district') AS placed, \
             pg_get_userbyid(c.relowner) AS owner FROM pg_class c WHERE c.relnamespace = '{0}'::regnamespace AND c.relkind IN ('r', 'p')",
            spec.name
        );
        let mut names = BTreeSet::new();
        for row in rows(home.administrator(spec.name), &sql).await {
            let (name, what) = (text(&row, "name"), format!("{}.{}", spec.name, text(&row, "name")));
            names.insert(name.clone());
            assert_ne!(text(&row, "owner"), format!("tahuka_{}_rw", spec.name), "{what} is the tenants' role's own");
            if WITHOUT.iter().any(|(table, _)| *table == name) {
                assert!(!row.try_get::<bool>("", "granted").expect("a flag"), "{what} has no policy and must have no rights");
                continue;
            }
            assert!(row.try_get::<bool>("", "guarded").expect("a flag"), "{what} has no row-level security");
            let owners = OWNERS.iter().any(|(table, _)| *table == name);
            assert!(owners || row.try_get::<bool>("", "forced").expect("a flag"), "{what} is open to its owner");
            let verbs: Option<String> = row.try_get("", "verbs").expect("a text");
            assert_eq!(verbs.as_deref(), Some("DELETE INSERT SELECT UPDATE"), "{what} has not a policy for each verb");
            assert_eq!(row.try_get::<i64>("", "checked").expect("a number"), 2, "{what} does not check what is written");
            if let Some((_, has_district)) = spec.scoped_tables.iter().find(|(table, _)| *table == name) {
                let placed: bool = row.try_get("", "placed").expect("a flag");
                assert_eq!(placed, *has_district, "{what}: the list and the table differ over a district");
            }
        }
        everywhere = Some(match everywhere {
            None => names.clone(),
            Some(all) => all.intersection(&names).cloned().collect(),
        });
        tables.insert(spec.name, names);
        let role = format!(
            "SELECT rolsuper OR rolbypassrls OR rolcanlogin AS strong FROM pg_roles WHERE rolname = 'tahuka_{}_rw'",
            spec.name
        );
        for row in rows(home.administrator(spec.name), &role).await {
            assert!(!row.try_get::<bool>("", "strong").expect("a flag"), "the role of {} can do more than it should", spec.name);
        }
    }
    // What every service has is the chassis's; everything else is on its service's lists, and nothing else is.
    let chassis = everywhere.expect("services");
    for spec in services() {
        let own: BTreeSet<_> = tables[spec.name].difference(&chassis).cloned().collect();
        assert_eq!(own, listed(&spec), "the tables of {} and its lists", spec.name);
        for shared in spec.shared_tables {
            let what = format!("{}.{}", spec.name, shared.table);
            assert!(shared.read != "true" || is_open(shared.table), "{what} is open to everybody, without a reason");
            assert!(shared.add != "true" && shared.change != "true", "{what} is everybody's to write");
        }
    }
}

fn is_open(table: &str) -> bool {
    OPEN.iter().any(|(open, _)| *open == table)
}

fn listed(spec: &ServiceSpec) -> BTreeSet<String> {
    let scoped = spec.scoped_tables.iter().map(|(table, _)| (*table).to_owned());
    scoped.chain(spec.shared_tables.iter().map(|shared| shared.table.to_owned())).collect()
}

/// Statements that no service would send, in one tenant's name: whatever they ask, they get at the tenant's own rows only.
pub async fn no_statement_gets_past_them(world: &World) -> usize {
    let (first, second) = (world.first.tenant, world.second.tenant);
    let mut statements = 0;
    for spec in services() {
        let db = world.home.administrator(spec.name);
        let store = &world.home.house.stores.iter().find(|(name, _)| *name == spec.name).expect("its store").1;
        let owns = caller(second, vec![entry(second, &[], true)]);
        let reads = caller(world.tenants.ministry, vec![entry(first, &[], false)]);
        let officer = caller(world.tenants.ministry, vec![entry(first, &[RUBAVU], true)]);
        for (table, has_district) in spec.scoped_tables {
            let what = format!("{}.{table}", spec.name);
            let all = |custodian: Uuid, more: &str| {
                format!("SELECT count(*) AS n FROM {table} WHERE custodian_id = '{custodian}'{more}")
            };
            let (of_first, of_second) = (count(db, &all(first, "")).await, count(db, &all(second, "")).await);
            assert!(of_first > 0 && of_second > 0, "{what}: nothing was seeded, so nothing is shown");

            let everything = format!("SELECT count(*) AS n FROM {table}");
            assert_eq!(seen(store, &owns, &everything).await, of_second, "{what}: the second custodian reads");
            assert_eq!(seen(store, &reads, &everything).await, of_first, "{what}: whom the first lets read");
            let district = format!(" AND district = '{RUBAVU}'");
            let of_rubavu = if *has_district { count(db, &all(first, &district)).await } else { of_first };
            assert_eq!(seen(store, &officer, &everything).await, of_rubavu, "{what}: an officer of one district reads");
            assert_eq!(seen(store, &caller(second, Vec::new()), &everything).await, 0, "{what}: nobody's scope");

            let same = format!("UPDATE {table} SET custodian_id = custodian_id");
            assert_eq!(write(store, &reads, &same).await, Ok(0), "{what}: whoever may only read changes");
            assert_eq!(
                write(store, &owns, &format!("{same} WHERE custodian_id = '{first}'")).await,
                Ok(0),
                "{what}: another's changed"
            );
            let given = write(store, &owns, &format!("UPDATE {table} SET custodian_id = '{first}'")).await;
            assert!(refused(&given), "{what}: own rows are given away: {given:?}");
            let gone = format!("DELETE FROM {table} WHERE custodian_id = '{first}'");
            assert_eq!(write(store, &owns, &gone).await, Ok(0), "{what}: another's deleted");
            assert_eq!(write(store, &reads, &gone).await, Ok(0), "{what}: whoever may only read deletes");
            let added = write(store, &owns, &copy(db, table, &format!("custodian_id = '{first}'")).await).await;
            assert!(refused(&added), "{what}: a row is added in another's name: {added:?}");
            let added = write(store, &reads, &copy(db, table, &format!("custodian_id = '{first}'")).await).await;
            assert!(refused(&added), "{what}: a row is added by whoever may only read: {added:?}");
            statements += 11;
        }
        statements += shared_tables(world, &spec, store, &owns).await;
        statements += chassis_tables(world, &spec, store, &owns).await;
    }
    statements
}

/// Tables of another rule than custody: no word of the first custodian's in what the second reads of them.
async fn shared_tables(world: &World, spec: &ServiceSpec, store: &Store, owns: &Caller) -> usize {
    let mut statements = 0;
    for shared in spec.shared_tables {
        let what = format!("{}.{}", spec.name, shared.table);
        let shown = read(store, owns, &format!("SELECT t::text AS line FROM {} t", shared.table)).await;
        assert!(
            is_open(shared.table) || !shown.iter().any(|row| text(row, "line").contains(world.first.word)),
            "{what}: another's rows are read"
        );
        let row = format!("t::text LIKE '%{}%'", world.first.tenant);
        let row = copy(world.home.administrator(spec.name), shared.table, &row).await;
        if !row.is_empty() {
            let added = write(store, owns, &row).await;
            assert!(refused(&added), "{what}: a row is added in another's name: {added:?}");
            let gone =
                write(store, owns, &format!("DELETE FROM {} t WHERE t::text LIKE '%{}%'", shared.table, world.first.tenant))
                    .await;
            assert_eq!(gone, Ok(0), "{what}: another's deleted");
        }
        statements += 3;
    }
    statements
}

/// The chassis's own: requests that were answered are each tenant's, the rest is nobody's to read.
async fn chassis_tables(world: &World, spec: &ServiceSpec, store: &Store, owns: &Caller) -> usize {
    let (first, second) = (world.first.tenant, world.second.tenant);
    let db = world.home.administrator(spec.name);
    let own = count(db, &format!("SELECT count(*) AS n FROM idempotency WHERE tenant_id = '{second}'")).await;
    assert_eq!(seen(store, owns, "SELECT count(*) AS n FROM idempotency").await, own, "{}.idempotency", spec.name);
    let changed = write(store, owns, &format!("UPDATE idempotency SET answer = NULL WHERE tenant_id = '{first}'")).await;
    assert_eq!(changed, Ok(0), "{}.idempotency", spec.name);
    let closed = [
        "journal",
        "inbox",
        "dead_letter",
        "access_log_head",
        "backup_mark",
        "unit_custody",
        "custody_tranche",
        "custody_selected",
        "custody_step",
        "held_event",
        "bundle_import",
        "seaql_migrations",
    ];
    for table in closed {
        let tx = store.read(owns).await.expect("a transaction");
        let sql = Statement::from_string(DbBackend::Postgres, format!("SELECT * FROM {table}"));
        assert!(tx.conn().query_all_raw(sql).await.is_err(), "{}.{table} is read", spec.name);
    }
    // Who writes looks whether it may; nobody but the house seals or lifts a seal.
    for sql in [
        format!("INSERT INTO seal VALUES ('household', '{first}', '{first}')"),
        "DELETE FROM seal".to_owned(),
        "UPDATE seal SET unit_kind = unit_kind".to_owned(),
    ] {
        assert!(write(store, owns, &sql).await.is_err(), "{}.seal is written", spec.name);
    }
    let foreign = format!(
        "INSERT INTO journal (event_id, kind, subject, custodian_id, aggregate_id, body, recorded_at) \
         VALUES ('{}', 'k', 's', '{first}', '{first}', '', now())",
        Uuid::now_v7()
    );
    let told = write(store, owns, &foreign).await;
    assert!(refused(&told), "{}.journal: an event is told in another's name: {told:?}", spec.name);
    let shown = read(store, owns, "SELECT custodian_id::text AS line FROM access_log_subject").await;
    assert!(shown.iter().all(|row| text(row, "line") == second.to_string()), "{}.access_log_subject", spec.name);
    19
}

fn caller(tenant: Uuid, scope: Vec<ScopeEntry>) -> Caller {
    Caller { tenant_id: tenant, tenant_kind: TenantKind::Operator, scope: Scope::Entries(scope), ..Caller::system("statement") }
}

fn entry(custodian: Uuid, districts: &[&str], write: bool) -> ScopeEntry {
    let districts = districts.iter().map(|d| (*d).to_owned()).collect();
    ScopeEntry { level: DisclosureLevel::Identified.into(), custodian, districts, write, ..Default::default() }
}

async fn count(db: &DatabaseConnection, sql: &str) -> i64 {
    rows(db, sql).await.first().expect("a count").try_get("", "n").expect("a number")
}

async fn read(store: &Store, caller: &Caller, sql: &str) -> Vec<QueryResult> {
    let tx = store.read(caller).await.expect("a transaction");
    tx.conn().query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap_or_else(|e| panic!("{sql}: {e}"))
}

async fn seen(store: &Store, caller: &Caller, sql: &str) -> i64 {
    read(store, caller, sql).await.first().expect("a count").try_get("", "n").expect("a number")
}

/// How many rows the statement touched, or why it was refused; undone either way.
async fn write(store: &Store, caller: &Caller, sql: &str) -> Result<u64, String> {
    let tx: Tx = store.begin(caller).await.expect("a transaction");
    let done = tx.conn().execute_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
    done.map(|done| done.rows_affected()).map_err(|e| e.to_string())
}

fn refused(outcome: &Result<u64, String>) -> bool {
    outcome.as_ref().is_err_and(|why| why.contains("row-level security"))
}

/// A statement that adds one row again, as it stands; empty where there is none.
async fn copy(db: &DatabaseConnection, table: &str, which: &str) -> String {
    let row = rows(db, &format!("SELECT row_to_json(t)::text AS line FROM {table} t WHERE {which} LIMIT 1")).await;
    let Some(row) = row.first().map(|row| text(row, "line").replace('\'', "''")) else { return String::new() };
    format!("INSERT INTO {table} SELECT * FROM json_populate_record(NULL::{table}, '{row}')")
}

/// On a hundred thousand households a policy's condition is looked up in the index, and its settings are read once.
pub async fn they_use_the_indexes(home: &Home) {
    let db = home.administrator("registry");
    let programme = Uuid::now_v7();
    let custodian = |n: usize| Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + n as u128);
    let fill = format!(
        "INSERT INTO household (id, programme_id, custodian_id, version, recorded_at, district, place, category, household_number, \
         household_size, registered_on, registration_source, enumerator, priority_band) \
         SELECT gen_random_uuid(), '{programme}', \
         ('01990000-0000-7000-8000-' || lpad(to_hex(n % 50), 12, '0'))::uuid, 1, now(), 'RW' || (11 + n % 31), 'RW11', 'returnee', \
         n::text, 4, '2011-01-01', 'x', 'x', 0 FROM generate_series(1, 100000) AS n"
    );
    db.execute_unprepared(&fill).await.expect("households");
    db.execute_unprepared("ANALYZE household").await.expect("statistics");
    let store = &home.house.stores.iter().find(|(name, _)| *name == "registry").expect("the registry").1;
    for (districts, what) in [(&[][..], "a whole custodian"), (&["RW33"][..], "one district")] {
        let caller = caller(custodian(7), vec![entry(custodian(7), districts, false)]);
        let sql = format!("EXPLAIN (ANALYZE, TIMING OFF) SELECT id FROM household WHERE programme_id = '{programme}'");
        let plan: Vec<String> = read(store, &caller, &sql).await.iter().map(|row| text(row, "QUERY PLAN")).collect();
        let plan = plan.join("\n");
        println!("{what}:\n{plan}");
        let lookup = plan.lines().find(|line| line.contains("Index Cond:")).unwrap_or_default();
        assert!(lookup.contains("custodian_id = ANY"), "{what}: the custodian is not looked up:\n{plan}");
        assert!(!plan.contains("Seq Scan"), "{what}: every row is read:\n{plan}");
        assert!(!plan.contains("SubPlan"), "{what}: settings are read for each row:\n{plan}");
        assert!(!plan.contains(")::uuid[]"), "{what}: the text of a setting is parsed for each row:\n{plan}");
    }
}
