//! Cells on disk: added to as events come, summed when somebody asks.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, OnConflict};
use sea_orm::{ActiveValue::Set, QuerySelect, QueryTrait};
use tahuka_chassis::{Refusal, Scoped, Tx};

use super::{Cell, Dimension};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "cell")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub programme_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub indicator: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub custodian_id: Uuid,
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
    Column::ProgrammeId,
    Column::Indicator,
    Column::CustodianId,
    Column::District,
    Column::Kind,
    Column::Sex,
    Column::AgeBand,
    Column::Category,
    Column::GrantId,
    Column::Month,
    Column::Currency,
];

fn column(dimension: Dimension) -> Column {
    match dimension {
        Dimension::District => Column::District,
        Dimension::Kind => Column::Kind,
        Dimension::Sex => Column::Sex,
        Dimension::AgeBand => Column::AgeBand,
        Dimension::Category => Column::Category,
        Dimension::Grant => Column::GrantId,
        Dimension::Month => Column::Month,
    }
}

/// Cells of one statement, within what SQLite binds.
const CHUNK: usize = 1_000;

/// Adds to the cells.
pub async fn add(tx: &Tx, deltas: Vec<(Cell, i64)>) -> Result<(), Refusal> {
    // A statement may touch a cell only once.
    let mut sums: BTreeMap<Cell, i64> = BTreeMap::new();
    for (cell, delta) in deltas {
        *sums.entry(cell).or_default() += delta;
    }
    let mut rows = sums.into_iter().filter(|(_, delta)| *delta != 0).map(|(cell, delta)| row(cell, delta)).peekable();
    while rows.peek().is_some() {
        let sum = Expr::col((Entity, Column::Value)).add(Expr::col((Alias::new("excluded"), Column::Value)));
        let add = OnConflict::columns(KEY).value(Column::Value, sum).to_owned();
        let chunk: Vec<_> = rows.by_ref().take(CHUNK).collect();
        Entity::insert_many(chunk).on_conflict(add).exec_without_returning(tx.conn()).await?;
    }
    Ok(())
}

fn row(cell: Cell, value: i64) -> ActiveModel {
    ActiveModel {
        programme_id: Set(cell.programme_id),
        indicator: Set(cell.indicator.into_owned()),
        custodian_id: Set(cell.custodian_id),
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

/// Which cells are summed.
#[derive(Debug, Clone, Default)]
pub struct Filter<'a> {
    pub from_month: Option<&'a str>,
    pub to_month: Option<&'a str>,
    pub district: Option<&'a str>,
    /// None for all; else of these grants only.
    pub grants: Option<&'a BTreeSet<String>>,
}

/// The sums of one indicator's cells within the caller's scope, by the dimensions in their order and then by currency.
pub type Sums = BTreeMap<(Vec<String>, String), i64>;

pub async fn sums(tx: &Tx, programme: Uuid, code: &str, by: &[Dimension], filter: &Filter<'_>) -> Result<Sums, Refusal> {
    let mut select =
        tx.find::<Entity>().filter(Column::ProgrammeId.eq(programme)).filter(Column::Indicator.eq(code)).select_only();
    if let Some(from) = filter.from_month {
        select = select.filter(Column::Month.gte(from));
    }
    if let Some(to) = filter.to_month {
        select = select.filter(Column::Month.lte(to));
    }
    if let Some(district) = filter.district {
        select = select.filter(Column::District.eq(district));
    }
    if let Some(grants) = filter.grants {
        select = select.filter(Column::GrantId.is_in(grants.iter().map(String::as_str)));
    }
    for dimension in by {
        select = select.column(column(*dimension)).group_by(column(*dimension));
    }
    // PostgreSQL sums big integers into a numeric.
    let sum = Expr::col(Column::Value).sum().cast_as(Alias::new("BIGINT"));
    let select = select.column(Column::Currency).group_by(Column::Currency).expr(sum);
    let mut sums = Sums::new();
    for row in tx.conn().query_all(&select.into_query()).await? {
        let keys = (0..by.len()).map(|n| row.try_get_by_index(n)).collect::<Result<Vec<String>, _>>()?;
        let value: i64 = row.try_get_by_index(by.len() + 1)?;
        if value != 0 {
            sums.insert((keys, row.try_get_by_index(by.len())?), value);
        }
    }
    Ok(sums)
}
