//! A row as a record of a bundle: the same JSON from either kind of database.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use sea_orm::{ConnectionTrait as _, DbBackend, QueryResult};
use serde_json::Value;
use tahuka_bag::{Column, Kind, record};
use uuid::Uuid;

use crate::refusal::Refusal;
use crate::store::Tx;

/// The table's columns, as the database knows them.
pub(super) async fn columns(tx: &Tx, table: &str) -> Result<Vec<Column>, Refusal> {
    let sql = match tx.conn().get_database_backend() {
        DbBackend::Postgres => {
            "SELECT column_name::text AS name, data_type::text AS kind, is_nullable = 'YES' AS nullable \
             FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position"
        }
        _ => "SELECT name, lower(type) AS kind, \"notnull\" = 0 AND pk = 0 AS nullable FROM pragma_table_info($1) ORDER BY cid",
    };
    let column = |row: &QueryResult| {
        let (name, told): (String, String) = (row.try_get("", "name")?, row.try_get("", "kind")?);
        let kind = kind(&told).ok_or_else(|| Refusal::internal(format!("{table}.{name} is of type {told}")))?;
        Ok(Column { name, kind, nullable: row.try_get("", "nullable")? })
    };
    let columns: Vec<Column> = tx.query(sql, vec![table.into()]).await?.iter().map(column).collect::<Result<_, Refusal>>()?;
    if columns.is_empty() { Err(Refusal::internal(format!("there is no table {table}"))) } else { Ok(columns) }
}

/// By the names that either database gives to types.
fn kind(told: &str) -> Option<Kind> {
    // SQLite tells lengths too.
    Some(match told.split('(').next().unwrap_or_default() {
        "uuid" | "uuid_text" => Kind::Uuid,
        "text" | "varchar" | "character varying" => Kind::Text,
        "bigint" | "integer" | "int" => Kind::Integer,
        "boolean" => Kind::Boolean,
        "date" | "date_text" => Kind::Date,
        "timestamp with time zone" | "timestamp_with_timezone_text" => Kind::Timestamp,
        "json" | "jsonb" | "json_text" | "jsonb_text" => Kind::Json,
        "bytea" | "blob" | "varbinary_blob" => Kind::Bytes,
        _ => return None,
    })
}

/// The column of row `t` for `value`.
pub(super) fn selected(column: &Column) -> String {
    match column.kind {
        Kind::Integer => format!("CAST(t.\"{}\" AS bigint)", column.name),
        _ => format!("t.\"{}\"", column.name),
    }
}

/// What the row says in a column, as JSON.
pub(super) fn value(row: &QueryResult, index: usize, kind: Kind) -> Result<Value, Refusal> {
    fn told<T: sea_orm::TryGetable>(row: &QueryResult, index: usize, shown: impl FnOnce(T) -> Value) -> Result<Value, Refusal> {
        Ok(row.try_get_by_index::<Option<T>>(index)?.map_or(Value::Null, shown))
    }
    match kind {
        Kind::Uuid => told::<Uuid>(row, index, |id| id.to_string().into()),
        Kind::Text => told::<String>(row, index, Value::from),
        Kind::Integer => told::<i64>(row, index, record::integer),
        Kind::Double => told::<f64>(row, index, Value::from),
        Kind::Boolean => told::<bool>(row, index, Value::from),
        Kind::Date => told::<NaiveDate>(row, index, |day| day.to_string().into()),
        Kind::Timestamp => told::<DateTime<Utc>>(row, index, |at| at.to_rfc3339_opts(SecondsFormat::Micros, true).into()),
        Kind::Json => told::<Value>(row, index, |json| json),
        Kind::Bytes => told::<Vec<u8>>(row, index, |bytes| BASE64.encode(bytes).into()),
    }
}

/// The same, back: what the database is given for it.
pub(super) fn stored(told: &Value, column: &Column) -> Result<sea_orm::Value, Refusal> {
    let bad = || Refusal::invalid("BAG", "has a record that is not of the form that its schema says");
    let text = || told.as_str().ok_or_else(bad);
    if told.is_null() && column.nullable {
        return Ok(match column.kind {
            Kind::Uuid => Option::<Uuid>::None.into(),
            Kind::Text => Option::<String>::None.into(),
            Kind::Integer => Option::<i64>::None.into(),
            Kind::Double => Option::<f64>::None.into(),
            Kind::Boolean => Option::<bool>::None.into(),
            Kind::Date => Option::<NaiveDate>::None.into(),
            Kind::Timestamp => Option::<DateTime<Utc>>::None.into(),
            Kind::Json => Option::<Value>::None.into(),
            Kind::Bytes => Option::<Vec<u8>>::None.into(),
        });
    }
    Ok(match column.kind {
        Kind::Uuid => Uuid::try_parse(text()?).map_err(|_| bad())?.into(),
        Kind::Text => text()?.into(),
        Kind::Integer => told.as_i64().or_else(|| told.as_str()?.parse().ok()).ok_or_else(bad)?.into(),
        Kind::Double => told.as_f64().ok_or_else(bad)?.into(),
        Kind::Boolean => told.as_bool().ok_or_else(bad)?.into(),
        Kind::Date => text()?.parse::<NaiveDate>().map_err(|_| bad())?.into(),
        Kind::Timestamp => text()?.parse::<DateTime<Utc>>().map_err(|_| bad())?.into(),
        Kind::Json => told.clone().into(),
        Kind::Bytes => BASE64.decode(text()?).map_err(|_| bad())?.into(),
    })
}
