//! Row-level security on PostgreSQL: each transaction takes on a role that owns nothing and
//! bypasses nothing, and carries the caller's reach in settings that the policies read.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionTrait};
use sha2::{Digest, Sha256};

use super::Enforcement;
use super::reach::Reach;
use crate::caller::{Caller, Scope};
use crate::custody::trigger;
use crate::refusal::Refusal;
use crate::service::ServiceSpec;

/// A table under scope, and whether it has a `district` column beside `custodian_id`.
pub type ScopedTable = (&'static str, bool);

/// A table whose rows have not one custodian: who sees a row, who may add it and who may change it. Conditions of SQL;
/// `{tenant}` stands for the caller's tenant, `{kind}` for its kind.
pub struct SharedTable {
    pub table: &'static str,
    pub read: &'static str,
    pub add: &'static str,
    pub change: &'static str,
}

const TENANT: &str = "(SELECT nullif(current_setting('tahuka.tenant', true), '')::uuid)";
const KIND: &str = "(SELECT current_setting('tahuka.kind', true))";

/// Tenants' transactions run as this role.
pub(crate) fn tenants(service: &str) -> String {
    format!("tahuka_{service}_rw")
}

/// The house's own background work runs as this role. A role and not a setting, so that the policy of tenants is no
/// disjunction and its indexes are used.
pub(crate) fn system(service: &str) -> String {
    format!("tahuka_{service}_system")
}

/// The statement that puts the caller into the transaction.
pub(super) fn carry(service: &str, caller: &Caller, enforcement: Enforcement) -> Statement {
    let unlimited = caller.scope == Scope::System || enforcement == Enforcement::FilterOnly;
    let role = if unlimited { system(service) } else { tenants(service) };
    let kind = serde_json::to_value(caller.tenant_kind).ok().and_then(|k| k.as_str().map(str::to_owned)).unwrap_or_default();
    let (read, write) = (Reach::to_read(&caller.scope), Reach::to_write(&caller.scope));
    Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT set_config('role', $1, true), set_config('tahuka.system', $2, true), set_config('tahuka.tenant', $3, true), \
         set_config('tahuka.kind', $4, true), set_config('tahuka.read', $5, true), set_config('tahuka.read_whole', $6, true), \
         set_config('tahuka.read_parts', $7, true), set_config('tahuka.write', $8, true), \
         set_config('tahuka.write_whole', $9, true), set_config('tahuka.write_parts', $10, true)",
        [
            role.into(),
            if unlimited { "on" } else { "off" }.into(),
            caller.tenant_id.to_string().into(),
            kind.into(),
            read.custodians().into(),
            read.whole().into(),
            read.parts().into(),
            write.custodians().into(),
            write.whole().into(),
            write.parts().into(),
        ],
    )
}

/// Rows within the caller's reach to `read` or to `write`. Each setting is read once in a statement, and the first
/// condition can be looked up in an index that begins with the custodian.
fn within(verb: &str, has_district: bool) -> String {
    // The inner cast reads the text, once; the outer one only says that this is an array and no subquery.
    let custodians = |setting: String| format!("(SELECT nullif(current_setting('tahuka.{setting}', true), '')::uuid[])::uuid[]");
    let any = format!("custodian_id = ANY ({})", custodians(verb.to_owned()));
    if !has_district {
        return any;
    }
    format!(
        "{any} AND (custodian_id = ANY ({}) OR (custodian_id::text || '|' || district) = \
         ANY ((SELECT string_to_array(current_setting('tahuka.{verb}_parts', true), ','))::text[]))",
        custodians(format!("{verb}_whole"))
    )
}

/// What tenants may do with the rows of one table.
struct Rule {
    table: &'static str,
    read: String,
    add: String,
    change: String,
    /// The owner, who relays the journal, passes only where this is false.
    forced: bool,
}

impl Rule {
    fn scoped((table, has_district): &ScopedTable) -> Self {
        let write = within("write", *has_district);
        Rule { table, read: within("read", *has_district), add: write.clone(), change: write, forced: true }
    }

