//! The read model as its callers meet it: events in at one end, questions at the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use sea_orm::ConnectionTrait as _;
use tahuka_chassis::{Caller, Config, Consumer as _, Event, House, Scope, ScopeEntry, Store, TenantKind, clock, edge, ids};
use tahuka_proto::EventMessage;
use tahuka_proto::assistance::v1::{AssistanceDelivered, PlanSubmitted, VisitRecorded};
use tahuka_proto::funding::v1::*;
use tahuka_proto::google::r#type::{Date, Money};
use tahuka_proto::insight::v1::indicator_service_server::IndicatorService as _;
use tahuka_proto::insight::v1::published_figure_service_server::PublishedFigureService as _;
use tahuka_proto::insight::v1::report_service_server::ReportService as _;
use tahuka_proto::insight::v1::{Dimension, *};
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::projects::v1::{CampaignHeld, FacilityCompleted, PeopleServed};
use tahuka_proto::registry::v1::{HouseholdRegistered, IndividualRegistered};
use tahuka_proto::tenancy::v1::ProgrammeCreated;
use tonic::{Code, Request};
use uuid::Uuid;

use crate::consumers::ReadModel;
use crate::indicator::rpc::Indicators;
use crate::published_figure::rpc::PublishedFigures;
use crate::report::rpc::Reports;

const MUSANZE: &str = "RW43";
const RUBAVU: &str = "RW33";

struct Insight {
    store: Store,
    programme: Uuid,
    operator: Caller,
    _dir: tempfile::TempDir,
}

