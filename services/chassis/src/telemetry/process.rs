//! What the process itself uses, under the names that every Prometheus client gives it. Known on Linux only.

use std::fs;

/// Unix kernels tell processor time in hundredths of a second.
const TICKS: u64 = 100;

/// Reads it anew.
pub(super) fn look() {
    if let Some(memory) = memory() {
        gauge("process_resident_memory_bytes", memory);
    }
    if let Some(seconds) = processor() {
        metrics::counter!("process_cpu_seconds_total").absolute(seconds);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        gauge("process_open_fds", open.count() as u64);
    }
    if let Some(most) = open_files_limit() {
        gauge("process_max_fds", most);
    }
}

#[allow(clippy::cast_precision_loss)] // Far below 2^52.
fn gauge(name: &'static str, value: u64) {
    metrics::gauge!(name).set(value as f64);
}

fn memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(kilobytes.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Seconds, of all threads.
fn processor() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program is in brackets, and may hold anything; then the third field begins.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().ok());
    Some(ticks.sum::<Option<u64>>()? / TICKS)
}

fn open_files_limit() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_uses_something() {
        assert!(memory().unwrap() > 1_000_000);
        assert!(open_files_limit().unwrap() > 0);
        let began = processor().unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let mut n = 0_u64;
        while processor().unwrap() == began {
            n = std::hint::black_box(n + 1);
            assert!(std::time::Instant::now() < until, "processor time does not grow");
        }
    }
}
