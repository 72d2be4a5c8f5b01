//! The keys on this machine. Nothing is made here: a process makes its keys when it first starts, or `tahuka secrets init`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Duration, Utc};
use tahuka_chassis::passport::{Ring, key_id};
use tahuka_chassis::{Config, SeedRing, clock};

use super::Findings;

const INIT: &str = "`tahuka secrets init` makes what is missing and overwrites nothing";

pub fn check(findings: &mut Findings, config: &Config, with_gateway: bool, pre: bool) {
    let mut needed = vec![("page.key", config.page_key_file()), ("pseudonym.key", config.pseudonym_key_file())];
    let signing = config.passport_key_file();
    let signs_here = signing.exists() || with_gateway;
    if signs_here {
        needed.push(("passport.key", signing));
    }
    let none_yet = needed.iter().all(|(_, file)| !file.exists() && later(file).is_empty());
    if pre && none_yet && can_be_made(needed.iter().map(|(_, file)| file.as_path())) {
        findings.ok("keys-present", "", "there are none yet; the first start makes them");
        for id in ["keys-private", "passport-keys", "keys-rotation"] {
            findings.skipped(id, "", "there are none yet");
        }
        return;
    }
    let mut whole = true;
    let mut files = Vec::new();
    for (name, file) in needed {
        let later = later(&file);
        // The first key is gone once it is retired, and the later ones stand for it.
        let found = match later.is_empty() || file.exists() {
            true => seed(&file),
            false => Ok(()),
        };
        match found {
            Ok(()) => findings.ok("keys-present", name, file.display().to_string()),
            Err(why) => {
                whole = false;
                findings.fail("keys-present", name, format!("{}: {why}", file.display()), INIT);
            }
        }
        files.push(file);
        files.extend(later);
    }
    files.extend(with_extension(&config.passport_keys_dir(), "key"));
    private(findings, &files);
    if !whole {
        findings.skipped("passport-keys", "", "a key is missing");
        findings.skipped("keys-rotation", "", "a key is missing");
        return;
    }
    passports(findings, config, signs_here);
    seeds(findings, config);
}

/// The keys that came after the one in `file`, e.g. `page.d/*.key` after `page.key`.
fn later(file: &Path) -> Vec<PathBuf> {
    with_extension(&file.with_extension("d"), "key")
}

fn with_extension(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
}

/// Whether a first start could write them.
fn can_be_made<'a>(mut files: impl Iterator<Item = &'a Path>) -> bool {
    files.all(|file| {
        let there = file.ancestors().skip(1).find(|dir| !dir.as_os_str().is_empty() && dir.exists());
        tempfile::Builder::new().prefix(".doctor").tempfile_in(there.unwrap_or(Path::new("."))).is_ok()
    })
}

fn seed(file: &Path) -> Result<(), &'static str> {
    let text = fs::read_to_string(file).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => "is missing",
        std::io::ErrorKind::PermissionDenied => "cannot be read by this user",
        _ => "cannot be read",
    })?;
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim(), &mut seed).map_err(|_| "is not a key of 64 hex digits")?;
    if seed == [0; 32] { Err("is all zeros") } else { Ok(()) }
}

/// What Kubernetes puts into a pod are links into a volume that only the pod has.
fn private(findings: &mut Findings, files: &[PathBuf]) {
    let open = |file: &&PathBuf| {
        let of_the_file = fs::symlink_metadata(file).ok().filter(|about| !about.is_symlink())?;
        Some(of_the_file.permissions().mode() & 0o077).filter(|others| *others != 0)
    };
    let open: Vec<String> = files.iter().filter(|file| open(file).is_some()).map(|file| file.display().to_string()).collect();
    match open.is_empty() {
        true => findings.ok("keys-private", "", "no key is open to other users"),
        false => findings.warn("keys-private", "", format!("others may use {}", open.join(", ")), "chmod 600 them"),
    }
}

