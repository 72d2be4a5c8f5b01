//! An identity provider of a tenant, on this machine: it serves its key set over HTTP, counts who fetches it, and signs
//! whatever it is asked to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use tahuka_chassis::clock;

#[derive(Clone)]
pub struct Issuer {
    pub name: String,
    pub url: String,
    served: Arc<Mutex<Result<Vec<u8>, StatusCode>>>,
    fetches: Arc<AtomicUsize>,
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

impl Issuer {
    /// Serves the public half of its key `n`, whose id is `key-n`.
    pub async fn start(name: &str, n: u8) -> Issuer {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/jwks.json", listener.local_addr().expect("an address"));
        let issuer = Issuer { name: name.into(), url, served: Arc::new(Mutex::new(Ok(vec![]))), fetches: Arc::default() };
        issuer.serve(n);
        let (served, fetches) = (issuer.served.clone(), issuer.fetches.clone());
        let answer = move || {
            fetches.fetch_add(1, Ordering::SeqCst);
            let served = served.lock().expect("nobody panicked").clone();
            async move { served }
        };
        let router = axum::Router::new().route("/jwks.json", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        issuer
    }

    pub fn serve(&self, n: u8) {
        *self.served.lock().expect("nobody panicked") = Ok(Self::jwks(n).to_string().into_bytes());
    }

    pub fn serve_nothing(&self) {
        *self.served.lock().expect("nobody panicked") = Err(StatusCode::INTERNAL_SERVER_ERROR);
    }

    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    pub fn public(n: u8) -> [u8; 32] {
        key(n).verifying_key().to_bytes()
    }

    pub fn jwk(n: u8) -> Value {
        json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
            "kid": format!("key-{n}"), "x": URL_SAFE_NO_PAD.encode(Self::public(n)),
        })
    }

    pub fn jwks(n: u8) -> Value {
        json!({ "keys": [Self::jwk(n)] })
    }

    /// What a good token says of `subject`.
    pub fn claims(&self, subject: &str) -> Value {
        let now = clock::now().timestamp();
        json!({ "iss": self.name, "aud": "tahuka", "sub": subject, "iat": now, "nbf": now, "exp": now + 3600 })
    }

    /// A token with this head and these claims, signed with its key `n`.
    pub fn sign(n: u8, head: &Value, claims: &Value) -> String {
        let text = format!("{}.{}", encoded(head), encoded(claims));
        let signature = key(n).sign(text.as_bytes()).to_bytes();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A token of these claims as it should be.
    pub fn token_of(n: u8, claims: &Value) -> String {
        Self::sign(n, &json!({ "alg": "EdDSA", "typ": "JWT", "kid": format!("key-{n}") }), claims)
    }

    pub fn token(&self, n: u8, subject: &str) -> String {
        Self::token_of(n, &self.claims(subject))
    }

    /// Head and claims of a token without a signature.
    pub fn unsigned(head: &Value, claims: &Value) -> String {
        format!("{}.{}", encoded(head), encoded(claims))
    }
}
