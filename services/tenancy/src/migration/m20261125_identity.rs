use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, date, date_null, integer, json, pk_uuid, text, timestamp_with_time_zone, uuid};
use sea_orm_migration::sea_orm::DbBackend;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261125_identity"
    }
}

fn belongs(to: &'static str, by: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create().from_col(by).to(to, "id").to_owned()
}

/// The audit trail of agreements is only ever added to.
fn append_only(backend: DbBackend) -> Vec<String> {
    let mut sql = Vec::new();
    if backend == DbBackend::Postgres {
        sql.push(
            "CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
                .to_owned(),
        );
    }
    for verb in ["UPDATE", "DELETE"] {
        let trigger = format!("CREATE TRIGGER agreement_change_no_{} BEFORE {verb} ON agreement_change", verb.to_lowercase());
        sql.push(match backend {
            DbBackend::Postgres => format!("{trigger} FOR EACH ROW EXECUTE FUNCTION append_only()"),
            _ => format!("{trigger} BEGIN SELECT RAISE(ABORT, 'agreement_change is append-only'); END"),
        });
    }
    sql
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let no_claims = serde_json::json!({ "trust_roles": false });
        for (table, column) in [
            ("identity_provider", text("jwks_uri").default("").to_owned()),
            ("identity_provider", json("claims").default(no_claims.to_string()).to_owned()),
            ("staff_member", text("kind").default("person").to_owned()),
            ("agreement", integer("revision").default(1).to_owned()),
        ] {
            manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
        }
        let tables = [
            Table::create()
                .table("agreement_amendment")
                .col(pk_uuid("id"))
                .col(uuid("agreement_id"))
                .col(uuid("custodian_id"))
                .col(uuid("recipient_id"))
                .col(integer("revision"))
                .col(text("state"))
                .col(json("terms"))
                .col(text("purpose"))
                .col(date("starts_on"))
                .col(date("ends_on"))
                .col(date_null("custodian_signed_on"))
                .col(date_null("recipient_signed_on"))
                .col(big_integer("version"))
                .col(timestamp_with_time_zone("recorded_at"))
                .foreign_key(&mut belongs("agreement", "agreement_id"))
                .to_owned(),
            Table::create()
                .table("agreement_change")
                .col(pk_uuid("id"))
                .col(uuid("agreement_id"))
                .col(uuid("custodian_id"))
                .col(uuid("recipient_id"))
                .col(uuid("tenant_id"))
                .col(text("subject"))
                .col(text("action"))
                .col(integer("revision"))
                .col(text("state"))
                .col(integer("revision_in_force"))
                .col(date("happened_on"))
                .col(timestamp_with_time_zone("recorded_at"))
                .foreign_key(&mut belongs("agreement", "agreement_id"))
                .to_owned(),
        ];
        for table in tables {
            manager.create_table(table).await?;
        }
        let revisions = Index::create()
            .name("agreement_amendment_by_agreement_id_revision")
            .table("agreement_amendment")
            .col("agreement_id")
            .col("revision")
            .unique()
            .to_owned();
        let changes = Index::create()
            .name("agreement_change_by_agreement_id_id")
            .table("agreement_change")
            .col("agreement_id")
            .col("id")
            .to_owned();
        for index in [revisions, changes] {
            manager.create_index(index).await?;
        }
        for statement in append_only(manager.get_database_backend()) {
            manager.get_connection().execute_unprepared(&statement).await?;
        }
        Ok(())
    }
}
