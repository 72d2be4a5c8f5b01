//! A bag as it should be passes; one that is not is refused, and the refusal names the place.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "support/synthetic.rs"]
mod synthetic;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tahuka_bag::verify::{Check, Options, Report, Verdict, verify};
use tahuka_bag::{Envelope, Handover, SigningKey, agreement, manifest, sample};
use tempfile::TempDir;

fn unsigned(households: u64) -> (TempDir, Handover) {
    let dir = tempfile::tempdir().unwrap();
    let handover = synthetic::write(dir.path(), households);
    (dir, handover)
}

fn signed(households: u64) -> TempDir {
    let (dir, _) = unsigned(households);
    synthetic::sign(dir.path(), &[synthetic::sender_key(), synthetic::recipient_key()]);
    dir
}

fn check(dir: &Path) -> Report {
    verify(dir, &Options::default())
}

fn refused(dir: &Path, by: Check, place: &str) {
    let report = check(dir);
    assert_eq!(report.verdict, Verdict::Refused, "{}", report.text());
    let named = report.faults.iter().any(|fault| fault.check == by && fault.file == place);
    assert!(named, "no fault of {} at {place}: {}", by.id(), report.text());
}

/// Changes lines of a file of records, and makes the bag anew around it as its sender could: whole again but for what is
/// in the lines.
fn rewritten(households: u64, file: &str, change: impl FnOnce(&mut Vec<Value>)) -> TempDir {
    use sha2::{Digest, Sha256};
    let (dir, mut handover) = unsigned(households);
    let path = dir.path().join(file);
    let mut rows: Vec<Value> =
        fs::read_to_string(&path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    change(&mut rows);
    let mut bytes = Vec::new();
    for row in &rows {
        tahuka_bag::record::write(row, &mut bytes).unwrap();
        bytes.push(b'\n');
    }
    fs::write(&path, &bytes).unwrap();
    let service = file.split('/').nth(1).unwrap();
    let slice = handover.services.get_mut(service).unwrap();
    let entry = slice.files.get_mut(file).unwrap();
    entry.bytes = bytes.len() as u64;
    entry.records = rows.len() as u64;
    entry.sha256 = hex::encode(Sha256::digest(&bytes));
    slice.records = slice.files.values().map(|f| f.records).sum();
    let mut tree = tahuka_bag::merkle::Tree::new();
    for path in slice.files.keys().filter(|p| p.ends_with(".jsonl")) {
        fs::read_to_string(dir.path().join(path)).unwrap().lines().for_each(|line| tree.push(line.as_bytes()));
    }
    slice.merkle_root = hex::encode(tree.root());
    let agreed = fs::read(dir.path().join(agreement::PATH)).unwrap();
    synthetic::close(dir.path(), &mut handover, &agreed);
    synthetic::sign(dir.path(), &[synthetic::sender_key(), synthetic::recipient_key()]);
    dir
}

#[test]
fn a_bag_as_it_should_be_is_whole() {
    let report = check(signed(30).path());
    assert_eq!(report.verdict, Verdict::Whole, "{}", report.text());
    assert_eq!(report.records, report.handover.as_ref().unwrap().services.values().map(|s| s.records).sum::<u64>());
    let total = |name: &str, by: &str| report.totals.iter().find(|t| t.name == name && t.by == by).unwrap().counted;
    assert_eq!(total("households", ""), 30);
    assert_eq!(total("individuals", ""), 120);
    assert_eq!(total("deliveries", "goat"), 15);
    assert_eq!(total("expenditure", "RWF"), 30 * 120_000);
    let text = report.text();
    assert!(text.contains("expenditure: RWF") && text.contains("3,600,000 RWF"), "{text}");
    assert!(text.contains("Compare the fingerprints"), "{text}");
    serde_json::to_string(&report).unwrap();
}

#[test]
fn an_empty_tranche_of_households_is_whole_too() {
    assert_eq!(check(signed(0).path()).verdict, Verdict::Whole);
}

#[test]
fn a_signature_that_is_missing_is_told_apart_from_one_that_is_wrong() {
    let (dir, _) = unsigned(2);
    assert_eq!(check(dir.path()).verdict, Verdict::WholeNotSigned);
    synthetic::sign(dir.path(), &[synthetic::sender_key()]);
    assert_eq!(check(dir.path()).verdict, Verdict::WholeSignedByOne);
    synthetic::sign(dir.path(), &[synthetic::recipient_key()]);
    assert_eq!(check(dir.path()).verdict, Verdict::Whole);

    let path = dir.path().join(manifest::PATH);
    let mut envelope = Envelope::parse(&fs::read(&path).unwrap()).unwrap();
    envelope.signatures[1].sig = envelope.signatures[0].sig.clone();
    fs::write(&path, envelope.to_bytes().unwrap()).unwrap();
    refused(dir.path(), Check::Signatures, manifest::PATH);
}

#[test]
fn a_key_that_is_not_in_the_agreement_signs_nothing() {
    let (dir, _) = unsigned(2);
    synthetic::sign(dir.path(), &[synthetic::sender_key(), SigningKey::from_seed(&[99; 32])]);
    refused(dir.path(), Check::Signatures, manifest::PATH);
}

#[test]
fn keys_from_elsewhere_are_held_against_the_agreements() {
    let dir = signed(2);
    let told = |seed| Options { sender_key: Some(SigningKey::from_seed(&[seed; 32]).public()), ..Options::default() };
    assert_eq!(verify(dir.path(), &told(11)).verdict, Verdict::Whole);
    let report = verify(dir.path(), &told(12));
    assert_eq!(report.verdict, Verdict::Refused);
    assert!(report.faults.iter().any(|f| f.check == Check::Agreement), "{}", report.text());
}

#[test]
fn an_older_bundle_or_another_tranche_is_refused_where_one_is_expected() {
    let dir = signed(2);
    let verdict = |options: Options| verify(dir.path(), &options).verdict;
    assert_eq!(verdict(Options { bundle_number: Some(3), ..Options::default() }), Verdict::Whole);
    assert_eq!(verdict(Options { bundle_number: Some(4), ..Options::default() }), Verdict::Refused);
    assert_eq!(verdict(Options { tranche: Some("another".to_owned()), ..Options::default() }), Verdict::Refused);
}

#[test]
fn a_file_too_few_or_too_many_is_named() {
    let dir = signed(2);
    fs::remove_file(dir.path().join("data/registry/consent.jsonl")).unwrap();
    refused(dir.path(), Check::Structure, "data/registry/consent.jsonl");
    let dir = signed(2);
    fs::write(dir.path().join("data/registry/extra.jsonl"), "").unwrap();
    refused(dir.path(), Check::Structure, "data/registry/extra.jsonl");
    let dir = signed(2);
    fs::create_dir(dir.path().join("fetch")).unwrap();
    refused(dir.path(), Check::Structure, "fetch");
    let dir = signed(2);
    fs::remove_file(dir.path().join("bagit.txt")).unwrap();
    refused(dir.path(), Check::Structure, "bagit.txt");
}

#[cfg(unix)]
#[test]
fn a_link_is_not_followed() {
    let dir = signed(2);
    let path = dir.path().join("data/registry/consent.jsonl");
    let elsewhere = dir.path().with_extension("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    refused(dir.path(), Check::Structure, "data/registry/consent.jsonl");
    fs::remove_file(elsewhere).unwrap();
}

#[test]
fn a_file_that_is_cut_off_or_has_grown_is_refused() {
    for change in [|bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 7), |bytes: &mut Vec<u8>| bytes.extend_from_slice(b"{}\n")]
    {
        let dir = signed(3);
        let path = dir.path().join("data/registry/individual.jsonl");
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        refused(dir.path(), Check::Digests, "data/registry/individual.jsonl");
    }
}

#[test]
fn two_records_that_change_places_are_noticed() {
    let dir = signed(3);
    let path = dir.path().join("data/registry/individual.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.swap(3, 4);
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    refused(dir.path(), Check::Digests, "data/registry/individual.jsonl");
    refused(dir.path(), Check::Order, "data/registry/individual.jsonl");
    refused(dir.path(), Check::Merkle, "data/registry");
}

#[test]
fn what_a_sender_left_out_or_put_in_is_noticed_although_all_digests_are_right() {
    let individual = "data/registry/individual.jsonl";
    refused(rewritten(3, "data/registry/household.jsonl", |rows| drop(rows.remove(1))).path(), Check::References, individual);
    refused(
        rewritten(3, "data/registry/individual.jsonl", |rows| rows[2]["custodian_id"] = synthetic::RECIPIENT.into()).path(),
        Check::Tranche,
        individual,
    );
    refused(
        rewritten(3, individual, |rows| rows[2]["household_id"] = rows[2]["id"].clone()).path(),
        Check::References,
        individual,
    );
    refused(rewritten(3, individual, |rows| rows.insert(2, rows[1].clone())).path(), Check::Order, individual);
    refused(rewritten(3, individual, |rows| rows[2]["sex"] = Value::Null).path(), Check::Records, individual);
    refused(rewritten(3, individual, |rows| rows[2]["nickname"] = "x".into()).path(), Check::Records, individual);
    refused(
        rewritten(3, individual, |rows| drop(rows[2].as_object_mut().unwrap().remove("phone"))).path(),
        Check::Records,
        individual,
    );
    refused(rewritten(3, individual, |rows| rows[2]["sex"] = "male".into()).path(), Check::Totals, manifest::PATH);
    let household = "data/registry/household.jsonl";
    refused(rewritten(3, household, |rows| rows[0]["district"] = "RW0999".into()).path(), Check::Tranche, household);
    refused(rewritten(3, household, |rows| rows[0]["head_id"] = rows[0]["id"].clone()).path(), Check::References, household);
    refused(rewritten(3, household, |rows| rows[0]["programme_id"] = synthetic::SENDER.into()).path(), Check::Tranche, household);
    let entitlement = "data/assistance/entitlement.jsonl";
    refused(rewritten(3, "data/assistance/plan.jsonl", |rows| drop(rows.pop())).path(), Check::References, entitlement);
    let journal = "data/funding/journal.jsonl";
    refused(rewritten(3, journal, |rows| rows[0]["unit_id"] = rows[0]["event_id"].clone()).path(), Check::References, journal);
    refused(
        rewritten(3, "data/projects/project.jsonl", |rows| drop(rows.pop())).path(),
        Check::Tranche,
        "data/projects/project.jsonl",
    );
}

#[test]
fn a_ledger_that_does_not_add_up_is_noticed() {
    let (posting, balance, entry) = ("data/funding/posting.jsonl", "data/funding/balance.jsonl", "data/funding/entry.jsonl");
    refused(rewritten(3, entry, |rows| rows[8]["minor"] = 5.into()).path(), Check::Money, posting);
    refused(rewritten(3, entry, |rows| rows[8]["minor"] = 5.into()).path(), Check::Money, balance);
    refused(rewritten(3, entry, |rows| drop(rows.drain(8..10))).path(), Check::Money, posting);
    refused(rewritten(3, balance, |rows| rows[0]["minor"] = 5.into()).path(), Check::Money, balance);
    refused(rewritten(3, balance, |rows| drop(rows.remove(0))).path(), Check::Money, balance);
    refused(rewritten(3, posting, |rows| drop(rows.pop())).path(), Check::References, entry);
}

#[test]
fn a_bundle_of_a_newer_program_is_refused_in_words_that_say_so() {
    let (dir, mut handover) = unsigned(2);
    handover.version = 2;
    fs::write(dir.path().join(manifest::PATH), handover.envelope().unwrap().to_bytes().unwrap()).unwrap();
    let report = check(dir.path());
    assert!(report.text().contains("version 2 is newer than 1"), "{}", report.text());

    let (dir, mut handover) = unsigned(2);
    let file = "data/registry/consent.schema.json";
    let schema = fs::read_to_string(dir.path().join(file)).unwrap().replace("\"x-tahuka-version\":1", "\"x-tahuka-version\":2");
    fs::write(dir.path().join(file), &schema).unwrap();
    let entry = handover.services.get_mut("registry").unwrap().files.get_mut(file).unwrap();
    entry.sha256 = tahuka_bag::PayloadFile::of(file, schema.as_bytes()).sha256;
    let agreed = fs::read(dir.path().join(agreement::PATH)).unwrap();
    synthetic::close(dir.path(), &mut handover, &agreed);
    refused(dir.path(), Check::Format, file);
}

#[test]
fn a_path_that_climbs_out_is_refused_before_anything_is_read_by_it() {
    let (dir, mut handover) = unsigned(2);
    let slice = handover.services.get_mut("registry").unwrap();
    let file = slice.files.remove("data/registry/consent.jsonl").unwrap();
    slice.files.insert("data/registry/../../../etc/passwd".to_owned(), file);
    fs::write(dir.path().join(manifest::PATH), handover.envelope().unwrap().to_bytes().unwrap()).unwrap();
    refused(dir.path(), Check::Structure, manifest::PATH);
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut open = vec![root.to_owned()];
    let mut files = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() { open.push(entry) } else { files.push(entry) }
        }
    }
    files.sort();
    files
}

