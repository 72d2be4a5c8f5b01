//! Who was helped: one row for each person, and one for each person and kind, so that a person counts once however many
//! deliveries there were.

use chrono::NaiveDate;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{IntoActiveModel as _, QuerySelect as _};
use tahuka_chassis::{Refusal, Scoped, Tx};
use tahuka_proto::UnitKind;

use crate::custody::Unit;
use crate::fact::Delta;
use crate::indicator::Cell;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "helped_person")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub programme_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub individual_id: Uuid,
    /// Empty: of any kind.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    pub custodian_id: Uuid,
    /// The person's household; none in rows that are older than handovers.
    pub household_id: Option<Uuid>,
    /// This and what follows as at the first delivery heard of.
    pub district: String,
    pub sex: String,
    pub age_band: String,
    pub category: String,
    pub first_delivered_on: Date,
    pub last_delivered_on: Date,
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
    fn cell(&self) -> Cell {
        let code = if self.kind.is_empty() { "people_helped" } else { "people_helped_by_kind" };
        Cell::of(self.programme_id, self.custodian_id, self.first_delivered_on, code)
            .district(&self.district)
            .kind(&self.kind)
            .person(&self.sex, &self.age_band, &self.category)
    }

    fn delta(&self, value: i64) -> Delta {
        let unit: Option<Unit> = self.household_id.map(|id| (UnitKind::Household, id));
        Delta { cell: self.cell(), value, unit }
    }
}

/// Notes a delivery to a person, in all and of its kind; what that adds to the cells.
pub async fn record(tx: &Tx, delivery: &Model) -> Result<Vec<Delta>, Refusal> {
    let mut deltas = Vec::new();
    for kind in ["", &delivery.kind] {
        let row = Model { kind: kind.to_owned(), ..delivery.clone() };
        let once = OnConflict::new().do_nothing().to_owned();
        let new = Entity::insert_many([row.clone().into_active_model()]).on_conflict(once);
        if new.exec_without_returning(tx.conn()).await? == 1 {
            deltas.push(row.delta(1));
        } else {
            deltas.extend(again(tx, &row).await?);
        }
    }
    Ok(deltas)
}

/// A person who was helped before: counted already, in the month of the earliest delivery.
async fn again(tx: &Tx, row: &Model) -> Result<Vec<Delta>, Refusal> {
    let key = (row.programme_id, row.individual_id, row.kind.clone());
    let known = Entity::find_by_id(key.clone()).lock_exclusive().one(tx.conn()).await?;
    let known = known.ok_or_else(|| Refusal::internal("a helped person is gone"))?;
    let first = known.first_delivered_on.min(row.first_delivered_on);
    let last = known.last_delivered_on.max(row.last_delivered_on);
    let earlier = Model { first_delivered_on: first, last_delivered_on: last, ..known.clone() };
    if earlier == known {
        return Ok(Vec::new());
    }
    let change = ActiveModel {
        programme_id: Set(key.0),
        individual_id: Set(key.1),
        kind: Set(key.2),
        first_delivered_on: Set(first),
        last_delivered_on: Set(last),
        ..Default::default()
    };
    Entity::update(change).exec(tx.conn()).await?;
    Ok(vec![known.delta(-1), earlier.delta(1)])
}

/// How many people of each kind (empty: of any) had their last delivery on each day, by day ascending.
pub async fn last_days(tx: &Tx, programme: Uuid) -> Result<Vec<(String, NaiveDate, i64)>, Refusal> {
    use sea_orm::QueryOrder as _;
    let select = tx
        .find::<Entity>()
        .filter(Column::ProgrammeId.eq(programme))
        .select_only()
        .column(Column::Kind)
        .column(Column::LastDeliveredOn)
        .expr(Column::IndividualId.count())
        .group_by(Column::Kind)
        .group_by(Column::LastDeliveredOn)
        .order_by_asc(Column::Kind)
        .order_by_asc(Column::LastDeliveredOn);
    Ok(select.into_tuple().all(tx.conn()).await?)
}

/// People of these households are the custodian's.
pub async fn given(tx: &Tx, households: &[Uuid], custodian: Uuid) -> Result<(), Refusal> {
    if !households.is_empty() {
        let change = Entity::update_many().col_expr(Column::CustodianId, Expr::value(custodian));
        change.filter(Column::HouseholdId.is_in(households.iter().copied())).exec(tx.conn()).await?;
    }
    Ok(())
}
