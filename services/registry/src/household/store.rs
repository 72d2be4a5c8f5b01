//! Households on disk.

use sea_orm::ActiveValue::Set;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Scoped, Tx};

use super::Category;
use crate::places::Place;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "household")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub district: String,
    /// P-code, the district's or finer.
    pub place: String,
    pub category: String,
    pub household_number: String,
    pub household_size: i32,
    pub registered_on: Date,
    pub registration_source: String,
    pub enumerator: String,
    pub head_id: Option<Uuid>,
    /// 0 while not assessed.
    pub priority_band: i32,
    pub assessment_id: Option<Uuid>,
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

pub async fn get(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let found = tx.find::<Entity>().filter(Column::Id.eq(id)).one(tx.conn()).await?;
    found.ok_or_else(|| Refusal::not_found("household", id))
}

/// Those of the ids that the caller may see.
pub async fn all(tx: &Tx, ids: impl IntoIterator<Item = Uuid>) -> Result<Vec<Model>, Refusal> {
    Ok(tx.find::<Entity>().filter(Column::Id.is_in(ids)).all(tx.conn()).await?)
}

/// A household that the caller may write; otherwise as if it were not there.
pub async fn get_for_write(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let household = get(tx, id).await?;
    tx.require_write(household.custodian_id, Some(&household.district))?;
    Ok(household)
}

#[derive(Debug, Default)]
pub struct Filter {
    pub programme_id: Option<Uuid>,
    pub district: Option<String>,
    pub category: Option<Category>,
}

pub async fn list(tx: &Tx, filter: &Filter, page: &Page) -> Result<Vec<Model>, Refusal> {
    let mut select = tx.find::<Entity>();
    if let Some(programme) = filter.programme_id {
        select = select.filter(Column::ProgrammeId.eq(programme));
    }
    if let Some(district) = &filter.district {
        select = select.filter(Column::District.eq(district.as_str()));
    }
    if let Some(category) = filter.category {
        select = select.filter(Column::Category.eq(category.code()));
    }
    Ok(keyset(select, Column::Id, page).all(tx.conn()).await?)
}

/// Those of the numbers that are in use in the districts.
pub async fn numbered(tx: &Tx, programme: Uuid, districts: &[&str], numbers: &[&str]) -> Result<Vec<Model>, Refusal> {
    let select = tx
        .find::<Entity>()
        .filter(Column::ProgrammeId.eq(programme))
        .filter(Column::District.is_in(districts.iter().copied()))
        .filter(Column::HouseholdNumber.is_in(numbers.iter().copied()));
    Ok(select.all(tx.conn()).await?)
}

pub async fn insert(tx: &Tx, rows: Vec<Model>) -> Result<(), Refusal> {
    if !rows.is_empty() {
        Entity::insert_many(rows.into_iter().map(IntoActiveModel::into_active_model)).exec_without_returning(tx.conn()).await?;
    }
    Ok(())
}

/// What may change of a household; what is None stays.
#[derive(Debug, Default)]
pub struct Change {
    pub place: Option<Place>,
    pub size: Option<i32>,
    pub head_id: Option<Uuid>,
    /// Band and assessment.
    pub priority: Option<(i32, Uuid)>,
}

impl Change {
    pub fn is_some(&self) -> bool {
        self.place.is_some() || self.size.is_some() || self.head_id.is_some() || self.priority.is_some()
    }
}

/// Writes the change as the next version; refused when another write came first.
pub async fn change(tx: &Tx, household: Model, change: Change) -> Result<Model, Refusal> {
    let mut row = ActiveModel { version: Set(household.version + 1), ..Default::default() };
    let mut next = Model { version: household.version + 1, ..household };
    if let Some(place) = change.place {
        next.place = place.code.to_owned();
        row.place = Set(next.place.clone());
    }
    if let Some(size) = change.size {
        next.household_size = size;
        row.household_size = Set(size);
    }
    if let Some(head) = change.head_id {
        next.head_id = Some(head);
        row.head_id = Set(Some(head));
    }
    if let Some((band, assessment)) = change.priority {
        (next.priority_band, next.assessment_id) = (band, Some(assessment));
        (row.priority_band, row.assessment_id) = (Set(band), Set(Some(assessment)));
    }
    let done = Entity::update_many()
        .set(row)
        .filter(Column::Id.eq(next.id))
        .filter(Column::Version.eq(next.version - 1))
        .exec(tx.conn())
        .await?;
    if done.rows_affected == 1 {
        return Ok(next);
    }
    Err(Refusal::conflict("ETAG_MISMATCH", "the household has changed since; read it again and repeat"))
}
