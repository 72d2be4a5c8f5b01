//! Imports on disk: the run, its errors, and which submissions are known.

use std::collections::{HashMap, HashSet};

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect};
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Tx, clock, ids};

use crate::individual::store as individual;

pub mod run {
    use sea_orm::entity::prelude::*;
    use tahuka_chassis::Scoped;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "import_run")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub programme_id: Uuid,
        pub custodian_id: Uuid,
        pub file_name: String,
        pub request_id: Uuid,
        /// SHA-256 of the file, once it was read to the end.
        pub digest: Option<String>,
        pub rows_read: i64,
        pub accepted: i64,
        pub repeated: i64,
        pub rejected: i64,
        pub unassessed: i64,
        /// Of households that were being handed over.
        pub held: i64,
        pub version: i64,
        pub recorded_at: DateTimeUtc,
        pub finished_at: Option<DateTimeUtc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl Scoped for Entity {
        fn custodian() -> Column {
            Column::CustodianId
        }
        fn district() -> Option<Column> {
            None
        }
    }
}

pub mod error {
    use sea_orm::entity::prelude::*;
    use tahuka_chassis::Scoped;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "import_error")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub programme_id: Uuid,
        pub custodian_id: Uuid,
        pub import_id: Uuid,
        pub row_number: i64,
        pub column_name: String,
        pub reason: String,
        pub version: i64,
        pub recorded_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl Scoped for Entity {
        fn custodian() -> Column {
            Column::CustodianId
        }
        fn district() -> Option<Column> {
            None
        }
    }
}

pub mod held {
    use sea_orm::entity::prelude::*;
    use tahuka_chassis::Scoped;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "held_submission")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub programme_id: Uuid,
        /// Who sent it.
        pub custodian_id: Uuid,
        pub recorded_at: DateTimeUtc,
        pub district: String,
        pub import_id: Uuid,
        pub row_number: i64,
        pub submission_id: String,
        pub household_id: Uuid,
        pub tranche_id: Uuid,
        /// The row as it came.
        pub cells: Json,
        pub state: String,
        /// Why it was refused after all.
        pub column_name: String,
        pub reason: String,
        pub settled_at: Option<DateTimeUtc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl Scoped for Entity {
        fn custodian() -> Column {
            Column::CustodianId
        }
        fn district() -> Option<Column> {
            Some(Column::District)
        }
    }
}

pub mod submission {
    use sea_orm::entity::prelude::*;
    use tahuka_chassis::Scoped;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "submission")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub programme_id: Uuid,
        /// Who sent it; custody of the person may pass, this stays.
        pub custodian_id: Uuid,
        pub submission_id: String,
        pub import_id: Uuid,
        pub row_number: i64,
        pub individual_id: Uuid,
        pub version: i64,
        pub recorded_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl Scoped for Entity {
        fn custodian() -> Column {
            Column::CustodianId
        }
        fn district() -> Option<Column> {
            None
        }
    }
}

pub async fn get(tx: &Tx, id: Uuid) -> Result<run::Model, Refusal> {
    let found = tx.find::<run::Entity>().filter(run::Column::Id.eq(id)).one(tx.conn()).await?;
    found.ok_or_else(|| Refusal::not_found("import", id))
}

/// The run of a request: a new one, or the one that broke off, with its counts at naught. A finished one is left.
pub async fn start(tx: &Tx, programme_id: Uuid, file_name: &str, request_id: Uuid) -> Result<run::Model, Refusal> {
    let custodian_id = tx.caller().tenant_id;
    let known = tx
        .find::<run::Entity>()
        .filter(run::Column::CustodianId.eq(custodian_id))
        .filter(run::Column::RequestId.eq(request_id))
        .one(tx.conn())
        .await?;
    let Some(known) = known else {
        let run = run::Model {
            id: ids::new_id(),
            programme_id,
            custodian_id,
            file_name: file_name.to_owned(),
            request_id,
            digest: None,
            rows_read: 0,
            accepted: 0,
            repeated: 0,
            rejected: 0,
            unassessed: 0,
            held: 0,
            version: 1,
            recorded_at: clock::now(),
            finished_at: None,
        };
        run::Entity::insert(run.clone().into_active_model()).exec_without_returning(tx.conn()).await?;
        return Ok(run);
    };
    if known.programme_id != programme_id || known.file_name != file_name {
        return Err(Refusal::invalid("start.request_id", "was used for another request; make a new one"));
    }
    if known.finished_at.is_some() {
        return Ok(known);
    }
    error::Entity::delete_many().filter(error::Column::ImportId.eq(known.id)).exec(tx.conn()).await?;
    let run = run::Model {
        rows_read: 0,
        accepted: 0,
        repeated: 0,
        rejected: 0,
        unassessed: 0,
        held: 0,
        version: known.version + 1,
        ..known
    };
    write(tx, &run).await?;
    Ok(run)
}

