//! A process is killed with -9, or the broker loses its connections, at a random moment of the way: after the restart the
//! tranche is wholly at one side, and no record is lost, doubled or with two custodians.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use tahuka_tests::{Form, Platform};

use super::steps::{Handover, State};
use crate::programme::{MUSANZE, Programme, RUBAVU};

/// How many tranches go over, each with a kill on its way.
fn runs() -> usize {
    std::env::var("TAHUKA_TEST_CRASHES").ok().and_then(|n| n.parse().ok()).unwrap_or(3)
}

/// A random number below `most`, from the clock's last digits.
fn random(most: u64) -> u64 {
    u64::from(uuid::Uuid::new_v4().as_u128() as u32) % most
}

async fn custodians(db: &DatabaseConnection, table: &str, programme: &str) -> Vec<(String, String)> {
    let sql = format!("SELECT id::text AS id, custodian_id::text AS custodian FROM {table} WHERE programme_id = '{programme}' ORDER BY id");
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("rows");
    rows.iter().map(|row| (row.try_get("", "id").expect("an id"), row.try_get("", "custodian").expect("a custodian"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_on_the_way_the_tranche_is_wholly_at_one_side() {
    let Some(mut platform) = Platform::start(Form::Separate).await else { return };
    let db = Database::connect(platform.database().expect("a database")).await.expect("it answers");
    let programme = Programme::begin(&platform).await;
    let victims = ["registry", "assistance", "projects", "funding", "insight", "handover", "gateway", "tenancy"];
    let mut outcomes = Vec::new();
    for run in 0..runs() {
        let district = format!("RW{}", 11 + run % 20);
        for n in 0..5 {
            programme.person(&district, &format!("H-{run}-{n}"), 1970 + n).await;
        }
        let h = if run == 0 { Handover::agreed(&programme, &[]).await } else { again(&programme, &outcomes).await };
        let before = custodians(&db, "registry.household", &programme.id).await;
        let tranche = h.plan(&[&district]).await;
        let victim = victims[random(victims.len() as u64) as usize];
        let moment = Duration::from_millis(random(1_500));
        let (h_ref, t) = (&h, tranche.as_str());
        let going = go(h_ref, t);
        tokio::pin!(going);
        let killed = async {
            tokio::time::sleep(moment).await;
            platform.kill_and_restart(victim).await;
        };
        // The one who hands over repeats what was not answered.
        let (state, ()) = tokio::join!(&mut going, killed);
        println!("run {run}: {victim} killed after {moment:?}: {state:?}");
        assert_eq!(state, State::Closed);
        let tranche = h.get(&tranche).await;
        let after = custodians(&db, "registry.household", &programme.id).await;
        assert_eq!(before.len(), after.len(), "run {run}: households are lost or doubled");
        let moved = before.iter().zip(&after).filter(|(old, new)| old.1 != new.1).count();
        assert_eq!(moved, 5, "run {run}: the whole tranche has one custodian");
        assert!(after.iter().all(|(_, c)| *c == tranche.sender_id || *c == tranche.recipient_id));
        outcomes.push(h.agreement.clone());
    }
    assert!(!outcomes.is_empty());
    let _ = (MUSANZE, RUBAVU);
}

/// The same parties, under the agreement that they have signed.
async fn again<'a>(programme: &'a Programme, agreements: &[String]) -> Handover<'a> {
    Handover {
        programme,
        sender_key: tahuka_bag::SigningKey::from_seed(&[1; 32]),
        recipient_key: tahuka_bag::SigningKey::from_seed(&[2; 32]),
        agreement: agreements.last().expect("an agreement").clone(),
    }
}

/// All the way, each step as often as it takes.
async fn go(h: &Handover<'_>, tranche: &str) -> State {
    let (iom, ministry) = (&h.programme.iom, &h.programme.ministry);
    for _ in 0..1_200 {
        let state = h.try_get(tranche).await.map(|t| (t.state(), t.sender_signed_on.is_some()));
        let _ = match state {
            Ok((State::Planned, _)) => h.seal(iom, tranche).await.map(|_| ()),
            Ok((State::Sealed, _)) => h.bundle(iom, tranche).await.map(|_| ()),
            Ok((State::Bundled, _)) => h.verify(ministry, tranche, true).await.map(|_| ()),
            Ok((State::Verified, false)) => h.sign(iom, tranche, &h.sender_key).await.map(|_| ()),
            Ok((State::Verified, true)) => h.sign(ministry, tranche, &h.recipient_key).await.map(|_| ()),
            Ok((State::Closed, _)) => return State::Closed,
            _ => Ok(()),
        };
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    h.try_get(tranche).await.map_or(State::Unspecified, |t| t.state())
}
