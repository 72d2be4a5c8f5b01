//! What the one who watches sees: a heading for each part, a bar with its rate for each step. Where standard error is no
//! terminal, plain lines.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::files::values::grouped;

pub struct Progress {
    started: Instant,
    terminal: bool,
}

pub struct Bar {
    label: String,
    started: Instant,
    count: u64,
    bar: ProgressBar,
}

impl Progress {
    pub fn start() -> Self {
        Progress { started: Instant::now(), terminal: std::io::stderr().is_terminal() }
    }

    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    pub fn heading(&self, text: &str) {
        eprintln!("[{:>5.1} s] {text}", self.seconds());
    }

    pub fn note(&self, text: &str) {
        eprintln!("            {text}");
    }

    /// A wait for what comes by itself.
    pub fn wait(&self, label: &str) -> Wait {
        let bar = if self.terminal { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        bar.set_message(label.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Wait { label: label.to_owned(), started: Instant::now(), bar }
    }

    /// A step over `total` things.
    pub fn step(&self, label: &str, total: usize) -> Bar {
        let bar = if self.terminal { ProgressBar::new(total as u64) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("            {msg:<28} {bar:32} {human_pos}/{human_len} {per_sec}") {
            bar.set_style(style);
        }
        bar.set_message(label.to_owned());
        Bar { label: label.to_owned(), started: Instant::now(), count: 0, bar }
    }
}

pub struct Wait {
    label: String,
    started: Instant,
    bar: ProgressBar,
}

impl Wait {
    pub fn end(self) {
        self.bar.finish_and_clear();
        eprintln!("            {:<28} {:>8} in {:.1} s", self.label, "", self.started.elapsed().as_secs_f64());
    }
}

impl Bar {
    pub fn add(&mut self, count: usize) {
        self.count += count as u64;
        self.bar.set_position(self.count);
    }

    pub fn reach(&mut self, count: u64) {
        self.count = count;
        self.bar.set_position(count);
    }

    /// Ends the step; how many seconds it took. A step over nothing is not worth a line.
    pub fn end(self) -> f64 {
        let seconds = self.started.elapsed().as_secs_f64();
        self.bar.finish_and_clear();
        if self.count == 0 {
            return seconds;
        }
        let rate =
            if seconds > 0.0 && self.count > 1 { format!(" ({:.0}/s)", self.count as f64 / seconds) } else { String::new() };
        eprintln!("            {:<28} {:>8} in {seconds:.1} s{rate}", self.label, grouped(self.count));
        seconds
    }
}
