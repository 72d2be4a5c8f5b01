//! The edge of follow-up visits.

use std::collections::HashSet;

use chrono::NaiveDate;
use tahuka_chassis::{Caller, Once, Page, Refusal, Store, Tx, clock, edge, ids};
use tahuka_proto::assistance::v1::follow_up_service_server::FollowUpService;
use tahuka_proto::assistance::v1::{self as proto, *};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::store::{self, Filter, Model};
use super::{Outcome, months_between};
use crate::batch;
use crate::catalogue::Kind;
use crate::catalogue::rpc::optional_kind;
use crate::plan::{State, events, store as plan};

pub struct FollowUp {
    pub store: Store,
}

#[tonic::async_trait]
impl FollowUpService for FollowUp {
    async fn record_visit(&self, request: Request<RecordVisitRequest>) -> Result<Response<RecordVisitResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let told = request.visit.as_ref().ok_or_else(|| Refusal::invalid("visit", "must be given"))?;
        let seen = Seen::parse("visit", told)?;

        let mut tx = match self.store.begin_once(&caller, "RecordVisit", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let plan = plan::get_for_write(&tx, seen.plan_id).await?;
        let visits = record(&mut tx, vec![plan], &[seen], |_| String::new()).await?;
        let answer = RecordVisitResponse { visit: visits.first().map(|visit| shown(&caller, visit)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn batch_record_visits(
        &self,
        request: Request<BatchRecordVisitsRequest>,
    ) -> Result<Response<BatchRecordVisitsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        batch::sized("visits", request.visits.len())?;
        let place = |n: usize| format!("visits[{n}]");
        let seen =
            (request.visits.iter().enumerate()).map(|(n, told)| Seen::parse(&place(n), told)).collect::<Result<Vec<_>, _>>()?;

        let mut tx = match self.store.begin_once(&caller, "BatchRecordVisits", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let plan_ids: Vec<_> = seen.iter().map(|visit| visit.plan_id).collect();
        let plans = plan::all_for_write(&tx, &plan_ids, |n| format!("visits[{n}].plan_id")).await?;
        let visits = record(&mut tx, plans, &seen, place).await?;
        let answer = BatchRecordVisitsResponse { visits: visits.iter().map(|visit| shown(&caller, visit)).collect() };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn list_visits(&self, request: Request<ListVisitsRequest>) -> Result<Response<ListVisitsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let filter = Filter {
            programme_id: edge::optional_uuid("programme_id", &request.programme_id)?,
            plan_id: edge::optional_uuid("plan_id", &request.plan_id)?,
            district: edge::optional_district("district", &request.district)?,
            kind: optional_kind("kind", request.kind)?,
        };
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("visits {filter:?}"))?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, &filter, &page).await?, |row| row.id);
        let visits = rows.iter().map(|row| shown(&caller, row)).collect();
        Ok(Response::new(ListVisitsResponse { visits, next_page_token }))
    }
}

/// What a visitor has seen. `place` is the path of the visit in the request.
struct Seen {
    place: String,
    plan_id: Uuid,
    visited_on: NaiveDate,
    outcome: Outcome,
    visitor: String,
}

impl Seen {
    fn parse(place: &str, told: &NewVisit) -> Result<Self, Refusal> {
        let field = |name: &str| format!("{place}.{name}");
        let outcome = Outcome::numbered(told.outcome);
        Ok(Seen {
            plan_id: edge::uuid(&field("plan_id"), &told.plan_id)?,
            visited_on: edge::past(&field("visited_on"), told.visited_on.as_ref())?,
            outcome: outcome.ok_or_else(|| Refusal::invalid(field("outcome"), "must be an outcome"))?,
            visitor: edge::text(&field("visitor"), &told.visitor, 200)?,
            place: place.to_owned(),
        })
    }

    /// The visit of this plan, if the plan is completed and it can have come of it.
    fn of(&self, plan: &plan::Model) -> Result<Model, Refusal> {
        let field = |name: &str| format!("{}.{name}", self.place);
        let completed_on = match plan.completed_on {
            Some(on) if plan.state == State::Completed.word() => on,
            _ => return Err(Refusal::precondition("PLAN_NOT_COMPLETED", "only a completed plan is followed up")),
        };
        if !self.outcome.fits(plan.kind()?) {
            return Err(Refusal::invalid(field("outcome"), "must be an outcome of the plan's kind of assistance"));
        }
        if self.visited_on < completed_on {
            return Err(Refusal::invalid(field("visited_on"), "must not be before the plan was completed"));
        }
        Ok(Model {
            id: ids::new_id(),
            programme_id: plan.programme_id,
            custodian_id: plan.custodian_id,
            district: plan.district.clone(),
            plan_id: plan.id,
            household_id: plan.household_id,
            individual_id: plan.individual_id,
            kind: plan.kind.clone(),
            visited_on: self.visited_on,
            months_after: months_between(completed_on, self.visited_on),
            outcome: self.outcome.word().to_owned(),
            favourable: self.outcome.favourable(),
            visitor: self.visitor.clone(),
            recorded_at: clock::now(),
        })
    }
}

/// Writes the visits, all or none; each of `seen` is of the plan at the same position.
async fn record(
    tx: &mut Tx,
    plans: Vec<plan::Model>,
    seen: &[Seen],
    place: impl Fn(usize) -> String,
) -> Result<Vec<Model>, Refusal> {
    let plan_ids: Vec<_> = plans.iter().map(|plan| plan.id).collect();
    let mut days: HashSet<_> = store::days(tx, &plan_ids).await?.into_iter().collect();
    let mut visits = Vec::with_capacity(seen.len());
    for (n, (plan, seen)) in plans.iter().zip(seen).enumerate() {
        let visit = seen.of(plan).map_err(|refusal| batch::of_element(&place(n), refusal))?;
        if !days.insert((plan.id, seen.visited_on)) {
            let exists = Refusal::conflict("VISIT_EXISTS", "the plan has a visit of that day already");
            return Err(batch::of_element(&place(n), exists));
        }
        visits.push(visit);
    }
    store::insert(tx, visits.clone()).await?;
    for (plan, visit) in plans.iter().zip(&visits) {
        let event = events::visited(plan, visit.visited_on, &visit.outcome, visit.favourable, visit.months_after);
        tx.publish(visit.custodian_id, visit.id, &event).await?;
    }
    Ok(visits)
}

/// The visit as the caller may see it.
fn shown(caller: &Caller, row: &Model) -> Visit {
    let message = proto::Visit {
        id: row.id.to_string(),
        programme_id: row.programme_id.to_string(),
        custodian_id: row.custodian_id.to_string(),
        district: row.district.clone(),
        plan_id: row.plan_id.to_string(),
        household_id: row.household_id.to_string(),
        individual_id: row.individual_id.to_string(),
        kind: Kind::number_of(&row.kind),
        visited_on: Some(edge::to_date(row.visited_on)),
        months_after: row.months_after,
        outcome: Outcome::number_of(&row.outcome),
        favourable: row.favourable,
        visitor: row.visitor.clone(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    caller.disclose(row.custodian_id, Some(&row.district), message)
}
