//! Keys of the parties: Ed25519. A private key is a file that only its owner reads (PKCS#8 PEM, or a seed); a public key is
//! 64 hex digits, or PEM; its id is the beginning of its SHA-256, which is short enough to compare on paper.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::Path;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use ed25519_dalek::{Signer, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// The first 32 hex digits of the SHA-256 of the raw public key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct KeyId(pub String);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| Error::Key("not an Ed25519 public key".to_owned()))?;
        // A weak key lets one signature stand for any message.
        if key.is_weak() {
            return Err(Error::Key("an Ed25519 public key of small order, which proves nothing".to_owned()));
        }
        Ok(PublicKey(key))
    }

    /// 64 hex digits, or PEM.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.starts_with("-----BEGIN") {
            let key = VerifyingKey::from_public_key_pem(text);
            return Self::from_bytes(key.map_err(|_| Error::Key("no Ed25519 public key in this PEM".to_owned()))?.as_bytes());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| Error::Key("a public key is 64 hex digits, or PEM".to_owned()))?;
        Self::from_bytes(&bytes)
    }

    /// From the text itself, or from the file of that name.
    pub fn parse_or_load(text_or_file: &str) -> Result<Self> {
        let path = Path::new(text_or_file);
        match Self::parse(text_or_file) {
            Ok(key) => Ok(key),
            Err(_) if path.is_file() => Self::parse(&fs::read_to_string(path).map_err(Error::file(path))?),
            Err(e) => Err(e),
        }
    }

    pub fn to_hex(&self) -> String {
        hex::encode(self.0.as_bytes())
    }

    pub fn to_pem(&self) -> Result<String> {
        self.0.to_public_key_pem(LineEnding::LF).map_err(|e| Error::Key(e.to_string()))
    }

    pub fn id(&self) -> KeyId {
        let digest = hex::encode(Sha256::digest(self.0.as_bytes()));
        KeyId(digest[..32].to_owned())
    }

    /// The SHA-256 of the raw key in groups of four, as it stands on paper.
    pub fn fingerprint(&self) -> String {
        let digest = hex::encode(Sha256::digest(self.0.as_bytes()));
        let groups: Vec<&str> = (0..16).map(|n| &digest[n * 4..n * 4 + 4]).collect();
        groups.join(" ")
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }
}

pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    pub fn generate() -> Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| Error::Key(e.to_string()))?;
        Ok(Self::from_seed(&seed))
    }

    pub fn from_seed(seed: &[u8; 32]) -> Self {
        SigningKey(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// PKCS#8 in PEM, a seed of 64 hex digits, or a seed of 32 raw bytes.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::file(path))?;
        Self::parse(&bytes).map_err(|_| {
            Error::Key(format!(
                "{}: not an Ed25519 private key (PKCS#8 PEM, or a seed of 32 bytes or 64 hex digits)",
                path.display()
            ))
        })
    }

    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let refused = || Error::Key("not an Ed25519 private key".to_owned());
        if let Ok(seed) = <[u8; 32]>::try_from(bytes) {
            return Ok(Self::from_seed(&seed));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| refused())?.trim();
        if text.starts_with("-----BEGIN") {
            return Ok(SigningKey(ed25519_dalek::SigningKey::from_pkcs8_pem(text).map_err(|_| refused())?));
        }
        let mut seed = [0; 32];
        hex::decode_to_slice(text, &mut seed).map_err(|_| refused())?;
        Ok(Self::from_seed(&seed))
    }

    pub fn to_pem(&self) -> Result<String> {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF).map_err(|e| Error::Key(e.to_string()))?;
        Ok(pem.as_str().to_owned())
    }

    /// Writes the private key to a new file that only its owner reads. Refused where there is a file already: a key that is
    /// overwritten cannot sign again.
    pub fn write_new(&self, path: &Path) -> Result<()> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(Error::file(path))?;
        file.write_all(self.to_pem()?.as_bytes()).and_then(|()| file.sync_all()).map_err(Error::file(path))
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub fn id(&self) -> KeyId {
        self.public().id()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8032, section 7.1, test 1.
    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    #[test]
    fn a_key_is_the_same_in_every_form_that_it_is_kept_in() {
        let key = SigningKey::parse(SEED.as_bytes()).unwrap();
        assert_eq!(key.public().to_hex(), PUBLIC);
        assert_eq!(SigningKey::parse(key.to_pem().unwrap().as_bytes()).unwrap().public(), key.public());
        assert_eq!(SigningKey::parse(&hex::decode(SEED).unwrap()).unwrap().public(), key.public());
        assert_eq!(PublicKey::parse(&key.public().to_pem().unwrap()).unwrap(), key.public());
        assert_eq!(PublicKey::parse(PUBLIC).unwrap().id(), key.id());
        assert!(key.public().fingerprint().replace(' ', "").starts_with(&key.id().0));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "abc", "-----BEGIN PUBLIC KEY-----\nMCo=\n-----END PUBLIC KEY-----\n", &"0".repeat(64)] {
            assert!(PublicKey::parse(text).is_err(), "{text}");
        }
        assert!(SigningKey::parse(b"-----BEGIN PRIVATE KEY-----").is_err());
    }
}
