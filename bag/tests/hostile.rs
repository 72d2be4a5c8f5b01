//! Archives and files from somebody who means harm: each is refused in words, whatever it is, and nothing panics.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "support/synthetic.rs"]
mod synthetic;

use std::fs;
use std::io::Write;
use std::path::Path;

use proptest::prelude::*;
use tahuka_bag::verify::{Fault, Options, Verdict, verify};
use tahuka_bag::{Agreement, Envelope, Handover, TableSchema, archive, manifest};
use tempfile::TempDir;

fn signed(households: u64) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    synthetic::write(dir.path(), households);
    synthetic::sign(dir.path(), &[synthetic::sender_key(), synthetic::recipient_key()]);
    dir
}

fn packed(bag: &Path, recipient: Option<&str>) -> Vec<u8> {
    let mut bytes = Vec::new();
    archive::pack(bag, &mut bytes, recipient).unwrap();
    bytes
}

/// Unpacks the bytes as an archive; what was unpacked.
fn unpacked(bytes: &[u8], identity: Option<&str>) -> Result<TempDir, Fault> {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("archive");
    fs::write(&file, bytes).unwrap();
    let into = tempfile::tempdir().unwrap();
    archive::unpack(&file, into.path(), identity).map(|()| into)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar of a signed manifest and whatever else.
fn tar_with(bag: &Path, add: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_path_with_name(bag.join(manifest::PATH), manifest::PATH).unwrap();
    add(&mut builder);
    builder.into_inner().unwrap()
}

fn entry(builder: &mut tar::Builder<Vec<u8>>, name: &str, kind: tar::EntryType, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    // Past the builder's own care for names.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(content.len() as u64);
    header.set_entry_type(kind);
    header.set_mode(0o600);
    header.set_cksum();
    builder.append(&header, content).unwrap();
}

fn refused(bytes: &[u8], why: &str) {
    let fault = unpacked(bytes, None).map(|_| ()).unwrap_err();
    assert!(fault.to_string().contains(why), "{fault}");
}

#[test]
fn what_is_packed_is_unpacked_to_the_same_bag_compressed_or_encrypted() {
    let bag = signed(5);
    let (identity, recipient) = archive::new_identity();
    let plain = packed(bag.path(), None);
    assert_eq!(plain, packed(bag.path(), None), "the same bag is the same archive");
    for (bytes, identity) in
        [(gzip(&plain), None), (packed(bag.path(), Some(&recipient)), Some(identity.as_str())), (plain, None)]
    {
        let there = unpacked(&bytes, identity).unwrap();
        let report = verify(there.path(), &Options::default());
        assert_eq!(report.verdict, Verdict::Whole, "{}", report.text());
    }
}

#[test]
fn an_encrypted_bag_opens_for_its_recipient_only() {
    let bag = signed(1);
    let ((identity, recipient), (other, _)) = (archive::new_identity(), archive::new_identity());
    let bytes = packed(bag.path(), Some(&recipient));
    assert!(!bytes.windows(9).any(|w| w == b"household"));
    assert!(unpacked(&bytes, None).unwrap_err().why.contains("encrypted"));
    assert!(unpacked(&bytes, Some(&other)).unwrap_err().why.contains("not encrypted to this identity"));
    assert!(unpacked(&bytes[..bytes.len() - 1], Some(&identity)).is_err());
    let mut changed = bytes.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    assert!(unpacked(&changed, Some(&identity)).is_err());
}

#[test]
fn an_archive_that_is_cut_off_is_refused_wherever_it_is_cut() {
    let bytes = packed(signed(1).path(), None);
    let step = bytes.len() / 97;
    for length in (0..bytes.len()).step_by(step.max(1)).chain([bytes.len() - 1, bytes.len() - 512]) {
        assert!(unpacked(&bytes[..length], None).is_err(), "cut at {length} of {}", bytes.len());
    }
    let compressed = gzip(&bytes);
    assert!(unpacked(&compressed[..compressed.len() - 1], None).is_err());
}

#[test]
fn an_archive_brings_nothing_that_the_manifest_does_not_name() {
    use tar::EntryType::{Char, Directory, GNUSparse, Link, Regular, Symlink};
    let bag = signed(1);
    let bad = [
        ("../../etc/cron.d/x", Regular, "climbs out"),
        ("/etc/passwd", Regular, "climbs out"),
        ("data/../../x", Regular, "climbs out"),
        ("..", Directory, "climbs out"),
        ("data\\..\\x", Regular, "climbs out"),
        ("data/registry/household.jsonl", Symlink, "is a link"),
        ("data/registry/household.jsonl", Link, "is a link"),
        ("data/registry/household.jsonl", Char, "not a plain file"),
        ("data/registry/household.jsonl", GNUSparse, "not a plain file"),
        ("data/registry/other.jsonl", Regular, "does not belong"),
        ("elsewhere/data/registry/household.jsonl", Regular, ""),
        ("manifest.dsse.json", Regular, "twice"),
    ];
    for (name, kind, why) in bad {
        let bytes = tar_with(bag.path(), |builder| {
            entry(builder, name, kind, b"x");
            if why.is_empty() {
                entry(builder, "another/data/registry/plan.jsonl", kind, b"x");
            }
        });
        refused(&bytes, if why.is_empty() { "does not belong" } else { why });
    }
    let large = vec![b'x'; 10 << 20];
    refused(&tar_with(bag.path(), |b| entry(b, "data/registry/household.jsonl", Regular, &large)), "larger than");
    refused(&tar_with(bag.path(), |b| entry(b, "data/registry/household.jsonl", Regular, b"x"))[..1024], "cut off");
    refused(b"PK\x03\x04 and so on", "zip");
    refused(&gzip(b"not a tar"), "");
    refused(b"", "cut off");
}

#[test]
fn a_bomb_is_left_alone_before_it_fills_anything() {
    // 70 MiB of nothing in a few hundred KiB, in front of where a manifest could be.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(&mut encoder);
    let mut header = tar::Header::new_ustar();
    header.set_path("data/registry/household.jsonl").unwrap();
    header.set_size(70 << 20);
    header.set_cksum();
    builder.append(&header, std::io::Read::take(std::io::repeat(0), 70 << 20)).unwrap();
    builder.finish().unwrap();
    drop(builder);
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    refused(&bomb, "expands to more than");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Envelope::parse(&bytes);
        let _ = TableSchema::parse(&bytes);
        let _ = unpacked(&bytes, None);
        for kind in [manifest::PAYLOAD_TYPE, tahuka_bag::agreement::PAYLOAD_TYPE] {
            let envelope = Envelope::new(kind, &bytes);
            let _ = Handover::open(&envelope);
            let _ = Agreement::open(&envelope);
        }
    }

    #[test]
    fn canonical_json_is_read_back_as_it_was_written(value in json(3)) {
        let bytes = tahuka_bag::record::canonical(&value).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(tahuka_bag::record::canonical(&read).unwrap(), bytes.clone());
        prop_assert!(tahuka_bag::record::check(&bytes).is_ok(), "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn what_the_check_of_lines_takes_is_what_the_writer_writes(text in "[ -~]{0,40}") {
        if tahuka_bag::record::check(text.as_bytes()).is_ok() {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(tahuka_bag::record::canonical(&value).unwrap(), text.into_bytes());
        }
    }
}

fn json(depth: u32) -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(depth, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn mutations_of_an_archive_never_panic_and_never_pass_for_another_bag() {
    let bytes = packed(signed(1).path(), None);
    let mut seed = 1_u64;
    let mut below = |end: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 11) as usize % end
    };
    let (mut refused, mut same) = (0, 0);
    for _ in 0..MUTATIONS {
        let mut changed = bytes.clone();
        for _ in 0..=below(3) {
            match below(4) {
                0 => changed.truncate(below(changed.len()) + 1),
                1 => {
                    let (from, to, length) = (below(changed.len()), below(changed.len()), below(600));
                    let piece: Vec<u8> = changed[from..].iter().take(length).copied().collect();
                    let to = to.min(changed.len());
                    changed.splice(to..to, piece);
                }
                _ => {
                    let at = below(changed.len());
                    changed[at] = below(256) as u8;
                }
            }
        }
        match unpacked(&changed, None) {
            Err(_) => refused += 1,
            // What is outside of the files' contents may change (times of a header that nobody reads); what is in them not.
            Ok(dir) => match verify(dir.path(), &Options::default()).verdict {
                Verdict::Whole => same += 1,
                _ => refused += 1,
            },
        }
    }
    println!("{MUTATIONS} mutations: {refused} refused, {same} without effect on the bag");
    assert!(refused > MUTATIONS / 2);
}

const MUTATIONS: usize = 500;
