//! Projects as its callers meet it, on a database of its own. What the database itself must hold too is told on both back
//! ends, where a PostgreSQL server is given in TAHUKA_TEST_DATABASE_URL.

use std::sync::Arc;

use prost::Message as _;
use sea_orm::{ConnectionTrait as _, Database, DbBackend, Statement};
use tahuka_chassis::{Caller, Config, Consumer as _, Event, Scope, ScopeEntry, Store, TenantKind, clock, ids};
use tahuka_proto::EventMessage;
use tahuka_proto::funding::v1::{FundsNotAvailable, FundsReserved};
use tahuka_proto::google::r#type::{Date, Money};
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::projects::v1::campaign_service_server::CampaignService as _;
use tahuka_proto::projects::v1::project_service_server::ProjectService as _;
use tahuka_proto::projects::v1::*;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::campaign::rpc::Campaigns;
use crate::consumers::FundingAnswers;
use crate::project::rpc::Projects;

struct House {
    store: Store,
    projects: Projects,
    campaigns: Campaigns,
    programme: Uuid,
    operator: Caller,
    _dir: tempfile::TempDir,
}

impl House {
    async fn new() -> Self {
        Self::on(None).await
    }

    /// One on SQLite, and one on PostgreSQL where there is a server.
    async fn on_each() -> Vec<Self> {
        let mut houses = vec![Self::new().await];
        if let Ok(server) = std::env::var("TAHUKA_TEST_DATABASE_URL") {
            let name = format!("projects_{}", ids::new_id().simple());
            let admin = Database::connect(&server).await.unwrap();
            admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
            houses.push(Self::on(Some(format!("{}/{name}", server.rsplit_once('/').unwrap().0))).await);
        }
        houses
    }

    async fn on(url: Option<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        (config.database.url, config.database.max_connections) = (url, 4);
        let config = Arc::new(config);
        tahuka_chassis::migrate(&[crate::service()], &config).await.unwrap();
        let store = Store::open("projects", &config.database, &config.data_dir).await.unwrap();
        let own = ids::new_id();
        House {
            projects: Projects { store: store.clone() },
            campaigns: Campaigns { store: store.clone() },
            store,
            programme: ids::new_id(),
            operator: caller(own, own, DisclosureLevel::Identified, &[], true),
            _dir: dir,
        }
    }

    /// Staff of the operator's own who work in some districts only.
    fn staff(&self, districts: &[&str]) -> Caller {
        caller(self.operator.tenant_id, self.operator.tenant_id, DisclosureLevel::Identified, districts, true)
    }

    /// Somebody of another tenant whom the operator lets see its records.
    fn guest(&self, level: DisclosureLevel, districts: &[&str]) -> Caller {
        caller(ids::new_id(), self.operator.tenant_id, level, districts, false)
    }

    fn new_project(&self, code: &str) -> CreateProjectRequest {
        let facility = |kind: FacilityKind, name: &str, place: &str| NewFacility {
            kind: kind.into(),
            name: name.into(),
            place: place.into(),
        };
        CreateProjectRequest {
            request_id: again(),
            programme_id: self.programme.to_string(),
            code: code.into(),
            title: "School and health post of Gisenyi".into(),
            place: "RW3304".into(),
            partners: vec!["Rubavu district".into()],
            budget: usd(120_000),
            starts_on: Some(date(2011, 9, 1)),
            facilities: vec![
                facility(FacilityKind::School, "GS Gisenyi", "RW330401"),
                facility(FacilityKind::HealthPost, "Health post", "RW3305"),
            ],
        }
    }

    async fn created(&self, code: &str) -> Project {
        let answer = self.projects.create_project(asked(&self.operator, self.new_project(code))).await;
        answer.unwrap().into_inner().project.unwrap()
    }

    async fn submitted(&self, code: &str) -> Project {
        let project = self.created(code).await;
        let request = SubmitProjectRequest {
            request_id: again(),
            project_id: project.id,
            etag: project.etag,
            submitted_on: Some(date(2011, 5, 2)),
        };
        self.projects.submit_project(asked(&self.operator, request)).await.unwrap().into_inner().project.unwrap()
    }

