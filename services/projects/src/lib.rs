//! What is built and told for everybody. Read in this order: `project` (with its facilities, progress and the people
//! that it serves), `campaign`, `consumers` (funding's answers).

mod campaign;
mod consumers;
mod migration;
mod project;
mod slice;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tahuka_chassis::{Built, Ctx, ServiceSpec};
use tahuka_proto::projects::v1::campaign_service_server::CampaignServiceServer;
use tahuka_proto::projects::v1::project_service_server::ProjectServiceServer;
use tonic::service::Routes;

use campaign::rpc::Campaigns;
use consumers::FundingAnswers;
use project::rpc::Projects;

/// What projects is, for the chassis.
pub fn service() -> ServiceSpec {
    ServiceSpec {
        name: "projects",
        migrations: migration::all,
        scoped_tables: migration::SCOPED,
        shared_tables: &[],
        slice: &slice::SLICE,
        build,
    }
}

fn build(ctx: Ctx) -> Built {
    let store = ctx.store;
    let routes = Routes::new(ProjectServiceServer::new(Projects { store: store.clone() }))
        .add_service(CampaignServiceServer::new(Campaigns { store }));
    Built { routes, consumers: vec![Arc::new(FundingAnswers)] }
}
