//! `tahuka drill`: a backup restored into a place of its own, counted there, and compared to the last figure.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use sea_orm::{ConnectionTrait as _, Database};
use serde_json::{Value, json};
use tahuka_chassis::backup::{self, Backend, Kind, Manifest, Written};
use tahuka_chassis::{Config, Refusal, ServiceSpec, Store};
use tempfile::TempDir;

use super::{figures, mark, size};
use crate::house;

#[derive(Args)]
pub struct Drill {
    /// The archive to try out
    #[arg(long, value_name = "FILE", required_unless_present = "now")]
    backup: Option<PathBuf>,
    /// Take a backup of the running platform for it, in the temporary directory
    #[arg(long, conflicts_with = "backup")]
    now: bool,
    /// A PostgreSQL server on which a database may be made for it, and dropped; the configured one where none is named
    #[arg(long, value_name = "URL")]
    into: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// A place that lasts as long as the drill.
struct Scratch {
    config: Config,
    /// The server, and the name of the database on it.
    database: Option<(String, String)>,
    _dir: TempDir,
}

impl Scratch {
    async fn for_(manifest: &Manifest, config: &Config, into: Option<&str>) -> Result<Self, Refusal> {
        let dir = TempDir::new().map_err(Refusal::internal)?;
        let mut scratch = config.clone();
        scratch.data_dir = dir.path().to_owned();
        (scratch.nats.url, scratch.nats.url_file) = (None, None);
        // The services' own logins have nothing to do there.
        scratch.database.login_role = None;
        if manifest.backend == Backend::Sqlite {
            (scratch.database.url, scratch.database.url_file) = (None, None);
            return Ok(Scratch { config: scratch, database: None, _dir: dir });
        }
        let advice = "must name a PostgreSQL server for this archive";
        let configured = config.database.url_of("tenancy")?;
        let server = into.map(str::to_owned).or(configured).ok_or_else(|| Refusal::invalid("--into", advice))?;
        let name = format!("tahuka_drill_{}", uuid::Uuid::new_v4().simple());
        let url = with_database(&server, &name).ok_or_else(|| Refusal::invalid("--into", advice))?;
        run(&server, &format!("CREATE DATABASE {name}")).await?;
        (scratch.database.url, scratch.database.url_file) = (Some(url), None);
        Ok(Scratch { config: scratch, database: Some((server, name)), _dir: dir })
    }

