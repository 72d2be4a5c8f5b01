//! How tranches stand, and which units they have, on disk.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, DbBackend, QueryResult, Statement, Value};
use tahuka_chassis::{Refusal, Tx, clock};
use tahuka_proto::UnitKind;
use uuid::Uuid;

use super::{Asked, Membership, Memberships, Step};
use crate::indicator::Cell;

/// Ids in one statement.
const PAGE: usize = 1_000;

async fn run(tx: &Tx, sql: &str, values: Vec<Value>) -> Result<u64, Refusal> {
    let statement = Statement::from_sql_and_values(tx.conn().get_database_backend(), sql, values);
    Ok(tx.conn().execute_raw(statement).await?.rows_affected())
}

async fn rows(tx: &Tx, sql: &str, values: Vec<Value>) -> Result<Vec<QueryResult>, Refusal> {
    let statement = Statement::from_sql_and_values(tx.conn().get_database_backend(), sql, values);
    Ok(tx.conn().query_all_raw(statement).await?)
}

/// `$first`, and so on: one for each of `count`.
fn marks(first: usize, count: usize) -> String {
    (first..first + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

/// One transaction of the read model after the other, until this one ends: what one has noted of a tranche the next one
/// sees. SQLite has one writer anyway.
pub async fn in_turn(tx: &Tx) -> Result<(), Refusal> {
    if tx.conn().get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let sql = "SELECT 1 AS mine FROM pg_advisory_xact_lock(hashtext(current_schema() || '.facts'), 7241888)";
    rows(tx, sql, Vec::new()).await.map(|_| ())
}

/// The tranches of these units, whatever their kinds.
pub async fn memberships(tx: &Tx, units: impl IntoIterator<Item = Uuid>) -> Result<Memberships, Refusal> {
    let units: Vec<Uuid> = units.into_iter().collect();
    let mut members = Memberships::default();
    for page in units.chunks(PAGE) {
        let sql = format!(
            "SELECT unit_kind, unit_id, tranche_id, given_to, given_at FROM tranche_unit WHERE unit_id IN ({})",
            marks(1, page.len())
        );
        for row in rows(tx, &sql, page.iter().map(|id| (*id).into()).collect()).await? {
            let given = row.try_get::<Option<Uuid>>("", "given_to")?.zip(row.try_get("", "given_at")?);
            let member = Membership { tranche: row.try_get("", "tranche_id")?, given };
            members.0.entry((kind(&row)?, row.try_get("", "unit_id")?)).or_default().push(member);
        }
    }
    Ok(members)
}

fn kind(row: &QueryResult) -> Result<UnitKind, Refusal> {
    let word: String = row.try_get("", "unit_kind")?;
    UnitKind::parse(&word).ok_or_else(|| Refusal::internal("a unit has an unknown kind"))
}

/// How a tranche stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tranche {
    pub sender: Uuid,
    /// To whom it goes, and since when; None until both have signed.
    pub goes_to: Option<(Uuid, DateTime<Utc>)>,
    pub asked: Asked,
    /// The event that asked.
    pub asked_by: Option<Uuid>,
}

/// Makes it known. Every event of a tranche is its sender's.
pub async fn know(tx: &Tx, tranche: Uuid, sender: Uuid) -> Result<(), Refusal> {
    let sql = "INSERT INTO tranche (id, holder_id, sender_id, asked) VALUES ($1, $2, $2, $3) ON CONFLICT DO NOTHING";
    run(tx, sql, vec![tranche.into(), sender.into(), Asked::Nothing.word().into()]).await.map(|_| ())
}

pub async fn tranche(tx: &Tx, id: Uuid) -> Result<Option<Tranche>, Refusal> {
    let sql = "SELECT sender_id, recipient_id, given_at, asked, asked_by FROM tranche WHERE id = $1";
    let found = rows(tx, sql, vec![id.into()]).await?;
    let Some(row) = found.first() else { return Ok(None) };
    let asked: String = row.try_get("", "asked")?;
    Ok(Some(Tranche {
        sender: row.try_get("", "sender_id")?,
        goes_to: row.try_get::<Option<Uuid>>("", "recipient_id")?.zip(row.try_get("", "given_at")?),
        asked: Asked::parse(&asked).ok_or_else(|| Refusal::internal("a tranche was asked for something unknown"))?,
        asked_by: row.try_get("", "asked_by")?,
    }))
}

pub async fn asked(tx: &Tx, tranche: Uuid, asked: Asked, by: Uuid) -> Result<(), Refusal> {
    let sql = "UPDATE tranche SET asked = $1, asked_by = $2 WHERE id = $3";
    run(tx, sql, vec![asked.word().into(), by.into(), tranche.into()]).await.map(|_| ())
}

pub async fn goes_to(tx: &Tx, tranche: Uuid, recipient: Uuid, at: DateTime<Utc>) -> Result<(), Refusal> {
    let sql = "UPDATE tranche SET recipient_id = $1, given_at = $2 WHERE id = $3";
    run(tx, sql, vec![recipient.into(), at.into(), tranche.into()]).await.map(|_| ())
}

pub async fn came_to(tx: &Tx, tranche: Uuid, service: &str, step: Step) -> Result<(), Refusal> {
    let sql = "INSERT INTO tranche_part (tranche_id, service, step) VALUES ($1, $2, $3) \
               ON CONFLICT (tranche_id, service) DO UPDATE SET step = excluded.step";
    run(tx, sql, vec![tranche.into(), service.into(), step.word().into()]).await.map(|_| ())
}

/// The services that have come to this step last.
pub async fn at(tx: &Tx, tranche: Uuid, step: Step) -> Result<Vec<String>, Refusal> {
    let sql = "SELECT service FROM tranche_part WHERE tranche_id = $1 AND step = $2";
    let found = rows(tx, sql, vec![tranche.into(), step.word().into()]).await?;
    Ok(found.iter().map(|row| row.try_get("", "service")).collect::<Result<_, _>>()?)
}

/// Whether a request is answered for the first time. A read model that is made anew hears all requests once more, and
/// answers none of them twice.
pub async fn first_answer(tx: &Tx, request: Uuid) -> Result<bool, Refusal> {
    let sql = "INSERT INTO slice_answer (request_id, answered_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    Ok(run(tx, sql, vec![request.into(), clock::now().into()]).await? == 1)
}

/// Puts units into a tranche; those that were not in it.
pub async fn put(tx: &Tx, tranche: Uuid, kind: UnitKind, units: Vec<Uuid>) -> Result<Vec<Uuid>, Refusal> {
    let mut new = Vec::new();
    for page in units.chunks(PAGE) {
        let known = memberships(tx, page.iter().copied()).await?;
        let is_in = |id: &Uuid| known.0.get(&(kind, *id)).is_some_and(|in_| in_.iter().any(|m| m.tranche == tranche));
        let page: Vec<Uuid> = page.iter().copied().filter(|id| !is_in(id)).collect();
        if page.is_empty() {
            continue;
        }
        let row = |n: usize| format!("(${}, $1, $2)", n + 3);
        let sql = format!(
            "INSERT INTO tranche_unit (unit_id, unit_kind, tranche_id) VALUES {} ON CONFLICT DO NOTHING",
            (0..page.len()).map(row).collect::<Vec<_>>().join(", ")
        );
        let ids = page.iter().map(|id| (*id).into());
        run(tx, &sql, [kind.word().into(), tranche.into()].into_iter().chain(ids).collect()).await?;
        new.extend(page);
    }
    Ok(new)
}

/// How many units of the kind a tranche has.
pub async fn count(tx: &Tx, tranche: Uuid, kind: UnitKind) -> Result<i64, Refusal> {
    counted(tx, "", tranche, kind).await
}

/// How many of them are not given over yet.
pub async fn only_sealed(tx: &Tx, tranche: Uuid, kind: UnitKind) -> Result<i64, Refusal> {
    counted(tx, "AND given_at IS NULL", tranche, kind).await
}

async fn counted(tx: &Tx, which: &str, tranche: Uuid, kind: UnitKind) -> Result<i64, Refusal> {
    let sql = format!("SELECT count(*) AS units FROM tranche_unit WHERE tranche_id = $1 AND unit_kind = $2 {which}");
    let found = rows(tx, &sql, vec![tranche.into(), kind.word().into()]).await?;
    Ok(found.first().map_or(Ok(0), |row| row.try_get("", "units"))?)
}

/// The columns that make a cell one, but its custodian.
const CELL: &str =
    "f.programme_id, f.indicator, f.district, f.kind, f.sex, f.age_band, f.category, f.grant_id, f.month, f.currency";

fn cell(row: &QueryResult, custodian: Uuid) -> Result<Cell, Refusal> {
    Ok(Cell {
        programme_id: row.try_get("", "programme_id")?,
        custodian_id: custodian,
        indicator: row.try_get::<String>("", "indicator")?.into(),
        district: row.try_get("", "district")?,
        kind: row.try_get("", "kind")?,
        sex: row.try_get("", "sex")?,
        age_band: row.try_get("", "age_band")?,
        category: row.try_get("", "category")?,
        grant_id: row.try_get("", "grant_id")?,
        month: row.try_get("", "month")?,
        currency: row.try_get("", "currency")?,
    })
}

/// What the facts of these units come to, by cell.
pub async fn sums(tx: &Tx, kind: UnitKind, units: &[Uuid]) -> Result<Vec<(Cell, i64)>, Refusal> {
    let mut sums = Vec::new();
    for page in units.chunks(PAGE) {
        let sql = format!(
            "SELECT {CELL}, CAST(sum(f.value) AS BIGINT) AS value FROM fact f \
             WHERE f.unit_id IN ({}) AND f.unit_kind = $1 GROUP BY {CELL}",
            marks(2, page.len())
        );
        let values = std::iter::once(kind.word().into()).chain(page.iter().map(|id| (*id).into())).collect();
        for row in rows(tx, &sql, values).await? {
            sums.push((cell(&row, Uuid::nil())?, row.try_get("", "value")?));
        }
    }
    Ok(sums)
}

/// Takes the units of a kind that were only sealed out of the tranche; what their facts come to.
pub async fn take_out(tx: &Tx, tranche: Uuid, kind: UnitKind) -> Result<Vec<(Cell, i64)>, Refusal> {
    let out = "tranche_id = $1 AND unit_kind = $2 AND given_at IS NULL";
    let values: Vec<Value> = vec![tranche.into(), kind.word().into()];
    let sql = format!(
        "SELECT {CELL}, CAST(sum(f.value) AS BIGINT) AS value FROM tranche_unit u \
         JOIN fact f ON f.unit_id = u.unit_id AND f.unit_kind = u.unit_kind \
         WHERE u.tranche_id = $1 AND u.unit_kind = $2 AND u.given_at IS NULL GROUP BY {CELL}"
    );
    let mut sums = Vec::new();
    for row in rows(tx, &sql, values.clone()).await? {
        sums.push((cell(&row, Uuid::nil())?, row.try_get("", "value")?));
    }
    run(tx, &format!("DELETE FROM tranche_unit WHERE {out}"), values).await?;
    Ok(sums)
}

/// What changes when the units of a kind are given over.
#[derive(Debug, Default)]
pub struct Moves {
    /// What goes from cell to cell, told by the cells of those who hold it.
    pub cells: Vec<(Cell, i64)>,
    /// What was recorded after it was given over, and is none of the tranche's figures.
    pub late: Vec<(Cell, i64)>,
}

/// What is to be moved when the units of the kind that were only sealed are given over at this time. A unit that has gone
/// on since is not moved back.
pub async fn moves(tx: &Tx, tranche: Uuid, kind: UnitKind, at: DateTime<Utc>) -> Result<Moves, Refusal> {
    let given = "FROM tranche_unit g WHERE g.unit_id = u.unit_id AND g.unit_kind = u.unit_kind AND g.given_at IS NOT NULL";
    let sql = format!(
        "WITH unit AS MATERIALIZED (SELECT u.unit_id, \
         (SELECT g.given_to {given} ORDER BY g.given_at DESC LIMIT 1) AS holder, (SELECT max(g.given_at) {given}) AS since \
         FROM tranche_unit u WHERE u.tranche_id = $1 AND u.unit_kind = $2 AND u.given_at IS NULL) \
         SELECT COALESCE(unit.holder, f.custodian_id) AS holder, {CELL}, \
         CAST(sum(CASE WHEN (f.currency = '' OR f.grant_id = '') AND (unit.since IS NULL OR unit.since <= $3) \
         THEN f.value ELSE 0 END) AS BIGINT) AS moved, \
         CAST(sum(CASE WHEN f.recorded_at > $3 THEN f.value ELSE 0 END) AS BIGINT) AS late \
         FROM unit JOIN fact f ON f.unit_id = unit.unit_id AND f.unit_kind = $2 GROUP BY 1, {CELL}"
    );
    let mut moves = Moves::default();
    for row in rows(tx, &sql, vec![tranche.into(), kind.word().into(), at.into()]).await? {
        let cell = cell(&row, row.try_get("", "holder")?)?;
        let (moved, late): (i64, i64) = (row.try_get("", "moved")?, row.try_get("", "late")?);
        if late != 0 {
            moves.late.push((cell.clone(), late));
        }
        if moved != 0 {
            moves.cells.push((cell, moved));
        }
    }
    if kind == UnitKind::Grant {
        moves.cells.extend(money(tx, tranche, at).await?);
    }
    Ok(moves)
}

/// The money of a tranche's grants, whomever it was spent on.
async fn money(tx: &Tx, tranche: Uuid, at: DateTime<Utc>) -> Result<Vec<(Cell, i64)>, Refusal> {
    let sql = "SELECT unit_id FROM tranche_unit WHERE tranche_id = $1 AND unit_kind = $2 AND given_at IS NULL";
    let found = rows(tx, sql, vec![tranche.into(), UnitKind::Grant.word().into()]).await?;
    let grants = found.iter().map(|row| row.try_get("", "unit_id")).collect::<Result<Vec<Uuid>, _>>()?;
    let members = memberships(tx, grants.iter().copied()).await?;
    let mut sums = Vec::new();
    for grant in grants {
        let unit = (UnitKind::Grant, grant);
        let went_on = members.0.get(&unit).into_iter().flatten().any(|m| m.given.is_some_and(|(_, since)| since > at));
        if went_on {
            continue;
        }
        let sql = format!(
            "SELECT f.custodian_id AS holder, {CELL}, CAST(sum(f.value) AS BIGINT) AS value FROM fact f \
             WHERE f.grant_id = $1 AND f.grant_id <> '' AND f.currency <> '' GROUP BY 1, {CELL}"
        );
        for row in rows(tx, &sql, vec![grant.to_string().into()]).await? {
            let holder = members.custodian(unit).map_or_else(|| row.try_get("", "holder"), Ok)?;
            sums.push((cell(&row, holder)?, row.try_get("", "value")?));
        }
    }
    Ok(sums)
}

/// Writes that the units of the kind were given over, and whatever else has them as its custodian's: people helped, needs,
/// grants.
pub async fn give(tx: &Tx, tranche: Uuid, kind: UnitKind, to: Uuid, at: DateTime<Utc>) -> Result<(), Refusal> {
    let sql = "UPDATE tranche_unit SET given_to = $1, given_at = $2 \
               WHERE tranche_id = $3 AND unit_kind = $4 AND given_at IS NULL";
    run(tx, sql, vec![to.into(), at.into(), tranche.into(), kind.word().into()]).await?;
    let follow: &[(&str, &str)] = match kind {
        UnitKind::Household => &[("helped_person", "household_id"), ("need", "unit_id")],
        UnitKind::Project => &[("need", "unit_id")],
        UnitKind::Grant => &[("grant_line", "id")],
    };
    for (table, column) in follow {
        let sql = format!(
            "UPDATE {table} SET custodian_id = $1 WHERE {column} IN (SELECT u.unit_id FROM tranche_unit u \
             WHERE u.tranche_id = $2 AND u.unit_kind = $3 AND NOT EXISTS (SELECT 1 FROM tranche_unit later \
             WHERE later.unit_id = u.unit_id AND later.unit_kind = u.unit_kind AND later.given_at > $4))"
        );
        run(tx, &sql, vec![to.into(), tranche.into(), kind.word().into(), at.into()]).await?;
    }
    Ok(())
}

/// The tranche's figures are the recipient's from now on.
pub async fn hold(tx: &Tx, tranche: Uuid, holder: Uuid) -> Result<(), Refusal> {
    for sql in [
        "UPDATE tranche SET holder_id = $1 WHERE id = $2 AND holder_id <> $1",
        "UPDATE tranche_figure SET custodian_id = $1 WHERE tranche_id = $2 AND custodian_id <> $1",
    ] {
        run(tx, sql, vec![holder.into(), tranche.into()]).await?;
    }
    Ok(())
}

/// Who holds the figures of these tranches.
pub async fn holders(tx: &Tx, tranches: &[Uuid]) -> Result<HashMap<Uuid, Uuid>, Refusal> {
    let sql = format!("SELECT id, holder_id FROM tranche WHERE id IN ({})", marks(1, tranches.len()));
    let found = rows(tx, &sql, tranches.iter().map(|id| (*id).into()).collect()).await?;
    let pair = |row: &QueryResult| Ok((row.try_get("", "id")?, row.try_get("", "holder_id")?));
    found.iter().map(pair).collect()
}
