//! How plans are made: what is asked for, what the registry knows of the person, and whether the one may have the other.

use std::collections::HashSet;

use chrono::NaiveDate;
use tahuka_chassis::{Caller, Peers, Refusal, Tx, clock, edge, forward, ids};
use tahuka_proto::assistance::v1::NewPlan;
use tahuka_proto::registry::v1::household_service_client::HouseholdServiceClient;
use tahuka_proto::registry::v1::{BatchGetHouseholdProfilesRequest, GetHouseholdProfileRequest, GetHouseholdProfileResponse};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::store::{self, Model};
use super::{Command, Life, Sex};
use crate::batch::of_element;
use crate::catalogue::{Category, store as catalogue};

/// A plan as it is asked for. `place` is its place in a batch (`plans[3]`), empty where it is none.
#[derive(Debug)]
pub struct Draft {
    place: String,
    household_id: Uuid,
    individual_id: Uuid,
    package_id: Uuid,
    drafted_on: NaiveDate,
    submitted_on: Option<NaiveDate>,
}

impl Draft {
    pub fn parse(place: String, told: &NewPlan) -> Result<Self, Refusal> {
        let field = |name: &str| field(&place, name);
        let drafted_on = edge::past(&field("drafted_on"), told.drafted_on.as_ref())?;
        let submitted_on = match &told.submitted_on {
            None => None,
            submitted => Some(edge::past(&field("submitted_on"), submitted.as_ref())?),
        };
        Ok(Draft {
            household_id: edge::uuid(&field("household_id"), &told.household_id)?,
            individual_id: edge::uuid(&field("individual_id"), &told.individual_id)?,
            package_id: edge::uuid(&field("package_id"), &told.package_id)?,
            drafted_on,
            submitted_on,
            place,
        })
    }

    fn question(&self) -> GetHouseholdProfileRequest {
        GetHouseholdProfileRequest {
            household_id: self.household_id.to_string(),
            individual_id: self.individual_id.to_string(),
            on: Some(edge::to_date(self.drafted_on)),
        }
    }

    fn field(&self, name: &str) -> String {
        field(&self.place, name)
    }

    fn missing(&self, what: &'static str, name: &str) -> Refusal {
        if self.place.is_empty() { Refusal::not_found(what, None) } else { Refusal::invalid(self.field(name), "is not there") }
    }
}

