//! A tenant, its state and the issuers that speak for it.

use std::path::Path;

use serde_json::Value;
use tahuka_chassis::Refusal;
use tahuka_proto::tenancy::v1 as tenancy;
use tahuka_proto::tenancy::v1::tenant_service_client::TenantServiceClient;

use super::super::desk::{Line, request_id, told};
use super::super::tenant::word;
use super::documents::{Issuer, Presence, State, Tenant};
use super::{Action, Change, Hand, difference, set};

/// What an issuer may sign with, where nothing is said.
const ALGORITHMS: [&str; 3] = ["ES256", "EdDSA", "RS256"];

pub async fn apply(hand: &mut Hand, wanted: &Tenant, dir: &Path) -> Result<Change, Refusal> {
    let issuers = wanted.issuers.iter().enumerate();
    let issuers = issuers.map(|(at, issuer)| provider(issuer, &format!("issuers[{at}]"), dir)).collect::<Result<Vec<_>, _>>()?;
    let mut client = TenantServiceClient::new(hand.line.clone());
    let current = hand.tenants().await?.iter().find(|tenant| tenant.slug == wanted.slug).cloned();
    let (id, mut change, is_active) = match current {
        Some(current) => {
            fixed("type", &kind_word(current.kind()), &kind_word(wanted.kind))?;
            fixed("name", &current.name, &wanted.name)?;
            (current.id.clone(), Change::of(Vec::new()), current.state() == tenancy::TenantState::Active)
        }
        None if hand.dry_run => {
            hand.plan(&wanted.slug);
            return Ok(Change::create());
        }
        None => {
            let request = tenancy::CreateTenantRequest {
                request_id: request_id(),
                name: wanted.name.clone(),
                kind: wanted.kind.into(),
                slug: wanted.slug.clone(),
            };
            let made = told(client.create_tenant(request).await?.into_inner().tenant)?;
            hand.forget_tenants();
            (made.id, Change::create(), true)
        }
    };
    for issuer in issuers {
        change.differences.extend(bring(&mut client, hand.dry_run, &id, issuer).await?);
    }
    match (wanted.state, is_active) {
        (State::Suspended, true) => {
            change.differences.push("state: active -> suspended".into());
            if !hand.dry_run {
                client.suspend_tenant(tenancy::SuspendTenantRequest { request_id: request_id(), tenant_id: id }).await?;
            }
        }
        (State::Active, false) => {
            change.differences.push("state: suspended -> active".into());
            if !hand.dry_run {
                client.reinstate_tenant(tenancy::ReinstateTenantRequest { request_id: request_id(), tenant_id: id }).await?;
            }
        }
        _ => {}
    }
    if change.action == Action::Nothing {
        change = Change::of(change.differences);
    }
    Ok(change)
}

fn kind_word(kind: tenancy::TenantKind) -> String {
    word(kind.as_str_name(), "TENANT_KIND_")
}

/// What cannot be changed once it is there.
pub fn fixed(field: &str, is: &str, wanted: &str) -> Result<(), Refusal> {
    let rule = || format!("is {is:?} already and cannot be changed to {wanted:?}");
    if is == wanted { Ok(()) } else { Err(Refusal::invalid(field, rule())) }
}

/// An issuer as the API knows it, and whether it is to be there.
struct Provider {
    field: String,
    wanted: tenancy::IdentityProvider,
    is_absent: bool,
}

fn provider(issuer: &Issuer, field: &str, dir: &Path) -> Result<Provider, Refusal> {
    let jwks_json = match &issuer.jwks_file {
        None => String::new(),
        Some(file) => {
            let file = dir.join(file);
            let failed = |e: String| Refusal::invalid(format!("{field}.jwks_file"), format!("{}: {e}", file.display()));
            let text = std::fs::read_to_string(&file).map_err(|e| failed(e.to_string()))?;
            serde_json::from_str::<Value>(&text).map_err(|e| failed(e.to_string()))?;
            text
        }
    };
    let claims = tenancy::ClaimMapping {
        subject: issuer.claims.subject.clone(),
        client: issuer.claims.client.clone(),
        roles: issuer.claims.roles.clone(),
        districts: issuer.claims.districts.clone(),
        trust_roles: issuer.claims.trust_roles,
    };
    let mut algorithms = issuer.algorithms.clone();
    // Keys that are fetched may be of any kind; of keys that are told, each algorithm must have one.
    if algorithms.is_empty() && issuer.jwks_uri.is_some() {
        algorithms.extend(ALGORITHMS.map(str::to_owned));
    }
    let wanted = tenancy::IdentityProvider {
        issuer: issuer.issuer.clone(),
        audience: issuer.audience.clone(),
        jwks_json,
        jwks_uri: issuer.jwks_uri.clone().unwrap_or_default(),
        algorithms,
        claims: Some(claims),
        ..Default::default()
    };
    Ok(Provider { field: field.to_owned(), wanted, is_absent: issuer.state == Presence::Absent })
}

