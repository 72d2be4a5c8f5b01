//! A service's slice, written into the bundle: a file of records and its schema for each table, the journal's part, and who
//! was shown people. Rows go by one at a time; nothing grows with their number.

use std::borrow::Cow;

use futures::TryStreamExt as _;
use object_store::buffered::BufWriter;
use sea_orm::{DbBackend, Statement, StreamTrait as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tahuka_bag::merkle::Tree;
use tahuka_bag::{Column, Kind, TableSchema, Tally, record};
use tahuka_proto::handover::v1::{BundledFile, ControlTotal, SliceBundled};
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

use super::{Slice, UnitKind};
use crate::bundles::Bundles;
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::store::{Store, Tx};

/// Bytes that are handed on at once.
const PIECE: usize = 256 * 1024;

pub(super) const JOURNAL: &str = "journal";
pub(super) const ACCESS_LOG: &str = "access_log";
/// Of the tables, until one of them has another column.
const VERSION: u32 = 1;
/// What the bus knows of an event is not what the service knows.
const MARKS: [&str; 2] = ["published_at", "stream_seq"];

/// Records of one kind: where they come from and in which order.
struct Source {
    schema: TableSchema,
    /// What stands after FROM; the rows are `t`, and `$1` is the tranche.
    from: String,
}

/// Writes the slice; what it told of.
pub(super) async fn write(
    store: &Store,
    slice: &Slice,
    bundles: &Bundles,
    tranche: Uuid,
    bundle_number: i32,
) -> Result<SliceBundled, Refusal> {
    let service = store.service();
    let tx = store.read(&Caller::system("bundle")).await?;
    let mut sources = sources(&tx, service, slice).await?;
    sources.sort_by_key(|source| source.schema.records_path());
    let mut told =
        SliceBundled { tranche_id: tranche.to_string(), service: service.to_owned(), bundle_number, ..Default::default() };
    let (mut tree, mut tally) = (Tree::new(), Tally::new(service, &grants(&tx, tranche).await?));
    for source in &sources {
        let path = source.schema.records_path();
        let writer = bundles.writer(tranche, bundle_number, &path)?;
        told.files.push(records(&tx, source, tranche, writer, path, &mut tree, &mut tally).await?);
        let (path, schema) = (source.schema.schema_path(), source.schema.to_bytes().map_err(Refusal::internal)?);
        told.files.push(BundledFile {
            path: path.clone(),
            bytes: i64::try_from(schema.len()).map_err(Refusal::internal)?,
            sha256: hex::encode(Sha256::digest(&schema)),
            records: 0,
        });
        bundles.put(tranche, bundle_number, &path, schema).await?;
    }
    told.files.sort_by(|a, b| a.path.cmp(&b.path));
    told.merkle_root = hex::encode(tree.root());
    told.records = i64::try_from(tree.leaves()).map_err(Refusal::internal)?;
    let total = |t: tahuka_bag::Total| ControlTotal { name: t.name, by: t.by, value: t.value };
    told.totals = tally.finish().into_iter().map(total).collect();
    Ok(told)
}

async fn grants(tx: &Tx, tranche: Uuid) -> Result<Vec<String>, Refusal> {
    let sql = "SELECT unit_id FROM seal WHERE tranche_id = $1 AND unit_kind = $2";
    let rows = tx.query(sql, vec![tranche.into(), UnitKind::Grant.word().into()]).await?;
    Ok(rows.iter().map(|row| Ok(row.try_get::<Uuid>("", "unit_id")?.to_string())).collect::<Result<_, sea_orm::DbErr>>()?)
}

async fn sources(tx: &Tx, service: &str, slice: &Slice) -> Result<Vec<Source>, Refusal> {
    let schema = |table: &str, key: &[&str], columns| TableSchema::new(service, table, VERSION, key, columns);
    let mut all = Vec::new();
    for table in slice.tables {
        let mut columns = super::record::columns(tx, table.table).await?;
        columns.retain(|column| column.name != super::PASSED);
        let from = format!("{} t WHERE {}", table.table, table.within(slice));
        all.push(Source { schema: schema(table.table, table.key, columns), from });
    }
    let mut columns = super::record::columns(tx, "journal").await?;
    columns.retain(|column| !MARKS.contains(&column.name.as_str()));
    let from = "journal t JOIN seal s ON s.unit_kind = t.unit_kind AND s.unit_id = t.unit_id WHERE s.tranche_id = $1".to_owned();
    all.push(Source { schema: schema(JOURNAL, &["seq"], columns), from });
    if slice.knows(UnitKind::Household) {
        let column = |name: &str, kind| Column { name: name.to_owned(), kind, nullable: false };
        let columns = vec![
            column("access_id", Kind::Uuid),
            column("number", Kind::Integer),
            column("accessed_at", Kind::Timestamp),
            column("tenant_id", Kind::Uuid),
            column("reader", Kind::Text),
            column("roles", Kind::Text),
            column("rpc", Kind::Text),
            column("purpose", Kind::Text),
            column("trace_id", Kind::Text),
            column("seq", Kind::Integer),
            column("hash", Kind::Text),
            column("message", Kind::Text),
            column("custodian_id", Kind::Uuid),
            column("district", Kind::Text),
            Column { nullable: true, ..column("household_id", Kind::Uuid) },
            Column { nullable: true, ..column("individual_id", Kind::Uuid) },
        ];
        let shown = "(SELECT p.access_id, p.number, a.accessed_at, a.tenant_id, a.reader, a.roles, a.rpc, a.purpose, a.trace_id, \
                     a.seq, a.hash, p.message, p.custodian_id, p.district, p.household_id, p.individual_id \
                     FROM access_log_subject p JOIN access_log a ON a.id = p.access_id) t WHERE";
        let of_household =
            "t.household_id IN (SELECT s.unit_id FROM seal s WHERE s.tranche_id = $1 AND s.unit_kind = 'household')";
        let of_member = match slice.table("individual") {
            Some(individual) => format!(
                " OR t.individual_id IN (SELECT i.id FROM individual i WHERE {})",
                individual.owned_by("i").unwrap_or_default()
            ),
            None => String::new(),
        };
        let schema = schema(ACCESS_LOG, &["access_id", "number"], columns);
        all.push(Source { schema, from: format!("{shown} ({of_household}{of_member})") });
    }
    Ok(all)
}

/// Writes a file of records, each a line.
async fn records(
    tx: &Tx,
    source: &Source,
    tranche: Uuid,
    mut writer: BufWriter,
    path: String,
    tree: &mut Tree,
    tally: &mut Tally,
) -> Result<BundledFile, Refusal> {
    let columns = &source.schema.columns;
    let backend = sea_orm::ConnectionTrait::get_database_backend(tx.conn());
    let selected: Vec<String> = columns.iter().map(super::record::selected).collect();
    let order: Vec<String> = source.schema.key.iter().map(|key| ordered(columns, key, backend)).collect();
    let sql = format!("SELECT {} FROM {} ORDER BY {}", selected.join(", "), source.from, order.join(", "));
    let counted = tally.of_table(&source.schema.table);
    let keys: Vec<String> = columns.iter().map(|column| format!("\"{}\":", column.name)).collect();

    let (mut digest, mut bytes, mut count) = (Sha256::new(), 0_usize, 0_i64);
    let mut piece: Vec<u8> = Vec::with_capacity(PIECE + 4096);
    let mut values: Vec<Value> = Vec::with_capacity(columns.len());
    let mut rows = tx.conn().stream_raw(Statement::from_sql_and_values(backend, sql, [tranche.into()])).await?;
    while let Some(row) = rows.try_next().await? {
        values.clear();
        for (index, column) in columns.iter().enumerate() {
            values.push(super::record::value(&row, index, column.kind)?);
        }
        let start = piece.len();
        for (n, (key, value)) in keys.iter().zip(&values).enumerate() {
            piece.push(if n == 0 { b'{' } else { b',' });
            piece.extend_from_slice(key.as_bytes());
            record::write(value, &mut piece).map_err(Refusal::internal)?;
        }
        piece.push(b'}');
        tree.push(&piece[start..]);
        piece.push(b'\n');
        count += 1;
        if !counted.is_empty() {
            tally.count(&counted, |name| {
                let at = columns.iter().position(|column| column.name == name)?;
                match &values[at] {
                    Value::String(text) => Some(Cow::Owned(text.clone())),
                    Value::Number(number) => Some(Cow::Owned(number.to_string())),
                    _ => None,
                }
            });
        }
        if piece.len() >= PIECE {
            bytes += piece.len();
            digest.update(&piece);
            writer.write_all(&piece).await.map_err(stuck)?;
            piece.clear();
        }
    }
    bytes += piece.len();
    digest.update(&piece);
    writer.write_all(&piece).await.map_err(stuck)?;
    writer.shutdown().await.map_err(stuck)?;
    let bytes = i64::try_from(bytes).map_err(Refusal::internal)?;
    Ok(BundledFile { path, bytes, sha256: hex::encode(digest.finalize()), records: count })
}

/// By bytes, whatever the database thinks of words.
fn ordered(columns: &[Column], key: &str, backend: DbBackend) -> String {
    let is_text = columns.iter().any(|column| column.name == key && column.kind == Kind::Text);
    let collate = if is_text && backend == DbBackend::Postgres { " COLLATE \"C\"" } else { "" };
    format!("t.\"{key}\"{collate}")
}

fn stuck(error: std::io::Error) -> Refusal {
    tracing::warn!(error = %error, "the bundle's store does not take what is written");
    Refusal::Unavailable("the store of bundles".into())
}
