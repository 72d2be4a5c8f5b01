use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{date, timestamp_with_time_zone, uuid};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261127_handover"
    }
}

/// Who answers for records of a programme beside the tenant that runs it.
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("programme_custodian")
            .col(uuid("programme_id"))
            .col(uuid("tenant_id"))
            .col(uuid("agreement_id"))
            .col(date("since"))
            .col(timestamp_with_time_zone("recorded_at"))
            .primary_key(Index::create().col("programme_id").col("tenant_id"))
            .foreign_key(ForeignKey::create().from_col("programme_id").to("programme", "id"))
            .to_owned();
        manager.create_table(table).await
    }
}
