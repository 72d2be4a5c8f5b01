//! Tenancy: who shares the platform, whose word on identity is trusted, who works for whom, and
//! what one tenant lets another see. Read `agreement` first, then `identity`, which makes of it
//! all what a caller's passport says.
//!
//! A tenant, its issuers and its staff are rows of the platform, not of a custodian; agreements
//! and programmes belong to two parties. So every store here compares tenants itself, and the
//! migration gives agreements and programmes their own row-level security on PostgreSQL.

mod agreement;
mod handover_party;
mod identity;
mod programme;
mod staff;
mod tenant;

mod admission;
mod bootstrap;
mod consumers;
mod edge;
mod migration;

use std::sync::Arc;

use tahuka_chassis::custody::Slice;
use tahuka_chassis::{Built, Ctx, ServiceSpec};
use tonic::service::Routes;

pub use admission::{Admission, admit};
pub use bootstrap::{PlatformIssuer, bootstrap};

pub fn service() -> ServiceSpec {
    ServiceSpec {
        name: "tenancy",
        migrations: migration::all,
        scoped_tables: &[],
        shared_tables: migration::SHARED,
        slice: &Slice::NONE,
        build,
    }
}

fn build(ctx: Ctx) -> Built {
    let routes = Routes::new(tenant::rpc::server(ctx.store.clone()))
        .add_service(staff::rpc::server(ctx.store.clone()))
        .add_service(programme::rpc::server(ctx.store.clone()))
        .add_service(agreement::rpc::server(ctx.store.clone()))
        .add_service(handover_party::rpc::server(ctx.store.clone()))
        .add_service(identity::rpc::server(ctx.store));
    Built { routes, consumers: vec![Arc::new(consumers::Handovers)] }
}
