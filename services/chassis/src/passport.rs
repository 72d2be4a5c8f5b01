//! The passport: a short-lived Ed25519-signed token that the gateway gives a caller for the services. It says at which
//! of them it is good.

mod ring;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, RwLock, Weak};
use std::time::Duration;

use ed25519_dalek::pkcs8::{EncodePrivateKey, EncodePublicKey, spki::der::pem::LineEnding};
use ed25519_dalek::{SigningKey, VerifyingKey};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use tahuka_proto::access;
use uuid::Uuid;

use crate::caller::{Caller, Scope, ScopeEntry, TenantKind};
use crate::clock;
use crate::refusal::Refusal;
use crate::telemetry;

pub use ring::{Held, Ring};

/// The metadata key that carries it.
pub const METADATA: &str = "x-tahuka-passport";
const ISSUER: &str = "tahuka-gateway";
/// The longest a passport lives, in seconds.
const LIFETIME: i64 = 60;
/// How far the clocks of two machines of the house may be apart, in seconds.
const CLOCK_SKEW: u64 = 5;
/// How often the keys on disk are read again.
const READ_AGAIN: Duration = Duration::from_secs(3);

/// Which services a service asks on the caller's behalf; it hands the passport on to them.
const ASKS: &[(&str, &[&str])] = &[
    ("assistance", &["registry"]),
    // Whether a tranche is ready is for those to say who hold its records.
    ("handover", &["tenancy", "assistance", "projects", "funding"]),
];

/// Every service of the contract.
static SERVICES: LazyLock<BTreeSet<&'static str>> =
    LazyLock::new(|| access::rules().filter_map(|(path, _)| access::service_of(path)).collect());

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    /// The services at which it is good.
    aud: Vec<String>,
    iat: i64,
    nbf: i64,
    exp: i64,
    pub sub: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub workload: bool,
    pub tenant_id: Uuid,
    pub tenant_kind: TenantKind,
    pub roles: Vec<String>,
    pub permissions: Vec<String>,
    pub districts: Vec<String>,
    pub scope: Vec<ScopeEntry>,
}

/// Who the passport is for; the mint adds the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    pub subject: String,
    /// Another system and not a person.
    pub workload: bool,
    pub tenant_id: Uuid,
    pub tenant_kind: TenantKind,
    pub roles: Vec<String>,
    pub permissions: Vec<String>,
    pub districts: Vec<String>,
    pub scope: Vec<ScopeEntry>,
}

/// Nobody of an organisation that nobody knows.
impl Default for Bearer {
    fn default() -> Self {
        Bearer {
            subject: String::new(),
            workload: false,
            tenant_id: Uuid::nil(),
            tenant_kind: TenantKind::ImplementingPartner,
            roles: Vec::new(),
            permissions: Vec::new(),
            districts: Vec::new(),
            scope: Vec::new(),
        }
    }
}

/// Signs passports; the gateway's.
#[derive(Clone)]
pub struct Mint {
    signing: Arc<RwLock<Arc<Signing>>>,
}

struct Signing {
    public: VerifyingKey,
    key: EncodingKey,
    header: Header,
}

impl Signing {
    fn new(key: &SigningKey) -> Result<Self, Refusal> {
        let der = key.to_pkcs8_der().map_err(Refusal::internal)?;
        let public = key.verifying_key();
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key_id(public.as_bytes()));
        Ok(Signing { public, key: EncodingKey::from_ed_der(der.as_bytes()), header })
    }
}

impl Mint {
    pub fn new(key: &SigningKey) -> Result<Self, Refusal> {
        Ok(Mint { signing: Arc::new(RwLock::new(Arc::new(Signing::new(key)?))) })
    }

    /// Signs with the key of the ring whose turn it is, for as long as the mint is there.
    pub fn following(ring: Ring) -> Result<Self, Refusal> {
        let mint = Self::new(&ring.signing()?)?;
        follow(&mint.signing, move |signing: &RwLock<Arc<Signing>>| {
            let key = ring.signing()?;
            if signing.read().map_err(Refusal::internal)?.public != key.verifying_key() {
                *signing.write().map_err(Refusal::internal)? = Arc::new(Signing::new(&key)?);
                tracing::info!(key_id = key_id(key.verifying_key().as_bytes()), "passports are signed with the next key");
            }
            Ok(())
        });
        Ok(mint)
    }

