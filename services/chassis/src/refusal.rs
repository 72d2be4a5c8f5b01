//! The one error of the house: why a request is refused, in words that a caller can act on, and
//! its one mapping to gRPC. It never carries personal data: field names and rules, no values.

use std::collections::HashMap;

use sea_orm::{DbErr, SqlErr};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use uuid::Uuid;

use crate::custody::trigger;

/// The domain of our `ErrorInfo` reasons (AIP-193).
const DOMAIN: &str = "tahuka";
/// The reason of a write to what is sealed.
const SEALED: &str = "RECORD_SEALED";

#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A field breaks a rule. Several can be told at once.
    #[error("invalid request: {}", .0.iter().map(|(f, r)| format!("{f}: {r}")).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<(String, String)>),
    /// Not there, or not for this caller to know of.
    #[error("{what} not found")]
    NotFound { what: &'static str, id: Option<Uuid> },
    /// The record is not in a state that allows this.
    #[error("{advice}")]
    Precondition { reason: &'static str, advice: String },
    /// Another write came first, or the same thing exists already.
    #[error("{advice}")]
    Conflict { reason: &'static str, advice: String },
    #[error("{0}")]
    Permission(&'static str),
    #[error("authentication failed")]
    Unauthenticated,
    #[error("{0} is not reachable; try again")]
    Unavailable(String),
    /// What another service of the house answered on the caller's behalf.
    #[error("{}", .0.message())]
    Peer(Box<Status>),
    /// The record is being handed over: nothing of it is written until that has ended.
    #[error("the record is sealed for a handover; repeat when its tranche is closed")]
    Sealed { tranche: Uuid },
    #[error("storage: {0}")]
    Storage(DbErr),
    #[error("internal: {0}")]
    Internal(String),
}

impl Refusal {
    pub fn invalid(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Refusal::Invalid(vec![(field.into(), rule.into())])
    }

    pub fn not_found(what: &'static str, id: impl Into<Option<Uuid>>) -> Self {
        Refusal::NotFound { what, id: id.into() }
    }

    /// `reason` is stable, in UPPER_SNAKE_CASE; `advice` says what to do.
    pub fn precondition(reason: &'static str, advice: impl Into<String>) -> Self {
        Refusal::Precondition { reason, advice: advice.into() }
    }

    pub fn conflict(reason: &'static str, advice: impl Into<String>) -> Self {
        Refusal::Conflict { reason, advice: advice.into() }
    }

    pub fn permission(why: &'static str) -> Self {
        Refusal::Permission(why)
    }

    pub fn internal(why: impl std::fmt::Display) -> Self {
        Refusal::Internal(why.to_string())
    }

    /// What kind of refusal it is: safe to be told where its text is not.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Refusal::Invalid(_) => "INVALID_FIELD",
            Refusal::NotFound { .. } => "NOT_FOUND",
            Refusal::Precondition { reason, .. } | Refusal::Conflict { reason, .. } => reason,
            Refusal::Permission(_) => "PERMISSION_DENIED",
            Refusal::Unauthenticated => "UNAUTHENTICATED",
            Refusal::Unavailable(_) => "UNAVAILABLE",
            Refusal::Peer(_) => "PEER",
            Refusal::Sealed { .. } => SEALED,
            Refusal::Storage(_) => "STORAGE",
            Refusal::Internal(_) => "INTERNAL",
        }
    }

    /// Whether the same call may succeed when it is made again, unchanged.
    pub fn is_transient(&self) -> bool {
        match self {
            Refusal::Unavailable(_) => true,
            Refusal::Storage(e) => {
                let text = e.to_string();
                matches!(e, DbErr::ConnectionAcquire(_) | DbErr::Conn(_))
                    || [
                        "40001",
                        "40P01",
                        "55P03",
                        "database is locked",
                        "could not serialize",
                        "deadlock",
                        "closed",
                        "connection",
                    ]
                    .iter()
                    .any(|sign| text.contains(sign))
            }
            _ => false,
        }
    }
}

/// A broken unique rule as the conflict that names it; any other failure as it is.
pub fn taken(reason: &'static str, advice: &'static str) -> impl Fn(DbErr) -> Refusal {
    move |error| match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => Refusal::conflict(reason, advice),
        _ => error.into(),
    }
}

impl From<DbErr> for Refusal {
    /// What the seal's triggers refuse is told as that.
    fn from(error: DbErr) -> Self {
        let text = error.to_string();
        let tranche = text.split_once(trigger::SEALED).and_then(|(_, rest)| {
            let id: String = rest.chars().take_while(|c| c.is_ascii_hexdigit() || *c == '-').collect();
            Uuid::try_parse(&id).ok()
        });
        tranche.map_or(Refusal::Storage(error), |tranche| Refusal::Sealed { tranche })
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Refusal::Peer(Box::new(status))
    }
}

fn with_reason(code: Code, message: String, reason: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, HashMap::new());
    if code == Code::FailedPrecondition {
        details.add_precondition_failure_violation(reason, "", message.clone());
    }
    Status::with_error_details(code, message, details)
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Invalid(violations) => {
                let mut details = ErrorDetails::new();
                details.set_error_info("INVALID_FIELD", DOMAIN, HashMap::new());
                for (field, rule) in violations {
                    details.add_bad_request_violation(field, rule);
                }
                Status::with_error_details(Code::InvalidArgument, message, details)
            }
            Refusal::NotFound { .. } => with_reason(Code::NotFound, message, "NOT_FOUND"),
            Refusal::Precondition { reason, .. } => with_reason(Code::FailedPrecondition, message, reason),
            Refusal::Conflict { reason, .. } => {
                let code = if reason == "ETAG_MISMATCH" { Code::Aborted } else { Code::AlreadyExists };
                with_reason(code, message, reason)
            }
            Refusal::Permission(_) => with_reason(Code::PermissionDenied, message, "PERMISSION_DENIED"),
            Refusal::Unauthenticated => Status::unauthenticated(message),
            Refusal::Unavailable(_) => with_reason(Code::Unavailable, message, "UNAVAILABLE"),
            Refusal::Peer(status) => *status,
            Refusal::Sealed { tranche } => {
                let mut details = ErrorDetails::new();
                details.set_error_info(SEALED, DOMAIN, HashMap::from([("tranche_id".to_owned(), tranche.to_string())]));
                details.add_precondition_failure_violation(SEALED, format!("tranche/{tranche}"), message.clone());
                Status::with_error_details(Code::FailedPrecondition, message, details)
            }
            Refusal::Storage(ref e) if refusal.is_transient() => {
                tracing::warn!(error = %e, "storage is busy");
                with_reason(Code::Unavailable, "the store is busy; try again".into(), "STORE_BUSY")
            }
            // The queries should have refused it; the caller is told no more than if it were not there.
            Refusal::Storage(e) if e.to_string().contains("row-level security") => {
                tracing::error!(error = %e, "the database refused a write outside the caller's scope");
                Refusal::not_found("record", None).into()
            }
            Refusal::Storage(e) => {
                tracing::error!(error = %e, "storage failed");
                with_reason(Code::Internal, "the store failed; the operator's log says why".into(), "STORE_FAILED")
            }
            Refusal::Internal(why) => {
                tracing::error!(%why, "internal failure");
                with_reason(Code::Internal, "internal failure; the operator's log says why".into(), "INTERNAL")
            }
        }
    }
}
