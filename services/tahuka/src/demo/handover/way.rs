//! A tranche all the way, each step said by the party whose it is. The ministry checks the bag with nothing but its files.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tahuka_bag::SigningKey;
use tahuka_bag::verify::{self, Report};
use tahuka_chassis::Refusal;
use tahuka_proto::handover::v1 as handover;
use tahuka_proto::handover::v1::Criterion;
use tahuka_proto::handover::v1::handover_agreement_service_client::HandoverAgreementServiceClient;
use tahuka_proto::handover::v1::signing_key_service_client::SigningKeyServiceClient;
use tahuka_proto::handover::v1::tranche_service_client::TrancheServiceClient;
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::tenancy::v1 as tenancy;
use tahuka_proto::tenancy::v1::agreement_service_client::AgreementServiceClient;
use tempfile::TempDir;
use tonic::Code;

use super::super::Stage;
use super::super::files::values::Day;
use super::super::voice::{Voice, ask, code, request_id, told};
use crate::operator::handover::{fetched, signature};

/// How long nothing may move.
const STANDSTILL: Duration = Duration::from_secs(120);

/// Sender and recipient with their private keys, and what they have signed.
pub struct Parties {
    sender_key: SigningKey,
    recipient_key: SigningKey,
    agreement: String,
}

impl Parties {
    pub fn keys(self) -> (SigningKey, SigningKey) {
        (self.sender_key, self.recipient_key)
    }
}

#[derive(Debug, Clone, Default)]
pub struct Contents {
    pub districts: Vec<String>,
    pub projects: Vec<String>,
    pub grants: Vec<String>,
}

impl Contents {
    pub fn is_empty(&self) -> bool {
        self.districts.is_empty() && self.projects.is_empty() && self.grants.is_empty()
    }
}

/// An agreement that both sign, and what the recipient agrees with those whom the sender lets in.
pub async fn agree(
    stage: &Stage<'_>,
    keys: (SigningKey, SigningKey),
    on: Day,
    waived: &BTreeMap<Criterion, String>,
) -> Result<Parties, Refusal> {
    let (sender, recipient) = (&stage.cast.manager, &stage.cast.ministry_manager);
    let (sender_key, recipient_key) = keys;
    for (voice, key, label) in [(sender, &sender_key, "sender"), (recipient, &recipient_key, "recipient")] {
        register(voice, key, label, on).await?;
    }
    let criteria = waived.iter().map(|(criterion, reason)| handover::AcceptanceCriterion {
        criterion: (*criterion).into(),
        waived: true,
        reason: reason.clone(),
    });
    // The sender goes on reporting on the whole programme, and sees nobody by name.
    let left = [DataCategory::Reporting, DataCategory::Projects]
        .map(|category| handover::RetainedView { category: category.into(), level: DisclosureLevel::Identified.into() });
    let request = handover::ProposeHandoverAgreementRequest {
        request_id: request_id(),
        programme_id: stage.cast.programme_id.clone(),
        recipient_id: stage.cast.ministry_id.clone(),
        key_id: sender_key.id().0,
        criteria: criteria.collect(),
        retained: left.to_vec(),
        purpose: "The Government of Rwanda takes over the reintegration of its returnees".into(),
        proposed_on: on.proto(),
    };
    let proposed = ask!(sender, HandoverAgreementServiceClient.propose_handover_agreement(request))?;
    let agreement = told(proposed.agreement, "agreement")?.id;
    let request = handover::AcceptHandoverAgreementRequest {
        request_id: request_id(),
        handover_agreement_id: agreement.clone(),
        key_id: recipient_key.id().0,
        accepted_on: on.proto(),
    };
    let accepted = ask!(recipient, HandoverAgreementServiceClient.accept_handover_agreement(request))?;
    let envelope = told(accepted.agreement, "agreement")?.envelope;
    for (voice, key) in [(sender, &sender_key), (recipient, &recipient_key)] {
        let (key_id, signature) = signature(&envelope, key)?;
        let request = handover::SignHandoverAgreementRequest {
            request_id: request_id(),
            handover_agreement_id: agreement.clone(),
            key_id,
            signature,
            signed_on: on.proto(),
        };
        ask!(voice, HandoverAgreementServiceClient.sign_handover_agreement(request))?;
    }
    let parties = Parties { sender_key, recipient_key, agreement };
    let_donors_in(stage, on).await?;
    Ok(parties)
}

