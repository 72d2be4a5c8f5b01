//! Assistance: what each person gets, and what came of it. Read in this order: `catalogue` (what there is), `plan` (one
//! package for one person), `cohort` and `distribution` (the two ways to deliver it), `follow_up` (months after).

mod catalogue;
mod cohort;
mod distribution;
mod follow_up;
mod plan;

mod batch;
mod consumers;
mod migration;
mod slice;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tahuka_chassis::{Built, Ctx, ServiceSpec};
use tahuka_proto::assistance::v1::catalogue_service_server::CatalogueServiceServer;
use tahuka_proto::assistance::v1::cohort_service_server::CohortServiceServer;
use tahuka_proto::assistance::v1::distribution_service_server::DistributionServiceServer;
use tahuka_proto::assistance::v1::follow_up_service_server::FollowUpServiceServer;
use tahuka_proto::assistance::v1::plan_service_server::PlanServiceServer;
use tonic::service::Routes;

use catalogue::rpc::Catalogue;
use cohort::rpc::Cohorts;
use distribution::rpc::Distributions;
use follow_up::rpc::FollowUp;
use plan::rpc::Plans;

/// What assistance is, for the chassis.
pub fn service() -> ServiceSpec {
    ServiceSpec {
        name: "assistance",
        migrations: migration::all,
        scoped_tables: migration::SCOPED,
        shared_tables: &[],
        slice: &slice::SLICE,
        build,
    }
}

fn build(ctx: Ctx) -> Built {
    let Ctx { store, peers, .. } = ctx;
    let routes = Routes::new(CatalogueServiceServer::new(Catalogue { store: store.clone() }))
        .add_service(PlanServiceServer::new(Plans { store: store.clone(), peers }))
        .add_service(CohortServiceServer::new(Cohorts { store: store.clone() }))
        .add_service(DistributionServiceServer::new(Distributions { store: store.clone() }))
        .add_service(FollowUpServiceServer::new(FollowUp { store }));
    Built { routes, consumers: vec![Arc::new(consumers::Money)] }
}
