use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, date, integer, pk_uuid, text, timestamp_with_time_zone, timestamp_with_time_zone_null, uuid, uuid_null,
};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261127_facts"
    }
}

/// What makes a tranche's figure one.
const FIGURE: [&str; 11] = [
    "tranche_id",
    "programme_id",
    "indicator",
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
                .table("fact")
                .col(uuid("event_id"))
                .col(integer("number"))
                .col(uuid("programme_id"))
                .col(uuid("custodian_id"))
                .col(text("indicator"))
                .col(text("district"))
                .col(text("kind"))
                .col(text("sex"))
                .col(text("age_band"))
                .col(text("category"))
                .col(text("grant_id"))
                .col(text("month"))
                .col(text("currency"))
                .col(date("happened_on"))
                .col(timestamp_with_time_zone("recorded_at"))
                .col(text("unit_kind"))
                .col(uuid_null("unit_id"))
                .col(big_integer("value"))
                .primary_key(&mut key(&["event_id", "number"]))
                .to_owned(),
            Table::create()
                .table("tranche")
                .col(pk_uuid("id"))
                .col(uuid("holder_id"))
                .col(uuid("sender_id"))
                .col(uuid_null("recipient_id"))
                .col(timestamp_with_time_zone_null("given_at"))
                .col(text("asked"))
                .col(uuid_null("asked_by"))
                .to_owned(),
            Table::create()
                .table("tranche_part")
                .col(uuid("tranche_id"))
                .col(text("service"))
                .col(text("step"))
                .primary_key(&mut key(&["tranche_id", "service"]))
                .to_owned(),
            Table::create()
                .table("tranche_unit")
                .col(text("unit_kind"))
                .col(uuid("unit_id"))
                .col(uuid("tranche_id"))
                .col(uuid_null("given_to"))
                .col(timestamp_with_time_zone_null("given_at"))
                .primary_key(&mut key(&["unit_id", "unit_kind", "tranche_id"]))
                .to_owned(),
            Table::create()
                .table("tranche_figure")
                .col(uuid("tranche_id"))
                .col(uuid("programme_id"))
                .col(uuid("custodian_id"))
                .col(text("indicator"))
                .col(text("district"))
                .col(text("kind"))
                .col(text("sex"))
                .col(text("age_band"))
                .col(text("category"))
                .col(text("grant_id"))
                .col(text("month"))
                .col(text("currency"))
                .col(big_integer("value"))
                .primary_key(&mut key(&FIGURE))
                .to_owned(),
            Table::create()
                .table("slice_answer")
                .col(uuid("request_id"))
                .col(timestamp_with_time_zone("answered_at"))
                .primary_key(&mut key(&["request_id"]))
                .to_owned(),
        ];
        for table in tables {
            manager.create_table(table).await?;
        }
        let columns =
            [("helped_person", uuid_null("household_id")), ("need", uuid_null("unit_id")), ("need", uuid_null("counted_by"))];
        for (table, column) in columns {
            manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
        }
        let indexes = [
            index("fact", &["unit_id"]),
            index("tranche_unit", &["tranche_id", "unit_kind"]),
            index("helped_person", &["household_id"]),
            index("need", &["unit_id"]),
        ];
        for index in indexes {
            manager.create_index(index).await?;
        }
        // Most facts are of no grant.
        let of_grants = "CREATE INDEX fact_by_grant_id ON fact (grant_id) WHERE grant_id <> ''";
        manager.get_connection().execute_unprepared(of_grants).await?;
        Ok(())
    }
}
