//! The built-in identity provider of a demonstration: one key, an issuer for each tenant.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use tahuka_chassis::{Config, Refusal, clock, keys, passport};

pub const AUDIENCE: &str = "tahuka";

pub struct Issuer {
    key: SigningKey,
}

impl Issuer {
    /// Its key is in `<data_dir>/keys`, made at first use.
    pub fn open(config: &Config) -> Result<Self, Refusal> {
        Ok(Issuer { key: keys::signing_key(&config.demo_key_file())? })
    }

    /// The issuer of one tenant.
    pub fn url(&self, tenant: &str) -> String {
        format!("https://demo.tahuka.invalid/{tenant}")
    }

    pub fn jwks_json(&self) -> Result<String, Refusal> {
        let public = self.key.verifying_key();
        let key = json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
            "kid": self.kid(), "x": URL_SAFE_NO_PAD.encode(public.as_bytes()),
        });
        serde_json::to_string(&json!({ "keys": [key] })).map_err(Refusal::internal)
    }

    /// A token for `subject` of the tenant, good for `lifetime` seconds.
    pub fn token(&self, tenant: &str, subject: &str, lifetime: i64) -> Result<String, Refusal> {
        let now = clock::now().timestamp();
        let claims = json!({
            "iss": self.url(tenant), "aud": AUDIENCE, "sub": subject,
            "iat": now, "nbf": now, "exp": now + lifetime,
        });
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid());
        let der = self.key.to_pkcs8_der().map_err(Refusal::internal)?;
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(der.as_bytes())).map_err(Refusal::internal)
    }

    fn kid(&self) -> String {
        passport::key_id(self.key.verifying_key().as_bytes())
    }
}
