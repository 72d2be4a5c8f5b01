//! What the read model does when a tranche is sealed, given over or given up: it hears of this in order with all else that
//! it counts, so it has counted everything before it says so. What an installation imports is told by the same events:
//! `UnitsSealed` and `SliceTransferred` in the journal of each owner, `TrancheTransferRequested` in that of the handover
//! service.

use tahuka_chassis::{Event, Refusal, Tx, edge};
use tahuka_proto::handover::v1::{
    SliceSealed, SliceTransferred, SliceUnsealed, TrancheSealRequested, TrancheTransferRequested, TrancheUnsealRequested,
    UnitsSealed,
};
use tahuka_proto::{EventMessage, UnitKind};
use uuid::Uuid;

use super::{Asked, HOLDERS, Step, owned, owner, store};
use crate::heard;
use crate::indicator::{Cell, store as cells};
use crate::tranche::store as figures;

/// This service, as the others know it.
pub const SERVICE: &str = "insight";

pub fn is_of(kind: &str) -> bool {
    kind.starts_with("tahuka.handover.")
}

/// Takes an event of a handover. Whatever came before it must have been written.
pub async fn take(tx: &mut Tx, event: &Event) -> Result<(), Refusal> {
    match event.kind.as_str() {
        TrancheSealRequested::KIND => {
            let e: TrancheSealRequested = event.decode()?;
            let tranche = asked(tx, event, &e.tranche_id, Asked::Seal).await?;
            say_sealed(tx, tranche).await
        }
        UnitsSealed::KIND => {
            let e: UnitsSealed = event.decode()?;
            let tranche = known(tx, event, &e.tranche_id).await?;
            let kind = UnitKind::parse(&e.unit_kind)
                .ok_or_else(|| Refusal::invalid("unit_kind", "must be household, project or grant"))?;
            let ids = e.unit_ids.iter().map(|id| edge::uuid("unit_ids", id)).collect::<Result<Vec<_>, _>>()?;
            let new = store::put(tx, tranche, kind, ids).await?;
            count(tx, tranche, store::sums(tx, kind, &new).await?, 1).await
        }
        SliceSealed::KIND => {
            let e: SliceSealed = event.decode()?;
            if let Some(tranche) = came_to(tx, event, &e.tranche_id, &e.service, Step::Sealed).await? {
                say_sealed(tx, tranche).await?;
            }
            Ok(())
        }
        SliceUnsealed::KIND => {
            let e: SliceUnsealed = event.decode()?;
            if let Some(tranche) = came_to(tx, event, &e.tranche_id, &e.service, Step::Unsealed).await? {
                for kind in owned(&e.service) {
                    let gone = store::take_out(tx, tranche, kind).await?;
                    count(tx, tranche, gone, -1).await?;
                }
                figures::tidy(tx, tranche).await?;
            }
            Ok(())
        }
        TrancheUnsealRequested::KIND => {
            let e: TrancheUnsealRequested = event.decode()?;
            let tranche = asked(tx, event, &e.tranche_id, Asked::Unseal).await?;
            if store::first_answer(tx, event.id).await? {
                let answer = SliceUnsealed { tranche_id: e.tranche_id, service: SERVICE.into() };
                tx.publish(event.custodian, tranche, &answer).await?;
            }
            Ok(())
        }
        TrancheTransferRequested::KIND => {
            let e: TrancheTransferRequested = event.decode()?;
            let tranche = asked(tx, event, &e.tranche_id, Asked::Transfer).await?;
            let recipient = edge::uuid("recipient_id", &e.recipient_id)?;
            store::goes_to(tx, tranche, recipient, event.recorded_at).await?;
            // The recipient is a custodian of the programme from now on, whatever it is told of next.
            let programme = edge::uuid("programme_id", &e.programme_id)?;
            heard::count(tx, programme, recipient, 0, event.recorded_at).await?;
            give(tx, tranche).await
        }
        SliceTransferred::KIND => {
            let e: SliceTransferred = event.decode()?;
            if let Some(tranche) = came_to(tx, event, &e.tranche_id, &e.service, Step::Transferred).await? {
                give(tx, tranche).await?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn known(tx: &Tx, event: &Event, tranche: &str) -> Result<Uuid, Refusal> {
    let tranche = edge::uuid("tranche_id", tranche)?;
    store::know(tx, tranche, event.custodian).await?;
    Ok(tranche)
}

async fn asked(tx: &Tx, event: &Event, tranche: &str, asked: Asked) -> Result<Uuid, Refusal> {
    let tranche = known(tx, event, tranche).await?;
    store::asked(tx, tranche, asked, event.id).await?;
    Ok(tranche)
}

/// Notes how far a service has come; None for what was said here.
async fn came_to(tx: &Tx, event: &Event, tranche: &str, service: &str, step: Step) -> Result<Option<Uuid>, Refusal> {
    if service == SERVICE {
        return Ok(None);
    }
    let tranche = known(tx, event, tranche).await?;
    store::came_to(tx, tranche, service, step).await?;
    Ok(Some(tranche))
}

/// Adds to a tranche's figures.
async fn count(tx: &Tx, tranche: Uuid, sums: Vec<(Cell, i64)>, sign: i64) -> Result<(), Refusal> {
    figures::add(tx, sums.into_iter().map(|(cell, value)| (tranche, cell, sign * value)).collect()).await
}

/// Once everybody whose events are counted here has sealed, nothing of the tranche can come any more.
async fn say_sealed(tx: &mut Tx, tranche: Uuid) -> Result<(), Refusal> {
    let Some(stands) = store::tranche(tx, tranche).await? else { return Ok(()) };
    let sealed = store::at(tx, tranche, Step::Sealed).await?;
    let (Asked::Seal, Some(request)) = (stands.asked, stands.asked_by) else { return Ok(()) };
    if !HOLDERS.iter().all(|holder| sealed.iter().any(|service| service == holder)) {
        return Ok(());
    }
    if store::first_answer(tx, request).await? {
        let answer = SliceSealed {
            tranche_id: tranche.to_string(),
            service: SERVICE.into(),
            households: store::count(tx, tranche, UnitKind::Household).await?,
            projects: store::count(tx, tranche, UnitKind::Project).await?,
            grants: store::count(tx, tranche, UnitKind::Grant).await?,
        };
        tx.publish(stands.sender, tranche, &answer).await?;
    }
    Ok(())
}

/// Gives over what its owners have given over, once it is known to whom; when that was all, says so.
async fn give(tx: &mut Tx, tranche: Uuid) -> Result<(), Refusal> {
    let Some(stands) = store::tranche(tx, tranche).await? else { return Ok(()) };
    let Some((recipient, at)) = stands.goes_to else { return Ok(()) };
    let done = store::at(tx, tranche, Step::Transferred).await?;
    let is_done = |kind: UnitKind| done.iter().any(|service| service == owner(kind));
    for kind in UnitKind::ALL.into_iter().filter(|kind| is_done(*kind)) {
        store::hold(tx, tranche, recipient).await?;
        if store::only_sealed(tx, tranche, kind).await? == 0 {
            continue;
        }
        let moves = store::moves(tx, tranche, kind, at).await?;
        let from = moves.cells.iter().filter(|(cell, _)| cell.custodian_id != recipient);
        let both = from.flat_map(|(cell, value)| {
            let to = Cell { custodian_id: recipient, ..cell.clone() };
            [(cell.clone(), -value), (to, *value)]
        });
        cells::add(tx, both.collect()).await?;
        count(tx, tranche, moves.late, -1).await?;
        store::give(tx, tranche, kind, recipient, at).await?;
    }
    let (true, Some(request)) = (UnitKind::ALL.into_iter().all(is_done), stands.asked_by) else { return Ok(()) };
    if store::first_answer(tx, request).await? {
        let records = figures::count(tx, tranche).await?;
        let answer = SliceTransferred { tranche_id: tranche.to_string(), service: SERVICE.into(), records };
        tx.publish(stands.sender, tranche, &answer).await?;
    }
    Ok(())
}
