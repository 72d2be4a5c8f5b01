//! Which services there are, and how a process of them starts and stops.

use std::path::PathBuf;
use std::sync::Arc;

use tahuka_chassis::{Config, Enforcement, House, Patience, Refusal, ServiceSpec, telemetry};
use tahuka_tenancy::PlatformIssuer;

use crate::issuer::Issuer;

const GATEWAY: &str = "gateway";

fn all() -> Vec<ServiceSpec> {
    vec![
        tahuka_tenancy::service(),
        tahuka_registry::service(),
        tahuka_assistance::service(),
        tahuka_projects::service(),
        tahuka_funding::service(),
        tahuka_insight::service(),
        tahuka_handover::service(),
    ]
}

/// The services that `targets` name. The gateway has no database and is not among them.
pub fn specs(targets: &[String]) -> Result<Vec<ServiceSpec>, Refusal> {
    let every = targets.iter().any(|t| t == "all");
    let known = all();
    if let Some(unknown) = targets.iter().find(|t| *t != "all" && *t != GATEWAY && !known.iter().any(|s| s.name == *t)) {
        return Err(Refusal::invalid("--target", format!("there is no {unknown}")));
    }
    Ok(known.into_iter().filter(|s| every || targets.iter().any(|t| t == s.name)).collect())
}

/// Whether `targets` name the gateway.
pub fn has_gateway(targets: &[String]) -> bool {
    targets.iter().any(|target| target == "all" || target == GATEWAY)
}

/// A running process of the house, with the addresses that it got.
pub struct Running {
    pub house: House,
    /// The door for tenants, when the gateway is here.
    pub gateway: Option<String>,
    pub operators: String,
}

/// Starts the services that `targets` name. The operators' port comes first, so that whoever waits sees what for.
pub async fn start(config: Arc<Config>, targets: &[String], patience: Patience) -> Result<Running, Refusal> {
    let specs = specs(targets)?;
    let mut house = House::open(config.clone())?;
    let address = house.serve_operators(&config.operators.listen).await?;
    tracing::info!(%address, "the operators' port listens");
    let operators = format!("http://{address}");

    house.take_in(specs, patience, Enforcement::Both).await?;
    if let Some((_, store)) = house.stores.iter().find(|(name, _)| *name == "tenancy")
        && let Some(platform) = platform(&config)?
    {
        tahuka_tenancy::bootstrap(store, &platform).await?;
    }
    if let Some(listen) = &config.listen {
        let address = house.serve_peers(listen).await?;
        tracing::info!(%address, "services listen for the house");
    }
    let mut gateway = None;
    if has_gateway(targets) {
        let routes = tahuka_gateway::routes(house.peers.clone(), &config, &house.lifecycle)?;
        let address = house.serve_routes(routes, &config.gateway.listen).await?;
        tracing::info!(%address, "the gateway listens for tenants");
        let scheme = if config.gateway.tls.certificate_file.is_some() { "https" } else { "http" };
        gateway = Some(format!("{scheme}://{address}"));
    }
    house.lifecycle.started();
    Ok(Running { house, gateway, operators })
}

/// Serves until the process is told to stop.
pub async fn serve(config: Config, targets: &[String]) -> Result<(), Refusal> {
    let name = if let [one] = targets { one } else { "all" };
    telemetry::start(&config, name)?;
    if config.demo.enabled {
        tracing::warn!("demo mode: the built-in identity provider is on; anybody with its key file is anybody");
    }
    let running = tokio::select! {
        running = start(Arc::new(config), targets, Patience::Waits) => running?,
        () = stop_signal() => return Ok(()),
    };
    stop_signal().await;
    running.house.stop().await;
    telemetry::stop().await;
    Ok(())
}

/// Ends at an interrupt or a termination signal.
pub async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = interrupt.await;
}

/// The platform operator's identity provider: the configured one, or in demo mode the built-in one.
fn platform(config: &Config) -> Result<Option<PlatformIssuer>, Refusal> {
    if config.demo.enabled {
        let issuer = Issuer::open(config)?;
        return Ok(Some(PlatformIssuer {
            issuer: issuer.url("platform"),
            audience: crate::issuer::AUDIENCE.into(),
            jwks_json: issuer.jwks_json()?,
            jwks_uri: String::new(),
            algorithms: Vec::new(),
            subject: "operator".into(),
        }));
    }
    let platform = &config.platform;
    let (Some(issuer), Some(audience), Some(subject)) = (&platform.issuer, &platform.audience, &platform.subject) else {
        return Ok(None);
    };
    let read = |file: &PathBuf| {
        std::fs::read_to_string(file).map_err(|e| Refusal::invalid("platform.jwks_file", format!("{}: {e}", file.display())))
    };
    Ok(Some(PlatformIssuer {
        issuer: issuer.clone(),
        audience: audience.clone(),
        jwks_json: platform.jwks_file.as_ref().map(read).transpose()?.unwrap_or_default(),
        jwks_uri: platform.jwks_url.clone().unwrap_or_default(),
        algorithms: platform.algorithms.clone(),
        subject: subject.clone(),
    }))
}
