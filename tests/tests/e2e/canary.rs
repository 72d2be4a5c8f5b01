//! Names that nobody has, in every field that a caller can fill and in every corner of a call: none of them comes out in a
//! log, a metric or a span, however much is logged.

use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, Value};
use tahuka_proto::access;
use tahuka_proto::registry::v1 as registry;
use tahuka_proto::registry::v1::household_service_client::HouseholdServiceClient;
use tahuka_proto::registry::v1::import_households_request::Part;
use tahuka_proto::registry::v1::import_service_client::ImportServiceClient;
use tahuka_proto::registry::v1::individual_service_client::IndividualServiceClient;
use tahuka_tests::{BytesCodec, Form, Platform, Voice, get, new_request_id};
use tonic::{Code, Request};

use crate::collector::Collector;
use crate::programme::{Programme, RUBAVU, on};
use crate::story::{AssistanceKind, eventually};

/// Begins every planted word.
const MARK: &str = "Zqcanary";
const PHONE: &str = "+250788987654";
const DOCUMENT: &str = "1198770099887766";
const REFUSED_PHONE: &str = "0788-98-76-54-zq";

fn planted(what: &str) -> String {
    format!("{MARK}{what}")
}

/// All of it at the level at which most is said.
async fn start(form: Form, collector: &Collector) -> Option<Platform> {
    Platform::start_with(form, &[&collector.setting(), "log.level=debug,tahuka=trace"], false).await
}

fn person(surname: &str, phone: &str) -> registry::NewIndividual {
    registry::NewIndividual {
        surname: surname.into(),
        given_name: planted("Given"),
        sex: registry::Sex::Female.into(),
        birth_date: on(1980, 0, 0),
        relation_to_head: registry::RelationToHead::Head.into(),
        document_kind: registry::DocumentKind::NationalId.into(),
        document_number: DOCUMENT.into(),
        phone: phone.into(),
        ..Default::default()
    }
}

fn household(programme: &Programme, individuals: Vec<registry::NewIndividual>) -> registry::CreateHouseholdRequest {
    registry::CreateHouseholdRequest {
        request_id: new_request_id(),
        programme_id: programme.id.clone(),
        category: registry::HouseholdCategory::Returnee.into(),
        place: format!("{RUBAVU}0101"),
        household_number: planted("Number"),
        household_size: 1,
        registered_on: on(2011, 1, 10),
        registration_source: "transit_centre".into(),
        enumerator: planted("Enumerator"),
        individuals,
    }
}

/// A request with the mark in whatever else a caller can say.
fn strange<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    for name in ["traceparent", "tracestate", "x-request-id", "x-tahuka-purpose", "baggage", "zqcanary-header"] {
        request.metadata_mut().insert(name, planted("Header").parse().expect("metadata"));
    }
    request
}

/// Registered, read, corrected: what a family goes through. The ids of its people.
async fn plant_a_family(programme: &Programme) -> Vec<String> {
    let mut households = HouseholdServiceClient::new(programme.iom.line());
    let good = household(programme, vec![person(&planted("Surname"), PHONE)]);
    let registered = households.create_household(strange(good.clone())).await.expect("she is registered").into_inner();
    let (family, her) = (registered.household.expect("a household").id, registered.individuals[0].clone());
    households.create_household(good).await.expect("the same again");
    let wrong = household(programme, vec![person(&planted("Refused"), REFUSED_PHONE)]);
    let refused = households.create_household(strange(wrong)).await.expect_err("no phone looks like this");
    assert_eq!(refused.code(), Code::InvalidArgument);

    let mut individuals = IndividualServiceClient::new(programme.iom.line());
    let list = registry::ListIndividualsRequest { programme_id: programme.id.clone(), ..Default::default() };
    individuals.list_individuals(strange(list)).await.expect("they are listed");
    let corrected = registry::Individual { surname: planted("Corrected"), ..her.clone() };
    let update = |etag: String| registry::UpdateIndividualRequest {
        request_id: new_request_id(),
        individual: Some(registry::Individual { etag, ..corrected.clone() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["surname".into()] }),
    };
    individuals.update_individual(update(her.etag.clone())).await.expect("she is corrected");
    individuals.update_individual(update(planted("Etag"))).await.expect_err("no etag looks like this");

    // And on through the services that hear of her.
    let package = programme.package(AssistanceKind::Livestock, "goats", 100).await;
    let told = crate::story::Person { household: family.clone(), individual: her.id.clone() };
    let _ = programme.submit(&told, &package).await;
    vec![family, her.id]
}

