//! A service or the broker is killed with -9 at a random moment of the way: after the restart the tranche is wholly at one
//! side, and no record is lost, doubled or with two custodians.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use tahuka_bag::SigningKey;
use tahuka_tests::{Broker, Platform};

use super::steps::{Handover, State};
use crate::programme::Programme;

/// Households of each tranche.
const HOUSEHOLDS: usize = 5;
/// The latest moment of a kill after the start, in milliseconds: a little longer than an undisturbed way.
const LATEST: u64 = 2_500;

/// How many tranches go over, each with a kill on its way.
fn runs() -> usize {
    std::env::var("TAHUKA_TEST_CRASHES").ok().and_then(|n| n.parse().ok()).unwrap_or(3)
}

fn random(most: u64) -> u64 {
    (uuid::Uuid::new_v4().as_u128() % u128::from(most)) as u64
}

/// The custodian of each row of these tables, by table and id.
async fn custodians(db: &DatabaseConnection, programme: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for table in ["registry.household", "registry.individual", "registry.consent"] {
        let sql =
            format!("SELECT id::text AS id, custodian_id::text AS custodian FROM {table} WHERE programme_id = '{programme}'");
        for row in db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("rows") {
            let id: String = row.try_get("", "id").expect("an id");
            let custodian = row.try_get("", "custodian").expect("a custodian");
            assert!(all.insert(format!("{table} {id}"), custodian).is_none(), "{table} {id} is there twice");
        }
    }
    all
}

/// What is still held fast, anywhere.
async fn seals(db: &DatabaseConnection) -> i64 {
    let mut all = 0;
    for service in ["registry", "assistance", "projects", "funding"] {
        let sql = format!("SELECT (SELECT count(*) FROM {service}.seal) + (SELECT count(*) FROM {service}.held_event) AS n");
        let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("a count");
        all += row.expect("a count").try_get::<i64>("", "n").expect("a number");
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_on_the_way_the_tranche_is_wholly_at_one_side() {
    let Some(mut broker) = Broker::start() else { return };
    let Some(mut platform) = Platform::start_with_broker(&broker.url()).await else { return };
    let db = Database::connect(platform.database().expect("a database")).await.expect("it answers");
    let programme = Programme::begin(&platform).await;
    let first = Handover::agreed(&programme, &[]).await;
    let agreement = first.agreement.clone();
    let victims = ["registry", "assistance", "projects", "funding", "insight", "handover", "gateway", "tenancy", "broker"];
    let mut killed_at: BTreeMap<&str, usize> = BTreeMap::new();
    for run in 0..runs() {
        // A district of Kigali, and households of this run alone.
        let district = ["RW11", "RW12", "RW13"][run % 3];
        for n in 0..HOUSEHOLDS {
            programme.person(district, &format!("H-{run}-{n}"), 1970 + i32::try_from(n).expect("a year")).await;
        }
        let h = Handover {
            programme: &programme,
            sender_key: SigningKey::from_seed(&[1; 32]),
            recipient_key: SigningKey::from_seed(&[2; 32]),
            agreement: agreement.clone(),
        };
        let before = custodians(&db, &programme.id).await;
        let tranche = h.plan(&[district]).await;
        let victim = victims[usize::try_from(random(victims.len() as u64)).expect("an index")];
        *killed_at.entry(victim).or_default() += 1;
        let moment = Duration::from_millis(random(LATEST));
        let killing = async {
            tokio::time::sleep(moment).await;
            let state = h.try_get(&tranche).await.map(|t| t.state().as_str_name());
            if victim == "broker" {
                broker.kill_and_restart();
            } else {
                platform.kill_and_restart(victim).await;
            }
            state
        };
        let (ended, at) = tokio::join!(h.go(&tranche), killing);
        println!("run {run}: {victim} killed {moment:?} after the start, when the tranche was {at:?}: {ended:?}");
        assert_eq!(ended, State::Closed, "run {run}");

        let tranche = h.until(&tranche, State::Closed).await;
        let after = custodians(&db, &programme.id).await;
        assert!(before.keys().eq(after.keys()), "run {run}: records are lost or doubled");
        let moved: Vec<_> = after.iter().filter(|(id, custodian)| before[*id] != **custodian).collect();
        assert_eq!(moved.len(), HOUSEHOLDS * 3, "run {run}: the whole tranche, and nothing else, has another custodian");
        assert!(moved.iter().all(|(_, custodian)| **custodian == tranche.recipient_id), "run {run}");
        crate::story::eventually("every seal is lifted", || async { seals(&db).await == 0 }).await;
    }
    println!("{} runs: {killed_at:?}", runs());
}
