//! `tahuka keys`: the keys that passports are signed with, changed while everything runs. Works on the files that the
//! gateway and the services read.

use chrono::Duration;
use clap::{Subcommand, ValueEnum};
use serde_json::json;
use tahuka_chassis::passport::{Held, Ring};
use tahuka_chassis::{Config, Refusal};

use super::table::Table;

#[derive(Subcommand)]
pub enum KeysCommand {
    /// The keys that are trusted, the one that signs first
    List {
        which: Which,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Make the next key: trusted at once, it signs after the grace time
    Rotate {
        which: Which,
        /// Seconds for every service to have read the new key; copy `*.pub` where services have directories of their own
        #[arg(long, default_value_t = 60)]
        grace: u32,
    },
    /// End the trust in every key but the one that signs
    Retire {
        which: Which,
        /// Also while passports of the old key are about: when it has been disclosed
        #[arg(long)]
        at_once: bool,
    },
}

/// Whose keys.
#[derive(Clone, Copy, ValueEnum)]
pub enum Which {
    Passport,
}

pub fn run(config: &Config, command: &KeysCommand) -> Result<(), Refusal> {
    let ring = Ring::of(config)?;
    match command {
        KeysCommand::List { which: Which::Passport, json } => {
            let table = table(&ring.held()?);
            print!("{}", if *json { table.json()? } else { table.text() });
        }
        KeysCommand::Rotate { which: Which::Passport, grace } => {
            ring.rotate(Duration::seconds(i64::from(*grace)))?;
            print!("{}", table(&ring.held()?).text());
        }
        KeysCommand::Retire { which: Which::Passport, at_once } => {
            for key_id in ring.retire(*at_once)? {
                println!("{key_id} is trusted no more");
            }
        }
    }
    Ok(())
}

fn table(held: &[Held]) -> Table {
    let mut table = Table::new(&["key_id", "signs", "signs_from"]);
    for key in held {
        table.row([json!(key.key_id), json!(key.signs), json!(key.signs_from.map(|at| at.to_rfc3339()))]);
    }
    table
}
