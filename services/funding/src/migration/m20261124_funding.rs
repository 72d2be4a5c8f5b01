use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, date, date_null, integer, json, pk_uuid, text, text_null, timestamp_with_time_zone, uuid, uuid_null,
};
use sea_orm_migration::sea_orm::DbBackend;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261124_funding"
    }
}

/// A fact: who answers for it and when it was written down.
fn fact(table: &'static str) -> TableCreateStatement {
    Table::create()
        .table(table)
        .col(pk_uuid("id"))
        .col(uuid("custodian_id"))
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

/// What was posted stays: a posting's custodian may change when custody passes, and nothing else of it.
const FACTS: [(&str, &str); 2] = [
    ("posting", "id, programme_id, grant_id, kind, happened_on, description, recorded_at"),
    ("entry", "id, programme_id, grant_id, posting_id, number, bucket, line_id, minor, currency, reservation_id"),
];

fn append_only(backend: DbBackend) -> Vec<String> {
    let mut sql = Vec::new();
    if backend == DbBackend::Postgres {
        sql.push(
            "CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
                .to_owned(),
        );
    }
    for (table, columns) in FACTS {
        for (name, on) in [("update", format!("UPDATE OF {columns}")), ("delete", "DELETE".to_owned())] {
            sql.push(match backend {
                DbBackend::Postgres => {
                    format!("CREATE TRIGGER {table}_no_{name} BEFORE {on} ON {table} FOR EACH ROW EXECUTE FUNCTION append_only()")
                }
                _ => format!(
                    "CREATE TRIGGER {table}_no_{name} BEFORE {on} ON {table} \
                     BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                ),
            });
        }
    }
    sql
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = [
            fact("donor")
                .col(big_integer("version"))
                .col(text("name"))
                .col(uuid_null("tenant_id"))
                .col(text("country"))
                .to_owned(),
            fact("donor_grant")
                .col(big_integer("version"))
                .col(uuid("programme_id"))
                .col(uuid("donor_id"))
                .col(uuid_null("donor_tenant_id"))
                .col(text("code"))
                .col(text("title"))
                .col(big_integer("amount_minor"))
                .col(text("currency"))
                .col(date("starts_on"))
                .col(date("ends_on"))
                .col(json("districts"))
                .col(json("kinds"))
                .col(big_integer("lined_minor"))
                .check(Expr::cust("lined_minor BETWEEN 0 AND amount_minor"))
                .foreign_key(&mut belongs("donor", "donor_id"))
                .to_owned(),
            fact("budget_line")
                .col(big_integer("version"))
                .col(uuid("programme_id"))
                .col(uuid("grant_id"))
                .col(text("code"))
                .col(text("kind"))
                .col(big_integer("amount_minor"))
                .col(big_integer("used_minor"))
                .col(text("currency"))
                .check(Expr::cust("used_minor BETWEEN 0 AND amount_minor"))
                .foreign_key(&mut belongs("donor_grant", "grant_id"))
                .to_owned(),
            fact("instalment")
                .col(uuid("programme_id"))
                .col(uuid("grant_id"))
                .col(big_integer("received_minor"))
                .col(text("received_currency"))
                .col(big_integer("credited_minor"))
                .col(text("credited_currency"))
                .col(date("received_on"))
                .col(uuid_null("exchange_rate_id"))
                .foreign_key(&mut belongs("donor_grant", "grant_id"))
                .to_owned(),
            // The rate times 10^9.
            fact("exchange_rate")
                .col(text("base"))
                .col(text("quote"))
                .col(big_integer("rate"))
                .col(date("valid_on"))
                .col(text("source"))
                .to_owned(),
            fact("reservation")
                .col(big_integer("version"))
                .col(uuid("programme_id"))
                .col(text("district"))
                .col(text("need_kind"))
                .col(uuid("need_id"))
                .col(text("kind"))
                .col(integer("priority_band"))
                .col(big_integer("cost_minor"))
                .col(text("cost_currency"))
                .col(date("submitted_on"))
                .col(date_null("incurred_on"))
                .col(text("stage"))
                .col(text("state"))
                .col(uuid_null("grant_id"))
                .col(uuid_null("line_id"))
                .col(big_integer("held_minor"))
                .col(text_null("held_currency"))
                .foreign_key(&mut belongs("donor_grant", "grant_id"))
                .foreign_key(&mut belongs("budget_line", "line_id"))
                .to_owned(),
            fact("posting")
                .col(uuid("programme_id"))
                .col(uuid("grant_id"))
                .col(text("kind"))
                .col(date("happened_on"))
                .col(text("description"))
                .col(integer("entries"))
                .foreign_key(&mut belongs("donor_grant", "grant_id"))
                .to_owned(),
            Table::create()
                .table("entry")
                .col(pk_uuid("id"))
                .col(uuid("custodian_id"))
                .col(uuid("programme_id"))
                .col(uuid("grant_id"))
                .col(uuid("posting_id"))
                .col(integer("number"))
                .col(text("bucket"))
                .col(uuid_null("line_id"))
                .col(big_integer("minor"))
                .col(text("currency"))
                .col(uuid_null("reservation_id"))
                .foreign_key(&mut belongs("posting", "posting_id"))
                .to_owned(),
            // The sums of the entries. An account of the whole grant has the nil id as its line.
            Table::create()
                .table("balance")
                .col(uuid("custodian_id"))
                .col(uuid("programme_id"))
                .col(uuid("grant_id"))
                .col(text("bucket"))
                .col(uuid("line_id"))
                .col(text("currency"))
                .col(big_integer("minor"))
                .primary_key(Index::create().col("grant_id").col("bucket").col("line_id").col("currency"))
                .check(Expr::cust("minor >= 0 OR bucket IN ('donor', 'exchange')"))
                .foreign_key(&mut belongs("donor_grant", "grant_id"))
                .to_owned(),
            fact("pledge")
                .col(uuid("programme_id"))
                .col(uuid("donor_id"))
                .col(text_null("kind"))
                .col(big_integer("amount_minor"))
                .col(text("currency"))
                .col(date("pledged_on"))
                .col(uuid_null("grant_id"))
                .foreign_key(&mut belongs("donor", "donor_id"))
                .foreign_key(&mut belongs("donor_grant", "grant_id"))
                .to_owned(),
        ];
        for table in tables {
            manager.create_table(table).await?;
        }

        let indexes = [
            index("donor", &["custodian_id"]),
            index("donor_grant", &["custodian_id", "code"]).unique().to_owned(),
            index("donor_grant", &["programme_id"]),
            index("budget_line", &["grant_id", "code"]).unique().to_owned(),
            index("instalment", &["grant_id"]),
            index("exchange_rate", &["custodian_id", "base", "quote", "valid_on"]).unique().to_owned(),
            index("reservation", &["need_kind", "need_id"]).unique().to_owned(),
            index("reservation", &["programme_id", "state", "kind"]),
            index("reservation", &["grant_id"]),
            index("posting", &["grant_id", "id"]),
            index("entry", &["posting_id"]),
            index("pledge", &["programme_id"]),
        ];
        for index in indexes {
            manager.create_index(index).await?;
        }
        for statement in append_only(manager.get_database_backend()) {
            manager.get_connection().execute_unprepared(&statement).await?;
        }
        Ok(())
    }
}
