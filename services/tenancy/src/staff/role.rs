//! The role catalogue. It is data: the migration seeds the table `role` from `CATALOGUE`, and what
//! is read at run time is the table.

use std::collections::BTreeSet;

use tahuka_chassis::{Refusal, TenantKind};

use TenantKind::{Donor, ImplementingPartner, Ministry, Operator, Platform};

/// A role as it is shipped.
pub struct Shipped {
    pub name: &'static str,
    /// Patterns, e.g. `registry.*.read`.
    pub permissions: &'static [&'static str],
    /// The kinds of tenant that may give it to their staff.
    pub kinds: &'static [TenantKind],
}

/// No role grants `tenancy.identity.resolve`: that is the gateway's alone.
pub const CATALOGUE: &[Shipped] = &[
    Shipped {
        name: "programme_manager",
        permissions: &[
            "registry.*",
            "assistance.*",
            "projects.*",
            "funding.*",
            "insight.*",
            "handover.*",
            "tenancy.programme.*",
            "tenancy.agreement.*",
            "tenancy.staff.read",
        ],
        kinds: &[Operator, Ministry],
    },
    Shipped {
        name: "case_worker",
        permissions: &[
            "registry.*.read",
            "registry.household.write",
            "registry.individual.write",
            "registry.return_episode.write",
            "registry.consent.write",
            "registry.vulnerability.write",
            "assistance.*.read",
            "assistance.*.write",
            "projects.*.read",
            "tenancy.programme.read",
        ],
        kinds: &[Operator, Ministry, ImplementingPartner],
    },
    Shipped {
        name: "registration_clerk",
        permissions: &["registry.*.read", "registry.*.write", "tenancy.programme.read"],
        kinds: &[Operator, Ministry],
    },
    Shipped {
        name: "monitoring_officer",
        permissions: &[
            "registry.*.read",
            "assistance.*.read",
            "assistance.follow_up.write",
            "assistance.feedback.write",
            "projects.*.read",
            "projects.*.write",
            "insight.*.read",
            "insight.*.report",
            "tenancy.programme.read",
        ],
        kinds: &[Operator, Ministry, ImplementingPartner],
    },
    Shipped {
        name: "finance_officer",
        permissions: &[
            "funding.*",
            "assistance.*.read",
            "projects.*.read",
            "insight.*.read",
            "insight.*.report",
            "tenancy.programme.read",
        ],
        kinds: &[Operator, Ministry],
    },
    Shipped {
        name: "district_officer",
        permissions: &[
            "registry.*.read",
            "registry.*.write",
            "registry.*.approve",
            "assistance.*.read",
            "projects.*.read",
            "funding.*.read",
            "insight.*.read",
            "tenancy.programme.read",
        ],
        kinds: &[Operator, Ministry],
    },
    Shipped {
        name: "donor_officer",
        permissions: &[
            "funding.*.read",
            "insight.*.read",
            "insight.*.report",
            "projects.*.read",
            "tenancy.programme.read",
            "tenancy.agreement.*",
        ],
        kinds: &[Donor],
    },
    // Signs for a training centre or another partner, and leads its work.
    Shipped {
        name: "partner_manager",
        permissions: &[
            "registry.*.read",
            "assistance.*.read",
            "assistance.cohort.write",
            "assistance.distribution.write",
            "projects.*.read",
            "tenancy.programme.read",
            "tenancy.agreement.*",
            "tenancy.staff.read",
        ],
        kinds: &[ImplementingPartner],
    },
    Shipped {
        name: "auditor",
        permissions: &[
            "registry.*.read",
            "assistance.*.read",
            "projects.*.read",
            "funding.*.read",
            "insight.*.read",
            "handover.*.read",
            "tenancy.programme.read",
            "tenancy.agreement.read",
            "tenancy.staff.read",
        ],
        kinds: &[Operator, Ministry],
    },
    Shipped {
        name: "integration_client",
        permissions: &[
            "registry.*.read",
            "registry.import.write",
            "assistance.*.read",
            "insight.*.read",
            "tenancy.programme.read",
        ],
        kinds: &[Operator, Ministry, ImplementingPartner],
    },
    Shipped { name: PLATFORM_OPERATOR, permissions: &["tenancy.tenant.*", "tenancy.staff.*"], kinds: &[Platform] },
];

pub const PLATFORM_OPERATOR: &str = "platform_operator";

