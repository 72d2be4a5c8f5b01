//! The steps of a handover, each said by the one whose it is.

use std::time::{Duration, Instant};

use base64::Engine as _;
use tahuka_bag::{Envelope, SigningKey};
use tahuka_proto::handover::v1 as handover;
use tahuka_proto::handover::v1::certificate_service_client::CertificateServiceClient;
use tahuka_proto::handover::v1::handover_agreement_service_client::HandoverAgreementServiceClient;
use tahuka_proto::handover::v1::signing_key_service_client::SigningKeyServiceClient;
use tahuka_proto::handover::v1::tranche_service_client::TrancheServiceClient;
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_tests::{Voice, new_request_id};
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::programme::{Programme, agree, on};
use crate::story::eventually;

pub use handover::TrancheState as State;

/// IOM hands over to the ministry, each with a key of its own.
pub struct Handover<'a> {
    pub programme: &'a Programme,
    pub sender_key: SigningKey,
    pub recipient_key: SigningKey,
    pub agreement: String,
}

pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Key id and raw signature over what the envelope holds.
pub fn signature(envelope: &str, key: &SigningKey) -> (String, Vec<u8>) {
    let mut envelope = Envelope::parse(envelope.as_bytes()).expect("an envelope");
    envelope.sign(key).expect("a signature");
    let own = envelope.signatures.iter().find(|s| s.keyid == key.id()).expect("one's own").sig.clone();
    (key.id().0, base64::engine::general_purpose::STANDARD.decode(own).expect("base64"))
}

pub async fn register(by: &Voice, key: &SigningKey) {
    let request = handover::RegisterSigningKeyRequest {
        request_id: new_request_id(),
        public_key: key.public().to_hex(),
        label: "handover".into(),
        registered_on: on(2011, 1, 1),
    };
    SigningKeyServiceClient::new(by.line()).register_signing_key(request).await.expect("a key is registered");
}

pub async fn sign_agreement(by: &Voice, agreement: &str, key: &SigningKey) -> Result<handover::HandoverAgreement, Status> {
    let mut client = HandoverAgreementServiceClient::new(by.line());
    let request = handover::GetHandoverAgreementRequest { handover_agreement_id: agreement.into() };
    let found = client.get_handover_agreement(request).await?.into_inner().agreement.expect("is told");
    let (key_id, signature) = signature(&found.envelope, key);
    let request = handover::SignHandoverAgreementRequest {
        request_id: new_request_id(),
        handover_agreement_id: agreement.into(),
        key_id,
        signature,
        signed_on: on(2011, 1, 20),
    };
    Ok(client.sign_handover_agreement(request).await?.into_inner().agreement.expect("is told"))
}