/// Brings one issuer to what is wanted; what was different.
async fn bring(
    client: &mut TenantServiceClient<Line>,
    dry_run: bool,
    tenant_id: &str,
    provider: Provider,
) -> Result<Vec<String>, Refusal> {
    let Provider { field, mut wanted, is_absent } = provider;
    let request =
        tenancy::ListIdentityProvidersRequest { tenant_id: tenant_id.to_owned(), page_size: 1000, ..Default::default() };
    let all = client.list_identity_providers(request).await?.into_inner().identity_providers;
    let placed = |e: tonic::Status| Refusal::invalid(field.clone(), e.message().to_owned());
    match all.into_iter().find(|current| current.issuer == wanted.issuer) {
        None if is_absent => Ok(Vec::new()),
        Some(current) if is_absent => {
            if !dry_run {
                let request =
                    tenancy::RemoveIdentityProviderRequest { request_id: request_id(), identity_provider_id: current.id };
                client.remove_identity_provider(request).await.map_err(placed)?;
            }
            Ok(vec![format!("{field}: {} is removed", wanted.issuer)])
        }
        None => {
            let told = format!("{field}: {} is added", wanted.issuer);
            if !dry_run {
                let request = tenancy::AddIdentityProviderRequest {
                    request_id: request_id(),
                    tenant_id: tenant_id.to_owned(),
                    issuer: wanted.issuer,
                    audience: wanted.audience,
                    jwks_json: wanted.jwks_json,
                    jwks_uri: wanted.jwks_uri,
                    algorithms: wanted.algorithms,
                    claims: wanted.claims,
                };
                client.add_identity_provider(request).await.map_err(placed)?;
            }
            Ok(vec![told])
        }
        Some(current) => {
            let (paths, differences) = changes(&field, &current, &wanted);
            if !paths.is_empty() && !dry_run {
                (wanted.id, wanted.etag) = (current.id, current.etag);
                let request = tenancy::UpdateIdentityProviderRequest {
                    request_id: request_id(),
                    identity_provider: Some(wanted),
                    update_mask: Some(prost_types::FieldMask { paths }),
                };
                client.update_identity_provider(request).await.map_err(placed)?;
            }
            Ok(differences)
        }
    }
}

/// The fields to change, and each difference in words. Keys are told by their ids only.
fn changes(field: &str, current: &tenancy::IdentityProvider, wanted: &tenancy::IdentityProvider) -> (Vec<String>, Vec<String>) {
    let mut paths = Vec::new();
    let mut differences = Vec::new();
    let mut compare = |path: &str, is: &str, wanted: &str| {
        if let Some(found) = difference(&format!("{field}.{path}"), is, wanted) {
            paths.push(path.to_owned());
            differences.push(found);
        }
    };
    compare("audience", &current.audience, &wanted.audience);
    compare("algorithms", &set(&current.algorithms), &set(&wanted.algorithms));
    compare("claims", &claims(current), &claims(wanted));
    compare("jwks_uri", &current.jwks_uri, &wanted.jwks_uri);
    if key_set(&current.jwks_json) != key_set(&wanted.jwks_json) {
        compare("jwks_json", &key_ids(&current.jwks_json, "was"), &key_ids(&wanted.jwks_json, "is"));
    }
    // Keys at a URL take the place of keys that are told, and the other way round: one path says both.
    let told = if wanted.jwks_uri.is_empty() { "jwks_uri" } else { "jwks_json" };
    paths.retain(|path| path != told);
    (paths, differences)
}

fn claims(provider: &tenancy::IdentityProvider) -> String {
    let claims = provider.claims.clone().unwrap_or_default();
    let subject = if claims.subject.is_empty() { "sub".to_owned() } else { claims.subject };
    let mut all = vec![format!("subject={subject}")];
    let named = [("client", claims.client), ("roles", claims.roles), ("districts", claims.districts)];
    all.extend(named.into_iter().filter(|(_, claim)| !claim.is_empty()).map(|(name, claim)| format!("{name}={claim}")));
    if claims.trust_roles {
        all.push("trust_roles".into());
    }
    all.join(" ")
}

fn key_set(json: &str) -> Option<Value> {
    serde_json::from_str(json).ok()
}

/// `which` keeps two sets apart whose keys have the same ids.
fn key_ids(json: &str, which: &str) -> String {
    let set = key_set(json).unwrap_or_default();
    let ids = set["keys"].as_array().into_iter().flatten().map(|key| key["kid"].as_str().unwrap_or("?").to_owned());
    let ids: Vec<String> = ids.collect();
    if ids.is_empty() { String::new() } else { format!("{} ({which})", ids.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> tenancy::IdentityProvider {
        tenancy::IdentityProvider {
            issuer: "https://login.example".into(),
            audience: "tahuka".into(),
            jwks_json: r#"{"keys":[{"kid":"a","kty":"OKP"}]}"#.into(),
            algorithms: vec!["EdDSA".into(), "RS256".into()],
            ..Default::default()
        }
    }

    #[test]
    fn what_says_the_same_is_no_change() {
        let mut same = provider();
        same.algorithms.reverse();
        same.jwks_json = "{ \"keys\": [ {\"kty\": \"OKP\", \"kid\": \"a\"} ] }\n".into();
        same.claims = Some(tenancy::ClaimMapping { subject: "sub".into(), ..Default::default() });
        assert_eq!(changes("issuers[0]", &provider(), &same), (vec![], vec![]));
    }

    #[test]
    fn each_difference_is_told_by_its_field() {
        let mut other = provider();
        other.audience = "platform".into();
        (other.jwks_json, other.jwks_uri) = (String::new(), "https://login.example/jwks".into());
        let (paths, differences) = changes("issuers[0]", &provider(), &other);
        assert_eq!(paths, ["audience", "jwks_uri"]);
        assert_eq!(differences[0], "issuers[0].audience: tahuka -> platform");
        assert!(differences.iter().any(|d| d == "issuers[0].jwks_uri: none -> https://login.example/jwks"));
    }

    #[test]
    fn a_new_key_of_an_old_name_is_a_change() {
        let mut other = provider();
        other.jwks_json = r#"{"keys":[{"kid":"a","kty":"EC"}]}"#.into();
        assert_eq!(changes("issuers[0]", &provider(), &other).0, ["jwks_json"]);
    }
}
