//! The first tables of the handover.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, boolean, date, date_null, integer, json, pk_uuid, text, timestamp_with_time_zone, timestamp_with_time_zone_null,
    uuid,
};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261127_handover"
    }
}

/// A record of two parties.
fn between(table: &'static str) -> TableCreateStatement {
    Table::create()
        .table(table)
        .col(pk_uuid("id"))
        .col(uuid("sender_id"))
        .col(uuid("recipient_id"))
        .col(timestamp_with_time_zone("recorded_at"))
        .to_owned()
}

fn belongs(to: &'static str, by: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create().from_col(by).to(to, "id").to_owned()
}

fn index(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create().name(format!("{table}_by_{}", columns.join("_"))).table(table).to_owned();
    for column in columns {
        index.col(*column);
    }
    index
}

fn tables() -> [TableCreateStatement; 5] {
    [
        Table::create()
            .table("signing_key")
            .col(pk_uuid("id"))
            .col(uuid("tenant_id"))
            .col(text("key_id"))
            .col(text("public_key"))
            .col(text("label"))
            .col(date("registered_on"))
            .col(date_null("retired_on"))
            .col(big_integer("version"))
            .col(timestamp_with_time_zone("recorded_at"))
            .to_owned(),
        between("handover_agreement")
            .col(uuid("programme_id"))
            .col(text("state"))
            .col(text("purpose"))
            .col(json("programme"))
            .col(text("sender_name"))
            .col(text("recipient_name"))
            .col(json("criteria"))
            .col(json("retained"))
            .col(text("sender_key"))
            .col(text("recipient_key"))
            .col(text("envelope"))
            .col(date("proposed_on"))
            .col(date_null("sender_signed_on"))
            .col(date_null("recipient_signed_on"))
            .col(date_null("ended_on"))
            .col(big_integer("version"))
            .to_owned(),
        between("tranche")
            .col(uuid("agreement_id"))
            .col(uuid("programme_id"))
            .col(text("name"))
            .col(integer("number"))
            .col(text("state"))
            .col(json("contents"))
            .col(integer("bundle_number"))
            .col(text("envelope"))
            .col(text("manifest_sha256"))
            .col(json("readiness"))
            .col(text("verification"))
            .col(date("planned_on"))
            .col(date_null("sealed_on"))
            .col(date_null("bundled_on"))
            .col(date_null("verified_on"))
            .col(date_null("sender_signed_on"))
            .col(date_null("recipient_signed_on"))
            .col(date_null("ended_on"))
            .col(timestamp_with_time_zone_null("sealed_at"))
            .col(timestamp_with_time_zone_null("bundled_at"))
            .col(timestamp_with_time_zone_null("closed_at"))
            .col(big_integer("version"))
            .foreign_key(&mut belongs("handover_agreement", "agreement_id"))
            .to_owned(),
        Table::create()
            .table("slice")
            .col(uuid("tranche_id"))
            .col(text("service"))
            .col(uuid("sender_id"))
            .col(uuid("recipient_id"))
            .col(boolean("sealed"))
            .col(boolean("bundled"))
            .col(boolean("transferred"))
            .col(boolean("unsealed"))
            .col(big_integer("records"))
            .col(text("merkle_root"))
            .col(json("files"))
            .col(json("totals"))
            .primary_key(Index::create().col("tranche_id").col("service"))
            .foreign_key(&mut belongs("tranche", "tranche_id"))
            .to_owned(),
        between("tranche_change")
            .col(uuid("tranche_id"))
            .col(uuid("tenant_id"))
            .col(text("action"))
            .col(text("state"))
            .col(integer("bundle_number"))
            .col(text("note"))
            .col(date("happened_on"))
            .foreign_key(&mut belongs("tranche", "tranche_id"))
            .to_owned(),
    ]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in [
            index("signing_key", &["tenant_id", "key_id"]).unique().to_owned(),
            index("handover_agreement", &["sender_id", "id"]),
            index("handover_agreement", &["recipient_id", "id"]),
            // No two tranches of an agreement have the same number.
            index("tranche", &["agreement_id", "number"]).unique().to_owned(),
            index("tranche", &["sender_id", "id"]),
            index("tranche", &["recipient_id", "id"]),
            index("tranche_change", &["tranche_id", "id"]),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
