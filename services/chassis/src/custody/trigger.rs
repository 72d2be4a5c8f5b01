//! What keeps a sealed record as it is, in the database itself: whoever writes a row of a sealed unit is refused. The column
//! that says whose the row is is left out, so that custody can pass.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

use super::{Rows, Slice, SliceTable};
use crate::refusal::Refusal;
use crate::service::ServiceSpec;

/// How the database's refusal begins; the tranche's id follows.
pub(crate) const SEALED: &str = "tahuka: sealed ";

/// Kept out of the seal's reach: what a transfer writes.
const WRITTEN: [&str; 2] = ["custodian_id", super::PASSED];

/// The statements that make a service's triggers on PostgreSQL.
pub(crate) async fn statements(spec: &ServiceSpec, db: &DatabaseConnection) -> Result<Vec<String>, Refusal> {
    let (service, mut all) = (spec.name, Vec::new());
    for table in owned(spec.slice) {
        let name = table.table;
        let sql = format!(
            "SELECT a.attname::text AS name FROM pg_attribute a WHERE a.attrelid = '{service}.\"{name}\"'::regclass \
             AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        );
        let columns = names(db, sql).await?;
        let mut body = String::from("DECLARE held uuid; BEGIN ");
        for rows in table.rows {
            let Some((kind, column)) = unit(rows) else { continue };
            for (row, unless) in [("NEW", "DELETE"), ("OLD", "INSERT")] {
                body += &format!(
                    "IF held IS NULL AND TG_OP <> '{unless}' THEN SELECT tranche_id INTO held FROM {service}.seal \
                     WHERE unit_kind = {} AND unit_id = {row}.{column}; END IF; ",
                    kind.replace("{row}", row)
                );
            }
        }
        body += &format!(
            "IF held IS NOT NULL THEN RAISE EXCEPTION '{SEALED}%', held; END IF; \
             IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END"
        );
        all.push(format!(
            "CREATE OR REPLACE FUNCTION {service}.sealed_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$"
        ));
        all.push(format!("DROP TRIGGER IF EXISTS sealed ON {service}.\"{name}\""));
        all.push(format!(
            "CREATE TRIGGER sealed BEFORE INSERT OR DELETE OR UPDATE OF {} ON {service}.\"{name}\" FOR EACH ROW \
             EXECUTE FUNCTION {service}.sealed_{name}()",
            guarded(&columns)
        ));
    }
    Ok(all)
}

/// Makes the triggers of a service's embedded database, or changes those that are others.
pub(crate) async fn embed(spec: &ServiceSpec, db: &DatabaseConnection) -> Result<(), Refusal> {
    for table in owned(spec.slice) {
        let name = table.table;
        let columns = names(db, format!("SELECT name FROM pragma_table_info('{name}') ORDER BY cid")).await?;
        let of = guarded(&columns);
        for (verb, event, rows) in [
            ("insert", "INSERT", &["NEW"][..]),
            ("update", &format!("UPDATE OF {of}"), &["NEW", "OLD"]),
            ("delete", "DELETE", &["OLD"]),
        ] {
            let mut looks = Vec::new();
            for (kind, column) in table.rows.iter().filter_map(unit) {
                for row in rows {
                    looks.push(format!(
                        "SELECT RAISE(ABORT, '{SEALED}' || lower(hex(tranche_id))) FROM seal \
                         WHERE unit_kind = {} AND unit_id = {row}.{column};",
                        kind.replace("{row}", row)
                    ));
                }
            }
            let trigger = format!("sealed_{name}_{verb}");
            let sql = format!("CREATE TRIGGER {trigger} BEFORE {event} ON \"{name}\" BEGIN {} END", looks.join(" "));
            let there = names(db, format!("SELECT sql AS name FROM sqlite_master WHERE name = '{trigger}'")).await?;
            if there.first().is_some_and(|there| *there == sql) {
                continue;
            }
            db.execute_unprepared(&format!("DROP TRIGGER IF EXISTS {trigger}")).await?;
            db.execute_unprepared(&sql).await?;
        }
    }
    Ok(())
}

fn owned(slice: &'static Slice) -> impl Iterator<Item = &'static SliceTable> {
    slice.tables.iter().filter(|table| table.is_owned())
}

fn guarded(columns: &[String]) -> String {
    let all: Vec<String> = columns.iter().filter(|c| !WRITTEN.contains(&c.as_str())).map(|c| format!("\"{c}\"")).collect();
    all.join(", ")
}

/// The unit's kind, as an expression over `{row}`, and the column with its id.
fn unit(rows: &Rows) -> Option<(String, &'static str)> {
    match rows {
        Rows::Of { kind, column } => Some((format!("'{}'", kind.word()), column)),
        Rows::OfEither { kind_column, column, .. } => Some((format!("{{row}}.{kind_column}"), column)),
        _ => None,
    }
}

async fn names(db: &DatabaseConnection, sql: String) -> Result<Vec<String>, Refusal> {
    let backend: DbBackend = db.get_database_backend();
    let rows = db.query_all_raw(Statement::from_string(backend, sql)).await?;
    Ok(rows.iter().map(|row| row.try_get("", "name")).collect::<Result<_, _>>()?)
}
