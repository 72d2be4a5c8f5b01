//! The access rule of each RPC, read once from the descriptors.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, Value};

use crate::options::v1::{DataCategory, DisclosureLevel};

/// What a caller needs to be let through to an RPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// `service.aggregate.verb`.
    pub permission: String,
    pub category: DataCategory,
    pub least_level: DisclosureLevel,
    /// The RPC changes records.
    pub write: bool,
}

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(crate::DESCRIPTORS).unwrap_or_default());

static RULES: LazyLock<HashMap<String, Rule>> = LazyLock::new(|| {
    let mut rules = HashMap::new();
    let Some(extension) = POOL.get_extension_by_name("tahuka.options.v1.access") else {
        return rules;
    };
    for method in POOL.services().flat_map(|s| s.methods().collect::<Vec<_>>()) {
        let options = method.options();
        if !options.has_extension(&extension) {
            continue;
        }
        let value = options.get_extension(&extension).into_owned();
        if let Value::Message(rule) = value
            && let Some(rule) = rule_from(&rule)
        {
            rules.insert(format!("/{}/{}", method.parent_service().full_name(), method.name()), rule);
        }
    }
    rules
});

fn rule_from(message: &prost_reflect::DynamicMessage) -> Option<Rule> {
    let number = |name: &str| message.get_field_by_name(name).and_then(|v| v.as_enum_number());
    let rule = Rule {
        permission: message.get_field_by_name("permission")?.as_str()?.to_owned(),
        category: DataCategory::try_from(number("category")?).ok()?,
        least_level: DisclosureLevel::try_from(number("least_level")?).ok()?,
        write: message.get_field_by_name("write")?.as_bool()?,
    };
    let whole = !rule.permission.is_empty()
        && rule.category != DataCategory::Unspecified
        && rule.least_level != DisclosureLevel::Unspecified;
    whole.then_some(rule)
}

/// The rule of the RPC at `path` (`/tahuka.registry.v1.HouseholdService/GetHousehold`). None: the
/// RPC is unknown or says nothing of its access, and must not be called.
pub fn rule(path: &str) -> Option<&'static Rule> {
    RULES.get(path)
}

/// The RPC at `path` as the contract names it, without the first slash. None: the contract does not know it.
pub fn method(path: &str) -> Option<&'static str> {
    RULES.get_key_value(path)?.0.strip_prefix('/')
}

/// Every RPC that has a rule, with it.
pub fn rules() -> impl Iterator<Item = (&'static str, &'static Rule)> {
    RULES.iter().map(|(path, rule)| (path.as_str(), rule))
}

/// The descriptors of the whole contract.
pub fn pool() -> &'static DescriptorPool {
    &POOL
}

/// The service of the house that serves `path`: `registry` for `/tahuka.registry.v1.…/…`.
pub fn service_of(path: &str) -> Option<&str> {
    path.strip_prefix("/tahuka.")?.split('.').next()
}
