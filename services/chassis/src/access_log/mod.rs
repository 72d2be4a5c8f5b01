//! The access log: who has been shown whom by name, when, by which RPC and what for. An answer leaves only when its row
//! is written. Rows are never changed, and each holds a hash over itself and the row before it.

mod chain;
mod store;
mod writer;

use chrono::{DateTime, Utc};
use tahuka_proto::Shown;
use uuid::Uuid;

use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::{clock, ids, telemetry};

pub use chain::{Verdict, verify, verify_newest};
pub use store::{About, Model, list, subject};
pub(crate) use writer::AccessLog;

/// The request metadata in which a caller says what it asks for.
pub const PURPOSE: &str = "x-tahuka-purpose";

const LONGEST_PURPOSE: usize = 200;

/// One answer that shows somebody by name.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    id: Uuid,
    accessed_at: DateTime<Utc>,
    tenant_id: Uuid,
    reader: String,
    roles: String,
    rpc: String,
    purpose: String,
    trace_id: String,
    shown: Vec<Shown>,
}

impl Access {
    pub fn new(caller: &Caller, rpc: &str, shown: Vec<Shown>) -> Self {
        Access {
            id: ids::new_id(),
            accessed_at: clock::now(),
            tenant_id: caller.tenant_id,
            reader: caller.subject.clone(),
            roles: caller.roles.join(","),
            rpc: rpc.to_owned(),
            purpose: if caller.purpose.is_empty() { usual_purpose(rpc) } else { caller.purpose.clone() },
            trace_id: caller.traceparent.as_deref().map(telemetry::trace_id).unwrap_or_default().to_owned(),
            shown,
        }
    }
}

/// What a caller that says nothing asks for: its work, with the service that it asks.
fn usual_purpose(rpc: &str) -> String {
    let service = rpc.split('/').nth(1).and_then(|name| name.rsplit('.').next()).unwrap_or_default();
    format!("programme work: {service}")
}

/// The purpose in the request's metadata; empty where none is told.
pub(crate) fn purpose(headers: &http::HeaderMap) -> Result<String, Refusal> {
    let Some(value) = headers.get(PURPOSE) else { return Ok(String::new()) };
    let refused = |rule: String| Refusal::invalid(PURPOSE, rule);
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| refused("must be text".into()))?.trim();
    if text.chars().any(char::is_control) {
        return Err(refused("must not have control characters".into()));
    }
    if text.chars().count() > LONGEST_PURPOSE {
        return Err(refused(format!("must have at most {LONGEST_PURPOSE} characters")));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_is_a_short_line_of_text() {
        let told = |bytes: &[u8]| {
            let mut headers = http::HeaderMap::new();
            headers.insert(PURPOSE, http::HeaderValue::from_bytes(bytes).unwrap());
            purpose(&headers)
        };
        assert_eq!(purpose(&http::HeaderMap::new()).unwrap(), "");
        assert_eq!(told("visite à domicile".as_bytes()).unwrap(), "visite à domicile");
        assert!(told(b"a\tb").is_err());
        assert!(told(&[0xff]).is_err());
        assert!(told("é".repeat(200).as_bytes()).is_ok());
        assert!(told("é".repeat(201).as_bytes()).is_err());
    }

    #[test]
    fn without_one_it_is_the_programmes_work() {
        assert_eq!(usual_purpose("/tahuka.registry.v1.HouseholdService/GetHousehold"), "programme work: HouseholdService");
    }
}
