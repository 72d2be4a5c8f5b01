//! The ledger on disk: postings with their entries, which are only ever added, and the balances that they come to.

use std::collections::HashMap;

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{ConnectionTrait, DbBackend, IntoActiveModel, QueryOrder, QuerySelect};
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Tx, clock, ids};

use super::{Account, Bucket, Posting, Purse};
use crate::fields::{run, statement};
use crate::grant::store as grant;

/// Rows in one INSERT: SQLite binds 32,766 values at most, and an entry has 11.
const CHUNK: usize = 2000;

pub mod posting {
    use sea_orm::entity::prelude::*;

    use crate::fields::nationwide;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "posting")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub programme_id: Uuid,
        pub custodian_id: Uuid,
        pub grant_id: Uuid,
        pub kind: String,
        pub happened_on: Date,
        pub description: String,
        /// How many.
        pub entries: i32,
        pub recorded_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    nationwide!();
}

pub mod entry {
    use sea_orm::entity::prelude::*;

    use crate::fields::nationwide;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "entry")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub programme_id: Uuid,
        pub custodian_id: Uuid,
        pub grant_id: Uuid,
        pub posting_id: Uuid,
        /// Its place in the posting.
        pub number: i32,
        pub bucket: String,
        pub line_id: Option<Uuid>,
        pub minor: i64,
        pub currency: String,
        pub reservation_id: Option<Uuid>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    nationwide!();
}

pub mod balance {
    use sea_orm::entity::prelude::*;

    use crate::fields::nationwide;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "balance")]
    pub struct Model {
        pub custodian_id: Uuid,
        pub programme_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub grant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub bucket: String,
        /// Nil for an account of the whole grant.
        #[sea_orm(primary_key, auto_increment = false)]
        pub line_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub currency: String,
        pub minor: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    nationwide!();
}

/// Waits until no other transaction moves the custodian's money, so that what is read of it holds until this one ends.
/// SQLite has one writer anyway.
pub async fn turn(tx: &Tx, custodian: Uuid) -> Result<(), Refusal> {
    if tx.conn().get_database_backend() == DbBackend::Postgres {
        let sql = "SELECT pg_advisory_xact_lock(7241887, hashtext($1))";
        tx.conn().execute_raw(statement(tx, sql, vec![custodian.to_string().into()])).await?;
    }
    Ok(())
}

/// Writes the posting and moves the balances and the use of the budget lines with it: all of it, or a refusal.
pub async fn post(tx: &Tx, posting: &Posting) -> Result<Uuid, Refusal> {
    let (purse, id) = (posting.purse, ids::new_id());
    let row = posting::Model {
        id,
        programme_id: purse.programme_id,
        custodian_id: purse.custodian_id,
        grant_id: purse.grant_id,
        kind: posting.kind.word().to_owned(),
        happened_on: posting.happened_on,
        description: posting.description.clone(),
        entries: i32::try_from(posting.entries().len()).map_err(Refusal::internal)?,
        recorded_at: clock::now(),
    };
    posting::Entity::insert(row.into_active_model()).exec_without_returning(tx.conn()).await?;

    let entries = (posting.entries().iter().zip(0..)).map(|(entry, number)| {
        entry::ActiveModel::from(entry::Model {
            id: ids::new_id(),
            programme_id: purse.programme_id,
            custodian_id: purse.custodian_id,
            grant_id: purse.grant_id,
            posting_id: id,
            number,
            bucket: entry.account.bucket.word().to_owned(),
            line_id: entry.account.line,
            minor: entry.minor,
            currency: entry.account.currency.as_str().to_owned(),
            reservation_id: entry.reservation,
        })
    });
    let entries: Vec<_> = entries.collect();
    for entries in entries.chunks(CHUNK) {
        entry::Entity::insert_many(entries.iter().cloned()).exec_without_returning(tx.conn()).await?;
    }

    for (account, minor) in posting.movements() {
        if minor != 0 {
            shift(tx, &purse, account, minor).await?;
        }
    }
    for (line, minor) in posting.line_use() {
        if minor != 0 {
            grant::use_line(tx, line, minor).await?;
        }
    }
    Ok(id)
}

