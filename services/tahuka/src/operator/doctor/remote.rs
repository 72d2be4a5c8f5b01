//! From outside: what running processes say of themselves on their operators' ports, and the gateway as tenants meet it.

use std::sync::Arc;
use std::time::Duration;

use tahuka_chassis::Refusal;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::Findings;
use super::network::{client, in_time, root, validity_of};
use super::upkeep::{CHAIN, DEAD_LETTERS, NO_BACKUP};
use crate::reach::{Trust, endpoint};

const PATIENCE: Duration = Duration::from_secs(5);
/// Seconds that an event may wait, and that may pass between backups.
const LATE: f64 = 60.0;
const BACKUP: f64 = 26.0 * 3600.0;

/// An operators' port: `host:port`, with `http://` before it or not.
pub struct Port {
    pub address: String,
    base: String,
}

impl Port {
    pub fn parse(told: &str) -> Result<Self, Refusal> {
        let address = told.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let base = format!("http://{address}");
        let parsed = url::Url::parse(&base).ok().filter(|url| url.port_or_known_default().is_some() && url.path() == "/");
        match parsed {
            Some(_) if !told.starts_with("https:") => Ok(Port { address, base }),
            _ => Err(Refusal::invalid("--remote", format!("{told}: must be HOST:PORT of an operators' port"))),
        }
    }
}

/// Status and text of one path.
pub async fn fetched(port: &Port, path: &str) -> Result<(u16, String), String> {
    let answer = client()?.get(format!("{}{path}", port.base)).send().await.map_err(|e| root(&e.without_url()))?;
    let status = answer.status().as_u16();
    Ok((status, answer.text().await.map_err(|e| root(&e.without_url()))?))
}

pub async fn process(findings: &mut Findings, port: &Port) -> Result<(), Refusal> {
    let subject = port.address.as_str();
    match fetched(port, "/readyz").await {
        Err(why) => {
            findings.fail(
                "process-reach",
                subject,
                why,
                "see that the process runs, and that its operators.listen is reachable from here",
            );
            for id in ["process-ready", "process-version", "process-metrics"] {
                findings.skipped(id, subject, "the process does not answer");
            }
            return Ok(());
        }
        Ok((status, told)) => {
            findings.ok("process-reach", subject, "answers");
            match status {
                200 => findings.ok("process-ready", subject, "takes calls"),
                503 => findings.fail(
                    "process-ready",
                    subject,
                    told.trim().to_owned(),
                    "mend what it waits for; it goes on by itself",
                ),
                other => {
                    findings.fail("process-ready", subject, format!("answers {other}"), "is this an operators' port of Tahuka?")
                }
            }
        }
    }
    match fetched(port, "/metrics").await {
        Ok((200, text)) if text.contains("tahuka_build_info") => metrics(findings, subject, &text),
        Ok((status, _)) => {
            let found = format!("answers {status} without them");
            findings.fail("process-metrics", subject, found, "is this an operators' port of Tahuka?");
        }
        Err(why) => findings.fail("process-metrics", subject, why, "see the log of the process"),
    }
    Ok(())
}

/// One line of the Prometheus text format.
struct Sample<'a> {
    name: &'a str,
    labels: &'a str,
    value: f64,
}

impl<'a> Sample<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        if line.starts_with('#') {
            return None;
        }
        let (head, value) = line.rsplit_once(' ')?;
        let (name, labels) = head.split_once('{').map_or((head, ""), |(name, rest)| (name, rest.trim_end_matches('}')));
        Some(Sample { name, labels, value: value.parse().ok()? })
    }

    fn label(&self, name: &str) -> Option<&'a str> {
        let start = self.labels.find(&format!("{name}=\""))? + name.len() + 2;
        self.labels[start..].split('"').next()
    }
}

