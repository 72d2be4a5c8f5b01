//! `tahuka handover`: how a programme changes hands. What asks the platform is in `online`; what works on a bag's files and
//! on nothing else, in `offline`.

mod fetch;
mod import;
mod offline;
pub mod online;
mod shown;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use tahuka_chassis::{Config, Refusal};

pub use fetch::into as fetched;
pub use online::signature;

use super::desk::Desk;
use online::{HandoverAgreementCommand, KeyCommand, Plan, Step};

#[derive(Subcommand)]
pub enum HandoverCommand {
    /// Check a bag, offline: files, digests, counts, totals, references, signatures. Exit code 0: whole and signed by both;
    /// 1: refused; 2: the command cannot be done; 3: whole, and not signed by both
    Verify(offline::Verify),
    /// What is different between two bags; exit code 1 if anything is
    Diff(offline::Diff),
    /// Make a key to sign with, or one that bags are encrypted to
    Keygen(offline::Keygen),
    /// Put a bag into one file, encrypted if one likes
    Pack(offline::Pack),
    /// Unpack a bag that came as one file
    Extract(offline::Extract),
    /// Take a bag of another installation into this one, once it is verified: works on the databases, while services run or
    /// not; done again, nothing changes, and after it broke off, it goes on
    Import(import::Import),
    /// The keys that one's tenant signs with: public halves
    #[command(subcommand)]
    Key(KeyCommand),
    /// Who hands what over to whom, signed by both
    #[command(subcommand)]
    Agreement(HandoverAgreementCommand),
    /// Plan a tranche, as the sender
    Plan(Plan),
    /// What stands in a tranche's way
    Readiness {
        #[command(flatten)]
        desk: Desk,
        /// The tranche's id
        tranche: String,
    },
    /// Fix what is in a tranche; nobody writes to it from then on
    Seal(Step),
    /// Back to planned, to be mended; until both have signed
    Unseal {
        #[command(flatten)]
        step: Step,
        #[arg(long)]
        reason: String,
    },
    /// Give a tranche up; until both have signed
    Abort {
        #[command(flatten)]
        step: Step,
        #[arg(long)]
        reason: String,
    },
    /// Let every service write its part of the bag
    Bundle(Step),
    /// Copy the bag into a folder, to check it where one likes
    Fetch {
        #[command(flatten)]
        desk: Desk,
        /// The tranche's id
        tranche: String,
        /// A folder that is empty or not there yet
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
    },
    /// Note what the recipient's check of the bag came to
    Record {
        #[command(flatten)]
        step: Step,
        /// SHA-256 of the manifest that was checked [default: the platform's]
        #[arg(long, value_name = "SHA256")]
        manifest: Option<String>,
        /// It did not pass
        #[arg(long)]
        refused: bool,
        /// How it was checked
        #[arg(long)]
        note: String,
    },
    /// Sign the manifest with the private key in this file: the sender first, then the recipient
    Sign {
        #[command(flatten)]
        step: Step,
        #[arg(long, value_name = "FILE")]
        key_file: PathBuf,
    },
    /// How far tranches are; of one, each service's part
    Status {
        #[command(flatten)]
        desk: Desk,
        /// The tranche's id
        tranche: Option<String>,
    },
    /// Write a closed tranche's certificate, as JSON and as PDF
    Certificate {
        #[command(flatten)]
        desk: Desk,
        /// The tranche's id
        tranche: String,
        /// Where to; .json and .pdf are added
        #[arg(long, value_name = "FILE", default_value = "certificate")]
        out: PathBuf,
    },
}

pub async fn run(load: impl FnOnce() -> Result<Config, Refusal>, command: HandoverCommand) -> Result<ExitCode, Refusal> {
    let asked = match command {
        HandoverCommand::Verify(options) => return offline::answered(offline::verify(&options)),
        HandoverCommand::Diff(options) => return offline::answered(offline::diff(&options)),
        HandoverCommand::Keygen(options) => return offline::answered(offline::keygen(&options)),
        HandoverCommand::Pack(options) => return offline::answered(offline::pack(&options)),
        HandoverCommand::Extract(options) => return offline::answered(offline::extract(&options)),
        HandoverCommand::Import(options) => import::run(&load()?, &options).await,
        HandoverCommand::Key(command) => online::key(command).await,
        HandoverCommand::Agreement(command) => online::agreement(command).await,
        HandoverCommand::Plan(plan) => online::plan(plan).await,
        HandoverCommand::Readiness { desk, tranche } => online::readiness(&desk, tranche).await,
        HandoverCommand::Seal(step) => online::seal(step).await,
        HandoverCommand::Unseal { step, reason } => online::unseal(step, reason).await,
        HandoverCommand::Abort { step, reason } => online::abort(step, reason).await,
        HandoverCommand::Bundle(step) => online::bundle(step).await,
        HandoverCommand::Fetch { desk, tranche, into } => online::fetch(&desk, tranche, &into).await,
        HandoverCommand::Record { step, manifest, refused, note } => online::record(step, manifest, refused, note).await,
        HandoverCommand::Sign { step, key_file } => online::sign(step, &key_file).await,
        HandoverCommand::Status { desk, tranche } => online::status(&desk, tranche).await,
        HandoverCommand::Certificate { desk, tranche, out } => online::certificate(&desk, tranche, &out).await,
    };
    asked.map(|()| ExitCode::SUCCESS)
}
