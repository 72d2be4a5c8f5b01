//! An issuer whose tokens speak for a tenant, with its public keys.

use serde_json::Value;
use tahuka_chassis::Refusal;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityProvider {
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub issuer: String,
    pub audience: String,
    pub keys: KeySet,
    /// Each has a key in `keys`.
    pub algorithms: Vec<Algorithm>,
}

/// The signature algorithms that a token may carry: asymmetric ones only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    EdDsa,
    Es256,
    Rs256,
}

impl Algorithm {
    /// The name of RFC 7518 and RFC 8037.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Es256 => "ES256",
            Algorithm::Rs256 => "RS256",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256].into_iter().find(|a| a.as_str() == name)
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

    /// The algorithms of these names, each of which must have a key here.
    pub fn choose(&self, field: &str, names: &[String]) -> Result<Vec<Algorithm>, Refusal> {
        let mut chosen = Vec::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            let field = format!("{field}[{i}]");
            let algorithm = Algorithm::parse(name).ok_or_else(|| Refusal::invalid(&field, "must be EdDSA, ES256 or RS256"))?;
            if !self.algorithms.contains(&algorithm) {
                return Err(Refusal::invalid(field, "must have a key in jwks_json"));
            }
            chosen.push(algorithm);
        }
        chosen.sort();
        chosen.dedup();
        if chosen.is_empty() { Err(Refusal::invalid(field, "must name at least one algorithm")) } else { Ok(chosen) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"1"},{"kty":"EC","crv":"P-384"}]}"#;

    #[test]
    fn a_key_set_tells_what_it_can_verify() -> Result<(), Refusal> {
        let keys = KeySet::parse("jwks_json", PUBLIC)?;
        assert_eq!(keys.algorithms(), [Algorithm::EdDsa]);
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
}
