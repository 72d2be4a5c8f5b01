//! What works on a bag's files alone: no server, no account, no configuration, no network. What a bag is and how it is
//! checked stands in `tahuka-bag`.

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use tahuka_bag::verify::{self, Report, Verdict};
use tahuka_bag::{PublicKey, SigningKey, archive, diff, sample};
use tahuka_chassis::Refusal;
use tempfile::TempDir;

/// Refused, or two bags that differ.
const REFUSED: u8 = 1;
/// The command cannot be done as it was said; clap answers the same for what it cannot read.
const USAGE: u8 = 2;
/// Whole, and not signed by both.
const NOT_SIGNED: u8 = 3;

#[derive(Args)]
pub struct Verify {
    /// The bag: a folder, or an archive of one (tar, gzip, age)
    #[arg(value_name = "BAG")]
    bag: PathBuf,
    /// The sender's public key as you have it from elsewhere: 64 hex digits, or a file
    #[arg(long, value_name = "KEY")]
    sender_key: Option<String>,
    /// The recipient's public key
    #[arg(long, value_name = "KEY")]
    recipient_key: Option<String>,
    /// Refuse a bundle with a lower number: it has been replaced
    #[arg(long, value_name = "NUMBER")]
    expect: Option<u32>,
    /// Refuse a bundle of any other tranche
    #[arg(long, value_name = "ID")]
    tranche: Option<String>,
    /// Draw so many records and print them, for a check by hand
    #[arg(long, value_name = "N", default_value_t = 0)]
    sample: usize,
    /// Draw the same records again [default: another draw each time]
    #[arg(long)]
    seed: Option<u64>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    opening: Opening,
}

