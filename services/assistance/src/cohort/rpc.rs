//! The edge of cohorts.

use std::collections::HashMap;

use chrono::NaiveDate;
use tahuka_chassis::{Caller, Once, Page, Refusal, Store, Tx, clock, edge, ids};
use tahuka_proto::assistance::v1::cohort_service_server::CohortService;
use tahuka_proto::assistance::v1::{self as proto, *};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::store::{self, Filter, Model};
use super::{Ending, EnrolmentState, LARGEST, State, Time, enrolment, everybody};
use crate::batch;
use crate::plan::{Command, events, store as plan};

pub struct Cohorts {
    pub store: Store,
}

#[tonic::async_trait]
impl CohortService for Cohorts {
    async fn create_cohort(&self, request: Request<CreateCohortRequest>) -> Result<Response<CreateCohortResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let cohort = cohort(&caller, &request)?;

        let tx = match self.store.begin_once(&caller, "CreateCohort", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        tx.require_write(cohort.custodian_id, Some(&cohort.district))?;
        store::insert(&tx, cohort.clone()).await?;
        let answer = CreateCohortResponse { cohort: Some(shown(&caller, &cohort)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn get_cohort(&self, request: Request<GetCohortRequest>) -> Result<Response<GetCohortResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("cohort_id", &request.cohort_id)?;
        let tx = self.store.read(&caller).await?;
        let cohort = shown(&caller, &store::get(&tx, id).await?);
        Ok(Response::new(GetCohortResponse { cohort: Some(cohort) }))
    }

    async fn list_cohorts(&self, request: Request<ListCohortsRequest>) -> Result<Response<ListCohortsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let filter = Filter {
            programme_id: edge::optional_uuid("programme_id", &request.programme_id)?,
            district: edge::optional_district("district", &request.district)?,
            trade: edge::optional_text("trade", &request.trade, 100)?,
        };
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("cohorts {filter:?}"))?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, &filter, &page).await?, |row| row.id);
        let cohorts = rows.iter().map(|row| shown(&caller, row)).collect();
        Ok(Response::new(ListCohortsResponse { cohorts, next_page_token }))
    }

    async fn enrol_trainees(&self, request: Request<EnrolTraineesRequest>) -> Result<Response<EnrolTraineesResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("cohort_id", &request.cohort_id)?;
        let plan_ids = batch::listed("plan_ids", &request.plan_ids)?;
        let on = edge::past("enrolled_on", request.enrolled_on.as_ref())?;

        let tx = match self.store.begin_once(&caller, "EnrolTrainees", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let cohort = store::get_open(&tx, id).await?;
        let cohort = store::take_seats(&tx, cohort.id, plan_ids.len()).await?;
        let enrolments = enrol(&tx, &cohort, &plan_ids, on).await?;
        let answer = EnrolTraineesResponse {
            cohort: Some(shown(&caller, &cohort)),
            enrolments: enrolments.iter().map(|row| shown_enrolment(&caller, row)).collect(),
        };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn complete_training(
        &self,
        request: Request<CompleteTrainingRequest>,
    ) -> Result<Response<CompleteTrainingResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("cohort_id", &request.cohort_id)?;
        let on = edge::past("completed_on", request.completed_on.as_ref())?;
        let plan_ids = batch::ids(request.results.iter().map(|r| &r.plan_id), |n| format!("results[{n}].plan_id"))?;
        let endings = request.results.iter().enumerate().map(ending).collect::<Result<Vec<_>, _>>()?;

        let mut tx = match self.store.begin_once(&caller, "CompleteTraining", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let cohort = store::get_open(&tx, id).await?;
        if on < cohort.starts_on {
            return Err(Refusal::invalid("completed_on", "must not be before the cohort starts").into());
        }
        let completed = endings.iter().filter(|ending| matches!(ending, Ending::Completed { .. })).count();
        let cohort = store::complete(&tx, cohort.id, completed, on).await?;
        let toolkits: Vec<_> = request.results.iter().map(|result| result.toolkit_given).collect();
        end(&mut tx, &cohort, &plan_ids, endings, &toolkits, on).await?;
        let answer = CompleteTrainingResponse { cohort: Some(shown(&caller, &cohort)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn list_enrolments(&self, request: Request<ListEnrolmentsRequest>) -> Result<Response<ListEnrolmentsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let cohort = edge::uuid("cohort_id", &request.cohort_id)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("enrolments {cohort}"))?;
        let tx = self.store.read(&caller).await?;
        store::get(&tx, cohort).await?;
        let (rows, next_page_token) = page.cut(enrolment::list(&tx, cohort, &page).await?, |row| row.id);
        let enrolments = rows.iter().map(|row| shown_enrolment(&caller, row)).collect();
        Ok(Response::new(ListEnrolmentsResponse { enrolments, next_page_token }))
    }
}

/// A cohort in the custody of whoever runs it.
fn cohort(caller: &Caller, request: &CreateCohortRequest) -> Result<Model, Refusal> {
    let starts_on = edge::date("starts_on", request.starts_on.as_ref())?;
    let ends_on = edge::date("ends_on", request.ends_on.as_ref())?;
    let time = Time::new(starts_on, ends_on)?;
    if !(1..=LARGEST).contains(&request.capacity) {
        return Err(Refusal::invalid("capacity", format!("must be 1 to {LARGEST}")));
    }
    Ok(Model {
        id: ids::new_id(),
        programme_id: edge::uuid("programme_id", &request.programme_id)?,
        custodian_id: caller.tenant_id,
        district: edge::district("district", &request.district)?,
        trade: edge::text("trade", &request.trade, 100)?,
        provider: edge::text("provider", &request.provider, 200)?,
        name: edge::text("name", &request.name, 200)?,
        capacity: request.capacity,
        enrolled: 0,
        completed: 0,
        state: State::Open.word().to_owned(),
        starts_on: time.starts_on,
        ends_on: time.ends_on,
        completed_on: None,
        version: 1,
        recorded_at: clock::now(),
    })
}

async fn enrol(tx: &Tx, cohort: &Model, plan_ids: &[Uuid], on: NaiveDate) -> Result<Vec<enrolment::Model>, Refusal> {
    let place = |n: usize| format!("plan_ids[{n}]");
    let plans = plan::all_for_write(tx, plan_ids, place).await?;
    for (n, plan) in plans.iter().enumerate() {
        cohort.call().serves(&plan.call()?).map_err(|refusal| batch::of_element(&place(n), refusal))?;
    }
    let steps = plans.into_iter().map(|plan| (plan, Command::Begin { on: Some(on) })).collect();
    let plans = plan::advance(tx, steps, |n| ("enrolled_on".into(), place(n))).await?;
    let enrolments: Vec<_> = plans.iter().map(|plan| enrolment::Model::new(cohort.id, plan, on)).collect();
    enrolment::insert(tx, enrolments.clone()).await?;
    Ok(enrolments)
}

fn ending((n, told): (usize, &TrainingResult)) -> Result<Ending, Refusal> {
    let field = |name: &str| format!("results[{n}].{name}");
    let certificate = edge::optional_text(&field("certificate_number"), &told.certificate_number, 100)?;
    let reason = edge::optional_text(&field("drop_out_reason"), &told.drop_out_reason, 500)?;
    match (told.completed, certificate, reason) {
        (true, Some(certificate), None) => Ok(Ending::Completed { certificate }),
        (true, None, _) => Err(Refusal::invalid(field("certificate_number"), "must be told of who has completed")),
        (true, Some(_), Some(_)) => Err(Refusal::invalid(field("drop_out_reason"), "must be empty for who has completed")),
        (false, None, Some(reason)) => Ok(Ending::DroppedOut { reason }),
        (false, _, None) => Err(Refusal::invalid(field("drop_out_reason"), "must be told of who has not completed")),
        (false, Some(_), _) => Err(Refusal::invalid(field("certificate_number"), "must be empty for who has not completed")),
    }
}

/// Ends the training of each trainee: `endings` and `toolkits` are in the order of `plan_ids`.
async fn end(
    tx: &mut Tx,
    cohort: &Model,
    plan_ids: &[Uuid],
    endings: Vec<Ending>,
    toolkits: &[bool],
    on: NaiveDate,
) -> Result<(), Refusal> {
    let seated = enrolment::seated(tx, cohort.id).await?;
    if usize::try_from(cohort.enrolled) != Ok(seated.len()) {
        return Err(Refusal::permission("the cohort has trainees that the caller may not see"));
    }
    if seated.iter().any(|row| on < row.enrolled_on) {
        return Err(Refusal::invalid("completed_on", "must not be before the last enrolment"));
    }
    let place = |n: usize| format!("results[{n}].plan_id");
    let trainees = seated.iter().map(|row| row.plan_id).collect();
    everybody(&trainees, plan_ids, place)?;
    let plans = plan::all_for_write(tx, plan_ids, place).await?;
    let mut seated: HashMap<_, _> = seated.into_iter().map(|row| (row.plan_id, row)).collect();

    let (mut completed, mut certified, mut cancelled, mut dropped) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((plan, ending), toolkit) in plans.into_iter().zip(endings).zip(toolkits) {
        let row = seated.remove(&plan.id).ok_or_else(|| Refusal::internal("an enrolment was told twice"))?;
        match ending {
            Ending::Completed { certificate } => {
                certified.push((row, certificate, *toolkit));
                completed.push((plan, Command::Complete { on }));
            }
            Ending::DroppedOut { reason } => {
                dropped.push((row, reason.clone()));
                cancelled.push((plan, Command::Cancel { on, reason }));
            }
        }
    }
    let unnamed = |_| ("completed_on".to_owned(), String::new());
    enrolment::complete(tx, certified, on).await?;
    enrolment::drop_out(tx, dropped, on).await?;
    for plan in plan::advance(tx, completed, unnamed).await? {
        tx.publish(plan.custodian_id, cohort.id, &events::trained(&plan, on)).await?;
        tx.publish(plan.custodian_id, plan.id, &events::delivered(&plan, on)).await?;
    }
    for plan in plan::advance(tx, cancelled, unnamed).await? {
        tx.publish(plan.custodian_id, plan.id, &events::cancelled(&plan, on)).await?;
    }
    Ok(())
}

/// The cohort as the caller may see it.
fn shown(caller: &Caller, row: &Model) -> Cohort {
    let message = Cohort {
        id: row.id.to_string(),
        programme_id: row.programme_id.to_string(),
        custodian_id: row.custodian_id.to_string(),
        district: row.district.clone(),
        trade: row.trade.clone(),
        provider: row.provider.clone(),
        name: row.name.clone(),
        capacity: row.capacity,
        enrolled: row.enrolled,
        completed: row.completed,
        state: State::number_of(&row.state),
        starts_on: Some(edge::to_date(row.starts_on)),
        ends_on: Some(edge::to_date(row.ends_on)),
        completed_on: row.completed_on.map(edge::to_date),
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    caller.disclose(row.custodian_id, Some(&row.district), message)
}

fn shown_enrolment(caller: &Caller, row: &enrolment::Model) -> Enrolment {
    let message = proto::Enrolment {
        id: row.id.to_string(),
        cohort_id: row.cohort_id.to_string(),
        plan_id: row.plan_id.to_string(),
        individual_id: row.individual_id.to_string(),
        household_id: row.household_id.to_string(),
        district: row.district.clone(),
        state: EnrolmentState::number_of(&row.state),
        enrolled_on: Some(edge::to_date(row.enrolled_on)),
        ended_on: row.ended_on.map(edge::to_date),
        drop_out_reason: row.drop_out_reason.clone().unwrap_or_default(),
        certificate_number: row.certificate_number.clone().unwrap_or_default(),
        toolkit_given: row.toolkit_given,
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    caller.disclose(row.custodian_id, Some(&row.district), message)
}
