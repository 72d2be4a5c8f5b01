//! The read model as its callers meet it: events in at one end, questions at the other.

use std::sync::Arc;

use chrono::NaiveDate;
use sea_orm::{ConnectionTrait as _, Database};
use tahuka_chassis::config::DatabaseConfig;
use tahuka_chassis::{Caller, Config, Consumer as _, Event, Scope, ScopeEntry, Store, TenantKind, clock, edge, ids};
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
            household_id: String::new(),
        })
    };
}

mod counting;
mod giving;
mod history;
mod seeing;
mod size;

/// Each story is told on SQLite, and on PostgreSQL where the test run has been given one.
macro_rules! on_both {
    ($($room:ident :: $story:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() { super::$room::$story(super::Insight::new(None).await).await; })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                if let Some(url) = super::new_database().await { super::$room::$story(super::Insight::new(Some(url)).await).await; }
            })*
        }
    };
}

on_both![
    counting::a_person_counts_once_however_many_deliveries_there_were,
    counting::an_event_that_comes_twice_has_no_second_effect,
    seeing::an_officer_has_the_report_of_the_district_and_the_districts_add_up,
    seeing::a_donor_sees_its_own_grants_money_and_every_currency_stands_alone,
    seeing::small_counts_are_withheld_from_the_donor_and_not_from_the_custodian,
    seeing::two_answers_of_different_times_tell_no_more_than_one,
    seeing::a_share_leaves_out_whom_nobody_met_and_small_parts,
    seeing::what_was_published_stands_beside_its_figure,
    counting::a_question_that_makes_no_sense_is_refused_by_its_field,
    counting::a_programme_of_which_only_the_start_was_heard_has_a_report_of_noughts,
    counting::events_are_taken_by_the_thousand_a_second,
    giving::nobody_sees_a_seam_and_nobody_counts_twice,
    giving::what_goes_on_after_the_handover_is_the_recipients_and_the_same_persons,
    giving::money_goes_with_its_grant_and_a_need_with_its_household,
    giving::it_says_that_it_has_sealed_when_all_others_have_and_each_request_is_answered_once,
    giving::what_is_heard_at_once_is_taken_one_after_the_other,
    giving::two_installations_have_the_same_figures_of_a_tranche,
    giving::its_part_of_the_bundle_is_written_once_it_is_sealed_and_says_what_is_told,
    giving::the_read_model_that_is_made_anew_has_the_same_custodians,
    size::a_large_tranche_goes_over_in_one_piece,
    history::whatever_is_heard_in_whatever_order_cells_are_the_sums_of_facts,
];

/// The URL of a new database; a server that is required and not given is a failure.
async fn new_database() -> Option<String> {
    let Ok(server) = std::env::var("TAHUKA_TEST_DATABASE_URL") else {
        assert!(std::env::var("TAHUKA_TEST_REQUIRE").is_err(), "TAHUKA_TEST_DATABASE_URL must be set: run `make test`");
        return None;
    };
    let name = format!("insight_{}", ids::new_id().simple());
    let maintenance = Database::connect(&server).await.unwrap();
    maintenance.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    let (base, query) = server.split_once('?').map_or((server.as_str(), String::new()), |(b, q)| (b, format!("?{q}")));
    let (base, _) = base.rsplit_once('/').unwrap();
    Some(format!("{base}/{name}{query}"))
}

struct Insight {
    config: Arc<Config>,
    store: Store,
    programme: Uuid,
    operator: Caller,
    _dir: tempfile::TempDir,
}

impl Insight {
    /// Another one with the same callers, on the same kind of database.
    async fn again(&self) -> Self {
        let url = if self.config.database.url.is_some() { new_database().await } else { None };
        Insight { programme: self.programme, operator: self.operator.clone(), ..Insight::new(url).await }
    }

    async fn new(url: Option<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = DatabaseConfig { url, max_connections: 4, ..Config::default().database };
        let config = Arc::new(Config { data_dir: dir.path().to_owned(), database, ..Config::default() });
        tahuka_chassis::migrate(&[crate::service()], &config).await.unwrap();
        let store = Store::open("insight", &config.database, &config.data_dir).await.unwrap();
        let own = ids::new_id();
        let operator = caller(own, TenantKind::Operator, vec![entry(own, DisclosureLevel::Identified, &[], true)]);
        Insight { config, store, programme: ids::new_id(), operator, _dir: dir }
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
        ReadModel.settle(&mut tx).await.unwrap();
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

fn entry(custodian: Uuid, level: DisclosureLevel, districts: &[&str], write: bool) -> ScopeEntry {
    let districts = districts.iter().map(|d| (*d).to_owned()).collect();
    ScopeEntry {
        category: DataCategory::Reporting.into(),
        level: level.into(),
        custodian,
        districts,
        write,
        ..Default::default()
    }
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
