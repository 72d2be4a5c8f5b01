//! Who asks: a tenant of each kind, in each role, let in at each level. The level is of the first custodian's records;
//! of the second custodian's nobody here is told anything.

use tahuka_chassis::passport::Bearer;
use tahuka_chassis::{ScopeEntry, TenantKind};
use tahuka_proto::access::Rule;
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use uuid::Uuid;

use crate::seed::RUBAVU;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Party {
    /// The custodian itself.
    Operator,
    Ministry,
    /// A ministry that keeps records of its own beside what the custodian shows it.
    MinistryWithOwn,
    /// A ministry that is let into one district.
    MinistryOfRubavu,
    Donor,
    Partner,
    Platform,
    /// A tenant with no agreement: only its own custody, at the level.
    Stranger,
}

pub const PARTIES: [Party; 8] = [
    Party::Operator,
    Party::Ministry,
    Party::MinistryWithOwn,
    Party::MinistryOfRubavu,
    Party::Donor,
    Party::Partner,
    Party::Platform,
    Party::Stranger,
];

/// The level and whether it is given with write.
pub type Access = (DisclosureLevel, bool);

pub const ACCESSES: [Access; 7] = [
    (DisclosureLevel::Unspecified, false),
    (DisclosureLevel::Aggregate, false),
    (DisclosureLevel::Aggregate, true),
    (DisclosureLevel::Pseudonymised, false),
    (DisclosureLevel::Pseudonymised, true),
    (DisclosureLevel::Identified, false),
    (DisclosureLevel::Identified, true),
];

/// The tenants of the run, by party.
#[derive(Debug, Clone)]
pub struct Tenants {
    pub operator: Uuid,
    pub ministry: Uuid,
    pub donor: Uuid,
    pub partner: Uuid,
    pub platform: Uuid,
    pub stranger: Uuid,
}

impl Party {
    pub fn kind(self) -> TenantKind {
        match self {
            Party::Operator => TenantKind::Operator,
            Party::Ministry | Party::MinistryWithOwn | Party::MinistryOfRubavu => TenantKind::Ministry,
            Party::Donor => TenantKind::Donor,
            Party::Partner | Party::Stranger => TenantKind::ImplementingPartner,
            Party::Platform => TenantKind::Platform,
        }
    }

    pub fn tenant(self, tenants: &Tenants) -> Uuid {
        match self {
            Party::Operator => tenants.operator,
            Party::Ministry | Party::MinistryWithOwn | Party::MinistryOfRubavu => tenants.ministry,
            Party::Donor => tenants.donor,
            Party::Partner => tenants.partner,
            Party::Platform => tenants.platform,
            Party::Stranger => tenants.stranger,
        }
    }

    /// The categories that its agreement covers.
    fn categories(self) -> Vec<DataCategory> {
        use DataCategory::{Assistance, Funding, Projects, Registration, Reporting};
        match self {
            Party::Donor => vec![Funding, Reporting, Projects],
            Party::Partner => vec![Registration, Assistance],
            _ => categories().into_iter().filter_map(|n| DataCategory::try_from(n).ok()).collect(),
        }
    }

    pub fn scope(self, tenants: &Tenants, (level, write): Access) -> Vec<ScopeEntry> {
        let custodian = match self {
            Party::Platform | Party::Stranger => self.tenant(tenants),
            _ => tenants.operator,
        };
        let districts = if self == Party::MinistryOfRubavu { vec![RUBAVU.to_owned()] } else { Vec::new() };
        let entry = |category: DataCategory| ScopeEntry {
            category: category.into(),
            level: level.into(),
            custodian,
            districts: districts.clone(),
            write,
            ..Default::default()
        };
        let mut scope = Vec::new();
        if level != DisclosureLevel::Unspecified {
            scope.extend(self.categories().into_iter().map(entry));
        }
        if self == Party::MinistryWithOwn {
            scope.extend(custody(tenants.ministry));
        }
        scope
    }
}

/// Who a cell's caller is.
#[derive(Debug, Clone)]
pub struct Caller {
    pub party: Party,
    pub access: Access,
    pub role: String,
    pub bearer: Bearer,
}

impl Caller {
    pub fn new(party: Party, access: Access, role: &str, permissions: &[String], tenants: &Tenants) -> Self {
        let bearer = Bearer {
            subject: format!("{role}@{party:?}"),
            tenant_id: party.tenant(tenants),
            tenant_kind: party.kind(),
            roles: vec![role.to_owned()],
            permissions: permissions.to_vec(),
            scope: party.scope(tenants, access),
            ..Default::default()
        };
        Caller { party, access, role: role.to_owned(), bearer }
    }

    /// What the access rule says of this caller. Written from the rule alone; the house's own check is not asked.
    pub fn is_let_in(&self, rule: &Rule) -> bool {
        let granted = self.bearer.permissions.iter().any(|pattern| matches(pattern, &rule.permission));
        let reached = self.bearer.scope.iter().any(|entry| {
            entry.category == rule.category as i32 && entry.level >= rule.least_level as i32 && (entry.write || !rule.write)
        });
        granted && reached
    }

    /// Whether any of the first custodian's records are shown to it.
    pub fn sees_the_first(&self) -> bool {
        let let_in = self.access.0 != DisclosureLevel::Unspecified;
        let_in && !matches!(self.party, Party::Platform | Party::Stranger)
    }

    pub fn identifies_the_first(&self) -> bool {
        self.sees_the_first() && self.access.0 == DisclosureLevel::Identified
    }

    /// Whether it is told pseudonyms in the place of ids.
    pub fn knows_by_pseudonym(&self) -> bool {
        self.access.0 == DisclosureLevel::Pseudonymised
    }
}

/// `*` stands for one part, and at the end for all that follow.
fn matches(pattern: &str, permission: &str) -> bool {
    let (pattern, permission): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), permission.split('.').collect());
    let open = pattern.last() == Some(&"*");
    let fixed = if open { &pattern[..pattern.len() - 1] } else { &pattern[..] };
    let long_enough = if open { permission.len() > fixed.len() } else { permission.len() == fixed.len() };
    long_enough && fixed.iter().zip(&permission).all(|(want, is)| *want == "*" || want == is)
}

/// Every category of data.
pub fn categories() -> Vec<i32> {
    (1..).map_while(|n| tahuka_proto::options::v1::DataCategory::try_from(n).ok()).map(i32::from).collect()
}

/// Full custody of every category.
pub fn custody(tenant: Uuid) -> Vec<ScopeEntry> {
    let level = DisclosureLevel::Identified.into();
    categories()
        .into_iter()
        .map(|category| ScopeEntry { category, level, custodian: tenant, write: true, ..Default::default() })
        .collect()
}

pub fn manager(tenant: Uuid, kind: TenantKind) -> Bearer {
    Bearer {
        subject: "manager".into(),
        tenant_id: tenant,
        tenant_kind: kind,
        roles: vec!["programme_manager".into()],
        permissions: vec!["*".into()],
        scope: custody(tenant),
        ..Default::default()
    }
}
