//! How far each service has come with its slice, as its events tell.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, QueryOrder};
use serde::{Deserialize, Serialize};
use tahuka_chassis::{Refusal, Tx};
use tahuka_proto::handover::v1::SliceBundled;

use super::{SERVICES, Tranche};
use crate::json;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "slice")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tranche_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub service: String,
    pub sender_id: Uuid,
    pub recipient_id: Uuid,
    pub sealed: bool,
    pub bundled: bool,
    pub transferred: bool,
    pub unsealed: bool,
    pub records: i64,
    pub merkle_root: String,
    pub files: Json,
    pub totals: Json,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A file of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    pub path: String,
    pub bytes: i64,
    pub sha256: String,
    pub records: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Total {
    pub name: String,
    pub by: String,
    pub value: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Sealed,
    Bundled,
    Transferred,
    Unsealed,
}

impl Step {
    fn column(self) -> Column {
        match self {
            Step::Sealed => Column::Sealed,
            Step::Bundled => Column::Bundled,
            Step::Transferred => Column::Transferred,
            Step::Unsealed => Column::Unsealed,
        }
    }

    pub fn done(self, slice: &Model) -> bool {
        match self {
            Step::Sealed => slice.sealed,
            Step::Bundled => slice.bundled,
            Step::Transferred => slice.transferred,
            Step::Unsealed => slice.unsealed,
        }
    }
}

impl Model {
    pub fn files(&self) -> Result<Vec<File>, Refusal> {
        json::read(&self.files, "slice.files")
    }

    pub fn totals(&self) -> Result<Vec<Total>, Refusal> {
        json::read(&self.totals, "slice.totals")
    }
}

/// A row for each service, of which nothing is known yet; in the place of what an earlier seal left.
pub async fn begin(tx: &Tx, tranche: &Tranche) -> Result<(), Refusal> {
    Entity::delete_many().filter(Column::TrancheId.eq(tranche.id)).exec(tx.conn()).await?;
    let rows = SERVICES.map(|service| {
        Model {
            tranche_id: tranche.id,
            service: service.to_owned(),
            sender_id: tranche.sender_id,
            recipient_id: tranche.recipient_id,
            sealed: false,
            bundled: false,
            transferred: false,
            unsealed: false,
            records: 0,
            merkle_root: String::new(),
            files: Json::Array(Vec::new()),
            totals: Json::Array(Vec::new()),
        }
        .into_active_model()
    });
    Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// In the order of their names.
pub async fn of(tx: &Tx, tranche: Uuid) -> Result<Vec<Model>, Refusal> {
    Ok(Entity::find().filter(Column::TrancheId.eq(tranche)).order_by_asc(Column::Service).all(tx.conn()).await?)
}

/// Notes that the service has come so far; all slices as they are then.
pub async fn step(tx: &Tx, tranche: Uuid, service: &str, step: Step) -> Result<Vec<Model>, Refusal> {
    Entity::update_many()
        .col_expr(step.column(), Expr::value(true))
        .filter(Column::TrancheId.eq(tranche))
        .filter(Column::Service.eq(service))
        .exec(tx.conn())
        .await?;
    of(tx, tranche).await
}

/// Nothing is bundled any more: a later bundle takes the place of this one.
pub async fn unbundle(tx: &Tx, tranche: Uuid) -> Result<(), Refusal> {
    Entity::update_many()
        .col_expr(Column::Bundled, Expr::value(false))
        .filter(Column::TrancheId.eq(tranche))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Keeps what the service says of its part of the bundle.
pub async fn keep(tx: &Tx, tranche: Uuid, told: &SliceBundled) -> Result<(), Refusal> {
    let files: Vec<File> = told
        .files
        .iter()
        .map(|f| File { path: f.path.clone(), bytes: f.bytes, sha256: f.sha256.clone(), records: f.records })
        .collect();
    let totals: Vec<Total> =
        told.totals.iter().map(|t| Total { name: t.name.clone(), by: t.by.clone(), value: t.value }).collect();
    let change = ActiveModel {
        records: Set(told.records),
        merkle_root: Set(told.merkle_root.clone()),
        files: Set(json::kept(&files)?),
        totals: Set(json::kept(&totals)?),
        ..Default::default()
    };
    Entity::update_many()
        .set(change)
        .filter(Column::TrancheId.eq(tranche))
        .filter(Column::Service.eq(told.service.as_str()))
        .exec(tx.conn())
        .await?;
    Ok(())
}