fn passports(findings: &mut Findings, config: &Config, signs_here: bool) {
    let ring = match Ring::of(config) {
        Ok(ring) => ring,
        Err(e) => return findings.fail("passport-keys", "", e.to_string(), "mend passport.trusted_keys"),
    };
    let published = match published(config) {
        Ok(published) => published,
        Err(why) => return findings.fail("passport-keys", "", why, "copy the gateway's public keys there again"),
    };
    if !signs_here {
        match published.len() {
            0 => findings.fail(
                "passport-keys",
                "",
                "no public key is there",
                "copy the gateway's public keys into passport.keys_dir",
            ),
            n => findings.ok("passport-keys", "", format!("{n} trusted; the key that signs is on another machine")),
        }
        findings.skipped("keys-rotation", "", "the key that signs is on another machine");
        return;
    }
    let signing = match ring.signing() {
        Ok(key) => key_id(key.verifying_key().as_bytes()),
        Err(e) => return findings.fail("passport-keys", "", e.to_string(), INIT),
    };
    let advice = "publish its public half: copy passport.d/*.pub to every service";
    match (published.is_empty(), published.contains(&signing)) {
        (true, _) if config.peers.is_empty() => findings.ok("passport-keys", "", format!("{signing} signs, in one process")),
        // Services that read the same directory trust the key itself.
        (true, _) => findings.warn("passport-keys", "", format!("{signing} signs, and no public key is published"), advice),
        (false, true) => findings.ok("passport-keys", "", format!("{signing} signs, {} trusted", published.len())),
        (false, false) => findings.fail("passport-keys", "", format!("{signing} signs, and no service trusts it"), advice),
    }
    match ring.held() {
        Err(e) => findings.fail("keys-rotation", "passport", e.to_string(), "mend the files of passport.d"),
        Ok(held) => {
            let next = held.iter().filter_map(|key| key.signs_from).filter(|from| *from > clock::now()).max();
            let since = held.iter().find(|key| key.signs).and_then(|key| key.signs_from);
            let old = held.iter().filter(|key| !key.signs).count();
            rotation(findings, "passport", next, old, since, Duration::hours(1));
        }
    }
}

/// Keys of page tokens and of pseudonyms; the old ones of pseudonyms are kept for as long as recipients keep pseudonyms.
fn seeds(findings: &mut Findings, config: &Config) {
    let rings = [
        ("page", SeedRing::of_pages(config), Duration::hours(2)),
        ("pseudonym", SeedRing::of_pseudonyms(config), Duration::days(120)),
    ];
    for (name, ring, holds) in rings {
        match ring.held() {
            Err(e) => findings.fail("keys-rotation", name, e.to_string(), "mend the files of its directory"),
            Ok(held) => {
                let next = held.iter().filter_map(|key| key.used_from).filter(|from| *from > clock::now()).max();
                let since = held.iter().find(|key| key.used).and_then(|key| key.used_from);
                let old = held.iter().filter(|key| !key.used).count();
                rotation(findings, name, next, old, since, holds);
            }
        }
    }
}

/// `next`: a key that waits for its time. `old`: keys that are known and not used; since when the one in use is, and how
/// long what an old one has made is about.
fn rotation(
    findings: &mut Findings,
    name: &str,
    next: Option<DateTime<Utc>>,
    old: usize,
    since: Option<DateTime<Utc>>,
    holds: Duration,
) {
    if let Some(from) = next {
        findings.warn("keys-rotation", name, format!("the next key is used from {}", from.to_rfc3339()), "wait until then");
    } else if old > 0 && since.is_none_or(|since| clock::now() - since > holds) {
        let found = format!("{old} keys are known that are used no more");
        findings.warn("keys-rotation", name, found, &format!("`tahuka keys retire {name}` ends that"));
    } else {
        findings.ok("keys-rotation", name, "none is on its way");
    }
}

/// The ids of the public keys that services trust.
fn published(config: &Config) -> Result<Vec<String>, String> {
    let mut texts: Vec<(String, String)> =
        config.passport.trusted_keys.iter().map(|key| ("passport.trusted_keys".to_owned(), key.clone())).collect();
    for entry in fs::read_dir(config.passport_keys_dir()).into_iter().flatten().flatten() {
        let file = entry.path();
        if file.extension().is_some_and(|e| e == "pub") {
            let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
            texts.push((file.display().to_string(), text));
        }
    }
    let id = |(place, text): (String, String)| match hex::decode(text.trim()) {
        Ok(bytes) if bytes.len() == 32 => Ok(key_id(&bytes)),
        _ => Err(format!("{place}: not a public key of 64 hex digits")),
    };
    texts.into_iter().map(id).collect()
}

