//! The chain: the hash of a row covers the row, whom it showed, and the hash of the row before it.

use sha2::{Digest as _, Sha256};

use super::store::{self, Model, subject};
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::store::Store;

const CHUNK: u64 = 500;

/// What a walk along the chain has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The head's hash, noted elsewhere, shows later that nothing before it was made anew.
    Whole { rows: i64, head: String },
    /// The first row that is not as it was written.
    Broken { row: i64, why: &'static str },
}

/// Hash of a row as 64 hex digits. Every part is told with its length, so that no two rows have the same bytes.
pub(super) fn hash(before: &str, row: &Model, subjects: &[subject::Model]) -> String {
    let mut digest = Sha256::new();
    let mut part = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    };
    part(before.as_bytes());
    part(row.id.as_bytes());
    part(&row.seq.to_be_bytes());
    part(&row.accessed_at.timestamp_micros().to_be_bytes());
    part(row.tenant_id.as_bytes());
    for text in [&row.reader, &row.roles, &row.rpc, &row.purpose, &row.trace_id] {
        part(text.as_bytes());
    }
    for subject in subjects {
        part(&subject.number.to_be_bytes());
        part(subject.message.as_bytes());
        part(subject.custodian_id.as_bytes());
        part(subject.district.as_bytes());
        for id in [subject.household_id, subject.individual_id] {
            part(id.as_ref().map_or(&[][..], |id| &id.as_bytes()[..]));
        }
    }
    hex::encode(digest.finalize())
}

/// Walks a service's chain from its first row. `noted` is the hash of a head that was noted earlier, and must be on the
/// way; empty for none.
pub async fn verify(store: &Store, noted: &str) -> Result<Verdict, Refusal> {
    let tx = store.read(&Caller::system("audit")).await?;
    let (mut seq, mut hash, mut noted_seen) = (0, String::new(), noted.is_empty());
    loop {
        let rows = store::after(&tx, seq, CHUNK).await?;
        if rows.is_empty() {
            break;
        }
        for (row, subjects) in rows {
            if row.seq != seq + 1 {
                return Ok(Verdict::Broken { row: seq + 1, why: "is missing" });
            }
            if row.hash != self::hash(&hash, &row, &subjects) {
                return Ok(Verdict::Broken { row: row.seq, why: "is not as it was written, or a row before it is gone" });
            }
            (seq, hash) = (row.seq, row.hash);
            noted_seen |= hash == noted;
        }
    }
    // Rows may have come while the chain was walked; the head that is read last is as far or farther.
    let head = store::last(&tx).await?;
    if head.seq < seq {
        return Ok(Verdict::Broken { row: head.seq + 1, why: "was not written by the log" });
    }
    if head.seq > seq && store::after(&tx, seq, 1).await?.is_empty() {
        return Ok(Verdict::Broken { row: seq + 1, why: "is missing" });
    }
    if head.seq == seq && head.hash != hash {
        return Ok(Verdict::Broken { row: seq, why: "is not the one that the log wrote last" });
    }
    if !noted_seen {
        return Ok(Verdict::Broken { row: 1, why: "or a later one was made anew: the noted head is not in the chain" });
    }
    Ok(Verdict::Whole { rows: seq, head: hash })
}
