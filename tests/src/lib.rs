//! The harness: starts the real binary in one of its forms, on real parts, and speaks to it as its
//! users do, through the gateway.

mod broker;
mod bytes;
mod platform;
mod voice;

pub use broker::Broker;
pub use bytes::BytesCodec;
pub use platform::{Form, Platform, binary, free_port, get, new_database, production_parts};
pub use voice::{Line, Voice, new_request_id};

/// The documentation's Rust compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/integrate.md")]
struct Integrate;