    /// Good at every service.
    pub fn passport(&self, bearer: &Bearer) -> Result<String, Refusal> {
        self.sign(bearer, SERVICES.iter().map(|s| (*s).to_owned()).collect())
    }

    /// Good at this service and at those that it asks on the bearer's behalf.
    pub fn passport_for(&self, service: &str, bearer: &Bearer) -> Result<String, Refusal> {
        let asked = ASKS.iter().find(|(by, _)| *by == service).map(|(_, asked)| *asked).unwrap_or_default();
        self.sign(bearer, [service].iter().chain(asked).map(|s| (*s).to_owned()).collect())
    }

    fn sign(&self, bearer: &Bearer, aud: Vec<String>) -> Result<String, Refusal> {
        let now = clock::now().timestamp();
        let claims = Claims {
            iss: ISSUER.into(),
            aud,
            iat: now,
            nbf: now,
            exp: now + LIFETIME,
            sub: bearer.subject.clone(),
            workload: bearer.workload,
            tenant_id: bearer.tenant_id,
            tenant_kind: bearer.tenant_kind,
            roles: bearer.roles.clone(),
            permissions: bearer.permissions.clone(),
            districts: bearer.districts.clone(),
            scope: bearer.scope.clone(),
        };
        let signing = self.signing.read().map_err(Refusal::internal)?.clone();
        jsonwebtoken::encode(&signing.header, &claims, &signing.key).map_err(Refusal::internal)
    }
}

type Keys = Vec<(String, DecodingKey)>;

/// Checks passports; every service's. A passport that was good is remembered for a few seconds.
#[derive(Clone)]
pub struct Inspector {
    known: Arc<RwLock<(Vec<VerifyingKey>, Keys)>>,
    good: moka::sync::Cache<String, Arc<Claims>>,
    /// At which service; None: at any that the passport is good at.
    service: Option<&'static str>,
}

impl Inspector {
    /// Takes one or more public keys, so that two can overlap while the key is changed.
    pub fn new(trusted: &[VerifyingKey]) -> Result<Self, Refusal> {
        let good = moka::sync::Cache::builder().max_capacity(10_000).time_to_live(Duration::from_secs(10)).build();
        Ok(Inspector { known: Arc::new(RwLock::new((trusted.to_vec(), decoding(trusted)?))), good, service: None })
    }

    /// Trusts what the ring trusts, for as long as the inspector is there.
    pub fn following(ring: Ring) -> Result<Self, Refusal> {
        let inspector = Self::new(&ring.trusted()?)?;
        let good = inspector.good.clone();
        follow(&inspector.known, move |known: &RwLock<(Vec<VerifyingKey>, Keys)>| {
            let trusted = ring.trusted()?;
            if known.read().map_err(Refusal::internal)?.0 != trusted {
                let keys = decoding(&trusted)?;
                *known.write().map_err(Refusal::internal)? = (trusted, keys);
                good.invalidate_all();
                tracing::info!("the keys that passports may be signed with have changed");
            }
            Ok(())
        });
        Ok(inspector)
    }

    /// The inspector at one service's door.
    pub fn at(&self, service: &'static str) -> Self {
        Inspector { service: Some(service), ..self.clone() }
    }

