//! Row-level security on PostgreSQL: each transaction takes on a role that owns nothing and
//! bypasses nothing, and carries the caller's scope in settings that the policies read.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

use crate::caller::{Caller, Scope};
use crate::refusal::Refusal;

/// The role that every transaction of `service` runs as.
fn role(service: &str) -> String {
    format!("tahuka_{service}_rw")
}

/// The statement that puts the caller's scope into the transaction.
pub(super) fn carry(service: &str, caller: &Caller) -> Statement {
    let (system, scope) = match &caller.scope {
        Scope::System => ("on", String::new()),
        Scope::Entries(entries) => {
            let mut pairs = Vec::new();
            for entry in entries {
                if entry.districts.is_empty() {
                    pairs.push(format!("{}|*", entry.custodian));
                }
                pairs.extend(entry.districts.iter().map(|d| format!("{}|{d}", entry.custodian)));
            }
            ("off", pairs.join(","))
        }
    };
    Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT set_config('role', $1, true), set_config('tahuka.system', $2, true), \
         set_config('tahuka.scope', $3, true), set_config('tahuka.tenant', $4, true)",
        [role(service).into(), system.into(), scope.into(), caller.tenant_id.to_string().into()],
    )
}

/// A table under scope, and whether it has a `district` column beside `custodian_id`.
pub type ScopedTable = (&'static str, bool);

/// Gives the service's role its rights and each scoped table its policy; can be repeated.
pub(crate) async fn secure(service: &str, db: &DatabaseConnection, tables: &[ScopedTable]) -> Result<(), Refusal> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let role = role(service);
    let mut sql = vec![
        format!(
            "DO $$ BEGIN CREATE ROLE {role} NOLOGIN NOBYPASSRLS; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        ),
        format!("DO $$ BEGIN GRANT {role} TO CURRENT_USER; EXCEPTION WHEN OTHERS THEN NULL; END $$"),
        format!("GRANT USAGE ON SCHEMA {service} TO {role}"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {service} TO {role}"),
        format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA {service} TO {role}"),
        "ALTER TABLE idempotency ENABLE ROW LEVEL SECURITY".to_owned(),
        "ALTER TABLE idempotency FORCE ROW LEVEL SECURITY".to_owned(),
        "DROP POLICY IF EXISTS own ON idempotency".to_owned(),
        "CREATE POLICY own ON idempotency USING (current_setting('tahuka.system', true) = 'on' \
         OR tenant_id::text = current_setting('tahuka.tenant', true))"
            .to_owned(),
    ];
    for (table, has_district) in tables {
        let mut within = "current_setting('tahuka.system', true) = 'on' \
             OR (custodian_id::text || '|*') = ANY (string_to_array(current_setting('tahuka.scope', true), ','))"
            .to_owned();
        if *has_district {
            within.push_str(
                " OR (custodian_id::text || '|' || district) = ANY (string_to_array(current_setting('tahuka.scope', true), ','))",
            );
        } else {
            within.push_str(
                " OR custodian_id::text = ANY (SELECT split_part(pair, '|', 1) FROM \
                 unnest(string_to_array(current_setting('tahuka.scope', true), ',')) AS pair)",
            );
        }
        sql.push(format!("ALTER TABLE \"{table}\" ENABLE ROW LEVEL SECURITY"));
        sql.push(format!("ALTER TABLE \"{table}\" FORCE ROW LEVEL SECURITY"));
        sql.push(format!("DROP POLICY IF EXISTS scope ON \"{table}\""));
        sql.push(format!("CREATE POLICY scope ON \"{table}\" USING ({within})"));
    }
    for statement in sql {
        db.execute_unprepared(&statement).await?;
    }
    Ok(())
}
