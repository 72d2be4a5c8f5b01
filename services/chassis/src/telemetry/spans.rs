//! The spans of the house, by the conventions of OpenTelemetry: RPC (stable), database (stable), messaging (in
//! development). Names and attributes hold what the contract names, and ids of tenants, calls and events; never a value
//! from a request, a statement or a record.

use std::borrow::Cow;
use std::time::Instant;

use opentelemetry::trace::{SpanContext, SpanKind, Status as SpanStatus, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use tahuka_proto::{EventKind, access};
use tonic::Code;
use tonic::body::Body;

use super::call::Call;
use super::trace::{parsed, told};
use super::{builder, tracer};
use crate::bus::Envelope;

pub(super) const RPC_SYSTEM: &str = "rpc.system.name";
pub(super) const RPC_METHOD: &str = "rpc.method";
pub(super) const RPC_STATUS: &str = "rpc.response.status_code";
pub(super) const ERROR_TYPE: &str = "error.type";
pub(super) const TARGET: &str = "tahuka.target";
pub(super) const TENANT: &str = "tahuka.tenant_id";
pub(super) const CALL: &str = "tahuka.call_id";
pub(super) const GRPC_STATUS: &str = "grpc-status";
/// An RPC that the contract does not know.
pub(super) const OTHER: &str = "_OTHER";

const DB_SYSTEM: &str = "db.system.name";
const DB_NAMESPACE: &str = "db.namespace";
const DB_SUMMARY: &str = "db.query.summary";
const DB_WAIT: &str = "tahuka.transaction.wait_seconds";
const DB_OUTCOME: &str = "tahuka.transaction.outcome";
const MESSAGING_SYSTEM: &str = "messaging.system";
const MESSAGING_NAME: &str = "messaging.operation.name";
const MESSAGING_TYPE: &str = "messaging.operation.type";
const MESSAGING_TEMPLATE: &str = "messaging.destination.template";
const MESSAGING_GROUP: &str = "messaging.consumer.group.name";
const MESSAGE_ID: &str = "messaging.message.id";

pub(super) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// What the convention counts as an error of whoever answers.
pub(super) fn is_our_fault(code: Code) -> bool {
    use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown};
    matches!(code, Unknown | DeadlineExceeded | Unimplemented | Internal | Unavailable | DataLoss)
}

fn is_kept(context: &Context) -> bool {
    context.span().span_context().is_sampled()
}

/// For work that a service does of itself: its lines in the log say whose they are.
pub(crate) fn service(target: &'static str) -> Context {
    Context::new().with_value(Call::new(target, None))
}

/// A call that is made to a service of the house. Without a span of its own where the trace is not kept.
pub(super) struct Client {
    context: Context,
    own: bool,
}

impl Client {
    pub fn begin(service: &str, path: &str) -> Self {
        let current = Context::current();
        if !is_kept(&current) {
            return Client { context: current, own: false };
        }
        let method = access::method(path).unwrap_or(OTHER);
        let begun = builder(method, SpanKind::Client).with_attributes([
            KeyValue::new(RPC_SYSTEM, "grpc"),
            KeyValue::new(RPC_METHOD, method),
            KeyValue::new("tahuka.peer", service.to_owned()),
        ]);
        let span = tracer().build_with_context(begun, &current);
        Client { context: current.with_span(span), own: true }
    }

    pub fn context(&self) -> &Context {
        &self.context
    }

    pub fn answered(&self, response: &http::Response<Body>) {
        if !self.own {
            return;
        }
        // Without one in the head it comes with the last frame, and the server's span tells it.
        let code = response.headers().get(GRPC_STATUS).map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
        let (span, name) = (self.context.span(), code_name(code));
        span.set_attribute(KeyValue::new(RPC_STATUS, name));
        if code != Code::Ok {
            span.set_attribute(KeyValue::new(ERROR_TYPE, name));
            span.set_status(SpanStatus::error(""));
        }
        span.end();
    }
}

/// A transaction, measured from the wish for it to its end.
pub(crate) struct Transaction {
    service: &'static str,
    mode: &'static str,
    started: Instant,
    /// Where the trace is kept.
    context: Option<Context>,
    outcome: &'static str,
}

impl Transaction {
    pub fn begin(service: &'static str, mode: &'static str, system: &'static str) -> Self {
        let current = Context::current();
        let context = is_kept(&current).then(|| {
            let summary = if mode == "read" { "read transaction" } else { "write transaction" };
            let begun = builder(summary, SpanKind::Client).with_attributes([
                KeyValue::new(DB_SYSTEM, system),
                KeyValue::new(DB_NAMESPACE, service),
                KeyValue::new(DB_SUMMARY, summary),
            ]);
            current.with_span(tracer().build_with_context(begun, &current))
        });
        Transaction { service, mode, started: Instant::now(), context, outcome: "rollback" }
    }

    /// It has its connection.
    pub fn begun(&self) {
        let waited = self.started.elapsed().as_secs_f64();
        metrics::histogram!("tahuka_transaction_wait_seconds", "service" => self.service, "mode" => self.mode).record(waited);
        if let Some(context) = &self.context {
            context.span().set_attribute(KeyValue::new(DB_WAIT, waited));
        }
    }

    pub fn committed(&mut self) {
        self.outcome = "commit";
    }