    fn shared(shared: &SharedTable) -> Self {
        let told = |condition: &str| condition.replace("{tenant}", TENANT).replace("{kind}", KIND);
        let (read, add, change) = (told(shared.read), told(shared.add), told(shared.change));
        Rule { table: shared.table, read, add, change, forced: true }
    }

    fn statements(&self, service: &str) -> Vec<String> {
        let (tenants, system, table) = (tenants(service), system(service), self.table);
        let on = format!("{service}.\"{table}\"");
        let force = if self.forced { "FORCE" } else { "NO FORCE" };
        let Rule { read, add, change, .. } = self;
        vec![
            format!(
                "DO $$ DECLARE old record; BEGIN FOR old IN SELECT policyname FROM pg_policies WHERE schemaname = '{service}' \
                 AND tablename = '{table}' LOOP EXECUTE format('DROP POLICY %I ON {on}', old.policyname); END LOOP; END $$"
            ),
            format!("ALTER TABLE {on} ENABLE ROW LEVEL SECURITY"),
            format!("ALTER TABLE {on} {force} ROW LEVEL SECURITY"),
            format!("CREATE POLICY system ON {on} TO {system} USING (true) WITH CHECK (true)"),
            format!("CREATE POLICY reads ON {on} FOR SELECT TO {tenants} USING ({read})"),
            format!("CREATE POLICY adds ON {on} FOR INSERT TO {tenants} WITH CHECK ({add})"),
            format!("CREATE POLICY changes ON {on} FOR UPDATE TO {tenants} USING ({change}) WITH CHECK ({change})"),
            format!("CREATE POLICY removes ON {on} FOR DELETE TO {tenants} USING ({change})"),
        ]
    }
}

/// The chassis's own tables. A tenant's transaction adds to the journal and reads nothing of it.
fn chassis() -> Vec<Rule> {
    let own = format!("tenant_id = {TENANT}");
    let system_only = |table, forced| Rule { table, read: "false".into(), add: "false".into(), change: "false".into(), forced };
    vec![
        Rule { table: "idempotency", read: own.clone(), add: own.clone(), change: own, forced: true },
        Rule { add: within("write", false), ..system_only("journal", false) },
        system_only("inbox", true),
        system_only("dead_letter", true),
        Rule { read: within("read", true), ..system_only("access_log_subject", true) },
        // Whoever sees somebody of those shown sees that they were shown: the subquery is under the rule above.
        Rule {
            read: "EXISTS (SELECT 1 FROM access_log_subject AS shown WHERE shown.access_id = access_log.id)".into(),
            ..system_only("access_log", true)
        },
        system_only("access_log_head", true),
        system_only("backup_mark", true),
        // Who writes must see whether it may: the triggers look here in the caller's name.
        Rule { read: "true".into(), ..system_only("seal", true) },
        system_only("unit_custody", true),
        system_only("custody_tranche", true),
        system_only("custody_selected", true),
        system_only("custody_step", true),
        system_only("held_event", true),
        system_only("bundle_import", true),
    ]
}

/// What a table of the service must be under.
pub(crate) struct Guarded {
    pub table: &'static str,
    pub forced: bool,
    /// A rule of it says so.
    pub lets_all_pass: bool,
}

pub(crate) fn guarded(spec: &ServiceSpec) -> Vec<Guarded> {
    let lets_all_pass = |rule: &Rule| [&rule.read, &rule.add, &rule.change].into_iter().any(|condition| condition == "true");
    rules(spec).map(|rule| Guarded { table: rule.table, forced: rule.forced, lets_all_pass: lets_all_pass(&rule) }).collect()
}

fn rules(spec: &ServiceSpec) -> impl Iterator<Item = Rule> {
    let scoped = spec.scoped_tables.iter().map(Rule::scoped);
    chassis().into_iter().chain(scoped).chain(spec.shared_tables.iter().map(Rule::shared))
}

