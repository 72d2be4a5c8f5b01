//! What a service hands to the chassis: its name, its tables, its gRPC services and its consumers.

use std::sync::Arc;

use sea_orm_migration::MigrationTrait;
use tonic::service::Routes;

use crate::config::Config;
use crate::consumer::Consumer;
use crate::custody::Slice;
use crate::peers::Peers;
use crate::refusal::Refusal;
use crate::store::Store;
use crate::store::security::{ScopedTable, SharedTable};
use crate::telemetry::Gauges;

pub struct ServiceSpec {
    pub name: &'static str,
    pub migrations: fn() -> Vec<Box<dyn MigrationTrait>>,
    /// Tables with `custodian_id`, each with whether it has `district` too.
    pub scoped_tables: &'static [ScopedTable],
    /// Tables of another rule. Each of the service's tables is in one of the two lists.
    pub shared_tables: &'static [SharedTable],
    /// What it holds of units that can pass to another custodian.
    pub slice: &'static Slice,
    pub build: fn(Ctx) -> Built,
}

impl ServiceSpec {
    /// The service for an operator's command: it reaches the others where the configuration says, and serves nobody.
    pub fn for_command(&self, store: Store, config: &Config) -> Result<Built, Refusal> {
        let peers = Peers::default();
        for (service, addresses) in &config.peers {
            peers.add_remote(service, addresses)?;
        }
        Ok((self.build)(Ctx { store, peers, config: Arc::new(config.clone()), gauges: Gauges::default() }))
    }
}

/// What a service is built from.
#[derive(Clone)]
pub struct Ctx {
    pub store: Store,
    pub peers: Peers,
    pub config: Arc<Config>,
    /// Where the service's own gauges are put.
    pub gauges: Gauges,
}

pub struct Built {
    pub routes: Routes,
    pub consumers: Vec<Arc<dyn Consumer>>,
}
