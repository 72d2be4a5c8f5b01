//! Rows that came for a household while it was handed over: once that has ended, they are registered in the name of
//! whoever has the household then.

use std::collections::HashMap;

use csv::StringRecord;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;
use sea_orm::{QueryOrder, QuerySelect};
use tahuka_chassis::custody::Releasing;
use tahuka_chassis::{Caller, Refusal, Store, Tx, clock, coded};

use super::landing::{Known, Landing};
use super::store::{self, held};
use super::{Fault, parse};
use crate::household::store as household;
use crate::vulnerability::store as vulnerability;

coded!(State { Waiting = 1 "waiting", Registered = 2 "registered", Refused = 3 "refused" });

/// Rows in one go.
const MOST: u64 = 200;

/// Of tranches that have not sealed anything any more.
const FREE: &str = "NOT EXISTS (SELECT 1 FROM seal s WHERE s.tranche_id = held_submission.tranche_id)";

/// For the chassis: registers what waits no longer; how many rows.
pub fn release(store: &Store) -> Releasing<'_> {
    Box::pin(async move {
        let mut done = 0;
        while let Some(row) = next(store).await? {
            done += settle(store, &row).await?;
        }
        Ok(done)
    })
}

async fn next(store: &Store) -> Result<Option<held::Model>, Refusal> {
    let tx = store.read(&Caller::system("held submissions")).await?;
    let select = tx
        .find::<held::Entity>()
        .filter(held::Column::State.eq(State::Waiting.word()))
        .filter(Expr::cust(FREE))
        .order_by_asc(held::Column::Id);
    Ok(select.one(tx.conn()).await?)
}

/// All rows of one household that one import had, in the order of the file.
async fn settle(store: &Store, first: &held::Model) -> Result<usize, Refusal> {
    // In the sender's name: what it has sent stays its own.
    let caller = Caller { tenant_id: first.custodian_id, ..Caller::system("held submissions") };
    let mut tx = store.begin(&caller).await?;
    let rows = tx
        .find::<held::Entity>()
        .filter(held::Column::State.eq(State::Waiting.word()))
        .filter(held::Column::ImportId.eq(first.import_id))
        .filter(held::Column::HouseholdId.eq(first.household_id))
        .order_by_asc(held::Column::RowNumber)
        .limit(MOST)
        .all(tx.conn())
        .await?;
    let home = household::get(&tx, first.household_id).await?;
    let mut sets = vulnerability::sets(&tx, first.programme_id).await?;
    sets.retain(|set| set.custodian_id == home.custodian_id);
    let run = store::get(&tx, first.import_id).await?;
    let key = (home.district.clone(), home.household_number.clone());
    let today = clock::today();
    let parsed: Vec<_> = rows.iter().map(|row| parse(&record(row), today)).collect();
    let mut outcomes: HashMap<Uuid, Result<(), Fault>> = HashMap::new();
    let mut landing = Landing::with(&tx, &run, &sets, vec![home], Known::default()).await?;
    for (held, parsed) in rows.iter().zip(&parsed) {
        let fault = Fault { column: "", rule: "is not what it was" };
        let outcome = match parsed {
            Err(faults) => Err(faults.first().cloned().unwrap_or(fault)),
            Ok(row) if (row.district.code, row.household_number.as_str()) != (key.0.as_str(), key.1.as_str()) => Err(fault),
            Ok(row) => landing.home_of(&tx, row).map(|home| landing.register(held.row_number, row, home)),
        };
        outcomes.insert(held.id, outcome);
    }
    landing.settle(&mut tx).await?;
    for held in &rows {
        if let Some(outcome) = outcomes.remove(&held.id) {
            note(&tx, held, outcome).await?;
        }
    }
    tx.commit().await?;
    Ok(rows.len())
}

fn record(row: &held::Model) -> StringRecord {
    let cells = row.cells.as_array().into_iter().flatten();
    cells.map(|cell| cell.as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>().into()
}

/// Writes what became of the row; the row itself is not needed any more.
async fn note(tx: &Tx, row: &held::Model, outcome: Result<(), Fault>) -> Result<(), Refusal> {
    let (state, fault) = match outcome {
        Ok(()) => (State::Registered, None),
        Err(fault) => (State::Refused, Some(fault)),
    };
    let done = held::Entity::update_many()
        .col_expr(held::Column::State, Expr::value(state.word()))
        .col_expr(held::Column::ColumnName, Expr::value(fault.as_ref().map_or("", |f| f.column)))
        .col_expr(held::Column::Reason, Expr::value(fault.as_ref().map_or("", |f| f.rule)))
        .col_expr(held::Column::SettledAt, Expr::value(clock::now()))
        .filter(held::Column::Id.eq(row.id))
        .filter(held::Column::State.eq(State::Waiting.word()))
        .exec(tx.conn())
        .await?;
    // Another replica has done it.
    if done.rows_affected == 1 { Ok(()) } else { Err(Refusal::conflict("CHANGED_MEANWHILE", "the row is registered already")) }
}
