//! Grants on disk, with their budget lines and instalments. A donor sees its own grants only, and whose agreement names
//! grants those only; and so what hangs on them, which is read by a grant that was read before.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Currency, Refusal, TenantKind, Tx, taken};

use super::{BudgetKind, Earmarks, Period};
use crate::fields::{currency, nationwide, of_grants, run, unknown};
use crate::ledger::Purse;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "donor_grant")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub donor_id: Uuid,
    /// The donor's tenant on the day the grant was opened.
    pub donor_tenant_id: Option<Uuid>,
    pub code: String,
    pub title: String,
    pub amount_minor: i64,
    pub currency: String,
    pub starts_on: Date,
    pub ends_on: Date,
    /// P-codes.
    pub districts: Json,
    /// Words of `BudgetKind`.
    pub kinds: Json,
    /// What its budget lines come to.
    pub lined_minor: i64,
    pub version: i64,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

nationwide!();

impl Model {
    pub fn purse(&self) -> Purse {
        Purse { grant_id: self.id, programme_id: self.programme_id, custodian_id: self.custodian_id }
    }

    pub fn currency(&self) -> Result<Currency, Refusal> {
        currency(&self.currency)
    }

    pub fn period(&self) -> Period {
        Period { starts_on: self.starts_on, ends_on: self.ends_on }
    }

    pub fn earmarks(&self) -> Result<Earmarks, Refusal> {
        earmarks(&self.districts, &self.kinds)
    }
}

/// Earmarks as the database holds them.
pub fn earmarks(districts: &Json, kinds: &Json) -> Result<Earmarks, Refusal> {
    let words =
        |json: &Json| -> Option<Vec<String>> { json.as_array()?.iter().map(|word| word.as_str().map(str::to_owned)).collect() };
    let kinds = words(kinds).and_then(|all| all.iter().map(|kind| BudgetKind::parse(kind)).collect());
    match (words(districts), kinds) {
        (Some(districts), Some(kinds)) => Ok(Earmarks { districts, kinds }),
        _ => Err(unknown("donor_grant.earmarks")),
    }
}

pub mod line {
    use sea_orm::entity::prelude::*;

    use crate::fields::nationwide;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "budget_line")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub programme_id: Uuid,
        pub custodian_id: Uuid,
        pub grant_id: Uuid,
        pub code: String,
        pub kind: String,
        pub amount_minor: i64,
        /// Reserved, committed and spent of it.
        pub used_minor: i64,
        pub currency: String,
        pub version: i64,
        pub recorded_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    nationwide!();
}

pub mod instalment {
    use sea_orm::entity::prelude::*;

    use crate::fields::nationwide;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "instalment")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub programme_id: Uuid,
        pub custodian_id: Uuid,
        pub grant_id: Uuid,
        pub received_minor: i64,
        pub received_currency: String,
        pub credited_minor: i64,
        pub credited_currency: String,
        pub received_on: Date,
        pub exchange_rate_id: Option<Uuid>,
        pub recorded_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    nationwide!();
}

/// The grants that the caller may know of.
fn seen(tx: &Tx) -> Select<Entity> {
    let select = tx.find::<Entity>().filter(of_grants::<Entity>(tx, Column::Id));
    match tx.caller().tenant_kind {
        TenantKind::Donor => select.filter(Column::DonorTenantId.eq(tx.caller().tenant_id)),
        _ => select,
    }
}

/// For a donor, the ids of its grants; None for everybody else, who sees what the scope lets him.
pub fn own_only(tx: &Tx) -> Option<sea_orm::sea_query::SelectStatement> {
    let donor = tx.caller().tenant_kind == TenantKind::Donor;
    donor.then(|| seen(tx).select_only().column(Column::Id).into_query())
}

pub async fn get(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let found = seen(tx).filter(Column::Id.eq(id)).one(tx.conn()).await?;
    found.ok_or_else(|| Refusal::not_found("grant", id))
}

/// A grant that the caller may write; otherwise as if it were not there.
pub async fn get_for_write(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let grant = get(tx, id).await?;
    tx.require_write(grant.custodian_id, None)?;
    Ok(grant)
}

