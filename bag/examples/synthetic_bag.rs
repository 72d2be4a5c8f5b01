//! Writes a signed bag of invented households, for a look at the format and for checks with tools of others:
//! `cargo run -p tahuka-bag --example synthetic_bag -- FOLDER [HOUSEHOLDS]`. The parties' public keys are printed.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "../tests/support/synthetic.rs"]
mod synthetic;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(folder) = args.next().map(PathBuf::from) else {
        eprintln!("synthetic_bag FOLDER [HOUSEHOLDS]");
        return ExitCode::from(2);
    };
    if folder.exists() {
        eprintln!("{} is there already", folder.display());
        return ExitCode::from(2);
    }
    synthetic::write(&folder, args.next().and_then(|n| n.parse().ok()).unwrap_or(10));
    synthetic::sign(&folder, &[synthetic::sender_key(), synthetic::recipient_key()]);
    println!("sender {}", synthetic::sender_key().public().to_hex());
    println!("recipient {}", synthetic::recipient_key().public().to_hex());
    ExitCode::SUCCESS
}
