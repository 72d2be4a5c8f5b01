//! The edge of individuals.

use chrono::NaiveDate;
use prost_types::FieldMask;
use tahuka_chassis::{Caller, Once, Page, Refusal, Store, edge};
use tahuka_proto::google::r#type::Date;
use tahuka_proto::registry::v1::individual_service_server::IndividualService;
use tahuka_proto::registry::v1::{self as proto, *};
use tonic::{Request, Response, Status};

use super::store::{self, Filter, Model, Requested};
use super::{AssistanceKind, BirthDate, Document, DocumentKind, Person, Relation, Sex, age_band, phone};
use crate::fields::{at, optional_text, text};
use crate::places::Place;

pub struct Individuals {
    pub store: Store,
}

#[tonic::async_trait]
impl IndividualService for Individuals {
    async fn get_individual(&self, request: Request<GetIndividualRequest>) -> Result<Response<GetIndividualResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("individual_id", &request.individual_id)?;
        let tx = self.store.read(&caller).await?;
        let individual = store::get(&tx, id).await?;
        Ok(Response::new(GetIndividualResponse { individual: Some(shown(&caller, &individual)) }))
    }

    async fn list_individuals(
        &self,
        request: Request<ListIndividualsRequest>,
    ) -> Result<Response<ListIndividualsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let filter = filter(&request)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("individuals {filter:?}"))?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, &filter, &page).await?, |row| row.id);
        let individuals = rows.iter().map(|row| shown(&caller, row)).collect();
        Ok(Response::new(ListIndividualsResponse { individuals, next_page_token }))
    }

    async fn update_individual(
        &self,
        request: Request<UpdateIndividualRequest>,
    ) -> Result<Response<UpdateIndividualResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let told = request.individual.as_ref().ok_or_else(|| Refusal::invalid("individual", "must be given"))?;
        let id = edge::uuid("individual.id", &told.id)?;
        let tx = match self.store.begin_once(&caller, "UpdateIndividual", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let current = store::get_for_write(&tx, id).await?;
        edge::etag("individual.etag", &told.etag, current.version)?;
        let corrected = correct(current, told, request.update_mask.as_ref())?;
        let individual = store::correct(&tx, corrected).await?;
        let answer = UpdateIndividualResponse { individual: Some(shown(&caller, &individual)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }
}

fn filter(request: &ListIndividualsRequest) -> Result<Filter, Refusal> {
    let id = |field, text: &str| (!text.is_empty()).then(|| edge::uuid(field, text)).transpose();
    let requested = match request.assistance_requested.as_str() {
        "" => None,
        "any" => Some(Requested::Any),
        kind => Some(Requested::Kind(at("assistance_requested", AssistanceKind::parse(kind))?)),
    };
    Ok(Filter {
        household_id: id("household_id", &request.household_id)?,
        programme_id: id("programme_id", &request.programme_id)?,
        district: district("district", &request.district)?,
        requested,
        registered_from: edge::optional_date("registered_from", request.registered_from.as_ref())?,
        registered_to: edge::optional_date("registered_to", request.registered_to.as_ref())?,
    })
}

/// The district to filter by; none for an empty one.
pub fn district(field: &str, code: &str) -> Result<Option<String>, Refusal> {
    if code.is_empty() {
        return Ok(None);
    }
    match Place::find(code) {
        Some(place) if place.level() == 2 => Ok(Some(code.to_owned())),
        _ => Err(Refusal::invalid(field, "must be a district's p-code")),
    }
}

fn correct(mut row: Model, told: &proto::Individual, mask: Option<&FieldMask>) -> Result<Model, Refusal> {
    let paths = mask.map(|m| m.paths.as_slice()).unwrap_or_default();
    if paths.is_empty() {
        return Err(Refusal::invalid("update_mask", "must name at least one field"));
    }
    let mut document_told = false;
    for path in paths {
        match path.as_str() {
            "surname" => row.surname = text("individual.surname", &told.surname)?,
            "given_name" => row.given_name = optional_text("individual.given_name", &told.given_name)?,
            "sex" => row.sex = sex("individual.sex", told.sex)?.code().to_owned(),
            "birth_date" => {
                let birth = birth("individual.birth_date", told.birth_date.as_ref(), row.registered_on)?;
                row.birth_date = birth.map(|b| b.date);
                row.birth_precision = birth.map(|b| b.precision.code().to_owned());
            }
            "document_kind" | "document_number" => document_told = true,
            "phone" => row.phone = phone_of("individual.phone", &told.phone)?,
            _ => {
                return Err(Refusal::invalid(
                    "update_mask",
                    "may name surname, given_name, sex, birth_date, document_kind, document_number, phone",
                ));
            }
        }
    }
    if document_told {
        let names = |path: &str| paths.iter().any(|p| p == path);
        let kind = if names("document_kind") {
            document_kind("individual.document_kind", told.document_kind)?
        } else {
            row.document_kind.as_deref().and_then(|code| DocumentKind::parse(code).ok())
        };
        let number =
            if names("document_number") { told.document_number.clone() } else { row.document_number.take().unwrap_or_default() };
        let document = document("individual.document_number", kind, &number)?;
        (row.document_kind, row.document_number) = document.map(|d| (d.kind.code().to_owned(), d.number)).unzip();
    }
    Ok(row)
}

/// A person of a new household; `prefix` is the path of its message.
pub fn person(prefix: &str, told: &NewIndividual, registered_on: NaiveDate) -> Result<Person, Refusal> {
    let field = |name: &str| format!("{prefix}.{name}");
    let kind = document_kind(&field("document_kind"), told.document_kind)?;
    let requested = match told.assistance_requested.as_str() {
        "" => None,
        kind => Some(at(&field("assistance_requested"), AssistanceKind::parse(kind))?),
    };
    Ok(Person {
        surname: text(&field("surname"), &told.surname)?,
        given_name: optional_text(&field("given_name"), &told.given_name)?,
        sex: sex(&field("sex"), told.sex)?,
        birth: birth(&field("birth_date"), told.birth_date.as_ref(), registered_on)?,
        relation: relation(&field("relation_to_head"), told.relation_to_head)?,
        document: document(&field("document_number"), kind, &told.document_number)?,
        phone: phone_of(&field("phone"), &told.phone)?,
        requested,
        item: optional_text(&field("assistance_item"), &told.assistance_item)?,
    })
}

fn sex(field: &str, told: i32) -> Result<Sex, Refusal> {
    match proto::Sex::try_from(told) {
        Ok(proto::Sex::Female) => Ok(Sex::Female),
        Ok(proto::Sex::Male) => Ok(Sex::Male),
        Ok(proto::Sex::Unknown) => Ok(Sex::Unknown),
        _ => Err(Refusal::invalid(field, "must be female, male or unknown")),
    }
}

pub fn to_sex(code: &str) -> proto::Sex {
    match Sex::parse(code) {
        Ok(Sex::Female) => proto::Sex::Female,
        Ok(Sex::Male) => proto::Sex::Male,
        Ok(Sex::Unknown) | Err(_) => proto::Sex::Unknown,
    }
}

fn birth(field: &str, told: Option<&Date>, registered_on: NaiveDate) -> Result<Option<BirthDate>, Refusal> {
    let Some(date) = told else { return Ok(None) };
    let parts = (u32::try_from(date.month), u32::try_from(date.day));
    let (Ok(month), Ok(day)) = parts else { return Err(Refusal::invalid(field, "is not a date")) };
    at(field, BirthDate::new(date.year, month, day, registered_on)).map(Some)
}

fn to_birth(birth: BirthDate) -> Date {
    let (year, month, day) = birth.parts();
    Date { year, month: month.cast_signed(), day: day.cast_signed() }
}

fn relation(field: &str, told: i32) -> Result<Option<Relation>, Refusal> {
    let told = RelationToHead::try_from(told).map_err(|_| Refusal::invalid(field, "is not known"))?;
    Ok(match told {
        RelationToHead::Unspecified => None,
        RelationToHead::Head => Some(Relation::Head),
        RelationToHead::Spouse => Some(Relation::Spouse),
        RelationToHead::Child => Some(Relation::Child),
        RelationToHead::Parent => Some(Relation::Parent),
        RelationToHead::Sibling => Some(Relation::Sibling),
        RelationToHead::OtherRelative => Some(Relation::OtherRelative),
        RelationToHead::FosterChild => Some(Relation::FosterChild),
        RelationToHead::Unrelated => Some(Relation::Unrelated),
    })
}

fn to_relation(code: Option<&str>) -> RelationToHead {
    match code.map(Relation::parse) {
        None | Some(Err(_)) => RelationToHead::Unspecified,
        Some(Ok(relation)) => match relation {
            Relation::Head => RelationToHead::Head,
            Relation::Spouse => RelationToHead::Spouse,
            Relation::Child => RelationToHead::Child,
            Relation::Parent => RelationToHead::Parent,
            Relation::Sibling => RelationToHead::Sibling,
            Relation::OtherRelative => RelationToHead::OtherRelative,
            Relation::FosterChild => RelationToHead::FosterChild,
            Relation::Unrelated => RelationToHead::Unrelated,
        },
    }
}

fn document_kind(field: &str, told: i32) -> Result<Option<DocumentKind>, Refusal> {
    let told = proto::DocumentKind::try_from(told).map_err(|_| Refusal::invalid(field, "is not known"))?;
    Ok(match told {
        proto::DocumentKind::Unspecified => None,
        proto::DocumentKind::NationalId => Some(DocumentKind::NationalId),
        proto::DocumentKind::RepatriationForm => Some(DocumentKind::RepatriationForm),
        proto::DocumentKind::RefugeeCard => Some(DocumentKind::RefugeeCard),
        proto::DocumentKind::Passport => Some(DocumentKind::Passport),
        proto::DocumentKind::BirthCertificate => Some(DocumentKind::BirthCertificate),
        proto::DocumentKind::Other => Some(DocumentKind::Other),
    })
}

fn to_document_kind(code: Option<&str>) -> proto::DocumentKind {
    match code.map(DocumentKind::parse) {
        None | Some(Err(_)) => proto::DocumentKind::Unspecified,
        Some(Ok(kind)) => match kind {
            DocumentKind::NationalId => proto::DocumentKind::NationalId,
            DocumentKind::RepatriationForm => proto::DocumentKind::RepatriationForm,
            DocumentKind::RefugeeCard => proto::DocumentKind::RefugeeCard,
            DocumentKind::Passport => proto::DocumentKind::Passport,
            DocumentKind::BirthCertificate => proto::DocumentKind::BirthCertificate,
            DocumentKind::Other => proto::DocumentKind::Other,
        },
    }
}

fn document(field: &str, kind: Option<DocumentKind>, number: &str) -> Result<Option<Document>, Refusal> {
    match kind {
        Some(kind) => at(field, Document::new(kind, number)).map(Some),
        None if number.trim().is_empty() => Ok(None),
        None => Err(Refusal::invalid(field, "needs document_kind with it")),
    }
}

fn phone_of(field: &str, told: &str) -> Result<Option<String>, Refusal> {
    if told.trim().is_empty() { Ok(None) } else { at(field, phone(told)).map(Some) }
}

/// The individual as the caller may see it.
pub fn shown(caller: &Caller, row: &Model) -> proto::Individual {
    let message = proto::Individual {
        id: row.id.to_string(),
        programme_id: row.programme_id.to_string(),
        custodian_id: row.custodian_id.to_string(),
        household_id: row.household_id.to_string(),
        district: row.district.clone(),
        surname: row.surname.clone(),
        given_name: row.given_name.clone().unwrap_or_default(),
        sex: to_sex(&row.sex).into(),
        birth_date: row.birth().map(to_birth),
        age_band: age_band(row.birth(), row.registered_on).to_owned(),
        relation_to_head: to_relation(row.relation_to_head.as_deref()).into(),
        document_kind: to_document_kind(row.document_kind.as_deref()).into(),
        document_number: row.document_number.clone().unwrap_or_default(),
        phone: row.phone.clone().unwrap_or_default(),
        registered_on: Some(edge::to_date(row.registered_on)),
        submission_id: row.submission_id.clone().unwrap_or_default(),
        assistance_requested: row.assistance_requested.clone().unwrap_or_default(),
        assistance_item: row.assistance_item.clone().unwrap_or_default(),
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    caller.disclose(row.custodian_id, Some(&row.district), message)
}

/// What the house is told of a new person.
pub fn registered(row: &Model, category: &str) -> IndividualRegistered {
    IndividualRegistered {
        programme_id: row.programme_id.to_string(),
        happened_on: Some(edge::to_date(row.registered_on)),
        district: row.district.clone(),
        household_id: row.household_id.to_string(),
        individual_id: row.id.to_string(),
        sex: row.sex.clone(),
        age_band: age_band(row.birth(), row.registered_on).to_owned(),
        category: category.to_owned(),
    }
}