async fn shift(tx: &Tx, purse: &Purse, account: &Account, minor: i64) -> Result<(), Refusal> {
    let mut sql =
        "UPDATE balance SET minor = minor + $1 WHERE grant_id = $2 AND bucket = $3 AND line_id = $4 AND currency = $5".to_owned();
    if !account.bucket.may_be_negative() {
        sql.push_str(" AND minor + $1 >= 0");
    }
    let key: [sea_orm::Value; 4] = [
        purse.grant_id.into(),
        account.bucket.word().into(),
        account.line.unwrap_or_default().into(),
        account.currency.as_str().into(),
    ];
    let by: Vec<_> = [minor.into()].into_iter().chain(key.clone()).collect();
    if run(tx, &sql, by.clone()).await? == 1 {
        return Ok(());
    }
    // The account may be new.
    let open = "INSERT INTO balance (grant_id, bucket, line_id, currency, custodian_id, programme_id, minor) \
                VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT DO NOTHING";
    let whose = [purse.custodian_id.into(), purse.programme_id.into()];
    run(tx, open, key.into_iter().chain(whose).collect()).await?;
    if run(tx, &sql, by).await? == 1 {
        return Ok(());
    }
    Err(Refusal::precondition("NOT_ENOUGH_MONEY", "the grant has not that much money; record an instalment first"))
}

/// What a grant's money is doing, in its currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    pub available: i64,
    pub reserved: i64,
    pub committed: i64,
    pub spent: i64,
}

impl Totals {
    /// Money leaves these four accounts to each other only.
    pub fn received(&self) -> i64 {
        self.available + self.reserved + self.committed + self.spent
    }
}

pub async fn totals(tx: &Tx, grants: Vec<Uuid>) -> Result<HashMap<Uuid, Totals>, Refusal> {
    let select = tx
        .find::<balance::Entity>()
        .filter(balance::Column::GrantId.is_in(grants))
        .select_only()
        .column(balance::Column::GrantId)
        .column(balance::Column::Bucket)
        .column_as(balance::Column::Minor.sum().cast_as("bigint"), "minor")
        .group_by(balance::Column::GrantId)
        .group_by(balance::Column::Bucket);
    let mut totals: HashMap<Uuid, Totals> = HashMap::new();
    for (grant, bucket, minor) in select.into_tuple::<(Uuid, String, i64)>().all(tx.conn()).await? {
        let of = totals.entry(grant).or_default();
        match Bucket::parse(&bucket) {
            Some(Bucket::Available) => of.available = minor,
            Some(Bucket::Reserved) => of.reserved = minor,
            Some(Bucket::Committed) => of.committed = minor,
            Some(Bucket::Spent) => of.spent = minor,
            _ => {}
        }
    }
    Ok(totals)
}

/// By how many minor units the ledger does not balance: postings whose entries do not come to nought, and balances that
/// are not the sum of their entries. Nought, or something has written past this module.
pub async fn drift(tx: &Tx) -> Result<i64, Refusal> {
    let unbalanced = "SELECT CAST(coalesce(sum(abs(rest)), 0) AS bigint) AS drift FROM \
                      (SELECT sum(minor) AS rest FROM entry GROUP BY posting_id, currency) AS posting";
    let moved = "SELECT CAST(coalesce(sum(abs(rest)), 0) AS bigint) AS drift FROM (SELECT sum(minor) AS rest FROM \
                 (SELECT grant_id, bucket, coalesce(line_id, $1) AS line, currency, minor FROM entry \
                  UNION ALL SELECT grant_id, bucket, line_id, currency, -minor FROM balance) AS movement \
                 GROUP BY grant_id, bucket, line, currency) AS account";
    let mut drift = 0;
    for (sql, values) in [(unbalanced, vec![]), (moved, vec![Uuid::nil().into()])] {
        let row = tx.conn().query_one_raw(statement(tx, sql, values)).await?;
        drift += row.map_or(Ok(0), |row| row.try_get::<i64>("", "drift"))?;
    }
    Ok(drift)
}

pub async fn balances(tx: &Tx, grant: Uuid) -> Result<Vec<balance::Model>, Refusal> {
    let select = tx.find::<balance::Entity>().filter(balance::Column::GrantId.eq(grant));
    Ok(select.all(tx.conn()).await?)
}

pub async fn postings(tx: &Tx, grant: Uuid, page: &Page) -> Result<Vec<posting::Model>, Refusal> {
    let select = tx.find::<posting::Entity>().filter(posting::Column::GrantId.eq(grant));
    Ok(keyset(select, posting::Column::Id, page).all(tx.conn()).await?)
}

/// The entries of each posting, in order.
pub async fn entries(tx: &Tx, postings: Vec<Uuid>) -> Result<HashMap<Uuid, Vec<entry::Model>>, Refusal> {
    let select = tx.find::<entry::Entity>().filter(entry::Column::PostingId.is_in(postings));
    let mut entries: HashMap<Uuid, Vec<_>> = HashMap::new();
    for entry in select.order_by_asc(entry::Column::Number).all(tx.conn()).await? {
        entries.entry(entry.posting_id).or_default().push(entry);
    }
    Ok(entries)
}
