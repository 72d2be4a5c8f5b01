//! Who is asking, and what they may see: read from the passport, narrowed to the RPC's category.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tahuka_proto::access::Rule;
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::{Redact, Shown, Subjects, View};
use tonic::{Request, Status, Streaming};
use uuid::Uuid;

use crate::pseudonym::Names;
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Ids of grants; empty means all. Funding and reporting show money of these only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<String>,
    /// What the agreement is for, in short; empty for the tenant's own custody.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub purpose: String,
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

/// Why a call is not let in.
pub const UNKNOWN_RPC: &str = "no such RPC, or none that can be called";
pub const NO_ROLE: &str = "the caller's roles do not allow this";
pub(crate) const NO_CUSTODY: &str = "no custody or agreement lets the caller's organisation do this";

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
    /// Another system and not a person.
    pub workload: bool,
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
    /// What the caller says it asks for.
    pub purpose: String,
    pub people: People,
}

/// The people of one request, for the chassis alone.
#[derive(Debug, Clone, Default)]
pub struct People {
    /// The ids that the request told by pseudonym.
    by_pseudonym: Arc<HashSet<Uuid>>,
    /// Whom the answer shows by name.
    shown: Arc<Mutex<Vec<Shown>>>,
}

impl Caller {
    /// The caller that the chassis has let in, and its request with ids in the place of its pseudonyms. Whoever names
    /// somebody by id reaches only what it may see by name: elsewhere an id is as good as none. Whoever names somebody by
    /// pseudonym is answered under pseudonyms: what one category hides is not looked up in another.
    pub fn take<M: Subjects>(request: Request<M>) -> Result<(Caller, M), Status> {
        #[allow(clippy::disallowed_methods)] // The one place.
        let (_, extensions, mut message) = request.into_parts();
        let caller = extensions.get::<Caller>().cloned().ok_or_else(|| Status::unauthenticated("authentication failed"))?;
        Ok((caller.resolve(&mut message), message))
    }

    /// As `take`, for a request that is a stream. Its messages hold no ids of people: the descriptor tests see to that.
    pub fn take_stream<M>(request: Request<Streaming<M>>) -> Result<(Caller, Streaming<M>), Status> {
        #[allow(clippy::disallowed_methods)] // The one place.
        let (_, extensions, messages) = request.into_parts();
        let caller = extensions.get::<Caller>().cloned().ok_or_else(|| Status::unauthenticated("authentication failed"))?;
        Ok((caller, messages))
    }

    fn resolve<M: Subjects>(mut self, message: &mut M) -> Self {
        let names = Names::of(self.tenant_id);
        let (mut resolved, mut by_id) = (HashSet::new(), false);
        message.subjects(&mut |_, told| match names.id(told) {
            Some(id) => {
                resolved.insert(id);
                *told = id.to_string();
            }
            None => by_id |= !told.is_empty(),
        });
        if let Scope::Entries(entries) = &mut self.scope {
            entries.retain(|entry| !by_id || entry.level() == DisclosureLevel::Identified);
            for entry in entries.iter_mut().filter(|_| !resolved.is_empty()) {
                entry.level = entry.level.min(DisclosureLevel::Pseudonymised.into());
            }
        }
        self.people.by_pseudonym = Arc::new(resolved);
        self
    }

    /// Background work, named for the audit.
    pub fn system(name: &str) -> Self {
        Caller {
            tenant_id: Uuid::nil(),
            tenant_kind: TenantKind::Platform,
            subject: format!("system:{name}"),
            workload: true,
            roles: Vec::new(),
            permissions: Vec::new(),
            districts: Vec::new(),
            scope: Scope::System,
            passport: String::new(),
            traceparent: None,
            purpose: String::new(),
            people: People::default(),
        }
    }

