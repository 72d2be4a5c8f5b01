//! Who is asking, and what they may see: read from the passport, narrowed to the RPC's category.

use serde::{Deserialize, Serialize};
use tahuka_proto::Redact;
use tahuka_proto::access::Rule;
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tonic::{Request, Status};
use uuid::Uuid;

use crate::refusal::Refusal;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantKind {
    Operator,
    Ministry,
    Donor,
    ImplementingPartner,
    Platform,
}

/// One custodian's records of one category, as far as a tenant is let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeEntry {
    /// Number of `tahuka.options.v1.DataCategory`.
    pub category: i32,
    /// Number of `tahuka.options.v1.DisclosureLevel`.
    pub level: i32,
    pub custodian: Uuid,
    /// P-codes of districts; empty means everywhere, and nation-wide records too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub districts: Vec<String>,
    #[serde(default)]
    pub write: bool,
}

impl ScopeEntry {
    pub fn category(&self) -> DataCategory {
        DataCategory::try_from(self.category).unwrap_or_default()
    }

    pub fn level(&self) -> DisclosureLevel {
        DisclosureLevel::try_from(self.level).unwrap_or_default()
    }

    fn covers(&self, custodian: Uuid, district: Option<&str>) -> bool {
        self.custodian == custodian
            && (self.districts.is_empty() || district.is_some_and(|d| self.districts.iter().any(|own| own == d)))
    }
}

/// What a caller may see. The one definition: the query filter and the database's row-level
/// security are both made from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Background work of the house itself.
    System,
    Entries(Vec<ScopeEntry>),
}

#[derive(Debug, Clone)]
pub struct Caller {
    pub tenant_id: Uuid,
    pub tenant_kind: TenantKind,
    pub subject: String,
    pub roles: Vec<String>,
    pub permissions: Vec<String>,
    /// The staff member's districts; empty means no limit.
    pub districts: Vec<String>,
    /// Narrowed to the RPC's category and least level.
    pub scope: Scope,
    /// The signed passport, to be handed on to another service on the caller's behalf.
    pub passport: String,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
}

impl Caller {
    /// The caller that the chassis has let in.
    pub fn of<T>(request: &Request<T>) -> Result<Caller, Status> {
        request.extensions().get::<Caller>().cloned().ok_or_else(|| Status::unauthenticated("authentication failed"))
    }

    /// Background work, named for the audit.
    pub fn system(name: &str) -> Self {
        Caller {
            tenant_id: Uuid::nil(),
            tenant_kind: TenantKind::Platform,
            subject: format!("system:{name}"),
            roles: Vec::new(),
            permissions: Vec::new(),
            districts: Vec::new(),
            scope: Scope::System,
            passport: String::new(),
            traceparent: None,
        }
    }

    /// Checks an RPC's access rule and narrows the scope to it.
    pub fn admit(mut self, rule: &Rule) -> Result<Self, Refusal> {
        if !self.permissions.iter().any(|p| permits(p, &rule.permission)) {
            return Err(Refusal::permission("the caller's roles do not allow this"));
        }
        if let Scope::Entries(entries) = &mut self.scope {
            entries.retain(|e| e.category() == rule.category && e.level() >= rule.least_level && (e.write || !rule.write));
            if entries.is_empty() {
                return Err(Refusal::permission("no custody or agreement lets the caller's organisation do this"));
            }
        }
        Ok(self)
    }

    /// The most that the caller may see of a record.
    pub fn level(&self, custodian: Uuid, district: Option<&str>) -> DisclosureLevel {
        match &self.scope {
            Scope::System => DisclosureLevel::Identified,
            Scope::Entries(entries) => entries
                .iter()
                .filter(|e| e.covers(custodian, district))
                .map(ScopeEntry::level)
                .max()
                .unwrap_or(DisclosureLevel::Unspecified),
        }
    }

    /// `message` as the caller may see it.
    pub fn disclose<M: Redact>(&self, custodian: Uuid, district: Option<&str>, mut message: M) -> M {
        message.redact(self.level(custodian, district));
        message
    }

    pub(crate) fn may_write(&self, custodian: Uuid, district: Option<&str>) -> bool {
        match &self.scope {
            Scope::System => true,
            Scope::Entries(entries) => entries.iter().any(|e| e.write && e.covers(custodian, district)),
        }
    }
}

/// Whether the pattern (`registry.*.read`, `registry.*`, `*`) grants `permission`.
pub fn permits(pattern: &str, permission: &str) -> bool {
    let mut wanted = permission.split('.');
    let mut parts = pattern.split('.').peekable();
    while let Some(part) = parts.next() {
        if part == "*" && parts.peek().is_none() {
            return wanted.next().is_some();
        }
        match wanted.next() {
            Some(w) if part == "*" || part == w => {}
            _ => return false,
        }
    }
    wanted.next().is_none()
}