fn field(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

/// What the registry knows of the person, at the day of the draft.
#[derive(Debug)]
pub struct Person {
    programme_id: Uuid,
    custodian_id: Uuid,
    district: String,
    category: Category,
    sex: Sex,
    age_band: String,
    priority_band: i32,
    consent_given: bool,
}

impl Person {
    fn told(profile: GetHouseholdProfileResponse) -> Result<Self, Refusal> {
        let unknown = |field: &str| Refusal::internal(format!("the registry told no {field}"));
        Ok(Person {
            programme_id: Uuid::try_parse(&profile.programme_id).map_err(|_| unknown("programme"))?,
            custodian_id: Uuid::try_parse(&profile.custodian_id).map_err(|_| unknown("custodian"))?,
            category: Category::numbered(profile.category).ok_or_else(|| unknown("category"))?,
            sex: Sex::numbered(profile.sex).unwrap_or(Sex::Unknown),
            district: profile.district,
            age_band: profile.age_band,
            priority_band: profile.priority_band,
            consent_given: profile.consent_given,
        })
    }
}

/// Asks the registry of one person, on the caller's behalf.
pub async fn ask(peers: &Peers, caller: &Caller, draft: &Draft) -> Result<Vec<Person>, Refusal> {
    let mut registry = HouseholdServiceClient::new(peers.channel("registry")?);
    let profile = registry.get_household_profile(forward(caller, draft.question())).await?.into_inner();
    Ok(vec![Person::told(profile)?])
}

/// Asks the registry of all of them at once, in order.
pub async fn ask_of_all(peers: &Peers, caller: &Caller, drafts: &[Draft]) -> Result<Vec<Person>, Refusal> {
    let mut registry = HouseholdServiceClient::new(peers.channel("registry")?);
    let question = BatchGetHouseholdProfilesRequest { requests: drafts.iter().map(Draft::question).collect() };
    let answer = registry.batch_get_household_profiles(forward(caller, question)).await.map_err(in_our_words)?;
    let profiles = answer.into_inner().profiles;
    if profiles.len() != drafts.len() {
        return Err(Refusal::internal("the registry told of another number of people"));
    }
    profiles.into_iter().map(Person::told).collect()
}

/// The registry names an element of its own request; our caller knows it as one of `plans`.
fn in_our_words(status: Status) -> Refusal {
    let violations = status.get_details_bad_request().map(|details| details.field_violations).unwrap_or_default();
    if status.code() != Code::InvalidArgument || violations.is_empty() {
        return status.into();
    }
    let ours = |field: String| match field.strip_prefix("requests[") {
        Some(rest) => format!("plans[{rest}"),
        None => field,
    };
    Refusal::Invalid(violations.into_iter().map(|v| (ours(v.field), v.description)).collect())
}

/// Makes the plans, all or none, and tells of those that are submitted. `programme` is the one that all must be of.
pub async fn create(tx: &mut Tx, drafts: &[Draft], people: &[Person], programme: Option<Uuid>) -> Result<Vec<Model>, Refusal> {
    let packages = catalogue::all(tx, drafts.iter().map(|d| d.package_id)).await?;
    let asked_for: Vec<_> = drafts.iter().map(|d| d.individual_id).collect();
    let of: Vec<_> = packages.keys().copied().collect();
    let mut live: HashSet<_> = store::live(tx, &asked_for, &of).await?.into_iter().collect();

    let mut plans = Vec::with_capacity(drafts.len());
    for (draft, person) in drafts.iter().zip(people) {
        let package = packages.get(&draft.package_id).ok_or_else(|| draft.missing("package", "package_id"))?;
        tx.require_write(person.custodian_id, Some(&person.district)).map_err(|_| draft.missing("household", "household_id"))?;
        may_have(draft, person, package, programme).map_err(|refusal| of_element(&draft.place, refusal))?;
        if !live.insert((draft.individual_id, draft.package_id)) {
            let exists = Refusal::conflict("PLAN_EXISTS", "the person has a plan of this package already");
            return Err(of_element(&draft.place, exists));
        }
        plans.push(plan(draft, person, package)?);
    }
    store::insert(tx, plans.clone()).await?;
    for plan in &plans {
        if let Some(on) = plan.submitted_on {
            tx.publish(plan.custodian_id, plan.id, &super::events::submitted(plan, on)).await?;
        }
    }
    Ok(plans)
}

fn may_have(draft: &Draft, person: &Person, package: &catalogue::Model, programme: Option<Uuid>) -> Result<(), Refusal> {
    if programme.is_some_and(|programme| programme != person.programme_id) {
        return Err(Refusal::invalid(draft.field("household_id"), "must be of the programme that is told"));
    }
    if package.programme_id != person.programme_id {
        return Err(Refusal::invalid(draft.field("package_id"), "must be of the household's programme"));
    }
    if package.retired {
        return Err(Refusal::precondition("PACKAGE_RETIRED", "the package is retired; choose another one"));
    }
    if !person.consent_given {
        return Err(Refusal::precondition("NO_CONSENT", "the person's consent to assistance must hold at drafted_on"));
    }
    match package.conditions()?.unmet(person.category, &person.age_band, person.priority_band) {
        None => Ok(()),
        Some(condition) => {
            let advice = format!("the person does not meet the package's condition {condition}");
            Err(Refusal::precondition("NOT_ELIGIBLE", advice))
        }
    }
}

fn plan(draft: &Draft, person: &Person, package: &catalogue::Model) -> Result<Model, Refusal> {
    let life = Life::drafted(draft.drafted_on);
    let life = match draft.submitted_on {
        None => life,
        Some(on) => {
            life.next(Command::Submit { on }).map_err(|broken| broken.refusal(&draft.field("submitted_on"), &draft.place))?
        }
    };
    Ok(Model {
        id: ids::new_id(),
        programme_id: person.programme_id,
        custodian_id: person.custodian_id,
        district: person.district.clone(),
        household_id: draft.household_id,
        individual_id: draft.individual_id,
        package_id: package.id,
        kind: package.kind.clone(),
        item: package.item.clone(),
        sex: person.sex.word().to_owned(),
        age_band: person.age_band.clone(),
        category: person.category.word().to_owned(),
        priority_band: person.priority_band,
        cost_minor: package.cost_minor,
        cost_currency: package.cost_currency.clone(),
        state: life.state.word().to_owned(),
        grant_id: None,
        drafted_on: life.drafted_on,
        submitted_on: life.submitted_on,
        funded_on: None,
        approved_on: None,
        completed_on: None,
        cancelled_on: None,
        cancellation_reason: None,
        version: 1,
        recorded_at: clock::now(),
    })
}
