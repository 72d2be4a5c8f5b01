//! What a service was asked to do for a tranche, done in order: each step in one transaction with the answer, so that a
//! process that is killed in the middle of one does it again, whole.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message;
use sea_orm::QueryResult;
use tahuka_proto::EventMessage;
use tahuka_proto::handover::v1::{
    HouseholdsSelected, SliceSealed, SliceTransferred, SliceUnsealed, TrancheBundleRequested, TrancheClosed,
    TrancheSealRequested, TrancheTransferRequested, TrancheUnsealRequested, UnitsSealed,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::tranche::{self, Tranche};
use super::{Slice, UnitKind, bundle, held, seal, transfer};
use crate::bundles::Bundles;
use crate::consumer::{self, Consumer};
use crate::edge;
use crate::refusal::Refusal;
use crate::store::{Store, Tx};

const POLL: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// Whoever does steps; one replica at a time.
const WORKER: &str = "custody steps";

/// A service that has records of units.
pub(crate) struct Holder {
    pub store: Store,
    pub slice: &'static Slice,
    /// All of the service's, for what they were kept from.
    pub consumers: Vec<Arc<dyn Consumer>>,
    pub wake: Arc<Notify>,
    pub bundles: Bundles,
}

/// The next step of a tranche.
struct Step {
    seq: i64,
    tranche: Uuid,
    kind: String,
    sender: Uuid,
    body: Vec<u8>,
}

impl Step {
    fn of(row: &QueryResult) -> Result<Self, Refusal> {
        Ok(Step {
            seq: row.try_get("", "seq")?,
            tranche: row.try_get("", "tranche_id")?,
            kind: row.try_get("", "kind")?,
            sender: row.try_get("", "custodian_id")?,
            body: row.try_get("", "body")?,
        })
    }

    fn told<M: Message + Default>(&self) -> Result<M, Refusal> {
        M::decode(self.body.as_slice()).map_err(Refusal::internal)
    }
}

/// Does what there is to do until `stop`. What fails is tried again without end: after both have signed, there is no way
/// back.
pub(crate) async fn run(holder: Holder, stop: CancellationToken) {
    let service = holder.store.service();
    let mut backoff = Duration::from_millis(100);
    // What was kept back may have been free for as long as no process was here.
    let mut lifted = true;
    loop {
        let pause = match holder.round(&mut lifted).await {
            Ok(true) => Duration::ZERO,
            Ok(false) => {
                backoff = Duration::from_millis(100);
                POLL
            }
            Err(e) => {
                metrics::counter!("tahuka_custody_failures_total", "service" => service).increment(1);
                tracing::warn!(error = %e, service, "a step of a handover will be tried again");
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
                backoff
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            () = holder.wake.notified(), if pause == POLL => {}
        }
    }
}

impl Holder {
    /// The first step of each tranche, and what waits no longer. Whether there was anything.
    async fn round(&self, lifted: &mut bool) -> Result<bool, Refusal> {
        let tx = self.store.read(&crate::Caller::system(WORKER)).await?;
        let sql = "SELECT seq, tranche_id, kind, custodian_id, body FROM custody_step \
                   WHERE seq IN (SELECT min(seq) FROM custody_step GROUP BY tranche_id) ORDER BY seq";
        let steps: Vec<Step> = tx.query(sql, Vec::new()).await?.iter().map(Step::of).collect::<Result<_, _>>()?;
        let sql = "SELECT EXISTS (SELECT 1 FROM held_event h WHERE NOT EXISTS \
                   (SELECT 1 FROM seal s WHERE s.tranche_id = h.tranche_id)) AS due";
        let due: bool = tx.query(sql, Vec::new()).await?.first().map_or(Ok(false), |row| row.try_get("", "due"))?;
        drop(tx);
        if steps.is_empty() && !due && !*lifted {
            return Ok(false);
        }
        let turn = consumer::turn(&self.store, WORKER).await.map_err(|e| Refusal::Unavailable(format!("the store ({e})")))?;
        let Some(_turn) = turn else { return Ok(false) };
        // A step that fails is not in the way of other tranches.
        let mut failed = None;
        for step in &steps {
            if let Err(refusal) = self.take(step).await {
                tracing::warn!(tranche = %step.tranche, kind = step.kind, error = %refusal, "a step of a handover failed");
                failed = Some(refusal);
            } else {
                *lifted |= [TrancheClosed::KIND, TrancheUnsealRequested::KIND].contains(&step.kind.as_str());
            }
        }
        if due {
            held::release(&self.store, &self.consumers).await?;
        }
        if *lifted && let Some(release) = self.slice.release {
            release(&self.store).await?;
        }
        *lifted = false;
        failed.map_or(Ok(!steps.is_empty() || due), Err)
    }

    async fn take(&self, step: &Step) -> Result<(), Refusal> {
        if step.kind == TrancheBundleRequested::KIND {
            return self.bundle(step).await;
        }
        let mut tx = self.store.system("custody").await?;
        // Another replica may have done it.
        if !done(&tx, step).await? {
            return Ok(());
        }
        self.apply(&mut tx, step).await?;
        tx.commit().await
    }

    /// Written from a transaction that only reads: others write meanwhile. Done again, the same files are written again.
    async fn bundle(&self, step: &Step) -> Result<(), Refusal> {
        let told: TrancheBundleRequested = step.told()?;
        let started = Instant::now();
        let event = bundle::write(&self.store, self.slice, &self.bundles, step.tranche, told.bundle_number).await?;
        tracing::info!(
            tranche = %step.tranche, records = event.records, seconds = started.elapsed().as_secs_f64(), "a slice is in the bundle"
        );
        let mut tx = self.store.system("custody").await?;
        if !done(&tx, step).await? {
            return Ok(());
        }
        tx.publish(step.sender, step.tranche, &event).await?;
        tx.commit().await
    }

    async fn apply(&self, tx: &mut Tx, step: &Step) -> Result<(), Refusal> {
        let slice = self.slice;
        match step.kind.as_str() {
            TrancheSealRequested::KIND => Tranche::of(tx, step.tranche).await?.request(tx, slice, step.told()?).await,
            HouseholdsSelected::KIND => Tranche::of(tx, step.tranche).await?.selected(tx, slice, &step.told()?).await,
            SliceSealed::KIND => Tranche::of(tx, step.tranche).await?.sealed_by(tx, slice, &step.told()?).await,
            UnitsSealed::KIND => {
                let told: UnitsSealed = step.told()?;
                let Some(kind) = UnitKind::parse(&told.unit_kind).filter(|kind| slice.knows(*kind)) else { return Ok(()) };
                let ids = told.unit_ids.iter().map(|id| edge::uuid("unit_ids", id)).collect::<Result<Vec<_>, _>>()?;
                seal::insert(tx, step.tranche, kind, &ids).await
            }
            TrancheUnsealRequested::KIND => {
                tranche::forget(tx, step.tranche).await?;
                let event = SliceUnsealed { tranche_id: step.tranche.to_string(), service: tx.service().to_owned() };
                tx.publish(step.sender, step.tranche, &event).await
            }
            TrancheTransferRequested::KIND => {
                let told: TrancheTransferRequested = step.told()?;
                let recipient = edge::uuid("recipient_id", &told.recipient_id)?;
                let records = transfer::transfer(tx, slice, step.tranche, recipient).await?;
                let event = SliceTransferred {
                    tranche_id: step.tranche.to_string(),
                    service: tx.service().to_owned(),
                    records: i64::try_from(records).map_err(Refusal::internal)?,
                };
                tx.publish(step.sender, step.tranche, &event).await
            }
            TrancheClosed::KIND => tranche::forget(tx, step.tranche).await,
            _ => Ok(()),
        }
    }
}

/// Takes the step off the list; false where it is not on it any more.
async fn done(tx: &Tx, step: &Step) -> Result<bool, Refusal> {
    Ok(tx.run("DELETE FROM custody_step WHERE seq = $1", vec![step.seq.into()]).await? == 1)
}
