//! Packages on disk. They have no district: who may see any of a custodian's assistance may see them.

use std::collections::HashMap;

use sea_orm::ActiveValue::Set;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ExprTrait as _;
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Scoped, Tx, taken};

use super::{Category, Conditions, Item, Kind};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "package")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub code: String,
    pub kind: String,
    pub item: String,
    pub name: String,
    pub items: Json,
    /// For one person, in minor units.
    pub cost_minor: i64,
    pub cost_currency: String,
    pub categories: Json,
    pub age_bands: Json,
    pub least_priority_band: i32,
    pub retired: bool,
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
        None
    }
}

impl Model {
    pub fn items(&self) -> Result<Vec<Item>, Refusal> {
        serde_json::from_value(self.items.clone()).map_err(Refusal::internal)
    }

    pub fn conditions(&self) -> Result<Conditions, Refusal> {
        let words = |json: &Json| serde_json::from_value::<Vec<String>>(json.clone()).map_err(Refusal::internal);
        let category = |word: &String| Category::parse(word).ok_or_else(|| Refusal::internal("package.categories"));
        Ok(Conditions {
            categories: words(&self.categories)?.iter().map(category).collect::<Result<_, _>>()?,
            age_bands: words(&self.age_bands)?,
            least_priority_band: self.least_priority_band,
        })
    }
}

/// Refused where the caller sees the code in use in the programme already.
pub async fn insert(tx: &Tx, row: Model) -> Result<(), Refusal> {
    const ADVICE: &str = "code is in use in this programme; read that package or choose another code";
    let same = Column::ProgrammeId.eq(row.programme_id).and(Column::Code.eq(row.code.as_str()));
    if tx.find::<Entity>().filter(same).one(tx.conn()).await?.is_some() {
        return Err(Refusal::conflict("PACKAGE_CODE_TAKEN", ADVICE));
    }
    let done = Entity::insert(row.into_active_model()).exec_without_returning(tx.conn()).await;
    done.map(|_| ()).map_err(taken("PACKAGE_CODE_TAKEN", ADVICE))
}

pub async fn get(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let found = tx.find::<Entity>().filter(Column::Id.eq(id)).one(tx.conn()).await?;
    found.ok_or_else(|| Refusal::not_found("package", id))
}

/// A package that the caller may change; otherwise as if it were not there.
pub async fn get_for_write(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let package = get(tx, id).await?;
    tx.require_write(package.custodian_id, None)?;
    Ok(package)
}

/// Those of the packages that are there, by id.
pub async fn all(tx: &Tx, ids: impl IntoIterator<Item = Uuid>) -> Result<HashMap<Uuid, Model>, Refusal> {
    let rows = tx.find::<Entity>().filter(Column::Id.is_in(ids)).all(tx.conn()).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

#[derive(Debug)]
pub struct Filter {
    pub programme_id: Option<Uuid>,
    pub kind: Option<Kind>,
}

pub async fn list(tx: &Tx, filter: &Filter, page: &Page) -> Result<Vec<Model>, Refusal> {
    let mut select = tx.find::<Entity>();
    if let Some(programme) = filter.programme_id {
        select = select.filter(Column::ProgrammeId.eq(programme));
    }
    if let Some(kind) = filter.kind {
        select = select.filter(Column::Kind.eq(kind.word()));
    }
    Ok(keyset(select, Column::Id, page).all(tx.conn()).await?)
}

/// The next version, retired; refused when another write came first.
pub async fn retire(tx: &Tx, package: Model) -> Result<Model, Refusal> {
    let next = Model { retired: true, version: package.version + 1, ..package };
    let done = Entity::update_many()
        .set(ActiveModel { retired: Set(true), version: Set(next.version), ..Default::default() })
        .filter(Column::Id.eq(next.id))
        .filter(Column::Version.eq(next.version - 1))
        .exec(tx.conn())
        .await?;
    if done.rows_affected == 1 { Ok(next) } else { Err(crate::batch::overtaken()) }
}
