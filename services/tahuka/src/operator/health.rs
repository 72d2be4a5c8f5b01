//! `tahuka health`: asks a process how it is, for containers that have no shell and no other tool.

use std::time::Duration;

use clap::{Args, ValueEnum};
use tahuka_chassis::Refusal;
use tonic::transport::Endpoint;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// For all of it: whoever probes waits no longer.
const PATIENCE: Duration = Duration::from_secs(4);

#[derive(Args)]
pub struct Options {
    /// The operators' port of the process
    #[arg(long, default_value = "127.0.0.1:9090", value_name = "HOST:PORT")]
    address: String,
    /// What is asked: whether it has started, whether it takes calls, or whether it lives
    #[arg(long, default_value = "readiness")]
    service: Probe,
}

#[derive(Clone, Copy, ValueEnum)]
enum Probe {
    Startup,
    Readiness,
    Liveness,
}

impl Probe {
    fn name(self) -> &'static str {
        match self {
            Probe::Startup => "startup",
            Probe::Readiness => "readiness",
            Probe::Liveness => "liveness",
        }
    }
}

/// Ok when the process says SERVING.
pub async fn run(options: &Options) -> Result<(), Refusal> {
    let name = options.service.name();
    let gone = |why: String| Refusal::Unavailable(format!("{} ({why})", options.address));
    let asked = async {
        let url = format!("http://{}", options.address.trim_start_matches("http://"));
        let endpoint = Endpoint::from_shared(url).map_err(|_| Refusal::invalid("--address", "must be HOST:PORT"))?;
        let channel = endpoint.connect().await.map_err(|e| gone(super::doctor::root(&e)))?;
        let request = HealthCheckRequest { service: name.to_owned() };
        HealthClient::new(channel).check(request).await.map_err(|status| gone(status.message().to_owned()))
    };
    let answer = tokio::time::timeout(PATIENCE, asked).await.map_err(|_| gone("no answer in 4 s".into()))??;
    match status(answer) {
        ServingStatus::Serving => Ok(()),
        other => Err(Refusal::precondition("NOT_SERVING", format!("{name}: {}", other.as_str_name()))),
    }
}

pub fn status(answer: tonic::Response<HealthCheckResponse>) -> ServingStatus {
    ServingStatus::try_from(answer.into_inner().status).unwrap_or(ServingStatus::Unknown)
}

#[cfg(test)]
mod tests {
    use tonic::transport::Server;
    use tonic::transport::server::TcpIncoming;
    use tonic_health::server::HealthReporter;

    use super::*;

    #[tokio::test]
    async fn the_answer_is_the_process_s_own() {
        let (reporter, service): (HealthReporter, _) = tonic_health::server::health_reporter();
        reporter.set_service_status("readiness", tonic_health::ServingStatus::Serving).await;
        reporter.set_service_status("startup", tonic_health::ServingStatus::NotServing).await;
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = incoming.local_addr().unwrap().to_string();
        let server = tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        let ask = async |service| run(&Options { address: address.clone(), service }).await.map_err(|e| e.to_string());
        assert_eq!(ask(Probe::Readiness).await, Ok(()));
        assert!(ask(Probe::Startup).await.unwrap_err().contains("NOT_SERVING"));
        // Nobody has said anything of it.
        assert!(ask(Probe::Liveness).await.is_err());
        server.abort();
        let _ = server.await;
        assert!(ask(Probe::Readiness).await.unwrap_err().contains("not reachable"));
    }
}