impl Insight {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Arc::new(Config { data_dir: dir.path().to_owned(), ..Config::default() });
        tahuka_chassis::migrate(&[crate::service()], &config).await.unwrap();
        let store = Store::open("insight", &config.database, &config.data_dir).await.unwrap();
        let own = ids::new_id();
        let operator = caller(own, TenantKind::Operator, vec![entry(own, DisclosureLevel::Identified, &[], true)]);
        Insight { store, programme: ids::new_id(), operator, _dir: dir }
    }

    /// A ministry's officer of these districts.
    fn officer(&self, districts: &[&str]) -> Caller {
        let tenant = ids::new_id();
        let own = entry(tenant, DisclosureLevel::Identified, districts, true);
        let agreed = entry(self.operator.tenant_id, DisclosureLevel::Identified, districts, false);
        caller(tenant, TenantKind::Ministry, vec![own, agreed])
    }

    /// A donor, whom the operator lets see its figures in aggregate.
    fn donor(&self) -> Caller {
        let tenant = ids::new_id();
        let own = entry(tenant, DisclosureLevel::Identified, &[], true);
        let agreed = entry(self.operator.tenant_id, DisclosureLevel::Aggregate, &[], false);
        caller(tenant, TenantKind::Donor, vec![own, agreed])
    }

    fn event<M: EventMessage>(&self, event: &M) -> Event {
        Event {
            id: ids::new_id(),
            kind: M::KIND.to_owned(),
            custodian: self.operator.tenant_id,
            aggregate_id: ids::new_id(),
            recorded_at: clock::now(),
            body: event.encode_to_vec().into(),
        }
    }

    async fn hear(&self, events: &[Event]) {
        let mut tx = self.store.system("read_model").await.unwrap();
        for event in events {
            ReadModel.handle(&mut tx, event).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    async fn report(&self, caller: &Caller, since: Option<Date>) -> ProgrammeReport {
        let request = GetProgrammeReportRequest { programme_id: self.programme.to_string(), since };
        let reports = Reports { store: self.store.clone() };
        reports.get_programme_report(asked(caller, request)).await.unwrap().into_inner().report.unwrap()
    }

    async fn query(&self, caller: &Caller, indicator: &str, by: &[Dimension]) -> QueryIndicatorResponse {
        self.ask(caller, self.question(indicator, by)).await.unwrap()
    }

    async fn ask(&self, caller: &Caller, question: QueryIndicatorRequest) -> Result<QueryIndicatorResponse, tonic::Status> {
        let indicators = Indicators { store: self.store.clone() };
        Ok(indicators.query_indicator(asked(caller, question)).await?.into_inner())
    }

    fn question(&self, indicator: &str, by: &[Dimension]) -> QueryIndicatorRequest {
        QueryIndicatorRequest {
            programme_id: self.programme.to_string(),
            indicator: indicator.into(),
            group_by: by.iter().map(|d| (*d).into()).collect(),
            ..Default::default()
        }
    }

    fn registered(&self, district: &str, day: &str) -> Event {
        self.event(&IndividualRegistered {
            programme_id: self.programme.to_string(),
            happened_on: Some(on(day)),
            district: district.into(),
            household_id: ids::new_id().to_string(),
            individual_id: ids::new_id().to_string(),
            sex: "female".into(),
            age_band: "25-59".into(),
            category: "returnee".into(),
        })
    }

    fn delivered(&self, person: Uuid, district: &str, kind: &str, day: &str) -> Event {
        self.event(&AssistanceDelivered {
            programme_id: self.programme.to_string(),
            happened_on: Some(on(day)),
            district: district.into(),
            plan_id: ids::new_id().to_string(),
            household_id: ids::new_id().to_string(),
            individual_id: person.to_string(),
            kind: kind.into(),
            sex: "male".into(),
            age_band: "25-59".into(),
            category: "returnee".into(),
            grant_id: String::new(),
            cost: Some(usd(300)),
            item: "goat".into(),
        })
    }

    /// So many different people, each helped once.
    fn deliveries(&self, people: usize, district: &str, kind: &str, day: &str) -> Vec<Event> {
        (0..people).map(|_| self.delivered(ids::new_id(), district, kind, day)).collect()
    }

    fn grant(&self, id: Uuid, donor: Option<Uuid>, amount: Money) -> Event {
        self.event(&GrantOpened {
            programme_id: self.programme.to_string(),
            happened_on: Some(on("2010-10-01")),
            grant_id: id.to_string(),
            donor_tenant_id: edge::shown_uuid(donor),
            title: "A grant".into(),
            amount: Some(amount),
            starts_on: Some(on("2010-10-01")),
            ends_on: Some(on("2014-09-30")),
        })
    }
}

/// The one shape of funding's events about a need.
macro_rules! need {
    ($insight:expr, $kind:ident, $grant:expr, $need:expr, $what:expr, $amount:expr) => {
        $insight.event(&$kind {
            programme_id: $insight.programme.to_string(),
            happened_on: Some(on("2012-05-01")),
            grant_id: edge::shown_uuid($grant),
            need_id: edge::shown_uuid($need),
            need_kind: if $need.is_none() { "".into() } else { "plan".into() },
            kind: $what.into(),
            district: if $need.is_none() { "".into() } else { RUBAVU.into() },
            amount: Some($amount),
        })
    };
}

fn entry(custodian: Uuid, level: DisclosureLevel, districts: &[&str], write: bool) -> ScopeEntry {
    let districts = districts.iter().map(|d| (*d).to_owned()).collect();
    ScopeEntry { category: DataCategory::Reporting.into(), level: level.into(), custodian, districts, write }
}

fn caller(tenant: Uuid, kind: TenantKind, entries: Vec<ScopeEntry>) -> Caller {
    Caller {
        tenant_id: tenant,
        tenant_kind: kind,
        subject: "somebody".into(),
        scope: Scope::Entries(entries),
        ..Caller::system("test")
    }
}

fn asked<M>(caller: &Caller, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller.clone());
    request
}

fn on(day: &str) -> Date {
    edge::to_date(day.parse::<NaiveDate>().unwrap())
}

fn usd(units: i64) -> Money {
    Money { currency_code: "USD".into(), units, nanos: 0 }
}

fn jpy(units: i64) -> Money {
    Money { currency_code: "JPY".into(), units, nanos: 0 }
}

/// All figures of a code, as value, currency and whether withheld.
fn all(report: &ProgrammeReport, code: &str) -> Vec<(Option<i64>, String, bool)> {
    let figures = report.sections.iter().flat_map(|s| &s.figures).filter(|f| f.code == code);
    figures.map(|f| (f.value, f.currency.clone(), f.suppressed)).collect()
}

