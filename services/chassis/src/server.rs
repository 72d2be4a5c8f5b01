//! A gRPC port: plain or with TLS, with the limits of the house, until the process stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;

use crate::certificate::Certificate;
use crate::config::{ServerConfig, TlsConfig};
use crate::refusal::Refusal;

/// Longer than any honest client needs.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections that have shaken hands and wait to be served.
const WAITING: usize = 64;

/// Serves `routes` at `listen` until `stop`; the address that it got.
pub(crate) async fn serve(
    routes: Routes,
    listen: &str,
    tls: &TlsConfig,
    limits: &ServerConfig,
    stop: CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Result<SocketAddr, Refusal> {
    let certificate = Certificate::open(tls)?;
    let listener = bind(listen).await?;
    let address = listener.local_addr().map_err(Refusal::internal)?;
    let mut server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .concurrency_limit_per_connection(256)
        // Room for a token that is too large, so that it is refused as any other bad token.
        .http2_max_header_list_size(32 * 1024);
    if limits.max_connection_age_seconds > 0 {
        server = server
            .max_connection_age(Duration::from_secs(limits.max_connection_age_seconds))
            .max_connection_age_grace(Duration::from_secs(limits.max_connection_age_grace_seconds));
    }
    let router = server.add_routes(routes);
    match certificate {
        None => {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            tasks.spawn(async move { told(router.serve_with_incoming_shutdown(incoming, stop.cancelled_owned()).await) });
        }
        Some(certificate) => {
            let (greeted, incoming) = tokio::sync::mpsc::channel(WAITING);
            tasks.spawn(certificate.clone().follow(stop.clone()));
            tasks.spawn(greet(listener, TlsAcceptor::from(certificate.server()?), greeted, stop.clone()));
            let incoming = ReceiverStream::new(incoming);
            tasks.spawn(async move { told(router.serve_with_incoming_shutdown(incoming, stop.cancelled_owned()).await) });
        }
    }
    Ok(address)
}

type Greeted = Result<tokio_rustls::server::TlsStream<tokio::net::TcpStream>, std::io::Error>;

/// Shakes hands with whoever comes, many at once: one who is slow holds nobody up.
async fn greet(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    greeted: tokio::sync::mpsc::Sender<Greeted>,
    stop: CancellationToken,
) {
    loop {
        let come = tokio::select! {
            () = stop.cancelled() => return,
            come = listener.accept() => come,
        };
        let Ok((stream, _)) = come else {
            // Out of file descriptors, as a rule: others must end first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (acceptor, greeted) = (acceptor.clone(), greeted.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let _ = greeted.send(Ok(stream)).await;
                }
                Ok(Err(e)) => tracing::debug!(error = %e, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            }
        });
    }
}

fn told(served: Result<(), tonic::transport::Error>) {
    if let Err(e) = served {
        tracing::error!(error = %e, "the gRPC server failed");
    }
}

pub(crate) async fn bind(listen: &str) -> Result<TcpListener, Refusal> {
    TcpListener::bind(listen).await.map_err(|e| Refusal::invalid("listen", format!("{listen}: {e}")))
}

/// One provider of cryptography for the whole process.
pub(crate) fn cryptography() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
