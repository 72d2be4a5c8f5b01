//! The tables of a service on PostgreSQL, out into an archive and back in, by COPY.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::TryStreamExt as _;
use sea_orm::sqlx::{self, AssertSqlSafe, PgConnection, Row as _};
use tokio::sync::mpsc;

use super::archive::{PIECE, Writer, part};
use super::content::Content;
use super::cut::sql;
use super::{JournalMark, ServicePart, TablePart};
use crate::refusal::Refusal;
use crate::store::security;

/// Written by the migrations of whoever restores.
const MIGRATIONS: &str = "seaql_migrations";
/// What the bus knows of an event is not what the service knows.
const MARKS: [&str; 2] = ["published_at", "stream_seq"];

/// All of a service's tables, as the connection's transaction sees them.
pub(super) async fn copy_out(service: &str, db: &mut PgConnection, writer: &mut Writer) -> Result<ServicePart, Refusal> {
    let versions = format!("SELECT version FROM {service}.{MIGRATIONS} ORDER BY version");
    let migrations = sqlx::query_scalar(AssertSqlSafe(versions)).fetch_all(&mut *db).await.map_err(sql)?;
    let role = format!("SET LOCAL ROLE {}", security::system(service));
    sqlx::raw_sql(AssertSqlSafe(role)).execute(&mut *db).await.map_err(sql)?;
    let journal = journal(service, db).await?;
    let mut tables = Vec::new();
    for (table, columns) in tables_of(service, db).await? {
        let content = told(service, &table, &columns, db, |piece| writer.piece(&part(service, &table), piece)).await?;
        let (rows, bytes) = (content.rows, content.bytes);
        tables.push(TablePart { table, rows, columns, bytes, sha256: content.sha256(), content: content.content() });
    }
    Ok(ServicePart { service: service.to_owned(), migrations, journal, tables, file: None })
}

/// What the tables hold now, to be compared with what an archive says of them.
pub(super) async fn contents(part: &ServicePart, db: &mut PgConnection) -> Result<Vec<(u64, String)>, Refusal> {
    let role = format!("SET LOCAL ROLE {}", security::system(&part.service));
    sqlx::raw_sql(AssertSqlSafe(role)).execute(&mut *db).await.map_err(sql)?;
    let mut all = Vec::new();
    for table in &part.tables {
        let content = told(&part.service, &table.table, &table.columns, db, |_| Ok(())).await?;
        all.push((content.rows, content.content()));
    }
    Ok(all)
}

fn quoted(columns: &[String]) -> String {
    columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ")
}

/// Hands the rows of a table to `take`, in pieces.
async fn told(
    service: &str,
    table: &str,
    columns: &[String],
    db: &mut PgConnection,
    mut take: impl FnMut(&[u8]) -> Result<(), Refusal>,
) -> Result<Content, Refusal> {
    let statement = format!("COPY {service}.\"{table}\" ({}) TO STDOUT", quoted(columns));
    let mut rows = db.copy_out_raw(&statement).await.map_err(sql)?;
    let (mut content, mut piece) = (Content::default(), Vec::new());
    while let Some(row) = rows.try_next().await.map_err(sql)? {
        content.take(&row);
        piece.extend_from_slice(&row);
        if piece.len() >= PIECE {
            take(&piece)?;
            piece.clear();
        }
    }
    if !piece.is_empty() {
        take(&piece)?;
    }
    Ok(content)
}

async fn journal(service: &str, db: &mut PgConnection) -> Result<JournalMark, Refusal> {
    let statement = format!(
        "SELECT count(*), coalesce(max(seq), 0), count(*) FILTER (WHERE published_at IS NULL), coalesce(max(stream_seq), 0) \
         FROM {service}.journal"
    );
    let row = sqlx::query(AssertSqlSafe(statement)).fetch_one(db).await.map_err(sql)?;
    let get = |n: usize| row.try_get::<i64, _>(n).map_err(sql);
    Ok(JournalMark { events: get(0)?, newest: get(1)?, unpublished: get(2)?, stream_seq: get(3)? })
}

/// The tables with their columns, each after those that it refers to.
async fn tables_of(service: &str, db: &mut PgConnection) -> Result<Vec<(String, Vec<String>)>, Refusal> {
    let columns = "SELECT c.relname::text, a.attname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
                   WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped \
                   AND a.attgenerated = '' ORDER BY c.relname, a.attnum";
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in sqlx::query(columns).bind(service).fetch_all(&mut *db).await.map_err(sql)? {
        let (table, column): (String, String) = (row.try_get(0).map_err(sql)?, row.try_get(1).map_err(sql)?);
        if table != MIGRATIONS && !(table == "journal" && MARKS.contains(&column.as_str())) {
            known.entry(table).or_default().push(column);
        }
    }
    let references = "SELECT c.relname::text, f.relname::text FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
                      JOIN pg_class f ON f.oid = k.confrelid WHERE k.contype = 'f' AND k.connamespace = $1::regnamespace";
    let mut refers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in sqlx::query(references).bind(service).fetch_all(&mut *db).await.map_err(sql)? {
        let (from, to): (String, String) = (row.try_get(0).map_err(sql)?, row.try_get(1).map_err(sql)?);
        if from != to {
            refers.entry(from).or_default().insert(to);
        }
    }
    in_order(known, &refers)
}

