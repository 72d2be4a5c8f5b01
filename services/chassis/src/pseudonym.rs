//! Pseudonyms: the name that a tenant has for somebody whose id it may not know. It is the id as one block of AES-256
//! under a key of that tenant: always the same for it, another for every other tenant, and read back by the house alone.
//! It tells which seed it was made with, so that seeds can change: `p-<block>` the first one, `p-<key id>-<block>` others.

use std::sync::Arc;

use aes::Aes256;
use aes::cipher::{BlockDecrypt as _, BlockEncrypt as _, KeyInit as _};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;

use crate::config::Config;
use crate::refusal::Refusal;
use crate::seed_ring::{Following, Seed, SeedRing, Seeds};

/// Begins every pseudonym, so that it cannot be mistaken for an id.
const MARK: &str = "p-";

static KEYS: Following = Following::nothing();

/// Uses the installation's keys, from the start on.
pub(crate) fn follow(config: &Config) -> Result<(), Refusal> {
    KEYS.follow(SeedRing::of_pseudonyms(config))
}

/// One tenant's names for people.
pub(crate) struct Names {
    tenant: Uuid,
    seeds: Arc<Seeds>,
    /// What the names of now begin with, and are made with.
    used: (String, Option<Aes256>),
}

impl Names {
    pub fn of(tenant: Uuid) -> Self {
        Self::with(tenant, KEYS.seeds())
    }

    fn with(tenant: Uuid, seeds: Arc<Seeds>) -> Self {
        let seed = seeds.used();
        let begin = if seed.is_first() { MARK.to_owned() } else { format!("{MARK}{}-", seed.key_id) };
        let used = (begin, of_tenant(seed, tenant));
        Names { tenant, seeds, used }
    }

    /// The pseudonym of an id. A pseudonym stays what it is; nothing is told of what is neither.
    pub fn pseudonym(&self, id: &str) -> String {
        if parse(id).is_some() {
            return id.to_owned();
        }
        let ((begin, Some(cipher)), Ok(id)) = (&self.used, Uuid::try_parse(id)) else { return String::new() };
        format!("{begin}{}", hex::encode(encrypt(cipher, id)))
    }

    /// The id behind a pseudonym; of another tenant's pseudonym, and of one whose key is retired, an id that nobody has.
    /// None: it is no pseudonym.
    pub fn id(&self, pseudonym: &str) -> Option<Uuid> {
        let (key_id, block) = parse(pseudonym)?;
        let seed = self.seeds.all().find(|seed| match key_id {
            None => seed.is_first(),
            Some(key_id) => !seed.is_first() && seed.key_id == key_id,
        });
        let cipher = seed.and_then(|seed| of_tenant(seed, self.tenant));
        Some(cipher.map_or_else(|| Uuid::from_bytes(block), |cipher| decrypt(&cipher, block)))
    }
}

fn of_tenant(seed: &Seed, tenant: Uuid) -> Option<Aes256> {
    cipher(&seed.secret, &[b"pseudonym", tenant.as_bytes()])
}

/// The tenant's pseudonym of an id, for tests in the house's own process.
#[doc(hidden)]
pub fn pseudonym(tenant: Uuid, id: &str) -> String {
    Names::of(tenant).pseudonym(id)
}

/// The id of the key, where it is not the first one, and the block.
fn parse(text: &str) -> Option<(Option<&str>, [u8; 16])> {
    let rest = text.strip_prefix(MARK)?;
    let (key_id, block) = rest.split_once('-').map_or((None, rest), |(key_id, block)| (Some(key_id), block));
    let mut bytes = [0; 16];
    hex::decode_to_slice(block, &mut bytes).ok()?;
    Some((key_id, bytes))
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
    fn with_the_next_seed_names_are_new_and_the_old_ones_hold_until_their_seed_is_retired() {
        let dir = tempfile::tempdir().unwrap();
        let ring = SeedRing::of_pseudonyms(&Config { data_dir: dir.path().to_owned(), ..Config::default() });
        let (tenant, id) = (ids::new_id(), ids::new_id());
        let names = || Names::with(tenant, Arc::new(ring.seeds().unwrap()));
        let old = names().pseudonym(&id.to_string());
        ring.rotate(chrono::Duration::zero()).unwrap();
        let new = names().pseudonym(&id.to_string());
        assert_eq!((new.len(), names().pseudonym(&id.to_string())), (43, new.clone()));
        assert_ne!(new, old);
        assert_eq!((names().id(&old), names().id(&new)), (Some(id), Some(id)));
        assert_eq!(names().pseudonym(&old), old, "it is not named again");

        ring.retire(true).unwrap();
        assert_eq!(names().pseudonym(&id.to_string()), new, "the names that are in use stay the same");
        assert_eq!(names().id(&new), Some(id));
        assert!(names().id(&old).is_some_and(|nobody| nobody != id));
        ring.rotate(chrono::Duration::zero()).unwrap();
        assert_eq!(names().id(&new), Some(id));
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