/// A role of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub name: String,
    pub permissions: Vec<String>,
    pub kinds: Vec<TenantKind>,
}

/// The roles of these names, each once, if a tenant of `kind` may use them.
pub fn choose(catalogue: &[Role], kind: TenantKind, names: &[String]) -> Result<Vec<String>, Refusal> {
    let mut wrong = Vec::new();
    for (i, name) in names.iter().enumerate() {
        match catalogue.iter().find(|role| role.name == *name) {
            None => wrong.push((format!("roles[{i}]"), "must be a role of the catalogue".to_owned())),
            Some(role) if !role.kinds.contains(&kind) => {
                wrong.push((format!("roles[{i}]"), "is not open to a tenant of this kind".to_owned()));
            }
            Some(_) => {}
        }
    }
    if names.is_empty() {
        wrong.push(("roles".to_owned(), "must name at least one role".to_owned()));
    }
    if !wrong.is_empty() {
        return Err(Refusal::Invalid(wrong));
    }
    Ok(names.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect())
}

/// Those of `names` that a tenant of `kind` may use; the others are passed over.
pub fn open(catalogue: &[Role], kind: TenantKind, names: &[String]) -> Vec<String> {
    let open = catalogue.iter().filter(|role| role.kinds.contains(&kind) && names.contains(&role.name));
    open.map(|role| role.name.clone()).collect()
}

/// What `names` grant together. A name that has left the catalogue grants nothing.
pub fn permissions(catalogue: &[Role], names: &[String]) -> Vec<String> {
    let granted: BTreeSet<_> =
        catalogue.iter().filter(|role| names.contains(&role.name)).flat_map(|role| role.permissions.iter().cloned()).collect();
    granted.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use tahuka_chassis::permits;

    use super::*;

    fn catalogue() -> Vec<Role> {
        let role = |shipped: &Shipped| Role {
            name: shipped.name.to_owned(),
            permissions: shipped.permissions.iter().map(|p| (*p).to_owned()).collect(),
            kinds: shipped.kinds.to_vec(),
        };
        CATALOGUE.iter().map(role).collect()
    }

    fn may(role: &str, permission: &str) -> bool {
        permissions(&catalogue(), &[role.to_owned()]).iter().any(|pattern| permits(pattern, permission))
    }

    #[test]
    fn nobody_but_the_platform_operator_administers_tenants_and_nobody_resolves_identities() {
        for role in catalogue() {
            assert!(!may(&role.name, "tenancy.identity.resolve"), "{}", role.name);
            for permission in ["tenancy.tenant.read", "tenancy.tenant.write", "tenancy.staff.write"] {
                assert_eq!(may(&role.name, permission), role.name == PLATFORM_OPERATOR, "{} {permission}", role.name);
            }
        }
    }

    #[test]
    fn a_donor_follows_the_money_and_meets_no_person() {
        assert!(may("donor_officer", "funding.grant.read"));
        assert!(may("donor_officer", "insight.report.read"));
        assert!(may("donor_officer", "tenancy.agreement.approve"));
        for permission in ["registry.household.read", "assistance.plan.read", "funding.grant.write"] {
            assert!(!may("donor_officer", permission), "{permission}");
        }
    }

    #[test]
    fn a_platform_operator_sees_no_programme() {
        for permission in ["registry.household.read", "tenancy.programme.read", "insight.report.read"] {
            assert!(!may(PLATFORM_OPERATOR, permission), "{permission}");
        }
    }

    #[test]
    fn a_plan_is_approved_by_the_programme_manager_alone() {
        for role in catalogue() {
            assert_eq!(may(&role.name, "assistance.plan.approve"), role.name == "programme_manager", "{}", role.name);
        }
    }

    #[test]
    fn a_role_is_given_only_where_its_kind_of_tenant_allows() -> Result<(), Refusal> {
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let all = catalogue();
        let chosen = choose(&all, Ministry, &names(&["district_officer", "auditor", "auditor"]))?;
        assert_eq!(chosen, ["auditor", "district_officer"]);
        for (kind, wrong) in [(Donor, "case_worker"), (Operator, PLATFORM_OPERATOR), (Platform, "auditor"), (Operator, "king")] {
            assert!(choose(&all, kind, &names(&[wrong])).is_err(), "{wrong}");
        }
        assert!(choose(&all, Operator, &[]).is_err());
        Ok(())
    }
}
