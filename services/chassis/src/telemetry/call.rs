//! One call as it is answered: its span, its time, its code. It ends with the last byte of the answer, or when its
//! caller goes away.

use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body::{Body as _, Frame, SizeHint};
use opentelemetry::trace::{Span as _, SpanKind, Status as SpanStatus, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use tahuka_proto::access;
use tonic::body::Body;
use tonic::{Code, Status};
use uuid::Uuid;

use super::trace::{CALL_ID, TRACEPARENT, parsed};
use super::{RPC_DURATION, builder, spans, tracer};
use crate::refusal::Refusal;
use crate::{caller, ids};

/// What is known of the call that a task works for; it goes into each line of the log.
pub struct Call {
    /// The part of the house that answers it: a service, or the gateway.
    pub target: &'static str,
    pub id: Uuid,
    tenant: OnceLock<Uuid>,
}

impl Call {
    pub(super) fn new(target: &'static str, id: Option<Uuid>) -> Self {
        Call { target, id: id.unwrap_or_else(ids::new_id), tenant: OnceLock::new() }
    }

    pub(super) fn tenant(&self) -> Option<&Uuid> {
        self.tenant.get()
    }
}

/// The id of the call that this task works for.
pub fn call_id() -> Option<Uuid> {
    Context::map_current(|context| context.get::<Call>().map(|call| call.id))
}

/// A call that has not been answered yet.
pub struct Answering {
    target: &'static str,
    method: &'static str,
    started: Instant,
    context: Context,
    ended: bool,
}

impl Answering {
    /// A call to `path` has come. It belongs to the trace that its headers tell of, or begins one.
    pub fn begin(target: &'static str, path: &str, headers: &HeaderMap) -> Self {
        let method = access::method(path).unwrap_or(spans::OTHER);
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let call = Call::new(target, header(CALL_ID).and_then(|id| Uuid::try_parse(id).ok()));
        let parent = match header(TRACEPARENT).and_then(parsed) {
            Some(span) => Context::new().with_remote_span_context(span),
            None => Context::new(),
        };
        let mut span = tracer().build_with_context(builder(method, SpanKind::Server), &parent);
        if span.is_recording() {
            span.set_attributes([
                KeyValue::new(spans::RPC_SYSTEM, "grpc"),
                KeyValue::new(spans::RPC_METHOD, method),
                KeyValue::new(spans::TARGET, target),
                KeyValue::new(spans::CALL, call.id.to_string()),
            ]);
        }
        metrics::gauge!("tahuka_calls_in_flight", "tahuka_target" => target).increment(1.0);
        let context = Context::new().with_value(call).with_span(span);
        Answering { target, method, started: Instant::now(), context, ended: false }
    }

    /// For whatever is done to answer it.
    pub fn context(&self) -> Context {
        self.context.clone()
    }

    /// Its id, as metadata.
    pub fn id(&self) -> HeaderValue {
        let id = self.context.get::<Call>().and_then(|call| HeaderValue::try_from(call.id.to_string()).ok());
        id.unwrap_or_else(|| HeaderValue::from_static(""))
    }

    /// The answer is on its way; the call ends with it.
    pub fn answered(mut self, response: Response<Body>) -> Response<Body> {
        match response.headers().get(spans::GRPC_STATUS) {
            Some(code) => self.end(Code::from_bytes(code.as_bytes())),
            None if response.body().is_end_stream() => self.end(Code::Unknown),
            None => return response.map(|inner| Body::new(Leaving { inner, call: self })),
        }
        response
    }

    fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let name = spans::code_name(code);
        metrics::gauge!("tahuka_calls_in_flight", "tahuka_target" => self.target).decrement(1.0);
        metrics::histogram!(
            RPC_DURATION,
            "tahuka_target" => self.target,
            "rpc_system_name" => "grpc",
            "rpc_method" => self.method,
            "rpc_response_status_code" => name
        )
        .record(self.started.elapsed().as_secs_f64());
        let span = self.context.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new(spans::RPC_STATUS, name));
            if spans::is_our_fault(code) {
                span.set_attribute(KeyValue::new(spans::ERROR_TYPE, name));
                span.set_status(SpanStatus::error(""));
            }
            span.end();
        }
        let _entered = self.context.clone().attach();
        tracing::debug!(
            rpc = self.method,
            code = name,
            milliseconds = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "a call is answered"
        );
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// The call that this task answers is this tenant's.
pub fn known_tenant(tenant: Uuid) {
    Context::map_current(|context| {
        let Some(call) = context.get::<Call>() else { return };
        if call.tenant.set(tenant).is_ok() && context.span().is_recording() {
            context.span().set_attribute(KeyValue::new(spans::TENANT, tenant.to_string()));
        }
    });
}

/// A call was not let in.
pub fn refused(target: &'static str, refusal: &Refusal) {
    let reason = match refusal {
        Refusal::Unauthenticated => "authentication",
        Refusal::Permission(caller::UNKNOWN_RPC) => "unknown_rpc",
        Refusal::Permission(caller::NO_ROLE) => "role",
        Refusal::Permission(caller::NO_CUSTODY) => "custody",
        _ => "other",
    };
    metrics::counter!("tahuka_access_refusals_total", "tahuka_target" => target, "reason" => reason).increment(1);
    tracing::debug!(reason, "a call is not let in");
}

/// Somebody was looked up who may be known already.
pub fn looked_up(cache: &'static str, known: bool) {
    let result = if known { "hit" } else { "miss" };
    metrics::counter!("tahuka_cache_requests_total", "cache" => cache, "result" => result).increment(1);
}

/// The answer's body; its last frame tells the call's code.
struct Leaving {
    inner: Body,
    call: Answering,
}

impl http_body::Body for Leaving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let _entered = this.call.context.clone().attach();
        let frame = std::task::ready!(Pin::new(&mut this.inner).poll_frame(task));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(code) = frame.trailers_ref().and_then(|trailers| trailers.get(spans::GRPC_STATUS)) {
                    this.call.end(Code::from_bytes(code.as_bytes()));
                }
            }
            Some(Err(status)) => this.call.end(status.code()),
            None => this.call.end(Code::Unknown),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
