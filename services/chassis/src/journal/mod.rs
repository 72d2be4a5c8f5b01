//! The journal: every event of a service, written in the transaction of the change that it tells
//! of, and kept. The relay puts it on the bus; what the bus forgets goes out again.

pub mod relay;
pub mod status;
pub mod store;

pub use store::NewEvent;
