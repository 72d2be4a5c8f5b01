//! The part of `tahuka handover` that asks the platform, as somebody: keys, agreements, tranches on their way. Signatures
//! are made here, with a key that never leaves this machine.

use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use clap::{Args, Subcommand};
use serde_json::json;
use tahuka_bag::{Envelope, PublicKey, SigningKey};
use tahuka_chassis::Refusal;
use tahuka_proto::handover::v1 as handover;
use tahuka_proto::handover::v1::certificate_service_client::CertificateServiceClient;
use tahuka_proto::handover::v1::handover_agreement_service_client::HandoverAgreementServiceClient;
use tahuka_proto::handover::v1::signing_key_service_client::SigningKeyServiceClient;
use tahuka_proto::handover::v1::tranche_service_client::TrancheServiceClient;

use super::fetch;
use super::shown;
use crate::operator::agreement::term;
use crate::operator::desk::{Desk, Line, day, request_id, told};
use crate::operator::table::Table;

#[derive(Subcommand)]
pub enum KeyCommand {
    /// Make a public key of one's tenant known
    Register {
        #[command(flatten)]
        desk: Desk,
        /// The public key: 64 hex digits, PEM, or a file
        key: String,
        /// What the tenant calls it
        #[arg(long)]
        label: String,
        /// [default: today]
        #[arg(long, value_name = "DATE")]
        on: Option<NaiveDate>,
    },
    /// Take nothing that a key signs any more
    Retire {
        #[command(flatten)]
        desk: Desk,
        /// The key's id in the list
        key: String,
        /// [default: today]
        #[arg(long, value_name = "DATE")]
        on: Option<NaiveDate>,
    },
    /// The keys of one's tenant
    List {
        #[command(flatten)]
        desk: Desk,
    },
}

#[derive(Subcommand)]
pub enum HandoverAgreementCommand {
    /// The handover agreements that one's tenant is a party of
    List {
        #[command(flatten)]
        desk: Desk,
    },
    /// Propose one, as the sender
    Propose {
        #[command(flatten)]
        desk: Desk,
        /// The programme's id
        #[arg(long)]
        programme: String,
        /// The id of the tenant that takes over
        #[arg(long, value_name = "TENANT")]
        to: String,
        /// Id of the registered key that signs for the sender
        #[arg(long, value_name = "KEY_ID")]
        key: String,
        #[arg(long)]
        purpose: String,
        /// What need not be in order, and why: CRITERION=REASON; open_cases, open_stock, unreconciled_money,
        /// incomplete_documents or unmatched_agreements
        #[arg(long = "waive", value_name = "CRITERION=REASON", value_parser = waived)]
        waived: Vec<handover::AcceptanceCriterion>,
        /// What the sender may still see afterwards: CATEGORY=LEVEL, e.g. reporting=aggregate
        #[arg(long = "leave", value_name = "CATEGORY=LEVEL", value_parser = left)]
        left: Vec<handover::RetainedView>,
        /// [default: today]
        #[arg(long, value_name = "DATE")]
        on: Option<NaiveDate>,
    },
    /// Accept one, as the recipient; then the document stands and can be signed
    Accept {
        #[command(flatten)]
        desk: Desk,
        /// The agreement's id
        agreement: String,
        /// Id of the registered key that signs for the recipient
        #[arg(long, value_name = "KEY_ID")]
        key: String,
        /// [default: today]
        #[arg(long, value_name = "DATE")]
        on: Option<NaiveDate>,
    },
    /// Sign its document, with the private key in this file
    Sign {
        #[command(flatten)]
        desk: Desk,
        /// The agreement's id
        agreement: String,
        #[arg(long, value_name = "FILE")]
        key_file: PathBuf,
        /// [default: today]
        #[arg(long, value_name = "DATE")]
        on: Option<NaiveDate>,
    },
    /// What stands in it, with both parties' keys to compare with paper
    Show {
        #[command(flatten)]
        desk: Desk,
        /// The agreement's id
        agreement: String,
    },
}

/// A tranche, and the day of the step.
#[derive(Args)]
pub struct Step {
    #[command(flatten)]
    desk: Desk,
    /// The tranche's id
    tranche: String,
    /// [default: today]
    #[arg(long, value_name = "DATE")]
    on: Option<NaiveDate>,
}