fn figure(report: &ProgrammeReport, code: &str) -> Option<i64> {
    let all = all(report, code);
    assert_eq!(all.len(), 1, "{code}");
    all[0].0
}

fn district(report: &ProgrammeReport, district: &str, code: &str) -> (Option<i64>, bool) {
    let line = report.districts.iter().find(|line| line.district == district).unwrap();
    let figure = line.figures.iter().find(|f| f.code == code).unwrap();
    (figure.value, figure.suppressed)
}

fn table(answer: &QueryIndicatorResponse) -> Vec<(Vec<&str>, Option<i64>)> {
    answer.cells.iter().map(|c| (c.keys.iter().map(String::as_str).collect(), c.value)).collect()
}

#[tokio::test]
async fn a_person_counts_once_however_many_deliveries_there_were() {
    let insight = Insight::new().await;
    let (alice, bosco) = (ids::new_id(), ids::new_id());
    insight
        .hear(&[
            insight.delivered(alice, RUBAVU, "livestock", "2012-03-01"),
            insight.delivered(alice, RUBAVU, "livestock", "2013-06-01"),
            insight.delivered(alice, RUBAVU, "shelter", "2012-01-15"),
            insight.delivered(bosco, MUSANZE, "shelter", "2012-02-01"),
        ])
        .await;
    let report = insight.report(&insight.operator, Some(on("2013-01-01"))).await;
    let told = ["people_helped", "people_helped.livestock", "people_helped.shelter", "people_helped.startup_capital"];
    assert_eq!(told.map(|code| figure(&report, code)), [Some(2), Some(1), Some(2), Some(0)]);
    assert_eq!(figure(&report, "people_helped_since"), Some(1));
    assert_eq!(figure(&report, "people_helped_since.livestock"), Some(1));
    assert_eq!(figure(&report, "people_helped_since.shelter"), Some(0));
    assert_eq!(figure(&report, "districts_reached"), Some(2));
    assert_eq!(report.events_counted, 4);
    assert!(report.last_event_at.is_some());
    let on_the_day = insight.report(&insight.operator, Some(on("2013-06-01"))).await;
    assert_eq!(figure(&on_the_day, "people_helped_since"), Some(1), "that day included");
    let without = insight.report(&insight.operator, None).await;
    assert!(all(&without, "people_helped_since").is_empty() && all(&without, "people_helped_since.shelter").is_empty());

    // The shelter of January was heard of last: the person is counted in the month of the first delivery.
    let months = insight.query(&insight.operator, "people_helped", &[Dimension::Month]).await;
    assert_eq!(table(&months), [(vec!["2012-01"], Some(1)), (vec!["2012-02"], Some(1))]);
    let kinds = insight.query(&insight.operator, "people_helped", &[Dimension::Kind]).await;
    assert_eq!(table(&kinds), [(vec!["livestock"], Some(1)), (vec!["shelter"], Some(2))]);
    assert_eq!(kinds.totals[0].value, Some(2), "kinds do not add up");
    let plans = insight.query(&insight.operator, "assistance_delivered", &[]).await;
    assert_eq!(plans.totals[0].value, Some(4));
}

#[tokio::test]
async fn an_event_that_comes_twice_has_no_second_effect() {
    let dir = tempfile::tempdir().unwrap();
    let config = Arc::new(Config { data_dir: dir.path().to_owned(), ..Config::default() });
    let house = House::start(vec![crate::service()], config).await.unwrap();
    let store = house.stores[0].1.clone();
    let mut insight = Insight::new().await;
    insight.store = store.clone();

    let event = |n: i64| PeopleServed {
        programme_id: insight.programme.to_string(),
        happened_on: Some(on("2012-05-01")),
        district: RUBAVU.into(),
        project_id: ids::new_id().to_string(),
        sex: "female".into(),
        age_band: String::new(),
        people: n,
    };
    let mut tx = store.system("test").await.unwrap();
    for n in [100, 20, 3] {
        tx.publish(insight.operator.tenant_id, ids::new_id(), &event(n)).await.unwrap();
    }
    tx.commit().await.unwrap();
    heard(&insight, 3).await;

    let tx = store.system("test").await.unwrap();
    tx.conn().execute_unprepared("UPDATE journal SET published_at = NULL").await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.system("test").await.unwrap();
    tx.publish(insight.operator.tenant_id, ids::new_id(), &event(4000)).await.unwrap();
    tx.commit().await.unwrap();
    heard(&insight, 4).await;
    let report = insight.report(&insight.operator, None).await;
    assert_eq!((figure(&report, "people_served"), report.events_counted), (Some(4123), 4));
    house.stop().await;
}

