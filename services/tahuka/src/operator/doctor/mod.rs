//! `tahuka doctor`: named checks before the installation, after it, and from outside. Each looks and changes nothing; its
//! id is a heading of `docs/doctor.md`.

mod broker;
mod checks;
mod configuration;
mod database;
mod keys;
mod network;
mod remote;
mod upkeep;

use clap::Args;
use tahuka_chassis::{Config, Refusal};

use crate::house;
use crate::reach::Trust;

pub use checks::Findings;
#[cfg(test)]
pub use checks::Outcome;
pub use network::root;
pub use remote::{Port, fetched};

#[derive(Args)]
pub struct Options {
    /// Before the installation: whether everything that it needs is there
    #[arg(long, conflicts_with = "remote")]
    pre: bool,
    /// From outside: the operators' port of a running process, e.g. http://registry:9090; several times for several
    #[arg(long, value_name = "ADDRESS", num_args = 1.., value_delimiter = ',')]
    remote: Vec<String>,
    /// From outside, beside --remote or alone: the gateway
    #[arg(long, value_name = "URL")]
    gateway: Option<String>,
    #[command(flatten)]
    trust: Trust,
    /// The services whose parts are looked at
    #[arg(long, value_delimiter = ',', default_value = "all")]
    target: Vec<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

impl Options {
    fn is_remote(&self) -> bool {
        !self.remote.is_empty() || self.gateway.is_some()
    }
}

/// `load` reads the configuration: that it can be read is the first thing to check.
pub async fn run(load: impl FnOnce() -> Result<Config, Refusal>, options: Options) -> Result<(), Refusal> {
    let mut findings = Findings::default();
    if options.is_remote() {
        for address in &options.remote {
            remote::process(&mut findings, &Port::parse(address)?).await?;
        }
        if let Some(gateway) = &options.gateway {
            remote::gateway(&mut findings, gateway, &options.trust).await?;
        }
    } else if let Some(config) = configuration::load(&mut findings, load) {
        here(&mut findings, &config, &options.target, options.pre).await?;
    }
    print!("{}", if options.json { findings.json()? } else { findings.text() });
    match findings.failed() {
        0 => Ok(()),
        1 => Err(Refusal::precondition("UNWELL", "a check has failed")),
        n => Err(Refusal::precondition("UNWELL", format!("{n} checks have failed"))),
    }
}

/// Everything that can be looked at from this machine with this configuration; `pre`: before the installation.
pub async fn here(findings: &mut Findings, config: &Config, targets: &[String], pre: bool) -> Result<(), Refusal> {
    let specs = house::specs(targets)?;
    let with_gateway = house::has_gateway(targets);
    configuration::check(findings, config);
    keys::check(findings, config, with_gateway, pre);
    network::certificate(findings, config, with_gateway);
    network::issuer(findings, config, with_gateway).await;
    if pre {
        network::ports(findings, config, with_gateway).await;
    }
    let broker = broker::check(findings, config).await;
    let mut stores = Vec::new();
    for spec in specs {
        if let Some(store) = database::check(findings, config, &spec, pre).await {
            stores.push((spec, store));
        }
    }
    if pre {
        return Ok(());
    }
    for (spec, store) in &stores {
        upkeep::check(findings, spec, store).await;
        broker::events(findings, broker.as_ref(), spec, store, config).await;
    }
    Ok(())
}
