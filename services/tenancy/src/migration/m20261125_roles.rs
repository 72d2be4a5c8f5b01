use sea_orm_migration::prelude::*;

use crate::staff::role::CATALOGUE;
use crate::tenant::kind_name;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261125_roles"
    }
}

/// Roles that the catalogue has since the table was made. What is there stays as it is.
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut roles = Query::insert().into_table("role").columns(["name", "permissions", "kinds"]).to_owned();
        for role in CATALOGUE {
            let kinds: Vec<_> = role.kinds.iter().map(|kind| kind_name(*kind)).collect();
            roles.values_panic([role.name.into(), serde_json::json!(role.permissions).into(), serde_json::json!(kinds).into()]);
        }
        roles.on_conflict(OnConflict::column("name").do_nothing().to_owned());
        manager.execute(roles).await
    }
}
