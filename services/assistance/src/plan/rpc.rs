//! The edge of plans.

use tahuka_chassis::{Caller, Once, Page, Peers, Refusal, Store, Tx, edge};
use tahuka_proto::assistance::v1::plan_service_server::PlanService;
use tahuka_proto::assistance::v1::*;
use tonic::{Request, Response, Status};

use super::drafting::{self, Draft};
use super::store::{self, Filter, Model};
use super::{Command, State, events};
use crate::catalogue::Kind;
use crate::catalogue::rpc::optional_kind;
use crate::{batch, cohort, distribution};

pub struct Plans {
    pub store: Store,
    pub peers: Peers,
}

#[tonic::async_trait]
impl PlanService for Plans {
    async fn create_plan(&self, request: Request<CreatePlanRequest>) -> Result<Response<CreatePlanResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let draft = Draft::parse(String::new(), &the_one_of(&request))?;
        // Outside the transaction; what the registry says counts only if the request is new.
        let people = drafting::ask(&self.peers, &caller, &draft).await;

        let mut tx = match self.store.begin_once(&caller, "CreatePlan", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let plans = drafting::create(&mut tx, &[draft], &people?, None).await?;
        let answer = CreatePlanResponse { plan: plans.first().map(|plan| shown(&caller, plan)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn batch_create_plans(
        &self,
        request: Request<BatchCreatePlansRequest>,
    ) -> Result<Response<BatchCreatePlansResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let programme = edge::uuid("programme_id", &request.programme_id)?;
        batch::sized("plans", request.plans.len())?;
        let drafts = (request.plans.iter().enumerate())
            .map(|(n, told)| Draft::parse(format!("plans[{n}]"), told))
            .collect::<Result<Vec<_>, _>>()?;
        let people = drafting::ask_of_all(&self.peers, &caller, &drafts).await;

        let mut tx = match self.store.begin_once(&caller, "BatchCreatePlans", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let plans = drafting::create(&mut tx, &drafts, &people?, Some(programme)).await?;
        let answer = BatchCreatePlansResponse { plans: plans.iter().map(|plan| shown(&caller, plan)).collect() };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn submit_plan(&self, request: Request<SubmitPlanRequest>) -> Result<Response<SubmitPlanResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("plan_id", &request.plan_id)?;
        let on = edge::past("submitted_on", request.submitted_on.as_ref())?;

        let mut tx = match self.store.begin_once(&caller, "SubmitPlan", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let plan = store::get_for_write(&tx, id).await?;
        edge::etag("etag", &request.etag, plan.version)?;
        let plan = store::step(&tx, plan, Command::Submit { on }, "submitted_on").await?;
        tx.publish(plan.custodian_id, plan.id, &events::submitted(&plan, on)).await?;
        let answer = SubmitPlanResponse { plan: Some(shown(&caller, &plan)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn approve_plan(&self, request: Request<ApprovePlanRequest>) -> Result<Response<ApprovePlanResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("plan_id", &request.plan_id)?;
        let on = edge::past("approved_on", request.approved_on.as_ref())?;

        let mut tx = match self.store.begin_once(&caller, "ApprovePlan", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let plan = store::get_for_write(&tx, id).await?;
        edge::etag("etag", &request.etag, plan.version)?;
        let plan = store::step(&tx, plan, Command::Approve { on }, "approved_on").await?;
        tx.publish(plan.custodian_id, plan.id, &events::approved(&plan, on)).await?;
        let answer = ApprovePlanResponse { plan: Some(shown(&caller, &plan)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn batch_approve_plans(
        &self,
        request: Request<BatchApprovePlansRequest>,
    ) -> Result<Response<BatchApprovePlansResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let ids = batch::listed("plan_ids", &request.plan_ids)?;
        let on = edge::past("approved_on", request.approved_on.as_ref())?;

        let mut tx = match self.store.begin_once(&caller, "BatchApprovePlans", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let place = |n: usize| format!("plan_ids[{n}]");
        let plans = store::all_for_write(&tx, &ids, place).await?;
        let steps = plans.into_iter().map(|plan| (plan, Command::Approve { on })).collect();
        let plans = store::advance(&tx, steps, |n| ("approved_on".into(), place(n))).await?;
        for plan in &plans {
            tx.publish(plan.custodian_id, plan.id, &events::approved(plan, on)).await?;
        }
        let answer = BatchApprovePlansResponse { plans: plans.iter().map(|plan| shown(&caller, plan)).collect() };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn cancel_plan(&self, request: Request<CancelPlanRequest>) -> Result<Response<CancelPlanResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("plan_id", &request.plan_id)?;
        let on = edge::past("cancelled_on", request.cancelled_on.as_ref())?;
        let reason = edge::text("reason", &request.reason, 500)?;

        let mut tx = match self.store.begin_once(&caller, "CancelPlan", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let plan = store::get_for_write(&tx, id).await?;
        edge::etag("etag", &request.etag, plan.version)?;
        if plan.state == State::InProgress.word() {
            leave_the_list(&tx, &plan, on, &reason).await?;
        }
        let plan = store::step(&tx, plan, Command::Cancel { on, reason }, "cancelled_on").await?;
        tx.publish(plan.custodian_id, plan.id, &events::cancelled(&plan, on)).await?;
        let answer = CancelPlanResponse { plan: Some(shown(&caller, &plan)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn get_plan(&self, request: Request<GetPlanRequest>) -> Result<Response<GetPlanResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("plan_id", &request.plan_id)?;
        let tx = self.store.read(&caller).await?;
        let plan = shown(&caller, &store::get(&tx, id).await?);
        Ok(Response::new(GetPlanResponse { plan: Some(plan) }))
    }

    async fn list_plans(&self, request: Request<ListPlansRequest>) -> Result<Response<ListPlansResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let filter = filter(&request)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("plans {filter:?}"))?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, &filter, &page).await?, |row| row.id);
        let plans = rows.iter().map(|row| shown(&caller, row)).collect();
        Ok(Response::new(ListPlansResponse { plans, next_page_token }))
    }
}

fn the_one_of(request: &CreatePlanRequest) -> NewPlan {
    NewPlan {
        household_id: request.household_id.clone(),
        individual_id: request.individual_id.clone(),
        package_id: request.package_id.clone(),
        drafted_on: request.drafted_on,
        submitted_on: request.submitted_on,
    }
}

/// A plan that is cancelled while it is served gives up its seat or its entitlement.
async fn leave_the_list(tx: &Tx, plan: &Model, on: chrono::NaiveDate, reason: &str) -> Result<(), Refusal> {
    match plan.kind()? {
        Kind::VocationalTraining => cohort::store::leave(tx, plan.id, on, reason).await,
        Kind::StartupCapital | Kind::Livestock | Kind::Shelter => distribution::entitlement::give_up(tx, plan.id).await,
    }
}

fn filter(request: &ListPlansRequest) -> Result<Filter, Refusal> {
    let state = match request.state {
        0 => None,
        told => Some(State::numbered(told).ok_or_else(|| Refusal::invalid("state", "must be a state of a plan"))?),
    };
    Ok(Filter {
        programme_id: edge::optional_uuid("programme_id", &request.programme_id)?,
        state,
        kind: optional_kind("kind", request.kind)?,
        item: edge::optional_text("item", &request.item, 100)?,
        district: edge::optional_district("district", &request.district)?,
        household_id: edge::optional_uuid("household_id", &request.household_id)?,
        individual_id: edge::optional_uuid("individual_id", &request.individual_id)?,
        submitted_from: edge::optional_date("submitted_from", request.submitted_from.as_ref())?,
        submitted_to: edge::optional_date("submitted_to", request.submitted_to.as_ref())?,
    })
}

/// The plan as the caller may see it.
fn shown(caller: &Caller, row: &Model) -> Plan {
    let message = Plan {
        id: row.id.to_string(),
        programme_id: row.programme_id.to_string(),
        custodian_id: row.custodian_id.to_string(),
        district: row.district.clone(),
        household_id: row.household_id.to_string(),
        individual_id: row.individual_id.to_string(),
        package_id: row.package_id.to_string(),
        kind: Kind::number_of(&row.kind),
        item: row.item.clone(),
        sex: row.sex.clone(),
        age_band: row.age_band.clone(),
        category: row.category.clone(),
        priority_band: row.priority_band,
        cost: edge::stored_money(row.cost_minor, &row.cost_currency),
        state: State::number_of(&row.state),
        grant_id: edge::shown_uuid(row.grant_id),
        drafted_on: Some(edge::to_date(row.drafted_on)),
        submitted_on: row.submitted_on.map(edge::to_date),
        funded_on: row.funded_on.map(edge::to_date),
        approved_on: row.approved_on.map(edge::to_date),
        completed_on: row.completed_on.map(edge::to_date),
        cancelled_on: row.cancelled_on.map(edge::to_date),
        cancellation_reason: row.cancellation_reason.clone().unwrap_or_default(),
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    caller.disclose(row.custodian_id, Some(&row.district), message)
}
