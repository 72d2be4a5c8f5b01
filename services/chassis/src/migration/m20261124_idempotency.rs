use sea_orm_migration::prelude::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261124_idempotency"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("idempotency")
                    .col(ColumnDef::new("tenant_id").uuid().not_null())
                    .col(ColumnDef::new("subject").text().not_null())
                    .col(ColumnDef::new("method").text().not_null())
                    .col(ColumnDef::new("request_id").uuid().not_null())
                    .col(ColumnDef::new("digest").text().not_null())
                    .col(ColumnDef::new("answer").binary())
                    .col(ColumnDef::new("recorded_at").timestamp_with_time_zone().not_null())
                    .primary_key(Index::create().col("tenant_id").col("subject").col("method").col("request_id"))
                    .to_owned(),
            )
            .await
    }
}
