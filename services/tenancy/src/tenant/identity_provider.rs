//! An issuer whose tokens speak for a tenant, with its public keys and where in its tokens it says what.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tahuka_chassis::{Refusal, edge};
use url::{Host, Url};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityProvider {
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub issuer: String,
    pub audience: String,
    pub keys: Keys,
    /// Each has a key in `keys`, if those are told.
    pub algorithms: Vec<Algorithm>,
    pub claims: ClaimMapping,
}

/// Public keys, or where they are to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    Told(KeySet),
    /// Over https, or over http from a loopback address.
    At(String),
}

impl Keys {
    /// `json` or `uri`, one of the two.
    pub fn parse(json: &str, uri: &str) -> Result<Self, Refusal> {
        match (json.trim(), uri.trim()) {
            ("", "") => Err(Refusal::invalid("jwks_json", "must be given, or jwks_uri")),
            (json, "") => KeySet::parse("jwks_json", json).map(Keys::Told),
            ("", uri) => address("jwks_uri", uri).map(Keys::At),
            _ => Err(Refusal::invalid("jwks_uri", "must be empty where jwks_json is given")),
        }
    }

    /// The algorithms of these names.
    pub fn choose(&self, field: &str, names: &[String]) -> Result<Vec<Algorithm>, Refusal> {
        Algorithm::choose(field, names, self.algorithms())
    }

    /// All that the keys can verify, or could where they are fetched.
    pub fn algorithms(&self) -> &[Algorithm] {
        match self {
            Keys::Told(set) => set.algorithms(),
            Keys::At(_) => &Algorithm::ALL,
        }
    }
}

fn address(field: &str, text: &str) -> Result<String, Refusal> {
    let refused = |rule: &str| Refusal::invalid(field, rule);
    if text.len() > 500 {
        return Err(refused("must have at most 500 characters"));
    }
    let url = Url::parse(text).map_err(|_| refused("must be a URL"))?;
    let loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(_)) => false,
        None => return Err(refused("must name a host")),
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
        return Err(refused("must begin with https; http is for loopback addresses only"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(refused("must have no user, password or fragment"));
    }
    Ok(url.to_string())
}

/// Where in its tokens an issuer says what: names of claims, with dots into objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimMapping {
    /// None for `sub`.
    pub subject: Option<String>,
    /// A claim that only tokens of clients carry.
    pub client: Option<String>,
    pub roles: Option<String>,
    pub districts: Option<String>,
    /// Whom tenancy has never known has the roles that the token names.
    pub trust_roles: bool,
}

impl ClaimMapping {
    pub fn new(subject: &str, client: &str, roles: &str, districts: &str, trust_roles: bool) -> Result<Self, Refusal> {
        let mapping = ClaimMapping {
            subject: claim("claims.subject", subject)?,
            client: claim("claims.client", client)?,
            roles: claim("claims.roles", roles)?,
            districts: claim("claims.districts", districts)?,
            trust_roles,
        };
        if trust_roles && mapping.roles.is_none() {
            return Err(Refusal::invalid("claims.roles", "must be given where roles are trusted"));
        }
        Ok(mapping)
    }
}

fn claim(field: &str, name: &str) -> Result<Option<String>, Refusal> {
    let name = edge::optional_text(field, name, 200)?;
    if name.as_ref().is_some_and(|name| name.contains(' ')) {
        return Err(Refusal::invalid(field, "must be the name of a claim"));
    }
    Ok(name)
}

/// The signature algorithms that a token may carry: asymmetric ones only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    EdDsa,
    Es256,
    Rs256,
}

impl Algorithm {
    pub const ALL: [Algorithm; 3] = [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256];

