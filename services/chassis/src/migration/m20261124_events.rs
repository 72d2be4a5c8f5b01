use sea_orm_migration::prelude::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261124_events"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let required = |name: &'static str| ColumnDef::new(name).not_null().to_owned();
        manager
            .create_table(
                Table::create()
                    .table("journal")
                    .col(ColumnDef::new("seq").big_integer().not_null().auto_increment().primary_key())
                    .col(required("event_id").uuid().unique_key())
                    .col(required("kind").text())
                    .col(required("subject").text())
                    .col(required("custodian_id").uuid())
                    .col(required("aggregate_id").uuid())
                    .col(required("body").binary())
                    .col(ColumnDef::new("traceparent").text())
                    .col(required("recorded_at").timestamp_with_time_zone())
                    .col(ColumnDef::new("published_at").timestamp_with_time_zone())
                    .col(ColumnDef::new("stream_seq").big_integer())
                    .to_owned(),
            )
            .await?;
        let db = manager.get_connection();
        db.execute_unprepared("CREATE INDEX journal_unpublished ON journal (seq) WHERE published_at IS NULL").await?;
        db.execute_unprepared("CREATE INDEX journal_stream_seq ON journal (stream_seq)").await?;
        manager
            .create_table(
                Table::create()
                    .table("inbox")
                    .col(required("consumer").text())
                    .col(required("event_id").uuid())
                    .col(required("handled_at").timestamp_with_time_zone())
                    .primary_key(Index::create().col("consumer").col("event_id"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("dead_letter")
                    .col(required("consumer").text())
                    .col(required("event_id").uuid())
                    .col(required("kind").text())
                    .col(required("custodian_id").uuid())
                    .col(required("aggregate_id").uuid())
                    .col(required("body").binary())
                    .col(required("error").text())
                    .col(required("tries").big_integer())
                    .col(required("recorded_at").timestamp_with_time_zone())
                    .col(required("failed_at").timestamp_with_time_zone())
                    .primary_key(Index::create().col("consumer").col("event_id"))
                    .to_owned(),
            )
            .await
    }
}
