//! The registry as its callers meet it, on a database of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tahuka_chassis::{Caller, Config, Scope, ScopeEntry, Store, TenantKind, ids};
use tahuka_proto::google::r#type::Date;
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::registry::v1::consent_service_server::ConsentService as _;
use tahuka_proto::registry::v1::household_service_server::HouseholdService as _;
use tahuka_proto::registry::v1::import_households_request::Part;
use tahuka_proto::registry::v1::import_service_server::ImportService as _;
use tahuka_proto::registry::v1::individual_service_server::IndividualService as _;
use tahuka_proto::registry::v1::return_episode_service_server::ReturnEpisodeService as _;
use tahuka_proto::registry::v1::vulnerability_service_server::VulnerabilityService as _;
use tahuka_proto::registry::v1::*;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};
use uuid::Uuid;

use crate::consent::rpc::Consents;
use crate::household::rpc::Households;
use crate::import::COLUMNS;
use crate::import::rpc::Imports;
use crate::individual::rpc::Individuals;
use crate::return_episode::rpc::ReturnEpisodes;
use crate::vulnerability::rpc::Vulnerability;

mod sealed;

struct Registry {
    store: Store,
    programme: Uuid,
    operator: Caller,
    _dir: tempfile::TempDir,
}

impl Registry {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Arc::new(Config { data_dir: dir.path().to_owned(), ..Config::default() });
        tahuka_chassis::migrate(&[crate::service()], &config).await.unwrap();
        let store = Store::open("registry", &config.database, &config.data_dir).await.unwrap();
        let own = ids::new_id();
        let operator = caller(own, own, DisclosureLevel::Identified, &[], true);
        Registry { store, programme: ids::new_id(), operator, _dir: dir }
    }

    /// Somebody of another tenant whom the operator lets see its records.
    fn guest(&self, level: DisclosureLevel, districts: &[&str]) -> Caller {
        caller(ids::new_id(), self.operator.tenant_id, level, districts, false)
    }

    async fn import(&self, request_id: Uuid, file: &str) -> Import {
        self.try_import(request_id, file).await.unwrap()
    }

    async fn try_import(&self, request_id: Uuid, file: &str) -> Result<Import, tonic::Status> {
        let start = ImportStart {
            request_id: request_id.to_string(),
            programme_id: self.programme.to_string(),
            file_name: "registrations.csv".into(),
        };
        let mut parts = vec![Part::Start(start)];
        // An odd size splits lines, cells and letters.
        parts.extend(file.as_bytes().chunks(4093).map(|c| Part::Chunk(c.to_vec())));
        let stream = tokio_stream::iter(parts.into_iter().map(|part| Ok(ImportHouseholdsRequest { part: Some(part) })));
        let imports = Imports { store: self.store.clone() };
        imports.import(&self.operator, stream).await.map_err(Into::into)
    }

    async fn criteria(&self) -> CriteriaSet {
        let criterion = |code: &str, weight| Criterion { code: code.into(), weight, label: code.replace('_', " ") };
        let request = CreateCriteriaSetRequest {
            request_id: ids::new_id().to_string(),
            programme_id: self.programme.to_string(),
            name: "Criteria of 2011".into(),
            effective_on: Some(date(2011, 1, 1)),
            criteria: vec![criterion("single_parent", 2), criterion("disability", 3), criterion("elderly", 1)],
            band_floors: vec![1, 2, 3, 5],
        };
        let vulnerability = Vulnerability { store: self.store.clone() };
        let answer = vulnerability.create_criteria_set(asked(&self.operator, request)).await.unwrap();
        answer.into_inner().criteria_set.unwrap()
    }

    async fn people(&self, caller: &Caller, change: impl FnOnce(&mut ListIndividualsRequest)) -> Vec<Individual> {
        let mut request = ListIndividualsRequest { programme_id: self.programme.to_string(), ..Default::default() };
        request.page_size = 1000;
        change(&mut request);
        let individuals = Individuals { store: self.store.clone() };
        individuals.list_individuals(asked(caller, request)).await.unwrap().into_inner().individuals
    }

    async fn homes(&self, caller: &Caller) -> Vec<Household> {
        let request = ListHouseholdsRequest { programme_id: self.programme.to_string(), ..Default::default() };
        let households = Households { store: self.store.clone() };
        households.list_households(asked(caller, request)).await.unwrap().into_inner().households
    }
}

