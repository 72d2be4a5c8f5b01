//! The catalogue of checks, and what they have found.

use std::fmt::Write as _;

use serde::Serialize;
use tahuka_chassis::Refusal;

/// A check's id and what it looks at. The id never changes: it is an anchor of `docs/doctor.md`, and people's scripts and
/// alerts know it.
pub const CATALOGUE: &[(&str, &str)] = &[
    ("config-valid", "the configuration can be read and makes sense"),
    ("data-dir", "the data directory can be written and has room"),
    ("keys-present", "the keys are there, readable and whole"),
    ("keys-private", "nobody else on this machine can read a key"),
    ("passport-keys", "the key that signs passports is one that services trust"),
    ("keys-rotation", "no change of keys is left half done"),
    ("tls-certificate", "the gateway's certificate and key fit together and are in time"),
    ("issuer-keys", "the platform operator's identity provider gives its public keys"),
    ("ports-free", "the addresses to listen on are free"),
    ("database-reach", "the database answers"),
    ("database-version", "PostgreSQL is 15 or later"),
    ("database-clock", "the database and this machine agree about the time"),
    ("database-rights", "the login may do what it must"),
    ("database-schema", "the schema is the one of this binary"),
    ("database-policies", "row-level security is forced on every table, with its policies"),
    ("database-roles", "the roles of run time are above no rule and cannot change the schema"),
    ("nats-reach", "the NATS server answers"),
    ("nats-streams", "JetStream is on, and open to this account"),
    ("nats-replicas", "the stream has the replicas that are asked for"),
    ("journal-relayed", "events do not wait in the journal"),
    ("journal-in-stream", "the stream holds the newest event of the journal"),
    ("consumers-listen", "every consumer is known to the stream and keeps up"),
    ("dead-letters", "no event is parked"),
    ("access-log", "the newest rows of the access log are as they were written"),
    ("backup-age", "the last backup is not too old"),
    ("process-reach", "the process answers on its operators' port"),
    ("process-ready", "the process takes calls"),
    ("process-version", "the process is of this binary's version"),
    ("process-metrics", "the process gives its metrics"),
    ("ledger-balanced", "every posting balances"),
    ("gateway-reach", "the gateway answers"),
    ("gateway-health", "the gateway takes calls"),
    ("gateway-tls", "the gateway's certificate is trusted and in time"),
];

const DOCUMENT: &str = "docs/doctor.md";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    Skipped,
    Warn,
    Fail,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Skipped => "skipped",
            Outcome::Warn => "warn",
            Outcome::Fail => "FAIL",
        }
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    pub id: &'static str,
    pub check: &'static str,
    /// What was looked at: a service, a file, an address; empty where there is only one.
    pub subject: String,
    pub outcome: Outcome,
    pub found: String,
    /// What to do; empty where nothing is.
    pub advice: String,
}

