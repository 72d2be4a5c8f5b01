//! The passport keys on disk, and how they change while everything runs. A new key's public half is there first, so that
//! every service trusts it; after a grace time the gateway signs with it; the old one is trusted until it is retired.
//! All of the state is in files, which the gateway and the services read again every few seconds.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Duration, Utc};
use ed25519_dalek::{SigningKey, VerifyingKey};

use super::{LIFETIME, key_id};
use crate::config::Config;
use crate::refusal::Refusal;
use crate::{clock, keys};

/// How long after a change of key a passport of the old one may still be on its way, in seconds.
const OVERLAP: i64 = 2 * LIFETIME;

pub struct Ring {
    /// The seed of the first key.
    key_file: PathBuf,
    /// `<key id>.pub` (64 hex digits): a key that is trusted. `<key id>.key`: a seed, and on a second line the time (Unix)
    /// from which it signs.
    dir: PathBuf,
    /// Trusted by configuration.
    configured: Vec<VerifyingKey>,
}

/// A key as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub key_id: String,
    /// None: it is trusted, and somebody else signs with it or nobody.
    pub signs_from: Option<DateTime<Utc>>,
    /// It is the one that signs now.
    pub signs: bool,
}

impl Ring {
    pub fn of(config: &Config) -> Result<Self, Refusal> {
        let refused = || Refusal::invalid("passport.trusted_keys", "must be Ed25519 public keys of 64 hex digits");
        let configured = config.passport.trusted_keys.iter().map(|text| public(text).ok_or_else(refused));
        Ok(Ring {
            key_file: config.passport_key_file(),
            dir: config.passport_keys_dir(),
            configured: configured.collect::<Result<_, _>>()?,
        })
    }

    /// The key that signs now. The first one is made when there is none.
    pub fn signing(&self) -> Result<SigningKey, Refusal> {
        match self.in_use(clock::now())? {
            Some((_, key)) => Ok(key),
            None => keys::signing_key(&self.key_file),
        }
    }

    /// The public keys that passports may be signed with.
    pub fn trusted(&self) -> Result<Vec<VerifyingKey>, Refusal> {
        let mut trusted = self.configured.clone();
        for file in self.files("pub")? {
            let text = fs::read_to_string(&file).map_err(|e| keys::failed(&file, e))?;
            trusted.push(public(text.trim()).ok_or_else(|| keys::failed(&file, "not a public key of 64 hex digits"))?);
        }
        // Who is told whom to trust makes no key of its own.
        if self.configured.is_empty() && (trusted.is_empty() || self.key_file.exists()) {
            trusted.push(keys::signing_key(&self.key_file)?.verifying_key());
        }
        trusted.dedup();
        Ok(trusted)
    }

    /// Makes the next key, which signs after the grace time. Refused while another one waits.
    pub fn rotate(&self, grace: Duration) -> Result<Held, Refusal> {
        let now = clock::now();
        if let Some((from, _)) = self.seeds()?.into_iter().find(|(from, _)| *from > now) {
            let advice = format!("the next key signs from {}; wait until then", from.to_rfc3339());
            return Err(Refusal::precondition("KEY_WAITS", advice));
        }
        // What signs now goes on being trusted, whatever else is.
        self.publish(&self.signing()?)?;
        let mut seed = [0_u8; 32];
        getrandom::fill(&mut seed).map_err(|e| keys::failed(&self.dir, e))?;
        let key = SigningKey::from_bytes(&seed);
        self.publish(&key)?;
        let from = DateTime::from_timestamp((now + grace).timestamp(), 0).unwrap_or(now);
        let text = format!("{}\n{}\n", hex::encode(seed), from.timestamp());
        let key_id = key_id(key.verifying_key().as_bytes());
        keys::write_secret(&self.dir.join(format!("{key_id}.key")), &text)?;
        Ok(Held { key_id, signs_from: Some(from), signs: from <= now })
    }

