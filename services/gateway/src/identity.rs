//! Tokens of the tenants' identity providers, checked; and who their subjects are, as tenancy says.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use tahuka_chassis::passport::{Bearer, METADATA, Mint};
use tahuka_chassis::{Peers, Refusal, ScopeEntry, TenantKind, edge};
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::tenancy::v1 as tenancy;
use tahuka_proto::tenancy::v1::identity_service_client::IdentityServiceClient;
use tokio::sync::{Mutex, Semaphore};
use tonic::metadata::MetadataValue;
use uuid::Uuid;

/// The largest token that is looked at, in bytes.
const LARGEST_TOKEN: usize = 8 * 1024;
/// Providers are asked for again at most this often, however many unknown issuers or keys knock.
const LEAST_REFRESH: Duration = Duration::from_secs(1);
/// How many callers of unknown issuers or keys may wait for the list.
const MOST_STRANGERS: usize = 64;
/// The oldest that the list of providers may be.
const OLDEST_LIST: Duration = Duration::from_secs(30);
const CLOCK_SKEW: u64 = 30;

/// One issuer, as its tenant has registered it.
struct Provider {
    audience: String,
    algorithms: Vec<Algorithm>,
    keys: JwkSet,
}

#[derive(Default)]
struct Providers {
    by_issuer: HashMap<String, Arc<Provider>>,
    read_at: Option<Instant>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
}

/// Only what chooses the key; nothing in it is trusted before the signature is.
#[derive(Deserialize)]
struct Unverified {
    iss: String,
}

#[derive(Clone)]
pub(crate) struct Identities {
    peers: Peers,
    mint: Mint,
    providers: Arc<RwLock<Providers>>,
    refreshing: Arc<Mutex<()>>,
    strangers: Arc<Semaphore>,
    /// Passports by token, for as long as tenancy's word is trusted.
    passports: moka::sync::Cache<String, (Arc<Bearer>, String)>,
}

impl Identities {
    pub(crate) fn new(peers: Peers, mint: Mint, ttl: Duration) -> Self {
        let passports = moka::sync::Cache::builder().max_capacity(50_000).time_to_live(ttl.min(Duration::from_secs(30))).build();
        Identities {
            peers,
            mint,
            providers: Arc::default(),
            refreshing: Arc::default(),
            strangers: Arc::new(Semaphore::new(MOST_STRANGERS)),
            passports,
        }
    }

    /// The bearer of a token and a passport for it. Every refusal of a token is the same UNAUTHENTICATED.
    pub(crate) async fn passport(&self, token: &str) -> Result<(Arc<Bearer>, String), Refusal> {
        if token.len() > LARGEST_TOKEN {
            return Err(Refusal::Unauthenticated);
        }
        if let Some(known) = self.passports.get(token) {
            return Ok(known);
        }
        let claims = self.verify(token).await?;
        let bearer = Arc::new(self.resolve(&claims).await?);
        let passport = self.mint.passport(&bearer)?;
        self.passports.insert(token.to_owned(), (bearer.clone(), passport.clone()));
        Ok((bearer, passport))
    }

