//! The bag's tag files (BagIt 1.0, RFC 8493): what a BagIt tool of any maker checks the bag with. They follow from the
//! manifest to the byte, so that a verifier can write them again and compare.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::{Error, Handover, Result};

pub const BAGIT: &str = "bagit.txt";
pub const BAG_INFO: &str = "bag-info.txt";
pub const MANIFEST: &str = "manifest-sha256.txt";
pub const TAG_MANIFEST: &str = "tagmanifest-sha256.txt";

/// A file under `data/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadFile {
    /// From the bag's root, with slashes.
    pub path: String,
    pub bytes: u64,
    /// Hex.
    pub sha256: String,
}

impl PayloadFile {
    pub fn of(path: &str, content: &[u8]) -> Self {
        PayloadFile { path: path.to_owned(), bytes: content.len() as u64, sha256: sha256(content) }
    }
}

/// The tag files' bytes, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagFiles {
    files: BTreeMap<&'static str, Vec<u8>>,
}

impl TagFiles {
    /// Of all files that the services have put into the bag, and `others` (the agreement).
    pub fn of(handover: &Handover, others: &[PayloadFile]) -> Result<Self> {
        let mut payload: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
        for (path, file) in handover.services.values().flat_map(|slice| &slice.files) {
            payload.insert(path, (file.bytes, &file.sha256));
        }
        payload.extend(others.iter().map(|file| (file.path.as_str(), (file.bytes, file.sha256.as_str()))));
        if let Some(path) = payload.keys().find(|path| !is_payload_path(path)) {
            return Err(Error::Format(format!("{path:?} is no path of a bag")));
        }

        let manifest: String = payload.iter().map(|(path, (_, sha256))| format!("{sha256}  {path}\n")).collect();
        let mut files = BTreeMap::from([
            (BAGIT, b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n".to_vec()),
            (BAG_INFO, bag_info(handover, payload.len(), payload.values().map(|(bytes, _)| bytes).sum()).into_bytes()),
            (MANIFEST, manifest.into_bytes()),
        ]);
        let tags: String = files.iter().map(|(name, content)| format!("{}  {name}\n", sha256(content))).collect();
        files.insert(TAG_MANIFEST, tags.into_bytes());
        Ok(TagFiles { files })
    }

    /// What `Handover::files` says.
    pub fn digests(&self) -> BTreeMap<String, String> {
        let signed = self.files.iter().filter(|(name, _)| **name != TAG_MANIFEST);
        signed.map(|(name, content)| ((*name).to_owned(), sha256(content))).collect()
    }

    /// Name and bytes of each.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.files.iter().map(|(name, content)| (*name, content.as_slice()))
    }
}

fn bag_info(handover: &Handover, files: usize, bytes: u64) -> String {
    let tranche = &handover.tranche;
    let day = handover.bundled_at.get(..10).unwrap_or_default();
    let lines = [
        ("Source-Organization", tranche.sender.name.as_str()),
        ("External-Identifier", &tranche.id),
        (
            "External-Description",
            &format!("{}: {}, handed over to {}", tranche.programme.name, tranche.name, tranche.recipient.name),
        ),
        ("Bag-Group-Identifier", &tranche.programme.id),
        ("Bag-Count", &format!("{} of ?", tranche.number)),
        ("Bagging-Date", day),
        ("Payload-Oxum", &format!("{bytes}.{files}")),
        ("Bag-Software-Agent", &handover.software),
    ];
    // A name may hold anything; a line of this file may not.
    let plain = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    lines.iter().map(|(label, value)| format!("{label}: {}\n", plain(value).trim())).collect()
}

pub fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// `data/` and one or two names of small letters, digits, `_`, `-` and single dots: what every file system takes, and nothing
/// that climbs out of the bag.
pub fn is_payload_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("data/") else { return false };
    let name = |name: &str| {
        !name.is_empty()
            && name.len() <= 100
            && !name.starts_with('.')
            && !name.contains("..")
            && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.'))
    };
    let mut names = rest.split('/');
    names.clone().count() <= 2 && names.all(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_the_bag() {
        for path in ["data/agreement.dsse.json", "data/registry/household.jsonl", "data/registry/household.schema.json"] {
            assert!(is_payload_path(path), "{path}");
        }
        let bad = [
            "data",
            "data/",
            "data//x",
            "data/../x",
            "data/registry/../../x",
            "/data/x",
            "data/.x",
            "data/a/b/c",
            "Data/x",
            "data/x\n",
            "data/x\\y",
            "data/registry/household.jsonl/",
            "bagit.txt",
            "data/a b",
            "data/con:x",
            "data/é",
            "",
        ];
        for path in bad {
            assert!(!is_payload_path(path), "{path}");
        }
    }
}