async fn plant_a_file(programme: &Programme) {
    let row = |id: &str, surname: &str, phone: &str, born: &str| {
        format!(
            "{},2011-05-03,RW33-1,returnee,RW33,RW330101,4,head,{surname},{},male,{born},national_id,{DOCUMENT},{phone},COD,1994,2011-04-20,Petite Barrière,,,yes,livestock,goats,{}",
            planted(id),
            planted("Given"),
            planted("Enumerator")
        )
    };
    let header = "submission_id,submitted_on,household_number,category,district_pcode,cell_pcode,household_size,relation_to_head,surname,given_name,sex,birth_date,document_kind,document_number,phone,country_of_asylum,fled_year,returned_on,entry_point,transit_centre,vulnerability,consent,assistance_requested,assistance_item,enumerator";
    let rows = [
        header.to_owned(),
        row("Row1", &planted("Surname"), PHONE, "1979"),
        row("Row2", &planted("Surname"), REFUSED_PHONE, "1979"),
        row("Row3", &planted("Surname"), PHONE, &planted("Born")),
        row("Row4", "", PHONE, "1979-02-31"),
        format!("{},\"{}", planted("Broken"), planted("Quote")),
    ];
    let start = registry::ImportStart {
        request_id: new_request_id(),
        programme_id: programme.id.clone(),
        file_name: format!("{}.csv", planted("File")),
    };
    let mut parts = vec![Part::Start(start)];
    parts.extend(rows.join("\n").as_bytes().chunks(97).map(|c| Part::Chunk(c.to_vec())));
    let stream = tokio_stream::iter(parts.into_iter().map(|part| registry::ImportHouseholdsRequest { part: Some(part) }));
    let told = ImportServiceClient::new(programme.iom.line()).import_households(strange(stream)).await;
    let told = told.expect("the import ends").into_inner().import.expect("and is told");
    assert!(told.rejected >= 3 && told.accepted >= 1, "{told:?}");
}

/// Every text of the message is the mark, every list has one of them.
fn filled(message: MessageDescriptor, depth: usize) -> DynamicMessage {
    let mut filled = DynamicMessage::new(message.clone());
    for field in message.fields() {
        let value = match field.kind() {
            Kind::String => Value::String(planted(field.name())),
            Kind::Bytes => Value::Bytes(planted(field.name()).into_bytes().into()),
            Kind::Message(inner) if depth < 3 && !field.is_map() => Value::Message(self::filled(inner, depth + 1)),
            _ => continue,
        };
        filled.set_field(&field, if field.is_list() { Value::List(vec![value]) } else { value });
    }
    filled
}

/// To every RPC of the contract, from somebody who may call most of them. How many were refused.
async fn plant_everywhere(voice: &Voice) -> usize {
    let mut refused = 0;
    for (path, _) in access::rules() {
        let (service, method) = path[1..].split_once('/').expect("a path of the contract");
        let service = access::pool().get_service_by_name(service).expect("a service of the contract");
        let method = service.methods().find(|m| m.name() == method).expect("an RPC of the contract");
        let message = filled(method.input(), 0).encode_to_vec();
        let mut client = tonic::client::Grpc::new(voice.line());
        client.ready().await.expect("the gateway answers");
        let answer = client.unary(strange(message), path.parse().expect("a path"), BytesCodec).await;
        refused += usize::from(answer.is_err());
    }
    refused
}

