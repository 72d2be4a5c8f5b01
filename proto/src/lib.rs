//! The contract of the house: messages, gRPC clients and servers, and what the annotations say of
//! them. Read `access` for the rule of an RPC; `Redact`, `Subjects` and `EventMessage` are
//! generated.

pub mod access;

use options::v1::{DisclosureLevel, PrivacyClass, Subject};

mod generated {
    include!(concat!(env!("OUT_DIR"), "/house.rs"));
}

pub use generated::google;
pub use generated::tahuka;
pub use tahuka::*;

mod annotated {
    include!(concat!(env!("OUT_DIR"), "/annotated.rs"));
}

pub use annotated::{EVENTS, unit_of};

/// The encoded `FileDescriptorSet` of the whole contract, options included.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// A message as a reader may see it. Generated from the privacy classes and the subjects.
pub trait Redact {
    fn redact(&mut self, view: &mut View<'_>);
}

/// The ids of people, and of the records about one person, that a message holds. Generated from the subjects.
pub trait Subjects {
    fn subjects(&mut self, each: &mut dyn FnMut(Subject, &mut String));
}

/// How a reader sees records, and whom it has been shown by name so far.
pub struct View<'a> {
    level: DisclosureLevel,
    pseudonym: &'a dyn Fn(&str) -> String,
    /// Each message whose identifying fields the reader is shown.
    pub shown: Vec<Shown>,
}

/// A message that tells who somebody is: which one, and of whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shown {
    /// Full proto name.
    pub message: &'static str,
    pub custodian_id: String,
    pub district: String,
    /// Empty where the message names none.
    pub household_id: String,
    /// Empty where the message names none.
    pub individual_id: String,
}

impl<'a> View<'a> {
    /// `pseudonym` gives an id's pseudonym for this reader, and nothing for what is no id.
    pub fn new(level: DisclosureLevel, pseudonym: &'a dyn Fn(&str) -> String) -> Self {
        View { level, pseudonym, shown: Vec::new() }
    }

    fn shows(&self, class: i32) -> bool {
        shows(self.level, class)
    }

    fn identifies(&self) -> bool {
        self.shows(PrivacyClass::DirectIdentifier as i32)
    }

    fn show(&mut self, shown: Shown) {
        self.shown.push(shown);
    }

    /// Leaves the id, puts its pseudonym in its place, or takes it away.
    fn name(&self, id: &mut String) {
        match self.level {
            DisclosureLevel::Identified => {}
            DisclosureLevel::Pseudonymised | DisclosureLevel::Aggregate if id.is_empty() => {}
            DisclosureLevel::Pseudonymised | DisclosureLevel::Aggregate => *id = (self.pseudonym)(id),
            DisclosureLevel::Unspecified => id.clear(),
        }
    }
}

fn is_told<T: Default + PartialEq>(value: &T) -> bool {
    *value != T::default()
}

fn subject(number: i32) -> Subject {
    Subject::try_from(number).unwrap_or_default()
}

/// A message that travels on the bus. Generated from the `event` option.
pub trait EventMessage: prost::Message + Default {
    /// Full proto name, e.g. `tahuka.registry.v1.HouseholdRegistered`.
    const KIND: &'static str;

    /// What it tells of, where that goes from one custodian to another as a whole.
    fn unit(&self) -> Option<(UnitKind, &str)>;
}

/// What passes from one custodian to another as a whole, with all that is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnitKind {
    Household,
    Project,
    Grant,
}

impl UnitKind {
    pub const ALL: [UnitKind; 3] = [UnitKind::Household, UnitKind::Project, UnitKind::Grant];

    /// As it is called in tables and events.
    pub fn word(self) -> &'static str {
        match self {
            UnitKind::Household => "household",
            UnitKind::Project => "project",
            UnitKind::Grant => "grant",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
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
/// pseudonym and in aggregate what is coarse.
pub fn shows(level: DisclosureLevel, class: i32) -> bool {
    let most = match level {
        DisclosureLevel::Identified => PrivacyClass::DirectIdentifier,
        DisclosureLevel::Pseudonymised => PrivacyClass::Coarse,
        DisclosureLevel::Aggregate => PrivacyClass::Coarse,
        DisclosureLevel::Unspecified => PrivacyClass::Unspecified,
    };
    class <= most as i32
}
