//! The registry: who is in the programme. Read in this order: `household` and `individual` (the people),
//! `return_episode`, `consent` and `vulnerability` (what is known of them), `import` (how most of them come in),
//! `access_log` (who has been shown them).

mod access_log;
mod consent;
mod fields;
mod household;
mod import;
mod individual;
mod migration;
mod places;
mod return_episode;
mod slice;
mod vulnerability;

#[cfg(test)]
mod tests;

use tahuka_chassis::{Built, Ctx, ServiceSpec};
use tahuka_proto::registry::v1::access_log_service_server::AccessLogServiceServer;
use tahuka_proto::registry::v1::consent_service_server::ConsentServiceServer;
use tahuka_proto::registry::v1::household_service_server::HouseholdServiceServer;
use tahuka_proto::registry::v1::import_service_server::ImportServiceServer;
use tahuka_proto::registry::v1::individual_service_server::IndividualServiceServer;
use tahuka_proto::registry::v1::return_episode_service_server::ReturnEpisodeServiceServer;
use tahuka_proto::registry::v1::vulnerability_service_server::VulnerabilityServiceServer;
use tonic::service::Routes;

use access_log::rpc::AccessLog;
use consent::rpc::Consents;
use household::rpc::Households;
use import::rpc::Imports;
use individual::rpc::Individuals;
use return_episode::rpc::ReturnEpisodes;
use vulnerability::rpc::Vulnerability;

/// What the registry is, for the chassis. It hears no events: people are registered by people.
pub fn service() -> ServiceSpec {
    ServiceSpec {
        name: "registry",
        migrations: migration::all,
        scoped_tables: migration::SCOPED,
        shared_tables: &[],
        slice: &slice::SLICE,
        build,
    }
}

fn build(ctx: Ctx) -> Built {
    let store = ctx.store;
    let routes = Routes::new(HouseholdServiceServer::new(Households { store: store.clone() }))
        .add_service(IndividualServiceServer::new(Individuals { store: store.clone() }))
        .add_service(ReturnEpisodeServiceServer::new(ReturnEpisodes { store: store.clone() }))
        .add_service(ConsentServiceServer::new(Consents { store: store.clone() }))
        .add_service(VulnerabilityServiceServer::new(Vulnerability { store: store.clone() }))
        .add_service(AccessLogServiceServer::new(AccessLog { store: store.clone() }))
        .add_service(ImportServiceServer::new(Imports { store }));
    Built { routes, consumers: Vec::new() }
}