/// A small generator of numbers: the same ones in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

#[test]
fn of_a_thousand_bytes_that_change_each_is_noticed() {
    let dir = signed(1);
    let files = files(dir.path());
    let mut dice = Dice(20_261_125);
    let (mut refused, mut hit) = (0, std::collections::BTreeSet::new());
    for n in 0..1_000 {
        // Each file once, then at random by its size.
        let sizes: Vec<usize> = files.iter().map(|f| fs::metadata(f).unwrap().len() as usize).collect();
        let file = match files.get(n) {
            Some(file) => file,
            None => {
                let mut at = dice.below(sizes.iter().sum());
                files.iter().zip(&sizes).find(|(_, size)| at.checked_sub(**size).map(|rest| at = rest).is_none()).unwrap().0
            }
        };
        let whole = fs::read(file).unwrap();
        let (at, bits) = (dice.below(whole.len()), dice.below(255) as u8 + 1);
        let mut changed = whole.clone();
        changed[at] ^= bits;
        fs::write(file, &changed).unwrap();
        let report = check(dir.path());
        assert_eq!(report.verdict, Verdict::Refused, "byte {at} of {} ^ {bits}", file.display());
        assert!(report.faults.iter().any(|f| !f.file.is_empty()), "no place is named: {}", report.text());
        refused += 1;
        hit.insert(file);
        fs::write(file, &whole).unwrap();
    }
    assert_eq!(check(dir.path()).verdict, Verdict::Whole);
    println!("1000 single-byte changes over {} of {} files: {refused} refused", hit.len(), files.len());
}

#[test]
fn a_sample_is_drawn_by_its_seed() {
    let dir = signed(20);
    let handover = check(dir.path()).handover.unwrap();
    let drawn = sample::draw(dir.path(), &handover, 12, 7).unwrap();
    assert_eq!(drawn.len(), 12);
    for one in &drawn {
        let text = fs::read_to_string(dir.path().join(&one.file)).unwrap();
        assert_eq!(serde_json::from_str::<Value>(text.lines().nth(one.line as usize - 1).unwrap()).unwrap(), one.record);
    }
}

#[test]
fn two_bags_differ_in_what_was_changed_and_in_nothing_else() {
    let (first, second) = (signed(5), signed(5));
    assert!(tahuka_bag::diff::diff(first.path(), second.path()).unwrap().is_empty());
    let second = rewritten(5, "data/registry/individual.jsonl", |rows| {
        rows[2]["surname"] = "Other".into();
        rows.remove(7);
    });
    let found = tahuka_bag::diff::diff(first.path(), second.path()).unwrap();
    assert_eq!(found.tables.len(), 1);
    let table = &found.tables[0];
    assert_eq!((table.added, table.removed, table.changed, table.same), (0, 1, 1, 18));
    assert_eq!(table.named[0].columns, ["surname"]);
}
