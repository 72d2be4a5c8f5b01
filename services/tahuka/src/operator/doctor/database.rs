//! A service's database, and what the login may do there.

use tahuka_chassis::inspect::{self, Role};
use tahuka_chassis::{Config, Refusal, ServiceSpec, Store};

use super::Findings;

/// The oldest PostgreSQL, as its number.
const OLDEST: i32 = 150_000;
/// Seconds by which clocks may differ before people notice, and before passports fail.
const SKEWED: f64 = 1.0;
const TOO_SKEWED: f64 = 5.0;

const LATER: [&str; 6] =
    ["database-version", "database-clock", "database-rights", "database-schema", "database-policies", "database-roles"];
/// What there is only once it is installed.
const AFTER: [&str; 3] = ["database-schema", "database-policies", "database-roles"];

/// The store, if its database answers and lets itself be looked at.
pub async fn check(findings: &mut Findings, config: &Config, spec: &ServiceSpec, pre: bool) -> Option<Store> {
    let service = spec.name;
    if pre && config.database.is_embedded() {
        findings.skipped("database-reach", service, "it is a file, made at the first start");
        return None;
    }
    let store = match inspect::open(service, config).await {
        Ok(store) => store,
        Err(e) => {
            let advice = match config.database.is_embedded() {
                true => "start the process, which makes it, or say where it is: --data-dir",
                false => "see that the server runs, and that database.url is right",
            };
            findings.fail("database-reach", service, e.to_string(), advice);
            for id in LATER.into_iter().filter(|id| !pre || !AFTER.contains(id)) {
                findings.skipped(id, service, "the database does not answer");
            }
            return None;
        }
    };
    findings.ok("database-reach", service, "answers");
    if let Err(e) = look(findings, config, spec, &store, pre).await {
        findings.fail("database-rights", service, format!("cannot be asked: {e}"), "give the login its rights");
        return None;
    }
    Some(store)
}

async fn look(findings: &mut Findings, config: &Config, spec: &ServiceSpec, store: &Store, pre: bool) -> Result<(), Refusal> {
    let service = spec.name;
    let server = inspect::server(store).await?;
    match server.version {
        None => findings.skipped("database-version", service, "SQLite, which is in the binary"),
        Some(version) if version < OLDEST => {
            findings.fail("database-version", service, shown(version), "PostgreSQL 15 or later is needed");
        }
        Some(version) => findings.ok("database-version", service, shown(version)),
    }
    match server.version {
        None => findings.skipped("database-clock", service, "it is this machine's"),
        Some(_) => clock(findings, service, server.ahead),
    }
    if let Some(login) = inspect::role(store, None).await? {
        rights(findings, service, &login, pre || config.database.migrate_on_start);
    } else {
        findings.skipped("database-rights", service, "a file has no roles");
    }
    if pre {
        return Ok(());
    }
    schema(findings, spec, store).await?;
    if server.version.is_none() {
        findings.skipped("database-policies", service, "SQLite has the query filter alone");
        findings.skipped("database-roles", service, "a file has no roles");
        return Ok(());
    }
    let open = inspect::unguarded(spec, store).await?;
    if open.is_empty() {
        findings.ok("database-policies", service, "row-level security is forced, with its policies, on every table");
    }
    for gap in open {
        findings.fail("database-policies", service, gap, "`tahuka migrate` sets policies anew where a table has changed");
    }
    let too_much = inspect::runtime_roles(store, config.database.login_role_of(service).as_deref()).await?;
    if too_much.is_empty() {
        findings.ok("database-roles", service, "they are above no rule and cannot change the schema");
    }
    for power in too_much {
        findings.fail("database-roles", service, power, "take it away: what serves tenants must not be above the rules");
    }
    Ok(())
}

fn shown(version: i32) -> String {
    format!("PostgreSQL {}.{}", version / 10_000, version % 10_000)
}

