//! What every service of the house stands on. Read in this order: `service` (what a service hands
//! over), `caller` and `passport` (who asks), `store` (transactions in a caller's name), `journal`,
//! `bus` and `consumer` (how an event travels), `door` and `house` (how it is served).

mod amount;
mod caller;
mod certificate;
mod coded;
mod door;
mod house;
mod lifecycle;
mod migration;
mod operators;
mod peers;
mod place;
mod pseudonym;
mod refusal;
mod seed_ring;
mod server;
mod service;
mod store;

pub mod access_log;
pub mod backup;
pub mod bundles;
pub mod bus;
pub mod clock;
pub mod config;
pub mod consumer;
pub mod custody;
pub mod edge;
pub mod ids;
pub mod inspect;
pub mod journal;
pub mod keys;
pub mod page;
pub mod passport;
pub mod telemetry;

pub use amount::{Amount, Currency};
pub use async_trait::async_trait;
pub use caller::{Caller, NO_ROLE, People, Scope, ScopeEntry, TenantKind, UNKNOWN_RPC, permits};
pub use config::Config;
pub use consumer::{Consumer, Event};
pub use door::timeout;
pub use house::{House, Patience, migrate};
pub use lifecycle::Lifecycle;
pub use page::Page;
pub use peers::{Peer, Peers, forward};
pub use place::{PlaceCode, PlaceLevel};
#[doc(hidden)]
pub use pseudonym::pseudonym;
pub use refusal::{Refusal, taken};
pub use seed_ring::{HeldSeed, SeedRing};
pub use service::{Built, Ctx, ServiceSpec};
pub use store::security::SharedTable;
pub use store::{Enforcement, Once, Scoped, Store, Tx};