    async fn approved(&self, code: &str) -> Project {
        let project = self.submitted(code).await;
        self.hear(reserved(self.programme, &project.id)).await;
        let project = self.read(&self.operator, &project.id).await.unwrap();
        self.approve(&project).await.unwrap()
    }

    async fn approve(&self, project: &Project) -> Result<Project, Status> {
        let request = ApproveProjectRequest {
            request_id: again(),
            project_id: project.id.clone(),
            etag: project.etag.clone(),
            approved_on: Some(date(2011, 6, 20)),
        };
        let answer = self.projects.approve_project(asked(&self.operator, request)).await?;
        Ok(answer.into_inner().project.unwrap())
    }

    async fn cancel(&self, project: &Project) -> Result<Project, Status> {
        let request = CancelProjectRequest {
            request_id: again(),
            project_id: project.id.clone(),
            etag: project.etag.clone(),
            cancelled_on: Some(date(2011, 7, 1)),
            reason: "the site floods".into(),
        };
        let answer = self.projects.cancel_project(asked(&self.operator, request)).await?;
        Ok(answer.into_inner().project.unwrap())
    }

    async fn progress(&self, project: &str, percent: i32) -> Result<Project, Status> {
        let request = RecordProgressRequest {
            request_id: again(),
            project_id: project.into(),
            reported_on: Some(date(2012, 1, 10)),
            percent,
            note: "walls up".into(),
        };
        Ok(self.projects.record_progress(asked(&self.operator, request)).await?.into_inner().project.unwrap())
    }

    async fn complete_facility(&self, project: &Project, at: usize) -> Result<Project, Status> {
        let request = CompleteFacilityRequest {
            request_id: again(),
            project_id: project.id.clone(),
            facility_id: project.facilities[at].id.clone(),
            completed_on: Some(date(2012, 5, 1)),
        };
        Ok(self.projects.complete_facility(asked(&self.operator, request)).await?.into_inner().project.unwrap())
    }

    async fn complete(&self, project: &Project, cost: Option<Money>) -> Result<Project, Status> {
        let request = CompleteProjectRequest {
            request_id: again(),
            project_id: project.id.clone(),
            etag: project.etag.clone(),
            completed_on: Some(date(2012, 6, 1)),
            cost,
        };
        Ok(self.projects.complete_project(asked(&self.operator, request)).await?.into_inner().project.unwrap())
    }

    async fn count(&self, project: &str, counts: &[(&str, &str, i64)]) -> Result<Project, Status> {
        let count = |(sex, age_band, people): &(&str, &str, i64)| PeopleCount {
            sex: (*sex).into(),
            age_band: (*age_band).into(),
            people: *people,
        };
        let request = RecordPeopleServedRequest {
            request_id: again(),
            project_id: project.into(),
            counted_on: Some(date(2012, 9, 1)),
            method: "school register".into(),
            counts: counts.iter().map(count).collect(),
        };
        Ok(self.projects.record_people_served(asked(&self.operator, request)).await?.into_inner().project.unwrap())
    }

    async fn read(&self, caller: &Caller, project: &str) -> Result<Project, Status> {
        let request = GetProjectRequest { project_id: project.into() };
        Ok(self.projects.get_project(asked(caller, request)).await?.into_inner().project.unwrap())
    }

    async fn codes(&self, caller: &Caller, change: impl FnOnce(&mut ListProjectsRequest)) -> Vec<String> {
        let mut request = ListProjectsRequest { programme_id: self.programme.to_string(), ..Default::default() };
        change(&mut request);
        let answer = self.projects.list_projects(asked(caller, request)).await.unwrap().into_inner();
        answer.projects.into_iter().map(|p| p.code).collect()
    }

