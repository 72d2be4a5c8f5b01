//! Who may see what, for every RPC of the contract and every kind of caller, made from the descriptors: a new RPC is in it
//! without a line of test. Read in this order: `home`, `speaker`, `seed` and `known` (the house, its records and what their
//! custodians have been told), `request` (a request for any RPC), `bearers` and `cells` (the matrix), `probes` (one tenant's
//! ids in another's requests), `policies` (the database's own part).

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)]

mod bearers;
mod cells;
mod handed_over;
mod handover;
mod home;
mod known;
mod policies;
mod probes;
mod request;
mod seed;
mod speaker;
mod told;
mod world;

use std::time::Instant;

use tahuka_chassis::Enforcement;

use home::{Form, Home};
use world::World;

async fn matrix(form: Form) {
    let started = Instant::now();
    let Some(world) = World::make(form).await else { return };
    println!("{form:?}: the world is made in {:?}", started.elapsed());
    let started = Instant::now();
    let score = cells::run(&world).await;
    println!(
        "{form:?}: {} RPCs, {} cells, {} let in, {} answered, {} against the rule, {} leaks, in {:?}",
        world.rpcs.len(),
        score.cells,
        score.let_in,
        score.answered,
        score.wrong.len(),
        score.leaks.len(),
        started.elapsed()
    );
    score.assert_clean();
    if form == Form::Postgres(Enforcement::Both) {
        probes::timing(&world, 50).await;
    }
    let started = Instant::now();
    let probes = probes::run(&world).await;
    println!(
        "{form:?}: {} strange ids, {} page tokens, {} request ids; {} told something, in {:?}",
        probes.ids,
        probes.tokens,
        probes.request_ids,
        probes.told.len(),
        started.elapsed()
    );
    assert!(probes.told.is_empty(), "{}", probes.told.join("\n"));
}

async fn after_a_transfer(form: Form) {
    let Some(mut world) = World::of_the_first(form).await else { return };
    let score = handed_over::run(&mut world).await;
    println!(
        "{form:?}: after the transfer {} cells, {} reads of the recipient tell what the sender was told, {} do not, {} leaks",
        score.cells,
        score.kept,
        score.lost.len(),
        score.leaks.len()
    );
    assert!(score.leaks.is_empty(), "{}", score.leaks.join("\n"));
    assert!(score.lost.is_empty(), "{}", score.lost.join("\n"));
    assert!(score.kept > 20, "the recipient reads its records");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_gone_over_is_the_recipients_on_sqlite() {
    after_a_transfer(Form::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_gone_over_is_the_recipients_on_postgres() {
    after_a_transfer(Form::Postgres(Enforcement::Both)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_is_under_a_policy() {
    if let Some(home) = Home::start(Form::Postgres(Enforcement::Both)).await {
        policies::every_table_is_under_a_policy(&home).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_gets_past_the_policies() {
    if let Some(world) = World::of_records(Form::Postgres(Enforcement::Both)).await {
        let statements = policies::no_statement_gets_past_them(&world).await;
        println!("{statements} statements held against the policies");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_use_the_indexes() {
    if let Some(home) = Home::start(Form::Postgres(Enforcement::DatabaseOnly)).await {
        policies::they_use_the_indexes(&home).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite() {
    matrix(Form::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres() {
    matrix(Form::Postgres(Enforcement::Both)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_query_filter_alone() {
    matrix(Form::Postgres(Enforcement::FilterOnly)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_row_level_security_alone() {
    matrix(Form::Postgres(Enforcement::DatabaseOnly)).await;
}
