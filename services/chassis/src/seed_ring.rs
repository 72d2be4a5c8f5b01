//! The secret seeds of page tokens and of pseudonyms on disk, and how they change while everything runs. A new seed is
//! read by everybody first, and used once its time has come; what was made with an older one is understood until that is
//! retired. All of the state is in files, which every service reads again every few seconds.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, RwLock};

use chrono::{DateTime, Duration, Utc};
use sha2::{Digest as _, Sha256};

use crate::config::Config;
use crate::refusal::Refusal;
use crate::{clock, keys, passport};

pub struct SeedRing {
    /// The first seed, made at the first start.
    first: PathBuf,
    /// `<key id>.key`: a seed, and on a second line the time (Unix) from which it is used.
    dir: PathBuf,
    /// How long what an old seed has made is asked to hold.
    holds: Duration,
}

/// A seed as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSeed {
    pub key_id: String,
    /// None: the first one.
    pub used_from: Option<DateTime<Utc>>,
    /// It is the one that is used for what is new.
    pub used: bool,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Seed {
    /// None: the first one.
    from: Option<DateTime<Utc>>,
    pub key_id: String,
    pub secret: [u8; 32],
}

impl Seed {
    fn new(secret: [u8; 32], from: Option<DateTime<Utc>>) -> Self {
        let digest = Sha256::new().chain_update("tahuka seed").chain_update(secret).finalize();
        Seed { from, key_id: hex::encode(&digest[..4]), secret }
    }

    pub fn is_first(&self) -> bool {
        self.from.is_none()
    }
}

/// What a ring holds, from the oldest to the newest; never empty.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Seeds(Vec<Seed>);

impl Seeds {
    /// The newest whose time has come.
    pub fn used(&self) -> &Seed {
        let now = clock::now();
        self.0.iter().rev().find(|seed| seed.from.is_none_or(|from| from <= now)).unwrap_or(&self.0[0])
    }

    pub fn all(&self) -> impl Iterator<Item = &Seed> {
        self.0.iter()
    }
}

/// The seeds of this process.
pub(crate) struct Following(OnceLock<Arc<RwLock<Arc<Seeds>>>>);

impl Following {
    pub const fn nothing() -> Self {
        Following(OnceLock::new())
    }

    /// Uses what the ring holds from now on. Of several rings in one process the first one counts.
    pub fn follow(&self, ring: SeedRing) -> Result<(), Refusal> {
        let held = Arc::new(RwLock::new(Arc::new(ring.seeds()?)));
        if self.0.set(held.clone()).is_ok() {
            passport::follow(&held, move |held: &RwLock<Arc<Seeds>>| {
                let seeds = ring.seeds()?;
                if **held.read().map_err(Refusal::internal)? != seeds {
                    *held.write().map_err(Refusal::internal)? = Arc::new(seeds);
                    tracing::info!(dir = %ring.dir.display(), "the keys have changed");
                }
                Ok(())
            });
        }
        Ok(())
    }

    pub fn seeds(&self) -> Arc<Seeds> {
        let held = self.0.get().and_then(|held| held.read().ok().map(|seeds| seeds.clone()));
        held.unwrap_or_else(|| Arc::new(Seeds(vec![Seed::new([0; 32], None)])))
    }
}

impl SeedRing {
    pub fn of_pages(config: &Config) -> Self {
        // Nobody turns pages for longer.
        SeedRing { first: config.page_key_file(), dir: config.keys_dir().join("page.d"), holds: Duration::hours(1) }
    }

    /// Recipients keep pseudonyms in their own records.
    pub fn of_pseudonyms(config: &Config) -> Self {
        SeedRing { first: config.pseudonym_key_file(), dir: config.keys_dir().join("pseudonym.d"), holds: Duration::days(90) }
    }

    /// The first seed is made where there is none at all.
    pub(crate) fn seeds(&self) -> Result<Seeds, Refusal> {
        let mut seeds: Vec<Seed> = self.files()?.into_iter().map(|(seed, _)| seed).collect();
        let now = clock::now();
        if self.first.exists() || !seeds.iter().any(|seed| seed.from.is_some_and(|from| from <= now)) {
            seeds.push(Seed::new(keys::seed(&self.first)?, None));
        }
        seeds.sort_by_key(|seed| seed.from);
        Ok(Seeds(seeds))
    }

    /// Every seed, the one in use first.
    pub fn held(&self) -> Result<Vec<HeldSeed>, Refusal> {
        let seeds = self.seeds()?;
        let used = seeds.used().key_id.clone();
        let held = |seed: &Seed| HeldSeed { key_id: seed.key_id.clone(), used_from: seed.from, used: seed.key_id == used };
        let mut held: Vec<_> = seeds.all().map(held).collect();
        held.sort_by_key(|seed| (!seed.used, seed.used_from));
        Ok(held)
    }