    /// Checks an RPC's access rule and narrows the scope to it.
    pub fn admit(mut self, rule: &Rule) -> Result<Self, Refusal> {
        if !self.permissions.iter().any(|p| permits(p, &rule.permission)) {
            return Err(Refusal::permission(NO_ROLE));
        }
        if let Scope::Entries(entries) = &mut self.scope {
            entries.retain(|e| e.category() == rule.category && e.level() >= rule.least_level && (e.write || !rule.write));
            if entries.is_empty() {
                return Err(Refusal::permission(NO_CUSTODY));
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

    /// `message` as the caller may see it. What it then tells of anybody by name is kept for the access log.
    pub fn disclose<M: Redact>(&self, custodian: Uuid, district: Option<&str>, message: M) -> M {
        self.disclose_at(self.level(custodian, district), message)
    }

    /// As `disclose`, for what is no record of one custodian.
    pub fn disclose_at<M: Redact>(&self, level: DisclosureLevel, mut message: M) -> M {
        let names = Names::of(self.tenant_id);
        let pseudonym = |id: &str| names.pseudonym(id);
        let mut view = View::new(level, &pseudonym);
        message.redact(&mut view);
        if !view.shown.is_empty()
            && let Ok(mut shown) = self.people.shown.lock()
        {
            shown.append(&mut view.shown);
        }
        message
    }

    /// `message` for another service, with the pseudonyms that the caller told in the place of their ids: what may be
    /// seen there under a pseudonym only is found by it.
    pub(crate) fn as_told<M: Subjects>(&self, mut message: M) -> M {
        if !self.people.by_pseudonym.is_empty() {
            let names = Names::of(self.tenant_id);
            message.subjects(&mut |_, id| {
                if Uuid::try_parse(id).is_ok_and(|id| self.people.by_pseudonym.contains(&id)) {
                    *id = names.pseudonym(id);
                }
            });
        }
        message
    }

    /// The same caller, held to what its own organisation answers for.
    pub fn in_own_custody(mut self) -> Self {
        if let Scope::Entries(entries) = &mut self.scope {
            entries.retain(|entry| entry.custodian == self.tenant_id);
        }
        self
    }

    /// Whom the answer shows by name, each message once; for whoever asks first.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let shown = self.people.shown.lock().map(|mut shown| std::mem::take(&mut *shown)).unwrap_or_default();
        let mut known = HashSet::new();
        shown.into_iter().filter(|one| known.insert(one.clone())).collect()
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

#[cfg(test)]
mod tests {
    use tahuka_proto::registry::v1::{GetHouseholdProfileRequest, Individual};

    use super::*;
    use crate::ids;

    fn caller(levels: &[DisclosureLevel]) -> Caller {
        let entry = |level: &DisclosureLevel| ScopeEntry {
            category: DataCategory::Registration.into(),
            level: (*level).into(),
            custodian: ids::new_id(),
            ..Default::default()
        };
        let scope = Scope::Entries(levels.iter().map(entry).collect());
        Caller { tenant_id: ids::new_id(), scope, ..Caller::system("test") }
    }

    fn take(caller: &Caller, household_id: &str) -> (Caller, GetHouseholdProfileRequest) {
        let mut request = Request::new(GetHouseholdProfileRequest { household_id: household_id.into(), ..Default::default() });
        request.extensions_mut().insert(caller.clone());
        Caller::take(request).unwrap()
    }

    fn levels(caller: &Caller) -> Vec<DisclosureLevel> {
        let Scope::Entries(entries) = &caller.scope else { panic!("no entries") };
        entries.iter().map(ScopeEntry::level).collect()
    }

    use DisclosureLevel::{Identified, Pseudonymised};

    #[test]
    fn an_id_reaches_what_is_seen_by_name_and_a_pseudonym_is_answered_under_pseudonyms() {
        let caller = caller(&[Identified, Pseudonymised]);
        let id = ids::new_id().to_string();
        let pseudonym = Names::of(caller.tenant_id).pseudonym(&id);
        let (by_id, request) = take(&caller, &id);
        assert_eq!((levels(&by_id), request.household_id), (vec![Identified], id.clone()));
        let (by_pseudonym, request) = take(&caller, &pseudonym);
        assert_eq!((levels(&by_pseudonym), request.household_id), (vec![Pseudonymised, Pseudonymised], id.clone()));
        let (by_neither, _) = take(&caller, "");
        assert_eq!(levels(&by_neither), [Identified, Pseudonymised]);
    }

    #[test]
    fn what_was_told_by_pseudonym_is_handed_on_by_pseudonym() {
        let caller = caller(&[Identified]);
        let (id, other) = (ids::new_id().to_string(), ids::new_id().to_string());
        let pseudonym = Names::of(caller.tenant_id).pseudonym(&id);
        let (caller, _) = take(&caller, &pseudonym);
        let on = GetHouseholdProfileRequest { household_id: id, individual_id: other.clone(), ..Default::default() };
        let on = caller.as_told(on);
        assert_eq!((on.household_id, on.individual_id), (pseudonym, other));
    }

    #[test]
    fn what_is_shown_by_name_is_kept_once_for_the_log() {
        let person = || Individual { id: ids::new_id().to_string(), surname: "UWIMANA".into(), ..Default::default() };
        let caller = caller(&[Identified]);
        let one = person();
        assert_eq!(caller.disclose_at(Identified, one.clone()), one);
        caller.disclose_at(Identified, one.clone());
        caller.disclose_at(Identified, Individual { surname: String::new(), ..person() });
        let hidden = caller.disclose_at(Pseudonymised, person());
        assert!(hidden.id.starts_with("p-") && hidden.surname.is_empty());
        let shown = caller.shown();
        assert_eq!(shown.len(), 1);
        assert_eq!((shown[0].message, &shown[0].individual_id), ("tahuka.registry.v1.Individual", &one.id));
        assert!(caller.shown().is_empty(), "it is asked for once");
    }
}
