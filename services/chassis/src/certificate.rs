//! The certificate of a port, read again when its files change: whoever renews it restarts nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;
use x509_cert::der::Decode as _;

use crate::config::TlsConfig;
use crate::refusal::Refusal;
use crate::server::cryptography;

const LOOK: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Certificate {
    chain_file: PathBuf,
    key_file: PathBuf,
    shown: RwLock<(Vec<u8>, Arc<CertifiedKey>)>,
}

impl Certificate {
    /// None where no TLS is configured.
    pub fn open(config: &TlsConfig) -> Result<Option<Arc<Self>>, Refusal> {
        let (chain_file, key_file) = match (&config.certificate_file, &config.key_file) {
            (None, None) => return Ok(None),
            (Some(chain), Some(key)) => (chain.clone(), key.clone()),
            _ => return Err(Refusal::invalid("tls", "needs certificate_file and key_file, or neither")),
        };
        let shown = read(&chain_file, &key_file)?;
        tell_its_end(&shown.1);
        let shown = RwLock::new(shown);
        Ok(Some(Arc::new(Certificate { chain_file, key_file, shown })))
    }

    /// The server's side of TLS, HTTP/2 alone.
    pub fn server(self: Arc<Self>) -> Result<Arc<ServerConfig>, Refusal> {
        let mut config = ServerConfig::builder_with_provider(cryptography())
            .with_safe_default_protocol_versions()
            .map_err(Refusal::internal)?
            .with_no_client_auth()
            .with_cert_resolver(self);
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    /// Looks at the files every few seconds. Files that do not fit together, as in the middle of a renewal, change nothing.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            match read(&self.chain_file, &self.key_file) {
                Ok(now) => {
                    if let Ok(mut shown) = self.shown.write()
                        && shown.0 != now.0
                    {
                        tell_its_end(&now.1);
                        *shown = now;
                        tracing::info!("the certificate was renewed");
                    }
                }
                Err(e) => tracing::warn!(error = %e, "the certificate cannot be read; the last one stays"),
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.shown.read().ok().map(|shown| shown.1.clone())
    }
}

/// When it ends, for whoever must renew it.
fn tell_its_end(certified: &CertifiedKey) {
    let Some(shown) = certified.cert.first() else { return };
    match x509_cert::Certificate::from_der(shown) {
        Ok(certificate) => {
            let ends = certificate.tbs_certificate.validity.not_after.to_unix_duration();
            metrics::gauge!("tahuka_certificate_expiry_timestamp_seconds", "tahuka_target" => "gateway").set(ends.as_secs_f64());
        }
        Err(e) => tracing::warn!(error = %e, "the certificate does not tell when it ends"),
    }
}

/// What the files hold, and it ready for use.
fn read(chain_file: &Path, key_file: &Path) -> Result<(Vec<u8>, Arc<CertifiedKey>), Refusal> {
    let failed = |file: &Path, why: String| Refusal::invalid("tls", format!("{}: {why}", file.display()));
    let content = |file: &Path| std::fs::read(file).map_err(|e| failed(file, e.to_string()));
    let (chain, key) = (content(chain_file)?, content(key_file)?);
    let certificates = CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|e| failed(chain_file, format!("not a certificate in PEM: {e}")))?;
    if certificates.is_empty() {
        return Err(failed(chain_file, "holds no certificate in PEM".into()));
    }
    // The reason stays out of the text: it may quote what is in the file.
    let private = PrivateKeyDer::from_pem_slice(&key).map_err(|_| failed(key_file, "not a private key in PEM".into()))?;
    let certified = CertifiedKey::from_der(certificates, private, &cryptography())
        .map_err(|e| failed(chain_file, format!("does not go with the key: {e}")))?;
    let mut content = chain;
    content.extend(key);
    Ok((content, Arc::new(certified)))
}
