//! Return episodes on disk.

use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Scoped, Tx, ids};

use super::Return;
use crate::household::store as household;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "return_episode")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub district: String,
    pub household_id: Uuid,
    /// None: the whole household.
    pub individual_id: Option<Uuid>,
    pub country_of_asylum: String,
    pub fled_year: Option<i32>,
    pub returned_on: Date,
    pub entry_point: Option<String>,
    pub transit_centre: Option<String>,
    pub version: i64,
    pub recorded_at: DateTimeUtc,
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

impl Model {
    pub fn new(told: Return, of: &household::Model, individual_id: Option<Uuid>, recorded_at: DateTimeUtc) -> Self {
        Model {
            id: ids::new_id(),
            programme_id: of.programme_id,
            custodian_id: of.custodian_id,
            district: of.district.clone(),
            household_id: of.id,
            individual_id,
            country_of_asylum: told.country,
            fled_year: told.fled_year,
            returned_on: told.returned_on,
            entry_point: told.entry_point,
            transit_centre: told.transit_centre,
            version: 1,
            recorded_at,
        }
    }
}

pub async fn list(tx: &Tx, household_id: Uuid, page: &Page) -> Result<Vec<Model>, Refusal> {
    let select = tx.find::<Entity>().filter(Column::HouseholdId.eq(household_id));
    Ok(keyset(select, Column::Id, page).all(tx.conn()).await?)
}

pub async fn insert(tx: &Tx, rows: Vec<Model>) -> Result<(), Refusal> {
    if !rows.is_empty() {
        Entity::insert_many(rows.into_iter().map(IntoActiveModel::into_active_model)).exec_without_returning(tx.conn()).await?;
    }
    Ok(())
}