    /// Ends the trust in every key but the one that signs; their ids. Refused while passports of an old one may still be
    /// on their way, unless `at_once`: when a key has been disclosed, calls that fail are the smaller harm.
    pub fn retire(&self, at_once: bool) -> Result<Vec<String>, Refusal> {
        let now = clock::now();
        let Some((from, key)) = self.in_use(now)? else { return Ok(Vec::new()) };
        if !at_once && now - from < Duration::seconds(OVERLAP) && self.held()?.len() > 1 {
            let advice = format!("passports of the old key are about until {}", (from + Duration::seconds(OVERLAP)).to_rfc3339());
            return Err(Refusal::precondition("KEY_IN_USE", advice));
        }
        if self.seeds()?.iter().any(|(from, _)| *from > now) {
            return Err(Refusal::precondition("KEY_WAITS", "the next key waits for its time; wait until it signs"));
        }
        // First of all the seed that stays: a ring without one would make a new key that nobody trusts.
        keys::replace_secret(&self.key_file, &format!("{}\n", hex::encode(key.to_bytes())))?;
        let stays = key_id(key.verifying_key().as_bytes());
        let mut retired = Vec::new();
        for file in self.files("key")?.into_iter().chain(self.files("pub")?) {
            let id = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            let public = file.extension().is_some_and(|e| e == "pub");
            if id == stays && public {
                continue;
            }
            fs::remove_file(&file).map_err(|e| keys::failed(&file, e))?;
            if public {
                retired.push(id);
            }
        }
        Ok(retired)
    }

    /// Every key that is trusted here, the one that signs first.
    pub fn held(&self) -> Result<Vec<Held>, Refusal> {
        let signs = key_id(self.signing()?.verifying_key().as_bytes());
        let seeds = self.seeds()?;
        let mut held: Vec<Held> = Vec::new();
        for key in self.trusted()? {
            let key_id = key_id(key.as_bytes());
            let from = seeds.iter().find(|(_, seed)| seed.verifying_key() == key).map(|(from, _)| *from);
            if !held.iter().any(|h| h.key_id == key_id) {
                held.push(Held { signs: key_id == signs, key_id, signs_from: from });
            }
        }
        held.sort_by_key(|h| (!h.signs, h.signs_from));
        Ok(held)
    }

    /// The newest key whose time has come, and since when it signs.
    fn in_use(&self, now: DateTime<Utc>) -> Result<Option<(DateTime<Utc>, SigningKey)>, Refusal> {
        let come = self.seeds()?.into_iter().filter(|(from, _)| *from <= now).max_by_key(|(from, _)| *from);
        match come {
            Some(newest) => Ok(Some(newest)),
            None if self.key_file.exists() => Ok(Some((DateTime::<Utc>::MIN_UTC, keys::signing_key(&self.key_file)?))),
            None => Ok(None),
        }
    }

    /// The keys that have their time in a file of their own.
    fn seeds(&self) -> Result<Vec<(DateTime<Utc>, SigningKey)>, Refusal> {
        let read = |file: PathBuf| {
            let text = fs::read_to_string(&file).map_err(|e| keys::failed(&file, e))?;
            let seed_and_time = || {
                let (seed, from) = text.trim().split_once('\n')?;
                let mut bytes = [0; 32];
                hex::decode_to_slice(seed.trim(), &mut bytes).ok()?;
                Some((DateTime::from_timestamp(from.trim().parse().ok()?, 0)?, SigningKey::from_bytes(&bytes)))
            };
            seed_and_time().ok_or_else(|| keys::failed(&file, "not a seed of 64 hex digits and a time"))
        };
        self.files("key")?.into_iter().map(read).collect()
    }

