//! A project's code is its custodian's own: one that came from another custodian keeps the code that it was given there.

use sea_orm_migration::prelude::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261128_passed"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Empty until it passes; then its own id.
        let passed = ColumnDef::new("passed").text().not_null().default("").to_owned();
        manager.alter_table(Table::alter().table("project").add_column(passed).to_owned()).await?;
        let db = manager.get_connection();
        for sql in [
            "CREATE UNIQUE INDEX project_once ON project (programme_id, custodian_id, code, passed)",
            "DROP INDEX project_by_programme_id_custodian_id_code",
        ] {
            db.execute_unprepared(sql).await?;
        }
        Ok(())
    }
}