/// What a tranche is made of.
#[derive(Args)]
pub struct Plan {
    #[command(flatten)]
    desk: Desk,
    /// The handover agreement's id
    #[arg(long)]
    agreement: String,
    #[arg(long)]
    name: String,
    /// P-codes of districts: their households go over
    #[arg(long, value_delimiter = ',')]
    districts: Vec<String>,
    /// Only households with a plan of one of these kinds
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<String>,
    /// Ids of projects
    #[arg(long, value_delimiter = ',')]
    projects: Vec<String>,
    /// Ids of grants
    #[arg(long, value_delimiter = ',')]
    grants: Vec<String>,
    /// [default: today]
    #[arg(long, value_name = "DATE")]
    on: Option<NaiveDate>,
}

fn waived(text: &str) -> Result<handover::AcceptanceCriterion, String> {
    let (criterion, reason) = text.split_once('=').ok_or("must be CRITERION=REASON")?;
    let criterion = handover::Criterion::from_str_name(&format!("CRITERION_{}", criterion.to_uppercase()))
        .ok_or_else(|| format!("no criterion {criterion}"))?;
    Ok(handover::AcceptanceCriterion { criterion: criterion.into(), waived: true, reason: reason.to_owned() })
}

fn left(text: &str) -> Result<handover::RetainedView, String> {
    let term = term(text)?;
    Ok(handover::RetainedView { category: term.category, level: term.level })
}

pub async fn key(command: KeyCommand) -> Result<(), Refusal> {
    match command {
        KeyCommand::Register { desk, key, label, on } => {
            let key = PublicKey::parse_or_load(&key).map_err(|e| Refusal::invalid("KEY", e.to_string()))?;
            let request = handover::RegisterSigningKeyRequest {
                request_id: request_id(),
                public_key: key.to_hex(),
                label,
                registered_on: day(on),
            };
            let mut client = SigningKeyServiceClient::new(desk.line().await?);
            desk.tell(&shown::keys(&[told(client.register_signing_key(request).await?.into_inner().signing_key)?]))
        }
        KeyCommand::Retire { desk, key, on } => {
            let request =
                handover::RetireSigningKeyRequest { request_id: request_id(), signing_key_id: key, retired_on: day(on) };
            let mut client = SigningKeyServiceClient::new(desk.line().await?);
            desk.tell(&shown::keys(&[told(client.retire_signing_key(request).await?.into_inner().signing_key)?]))
        }
        KeyCommand::List { desk } => {
            let mut client = SigningKeyServiceClient::new(desk.line().await?);
            let request = handover::ListSigningKeysRequest { page_size: 1000, ..Default::default() };
            desk.tell(&shown::keys(&client.list_signing_keys(request).await?.into_inner().signing_keys))
        }
    }
}

pub async fn agreement(command: HandoverAgreementCommand) -> Result<(), Refusal> {
    match command {
        HandoverAgreementCommand::List { desk } => {
            let request = handover::ListHandoverAgreementsRequest { page_size: 1000, ..Default::default() };
            let mut client = agreements(&desk).await?;
            desk.tell(&shown::agreements(&client.list_handover_agreements(request).await?.into_inner().agreements))
        }
        HandoverAgreementCommand::Propose { desk, programme, to, key, purpose, waived, left, on } => {
            let request = handover::ProposeHandoverAgreementRequest {
                request_id: request_id(),
                programme_id: programme,
                recipient_id: to,
                key_id: key,
                criteria: waived,
                retained: left,
                purpose,
                proposed_on: day(on),
            };
            let answer = agreements(&desk).await?.propose_handover_agreement(request).await?.into_inner();
            desk.tell(&shown::agreements(&[told(answer.agreement)?]))
        }
        HandoverAgreementCommand::Accept { desk, agreement, key, on } => {
            let request = handover::AcceptHandoverAgreementRequest {
                request_id: request_id(),
                handover_agreement_id: agreement,
                key_id: key,
                accepted_on: day(on),
            };
            let answer = agreements(&desk).await?.accept_handover_agreement(request).await?.into_inner();
            desk.tell(&shown::agreements(&[told(answer.agreement)?]))
        }
        HandoverAgreementCommand::Sign { desk, agreement, key_file, on } => {
            let mut client = agreements(&desk).await?;
            let request = handover::GetHandoverAgreementRequest { handover_agreement_id: agreement.clone() };
            let found = told(client.get_handover_agreement(request).await?.into_inner().agreement)?;
            let (key_id, signature) = signed(&found.envelope, &key_file)?;
            let request = handover::SignHandoverAgreementRequest {
                request_id: request_id(),
                handover_agreement_id: agreement,
                key_id,
                signature,
                signed_on: day(on),
            };
            let answer = client.sign_handover_agreement(request).await?.into_inner();
            desk.tell(&shown::agreements(&[told(answer.agreement)?]))
        }
        HandoverAgreementCommand::Show { desk, agreement } => {
            let request = handover::GetHandoverAgreementRequest { handover_agreement_id: agreement };
            let found = told(agreements(&desk).await?.get_handover_agreement(request).await?.into_inner().agreement)?;
            desk.tell(&shown::agreement(&found))
        }
    }
}

