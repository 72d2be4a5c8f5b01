//! Tranches as they are answered.

use tahuka_chassis::{Refusal, edge};
use tahuka_proto::handover::v1::{self as proto, ControlTotal, ReadinessCheck, SliceProgress, TrancheChange};

use super::{State, change, manifest, readiness, slice, store};
use crate::agreement::Criterion;

pub fn shown(row: &store::Model, slices: &[slice::Model]) -> Result<proto::Tranche, Refusal> {
    let tranche = row.tranche()?;
    let totals = match tranche.envelope.is_empty() {
        true => Vec::new(),
        false => {
            let totals = manifest::read(&tranche)?.totals.into_iter();
            totals.map(|t| ControlTotal { name: t.name, by: t.by, value: t.value }).collect()
        }
    };
    let texts = |ids: &[uuid::Uuid]| ids.iter().map(ToString::to_string).collect();
    Ok(proto::Tranche {
        id: tranche.id.to_string(),
        handover_agreement_id: tranche.agreement_id.to_string(),
        programme_id: tranche.programme_id.to_string(),
        sender_id: tranche.sender_id.to_string(),
        recipient_id: tranche.recipient_id.to_string(),
        name: tranche.name.clone(),
        number: tranche.number,
        state: tranche.state.number(),
        project_ids: texts(&tranche.contents.project_ids),
        grant_ids: texts(&tranche.contents.grant_ids),
        districts: tranche.contents.districts.clone(),
        package_kinds: tranche.contents.package_kinds.clone(),
        bundle_number: tranche.bundle_number,
        slices: slices.iter().map(progress).collect::<Result<_, _>>()?,
        manifest_sha256: tranche.manifest_sha256,
        totals,
        planned_on: Some(edge::to_date(tranche.planned_on)),
        sealed_on: tranche.sealed_on.map(edge::to_date),
        bundled_on: tranche.bundled_on.map(edge::to_date),
        verified_on: tranche.verified_on.map(edge::to_date),
        sender_signed_on: tranche.sender_signed_on.map(edge::to_date),
        recipient_signed_on: tranche.recipient_signed_on.map(edge::to_date),
        ended_on: tranche.ended_on.map(edge::to_date),
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
        verification: tranche.verification,
        closed_at: tranche.closed_at.map(edge::timestamp),
        envelope: tranche.envelope,
    })
}

fn progress(slice: &slice::Model) -> Result<SliceProgress, Refusal> {
    Ok(SliceProgress {
        service: slice.service.clone(),
        sealed: slice.sealed,
        bundled: slice.bundled,
        transferred: slice.transferred,
        records: slice.records,
        merkle_root: slice.merkle_root.clone(),
        totals: slice.totals()?.into_iter().map(|t| ControlTotal { name: t.name, by: t.by, value: t.value }).collect(),
    })
}

pub fn shown_check(check: readiness::Check, with_ids: bool) -> ReadinessCheck {
    ReadinessCheck {
        criterion: Criterion::number_of(&check.criterion),
        met: check.met(),
        waived: check.waived,
        reason: check.reason,
        count: check.count,
        first_ids: if with_ids { check.first_ids } else { Vec::new() },
        finding: check.finding,
    }
}

pub fn shown_change(row: change::Model) -> TrancheChange {
    TrancheChange {
        id: row.id.to_string(),
        tranche_id: row.tranche_id.to_string(),
        tenant_id: if row.tenant_id.is_nil() { String::new() } else { row.tenant_id.to_string() },
        state: State::number_of(&row.state),
        action: row.action,
        bundle_number: row.bundle_number,
        note: row.note,
        happened_on: Some(edge::to_date(row.happened_on)),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    }
}
