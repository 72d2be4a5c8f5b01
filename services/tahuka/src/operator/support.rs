//! `tahuka support-bundle`: what somebody who helps needs to see, in one file: versions, the configuration with its secrets
//! masked, the doctor's findings, counts and metrics. Counts, names of tables and times; never a person, and no key.

use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use tahuka_chassis::{Config, Refusal, clock, inspect};

use super::doctor::{self, Findings, Port};
use crate::house;

#[derive(Args)]
pub struct Options {
    /// The file to write, e.g. support.tar.gz
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The operators' port of a running process; several times for several
    #[arg(long, value_name = "ADDRESS", num_args = 1.., value_delimiter = ',')]
    remote: Vec<String>,
    /// The services whose databases are looked at
    #[arg(long, value_delimiter = ',', default_value = "all")]
    target: Vec<String>,
}

const README: &str = "\
A support bundle of Tahuka. Look at it before you send it: it is meant to hold no personal data and no secret.

about.json     the binary and the machine
config.toml    the configuration in force, secrets masked
doctor.json    what `tahuka doctor` has found here
services.json  for each service: its schema, its journal, its dead letters by the sort of their error
process/       what each process says of itself: readyz.txt, metrics.txt
";

pub async fn run(config: Config, options: &Options) -> Result<(), Refusal> {
    let ports = options.remote.iter().map(|told| Port::parse(told)).collect::<Result<Vec<_>, _>>()?;
    let failed = |e: std::io::Error| Refusal::invalid("--out", format!("{}: {e}", options.out.display()));
    // For its owner only, and nothing is overwritten.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&options.out).map_err(failed)?;
    let mut bundle = Bundle(tar::Builder::new(GzEncoder::new(file, Compression::default())));

    bundle.add("README.txt", README)?;
    bundle.add("about.json", &pretty(&about())?)?;
    bundle.add("config.toml", &config.masked()?)?;
    let mut findings = Findings::default();
    doctor::here(&mut findings, &config, &options.target, false).await?;
    bundle.add("doctor.json", &findings.json()?)?;
    bundle.add("services.json", &pretty(&services(&config, &options.target).await?)?)?;
    for port in &ports {
        for (path, name) in [("/readyz", "readyz.txt"), ("/metrics", "metrics.txt")] {
            let told = match doctor::fetched(port, path).await {
                Ok((status, text)) => format!("# {status}\n{text}"),
                Err(why) => format!("# no answer: {why}\n"),
            };
            bundle.add(&format!("process/{}/{name}", port.address.replace([':', '/'], "_")), &told)?;
        }
    }
    bundle.0.into_inner().and_then(GzEncoder::finish).and_then(|mut file| file.flush()).map_err(failed)?;
    println!("{}", options.out.display());
    Ok(())
}

struct Bundle(tar::Builder<GzEncoder<std::fs::File>>);

impl Bundle {
    fn add(&mut self, name: &str, text: &str) -> Result<(), Refusal> {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(clock::now().timestamp().unsigned_abs());
        self.0.append_data(&mut header, format!("tahuka-support/{name}"), text.as_bytes()).map_err(Refusal::internal)
    }
}

fn pretty(value: &Value) -> Result<String, Refusal> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(Refusal::internal)
}

fn about() -> Value {
    let of_the_kernel = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
        text.trim().to_owned()
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "made_at": clock::now().to_rfc3339(),
        "os": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
        "kernel": of_the_kernel("osrelease"),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": memory(),
        "in_kubernetes": std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
    })
}

/// The machine's, as the kernel tells it.
fn memory() -> Vec<String> {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let told = text.lines().filter(|line| line.starts_with("MemTotal") || line.starts_with("MemAvailable"));
    told.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

async fn services(config: &Config, targets: &[String]) -> Result<Value, Refusal> {
    let mut all = serde_json::Map::new();
    for spec in house::specs(targets)? {
        let told = match inspect::open(spec.name, config).await {
            Err(e) => json!({ "unreachable": e.to_string() }),
            Ok(store) => {
                let schema = inspect::migrations(&spec, &store).await;
                let counts = match &schema {
                    Ok(found) if found.missing.is_empty() => counts(&store).await,
                    _ => Ok(Value::Null),
                };
                json!({
                    "schema": schema.map_or_else(|e| json!(e.to_string()), |m| json!({ "missing": m.missing, "unknown": m.unknown })),
                    "server": inspect::server(&store).await.ok().and_then(|server| server.version),
                    "counts": counts.unwrap_or_else(|e| json!(e.to_string())),
                })
            }
        };
        all.insert(spec.name.to_owned(), told);
    }
    Ok(Value::Object(all))
}

async fn counts(store: &tahuka_chassis::Store) -> Result<Value, Refusal> {
    let backlog = inspect::backlog(store).await?;
    Ok(json!({
        "journal": {
            "newest": backlog.newest,
            "waiting": backlog.waiting,
            "waiting_since": backlog.waiting_since.map(|at| at.to_rfc3339()),
            "place_in_stream": backlog.on_the_bus.map(|(place, _)| place),
        },
        "dead_letters": inspect::dead_letters(store).await?,
    }))
}
