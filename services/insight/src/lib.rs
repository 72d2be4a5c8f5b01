//! The read model: what the programme comes to, from events alone. Read in this order: `consumers` (what is heard),
//! `fact` and `batch` (what each event adds), `indicator` (the cells that are added to, and their catalogue), `helped` and
//! `need` (what must be remembered to count once), `custody` and `tranche` (handovers), `view` and `disclosure` (what a caller may see of it), `report` and `published_figure`.

mod batch;
mod consumers;
mod custody;
mod disclosure;
mod fact;
mod grant;
mod heard;
mod helped;
mod indicator;
mod migration;
mod need;
mod published_figure;
mod report;
mod tranche;
mod view;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tahuka_chassis::bundles::Bundles;
use tahuka_chassis::custody::Slice;
use tahuka_chassis::{Built, Ctx, ServiceSpec};
use tahuka_proto::insight::v1::indicator_service_server::IndicatorServiceServer;
use tahuka_proto::insight::v1::published_figure_service_server::PublishedFigureServiceServer;
use tahuka_proto::insight::v1::report_service_server::ReportServiceServer;
use tonic::service::Routes;

use consumers::ReadModel;
use indicator::rpc::Indicators;
use published_figure::rpc::PublishedFigures;
use report::rpc::Reports;
use tranche::bundle::Bundling;

/// The tables that are made from events alone, and can be made anew from them.
pub const READ_MODEL: &[&str] = &[
    "heard",
    "fact",
    "cell",
    "helped_person",
    "need",
    "grant_line",
    "tranche",
    "tranche_part",
    "tranche_unit",
    "tranche_figure",
];

/// What the read model is, for the chassis.
pub fn service() -> ServiceSpec {
    ServiceSpec {
        name: "insight",
        migrations: migration::all,
        scoped_tables: migration::SCOPED,
        shared_tables: migration::SHARED,
        slice: &Slice::NONE,
        build,
    }
}

fn build(ctx: Ctx) -> Built {
    let (store, bundles) = (ctx.store, Bundles::of(&ctx.config));
    let routes = Routes::new(IndicatorServiceServer::new(Indicators { store: store.clone() }))
        .add_service(ReportServiceServer::new(Reports { store: store.clone() }))
        .add_service(PublishedFigureServiceServer::new(PublishedFigures { store }));
    Built { routes, consumers: vec![Arc::new(ReadModel), Arc::new(Bundling { bundles })] }
}
