//! Pseudonyms: the name that a tenant has for somebody whose id it may not know. It is the id as one block of AES-256
//! under a key of that tenant: always the same for it, another for every other tenant, and read back by the house alone.

use std::sync::OnceLock;

use aes::Aes256;
use aes::cipher::{BlockDecrypt as _, BlockEncrypt as _, KeyInit as _};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// Begins every pseudonym, so that it cannot be mistaken for an id.
const MARK: &str = "p-";

static KEY: OnceLock<[u8; 32]> = OnceLock::new();

/// Sets the installation's key, once at start.
pub(crate) fn set_key(key: [u8; 32]) {
    let _ = KEY.set(key);
}

/// One tenant's names for people.
pub(crate) struct Names(Option<Aes256>);

impl Names {
    pub fn of(tenant: Uuid) -> Self {
        Names(cipher(&KEY.get().copied().unwrap_or([0; 32]), &[b"pseudonym", tenant.as_bytes()]))
    }

    /// The pseudonym of an id. A pseudonym stays what it is; nothing is told of what is neither.
    pub fn pseudonym(&self, id: &str) -> String {
        if parse(id).is_some() {
            return id.to_owned();
        }
        let (Some(cipher), Ok(id)) = (&self.0, Uuid::try_parse(id)) else { return String::new() };
        format!("{MARK}{}", hex::encode(encrypt(cipher, id)))
    }

    /// The id behind a pseudonym; of another tenant's pseudonym, an id that nobody has. None: it is no pseudonym.
    pub fn id(&self, pseudonym: &str) -> Option<Uuid> {
        let block = parse(pseudonym)?;
        self.0.as_ref().map(|cipher| decrypt(cipher, block))
    }
}

/// The tenant's pseudonym of an id, for tests in the house's own process.
#[doc(hidden)]
pub fn pseudonym(tenant: Uuid, id: &str) -> String {
    Names::of(tenant).pseudonym(id)
}

fn parse(text: &str) -> Option<[u8; 16]> {
    let mut block = [0; 16];
    hex::decode_to_slice(text.strip_prefix(MARK)?, &mut block).ok()?;
    Some(block)
}

/// A cipher under the key that `key` gives for this use.
pub(crate) fn cipher(key: &[u8; 32], of: &[&[u8]]) -> Option<Aes256> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).ok()?;
    for part in of {
        mac.update(&part.len().to_be_bytes());
        mac.update(part);
    }
    Aes256::new_from_slice(&mac.finalize().into_bytes()).ok()
}

/// An id is 128 bits, one block: no mode and no padding.
pub(crate) fn encrypt(cipher: &Aes256, id: Uuid) -> [u8; 16] {
    let mut block = id.into_bytes().into();
    cipher.encrypt_block(&mut block);
    block.into()
}

pub(crate) fn decrypt(cipher: &Aes256, block: [u8; 16]) -> Uuid {
    let mut block = block.into();
    cipher.decrypt_block(&mut block);
    Uuid::from_bytes(block.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids;

    #[test]
    fn a_pseudonym_is_the_same_for_one_tenant_and_another_for_the_next() {
        let (a, b) = (ids::new_id(), ids::new_id());
        let id = ids::new_id();
        let told = Names::of(a).pseudonym(&id.to_string());
        assert_eq!((told.len(), &told[..2]), (34, "p-"));
        assert_eq!(told, Names::of(a).pseudonym(&id.to_string()));
        assert_ne!(told, Names::of(b).pseudonym(&id.to_string()));
        assert_eq!(Names::of(a).id(&told), Some(id));
        assert_ne!(Names::of(b).id(&told), Some(id));
    }

    #[test]
    fn what_is_no_id_has_no_pseudonym_and_a_pseudonym_is_not_named_again() {
        let names = Names::of(ids::new_id());
        assert_eq!(names.pseudonym("UWIMANA"), "");
        assert_eq!(names.id("p-UWIMANA"), None);
        let told = names.pseudonym(&ids::new_id().to_string());
        assert_eq!(names.pseudonym(&told), told);
    }
}