/// Waits until so many events have been counted.
async fn heard(insight: &Insight, events: i64) {
    let reports = Reports { store: insight.store.clone() };
    for _ in 0..200 {
        let request = GetProgrammeReportRequest { programme_id: insight.programme.to_string(), since: None };
        if let Ok(answer) = reports.get_programme_report(asked(&insight.operator, request)).await
            && answer.get_ref().report.as_ref().unwrap().events_counted >= events
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{events} events were not heard");
}

#[tokio::test]
async fn an_officer_has_the_report_of_the_district_and_the_districts_add_up() {
    let insight = Insight::new().await;
    let mut events = insight.deliveries(7, RUBAVU, "livestock", "2012-03-01");
    events.extend(insight.deliveries(2, MUSANZE, "shelter", "2012-04-01"));
    events.extend((0..3).map(|_| insight.registered(MUSANZE, "2012-01-01")));
    let campaign = |level: &str, district: &str, reach| CampaignHeld {
        programme_id: insight.programme.to_string(),
        happened_on: Some(on("2012-02-02")),
        district: district.into(),
        campaign_id: ids::new_id().to_string(),
        level: level.into(),
        reach,
        cost: Some(usd(10)),
    };
    events.push(insight.event(&campaign("national", "", 90_000)));
    events.push(insight.event(&campaign("local", RUBAVU, 500)));
    insight.hear(&events).await;

    let musanze = insight.report(&insight.officer(&[MUSANZE]), None).await;
    assert_eq!(figure(&musanze, "people_helped"), Some(2), "an officer is let in by name: nothing is withheld");
    assert_eq!(figure(&musanze, "people_registered"), Some(3));
    assert_eq!(figure(&musanze, "campaigns_held"), Some(0));
    assert!(all(&musanze, "campaigns_held.national").is_empty(), "it belongs to no district");
    assert_eq!(musanze.districts.len(), 1);
    let rubavu = insight.report(&insight.officer(&[RUBAVU]), None).await;
    assert_eq!((figure(&rubavu, "people_helped"), figure(&rubavu, "campaign_reach")), (Some(7), Some(500)));

    let whole = insight.report(&insight.operator, None).await;
    assert_eq!(figure(&whole, "campaigns_held.national"), Some(1));
    assert_eq!(figure(&whole, "campaign_reach"), Some(90_500));
    for code in ["people_registered", "people_helped", "people_helped.livestock", "people_helped.shelter"] {
        let sum: i64 = whole.districts.iter().map(|line| district(&whole, &line.district, code).0.unwrap()).sum();
        assert_eq!(Some(sum), figure(&whole, code), "{code}");
    }
    let both = insight.report(&insight.officer(&[RUBAVU, MUSANZE]), None).await;
    assert_eq!(both.districts, whole.districts);

    let stranger =
        caller(ids::new_id(), TenantKind::Ministry, vec![entry(ids::new_id(), DisclosureLevel::Identified, &[], true)]);
    let request = GetProgrammeReportRequest { programme_id: insight.programme.to_string(), since: None };
    let refusal = Reports { store: insight.store.clone() }.get_programme_report(asked(&stranger, request)).await.unwrap_err();
    assert_eq!(refusal.code(), Code::NotFound);
}

#[tokio::test]
async fn a_donor_sees_its_own_grants_money_and_every_currency_stands_alone() {
    let insight = Insight::new().await;
    let donor = insight.donor();
    let (own, other) = (ids::new_id(), ids::new_id());
    let (plan, second, third) = (Some(ids::new_id()), Some(ids::new_id()), Some(ids::new_id()));
    let received = |grant: Uuid, credited: Money| InstalmentReceived {
        programme_id: insight.programme.to_string(),
        happened_on: Some(on("2011-01-10")),
        grant_id: grant.to_string(),
        received: Some(jpy(999)),
        credited: Some(credited),
    };
    insight
        .hear(&[
            insight.grant(own, Some(donor.tenant_id), usd(10_000)),
            insight.grant(other, Some(ids::new_id()), jpy(500_000)),
            insight.event(&received(own, usd(6_000))),
            insight.event(&received(other, jpy(200_000))),
            need!(insight, FundsNotAvailable, None, plan, "livestock", usd(300)),
            need!(insight, FundsNotAvailable, None, second, "shelter", usd(450)),
            need!(insight, FundsReserved, Some(own), plan, "livestock", usd(300)),
            need!(insight, FundsCommitted, Some(own), plan, "livestock", usd(300)),
            need!(insight, ExpenditureRecorded, Some(own), plan, "livestock", usd(280)),
            need!(insight, FundsReserved, Some(other), third, "shelter", jpy(40_000)),
            need!(insight, FundsReleased, Some(other), third, "shelter", jpy(40_000)),
            need!(insight, ExpenditureRecorded, Some(other), None::<Uuid>, "administration", jpy(7_000)),
        ])
        .await;

    let whole = insight.report(&insight.operator, None).await;
    let told = |value, currency: &str| (Some(value), currency.to_owned(), false);
    assert_eq!(all(&whole, "money_granted"), [told(1_000_000, "USD"), told(500_000, "JPY")]);
    assert_eq!(all(&whole, "money_received"), [told(600_000, "USD"), told(200_000, "JPY")]);
    assert_eq!(all(&whole, "money_reserved"), [told(0, "USD")]);
    assert_eq!(all(&whole, "money_spent"), [told(28_000, "USD"), told(7_000, "JPY")]);
    assert_eq!(all(&whole, "money_spent.livestock"), [told(28_000, "USD")]);
    assert_eq!(all(&whole, "money_spent.administration"), [told(7_000, "JPY")]);
    assert_eq!(all(&whole, "money_needed"), [told(45_000, "USD")]);
    assert_eq!((figure(&whole, "needs_open"), whole.grants.len()), (Some(1), 2));

    let japan = insight.report(&donor, None).await;
    assert_eq!(all(&japan, "money_granted"), [told(1_000_000, "USD")]);
    assert_eq!(all(&japan, "money_spent"), [told(28_000, "USD")]);
    assert_eq!(all(&japan, "money_spent.administration"), [told(0, "USD")]);
    assert_eq!(all(&japan, "money_needed"), [told(45_000, "USD")]);
    let [line] = &japan.grants[..] else { panic!("one grant") };
    assert_eq!(
        (line.grant_id.clone(), line.spent.clone(), line.committed.clone()),
        (own.to_string(), Some(usd(280)), Some(usd(0)))
    );
    let by_grant = insight.query(&donor, "money_spent", &[Dimension::Grant, Dimension::Kind]).await;
    assert_eq!(table(&by_grant), [(vec![own.to_string().as_str(), "livestock"], Some(28_000))]);
    assert_eq!(by_grant.totals[0].amount, Some(usd(280)));

    let rubavu = insight.report(&insight.officer(&[RUBAVU]), None).await;
    assert!(all(&rubavu, "money_received").is_empty(), "what came in belongs to no district");
    assert_eq!(all(&rubavu, "money_spent"), [told(28_000, "USD")]);
    assert_eq!(rubavu.grants[0].granted, None);
    let waiting = insight.query(&insight.operator, "plans_waiting", &[Dimension::Kind]).await;
    assert_eq!(table(&waiting), [(vec!["shelter"], Some(1))]);
}

#[tokio::test]
async fn small_counts_are_withheld_from_the_donor_and_not_from_the_custodian() {
    let insight = Insight::new().await;
    let mut events = Vec::new();
    for (people, place) in [(40, RUBAVU), (3, MUSANZE), (9, "RW31"), (20, "RW41")] {
        events.extend(insight.deliveries(people, place, "livestock", "2012-03-01"));
    }
    events.extend(insight.deliveries(30, RUBAVU, "shelter", "2012-06-01"));
    insight.hear(&events).await;

    let donor = insight.donor();
    let seen = insight.report(&donor, None).await;
    assert_eq!(figure(&seen, "people_helped"), Some(102));
    assert_eq!(district(&seen, MUSANZE, "people_helped"), (None, true));
    assert_eq!(district(&seen, "RW31", "people_helped"), (None, true), "so that the first cannot be worked out");
    assert_eq!(district(&seen, RUBAVU, "people_helped"), (Some(70), false));
    assert_eq!(district(&seen, MUSANZE, "people_helped.livestock"), (None, true));
    let known = insight.report(&insight.operator, None).await;
    assert_eq!(district(&known, MUSANZE, "people_helped"), (Some(3), false));

    let by = [Dimension::District, Dimension::Kind];
    let answer = insight.query(&donor, "people_helped", &by).await;
    assert!(answer.cells.iter().any(|cell| cell.suppressed && cell.value.is_none()));
    assert!(answer.cells.iter().all(|cell| cell.value.is_none_or(|v| v >= 5)));
    let turned = insight.query(&donor, "people_helped", &[by[1], by[0]]).await;
    for cell in &answer.cells {
        let keys: Vec<_> = cell.keys.iter().rev().cloned().collect();
        let same = turned.cells.iter().find(|c| c.keys == keys).unwrap();
        assert_eq!((same.value, same.suppressed), (cell.value, cell.suppressed), "however it is asked");
    }
    // One district's line of the same table.
    let mut question = insight.question("people_helped", &[Dimension::Kind]);
    question.district = MUSANZE.into();
    let answer = insight.ask(&donor, question.clone()).await.unwrap();
    assert!(answer.cells.iter().chain(&answer.totals).all(|cell| cell.suppressed));
    let answer = insight.ask(&insight.operator, question).await.unwrap();
    assert_eq!(table(&answer), [(vec!["livestock"], Some(3))]);

    let three = [Dimension::District, Dimension::Kind, Dimension::Sex];
    let refusal = insight.ask(&donor, insight.question("people_helped", &three)).await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
    assert_eq!(insight.query(&insight.operator, "people_helped", &three).await.cells.len(), 5);
}

#[tokio::test]
async fn two_answers_of_different_times_tell_no_more_than_one() {
    let insight = Insight::new().await;
    let mut events = insight.deliveries(30, RUBAVU, "livestock", "2012-03-01");
    events.extend(insight.deliveries(2, RUBAVU, "livestock", "2012-04-01"));
    events.extend(insight.deliveries(40, RUBAVU, "livestock", "2012-05-01"));
    insight.hear(&events).await;
    let donor = insight.donor();
    let to = |month: &str| QueryIndicatorRequest { to_month: month.into(), ..insight.question("people_helped", &[]) };
    let value = async |caller: &Caller, month| insight.ask(caller, to(month)).await.unwrap().totals[0].value;
    assert_eq!(value(&insight.operator, "2012-04").await, Some(32));
    let told = [value(&donor, "2012-03").await, value(&donor, "2012-04").await, value(&donor, "2012-05").await];
    assert_eq!(told, [None, None, Some(72)]);
    let since = async |day| figure(&insight.report(&donor, Some(on(day))).await, "people_helped_since");
    let told = [since("2012-03-01").await, since("2012-04-01").await, since("2012-05-01").await, since("2012-06-01").await];
    assert_eq!(told, [Some(72), Some(42), None, Some(0)]);
}

#[tokio::test]
async fn a_share_leaves_out_whom_nobody_met_and_small_parts() {
    let insight = Insight::new().await;
    let visit = |kind: &str, outcome: &str, favourable| {
        insight.event(&VisitRecorded {
            programme_id: insight.programme.to_string(),
            happened_on: Some(on("2012-11-01")),
            district: RUBAVU.into(),
            plan_id: ids::new_id().to_string(),
            kind: kind.into(),
            outcome: outcome.into(),
            favourable,
            months_after: 6,
            ..Default::default()
        })
    };
    let mut events = Vec::new();
    for n in 0..20 {
        events.push(visit("livestock", if n < 12 { "livestock_alive" } else { "livestock_died" }, n < 12));
        events.push(visit("shelter", if n < 18 { "house_roofed" } else { "house_not_roofed" }, n < 18));
        events.push(visit("startup_capital", if n < 10 { "business_running" } else { "business_closed" }, n < 10));
    }
    events.extend((0..5).map(|_| visit("livestock", "not_found", false)));
    insight.hear(&events).await;
    let report = insight.report(&insight.operator, None).await;
    let told = ["visits_recorded", "outcomes_favourable.livestock", "outcomes_favourable.shelter", "outcomes_favourable"];
    assert_eq!(told.map(|code| figure(&report, code)), [Some(65), Some(60), Some(90), Some(67)]);
    assert_eq!(all(&report, "outcomes_favourable.vocational_training"), [(None, String::new(), false)]);
    let seen = insight.report(&insight.donor(), None).await;
    assert_eq!(all(&seen, "outcomes_favourable.shelter"), [(None, String::new(), true)], "two houses are without a roof");
    assert_eq!(all(&seen, "outcomes_favourable.livestock"), [(None, String::new(), true)]);
    assert_eq!(figure(&seen, "outcomes_favourable.startup_capital"), Some(50));
    assert_eq!(figure(&seen, "outcomes_favourable"), Some(67));
}

#[tokio::test]
async fn what_was_published_stands_beside_its_figure() {
    let insight = Insight::new().await;
    insight.hear(&insight.deliveries(6, RUBAVU, "livestock", "2012-03-01")).await;
    let published = PublishedFigures { store: insight.store.clone() };
    let request = |code: &str, day: Option<&str>, text: &str| CreatePublishedFigureRequest {
        request_id: ids::new_id().to_string(),
        programme_id: insight.programme.to_string(),
        code: code.into(),
        value: None,
        text: text.into(),
        source: "The programme's page".into(),
        published_on: day.map(on),
    };
    let create = async |caller: &Caller, request: CreatePublishedFigureRequest| {
        published.create_published_figure(asked(caller, request)).await.map(|answer| answer.into_inner())
    };
    let first = request("people_helped", Some("2014-12-01"), "over 11,000");
    let answer = create(&insight.operator, first.clone()).await.unwrap();
    assert_eq!(create(&insight.operator, first).await.unwrap(), answer, "once");
    create(&insight.operator, request("people_helped", Some("2012-01-01"), "some")).await.unwrap();
    let refusal = create(&insight.operator, request("people_seen", None, "many")).await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
    assert!(refusal.message().contains("code"), "{}", refusal.message());

    let donor = insight.donor();
    let list =
        ListPublishedFiguresRequest { programme_id: insight.programme.to_string(), page_size: 1, page_token: String::new() };
    let page = published.list_published_figures(asked(&donor, list)).await.unwrap().into_inner();
    assert_eq!((page.published_figures.len(), page.next_page_token.is_empty()), (1, false));
    let report = insight.report(&donor, None).await;
    let helped = report.sections[0].figures.iter().find(|f| f.code == "people_helped").unwrap();
    assert_eq!(helped.published.as_ref().unwrap().text, "over 11,000", "the one published last");
    let rubavu = insight.report(&insight.officer(&[RUBAVU]), None).await;
    assert!(rubavu.sections.iter().flat_map(|s| &s.figures).all(|f| f.published.is_none()), "it is of the whole programme");
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused_by_its_field() {
    let insight = Insight::new().await;
    insight.hear(&[insight.registered(RUBAVU, "2012-01-01")]).await;
    let base = insight.question("people_registered", &[]);
    let cases = [
        (QueryIndicatorRequest { indicator: "people".into(), ..base.clone() }, "indicator"),
        (QueryIndicatorRequest { group_by: vec![Dimension::Grant.into()], ..base.clone() }, "group_by[0]"),
        (QueryIndicatorRequest { group_by: vec![3, 3], ..base.clone() }, "group_by[1]"),
        (QueryIndicatorRequest { group_by: vec![1, 3, 4, 5], ..base.clone() }, "group_by"),
        (QueryIndicatorRequest { from_month: "2012".into(), ..base.clone() }, "from_month"),
        (QueryIndicatorRequest { from_month: "2012-02".into(), to_month: "2012-01".into(), ..base.clone() }, "to_month"),
        (QueryIndicatorRequest { district: "Rubavu".into(), ..base.clone() }, "district"),
    ];
    for (question, field) in cases {
        let refusal = insight.ask(&insight.operator, question).await.unwrap_err();
        assert_eq!(refusal.code(), Code::InvalidArgument);
        assert!(refusal.message().contains(&format!("{field}:")), "{field}: {}", refusal.message());
    }
    let mut question = insight.question("people_registered", &[Dimension::Sex, Dimension::AgeBand, Dimension::Month]);
    question.from_month = "2012-01".into();
    let answer = insight.ask(&insight.operator, question).await.unwrap();
    assert_eq!(table(&answer), [(vec!["female", "25-59", "2012-01"], Some(1))]);
    let none = insight.query(&insight.operator, "trainings_completed", &[]).await;
    assert_eq!(none.totals[0].value, Some(0));
    let catalogue =
        Indicators { store: insight.store.clone() }.list_indicators(asked(&insight.operator, Default::default())).await;
    assert!(catalogue.unwrap().get_ref().indicators.len() >= 20);
}

#[tokio::test]
async fn a_programme_of_which_only_the_start_was_heard_has_a_report_of_noughts() {
    let insight = Insight::new().await;
    let created =
        ProgrammeCreated { programme_id: insight.programme.to_string(), name: "A programme".into(), ..Default::default() };
    insight.hear(&[insight.event(&created)]).await;
    let report = insight.report(&insight.operator, Some(on("2012-01-01"))).await;
    assert_eq!((figure(&report, "people_helped"), figure(&report, "people_helped_since.shelter")), (Some(0), Some(0)));
    assert_eq!(all(&report, "money_spent.project"), [(Some(0), "USD".to_owned(), false)]);
    assert_eq!(figure(&report, "facilities_completed.school"), Some(0));
    assert_eq!(report.sections.len(), 4);
}

#[tokio::test]
async fn events_are_taken_by_the_thousand_a_second() {
    let insight = Insight::new().await;
    let places = ["RW31", "RW32", "RW33", "RW41", "RW43"];
    let kinds = crate::report::KINDS;
    let day = |n: usize| format!("20{:02}-{:02}-{:02}", 11 + n % 3, 1 + n % 12, 1 + n % 28);
    let grant = Some(ids::new_id());
    let mut events = Vec::new();
    for n in 0..2_000 {
        let (place, kind, day, plan) = (places[n % 5], kinds[n % 4], day(n), Some(ids::new_id()));
        events.push(insight.registered(place, &day));
        events.push(insight.event(&PlanSubmitted {
            programme_id: insight.programme.to_string(),
            happened_on: Some(on(&day)),
            district: place.into(),
            kind: kind.into(),
            ..Default::default()
        }));
        events.push(insight.event(&HouseholdRegistered {
            programme_id: insight.programme.to_string(),
            happened_on: Some(on(&day)),
            district: place.into(),
            household_id: ids::new_id().to_string(),
            category: "returnee".into(),
        }));
        events.push(insight.event(&FacilityCompleted {
            programme_id: insight.programme.to_string(),
            happened_on: Some(on(&day)),
            district: place.into(),
            kind: "school".into(),
            ..Default::default()
        }));
        events.push(need!(insight, FundsNotAvailable, None, plan, kind, usd(300)));
        events.push(need!(insight, FundsReserved, grant, plan, kind, usd(300)));
        events.push(need!(insight, FundsCommitted, grant, plan, kind, usd(300)));
        events.push(insight.delivered(ids::new_id(), place, kind, &day));
        events.push(need!(insight, ExpenditureRecorded, grant, plan, kind, usd(290)));
    }
    let began = Instant::now();
    for batch in events.chunks(256) {
        insight.hear(batch).await;
    }
    let rate = events.len() as f64 / began.elapsed().as_secs_f64();
    println!("{rate:.0} events a second");
    let report = insight.report(&insight.operator, None).await;
    assert_eq!(report.events_counted, events.len() as i64);
    assert_eq!(figure(&report, "people_helped"), Some(2_000));
    // Without optimisation, on a machine that builds as well; the release build takes several times as many.
    assert!(rate > 200.0, "{rate}");
}