/// A key that is known already is known.
async fn register(voice: &Voice, key: &SigningKey, label: &str, on: Day) -> Result<(), Refusal> {
    let request = handover::RegisterSigningKeyRequest {
        request_id: request_id(),
        public_key: key.public().to_hex(),
        label: format!("Handovers, {label}"),
        registered_on: on.proto(),
    };
    match ask!(voice, SigningKeyServiceClient.register_signing_key(request)) {
        Err(refusal) if code(&refusal) == Some(Code::AlreadyExists) => Ok(()),
        other => other.map(|_| ()),
    }
}

/// What the sender has agreed with its donors, in the recipient's name, where it is not agreed yet.
async fn let_donors_in(stage: &Stage<'_>, on: Day) -> Result<(), Refusal> {
    let ministry = &stage.cast.ministry_manager;
    let request =
        tenancy::ListAgreementsRequest { page_size: 1000, programme_id: stage.cast.programme_id.clone(), ..Default::default() };
    let own = ask!(ministry, AgreementServiceClient.list_agreements(request))?.agreements;
    for (recipient_id, signer, file) in &stage.cast.let_in {
        if *recipient_id == stage.cast.ministry_id
            || own.iter().any(|a| a.custodian_id == stage.cast.ministry_id && a.recipient_id == *recipient_id)
        {
            continue;
        }
        let Some(agreement) = stage.programme.setting.agreements.get(*file) else { continue };
        let request = tenancy::ProposeAgreementRequest {
            request_id: request_id(),
            programme_id: stage.cast.programme_id.clone(),
            recipient_id: recipient_id.clone(),
            terms: agreement.terms(),
            starts_on: agreement.starts_on.proto(),
            ends_on: agreement.ends_on.proto(),
            purpose: agreement.purpose.clone(),
            proposed_on: on.proto(),
        };
        let proposed = propose(ministry, request).await?;
        let request = tenancy::SignAgreementRequest {
            request_id: request_id(),
            agreement_id: proposed,
            signed_on: on.proto(),
            revision: 1,
        };
        ask!(signer, AgreementServiceClient.sign_agreement(request))?;
    }
    Ok(())
}

/// Tenancy has to hear first that the ministry is going to answer for records of the programme.
async fn propose(ministry: &Voice, request: tenancy::ProposeAgreementRequest) -> Result<String, Refusal> {
    let until = Instant::now() + STANDSTILL;
    loop {
        match ask!(ministry, AgreementServiceClient.propose_agreement(request.clone())) {
            Err(refusal) if code(&refusal) == Some(Code::NotFound) && Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => return Ok(told(other?.agreement, "agreement")?.id),
        }
    }
}

