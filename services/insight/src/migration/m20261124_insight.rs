use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, date, date_null, pk_uuid, text, timestamp_with_time_zone, uuid, uuid_null,
};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261124_insight"
    }
}

/// What makes a cell one: everything of it but its value.
const CELL: [&str; 11] = [
    "programme_id",
    "indicator",
    "custodian_id",
    "district",
    "kind",
    "sex",
    "age_band",
    "category",
    "grant_id",
    "month",
    "currency",
];

fn key(columns: &[&'static str]) -> IndexCreateStatement {
    let mut key = Index::create();
    for column in columns {
        key.col(*column);
    }
    key
}

fn index(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    key(columns).name(format!("{table}_by_{}", columns.join("_"))).table(table).to_owned()
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = [
            Table::create()
                .table("heard")
                .col(uuid("programme_id"))
                .col(uuid("custodian_id"))
                .col(big_integer("events_counted"))
                .col(timestamp_with_time_zone("last_event_at"))
                .primary_key(&mut key(&["programme_id", "custodian_id"]))
                .to_owned(),
            Table::create()
                .table("cell")
                .col(uuid("programme_id"))
                .col(text("indicator"))
                .col(uuid("custodian_id"))
                .col(text("district"))
                .col(text("kind"))
                .col(text("sex"))
                .col(text("age_band"))
                .col(text("category"))
                .col(text("grant_id"))
                .col(text("month"))
                .col(text("currency"))
                .col(big_integer("value"))
                .primary_key(&mut key(&CELL))
                .to_owned(),
            Table::create()
                .table("helped_person")
                .col(uuid("programme_id"))
                .col(uuid("individual_id"))
                .col(text("kind"))
                .col(uuid("custodian_id"))
                .col(text("district"))
                .col(text("sex"))
                .col(text("age_band"))
                .col(text("category"))
                .col(date("first_delivered_on"))
                .col(date("last_delivered_on"))
                .primary_key(&mut key(&["programme_id", "individual_id", "kind"]))
                .to_owned(),
            Table::create()
                .table("need")
                .col(pk_uuid("id"))
                .col(uuid("programme_id"))
                .col(uuid("custodian_id"))
                .col(text("district"))
                .col(text("need_kind"))
                .col(text("kind"))
                .col(text("grant_id"))
                .col(text("stage"))
                .col(big_integer("held_minor"))
                .col(text("held_currency"))
                .col(timestamp_with_time_zone("recorded_at"))
                .to_owned(),
            Table::create()
                .table("grant_line")
                .col(pk_uuid("id"))
                .col(uuid("programme_id"))
                .col(uuid("custodian_id"))
                .col(uuid_null("donor_tenant_id"))
                .col(text("title"))
                .col(text("currency"))
                .col(timestamp_with_time_zone("recorded_at"))
                .to_owned(),
            Table::create()
                .table("published_figure")
                .col(pk_uuid("id"))
                .col(uuid("programme_id"))
                .col(uuid("custodian_id"))
                .col(text("code"))
                .col(big_integer_null("value"))
                .col(text("text"))
                .col(text("source"))
                .col(date_null("published_on"))
                .col(big_integer("version"))
                .col(timestamp_with_time_zone("recorded_at"))
                .to_owned(),
        ];
        for table in tables {
            manager.create_table(table).await?;
        }
        let indexes = [
            index("helped_person", &["programme_id", "kind", "last_delivered_on"]),
            index("grant_line", &["programme_id", "donor_tenant_id"]),
            index("published_figure", &["programme_id", "id"]),
        ];
        for index in indexes {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
