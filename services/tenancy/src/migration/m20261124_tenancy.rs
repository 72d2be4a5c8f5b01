use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, date, date_null, json, pk_uuid, text, text_uniq, timestamp_with_time_zone, timestamp_with_time_zone_null, uuid,
};
use sea_orm_migration::sea_orm::DbBackend;

use crate::staff::role::CATALOGUE;
use crate::tenant::kind_name;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261124_tenancy"
    }
}

fn row(table: &'static str) -> TableCreateStatement {
    Table::create()
        .table(table)
        .col(pk_uuid("id"))
        .col(big_integer("version"))
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

/// Agreements and programmes have two sides, which the chassis's policy of one custodian cannot
/// say. `tahuka.tenant` and `tahuka.system` are what the chassis sets in each transaction.
const TWO_SIDES: &[&str] = &[
    "ALTER TABLE agreement ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE agreement FORCE ROW LEVEL SECURITY",
    "CREATE POLICY parties ON agreement USING (current_setting('tahuka.system', true) = 'on' \
     OR current_setting('tahuka.tenant', true) IN (custodian_id::text, recipient_id::text))",
    "ALTER TABLE programme ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE programme FORCE ROW LEVEL SECURITY",
    "CREATE POLICY parties ON programme USING (current_setting('tahuka.system', true) = 'on' \
     OR current_setting('tahuka.tenant', true) = custodian_id::text \
     OR id IN (SELECT programme_id FROM agreement WHERE recipient_id::text = current_setting('tahuka.tenant', true))) \
     WITH CHECK (current_setting('tahuka.system', true) = 'on' \
     OR current_setting('tahuka.tenant', true) = custodian_id::text)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = [
            row("tenant").col(text("name")).col(text("kind")).col(text_uniq("slug")).col(text("state")).to_owned(),
            row("identity_provider")
                .col(uuid("tenant_id"))
                .col(text_uniq("issuer"))
                .col(text("audience"))
                .col(text("jwks_json"))
                .col(json("algorithms"))
                .foreign_key(&mut belongs("tenant", "tenant_id"))
                .to_owned(),
            Table::create()
                .table("role")
                .col(ColumnDef::new("name").text().not_null().primary_key())
                .col(json("permissions"))
                .col(json("kinds"))
                .to_owned(),
            row("staff_member")
                .col(uuid("tenant_id"))
                .col(text("subject"))
                .col(json("roles"))
                .col(json("districts"))
                .col(timestamp_with_time_zone_null("removed_at"))
                .foreign_key(&mut belongs("tenant", "tenant_id"))
                .to_owned(),
            row("programme")
                .col(uuid("custodian_id"))
                .col(text("name"))
                .col(date("starts_on"))
                .col(date("ends_on"))
                .col(json("districts"))
                .foreign_key(&mut belongs("tenant", "custodian_id"))
                .to_owned(),
            row("agreement")
                .col(uuid("programme_id"))
                .col(uuid("custodian_id"))
                .col(uuid("recipient_id"))
                .col(text("state"))
                .col(json("terms"))
                .col(text("purpose"))
                .col(date("starts_on"))
                .col(date("ends_on"))
                .col(date_null("custodian_signed_on"))
                .col(date_null("recipient_signed_on"))
                .col(date_null("revoked_on"))
                .foreign_key(&mut belongs("programme", "programme_id"))
                .foreign_key(&mut belongs("tenant", "custodian_id"))
                .foreign_key(&mut belongs("tenant", "recipient_id"))
                .to_owned(),
        ];
        for table in tables {
            manager.create_table(table).await?;
        }
        let indexes = [
            index("identity_provider", &["tenant_id"]),
            index("staff_member", &["tenant_id", "subject"]).unique().to_owned(),
            index("programme", &["custodian_id"]),
            index("agreement", &["recipient_id", "state"]),
            index("agreement", &["custodian_id"]),
            index("agreement", &["programme_id"]),
        ];
        for index in indexes {
            manager.create_index(index).await?;
        }

        let mut roles = Query::insert().into_table("role").columns(["name", "permissions", "kinds"]).to_owned();
        for role in CATALOGUE {
            let kinds: Vec<_> = role.kinds.iter().map(|kind| kind_name(*kind)).collect();
            roles.values_panic([role.name.into(), serde_json::json!(role.permissions).into(), serde_json::json!(kinds).into()]);
        }
        manager.execute(roles).await?;

        if manager.get_database_backend() == DbBackend::Postgres {
            for statement in TWO_SIDES {
                manager.get_connection().execute_unprepared(statement).await?;
            }
        }
        Ok(())
    }
}