#[cfg(test)]
mod tests {
    use tahuka_chassis::keys;

    use super::super::Outcome::{self, Fail, Ok as Well, Skipped, Warn};
    use super::*;

    fn here() -> (tempfile::TempDir, Config) {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        for file in [config.page_key_file(), config.pseudonym_key_file(), config.passport_key_file()] {
            keys::seed(&file).unwrap();
        }
        (dir, config)
    }

    fn found(config: &Config) -> impl Fn(&str) -> Option<Outcome> {
        let mut findings = Findings::default();
        check(&mut findings, config, true, false);
        move |id| findings.outcome(id)
    }

    #[test]
    fn keys_of_one_process_are_well() {
        let (_dir, config) = here();
        let found = found(&config);
        for id in ["keys-present", "keys-private", "passport-keys", "keys-rotation"] {
            assert_eq!(found(id), Some(Well), "{id}");
        }
    }

    #[test]
    fn a_key_that_is_missing_or_broken_fails() {
        let (_dir, config) = here();
        fs::remove_file(config.page_key_file()).unwrap();
        assert_eq!(found(&config)("keys-present"), Some(Fail));
        assert!(!config.page_key_file().exists(), "a doctor makes no key");
        fs::write(config.page_key_file(), "short").unwrap();
        assert_eq!(found(&config)("keys-present"), Some(Fail));
        assert_eq!(found(&config)("passport-keys"), Some(Skipped));
    }

    #[test]
    fn before_the_first_start_none_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { data_dir: dir.path().join("data"), ..Config::default() };
        let mut findings = Findings::default();
        check(&mut findings, &config, true, true);
        assert_eq!(findings.outcome("keys-present"), Some(Well));
        let mut findings = Findings::default();
        check(&mut findings, &config, true, false);
        assert_eq!(findings.outcome("keys-present"), Some(Fail));
    }

    #[test]
    fn a_key_that_others_can_read_is_told() {
        let (_dir, config) = here();
        fs::set_permissions(config.pseudonym_key_file(), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(found(&config)("keys-private"), Some(Warn));
    }

    #[test]
    fn a_gateway_that_signs_with_a_key_that_nobody_trusts_fails() {
        let (_dir, mut config) = here();
        let own = Ring::of(&config).unwrap().signing().unwrap().verifying_key();
        let other = keys::signing_key(&config.data_dir.join("other.key")).unwrap().verifying_key();
        fs::create_dir_all(config.passport_keys_dir()).unwrap();
        fs::write(config.passport_keys_dir().join("other.pub"), hex::encode(other.as_bytes())).unwrap();
        assert_eq!(found(&config)("passport-keys"), Some(Fail));
        fs::write(config.passport_keys_dir().join("own.pub"), hex::encode(own.as_bytes())).unwrap();
        assert_eq!(found(&config)("passport-keys"), Some(Well));
        // A key that was replaced long ago is still trusted.
        assert_eq!(found(&config)("keys-rotation"), Some(Warn));

        fs::remove_dir_all(config.passport_keys_dir()).unwrap();
        config.peers.insert("registry".into(), "http://registry:50060".into());
        assert_eq!(found(&config)("passport-keys"), Some(Warn));
    }

    #[test]
    fn a_key_that_took_the_place_of_the_first_one_is_enough() {
        let (_dir, config) = here();
        let pages = SeedRing::of_pages(&config);
        pages.rotate(Duration::zero()).unwrap();
        pages.retire(true).unwrap();
        assert!(!config.page_key_file().exists());
        assert_eq!(found(&config)("keys-present"), Some(Well));
        assert_eq!(found(&config)("keys-rotation"), Some(Well));
        SeedRing::of_pseudonyms(&config).rotate(Duration::seconds(600)).unwrap();
        assert_eq!(found(&config)("keys-rotation"), Some(Warn));
    }

    #[test]
    fn a_change_of_keys_that_waits_is_told() {
        let (_dir, config) = here();
        Ring::of(&config).unwrap().rotate(Duration::seconds(600)).unwrap();
        assert_eq!(found(&config)("keys-rotation"), Some(Warn));
        assert_eq!(found(&config)("passport-keys"), Some(Well));
    }
}
