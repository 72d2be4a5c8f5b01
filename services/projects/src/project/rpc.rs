//! The edge of projects.

use tahuka_chassis::{Caller, Once, Page, Refusal, Store, clock, edge, ids};
use tahuka_proto::google::r#type::Date;
use tahuka_proto::projects::v1::project_service_server::ProjectService;
use tahuka_proto::projects::v1::{self as proto, *};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::store::{self, Filter, Held, Model, facility, people_served, progress};
use super::{Command, Count, FacilityKind, State, distinct, site};

const LONGEST_CODE: usize = 50;
const LONGEST_NAME: usize = 200;
const LONGEST_NOTE: usize = 1000;
const MOST_FACILITIES: usize = 50;
const MOST_PARTNERS: usize = 20;

pub struct Projects {
    pub store: Store,
}

#[tonic::async_trait]
impl ProjectService for Projects {
    async fn create_project(&self, request: Request<CreateProjectRequest>) -> Result<Response<CreateProjectResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let held = draft(&request, caller.tenant_id)?;

        let tx = match self.store.begin_once(&caller, "CreateProject", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        tx.require_write(held.row.custodian_id, Some(&held.row.district))?;
        store::insert(&tx, &held).await?;
        let answer = CreateProjectResponse { project: Some(shown(&caller, &held)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn submit_project(&self, request: Request<SubmitProjectRequest>) -> Result<Response<SubmitProjectResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("project_id", &request.project_id)?;
        let on = edge::past("submitted_on", request.submitted_on.as_ref())?;

        let mut tx = match self.store.begin_once(&caller, "SubmitProject", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let held = store::get_for_write(&tx, id).await?;
        edge::etag("etag", &request.etag, held.row.version)?;
        let held = store::change(&tx, held, Command::Submit { on }).await?;
        let told = ProjectSubmitted {
            programme_id: held.row.programme_id.to_string(),
            happened_on: Some(edge::to_date(on)),
            district: held.row.district.clone(),
            project_id: id.to_string(),
            budget: edge::stored_money(held.row.budget_minor, &held.row.budget_currency),
        };
        tx.publish(held.row.custodian_id, id, &told).await?;
        let answer = SubmitProjectResponse { project: Some(shown(&caller, &held)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn approve_project(&self, request: Request<ApproveProjectRequest>) -> Result<Response<ApproveProjectResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("project_id", &request.project_id)?;
        let on = edge::past("approved_on", request.approved_on.as_ref())?;

        let mut tx = match self.store.begin_once(&caller, "ApproveProject", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let held = store::get_for_write(&tx, id).await?;
        edge::etag("etag", &request.etag, held.row.version)?;
        let held = store::change(&tx, held, Command::Approve { on }).await?;
        let told = ProjectApproved {
            programme_id: held.row.programme_id.to_string(),
            happened_on: Some(edge::to_date(on)),
            district: held.row.district.clone(),
            project_id: id.to_string(),
            grant_id: edge::shown_uuid(held.row.grant_id),
        };
        tx.publish(held.row.custodian_id, id, &told).await?;
        let answer = ApproveProjectResponse { project: Some(shown(&caller, &held)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn record_progress(&self, request: Request<RecordProgressRequest>) -> Result<Response<RecordProgressResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("project_id", &request.project_id)?;
        let on = edge::past("reported_on", request.reported_on.as_ref())?;
        let note = edge::optional_text("note", &request.note, LONGEST_NOTE)?.unwrap_or_default();

        let tx = match self.store.begin_once(&caller, "RecordProgress", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let held = store::get_for_write(&tx, id).await?;
        let held = store::change(&tx, held, Command::Report { percent: request.percent, on }).await?;
        let report = progress::Model {
            id: ids::new_id(),
            programme_id: held.row.programme_id,
            custodian_id: held.row.custodian_id,
            district: held.row.district.clone(),
            project_id: id,
            reported_on: on,
            percent: request.percent,
            note,
            recorded_at: clock::now(),
        };
        store::insert_progress(&tx, report).await?;
        let answer = RecordProgressResponse { project: Some(shown(&caller, &held)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn complete_facility(
        &self,
        request: Request<CompleteFacilityRequest>,
    ) -> Result<Response<CompleteFacilityResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("project_id", &request.project_id)?;
        let facility = edge::uuid("facility_id", &request.facility_id)?;
        let on = edge::past("completed_on", request.completed_on.as_ref())?;

        let mut tx = match self.store.begin_once(&caller, "CompleteFacility", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let held = store::get_for_write(&tx, id).await?;
        let held = store::change(&tx, held, Command::CompleteFacility { id: facility, on }).await?;
        let told = FacilityCompleted {
            programme_id: held.row.programme_id.to_string(),
            happened_on: Some(edge::to_date(on)),
            district: held.row.district.clone(),
            project_id: id.to_string(),
            facility_id: facility.to_string(),
            kind: held.facilities.iter().find(|f| f.id == facility).map(|f| f.kind.clone()).unwrap_or_default(),
        };
        tx.publish(held.row.custodian_id, facility, &told).await?;
        let answer = CompleteFacilityResponse { project: Some(shown(&caller, &held)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn complete_project(
        &self,
        request: Request<CompleteProjectRequest>,
    ) -> Result<Response<CompleteProjectResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("project_id", &request.project_id)?;
        let on = edge::past("completed_on", request.completed_on.as_ref())?;
        let cost = edge::positive_money("cost", request.cost.as_ref())?;

        let mut tx = match self.store.begin_once(&caller, "CompleteProject", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let held = store::get_for_write(&tx, id).await?;
        edge::etag("etag", &request.etag, held.row.version)?;
        let told = ProjectCompleted {
            programme_id: held.row.programme_id.to_string(),
            happened_on: Some(edge::to_date(on)),
            district: held.row.district.clone(),
            project_id: id.to_string(),
            grant_id: edge::shown_uuid(held.row.grant_id),
            cost: Some(edge::to_money(&cost)),
        };
        let held = store::change(&tx, held, Command::Complete { cost, on }).await?;
        tx.publish(held.row.custodian_id, id, &told).await?;
        let answer = CompleteProjectResponse { project: Some(shown(&caller, &held)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn cancel_project(&self, request: Request<CancelProjectRequest>) -> Result<Response<CancelProjectResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("project_id", &request.project_id)?;
        let on = edge::past("cancelled_on", request.cancelled_on.as_ref())?;
        let reason = edge::text("reason", &request.reason, LONGEST_NOTE)?;

        let mut tx = match self.store.begin_once(&caller, "CancelProject", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let held = store::get_for_write(&tx, id).await?;
        edge::etag("etag", &request.etag, held.row.version)?;
        let held = store::change(&tx, held, Command::Cancel { reason, on }).await?;
        // Nobody has heard of a draft.
        if held.row.submitted_on.is_some() {
            let told = ProjectCancelled {
                programme_id: held.row.programme_id.to_string(),
                happened_on: Some(edge::to_date(on)),
                district: held.row.district.clone(),
                project_id: id.to_string(),
            };
            tx.publish(held.row.custodian_id, id, &told).await?;
        }
        let answer = CancelProjectResponse { project: Some(shown(&caller, &held)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn record_people_served(
        &self,
        request: Request<RecordPeopleServedRequest>,
    ) -> Result<Response<RecordPeopleServedResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("project_id", &request.project_id)?;
        let on = edge::past("counted_on", request.counted_on.as_ref())?;
        let method = edge::text("method", &request.method, LONGEST_NAME)?;
        let counts = (request.counts.iter().enumerate())
            .map(|(i, told)| Count::parse(&format!("counts[{i}]"), &told.sex, &told.age_band, told.people))
            .collect::<Result<Vec<_>, _>>()?;
        let counts = distinct(counts)?;
        let people = counts.iter().map(|c| c.people).sum();

        let mut tx = match self.store.begin_once(&caller, "RecordPeopleServed", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let held = store::get_for_write(&tx, id).await?;
        let held = store::change(&tx, held, Command::Count { people, on }).await?;
        let recorded_at = clock::now();
        let record = |count: &Count| people_served::Model {
            id: ids::new_id(),
            programme_id: held.row.programme_id,
            custodian_id: held.row.custodian_id,
            district: held.row.district.clone(),
            project_id: id,
            counted_on: on,
            sex: count.sex.to_owned(),
            age_band: count.age_band.to_owned(),
            people: count.people,
            method: method.clone(),
            recorded_at,
        };
        store::insert_people_served(&tx, counts.iter().map(record).collect()).await?;
        for count in &counts {
            tx.publish(held.row.custodian_id, id, &served(&held.row, on, count)).await?;
        }
        let answer = RecordPeopleServedResponse { project: Some(shown(&caller, &held)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn get_project(&self, request: Request<GetProjectRequest>) -> Result<Response<GetProjectResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("project_id", &request.project_id)?;
        let tx = self.store.read(&caller).await?;
        let project = shown(&caller, &store::get(&tx, id).await?);
        Ok(Response::new(GetProjectResponse { project: Some(project) }))
    }

    async fn list_projects(&self, request: Request<ListProjectsRequest>) -> Result<Response<ListProjectsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let filter = Filter {
            programme_id: edge::optional_uuid("programme_id", &request.programme_id)?,
            district: edge::optional_district("district", &request.district)?,
            state: match request.state {
                0 => None,
                told => Some(State::numbered(told).ok_or_else(|| Refusal::invalid("state", "must be a state of a project"))?),
            },
        };
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("projects {filter:?}"))?;
        let tx = self.store.read(&caller).await?;
        let (held, next_page_token) = store::list(&tx, &filter, &page).await?;
        let projects = held.iter().map(|h| shown(&caller, h)).collect();
        Ok(Response::new(ListProjectsResponse { projects, next_page_token }))
    }

    async fn list_progress(&self, request: Request<ListProgressRequest>) -> Result<Response<ListProgressResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("project_id", &request.project_id)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("progress {id}"))?;
        let tx = self.store.read(&caller).await?;
        let project = store::get(&tx, id).await?.row;
        let (rows, next_page_token) = store::list_progress(&tx, id, &page).await?;
        let report = |row: progress::Model| {
            let message = Progress {
                id: row.id.to_string(),
                project_id: row.project_id.to_string(),
                reported_on: Some(edge::to_date(row.reported_on)),
                percent: row.percent,
                note: row.note,
                recorded_at: Some(edge::timestamp(row.recorded_at)),
            };
            caller.disclose(project.custodian_id, Some(&project.district), message)
        };
        Ok(Response::new(ListProgressResponse { progress: rows.into_iter().map(report).collect(), next_page_token }))
    }

    async fn list_people_served(
        &self,
        request: Request<ListPeopleServedRequest>,
    ) -> Result<Response<ListPeopleServedResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("project_id", &request.project_id)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("people served {id}"))?;
        let tx = self.store.read(&caller).await?;
        let project = store::get(&tx, id).await?.row;
        let (rows, next_page_token) = store::list_people_served(&tx, id, &page).await?;
        let record = |row: people_served::Model| {
            let message = PeopleServedRecord {
                id: row.id.to_string(),
                project_id: row.project_id.to_string(),
                counted_on: Some(edge::to_date(row.counted_on)),
                sex: row.sex,
                age_band: row.age_band,
                people: row.people,
                method: row.method,
                recorded_at: Some(edge::timestamp(row.recorded_at)),
            };
            caller.disclose(project.custodian_id, Some(&project.district), message)
        };
        Ok(Response::new(ListPeopleServedResponse { records: rows.into_iter().map(record).collect(), next_page_token }))
    }
}

/// The new project that the request tells of.
fn draft(request: &CreateProjectRequest, custodian_id: Uuid) -> Result<Held, Refusal> {
    let place = edge::place("place", &request.place)?;
    let district = site("place", &place)?.to_owned();
    let budget = edge::positive_money("budget", request.budget.as_ref())?;
    if request.partners.len() > MOST_PARTNERS {
        return Err(Refusal::invalid("partners", format!("must be at most {MOST_PARTNERS}")));
    }
    let partners = (request.partners.iter().enumerate())
        .map(|(i, partner)| edge::text(&format!("partners[{i}]"), partner, LONGEST_NAME))
        .collect::<Result<Vec<_>, _>>()?;
    if !(1..=MOST_FACILITIES).contains(&request.facilities.len()) {
        return Err(Refusal::invalid("facilities", format!("must be 1 to {MOST_FACILITIES}")));
    }
    let row = Model {
        id: ids::new_id(),
        programme_id: edge::uuid("programme_id", &request.programme_id)?,
        custodian_id,
        district,
        place: place.to_string(),
        code: edge::text("code", &request.code, LONGEST_CODE)?,
        title: edge::text("title", &request.title, LONGEST_NAME)?,
        partners: partners.into(),
        budget_minor: budget.minor,
        budget_currency: budget.currency.as_str().to_owned(),
        cost_minor: None,
        cost_currency: None,
        state: State::Draft.word().to_owned(),
        progress_percent: 0,
        people_served: 0,
        grant_id: None,
        starts_on: edge::date("starts_on", request.starts_on.as_ref())?,
        submitted_on: None,
        funded_on: None,
        approved_on: None,
        completed_on: None,
        cancelled_on: None,
        cancellation_reason: String::new(),
        version: 1,
        recorded_at: clock::now(),
    };
    let facilities = (request.facilities.iter().enumerate())
        .map(|(i, told)| planned(&format!("facilities[{i}]"), told, &row))
        .collect::<Result<_, _>>()?;
    Ok(Held { row, facilities })
}

fn planned(field: &str, told: &NewFacility, project: &Model) -> Result<facility::Model, Refusal> {
    let kind = FacilityKind::numbered(told.kind)
        .ok_or_else(|| Refusal::invalid(format!("{field}.kind"), "must be school, health post or transit centre"))?;
    let at = format!("{field}.place");
    let place = edge::place(&at, &told.place)?;
    if site(&at, &place)? != project.district {
        return Err(Refusal::invalid(at, "must lie in the project's district"));
    }
    Ok(facility::Model {
        id: ids::new_id(),
        programme_id: project.programme_id,
        custodian_id: project.custodian_id,
        district: project.district.clone(),
        project_id: project.id,
        kind: kind.word().to_owned(),
        name: edge::text(&format!("{field}.name"), &told.name, LONGEST_NAME)?,
        place: place.to_string(),
        completed_on: None,
        recorded_at: project.recorded_at,
    })
}

fn served(row: &Model, on: chrono::NaiveDate, count: &Count) -> PeopleServed {
    PeopleServed {
        programme_id: row.programme_id.to_string(),
        happened_on: Some(edge::to_date(on)),
        district: row.district.clone(),
        project_id: row.id.to_string(),
        sex: count.sex.to_owned(),
        age_band: count.age_band.to_owned(),
        people: count.people,
    }
}

/// The project as the caller may see it.
fn shown(caller: &Caller, held: &Held) -> proto::Project {
    let row = &held.row;
    let day = |date: Option<chrono::NaiveDate>| -> Option<Date> { date.map(edge::to_date) };
    let partners = row.partners.as_array().into_iter().flatten();
    let facility = |f: &facility::Model| Facility {
        id: f.id.to_string(),
        kind: FacilityKind::number_of(&f.kind),
        name: f.name.clone(),
        place: f.place.clone(),
        state: if f.completed_on.is_some() { FacilityState::Completed } else { FacilityState::Planned }.into(),
        completed_on: day(f.completed_on),
    };
    let message = proto::Project {
        id: row.id.to_string(),
        programme_id: row.programme_id.to_string(),
        custodian_id: row.custodian_id.to_string(),
        district: row.district.clone(),
        place: row.place.clone(),
        code: row.code.clone(),
        title: row.title.clone(),
        partners: partners.filter_map(|p| p.as_str().map(str::to_owned)).collect(),
        budget: edge::stored_money(row.budget_minor, &row.budget_currency),
        cost: row.cost_minor.zip(row.cost_currency.as_deref()).and_then(|(m, c)| edge::stored_money(m, c)),
        state: State::number_of(&row.state),
        facilities: held.facilities.iter().map(facility).collect(),
        progress_percent: row.progress_percent,
        people_served: row.people_served,
        grant_id: edge::shown_uuid(row.grant_id),
        starts_on: day(Some(row.starts_on)),
        submitted_on: day(row.submitted_on),
        funded_on: day(row.funded_on),
        approved_on: day(row.approved_on),
        completed_on: day(row.completed_on),
        cancelled_on: day(row.cancelled_on),
        cancellation_reason: row.cancellation_reason.clone(),
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    caller.disclose(row.custodian_id, Some(&row.district), message)
}
