//! What other services need to know of people they help: no names.

use std::collections::{HashMap, HashSet};

use tahuka_chassis::{Caller, Refusal, Tx, edge};
use tahuka_proto::registry::v1::{GetHouseholdProfileRequest, GetHouseholdProfileResponse};

use super::rpc::to_category;
use super::store;
use crate::consent::{self, Purpose};
use crate::individual::rpc::to_sex;
use crate::individual::{age_band, store as individual};

/// A profile that is asked for, with the request's place in a batch (`requests[3].`) for refusals.
pub struct Asked {
    at: String,
    household: uuid::Uuid,
    individual: Option<uuid::Uuid>,
    on: chrono::NaiveDate,
}

impl Asked {
    pub fn parse(at: String, request: &GetHouseholdProfileRequest) -> Result<Self, Refusal> {
        Ok(Asked {
            household: edge::uuid(&format!("{at}household_id"), &request.household_id)?,
            individual: edge::optional_uuid(&format!("{at}individual_id"), &request.individual_id)?,
            on: edge::date(&format!("{at}on"), request.on.as_ref())?,
            at,
        })
    }
}

/// The profiles in the order asked for, or a refusal that names the first that is not there for this caller.
pub async fn profiles(tx: &Tx, caller: &Caller, asked: &[Asked]) -> Result<Vec<GetHouseholdProfileResponse>, Refusal> {
    let households: HashMap<_, _> =
        store::all(tx, asked.iter().map(|a| a.household)).await?.into_iter().map(|h| (h.id, h)).collect();
    let wanted = |a: &Asked| a.individual.or_else(|| households.get(&a.household)?.head_id);
    let ids: HashSet<_> = asked.iter().filter_map(wanted).collect();
    let members: HashMap<_, _> = individual::all(tx, ids.iter().copied()).await?.into_iter().map(|m| (m.id, m)).collect();
    let consents = consent::store::of(tx, ids, Purpose::Assistance).await?;

    let mut profiles = Vec::with_capacity(asked.len());
    for a in asked {
        let missing = |what: &'static str, field: &str, id| match a.at.as_str() {
            "" => Refusal::not_found(what, id),
            at => Refusal::invalid(format!("{at}{field}"), "is not there"),
        };
        let household = households.get(&a.household).ok_or_else(|| missing("household", "household_id", a.household))?;
        let member = match wanted(a) {
            Some(id) => {
                let of_it = members.get(&id).filter(|m| m.household_id == household.id);
                Some(of_it.ok_or_else(|| missing("individual", "individual_id", id))?)
            }
            None => None,
        };
        let consent_given = member.is_some_and(|m| {
            consents.iter().any(|c| c.individual_id == m.id && consent::holds(c.given_on, c.withdrawn_on, a.on))
        });
        let profile = GetHouseholdProfileResponse {
            programme_id: household.programme_id.to_string(),
            custodian_id: household.custodian_id.to_string(),
            district: household.district.clone(),
            category: to_category(&household.category).into(),
            household_id: household.id.to_string(),
            individual_id: member.map(|m| m.id.to_string()).unwrap_or_default(),
            sex: to_sex(member.map(|m| m.sex.as_str()).unwrap_or_default()).into(),
            age_band: age_band(member.and_then(individual::Model::birth), a.on).to_owned(),
            priority_band: household.priority_band,
            consent_given,
        };
        profiles.push(caller.disclose(household.custodian_id, Some(&household.district), profile));
    }
    Ok(profiles)
}
