//! DSSE envelopes: what is signed travels as bytes beside its signatures, so that nobody has to write it again in the same
//! form to check them. Ed25519; at most a few signatures.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::record;
use crate::{Error, KeyId, PublicKey, Result, SigningKey};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Base64.
    payload: String,
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    pub signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    pub keyid: KeyId,
    /// Base64.
    pub sig: String,
}

/// The bytes that are signed: type and payload with their lengths, so that neither can be taken for a part of the other.
pub fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

impl Envelope {
    pub fn new(payload_type: &str, payload: &[u8]) -> Self {
        Envelope { payload: BASE64.encode(payload), payload_type: payload_type.to_owned(), signatures: Vec::new() }
    }

    /// The only form that is read: canonical JSON, so that no byte of an envelope can change unnoticed.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let envelope: Envelope = serde_json::from_slice(bytes).map_err(|e| Error::Format(format!("not a DSSE envelope: {e}")))?;
        if envelope.to_bytes()? != bytes {
            return Err(Error::Format("the envelope is not canonical JSON".to_owned()));
        }
        envelope.payload()?;
        Ok(envelope)
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        record::canonical_of(self)
    }

    pub fn payload(&self) -> Result<Vec<u8>> {
        BASE64.decode(&self.payload).map_err(|_| Error::Format("the envelope's payload is not base64".to_owned()))
    }

    /// Signs, or countersigns. Done again with the same key, nothing changes.
    pub fn sign(&mut self, key: &SigningKey) -> Result<()> {
        if self.signatures.iter().any(|s| s.keyid == key.id()) {
            return self.verify(&key.public());
        }
        let signature = key.sign(&pre_authentication(&self.payload_type, &self.payload()?));
        self.signatures.push(Signature { keyid: key.id(), sig: BASE64.encode(signature) });
        Ok(())
    }

    /// Adds a signature that was made elsewhere (base64, over the pre-authentication encoding), if it holds.
    pub fn add(&mut self, key: &PublicKey, sig: &str) -> Result<()> {
        self.signatures.retain(|s| s.keyid != key.id());
        self.signatures.push(Signature { keyid: key.id(), sig: sig.to_owned() });
        let verdict = self.verify(key);
        if verdict.is_err() {
            self.signatures.pop();
        }
        verdict
    }

    pub fn is_signed_by(&self, key: &KeyId) -> bool {
        self.signatures.iter().any(|s| s.keyid == *key)
    }

    /// Whether this key has signed, and its signature holds.
    pub fn verify(&self, key: &PublicKey) -> Result<()> {
        let id = key.id();
        let mut own = self.signatures.iter().filter(|s| s.keyid == id);
        let (Some(signature), None) = (own.next(), own.next()) else {
            return Err(Error::Signature(format!("there is not one signature by key {id}")));
        };
        let refused = || Error::Signature(format!("the signature by key {id} does not hold"));
        let bytes = BASE64.decode(&signature.sig).map_err(|_| refused())?;
        let bytes = <[u8; 64]>::try_from(bytes).map_err(|_| refused())?;
        let message = pre_authentication(&self.payload_type, &self.payload()?);
        if key.verifies(&message, &bytes) { Ok(()) } else { Err(refused()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_that_is_signed_is_that_of_the_protocol() {
        // The example of the DSSE protocol's text.
        assert_eq!(pre_authentication("http://example.com/HelloWorld", b"hello world"), {
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        });
    }

    #[test]
    fn one_signs_the_other_countersigns_and_a_third_has_not() {
        let [sender, recipient, stranger] = [1, 2, 3].map(|n| SigningKey::from_seed(&[n; 32]));
        let mut envelope = Envelope::new("application/x", b"{}");
        envelope.sign(&sender).unwrap();
        assert!(envelope.verify(&recipient.public()).is_err());
        envelope.sign(&recipient).unwrap();
        envelope.sign(&recipient).unwrap();
        assert_eq!(envelope.signatures.len(), 2);

        let read = Envelope::parse(&envelope.to_bytes().unwrap()).unwrap();
        read.verify(&sender.public()).unwrap();
        read.verify(&recipient.public()).unwrap();
        assert!(read.verify(&stranger.public()).is_err());
        assert_eq!(read.payload().unwrap(), b"{}");
    }

    #[test]
    fn a_signature_made_elsewhere_is_added_only_if_it_holds() {
        let key = SigningKey::from_seed(&[1; 32]);
        let mut signed = Envelope::new("application/x", b"{}");
        signed.sign(&key).unwrap();
        let mut other = Envelope::new("application/x", b"{ }");
        assert!(other.add(&key.public(), &signed.signatures[0].sig).is_err());
        assert!(other.signatures.is_empty());
        let mut same = Envelope::new("application/x", b"{}");
        same.add(&key.public(), &signed.signatures[0].sig).unwrap();
        assert_eq!(same, signed);
    }

    #[test]
    fn every_byte_of_an_envelope_counts() {
        let key = SigningKey::from_seed(&[1; 32]);
        let mut envelope = Envelope::new("application/x", b"{\"a\":1}");
        envelope.sign(&key).unwrap();
        let bytes = envelope.to_bytes().unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                let taken = Envelope::parse(&changed).and_then(|e| e.verify(&key.public()));
                assert!(taken.is_err(), "byte {at}, bit {bit}");
            }
        }
    }
}