    async fn campaign(&self, caller: &Caller, code: &str, district: &str) -> Result<Campaign, Status> {
        let level = if district.is_empty() { CampaignLevel::National } else { CampaignLevel::Local };
        let request = CreateCampaignRequest {
            request_id: again(),
            programme_id: self.programme.to_string(),
            code: code.into(),
            level: level.into(),
            district: district.into(),
            title: "Come home informed".into(),
            topic: "rights and services".into(),
            channels: vec![Channel::Radio.into(), Channel::Theatre.into()],
            starts_on: Some(date(2012, 3, 5)),
            ends_on: Some(date(2012, 3, 9)),
        };
        Ok(self.campaigns.create_campaign(asked(caller, request)).await?.into_inner().campaign.unwrap())
    }

    async fn campaigns_of(&self, caller: &Caller, change: impl FnOnce(&mut ListCampaignsRequest)) -> Vec<String> {
        let mut request = ListCampaignsRequest { programme_id: self.programme.to_string(), ..Default::default() };
        change(&mut request);
        let answer = self.campaigns.list_campaigns(asked(caller, request)).await.unwrap().into_inner();
        answer.campaigns.into_iter().map(|c| c.code).collect()
    }

    async fn hear<M: EventMessage>(&self, told: M) {
        let event = Event {
            id: ids::new_id(),
            kind: M::KIND.into(),
            custodian: self.operator.tenant_id,
            aggregate_id: ids::new_id(),
            recorded_at: clock::now(),
            body: told.encode_to_vec().into(),
        };
        let mut tx = self.store.system("test").await.unwrap();
        FundingAnswers.handle(&mut tx, &event).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The events in the journal, by the last part of their name.
    async fn journal(&self) -> Vec<(String, Vec<u8>)> {
        let tx = self.store.system("test").await.unwrap();
        let all = Statement::from_string(tx.conn().get_database_backend(), "SELECT kind, body FROM journal ORDER BY seq");
        let rows = tx.conn().query_all_raw(all).await.unwrap();
        let event = |row: &sea_orm::QueryResult| {
            let kind: String = row.try_get("", "kind").unwrap();
            (kind.rsplit('.').next().unwrap().to_owned(), row.try_get("", "body").unwrap())
        };
        rows.iter().map(event).collect()
    }
}

fn caller(tenant: Uuid, custodian: Uuid, level: DisclosureLevel, districts: &[&str], write: bool) -> Caller {
    let entry = ScopeEntry {
        category: DataCategory::Projects.into(),
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

fn asked<M>(caller: &Caller, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller.clone());
    request
}

fn again() -> String {
    ids::new_id().to_string()
}

fn date(year: i32, month: i32, day: i32) -> Date {
    Date { year, month, day }
}

fn usd(units: i64) -> Option<Money> {
    Some(Money { currency_code: "USD".into(), units, nanos: 0 })
}

fn reserved(programme: Uuid, project: &str) -> FundsReserved {
    FundsReserved {
        programme_id: programme.to_string(),
        happened_on: Some(date(2011, 6, 15)),
        grant_id: Uuid::from_u128(7).to_string(),
        need_id: project.into(),
        need_kind: "project".into(),
        kind: "project".into(),
        district: "RW33".into(),
        amount: usd(120_000),
        ..Default::default()
    }
}

fn not_available(programme: Uuid, project: &str) -> FundsNotAvailable {
    FundsNotAvailable {
        programme_id: programme.to_string(),
        happened_on: Some(date(2011, 5, 2)),
        need_id: project.into(),
        need_kind: "project".into(),
        kind: "project".into(),
        district: "RW33".into(),
        amount: usd(120_000),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_project_is_funded_built_completed_and_serves_people() {
    for house in House::on_each().await {
        let project = house.submitted("P-01").await;
        assert_eq!((project.state(), project.district.as_str(), project.etag.as_str()), (ProjectState::Submitted, "RW33", "2"));
        assert_eq!(house.approve(&project).await.unwrap_err().code(), Code::FailedPrecondition, "not funded yet");

        house.hear(not_available(house.programme, &project.id)).await;
        let waiting = house.read(&house.operator, &project.id).await.unwrap();
        assert_eq!((waiting.state(), waiting.grant_id.as_str()), (ProjectState::Waiting, ""));
        house.hear(reserved(house.programme, &project.id)).await;
        let funded = house.read(&house.operator, &project.id).await.unwrap();
        assert_eq!((funded.state(), funded.funded_on), (ProjectState::Funded, Some(date(2011, 6, 15))));
        assert_eq!(funded.grant_id, Uuid::from_u128(7).to_string());

        assert_eq!(house.approve(&project).await.unwrap_err().code(), Code::Aborted, "funding's answer made a new version");
        assert_eq!(house.approve(&funded).await.unwrap().state(), ProjectState::Approved);
        let at_work = house.progress(&project.id, 50).await.unwrap();
        assert_eq!((at_work.state(), at_work.progress_percent), (ProjectState::InProgress, 50));
        assert_eq!(house.progress(&project.id, 40).await.unwrap_err().code(), Code::InvalidArgument);

        let half = house.complete_facility(&at_work, 0).await.unwrap();
        assert_eq!(half.facilities[0].state(), FacilityState::Completed);
        assert_eq!(half.facilities[1].state(), FacilityState::Planned);
        let open = house.complete(&half, usd(1)).await.unwrap_err();
        assert_eq!((open.code(), open.message()), (Code::FailedPrecondition, "complete every facility of the project first"));
        let built = house.complete_facility(&half, 1).await.unwrap();
        let francs = Some(Money { currency_code: "RWF".into(), units: 5, nanos: 0 });
        for cost in [usd(120_001), francs, usd(0), None] {
            assert_eq!(house.complete(&built, cost).await.unwrap_err().code(), Code::InvalidArgument);
        }
        let done = house.complete(&built, usd(118_500)).await.unwrap();
        assert_eq!((done.state(), done.progress_percent, done.cost.clone()), (ProjectState::Completed, 100, usd(118_500)));

        house.count(&project.id, &[("female", "5-11", 420), ("male", "5-11", 390)]).await.unwrap();
        let served = house.count(&project.id, &[("female", "5-11", 10)]).await.unwrap();
        assert_eq!((served.people_served, served.state()), (820, ProjectState::Completed));

        let told: Vec<_> = house.journal().await;
        let names: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "ProjectSubmitted",
                "ProjectApproved",
                "FacilityCompleted",
                "FacilityCompleted",
                "ProjectCompleted",
                "PeopleServed",
                "PeopleServed",
                "PeopleServed"
            ]
        );
        let completed = ProjectCompleted::decode(told[4].1.as_slice()).unwrap();
        assert_eq!(
            (completed.cost, completed.grant_id, completed.happened_on),
            (usd(118_500), done.grant_id, Some(date(2012, 6, 1)))
        );
        assert_eq!(FacilityCompleted::decode(told[3].1.as_slice()).unwrap().kind, "health_post");
        let people = PeopleServed::decode(told[6].1.as_slice()).unwrap();
        assert_eq!(
            (people.sex.as_str(), people.age_band.as_str(), people.people, people.district.as_str()),
            ("male", "5-11", 390, "RW33")
        );
    }
}

#[tokio::test]
async fn a_request_takes_effect_once_and_a_code_is_given_once() {
    for house in House::on_each().await {
        let request = house.new_project("P-01");
        let first = house.projects.create_project(asked(&house.operator, request.clone())).await.unwrap().into_inner();
        let second = house.projects.create_project(asked(&house.operator, request)).await.unwrap().into_inner();
        assert_eq!(first, second);
        let taken = house.projects.create_project(asked(&house.operator, house.new_project("P-01"))).await.unwrap_err();
        assert_eq!(taken.code(), Code::AlreadyExists);
        let other = CreateProjectRequest { programme_id: again(), ..house.new_project("P-01") };
        house.projects.create_project(asked(&house.operator, other)).await.unwrap();
    }
}

#[tokio::test]
async fn a_project_stands_where_its_facilities_stand() {
    let house = House::new().await;
    let refused = async |change: fn(&mut CreateProjectRequest)| {
        let mut request = house.new_project("P-01");
        change(&mut request);
        let refusal = house.projects.create_project(asked(&house.operator, request)).await.unwrap_err();
        assert_eq!(refusal.code(), Code::InvalidArgument);
        refusal.message().to_owned()
    };
    assert!(refused(|r| r.place = "RW3".into()).await.contains("place: must be a district, sector or cell"));
    assert!(refused(|r| r.facilities[1].place = "RW4303".into()).await.contains("facilities[1].place: must lie in"));
    assert!(refused(|r| r.facilities[0].kind = 0).await.contains("facilities[0].kind"));
    assert!(refused(|r| r.facilities.clear()).await.contains("facilities: must be 1 to 50"));
    assert!(refused(|r| r.budget = usd(0)).await.contains("budget: must be above zero"));
    assert!(refused(|r| r.partners.push(" ".into())).await.contains("partners[1]"));
    assert!(house.codes(&house.operator, |_| ()).await.is_empty());
}

#[tokio::test]
async fn a_cancelled_project_does_not_hear_funding_any_more() {
    let house = House::new().await;
    let project = house.submitted("P-01").await;
    let cancelled = house.cancel(&project).await.unwrap();
    assert_eq!((cancelled.state(), cancelled.cancellation_reason.as_str()), (ProjectState::Cancelled, "the site floods"));
    house.hear(reserved(house.programme, &project.id)).await;
    assert_eq!(house.read(&house.operator, &project.id).await.unwrap(), cancelled);
    let over = house.count(&project.id, &[("female", "0-4", 1)]).await.unwrap_err();
    assert_eq!(over.code(), Code::FailedPrecondition);

    let draft = house.created("P-02").await;
    house.cancel(&draft).await.unwrap();
    let names: Vec<_> = house.journal().await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["ProjectSubmitted", "ProjectCancelled"], "nobody has heard of the draft");

    // Answers for what is no project, or not known, are left.
    let unknown = again();
    house.hear(reserved(house.programme, &unknown)).await;
    house.hear(FundsReserved { need_kind: "plan".into(), ..reserved(house.programme, &unknown) }).await;
}

#[tokio::test]
async fn people_are_counted_from_the_approval_on_and_listed() {
    for house in House::on_each().await {
        let draft = house.created("P-01").await;
        assert_eq!(house.count(&draft.id, &[("female", "0-4", 3)]).await.unwrap_err().code(), Code::FailedPrecondition);
        let project = house.approved("P-02").await;
        for wrong in [("woman", "0-4", 3), ("female", "0-5", 3), ("female", "0-4", 0), ("female", "0-4", 1_000_001)] {
            assert_eq!(house.count(&project.id, &[wrong]).await.unwrap_err().code(), Code::InvalidArgument);
        }
        let twice = [("female", "0-4", 3), ("female", "0-4", 4)];
        assert_eq!(house.count(&project.id, &twice).await.unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(house.count(&project.id, &[]).await.unwrap_err().code(), Code::InvalidArgument);
        let counts = [("female", "0-4", 3), ("male", "60+", 4), ("unknown", "unknown", 5)];
        assert_eq!(house.count(&project.id, &counts).await.unwrap().people_served, 12);

        let page = |page_token: String| ListPeopleServedRequest { project_id: project.id.clone(), page_size: 2, page_token };
        let first = house.projects.list_people_served(asked(&house.operator, page(String::new()))).await.unwrap().into_inner();
        let rest =
            house.projects.list_people_served(asked(&house.operator, page(first.next_page_token))).await.unwrap().into_inner();
        let people: Vec<_> = first.records.iter().chain(&rest.records).map(|r| (r.sex.as_str(), r.people)).collect();
        assert_eq!(people, [("female", 3), ("male", 4), ("unknown", 5)]);
        assert_eq!(rest.next_page_token, "");

        house.progress(&project.id, 10).await.unwrap();
        house.progress(&project.id, 30).await.unwrap();
        let request = ListProgressRequest { project_id: project.id.clone(), ..Default::default() };
        let reports = house.projects.list_progress(asked(&house.operator, request)).await.unwrap().into_inner().progress;
        assert_eq!(
            reports.iter().map(|r| (r.percent, r.note.as_str())).collect::<Vec<_>>(),
            [(10, "walls up"), (30, "walls up")]
        );
    }
}

#[tokio::test]
async fn who_may_not_know_is_told_not_found() {
    for house in House::on_each().await {
        let project = house.approved("P-01").await;
        let elsewhere = house.guest(DisclosureLevel::Identified, &["RW43"]);
        assert_eq!(house.read(&elsewhere, &project.id).await.unwrap_err().code(), Code::NotFound);
        assert!(house.codes(&elsewhere, |_| ()).await.is_empty());
        let request = ListProgressRequest { project_id: project.id.clone(), ..Default::default() };
        assert_eq!(house.projects.list_progress(asked(&elsewhere, request)).await.unwrap_err().code(), Code::NotFound);

        let donor = house.guest(DisclosureLevel::Aggregate, &[]);
        let seen = house.read(&donor, &project.id).await.unwrap();
        assert_eq!((seen.code.as_str(), seen.budget.clone(), seen.facilities.len()), ("P-01", usd(120_000), 2));

        for nobody in [donor, house.staff(&["RW43"])] {
            let request = RecordProgressRequest {
                request_id: again(),
                project_id: project.id.clone(),
                reported_on: Some(date(2012, 1, 10)),
                percent: 10,
                note: String::new(),
            };
            assert_eq!(house.projects.record_progress(asked(&nobody, request)).await.unwrap_err().code(), Code::NotFound);
        }
        let created = house.projects.create_project(asked(&house.staff(&["RW43"]), house.new_project("P-02"))).await;
        assert_eq!(created.unwrap_err().code(), Code::NotFound);
    }
}

#[tokio::test]
async fn projects_are_listed_by_district_and_state() {
    let house = House::new().await;
    house.created("P-01").await;
    house.submitted("P-02").await;
    assert_eq!(house.codes(&house.operator, |_| ()).await, ["P-01", "P-02"]);
    assert_eq!(house.codes(&house.operator, |r| r.state = ProjectState::Submitted.into()).await, ["P-02"]);
    assert_eq!(house.codes(&house.operator, |r| r.district = "RW33".into()).await.len(), 2);
    assert!(house.codes(&house.operator, |r| r.district = "RW43".into()).await.is_empty());
    assert!(house.codes(&house.operator, |r| r.programme_id = again()).await.is_empty());
    let wrong = ListProjectsRequest { state: 99, ..Default::default() };
    assert_eq!(house.projects.list_projects(asked(&house.operator, wrong)).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_campaign_is_held_once_and_tells_its_cost() {
    let house = House::new().await;
    let campaign = house.campaign(&house.operator, "C-01", "RW43").await.unwrap();
    assert_eq!(house.campaign(&house.operator, "C-01", "").await.unwrap_err().code(), Code::AlreadyExists);
    let hold = |etag: &str, day, cost| HoldCampaignRequest {
        request_id: again(),
        campaign_id: campaign.id.clone(),
        etag: etag.into(),
        held_on: Some(date(2012, 3, day)),
        reach: 4000,
        cost,
    };
    let held = async |request| house.campaigns.hold_campaign(asked(&house.operator, request)).await.map(|r| r.into_inner());
    assert_eq!(held(hold("1", 4, usd(900))).await.unwrap_err().code(), Code::InvalidArgument, "before it starts");
    assert_eq!(held(hold("1", 9, usd(0))).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(held(hold("2", 9, usd(900))).await.unwrap_err().code(), Code::Aborted);
    let done = held(hold("1", 9, usd(900))).await.unwrap().campaign.unwrap();
    assert_eq!((done.state(), done.reach, done.cost.clone()), (CampaignState::Held, 4000, usd(900)));
    assert_eq!(held(hold("2", 9, usd(900))).await.unwrap_err().code(), Code::FailedPrecondition);
    let cancel = CancelCampaignRequest { request_id: again(), campaign_id: campaign.id.clone(), etag: done.etag };
    let refusal = house.campaigns.cancel_campaign(asked(&house.operator, cancel)).await.unwrap_err();
    assert_eq!(refusal.code(), Code::FailedPrecondition);

    let (name, body) = house.journal().await.remove(0);
    let told = CampaignHeld::decode(body.as_slice()).unwrap();
    assert_eq!((name.as_str(), told.level.as_str(), told.district.as_str()), ("CampaignHeld", "local", "RW43"));
    assert_eq!((told.reach, told.cost), (4000, usd(900)));
}

#[tokio::test]
async fn a_national_campaign_is_for_whom_no_district_limits() {
    for house in House::on_each().await {
        let national = house.campaign(&house.operator, "C-00", "").await.unwrap();
        house.campaign(&house.operator, "C-33", "RW33").await.unwrap();
        let musanze = house.staff(&["RW43"]);
        house.campaign(&musanze, "C-43", "RW43").await.unwrap();
        assert_eq!(house.campaign(&musanze, "C-44", "").await.unwrap_err().code(), Code::NotFound);
        assert_eq!(house.campaign(&musanze, "C-44", "RW33").await.unwrap_err().code(), Code::NotFound);

        assert_eq!(house.campaigns_of(&house.operator, |_| ()).await, ["C-00", "C-33", "C-43"]);
        assert_eq!(house.campaigns_of(&house.guest(DisclosureLevel::Aggregate, &[]), |_| ()).await, ["C-00", "C-33", "C-43"]);
        assert_eq!(house.campaigns_of(&musanze, |_| ()).await, ["C-43"]);
        assert_eq!(house.campaigns_of(&house.operator, |r| r.level = CampaignLevel::National.into()).await, ["C-00"]);
        assert_eq!(house.campaigns_of(&house.operator, |r| r.district = "RW33".into()).await, ["C-33"]);

        let get = || GetCampaignRequest { campaign_id: national.id.clone() };
        assert_eq!(house.campaigns.get_campaign(asked(&musanze, get())).await.unwrap_err().code(), Code::NotFound);
        let donor = house.guest(DisclosureLevel::Aggregate, &[]);
        let seen = house.campaigns.get_campaign(asked(&donor, get())).await.unwrap().into_inner().campaign.unwrap();
        assert_eq!((seen.title.as_str(), seen.district.as_str(), seen.channels.len()), ("Come home informed", "", 2));
    }
}

#[tokio::test]
async fn counts_that_come_at_the_same_time_all_count() {
    for house in House::on_each().await {
        let project = house.approved("P-01").await;
        let count = async || house.count(&project.id, &[("female", "25-59", 10)]).await.unwrap();
        tokio::join!(count(), count(), count(), count());
        assert_eq!(house.read(&house.operator, &project.id).await.unwrap().people_served, 40);
    }
}

#[tokio::test]
async fn the_database_itself_keeps_the_scope() {
    for house in House::on_each().await {
        house.approved("P-01").await;
        house.campaign(&house.operator, "C-00", "").await.unwrap();
        house.campaign(&house.operator, "C-33", "RW33").await.unwrap();
        let stranger = caller(ids::new_id(), ids::new_id(), DisclosureLevel::Identified, &[], true);
        for (who, table, rows) in [
            (&house.operator, "campaign", 2),
            (&house.staff(&["RW33"]), "campaign", 1),
            (&house.staff(&["RW43"]), "campaign", 0),
            (&stranger, "campaign", 0),
            (&house.staff(&["RW33"]), "facility", 2),
            (&house.staff(&["RW43"]), "facility", 0),
        ] {
            let tx = house.store.read(who).await.unwrap();
            let backend = tx.conn().get_database_backend();
            if backend != DbBackend::Postgres {
                break;
            }
            let all = Statement::from_string(backend, format!("SELECT id FROM {table}"));
            assert_eq!(tx.conn().query_all_raw(all).await.unwrap().len(), rows, "{table}");
        }
    }
}