    fn publish(&self, key: &SigningKey) -> Result<(), Refusal> {
        let public = key.verifying_key();
        let file = self.dir.join(format!("{}.pub", key_id(public.as_bytes())));
        if file.exists() {
            return Ok(());
        }
        fs::create_dir_all(&self.dir).map_err(|e| keys::failed(&self.dir, e))?;
        // Whole or not there: services read it at any moment.
        let temporary = self.dir.join(format!(".{}", uuid::Uuid::new_v4()));
        fs::write(&temporary, format!("{}\n", hex::encode(public.as_bytes()))).map_err(|e| keys::failed(&temporary, e))?;
        fs::rename(&temporary, &file).map_err(|e| keys::failed(&file, e))
    }

    /// Of the directory, by name.
    fn files(&self, extension: &str) -> Result<Vec<PathBuf>, Refusal> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(keys::failed(&self.dir, e)),
        };
        let of = |path: &Path| path.extension().is_some_and(|e| e == extension) && !hidden(path);
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| of(path)).collect();
        files.sort();
        Ok(files)
    }
}

fn hidden(path: &Path) -> bool {
    path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'))
}

fn public(text: &str) -> Option<VerifyingKey> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    VerifyingKey::from_bytes(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passport::{Bearer, Inspector, Mint};

    fn ring() -> (tempfile::TempDir, Ring) {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        let ring = Ring::of(&config).unwrap();
        (dir, ring)
    }

    fn opens(ring: &Ring, signed_by: &Ring) -> bool {
        let passport = Mint::new(&signed_by.signing().unwrap()).unwrap().passport(&Bearer::default()).unwrap();
        Inspector::new(&ring.trusted().unwrap()).unwrap().inspect(&passport, None).is_ok()
    }

    #[test]
    fn the_first_key_is_made_and_trusted() {
        let (_dir, ring) = ring();
        assert!(opens(&ring, &ring));
        assert_eq!(ring.held().unwrap().len(), 1);
        assert!(ring.retire(false).unwrap().is_empty());
        assert!(opens(&ring, &ring));
    }

    #[test]
    fn the_next_key_is_trusted_before_it_signs_and_the_old_one_after() {
        let (_dir, ring) = ring();
        let old = ring.signing().unwrap();
        let next = ring.rotate(Duration::seconds(60)).unwrap();
        assert!(!next.signs);
        assert_eq!(ring.signing().unwrap(), old);
        assert!(ring.trusted().unwrap().iter().any(|key| key_id(key.as_bytes()) == next.key_id));
        assert!(ring.rotate(Duration::zero()).is_err());
        assert!(ring.retire(true).is_err());
    }

    #[test]
    fn after_its_grace_time_it_signs_and_the_old_one_can_be_retired() {
        let (_dir, ring) = ring();
        let old = Mint::new(&ring.signing().unwrap()).unwrap().passport(&Bearer::default()).unwrap();
        let next = ring.rotate(Duration::zero()).unwrap();
        assert_eq!(key_id(ring.signing().unwrap().verifying_key().as_bytes()), next.key_id);
        assert!(Inspector::new(&ring.trusted().unwrap()).unwrap().inspect(&old, None).is_ok());
        assert!(ring.retire(false).is_err());

        assert_eq!(ring.retire(true).unwrap().len(), 1);
        assert_eq!(key_id(ring.signing().unwrap().verifying_key().as_bytes()), next.key_id);
        assert!(opens(&ring, &ring));
        assert!(Inspector::new(&ring.trusted().unwrap()).unwrap().inspect(&old, None).is_err());
        let again = ring.rotate(Duration::zero()).unwrap();
        assert_ne!(again.key_id, next.key_id);
        assert!(opens(&ring, &ring));
    }

    #[test]
    fn who_has_public_keys_only_makes_none() {
        let (_dir, gateway) = ring();
        gateway.rotate(Duration::zero()).unwrap();
        let (dir, service) = ring();
        fs::create_dir_all(&service.dir).unwrap();
        for file in gateway.files("pub").unwrap() {
            fs::copy(&file, service.dir.join(file.file_name().unwrap())).unwrap();
        }
        assert!(opens(&service, &gateway));
        assert!(!dir.path().join("keys/passport.key").exists());
    }
}
