//! A grant's code is its custodian's own: one that came from another custodian keeps the code that it was given there.

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
        manager.alter_table(Table::alter().table("donor_grant").add_column(passed).to_owned()).await?;
        let db = manager.get_connection();
        for sql in [
            "CREATE UNIQUE INDEX donor_grant_once ON donor_grant (custodian_id, code, passed)",
            "DROP INDEX donor_grant_by_custodian_id_code",
        ] {
            db.execute_unprepared(sql).await?;
        }
        Ok(())
    }
}
