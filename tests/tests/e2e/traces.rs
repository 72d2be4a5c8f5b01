//! One trace, from a call at the gateway to what another service makes of its event.

use tahuka_proto::registry::v1 as registry;
use tahuka_proto::registry::v1::household_service_client::HouseholdServiceClient;
use tahuka_tests::{Form, Platform, new_request_id};
use tonic::Request;

use crate::collector::{Collector, Span};
use crate::programme::{Programme, RUBAVU, on};
use crate::story::eventually;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALL: &str = "tahuka.registry.v1.HouseholdService/CreateHousehold";

/// A registration that belongs to a trace which its caller has begun.
async fn register(programme: &Programme, sampled: bool) {
    let mut request = Request::new(registry::CreateHouseholdRequest {
        request_id: new_request_id(),
        programme_id: programme.id.clone(),
        category: registry::HouseholdCategory::Returnee.into(),
        place: format!("{RUBAVU}0101"),
        household_number: "H-1".into(),
        household_size: 1,
        registered_on: on(2011, 1, 10),
        registration_source: "transit_centre".into(),
        enumerator: "E-01".into(),
        individuals: vec![registry::NewIndividual {
            surname: "MUKAMANA".into(),
            sex: registry::Sex::Female.into(),
            birth_date: on(1980, 0, 0),
            relation_to_head: registry::RelationToHead::Head.into(),
            ..Default::default()
        }],
    });
    let flags = if sampled { "01" } else { "00" };
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-{flags}").parse().expect("metadata");
    request.metadata_mut().insert("traceparent", traceparent);
    let answer = HouseholdServiceClient::new(programme.iom.line()).create_household(request).await.expect("she is registered");
    let call = answer.metadata().get("x-request-id").expect("the call has an id");
    assert!(call.to_str().is_ok_and(|id| id.len() == 36), "{call:?}");
}

/// The span and all that it hangs from, the outermost last.
fn line<'a>(spans: &'a [Span], from: &'a Span) -> Vec<&'a Span> {
    let mut line = vec![from];
    while let Some(parent) = spans.iter().find(|s| s.id == line[line.len() - 1].parent) {
        line.push(parent);
    }
    line
}

fn print(spans: &[Span], parent: &str, depth: usize) {
    let mut below: Vec<&Span> = spans.iter().filter(|s| s.parent == parent).collect();
    below.sort_by_key(|s| s.began);
    for span in below {
        let kind = ["", "", "server", "client", "producer", "consumer"][usize::try_from(span.kind).unwrap_or_default().min(5)];
        let milliseconds = span.nanoseconds as f64 / 1e6;
        let of = span.attributes.get("tahuka.target").map(|t| format!(" ({t})")).unwrap_or_default();
        println!("{:indent$}{}{of}  {kind}  {}  {milliseconds:.2} ms", "", span.service, span.name, indent = depth * 2);
        print(spans, &span.id, depth + 1);
    }
}

async fn a_registration_is_one_trace(form: Form) {
    let collector = Collector::start().await;
    let Some(mut platform) = Platform::start_with(form, &[&collector.setting()], false).await else { return };
    let programme = Programme::begin(&platform).await;
    register(&programme, true).await;

    let of_insight =
        |s: &Span| s.name.starts_with("process registry.") && s.attributes.get("tahuka.target").is_some_and(|t| t == "insight");
    eventually("insight's part of the trace has come", || async {
        let spans = collector.spans();
        let taken = spans.iter().find(|s| s.trace == TRACE && of_insight(s));
        taken.is_some_and(|taken| spans.iter().any(|s| s.parent == taken.id))
    })
    .await;
    // What is left is sent when a process ends.
    platform.terminate();
    let spans: Vec<Span> = collector.spans().into_iter().filter(|s| s.trace == TRACE).collect();
    print(&spans, "b7ad6b7169203331", 0);

    let written = spans
        .iter()
        .filter(|s| s.name == "write transaction" && s.attributes.get("db.namespace").is_some_and(|n| n == "insight"));
    let written = written.map(|s| line(&spans, s)).find(|line| line.len() == 7).expect("insight's transaction, below the call");
    let told: Vec<(&str, i32)> = written.iter().rev().map(|s| (s.name.as_str(), s.kind)).collect();
    let [call, asked, answered, stored, sent, taken, counted] = told[..] else { panic!("{told:?}") };
    assert_eq!((call, asked, answered), ((CALL, 2), (CALL, 3), (CALL, 2)));
    assert_eq!((stored, counted), (("write transaction", 3), ("write transaction", 3)));
    assert!(sent.0.starts_with("send registry.") && sent.1 == 4, "{sent:?}");
    assert!(taken.0.starts_with("process registry.") && taken.1 == 5, "{taken:?}");
    assert_eq!(written[written.len() - 1].parent, "b7ad6b7169203331", "the caller's own span is the parent");

    let attribute = |span: &Span, name: &str| span.attributes.get(name).cloned().unwrap_or_default();
    assert_eq!(attribute(written[6], "rpc.response.status_code"), "OK");
    assert_eq!(attribute(written[6], "rpc.system.name"), "grpc");
    assert_eq!(attribute(written[3], "db.query.summary"), "write transaction");
    assert_eq!(attribute(written[3], "db.system.name"), if form == Form::Embedded { "sqlite" } else { "postgresql" });
    assert_eq!(attribute(written[3], "tahuka.transaction.outcome"), "commit");
    assert_eq!(attribute(written[2], "messaging.system"), if form == Form::Embedded { "in_process" } else { "nats" });
    assert!(attribute(written[2], "messaging.destination.template").starts_with("evt.{custodian}.registry."));
    if form == Form::Separate {
        let mut processes: Vec<&str> = written.iter().rev().map(|s| s.service.as_str()).collect();
        processes.dedup();
        assert_eq!(processes, ["tahuka-gateway", "tahuka-registry", "tahuka-insight"]);
    }
    assert!(spans.iter().all(|s| !s.failed), "nothing of it failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_is_one_trace_in_one_process() {
    a_registration_is_one_trace(Form::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_is_one_trace_over_three_processes() {
    a_registration_is_one_trace(Form::Separate).await;
}

/// The caller has decided: a trace that it does not keep is not kept here. A call without a trace is kept by the ratio.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_caller_does_not_keep_is_not_kept() {
    let collector = Collector::start().await;
    let settings = [&collector.setting(), "log.level=debug"];
    let mut platform = Platform::start_with(Form::Embedded, &settings, false).await.expect("it needs nothing");
    let programme = Programme::begin(&platform).await;
    register(&programme, false).await;
    platform.terminate();
    let spans = collector.spans();
    assert!(spans.iter().any(|s| s.name.ends_with("ProgrammeService/CreateProgramme")), "a call without a trace begins one");
    assert!(spans.iter().all(|s| s.trace != TRACE), "{spans:?}");
    // Its lines in the log tell its trace all the same.
    let told = platform.logs().iter().any(|(_, log)| log.lines().any(|l| l.contains(TRACE) && l.contains("\"request_id\"")));
    assert!(told);
}
