//! What the parties agreed before the first tranche: who hands over to whom, and with which keys they sign. It travels in
//! each bag, so that a bag can be checked alone; that the keys are the right ones is compared on paper, once.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Envelope, Error, KeyId, PublicKey, Result, record};

pub const FORMAT: &str = "tahuka-agreement";
pub const VERSION: u32 = 1;
pub const PAYLOAD_TYPE: &str = "application/vnd.tahuka.agreement.v1+json";
/// Its place in the bag.
pub const PATH: &str = "data/agreement.dsse.json";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Always `tahuka-agreement`.
    pub format: String,
    pub version: u32,
    pub id: String,
    pub revision: u32,
    pub programme_id: String,
    pub programme_name: String,
    pub sender: AgreementParty,
    pub recipient: AgreementParty,
    /// RFC 3339, UTC.
    pub agreed_at: String,
    /// What else was agreed: what the sender may see afterwards, acceptance criteria. For readers; nothing is checked by it.
    pub terms: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgreementParty {
    pub id: String,
    pub name: String,
    /// 64 hex digits.
    pub public_key: String,
    pub key_id: KeyId,
    pub fingerprint: String,
}

impl AgreementParty {
    pub fn new(id: &str, name: &str, key: &PublicKey) -> Self {
        AgreementParty {
            id: id.to_owned(),
            name: name.to_owned(),
            public_key: key.to_hex(),
            key_id: key.id(),
            fingerprint: key.fingerprint(),
        }
    }

    /// The key, if its id and its fingerprint are those of it.
    pub fn key(&self) -> Result<PublicKey> {
        let key = PublicKey::parse(&self.public_key)?;
        if key.id() != self.key_id || key.fingerprint() != self.fingerprint {
            return Err(Error::Key(format!("key id or fingerprint of {} are not those of the key", self.name)));
        }
        Ok(key)
    }
}

impl Agreement {
    /// The envelope, to be signed by both.
    pub fn envelope(&self) -> Result<Envelope> {
        Ok(Envelope::new(PAYLOAD_TYPE, &record::canonical_of(self)?))
    }

    /// What an envelope holds. Signatures are another question: `check`.
    pub fn open(envelope: &Envelope) -> Result<Self> {
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(Error::Format(format!("the payload is {}, and not {PAYLOAD_TYPE}", envelope.payload_type)));
        }
        let payload = envelope.payload()?;
        crate::manifest::supported(&payload, FORMAT, VERSION)?;
        serde_json::from_slice(&payload).map_err(|e| Error::Format(format!("not an agreement: {e}")))
    }

    /// Both parties' keys, if both have signed it, and nobody else.
    pub fn check(&self, envelope: &Envelope) -> Result<(PublicKey, PublicKey)> {
        let (sender, recipient) = (self.sender.key()?, self.recipient.key()?);
        if sender == recipient {
            return Err(Error::Key("both parties have the same key".to_owned()));
        }
        envelope.verify(&sender)?;
        envelope.verify(&recipient)?;
        if envelope.signatures.len() != 2 {
            return Err(Error::Signature("somebody else has signed the agreement too".to_owned()));
        }
        Ok((sender, recipient))
    }
}
