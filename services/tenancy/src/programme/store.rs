//! Programmes on disk. Seen by their custodian and by whom an agreement is held out to.

use chrono::NaiveDate;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::SelectStatement;
use sea_orm::{Condition, IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};
use serde::{Deserialize, Serialize};
use tahuka_chassis::{Page, Refusal, Tx, clock};

use super::{Basis, District, Programme, Time};
use crate::agreement::store as agreement;
use crate::edge::unknown;
use crate::handover_party::store as custodian;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "programme")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub custodian_id: Uuid,
    pub name: String,
    pub starts_on: Date,
    pub ends_on: Date,
    pub districts: Json,
    pub version: i64,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

#[derive(Serialize, Deserialize)]
struct DistrictRow {
    pcode: String,
    name: String,
    basis: String,
    source: String,
}

impl Model {
    pub fn programme(&self) -> Result<Programme, Refusal> {
        let districts: Vec<DistrictRow> =
            serde_json::from_value(self.districts.clone()).map_err(|_| unknown("programme.districts"))?;
        let read = |row: DistrictRow| {
            let basis = Basis::parse(&row.basis).ok_or_else(|| unknown("programme.districts"))?;
            Ok(District { pcode: row.pcode, name: row.name, basis, source: row.source })
        };
        Ok(Programme {
            id: self.id,
            custodian_id: self.custodian_id,
            name: self.name.clone(),
            time: Time { starts_on: self.starts_on, ends_on: self.ends_on },
            districts: districts.into_iter().map(read).collect::<Result<_, Refusal>>()?,
        })
    }
}

pub async fn insert(tx: &Tx, programme: &Programme) -> Result<Model, Refusal> {
    let districts: Vec<_> = programme
        .districts
        .iter()
        .map(|d| DistrictRow {
            pcode: d.pcode.clone(),
            name: d.name.clone(),
            basis: d.basis.as_str().to_owned(),
            source: d.source.clone(),
        })
        .collect();
    let row = Model {
        id: programme.id,
        custodian_id: programme.custodian_id,
        name: programme.name.clone(),
        starts_on: programme.time.starts_on,
        ends_on: programme.time.ends_on,
        districts: serde_json::to_value(districts).map_err(Refusal::internal)?,
        version: 1,
        recorded_at: clock::now(),
    };
    Entity::insert(row.clone().into_active_model()).exec_without_returning(tx.conn()).await?;
    Ok(row)
}

/// Whoever asks: for the house's own work.
pub async fn find(tx: &Tx, id: Uuid) -> Result<Option<Model>, Refusal> {
    Ok(Entity::find_by_id(id).one(tx.conn()).await?)
}

pub async fn get(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let found = seen(tx, clock::today()).filter(Column::Id.eq(id)).one(tx.conn()).await?;
    found.ok_or_else(|| Refusal::not_found("programme", id))
}

/// A programme that the caller's tenant runs, or takes over by a handover agreement.
pub async fn get_own(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let own = Condition::any().add(Column::CustodianId.eq(tx.caller().tenant_id)).add(Column::Id.in_subquery(taken_over(tx)));
    let found = Entity::find_by_id(id).filter(own).one(tx.conn()).await?;
    found.ok_or_else(|| Refusal::not_found("programme", id))
}

pub async fn list(tx: &Tx, page: &Page) -> Result<Vec<Model>, Refusal> {
    let mut select = seen(tx, clock::today()).order_by_asc(Column::Id).limit(page.size + 1);
    if let Some(after) = page.after {
        select = select.filter(Column::Id.gt(after));
    }
    Ok(select.all(tx.conn()).await?)
}

fn seen(tx: &Tx, today: NaiveDate) -> Select<Entity> {
    let tenant = tx.caller().tenant_id;
    let agreed = agreement::held_out_to(tenant, today).select_only().column(agreement::Column::ProgrammeId).into_query();
    let seen = Condition::any().add(Column::CustodianId.eq(tenant)).add(Column::Id.in_subquery(agreed));
    Entity::find().filter(seen.add(Column::Id.in_subquery(taken_over(tx))))
}

/// Programmes of which the caller's tenant takes records over.
fn taken_over(tx: &Tx) -> SelectStatement {
    let own = custodian::Column::TenantId.eq(tx.caller().tenant_id);
    custodian::Entity::find().filter(own).select_only().column(custodian::Column::ProgrammeId).into_query()
}
