//! What stands at the doors: free ports, the gateway's certificate, the platform operator's identity provider.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tahuka_chassis::{Config, clock};
use tokio::net::TcpListener;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::Findings;

/// Days before a certificate ends in which it is time to renew it.
const RENEW: i64 = 14;
const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST: usize = 256 * 1024;

pub async fn ports(findings: &mut Findings, config: &Config, with_gateway: bool) {
    let mut wanted = vec![("operators.listen", &config.operators.listen)];
    wanted.extend(config.listen.as_ref().map(|listen| ("listen", listen)));
    if with_gateway {
        wanted.push(("gateway.listen", &config.gateway.listen));
    }
    for (key, listen) in wanted {
        match TcpListener::bind(listen).await {
            Ok(_) => findings.ok("ports-free", listen, format!("{key} is free")),
            Err(e) => {
                findings.fail("ports-free", listen, format!("{key}: {e}"), "choose another address, or stop who listens there")
            }
        }
    }
}

pub fn certificate(findings: &mut Findings, config: &Config, with_gateway: bool) {
    let tls = &config.gateway.tls;
    let (Some(chain), Some(key)) = (&tls.certificate_file, &tls.key_file) else {
        return findings.skipped("tls-certificate", "", "the gateway has none; whoever is before it must");
    };
    if !with_gateway {
        return findings.skipped("tls-certificate", "", "the gateway is not among the targets");
    }
    let subject = chain.display().to_string();
    let advice = "renew the certificate; the gateway reads it again by itself";
    match ends(chain, key) {
        Err(why) => findings.fail(
            "tls-certificate",
            &subject,
            why,
            "the files must be PEM: a chain, and the key of its first certificate",
        ),
        Ok((begins, ends)) => in_time(findings, "tls-certificate", &subject, (begins, ends), advice),
    }
}

/// Tells how a certificate stands in time.
pub fn in_time(
    findings: &mut Findings,
    id: &'static str,
    subject: &str,
    (begins, ends): (DateTime<Utc>, DateTime<Utc>),
    advice: &str,
) {
    let (now, until) = (clock::now(), ends.format("%Y-%m-%d"));
    match (ends - now).num_days() {
        _ if now < begins => findings.fail(id, subject, format!("is not good before {}", begins.format("%Y-%m-%d")), advice),
        _ if now > ends => findings.fail(id, subject, format!("ended on {until}"), advice),
        days if days < RENEW => findings.warn(id, subject, format!("ends in {days} days, on {until}"), advice),
        _ => findings.ok(id, subject, format!("is good until {until}")),
    }
}

/// When the first certificate of the chain begins and ends; it and the key must be a pair.
fn ends(chain: &Path, key: &Path) -> Result<(DateTime<Utc>, DateTime<Utc>), String> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let read = |file: &Path| std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()));
    let (pem, secret) = (read(chain)?, read(key)?);
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| "is not in PEM")?;
    if certificates.is_empty() {
        return Err("holds no certificate".into());
    }
    // The reasons stay out of the text: they may quote what is in the file.
    let secret = PrivateKeyDer::from_pem_slice(&secret).map_err(|_| format!("{} is not a private key", key.display()))?;
    let provider = rustls::crypto::ring::default_provider();
    rustls::sign::CertifiedKey::from_der(certificates, secret, &provider)
        .map_err(|e| format!("does not go with the key: {e}"))?;
    validity(&first(&pem).map_err(|e| format!("cannot be read: {e}"))?)
}

/// Of a chain.
fn first(pem: &[u8]) -> Result<Certificate, x509_cert::der::Error> {
    Certificate::load_pem_chain(pem)?.into_iter().next().ok_or_else(|| x509_cert::der::ErrorKind::Failed.into())
}

/// When a certificate begins and ends, from its DER.
pub fn validity_of(der: &[u8]) -> Result<(DateTime<Utc>, DateTime<Utc>), String> {
    validity(&Certificate::from_der(der).map_err(|e| format!("cannot be read: {e}"))?)
}

fn validity(certificate: &Certificate) -> Result<(DateTime<Utc>, DateTime<Utc>), String> {
    let time = |time: &x509_cert::time::Time| {
        let seconds = i64::try_from(time.to_unix_duration().as_secs()).ok();
        seconds.and_then(|s| DateTime::from_timestamp(s, 0)).ok_or_else(|| "has no time".to_owned())
    };
    let validity = &certificate.tbs_certificate.validity;
    Ok((time(&validity.not_before)?, time(&validity.not_after)?))
}

pub async fn issuer(findings: &mut Findings, config: &Config, with_gateway: bool) {
    let platform = &config.platform;
    let advice = "without these keys nobody can make a tenant; see the platform section of docs/configure.md";
    match (&platform.jwks_file, &platform.jwks_url) {
        _ if config.demo.enabled => findings.skipped("issuer-keys", "", "the built-in identity provider is on"),
        _ if !with_gateway => findings.skipped("issuer-keys", "", "the gateway is not among the targets"),
        (Some(file), _) => match std::fs::read(file).map_err(|e| e.to_string()).and_then(|json| public_keys(&json)) {
            Ok(n) => findings.ok("issuer-keys", &file.display().to_string(), format!("{n} public keys")),
            Err(why) => findings.fail("issuer-keys", &file.display().to_string(), why, advice),
        },
        (None, Some(url)) => match fetch(url).await.and_then(|json| public_keys(&json)) {
            Ok(n) => findings.ok("issuer-keys", url, format!("{n} public keys")),
            Err(why) => findings.fail("issuer-keys", url, why, advice),
        },
        (None, None) => findings.warn("issuer-keys", "", "no identity provider of the platform's operator is configured", advice),
    }
}

