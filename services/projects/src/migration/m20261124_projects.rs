use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, date, date_null, integer, json, pk_uuid, text, text_null, timestamp_with_time_zone, uuid,
    uuid_null,
};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261124_projects"
    }
}

/// A record of the programme in a district: who answers for it and when it was written down.
fn record(table: &'static str) -> TableCreateStatement {
    Table::create()
        .table(table)
        .col(pk_uuid("id"))
        .col(uuid("programme_id"))
        .col(uuid("custodian_id"))
        .col(text("district"))
        .col(timestamp_with_time_zone("recorded_at"))
        .to_owned()
}

fn of_project() -> ForeignKeyCreateStatement {
    ForeignKey::create().from_col("project_id").to("project", "id").to_owned()
}

fn index(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create().name(format!("{table}_by_{}", columns.join("_"))).table(table).to_owned();
    for column in columns {
        index.col(*column);
    }
    index
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = [
            record("project")
                .col(text("place"))
                .col(text("code"))
                .col(text("title"))
                .col(json("partners"))
                .col(big_integer("budget_minor"))
                .col(text("budget_currency"))
                .col(big_integer_null("cost_minor"))
                .col(text_null("cost_currency"))
                .col(text("state"))
                .col(integer("progress_percent"))
                .col(big_integer("people_served"))
                .col(uuid_null("grant_id"))
                .col(date("starts_on"))
                .col(date_null("submitted_on"))
                .col(date_null("funded_on"))
                .col(date_null("approved_on"))
                .col(date_null("completed_on"))
                .col(date_null("cancelled_on"))
                .col(text("cancellation_reason"))
                .col(big_integer("version"))
                .to_owned(),
            record("facility")
                .col(uuid("project_id"))
                .col(text("kind"))
                .col(text("name"))
                .col(text("place"))
                .col(date_null("completed_on"))
                .foreign_key(&mut of_project())
                .to_owned(),
            record("progress")
                .col(uuid("project_id"))
                .col(date("reported_on"))
                .col(integer("percent"))
                .col(text("note"))
                .foreign_key(&mut of_project())
                .to_owned(),
            record("people_served")
                .col(uuid("project_id"))
                .col(date("counted_on"))
                .col(text("sex"))
                .col(text("age_band"))
                .col(big_integer("people"))
                .col(text("method"))
                .foreign_key(&mut of_project())
                .to_owned(),
            record("campaign")
                .col(text("code"))
                .col(text("level"))
                .col(text("title"))
                .col(text("topic"))
                .col(json("channels"))
                .col(date("starts_on"))
                .col(date("ends_on"))
                .col(text("state"))
                .col(date_null("held_on"))
                .col(big_integer("reach"))
                .col(big_integer_null("cost_minor"))
                .col(text_null("cost_currency"))
                .col(big_integer("version"))
                .to_owned(),
        ];
        for table in tables {
            manager.create_table(table).await?;
        }

        let indexes = [
            index("project", &["programme_id", "custodian_id", "code"]).unique().to_owned(),
            index("project", &["programme_id", "id"]),
            index("facility", &["project_id", "id"]),
            index("progress", &["project_id", "id"]),
            index("people_served", &["project_id", "id"]),
            index("campaign", &["programme_id", "custodian_id", "code"]).unique().to_owned(),
            index("campaign", &["programme_id", "id"]),
        ];
        for index in indexes {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