    /// The service at whose door it stands.
    pub(crate) fn service(&self) -> &'static str {
        self.service.unwrap_or("house")
    }

    /// The caller of this passport, before any access rule.
    pub fn inspect(&self, passport: &str, traceparent: Option<String>) -> Result<Caller, Refusal> {
        let claims = match self.good.get(passport) {
            Some(claims) if claims.exp > clock::now().timestamp() => {
                telemetry::looked_up("passport", true);
                claims
            }
            _ => {
                telemetry::looked_up("passport", false);
                let claims = Arc::new(self.verify(passport)?);
                self.good.insert(passport.to_owned(), claims.clone());
                claims
            }
        };
        if self.service.is_some_and(|service| !claims.aud.iter().any(|aud| aud == service)) {
            return Err(Refusal::Unauthenticated);
        }
        Ok(Caller {
            tenant_id: claims.tenant_id,
            tenant_kind: claims.tenant_kind,
            subject: claims.sub.clone(),
            workload: claims.workload,
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
        let known = self.known.read().map_err(Refusal::internal)?;
        let key = known.1.iter().find(|(id, _)| Some(id) == header.kid.as_ref()).map(|(_, key)| key);
        let key = key.ok_or(Refusal::Unauthenticated)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = CLOCK_SKEW;
        validation.validate_nbf = true;
        validation.set_issuer(&[ISSUER]);
        // Which service it is good at is for `inspect` to say; that it says so is for here.
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "iss", "aud", "nbf"]);
        let token = jsonwebtoken::decode::<Claims>(passport, key, &validation).map_err(|_| Refusal::Unauthenticated)?;
        let claims = token.claims;
        if claims.exp - claims.iat > LIFETIME { Err(Refusal::Unauthenticated) } else { Ok(claims) }
    }
}

fn decoding(trusted: &[VerifyingKey]) -> Result<Keys, Refusal> {
    let key = |key: &VerifyingKey| {
        let pem = key.to_public_key_pem(LineEnding::LF).map_err(Refusal::internal)?;
        Ok((key_id(key.as_bytes()), DecodingKey::from_ed_pem(pem.as_bytes()).map_err(Refusal::internal)?))
    };
    trusted.iter().map(key).collect()
}

/// Reads the keys again every few seconds, until nobody holds `held` any more. What cannot be read stays as it was.
pub(crate) fn follow<T: Send + Sync + 'static>(held: &Arc<T>, read: impl Fn(&T) -> Result<(), Refusal> + Send + 'static) {
    let held: Weak<T> = Arc::downgrade(held);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(READ_AGAIN).await;
            let Some(held) = held.upgrade() else { return };
            if let Err(e) = read(&held) {
                tracing::warn!(error = %e, "keys cannot be read again; the old ones stay");
            }
        }
    });
}

/// A short name of a public key: the head of its SHA-256.
pub fn key_id(public: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(&sha2::Sha256::digest(public)[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mint() -> (Mint, Inspector) {
        let key = SigningKey::from_bytes(&[7; 32]);
        (Mint::new(&key).unwrap(), Inspector::new(&[key.verifying_key()]).unwrap())
    }

    #[test]
    fn a_passport_is_good_only_where_it_says() {
        let (mint, inspector) = mint();
        let at = |passport: &str, service| inspector.at(service).inspect(passport, None).is_ok();
        let registry = mint.passport_for("registry", &Bearer::default()).unwrap();
        assert!(at(&registry, "registry"));
        assert!(!at(&registry, "funding"));
        // Assistance asks the registry on the caller's behalf, and nobody the other way round.
        let assistance = mint.passport_for("assistance", &Bearer::default()).unwrap();
        assert!(at(&assistance, "assistance") && at(&assistance, "registry") && !at(&assistance, "tenancy"));
        assert!(!at(&registry, "assistance"));
        let all = mint.passport(&Bearer::default()).unwrap();
        assert!(
            ["tenancy", "registry", "assistance", "projects", "funding", "insight", "handover"].into_iter().all(|s| at(&all, s))
        );
    }

    #[test]
    fn a_passport_says_who_it_is_for_and_another_mints_is_none() {
        let (mint, inspector) = mint();
        let bearer = Bearer { subject: "sync".into(), workload: true, ..Bearer::default() };
        let passport = mint.passport(&bearer).unwrap();
        let caller = inspector.inspect(&passport, None).unwrap();
        assert_eq!((caller.subject.as_str(), caller.workload), ("sync", true));

        let other = Mint::new(&SigningKey::from_bytes(&[8; 32])).unwrap().passport(&bearer).unwrap();
        assert!(inspector.inspect(&other, None).is_err());
        let (head, signature) = passport.rsplit_once('.').unwrap();
        assert!(inspector.inspect(&format!("{head}.{}", signature.chars().rev().collect::<String>()), None).is_err());
    }
}