pub async fn list(tx: &Tx, programme: Option<Uuid>, page: &Page) -> Result<Vec<Model>, Refusal> {
    let mut select = seen(tx);
    if let Some(programme) = programme {
        select = select.filter(Column::ProgrammeId.eq(programme));
    }
    Ok(keyset(select, Column::Id, page).all(tx.conn()).await?)
}

pub async fn insert(tx: &Tx, row: &Model) -> Result<(), Refusal> {
    Entity::insert(row.clone().into_active_model())
        .exec_without_returning(tx.conn())
        .await
        .map_err(taken("GRANT_CODE_TAKEN", "code is in use; read that grant or choose another code"))?;
    Ok(())
}

pub async fn insert_line(tx: &Tx, row: &line::Model) -> Result<(), Refusal> {
    let sql = "UPDATE donor_grant SET lined_minor = lined_minor + $1, version = version + 1 \
               WHERE id = $2 AND lined_minor + $1 <= amount_minor";
    if run(tx, sql, vec![row.amount_minor.into(), row.grant_id.into()]).await? != 1 {
        return Err(Refusal::precondition("BUDGET_EXCEEDS_GRANT", "the budget lines would come to more than the grant"));
    }
    line::Entity::insert(row.clone().into_active_model())
        .exec_without_returning(tx.conn())
        .await
        .map_err(taken("BUDGET_LINE_CODE_TAKEN", "code is in use in this grant; choose another code"))?;
    Ok(())
}

/// A line of a grant that the caller has read.
pub async fn get_line(tx: &Tx, grant: Uuid, id: Uuid) -> Result<line::Model, Refusal> {
    let select = tx.find::<line::Entity>().filter(line::Column::Id.eq(id)).filter(line::Column::GrantId.eq(grant));
    select.one(tx.conn()).await?.ok_or_else(|| Refusal::not_found("budget line", id))
}

pub async fn lines(tx: &Tx, grant: Uuid, page: &Page) -> Result<Vec<line::Model>, Refusal> {
    let select = tx.find::<line::Entity>().filter(line::Column::GrantId.eq(grant));
    Ok(keyset(select, line::Column::Id, page).all(tx.conn()).await?)
}

/// Takes `minor` of the line, or gives it back below zero.
pub async fn use_line(tx: &Tx, id: Uuid, minor: i64) -> Result<(), Refusal> {
    let sql = "UPDATE budget_line SET used_minor = used_minor + $1, version = version + 1 \
               WHERE id = $2 AND used_minor + $1 >= 0 AND used_minor + $1 <= amount_minor";
    if run(tx, sql, vec![minor.into(), id.into()]).await? == 1 {
        return Ok(());
    }
    Err(Refusal::precondition("BUDGET_LINE_USED_UP", "the budget line has not that much left; use another line"))
}

pub async fn insert_instalment(tx: &Tx, row: &instalment::Model) -> Result<(), Refusal> {
    instalment::Entity::insert(row.clone().into_active_model()).exec_without_returning(tx.conn()).await?;
    Ok(())
}

pub async fn instalments(tx: &Tx, grant: Uuid, page: &Page) -> Result<Vec<instalment::Model>, Refusal> {
    let select = tx.find::<instalment::Entity>().filter(instalment::Column::GrantId.eq(grant));
    Ok(keyset(select, instalment::Column::Id, page).all(tx.conn()).await?)
}

/// The newest instalment by the day it came.
pub async fn last_instalment(tx: &Tx, grant: Uuid) -> Result<Option<instalment::Model>, Refusal> {
    let select = tx.find::<instalment::Entity>().filter(instalment::Column::GrantId.eq(grant));
    Ok(select.order_by_desc(instalment::Column::ReceivedOn).one(tx.conn()).await?)
}

/// What each grant has received, in its own currency.
pub async fn received(tx: &Tx, grants: Vec<Uuid>) -> Result<Vec<(Uuid, i64)>, Refusal> {
    let select = tx
        .find::<instalment::Entity>()
        .filter(instalment::Column::GrantId.is_in(grants))
        .select_only()
        .column(instalment::Column::GrantId)
        .column_as(instalment::Column::CreditedMinor.sum().cast_as("bigint"), "credited")
        .group_by(instalment::Column::GrantId);
    Ok(select.into_tuple().all(tx.conn()).await?)
}
