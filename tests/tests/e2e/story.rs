//! The steps that stories of money and assistance are told in.

use std::time::{Duration, Instant};

use tahuka_proto::assistance::v1 as assistance;
use tahuka_proto::assistance::v1::catalogue_service_client::CatalogueServiceClient;
use tahuka_proto::assistance::v1::plan_service_client::PlanServiceClient;
use tahuka_proto::funding::v1 as funding;
use tahuka_proto::funding::v1::donor_service_client::DonorServiceClient;
use tahuka_proto::funding::v1::grant_service_client::GrantServiceClient;
use tahuka_proto::google::r#type::{Date, Money};
use tahuka_proto::registry::v1 as registry;
use tahuka_proto::registry::v1::consent_service_client::ConsentServiceClient;
use tahuka_proto::registry::v1::household_service_client::HouseholdServiceClient;
use tahuka_tests::new_request_id;
use tonic::Status;

use crate::programme::{Programme, on};

pub use assistance::{AssistanceKind, PlanState};
pub use funding::BudgetKind;

/// Whole dollars.
pub fn usd(units: i64) -> Option<Money> {
    Some(Money { currency_code: "USD".into(), units, nanos: 0 })
}

#[derive(Debug, Clone)]
pub struct Person {
    pub household: String,
    pub individual: String,
}

