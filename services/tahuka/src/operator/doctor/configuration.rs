//! The configuration itself, and the directory that it names.

use std::path::Path;

use tahuka_chassis::{Config, Refusal};

use super::Findings;

/// Below this an embedded installation is about to stop.
const LEAST_ROOM: u64 = 100 << 20;
const LITTLE_ROOM: u64 = 1 << 30;

pub fn load(findings: &mut Findings, load: impl FnOnce() -> Result<Config, Refusal>) -> Option<Config> {
    match load() {
        Ok(config) => Some(config),
        Err(e) => {
            findings.fail("config-valid", "", e.to_string(), "`tahuka config --reference` tells every key");
            None
        }
    }
}

pub fn check(findings: &mut Findings, config: &Config) {
    let wrong = faults(config);
    if wrong.is_empty() {
        findings.ok("config-valid", "", "every key is known and has a value that makes sense");
    }
    for (key, why) in wrong {
        findings.fail("config-valid", key, why, "`tahuka config` shows what is in force");
    }
    if !config.database.is_embedded() {
        findings.skipped("data-dir", "", "the databases are elsewhere");
        return;
    }
    room(findings, &config.data_dir);
}

/// What serde cannot see.
fn faults(config: &Config) -> Vec<(&'static str, String)> {
    let mut wrong = Vec::new();
    let mut address = |key: &'static str, told: &str| {
        let port = told.rsplit_once(':').and_then(|(host, port)| port.parse::<u16>().ok().filter(|_| !host.is_empty()));
        if port.is_none() {
            wrong.push((key, "must be HOST:PORT".to_owned()));
        }
    };
    address("gateway.listen", &config.gateway.listen);
    address("operators.listen", &config.operators.listen);
    if let Some(listen) = &config.listen {
        address("listen", listen);
    }
    for (service, told) in &config.peers {
        for one in told.split(',') {
            if url::Url::parse(one.trim()).ok().is_none_or(|url| url.scheme() != "http" && url.scheme() != "https") {
                wrong.push(("peers", format!("{service}: must be http://HOST:PORT, or several with commas")));
            }
        }
    }
    if !["json", "text"].contains(&config.log.format.as_str()) {
        wrong.push(("log.format", "must be json or text".into()));
    }
    if config.gateway.tls.certificate_file.is_some() != config.gateway.tls.key_file.is_some() {
        wrong.push(("gateway.tls", "needs certificate_file and key_file, or neither".into()));
    }
    let platform = &config.platform;
    let told = [platform.issuer.is_some(), platform.audience.is_some(), platform.subject.is_some()];
    let keys = platform.jwks_file.is_some() || platform.jwks_url.is_some();
    if told.contains(&true) && !(told.iter().all(|told| *told) && keys) {
        wrong.push(("platform", "needs issuer, audience, subject, and jwks_file or jwks_url".into()));
    }
    if config.nats.replicas == 0 || config.nats.replicas > 5 {
        wrong.push(("nats.replicas", "must be 1 to 5".into()));
    }
    if let Err(e) = config.nats.server() {
        wrong.push(("nats", e.to_string()));
    }
    wrong
}

fn room(findings: &mut Findings, dir: &Path) {
    let subject = dir.display().to_string();
    // What is not there yet is made below the first directory that is.
    let mut place = dir;
    while !place.exists() {
        place = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
    }
    // Tried, since rights have more rules than can be asked.
    if let Err(e) = tempfile::Builder::new().prefix(".doctor").tempfile_in(place) {
        let advice = "give the process a directory of its own that it can write: --data-dir, or data_dir";
        return findings.fail("data-dir", &subject, format!("cannot be written: {e}"), advice);
    }
    let free = match rustix::fs::statvfs(place) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(e) => return findings.warn("data-dir", &subject, format!("its room is not known: {e}"), ""),
    };
    let found = format!("{} MB are free", free >> 20);
    match free {
        ..LEAST_ROOM => findings.fail("data-dir", &subject, found, "make room: without it nothing can be written"),
        LEAST_ROOM..LITTLE_ROOM => findings.warn("data-dir", &subject, found, "make room"),
        _ => findings.ok("data-dir", &subject, found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    fn found(config: &Config) -> Findings {
        let mut findings = Findings::default();
        check(&mut findings, config);
        findings
    }

    fn here() -> (tempfile::TempDir, Config) {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { data_dir: dir.path().join("data"), ..Config::default() };
        (dir, config)
    }

    #[test]
    fn the_defaults_are_well() {
        let (_dir, config) = here();
        let findings = found(&config);
        assert_eq!(findings.outcome("config-valid"), Some(Outcome::Ok));
        assert_ne!(findings.outcome("data-dir"), Some(Outcome::Fail));
        assert!(!config.data_dir.exists(), "a doctor makes nothing");
    }

    #[test]
    fn a_configuration_that_cannot_be_read_fails() {
        let mut findings = Findings::default();
        let refused = || Config::load(None, &[("gateway.lisen", "x".to_owned())]);
        assert!(load(&mut findings, refused).is_none());
        assert_eq!(findings.outcome("config-valid"), Some(Outcome::Fail));
        assert!(findings.of("config-valid")[0].1.contains("lisen"));
    }

    #[test]
    fn what_makes_no_sense_fails_each_by_its_key() {
        let (_dir, mut config) = here();
        config.operators.listen = "9090".into();
        config.peers.insert("registry".into(), "registry:50060".into());
        config.platform.issuer = Some("https://login.example".into());
        config.gateway.tls.key_file = Some("tls.key".into());
        let findings = found(&config);
        let all = findings.of("config-valid");
        assert!(all.iter().all(|(outcome, _)| *outcome == Outcome::Fail));
        // operators.listen, peers, platform, gateway.tls
        assert_eq!(all.len(), 4, "{all:?}");
    }

    #[test]
    fn a_data_directory_that_cannot_be_written_fails() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data");
        std::fs::write(&file, "").unwrap();
        let findings = found(&Config { data_dir: file, ..Config::default() });
        assert_eq!(findings.outcome("data-dir"), Some(Outcome::Fail));
    }
}
