//! Assistance as its callers meet it, on a database of its own, with a small registry beside it.

mod deliveries;
mod plans;
mod registry;
mod trainings;

use std::sync::Arc;

use sea_orm::{ConnectionTrait as _, Database, Statement};
use tahuka_chassis::config::DatabaseConfig;
use tahuka_chassis::{Caller, Config, Consumer as _, Event, Peers, Scope, ScopeEntry, Store, TenantKind, clock, ids};
use tahuka_proto::EventMessage;
use tahuka_proto::assistance::v1::catalogue_service_server::CatalogueService as _;
use tahuka_proto::assistance::v1::cohort_service_server::CohortService as _;
use tahuka_proto::assistance::v1::distribution_service_server::DistributionService as _;
use tahuka_proto::assistance::v1::plan_service_server::PlanService as _;
use tahuka_proto::assistance::v1::*;
use tahuka_proto::funding::v1::{FundsNotAvailable, FundsReserved};
use tahuka_proto::google::r#type::{Date, Money};
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tonic::{Request, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::catalogue::rpc::Catalogue;
use crate::cohort::rpc::Cohorts;
use crate::consumers;
use crate::distribution::rpc::Distributions;
use crate::follow_up::rpc::FollowUp;
use crate::plan::rpc::Plans;
use registry::{Person, Registry};

pub const RUBAVU: &str = "RW33";
pub const MUSANZE: &str = "RW43";

/// Each story is told on SQLite, and on PostgreSQL where the test run has been given one.
macro_rules! on_both {
    ($($room:ident :: $story:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() { super::$room::$story(super::Assistance::embedded().await).await; })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                if let Some(house) = super::Assistance::production().await { super::$room::$story(house).await; }
            })*
        }
    };
}

on_both![
    plans::a_code_is_used_once_and_a_retired_package_makes_no_plans,
    plans::a_draft_is_submitted_funded_and_approved,
    plans::what_waits_is_funded_later_and_a_late_answer_changes_nothing,
    plans::a_batch_is_refused_whole_and_tells_which_element,
    plans::a_repeated_request_has_the_same_answer_whatever_the_registry_says_now,
    plans::five_hundred_at_once,
    plans::who_sees_what_of_a_plan,
    deliveries::nothing_is_handed_out_twice,
    deliveries::what_was_not_collected_lapses_and_is_listed_anew,
    deliveries::a_distribution_serves_one_kind_in_one_district,
    deliveries::a_visit_tells_what_came_of_it,
    deliveries::two_writers_do_not_deliver_the_same_plan,
    trainings::a_cohort_learns_its_trade_and_each_trainee_is_told_of,
    trainings::a_cohort_takes_no_more_than_its_capacity,
    trainings::only_approved_plans_of_the_trade_and_the_district_are_enrolled,
    trainings::two_writers_do_not_share_the_last_seat,
];

pub struct Assistance {
    pub store: Store,
    pub programme: Uuid,
    pub operator: Caller,
    pub registry: Registry,
    peers: Peers,
    _dir: tempfile::TempDir,
}

impl Assistance {
    async fn embedded() -> Self {
        Self::new(None).await
    }

    /// On a new database of the given server; a server that is required and not given is a failure.
    async fn production() -> Option<Self> {
        let Ok(server) = std::env::var("TAHUKA_TEST_DATABASE_URL") else {
            assert!(std::env::var("TAHUKA_TEST_REQUIRE").is_err(), "TAHUKA_TEST_DATABASE_URL must be set: run `make test`");
            return None;
        };
        let name = format!("assistance_{}", ids::new_id().simple());
        let maintenance = Database::connect(&server).await.unwrap();
        maintenance.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
        let (base, query) = server.split_once('?').map_or((server.as_str(), String::new()), |(b, q)| (b, format!("?{q}")));
        let (base, _) = base.rsplit_once('/').unwrap();
        Some(Self::new(Some(format!("{base}/{name}{query}"))).await)
    }

    async fn new(url: Option<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = DatabaseConfig { url, max_connections: 4, ..Config::default().database };
        let config = Arc::new(Config { data_dir: dir.path().to_owned(), database, ..Config::default() });
        tahuka_chassis::migrate(&[crate::service()], &config).await.unwrap();
        let store = Store::open("assistance", &config.database, &config.data_dir).await.unwrap();
        let own = ids::new_id();
        let operator = caller(own, own, DisclosureLevel::Identified, &[], true);
        let programme = ids::new_id();
        let registry = Registry::new(programme, own);
        let peers = Peers::default();
        peers.add("registry", registry.peer());
        Assistance { store, programme, operator, registry, peers, _dir: dir }
    }

