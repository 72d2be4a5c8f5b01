//! Whether the second lock holds: the policies of every table, and the roles that services take on.

use sea_orm::DbBackend;

use super::database::{Role, all, role};
use crate::refusal::Refusal;
use crate::service::ServiceSpec;
use crate::store::{Store, security};

const POLICIES: &str = "adds,changes,reads,removes,system";

/// What is open on PostgreSQL that should not be, table by table. Empty: every table is under its policies.
pub async fn unguarded(spec: &ServiceSpec, store: &Store) -> Result<Vec<String>, Refusal> {
    let db = store.connection();
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(Vec::new());
    }
    let service = spec.name;
    let sql = format!(
        "SELECT c.relname::text AS name, c.relrowsecurity, c.relforcerowsecurity, \
         coalesce((SELECT string_agg(p.policyname::text, ',' ORDER BY p.policyname::text COLLATE \"C\") FROM pg_policies p \
         WHERE p.schemaname = '{service}' AND p.tablename = c.relname), '') AS policies, \
         coalesce((SELECT string_agg(p.policyname::text, ', ' ORDER BY p.policyname) FROM pg_policies p \
         WHERE p.schemaname = '{service}' AND p.tablename = c.relname AND p.policyname <> 'system' \
         AND (p.qual = 'true' OR p.with_check = 'true')), '') AS open \
         FROM pg_class c WHERE c.relnamespace = to_regnamespace('{service}')::oid AND c.relkind IN ('r', 'p') \
         AND c.relname <> 'seaql_migrations' ORDER BY c.relname"
    );
    let expected = security::guarded(spec);
    let (mut open, mut seen) = (Vec::new(), Vec::new());
    for row in all(db, sql).await? {
        let table: String = row.try_get("", "name")?;
        let Some(rule) = expected.iter().find(|rule| rule.table == table) else {
            open.push(format!("{table}: the service knows no such table"));
            continue;
        };
        if !row.try_get::<bool>("", "relrowsecurity")? {
            open.push(format!("{table}: row-level security is off"));
        } else if rule.forced && !row.try_get::<bool>("", "relforcerowsecurity")? {
            open.push(format!("{table}: row-level security is not forced"));
        }
        let policies: String = row.try_get("", "policies")?;
        if policies != POLICIES {
            let has = if policies.is_empty() { "none" } else { &policies };
            open.push(format!("{table}: its policies must be {POLICIES}; there are: {has}"));
        }
        let all_pass: String = row.try_get("", "open")?;
        if !all_pass.is_empty() && !rule.lets_all_pass {
            open.push(format!("{table}: lets everybody pass: {all_pass}"));
        }
        seen.push(table);
    }
    let missing = expected.iter().filter(|rule| !seen.iter().any(|table| table == rule.table));
    open.extend(missing.map(|rule| format!("{}: the table is missing", rule.table)));
    Ok(open)
}

/// What the roles that the service takes on may do and should not, and what its login may, if one is told.
pub async fn runtime_roles(store: &Store, login: Option<&str>) -> Result<Vec<String>, Refusal> {
    let mut too_much = Vec::new();
    if store.connection().get_database_backend() != DbBackend::Postgres {
        return Ok(too_much);
    }
    let service = store.service();
    let names = [Some(security::tenants(service)), Some(security::system(service)), login.map(str::to_owned)];
    for name in names.into_iter().flatten() {
        match role(store, Some(&name)).await? {
            Some(role) => too_much.extend(powers(&role).into_iter().map(|power| format!("{name} {power}"))),
            None => too_much.push(format!("{name} does not exist")),
        }
    }
    Ok(too_much)
}

fn powers(role: &Role) -> Vec<&'static str> {
    let has = [
        (role.is_superuser, "is a superuser"),
        (role.bypasses_policies, "bypasses row-level security"),
        (role.makes_roles, "may make roles"),
        (role.changes_schema, "may change the schema"),
        (role.owns > 0, "owns tables"),
    ];
    has.into_iter().filter(|(has, _)| *has).map(|(_, power)| power).collect()
}
