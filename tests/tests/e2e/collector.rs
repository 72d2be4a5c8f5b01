//! A collector of traces that the test runs itself: everything that a process exports is here to be looked at.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

#[derive(Debug, Clone)]
pub struct Span {
    /// The process.
    pub service: String,
    pub name: String,
    /// As OTLP numbers them: 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: i32,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub nanoseconds: u64,
    pub began: u64,
    pub failed: bool,
    pub attributes: HashMap<String, String>,
}

#[derive(Clone)]
pub struct Collector {
    pub endpoint: String,
    heard: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

impl Collector {
    pub async fn start() -> Collector {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let collector = Collector { endpoint, heard: Arc::default() };
        let server = TraceServiceServer::new(collector.clone()).max_decoding_message_size(64 << 20);
        let serving = tonic::transport::Server::builder().add_service(server);
        tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
        collector
    }

    /// The setting that sends traces here.
    pub fn setting(&self) -> String {
        format!("telemetry.otlp_endpoint={}", self.endpoint)
    }

    /// Everything that has come, as text.
    pub fn text(&self) -> String {
        format!("{:?}", self.heard.lock().expect("nobody panics with it"))
    }

    pub fn spans(&self) -> Vec<Span> {
        let heard = self.heard.lock().expect("nobody panics with it");
        let mut spans = Vec::new();
        for resource in heard.iter().flat_map(|request| &request.resource_spans) {
            let of = resource.resource.as_ref().map(|r| told(&r.attributes)).unwrap_or_default();
            for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                spans.push(Span {
                    service: of.get("service.name").cloned().unwrap_or_default(),
                    name: span.name.clone(),
                    kind: span.kind,
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    nanoseconds: span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano),
                    began: span.start_time_unix_nano,
                    failed: span.status.as_ref().is_some_and(|s| s.code == 2),
                    attributes: told(&span.attributes),
                });
            }
        }
        spans
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        #[allow(clippy::disallowed_methods)] // No request of the house.
        self.heard.lock().map_err(|_| Status::internal("a test failed"))?.push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn told(attributes: &[KeyValue]) -> HashMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|v| v.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    };
    attributes.iter().map(|a| (a.key.clone(), text(&a.value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
