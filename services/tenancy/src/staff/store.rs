//! Staff and the role catalogue on disk. A tenant reaches its own staff, the platform everybody's:
//! each read says whose.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect};
use tahuka_chassis::{Page, Refusal, Tx, clock, taken};

use super::role::Role;
use super::{Kind, StaffMember};
use crate::edge::unknown;
use crate::tenant::kind_named;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "staff_member")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub subject: String,
    pub kind: String,
    pub roles: Json,
    pub districts: Json,
    /// Kept, so that it can be told later who had which roles.
    pub removed_at: Option<DateTimeUtc>,
    pub version: i64,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub fn member(&self) -> Result<StaffMember, Refusal> {
        Ok(StaffMember {
            id: self.id,
            tenant_id: self.tenant_id,
            subject: self.subject.clone(),
            kind: Kind::parse(&self.kind).ok_or_else(|| unknown("staff_member.kind"))?,
            roles: words(&self.roles, "staff_member.roles")?,
            districts: words(&self.districts, "staff_member.districts")?,
        })
    }
}

/// Adds the member, or takes a removed one back under the old id.
pub async fn add(tx: &Tx, member: StaffMember) -> Result<Model, Refusal> {
    const EXISTS: (&str, &str) = ("STAFF_MEMBER_EXISTS", "the tenant has this staff member already; remove it first");
    let old = by_subject(tx, member.tenant_id, &member.subject).await?;
    let mut row = Model {
        id: member.id,
        tenant_id: member.tenant_id,
        subject: member.subject,
        kind: member.kind.word().to_owned(),
        roles: member.roles.into(),
        districts: member.districts.into(),
        removed_at: None,
        version: 1,
        recorded_at: clock::now(),
    };
    let Some(old) = old else {
        Entity::insert(row.clone().into_active_model())
            .exec_without_returning(tx.conn())
            .await
            .map_err(taken(EXISTS.0, EXISTS.1))?;
        return Ok(row);
    };
    if old.removed_at.is_none() {
        return Err(Refusal::conflict(EXISTS.0, EXISTS.1));
    }
    (row.id, row.version) = (old.id, old.version + 1);
    let change = ActiveModel {
        kind: Set(row.kind.clone()),
        roles: Set(row.roles.clone()),
        districts: Set(row.districts.clone()),
        removed_at: Set(None),
        recorded_at: Set(row.recorded_at),
        ..Default::default()
    };
    update(tx, old, change).await?;
    Ok(row)
}

/// The subject's membership of the tenant, ended or not.
pub async fn by_subject(tx: &Tx, tenant_id: Uuid, subject: &str) -> Result<Option<Model>, Refusal> {
    let select = Entity::find().filter(Column::TenantId.eq(tenant_id)).filter(Column::Subject.eq(subject));
    Ok(select.one(tx.conn()).await?)
}

/// Whether the tenant has or had this member.
pub async fn known(tx: &Tx, tenant_id: Uuid, subject: &str) -> Result<bool, Refusal> {
    Ok(by_subject(tx, tenant_id, subject).await?.is_some())
}

pub async fn list(tx: &Tx, tenant_id: Uuid, kind: Option<Kind>, page: &Page) -> Result<Vec<Model>, Refusal> {
    let mut select = Entity::find()
        .filter(Column::TenantId.eq(tenant_id))
        .filter(Column::RemovedAt.is_null())
        .order_by_asc(Column::Id)
        .limit(page.size + 1);
    if let Some(after) = page.after {
        select = select.filter(Column::Id.gt(after));
    }
    if let Some(kind) = kind {
        select = select.filter(Column::Kind.eq(kind.word()));
    }
    Ok(select.all(tx.conn()).await?)
}

pub async fn get(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let found = Entity::find_by_id(id).filter(Column::RemovedAt.is_null()).one(tx.conn()).await?;
    found.ok_or_else(|| Refusal::not_found("staff member", id))
}

pub async fn remove(tx: &Tx, member: Model) -> Result<(), Refusal> {
    update(tx, member, ActiveModel { removed_at: Set(Some(clock::now())), ..Default::default() }).await
}

async fn update(tx: &Tx, old: Model, mut change: ActiveModel) -> Result<(), Refusal> {
    change.version = Set(old.version + 1);
    let done = Entity::update_many()
        .set(change)
        .filter(Column::Id.eq(old.id))
        .filter(Column::Version.eq(old.version))
        .exec(tx.conn())
        .await?;
    if done.rows_affected == 1 {
        return Ok(());
    }
    Err(Refusal::conflict("CHANGED_MEANWHILE", "the staff member has changed since; repeat"))
}

fn words(json: &Json, column: &'static str) -> Result<Vec<String>, Refusal> {
    serde_json::from_value(json.clone()).map_err(|_| unknown(column))
}

mod role {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "role")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub permissions: Json,
        pub kinds: Json,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The role catalogue by name: a handful of rows.
pub async fn catalogue(tx: &Tx) -> Result<Vec<Role>, Refusal> {
    let read = |row: role::Model| {
        let kinds = words(&row.kinds, "role.kinds")?;
        Ok(Role {
            permissions: words(&row.permissions, "role.permissions")?,
            kinds: kinds.iter().filter_map(|kind| kind_named(kind)).collect(),
            name: row.name,
        })
    };
    role::Entity::find().order_by_asc(role::Column::Name).all(tx.conn()).await?.into_iter().map(read).collect()
}