/// Plans a tranche.
pub async fn plan(plan: Plan) -> Result<(), Refusal> {
    let request = handover::PlanTrancheRequest {
        request_id: request_id(),
        handover_agreement_id: plan.agreement,
        name: plan.name,
        districts: plan.districts,
        package_kinds: plan.kinds,
        project_ids: plan.projects,
        grant_ids: plan.grants,
        planned_on: day(plan.on),
    };
    let answer = tranches(&plan.desk).await?.plan_tranche(request).await?.into_inner();
    tell(&plan.desk, answer.tranche)
}

/// What stands in the way.
pub async fn readiness(desk: &Desk, tranche: String) -> Result<(), Refusal> {
    let request = handover::GetReadinessRequest { tranche_id: tranche };
    let answer = tranches(desk).await?.get_readiness(request).await?.into_inner();
    desk.tell(&shown::readiness(&answer.checks))
}

pub async fn seal(step: Step) -> Result<(), Refusal> {
    let request = handover::SealTrancheRequest { request_id: request_id(), tranche_id: step.tranche, sealed_on: day(step.on) };
    let answer = tranches(&step.desk).await?.seal_tranche(request).await?.into_inner();
    tell(&step.desk, answer.tranche)
}

pub async fn unseal(step: Step, reason: String) -> Result<(), Refusal> {
    let request =
        handover::UnsealTrancheRequest { request_id: request_id(), tranche_id: step.tranche, reason, unsealed_on: day(step.on) };
    let answer = tranches(&step.desk).await?.unseal_tranche(request).await?.into_inner();
    tell(&step.desk, answer.tranche)
}

pub async fn abort(step: Step, reason: String) -> Result<(), Refusal> {
    let request =
        handover::AbortTrancheRequest { request_id: request_id(), tranche_id: step.tranche, reason, aborted_on: day(step.on) };
    let answer = tranches(&step.desk).await?.abort_tranche(request).await?.into_inner();
    tell(&step.desk, answer.tranche)
}

pub async fn bundle(step: Step) -> Result<(), Refusal> {
    let request = handover::BundleTrancheRequest { request_id: request_id(), tranche_id: step.tranche, bundled_on: day(step.on) };
    let answer = tranches(&step.desk).await?.bundle_tranche(request).await?.into_inner();
    tell(&step.desk, answer.tranche)
}

/// Copies the bag into a folder.
pub async fn fetch(desk: &Desk, tranche: String, into: &Path) -> Result<(), Refusal> {
    let request = handover::ReadBundleRequest { tranche_id: tranche, path: String::new() };
    let answer = tranches(desk).await?.read_bundle(request).await?.into_inner();
    let (files, bytes) = fetch::into(answer, into).await?;
    let mut table = Table::new(&["bag", "files", "bytes"]);
    table.row([json!(into.display().to_string()), json!(files), json!(bytes)]);
    desk.tell(&table)
}

/// Notes the recipient's check, of the manifest as the platform has it now, or of the one whose digest is told.
pub async fn record(step: Step, manifest: Option<String>, refused: bool, note: String) -> Result<(), Refusal> {
    let mut client = tranches(&step.desk).await?;
    let manifest_sha256 = match manifest {
        Some(manifest) => manifest,
        None => get(&mut client, &step.tranche).await?.manifest_sha256,
    };
    let request = handover::RecordVerificationRequest {
        request_id: request_id(),
        tranche_id: step.tranche,
        manifest_sha256,
        passed: !refused,
        note,
        verified_on: day(step.on),
    };
    let answer = client.record_verification(request).await?.into_inner();
    tell(&step.desk, answer.tranche)
}

