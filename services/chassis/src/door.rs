//! The door of each service: passport, access rule, deadline, trace and metrics, before any handler; the access log,
//! before any answer.

use std::time::Duration;

use opentelemetry::context::FutureExt as _;
use tahuka_proto::access;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};

use crate::access_log::{self, Access, AccessLog};
use crate::caller::{Caller, UNKNOWN_RPC};
use crate::passport::{self, Inspector};
use crate::peers::Peer;
use crate::refusal::Refusal;
use crate::telemetry::{self, Answering};

/// `routes` behind the door.
pub(crate) fn guard(routes: Routes, inspector: Inspector, log: AccessLog) -> Peer {
    let routes = routes.prepare();
    BoxCloneSyncService::new(service_fn(move |request: http::Request<Body>| {
        let routes = routes.clone();
        let (inspector, log) = (inspector.clone(), log.clone());
        async move { Ok(answer(routes, inspector, log, request).await) }
    }))
}

async fn answer(routes: Routes, inspector: Inspector, log: AccessLog, request: http::Request<Body>) -> http::Response<Body> {
    let call = Answering::begin(inspector.service(), request.uri().path(), request.headers());
    let response = let_in(routes, inspector, log, request).with_context(call.context()).await;
    call.answered(response)
}

async fn let_in(routes: Routes, inspector: Inspector, log: AccessLog, request: http::Request<Body>) -> http::Response<Body> {
    let caller = match admitted(&inspector, &request) {
        Ok(caller) => caller,
        Err(refusal) => {
            telemetry::refused(inspector.service(), &refusal);
            return Status::from(refusal).into_http();
        }
    };
    telemetry::known_tenant(caller.tenant_id);
    let deadline = header(&request, "grpc-timeout").and_then(|t| timeout(&t)).unwrap_or(Duration::from_secs(300));
    match tokio::time::timeout(deadline, logged(routes, caller, log, request)).await {
        Ok(response) => response,
        Err(_) => Status::deadline_exceeded("the deadline passed; ask again with a longer one").into_http(),
    }
}

fn admitted(inspector: &Inspector, request: &http::Request<Body>) -> Result<Caller, Refusal> {
    let rule = access::rule(request.uri().path()).ok_or(Refusal::permission(UNKNOWN_RPC))?;
    let passport = header(request, passport::METADATA).ok_or(Refusal::Unauthenticated)?;
    let caller = inspector.inspect(&passport, telemetry::traceparent())?.admit(rule)?;
    Ok(Caller { purpose: access_log::purpose(request.headers())?, ..caller })
}

/// The handler's answer. One that shows somebody by name does not leave before that is written down.
async fn logged(routes: Routes, caller: Caller, log: AccessLog, mut request: http::Request<Body>) -> http::Response<Body> {
    let rpc = request.uri().path().to_owned();
    request.extensions_mut().insert(caller.clone());
    let Ok(response) = routes.oneshot(request).await;
    let shown = caller.shown();
    // A refusal shows nobody. What is shown in a stream would come after this; the descriptor tests see that none does.
    if shown.is_empty() || response.headers().get("grpc-status").is_some_and(|code| code != "0") {
        return response;
    }
    match log.write(Access::new(&caller, &rpc, shown)).await {
        Ok(()) => response,
        Err(refusal) => Status::from(refusal).into_http(),
    }
}

fn header(request: &http::Request<Body>, name: &str) -> Option<String> {
    request.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// A gRPC timeout: up to 8 digits and a unit.
pub fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(n * 3600),
        "M" => Duration::from_secs(n * 60),
        "S" => Duration::from_secs(n),
        "m" => Duration::from_millis(n),
        "u" => Duration::from_micros(n),
        "n" => Duration::from_nanos(n),
        _ => return None,
    })
}