#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    pub fn ok(&mut self, id: &'static str, subject: &str, found: impl Into<String>) {
        self.add(id, subject, Outcome::Ok, found.into(), "");
    }

    pub fn skipped(&mut self, id: &'static str, subject: &str, why: impl Into<String>) {
        self.add(id, subject, Outcome::Skipped, why.into(), "");
    }

    pub fn warn(&mut self, id: &'static str, subject: &str, found: impl Into<String>, advice: &str) {
        self.add(id, subject, Outcome::Warn, found.into(), advice);
    }

    pub fn fail(&mut self, id: &'static str, subject: &str, found: impl Into<String>, advice: &str) {
        self.add(id, subject, Outcome::Fail, found.into(), advice);
    }

    fn add(&mut self, id: &'static str, subject: &str, outcome: Outcome, found: String, advice: &str) {
        let check = CATALOGUE.iter().find(|(known, _)| *known == id).map_or("", |(_, check)| check);
        self.0.push(Finding { id, check, subject: subject.to_owned(), outcome, found, advice: advice.to_owned() });
    }

    pub fn failed(&self) -> usize {
        self.0.iter().filter(|finding| finding.outcome == Outcome::Fail).count()
    }

    pub fn json(&self) -> Result<String, Refusal> {
        serde_json::to_string_pretty(&self.0).map(|text| text + "\n").map_err(Refusal::internal)
    }

    /// A line for each, in the order of the catalogue, and below what is not well the way to mend it. What is the same of
    /// several subjects is one line.
    pub fn text(&self) -> String {
        let mut all: Vec<&Finding> = self.0.iter().collect();
        all.sort_by_key(|finding| CATALOGUE.iter().position(|(id, _)| *id == finding.id));
        let mut text = String::new();
        for same in all.chunk_by(|a, b| (a.id, a.outcome, &a.found, &a.advice) == (b.id, b.outcome, &b.found, &b.advice)) {
            let Finding { id, outcome, found, advice, .. } = same[0];
            let subjects: Vec<&str> = same.iter().map(|finding| finding.subject.as_str()).filter(|s| !s.is_empty()).collect();
            let of = if subjects.is_empty() { String::new() } else { format!(" [{}]", plain(&subjects.join(", "))) };
            let _ = writeln!(text, "{:<8} {id}{of}: {}", outcome.word(), plain(found));
            if *outcome >= Outcome::Warn {
                let advice = if advice.is_empty() { String::new() } else { format!("{advice}; ") };
                let _ = writeln!(text, "         {advice}{DOCUMENT}#{id}");
            }
        }
        let count = |outcome| all.iter().filter(|finding| finding.outcome == outcome).count();
        let (ok, skipped) = (count(Outcome::Ok), count(Outcome::Skipped));
        let (warned, failed) = (count(Outcome::Warn), count(Outcome::Fail));
        let _ = writeln!(text, "\n{ok} ok, {warned} to look at, {failed} failed, {skipped} skipped");
        text
    }

    #[cfg(test)]
    pub fn of(&self, id: &str) -> Vec<(Outcome, &str)> {
        self.0.iter().filter(|finding| finding.id == id).map(|finding| (finding.outcome, finding.found.as_str())).collect()
    }

    #[cfg(test)]
    pub fn outcome(&self, id: &str) -> Option<Outcome> {
        self.0.iter().filter(|finding| finding.id == id).map(|finding| finding.outcome).max()
    }
}

/// What came from elsewhere cannot speak to the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_its_place_in_the_document_and_no_other_has() {
        let document = include_str!("../../../../../docs/doctor.md");
        let mut told: Vec<&str> = document.lines().filter_map(|line| line.strip_prefix("### ")).collect();
        let mut known: Vec<&str> = CATALOGUE.iter().map(|(id, _)| *id).collect();
        told.sort_unstable();
        known.sort_unstable();
        assert_eq!(told, known);
        assert!(known.iter().all(|id| id.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
    }

    #[test]
    fn what_is_not_well_comes_with_the_way_to_mend_it() {
        let mut findings = Findings::default();
        findings.fail("keys-present", "page.key", "is \u{1b}[31mmissing", "run `tahuka secrets init`");
        findings.ok("config-valid", "", "good");
        findings.ok("database-reach", "registry", "answers");
        findings.ok("database-reach", "funding", "answers");
        let text = findings.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "ok       config-valid: good");
        assert_eq!(lines[1], "FAIL     keys-present [page.key]: is  [31mmissing");
        assert_eq!(lines[2], "         run `tahuka secrets init`; docs/doctor.md#keys-present");
        assert_eq!(lines[3], "ok       database-reach [registry, funding]: answers");
        assert_eq!(findings.failed(), 1);
        let json: serde_json::Value = serde_json::from_str(&findings.json().unwrap()).unwrap();
        assert_eq!((json[0]["id"].as_str(), json[0]["outcome"].as_str()), (Some("keys-present"), Some("fail")));
    }
}
