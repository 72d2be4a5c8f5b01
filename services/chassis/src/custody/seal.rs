//! Seals: which units are in which tranche, so that nothing of theirs is written.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use tahuka_proto::handover::v1::UnitsSealed;
use uuid::Uuid;

use super::{Slice, UnitKind};
use crate::refusal::Refusal;
use crate::store::Tx;

/// Ids in one statement and in one event.
pub(super) const PAGE: usize = 1000;

/// Seals units in this transaction; those that another tranche has sealed stay as they are.
pub async fn insert(tx: &Tx, tranche: Uuid, kind: UnitKind, units: &[Uuid]) -> Result<(), Refusal> {
    for units in units.chunks(PAGE) {
        let rows: Vec<String> = (0..units.len()).map(|n| format!("($1, ${}, $2)", n + 3)).collect();
        let sql = format!("INSERT INTO seal (unit_kind, unit_id, tranche_id) VALUES {} ON CONFLICT DO NOTHING", rows.join(", "));
        let mut values: Vec<sea_orm::Value> = vec![kind.word().into(), tranche.into()];
        values.extend(units.iter().map(|unit| (*unit).into()));
        tx.run(&sql, values).await?;
    }
    Ok(())
}

/// Waits until whoever writes the slice's tables has ended: everybody after that sees the seals. One that writes two
/// tables could wait for us while we wait for it: then we give way, and try again.
pub(super) async fn settle(tx: &Tx, slice: &Slice) -> Result<(), Refusal> {
    if tx.conn().get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let tables: Vec<&str> = slice.tables.iter().filter(|table| table.is_owned()).map(|table| table.table).collect();
    tx.conn().execute_unprepared("SET LOCAL lock_timeout = '500ms'").await?;
    tx.conn().execute_unprepared(&format!("LOCK TABLE {} IN SHARE MODE", tables.join(", "))).await?;
    tx.conn().execute_unprepared("SET LOCAL lock_timeout = 0").await?;
    Ok(())
}

/// How many units are sealed for the tranche, by kind.
pub async fn counts(tx: &Tx, tranche: Uuid) -> Result<BTreeMap<String, i64>, Refusal> {
    let sql = "SELECT unit_kind, count(*) AS n FROM seal WHERE tranche_id = $1 GROUP BY unit_kind";
    let mut counts = BTreeMap::new();
    for row in tx.query(sql, vec![tranche.into()]).await? {
        counts.insert(row.try_get("", "unit_kind")?, row.try_get("", "n")?);
    }
    Ok(counts)
}

/// Tells of the units of a kind that are sealed for the tranche, in pages.
pub(super) async fn tell(tx: &mut Tx, sender: Uuid, tranche: Uuid, kind: UnitKind) -> Result<(), Refusal> {
    let sql = "SELECT unit_id FROM seal WHERE tranche_id = $1 AND unit_kind = $2 ORDER BY unit_id";
    let rows = tx.query(sql, vec![tranche.into(), kind.word().into()]).await?;
    let units: Vec<Uuid> = rows.iter().map(|row| row.try_get("", "unit_id")).collect::<Result<_, _>>()?;
    for page in units.chunks(PAGE) {
        let event = UnitsSealed {
            tranche_id: tranche.to_string(),
            unit_kind: kind.word().to_owned(),
            unit_ids: page.iter().map(Uuid::to_string).collect(),
        };
        tx.publish(sender, tranche, &event).await?;
    }
    Ok(())
}

/// Lifts the tranche's seals.
pub async fn lift(tx: &Tx, tranche: Uuid) -> Result<u64, Refusal> {
    tx.run("DELETE FROM seal WHERE tranche_id = $1", vec![tranche.into()]).await
}

/// The tranche that has sealed this unit.
pub async fn of(tx: &Tx, kind: UnitKind, unit: Uuid) -> Result<Option<Uuid>, Refusal> {
    let sql = "SELECT tranche_id FROM seal WHERE unit_kind = $1 AND unit_id = $2";
    let rows = tx.query(sql, vec![kind.word().into(), unit.into()]).await?;
    Ok(rows.first().map(|row| row.try_get("", "tranche_id")).transpose()?)
}

/// Those of the units that are sealed, each with its tranche.
pub async fn among(tx: &Tx, kind: UnitKind, units: impl IntoIterator<Item = Uuid>) -> Result<HashMap<Uuid, Uuid>, Refusal> {
    let (mut sealed, units): (_, Vec<Uuid>) = (HashMap::new(), units.into_iter().collect());
    for units in units.chunks(PAGE) {
        let places: Vec<String> = (0..units.len()).map(|n| format!("${}", n + 2)).collect();
        let sql = format!("SELECT unit_id, tranche_id FROM seal WHERE unit_kind = $1 AND unit_id IN ({})", places.join(", "));
        let mut values: Vec<sea_orm::Value> = vec![kind.word().into()];
        values.extend(units.iter().map(|unit| (*unit).into()));
        for row in tx.query(&sql, values).await? {
            sealed.insert(row.try_get("", "unit_id")?, row.try_get("", "tranche_id")?);
        }
    }
    Ok(sealed)
}

/// A statement's rows, in this transaction.
impl Tx {
    pub(crate) async fn query(&self, sql: &str, values: Vec<sea_orm::Value>) -> Result<Vec<sea_orm::QueryResult>, Refusal> {
        let backend = self.conn().get_database_backend();
        Ok(self.conn().query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?)
    }
}
