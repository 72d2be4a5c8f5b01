//! Needs on disk.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
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
        })
    }
}

/// Keeps the need's new stage; what it was before.
pub async fn replace(tx: &Tx, id: Uuid, programme: Uuid, custodian: Uuid, need: &Need) -> Result<Option<Need>, Refusal> {
    let before = Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await?;
    let row = Model {
        id,
        programme_id: programme,
        custodian_id: custodian,
        district: need.district.clone(),
        need_kind: need.need_kind.clone(),
        kind: need.kind.clone(),
        grant_id: need.grant_id.clone(),
        stage: need.stage.word().to_owned(),
        held_minor: need.minor,
        held_currency: need.currency.clone(),
        recorded_at: clock::now(),
    };
    if let Some(before) = before {
        Entity::update(row.into_active_model().reset_all()).exec(tx.conn()).await?;
        return before.need().map(Some);
    }
    let once = OnConflict::new().do_nothing().to_owned();
    let new = Entity::insert_many([row.into_active_model()]).on_conflict(once);
    match new.exec_without_returning(tx.conn()).await? {
        1 => Ok(None),
        // Another replica was first; the event is taken again.
        _ => Err(Refusal::Unavailable("the read model".into())),
    }
}