fn metrics(findings: &mut Findings, subject: &str, text: &str) {
    let samples: Vec<Sample<'_>> = text.lines().filter_map(Sample::parse).collect();
    findings.ok("process-metrics", subject, format!("{} samples", samples.len()));
    let own = env!("CARGO_PKG_VERSION");
    match samples.iter().find(|s| s.name == "tahuka_build_info").and_then(|s| s.label("version")) {
        Some(version) if version == own => findings.ok("process-version", subject, version),
        other => {
            let found = format!("{}, and this is {own}", other.unwrap_or("not told"));
            findings.warn("process-version", subject, found, "finish the upgrade, or use the doctor of that version");
        }
    }
    for sample in &samples {
        let of = sample.label("service").map_or_else(|| subject.to_owned(), |service| format!("{service} at {subject}"));
        let value = sample.value;
        match sample.name {
            "tahuka_outbox_lag_seconds" if value > LATE => {
                findings.warn("journal-relayed", &of, format!("an event waits for {value:.0} s"), "see that the bus answers");
            }
            "tahuka_outbox_lag_seconds" => findings.ok("journal-relayed", &of, format!("{value:.0} s")),
            "tahuka_dead_letters" if value > 0.0 => findings.warn("dead-letters", &of, format!("{value:.0}"), DEAD_LETTERS),
            "tahuka_dead_letters" => findings.ok("dead-letters", &of, "none"),
            "tahuka_ledger_drift" if value != 0.0 => {
                let found = format!("postings and balances differ by {value:.0} minor units");
                findings.fail("ledger-balanced", &of, found, "stop paying out and look at the ledger");
            }
            "tahuka_ledger_drift" => findings.ok("ledger-balanced", &of, "to the last minor unit"),
            "tahuka_access_log_intact" if value < 1.0 => findings.fail("access-log", &of, "is broken", CHAIN),
            "tahuka_access_log_intact" => findings.ok("access-log", &of, "its newest rows are whole"),
            "tahuka_schema_missing" if value > 0.0 => {
                findings.fail("database-schema", &of, format!("{value:.0} migrations are missing"), "run `tahuka migrate`");
            }
            "tahuka_schema_missing" => findings.ok("database-schema", &of, "is current"),
            "tahuka_backup_age_seconds" if value > BACKUP => {
                findings.warn("backup-age", &of, format!("the last one is {:.0} hours old", value / 3600.0), NO_BACKUP);
            }
            "tahuka_backup_age_seconds" => findings.ok("backup-age", &of, format!("{:.0} hours", value / 3600.0)),
            "tahuka_certificate_expiry_timestamp_seconds" => expiry(findings, &of, value),
            _ => {}
        }
    }
}

fn expiry(findings: &mut Findings, of: &str, at: f64) {
    match chrono::DateTime::from_timestamp(at as i64, 0) {
        Some(ends) => in_time(findings, "tls-certificate", of, (chrono::DateTime::UNIX_EPOCH, ends), "renew the certificate"),
        None => findings.fail("tls-certificate", of, "ends at no time that there is", "renew the certificate"),
    }
}

pub async fn gateway(findings: &mut Findings, url: &str, trust: &Trust) -> Result<(), Refusal> {
    if url.starts_with("https:") {
        match handshake(url, trust).await {
            Ok(der) => match validity_of(&der) {
                Ok(time) => {
                    in_time(findings, "gateway-tls", url, time, "renew the certificate; the gateway reads it again by itself")
                }
                Err(why) => findings.fail("gateway-tls", url, why, "renew the certificate"),
            },
            Err(why) => {
                findings.fail("gateway-tls", url, why, "the certificate must be of this name, in time, and trusted: --ca")
            }
        }
    } else {
        findings.skipped("gateway-tls", url, "plain http; whoever is before it must have a certificate");
    }
    let advice = "see that the gateway runs, and that gateway.listen is reachable from here";
    let channel = match endpoint("--gateway", url, trust)?.connect().await {
        Ok(channel) => channel,
        Err(e) => {
            findings.fail("gateway-reach", url, root(&e), advice);
            findings.skipped("gateway-health", url, "the gateway does not answer");
            return Ok(());
        }
    };
    findings.ok("gateway-reach", url, "answers");
    let mut client = HealthClient::new(channel);
    let asked = client.check(HealthCheckRequest { service: String::new() });
    let advice = "its operators' port says why: --remote, or /readyz";
    match tokio::time::timeout(PATIENCE, asked).await {
        Err(_) => findings.fail("gateway-health", url, "no answer in 5 s", advice),
        Ok(Err(status)) => findings.fail("gateway-health", url, status.message().to_owned(), advice),
        Ok(Ok(answer)) => match crate::operator::health::status(answer) {
            ServingStatus::Serving => findings.ok("gateway-health", url, "takes calls"),
            other => findings.fail("gateway-health", url, other.as_str_name(), advice),
        },
    }
    Ok(())
}

