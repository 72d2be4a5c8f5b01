//! The edge of households.

use std::collections::HashMap;

use tahuka_chassis::{Caller, Once, Page, Refusal, Store, Tx, clock, edge, ids};
use tahuka_proto::registry::v1::household_service_server::HouseholdService;
use tahuka_proto::registry::v1::{self as proto, *};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::profile::{Asked, profiles};
use super::store::{self, Change, Filter, Model};
use super::{Category, Dwelling, head_of, residence, size};
use crate::fields::{at, text};
use crate::individual::rpc::{district, person, registered as individual_registered, shown as shown_individual};
use crate::individual::store as individual;

const LARGEST_BATCH: usize = 500;

pub struct Households {
    pub store: Store,
}

#[tonic::async_trait]
impl HouseholdService for Households {
    async fn create_household(
        &self,
        request: Request<CreateHouseholdRequest>,
    ) -> Result<Response<CreateHouseholdResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let dwelling = dwelling(&request)?;
        let programme_id = edge::uuid("programme_id", &request.programme_id)?;
        let persons = (request.individuals.iter().enumerate())
            .map(|(n, told)| person(&format!("individuals[{n}]"), told, dwelling.registered_on))
            .collect::<Result<Vec<_>, _>>()?;
        let head = at("individuals", head_of(&persons, dwelling.size))?;

        let mut tx = match self.store.begin_once(&caller, "CreateHousehold", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        tx.require_write(caller.tenant_id, Some(dwelling.district.code))?;
        if !store::numbered(&tx, programme_id, &[dwelling.district.code], &[&dwelling.number]).await?.is_empty() {
            return Err(Refusal::conflict(
                "HOUSEHOLD_NUMBER_TAKEN",
                "household_number is in use in this programme and district; read that household or choose another number",
            )
            .into());
        }
        let mut household = new(dwelling, programme_id, caller.tenant_id);
        let members: Vec<_> = (persons.into_iter())
            .map(|p| individual::Model::new(p, &household, household.registered_on, household.recorded_at))
            .collect();
        household.head_id = head.and_then(|at| members.get(at)).map(|m| m.id);
        store::insert(&tx, vec![household.clone()]).await?;
        individual::insert(&tx, members.clone()).await?;
        tx.publish(household.custodian_id, household.id, &registered(&household)).await?;
        for member in &members {
            tx.publish(member.custodian_id, member.id, &individual_registered(member, &household.category)).await?;
        }
        let answer = CreateHouseholdResponse {
            household: Some(shown(&caller, &household, head.and_then(|at| members.get(at)))),
            individuals: members.iter().map(|m| shown_individual(&caller, m)).collect(),
        };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn get_household(&self, request: Request<GetHouseholdRequest>) -> Result<Response<GetHouseholdResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("household_id", &request.household_id)?;
        let tx = self.store.read(&caller).await?;
        let household = with_head(&tx, &caller, store::get(&tx, id).await?).await?;
        Ok(Response::new(GetHouseholdResponse { household: Some(household) }))
    }

    async fn list_households(&self, request: Request<ListHouseholdsRequest>) -> Result<Response<ListHouseholdsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let programme = &request.programme_id;
        let filter = Filter {
            programme_id: (!programme.is_empty()).then(|| edge::uuid("programme_id", programme)).transpose()?,
            district: district("district", &request.district)?,
            category: match HouseholdCategory::try_from(request.category) {
                Ok(HouseholdCategory::Unspecified) => None,
                _ => Some(category("category", request.category)?),
            },
        };
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("households {filter:?}"))?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, &filter, &page).await?, |row| row.id);
        let heads: HashMap<Uuid, individual::Model> =
            individual::all(&tx, rows.iter().filter_map(|r| r.head_id)).await?.into_iter().map(|h| (h.id, h)).collect();
        let households = rows.iter().map(|row| shown(&caller, row, row.head_id.and_then(|id| heads.get(&id)))).collect();
        Ok(Response::new(ListHouseholdsResponse { households, next_page_token }))
    }

    async fn update_household(
        &self,
        request: Request<UpdateHouseholdRequest>,
    ) -> Result<Response<UpdateHouseholdResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let told = request.household.as_ref().ok_or_else(|| Refusal::invalid("household", "must be given"))?;
        let id = edge::uuid("household.id", &told.id)?;
        let mut change = Change::default();
        let paths = request.update_mask.as_ref().map(|m| m.paths.as_slice()).unwrap_or_default();
        for path in paths {
            match path.as_str() {
                "place" => change.place = Some(at("household.place", residence(&told.place))?.0),
                "household_size" => change.size = Some(at("household.household_size", size(told.household_size))?),
                _ => return Err(Refusal::invalid("update_mask", "may name place, household_size").into()),
            }
        }
        if paths.is_empty() {
            return Err(Refusal::invalid("update_mask", "must name at least one field").into());
        }

        let tx = match self.store.begin_once(&caller, "UpdateHousehold", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let household = store::get_for_write(&tx, id).await?;
        edge::etag("household.etag", &told.etag, household.version)?;
        if change.place.and_then(|p| p.district()).is_some_and(|d| d.code != household.district) {
            return Err(Refusal::invalid("household.place", "must lie in the household's district").into());
        }
        let household = store::change(&tx, household, change).await?;
        let answer = UpdateHouseholdResponse { household: Some(with_head(&tx, &caller, household).await?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn get_household_profile(
        &self,
        request: Request<GetHouseholdProfileRequest>,
    ) -> Result<Response<GetHouseholdProfileResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let asked = Asked::parse(String::new(), &request)?;
        let tx = self.store.read(&caller).await?;
        let profile = profiles(&tx, &caller, &[asked]).await?.pop();
        Ok(Response::new(profile.ok_or_else(|| Refusal::internal("a profile that was asked for"))?))
    }

    async fn batch_get_household_profiles(
        &self,
        request: Request<BatchGetHouseholdProfilesRequest>,
    ) -> Result<Response<BatchGetHouseholdProfilesResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let requests = &request.requests;
        if requests.is_empty() || requests.len() > LARGEST_BATCH {
            return Err(Refusal::invalid("requests", format!("must hold 1 to {LARGEST_BATCH}")).into());
        }
        let asked = (requests.iter().enumerate())
            .map(|(n, r)| Asked::parse(format!("requests[{n}]."), r))
            .collect::<Result<Vec<_>, _>>()?;
        let tx = self.store.read(&caller).await?;
        Ok(Response::new(BatchGetHouseholdProfilesResponse { profiles: profiles(&tx, &caller, &asked).await? }))
    }
}

