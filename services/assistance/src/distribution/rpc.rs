//! The edge of distributions.

use std::collections::HashMap;

use chrono::NaiveDate;
use tahuka_chassis::{Caller, Once, Page, PlaceCode, Refusal, Store, Tx, clock, edge, ids};
use tahuka_proto::assistance::v1::distribution_service_server::DistributionService;
use tahuka_proto::assistance::v1::{self as proto, *};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::entitlement::{self, Delivery};
use super::store::{self, Filter, Model};
use super::{EntitlementState, Proof, State, deliverable};
use crate::batch;
use crate::catalogue::Kind;
use crate::catalogue::rpc::{kind, optional_kind};
use crate::plan::{Call, Command, events, store as plan};

pub struct Distributions {
    pub store: Store,
}

#[tonic::async_trait]
impl DistributionService for Distributions {
    async fn create_distribution(
        &self,
        request: Request<CreateDistributionRequest>,
    ) -> Result<Response<CreateDistributionResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let list = List::parse(&request)?;

        let tx = match self.store.begin_once(&caller, "CreateDistribution", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let distribution = list.draw_up(&tx).await?;
        let answer = CreateDistributionResponse { distribution: Some(shown(&caller, &distribution)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn get_distribution(
        &self,
        request: Request<GetDistributionRequest>,
    ) -> Result<Response<GetDistributionResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("distribution_id", &request.distribution_id)?;
        let tx = self.store.read(&caller).await?;
        let distribution = shown(&caller, &store::get(&tx, id).await?);
        Ok(Response::new(GetDistributionResponse { distribution: Some(distribution) }))
    }

    async fn list_distributions(
        &self,
        request: Request<ListDistributionsRequest>,
    ) -> Result<Response<ListDistributionsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let filter = Filter {
            programme_id: edge::optional_uuid("programme_id", &request.programme_id)?,
            district: edge::optional_district("district", &request.district)?,
            kind: optional_kind("kind", request.kind)?,
        };
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("distributions {filter:?}"))?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, &filter, &page).await?, |row| row.id);
        let distributions = rows.iter().map(|row| shown(&caller, row)).collect();
        Ok(Response::new(ListDistributionsResponse { distributions, next_page_token }))
    }

    async fn record_deliveries(
        &self,
        request: Request<RecordDeliveriesRequest>,
    ) -> Result<Response<RecordDeliveriesResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("distribution_id", &request.distribution_id)?;
        batch::sized("deliveries", request.deliveries.len())?;
        let plan_ids = batch::ids(request.deliveries.iter().map(|d| &d.plan_id), |n| format!("deliveries[{n}].plan_id"))?;
        let told = request.deliveries.iter().enumerate().map(delivery).collect::<Result<Vec<_>, _>>()?;

        let mut tx = match self.store.begin_once(&caller, "RecordDeliveries", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        store::get_for_write(&tx, id).await?;
        store::deliver(&tx, id, told.len()).await?;
        deliver(&mut tx, id, &plan_ids, told).await?;
        let distribution = store::get(&tx, id).await?;
        let answer = RecordDeliveriesResponse { distribution: Some(shown(&caller, &distribution)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn close_distribution(
        &self,
        request: Request<CloseDistributionRequest>,
    ) -> Result<Response<CloseDistributionResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("distribution_id", &request.distribution_id)?;
        let on = edge::past("closed_on", request.closed_on.as_ref())?;

        let tx = match self.store.begin_once(&caller, "CloseDistribution", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        store::get_for_write(&tx, id).await?;
        store::close(&tx, id, on).await?;
        lapse(&tx, id, on).await?;
        let distribution = store::get(&tx, id).await?;
        let answer = CloseDistributionResponse { distribution: Some(shown(&caller, &distribution)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn list_entitlements(
        &self,
        request: Request<ListEntitlementsRequest>,
    ) -> Result<Response<ListEntitlementsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let distribution = edge::uuid("distribution_id", &request.distribution_id)?;
        let unknown = || Refusal::invalid("state", "must be a state of an entitlement");
        let state = match request.state {
            0 => None,
            told => Some(EntitlementState::numbered(told).ok_or_else(unknown)?),
        };
        let filter = format!("entitlements {distribution} {state:?}");
        let page = Page::parse(request.page_size, &request.page_token, &caller, &filter)?;
        let tx = self.store.read(&caller).await?;
        store::get(&tx, distribution).await?;
        let rows = entitlement::list(&tx, distribution, state, &page).await?;
        let (rows, next_page_token) = page.cut(rows, |row| row.id);
        let entitlements = rows.iter().map(|row| shown_entitlement(&caller, row)).collect();
        Ok(Response::new(ListEntitlementsResponse { entitlements, next_page_token }))
    }
}

/// A distribution as it is asked for.
struct List {
    programme_id: Uuid,
    place: PlaceCode,
    district: String,
    kind: Kind,
    name: String,
    planned_on: NaiveDate,
    plan_ids: Vec<Uuid>,
}

impl List {
    fn parse(request: &CreateDistributionRequest) -> Result<Self, Refusal> {
        let place = edge::place("place", &request.place)?;
        let district = place.district().map(str::to_owned);
        let kind = kind("kind", request.kind)?;
        if kind == Kind::VocationalTraining {
            return Err(Refusal::invalid("kind", "must not be vocational training; that is a cohort's"));
        }
        Ok(List {
            programme_id: edge::uuid("programme_id", &request.programme_id)?,
            district: district.ok_or_else(|| Refusal::invalid("place", "must be a district, sector or cell"))?,
            place,
            kind,
            name: edge::text("name", &request.name, 200)?,
            planned_on: edge::date("planned_on", request.planned_on.as_ref())?,
            plan_ids: batch::listed("plan_ids", &request.plan_ids)?,
        })
    }

    /// Lists the plans. Who answers for them answers for the distribution.
    async fn draw_up(self, tx: &Tx) -> Result<Model, Refusal> {
        let place = |n: usize| format!("plan_ids[{n}]");
        let plans = plan::all_for_write(tx, &self.plan_ids, place).await?;
        let custodian = plans.first().map(|plan| plan.custodian_id).ok_or_else(|| Refusal::internal("an empty list"))?;
        let call = Call { programme_id: self.programme_id, district: &self.district, kind: self.kind, item: None };
        for (n, plan) in plans.iter().enumerate() {
            let fits = match call.serves(&plan.call()?) {
                Ok(()) if plan.custodian_id != custodian => {
                    Err(Refusal::precondition("PLAN_DOES_NOT_FIT", "the plan is of another custodian"))
                }
                fits => fits,
            };
            fits.map_err(|refusal| batch::of_element(&place(n), refusal))?;
        }
        let steps = plans.into_iter().map(|plan| (plan, Command::Begin { on: None })).collect();
        let plans = plan::advance(tx, steps, |n| ("planned_on".into(), place(n))).await?;
        let distribution = Model {
            id: ids::new_id(),
            programme_id: self.programme_id,
            custodian_id: custodian,
            place: self.place.as_str().to_owned(),
            district: self.district,
            kind: self.kind.word().to_owned(),
            name: self.name,
            planned_on: self.planned_on,
            state: State::Open.word().to_owned(),
            entitlements: i32::try_from(plans.len()).map_err(Refusal::internal)?,
            delivered: 0,
            closed_on: None,
            version: 1,
            recorded_at: clock::now(),
        };
        store::insert(tx, distribution.clone()).await?;
        let entitlements = plans.iter().map(|plan| entitlement::Model::new(distribution.id, plan)).collect();
        entitlement::insert(tx, entitlements).await?;
        Ok(distribution)
    }
}

fn delivery((n, told): (usize, &NewDelivery)) -> Result<Delivery, Refusal> {
    let field = |name: &str| format!("deliveries[{n}].{name}");
    let proof = Proof::numbered(told.proof_kind);
    Ok(Delivery {
        proof: proof.ok_or_else(|| Refusal::invalid(field("proof_kind"), "must be a kind of proof"))?,
        reference: edge::text(&field("proof_reference"), &told.proof_reference, 100)?,
        on: edge::past(&field("delivered_on"), told.delivered_on.as_ref())?,
    })
}

/// Hands over what is told, in the order of `plan_ids`.
async fn deliver(tx: &mut Tx, distribution: Uuid, plan_ids: &[Uuid], deliveries: Vec<Delivery>) -> Result<(), Refusal> {
    let place = |n: usize| format!("deliveries[{n}]");
    let listed: HashMap<_, _> = entitlement::all(tx, distribution).await?.into_iter().map(|row| (row.plan_id, row)).collect();
    let mut entitled = Vec::with_capacity(deliveries.len());
    for (n, (plan, delivery)) in plan_ids.iter().zip(deliveries).enumerate() {
        let entitlement = listed.get(plan);
        let state = entitlement.map(entitlement::Model::state).transpose()?;
        deliverable(state).map_err(|refusal| batch::of_element(&place(n), refusal))?;
        entitled.extend(entitlement.map(|row| (row.id, delivery)));
    }
    let plans = plan::all_for_write(tx, plan_ids, |n| format!("{}.plan_id", place(n))).await?;
    entitlement::deliver(tx, &entitled).await?;
    let steps = plans.into_iter().zip(&entitled).map(|(plan, (_, d))| (plan, Command::Complete { on: d.on })).collect();
    let plans = plan::advance(tx, steps, |n| (format!("{}.delivered_on", place(n)), place(n))).await?;
    for (plan, (_, delivery)) in plans.iter().zip(&entitled) {
        tx.publish(plan.custodian_id, plan.id, &events::delivered(plan, delivery.on)).await?;
    }
    Ok(())
}

/// Takes who did not come off the list; their plans are approved again.
async fn lapse(tx: &Tx, distribution: Uuid, on: NaiveDate) -> Result<(), Refusal> {
    let listed = entitlement::all(tx, distribution).await?;
    if listed.iter().filter_map(|row| row.delivered_on).any(|delivered| on < delivered) {
        return Err(Refusal::invalid("closed_on", "must not be before the last delivery"));
    }
    let open: Vec<_> = listed.into_iter().filter(|row| row.state == EntitlementState::Open.word()).collect();
    entitlement::lapse(tx, open.iter().map(|row| row.id).collect()).await?;
    let plan_ids: Vec<_> = open.iter().map(|row| row.plan_id).collect();
    let plans = plan::all_for_write(tx, &plan_ids, |_| String::new()).await?;
    let steps = plans.into_iter().map(|plan| (plan, Command::Lapse)).collect();
    plan::advance(tx, steps, |_| ("closed_on".into(), String::new())).await?;
    Ok(())
}

/// The distribution as the caller may see it.
fn shown(caller: &Caller, row: &Model) -> Distribution {
    let message = Distribution {
        id: row.id.to_string(),
        programme_id: row.programme_id.to_string(),
        custodian_id: row.custodian_id.to_string(),
        district: row.district.clone(),
        place: row.place.clone(),
        kind: Kind::number_of(&row.kind),
        name: row.name.clone(),
        planned_on: Some(edge::to_date(row.planned_on)),
        state: State::number_of(&row.state),
        entitlements: row.entitlements,
        delivered: row.delivered,
        closed_on: row.closed_on.map(edge::to_date),
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    caller.disclose(row.custodian_id, Some(&row.district), message)
}

fn shown_entitlement(caller: &Caller, row: &entitlement::Model) -> Entitlement {
    let message = proto::Entitlement {
        id: row.id.to_string(),
        distribution_id: row.distribution_id.to_string(),
        plan_id: row.plan_id.to_string(),
        individual_id: row.individual_id.to_string(),
        household_id: row.household_id.to_string(),
        district: row.district.clone(),
        item: row.item.clone(),
        state: EntitlementState::number_of(&row.state),
        proof_kind: row.proof_kind.as_deref().map(Proof::number_of).unwrap_or_default(),
        proof_reference: row.proof_reference.clone().unwrap_or_default(),
        delivered_on: row.delivered_on.map(edge::to_date),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    caller.disclose(row.custodian_id, Some(&row.district), message)
}
