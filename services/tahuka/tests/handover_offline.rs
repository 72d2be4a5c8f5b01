//! `tahuka handover` on the files of a bag: what it says, and the exit codes that others' scripts stand on. No server runs.

#![allow(clippy::unwrap_used)]

#[path = "../../../bag/tests/support/synthetic.rs"]
mod synthetic;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

struct Desk {
    dir: TempDir,
}

impl Desk {
    /// A bag of a few households below a folder of its own.
    fn with_bag(signed: bool) -> Self {
        let desk = Desk { dir: tempfile::tempdir().unwrap() };
        synthetic::write(&desk.path("bag"), 5);
        if signed {
            synthetic::sign(&desk.path("bag"), &[synthetic::sender_key(), synthetic::recipient_key()]);
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Exit code, and what was printed.
    fn run(&self, args: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tahuka"));
        // Nothing of this machine but the files that are named.
        let output = command.env_clear().current_dir(self.dir.path()).arg("handover").args(args).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap(), told)
    }
}

fn change_a_byte(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn the_exit_code_says_whether_a_bag_is_whole_and_signed() {
    let desk = Desk::with_bag(true);
    let (code, told) = desk.run(&["verify", "bag"]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("RESULT: WHOLE, and signed by both."), "{told}");

    let keys = [synthetic::sender_key().public().to_hex(), synthetic::recipient_key().public().to_hex()];
    let (code, told) = desk.run(&["verify", "bag", "--sender-key", &keys[0], "--recipient-key", &keys[1]]);
    assert!(code == 0 && !told.contains("Compare the fingerprints"), "{told}");
    assert_eq!(desk.run(&["verify", "bag", "--sender-key", &keys[1]]).0, 1);
    assert_eq!(desk.run(&["verify", "bag", "--expect", "4"]).0, 1);

    assert_eq!(desk.run(&["verify", "nowhere"]).0, 2);
    assert_eq!(desk.run(&["verify", "bag", "--sender-key", "nonsense"]).0, 2);
    assert_eq!(desk.run(&["verify", "bag", "--no-such-flag"]).0, 2);

    change_a_byte(&desk.path("bag/data/registry/individual.jsonl"));
    let (code, told) = desk.run(&["verify", "bag"]);
    assert!(code == 1 && told.contains("data/registry/individual.jsonl, line "), "{code}: {told}");
    assert_eq!(Desk::with_bag(false).run(&["verify", "bag"]).0, 3);
}

#[test]
fn a_program_reads_the_same_as_json_and_a_sample_is_drawn_again_by_its_seed() {
    let desk = Desk::with_bag(true);
    let (code, told) = desk.run(&["verify", "bag", "--json", "--sample", "3", "--seed", "7"]);
    let answer: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(code, 0);
    assert_eq!(answer["report"]["verdict"], "whole");
    assert_eq!(answer["sample"]["records"].as_array().unwrap().len(), 3);
    let shown = |args: &[&str]| desk.run(&[&["verify", "bag", "--sample", "3"], args].concat()).1;
    assert_eq!(shown(&["--seed", "7"]), shown(&["--seed", "7"]));
    assert_ne!(shown(&["--seed", "7"]), shown(&["--seed", "8"]));
}

#[test]
fn a_bag_goes_to_the_ministry_in_one_encrypted_file() {
    let desk = Desk::with_bag(true);
    let (code, told) = desk.run(&["keygen", "--encryption", "--out", "ministry.key"]);
    assert_eq!(code, 0, "{told}");
    let recipient = told.lines().find_map(|line| line.strip_prefix("recipient")).unwrap().trim().to_owned();
    assert_eq!(desk.run(&["pack", "bag", "--out", "bag.tar.age", "--recipient", &recipient]).0, 0);
    assert_eq!(desk.run(&["pack", "bag", "--out", "bag.tar.age"]).0, 2, "a file that is there is not written over");

    let (code, told) = desk.run(&["verify", "bag.tar.age"]);
    assert!(code == 1 && told.contains("--identity"), "{told}");
    assert_eq!(desk.run(&["verify", "bag.tar.age", "--identity", "ministry.key"]).0, 0);
    assert_eq!(desk.run(&["extract", "bag.tar.age", "--into", "out", "--identity", "ministry.key"]).0, 0);
    assert_eq!(desk.run(&["diff", "bag", "out"]), (0, "The two bundles hold the same records.\n".to_owned()));

    change_a_byte(&desk.path("bag.tar.age"));
    assert_eq!(desk.run(&["extract", "bag.tar.age", "--into", "out2", "--identity", "ministry.key"]).0, 1);
    assert_eq!(fs::read_dir(desk.path("out2")).unwrap().count(), 0, "nothing of it is left lying about");
}

#[cfg(unix)]
#[test]
fn a_key_is_made_once_and_only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::with_bag(false);
    let (code, told) = desk.run(&["keygen", "--out", "sender.pem"]);
    assert!(code == 0 && told.contains("fingerprint"), "{told}");
    assert_eq!(fs::metadata(desk.path("sender.pem")).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = fs::read(desk.path("sender.pem")).unwrap();
    assert_ne!(desk.run(&["keygen", "--out", "sender.pem"]).0, 0);
    assert_eq!(fs::read(desk.path("sender.pem")).unwrap(), kept);
}
