//! The issuers that tenants have registered, and their keys. The list is read from tenancy every few seconds, so nobody
//! with a known key ever waits for it; strangers make it be read a little earlier, and at a bounded rate.

use std::collections::HashMap;
use std::sync::{Arc, RwLock, Weak};
use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use tahuka_chassis::Refusal;
use tahuka_chassis::config::GatewayConfig;
use tahuka_proto::tenancy::v1 as proto;
use tokio::sync::{Mutex, Semaphore};

use crate::key_set::{self, Fetched, Fetcher};
use crate::tenancy::Tenancy;

/// For strangers, tenancy is asked at most this often.
const LEAST_READING: Duration = Duration::from_secs(1);
/// How many callers of unknown issuers or keys may wait at once.
const MOST_STRANGERS: usize = 64;

/// One issuer, as its tenant has registered it.
pub(crate) struct Issuer {
    pub(crate) audience: String,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) claims: proto::ClaimMapping,
    keys: Keys,
}

enum Keys {
    Told(JwkSet),
    At(Arc<Fetched>),
}

impl Issuer {
    fn find(&self, kid: &str) -> Option<Jwk> {
        match &self.keys {
            Keys::Told(set) => set.find(kid).cloned(),
            Keys::At(fetched) => fetched.find(kid),
        }
    }
}

#[derive(Default)]
struct Listed {
    by_issuer: HashMap<String, Arc<Issuer>>,
    read_at: Option<Instant>,
}

pub(crate) struct Issuers {
    tenancy: Tenancy,
    fetcher: Fetcher,
    listed: RwLock<Listed>,
    /// Held while the list is read.
    reading: Mutex<()>,
    strangers: Semaphore,
    least: Duration,
    most: Duration,
}

impl Issuers {
    /// Reads the list every few seconds for as long as it is there.
    pub(crate) fn new(tenancy: Tenancy, config: &GatewayConfig) -> Result<Arc<Self>, Refusal> {
        let issuers = Arc::new(Issuers {
            tenancy,
            fetcher: Fetcher::new()?,
            listed: RwLock::default(),
            reading: Mutex::default(),
            strangers: Semaphore::new(MOST_STRANGERS),
            least: Duration::from_secs(config.key_set_least_seconds.max(1)),
            most: Duration::from_secs(config.key_set_most_seconds.max(1)),
        });
        let every = Duration::from_secs(config.identity_ttl_seconds.max(1));
        tokio::spawn(keep_read(Arc::downgrade(&issuers), every));
        Ok(issuers)
    }

    /// The issuer and its key of this id. A crowd of strangers is not kept waiting: it is refused.
    pub(crate) async fn key(&self, issuer: &str, kid: &str) -> Result<(Arc<Issuer>, Jwk), Refusal> {
        let known = self.known(issuer)?;
        if let Some(found) = with_key(known.clone(), kid) {
            return Ok(found);
        }
        let _seat = self.strangers.try_acquire().map_err(|_| Refusal::Unauthenticated)?;
        let known = match known {
            Some(known) if matches!(known.keys, Keys::At(_)) => Some(known),
            _ => {
                self.read_for_a_stranger().await?;
                self.known(issuer)?
            }
        };
        let known = known.ok_or(Refusal::Unauthenticated)?;
        if let (Keys::At(fetched), None) = (&known.keys, known.find(kid)) {
            fetched.refresh(&self.fetcher, self.least).await;
        }
        with_key(Some(known), kid).ok_or(Refusal::Unauthenticated)
    }

    fn known(&self, issuer: &str) -> Result<Option<Arc<Issuer>>, Refusal> {
        Ok(self.listed.read().map_err(Refusal::internal)?.by_issuer.get(issuer).cloned())
    }

    fn read_at(&self) -> Result<Option<Instant>, Refusal> {
        Ok(self.listed.read().map_err(Refusal::internal)?.read_at)
    }

    /// Who comes between two readings waits for the next one, and many wait for one.
    async fn read_for_a_stranger(&self) -> Result<(), Refusal> {
        let asked = Instant::now();
        let _turn = self.reading.lock().await;
        let read_at = self.read_at()?;
        if read_at.is_some_and(|at| at >= asked) {
            return Ok(());
        }
        if let Some(at) = read_at {
            tokio::time::sleep(LEAST_READING.saturating_sub(at.elapsed())).await;
        }
        self.read().await
    }

    async fn read(&self) -> Result<(), Refusal> {
        let told = self.tenancy.issuers().await?;
        let old = self.listed.read().map_err(Refusal::internal)?.by_issuer.clone();
        let mut by_issuer = HashMap::new();
        for provider in told {
            let before = old.get(&provider.issuer);
            let name = provider.issuer.clone();
            let tenant = provider.tenant_id.clone();
            match issuer(provider, before) {
                Ok(issuer) => {
                    by_issuer.insert(name, Arc::new(issuer));
                }
                Err(why) => tracing::warn!(%why, tenant, "a tenant's key set cannot be read"),
            }
        }
        *self.listed.write().map_err(Refusal::internal)? = Listed { by_issuer, read_at: Some(Instant::now()) };
        Ok(())
    }

    /// Fetches the key sets that have grown old.
    async fn refresh_old(&self) {
        let Ok(all) = self.listed.read().map(|listed| listed.by_issuer.values().cloned().collect::<Vec<_>>()) else { return };
        for issuer in all {
            if let Keys::At(fetched) = &issuer.keys {
                fetched.refresh(&self.fetcher, self.most).await;
            }
        }
    }
}

fn with_key(issuer: Option<Arc<Issuer>>, kid: &str) -> Option<(Arc<Issuer>, Jwk)> {
    let issuer = issuer?;
    let key = issuer.find(kid)?;
    Some((issuer, key))
}

/// As tenancy tells of it. Keys that were fetched from the same place before are kept.
fn issuer(told: proto::IdentityProvider, before: Option<&Arc<Issuer>>) -> Result<Issuer, String> {
    let keys = if told.jwks_uri.is_empty() {
        Keys::Told(key_set::read(told.jwks_json.as_bytes())?)
    } else {
        match before.map(|before| &before.keys) {
            Some(Keys::At(fetched)) if fetched.uri == told.jwks_uri => Keys::At(fetched.clone()),
            _ => Keys::At(Arc::new(Fetched::new(told.jwks_uri))),
        }
    };
    Ok(Issuer {
        audience: told.audience,
        algorithms: told.algorithms.iter().filter_map(|name| asymmetric(name)).collect(),
        claims: told.claims.unwrap_or_default(),
        keys,
    })
}

/// Asymmetric algorithms only: a shared secret between a tenant and the door is no proof of who signed.
fn asymmetric(name: &str) -> Option<Algorithm> {
    match name {
        "EdDSA" => Some(Algorithm::EdDSA),
        "ES256" => Some(Algorithm::ES256),
        "RS256" => Some(Algorithm::RS256),
        _ => None,
    }
}

async fn keep_read(issuers: Weak<Issuers>, every: Duration) {
    let refreshing = Arc::new(Semaphore::new(1));
    loop {
        let Some(held) = issuers.upgrade() else { return };
        {
            let _turn = held.reading.lock().await;
            if let Err(e) = held.read().await {
                tracing::debug!(error = %e, "the list of issuers cannot be read; the old one stays");
            }
        }
        // Beside this, so that an issuer that does not answer holds nothing up.
        if let Ok(alone) = refreshing.clone().try_acquire_owned() {
            tokio::spawn(async move {
                held.refresh_old().await;
                drop(alone);
            });
        }
        tokio::time::sleep(every).await;
    }
}
