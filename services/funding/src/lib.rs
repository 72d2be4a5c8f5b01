//! Funding: where the money is, to the last franc. Read `grant` (what a donor gives, and for what),
//! `exchange_rate`, `ledger` (the one way that money moves), `reservation` (what a plan, a project
//! or a campaign needs, and how its money follows), then `appeal` (what is still needed).

mod appeal;
mod donor;
mod exchange_rate;
mod grant;
mod ledger;
mod reservation;

mod consumers;
mod fields;
mod migration;
mod slice;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tahuka_chassis::{Built, Caller, Ctx, Refusal, ServiceSpec, Store};
use tahuka_proto::funding::v1::appeal_service_server::AppealServiceServer;
use tahuka_proto::funding::v1::donor_service_server::DonorServiceServer;
use tahuka_proto::funding::v1::exchange_rate_service_server::ExchangeRateServiceServer;
use tahuka_proto::funding::v1::grant_service_server::GrantServiceServer;
use tahuka_proto::funding::v1::ledger_service_server::LedgerServiceServer;
use tahuka_proto::funding::v1::reservation_service_server::ReservationServiceServer;
use tonic::service::Routes;

pub fn service() -> ServiceSpec {
    ServiceSpec {
        name: "funding",
        migrations: migration::all,
        scoped_tables: migration::SCOPED,
        shared_tables: &[],
        slice: &slice::SLICE,
        build,
    }
}

async fn drift(store: Store) -> Result<f64, Refusal> {
    let tx = store.read(&Caller::system("ledger drift")).await?;
    let drift = ledger::store::drift(&tx).await?;
    #[allow(clippy::cast_precision_loss)] // What matters is whether it is nought.
    Ok(drift as f64)
}

/// The whole ledger is added up for it.
const DRIFT_EVERY: Duration = Duration::from_secs(60);

fn build(ctx: Ctx) -> Built {
    let store = ctx.store;
    ctx.gauges.add("tahuka_ledger_drift", DRIFT_EVERY, drift);
    let routes = Routes::new(DonorServiceServer::new(donor::rpc::Donors { store: store.clone() }))
        .add_service(GrantServiceServer::new(grant::rpc::Grants { store: store.clone() }))
        .add_service(ExchangeRateServiceServer::new(exchange_rate::rpc::ExchangeRates { store: store.clone() }))
        .add_service(LedgerServiceServer::new(ledger::rpc::Ledger { store: store.clone() }))
        .add_service(ReservationServiceServer::new(reservation::rpc::Reservations { store: store.clone() }))
        .add_service(AppealServiceServer::new(appeal::rpc::Appeals { store }));
    Built { routes, consumers: vec![Arc::new(consumers::Needs)] }
}
