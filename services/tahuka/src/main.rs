//! The one binary. `house` chooses services and starts them, `issuer` is the demonstration's own
//! identity provider, `demo` plays a whole programme through the public API, `operator` is the
//! operators' command line.

// What this program prints is its answer to the person who called it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod audit;
mod demo;
mod house;
mod issuer;
mod operator;
mod reach;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tahuka_chassis::{Config, Refusal};

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The open platform that runs a returnee reintegration programme, from the border crossing to the
/// day the government takes it over.
#[derive(Parser)]
#[command(name = "tahuka", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Clone)]
struct Common {
    /// Configuration file (TOML); `tahuka config` shows every key
    #[arg(long, global = true, env = "TAHUKA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the embedded databases and the keys are [default: ./data]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// PostgreSQL in the place of the embedded databases; `{service}` in it stands for the service's name
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
    /// NATS with JetStream in the place of the in-process bus
    #[arg(long, global = true, value_name = "URL")]
    nats: Option<String>,
    /// Any other key of the configuration, e.g. `--set gateway.listen=0.0.0.0:50051`
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Run services: all in this process, or the ones named
    Serve {
        /// `all`, or a list of: tenancy, registry, assistance, projects, funding, insight, handover, gateway
        #[arg(long, value_delimiter = ',', default_value = "all")]
        target: Vec<String>,
        /// Switch on the built-in identity provider: for a demonstration only
        #[arg(long)]
        demo: bool,
    },
    /// Bring the databases to the newest schema
    Migrate {
        #[arg(long, value_delimiter = ',', default_value = "all")]
        target: Vec<String>,
    },
    /// Print the configuration in force, secrets masked
    Config {
        /// Print every key with its default and its meaning in its place, as Markdown
        #[arg(long)]
        reference: bool,
    },
    /// Make a token of the built-in identity provider (works only where `serve --demo` or `demo` runs)
    Token {
        /// The tenant's slug, e.g. iom
        #[arg(long, required_unless_present = "jwks")]
        tenant: Option<String>,
        /// The staff member, as tenancy knows it
        #[arg(long, required_unless_present = "jwks")]
        subject: Option<String>,
        /// Seconds until it expires
        #[arg(long, default_value_t = 8 * 3600, allow_negative_numbers = true)]
        lifetime: i64,
        /// Print the issuer's public key set in the token's place
        #[arg(long)]
        jwks: bool,
    },
    /// The organisations that share the platform, and their identity providers
    #[command(subcommand)]
    Tenant(operator::TenantCommand),
    /// Who works for a tenant, in which roles
    #[command(subcommand)]
    Staff(operator::StaffCommand),
    /// What one tenant lets another see
    #[command(subcommand)]
    Agreement(operator::AgreementCommand),
    /// How a programme changes hands: keys, agreements, tranches, bags, certificates
    #[command(subcommand)]
    Handover(operator::HandoverCommand),
    /// Bring tenants, staff, programmes and agreements to what files say; done twice, nothing changes
    Apply(operator::ApplyOptions),
    /// The keys of an installation
    #[command(subcommand)]
    Secrets(operator::SecretsCommand),
    /// Check everything that the platform stands on, and say how to mend it; exit code 1 if a check fails
    Doctor(operator::DoctorOptions),
    /// Ask a process of this machine how it is; exit code 1 if it does not serve
    Health(operator::HealthOptions),
    /// Put what somebody who helps needs to see into one file, without personal data
    SupportBundle(operator::SupportOptions),
    /// The keys of passports, page tokens and pseudonyms
    #[command(subcommand)]
    Keys(operator::KeysCommand),
    /// Check the access logs
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Copy the databases of all services into one archive, as of one moment, while the platform runs
    Backup(operator::Backup),
    /// Fill empty databases from an archive, while no service runs
    Restore(operator::Restore),
    /// Restore a backup into a throwaway place and compare what it holds, to the last figure
    Drill(operator::Drill),
    /// Events that a consumer could not take
    #[command(subcommand)]
    DeadLetters(operator::DeadLettersCommand),
    /// The services' journals of events
    #[command(subcommand)]
    Journal(operator::JournalCommand),
    /// Play a four-year programme through the real services, then show it to each tenant, then report
    Demo(demo::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("tahuka: no runtime: {e}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(refusal) => {
            eprintln!("tahuka: {refusal}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode, Refusal> {
    let done = match cli.command {
        Command::Serve { target, demo } => {
            let mut flags = Vec::new();
            if demo {
                flags.push(("demo.enabled", "true".to_owned()));
            }
            house::serve(cli.common.load(&flags)?, &target).await
        }
        Command::Migrate { target } => {
            let config = cli.common.load(&[])?;
            tahuka_chassis::migrate(&house::specs(&target)?, &config).await
        }
        Command::Config { reference } => {
            print!("{}", if reference { operator::reference()? } else { cli.common.load(&[])?.masked()? });
            Ok(())
        }
        Command::Token { tenant, subject, lifetime, jwks } => {
            let issuer = issuer::Issuer::open(&cli.common.load(&[])?)?;
            let told = match (jwks, tenant, subject) {
                (false, Some(tenant), Some(subject)) => issuer.token(&tenant, &subject, lifetime)?,
                _ => issuer.jwks_json()?,
            };
            println!("{told}");
            Ok(())
        }
        Command::Tenant(command) => operator::tenant(command).await,
        Command::Staff(command) => operator::staff(command).await,
        Command::Agreement(command) => operator::agreement(command).await,
        // Whether a bag is whole has more answers than two.
        Command::Handover(command) => return operator::handover(|| cli.common.load(&[]), command).await,
        Command::Apply(options) => operator::apply(options).await,
        Command::Secrets(command) => operator::secrets(&command),
        Command::Doctor(options) => operator::doctor(|| cli.common.load(&[]), options).await,
        Command::Health(options) => operator::health(&options).await,
        Command::SupportBundle(options) => operator::support_bundle(cli.common.load(&[])?, &options).await,
        Command::Keys(command) => operator::keys(&cli.common.load(&[])?, &command),
        Command::Audit(audit) => audit::run(&cli.common.load(&[])?, audit).await,
        Command::Backup(options) => operator::backup(&cli.common.load(&[])?, options).await,
        Command::Restore(options) => operator::restore(&cli.common.load(&[])?, options).await,
        Command::Drill(options) => operator::drill(&cli.common.load(&[])?, options).await,
        Command::DeadLetters(command) => operator::dead_letters(&cli.common.load(&[])?, command).await,
        Command::Journal(command) => operator::journal(&cli.common.load(&[])?, command).await,
        Command::Demo(options) => demo::run(&cli.common, options).await,
    };
    done.map(|()| ExitCode::SUCCESS)
}

impl Common {
    /// The configuration in force; `flags` go over the file, the environment and the common flags.
    fn load(&self, flags: &[(&str, String)]) -> Result<Config, Refusal> {
        let mut over: Vec<(&str, String)> = Vec::new();
        if let Some(dir) = &self.data_dir {
            over.push(("data_dir", dir.display().to_string()));
        }
        if let Some(url) = &self.database {
            over.push(("database.url", url.clone()));
        }
        if let Some(url) = &self.nats {
            over.push(("nats.url", url.clone()));
        }
        for pair in &self.set {
            let (key, value) = pair.split_once('=').ok_or_else(|| Refusal::invalid("--set", "must be KEY=VALUE"))?;
            over.push((key, value.to_owned()));
        }
        over.extend(flags.iter().cloned());
        Config::load(self.config.as_deref(), &over)
    }
}