fn clock(findings: &mut Findings, service: &str, ahead: f64) {
    let found = format!("it is {:.1} s {}", ahead.abs(), if ahead < 0.0 { "behind" } else { "ahead" });
    let advice = "let both machines follow the same time servers";
    match ahead.abs() {
        TOO_SKEWED.. => findings.fail("database-clock", service, found, advice),
        SKEWED.. => findings.warn("database-clock", service, found, advice),
        _ => findings.ok("database-clock", service, found),
    }
}

/// `installs`: the login is to make the schema, or one beside it has.
fn rights(findings: &mut Findings, service: &str, login: &Role, installs: bool) {
    let name = &login.name;
    match (login.is_superuser, login.migrates(), login.serves()) {
        (true, ..) => {
            let advice = "give it CREATEROLE and CREATE on the database, and no more";
            findings.warn("database-rights", service, format!("{name} is a superuser"), advice);
        }
        (_, true, _) => findings.ok("database-rights", service, format!("{name} may migrate")),
        (_, _, true) => findings.ok("database-rights", service, format!("{name} may serve, and not change the schema")),
        // Who migrates on another database of the same server may own the schema without being able to make one.
        _ if !installs && login.owns > 0 => findings.ok("database-rights", service, format!("{name} owns the schema")),
        _ => {
            let found = format!("{name} may neither migrate nor serve");
            let advice = "as a migrator it needs CREATEROLE and CREATE on the database; as a service's login, to be database.login_role of `tahuka migrate`";
            findings.fail("database-rights", service, found, advice);
        }
    }
}

async fn schema(findings: &mut Findings, spec: &ServiceSpec, store: &Store) -> Result<(), Refusal> {
    let found = inspect::migrations(spec, store).await?;
    match (found.missing.len(), found.unknown.len()) {
        (0, 0) => findings.ok("database-schema", spec.name, "is current"),
        (0, n) => {
            let told = format!("is newer than this binary: {n} migrations are not known here");
            findings.warn("database-schema", spec.name, told, "finish the upgrade");
        }
        (n, _) => {
            let told = format!("{n} migrations are missing, {} first", found.missing[0]);
            findings.fail("database-schema", spec.name, told, "run `tahuka migrate`");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn clocks_that_differ_are_told_and_then_fail() {
        for (ahead, outcome) in [(0.2, Outcome::Ok), (-3.0, Outcome::Warn), (-7.5, Outcome::Fail), (61.0, Outcome::Fail)] {
            let mut findings = Findings::default();
            clock(&mut findings, "registry", ahead);
            assert_eq!(findings.outcome("database-clock"), Some(outcome), "{ahead}");
        }
    }

    #[test]
    fn a_login_needs_the_rights_of_one_of_the_two_kinds() {
        let nothing = Role {
            name: "someone".into(),
            is_superuser: false,
            bypasses_policies: false,
            makes_roles: false,
            makes_schemas: false,
            changes_schema: false,
            owns: 0,
            takes_on: 0,
            reads_migrations: false,
        };
        let told = |login: Role| {
            let mut findings = Findings::default();
            rights(&mut findings, "registry", &login, true);
            findings.outcome("database-rights")
        };
        assert_eq!(told(nothing.clone()), Some(Outcome::Fail));
        assert_eq!(told(Role { makes_schemas: true, ..nothing.clone() }), Some(Outcome::Fail));
        assert_eq!(told(Role { makes_schemas: true, makes_roles: true, ..nothing.clone() }), Some(Outcome::Ok));
        assert_eq!(told(Role { takes_on: 2, reads_migrations: true, ..nothing.clone() }), Some(Outcome::Ok));
        assert_eq!(told(Role { takes_on: 1, reads_migrations: true, ..nothing.clone() }), Some(Outcome::Fail));
        assert_eq!(told(Role { is_superuser: true, ..nothing }), Some(Outcome::Warn));
    }
}