    /// The name of RFC 7518 and RFC 8037.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Es256 => "ES256",
            Algorithm::Rs256 => "RS256",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.as_str() == name)
    }

    /// Those of these names, each of which must be `known`.
    fn choose(field: &str, names: &[String], known: &[Algorithm]) -> Result<Vec<Algorithm>, Refusal> {
        let mut chosen = Vec::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            let field = format!("{field}[{i}]");
            let algorithm = Algorithm::parse(name).ok_or_else(|| Refusal::invalid(&field, "must be EdDSA, ES256 or RS256"))?;
            if !known.contains(&algorithm) {
                return Err(Refusal::invalid(field, "must have a key in jwks_json"));
            }
            chosen.push(algorithm);
        }
        chosen.sort();
        chosen.dedup();
        if chosen.is_empty() { Err(Refusal::invalid(field, "must name at least one algorithm")) } else { Ok(chosen) }
    }

    /// What a public key of a JWKS can verify.
    fn of_key(key: &Value) -> Option<Self> {
        let part = |name| key.get(name).and_then(Value::as_str);
        match (part("kty")?, part("crv")) {
            ("OKP", Some("Ed25519")) => Some(Algorithm::EdDsa),
            ("EC", Some("P-256")) => Some(Algorithm::Es256),
            ("RSA", _) => Some(Algorithm::Rs256),
            _ => None,
        }
    }
}

/// A JSON Web Key Set of public keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    json: String,
    algorithms: Vec<Algorithm>,
}

impl KeySet {
    /// Refuses a set with a secret in it: such a key is lost, and its owner must be told.
    pub fn parse(field: &str, json: &str) -> Result<Self, Refusal> {
        let refused = |rule: &str| Refusal::invalid(field, rule);
        let set: Value = serde_json::from_str(json).map_err(|_| refused("must be JSON"))?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or_else(|| refused("must be a JSON Web Key Set"))?;
        let secret = |key: &Value| {
            key.get("d").is_some() || key.get("k").is_some() || key.get("kty").and_then(Value::as_str) == Some("oct")
        };
        if keys.iter().any(secret) {
            return Err(refused("must hold public keys only; treat the secret in it as disclosed"));
        }
        let mut algorithms: Vec<_> = keys.iter().filter_map(Algorithm::of_key).collect();
        algorithms.sort();
        algorithms.dedup();
        if algorithms.is_empty() {
            return Err(refused("must hold a key for EdDSA (Ed25519), ES256 (P-256) or RS256 (RSA)"));
        }
        Ok(KeySet { json: json.to_owned(), algorithms })
    }

    pub fn as_json(&self) -> &str {
        &self.json
    }

    /// What its keys can verify.
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"1"},{"kty":"EC","crv":"P-384"}]}"#;

    #[test]
    fn a_key_set_tells_what_it_can_verify() -> Result<(), Refusal> {
        assert_eq!(KeySet::parse("jwks_json", PUBLIC)?.algorithms(), [Algorithm::EdDsa]);
        let keys = Keys::parse(PUBLIC, "")?;
        assert_eq!(keys.choose("algorithms", &["EdDSA".into()])?, [Algorithm::EdDsa]);
        assert!(keys.choose("algorithms", &["RS256".into()]).is_err());
        assert!(keys.choose("algorithms", &["HS256".into()]).is_err());
        assert!(keys.choose("algorithms", &[]).is_err());
        Ok(())
    }

    #[test]
    fn secrets_are_refused() {
        for set in [
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}]}"#,
            r#"{"keys":[{"kty":"oct","k":"AA"}]}"#,
            r#"{"keys":[]}"#,
            "{}",
            "not json",
        ] {
            assert!(KeySet::parse("jwks_json", set).is_err(), "{set}");
        }
    }

    #[test]
    fn keys_are_fetched_over_https_or_from_this_machine() {
        for good in ["https://idp.example.org/jwks.json", "http://127.0.0.1:8080/jwks", "http://[::1]/jwks"] {
            assert!(Keys::parse("", good).is_ok(), "{good}");
        }
        for bad in [
            "http://idp.example.org/jwks.json",
            "http://localhost/jwks",
            "http://10.0.0.1/jwks",
            "file:///etc/passwd",
            "https://user:secret@idp.example.org/",
            "https://idp.example.org/#keys",
            "idp.example.org",
            "",
        ] {
            assert!(Keys::parse("", bad).is_err(), "{bad}");
        }
        assert!(Keys::parse(PUBLIC, "https://idp.example.org/jwks.json").is_err());
    }

    #[test]
    fn roles_are_trusted_only_where_the_token_names_them() {
        assert!(ClaimMapping::new("", "client_id", "realm_access.roles", "", true).is_ok());
        assert!(ClaimMapping::new("", "", "", "", true).is_err());
        assert!(ClaimMapping::new("two words", "", "", "", false).is_err());
        assert_eq!(ClaimMapping::new("", "", "", "", false).ok(), Some(ClaimMapping::default()));
    }
}
