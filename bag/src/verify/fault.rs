//! What is wrong with a bag, and where. A fault never says what a record holds: it goes into logs and mails.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

/// What is looked at, in the order of the report. The ids never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    Structure,
    Format,
    Digests,
    Records,
    Order,
    Counts,
    Merkle,
    Totals,
    References,
    Money,
    Tranche,
    Agreement,
    Signatures,
    Freshness,
}

impl Check {
    pub const ALL: [Check; 14] = [
        Check::Structure,
        Check::Format,
        Check::Digests,
        Check::Records,
        Check::Order,
        Check::Counts,
        Check::Merkle,
        Check::Totals,
        Check::References,
        Check::Money,
        Check::Tranche,
        Check::Agreement,
        Check::Signatures,
        Check::Freshness,
    ];

    pub fn id(self) -> &'static str {
        match self {
            Check::Structure => "structure",
            Check::Format => "format",
            Check::Digests => "digests",
            Check::Records => "records",
            Check::Order => "order",
            Check::Counts => "counts",
            Check::Merkle => "merkle",
            Check::Totals => "totals",
            Check::References => "references",
            Check::Money => "money",
            Check::Tranche => "tranche",
            Check::Agreement => "agreement",
            Check::Signatures => "signatures",
            Check::Freshness => "freshness",
        }
    }

    /// What it means that it passed.
    pub fn says(self) -> &'static str {
        match self {
            Check::Structure => "every file that belongs to the bundle is there, and no other",
            Check::Format => "this program knows the bundle's format and the versions of its tables",
            Check::Digests => "no file has changed since the bundle was made",
            Check::Records => "every line is a record of its table, with all its columns",
            Check::Order => "no record is there twice",
            Check::Counts => "each file has as many records as was signed",
            Check::Merkle => "all records of a service together are those that were signed",
            Check::Totals => "the control totals, counted again, are those that were signed",
            Check::References => "no member without a household, no delivery without an entitlement, no entry without a posting",
            Check::Money => "every posting balances, and each balance is the sum of its entries",
            Check::Tranche => "all of it belongs to this tranche, and to nothing else",
            Check::Agreement => "the agreement inside is this one's, and both have signed it",
            Check::Signatures => "every signature holds, and was made with a key of the agreement",
            Check::Freshness => "it is not an older bundle than the one expected",
        }
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub check: Check,
    /// From the bag's root; empty: the bag as a whole.
    pub file: String,
    /// From 1; none: the file as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    pub why: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = if self.file.is_empty() { "the bundle" } else { &self.file };
        match self.line {
            Some(line) => write!(f, "{file}, line {line}: {}", self.why),
            None => write!(f, "{file}: {}", self.why),
        }
    }
}

/// The first faults of each check, and the count of all: a file of rubbish fills no memory.
#[derive(Debug, Default)]
pub struct Faults {
    kept: Vec<Fault>,
    counts: BTreeMap<Check, u64>,
}

const KEPT: u64 = 20;

impl Faults {
    pub fn add(&mut self, check: Check, file: &str, line: impl Into<Option<u64>>, why: impl Into<String>) {
        let count = self.counts.entry(check).or_default();
        *count += 1;
        if *count <= KEPT {
            self.kept.push(Fault { check, file: file.to_owned(), line: line.into(), why: why.into() });
        }
    }

    pub fn join(&mut self, other: Faults) {
        for (check, count) in other.counts {
            let kept = other.kept.iter().filter(|f| f.check == check);
            let room = KEPT.saturating_sub(self.of(check)) as usize;
            self.kept.extend(kept.take(room).cloned());
            *self.counts.entry(check).or_default() += count;
        }
    }

    pub fn of(&self, check: Check) -> u64 {
        self.counts.get(&check).copied().unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// By check, file and line.
    pub fn into_kept(mut self) -> Vec<Fault> {
        self.kept.sort_by(|a, b| (a.check, &a.file, a.line).cmp(&(b.check, &b.file, b.line)));
        self.kept
    }
}
