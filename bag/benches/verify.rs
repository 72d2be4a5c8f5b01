//! A bag of 70,000 households with their histories: how long it takes to verify, as a ratio to `sha256sum` over the same
//! files in the same run, and how much memory. `TAHUKA_BENCH_HOUSEHOLDS` takes another number.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "../tests/support/synthetic.rs"]
mod synthetic;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use tahuka_bag::verify::{Options, Verdict, verify};

/// How much longer than `sha256sum` a verification may take.
const GOAL: f64 = 3.0;
const ROUNDS: usize = 3;

fn main() -> ExitCode {
    // The peak is measured in a process that does nothing but verify.
    if let Some(root) = std::env::args().skip_while(|arg| arg != "--verify").nth(1) {
        return verify_alone(Path::new(&root));
    }
    let households: u64 = std::env::var("TAHUKA_BENCH_HOUSEHOLDS").ok().and_then(|n| n.parse().ok()).unwrap_or(70_000);
    let dir = tempfile::tempdir().unwrap();
    let started = Instant::now();
    synthetic::write(dir.path(), households);
    synthetic::sign(dir.path(), &[synthetic::sender_key(), synthetic::recipient_key()]);
    println!("{households} households written in {:.1} s", started.elapsed().as_secs_f64());

    let files = files(dir.path());
    let mut hashed = Vec::new();
    let mut verified = Vec::new();
    let mut peak = 0;
    // In turns, so that what else the machine does falls on both.
    for _ in 0..ROUNDS {
        hashed.push(timed(|| sha256sum(&files)));
        let mut told = String::new();
        verified.push(timed(|| told = alone(dir.path())));
        println!("{}", told.trim());
        peak = peak.max(told.split_whitespace().last().and_then(|n| n.parse().ok()).unwrap_or(0));
    }
    let (hashed, verified) = (median(&mut hashed), median(&mut verified));
    let ratio = verified / hashed;
    println!(
        "sha256sum {hashed:.2} s, verify {verified:.2} s: ratio {ratio:.2} (at most {GOAL}); peak memory {} MiB",
        peak / 1024
    );
    if ratio <= GOAL { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn verify_alone(root: &Path) -> ExitCode {
    let report = verify(root, &Options::default());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or("0")
        .trim()
        .trim_end_matches(" kB")
        .trim()
        .to_owned();
    println!("  {} records, {} bytes; peak in KiB: {peak}", report.records, report.bytes);
    if report.verdict == Verdict::Whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn alone(root: &Path) -> String {
    let output = Command::new(std::env::current_exe().unwrap()).arg("--verify").arg(root).output().unwrap();
    assert!(output.status.success(), "the bag is not whole");
    String::from_utf8(output.stdout).unwrap()
}

fn sha256sum(files: &[PathBuf]) {
    let status = Command::new("sha256sum").args(files).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
}

fn timed(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64()
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut open = vec![root.to_owned()];
    let mut files = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() { open.push(entry) } else { files.push(entry) }
        }
    }
    files
}