/// At the door: no token, no such RPC.
async fn plant_at_the_door(platform: &Platform) {
    let bad = Voice::new(platform.channel().await, Some(planted("Token")));
    let list = registry::ListIndividualsRequest::default();
    let refused = IndividualServiceClient::new(bad.line()).list_individuals(strange(list)).await.expect_err("no token");
    assert_eq!(refused.code(), Code::Unauthenticated);
    let mut client = tonic::client::Grpc::new(bad.line());
    client.ready().await.expect("the gateway answers");
    let path = format!("/tahuka.{MARK}/{MARK}").parse().expect("a path");
    client.unary(strange(vec![]), path, BytesCodec).await.expect_err("no such RPC");
}

/// The forms in which a word may have come out.
fn forms(word: &str) -> Vec<String> {
    let bytes: Vec<String> = word.bytes().map(|b| b.to_string()).collect();
    let hex: String = word.bytes().map(|b| format!("{b:02x}")).collect();
    vec![word.to_lowercase(), bytes.join(", "), hex]
}

fn hits(text: &str, words: &[&str]) -> Vec<String> {
    let lines = text.lines().filter(|line| {
        let line = line.to_lowercase();
        words.iter().flat_map(|word| forms(word)).any(|form| line.contains(&form))
    });
    lines.map(|line| line.chars().take(400).collect()).collect()
}

async fn nothing_comes_out(form: Form) {
    let collector = Collector::start().await;
    let Some(mut platform) = start(form, &collector).await else { return };
    let programme = Programme::begin(&platform).await;
    let people = plant_a_family(&programme).await;
    plant_a_file(&programme).await;
    let refused = plant_everywhere(&programme.iom).await;
    assert!(refused > access::rules().count() / 2, "most of it is refused: {refused}");
    plant_at_the_door(&platform).await;
    eventually("insight has heard of her", || async {
        collector.spans().iter().any(|s| s.name.starts_with("process registry.") && s.attributes.contains_key("messaging.system"))
    })
    .await;

    let mut metrics = Vec::new();
    for process in platform.processes() {
        metrics.push((process.to_owned(), get(platform.operators(process), "/metrics").await.expect("metrics").1));
    }
    platform.terminate();
    let (logs, spans) = (platform.logs(), collector.text());
    let words = [MARK, PHONE, &PHONE[1..], DOCUMENT, REFUSED_PHONE];
    let lines: usize = logs.iter().map(|(_, log)| log.lines().count()).sum();
    assert!(lines > 500, "much is logged at this level: {lines} lines");
    assert!(
        collector.spans().len() > 100
            && metrics
                .iter()
                .all(|(_, text)| text.contains("rpc_server_call_duration_seconds") || text.contains("tahuka_build_info"))
    );
    for (of, text) in logs.iter().chain(&metrics).chain([&("spans".to_owned(), spans.clone())]) {
        let hits = hits(text, &words);
        assert!(hits.is_empty(), "{of} tells of a person in {} lines:\n{}", hits.len(), hits.join("\n"));
    }
    // Nor are people's ids in what leaves the house.
    let ids: Vec<&str> = people.iter().map(String::as_str).collect();
    for (of, text) in metrics.iter().chain([&("spans".to_owned(), spans)]) {
        let hits = hits(text, &ids);
        assert!(hits.is_empty(), "{of} tells the id of a person in {} lines", hits.len());
    }
    println!("{form:?}: {lines} lines of log, {} spans, 0 hits; {refused} strange requests refused", collector.spans().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_comes_out_of_one_process() {
    nothing_comes_out(Form::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_comes_out_of_many_processes() {
    nothing_comes_out(Form::Separate).await;
}

#[test]
fn a_planted_word_would_be_found() {
    let text = "{\"why\":\"ZQCANARYsurname\"}\nnothing\n[90, 113, 99, 97, 110, 97, 114, 121]\n5a7163616e617279";
    assert_eq!(hits(text, &[MARK]).len(), 3);
}
