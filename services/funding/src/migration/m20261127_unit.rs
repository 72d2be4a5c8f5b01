//! Whom a reservation is for: a household or a project, with which it passes to another custodian.

use sea_orm_migration::prelude::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261127_unit"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [ColumnDef::new("unit_kind").text().to_owned(), ColumnDef::new("unit_id").uuid().to_owned()] {
            manager.alter_table(Table::alter().table("reservation").add_column(column).to_owned()).await?;
        }
        let db = manager.get_connection();
        for sql in [
            // A plan's household is told with its next event.
            "UPDATE reservation SET unit_kind = 'project', unit_id = need_id WHERE need_kind = 'project'",
            "CREATE INDEX reservation_by_unit ON reservation (unit_id)",
        ] {
            db.execute_unprepared(sql).await?;
        }
        Ok(())
    }
}