/// Writes the run's counts and its end.
pub async fn write(tx: &Tx, run: &run::Model) -> Result<(), Refusal> {
    run::Entity::update(run.clone().into_active_model().reset_all()).exec(tx.conn()).await?;
    Ok(())
}

pub async fn insert_errors(tx: &Tx, rows: Vec<error::Model>) -> Result<(), Refusal> {
    if !rows.is_empty() {
        error::Entity::insert_many(rows.into_iter().map(IntoActiveModel::into_active_model))
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(tx.conn())
            .await?;
    }
    Ok(())
}

/// The first errors, in the order of the file.
pub async fn first_errors(tx: &Tx, import_id: Uuid, limit: u64) -> Result<Vec<error::Model>, Refusal> {
    let select = tx.find::<error::Entity>().filter(error::Column::ImportId.eq(import_id));
    Ok(select.order_by_asc(error::Column::Id).limit(limit).all(tx.conn()).await?)
}

pub async fn list_errors(tx: &Tx, import_id: Uuid, page: &Page) -> Result<Vec<error::Model>, Refusal> {
    let select = tx.find::<error::Entity>().filter(error::Column::ImportId.eq(import_id));
    Ok(keyset(select, error::Column::Id, page).all(tx.conn()).await?)
}

/// Those of the submissions that wait for the end of a handover.
pub async fn known_held(
    tx: &Tx,
    programme_id: Uuid,
    submissions: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, held::Model>, Refusal> {
    use held::Column;
    let rows = tx
        .find::<held::Entity>()
        .filter(Column::ProgrammeId.eq(programme_id))
        .filter(Column::CustodianId.eq(tx.caller().tenant_id))
        .filter(Column::SubmissionId.is_in(submissions))
        .all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(|row| (row.submission_id.clone(), row)).collect())
}

pub async fn insert_held(tx: &Tx, rows: Vec<held::Model>) -> Result<(), Refusal> {
    if !rows.is_empty() {
        held::Entity::insert_many(rows.into_iter().map(IntoActiveModel::into_active_model))
            .exec_without_returning(tx.conn())
            .await?;
    }
    Ok(())
}

pub async fn list_held(tx: &Tx, programme: Uuid, tranche: Option<Uuid>, page: &Page) -> Result<Vec<held::Model>, Refusal> {
    let mut select = tx.find::<held::Entity>().filter(held::Column::ProgrammeId.eq(programme));
    if let Some(tranche) = tranche {
        select = select.filter(held::Column::TrancheId.eq(tranche));
    }
    Ok(keyset(select, held::Column::Id, page).all(tx.conn()).await?)
}

/// Submissions whose person the caller has now, whoever sent them.
pub async fn registered(
    tx: &Tx,
    programme_id: Uuid,
    submissions: impl IntoIterator<Item = &str>,
) -> Result<HashSet<String>, Refusal> {
    use individual::Column;
    let rows = tx
        .find::<individual::Entity>()
        .filter(Column::ProgrammeId.eq(programme_id))
        .filter(Column::CustodianId.eq(tx.caller().tenant_id))
        .filter(Column::SubmissionId.is_in(submissions))
        .all(tx.conn())
        .await?;
    Ok(rows.into_iter().filter_map(|row| row.submission_id).collect())
}

/// Those of the submissions that the caller's tenant has sent before.
pub async fn known(
    tx: &Tx,
    programme_id: Uuid,
    submissions: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, submission::Model>, Refusal> {
    use submission::Column;
    let rows = tx
        .find::<submission::Entity>()
        .filter(Column::ProgrammeId.eq(programme_id))
        .filter(Column::CustodianId.eq(tx.caller().tenant_id))
        .filter(Column::SubmissionId.is_in(submissions))
        .all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(|row| (row.submission_id.clone(), row)).collect())
}

pub async fn insert_submissions(tx: &Tx, rows: Vec<submission::Model>) -> Result<(), Refusal> {
    if !rows.is_empty() {
        submission::Entity::insert_many(rows.into_iter().map(IntoActiveModel::into_active_model))
            .exec_without_returning(tx.conn())
            .await?;
    }
    Ok(())
}
