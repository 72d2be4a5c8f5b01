//! What a token says of its bearer, read from the claims that its issuer's mapping names.

use serde_json::{Map, Value};
use tahuka_proto::tenancy::v1 as tenancy;

pub(crate) type Claims = Map<String, Value>;

/// More words than this in one claim are no roles or districts.
const MOST_WORDS: usize = 200;

/// What the gateway tells tenancy of the token. None where it names nobody.
pub(crate) fn told(issuer: &str, mapping: &tenancy::ClaimMapping, claims: &Claims) -> Option<tenancy::ResolveIdentityRequest> {
    let subject = if mapping.subject.is_empty() { "sub" } else { &mapping.subject };
    let text = |name: &str| find(claims, name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let told = tenancy::ResolveIdentityRequest {
        issuer: issuer.to_owned(),
        subject: text(subject),
        client_id: text(&mapping.client),
        roles: words(claims, &mapping.roles),
        districts: words(claims, &mapping.districts),
    };
    (!told.subject.is_empty() || !told.client_id.is_empty()).then_some(told)
}

/// The claim of this name; else dots lead into objects.
fn find<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    if name.is_empty() {
        return None;
    }
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (head, rest) = name.split_once('.')?;
    find(claims.get(head)?.as_object()?, rest)
}

/// A list of words, or words with spaces between.
fn words(claims: &Claims, name: &str) -> Vec<String> {
    let words: Vec<String> = match find(claims, name) {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(text)) => text.split_whitespace().map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    if words.len() > MOST_WORDS { Vec::new() } else { words }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn claims_are_found_by_name_and_by_path() {
        let claims = claims(json!({
            "sub": "f:1", "preferred_username": "anne", "azp": "portal",
            "realm_access": { "roles": ["auditor", 7, "case_worker"] },
            "https://example.org/districts": "RW33 RW43",
        }));
        let mapping = tenancy::ClaimMapping {
            subject: "preferred_username".into(),
            client: "client_id".into(),
            roles: "realm_access.roles".into(),
            districts: "https://example.org/districts".into(),
            trust_roles: false,
        };
        let told = told("https://idp", &mapping, &claims).unwrap();
        assert_eq!((told.subject.as_str(), told.client_id.as_str()), ("anne", ""));
        assert_eq!(told.roles, ["auditor", "case_worker"]);
        assert_eq!(told.districts, ["RW33", "RW43"]);
    }

    #[test]
    fn a_token_of_nobody_is_none() {
        let plain = tenancy::ClaimMapping::default();
        assert!(told("i", &plain, &claims(json!({ "sub": "" }))).is_none());
        assert!(told("i", &plain, &claims(json!({ "sub": 7 }))).is_none());
        assert_eq!(told("i", &plain, &claims(json!({ "sub": "anne" }))).unwrap().subject, "anne");
        let client = tenancy::ClaimMapping { client: "client_id".into(), ..plain };
        assert_eq!(told("i", &client, &claims(json!({ "client_id": "sync" }))).unwrap().client_id, "sync");
    }
}
