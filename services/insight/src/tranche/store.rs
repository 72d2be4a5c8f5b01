//! What a tranche comes to, by cell, on disk: filled as its units are sealed, so it is there when it is asked for.

use std::collections::BTreeMap;

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, OnConflict};
use tahuka_chassis::{Refusal, Scoped, Tx};

use crate::custody::store::holders;
use crate::indicator::Cell;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tranche_figure")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tranche_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub programme_id: Uuid,
    /// The sender, and the recipient once it was given over.
    pub custodian_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub indicator: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub district: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub sex: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub age_band: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub category: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub grant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub month: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub currency: String,
    pub value: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Scoped for Entity {
    fn custodian() -> Column {
        Column::CustodianId
    }
    fn district() -> Option<Column> {
        Some(Column::District)
    }
}

const KEY: [Column; 11] = [
    Column::TrancheId,
    Column::ProgrammeId,
    Column::Indicator,
    Column::District,
    Column::Kind,
    Column::Sex,
    Column::AgeBand,
    Column::Category,
    Column::GrantId,
    Column::Month,
    Column::Currency,
];

/// Rows of one statement, within what SQLite binds.
const CHUNK: usize = 1_000;

/// Adds to the figures of tranches. By whom a cell is held is no matter here.
pub async fn add(tx: &Tx, deltas: Vec<(Uuid, Cell, i64)>) -> Result<(), Refusal> {
    // A statement may touch a row only once.
    let mut sums: BTreeMap<(Uuid, Cell), i64> = BTreeMap::new();
    for (tranche, cell, delta) in deltas {
        *sums.entry((tranche, cell.custodian(Uuid::nil()))).or_default() += delta;
    }
    sums.retain(|_, delta| *delta != 0);
    if sums.is_empty() {
        return Ok(());
    }
    let mut tranches: Vec<Uuid> = sums.keys().map(|(tranche, _)| *tranche).collect();
    tranches.dedup();
    let holders = holders(tx, &tranches).await?;
    let row = |((tranche, cell), value): ((Uuid, Cell), i64)| {
        let custodian = holders.get(&tranche).ok_or_else(|| Refusal::internal("a tranche is gone"))?;
        Ok::<_, Refusal>(row(tranche, *custodian, cell, value))
    };
    let rows = sums.into_iter().map(row).collect::<Result<Vec<_>, _>>()?;
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let sum = Expr::col((Entity, Column::Value)).add(Expr::col((Alias::new("excluded"), Column::Value)));
        let add = OnConflict::columns(KEY).value(Column::Value, sum).to_owned();
        let chunk: Vec<_> = rows.by_ref().take(CHUNK).collect();
        Entity::insert_many(chunk).on_conflict(add).exec_without_returning(tx.conn()).await?;
    }
    Ok(())
}

fn row(tranche: Uuid, custodian: Uuid, cell: Cell, value: i64) -> ActiveModel {
    ActiveModel {
        tranche_id: Set(tranche),
        programme_id: Set(cell.programme_id),
        custodian_id: Set(custodian),
        indicator: Set(cell.indicator.into_owned()),
        district: Set(cell.district),
        kind: Set(cell.kind),
        sex: Set(cell.sex),
        age_band: Set(cell.age_band),
        category: Set(cell.category),
        grant_id: Set(cell.grant_id),
        month: Set(cell.month),
        currency: Set(cell.currency),
        value: Set(value),
    }
}

/// Lets figures of nought go.
pub async fn tidy(tx: &Tx, tranche: Uuid) -> Result<(), Refusal> {
    Entity::delete_many().filter(Column::TrancheId.eq(tranche)).filter(Column::Value.eq(0)).exec(tx.conn()).await?;
    Ok(())
}

pub async fn count(tx: &Tx, tranche: Uuid) -> Result<i64, Refusal> {
    let figures = tx.find::<Entity>().filter(Column::TrancheId.eq(tranche)).filter(Column::Value.ne(0));
    i64::try_from(figures.count(tx.conn()).await?).map_err(Refusal::internal)
}

/// The tranche's figures within the caller's scope.
pub async fn list(tx: &Tx, tranche: Uuid) -> Result<Vec<Model>, Refusal> {
    Ok(tx.find::<Entity>().filter(Column::TrancheId.eq(tranche)).filter(Column::Value.ne(0)).all(tx.conn()).await?)
}
