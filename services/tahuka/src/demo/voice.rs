//! One caller's way to the gateway: its channel, its token, and the patience to say the same thing again. A repeated
//! call carries the same request_id, so it takes effect once.

use std::error::Error as _;
use std::time::{Duration, Instant};

use tahuka_chassis::Refusal;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use crate::reach::{Trust, endpoint};

/// How long the platform may be out of reach.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one call may take.
const LONGEST_CALL: Duration = Duration::from_secs(300);

pub type Line = InterceptedService<Channel, Bearer>;

/// Puts the token on each call.
#[derive(Clone)]
pub struct Bearer(MetadataValue<tonic::metadata::Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// A channel that finds its way back by itself.
pub fn channel(gateway: &str, trust: &Trust) -> Result<Channel, Refusal> {
    Ok(endpoint("--gateway", gateway, trust)?.connect_lazy())
}

#[derive(Clone)]
pub struct Voice {
    /// Tenant and subject.
    pub who: String,
    line: Line,
}

impl Voice {
    pub fn new(channel: Channel, who: String, token: &str) -> Result<Self, Refusal> {
        let bearer = MetadataValue::try_from(format!("Bearer {token}")).map_err(Refusal::internal)?;
        Ok(Voice { who, line: InterceptedService::new(channel, Bearer(bearer)) })
    }

    /// Sends `request` until there is an answer, or none to be had. See `ask!`.
    pub async fn call<Q, A, F>(&self, rpc: &'static str, request: Q, send: impl Fn(Line, Q) -> F) -> Result<A, Refusal>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut wait = Duration::from_millis(50);
        let mut until = None;
        loop {
            let status = match tokio::time::timeout(LONGEST_CALL, send(self.line.clone(), request.clone())).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer in time"),
            };
            let until = *until.get_or_insert_with(|| Instant::now() + PATIENCE);
            if !passes(&status) || Instant::now() > until {
                let message = format!("{rpc} as {}: {:?}: {}", self.who, status.code(), status.message());
                return Err(Refusal::Peer(Box::new(Status::new(status.code(), message))));
            }
            tracing::info!(rpc, code = ?status.code(), "called again");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(3));
        }
    }
}

/// Whether the same call may be answered later. A status that was made on this side of the wire has a source: the
/// connection broke before the answer came.
fn passes(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded => true,
        Code::Unknown | Code::Internal | Code::Cancelled => {
            status.source().is_some() || status.message().contains("transport error")
        }
        _ => false,
    }
}

/// The code of a refusal by the platform.
pub fn code(refusal: &Refusal) -> Option<Code> {
    match refusal {
        Refusal::Peer(status) => Some(status.code()),
        _ => None,
    }
}

/// A new id for a mutation.
pub fn request_id() -> String {
    tahuka_chassis::ids::new_id().to_string()
}

/// `ask!(voice, PlanServiceClient.list_plans(request))`: the answer, after as many tries as it takes.
macro_rules! ask {
    ($voice:expr, $client:ident . $method:ident ($request:expr)) => {
        $voice.call(stringify!($method), $request, |line, request| async move { $client::new(line).$method(request).await }).await
    };
}
pub(super) use ask;

/// The part of an answer that is always there.
pub fn told<T>(part: Option<T>, what: &'static str) -> Result<T, Refusal> {
    part.ok_or_else(|| Refusal::internal(format!("an answer without its {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_platform_said_is_final_and_a_broken_wire_is_not() {
        assert!(passes(&Status::unavailable("the store is busy")));
        assert!(!passes(&Status::internal("internal failure; the operator's log says why")));
        assert!(!passes(&Status::permission_denied("no")));
        let mut broken = Status::unknown("error reading a body from connection");
        broken.set_source(std::sync::Arc::new(std::io::Error::other("reset")));
        assert!(passes(&broken));
    }
}
