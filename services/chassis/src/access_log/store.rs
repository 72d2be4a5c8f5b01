//! The access log on disk.

use std::collections::HashMap;

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;
use sea_orm::{DbBackend, IntoActiveModel as _, QueryOrder as _, QuerySelect as _, Statement};

use super::Access;
use crate::page::{Page, keyset};
use crate::refusal::Refusal;
use crate::store::{Scoped, Store, Tx};

/// Rows of one INSERT: SQLite allows 32,766 values.
const CHUNK: usize = 1000;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "access_log")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub seq: i64,
    pub accessed_at: DateTimeUtc,
    pub tenant_id: Uuid,
    /// The subject of the reader's token.
    pub reader: String,
    pub roles: String,
    pub rpc: String,
    pub purpose: String,
    pub trace_id: String,
    pub hash: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Whom an answer has shown.
pub mod subject {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "access_log_subject")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub access_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i32,
        /// The message whose identifying fields were shown.
        pub message: String,
        pub custodian_id: Uuid,
        pub district: String,
        pub household_id: Option<Uuid>,
        pub individual_id: Option<Uuid>,
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
}

/// The last row of the chain, so that rows cut off its end are missed.
pub(super) mod head {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "access_log_head")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub seq: i64,
        pub hash: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Adds the accesses to the chain, in one transaction. Whoever else adds to it waits.
pub(super) async fn append(store: &Store, accesses: &[Access]) -> Result<(), Refusal> {
    let tx = store.system("access log").await?;
    if tx.conn().get_database_backend() == DbBackend::Postgres {
        let lock = "SELECT pg_advisory_xact_lock(7241886, hashtext($1))";
        tx.conn().execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, lock, [store.service().into()])).await?;
    }
    let before = last(&tx).await?;
    let (mut rows, mut subjects) = (Vec::with_capacity(accesses.len()), Vec::new());
    let (mut seq, mut hash) = (before.seq, before.hash);
    for access in accesses {
        seq += 1;
        let of_it = access.subjects();
        let mut row = access.row(seq);
        row.hash = super::chain::hash(&hash, &row, &of_it);
        hash.clone_from(&row.hash);
        rows.push(row.into_active_model());
        subjects.extend(of_it.into_iter().map(subject::Model::into_active_model));
    }
    for chunk in rows.chunks(CHUNK) {
        Entity::insert_many(chunk.to_vec()).exec_without_returning(tx.conn()).await?;
    }
    for chunk in subjects.chunks(CHUNK) {
        subject::Entity::insert_many(chunk.to_vec()).exec_without_returning(tx.conn()).await?;
    }
    let moved = head::Entity::update_many()
        .col_expr(head::Column::Seq, Expr::val(seq))
        .col_expr(head::Column::Hash, Expr::val(hash))
        .filter(head::Column::Seq.eq(before.seq))
        .exec(tx.conn())
        .await?;
    if moved.rows_affected != 1 {
        return Err(Refusal::Unavailable("the access log".into()));
    }
    tx.commit().await
}

pub(super) async fn last(tx: &Tx) -> Result<head::Model, Refusal> {
    head::Entity::find().one(tx.conn()).await?.ok_or_else(|| Refusal::internal("the access log has no head"))
}

/// Up to `size` rows after `seq`, each with whom it showed.
pub(super) async fn after(tx: &Tx, seq: i64, size: u64) -> Result<Vec<(Model, Vec<subject::Model>)>, Refusal> {
    let rows = Entity::find().filter(Column::Seq.gt(seq)).order_by_asc(Column::Seq).limit(size).all(tx.conn()).await?;
    let subjects = subject::Entity::find().filter(subject::Column::AccessId.is_in(rows.iter().map(|row| row.id)));
    with(rows, subjects.order_by_asc(subject::Column::Number).all(tx.conn()).await?)
}

/// Whose log is asked for.
#[derive(Debug, Clone, Copy)]
pub enum About {
    Household(Uuid),
    Individual(Uuid),
}

/// One page, and one more, of the accesses that showed somebody, each with what it showed of them.
pub async fn list(tx: &Tx, about: About, page: &Page) -> Result<Vec<(Model, Vec<subject::Model>)>, Refusal> {
    let of_them = || {
        tx.find::<subject::Entity>().filter(match about {
            About::Household(id) => subject::Column::HouseholdId.eq(id),
            About::Individual(id) => subject::Column::IndividualId.eq(id),
        })
    };
    let select = of_them().select_only().column(subject::Column::AccessId).distinct();
    let ids: Vec<Uuid> = keyset(select, subject::Column::AccessId, page).into_tuple().all(tx.conn()).await?;
    let rows = Entity::find().filter(Column::Id.is_in(ids.clone())).order_by_asc(Column::Id).all(tx.conn()).await?;
    let subjects = of_them().filter(subject::Column::AccessId.is_in(ids)).order_by_asc(subject::Column::Number);
    with(rows, subjects.all(tx.conn()).await?)
}

fn with(rows: Vec<Model>, subjects: Vec<subject::Model>) -> Result<Vec<(Model, Vec<subject::Model>)>, Refusal> {
    let mut of: HashMap<Uuid, Vec<subject::Model>> = HashMap::new();
    for subject in subjects {
        of.entry(subject.access_id).or_default().push(subject);
    }
    Ok(rows.into_iter().map(|row| (of.remove(&row.id).unwrap_or_default(), row)).map(|(s, row)| (row, s)).collect())
}

impl Access {
    fn row(&self, seq: i64) -> Model {
        Model {
            id: self.id,
            seq,
            accessed_at: self.accessed_at,
            tenant_id: self.tenant_id,
            reader: self.reader.clone(),
            roles: self.roles.clone(),
            rpc: self.rpc.clone(),
            purpose: self.purpose.clone(),
            trace_id: self.trace_id.clone(),
            hash: String::new(),
        }
    }

    fn subjects(&self) -> Vec<subject::Model> {
        let subject = |(number, shown): (i32, &tahuka_proto::Shown)| subject::Model {
            access_id: self.id,
            number,
            message: shown.message.to_owned(),
            custodian_id: Uuid::try_parse(&shown.custodian_id).unwrap_or_default(),
            district: shown.district.clone(),
            household_id: Uuid::try_parse(&shown.household_id).ok(),
            individual_id: Uuid::try_parse(&shown.individual_id).ok(),
        };
        (1..).zip(&self.shown).map(subject).collect()
    }
}