/// How an archive is opened.
#[derive(Args)]
pub struct Opening {
    /// The age identity that the archive is encrypted to
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Where archives are unpacked for as long as it takes [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
}

#[derive(Args)]
pub struct Diff {
    #[arg(value_name = "BAG_A")]
    first: PathBuf,
    #[arg(value_name = "BAG_B")]
    second: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    opening: Opening,
}

#[derive(Args)]
pub struct Keygen {
    /// The private key's file, which must not be there yet; only its owner can read it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A key that bundles are encrypted to (age), in the place of one to sign with
    #[arg(long)]
    encryption: bool,
}

#[derive(Args)]
pub struct Extract {
    /// An archive of a bag
    #[arg(value_name = "ARCHIVE")]
    archive: PathBuf,
    /// A folder that is empty or not there yet
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// The age identity that the archive is encrypted to
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

#[derive(Args)]
pub struct Pack {
    /// The folder of a bag
    #[arg(value_name = "BAG")]
    bag: PathBuf,
    /// The archive, which must not be there yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Encrypt to this recipient (age1...)
    #[arg(long, value_name = "RECIPIENT")]
    recipient: Option<String>,
}

pub fn verify(options: &Verify) -> Result<ExitCode, Refusal> {
    let key = |told: &Option<String>, flag| {
        told.as_deref().map(PublicKey::parse_or_load).transpose().map_err(|e| Refusal::invalid(flag, e.to_string()))
    };
    let known = verify::Options {
        sender_key: key(&options.sender_key, "--sender-key")?,
        recipient_key: key(&options.recipient_key, "--recipient-key")?,
        tranche: options.tranche.clone(),
        bundle_number: options.expect,
        threads: 0,
    };
    let opened = match Opened::open(&options.bag, &options.opening)? {
        Ok(opened) => opened,
        Err(report) => return Ok(tell(&report, options.json, &[], 0)),
    };
    let report = verify::verify(opened.root(), &known);
    let seed = options.seed.map_or_else(sample::random_seed, Ok).map_err(failed)?;
    let drawn = match &report.handover {
        // What was refused is not shown: it may be anybody's.
        Some(handover) if report.is_whole() && options.sample > 0 => {
            sample::draw(opened.root(), handover, options.sample, seed).map_err(failed)?
        }
        _ => Vec::new(),
    };
    Ok(tell(&report, options.json, &drawn, seed))
}

fn tell(report: &Report, as_json: bool, drawn: &[sample::Drawn], seed: u64) -> ExitCode {
    if as_json {
        let sample = (!drawn.is_empty()).then(|| json!({"seed": seed.to_string(), "records": drawn}));
        println!("{}", json!({"report": report, "sample": sample}));
    } else {
        if !drawn.is_empty() {
            println!("Drawn for a check by hand: {} records, seed {seed} (--seed {seed} draws the same again)", drawn.len());
            for one in drawn {
                println!("\n{}, line {}", one.file, one.line);
                for (column, value) in one.record.as_object().into_iter().flatten() {
                    println!("  {column:<20} {value}");
                }
            }
            println!();
        }
        print!("{}", report.text());
    }
    match report.verdict {
        Verdict::Whole => ExitCode::SUCCESS,
        Verdict::WholeSignedByOne | Verdict::WholeNotSigned => ExitCode::from(NOT_SIGNED),
        Verdict::Refused => ExitCode::from(REFUSED),
    }
}

pub fn diff(options: &Diff) -> Result<ExitCode, Refusal> {
    let mut sides = Vec::new();
    for bag in [&options.first, &options.second] {
        match Opened::open(bag, &options.opening)? {
            Ok(opened) => sides.push(opened),
            Err(report) => {
                let why = report.faults.first().map(ToString::to_string).unwrap_or_default();
                return Err(Refusal::precondition("BUNDLE_REFUSED", format!("{}: {why}", bag.display())));
            }
        }
    }
    let found = diff::diff(sides[0].root(), sides[1].root()).map_err(failed)?;
    if options.json {
        println!("{}", json!(found));
    } else {
        print!("{}", diff::text(&found));
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

pub fn keygen(options: &Keygen) -> Result<ExitCode, Refusal> {
    if options.encryption {
        let (identity, recipient) = archive::new_identity();
        let text = format!("# public key: {recipient}\n{identity}\n");
        write_secret(&options.out, text.as_bytes())?;
        println!("recipient    {recipient}");
    } else {
        let key = SigningKey::generate().map_err(failed)?;
        key.write_new(&options.out).map_err(|e| Refusal::invalid("--out", e.to_string()))?;
        println!("public key   {}", key.public().to_hex());
        println!("key id       {}", key.id());
        println!("fingerprint  {}", key.public().fingerprint());
    }
    println!("The private key is in {}: keep it where only those who sign can read it.", options.out.display());
    Ok(ExitCode::SUCCESS)
}

fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), Refusal> {
    let mut open = fs::OpenOptions::new();
    open.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    let written = open.open(path).and_then(|mut file| std::io::Write::write_all(&mut file, bytes));
    written.map_err(|e| Refusal::invalid("--out", format!("{}: {e}", path.display())))
}

pub fn extract(options: &Extract) -> Result<ExitCode, Refusal> {
    let unusable = |e: std::io::Error| Refusal::invalid("--into", format!("{}: {e}", options.into.display()));
    fs::create_dir_all(&options.into).map_err(unusable)?;
    if fs::read_dir(&options.into).map_err(unusable)?.next().is_some() {
        return Err(Refusal::invalid("--into", "must be an empty folder, or none yet"));
    }
    let identity = identity(options.identity.as_deref())?;
    match archive::unpack(&options.archive, &options.into, identity.as_deref()) {
        Ok(()) => {
            println!("Unpacked into {}; not verified yet.", options.into.display());
            Ok(ExitCode::SUCCESS)
        }
        Err(fault) => {
            // What came before the fault is not to be taken for the bag.
            for entry in fs::read_dir(&options.into).map_err(unusable)?.flatten() {
                let path = entry.path();
                let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                gone.map_err(unusable)?;
            }
            Err(Refusal::precondition("BUNDLE_REFUSED", fault.to_string()))
        }
    }
}

pub fn pack(options: &Pack) -> Result<ExitCode, Refusal> {
    let unusable = |e: std::io::Error| Refusal::invalid("--out", format!("{}: {e}", options.out.display()));
    let file = fs::File::create_new(&options.out).map_err(unusable)?;
    let packed = archive::pack(&options.bag, BufWriter::new(file), options.recipient.as_deref());
    if let Err(e) = packed {
        fs::remove_file(&options.out).map_err(unusable)?;
        return Err(failed(e));
    }
    Ok(ExitCode::SUCCESS)
}

/// A bag as a folder, whatever it came as.
pub struct Opened {
    folder: PathBuf,
    /// Gone when this is.
    unpacked: Option<TempDir>,
}

impl Opened {
    /// A bag that cannot be opened is a report, as one that is opened and refused.
    pub fn open(bag: &Path, opening: &Opening) -> Result<Result<Self, Report>, Refusal> {
        if bag.is_dir() {
            return Ok(Ok(Opened { folder: bag.to_owned(), unpacked: None }));
        }
        if !bag.is_file() {
            return Err(Refusal::invalid("BAG", format!("{} is neither a folder nor a file", bag.display())));
        }
        let into = match &opening.work_dir {
            Some(dir) => tempfile::Builder::new().prefix("tahuka-bag").tempdir_in(dir),
            None => tempfile::Builder::new().prefix("tahuka-bag").tempdir(),
        };
        let into = into.map_err(|e| Refusal::invalid("--work-dir", e.to_string()))?;
        let identity = identity(opening.identity.as_deref())?;
        match archive::unpack(bag, into.path(), identity.as_deref()) {
            Ok(()) => Ok(Ok(Opened { folder: into.path().to_owned(), unpacked: Some(into) })),
            Err(fault) => Ok(Err(Report::refused(fault))),
        }
    }

    pub fn root(&self) -> &Path {
        self.unpacked.as_ref().map_or(&self.folder, |dir| dir.path())
    }
}

fn identity(file: Option<&Path>) -> Result<Option<String>, Refusal> {
    let read =
        |path: &Path| fs::read_to_string(path).map_err(|e| Refusal::invalid("--identity", format!("{}: {e}", path.display())));
    file.map(read).transpose()
}

fn failed(e: tahuka_bag::Error) -> Refusal {
    Refusal::precondition("BUNDLE_REFUSED", e.to_string())
}

/// What was said on the command line and cannot be done has an exit code of its own: whether a bag is whole is then not
/// answered.
pub fn answered(answer: Result<ExitCode, Refusal>) -> Result<ExitCode, Refusal> {
    match answer {
        Err(refusal @ Refusal::Invalid(_)) => {
            eprintln!("tahuka: {refusal}");
            Ok(ExitCode::from(USAGE))
        }
        other => other,
    }
}
