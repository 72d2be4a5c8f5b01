//! How a trace goes from one process to the next: by the W3C header `traceparent`, in calls and in events. The other
//! header of that standard, `tracestate`, is passed over: a client could write anything into it.

use std::convert::Infallible;

use http::{HeaderMap, HeaderValue};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt as _, service_fn};

use super::call::Call;
use super::spans::Client;
use crate::peers::Peer;

/// The metadata key of the trace that a call belongs to.
pub const TRACEPARENT: &str = "traceparent";
/// The metadata key of the call's own id, which the gateway gives and the logs tell.
pub const CALL_ID: &str = "x-request-id";

/// The span that a traceparent names; None for anything that is not quite one.
pub(crate) fn parsed(traceparent: &str) -> Option<SpanContext> {
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let parts: Vec<&str> = traceparent.split('-').collect();
    let [version, trace, span, flags, ..] = parts[..] else { return None };
    let lengths = [version, trace, span, flags].map(str::len) == [2, 32, 16, 2];
    if !lengths || ![version, trace, span, flags].into_iter().all(hex) || version == "ff" || (version == "00" && parts.len() > 4)
    {
        return None;
    }
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::default().with_sampled(sampled),
        true,
        TraceState::default(),
    );
    context.is_valid().then_some(context)
}

/// The traceparent of whatever this task is doing.
pub fn traceparent() -> Option<String> {
    Context::map_current(told)
}

pub(super) fn told(context: &Context) -> Option<String> {
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8()))
}

/// The trace id within a traceparent.
pub fn trace_id(traceparent: &str) -> &str {
    traceparent.split('-').nth(1).unwrap_or_default()
}

/// Puts the trace and the id of the call that is being answered into the headers of a call made for it.
pub fn inject(context: &Context, headers: &mut HeaderMap) {
    headers.remove("tracestate");
    match told(context).and_then(|t| HeaderValue::try_from(t).ok()) {
        Some(value) => headers.insert(TRACEPARENT, value),
        None => headers.remove(TRACEPARENT),
    };
    if let Some(call) = context.get::<Call>()
        && let Ok(value) = HeaderValue::try_from(call.id.to_string())
    {
        headers.insert(CALL_ID, value);
    }
}

/// A service of the house as it is asked from here: each call carries the trace on, under a span of its own where the
/// trace is kept.
pub(crate) fn asking(service: &str, peer: Peer) -> Peer {
    let service: std::sync::Arc<str> = service.into();
    BoxCloneSyncService::new(service_fn(move |mut request: http::Request<Body>| {
        let client = Client::begin(&service, request.uri().path());
        inject(client.context(), request.headers_mut());
        let answer = peer.clone().oneshot(request).with_context(client.context().clone());
        async move {
            let Ok(response) = answer.await;
            client.answered(&response);
            Ok::<_, Infallible>(response)
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_comes_out_as_it_came_in() {
        let context = Context::new().with_remote_span_context(parsed(TOLD).unwrap());
        assert_eq!(told(&context).as_deref(), Some(TOLD));
        let not_kept = TOLD.replace("-01", "-00");
        let context = Context::new().with_remote_span_context(parsed(&not_kept).unwrap());
        assert!(!context.span().span_context().is_sampled());
        assert_eq!(told(&context), Some(not_kept));
        assert_eq!(told(&Context::new()), None);
    }

    #[test]
    fn what_is_not_quite_a_traceparent_is_none() {
        for wrong in [
            "",
            "UWIMANA",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-UWIMANA",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(parsed(wrong).is_none(), "{wrong}");
        }
        assert!(parsed(&format!("01{}-more", &TOLD[2..])).is_some(), "a later version may have more");
    }

    #[test]
    fn headers_tell_the_trace_and_the_call_and_no_more() {
        let call = Call::new("gateway", None);
        let id = call.id.to_string();
        let context = Context::new().with_value(call).with_remote_span_context(parsed(TOLD).unwrap());
        let mut headers = HeaderMap::new();
        headers.insert("tracestate", HeaderValue::from_static("name=UWIMANA"));
        headers.insert(TRACEPARENT, HeaderValue::from_static("UWIMANA"));
        inject(&context, &mut headers);
        assert_eq!(headers.get(TRACEPARENT).unwrap(), TOLD);
        assert_eq!(headers.get(CALL_ID).unwrap(), &id);
        assert!(!headers.contains_key("tracestate"));
    }
}
