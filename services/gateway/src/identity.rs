//! Tokens of the tenants' identity providers, checked, and passports for their bearers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tahuka_chassis::passport::{Bearer, Mint, Ring};
use tahuka_chassis::{Config, Peers, Refusal, clock, telemetry};
use tahuka_proto::tenancy::v1 as proto;

use crate::claims::{Claims, told};
use crate::issuers::Issuers;
use crate::tenancy::Tenancy;

/// The largest token that is looked at, in bytes.
const LARGEST_TOKEN: usize = 8 * 1024;
/// How far the clock of a tenant's identity provider may be from ours, in seconds.
const CLOCK_SKEW: u64 = 30;

/// Only what chooses the key; nothing in it is trusted before the signature is.
#[derive(Deserialize)]
struct Unverified {
    iss: String,
}

/// A token whose signature, audience and times have been checked.
struct Verified {
    told: proto::ResolveIdentityRequest,
    expires_at: i64,
}

/// The bearer of a token, as tenancy told of it a moment ago.
pub(crate) struct Known {
    pub(crate) bearer: Bearer,
    resolved: Instant,
    expires_at: i64,
    /// By service.
    passports: Mutex<HashMap<String, String>>,
}

#[derive(Clone)]
pub(crate) struct Identities {
    tenancy: Tenancy,
    issuers: Arc<Issuers>,
    /// By the digest of the token.
    known: moka::sync::Cache<[u8; 32], Arc<Known>>,
    ttl: Duration,
}

impl Identities {
    pub(crate) fn new(peers: Peers, config: &Config) -> Result<Self, Refusal> {
        let ttl = Duration::from_secs(config.gateway.identity_ttl_seconds.clamp(1, 30));
        let tenancy = Tenancy { peers, mint: Mint::following(Ring::of(config)?)? };
        let issuers = Issuers::new(tenancy.clone(), &config.gateway)?;
        let known = moka::sync::Cache::builder().max_capacity(50_000).time_to_live(ttl).build();
        Ok(Identities { tenancy, issuers, known, ttl })
    }

    /// The bearer of a token. Every refusal of a token is the same UNAUTHENTICATED.
    pub(crate) async fn bearer(&self, token: &str) -> Result<Arc<Known>, Refusal> {
        self.bearer_within(token, self.ttl).await
    }

    /// As `bearer`, as tenancy told of it within `age`.
    pub(crate) async fn bearer_within(&self, token: &str, age: Duration) -> Result<Arc<Known>, Refusal> {
        if token.len() > LARGEST_TOKEN {
            return Err(Refusal::Unauthenticated);
        }
        let digest = Sha256::digest(token).into();
        if let Some(known) = self.known.get(&digest)
            && known.resolved.elapsed() < age
            && known.expires_at + CLOCK_SKEW.cast_signed() > clock::now().timestamp()
        {
            telemetry::looked_up("identity", true);
            return Ok(known);
        }
        telemetry::looked_up("identity", false);
        let verified = self.verify(token).await?;
        let resolved = Instant::now();
        let bearer = self.tenancy.resolve(verified.told).await?;
        let known = Arc::new(Known { bearer, resolved, expires_at: verified.expires_at, passports: Mutex::default() });
        self.known.insert(digest, known.clone());
        Ok(known)
    }

    /// A passport of the bearer for one service.
    pub(crate) fn passport(&self, known: &Known, service: &str) -> Result<String, Refusal> {
        let mut passports = known.passports.lock().map_err(Refusal::internal)?;
        if let Some(passport) = passports.get(service) {
            return Ok(passport.clone());
        }
        let passport = self.tenancy.mint.passport_for(service, &known.bearer)?;
        passports.insert(service.to_owned(), passport.clone());
        Ok(passport)
    }

    async fn verify(&self, token: &str) -> Result<Verified, Refusal> {
        let refused = |_| Refusal::Unauthenticated;
        let header = jsonwebtoken::decode_header(token).map_err(refused)?;
        if header.crit.is_some() {
            return Err(Refusal::Unauthenticated);
        }
        let kid = header.kid.as_deref().ok_or(Refusal::Unauthenticated)?;
        let name = jsonwebtoken::dangerous::insecure_decode::<Unverified>(token).map_err(refused)?.claims.iss;
        let (issuer, jwk) = self.issuers.key(&name, kid).await?;
        if !issuer.algorithms.contains(&header.alg) || !may_verify(&jwk, header.alg) {
            return Err(Refusal::Unauthenticated);
        }
        let key = DecodingKey::from_jwk(&jwk).map_err(refused)?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = CLOCK_SKEW;
        validation.validate_nbf = true;
        validation.set_audience(&[&issuer.audience]);
        validation.set_issuer(&[&name]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).map_err(refused)?.claims;
        let told = told(&name, &issuer.claims, &claims).ok_or(Refusal::Unauthenticated)?;
        let expires_at = claims.get("exp").and_then(serde_json::Value::as_f64).ok_or(Refusal::Unauthenticated)?;
        #[allow(clippy::cast_possible_truncation)] // Seconds.
        Ok(Verified { told, expires_at: expires_at as i64 })
    }
}

/// Whether the key says that it is for signatures of this algorithm; one that says nothing may.
fn may_verify(jwk: &Jwk, algorithm: Algorithm) -> bool {
    let common = &jwk.common;
    let use_fits = common.public_key_use.as_ref().is_none_or(|u| *u == PublicKeyUse::Signature);
    use_fits && common.key_algorithm.is_none_or(|told| told.to_string() == format!("{algorithm:?}"))
}
