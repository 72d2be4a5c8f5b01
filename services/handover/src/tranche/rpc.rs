//! The edge of tranches.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::NaiveDate;
use futures::StreamExt as _;
use tahuka_chassis::{Caller, Once, Page, Peers, Refusal, Store, Tx, edge, ids};
use tahuka_proto::handover::v1::tranche_service_server::TrancheService;
use tahuka_proto::handover::v1::*;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::bundle::{self, Bundles};
use super::readiness::{self, must_be_ready};
use super::shown::{shown, shown_change, shown_check};
use super::{Contents, State, Tranche, change, manifest, slice, store};
use crate::agreement::rpc::{in_the_houses_hands, must_sign_with};
use crate::agreement::{Party, store as agreement};

pub struct Tranches {
    pub store: Store,
    pub peers: Peers,
    pub bundles: Bundles,
}

/// The kinds of package that a household can have a plan of.
const KINDS: [&str; 4] = ["vocational_training", "startup_capital", "livestock", "shelter"];
/// Pieces of a file that wait for a slow reader.
const AHEAD: usize = 4;
/// The largest piece of a file in one message.
const PIECE: usize = 256 << 10;

#[tonic::async_trait]
impl TrancheService for Tranches {
    async fn plan_tranche(&self, request: Request<PlanTrancheRequest>) -> Result<Response<PlanTrancheResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let agreement_id = edge::uuid("handover_agreement_id", &request.handover_agreement_id)?;
        let name = edge::text("name", &request.name, 200)?;
        let planned_on = edge::past("planned_on", request.planned_on.as_ref())?;
        let contents = contents(&request)?;
        contents.check()?;