    /// Makes the next seed, which is used after the grace time. Refused while another one waits.
    pub fn rotate(&self, grace: Duration) -> Result<(), Refusal> {
        let now = clock::now();
        if let Some(from) = self.seeds()?.all().filter_map(|seed| seed.from).find(|from| *from > now) {
            let advice = format!("the next key is used from {}; wait until then", from.to_rfc3339());
            return Err(Refusal::precondition("KEY_WAITS", advice));
        }
        let mut secret = [0_u8; 32];
        getrandom::fill(&mut secret).map_err(|e| keys::failed(&self.dir, e))?;
        let from = (now + grace).timestamp();
        let seed = Seed::new(secret, DateTime::from_timestamp(from, 0));
        let file = self.dir.join(format!("{}.key", seed.key_id));
        keys::write_secret(&file, &format!("{}\n{from}\n", hex::encode(secret)))
    }

    /// Removes every seed but the one in use: what they have made is not understood any more. Their ids. Refused while
    /// that may still be about, unless `at_once`: when a seed has been disclosed.
    pub fn retire(&self, at_once: bool) -> Result<Vec<String>, Refusal> {
        let now = clock::now();
        let seeds = self.seeds()?;
        if seeds.all().any(|seed| seed.from.is_some_and(|from| from > now)) {
            return Err(Refusal::precondition("KEY_WAITS", "the next key waits for its time; wait until it is used"));
        }
        let used = seeds.used();
        let Some(from) = used.from else { return Ok(Vec::new()) };
        let others = seeds.all().any(|seed| seed != used);
        if others && !at_once && now - from < self.holds {
            let advice = format!("what the old key has made is about until {}", (from + self.holds).to_rfc3339());
            return Err(Refusal::precondition("KEY_IN_USE", advice));
        }
        let mut retired = Vec::new();
        for (seed, file) in self.files()? {
            if seed != *used {
                fs::remove_file(&file).map_err(|e| keys::failed(&file, e))?;
                retired.push(seed.key_id);
            }
        }
        if self.first.exists() {
            retired.push(Seed::new(keys::seed(&self.first)?, None).key_id);
            fs::remove_file(&self.first).map_err(|e| keys::failed(&self.first, e))?;
        }
        Ok(retired)
    }

    fn files(&self) -> Result<Vec<(Seed, PathBuf)>, Refusal> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(keys::failed(&self.dir, e)),
        };
        let mut seeds = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
            if hidden || path.extension().is_none_or(|end| end != "key") {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(|e| keys::failed(&path, e))?;
            let seed_and_time = || {
                let (seed, from) = text.trim().split_once('\n')?;
                let mut secret = [0; 32];
                hex::decode_to_slice(seed.trim(), &mut secret).ok()?;
                Some(Seed::new(secret, Some(DateTime::from_timestamp(from.trim().parse().ok()?, 0)?)))
            };
            let seed = seed_and_time().ok_or_else(|| keys::failed(&path, "not a seed of 64 hex digits and a time"))?;
            seeds.push((seed, path));
        }
        Ok(seeds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> (tempfile::TempDir, SeedRing) {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        (dir, SeedRing::of_pseudonyms(&config))
    }

    #[test]
    fn the_next_seed_is_known_before_it_is_used() {
        let (_dir, ring) = ring();
        let first = ring.seeds().unwrap().used().clone();
        assert!(first.is_first());
        ring.rotate(Duration::seconds(60)).unwrap();
        assert_eq!(ring.seeds().unwrap().all().count(), 2);
        assert!(ring.seeds().unwrap().used() == &first);
        assert!(ring.rotate(Duration::zero()).is_err() && ring.retire(true).is_err());
    }

    #[test]
    fn an_old_seed_is_known_until_it_is_retired_and_no_first_one_comes_back() {
        let (_dir, ring) = ring();
        let first = ring.seeds().unwrap().used().clone();
        assert!(ring.retire(false).unwrap().is_empty());
        ring.rotate(Duration::zero()).unwrap();
        let seeds = ring.seeds().unwrap();
        assert!(!seeds.used().is_first() && seeds.all().any(|seed| *seed == first));
        assert_eq!(ring.held().unwrap()[0].key_id, seeds.used().key_id);
        assert!(ring.retire(false).is_err(), "pseudonyms of the old one are about");

        assert_eq!(ring.retire(true).unwrap(), [first.key_id]);
        assert!(ring.seeds().unwrap().0 == [seeds.used().clone()]);
        ring.rotate(Duration::zero()).unwrap();
        assert_eq!(ring.seeds().unwrap().all().count(), 2);
    }
}