    async fn verify(&self, token: &str) -> Result<Claims, Refusal> {
        let refused = |_| Refusal::Unauthenticated;
        let header = jsonwebtoken::decode_header(token).map_err(refused)?;
        if header.extras.inner().contains_key("crit") {
            return Err(Refusal::Unauthenticated);
        }
        let kid = header.kid.as_deref().ok_or(Refusal::Unauthenticated)?;
        let issuer = jsonwebtoken::dangerous::insecure_decode::<Unverified>(token).map_err(refused)?.claims.iss;
        let provider = self.provider(&issuer, kid).await?;
        if !provider.algorithms.contains(&header.alg) {
            return Err(Refusal::Unauthenticated);
        }
        let jwk = provider.keys.find(kid).ok_or(Refusal::Unauthenticated)?;
        let key = DecodingKey::from_jwk(jwk).map_err(refused)?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = CLOCK_SKEW;
        validation.validate_nbf = true;
        validation.set_audience(&[&provider.audience]);
        validation.set_issuer(&[&issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).map_err(refused)?.claims;
        // A token that has expired by our own clock is not kept alive by the cache for longer than its time to live.
        Ok(claims)
    }

    /// The provider of an issuer that has this key. The list is asked for again where it is old or does not know them,
    /// at most once in `LEAST_REFRESH`: who comes in between waits for the next time, and many wait for one.
    async fn provider(&self, issuer: &str, kid: &str) -> Result<Arc<Provider>, Refusal> {
        let (known, read_at) = self.listed(issuer, kid)?;
        let fresh = read_at.is_some_and(|at| at.elapsed() < OLDEST_LIST);
        let _seat = match known {
            Some(provider) if fresh => return Ok(provider),
            Some(_) => None,
            // A crowd of strangers is not kept waiting: it is refused.
            None => Some(self.strangers.try_acquire().map_err(|_| Refusal::Unauthenticated)?),
        };
        let asked = Instant::now();
        let _turn = self.refreshing.lock().await;
        let (_, read_at) = self.listed(issuer, kid)?;
        if read_at.is_none_or(|at| at < asked) {
            if let Some(at) = read_at {
                tokio::time::sleep(LEAST_REFRESH.saturating_sub(at.elapsed())).await;
            }
            let by_issuer = self.read_providers().await?;
            *self.providers.write().map_err(Refusal::internal)? = Providers { by_issuer, read_at: Some(Instant::now()) };
        }
        self.listed(issuer, kid)?.0.ok_or(Refusal::Unauthenticated)
    }

    fn listed(&self, issuer: &str, kid: &str) -> Result<(Option<Arc<Provider>>, Option<Instant>), Refusal> {
        let providers = self.providers.read().map_err(Refusal::internal)?;
        let known = providers.by_issuer.get(issuer).filter(|p| p.keys.find(kid).is_some()).cloned();
        Ok((known, providers.read_at))
    }

    async fn read_providers(&self) -> Result<HashMap<String, Arc<Provider>>, Refusal> {
        let request = self.as_gateway(tenancy::ListIdentityProvidersRequest::default())?;
        let mut client = IdentityServiceClient::new(self.peers.channel("tenancy")?);
        let answer = client.list_identity_providers(request).await?.into_inner();
        let mut by_issuer = HashMap::new();
        for provider in answer.identity_providers {
            let algorithms = provider.algorithms.iter().filter_map(|name| asymmetric(name)).collect();
            match serde_json::from_str::<JwkSet>(&provider.jwks_json) {
                Ok(keys) => {
                    let known = Provider { audience: provider.audience, algorithms, keys };
                    by_issuer.insert(provider.issuer, Arc::new(known));
                }
                Err(e) => tracing::warn!(error = %e, tenant = provider.tenant_id, "a tenant's key set cannot be read"),
            }
        }
        Ok(by_issuer)
    }

    async fn resolve(&self, claims: &Claims) -> Result<Bearer, Refusal> {
        let request =
            self.as_gateway(tenancy::ResolveIdentityRequest { issuer: claims.iss.clone(), subject: claims.sub.clone() })?;
        let mut client = IdentityServiceClient::new(self.peers.channel("tenancy")?);
        let known = match client.resolve_identity(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == tonic::Code::NotFound => return Err(Refusal::Unauthenticated),
            Err(status) => return Err(status.into()),
        };
        let tenant_kind = match known.tenant_kind() {
            tenancy::TenantKind::Operator => TenantKind::Operator,
            tenancy::TenantKind::Ministry => TenantKind::Ministry,
            tenancy::TenantKind::Donor => TenantKind::Donor,
            tenancy::TenantKind::ImplementingPartner => TenantKind::ImplementingPartner,
            tenancy::TenantKind::Platform => TenantKind::Platform,
            tenancy::TenantKind::Unspecified => return Err(Refusal::Unauthenticated),
        };
        let mut scope = Vec::new();
        for entry in known.scope {
            scope.push(ScopeEntry {
                category: entry.category,
                level: entry.level,
                custodian: edge::uuid("scope.custodian_id", &entry.custodian_id)?,
                districts: entry.districts,
                write: entry.write,
                ..Default::default()
            });
        }
        Ok(Bearer {
            subject: claims.sub.clone(),
            tenant_id: edge::uuid("tenant_id", &known.tenant_id)?,
            tenant_kind,
            roles: known.roles,
            permissions: known.permissions,
            districts: known.districts,
            scope,
            ..Default::default()
        })
    }

    /// A request in the gateway's own name, which may only resolve identities.
    fn as_gateway<M>(&self, message: M) -> Result<tonic::Request<M>, Refusal> {
        let gateway = Bearer {
            subject: "gateway".into(),
            tenant_id: Uuid::nil(),
            tenant_kind: TenantKind::Platform,
            roles: Vec::new(),
            permissions: vec!["tenancy.identity.resolve".into()],
            districts: Vec::new(),
            scope: vec![ScopeEntry {
                category: DataCategory::Tenancy as i32,
                level: DisclosureLevel::Identified as i32,
                custodian: Uuid::nil(),
                districts: Vec::new(),
                write: false,
                ..Default::default()
            }],
            ..Default::default()
        };
        let mut request = tonic::Request::new(message);
        let passport = MetadataValue::try_from(self.mint.passport(&gateway)?).map_err(Refusal::internal)?;
        request.metadata_mut().insert(METADATA, passport);
        Ok(request)
    }
}

/// Asymmetric algorithms only: a shared secret between a tenant and the door is no proof of who signed.
fn asymmetric(name: &str) -> Option<Algorithm> {
    match name {
        "EdDSA" => Some(Algorithm::EdDSA),
        "ES256" => Some(Algorithm::ES256),
        "ES384" => Some(Algorithm::ES384),
        "RS256" => Some(Algorithm::RS256),
        "RS384" => Some(Algorithm::RS384),
        "RS512" => Some(Algorithm::RS512),
        "PS256" => Some(Algorithm::PS256),
        _ => None,
    }
}