    /// Somebody of another tenant whom the operator lets see its records.
    pub fn guest(&self, level: DisclosureLevel, districts: &[&str], write: bool) -> Caller {
        caller(ids::new_id(), self.operator.tenant_id, level, districts, write)
    }

    pub fn catalogue(&self) -> Catalogue {
        Catalogue { store: self.store.clone() }
    }

    pub fn plans(&self) -> Plans {
        Plans { store: self.store.clone(), peers: self.peers.clone() }
    }

    pub fn cohorts(&self) -> Cohorts {
        Cohorts { store: self.store.clone() }
    }

    pub fn distributions(&self) -> Distributions {
        Distributions { store: self.store.clone() }
    }

    pub fn follow_up(&self) -> FollowUp {
        FollowUp { store: self.store.clone() }
    }

    pub fn new_package(&self, kind: AssistanceKind, item: &str) -> CreatePackageRequest {
        CreatePackageRequest {
            request_id: request_id(),
            programme_id: self.programme.to_string(),
            code: format!("{kind:?}-{item}"),
            kind: kind.into(),
            item: item.into(),
            name: format!("Package of {item}"),
            items: vec![PackageItem { name: item.into(), quantity: 2, unit: "piece".into() }],
            unit_cost: Some(Money { currency_code: "USD".into(), units: 350, nanos: 500_000_000 }),
            conditions: None,
        }
    }

    pub async fn package(&self, kind: AssistanceKind, item: &str) -> Package {
        let request = self.new_package(kind, item);
        self.catalogue().create_package(asked(&self.operator, request)).await.unwrap().into_inner().package.unwrap()
    }

    pub fn new_plan(&self, person: &Person, package: &Package) -> NewPlan {
        NewPlan {
            household_id: person.household_id.to_string(),
            individual_id: person.individual_id.to_string(),
            package_id: package.id.clone(),
            drafted_on: date(2012, 5, 1),
            submitted_on: date(2012, 5, 2),
        }
    }

    pub async fn create_plans(&self, plans: Vec<NewPlan>) -> Result<Vec<Plan>, Status> {
        let request = BatchCreatePlansRequest { request_id: request_id(), programme_id: self.programme.to_string(), plans };
        Ok(self.plans().batch_create_plans(asked(&self.operator, request)).await?.into_inner().plans)
    }

    /// Submitted plans of so many new people of the district.
    pub async fn submitted(&self, package: &Package, district: &str, count: usize) -> Vec<Plan> {
        let people: Vec<_> = (0..count).map(|_| self.registry.person(district)).collect();
        self.create_plans(people.iter().map(|person| self.new_plan(person, package)).collect()).await.unwrap()
    }

    /// The same, funded and approved.
    pub async fn approved(&self, package: &Package, district: &str, count: usize) -> Vec<Plan> {
        let plans = self.submitted(package, district, count).await;
        for plan in &plans {
            self.fund(plan).await;
        }
        self.approve(&plans).await.unwrap()
    }

    pub async fn approve(&self, plans: &[Plan]) -> Result<Vec<Plan>, Status> {
        let request = BatchApprovePlansRequest {
            request_id: request_id(),
            plan_ids: plans.iter().map(|plan| plan.id.clone()).collect(),
            approved_on: date(2012, 5, 10),
        };
        Ok(self.plans().batch_approve_plans(asked(&self.operator, request)).await?.into_inner().plans)
    }

    pub async fn cancel(&self, plan: &Plan) -> Result<Plan, Status> {
        let request = CancelPlanRequest {
            request_id: request_id(),
            plan_id: plan.id.clone(),
            etag: self.plan(plan).await.etag,
            cancelled_on: date(2012, 6, 1),
            reason: "went back to Goma".into(),
        };
        Ok(self.plans().cancel_plan(asked(&self.operator, request)).await?.into_inner().plan.unwrap())
    }

    pub async fn plan(&self, plan: &Plan) -> Plan {
        let request = GetPlanRequest { plan_id: plan.id.clone() };
        self.plans().get_plan(asked(&self.operator, request)).await.unwrap().into_inner().plan.unwrap()
    }

    pub async fn state(&self, plan: &Plan) -> PlanState {
        self.plan(plan).await.state()
    }

    /// Funding has money for the plan.
    pub async fn fund(&self, plan: &Plan) {
        let told = FundsReserved {
            programme_id: self.programme.to_string(),
            happened_on: date(2012, 5, 3),
            grant_id: GRANT.to_string(),
            need_id: plan.id.clone(),
            need_kind: "plan".into(),
            kind: "shelter".into(),
            district: plan.district.clone(),
            amount: plan.cost.clone(),
            household_id: plan.household_id.clone(),
        };
        self.hear(&told).await;
    }

