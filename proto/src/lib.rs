//! The contract of the house: messages, gRPC clients and servers, and what the annotations say of
//! them. Read `access` for the rule of an RPC; `Redact` and `EventMessage` are generated.

pub mod access;

use options::v1::{DisclosureLevel, PrivacyClass};

mod generated {
    include!(concat!(env!("OUT_DIR"), "/house.rs"));
}

pub use generated::google;
pub use generated::tahuka;
pub use tahuka::*;

mod annotated {
    include!(concat!(env!("OUT_DIR"), "/annotated.rs"));
}

pub use annotated::EVENTS;

/// The encoded `FileDescriptorSet` of the whole contract, options included.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Clears what a reader at `level` may not see. Generated from the privacy classes.
pub trait Redact {
    fn redact(&mut self, level: DisclosureLevel);
}

/// A message that travels on the bus. Generated from the `event` option.
pub trait EventMessage: prost::Message + Default {
    /// Full proto name, e.g. `tahuka.registry.v1.HouseholdRegistered`.
    const KIND: &'static str;
}

/// Where an event belongs; gives its subject on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventKind {
    pub kind: &'static str,
    pub service: &'static str,
    pub aggregate: &'static str,
    pub name: &'static str,
}

impl EventKind {
    /// The event of this full proto name.
    pub fn of(kind: &str) -> Option<&'static EventKind> {
        EVENTS.iter().find(|e| e.kind == kind)
    }
}

/// Whether a field of privacy class number `class` shows at `level`: by name everything, under a
/// pseudonym what is coarse, in aggregate only what says nothing of a person.
pub fn shows(level: DisclosureLevel, class: i32) -> bool {
    let most = match level {
        DisclosureLevel::Identified => PrivacyClass::DirectIdentifier,
        DisclosureLevel::Pseudonymised => PrivacyClass::Coarse,
        DisclosureLevel::Aggregate => PrivacyClass::Coarse,
        DisclosureLevel::Unspecified => PrivacyClass::Unspecified,
    };
    class <= most as i32
}
