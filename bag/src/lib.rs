//! The bundle of a handover: a BagIt bag of canonical records that two parties sign, and what it takes to check one in
//! twenty years with no server. Read `record` and `merkle` first, then `manifest`, `payload` and `dsse`.

pub mod agreement;
pub mod archive;
pub mod diff;
mod dsse;
mod error;
mod keys;
mod line;
pub mod manifest;
pub mod merkle;
pub mod payload;
pub mod record;
pub mod sample;
pub mod schema;
mod totals;
mod value;
pub mod verify;

pub use agreement::{Agreement, AgreementParty};
pub use dsse::{Envelope, Signature};
pub use error::{Error, Result};
pub use keys::{KeyId, PublicKey, SigningKey};
pub use manifest::{AgreementRef, FileEntry, Handover, Party, ProgrammeRef, Slice, Total, TrancheRef};
pub use payload::{PayloadFile, TagFiles};
pub use schema::{Column, Kind, TableSchema};
pub use totals::Tally;