pub async fn sign(step: Step, key_file: &Path) -> Result<(), Refusal> {
    let mut client = tranches(&step.desk).await?;
    let found = get(&mut client, &step.tranche).await?;
    let (key_id, signature) = signed(&found.envelope, key_file)?;
    let request = handover::SignTrancheRequest {
        request_id: request_id(),
        tranche_id: step.tranche,
        manifest_sha256: found.manifest_sha256,
        key_id,
        signature,
        signed_on: day(step.on),
    };
    let answer = client.sign_tranche(request).await?.into_inner();
    tell(&step.desk, answer.tranche)
}

/// One tranche with how far each service is; or all of them.
pub async fn status(desk: &Desk, tranche: Option<String>) -> Result<(), Refusal> {
    let mut client = tranches(desk).await?;
    match tranche {
        Some(id) => desk.tell(&shown::slices(&get(&mut client, &id).await?)),
        None => {
            let request = handover::ListTranchesRequest { page_size: 1000, ..Default::default() };
            desk.tell(&shown::tranches(&client.list_tranches(request).await?.into_inner().tranches))
        }
    }
}

/// Writes the certificate: `<stem>.json` and `<stem>.pdf`.
pub async fn certificate(desk: &Desk, tranche: String, stem: &Path) -> Result<(), Refusal> {
    let mut client = CertificateServiceClient::new(desk.line().await?);
    let answer = client.get_certificate(handover::GetCertificateRequest { tranche_id: tranche }).await?.into_inner();
    let mut table = Table::new(&["file", "bytes"]);
    for (end, content) in [("json", answer.json.as_bytes()), ("pdf", &answer.pdf)] {
        let file = stem.with_extension(end);
        std::fs::write(&file, content).map_err(|e| Refusal::invalid("--out", format!("{}: {e}", file.display())))?;
        table.row([json!(file.display().to_string()), json!(content.len())]);
    }
    desk.tell(&table)
}

async fn agreements(desk: &Desk) -> Result<HandoverAgreementServiceClient<Line>, Refusal> {
    Ok(HandoverAgreementServiceClient::new(desk.line().await?))
}

async fn tranches(desk: &Desk) -> Result<TrancheServiceClient<Line>, Refusal> {
    Ok(TrancheServiceClient::new(desk.line().await?).max_decoding_message_size(64 << 20))
}

async fn get(client: &mut TrancheServiceClient<Line>, id: &str) -> Result<handover::Tranche, Refusal> {
    let request = handover::GetTrancheRequest { tranche_id: id.to_owned() };
    told(client.get_tranche(request).await?.into_inner().tranche)
}

fn tell(desk: &Desk, tranche: Option<handover::Tranche>) -> Result<(), Refusal> {
    desk.tell(&shown::tranches(&[told(tranche)?]))
}

/// Key id and signature of what the envelope holds, by the private key in the file.
pub fn signed(envelope: &str, key_file: &Path) -> Result<(String, Vec<u8>), Refusal> {
    let key = SigningKey::load(key_file).map_err(|e| Refusal::invalid("--key-file", e.to_string()))?;
    signature(envelope, &key)
}

pub fn signature(envelope: &str, key: &SigningKey) -> Result<(String, Vec<u8>), Refusal> {
    use base64::Engine as _;
    if envelope.is_empty() {
        return Err(Refusal::precondition("NOTHING_TO_SIGN", "there is no document yet"));
    }
    let mut envelope = Envelope::parse(envelope.as_bytes()).map_err(Refusal::internal)?;
    envelope.sign(key).map_err(Refusal::internal)?;
    let own = envelope.signatures.iter().find(|s| s.keyid == key.id());
    let text = own.map(|s| s.sig.as_str()).unwrap_or_default();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(Refusal::internal)?;
    Ok((key.id().0, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiver_has_its_reason_and_what_is_left_has_its_level() {
        let one = waived("open_cases=they go over as they are").unwrap();
        assert_eq!(
            (one.criterion(), one.waived, one.reason.as_str()),
            (handover::Criterion::OpenCases, true, "they go over as they are")
        );
        assert!(waived("open_cases").is_err() && waived("weather=fine").is_err());
        assert!(left("reporting=aggregate").is_ok() && left("reporting").is_err());
    }
}