impl<'a> Handover<'a> {
    /// Both have signed; Japan, whom IOM lets in, is let in by the ministry too.
    pub async fn agreed(programme: &'a Programme, waived: &[handover::Criterion]) -> Handover<'a> {
        let (sender_key, recipient_key) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        register(&programme.iom, &sender_key).await;
        register(&programme.ministry, &recipient_key).await;
        let waived = waived.iter().map(|criterion| handover::AcceptanceCriterion {
            criterion: (*criterion).into(),
            waived: true,
            reason: "they go over as they are".into(),
        });
        let left = |category: DataCategory| handover::RetainedView {
            category: category.into(),
            level: DisclosureLevel::Aggregate.into(),
        };
        let ministry_id = ministry_id(programme).await;
        let request = handover::ProposeHandoverAgreementRequest {
            request_id: new_request_id(),
            programme_id: programme.id.clone(),
            recipient_id: ministry_id,
            key_id: sender_key.id().0,
            criteria: waived.collect(),
            retained: vec![left(DataCategory::Reporting)],
            purpose: "the government takes over".into(),
            proposed_on: on(2011, 1, 10),
        };
        let mut client = HandoverAgreementServiceClient::new(programme.iom.line());
        let proposed = client.propose_handover_agreement(request).await.expect("a proposal").into_inner();
        let agreement = proposed.agreement.expect("is told").id;
        let request = handover::AcceptHandoverAgreementRequest {
            request_id: new_request_id(),
            handover_agreement_id: agreement.clone(),
            key_id: recipient_key.id().0,
            accepted_on: on(2011, 1, 15),
        };
        let mut client = HandoverAgreementServiceClient::new(programme.ministry.line());
        client.accept_handover_agreement(request).await.expect("the ministry accepts");
        sign_agreement(&programme.iom, &agreement, &sender_key).await.expect("IOM signs");
        let signed = sign_agreement(&programme.ministry, &agreement, &recipient_key).await.expect("the ministry signs");
        assert_eq!(signed.state(), handover::HandoverAgreementState::Active);
        let handover = Handover { programme, sender_key, recipient_key, agreement };
        handover.let_japan_in().await;
        handover
    }

    /// As the programme's next custodian, which tenancy has to hear of first.
    async fn let_japan_in(&self) {
        use tahuka_proto::tenancy::v1::handover_party_service_client::HandoverPartyServiceClient;
        let ministry = &self.programme.ministry;
        let request = tahuka_proto::tenancy::v1::GetHandoverPartiesRequest {
            programme_id: self.programme.id.clone(),
            recipient_id: self.programme.japan_id.clone(),
        };
        eventually("the ministry answers for the programme too", || async {
            HandoverPartyServiceClient::new(ministry.line()).get_handover_parties(request.clone()).await.is_ok()
        })
        .await;
        use DataCategory::{Funding, Projects, Reporting};
        let (id, japan) = (&self.programme.id, &self.programme.japan);
        agree(id, ministry, japan, &self.programme.japan_id, &[Funding, Reporting, Projects], DisclosureLevel::Aggregate).await;
    }

    pub async fn plan(&self, districts: &[&str]) -> String {
        self.try_plan(&self.programme.iom, districts).await.expect("a tranche is planned").id
    }

    pub async fn try_plan(&self, by: &Voice, districts: &[&str]) -> Result<handover::Tranche, Status> {
        let request = handover::PlanTrancheRequest {
            request_id: new_request_id(),
            handover_agreement_id: self.agreement.clone(),
            name: "The first year".into(),
            districts: districts.iter().map(|d| (*d).to_owned()).collect(),
            package_kinds: vec![],
            project_ids: vec![],
            grant_ids: vec![],
            planned_on: on(2011, 6, 1),
        };
        Ok(tranches(by).plan_tranche(request).await?.into_inner().tranche.expect("is told"))
    }

    pub async fn seal(&self, by: &Voice, tranche: &str) -> Result<handover::Tranche, Status> {
        let request =
            handover::SealTrancheRequest { request_id: new_request_id(), tranche_id: tranche.into(), sealed_on: on(2011, 6, 2) };
        Ok(tranches(by).seal_tranche(request).await?.into_inner().tranche.expect("is told"))
    }

    pub async fn sealed(&self, tranche: &str) {
        self.seal(&self.programme.iom, tranche).await.expect("it is being sealed");
        self.until(tranche, State::Sealed).await;
    }

    pub async fn bundle(&self, by: &Voice, tranche: &str) -> Result<handover::Tranche, Status> {
        let request = handover::BundleTrancheRequest {
            request_id: new_request_id(),
            tranche_id: tranche.into(),
            bundled_on: on(2011, 6, 3),
        };
        Ok(tranches(by).bundle_tranche(request).await?.into_inner().tranche.expect("is told"))
    }

    pub async fn bundled(&self, tranche: &str) -> handover::Tranche {
        self.bundle(&self.programme.iom, tranche).await.expect("it is being bundled");
        self.until(tranche, State::Bundled).await
    }

    pub async fn verify(&self, by: &Voice, tranche: &str, passed: bool) -> Result<handover::Tranche, Status> {
        let request = handover::RecordVerificationRequest {
            request_id: new_request_id(),
            tranche_id: tranche.into(),
            manifest_sha256: self.try_get(tranche).await?.manifest_sha256,
            passed,
            note: "the whole bag, offline".into(),
            verified_on: on(2011, 6, 4),
        };
        Ok(tranches(by).record_verification(request).await?.into_inner().tranche.expect("is told"))
    }

    pub async fn sign(&self, by: &Voice, tranche: &str, key: &SigningKey) -> Result<handover::Tranche, Status> {
        let found = self.try_get(tranche).await?;
        let (key_id, signature) = signature(&found.envelope, key);
        let request = handover::SignTrancheRequest {
            request_id: new_request_id(),
            tranche_id: tranche.into(),
            manifest_sha256: found.manifest_sha256,
            key_id,
            signature,
            signed_on: on(2011, 6, 5),
        };
        Ok(tranches(by).sign_tranche(request).await?.into_inner().tranche.expect("is told"))
    }

    pub async fn unseal(&self, by: &Voice, tranche: &str) -> Result<handover::Tranche, Status> {
        let request = handover::UnsealTrancheRequest {
            request_id: new_request_id(),
            tranche_id: tranche.into(),
            reason: "a visit is missing".into(),
            unsealed_on: on(2011, 6, 5),
        };
        Ok(tranches(by).unseal_tranche(request).await?.into_inner().tranche.expect("is told"))
    }

    pub async fn abort(&self, by: &Voice, tranche: &str) -> Result<handover::Tranche, Status> {
        let request = handover::AbortTrancheRequest {
            request_id: new_request_id(),
            tranche_id: tranche.into(),
            reason: "another year".into(),
            aborted_on: on(2011, 6, 5),
        };
        Ok(tranches(by).abort_tranche(request).await?.into_inner().tranche.expect("is told"))
    }

    /// Verified, signed by both, and closed.
    pub async fn handed_over(&self, tranche: &str) -> handover::Tranche {
        let (iom, ministry) = (&self.programme.iom, &self.programme.ministry);
        self.verify(ministry, tranche, true).await.expect("the ministry has verified it");
        self.sign(iom, tranche, &self.sender_key).await.expect("IOM signs");
        self.sign(ministry, tranche, &self.recipient_key).await.expect("the ministry countersigns");
        self.until(tranche, State::Closed).await
    }

    pub async fn get(&self, tranche: &str) -> handover::Tranche {
        self.try_get(tranche).await.expect("it is there")
    }

    pub async fn until(&self, tranche: &str, state: State) -> handover::Tranche {
        eventually(&format!("the tranche is {}", state.as_str_name()), || async { self.get(tranche).await.state() == state })
            .await;
        self.get(tranche).await
    }

    /// The bag's files, by path.
    pub async fn fetch(&self, by: &Voice, tranche: &str) -> Result<std::collections::BTreeMap<String, Vec<u8>>, Status> {
        let request = handover::ReadBundleRequest { tranche_id: tranche.into(), path: String::new() };
        let mut stream = tranches(by).read_bundle(request).await?.into_inner();
        let mut files = std::collections::BTreeMap::<String, Vec<u8>>::new();
        while let Some(piece) = stream.message().await? {
            files.entry(piece.path).or_default().extend(piece.chunk);
        }
        Ok(files)
    }

    pub async fn certificate(&self, by: &Voice, tranche: &str) -> Result<handover::GetCertificateResponse, Status> {
        let request = handover::GetCertificateRequest { tranche_id: tranche.into() };
        Ok(CertificateServiceClient::new(by.line()).get_certificate(request).await?.into_inner())
    }
}

pub fn tranches(by: &Voice) -> TrancheServiceClient<tahuka_tests::Line> {
    TrancheServiceClient::new(by.line()).max_decoding_message_size(64 << 20)
}

async fn ministry_id(programme: &Programme) -> String {
    use tahuka_proto::tenancy::v1::ListAgreementsRequest;
    use tahuka_proto::tenancy::v1::agreement_service_client::AgreementServiceClient;
    let request = ListAgreementsRequest { programme_id: programme.id.clone(), ..Default::default() };
    let agreements = AgreementServiceClient::new(programme.iom.line()).list_agreements(request).await.expect("agreements");
    let agreements = agreements.into_inner().agreements;
    let with_ministry = agreements.into_iter().find(|a| a.id == programme.ministry_agreement);
    with_ministry.expect("the ministry's").recipient_id
}

impl Handover<'_> {
    pub async fn try_get(&self, tranche: &str) -> Result<handover::Tranche, Status> {
        let request = handover::GetTrancheRequest { tranche_id: tranche.into() };
        Ok(tranches(&self.programme.iom).get_tranche(request).await?.into_inner().tranche.expect("is told"))
    }

    /// All the way, whatever happens: each step is said again until it is done.
    pub async fn go(&self, tranche: &str) -> State {
        let (iom, ministry) = (&self.programme.iom, &self.programme.ministry);
        let until = Instant::now() + Duration::from_secs(120);
        loop {
            let now = self.try_get(tranche).await.map(|t| (t.state(), t.sender_signed_on.is_some()));
            // What is refused meanwhile is tried again.
            let _ = match now {
                Ok((State::Planned, _)) => self.seal(iom, tranche).await.is_ok(),
                Ok((State::Sealed, _)) => self.bundle(iom, tranche).await.is_ok(),
                Ok((State::Bundled, _)) => self.verify(ministry, tranche, true).await.is_ok(),
                Ok((State::Verified, false)) => self.sign(iom, tranche, &self.sender_key).await.is_ok(),
                Ok((State::Verified, true)) => self.sign(ministry, tranche, &self.recipient_key).await.is_ok(),
                Ok((State::Closed, _)) => return State::Closed,
                _ => false,
            };
            if Instant::now() > until {
                return now.map_or(State::Unspecified, |(state, _)| state);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}
