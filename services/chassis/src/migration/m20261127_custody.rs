//! Units that pass from one custodian to another: what is sealed, what passed, what is to be done, what waits; and of
//! which unit an event tells.

use sea_orm::{ConnectionTrait as _, Statement};
use sea_orm_migration::prelude::*;
use uuid::Uuid;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261127_custody"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let required = |name: &'static str| ColumnDef::new(name).not_null().to_owned();
        let key = |columns: &[&'static str]| {
            let mut key = Index::create();
            for column in columns {
                key.col(*column);
            }
            key
        };
        let tables = [
            Table::create()
                .table("seal")
                .col(required("unit_kind").text())
                .col(required("unit_id").uuid())
                .col(required("tranche_id").uuid())
                .primary_key(&mut key(&["unit_kind", "unit_id"]))
                .to_owned(),
            Table::create()
                .table("unit_custody")
                .col(required("unit_kind").text())
                .col(required("unit_id").uuid())
                .col(required("custodian_id").uuid())
                .col(required("tranche_id").uuid())
                .primary_key(&mut key(&["unit_kind", "unit_id"]))
                .to_owned(),
            Table::create()
                .table("custody_tranche")
                .col(required("tranche_id").uuid().primary_key())
                .col(ColumnDef::new("request").binary())
                .col(required("heard").text())
                .col(required("fixed").boolean())
                .col(required("settled").boolean())
                .to_owned(),
            Table::create()
                .table("custody_selected")
                .col(required("tranche_id").uuid())
                .col(required("unit_id").uuid())
                .primary_key(&mut key(&["tranche_id", "unit_id"]))
                .to_owned(),
            Table::create()
                .table("custody_step")
                .col(ColumnDef::new("seq").big_integer().not_null().auto_increment().primary_key())
                .col(required("event_id").uuid().unique_key())
                .col(required("tranche_id").uuid())
                .col(required("kind").text())
                .col(required("custodian_id").uuid())
                .col(required("body").binary())
                .col(required("recorded_at").timestamp_with_time_zone())
                .to_owned(),
            Table::create()
                .table("held_event")
                .col(ColumnDef::new("seq").big_integer().not_null().auto_increment().primary_key())
                .col(required("consumer").text())
                .col(required("event_id").uuid())
                .col(required("kind").text())
                .col(required("custodian_id").uuid())
                .col(required("aggregate_id").uuid())
                .col(required("body").binary())
                .col(required("recorded_at").timestamp_with_time_zone())
                .col(ColumnDef::new("unit_kind").text())
                .col(ColumnDef::new("unit_id").uuid())
                .col(required("tranche_id").uuid())
                .col(required("held_at").timestamp_with_time_zone())
                .to_owned(),
            Table::create()
                .table("bundle_import")
                .col(required("tranche_id").uuid())
                .col(required("path").text())
                .col(required("bundle_number").integer())
                .col(required("lines").big_integer())
                .primary_key(&mut key(&["tranche_id", "path"]))
                .to_owned(),
        ];
        for table in tables {
            manager.create_table(table).await?;
        }
        for column in [ColumnDef::new("unit_kind").text().to_owned(), ColumnDef::new("unit_id").uuid().to_owned()] {
            manager.alter_table(Table::alter().table("journal").add_column(column).to_owned()).await?;
        }
        let db = manager.get_connection();
        for sql in [
            "CREATE INDEX seal_by_tranche ON seal (tranche_id, unit_kind)",
            "CREATE UNIQUE INDEX held_event_once ON held_event (consumer, event_id)",
            "CREATE INDEX held_event_by_unit ON held_event (consumer, unit_kind, unit_id)",
            "CREATE INDEX custody_step_by_tranche ON custody_step (tranche_id, seq)",
            "CREATE INDEX journal_by_unit ON journal (unit_id, seq) WHERE unit_id IS NOT NULL",
        ] {
            db.execute_unprepared(sql).await?;
        }
        note_units(db).await
    }
}

/// The units of the events that are there.
async fn note_units(db: &SchemaManagerConnection<'_>) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    let mut last = 0_i64;
    loop {
        let sql = "SELECT seq, kind, body FROM journal WHERE seq > $1 ORDER BY seq LIMIT 1000";
        let rows = db.query_all_raw(Statement::from_sql_and_values(backend, sql, [last.into()])).await?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in rows {
            last = row.try_get("", "seq")?;
            let (kind, body): (String, Vec<u8>) = (row.try_get("", "kind")?, row.try_get("", "body")?);
            let Some((unit, id)) = tahuka_proto::unit_of(&kind, &body) else { continue };
            let Ok(id) = Uuid::try_parse(&id) else { continue };
            let sql = "UPDATE journal SET unit_kind = $1, unit_id = $2 WHERE seq = $3";
            let values = [unit.word().into(), id.into(), last.into()];
            db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        }
    }
}
