//! The access log: rows are added and never changed. Whoever has the rights of the database's owner can switch that off;
//! the chain of hashes then shows it.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261125_access_log"
    }
}

const KEPT: &str = "the access log is only added to";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let required = |name: &'static str| ColumnDef::new(name).not_null().to_owned();
        manager
            .create_table(
                Table::create()
                    .table("access_log")
                    .col(required("id").uuid().primary_key())
                    .col(required("seq").big_integer().unique_key())
                    .col(required("accessed_at").timestamp_with_time_zone())
                    .col(required("tenant_id").uuid())
                    .col(required("reader").text())
                    .col(required("roles").text())
                    .col(required("rpc").text())
                    .col(required("purpose").text())
                    .col(required("trace_id").text())
                    .col(required("hash").text())
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("access_log_subject")
                    .col(required("access_id").uuid())
                    .col(required("number").integer())
                    .col(required("message").text())
                    .col(required("custodian_id").uuid())
                    .col(required("district").text())
                    .col(ColumnDef::new("household_id").uuid())
                    .col(ColumnDef::new("individual_id").uuid())
                    .primary_key(Index::create().col("access_id").col("number"))
                    .foreign_key(ForeignKey::create().from_col("access_id").to("access_log", "id"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("access_log_head")
                    .col(required("id").integer().primary_key())
                    .col(required("seq").big_integer())
                    .col(required("hash").text())
                    .to_owned(),
            )
            .await?;
        let db = manager.get_connection();
        for sql in [
            "CREATE INDEX access_log_subject_by_household ON access_log_subject (household_id, access_id)",
            "CREATE INDEX access_log_subject_by_individual ON access_log_subject (individual_id, access_id)",
            "INSERT INTO access_log_head (id, seq, hash) VALUES (1, 0, '')",
        ] {
            db.execute_unprepared(sql).await?;
        }
        for sql in keep(manager.get_database_backend()) {
            db.execute_unprepared(&sql).await?;
        }
        Ok(())
    }
}

fn keep(backend: DbBackend) -> Vec<String> {
    let mut sql = Vec::new();
    if backend == DbBackend::Postgres {
        sql.push(format!(
            "CREATE FUNCTION access_log_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{KEPT}'; END $$"
        ));
        for table in ["access_log", "access_log_subject"] {
            sql.push(format!(
                "CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT \
                 EXECUTE FUNCTION access_log_kept()"
            ));
        }
        sql.push(
            "CREATE TRIGGER access_log_head_kept BEFORE DELETE OR TRUNCATE ON access_log_head FOR EACH STATEMENT \
             EXECUTE FUNCTION access_log_kept()"
                .to_owned(),
        );
        sql.push(
            "CREATE TRIGGER access_log_head_forward BEFORE UPDATE ON access_log_head FOR EACH ROW WHEN (NEW.seq <= OLD.seq) \
             EXECUTE FUNCTION access_log_kept()"
                .to_owned(),
        );
        return sql;
    }
    let raise = format!("BEGIN SELECT RAISE(ABORT, '{KEPT}'); END");
    for table in ["access_log", "access_log_subject"] {
        for verb in ["UPDATE", "DELETE"] {
            sql.push(format!("CREATE TRIGGER {table}_no_{} BEFORE {verb} ON {table} {raise}", verb.to_lowercase()));
        }
    }
    sql.push(format!("CREATE TRIGGER access_log_head_no_delete BEFORE DELETE ON access_log_head {raise}"));
    sql.push(format!("CREATE TRIGGER access_log_head_forward BEFORE UPDATE ON access_log_head WHEN NEW.seq <= OLD.seq {raise}"));
    sql
}
