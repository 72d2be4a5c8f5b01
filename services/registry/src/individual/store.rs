//! Individuals on disk.

use chrono::NaiveDate;
use sea_orm::ActiveValue::Set;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Refusal, Scoped, Tx, ids};

use super::{AssistanceKind, BirthDate, Person, Precision};
use crate::household::store as household;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "individual")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub district: String,
    pub household_id: Uuid,
    pub surname: String,
    pub given_name: Option<String>,
    pub sex: String,
    pub birth_date: Option<Date>,
    pub birth_precision: Option<String>,
    pub relation_to_head: Option<String>,
    pub document_kind: Option<String>,
    pub document_number: Option<String>,
    pub phone: Option<String>,
    pub registered_on: Date,
    pub submission_id: Option<String>,
    pub assistance_requested: Option<String>,
    pub assistance_item: Option<String>,
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
        Some(Column::District)
    }
}

impl Model {
    /// The person as a new member of the household.
    pub fn new(person: Person, of: &household::Model, registered_on: NaiveDate, recorded_at: DateTimeUtc) -> Self {
        let (document_kind, document_number) = person.document.map(|d| (d.kind.code().to_owned(), d.number)).unzip();
        Model {
            id: ids::new_id(),
            programme_id: of.programme_id,
            custodian_id: of.custodian_id,
            district: of.district.clone(),
            household_id: of.id,
            surname: person.surname,
            given_name: person.given_name,
            sex: person.sex.code().to_owned(),
            birth_date: person.birth.map(|b| b.date),
            birth_precision: person.birth.map(|b| b.precision.code().to_owned()),
            relation_to_head: person.relation.map(|r| r.code().to_owned()),
            document_kind,
            document_number,
            phone: person.phone,
            registered_on,
            submission_id: None,
            assistance_requested: person.requested.map(|k| k.code().to_owned()),
            assistance_item: person.item,
            version: 1,
            recorded_at,
        }
    }

    pub fn birth(&self) -> Option<BirthDate> {
        let precision = Precision::parse(self.birth_precision.as_deref()?).ok()?;
        Some(BirthDate { date: self.birth_date?, precision })
    }
}

pub async fn get(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let found = tx.find::<Entity>().filter(Column::Id.eq(id)).one(tx.conn()).await?;
    found.ok_or_else(|| Refusal::not_found("individual", id))
}

pub async fn get_for_write(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let individual = get(tx, id).await?;
    tx.require_write(individual.custodian_id, Some(&individual.district))?;
    Ok(individual)
}

pub async fn all(tx: &Tx, ids: impl IntoIterator<Item = Uuid>) -> Result<Vec<Model>, Refusal> {
    Ok(tx.find::<Entity>().filter(Column::Id.is_in(ids)).all(tx.conn()).await?)
}

/// Whom somebody asks for: everyone who asked for something, or for one kind.
#[derive(Debug, Clone, Copy)]
pub enum Requested {
    Any,
    Kind(AssistanceKind),
}

#[derive(Debug, Default)]
pub struct Filter {
    pub household_id: Option<Uuid>,
    pub programme_id: Option<Uuid>,
    pub district: Option<String>,
    pub requested: Option<Requested>,
    pub registered_from: Option<NaiveDate>,
    pub registered_to: Option<NaiveDate>,
}

pub async fn list(tx: &Tx, filter: &Filter, page: &Page) -> Result<Vec<Model>, Refusal> {
    let mut select = tx.find::<Entity>();
    if let Some(household) = filter.household_id {
        select = select.filter(Column::HouseholdId.eq(household));
    }
    if let Some(programme) = filter.programme_id {
        select = select.filter(Column::ProgrammeId.eq(programme));
    }
    if let Some(district) = &filter.district {
        select = select.filter(Column::District.eq(district.as_str()));
    }
    select = match filter.requested {
        None => select,
        Some(Requested::Any) => select.filter(Column::AssistanceRequested.is_not_null()),
        Some(Requested::Kind(kind)) => select.filter(Column::AssistanceRequested.eq(kind.code())),
    };
    if let Some(from) = filter.registered_from {
        select = select.filter(Column::RegisteredOn.gte(from));
    }
    if let Some(to) = filter.registered_to {
        select = select.filter(Column::RegisteredOn.lte(to));
    }
    Ok(keyset(select, Column::Id, page).all(tx.conn()).await?)
}

pub async fn insert(tx: &Tx, rows: Vec<Model>) -> Result<(), Refusal> {
    if !rows.is_empty() {
        Entity::insert_many(rows.into_iter().map(IntoActiveModel::into_active_model)).exec_without_returning(tx.conn()).await?;
    }
    Ok(())
}

/// Writes what may be corrected of a person as the next version; refused when another write came first.
pub async fn correct(tx: &Tx, corrected: Model) -> Result<Model, Refusal> {
    let next = Model { version: corrected.version + 1, ..corrected };
    let row = ActiveModel {
        surname: Set(next.surname.clone()),
        given_name: Set(next.given_name.clone()),
        sex: Set(next.sex.clone()),
        birth_date: Set(next.birth_date),
        birth_precision: Set(next.birth_precision.clone()),
        document_kind: Set(next.document_kind.clone()),
        document_number: Set(next.document_number.clone()),
        phone: Set(next.phone.clone()),
        version: Set(next.version),
        ..Default::default()
    };
    let done = Entity::update_many()
        .set(row)
        .filter(Column::Id.eq(next.id))
        .filter(Column::Version.eq(next.version - 1))
        .exec(tx.conn())
        .await?;
    if done.rows_affected == 1 {
        return Ok(next);
    }
    Err(Refusal::conflict("ETAG_MISMATCH", "the individual has changed since; read it again and repeat"))
}
