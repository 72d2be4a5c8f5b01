//! `tahuka secrets init`: the keys of an installation, as files, as Secrets of Kubernetes, or both.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use tahuka_chassis::passport::key_id;
use tahuka_chassis::{Refusal, keys};

#[derive(Subcommand)]
pub enum SecretsCommand {
    /// Make the keys that are missing; a key that is there is never overwritten
    Init(Init),
}

#[derive(Args)]
pub struct Init {
    /// Where the keys are kept; keep a copy where no fire and no thief reaches both
    #[arg(long, value_name = "DIR", required_unless_present = "kubernetes")]
    out: Option<PathBuf>,
    /// Print manifests of the Secrets NAME-keys and NAME-gateway-keys. Without --out the keys are nowhere else: save what
    /// is printed
    #[arg(long, value_name = "NAME")]
    kubernetes: Option<String>,
    /// The Secrets' namespace
    #[arg(long, value_name = "NAMESPACE", requires = "kubernetes")]
    namespace: Option<String>,
}

/// What tenants' page tokens and pseudonyms are made with; every service has them.
const SHARED: [&str; 2] = ["page.key", "pseudonym.key"];
/// What passports are signed with; the gateway alone has it.
const SIGNING: &str = "passport.key";

pub fn run(command: &SecretsCommand) -> Result<(), Refusal> {
    let SecretsCommand::Init(init) = command;
    // Without a place of their own they are thrown away once they are printed.
    let temporary = tempfile::tempdir().map_err(Refusal::internal)?;
    let dir = init.out.as_deref().unwrap_or(temporary.path());
    for (file, is_new) in make(dir)? {
        if init.out.is_some() {
            eprintln!("{} {}", if is_new { "made " } else { "there" }, file.display());
        }
    }
    if let Some(name) = &init.kubernetes {
        print!("{}", manifests(dir, name, init.namespace.as_deref())?);
    }
    Ok(())
}

/// Makes what is missing; each file, and whether it is new.
fn make(dir: &Path) -> Result<Vec<(PathBuf, bool)>, Refusal> {
    let mut made = Vec::new();
    for name in SHARED {
        let file = dir.join(name);
        let is_new = !file.exists();
        // The first key is gone once it is retired; what came after it stays in use.
        if is_new && has_keys(&file.with_extension("d")) {
            continue;
        }
        // A file that is there must be a key: a broken one is better found now.
        keys::seed(&file)?;
        made.push((file, is_new));
    }
    let signing = dir.join(SIGNING);
    let is_new = !signing.exists();
    let public = keys::signing_key(&signing)?.verifying_key();
    made.push((signing, is_new));
    let file = dir.join("passport.d").join(format!("{}.pub", key_id(public.as_bytes())));
    let is_new = !file.exists();
    if is_new {
        let failed = |e: std::io::Error| Refusal::Internal(format!("key file {}: {e}", file.display()));
        fs::create_dir_all(dir.join("passport.d")).map_err(failed)?;
        fs::write(&file, format!("{}\n", hex::encode(public.as_bytes()))).map_err(failed)?;
    }
    made.push((file, is_new));
    Ok(made)
}

fn has_keys(dir: &Path) -> bool {
    let mut files = fs::read_dir(dir).into_iter().flatten().flatten();
    files.any(|entry| entry.path().extension().is_some_and(|e| e == "key"))
}

/// Two Secrets: the gateway's key is no other process's.
fn manifests(dir: &Path, name: &str, namespace: Option<&str>) -> Result<String, Refusal> {
    let is_good = |part: &str| {
        let inner = part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        inner && !part.is_empty() && part.len() <= 40 && !part.starts_with('-') && !part.ends_with('-')
    };
    if !is_good(name) {
        return Err(Refusal::invalid("--kubernetes", "must be lower-case letters, digits and hyphens"));
    }
    if namespace.is_some_and(|namespace| !is_good(namespace)) {
        return Err(Refusal::invalid("--namespace", "must be lower-case letters, digits and hyphens"));
    }
    let read = |file: &str| {
        let file = dir.join(file);
        fs::read(&file).map_err(|e| Refusal::Internal(format!("key file {}: {e}", file.display())))
    };
    let public = keys::signing_key(&dir.join(SIGNING))?.verifying_key();
    let mut shared = Vec::new();
    for file in SHARED {
        shared.push((file, read(file)?));
    }
    shared.push(("passport.pub", format!("{}\n", hex::encode(public.as_bytes())).into_bytes()));
    let secrets = [(format!("{name}-keys"), shared), (format!("{name}-gateway-keys"), vec![(SIGNING, read(SIGNING)?)])];
    let mut text = String::new();
    for (secret, data) in secrets {
        let place = namespace.map(|namespace| format!("\n  namespace: {namespace}")).unwrap_or_default();
        let _ = write!(text, "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: {secret}{place}\n");
        let _ = writeln!(text, "type: Opaque\nimmutable: false\ndata:");
        for (key, value) in data {
            let _ = writeln!(text, "  {key}: {}", STANDARD.encode(value));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tahuka_chassis::Config;
    use tahuka_chassis::passport::Ring;

    use super::*;

    #[test]
    fn keys_are_made_once_and_for_their_owner() {
        let dir = tempfile::tempdir().unwrap();
        assert!(make(dir.path()).unwrap().iter().all(|(_, is_new)| *is_new));
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        let before = SHARED.map(read);
        assert_ne!(before[0], before[1]);
        fs::remove_file(dir.path().join(SIGNING)).unwrap();
        let again = make(dir.path()).unwrap();
        assert_eq!(again.iter().filter(|(_, is_new)| *is_new).count(), 2, "the signing key and its public half");
        assert_eq!(SHARED.map(read), before);
        for name in SHARED.into_iter().chain([SIGNING]) {
            assert_eq!(fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        }
        fs::write(dir.path().join("page.key"), "not a key").unwrap();
        assert!(make(dir.path()).is_err());
        assert_eq!(read("page.key"), "not a key");
    }

    #[test]
    fn services_trust_the_key_that_the_gateway_signs_with() {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path()).unwrap();
        let ring = Ring::of(&Config { data_dir: dir.path().join("elsewhere"), ..config(dir.path()) }).unwrap();
        let signs = ring.signing().unwrap().verifying_key();
        assert!(ring.trusted().unwrap().contains(&signs));
    }

    fn config(dir: &Path) -> Config {
        let mut config = Config::default();
        config.passport.signing_key_file = Some(dir.join(SIGNING));
        config.passport.keys_dir = Some(dir.join("passport.d"));
        config
    }

    #[test]
    fn the_gateway_s_key_is_in_a_secret_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path()).unwrap();
        let text = manifests(dir.path(), "tahuka", Some("aid")).unwrap();
        let secrets: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
        let names: Vec<_> = secrets.iter().map(|secret| secret["metadata"]["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["tahuka-keys", "tahuka-gateway-keys"]);
        assert!(secrets.iter().all(|secret| secret["metadata"]["namespace"] == "aid" && secret["kind"] == "Secret"));
        let keys: Vec<_> = secrets[0]["data"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["page.key", "passport.pub", "pseudonym.key"]);
        assert_eq!(secrets[1]["data"].as_object().unwrap().len(), 1);
        let page = STANDARD.decode(secrets[0]["data"]["page.key"].as_str().unwrap()).unwrap();
        assert_eq!(page, fs::read(dir.path().join("page.key")).unwrap());
        assert!(manifests(dir.path(), "Tahuka Keys", None).is_err());
    }
}