fn caller(tenant: Uuid, custodian: Uuid, level: DisclosureLevel, districts: &[&str], write: bool) -> Caller {
    let entry = ScopeEntry {
        category: DataCategory::Registration.into(),
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

fn date(year: i32, month: i32, day: i32) -> Date {
    Date { year, month, day }
}

/// A good row; `changes` are cells of it.
fn row(submission: &str, household: &str, changes: &[(&str, &str)]) -> String {
    let mut cells: Vec<&str> = vec![
        submission,
        "2012-05-04",
        household,
        "returnee",
        "RW33",
        "RW330401",
        "4",
        "child",
        "MUKAMANA",
        "Alice",
        "female",
        "1980",
        "",
        "",
        "",
        "COD",
        "1994",
        "2012-04-30",
        "Grande Barrière",
        "nkamira",
        "",
        "yes",
        "livestock",
        "goat",
        "E07",
    ];
    for (column, value) in changes {
        cells[COLUMNS.iter().position(|c| c == column).unwrap()] = value;
    }
    cells.join(",") + "\n"
}

fn file(rows: &[String]) -> String {
    COLUMNS.join(",") + "\n" + &rows.concat()
}

fn new_household(registry: &Registry) -> CreateHouseholdRequest {
    CreateHouseholdRequest {
        request_id: ids::new_id().to_string(),
        programme_id: registry.programme.to_string(),
        category: HouseholdCategory::Returnee.into(),
        place: "RW330401".into(),
        household_number: "RW33-0042".into(),
        household_size: 2,
        registered_on: Some(date(2012, 5, 4)),
        registration_source: "transit_centre".into(),
        enumerator: "E07".into(),
        individuals: vec![NewIndividual {
            surname: "MUKAMANA".into(),
            given_name: "Alice".into(),
            sex: Sex::Female.into(),
            birth_date: Some(Date { year: 1980, month: 0, day: 0 }),
            relation_to_head: RelationToHead::Head.into(),
            phone: "0788 123 456".into(),
            assistance_requested: "livestock".into(),
            assistance_item: "goat".into(),
            ..Default::default()
        }],
    }
}

#[tokio::test]
async fn a_file_lands_once_however_often_it_is_sent() {
    let registry = Registry::new().await;
    registry.criteria().await;
    let text = file(&[
        row("s1", "H1", &[("relation_to_head", "head"), ("vulnerability", "single_parent")]),
        row("s2", "H1", &[("vulnerability", "disability;elderly")]),
        row("s3", "H2", &[("assistance_requested", ""), ("assistance_item", ""), ("submitted_on", "2013-01-01")]),
        row("s3", "H2", &[]),
        row("s4", "H2", &[("surname", ""), ("phone", "12")]),
        row("s5", "H2", &[("category", "host_community"), ("country_of_asylum", ""), ("fled_year", ""), ("returned_on", "")]),
        row("s6", "H2", &[("vulnerability", "poor")]),
        row("s7", "H1", &[("relation_to_head", "head")]),
    ]);
    let request_id = ids::new_id();
    let first = registry.import(request_id, &text).await;
    assert_eq!((first.rows, first.accepted, first.repeated, first.rejected, first.unassessed), (8, 3, 1, 4, 0));
    assert_eq!(first.state(), ImportState::Finished);
    let told: Vec<_> = first.errors.iter().map(|e| (e.row, e.column.as_str())).collect();
    assert_eq!(told, [(6, "surname"), (6, "phone"), (7, "category"), (8, "vulnerability"), (9, "relation_to_head")]);

    assert_eq!(registry.import(request_id, &text).await, first, "the same request has the same answer");
    let other = registry.try_import(request_id, &file(&[])).await.unwrap_err();
    assert_eq!(other.code(), Code::InvalidArgument);
    let again = registry.import(ids::new_id(), &text).await;
    assert_eq!((again.accepted, again.repeated, again.rejected), (0, 4, 4));

    let homes = registry.homes(&registry.operator).await;
    let shape: Vec<_> =
        homes.iter().map(|h| (h.household_number.as_str(), h.priority_band, h.head_given_name.as_str())).collect();
    assert_eq!(shape, [("H1", 5, "Alice"), ("H2", 1, "")]);
    assert_eq!(registry.people(&registry.operator, |_| ()).await.len(), 3);
    assert_eq!(registry.people(&registry.operator, |r| r.assistance_requested = "any".into()).await.len(), 2);
    assert_eq!(registry.people(&registry.operator, |r| r.registered_from = Some(date(2012, 6, 1))).await.len(), 1);
    assert_eq!(registry.people(&registry.operator, |r| r.household_id = homes[0].id.clone()).await.len(), 2);
}

#[tokio::test]
async fn an_import_that_broke_off_is_taken_up() {
    let registry = Registry::new().await;
    let rows: Vec<_> = (0..450).map(|n| row(&format!("s{n}"), &format!("H{}", n / 4), &[])).collect();
    let text = file(&rows);
    let request_id = ids::new_id();
    let start = ImportStart {
        request_id: request_id.to_string(),
        programme_id: registry.programme.to_string(),
        file_name: "registrations.csv".into(),
    };
    let half = text.as_bytes()[..text.len() / 2].to_vec();
    let broken = breaking([Part::Start(start), Part::Chunk(half)]);
    let imports = Imports { store: registry.store.clone() };
    imports.import(&registry.operator, broken).await.unwrap_err();
    let landed = registry.people(&registry.operator, |_| ()).await.len();
    assert_eq!(landed, 200, "whole batches only");

    let done = registry.import(request_id, &text).await;
    assert_eq!((done.rows, done.accepted, done.repeated, done.unassessed), (450, 450, 0, 250));
    assert_eq!(registry.people(&registry.operator, |_| ()).await.len(), 450);
}

/// The parts, and a break after they had time to land.
fn breaking(parts: [Part; 2]) -> ReceiverStream<Result<ImportHouseholdsRequest, tonic::Status>> {
    let (tx, rx) = tokio::sync::mpsc::channel(4);
    tokio::spawn(async move {
        for part in parts {
            let _ = tx.send(Ok(ImportHouseholdsRequest { part: Some(part) })).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let _ = tx.send(Err(tonic::Status::unavailable("broken"))).await;
    });
    ReceiverStream::new(rx)
}

#[tokio::test]
async fn a_file_without_the_header_is_refused() {
    let registry = Registry::new().await;
    for text in ["", "a,b\n1,2\n"] {
        let refusal = registry.try_import(ids::new_id(), text).await.unwrap_err();
        assert_eq!(refusal.code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn a_large_file_takes_seconds() {
    let registry = Registry::new().await;
    registry.criteria().await;
    let codes = ["", "single_parent", "disability;elderly"];
    let rows: Vec<_> =
        (0..11_000).map(|n| row(&format!("s{n}"), &format!("H{}", n / 4), &[("vulnerability", codes[n % 3])])).collect();
    let began = Instant::now();
    let import = registry.import(ids::new_id(), &file(&rows)).await;
    assert_eq!((import.accepted, import.rejected, import.unassessed), (11_000, 0, 0));
    let took = began.elapsed();
    assert!(took.as_secs() < 60, "{took:?}");
}

#[tokio::test]
async fn a_household_is_registered_once_and_changed_by_its_etag() {
    let registry = Registry::new().await;
    let households = Households { store: registry.store.clone() };
    let request = new_household(&registry);
    let first = households.create_household(asked(&registry.operator, request.clone())).await.unwrap().into_inner();
    let again = households.create_household(asked(&registry.operator, request.clone())).await.unwrap().into_inner();
    assert_eq!(first, again);
    let taken = CreateHouseholdRequest { request_id: ids::new_id().to_string(), ..request };
    let refusal = households.create_household(asked(&registry.operator, taken)).await.unwrap_err();
    assert_eq!(refusal.code(), Code::AlreadyExists);

    let household = first.household.unwrap();
    assert_eq!((household.district.as_str(), household.head_surname.as_str()), ("RW33", "MUKAMANA"));
    let person = &first.individuals[0];
    assert_eq!((person.age_band.as_str(), person.phone.as_str()), ("25-59", "+250788123456"));
    let update = |place: &str, etag: &str| UpdateHouseholdRequest {
        request_id: ids::new_id().to_string(),
        household: Some(Household { id: household.id.clone(), etag: etag.into(), place: place.into(), ..Default::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["place".into()] }),
    };
    let moved = households.update_household(asked(&registry.operator, update("RW3305", "1"))).await.unwrap().into_inner();
    assert_eq!(moved.household.map(|h| (h.place, h.etag)), Some(("RW3305".into(), "2".into())));
    let stale = households.update_household(asked(&registry.operator, update("RW3304", "1"))).await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted);
    let far = households.update_household(asked(&registry.operator, update("RW4303", "2"))).await.unwrap_err();
    assert_eq!(far.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn who_may_not_know_is_told_not_found_and_who_may_see_no_names() {
    let registry = Registry::new().await;
    let households = Households { store: registry.store.clone() };
    let created = households.create_household(asked(&registry.operator, new_household(&registry))).await.unwrap().into_inner();
    let id = created.household.unwrap().id;
    let get = || GetHouseholdRequest { household_id: id.clone() };

    let stranger = registry.guest(DisclosureLevel::Identified, &["RW43"]);
    assert_eq!(households.get_household(asked(&stranger, get())).await.unwrap_err().code(), Code::NotFound);
    assert!(registry.homes(&stranger).await.is_empty());

    let partner = registry.guest(DisclosureLevel::Pseudonymised, &["RW33"]);
    assert_eq!(households.get_household(asked(&partner, get())).await.unwrap_err().code(), Code::NotFound, "an id is no name");
    let pseudonym = registry.homes(&partner).await.remove(0).id;
    let by_pseudonym = GetHouseholdRequest { household_id: pseudonym };
    let seen = households.get_household(asked(&partner, by_pseudonym)).await.unwrap().into_inner().household.unwrap();
    assert_eq!((seen.district.as_str(), seen.head_surname.as_str(), seen.place.as_str()), ("RW33", "", ""));
    let person = registry.people(&partner, |_| ()).await.remove(0);
    assert_eq!((person.surname.as_str(), person.phone.as_str(), person.birth_date), ("", "", None));
    assert_eq!((person.assistance_requested.as_str(), person.assistance_item.as_str()), ("livestock", "goat"));

    let reader = registry.guest(DisclosureLevel::Identified, &["RW33"]);
    let update = UpdateHouseholdRequest {
        request_id: ids::new_id().to_string(),
        household: Some(Household { id, etag: "1".into(), household_size: 3, ..Default::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["household_size".into()] }),
    };
    assert_eq!(households.update_household(asked(&reader, update)).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_person_is_corrected_consents_and_is_assessed() {
    let registry = Registry::new().await;
    let operator = &registry.operator;
    let households = Households { store: registry.store.clone() };
    let created = households.create_household(asked(operator, new_household(&registry))).await.unwrap().into_inner();
    let (household, person) = (created.household.unwrap(), created.individuals[0].clone());

    let individuals = Individuals { store: registry.store.clone() };
    let correction = UpdateIndividualRequest {
        request_id: ids::new_id().to_string(),
        individual: Some(Individual {
            document_kind: DocumentKind::NationalId.into(),
            document_number: "9 1980 7 0012345 0 12".into(),
            ..person.clone()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["document_kind".into(), "document_number".into()] }),
    };
    let corrected = individuals.update_individual(asked(operator, correction)).await.unwrap().into_inner().individual.unwrap();
    assert_eq!((corrected.document_number.as_str(), corrected.surname.as_str()), ("9198070012345012", "MUKAMANA"));

    let consents = Consents { store: registry.store.clone() };
    let record = RecordConsentRequest {
        request_id: ids::new_id().to_string(),
        individual_id: person.id.clone(),
        purpose: ConsentPurpose::Assistance.into(),
        form: ConsentForm::Written.into(),
        given_on: Some(date(2012, 5, 4)),
    };
    let consent = consents.record_consent(asked(operator, record)).await.unwrap().into_inner().consent.unwrap();
    let withdraw = WithdrawConsentRequest {
        request_id: ids::new_id().to_string(),
        consent_id: consent.id,
        etag: consent.etag,
        withdrawn_on: Some(date(2013, 1, 1)),
    };
    consents.withdraw_consent(asked(operator, withdraw)).await.unwrap();

    let returns = ReturnEpisodes { store: registry.store.clone() };
    let back = RecordReturnEpisodeRequest {
        request_id: ids::new_id().to_string(),
        household_id: household.id.clone(),
        country_of_asylum: "COD".into(),
        fled_year: 1994,
        returned_on: Some(date(2012, 4, 30)),
        ..Default::default()
    };
    returns.record_return_episode(asked(operator, back.clone())).await.unwrap();
    let impossible = RecordReturnEpisodeRequest { fled_year: 2013, request_id: ids::new_id().to_string(), ..back };
    let refusal = returns.record_return_episode(asked(operator, impossible)).await.unwrap_err();
    assert!(refusal.message().contains("fled_year"), "{refusal:?}");

    let vulnerability = Vulnerability { store: registry.store.clone() };
    let assess = || AssessVulnerabilityRequest {
        request_id: ids::new_id().to_string(),
        household_id: household.id.clone(),
        criteria_met: vec!["disability".into()],
        assessed_on: Some(date(2012, 6, 1)),
    };
    let early = vulnerability.assess_vulnerability(asked(operator, assess())).await.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition);
    registry.criteria().await;
    vulnerability.assess_vulnerability(asked(operator, assess())).await.unwrap();
    let get = GetAssessmentRequest { household_id: household.id.clone(), ..Default::default() };
    let last = vulnerability.get_assessment(asked(operator, get)).await.unwrap().into_inner().assessment.unwrap();
    assert_eq!((last.score, last.priority_band), (3, 4));
    assert_eq!(last.explanation.iter().map(|l| l.points).collect::<Vec<_>>(), [0, 3, 0]);

    let profile = |year| GetHouseholdProfileRequest {
        household_id: household.id.clone(),
        individual_id: String::new(),
        on: Some(date(year, 7, 1)),
    };
    let during = households.get_household_profile(asked(operator, profile(2012))).await.unwrap().into_inner();
    assert_eq!((during.priority_band, during.consent_given, during.individual_id), (4, true, person.id));
    let after = households.get_household_profile(asked(operator, profile(2013))).await.unwrap().into_inner();
    assert!(!after.consent_given);
}

#[tokio::test]
async fn errors_are_paged_in_the_order_of_the_file() {
    let registry = Registry::new().await;
    let rows: Vec<_> = (0..250).map(|n| row(&format!("s{n}"), "H", &[("sex", "x")])).collect();
    let import = registry.import(ids::new_id(), &file(&rows)).await;
    assert_eq!((import.rejected, import.errors.len()), (250, 100));
    let imports = Imports { store: registry.store.clone() };
    let (mut token, mut told) = (String::new(), Vec::new());
    loop {
        let request = ListImportErrorsRequest { import_id: import.id.clone(), page_size: 90, page_token: token };
        let page = imports.list_import_errors(asked(&registry.operator, request)).await.unwrap().into_inner();
        told.extend(page.errors.iter().map(|e| e.row));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(told, (2..252).collect::<Vec<_>>());
}