fn dwelling(request: &CreateHouseholdRequest) -> Result<Dwelling, Refusal> {
    let (place, district) = at("place", residence(&request.place))?;
    Ok(Dwelling {
        category: category("category", request.category)?,
        place,
        district,
        number: text("household_number", &request.household_number)?,
        size: at("household_size", size(request.household_size))?,
        registered_on: edge::past("registered_on", request.registered_on.as_ref())?,
        source: text("registration_source", &request.registration_source)?,
        enumerator: text("enumerator", &request.enumerator)?,
    })
}

/// A household in the custody of whoever registers it.
pub fn new(dwelling: Dwelling, programme_id: Uuid, custodian_id: Uuid) -> Model {
    Model {
        id: ids::new_id(),
        programme_id,
        custodian_id,
        district: dwelling.district.code.to_owned(),
        place: dwelling.place.code.to_owned(),
        category: dwelling.category.code().to_owned(),
        household_number: dwelling.number,
        household_size: dwelling.size,
        registered_on: dwelling.registered_on,
        registration_source: dwelling.source,
        enumerator: dwelling.enumerator,
        head_id: None,
        priority_band: 0,
        assessment_id: None,
        version: 1,
        recorded_at: clock::now(),
    }
}

fn category(field: &str, told: i32) -> Result<Category, Refusal> {
    match HouseholdCategory::try_from(told) {
        Ok(HouseholdCategory::Returnee) => Ok(Category::Returnee),
        Ok(HouseholdCategory::HostCommunity) => Ok(Category::HostCommunity),
        _ => Err(Refusal::invalid(field, "must be returnee or host_community")),
    }
}

pub fn to_category(code: &str) -> HouseholdCategory {
    match Category::parse(code) {
        Ok(Category::Returnee) => HouseholdCategory::Returnee,
        Ok(Category::HostCommunity) => HouseholdCategory::HostCommunity,
        Err(_) => HouseholdCategory::Unspecified,
    }
}

async fn with_head(tx: &Tx, caller: &Caller, row: Model) -> Result<proto::Household, Refusal> {
    let head = individual::all(tx, row.head_id).await?.into_iter().next();
    Ok(shown(caller, &row, head.as_ref()))
}

/// The household as the caller may see it.
fn shown(caller: &Caller, row: &Model, head: Option<&individual::Model>) -> proto::Household {
    let message = proto::Household {
        id: row.id.to_string(),
        programme_id: row.programme_id.to_string(),
        custodian_id: row.custodian_id.to_string(),
        district: row.district.clone(),
        place: row.place.clone(),
        category: to_category(&row.category).into(),
        household_number: row.household_number.clone(),
        household_size: row.household_size,
        registered_on: Some(edge::to_date(row.registered_on)),
        registration_source: row.registration_source.clone(),
        enumerator: row.enumerator.clone(),
        head_id: row.head_id.map(|id| id.to_string()).unwrap_or_default(),
        head_surname: head.map(|h| h.surname.clone()).unwrap_or_default(),
        head_given_name: head.and_then(|h| h.given_name.clone()).unwrap_or_default(),
        priority_band: row.priority_band,
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    caller.disclose(row.custodian_id, Some(&row.district), message)
}

/// What the house is told of a new household.
pub fn registered(row: &Model) -> HouseholdRegistered {
    HouseholdRegistered {
        programme_id: row.programme_id.to_string(),
        happened_on: Some(edge::to_date(row.registered_on)),
        district: row.district.clone(),
        household_id: row.id.to_string(),
        category: row.category.clone(),
    }
}
