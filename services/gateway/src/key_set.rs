//! Key sets that issuers publish at a URL. Fetched rarely, whoever knocks how often; the last good one is kept.

use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, JwkSet};
use tahuka_chassis::Refusal;
use tokio::sync::Mutex;

/// For all of a fetch.
const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST: usize = 256 * 1024;

/// Fetches without following anybody anywhere.
pub(crate) struct Fetcher {
    https: reqwest::Client,
    /// Without a proxy, and over http too: for this machine's own addresses.
    loopback: reqwest::Client,
}

impl Fetcher {
    pub(crate) fn new() -> Result<Self, Refusal> {
        // One provider of cryptography for the process; whoever was first has chosen the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = || {
            reqwest::Client::builder()
                .timeout(PATIENCE)
                .redirect(reqwest::redirect::Policy::none())
                .user_agent(concat!("tahuka-gateway/", env!("CARGO_PKG_VERSION")))
        };
        Ok(Fetcher {
            https: client().https_only(true).build().map_err(Refusal::internal)?,
            loopback: client().no_proxy().build().map_err(Refusal::internal)?,
        })
    }

    async fn fetch(&self, uri: &str) -> Result<JwkSet, String> {
        // What is registered over http is a loopback address: tenancy takes no other.
        let client = if uri.starts_with("http://") { &self.loopback } else { &self.https };
        let mut answer = client.get(uri).send().await.map_err(|e| e.without_url().to_string())?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(format!("the answer is {}", answer.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| e.without_url().to_string())? {
            if body.len() + chunk.len() > LARGEST {
                return Err(format!("the key set has more than {LARGEST} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        read(&body)
    }
}

/// A key set, without the keys of kinds that are not known here: an issuer may have others beside those of its tokens.
pub(crate) fn read(json: &[u8]) -> Result<JwkSet, String> {
    #[derive(serde::Deserialize)]
    struct Loose {
        keys: Vec<serde_json::Value>,
    }
    let loose: Loose = serde_json::from_slice(json).map_err(|e| format!("no key set: {e}"))?;
    Ok(JwkSet { keys: loose.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok()).collect() })
}

/// The key set at one URL.
pub(crate) struct Fetched {
    pub(crate) uri: String,
    keys: RwLock<Arc<JwkSet>>,
    /// When it was last asked for, whatever came of it. Held while it is asked for: one at a time.
    asked: Mutex<Option<Instant>>,
}

impl Fetched {
    pub(crate) fn new(uri: String) -> Self {
        Fetched { uri, keys: RwLock::new(Arc::new(JwkSet { keys: Vec::new() })), asked: Mutex::default() }
    }

    pub(crate) fn find(&self, kid: &str) -> Option<Jwk> {
        self.keys.read().ok()?.find(kid).cloned()
    }

    /// Fetches it, unless it was asked for within `least`. Who comes while it is fetched waits for that. A fetch that fails
    /// leaves the old keys.
    pub(crate) async fn refresh(&self, fetcher: &Fetcher, least: Duration) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|at| at.elapsed() < least) {
            return;
        }
        *asked = Some(Instant::now());
        match fetcher.fetch(&self.uri).await {
            Ok(keys) => {
                metrics::counter!("tahuka_gateway_key_set_fetches_total", "outcome" => "ok").increment(1);
                if let Ok(mut known) = self.keys.write() {
                    *known = Arc::new(keys);
                }
            }
            Err(why) => {
                metrics::counter!("tahuka_gateway_key_set_fetches_total", "outcome" => "failed").increment(1);
                tracing::warn!(uri = self.uri, %why, "a key set cannot be fetched; the old keys stay");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_an_unknown_kind_spoils_no_set() {
        let json = r#"{"keys":[{"kty":"XYZ","kid":"1"},{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"2"}]}"#;
        let keys = read(json.as_bytes()).unwrap();
        assert!(keys.find("2").is_some());
        assert!(keys.find("1").is_none_or(|key| jsonwebtoken::DecodingKey::from_jwk(key).is_err()));
        assert!(read(b"{}").is_err());
        assert!(read(b"<html>").is_err());
    }
}
