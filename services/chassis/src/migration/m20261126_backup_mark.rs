use sea_orm_migration::prelude::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261126_backup_mark"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let required = |name: &'static str| ColumnDef::new(name).not_null().to_owned();
        manager
            .create_table(
                Table::create()
                    .table("backup_mark")
                    .col(required("kind").text().primary_key())
                    .col(required("taken_at").timestamp_with_time_zone())
                    .col(required("sha256").text())
                    .col(required("bytes").big_integer())
                    .to_owned(),
            )
            .await
    }
}
