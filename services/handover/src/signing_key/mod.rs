//! A tenant's public key, by which it signs handovers. The private half never leaves the tenant.

pub mod rpc;
pub mod store;

use chrono::NaiveDate;
use tahuka_bag::PublicKey;
use tahuka_chassis::Refusal;
use tahuka_proto::handover::v1::PartyKey;

/// An Ed25519 key that proves something: a weak one is refused.
pub fn parse(field: &str, text: &str) -> Result<PublicKey, Refusal> {
    if text.len() != 64 {
        return Err(Refusal::invalid(field, "must be an Ed25519 public key of 64 hex digits"));
    }
    PublicKey::parse(text).map_err(|_| Refusal::invalid(field, "must be an Ed25519 public key of 64 hex digits"))
}

/// A key that was parsed when it was stored.
pub fn stored(text: &str) -> Result<PublicKey, Refusal> {
    PublicKey::parse(text).map_err(Refusal::internal)
}

/// None where there is no key yet.
pub fn shown(text: &str) -> Option<PartyKey> {
    let key = PublicKey::parse(text).ok()?;
    Some(PartyKey { key_id: key.id().0, public_key: key.to_hex(), fingerprint: key.fingerprint() })
}

/// What a retired key signs is not taken any more.
pub fn must_be_in_use(retired_on: Option<NaiveDate>) -> Result<(), Refusal> {
    if retired_on.is_some() {
        return Err(Refusal::precondition("KEY_RETIRED", "this key is retired; use another one that is registered"));
    }
    Ok(())
}
