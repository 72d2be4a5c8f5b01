//! What the stores and the edges of this service share.

use sea_orm::{ColumnTrait as _, Condition, ConnectionTrait, Statement, Value};
use tahuka_chassis::{Caller, Currency, Refusal, Scope, ScopeEntry, Scoped, Tx};
use tahuka_proto::Redact;
use uuid::Uuid;

/// Rows that belong to a custodian and to no district.
macro_rules! nationwide {
    () => {
        impl tahuka_chassis::Scoped for Entity {
            fn custodian() -> Column {
                Column::CustodianId
            }
            fn district() -> Option<Column> {
                None
            }
        }
    };
}
pub(crate) use nationwide;

/// The rows of `E` whose grant the caller's agreements let it see: where an agreement names grants, what belongs to none
/// or to another one is not there.
pub fn of_grants<E: Scoped>(tx: &Tx, grant: E::Column) -> Condition {
    let Scope::Entries(entries) = &tx.caller().scope else { return Condition::all() };
    if entries.iter().all(|entry| entry.grants.is_empty()) {
        return Condition::all();
    }
    let mut any = Condition::any();
    for entry in entries {
        let mut all = Condition::all().add(E::custodian().eq(entry.custodian));
        if let Some(district) = E::district().filter(|_| !entry.districts.is_empty()) {
            all = all.add(district.is_in(entry.districts.iter().map(String::as_str)));
        }
        if !entry.grants.is_empty() {
            all = all.add(grant.is_in(entry.grants.iter().filter_map(|id| Uuid::try_parse(id).ok())));
        }
        any = any.add(all);
    }
    any
}

/// A currency code that the database holds.
pub fn currency(code: &str) -> Result<Currency, Refusal> {
    Currency::parse(code).ok_or_else(|| unknown("currency"))
}

/// The database holds a word that this version does not know.
pub fn unknown(column: &'static str) -> Refusal {
    Refusal::internal(format!("{column} holds a word that is not known"))
}

/// A record of the whole programme, as the caller may see the custodian's records: somebody who is limited to
/// districts sees it as those of his district.
pub fn disclosed<M: Redact>(caller: &Caller, custodian: Uuid, message: M) -> M {
    let district = match &caller.scope {
        Scope::System => None,
        Scope::Entries(entries) => (entries.iter())
            .filter(|e| e.custodian == custodian)
            .max_by_key(|e| e.level())
            .and_then(|e: &ScopeEntry| e.districts.first()),
    };
    caller.disclose(custodian, district.map(String::as_str), message)
}

pub fn statement(tx: &Tx, sql: &str, values: Vec<Value>) -> Statement {
    Statement::from_sql_and_values(tx.conn().get_database_backend(), sql, values)
}

/// Runs a statement; how many rows it changed.
pub async fn run(tx: &Tx, sql: &str, values: Vec<Value>) -> Result<u64, Refusal> {
    Ok(tx.conn().execute_raw(statement(tx, sql, values)).await?.rows_affected())
}
