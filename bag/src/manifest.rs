//! What the parties sign: which tranche, from whom to whom, and the digests, roots, counts and control totals of all that
//! is in the bag.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Envelope, Error, Result, record};

pub const FORMAT: &str = "tahuka-handover";
pub const VERSION: u32 = 1;
pub const PAYLOAD_TYPE: &str = "application/vnd.tahuka.handover.v1+json";
/// Its place in the bag.
pub const PATH: &str = "manifest.dsse.json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handover {
    /// Always `tahuka-handover`.
    pub format: String,
    pub version: u32,
    pub tranche: TrancheRef,
    pub agreement: AgreementRef,
    /// RFC 3339, UTC, as `bundled_at`.
    pub sealed_at: String,
    pub bundled_at: String,
    /// Who wrote it: `tahuka/0.1.0`.
    pub software: String,
    /// SHA-256 of the tag files, by name: through them, of every file.
    pub files: BTreeMap<String, String>,
    pub services: BTreeMap<String, Slice>,
    /// Over all services.
    pub totals: Vec<Total>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrancheRef {
    pub id: String,
    pub name: String,
    pub number: u32,
    /// A tranche that was unsealed and sealed again has a later bundle, which takes the place of this one.
    pub bundle_number: u32,
    pub programme: ProgrammeRef,
    pub sender: Party,
    pub recipient: Party,
    pub districts: Vec<String>,
    pub package_kinds: Vec<String>,
    pub project_ids: Vec<String>,
    pub grant_ids: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgrammeRef {
    pub id: String,
    pub name: String,
    /// ISO dates; empty where none was told.
    pub starts_on: String,
    pub ends_on: String,
    pub districts: Vec<String>,
    /// The tenant that runs the programme.
    pub custodian: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    pub id: String,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgreementRef {
    pub id: String,
    pub revision: u32,
}

/// What one service put into the bag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    pub records: u64,
    /// Hex. Over the lines of its `.jsonl` files, by path (bytes) and line.
    pub merkle_root: String,
    /// By path from the bag's root.
    pub files: BTreeMap<String, FileEntry>,
    pub totals: Vec<Total>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    pub bytes: u64,
    /// Lines; 0 for what is no file of records.
    pub records: u64,
    /// Hex.
    pub sha256: String,
}

/// A figure that sums records up. Of money: minor units, by currency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Total {
    pub name: String,
    /// Item, kind, state or currency; empty where there is one figure only.
    pub by: String,
    #[serde(serialize_with = "write_integer", deserialize_with = "read_integer")]
    pub value: i64,
}

fn write_integer<S: Serializer>(value: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    record::integer(*value).serialize(serializer)
}

fn read_integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let read = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    read.filter(|v| record::integer(*v) == value).ok_or_else(|| serde::de::Error::custom("not an integer of a record"))
}

impl Handover {
    /// The envelope, to be signed by the sender, then by the recipient.
    pub fn envelope(&self) -> Result<Envelope> {
        Ok(Envelope::new(PAYLOAD_TYPE, &record::canonical_of(self)?))
    }

    /// What an envelope holds. Signatures are another question.
    pub fn open(envelope: &Envelope) -> Result<Self> {
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(Error::Format(format!("the payload is {}, and not {PAYLOAD_TYPE}", envelope.payload_type)));
        }
        let payload = envelope.payload()?;
        supported(&payload, FORMAT, VERSION)?;
        let handover: Handover =
            serde_json::from_slice(&payload).map_err(|e| Error::Format(format!("not a manifest of a handover: {e}")))?;
        if record::canonical_of(&handover)? != payload {
            return Err(Error::Format("the manifest is not canonical JSON".to_owned()));
        }
        Ok(handover)
    }

    /// The sum of all services' totals, by name and what they are by.
    pub fn sum_totals(services: &BTreeMap<String, Slice>) -> Vec<Total> {
        let mut sums: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for total in services.values().flat_map(|slice| &slice.totals) {
            let sum = sums.entry((&total.name, &total.by)).or_default();
            *sum = sum.saturating_add(total.value);
        }
        let total = |((name, by), value): ((&str, &str), i64)| Total { name: name.to_owned(), by: by.to_owned(), value };
        sums.into_iter().map(total).collect()
    }
}

/// Refuses what a later program wrote, in words that say so: its fields may be others.
pub(crate) fn supported(payload: &[u8], format: &str, version: u32) -> Result<()> {
    #[derive(Deserialize)]
    struct Head {
        format: String,
        version: u64,
    }
    let head: Head = serde_json::from_slice(payload).map_err(|e| Error::Format(format!("no format and version: {e}")))?;
    if head.format != format {
        return Err(Error::Format(format!("its format is not {format}")));
    }
    if head.version > u64::from(version) {
        let newer = format!("version {} is newer than {version}, which this program reads: use a newer program", head.version);
        return Err(Error::Format(newer));
    }
    if head.version != u64::from(version) {
        return Err(Error::Format(format!("there is no version {}", head.version)));
    }
    Ok(())
}