fn in_order<T>(mut left: BTreeMap<String, T>, refers: &BTreeMap<String, BTreeSet<String>>) -> Result<Vec<(String, T)>, Refusal> {
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let free = |table: &&String| refers.get(*table).is_none_or(|to| !to.iter().any(|to| left.contains_key(to)));
        let Some(table) = left.keys().find(free).cloned() else {
            return Err(Refusal::internal("tables refer to each other in a circle"));
        };
        if let Some(columns) = left.remove(&table) {
            ordered.push((table, columns));
        }
    }
    Ok(ordered)
}

/// Fills the tables of a schema that its migrations have just made; `pieces` are those of this service and come in the
/// order of its tables. In one transaction, as the owner, for whom the first migrations made policies already.
pub(super) async fn copy_in(told: &ServicePart, db: &mut PgConnection, pieces: &mut Pieces) -> Result<(), Refusal> {
    let service = &told.service;
    // What the migrations put in is in the archive, as it has become since.
    for table in &told.tables {
        let off = "DISABLE TRIGGER USER, DISABLE ROW LEVEL SECURITY";
        run(db, format!("ALTER TABLE {service}.\"{}\" {off}", table.table)).await?;
    }
    for table in told.tables.iter().rev() {
        run(db, format!("DELETE FROM {service}.\"{}\"", table.table)).await?;
    }
    for table in &told.tables {
        let statement = format!("COPY {service}.\"{}\" ({}) FROM STDIN", table.table, quoted(&table.columns));
        let mut rows = db.copy_in_raw(&statement).await.map_err(sql)?;
        let name = part(service, &table.table);
        while let Some(piece) = pieces.of(&name).await? {
            rows.send(piece.as_ref()).await.map_err(sql)?;
        }
        let loaded = rows.finish().await.map_err(sql)?;
        if loaded != table.rows {
            let why = format!("{service}.{}: {loaded} rows of {} were loaded", table.table, table.rows);
            return Err(Refusal::internal(why));
        }
    }
    let serials = "SELECT c.relname::text, a.attname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
                   WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped \
                   AND pg_get_serial_sequence(format('%I.%I', $1, c.relname), a.attname) IS NOT NULL";
    for row in sqlx::query(serials).bind(service).fetch_all(&mut *db).await.map_err(sql)? {
        let (table, column): (String, String) = (row.try_get(0).map_err(sql)?, row.try_get(1).map_err(sql)?);
        run(
            db,
            format!(
                "SELECT setval(pg_get_serial_sequence('{service}.\"{table}\"', '{column}'), \
                 coalesce(max(\"{column}\"), 0) + 1, false) FROM {service}.\"{table}\""
            ),
        )
        .await?;
    }
    for table in &told.tables {
        run(db, format!("ALTER TABLE {service}.\"{}\" ENABLE TRIGGER USER", table.table)).await?;
    }
    Ok(())
}

pub(super) async fn run(db: &mut PgConnection, statement: String) -> Result<(), Refusal> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(db).await.map(|_| ()).map_err(sql)
}

/// The archive's pieces, one looked at ahead.
pub(super) struct Pieces {
    from: mpsc::Receiver<Result<(String, Bytes), Refusal>>,
    next: Option<(String, Bytes)>,
}

impl Pieces {
    pub fn new(from: mpsc::Receiver<Result<(String, Bytes), Refusal>>) -> Self {
        Pieces { from, next: None }
    }

    /// The next piece if it is one of `part`.
    pub async fn of(&mut self, part: &str) -> Result<Option<Bytes>, Refusal> {
        if self.next.is_none() {
            self.next = self.from.recv().await.transpose()?;
        }
        Ok(self.next.take_if(|(name, _)| name == part).map(|(_, bytes)| bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_after_those_that_it_refers_to() {
        let tables = ["entry", "grant", "posting"].map(|name| (name.to_owned(), ())).into();
        let to = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut refers = BTreeMap::from([("entry".to_owned(), to(&["posting"])), ("posting".to_owned(), to(&["grant"]))]);
        let order = |tables, refers: &_| {
            in_order::<()>(tables, refers).map(|all| all.into_iter().map(|(name, ())| name).collect::<Vec<_>>())
        };
        assert_eq!(order(tables, &refers).unwrap(), ["grant", "posting", "entry"]);
        refers.insert("grant".to_owned(), to(&["entry"]));
        let tables = ["entry", "grant", "posting"].map(|name| (name.to_owned(), ())).into();
        assert!(order(tables, &refers).is_err());
    }
}
