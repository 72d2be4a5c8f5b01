//! The bag as a folder: that the files are those that were signed, all of them, and nothing else; read without following
//! any link.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;

use super::fault::{Check, Faults};
use crate::payload::{self, is_payload_path, sha256};
use crate::{Envelope, Handover, PayloadFile, TagFiles, agreement, manifest};

/// No manifest or tag file that a platform writes is larger.
const LARGEST_TAG: u64 = 64 << 20;
/// As many files as no bag has, so that a folder of millions is not listed.
const MOST_FILES: usize = 10_000;

/// Reads the signed manifest: what everything else is held against.
pub fn handover(root: &Path, faults: &mut Faults) -> Option<(Envelope, Handover)> {
    let bytes = read_small(root, manifest::PATH, faults)?;
    let envelope = match Envelope::parse(&bytes) {
        Ok(envelope) => envelope,
        Err(e) => {
            faults.add(Check::Format, manifest::PATH, None, e.to_string());
            return None;
        }
    };
    match Handover::open(&envelope) {
        Ok(handover) => Some((envelope, handover)),
        Err(e) => {
            faults.add(Check::Format, manifest::PATH, None, e.to_string());
            None
        }
    }
}

/// What the manifest says of itself must hold together before anything is done by it. None: it does not.
pub fn plausible(handover: &Handover, faults: &mut Faults) -> Option<()> {
    let mut wrong: Vec<(Check, String)> = Vec::new();
    let tags = [payload::BAG_INFO, payload::BAGIT, payload::MANIFEST];
    if !handover.files.keys().map(String::as_str).eq(tags) {
        wrong.push((Check::Structure, "does not name exactly the three tag files".to_owned()));
    }
    for (service, slice) in &handover.services {
        let folder = format!("data/{service}/");
        for path in slice.files.keys() {
            let table = path.strip_suffix(".jsonl");
            if !path.starts_with(&folder) || !is_payload_path(path) {
                wrong.push((Check::Structure, format!("{path:?} is no path of {service} in a bag")));
            } else if table.is_some_and(|table| !slice.files.contains_key(&format!("{table}.schema.json"))) {
                wrong.push((Check::Structure, format!("{path} has no schema beside it")));
            } else if table.is_none() && !path.ends_with(".schema.json") {
                wrong.push((Check::Structure, format!("{path} is neither records nor a schema")));
            }
        }
        let sum = slice.files.values().fold(0_u64, |sum, file| sum.saturating_add(file.records));
        if sum != slice.records {
            wrong.push((Check::Counts, format!("{service}: {sum} records in its files, {} told", slice.records)));
        }
    }
    let plausible = wrong.is_empty().then_some(());
    wrong.into_iter().for_each(|(check, why)| faults.add(check, manifest::PATH, None, why));
    plausible
}

/// Files that must be there, other than those of services.
fn tag_names() -> [&'static str; 5] {
    [payload::BAGIT, payload::BAG_INFO, payload::MANIFEST, payload::TAG_MANIFEST, manifest::PATH]
}

/// Compares the files of the folder with those that were signed. The ones that are there, with their sizes.
pub fn files(root: &Path, handover: &Handover, faults: &mut Faults) -> BTreeMap<String, u64> {
    let mut expected: BTreeSet<&str> = tag_names().into();
    expected.insert(agreement::PATH);
    expected.extend(handover.services.values().flat_map(|slice| slice.files.keys()).map(String::as_str));
    let folders: BTreeSet<&str> = expected.iter().flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at])).collect();

    let mut found = BTreeMap::new();
    let mut open = vec![String::new()];
    while let Some(folder) = open.pop() {
        let entries = match fs::read_dir(root.join(&folder)) {
            Ok(entries) => entries,
            Err(e) => {
                faults.add(Check::Structure, &folder, None, format!("cannot be read: {e}"));
                continue;
            }
        };
        for entry in entries {
            let Ok(entry) = entry else {
                faults.add(Check::Structure, &folder, None, "cannot be read to its end");
                break;
            };
            let name = entry.file_name();
            let path = if folder.is_empty() { shown(&name) } else { format!("{folder}/{}", shown(&name)) };
            match entry.file_type() {
                Ok(kind) if kind.is_file() && expected.contains(path.as_str()) && name.to_str().is_some() => {
                    let size = entry.metadata().map(|m| m.len()).unwrap_or(0);
                    found.insert(path, size);
                }
                Ok(kind) if kind.is_dir() && folders.contains(path.as_str()) => open.push(path),
                Ok(kind) if kind.is_file() => faults.add(Check::Structure, &path, None, "does not belong to the bundle"),
                Ok(kind) if kind.is_dir() => {
                    faults.add(Check::Structure, &path, None, "is a folder that does not belong to the bundle")
                }
                Ok(kind) if kind.is_symlink() => faults.add(Check::Structure, &path, None, "is a link, which a bundle never has"),
                _ => faults.add(Check::Structure, &path, None, "is not a plain file"),
            }
            if found.len() as u64 + faults.of(Check::Structure) > MOST_FILES as u64 {
                faults.add(Check::Structure, &folder, None, format!("has more than {MOST_FILES} files"));
                return found;
            }
        }
    }
    for path in expected.into_iter().filter(|path| !found.contains_key(*path)) {
        faults.add(Check::Structure, path, None, "is missing");
    }
    found
}