/// Waits for what events bring about; a condition that never comes true is a failure, with its name.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let until = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < until, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Programme {
    /// A woman of this year of birth who heads a household, and consents to assistance.
    pub async fn person(&self, district: &str, number: &str, born: i32) -> Person {
        let request = registry::CreateHouseholdRequest {
            request_id: new_request_id(),
            programme_id: self.id.clone(),
            category: registry::HouseholdCategory::Returnee.into(),
            place: format!("{district}0101"),
            household_number: number.into(),
            household_size: 3,
            registered_on: on(2011, 1, 10),
            registration_source: "transit_centre".into(),
            enumerator: "E-01".into(),
            individuals: vec![registry::NewIndividual {
                surname: "MUKAMANA".into(),
                given_name: "Alphonsine".into(),
                sex: registry::Sex::Female.into(),
                birth_date: on(born, 0, 0),
                relation_to_head: registry::RelationToHead::Head.into(),
                ..Default::default()
            }],
        };
        let answer = HouseholdServiceClient::new(self.iom.line()).create_household(request).await.expect("she is registered");
        let registered = answer.into_inner();
        let person =
            Person { household: registered.household.expect("a household").id, individual: registered.individuals[0].id.clone() };
        let request = registry::RecordConsentRequest {
            request_id: new_request_id(),
            individual_id: person.individual.clone(),
            purpose: registry::ConsentPurpose::Assistance.into(),
            form: registry::ConsentForm::Written.into(),
            given_on: on(2011, 1, 10),
        };
        ConsentServiceClient::new(self.iom.line()).record_consent(request).await.expect("she consents");
        person
    }

    pub async fn package(&self, kind: AssistanceKind, item: &str, cost: i64) -> String {
        let request = assistance::CreatePackageRequest {
            request_id: new_request_id(),
            programme_id: self.id.clone(),
            code: format!("{item}-{cost}"),
            kind: kind.into(),
            item: item.into(),
            name: item.into(),
            items: vec![assistance::PackageItem { name: item.into(), quantity: 1, unit: "piece".into() }],
            unit_cost: usd(cost),
            conditions: None,
        };
        let mut catalogue = CatalogueServiceClient::new(self.iom.line());
        catalogue.create_package(request).await.expect("a package").into_inner().package.expect("is told").id
    }

    /// Of Japan, for 2011, with one line for all of it.
    pub async fn grant(&self, code: &str, amount: i64, kind: BudgetKind) -> String {
        let mut donors = DonorServiceClient::new(self.iom.line());
        let known = donors.list_donors(funding::ListDonorsRequest::default()).await.expect("donors").into_inner().donors;
        let donor_id = match known.first() {
            Some(donor) => donor.id.clone(),
            None => {
                let request = funding::CreateDonorRequest {
                    request_id: new_request_id(),
                    name: "Government of Japan".into(),
                    tenant_id: self.japan_id.clone(),
                    country: "JP".into(),
                };
                donors.create_donor(request).await.expect("a donor").into_inner().donor.expect("is told").id
            }
        };
        let mut grants = GrantServiceClient::new(self.iom.line());
        let request = funding::CreateGrantRequest {
            request_id: new_request_id(),
            programme_id: self.id.clone(),
            donor_id,
            code: code.into(),
            title: "Phase I".into(),
            amount: usd(amount),
            starts_on: on(2011, 1, 1),
            ends_on: on(2011, 12, 31),
            earmarks: None,
        };
        let grant = grants.create_grant(request).await.expect("a grant").into_inner().grant.expect("is told").id;
        self.line(&grant, kind, amount).await;
        grant
    }

    pub async fn line(&self, grant: &str, kind: BudgetKind, amount: i64) {
        let request = funding::CreateBudgetLineRequest {
            request_id: new_request_id(),
            grant_id: grant.into(),
            code: format!("{}-{amount}", kind.as_str_name()),
            kind: kind.into(),
            amount: usd(amount),
        };
        GrantServiceClient::new(self.iom.line()).create_budget_line(request).await.expect("a budget line");
    }

    /// How many needs it served.
    pub async fn instalment(&self, grant: &str, received: Option<Money>, received_on: Option<Date>) -> i32 {
        let request =
            funding::RecordInstalmentRequest { request_id: new_request_id(), grant_id: grant.into(), received, received_on };
        let answer = GrantServiceClient::new(self.iom.line()).record_instalment(request).await.expect("money comes");
        answer.into_inner().needs_served
    }

    pub async fn submit(&self, person: &Person, package: &str) -> Result<assistance::Plan, Status> {
        let request = assistance::CreatePlanRequest {
            request_id: new_request_id(),
            household_id: person.household.clone(),
            individual_id: person.individual.clone(),
            package_id: package.into(),
            drafted_on: on(2011, 2, 1),
            submitted_on: on(2011, 2, 1),
        };
        let answer = PlanServiceClient::new(self.iom.line()).create_plan(request).await?;
        Ok(answer.into_inner().plan.expect("a plan is told"))
    }

    pub async fn plan(&self, id: &str) -> assistance::Plan {
        let request = assistance::GetPlanRequest { plan_id: id.into() };
        let answer = PlanServiceClient::new(self.iom.line()).get_plan(request).await.expect("the plan is there");
        answer.into_inner().plan.expect("and told")
    }

    pub async fn until_plan(&self, id: &str, state: PlanState) -> assistance::Plan {
        eventually(&format!("a plan is {}", state.as_str_name()), || async { self.plan(id).await.state() == state }).await;
        self.plan(id).await
    }

    pub async fn approve(&self, id: &str) -> assistance::Plan {
        let plan = self.plan(id).await;
        let request = assistance::ApprovePlanRequest {
            request_id: new_request_id(),
            plan_id: id.into(),
            etag: plan.etag,
            approved_on: on(2011, 3, 1),
        };
        let answer = PlanServiceClient::new(self.iom.line()).approve_plan(request).await.expect("it is approved");
        answer.into_inner().plan.expect("and told")
    }

    /// Received, available, reserved, committed and spent, in whole dollars.
    pub async fn balances(&self, grant: &str) -> [i64; 5] {
        let request = funding::GetGrantRequest { grant_id: grant.into() };
        let answer = GrantServiceClient::new(self.iom.line()).get_grant(request).await.expect("the grant is there");
        let b = answer.into_inner().grant.and_then(|g| g.balances).expect("with its balances");
        [b.received, b.available, b.reserved, b.committed, b.spent].map(|m| m.map_or(0, |m| m.units))
    }

    pub async fn until_balances(&self, grant: &str, expected: [i64; 5]) {
        eventually(&format!("balances {expected:?}"), || async { self.balances(grant).await == expected }).await;
    }
}
