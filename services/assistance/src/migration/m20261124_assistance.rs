//! The first tables of assistance.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, boolean, date, date_null, integer, json, pk_uuid, text, text_null, timestamp_with_time_zone, uuid, uuid_null,
};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261124_assistance"
    }
}

/// A record of the programme: who answers for it and when it was written down.
fn record(table: &'static str) -> TableCreateStatement {
    Table::create()
        .table(table)
        .col(pk_uuid("id"))
        .col(uuid("programme_id"))
        .col(uuid("custodian_id"))
        .col(timestamp_with_time_zone("recorded_at"))
        .to_owned()
}

/// What belongs to a plan says whose it is, so that it can be read without the plan.
fn of_plan(table: &'static str) -> TableCreateStatement {
    record(table)
        .col(text("district"))
        .col(uuid("plan_id"))
        .col(uuid("household_id"))
        .col(uuid("individual_id"))
        .foreign_key(&mut belongs("plan", "plan_id"))
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

/// Unique among the rows that are in none of the states.
fn unique_unless(table: &'static str, columns: &[&'static str], state: &'static str) -> IndexCreateStatement {
    index(table, columns).unique().and_where(Expr::col("state").ne(Expr::cust(format!("'{state}'")))).to_owned()
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = [
            record("package")
                .col(text("code"))
                .col(text("kind"))
                .col(text("item"))
                .col(text("name"))
                .col(json("items"))
                .col(big_integer("cost_minor"))
                .col(text("cost_currency"))
                .col(json("categories"))
                .col(json("age_bands"))
                .col(integer("least_priority_band"))
                .col(boolean("retired"))
                .col(big_integer("version"))
                .to_owned(),
            record("plan")
                .col(text("district"))
                .col(uuid("household_id"))
                .col(uuid("individual_id"))
                .col(uuid("package_id"))
                .col(text("kind"))
                .col(text("item"))
                .col(text("sex"))
                .col(text("age_band"))
                .col(text("category"))
                .col(integer("priority_band"))
                .col(big_integer("cost_minor"))
                .col(text("cost_currency"))
                .col(text("state"))
                .col(uuid_null("grant_id"))
                .col(date("drafted_on"))
                .col(date_null("submitted_on"))
                .col(date_null("funded_on"))
                .col(date_null("approved_on"))
                .col(date_null("completed_on"))
                .col(date_null("cancelled_on"))
                .col(text_null("cancellation_reason"))
                .col(big_integer("version"))
                .foreign_key(&mut belongs("package", "package_id"))
                .to_owned(),
            record("cohort")
                .col(text("district"))
                .col(text("trade"))
                .col(text("provider"))
                .col(text("name"))
                .col(integer("capacity"))
                .col(integer("enrolled"))
                .col(integer("completed"))
                .col(text("state"))
                .col(date("starts_on"))
                .col(date("ends_on"))
                .col(date_null("completed_on"))
                .col(big_integer("version"))
                .to_owned(),
            of_plan("enrolment")
                .col(uuid("cohort_id"))
                .col(text("state"))
                .col(date("enrolled_on"))
                .col(date_null("ended_on"))
                .col(text_null("drop_out_reason"))
                .col(text_null("certificate_number"))
                .col(boolean("toolkit_given"))
                .col(big_integer("version"))
                .foreign_key(&mut belongs("cohort", "cohort_id"))
                .to_owned(),
            record("distribution")
                .col(text("district"))
                .col(text("place"))
                .col(text("kind"))
                .col(text("name"))
                .col(date("planned_on"))
                .col(text("state"))
                .col(integer("entitlements"))
                .col(integer("delivered"))
                .col(date_null("closed_on"))
                .col(big_integer("version"))
                .to_owned(),
            of_plan("entitlement")
                .col(uuid("distribution_id"))
                .col(text("item"))
                .col(text("state"))
                .col(text_null("proof_kind"))
                .col(text_null("proof_reference"))
                .col(date_null("delivered_on"))
                .col(big_integer("version"))
                .foreign_key(&mut belongs("distribution", "distribution_id"))
                .to_owned(),
            of_plan("visit")
                .col(text("kind"))
                .col(date("visited_on"))
                .col(integer("months_after"))
                .col(text("outcome"))
                .col(boolean("favourable"))
                .col(text("visitor"))
                .to_owned(),
        ];
        for table in tables {
            manager.create_table(table).await?;
        }

        let indexes = [
            index("package", &["programme_id", "custodian_id", "code"]).unique().to_owned(),
            // One live plan for each person and package.
            unique_unless("plan", &["individual_id", "package_id"], "cancelled"),
            index("plan", &["programme_id", "id"]),
            index("plan", &["household_id"]),
            index("cohort", &["programme_id", "id"]),
            // Who drops out is cancelled, so that a plan is enrolled once.
            index("enrolment", &["plan_id"]).unique().to_owned(),
            index("enrolment", &["cohort_id", "id"]),
            index("distribution", &["programme_id", "id"]),
            // On one list at a time, and delivered once.
            unique_unless("entitlement", &["plan_id"], "lapsed"),
            index("entitlement", &["distribution_id", "id"]),
            index("visit", &["plan_id", "visited_on"]).unique().to_owned(),
            index("visit", &["programme_id", "id"]),
        ];
        for index in indexes {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
