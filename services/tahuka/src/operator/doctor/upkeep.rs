//! What needs somebody's hand from time to time: events that wait or are parked, the access log, backups.

use chrono::Duration;
use tahuka_chassis::access_log::{self, Verdict};
use tahuka_chassis::backup::{self, Kind};
use tahuka_chassis::{Refusal, ServiceSpec, Store, clock, inspect};

use super::Findings;

/// Seconds that an event may wait in the journal.
const LATE: i64 = 60;
const TOO_LATE: i64 = 600;
/// Rows of the access log that are looked at; `tahuka audit verify` looks at all.
const ROWS: u64 = 1000;
/// Hours between backups: a day, and time to make one.
const BACKUP: i64 = 26;

/// Whoever looks after dead letters.
pub const DEAD_LETTERS: &str = "`tahuka dead-letters list` tells why; mend it and replay them";
pub const NO_BACKUP: &str = "take one with `tahuka backup`, and have it taken every day";
pub const CHAIN: &str = "`tahuka audit verify` walks all of it; keep the database as it is and find out who wrote to it";

pub async fn check(findings: &mut Findings, spec: &ServiceSpec, store: &Store) {
    let service = spec.name;
    // Without its tables there is nothing to ask; `database-schema` has said so.
    if inspect::migrations(spec, store).await.is_ok_and(|found| !found.missing.is_empty()) {
        for id in ["journal-relayed", "dead-letters", "access-log", "backup-age"] {
            findings.skipped(id, service, "the schema is not current");
        }
        return;
    }
    if let Err(e) = relayed(findings, store).await {
        findings.fail("journal-relayed", service, e.to_string(), "let the login take on the service's roles");
    }
    match inspect::dead_letters(store).await {
        Err(e) => findings.fail("dead-letters", service, e.to_string(), "let the login take on the service's roles"),
        Ok(letters) if letters.is_empty() => findings.ok("dead-letters", service, "none"),
        Ok(letters) => {
            let each = letters.iter().map(|l| format!("{} of {} at {} ({})", l.count, l.kind, l.consumer, l.error));
            findings.warn("dead-letters", service, each.collect::<Vec<_>>().join(", "), DEAD_LETTERS);
        }
    }
    match access_log::verify_newest(store, ROWS).await {
        Ok(Verdict::Whole { rows, .. }) => findings.ok("access-log", service, format!("{rows} rows")),
        Ok(Verdict::Broken { row, why }) => findings.fail("access-log", service, format!("row {row} {why}"), CHAIN),
        Err(e) => findings.fail("access-log", service, e.to_string(), "let the login take on the service's roles"),
    }
    if let Err(e) = backed_up(findings, store).await {
        findings.fail("backup-age", service, e.to_string(), "let the login take on the service's roles");
    }
}

async fn relayed(findings: &mut Findings, store: &Store) -> Result<(), Refusal> {
    let service = store.service();
    let backlog = inspect::backlog(store).await?;
    let waits = backlog.waiting_since.map_or(0, |since| (clock::now() - since).num_seconds());
    let found = format!("{} events wait, the oldest for {waits} s", backlog.waiting);
    let advice = "the running service puts them on the bus; see that it runs and that the bus answers";
    match waits {
        TOO_LATE.. => findings.fail("journal-relayed", service, found, advice),
        LATE.. => findings.warn("journal-relayed", service, found, advice),
        _ => findings.ok("journal-relayed", service, found),
    }
    Ok(())
}

async fn backed_up(findings: &mut Findings, store: &Store) -> Result<(), Refusal> {
    let service = store.service();
    match backup::noted(store, Kind::Backup).await?.map(|mark| mark.taken_at) {
        None => findings.warn("backup-age", service, "there has been none", NO_BACKUP),
        Some(taken) if clock::now() - taken > Duration::hours(BACKUP) => {
            findings.warn("backup-age", service, format!("the last one is of {}", taken.to_rfc3339()), NO_BACKUP);
        }
        Some(taken) => findings.ok("backup-age", service, format!("the last one is of {}", taken.to_rfc3339())),
    }
    Ok(())
}