/// Planned, sealed, bundled, verified offline, signed by both, closed.
pub async fn over(
    stage: &Stage<'_>,
    parties: &Parties,
    name: &str,
    on: Day,
    contents: Contents,
) -> Result<handover::Tranche, Refusal> {
    let (sender, recipient) = (&stage.cast.manager, &stage.cast.ministry_manager);
    let request = handover::PlanTrancheRequest {
        request_id: request_id(),
        handover_agreement_id: parties.agreement.clone(),
        name: name.to_owned(),
        districts: contents.districts,
        package_kinds: Vec::new(),
        project_ids: contents.projects,
        grant_ids: contents.grants,
        planned_on: on.proto(),
    };
    let id = told(ask!(sender, TrancheServiceClient.plan_tranche(request))?.tranche, "tranche")?.id;
    let request = handover::SealTrancheRequest { request_id: request_id(), tranche_id: id.clone(), sealed_on: on.proto() };
    // What has just been agreed changes what the sender may see; a call that is open meanwhile is ended, and made again.
    let mut tries = 0;
    while let Err(refusal) = ask!(sender, TrancheServiceClient.seal_tranche(request.clone())) {
        tries += 1;
        if code(&refusal) != Some(Code::PermissionDenied) || tries > 5 {
            return Err(refusal);
        }
    }
    until(stage, &id, handover::TrancheState::Sealed).await?;
    let request = handover::BundleTrancheRequest { request_id: request_id(), tranche_id: id.clone(), bundled_on: on.proto() };
    ask!(sender, TrancheServiceClient.bundle_tranche(request))?;
    let bundled = until(stage, &id, handover::TrancheState::Bundled).await?;

    let report = verified(stage, parties, &bundled).await?;
    if !report.is_whole() {
        print!("{}", report.text());
        return Err(Refusal::precondition("BUNDLE_REFUSED", "the ministry's check of the bundle found something"));
    }
    stage.progress.note(&format!("the ministry has checked the bag offline: {} records, nothing wrong", report.records));
    let request = handover::RecordVerificationRequest {
        request_id: request_id(),
        tranche_id: id.clone(),
        manifest_sha256: bundled.manifest_sha256.clone(),
        passed: true,
        note: format!("The whole bag, offline: {} records", report.records),
        verified_on: on.proto(),
    };
    ask!(recipient, TrancheServiceClient.record_verification(request))?;
    for (voice, key) in [(sender, &parties.sender_key), (recipient, &parties.recipient_key)] {
        let (key_id, signature) = signature(&bundled.envelope, key)?;
        let request = handover::SignTrancheRequest {
            request_id: request_id(),
            tranche_id: id.clone(),
            manifest_sha256: bundled.manifest_sha256.clone(),
            key_id,
            signature,
            signed_on: on.proto(),
        };
        ask!(voice, TrancheServiceClient.sign_tranche(request))?;
    }
    until(stage, &id, handover::TrancheState::Closed).await
}

async fn get(voice: &Voice, id: &str) -> Result<handover::Tranche, Refusal> {
    let request = handover::GetTrancheRequest { tranche_id: id.to_owned() };
    told(ask!(voice, TrancheServiceClient.get_tranche(request))?.tranche, "tranche")
}

async fn until(stage: &Stage<'_>, id: &str, state: handover::TrancheState) -> Result<handover::Tranche, Refusal> {
    let bar = stage
        .progress
        .wait(&format!("the services: {}", state.as_str_name().trim_start_matches("TRANCHE_STATE_").to_lowercase()));
    let (mut last, mut since) = (None, Instant::now());
    loop {
        let tranche = get(&stage.cast.manager, id).await?;
        if tranche.state() == state {
            bar.end();
            return Ok(tranche);
        }
        let now: Vec<_> = tranche.slices.iter().map(|s| (s.sealed, s.bundled, s.transferred)).collect();
        if last.as_ref() != Some(&(tranche.state, now.clone())) {
            (last, since) = (Some((tranche.state, now)), Instant::now());
        }
        if since.elapsed() > STANDSTILL {
            let advice = format!("the tranche is {} and does not go on", tranche.state().as_str_name());
            return Err(Refusal::precondition("STANDSTILL", advice));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What the recipient finds in the bag, by its files alone and the sender's key as it has it on paper.
pub async fn verified(stage: &Stage<'_>, parties: &Parties, tranche: &handover::Tranche) -> Result<Report, Refusal> {
    let request = handover::ReadBundleRequest { tranche_id: tranche.id.clone(), path: String::new() };
    let dir = TempDir::with_prefix("tahuka-bag-").map_err(Refusal::internal)?;
    let mut tries = 0;
    // A copy that is cut off is made again, in a place of its own.
    let bag = loop {
        let bag = dir.path().join(format!("bag-{tries}"));
        let answer = ask!(stage.cast.ministry_manager, TrancheServiceClient.read_bundle(request.clone()))?;
        match fetched(answer, &bag).await {
            Ok(_) => break bag,
            Err(refusal) if tries >= 5 => return Err(refusal),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let options = verify::Options {
        sender_key: Some(parties.sender_key.public()),
        recipient_key: Some(parties.recipient_key.public()),
        tranche: Some(tranche.id.clone()),
        bundle_number: u32::try_from(tranche.bundle_number).ok(),
        ..Default::default()
    };
    tokio::task::spawn_blocking(move || verify::verify(&bag, &options)).await.map_err(Refusal::internal)
}