    /// The traceparent of what is written in it. A transaction may hold the effects of several traces: then each goes on
    /// under the span of its own.
    pub fn traceparent(&self) -> Option<String> {
        let trace = |context: &Context| context.span().span_context().trace_id();
        Context::map_current(|current| match &self.context {
            Some(own) if !current.has_active_span() || trace(own) == trace(current) => told(own),
            _ => told(current),
        })
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let (service, mode, outcome) = (self.service, self.mode, self.outcome);
        metrics::histogram!("tahuka_transaction_duration_seconds", "service" => service, "mode" => mode, "outcome" => outcome)
            .record(self.started.elapsed().as_secs_f64());
        if let Some(context) = &self.context {
            context.span().set_attribute(KeyValue::new(DB_OUTCOME, outcome));
            context.span().end();
        }
    }
}

/// `evt.{custodian}.registry.household.household_registered`
fn template(kind: &str) -> Cow<'static, str> {
    match EventKind::of(kind) {
        Some(kind) => format!("evt.{{custodian}}.{}.{}.{}", kind.service, kind.aggregate, kind.name).into(),
        None => OTHER.into(),
    }
}

fn name(operation: &str, kind: &str) -> String {
    match EventKind::of(kind) {
        Some(kind) => format!("{operation} {}.{}.{}", kind.service, kind.aggregate, kind.name),
        None => format!("{operation} {OTHER}"),
    }
}

/// Events on their way to the bus, each under a span in its own trace where that is kept.
pub(crate) struct Publishing(Vec<Context>);

/// An event, told of the span under which it went out.
pub(crate) type Sent = Envelope;

impl Publishing {
    pub fn begin(system: &'static str, batch: Vec<Envelope>) -> (Self, Vec<Sent>) {
        let mut spans = Vec::new();
        let told = batch.into_iter().map(|mut envelope| {
            let parent = envelope.traceparent.as_deref().and_then(parsed).filter(SpanContext::is_sampled);
            if let Some(parent) = parent {
                let parent = Context::new().with_remote_span_context(parent);
                let begun = builder(name("send", &envelope.kind), SpanKind::Producer).with_attributes([
                    KeyValue::new(MESSAGING_SYSTEM, system),
                    KeyValue::new(MESSAGING_NAME, "publish"),
                    KeyValue::new(MESSAGING_TYPE, "send"),
                    KeyValue::new(MESSAGING_TEMPLATE, template(&envelope.kind)),
                    KeyValue::new(MESSAGE_ID, envelope.id.to_string()),
                ]);
                let context = Context::new().with_span(tracer().build_with_context(begun, &parent));
                envelope.traceparent = super::trace::told(&context);
                spans.push(context);
            }
            envelope
        });
        let told = told.collect();
        (Publishing(spans), told)
    }

    pub fn end(self, failed: bool) {
        for context in self.0 {
            let span = context.span();
            if failed {
                span.set_attribute(KeyValue::new(ERROR_TYPE, "bus"));
                span.set_status(SpanStatus::error(""));
            }
            span.end();
        }
    }
}

/// Events as a consumer takes them together.
pub(crate) struct Processing {
    /// For the transaction that they share: under the first event whose trace is kept, with links to the others.
    pub shared: Context,
    each: Vec<Context>,
}

/// One context for each event, with a span in the event's own trace where that is kept.
pub(crate) fn processing<'a>(
    target: &'static str,
    consumer: &'static str,
    system: &'static str,
    events: impl Iterator<Item = (&'a str, uuid::Uuid, Option<&'a SpanContext>)>,
) -> Processing {
    let plain = service(target);
    let mut kept: Vec<SpanContext> = Vec::new();
    let each: Vec<Context> = events
        .map(|(kind, id, parent)| {
            let Some(parent) = parent else { return plain.clone() };
            let parent_context = plain.with_remote_span_context(parent.clone());
            if !parent.is_sampled() {
                return parent_context;
            }
            let begun = builder(name("process", kind), SpanKind::Consumer).with_attributes([
                KeyValue::new(MESSAGING_SYSTEM, system),
                KeyValue::new(MESSAGING_NAME, "process"),
                KeyValue::new(MESSAGING_TYPE, "process"),
                KeyValue::new(MESSAGING_TEMPLATE, template(kind)),
                KeyValue::new(MESSAGING_GROUP, format!("{target}.{consumer}")),
                KeyValue::new(MESSAGE_ID, id.to_string()),
                KeyValue::new(TARGET, target),
            ]);
            let context = plain.with_span(tracer().build_with_context(begun, &parent_context));
            kept.push(context.span().span_context().clone());
            context
        })
        .collect();
    let shared = each.iter().find(|context| is_kept(context)).cloned().unwrap_or(plain);
    for other in kept.into_iter().skip(1).take(MOST_LINKS) {
        shared.span().add_link(other, Vec::new());
    }
    Processing { shared, each }
}

/// Links of one span, at most; the rest of a batch is told by its own spans.
const MOST_LINKS: usize = 32;

impl Processing {
    pub fn of(&self, number: usize) -> Context {
        self.each.get(number).cloned().unwrap_or_else(|| self.shared.clone())
    }

    /// It had its effect before.
    pub fn known_already(&self, number: usize) {
        if let Some(context) = self.each.get(number).filter(|context| is_kept(context)) {
            context.span().set_attribute(KeyValue::new("tahuka.event.known_already", true));
        }
    }

    /// `failed` tells the kind of failure, not its text: that could hold anything.
    pub fn end(self, failed: Option<&'static str>) {
        for context in self.each.iter().filter(|context| is_kept(context)) {
            let span = context.span();
            if let Some(kind) = failed {
                span.set_attribute(KeyValue::new(ERROR_TYPE, kind));
                span.set_status(SpanStatus::error(""));
            }
            span.end();
        }
    }
}
