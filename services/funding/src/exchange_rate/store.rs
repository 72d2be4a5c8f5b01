//! Exchange rates on disk.

use chrono::NaiveDate;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect};
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Currency, Refusal, Tx, taken};

use super::{Quote, Rate, Rates};
use crate::fields::{currency, nationwide, unknown};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "exchange_rate")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub custodian_id: Uuid,
    pub base: String,
    pub quote: String,
    /// Times 10^9.
    pub rate: i64,
    pub valid_on: Date,
    pub source: String,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

nationwide!();

impl Model {
    fn quote(&self) -> Result<Quote, Refusal> {
        Ok(Quote {
            id: self.id,
            base: currency(&self.base)?,
            quote: currency(&self.quote)?,
            valid_on: self.valid_on,
            rate: Rate::of_scaled(self.rate).ok_or_else(|| unknown("exchange_rate.rate"))?,
        })
    }
}

pub async fn insert(tx: &Tx, row: &Model) -> Result<(), Refusal> {
    Entity::insert(row.clone().into_active_model())
        .exec_without_returning(tx.conn())
        .await
        .map_err(taken("EXCHANGE_RATE_TAKEN", "a rate of this pair is in force from that day already"))?;
    Ok(())
}

pub async fn list(tx: &Tx, base: Option<&Currency>, quote: Option<&Currency>, page: &Page) -> Result<Vec<Model>, Refusal> {
    let mut select = tx.find::<Entity>();
    if let Some(base) = base {
        select = select.filter(Column::Base.eq(base.as_str()));
    }
    if let Some(quote) = quote {
        select = select.filter(Column::Quote.eq(quote.as_str()));
    }
    Ok(keyset(select, Column::Id, page).all(tx.conn()).await?)
}

/// The custodian's rates by which an amount in `from` becomes one in `to`: of every day.
pub async fn of_pair(tx: &Tx, custodian: Uuid, from: &Currency, to: &Currency) -> Result<Rates, Refusal> {
    collected(pair(custodian, from, to).all(tx.conn()).await?)
}

/// The custodian's rates that are in force between `from` and each of `to` on the day.
pub async fn in_force(tx: &Tx, custodian: Uuid, from: &Currency, to: &[Currency], on: NaiveDate) -> Result<Rates, Refusal> {
    let mut rows = Vec::new();
    for to in to {
        if to != from {
            // Two: the pair may be told either way on the same day.
            let newest = pair(custodian, from, to).filter(Column::ValidOn.lte(on)).order_by_desc(Column::ValidOn).limit(2);
            rows.extend(newest.all(tx.conn()).await?);
        }
    }
    collected(rows)
}

fn pair(custodian: Uuid, from: &Currency, to: &Currency) -> Select<Entity> {
    let told = |base: &Currency, quote: &Currency| Column::Base.eq(base.as_str()).and(Column::Quote.eq(quote.as_str()));
    Entity::find().filter(Column::CustodianId.eq(custodian)).filter(told(from, to).or(told(to, from)))
}

fn collected(rows: Vec<Model>) -> Result<Rates, Refusal> {
    Ok(Rates(rows.iter().map(Model::quote).collect::<Result<_, _>>()?))
}
