//! What every service of the house stands on. Read in this order: `service` (what a service hands
//! over), `caller` and `passport` (who asks), `store` (transactions in a caller's name), `journal`,
//! `bus` and `consumer` (how an event travels), `door` and `house` (how it is served).

mod amount;
mod caller;
mod door;
mod house;
mod migration;
mod peers;
mod place;
mod refusal;
mod service;
mod store;

pub mod bus { use std::sync::Arc; pub trait Bus: Send+Sync {} pub struct JetStreamBus; impl JetStreamBus { pub async fn connect(_:&str,_:usize)->Result<Self,String>{Err(String::new())} } #[derive(Default)] pub struct InProcessBus; impl Bus for InProcessBus{} impl Bus for JetStreamBus{} }
pub mod clock;
pub mod config;
pub mod consumer { use crate::*; #[async_trait] pub trait Consumer: Send + Sync { fn name(&self)->&'static str; fn hears(&self)->&'static [&'static str]; async fn handle(&self, tx:&mut Tx, event:&Event)->Result<(),Refusal>; } pub struct Event { pub id: uuid::Uuid, pub kind: String, pub custodian: uuid::Uuid, pub aggregate_id: uuid::Uuid, pub recorded_at: chrono::DateTime<chrono::Utc>, pub body: bytes::Bytes } impl Event { pub fn decode<M: prost::Message+Default>(&self)->Result<M,Refusal>{ M::decode(self.body.clone()).map_err(Refusal::internal) } }
pub async fn subscribe(_: &dyn bus::Bus, _: &'static str, _: Store, _: std::sync::Arc<dyn Consumer>)->Result<(),String>{Ok(())} }
pub mod edge;
pub mod ids;
pub mod journal { pub struct NewEvent { pub id: uuid::Uuid, pub kind: &'static str, pub service: &'static str, pub aggregate: &'static str, pub name: &'static str, pub custodian: uuid::Uuid, pub aggregate_id: uuid::Uuid, pub body: Vec<u8>, pub traceparent: Option<String> } pub mod store { pub async fn append(_:&impl sea_orm::ConnectionTrait, _: super::NewEvent)->Result<(),sea_orm::DbErr>{Ok(())} } pub mod relay { pub async fn run(_: sea_orm::DatabaseConnection, _: std::sync::Arc<dyn crate::bus::Bus>, _: std::sync::Arc<tokio::sync::Notify>, _: tokio_util::sync::CancellationToken){} } }
pub mod keys;
pub mod page;
pub mod passport;
pub mod telemetry;

pub use amount::{Amount, Currency};
pub use async_trait::async_trait;
pub use caller::{Caller, Scope, ScopeEntry, TenantKind, permits};
pub use config::Config;
pub use consumer::{Consumer, Event};
pub use door::timeout;
pub use house::{House, migrate};
pub use page::Page;
pub use peers::{Peer, Peers, forward};
pub use place::{PlaceCode, PlaceLevel};
pub use refusal::Refusal;
pub use service::{Built, Ctx, ServiceSpec};
pub use store::{Once, Scoped, Store, Tx};
