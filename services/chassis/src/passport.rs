//! The passport: a short-lived Ed25519-signed token that the gateway gives a caller for the services.

use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{EncodePrivateKey, EncodePublicKey, spki::der::pem::LineEnding};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::caller::{Caller, Scope, ScopeEntry, TenantKind};
use crate::clock;
use crate::refusal::Refusal;

/// The metadata key that carries it.
pub const METADATA: &str = "x-tahuka-passport";
const ISSUER: &str = "tahuka-gateway";
const AUDIENCE: &str = "tahuka-services";
/// The longest a passport lives, in seconds.
const LIFETIME: i64 = 60;
const CLOCK_SKEW: u64 = 5;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    aud: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    pub sub: String,
    pub tenant_id: Uuid,
    pub tenant_kind: TenantKind,
    pub roles: Vec<String>,
    pub permissions: Vec<String>,
    pub districts: Vec<String>,
    pub scope: Vec<ScopeEntry>,
}

/// Who the passport is for; the mint adds the rest.
#[derive(Debug, Clone)]
pub struct Bearer {
    pub subject: String,
    pub tenant_id: Uuid,
    pub tenant_kind: TenantKind,
    pub roles: Vec<String>,
    pub permissions: Vec<String>,
    pub districts: Vec<String>,
    pub scope: Vec<ScopeEntry>,
}

/// Signs passports; the gateway's.
#[derive(Clone)]
pub struct Mint {
    key: Arc<EncodingKey>,
    header: Header,
}

impl Mint {
    pub fn new(key: &SigningKey) -> Result<Self, Refusal> {
        let der = key.to_pkcs8_der().map_err(Refusal::internal)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key_id(key.verifying_key().as_bytes()));
        Ok(Mint { key: Arc::new(EncodingKey::from_ed_der(der.as_bytes())), header })
    }

    pub fn passport(&self, bearer: &Bearer) -> Result<String, Refusal> {
        let now = clock::now().timestamp();
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            iat: now,
            nbf: now,
            exp: now + LIFETIME,
            sub: bearer.subject.clone(),
            tenant_id: bearer.tenant_id,
            tenant_kind: bearer.tenant_kind,
            roles: bearer.roles.clone(),
            permissions: bearer.permissions.clone(),
            districts: bearer.districts.clone(),
            scope: bearer.scope.clone(),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.key).map_err(Refusal::internal)
    }
}

/// Checks passports; every service's. A passport that was good is remembered for a few seconds.
#[derive(Clone)]
pub struct Inspector {
    keys: Arc<Vec<(String, DecodingKey)>>,
    good: moka::sync::Cache<String, Arc<Claims>>,
}

impl Inspector {
    /// Takes one or more public keys, so that two can overlap while the key is changed.
    pub fn new(keys: &[ed25519_dalek::VerifyingKey]) -> Result<Self, Refusal> {
        let mut known = Vec::new();
        for key in keys {
            let pem = key.to_public_key_pem(LineEnding::LF).map_err(Refusal::internal)?;
            known.push((key_id(key.as_bytes()), DecodingKey::from_ed_pem(pem.as_bytes()).map_err(Refusal::internal)?));
        }
        let good = moka::sync::Cache::builder().max_capacity(10_000).time_to_live(Duration::from_secs(10)).build();
        Ok(Inspector { keys: Arc::new(known), good })
    }

    /// The caller of this passport, before any access rule.
    pub fn inspect(&self, passport: &str, traceparent: Option<String>) -> Result<Caller, Refusal> {
        let claims = match self.good.get(passport) {
            Some(claims) if claims.exp > clock::now().timestamp() => claims,
            _ => {
                let claims = Arc::new(self.verify(passport)?);
                self.good.insert(passport.to_owned(), claims.clone());
                claims
            }
        };
        Ok(Caller {
            tenant_id: claims.tenant_id,
            tenant_kind: claims.tenant_kind,
            subject: claims.sub.clone(),
            roles: claims.roles.clone(),
            permissions: claims.permissions.clone(),
            districts: claims.districts.clone(),
            scope: Scope::Entries(claims.scope.clone()),
            passport: passport.to_owned(),
            traceparent,
            ..Caller::system("")
        })
    }

    fn verify(&self, passport: &str) -> Result<Claims, Refusal> {
        let header = jsonwebtoken::decode_header(passport).map_err(|_| Refusal::Unauthenticated)?;
        let key = self
            .keys
            .iter()
            .find(|(id, _)| Some(id) == header.kid.as_ref())
            .map(|(_, key)| key)
            .ok_or(Refusal::Unauthenticated)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = CLOCK_SKEW;
        validation.validate_nbf = true;
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        let token = jsonwebtoken::decode::<Claims>(passport, key, &validation).map_err(|_| Refusal::Unauthenticated)?;
        Ok(token.claims)
    }
}

/// A short name of a public key: the head of its SHA-256.
pub fn key_id(public: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(&sha2::Sha256::digest(public)[..8])
}
