//! Records that are drawn for a check by hand: whoever verifies goes to the field with them. The draw follows from its
//! seed, so that it can be repeated and nobody chose.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Error, Handover, Result};

/// Logs are not what one looks at in the field.
const NOT_DRAWN: [&str; 3] = ["journal.jsonl", "access_log.jsonl", "figures.jsonl"];

#[derive(Debug, Clone, Serialize)]
pub struct Drawn {
    pub file: String,
    pub line: u64,
    pub record: Value,
}

/// A seed that nobody chose, short enough to be written down.
pub fn random_seed() -> Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|e| Error::Format(format!("no random numbers: {e}")))?;
    Ok(u64::from_be_bytes(bytes) >> 24)
}

/// Draws up to `count` different records; all have the same chance.
pub fn draw(root: &Path, handover: &Handover, count: usize, seed: u64) -> Result<Vec<Drawn>> {
    let files: Vec<(&String, u64)> = handover
        .services
        .values()
        .flat_map(|slice| &slice.files)
        .filter(|(path, file)| file.records > 0 && !NOT_DRAWN.iter().any(|name| path.ends_with(&format!("/{name}"))))
        .map(|(path, file)| (path, file.records))
        .collect();
    let all = files.iter().fold(0_u64, |sum, (_, records)| sum.saturating_add(*records));
    let wanted = numbers(all, count as u64, seed);

    let mut drawn = Vec::new();
    let mut first = 0;
    for (path, records) in files {
        let from = first;
        first += records;
        let mut lines = wanted.range(from..first).map(|n| n - from).peekable();
        if lines.peek().is_none() {
            continue;
        }
        let file = File::open(root.join(path)).map_err(Error::file(Path::new(path)))?;
        let mut reader = BufReader::with_capacity(256 << 10, file);
        let (mut at, mut line) = (0, Vec::new());
        for wanted in lines {
            while at <= wanted {
                line.clear();
                reader.by_ref().take(64 << 20).read_until(b'\n', &mut line).map_err(Error::file(Path::new(path)))?;
                at += 1;
            }
            let record = serde_json::from_slice(&line).map_err(|_| Error::Format(format!("{path}, line {at}: not a record")))?;
            drawn.push(Drawn { file: path.clone(), line: at, record });
        }
    }
    Ok(drawn)
}

/// Different numbers below `all`: SHA-256 over seed and counter, so that anybody can draw them again.
fn numbers(all: u64, count: u64, seed: u64) -> BTreeSet<u64> {
    let mut drawn = BTreeSet::new();
    let mut counter = 0_u64;
    while (drawn.len() as u64) < count.min(all) {
        let mut hasher = Sha256::new();
        hasher.update(seed.to_be_bytes());
        hasher.update(counter.to_be_bytes());
        counter += 1;
        let digest: [u8; 32] = hasher.finalize().into();
        let (head, _) = digest.split_at(8);
        let number = head.iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
        // The last, incomplete round of `all` would make some more likely.
        if number < u64::MAX - u64::MAX % all {
            drawn.insert(number % all);
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_and_another_one_others() {
        assert_eq!(numbers(1_000, 10, 7), numbers(1_000, 10, 7));
        assert_ne!(numbers(1_000, 10, 7), numbers(1_000, 10, 8));
        assert_eq!(numbers(3, 10, 7).len(), 3);
        assert!(numbers(0, 10, 7).is_empty());
    }
}