        let tx = match self.store.begin_once(&caller, "PlanTranche", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let agreement = agreement::get(&tx, agreement_id).await?.agreement()?;
        if agreement.party(caller.tenant_id) != Some(Party::Sender) {
            return Err(Refusal::precondition("SENDER_ONLY", "this step is the sender's").into());
        }
        agreement.must_be_active()?;
        let tranche = Tranche {
            id: ids::new_id(),
            agreement_id,
            programme_id: agreement.programme_id,
            sender_id: agreement.sender_id,
            recipient_id: agreement.recipient_id,
            name,
            number: store::next_number(&tx, agreement_id).await?,
            state: State::Planned,
            contents,
            bundle_number: 0,
            envelope: String::new(),
            manifest_sha256: String::new(),
            readiness: Vec::new(),
            verification: String::new(),
            planned_on,
            sealed_on: None,
            bundled_on: None,
            verified_on: None,
            sender_signed_on: None,
            recipient_signed_on: None,
            ended_on: None,
            sealed_at: None,
            bundled_at: None,
            closed_at: None,
        };
        let row = store::insert(&tx, &tranche).await?;
        change::note(&tx, &tranche, "planned", "", planned_on).await?;
        let answer = PlanTrancheResponse { tranche: Some(shown(&row, &[])?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn get_tranche(&self, request: Request<GetTrancheRequest>) -> Result<Response<GetTrancheResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("tranche_id", &request.tranche_id)?;
        let tx = self.store.read(&caller).await?;
        let row = store::get(&tx, id).await?;
        let tranche = shown(&row, &slice::of(&tx, id).await?)?;
        Ok(Response::new(GetTrancheResponse { tranche: Some(tranche) }))
    }

    async fn list_tranches(&self, request: Request<ListTranchesRequest>) -> Result<Response<ListTranchesResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let filter = store::Filter {
            programme_id: edge::optional_uuid("programme_id", &request.programme_id)?,
            agreement_id: edge::optional_uuid("handover_agreement_id", &request.handover_agreement_id)?,
        };
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("tranches {filter:?}"))?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, &filter, &page).await?, |row| row.id);
        let tranches = rows.iter().map(|row| shown(row, &[])).collect::<Result<_, _>>()?;
        Ok(Response::new(ListTranchesResponse { tranches, next_page_token }))
    }

    async fn get_readiness(&self, request: Request<GetReadinessRequest>) -> Result<Response<GetReadinessResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("tranche_id", &request.tranche_id)?;
        let (tranche, agreement) = {
            let tx = self.store.read(&caller).await?;
            let tranche = store::get(&tx, id).await?.tranche()?;
            let agreement = agreement::get(&tx, tranche.agreement_id).await?.agreement()?;
            (tranche, agreement)
        };
        let sender = tranche.party(caller.tenant_id) == Some(Party::Sender);
        let checks = match sender && tranche.state == State::Planned {
            true => readiness::check(&self.peers, &caller, &agreement, &tranche).await?,
            false => tranche.readiness,
        };
        Ok(Response::new(GetReadinessResponse {
            ready: !checks.is_empty() && !checks.iter().any(readiness::Check::stands_in_the_way),
            // Ids of the sender's records are the sender's to see.
            checks: checks.into_iter().map(|check| shown_check(check, sender)).collect(),
        }))
    }

    async fn seal_tranche(&self, request: Request<SealTrancheRequest>) -> Result<Response<SealTrancheResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("tranche_id", &request.tranche_id)?;
        let on = edge::past("sealed_on", request.sealed_on.as_ref())?;
        let checks = self.checked(&caller, id).await?;

        let mut tx = match self.store.begin_once(&caller, "SealTranche", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::get(&tx, id).await?;
        let tranche = row.tranche()?;
        tranche.must_be(caller.tenant_id, Party::Sender)?;
        let tranche = tranche.seal(on, checks.clone())?;
        must_be_ready(&checks)?;
        agreement::one_at_a_time(&tx, tranche.sender_id, tranche.programme_id).await?;
        if let Some(other) = store::holding(&tx, &tranche).await?.iter().find(|o| o.contents.overlaps(&tranche.contents)) {
            let advice = format!("tranche {} holds districts, projects or grants of this one; close or abort it first", other.id);
            return Err(Refusal::precondition("TRANCHES_OVERLAP", advice).into());
        }
        slice::begin(&tx, &tranche).await?;
        let row = store::update(&tx, row, &tranche).await?;
        change::note(&tx, &tranche, "seal_requested", "", on).await?;
        tx.publish(tranche.sender_id, tranche.id, &seal_requested(&tranche, on)).await?;
        let answer = SealTrancheResponse { tranche: Some(shown(&row, &slice::of(&tx, id).await?)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn unseal_tranche(&self, request: Request<UnsealTrancheRequest>) -> Result<Response<UnsealTrancheResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("tranche_id", &request.tranche_id)?;
        let on = edge::past("unsealed_on", request.unsealed_on.as_ref())?;
        let reason = edge::text("reason", &request.reason, 1000)?;

        let mut tx = match self.store.begin_once(&caller, "UnsealTranche", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::get(&tx, id).await?;
        let tranche = row.tranche()?;
        tranche.must_be(caller.tenant_id, Party::Sender)?;
        let tranche = tranche.unseal(on)?;
        let row = store::update(&tx, row, &tranche).await?;
        change::note(&tx, &tranche, "unseal_requested", &reason, on).await?;
        tx.publish(tranche.sender_id, tranche.id, &unseal_requested(&tranche, on)).await?;
        let answer = UnsealTrancheResponse { tranche: Some(shown(&row, &slice::of(&tx, id).await?)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn abort_tranche(&self, request: Request<AbortTrancheRequest>) -> Result<Response<AbortTrancheResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("tranche_id", &request.tranche_id)?;
        let on = edge::past("aborted_on", request.aborted_on.as_ref())?;
        let reason = edge::text("reason", &request.reason, 1000)?;

        let house = in_the_houses_hands(&caller);
        let mut tx = match self.store.begin_once(&house, "AbortTranche", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::get(&tx, id).await?;
        let tranche = row.tranche()?.abort(on)?;
        let row = store::update(&tx, row, &tranche).await?;
        if tranche.state == State::Aborting {
            change::note(&tx, &tranche, "abort_requested", &reason, on).await?;
            tx.publish(tranche.sender_id, tranche.id, &unseal_requested(&tranche, on)).await?;
        } else {
            change::note(&tx, &tranche, "aborted", &reason, on).await?;
        }
        let answer = AbortTrancheResponse { tranche: Some(shown(&row, &slice::of(&tx, id).await?)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn bundle_tranche(&self, request: Request<BundleTrancheRequest>) -> Result<Response<BundleTrancheResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("tranche_id", &request.tranche_id)?;
        let on = edge::past("bundled_on", request.bundled_on.as_ref())?;

        let mut tx = match self.store.begin_once(&caller, "BundleTranche", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::get(&tx, id).await?;
        let tranche = row.tranche()?;
        tranche.must_be(caller.tenant_id, Party::Sender)?;
        let tranche = tranche.bundle(on)?;
        slice::unbundle(&tx, id).await?;
        let row = store::update(&tx, row, &tranche).await?;
        change::note(&tx, &tranche, "bundle_requested", "", on).await?;
        let event = TrancheBundleRequested { tranche_id: id.to_string(), bundle_number: tranche.bundle_number };
        tx.publish(tranche.sender_id, tranche.id, &event).await?;
        let answer = BundleTrancheResponse { tranche: Some(shown(&row, &slice::of(&tx, id).await?)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    type ReadBundleStream = ReceiverStream<Result<ReadBundleResponse, Status>>;

    async fn read_bundle(&self, request: Request<ReadBundleRequest>) -> Result<Response<Self::ReadBundleStream>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("tranche_id", &request.tranche_id)?;
        let tx = self.store.begin(&caller).await?;
        let tranche = store::get(&tx, id).await?.tranche()?;
        if tranche.envelope.is_empty() {
            return Err(Refusal::precondition("NOT_BUNDLED", "there is no bundle of the tranche yet").into());
        }
        let mut paths = bundle::paths(&manifest::read(&tranche)?);
        if !request.path.is_empty() {
            paths.retain(|path| *path == request.path);
            if paths.is_empty() {
                return Err(Refusal::not_found("file of the bundle", None).into());
            }
        }
        let what = if request.path.is_empty() { "all files" } else { request.path.as_str() };
        change::note(&tx, &tranche, "bundle_read", what, tahuka_chassis::clock::today()).await?;
        tx.commit().await?;
        let (sender, receiver) = tokio::sync::mpsc::channel(AHEAD);
        tokio::spawn(send(self.bundles.clone(), tranche, paths, sender));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn record_verification(
        &self,
        request: Request<RecordVerificationRequest>,
    ) -> Result<Response<RecordVerificationResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("tranche_id", &request.tranche_id)?;
        let on = edge::past("verified_on", request.verified_on.as_ref())?;
        let note = edge::text("note", &request.note, 1000)?;

        let tx = match self.store.begin_once(&caller, "RecordVerification", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::get(&tx, id).await?;
        let tranche = row.tranche()?;
        tranche.must_be(caller.tenant_id, Party::Recipient)?;
        let tranche = tranche.verify(&request.manifest_sha256, request.passed, note.clone(), on)?;
        let row = store::update(&tx, row, &tranche).await?;
        change::note(&tx, &tranche, if request.passed { "verified" } else { "refused" }, &note, on).await?;
        let answer = RecordVerificationResponse { tranche: Some(shown(&row, &slice::of(&tx, id).await?)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn sign_tranche(&self, request: Request<SignTrancheRequest>) -> Result<Response<SignTrancheResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("tranche_id", &request.tranche_id)?;
        let on = edge::past("signed_on", request.signed_on.as_ref())?;

        let house = in_the_houses_hands(&caller);
        let mut tx = match self.store.begin_once(&house, "SignTranche", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::get(&tx, id).await?;
        let tranche = row.tranche()?;
        let party = tranche.party(caller.tenant_id).ok_or_else(|| Refusal::not_found("tranche", id))?;
        let agreement = agreement::get(&tx, tranche.agreement_id).await?.agreement()?;
        must_sign_with(&tx, &agreement, party, &request.key_id).await?;
        let signature = STANDARD.encode(&request.signature);
        let tranche = tranche.sign(party, &agreement, &request.manifest_sha256, &signature, on)?;
        let row = store::update(&tx, row, &tranche).await?;
        change::note(&tx, &tranche, "signed", "", on).await?;
        if tranche.state == State::Signed {
            tx.publish(tranche.sender_id, tranche.id, &transfer_requested(&tranche, on)).await?;
        }
        let answer = SignTrancheResponse { tranche: Some(shown(&row, &slice::of(&tx, id).await?)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn list_tranche_changes(
        &self,
        request: Request<ListTrancheChangesRequest>,
    ) -> Result<Response<ListTrancheChangesResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("tranche_id", &request.tranche_id)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("tranche_changes {id}"))?;
        let tx = self.store.read(&caller).await?;
        store::get(&tx, id).await?;
        let (rows, next_page_token) = page.cut(change::list(&tx, id, &page).await?, |row| row.id);
        let level = caller.level(caller.tenant_id, caller.districts.first().map(String::as_str));
        let changes = rows.into_iter().map(|row| caller.disclose_at(level, shown_change(row))).collect();
        Ok(Response::new(ListTrancheChangesResponse { changes, next_page_token }))
    }
}

impl Tranches {
    /// How ready the tranche is, asked before anything is written: other services answer in their own time.
    async fn checked(&self, caller: &Caller, id: Uuid) -> Result<Vec<readiness::Check>, Refusal> {
        let (tranche, agreement) = {
            let tx: Tx = self.store.read(caller).await?;
            let tranche = store::get(&tx, id).await?.tranche()?;
            let agreement = agreement::get(&tx, tranche.agreement_id).await?.agreement()?;
            (tranche, agreement)
        };
        // A repeated call is answered from what was kept, and one that is refused needs no check.
        if tranche.party(caller.tenant_id) != Some(Party::Sender) || tranche.state != State::Planned {
            return Ok(tranche.readiness);
        }
        readiness::check(&self.peers, caller, &agreement, &tranche).await
    }
}

/// Sends the files in pieces, as quickly as they are read.
async fn send(
    bundles: Bundles,
    tranche: Tranche,
    paths: Vec<String>,
    to: tokio::sync::mpsc::Sender<Result<ReadBundleResponse, Status>>,
) {
    for path in paths {
        let mut pieces = match bundles.read(&tranche, &path).await {
            Ok(pieces) => pieces,
            Err(refusal) => {
                let _ = to.send(Err(refusal.into())).await;
                return;
            }
        };
        let mut empty = true;
        while let Some(piece) = pieces.next().await {
            let mut piece = match piece {
                Ok(piece) => piece,
                Err(refusal) => {
                    let _ = to.send(Err(refusal.into())).await;
                    return;
                }
            };
            while !piece.is_empty() {
                empty = false;
                let chunk = piece.split_to(piece.len().min(PIECE)).to_vec();
                if to.send(Ok(ReadBundleResponse { path: path.clone(), chunk })).await.is_err() {
                    return;
                }
            }
        }
        // An empty file is a file.
        if empty && to.send(Ok(ReadBundleResponse { path: path.clone(), chunk: Vec::new() })).await.is_err() {
            return;
        }
    }
}

fn contents(request: &PlanTrancheRequest) -> Result<Contents, Refusal> {
    fn each_once<T: Ord>(mut all: Vec<T>) -> Vec<T> {
        all.sort();
        all.dedup();
        all
    }
    let ids = |field: &str, told: &[String]| -> Result<Vec<Uuid>, Refusal> {
        let id = |(i, id): (usize, &String)| edge::uuid(&format!("{field}[{i}]"), id);
        Ok(each_once(told.iter().enumerate().map(id).collect::<Result<Vec<_>, _>>()?))
    };
    let district = |(i, code): (usize, &String)| edge::district(&format!("districts[{i}]"), code);
    let kind = |(i, kind): (usize, &String)| match KINDS.contains(&kind.as_str()) {
        true => Ok(kind.clone()),
        false => Err(Refusal::invalid(format!("package_kinds[{i}]"), format!("must be one of {}", KINDS.join(", ")))),
    };
    Ok(Contents {
        districts: each_once(request.districts.iter().enumerate().map(district).collect::<Result<Vec<_>, _>>()?),
        package_kinds: each_once(request.package_kinds.iter().enumerate().map(kind).collect::<Result<Vec<_>, _>>()?),
        project_ids: ids("project_ids", &request.project_ids)?,
        grant_ids: ids("grant_ids", &request.grant_ids)?,
    })
}

fn texts(ids: &[Uuid]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

fn seal_requested(tranche: &Tranche, on: NaiveDate) -> TrancheSealRequested {
    TrancheSealRequested {
        tranche_id: tranche.id.to_string(),
        programme_id: tranche.programme_id.to_string(),
        sender_id: tranche.sender_id.to_string(),
        recipient_id: tranche.recipient_id.to_string(),
        happened_on: Some(edge::to_date(on)),
        districts: tranche.contents.districts.clone(),
        package_kinds: tranche.contents.package_kinds.clone(),
        project_ids: texts(&tranche.contents.project_ids),
        grant_ids: texts(&tranche.contents.grant_ids),
    }
}

fn unseal_requested(tranche: &Tranche, on: NaiveDate) -> TrancheUnsealRequested {
    TrancheUnsealRequested { tranche_id: tranche.id.to_string(), happened_on: Some(edge::to_date(on)) }
}

fn transfer_requested(tranche: &Tranche, on: NaiveDate) -> TrancheTransferRequested {
    TrancheTransferRequested {
        tranche_id: tranche.id.to_string(),
        programme_id: tranche.programme_id.to_string(),
        sender_id: tranche.sender_id.to_string(),
        recipient_id: tranche.recipient_id.to_string(),
        happened_on: Some(edge::to_date(on)),
    }
}
