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

/// How far a walk along the chain has come: a row's number and its hash.
struct Walk {
    seq: i64,
    hash: String,
}

impl Walk {
    /// One step further.
    fn step(&mut self, row: &Model, subjects: &[subject::Model]) -> Result<(), Verdict> {
        if row.seq != self.seq + 1 {
            return Err(Verdict::Broken { row: self.seq + 1, why: "is missing" });
        }
        if row.hash != hash(&self.hash, row, subjects) {
            return Err(Verdict::Broken { row: row.seq, why: "is not as it was written, or a row before it is gone" });
        }
        (self.seq, self.hash) = (row.seq, row.hash.clone());
        Ok(())
    }
}

/// Walks the newest `rows` of a service's chain, up to the head that there is now. The row before them is believed.
pub async fn verify_newest(store: &Store, rows: u64) -> Result<Verdict, Refusal> {
    let tx = store.read(&Caller::system("audit")).await?;
    let head = store::last(&tx).await?;
    let before = head.seq - i64::try_from(rows).unwrap_or(i64::MAX);
    let mut walk = Walk { seq: 0, hash: String::new() };
    if before > 0 {
        match store::after(&tx, before - 1, 1).await?.pop() {
            Some((row, _)) if row.seq == before => walk = Walk { seq: row.seq, hash: row.hash },
            _ => return Ok(Verdict::Broken { row: before, why: "is missing" }),
        }
    }
    while walk.seq < head.seq {
        let some = store::after(&tx, walk.seq, CHUNK.min((head.seq - walk.seq).unsigned_abs())).await?;
        if some.is_empty() {
            return Ok(Verdict::Broken { row: walk.seq + 1, why: "is missing" });
        }
        for (row, subjects) in some {
            if let Err(broken) = walk.step(&row, &subjects) {
                return Ok(broken);
            }
        }
    }
    if walk.hash != head.hash {
        return Ok(Verdict::Broken { row: head.seq, why: "is not the one that the log wrote last" });
    }
    Ok(Verdict::Whole { rows: head.seq, head: head.hash })
}

/// Walks a service's chain from its first row. `noted` is the hash of a head that was noted earlier, and must be on the
/// way; empty for none.
pub async fn verify(store: &Store, noted: &str) -> Result<Verdict, Refusal> {
    let tx = store.read(&Caller::system("audit")).await?;
    let (mut walk, mut noted_seen) = (Walk { seq: 0, hash: String::new() }, noted.is_empty());
    loop {
        let rows = store::after(&tx, walk.seq, CHUNK).await?;
        if rows.is_empty() {
            break;
        }
        for (row, subjects) in rows {
            if let Err(broken) = walk.step(&row, &subjects) {
                return Ok(broken);
            }
            noted_seen |= walk.hash == noted;
        }
    }
    let Walk { seq, hash } = walk;
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