    async fn end(self) -> Result<(), Refusal> {
        match &self.database {
            Some((server, name)) => run(server, &format!("DROP DATABASE {name} WITH (FORCE)")).await,
            None => Ok(()),
        }
    }
}

/// The same server's URL with another database.
fn with_database(server: &str, name: &str) -> Option<String> {
    let mut url = url::Url::parse(server).ok()?;
    url.set_path(name);
    Some(url.to_string())
}

async fn run(server: &str, statement: &str) -> Result<(), Refusal> {
    let db = Database::connect(server).await?;
    db.execute_unprepared(statement).await?;
    db.close().await?;
    Ok(())
}

pub async fn drill(config: &Config, options: Drill) -> Result<(), Refusal> {
    let specs = house::specs(&["all".to_owned()])?;
    let dir = TempDir::new().map_err(Refusal::internal)?;
    let started = Instant::now();
    let (archive, taken) = match options.backup {
        Some(file) => (file, None),
        None => {
            let file = dir.path().join("backup.tahuka");
            let (_, written) = super::take(config, &file, false).await?;
            (file, Some((written, started.elapsed().as_secs_f64())))
        }
    };
    let manifest = backup::verify(&archive)?;
    let scratch = Scratch::for_(&manifest, config, options.into.as_deref()).await?;
    let tried = try_out(&specs, &scratch.config, &archive, &manifest).await;
    scratch.end().await?;
    let tried = tried?;

    let bytes = std::fs::metadata(&archive).map_err(Refusal::internal)?.len();
    let report = json!({
        "archive": { "taken_at": manifest.taken_at.to_rfc3339(), "version": manifest.version, "bytes": bytes, "rows": manifest.rows() },
        "seconds": { "backup": taken.as_ref().map(|(_, seconds)| seconds), "restore": tried.restored, "count": tried.counted },
        "tables": manifest.services.iter().map(|part| part.tables.len()).sum::<usize>(),
        "figures": tried.figures,
        "differences": tried.differences,
        "passed": tried.differences.is_empty(),
    });
    print!("{}", if options.json { format!("{report:#}\n") } else { text(&report, bytes, &manifest) });
    if !tried.differences.is_empty() {
        let advice = format!("the backup does not hold what it should: {} differences", tried.differences.len());
        return Err(Refusal::precondition("DRILL_FAILED", advice));
    }
    if let Some((written, _)) = taken {
        passed(&specs, config, &manifest, &written).await?;
    }
    Ok(())
}

struct Tried {
    restored: f64,
    counted: f64,
    figures: figures::Figures,
    differences: Vec<String>,
}

async fn try_out(
    specs: &[ServiceSpec],
    config: &Config,
    archive: &std::path::Path,
    manifest: &Manifest,
) -> Result<Tried, Refusal> {
    let started = Instant::now();
    backup::restore(specs, config, archive, manifest).await?;
    let restored = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let mut differences = backup::differences(specs, config, manifest).await?;
    let mut stores = Vec::new();
    for spec in specs {
        stores.push(Store::open(spec.name, &config.database, &config.data_dir).await?);
    }
    let counted = figures::of(specs, &stores, config).await;
    for store in stores {
        store.close().await;
    }
    let figures = counted?;
    let same_binary = manifest.version == env!("CARGO_PKG_VERSION");
    for name in manifest.figures.keys().chain(figures.keys().filter(|name| !manifest.figures.contains_key(*name))) {
        // Policies are the binary's: another one may have others.
        if !same_binary && name.starts_with("policies.") && !name.ends_with(".tables_without") {
            continue;
        }
        let of = |all: &figures::Figures| all.get(name).cloned().unwrap_or_else(|| "nothing".into());
        let (then, now) = (of(&manifest.figures), of(&figures));
        if then != now {
            differences.push(format!("{name}: {then} in the archive, {now} restored"));
        }
    }
    differences.extend(unsound(&figures));
    Ok(Tried { restored, counted: started.elapsed().as_secs_f64(), figures, differences })
}

/// What is wrong wherever it is found.
fn unsound(figures: &figures::Figures) -> Vec<String> {
    let wrong = |name: &str, value: &str| {
        name.starts_with("access_log.") && value.starts_with("broken")
            || (name.ends_with(".drift") || name.ends_with(".tables_without") || name == "ledger.balances_apart_from_entries")
                && value != "0"
    };
    figures.iter().filter(|(name, value)| wrong(name, value)).map(|(name, value)| format!("{name}: {value}")).collect()
}

/// Notes in the running platform that its backup was tried out.
async fn passed(specs: &[ServiceSpec], config: &Config, manifest: &Manifest, written: &Written) -> Result<(), Refusal> {
    for spec in specs {
        let store = Store::open(spec.name, &config.database, &config.data_dir).await?;
        backup::note(&store, Kind::Drill, &mark(manifest, written)).await?;
        store.close().await;
    }
    Ok(())
}

fn text(report: &Value, bytes: u64, manifest: &Manifest) -> String {
    let mut lines = vec![format!("a backup as of {}, {} rows, {}", manifest.taken_at.to_rfc3339(), manifest.rows(), size(bytes))];
    for (step, told) in [("backup", "taken"), ("restore", "restored"), ("count", "counted")] {
        if let Some(seconds) = report["seconds"][step].as_f64() {
            lines.push(format!("  {told} in {seconds:.1} s"));
        }
    }
    let figures = report["figures"].as_object().map_or(0, serde_json::Map::len);
    lines.push(format!("  {} tables and {figures} figures compared", report["tables"]));
    let differences = report["differences"].as_array().map_or(&[][..], Vec::as_slice);
    lines.extend(differences.iter().filter_map(Value::as_str).map(|difference| format!("  DIFFERS {difference}")));
    lines.push(if differences.is_empty() {
        "  the same to the last figure".into()
    } else {
        format!("  {} differences", differences.len())
    });
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_chain_and_a_ledger_that_does_not_balance_are_wrong_wherever_they_are_found() {
        let figures = |name: &str, value: &str| figures::Figures::from([(name.to_owned(), value.to_owned())]);
        for (name, value) in [
            ("access_log.registry", "broken: row 3 is missing"),
            ("ledger.USD.drift", "-1"),
            ("ledger.balances_apart_from_entries", "1"),
            ("policies.registry.tables_without", "household"),
        ] {
            assert_eq!(unsound(&figures(name, value)), [format!("{name}: {value}")]);
        }
        for (name, value) in [("access_log.registry", "3 rows, head -"), ("ledger.USD.drift", "0"), ("ledger.USD.donor", "-5")] {
            assert!(unsound(&figures(name, value)).is_empty());
        }
    }

    #[test]
    fn a_database_of_its_own_is_on_the_same_server() {
        let url = with_database("postgres://a:b@host:5432/tahuka?sslmode=require", "drill").unwrap();
        assert_eq!(url, "postgres://a:b@host:5432/drill?sslmode=require");
    }
}
