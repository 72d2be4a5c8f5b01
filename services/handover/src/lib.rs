//! The handover: who takes over what, sealed, bundled, verified, signed by both, transferred. Read in this order:
//! `signing_key` and `agreement` (who signs, and under which terms), `tranche` (the way of each part), `consumers` (what the
//! services answer), `certificate` (what is left on paper).
//!
//! Each row has two parties, the sender and the recipient; nobody else sees it.

mod agreement;
mod certificate;
mod consumers;
mod json;
mod migration;
mod signing_key;
mod tranche;

use std::sync::Arc;

use tahuka_chassis::custody::Slice;
use tahuka_chassis::{Built, Ctx, ServiceSpec};
use tahuka_proto::handover::v1::certificate_service_server::CertificateServiceServer;
use tahuka_proto::handover::v1::handover_agreement_service_server::HandoverAgreementServiceServer;
use tahuka_proto::handover::v1::signing_key_service_server::SigningKeyServiceServer;
use tahuka_proto::handover::v1::tranche_service_server::TrancheServiceServer;
use tonic::service::Routes;

/// What the handover is, for the chassis.
pub fn service() -> ServiceSpec {
    ServiceSpec {
        name: "handover",
        migrations: migration::all,
        scoped_tables: &[],
        shared_tables: migration::SHARED,
        slice: &Slice::NONE,
        build,
    }
}

fn build(ctx: Ctx) -> Built {
    let bundles = tranche::bundle::Bundles::of(&ctx.config);
    let tranches = tranche::rpc::Tranches { store: ctx.store.clone(), peers: ctx.peers.clone(), bundles: bundles.clone() };
    let routes = Routes::new(SigningKeyServiceServer::new(signing_key::rpc::SigningKeys { store: ctx.store.clone() }))
        .add_service(HandoverAgreementServiceServer::new(agreement::rpc::Agreements {
            store: ctx.store.clone(),
            peers: ctx.peers,
        }))
        .add_service(TrancheServiceServer::new(tranches))
        .add_service(CertificateServiceServer::new(certificate::rpc::Certificates { store: ctx.store }));
    Built { routes, consumers: vec![Arc::new(consumers::Saga { bundles })] }
}
