//! How a client command reaches a gateway: over http, or over https with the system's trust and, where it is told, a
//! certificate authority of one's own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tahuka_chassis::Refusal;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

#[derive(Args, Clone, Default)]
pub struct Trust {
    /// Certificates (PEM) that an https gateway is trusted by, beside the system's
    #[arg(long, env = "TAHUKA_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

/// `flag` names the argument that told the URL.
pub fn endpoint(flag: &str, url: &str, trust: &Trust) -> Result<Endpoint, Refusal> {
    let refused = |e: tonic::transport::Error| Refusal::invalid(flag, e.to_string());
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(refused)?;
    let endpoint = endpoint.connect_timeout(Duration::from_secs(5)).tcp_nodelay(true);
    if !url.starts_with("https:") {
        return Ok(endpoint);
    }
    let mut tls = ClientTlsConfig::new().with_native_roots();
    if let Some(file) = &trust.ca {
        tls = tls.ca_certificate(Certificate::from_pem(read(file)?));
    }
    endpoint.tls_config(tls).map_err(refused)
}

fn read(file: &Path) -> Result<Vec<u8>, Refusal> {
    std::fs::read(file).map_err(|e| Refusal::invalid("--ca", format!("{}: {e}", file.display())))
}