/// The certificate that the gateway shows, once it is trusted.
async fn handshake(url: &str, trust: &Trust) -> Result<Vec<u8>, String> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName};
    let parsed = url::Url::parse(url).map_err(|e| e.to_string())?;
    let host = parsed.host_str().ok_or("names no host")?.trim_matches(['[', ']']).to_owned();
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = &trust.ca {
        let pem = std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
        let own: Vec<_> = CertificateDer::pem_slice_iter(&pem).flatten().collect();
        roots.add_parsable_certificates(own);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder.map_err(|e| e.to_string())?.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from(host.clone()).map_err(|e| e.to_string())?;
    let meet = async {
        let stream = TcpStream::connect((host.as_str(), parsed.port_or_known_default().unwrap_or(443))).await?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    };
    let met = tokio::time::timeout(PATIENCE, meet).await.map_err(|_| "no answer in 5 s")?.map_err(|e| e.to_string())?;
    let shown = met.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    shown.map(|certificate| certificate.to_vec()).ok_or_else(|| "shows no certificate".to_owned())
}

#[cfg(test)]
mod tests {
    use tahuka_chassis::clock;

    use super::super::Outcome::{Fail, Ok as Well, Warn};
    use super::*;

    #[test]
    fn addresses_are_told_with_or_without_their_scheme() {
        assert_eq!(Port::parse("registry:9090").unwrap().base, "http://registry:9090");
        assert_eq!(Port::parse("http://127.0.0.1:9090/").unwrap().address, "127.0.0.1:9090");
        assert!(Port::parse("https://registry:9090").is_err());
        assert!(Port::parse("http://registry:9090/metrics").is_err());
    }

    #[tokio::test]
    async fn a_gateway_s_certificate_must_be_trusted_and_in_time() {
        use super::super::network::tests::certificate_of;
        use rustls::pki_types::pem::PemObject as _;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        for (until, outcome) in [(90, Well), (5, Warn)] {
            let (chain, key) = certificate_of(-1, until);
            let certificate = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
            let mut config = builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
            config.alpn_protocols = vec![b"h2".to_vec()];
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
            // It shows its certificate to everybody, and hangs up.
            let server = tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let _ = acceptor.accept(stream).await;
                }
            });
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("ca.crt"), &chain).unwrap();
            let mut findings = Findings::default();
            gateway(&mut findings, &url, &Trust::default()).await.unwrap();
            assert_eq!(findings.outcome("gateway-tls"), Some(Fail), "nobody vouches for it");
            let mut findings = Findings::default();
            gateway(&mut findings, &url, &Trust { ca: Some(dir.path().join("ca.crt")) }).await.unwrap();
            assert_eq!(findings.outcome("gateway-tls"), Some(outcome), "{:?}", findings.of("gateway-tls"));
            assert_ne!(findings.outcome("gateway-health"), Some(Well), "it is no gateway");
            server.abort();
        }
    }

    #[test]
    fn metrics_tell_what_is_not_well() {
        let ended = clock::now().timestamp() - 60;
        let text = format!(
            "# HELP tahuka_build_info x\ntahuka_build_info{{version=\"0.0.1\"}} 1\n\
             tahuka_outbox_lag_seconds{{service=\"registry\"}} 0\ntahuka_outbox_lag_seconds{{service=\"funding\"}} 300.5\n\
             tahuka_dead_letters{{service=\"insight\"}} 2\ntahuka_ledger_drift{{service=\"funding\"}} 1\n\
             tahuka_access_log_intact{{service=\"registry\"}} 0\ntahuka_schema_missing{{service=\"registry\"}} 0\n\
             tahuka_backup_age_seconds{{service=\"registry\"}} 200000\n\
             tahuka_certificate_expiry_timestamp_seconds{{tahuka_target=\"gateway\"}} {ended}\n"
        );
        let mut findings = Findings::default();
        metrics(&mut findings, "here:9090", &text);
        let expected = [
            ("process-metrics", Well),
            ("process-version", Warn),
            ("journal-relayed", Warn),
            ("dead-letters", Warn),
            ("ledger-balanced", Fail),
            ("access-log", Fail),
            ("database-schema", Well),
            ("backup-age", Warn),
            ("tls-certificate", Fail),
        ];
        for (id, outcome) in expected {
            assert_eq!(findings.outcome(id), Some(outcome), "{id}");
        }
        assert!(findings.of("journal-relayed").iter().any(|(outcome, _)| *outcome == Well));
    }
}
