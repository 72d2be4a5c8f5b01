//! `tahuka backup`, `restore` and `drill`: one archive of every service's database, the way back, and the proof that the
//! way back is there.

mod drill;
mod figures;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::json;
use tahuka_chassis::backup::{self, Cut, Kind, Manifest, Mark, Written};
use tahuka_chassis::bus::stream::Stream;
use tahuka_chassis::{Config, Refusal};

use crate::house;

pub use drill::{Drill, drill};

#[derive(Args)]
pub struct Backup {
    /// The archive to make; it holds personal data, and nobody but its owner can read it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Put the key files into it too: whoever has the archive then has everything
    #[arg(long)]
    with_keys: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Restore {
    /// The archive
    #[arg(value_name = "FILE")]
    archive: PathBuf,
    /// The empty database to fill, in the place of the configured one; `{service}` in it stands for the service's name
    #[arg(long, value_name = "URL")]
    into_url: Option<String>,
    /// End the stream on the broker, which tells of what came after the backup; services make it anew
    #[arg(long)]
    reset_stream: bool,
    /// Put the keys that are in the archive into the directory of keys, where none of the name is there
    #[arg(long)]
    with_keys: bool,
}

pub async fn run(config: &Config, options: Backup) -> Result<(), Refusal> {
    let started = Instant::now();
    let (manifest, written) = take(config, &options.out, options.with_keys).await?;
    let seconds = started.elapsed().as_secs_f64();
    if options.json {
        let told = json!({
            "file": options.out, "bytes": written.bytes, "sha256": written.sha256, "taken_at": manifest.taken_at.to_rfc3339(),
            "rows": manifest.rows(), "seconds": seconds, "with_keys": options.with_keys, "figures": manifest.figures,
        });
        println!("{told:#}");
    } else {
        println!("{}", options.out.display());
        println!("  as of {}, {} rows, {}, {seconds:.1} s", manifest.taken_at.to_rfc3339(), manifest.rows(), size(written.bytes));
        println!("  sha256 {}", written.sha256);
    }
    if options.with_keys {
        eprintln!("tahuka: the archive holds the keys of this installation: keep it where you would keep them");
    } else {
        eprintln!("tahuka: the keys are not in it; keep a copy of {} elsewhere", config.keys_dir().display());
    }
    Ok(())
}

/// Makes the archive, and notes in each service's database that there is one.
async fn take(config: &Config, out: &Path, with_keys: bool) -> Result<(Manifest, Written), Refusal> {
    let specs = house::specs(&["all".to_owned()])?;
    let cut = Cut::of(&specs, config).await?;
    let stores = cut.stores.clone();
    let figures = figures::of(&specs, &stores, config).await?;
    let keys = if with_keys { key_files(config)? } else { Vec::new() };
    let (manifest, written) = cut.write(out, figures, &keys).await?;
    for store in stores {
        backup::note(&store, Kind::Backup, &mark(&manifest, &written)).await?;
        store.close().await;
    }
    Ok((manifest, written))
}

fn mark(manifest: &Manifest, written: &Written) -> Mark {
    let bytes = i64::try_from(written.bytes).unwrap_or(i64::MAX);
    Mark { taken_at: manifest.taken_at, sha256: written.sha256.clone(), bytes }
}

pub async fn restore(config: &Config, options: Restore) -> Result<(), Refusal> {
    let started = Instant::now();
    let specs = house::specs(&["all".to_owned()])?;
    let mut target = config.clone();
    if options.into_url.is_some() {
        (target.database.url, target.database.url_file) = (options.into_url, None);
    }
    let manifest = backup::verify(&options.archive)?;
    let stream = Stream::of(&target.nats).await.map_err(unreachable)?;
    if let Some(stream) = stream.as_ref().filter(|_| !options.reset_stream) {
        fresh(stream).await?;
    }
    backup::restore(&specs, &target, &options.archive, &manifest).await?;
    let differences = backup::differences(&specs, &target, &manifest).await?;
    if let Some(first) = differences.first() {
        return Err(Refusal::precondition("RESTORE_DIFFERS", format!("{} tables differ; {first}", differences.len())));
    }
    if options.with_keys {
        put_keys(&target, &options.archive, &manifest)?;
    }
    println!(
        "restored {} rows as of {} in {:.1} s",
        manifest.rows(),
        manifest.taken_at.to_rfc3339(),
        started.elapsed().as_secs_f64()
    );
    if stream.is_none() {
        eprintln!(
            "tahuka: no NATS is configured here; where services use one, name it with --nats and --reset-stream, or take a new nats.prefix"
        );
    }
    if manifest.keys.is_empty() {
        eprintln!("tahuka: the keys were not in the archive; with other keys, pseudonyms that tenants hold open nothing");
    }
    Ok(())
}

fn unreachable(error: impl std::fmt::Display) -> Refusal {
    Refusal::Unavailable(format!("NATS ({error})"))
}

/// Events of after the backup must not reach services that never told of them.
async fn fresh(stream: &Stream) -> Result<(), Refusal> {
    let Some(state) = stream.state().await.map_err(unreachable)? else { return Ok(()) };
    let advice = format!(
        "the stream {} holds {} events, and some may be of after the backup; end it with --reset-stream, or take another nats.prefix",
        stream.name, state.events
    );
    Err(Refusal::precondition("STALE_STREAM", advice))
}

/// The key files, with their names below the directory of keys.
fn key_files(config: &Config) -> Result<Vec<(String, PathBuf)>, Refusal> {
    let dir = config.keys_dir();
    let (mut found, mut left) = (Vec::new(), vec![dir.clone()]);
    while let Some(next) = left.pop() {
        let entries =
            std::fs::read_dir(&next).map_err(|e| Refusal::invalid("--with-keys", format!("{}: {e}", next.display())))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.strip_prefix(&dir).map(|name| name.display().to_string()).unwrap_or_default();
            if path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.')) {
                continue;
            }
            if path.is_dir() { left.push(path) } else { found.push((name, path)) }
        }
    }
    found.sort();
    Ok(found)
}

fn put_keys(config: &Config, archive: &Path, manifest: &Manifest) -> Result<(), Refusal> {
    let dir = config.keys_dir();
    for (name, text) in backup::keys_in(archive, manifest)? {
        let tame = name.split('/').all(|part| !part.starts_with('.') && !part.is_empty());
        if !tame {
            return Err(Refusal::invalid("FILE", "has a key of a name that leads elsewhere"));
        }
        let file = dir.join(&name);
        let failed = |e: std::io::Error| Refusal::internal(format!("key file {}: {e}", file.display()));
        if file.exists() {
            eprintln!("tahuka: {} is there already and stays as it is", file.display());
            continue;
        }
        std::fs::create_dir_all(file.parent().unwrap_or(&dir)).map_err(failed)?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&file).and_then(|mut out| out.write_all(&text)).map_err(failed)?;
    }
    Ok(())
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