/// Over http or https, without following anybody anywhere.
pub fn client() -> Result<reqwest::Client, String> {
    // One provider of cryptography for the process; whoever was first has chosen the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
    client.user_agent(concat!("tahuka-doctor/", env!("CARGO_PKG_VERSION"))).build().map_err(|e| e.to_string())
}

async fn fetch(url: &str) -> Result<Vec<u8>, String> {
    let answer = client()?.get(url).send().await.map_err(|e| root(&e.without_url()))?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(format!("the answer is {}", answer.status()));
    }
    Ok(answer.bytes().await.map_err(|e| root(&e.without_url()))?.to_vec())
}

/// The innermost reason: the outer ones only say that a request failed.
pub fn root(error: &dyn std::error::Error) -> String {
    let mut reason = error;
    while let Some(deeper) = reason.source() {
        reason = deeper;
    }
    reason.to_string()
}

/// How many keys the set has; a private one among them is a fault.
fn public_keys(json: &[u8]) -> Result<usize, String> {
    if json.len() > LARGEST {
        return Err("is too large for a key set".into());
    }
    let set: serde_json::Value = serde_json::from_slice(json).map_err(|_| "is not a JSON Web Key Set")?;
    let keys = set["keys"].as_array().ok_or("is not a JSON Web Key Set")?;
    if keys.iter().any(|key| key.get("d").is_some() || key["kty"] == "oct") {
        return Err("holds a private key: take it out, and make new ones".into());
    }
    let known = keys.iter().filter(|key| ["OKP", "EC", "RSA"].iter().any(|kind| key["kty"] == *kind)).count();
    if known == 0 { Err("holds no key that can verify a token".into()) } else { Ok(known) }
}

#[cfg(test)]
pub mod tests {
    use chrono::{Datelike as _, Duration};
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::super::Outcome::{self, Fail, Ok as Well, Skipped, Warn};
    use super::*;

    /// A certificate of localhost and its key in PEM, good between these days from today.
    pub fn certificate_of(from: i64, until: i64) -> (String, String) {
        let day = |days: i64| {
            let date = (clock::now() + Duration::days(days)).date_naive();
            date_time_ymd(date.year(), date.month() as u8, date.day() as u8)
        };
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (day(from), day(until));
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn found(chain: &str, key: &str) -> Option<Outcome> {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        for (file, text, place) in
            [("tls.crt", chain, &mut config.gateway.tls.certificate_file), ("tls.key", key, &mut config.gateway.tls.key_file)]
        {
            std::fs::write(dir.path().join(file), text).unwrap();
            *place = Some(dir.path().join(file));
        }
        let mut findings = Findings::default();
        certificate(&mut findings, &config, true);
        findings.outcome("tls-certificate")
    }

    #[test]
    fn a_certificate_must_be_in_time_and_go_with_its_key() {
        let (chain, key) = certificate_of(-1, 90);
        assert_eq!(found(&chain, &key), Some(Well));
        for (from, until, outcome) in [(-90, -1, Fail), (-90, 5, Warn), (5, 90, Fail)] {
            let (chain, key) = certificate_of(from, until);
            assert_eq!(found(&chain, &key), Some(outcome), "{from} to {until}");
        }
        let (other, _) = certificate_of(-1, 90);
        assert_eq!(found(&other, &key), Some(Fail));
        assert_eq!(found(&format!("{chain}{other}"), &key), Some(Well), "a chain");
        assert_eq!(found("no certificate", &key), Some(Fail));
        assert_eq!(found(&chain, "no key"), Some(Fail));
    }

    #[tokio::test]
    async fn a_port_that_is_taken_fails() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = Config::default();
        config.operators.listen = taken.local_addr().unwrap().to_string();
        let mut findings = Findings::default();
        ports(&mut findings, &config, false).await;
        assert_eq!(findings.outcome("ports-free"), Some(Fail));
    }

    #[tokio::test]
    async fn the_operators_issuer_must_give_public_keys() {
        let answer = async |json: &str| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("jwks.json"), json).unwrap();
            let mut config = Config::default();
            config.platform.jwks_file = Some(dir.path().join("jwks.json"));
            let mut findings = Findings::default();
            issuer(&mut findings, &config, true).await;
            findings.outcome("issuer-keys")
        };
        assert_eq!(answer(r#"{"keys":[{"kty":"OKP","kid":"a"}]}"#).await, Some(Well));
        assert_eq!(answer(r#"{"keys":[{"kty":"OKP","kid":"a","d":"secret"}]}"#).await, Some(Fail));
        assert_eq!(answer(r#"{"keys":[]}"#).await, Some(Fail));
        assert_eq!(answer("<html>").await, Some(Fail));

        let mut config = Config::default();
        let mut findings = Findings::default();
        issuer(&mut findings, &config, true).await;
        assert_eq!(findings.outcome("issuer-keys"), Some(Warn));
        config.platform.jwks_url = Some("http://127.0.0.1:1/jwks".into());
        issuer(&mut findings, &config, true).await;
        assert_eq!(findings.outcome("issuer-keys"), Some(Fail));
        config.demo.enabled = true;
        let mut findings = Findings::default();
        issuer(&mut findings, &config, true).await;
        assert_eq!(findings.outcome("issuer-keys"), Some(Skipped));
    }
}