/// Makes the service's two roles and gives each table its policies, and to `login`, if it is told, both roles: an existing
/// role that owns nothing and that the service runs as. Done again only when something of it has changed, so that a start
/// takes no locks.
pub(crate) async fn secure(spec: &ServiceSpec, db: &DatabaseConnection, login: Option<&str>) -> Result<(), Refusal> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let service = spec.name;
    let (tenants, system) = (tenants(service), system(service));
    for role in [&tenants, &system] {
        for sql in [
            format!(
                "DO $$ BEGIN CREATE ROLE {role} NOLOGIN NOBYPASSRLS; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            ),
            format!("DO $$ BEGIN GRANT {role} TO CURRENT_USER; EXCEPTION WHEN OTHERS THEN NULL; END $$"),
        ] {
            db.execute_unprepared(&sql).await?;
        }
    }

    if let Some(login) = login {
        known_role(db, login).await?;
    }
    let mut statements = vec![
        format!("GRANT USAGE ON SCHEMA {service} TO {tenants}, {system}"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {service} TO {tenants}, {system}"),
        format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA {service} TO {tenants}, {system}"),
        format!("REVOKE ALL ON {service}.seaql_migrations FROM {tenants}, {system}"),
        format!("REVOKE SELECT, UPDATE, DELETE ON {service}.journal FROM {tenants}"),
        format!(
            "REVOKE ALL ON {service}.inbox, {service}.dead_letter, {service}.access_log_head, {service}.backup_mark FROM {tenants}"
        ),
        format!(
            "REVOKE ALL ON {service}.unit_custody, {service}.custody_tranche, {service}.custody_selected, {service}.custody_step, \
             {service}.held_event, {service}.bundle_import FROM {tenants}"
        ),
        format!("REVOKE INSERT, UPDATE, DELETE ON {service}.seal FROM {tenants}"),
        format!("REVOKE INSERT ON {service}.access_log, {service}.access_log_subject FROM {tenants}"),
        format!("REVOKE UPDATE, DELETE ON {service}.access_log, {service}.access_log_subject FROM {tenants}, {system}"),
    ];
    if let Some(login) = login {
        statements.push(format!("GRANT {tenants}, {system} TO \"{login}\""));
        statements.push(format!("GRANT SELECT ON {service}.seaql_migrations TO \"{login}\""));
    }
    statements.extend(rules(spec).flat_map(|rule| rule.statements(service)));
    statements.extend(trigger::statements(spec, db).await?);

    let state = format!(
        "SELECT coalesce((SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class \
         WHERE relnamespace = '{service}'::regnamespace AND relkind IN ('r', 'p')), '') AS tables, \
         coalesce(obj_description('{service}'::regnamespace), '') AS kept, \
         has_schema_privilege('{tenants}', '{service}', 'USAGE') AND has_schema_privilege('{system}', '{service}', 'USAGE') AS granted"
    );
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, state)).await?;
    let row = row.ok_or_else(|| Refusal::internal("the database says nothing of its schema"))?;
    let tables: String = row.try_get("", "tables")?;
    let digest = Sha256::digest(format!("{tables}\n{}", statements.join("\n")));
    let mark = format!("tahuka policies {}", hex::encode(digest));
    if row.try_get::<String>("", "kept")? == mark && row.try_get("", "granted")? {
        return Ok(());
    }
    let tx = db.begin().await?;
    for statement in statements {
        tx.execute_unprepared(&statement).await?;
    }
    tx.execute_unprepared(&format!("COMMENT ON SCHEMA {service} IS '{mark}'")).await?;
    tx.commit().await?;
    Ok(())
}

async fn known_role(db: &DatabaseConnection, login: &str) -> Result<(), Refusal> {
    let bad = |rule: String| Refusal::invalid("database.login_role", rule);
    if !login.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') || login.is_empty() {
        return Err(bad("must be letters, digits and underscores".into()));
    }
    let sql = "SELECT 1 AS one FROM pg_roles WHERE rolname = $1";
    let row = db.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, [login.into()])).await?;
    row.map(|_| ()).ok_or_else(|| bad(format!("{login} is not a role of this database; make it first")))
}
