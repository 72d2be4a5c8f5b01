//! Grants as the report names them. Their money is in the cells.

use std::collections::{BTreeSet, HashMap};

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{IntoActiveModel as _, QueryOrder as _, QuerySelect as _};
use tahuka_chassis::{Refusal, Scoped, Tx};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "grant_line")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    /// None while the donor has no tenant.
    pub donor_tenant_id: Option<Uuid>,
    pub title: String,
    pub currency: String,
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

pub async fn insert(tx: &Tx, grant: Model) -> Result<(), Refusal> {
    let once = OnConflict::column(Column::Id).do_nothing().to_owned();
    Entity::insert_many([grant.into_active_model()]).on_conflict(once).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// By id ascending.
pub async fn list(tx: &Tx, programme: Uuid) -> Result<Vec<Model>, Refusal> {
    let select = tx.find::<Entity>().filter(Column::ProgrammeId.eq(programme)).order_by_asc(Column::Id);
    Ok(select.all(tx.conn()).await?)
}

/// The ids of a donor's own grants.
pub async fn of_donor(tx: &Tx, programme: Uuid, donor: Uuid) -> Result<BTreeSet<String>, Refusal> {
    let select = tx
        .find::<Entity>()
        .filter(Column::ProgrammeId.eq(programme))
        .filter(Column::DonorTenantId.eq(donor))
        .select_only()
        .column(Column::Id);
    let ids: Vec<Uuid> = select.into_tuple().all(tx.conn()).await?;
    Ok(ids.into_iter().map(|id| id.to_string()).collect())
}

/// Who answers for these grants, as far as they are known.
pub async fn custodians(tx: &Tx, grants: BTreeSet<Uuid>) -> Result<HashMap<Uuid, Uuid>, Refusal> {
    if grants.is_empty() {
        return Ok(HashMap::new());
    }
    let select =
        tx.find::<Entity>().filter(Column::Id.is_in(grants)).select_only().column(Column::Id).column(Column::CustodianId);
    let found: Vec<(Uuid, Uuid)> = select.into_tuple().all(tx.conn()).await?;
    Ok(found.into_iter().collect())
}
