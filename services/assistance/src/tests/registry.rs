//! A registry of a few people, for plans to ask.

// It is no service of the house: nobody calls it but the house, by id.
#![allow(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tahuka_chassis::{Peer, ids};
use tahuka_proto::registry::v1::household_service_server::{HouseholdService, HouseholdServiceServer};
use tahuka_proto::registry::v1::*;
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};
use uuid::Uuid;

#[derive(Debug, Clone, Copy)]
pub struct Person {
    pub household_id: Uuid,
    pub individual_id: Uuid,
}

#[derive(Clone)]
pub struct Registry {
    programme: Uuid,
    custodian: Uuid,
    known: Arc<Mutex<HashMap<Uuid, GetHouseholdProfileResponse>>>,
}

impl Registry {
    pub fn new(programme: Uuid, custodian: Uuid) -> Self {
        Registry { programme, custodian, known: Arc::default() }
    }

    pub fn peer(&self) -> Peer {
        Peer::new(HouseholdServiceServer::new(self.clone()))
    }

    /// A returnee of 25 to 59 years who has consented.
    pub fn person(&self, district: &str) -> Person {
        let person = Person { household_id: ids::new_id(), individual_id: ids::new_id() };
        let profile = GetHouseholdProfileResponse {
            programme_id: self.programme.to_string(),
            custodian_id: self.custodian.to_string(),
            district: district.into(),
            category: HouseholdCategory::Returnee.into(),
            household_id: person.household_id.to_string(),
            individual_id: person.individual_id.to_string(),
            sex: Sex::Female.into(),
            age_band: "25-59".into(),
            priority_band: 4,
            consent_given: true,
        };
        self.known.lock().unwrap().insert(person.individual_id, profile);
        person
    }

    pub fn change(&self, person: &Person, change: impl FnOnce(&mut GetHouseholdProfileResponse)) {
        change(self.known.lock().unwrap().get_mut(&person.individual_id).unwrap());
    }

    pub fn forget(&self, person: &Person) {
        self.known.lock().unwrap().remove(&person.individual_id);
    }

    fn profile(&self, request: &GetHouseholdProfileRequest) -> Option<GetHouseholdProfileResponse> {
        let id = Uuid::try_parse(&request.individual_id).ok()?;
        let known = self.known.lock().unwrap();
        known.get(&id).filter(|profile| profile.household_id == request.household_id && request.on.is_some()).cloned()
    }
}

fn not_here<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not of this registry"))
}

#[tonic::async_trait]
impl HouseholdService for Registry {
    async fn get_household_profile(
        &self,
        request: Request<GetHouseholdProfileRequest>,
    ) -> Result<Response<GetHouseholdProfileResponse>, Status> {
        self.profile(request.get_ref()).map(Response::new).ok_or_else(|| Status::not_found("household not found"))
    }

    async fn batch_get_household_profiles(
        &self,
        request: Request<BatchGetHouseholdProfilesRequest>,
    ) -> Result<Response<BatchGetHouseholdProfilesResponse>, Status> {
        let mut profiles = Vec::new();
        for (n, asked) in request.get_ref().requests.iter().enumerate() {
            let Some(profile) = self.profile(asked) else {
                let details = ErrorDetails::with_bad_request_violation(format!("requests[{n}].household_id"), "is not there");
                return Err(Status::with_error_details(tonic::Code::InvalidArgument, "invalid request", details));
            };
            profiles.push(profile);
        }
        Ok(Response::new(BatchGetHouseholdProfilesResponse { profiles }))
    }

    async fn create_household(&self, _: Request<CreateHouseholdRequest>) -> Result<Response<CreateHouseholdResponse>, Status> {
        not_here()
    }

    async fn get_household(&self, _: Request<GetHouseholdRequest>) -> Result<Response<GetHouseholdResponse>, Status> {
        not_here()
    }

    async fn list_households(&self, _: Request<ListHouseholdsRequest>) -> Result<Response<ListHouseholdsResponse>, Status> {
        not_here()
    }

    async fn update_household(&self, _: Request<UpdateHouseholdRequest>) -> Result<Response<UpdateHouseholdResponse>, Status> {
        not_here()
    }
}
