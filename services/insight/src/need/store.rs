//! Needs on disk.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{IntoActiveModel as _, QuerySelect as _};
use tahuka_chassis::{Refusal, Scoped, Tx, clock};

use super::{Need, Stage};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "need")]
pub struct Model {
    /// The plan, project or campaign.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub district: String,
    pub need_kind: String,
    pub kind: String,
    pub grant_id: String,
    pub stage: String,
    pub held_minor: i64,
    pub held_currency: String,
    /// The household or project that needs it.
    pub unit_id: Option<Uuid>,
    /// In whose cells it was counted; none in rows that are older than handovers.
    pub counted_by: Option<Uuid>,
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
    fn need(&self) -> Result<Need, Refusal> {
        Ok(Need {
            stage: Stage::parse(&self.stage).ok_or_else(|| Refusal::internal("a need has an unknown stage"))?,
            district: self.district.clone(),
            need_kind: self.need_kind.clone(),
            kind: self.kind.clone(),
            grant_id: self.grant_id.clone(),
            minor: self.held_minor,
            currency: self.held_currency.clone(),
            counted_by: self.counted_by.unwrap_or(self.custodian_id),
        })
    }
}

/// A need as an event tells of it.
pub struct Told {
    pub id: Uuid,
    pub programme: Uuid,
    pub custodian: Uuid,
    /// The household or project that it is of.
    pub unit: Option<Uuid>,
    pub need: Need,
}

/// Keeps the need's new stage. What it is now, and what it was before.
pub async fn replace(tx: &Tx, told: Told) -> Result<(Need, Option<Need>), Refusal> {
    let before = Entity::find_by_id(told.id).lock_exclusive().one(tx.conn()).await?;
    let was = before.as_ref().map(Model::need).transpose()?;
    let need = told.need.after(was.as_ref());
    let row = Model {
        id: told.id,
        programme_id: told.programme,
        custodian_id: told.custodian,
        district: need.district.clone(),
        need_kind: need.need_kind.clone(),
        kind: need.kind.clone(),
        grant_id: need.grant_id.clone(),
        stage: need.stage.word().to_owned(),
        held_minor: need.minor,
        held_currency: need.currency.clone(),
        unit_id: told.unit,
        counted_by: Some(need.counted_by),
        recorded_at: clock::now(),
    };
    if before.is_some() {
        Entity::update(row.into_active_model().reset_all()).exec(tx.conn()).await?;
        return Ok((need, was));
    }
    let once = OnConflict::new().do_nothing().to_owned();
    let new = Entity::insert_many([row.into_active_model()]).on_conflict(once);
    match new.exec_without_returning(tx.conn()).await? {
        1 => Ok((need, None)),
        // Another replica was first; the event is taken again.
        _ => Err(Refusal::Unavailable("the read model".into())),
    }
}

/// Needs of these households and projects are the custodian's.
pub async fn given(tx: &Tx, units: &[Uuid], custodian: Uuid) -> Result<(), Refusal> {
    if !units.is_empty() {
        let change = Entity::update_many().col_expr(Column::CustodianId, Expr::value(custodian));
        change.filter(Column::UnitId.is_in(units.iter().copied())).exec(tx.conn()).await?;
    }
    Ok(())
}
