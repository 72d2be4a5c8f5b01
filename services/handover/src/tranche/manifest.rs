//! What the parties sign, put together from what the services said of their slices.

use std::collections::BTreeMap;

use tahuka_bag::{AgreementRef, FileEntry, Handover, Party, PayloadFile, ProgrammeRef, Slice, TagFiles, Total, TrancheRef};
use tahuka_chassis::Refusal;

use super::{Tranche, slice};
use crate::agreement::{self, Agreement};
use crate::json;

/// The agreement's place in the bag.
pub const AGREEMENT: &str = "data/agreement.dsse.json";

/// The manifest's envelope, its digest, and every file that the house itself puts into the bag, by path.
pub struct Signable {
    pub envelope: String,
    pub sha256: String,
    pub files: Vec<(String, Vec<u8>)>,
}

pub fn of(tranche: &Tranche, agreement: &Agreement, slices: &[slice::Model]) -> Result<Signable, Refusal> {
    let mut handover = handover(tranche, agreement, slices)?;
    let signed_agreement = agreement.envelope.clone().into_bytes();
    let others = [PayloadFile::of(AGREEMENT, &signed_agreement)];
    let tags = TagFiles::of(&handover, &others).map_err(Refusal::internal)?;
    handover.files = tags.digests();
    let envelope = handover.envelope().map_err(Refusal::internal)?;
    let payload = envelope.payload().map_err(Refusal::internal)?;
    let mut files = vec![(AGREEMENT.to_owned(), signed_agreement)];
    files.extend(tags.iter().map(|(name, content)| (name.to_owned(), content.to_vec())));
    Ok(Signable { envelope: agreement::text(&envelope)?, sha256: digest(&payload), files })
}

/// SHA-256, hex.
pub fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}

/// What the manifest of a bundled tranche says.
pub fn read(tranche: &Tranche) -> Result<Handover, Refusal> {
    Handover::open(&agreement::envelope(&tranche.envelope)?).map_err(Refusal::internal)
}

fn handover(tranche: &Tranche, agreement: &Agreement, slices: &[slice::Model]) -> Result<Handover, Refusal> {
    let texts = |ids: &[uuid::Uuid]| ids.iter().map(ToString::to_string).collect();
    let services: BTreeMap<String, Slice> =
        slices.iter().map(|s| Ok((s.service.clone(), bundled(s)?))).collect::<Result<_, Refusal>>()?;
    let time = |at: Option<chrono::DateTime<chrono::Utc>>| at.map(json::time).unwrap_or_default();
    let number = |n: i32| u32::try_from(n).map_err(Refusal::internal);
    Ok(Handover {
        format: "tahuka-handover".into(),
        version: 1,
        tranche: TrancheRef {
            id: tranche.id.to_string(),
            name: tranche.name.clone(),
            number: number(tranche.number)?,
            bundle_number: number(tranche.bundle_number)?,
            programme: ProgrammeRef {
                id: agreement.programme_id.to_string(),
                name: agreement.programme.name.clone(),
                starts_on: agreement.programme.starts_on.to_string(),
                ends_on: agreement.programme.ends_on.to_string(),
                districts: agreement.programme.districts.clone(),
                custodian: agreement.programme.custodian_id.to_string(),
            },
            sender: Party { id: agreement.sender_id.to_string(), name: agreement.sender_name.clone() },
            recipient: Party { id: agreement.recipient_id.to_string(), name: agreement.recipient_name.clone() },
            districts: tranche.contents.districts.clone(),
            package_kinds: tranche.contents.package_kinds.clone(),
            project_ids: texts(&tranche.contents.project_ids),
            grant_ids: texts(&tranche.contents.grant_ids),
        },
        agreement: AgreementRef { id: agreement.id.to_string(), revision: 1 },
        sealed_at: time(tranche.sealed_at),
        bundled_at: time(tranche.bundled_at),
        software: format!("tahuka/{}", env!("CARGO_PKG_VERSION")),
        files: BTreeMap::new(),
        totals: Handover::sum_totals(&services),
        services,
    })
}

fn bundled(slice: &slice::Model) -> Result<Slice, Refusal> {
    let count = |n: i64| u64::try_from(n).map_err(Refusal::internal);
    let file = |file: slice::File| {
        let entry = FileEntry { bytes: count(file.bytes)?, records: count(file.records)?, sha256: file.sha256 };
        Ok((file.path, entry))
    };
    let mut totals: Vec<Total> = slice.totals()?.into_iter().map(|t| Total { name: t.name, by: t.by, value: t.value }).collect();
    totals.sort();
    Ok(Slice {
        records: count(slice.records)?,
        merkle_root: slice.merkle_root.clone(),
        files: slice.files()?.into_iter().map(file).collect::<Result<_, Refusal>>()?,
        totals,
    })
}
