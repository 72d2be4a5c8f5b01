//! An upgrade while people work: each service gives way to a new process on a schema that is a version ahead of it, and
//! nobody who asks through the gateway notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sea_orm::{ConnectionTrait, Database};
use tahuka_proto::registry::v1 as registry;
use tahuka_proto::registry::v1::household_service_client::HouseholdServiceClient;
use tahuka_tests::{Form, Platform, new_request_id};

use crate::programme::{MUSANZE, Programme, on};

const SERVICES: [&str; 7] = ["tenancy", "registry", "assistance", "projects", "funding", "insight", "handover"];

/// Longer than the others of the house need to hear that a process leaves.
const DRAIN: &str = "server.drain_seconds=4";

#[tokio::test(flavor = "multi_thread")]
async fn every_service_is_replaced_and_no_call_fails() {
    let Some(mut platform) = Platform::start_with(Form::Separate, &[DRAIN], true).await else { return };
    platform.await_peers().await;
    let programme = Arc::new(Programme::begin(&platform).await);
    expand(platform.database().expect("PostgreSQL")).await;

    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write(programme.clone(), stop.clone()));
    let readers: Vec<_> = (0..2).map(|_| tokio::spawn(read(programme.clone(), stop.clone()))).collect();
    for service in SERVICES {
        platform.replace(service).await;
    }
    stop.store(true, Ordering::Relaxed);

    let (written, mut failures) = writer.await.expect("the writer ends");
    let mut asked = 0;
    for reader in readers {
        let (done, failed) = reader.await.expect("a reader ends");
        asked += done;
        failures.extend(failed);
    }
    println!("replaced {} services under {written} writes and {asked} reads; {} failed", SERVICES.len(), failures.len());
    assert!(failures.is_empty(), "{failures:?}");
    assert!(written > 0 && asked > 0);
    assert_eq!(numbers(&programme).await, (0..written).map(number).collect::<Vec<_>>(), "each write is there once");
}

/// What the next version's migrations do first: add. The processes that run, and those that come, know nothing of it.
async fn expand(database: &str) {
    let db = Database::connect(database).await.expect("the database answers");
    for service in SERVICES {
        let ahead = format!("INSERT INTO {service}.seaql_migrations (version, applied_at) VALUES ('m29991231_next', 0)");
        db.execute_unprepared(&ahead).await.expect("a migration that nobody here knows");
    }
    for sql in ["ALTER TABLE registry.household ADD COLUMN next_version text", "ALTER TABLE assistance.plan ADD COLUMN next text"]
    {
        db.execute_unprepared(sql).await.expect("a new column");
    }
}

fn number(written: usize) -> String {
    format!("H-{written:05}")
}

/// Registers one household after the other; how many, and what failed.
async fn write(programme: Arc<Programme>, stop: Arc<AtomicBool>) -> (usize, Vec<tonic::Status>) {
    let (mut written, mut failures) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let request = registry::CreateHouseholdRequest {
            request_id: new_request_id(),
            programme_id: programme.id.clone(),
            category: registry::HouseholdCategory::Returnee.into(),
            place: format!("{MUSANZE}0101"),
            household_number: number(written),
            household_size: 1,
            registered_on: on(2011, 1, 10),
            registration_source: "transit_centre".into(),
            enumerator: "E-01".into(),
            individuals: vec![registry::NewIndividual {
                surname: "MUKAMANA".into(),
                given_name: "Alphonsine".into(),
                sex: registry::Sex::Female.into(),
                birth_date: on(1980, 0, 0),
                relation_to_head: registry::RelationToHead::Head.into(),
                ..Default::default()
            }],
        };
        match HouseholdServiceClient::new(programme.iom.line()).create_household(request).await {
            Ok(_) => written += 1,
            Err(status) => failures.push(status),
        }
    }
    (written, failures)
}

/// Asks as another tenant, through an agreement; how often, and what failed.
async fn read(programme: Arc<Programme>, stop: Arc<AtomicBool>) -> (usize, Vec<tonic::Status>) {
    let (mut asked, mut failures) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let request = registry::ListHouseholdsRequest { programme_id: programme.id.clone(), page_size: 5, ..Default::default() };
        match HouseholdServiceClient::new(programme.ministry.line()).list_households(request).await {
            Ok(_) => asked += 1,
            Err(status) => failures.push(status),
        }
    }
    (asked, failures)
}

async fn numbers(programme: &Programme) -> Vec<String> {
    let (mut numbers, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = registry::ListHouseholdsRequest {
            programme_id: programme.id.clone(),
            page_size: 500,
            page_token,
            ..Default::default()
        };
        let answer = HouseholdServiceClient::new(programme.iom.line()).list_households(request).await;
        let page = answer.expect("the households are listed").into_inner();
        numbers.extend(page.households.into_iter().map(|h| h.household_number));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            numbers.sort();
            return numbers;
        }
    }
}
