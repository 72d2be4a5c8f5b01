//! What the services answer to a tranche's next step; the last answer takes the tranche there.

use chrono::{DateTime, NaiveDate, Utc};
use tahuka_chassis::{Consumer, Event, Refusal, Tx, async_trait, clock, edge};
use tahuka_proto::EventMessage;
use tahuka_proto::handover::v1::{SliceBundled, SliceSealed, SliceTransferred, SliceUnsealed, TrancheClosed};
use uuid::Uuid;

use crate::agreement::store as agreement;
use crate::tranche::bundle::Bundles;
use crate::tranche::slice::{self, Step};
use crate::tranche::{Command, State, Tranche, change, manifest, store};

pub struct Saga {
    pub bundles: Bundles,
}

#[async_trait]
impl Consumer for Saga {
    fn name(&self) -> &'static str {
        "saga"
    }

    fn hears(&self) -> &'static [&'static str] {
        &[SliceSealed::KIND, SliceBundled::KIND, SliceTransferred::KIND, SliceUnsealed::KIND]
    }

    async fn handle(&self, tx: &mut Tx, event: &Event) -> Result<(), Refusal> {
        match event.kind.as_str() {
            SliceSealed::KIND => {
                let told: SliceSealed = event.decode()?;
                sealed(tx, &told, event.recorded_at).await
            }
            SliceBundled::KIND => {
                let told: SliceBundled = event.decode()?;
                self.bundled(tx, &told, event.recorded_at).await
            }
            SliceTransferred::KIND => {
                let told: SliceTransferred = event.decode()?;
                transferred(tx, &told).await
            }
            SliceUnsealed::KIND => {
                let told: SliceUnsealed = event.decode()?;
                unsealed(tx, &told).await
            }
            _ => Ok(()),
        }
    }
}

/// The tranche, if it waits for such an answer; one that comes too late, or of a tranche that is not known, changes nothing.
async fn waiting(tx: &Tx, tranche_id: &str, states: &[State]) -> Result<Option<(store::Model, Tranche)>, Refusal> {
    let id: Uuid = edge::uuid("tranche_id", tranche_id)?;
    let Some(row) = store::known(tx, id).await? else {
        tracing::warn!(tranche = %id, "a service answers for a tranche that is not known");
        return Ok(None);
    };
    let tranche = row.tranche()?;
    if !states.contains(&tranche.state) {
        tracing::info!(tranche = %id, state = tranche.state.word(), "a service answers too late");
        return Ok(None);
    }
    Ok(Some((row, tranche)))
}

/// Notes the service's answer; all slices, if that was the last one.
async fn answered(tx: &Tx, tranche: &Tranche, service: &str, step: Step) -> Result<Option<Vec<slice::Model>>, Refusal> {
    let slices = slice::step(tx, tranche.id, service, step).await?;
    Ok(slices.iter().all(|slice| step.done(slice)).then_some(slices))
}

async fn sealed(tx: &Tx, told: &SliceSealed, at: DateTime<Utc>) -> Result<(), Refusal> {
    let Some((row, mut tranche)) = waiting(tx, &told.tranche_id, &[State::Sealing]).await? else { return Ok(()) };
    if answered(tx, &tranche, &told.service, Step::Sealed).await?.is_none() {
        return Ok(());
    }
    tranche.state = tranche.state.next(Command::SlicesSealed)?;
    tranche.sealed_at = Some(at);
    store::update(tx, row, &tranche).await?;
    let on = day(tranche.sealed_on);
    change::note(tx, &tranche, "sealed", "", on).await
}

impl Saga {
    async fn bundled(&self, tx: &Tx, told: &SliceBundled, at: DateTime<Utc>) -> Result<(), Refusal> {
        let Some((row, mut tranche)) = waiting(tx, &told.tranche_id, &[State::Bundling]).await? else { return Ok(()) };
        if told.bundle_number != tranche.bundle_number {
            tracing::info!(tranche = %tranche.id, bundle = told.bundle_number, "a service has written an older bundle");
            return Ok(());
        }
        slice::keep(tx, tranche.id, told).await?;
        let Some(slices) = answered(tx, &tranche, &told.service, Step::Bundled).await? else { return Ok(()) };
        tranche.state = tranche.state.next(Command::SlicesBundled)?;
        tranche.bundled_at = Some(at);
        let agreement = agreement::known(tx, tranche.agreement_id).await?.agreement()?;
        let signable = manifest::of(&tranche, &agreement, &slices)?;
        // Written before this commits; done again, the same bytes are written again.
        for (path, content) in signable.files {
            self.bundles.put(&tranche, &path, content).await?;
        }
        tranche.envelope = signable.envelope;
        tranche.manifest_sha256 = signable.sha256;
        store::update(tx, row, &tranche).await?;
        let on = day(tranche.bundled_on);
        change::note(tx, &tranche, "bundled", "", on).await
    }
}

async fn transferred(tx: &mut Tx, told: &SliceTransferred) -> Result<(), Refusal> {
    let Some((row, mut tranche)) = waiting(tx, &told.tranche_id, &[State::Signed]).await? else { return Ok(()) };
    if answered(tx, &tranche, &told.service, Step::Transferred).await?.is_none() {
        return Ok(());
    }
    let on = day(tranche.recipient_signed_on);
    tranche.state = tranche.state.next(Command::SlicesTransferred)?;
    change::note(tx, &tranche, "transferred", "", on).await?;
    tranche.state = tranche.state.next(Command::Close)?;
    let closed_at = clock::now();
    (tranche.ended_on, tranche.closed_at) = (Some(on), Some(closed_at));
    store::update(tx, row, &tranche).await?;
    change::note(tx, &tranche, "closed", "", on).await?;
    let event = TrancheClosed {
        tranche_id: tranche.id.to_string(),
        programme_id: tranche.programme_id.to_string(),
        sender_id: tranche.sender_id.to_string(),
        recipient_id: tranche.recipient_id.to_string(),
        happened_on: Some(edge::to_date(on)),
        closed_at: Some(edge::timestamp(closed_at)),
    };
    tx.publish(tranche.sender_id, tranche.id, &event).await
}

async fn unsealed(tx: &Tx, told: &SliceUnsealed) -> Result<(), Refusal> {
    let states = [State::Unsealing, State::Aborting];
    let Some((row, tranche)) = waiting(tx, &told.tranche_id, &states).await? else { return Ok(()) };
    if answered(tx, &tranche, &told.service, Step::Unsealed).await?.is_none() {
        return Ok(());
    }
    let on = day(tranche.ended_on.or(tranche.sealed_on));
    let tranche = tranche.unsealed()?;
    store::update(tx, row, &tranche).await?;
    let action = if tranche.state == State::Aborted { "aborted" } else { "unsealed" };
    change::note(tx, &tranche, action, "", on).await
}

/// The day that the step was said to be of.
fn day(told: Option<NaiveDate>) -> NaiveDate {
    told.unwrap_or_else(clock::today)
}
