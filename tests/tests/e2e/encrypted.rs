//! The gateway with TLS: the command line trusts the authority that it is told, and a renewed certificate is shown without
//! a restart.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tahuka_tests::{Form, Platform, binary, get};
use tempfile::TempDir;

/// A certificate for `localhost` under an authority of its own, good until a year begins, as files: `<name>.pem`, `<name>.key`, `<name>-ca.pem`.
fn certificate(dir: &Path, name: &str, ends: i32) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    leaf.not_after = rcgen::date_time_ymd(ends, 1, 1);
    let leaf = leaf.signed_by(&key, &authority).expect("a certificate");
    // The key first: whoever looks in between finds two that do not fit, and waits.
    std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).expect("a file");
    std::fs::write(dir.join(format!("{name}.pem")), leaf.pem()).expect("a file");
    std::fs::write(dir.join(format!("{name}-ca.pem")), authority.pem()).expect("a file");
}

/// Whether `tahuka tenant list` gets its answer over https, and what it said.
fn list(platform: &Platform, token: &str, ca: Option<&Path>) -> (bool, String) {
    let gateway = platform.gateway.replace("http://127.0.0.1", "https://localhost");
    let mut command = Command::new(binary());
    command.args(["tenant", "list", "--gateway", &gateway, "--token", token]);
    if let Some(ca) = ca {
        command.arg("--ca").arg(ca);
    }
    let out = command.output().expect("the binary runs");
    (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned())
}

/// When the certificate ends, as the metrics tell it.
async fn end_of_certificate(platform: &Platform) -> Option<String> {
    let (_, metrics) = get(platform.operators("all"), "/metrics").await.expect("metrics");
    let series = "tahuka_certificate_expiry_timestamp_seconds{tahuka_target=\"gateway\"} ";
    metrics.lines().find_map(|line| line.strip_prefix(series)).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_speaks_tls_and_shows_a_renewed_certificate() {
    let dir = TempDir::new().expect("a directory");
    certificate(dir.path(), "shown", 2040);
    let first = std::fs::read(dir.path().join("shown-ca.pem")).expect("an authority");
    std::fs::write(dir.path().join("first-ca.pem"), first).expect("a file");
    let settings = [
        format!("gateway.tls.certificate_file={}/shown.pem", dir.path().display()),
        format!("gateway.tls.key_file={}/shown.key", dir.path().display()),
    ];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let platform = Platform::start_with(Form::Embedded, &settings, false).await.expect("it needs no parts");
    let token = platform.token("platform", "operator");
    let (first, now) = (dir.path().join("first-ca.pem"), dir.path().join("shown-ca.pem"));

    let (listed, told) = list(&platform, &token, Some(&first));
    assert!(listed, "{told}");
    assert!(!list(&platform, &token, None).0, "an authority that nobody told of is not trusted");

    assert_eq!(end_of_certificate(&platform).await.as_deref(), Some("2208988800"), "2040");

    certificate(dir.path(), "shown", 2050);
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let (listed, told) = list(&platform, &token, Some(&now));
        if listed {
            break;
        }
        assert!(Instant::now() < end, "the renewed certificate is not shown: {told}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(!list(&platform, &token, Some(&first)).0, "the old certificate is shown no more");
    assert_eq!(end_of_certificate(&platform).await.as_deref(), Some("2524608000"), "2050");
}
