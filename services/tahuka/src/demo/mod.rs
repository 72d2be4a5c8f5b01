//! The demonstration: a four-year programme played through the gateway as its users would, then shown as each tenant sees
//! it, then reported. `files` is what is played, `setting` prepares the stage, `phase` has the order of play, `people`,
//! `money`, `delivery` and `projects` do it, `settle` waits, `view` and `report` show, `handover` gives it all to the ministry.

mod delivery;
mod files;
mod handover;
mod money;
mod people;
mod phase;
mod progress;
mod projects;
mod report;
mod setting;
mod settle;
mod view;
mod voice;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tahuka_chassis::{Config, Patience, Refusal, ids, telemetry};
use tempfile::TempDir;

use crate::Common;
use crate::house::{self, Running};
use crate::issuer::Issuer;
use crate::reach::Trust;
use files::Programme;
use people::{Plans, Tally};
use progress::Progress;
use setting::{Cast, Doorway};

/// Calls that run side by side.
const AT_ONCE: usize = 8;
/// Rows of a page.
const PAGE: i32 = 1000;

#[derive(Args)]
pub struct Options {
    /// The programme's files
    #[arg(long, value_name = "DIR", default_value = "deploy/demo")]
    programme: PathBuf,
    /// End after the report; else the platform stays up for a look around
    #[arg(long)]
    exit: bool,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Play against this running platform (`serve --demo`), whose keys --data-dir or its configuration leads to, and start none
    #[arg(long, value_name = "URL")]
    gateway: Option<String>,
    #[command(flatten)]
    trust: Trust,
}

/// What has been played, as the report must tell it.
#[derive(Default)]
struct Played {
    visits: usize,
    projects: usize,
    facilities: usize,
    people_served: i64,
    campaigns: usize,
}

/// Everything that the parts of the play share.
struct Stage<'a> {
    programme: &'a Programme,
    cast: Cast,
    progress: &'a Progress,
    plans: Plans,
    tally: Tally,
    played: Played,
    handovers: handover::Handovers,
}

pub async fn run(common: &Common, options: Options) -> Result<(), Refusal> {
    let programme = Programme::read(&options.programme)?;
    let temporary = match (&common.data_dir, &options.gateway) {
        (None, None) => Some(TempDir::with_prefix("tahuka-demo-").map_err(Refusal::internal)?),
        _ => None,
    };
    let config = Arc::new(configuration(common, &options, temporary.as_ref())?);
    telemetry::start(&config, "all")?;
    if options.gateway.is_some() && !config.demo_key_file().exists() {
        let advice = format!(
            "{} is not there: say --data-dir or --config of the platform, which must run with demo.enabled",
            config.demo_key_file().display()
        );
        return Err(Refusal::precondition("NO_DEMO_KEY", advice));
    }
    let running = match options.gateway {
        Some(_) => None,
        None if !(free(&config.gateway.listen) && free(&config.operators.listen)) => {
            let (gateway, operators) = (&config.gateway.listen, &config.operators.listen);
            let advice =
                format!("{gateway} or {operators} is in use; choose others with --set gateway.listen=… --set operators.listen=…");
            return Err(Refusal::precondition("PORT_IN_USE", advice));
        }
        None => Some(house::start(config.clone(), &["all".to_owned()], Patience::None).await?),
    };
    let outcome = tokio::select! {
        outcome = play(&programme, &config, &options, running.as_ref()) => outcome,
        () = house::stop_signal() => Err(Refusal::precondition("INTERRUPTED", "interrupted; what was played is gone with its directory unless --data-dir was given")),
    };
    let outcome = match outcome {
        Ok(()) if !options.exit && running.is_some() => {
            house::stop_signal().await;
            Ok(())
        }
        outcome => outcome,
    };
    if let Some(running) = running {
        running.house.stop().await;
        telemetry::stop().await;
    }
    outcome
}

