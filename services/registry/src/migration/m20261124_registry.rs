use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, date, date_null, integer, integer_null, json, pk_uuid, text, text_null, timestamp_with_time_zone,
    timestamp_with_time_zone_null, uuid, uuid_null,
};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261124_registry"
    }
}

/// A record of the programme: who answers for it, its version and when it was written down.
fn record(table: &'static str) -> TableCreateStatement {
    Table::create()
        .table(table)
        .col(pk_uuid("id"))
        .col(uuid("programme_id"))
        .col(uuid("custodian_id"))
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

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = [
            record("household")
                .col(text("district"))
                .col(text("place"))
                .col(text("category"))
                .col(text("household_number"))
                .col(integer("household_size"))
                .col(date("registered_on"))
                .col(text("registration_source"))
                .col(text("enumerator"))
                .col(uuid_null("head_id"))
                .col(integer("priority_band"))
                .col(uuid_null("assessment_id"))
                .to_owned(),
            record("individual")
                .col(text("district"))
                .col(uuid("household_id"))
                .col(text("surname"))
                .col(text_null("given_name"))
                .col(text("sex"))
                .col(date_null("birth_date"))
                .col(text_null("birth_precision"))
                .col(text_null("relation_to_head"))
                .col(text_null("document_kind"))
                .col(text_null("document_number"))
                .col(text_null("phone"))
                .col(date("registered_on"))
                .col(text_null("submission_id"))
                .col(text_null("assistance_requested"))
                .col(text_null("assistance_item"))
                .foreign_key(&mut belongs("household", "household_id"))
                .to_owned(),
            record("return_episode")
                .col(text("district"))
                .col(uuid("household_id"))
                .col(uuid_null("individual_id"))
                .col(text("country_of_asylum"))
                .col(integer_null("fled_year"))
                .col(date("returned_on"))
                .col(text_null("entry_point"))
                .col(text_null("transit_centre"))
                .foreign_key(&mut belongs("household", "household_id"))
                .to_owned(),
            record("consent")
                .col(text("district"))
                .col(uuid("household_id"))
                .col(uuid("individual_id"))
                .col(text("purpose"))
                .col(text("form"))
                .col(date("given_on"))
                .col(date_null("withdrawn_on"))
                .foreign_key(&mut belongs("individual", "individual_id"))
                .to_owned(),
            record("criteria_set").col(text("name")).col(date("effective_on")).col(json("criteria")).to_owned(),
            record("assessment")
                .col(text("district"))
                .col(uuid("household_id"))
                .col(uuid("criteria_set_id"))
                .col(date("assessed_on"))
                .col(integer("score"))
                .col(integer("priority_band"))
                .col(json("explanation"))
                .foreign_key(&mut belongs("household", "household_id"))
                .foreign_key(&mut belongs("criteria_set", "criteria_set_id"))
                .to_owned(),
            record("import_run")
                .col(text("file_name"))
                .col(uuid("request_id"))
                .col(text_null("digest"))
                .col(big_integer("rows_read"))
                .col(big_integer("accepted"))
                .col(big_integer("repeated"))
                .col(big_integer("rejected"))
                .col(big_integer("unassessed"))
                .col(timestamp_with_time_zone_null("finished_at"))
                .to_owned(),
            record("import_error")
                .col(uuid("import_id"))
                .col(big_integer("row_number"))
                .col(text("column_name"))
                .col(text("reason"))
                .foreign_key(&mut belongs("import_run", "import_id"))
                .to_owned(),
            // Which submissions a tenant has sent. It stays with the sender when custody passes, so that a file sent
            // again after a handover is still known.
            record("submission")
                .col(text("submission_id"))
                .col(uuid("import_id"))
                .col(big_integer("row_number"))
                .col(uuid("individual_id"))
                .to_owned(),
        ];
        for table in tables {
            manager.create_table(table).await?;
        }

        let indexes = [
            index("household", &["programme_id", "custodian_id", "district", "household_number"]).unique().to_owned(),
            index("household", &["programme_id", "id"]),
            index("individual", &["household_id"]),
            index("individual", &["programme_id", "id"]),
            index("return_episode", &["household_id"]),
            index("consent", &["individual_id"]),
            index("criteria_set", &["programme_id", "effective_on"]),
            index("assessment", &["household_id"]),
            index("import_run", &["custodian_id", "request_id"]).unique().to_owned(),
            index("import_error", &["import_id", "row_number", "column_name"]).unique().to_owned(),
            index("submission", &["programme_id", "custodian_id", "submission_id"]).unique().to_owned(),
        ];
        for index in indexes {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
