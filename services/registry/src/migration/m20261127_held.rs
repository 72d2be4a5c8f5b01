//! Submissions for households that are being handed over, which wait; and how persons that were imported are found again
//! after their household has passed to somebody else.

use sea_orm_migration::prelude::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261127_held"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let required = |name: &'static str| ColumnDef::new(name).not_null().to_owned();
        manager
            .create_table(
                Table::create()
                    .table("held_submission")
                    .col(required("id").uuid().primary_key())
                    .col(required("programme_id").uuid())
                    .col(required("custodian_id").uuid())
                    .col(required("recorded_at").timestamp_with_time_zone())
                    .col(required("district").text())
                    .col(required("import_id").uuid())
                    .col(required("row_number").big_integer())
                    .col(required("submission_id").text())
                    .col(required("household_id").uuid())
                    .col(required("tranche_id").uuid())
                    .col(required("cells").json())
                    .col(required("state").text())
                    .col(required("column_name").text())
                    .col(required("reason").text())
                    .col(ColumnDef::new("settled_at").timestamp_with_time_zone())
                    .foreign_key(ForeignKey::create().from_col("import_id").to("import_run", "id"))
                    .to_owned(),
            )
            .await?;
        let held = ColumnDef::new("held").big_integer().not_null().default(0).to_owned();
        manager.alter_table(Table::alter().table("import_run").add_column(held).to_owned()).await?;
        let db = manager.get_connection();
        for sql in [
            "CREATE UNIQUE INDEX held_submission_once ON held_submission (programme_id, custodian_id, submission_id)",
            "CREATE INDEX held_submission_by_state ON held_submission (state, id)",
            "CREATE INDEX individual_by_submission ON individual (programme_id, submission_id) WHERE submission_id IS NOT NULL",
        ] {
            db.execute_unprepared(sql).await?;
        }
        Ok(())
    }
}