/// A name as it can be shown: whatever a file system holds, in one line.
fn shown(name: &std::ffi::OsStr) -> String {
    name.to_string_lossy().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The tag files against their digests, and against what the manifest makes of them to the byte. Gives back the agreement's
/// bytes, if they are those that were signed.
pub fn tags(root: &Path, handover: &Handover, found: &BTreeMap<String, u64>, faults: &mut Faults) -> Option<Vec<u8>> {
    let mut read = BTreeMap::new();
    for name in tag_names().into_iter().filter(|name| found.contains_key(*name)) {
        let Some(bytes) = read_small(root, name, faults) else { continue };
        if let Some(told) = handover.files.get(name)
            && *told != sha256(&bytes)
        {
            faults.add(Check::Digests, name, None, "has changed: its SHA-256 is not the one that was signed");
            continue;
        }
        read.insert(name, bytes);
    }
    let bag_manifest = read.get(payload::MANIFEST)?;
    let told =
        std::str::from_utf8(bag_manifest).ok()?.lines().find_map(|line| line.strip_suffix(&format!("  {}", agreement::PATH)));
    let Some(told) = told else {
        faults.add(Check::Structure, payload::MANIFEST, None, "does not name the agreement");
        return None;
    };
    let size = found.get(agreement::PATH).copied()?;
    let agreed = read_small(root, agreement::PATH, faults)?;
    if sha256(&agreed) != told {
        faults.add(Check::Digests, agreement::PATH, None, "has changed: its SHA-256 is not the one that was signed");
        return None;
    }
    let others = [PayloadFile { path: agreement::PATH.to_owned(), bytes: size, sha256: told.to_owned() }];
    match TagFiles::of(handover, &others) {
        Ok(made) => {
            for (name, bytes) in made.iter() {
                if read.get(name).is_some_and(|there| there != bytes) {
                    let line = first_difference(bytes, &read[name]);
                    faults.add(Check::Digests, name, line, "is not what the signed manifest makes of it");
                }
            }
        }
        Err(e) => faults.add(Check::Structure, manifest::PATH, None, e.to_string()),
    }
    Some(agreed)
}

fn first_difference(a: &[u8], b: &[u8]) -> u64 {
    let same = a.split(|b| *b == b'\n').zip(b.split(|b| *b == b'\n')).take_while(|(a, b)| a == b).count();
    same as u64 + 1
}

/// A plain file of a bounded size.
pub fn read_small(root: &Path, path: &str, faults: &mut Faults) -> Option<Vec<u8>> {
    let whole = root.join(path);
    let read = fs::symlink_metadata(&whole).and_then(|meta| {
        if !meta.is_file() {
            return Err(std::io::Error::other("is not a plain file"));
        }
        if meta.len() > LARGEST_TAG {
            return Err(std::io::Error::other(format!("is larger than {LARGEST_TAG} bytes")));
        }
        let mut bytes = Vec::new();
        fs::File::open(&whole)?.take(LARGEST_TAG).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    match read {
        Ok(bytes) => Some(bytes),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            faults.add(Check::Structure, path, None, "is missing");
            None
        }
        Err(e) => {
            faults.add(Check::Structure, path, None, e.to_string());
            None
        }
    }
}