/// What the demonstration needs, where its caller has not said otherwise.
fn configuration(common: &Common, options: &Options, temporary: Option<&TempDir>) -> Result<Config, Refusal> {
    let told = |key: &str| common.set.iter().any(|pair| pair.split('=').next() == Some(key));
    let mut flags = vec![("demo.enabled", "true".to_owned())];
    if let Some(dir) = temporary {
        flags.push(("data_dir", dir.path().display().to_string()));
    }
    let mut prefer = |key: &'static str, value: String| {
        if !told(key) {
            flags.push((key, value));
        }
    };
    if common.config.is_none() && std::env::var_os("TAHUKA__LOG__LEVEL").is_none() {
        prefer("log.level", "warn".into());
        prefer("log.format", "text".into());
    }
    if options.exit {
        prefer("gateway.listen", "127.0.0.1:0".into());
        prefer("operators.listen", "127.0.0.1:0".into());
    }
    if common.nats.is_some() {
        // Nobody else's events, and none of a demonstration before this one.
        let id = ids::new_id().simple().to_string();
        prefer("nats.prefix", format!("demo{}", id.get(20..).unwrap_or_default()));
    }
    common.load(&flags)
}

/// Whether somebody could listen there.
fn free(listen: &str) -> bool {
    std::net::TcpListener::bind(listen).is_ok()
}

async fn play(programme: &Programme, config: &Config, options: &Options, running: Option<&Running>) -> Result<(), Refusal> {
    let progress = Progress::start();
    let idle = running.and_then(|_| report::resident("VmRSS"));
    let gateway = match (&options.gateway, running) {
        (Some(url), _) => url.clone(),
        (None, Some(running)) => running.gateway.clone().unwrap_or_default(),
        (None, None) => String::new(),
    };
    let door = Doorway { channel: voice::channel(&gateway, &options.trust)?, issuer: Issuer::open(config)? };

    progress.heading(&programme.setting.programme.name);
    progress.note(&programme.setting.note);
    let cast = setting::set(&door, &programme.setting).await?;
    let mut stage = Stage {
        programme,
        cast,
        progress: &progress,
        plans: Plans::default(),
        tally: Tally::default(),
        played: Played::default(),
        handovers: handover::Handovers::default(),
    };
    for at in 0..programme.setting.phases.len() {
        phase::play(&mut stage, at).await?;
    }
    progress.heading("The end of the programme");
    money::pledges(&stage).await?;
    settle::counted(&stage).await?;
    for (why, count) in &stage.tally.left_out {
        progress.note(&format!("{count} left out: {why}"));
    }

    view::side_by_side(&stage).await?;
    let resident = running.is_some().then(|| report::resident("VmHWM")).flatten();
    report::tell(&stage, options.json.as_deref(), report::Memory { idle, peak: resident }).await?;
    handover::last(&mut stage).await?;
    if !options.exit {
        invite(&stage, &door, &gateway, running)?;
    }
    Ok(())
}

/// Where to look, and how to be let in.
fn invite(stage: &Stage<'_>, door: &Doorway, gateway: &str, running: Option<&Running>) -> Result<(), Refusal> {
    const HOURS: i64 = 12;
    println!("\nLook around\n");
    println!("  gateway (gRPC, reflection is on)   {gateway}");
    if let Some(running) = running {
        println!("  operators (/healthz, /metrics)     {}", running.operators);
    }
    println!("  programme                          {}", stage.cast.programme_id);
    println!("\n  Tokens, good for {HOURS} hours:");
    for (name, voice) in
        [("IOM", &stage.cast.manager), ("MIDIMAR", &stage.cast.district_officer), ("JAPAN", &stage.cast.donor_officer)]
    {
        let (tenant, subject) = voice.who.split_once('/').unwrap_or((&voice.who, ""));
        println!("\n  # {}\n  {name}={}", voice.who, door.issuer.token(tenant, subject, HOURS * 3600)?);
    }
    let address = gateway.trim_start_matches("http://").trim_start_matches("https://");
    let programme = &stage.cast.programme_id;
    for (name, rpc) in [
        ("MIDIMAR", "tahuka.registry.v1.HouseholdService/ListHouseholds"),
        ("JAPAN", "tahuka.insight.v1.ReportService/GetProgrammeReport"),
    ] {
        println!(
            "\n  grpcurl -plaintext -H \"authorization: Bearer ${name}\" -d '{{\"programme_id\": \"{programme}\"}}' \\\n    {address} {rpc}"
        );
    }
    if running.is_some() {
        println!("\nCtrl-C ends it.");
    }
    Ok(())
}