    /// Funding has none.
    pub async fn refuse_funds(&self, plan: &Plan) {
        let told = FundsNotAvailable { need_id: plan.id.clone(), need_kind: "plan".into(), ..Default::default() };
        self.hear(&told).await;
    }

    pub async fn hear<M: EventMessage>(&self, told: &M) {
        let event = Event {
            id: ids::new_id(),
            kind: M::KIND.into(),
            custodian: self.operator.tenant_id,
            aggregate_id: ids::new_id(),
            recorded_at: clock::now(),
            body: told.encode_to_vec().into(),
        };
        let mut tx = self.store.system("test").await.unwrap();
        consumers::Money.handle(&mut tx, &event).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// All events of one kind, in order.
    pub async fn told<M: EventMessage>(&self) -> Vec<M> {
        let tx = self.store.system("test").await.unwrap();
        let sql = "SELECT body FROM journal WHERE kind = $1 ORDER BY seq";
        let statement = Statement::from_sql_and_values(tx.conn().get_database_backend(), sql, [M::KIND.into()]);
        let rows = tx.conn().query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| M::decode(row.try_get::<Vec<u8>>("", "body").unwrap().as_slice()).unwrap()).collect()
    }

    pub async fn cohort(&self, trade: &str, district: &str, capacity: i32) -> Cohort {
        let request = CreateCohortRequest {
            request_id: request_id(),
            programme_id: self.programme.to_string(),
            district: district.into(),
            trade: trade.into(),
            provider: "Gacuriro VTC".into(),
            name: format!("{trade} in {district}"),
            capacity,
            starts_on: date(2012, 5, 15),
            ends_on: date(2012, 11, 15),
        };
        self.cohorts().create_cohort(asked(&self.operator, request)).await.unwrap().into_inner().cohort.unwrap()
    }

    pub async fn distribute(&self, kind: AssistanceKind, plans: &[Plan]) -> Result<Distribution, Status> {
        let request = CreateDistributionRequest {
            request_id: request_id(),
            programme_id: self.programme.to_string(),
            place: "RW3304".into(),
            kind: kind.into(),
            name: "At the sector office".into(),
            planned_on: date(2012, 5, 20),
            plan_ids: plans.iter().map(|plan| plan.id.clone()).collect(),
        };
        let answer = self.distributions().create_distribution(asked(&self.operator, request)).await?;
        Ok(answer.into_inner().distribution.unwrap())
    }

    pub async fn deliver(&self, distribution: &Distribution, plans: &[&Plan]) -> Result<Distribution, Status> {
        let request = RecordDeliveriesRequest {
            request_id: request_id(),
            distribution_id: distribution.id.clone(),
            deliveries: plans.iter().enumerate().map(|(n, plan)| delivery(plan, n)).collect(),
        };
        let answer = self.distributions().record_deliveries(asked(&self.operator, request)).await?;
        Ok(answer.into_inner().distribution.unwrap())
    }
}

pub const GRANT: Uuid = Uuid::from_u128(77);

fn delivery(plan: &Plan, n: usize) -> NewDelivery {
    NewDelivery {
        plan_id: plan.id.clone(),
        proof_kind: if n.is_multiple_of(2) { ProofKind::Signature } else { ProofKind::Thumbprint }.into(),
        proof_reference: format!("list 7, line {n}"),
        delivered_on: date(2012, 5, 20 + i32::try_from(n % 3).unwrap()),
    }
}

fn caller(tenant: Uuid, custodian: Uuid, level: DisclosureLevel, districts: &[&str], write: bool) -> Caller {
    let entry = ScopeEntry {
        category: DataCategory::Assistance.into(),
        level: level.into(),
        custodian,
        districts: districts.iter().map(|d| (*d).to_owned()).collect(),
        write,
        ..Default::default()
    };
    Caller {
        tenant_id: tenant,
        tenant_kind: TenantKind::Operator,
        subject: "somebody".into(),
        scope: Scope::Entries(vec![entry]),
        ..Caller::system("test")
    }
}

pub fn asked<M>(caller: &Caller, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller.clone());
    request
}

pub fn request_id() -> String {
    ids::new_id().to_string()
}

pub fn date(year: i32, month: i32, day: i32) -> Option<Date> {
    Some(Date { year, month, day })
}

/// The stable reason of a refusal.
pub fn reason(refused: &Status) -> String {
    refused.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// The first field that a refusal names.
pub fn field(refused: &Status) -> String {
    let details = refused.get_details_bad_request().map(|d| d.field_violations).unwrap_or_default();
    details.into_iter().next().map(|violation| violation.field).unwrap_or_default()
}
