//! Who may see what, for every RPC of the contract and every kind of caller, made from the descriptors: a new RPC is in it
//! without a line of test. Read in this order: `home` and `seed` (the house and its records), `request` (a request for any
//! RPC), `bearers` and `cells` (the matrix), `probes` (one tenant's ids in another's requests), `policies` (the database's
//! own part).

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)]

mod bearers;
mod cells;
mod home;
mod request;
mod seed;
mod told;
mod world;

use std::time::Instant;

use tahuka_chassis::Enforcement;

use home::Form;
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
