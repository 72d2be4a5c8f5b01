//! `tahuka keys`: the keys of passports, page tokens and pseudonyms, changed while everything runs. Works on the files
//! that the gateway and the services read.

use chrono::Duration;
use clap::{Subcommand, ValueEnum};
use serde_json::json;
use tahuka_chassis::passport::Ring;
use tahuka_chassis::{Config, Refusal, SeedRing};

use super::table::Table;

#[derive(Subcommand)]
pub enum KeysCommand {
    /// The keys that are held, the one in use first
    List {
        which: Which,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Make the next key: known at once, it is used after the grace time. With the next key of pseudonyms everybody has a
    /// new one for each recipient; the old ones are understood until that key is retired
    Rotate {
        which: Which,
        /// Seconds for every service to have read the new key; copy the files where services have directories of their own
        #[arg(long, default_value_t = 60)]
        grace: u32,
    },
    /// End every key but the one in use: what they made is not understood any more
    Retire {
        which: Which,
        /// Also while something that the old key made is about: when it has been disclosed
        #[arg(long)]
        at_once: bool,
    },
}

/// Whose keys.
#[derive(Clone, Copy, ValueEnum)]
pub enum Which {
    /// What the gateway signs callers' passports with
    Passport,
    /// What page tokens are sealed with
    Page,
    /// What people's pseudonyms are made with
    Pseudonym,
}

impl Which {
    /// None: passports, whose keys come in pairs.
    fn seeds(self, config: &Config) -> Option<SeedRing> {
        match self {
            Which::Passport => None,
            Which::Page => Some(SeedRing::of_pages(config)),
            Which::Pseudonym => Some(SeedRing::of_pseudonyms(config)),
        }
    }
}

pub fn run(config: &Config, command: &KeysCommand) -> Result<(), Refusal> {
    match command {
        KeysCommand::List { which, json } => {
            let table = held(config, *which)?;
            print!("{}", if *json { table.json()? } else { table.text() });
        }
        KeysCommand::Rotate { which, grace } => {
            let grace = Duration::seconds(i64::from(*grace));
            match which.seeds(config) {
                Some(ring) => ring.rotate(grace)?,
                None => Ring::of(config)?.rotate(grace).map(|_| ())?,
            }
            print!("{}", held(config, *which)?.text());
        }
        KeysCommand::Retire { which, at_once } => {
            let retired = match which.seeds(config) {
                Some(ring) => ring.retire(*at_once)?,
                None => Ring::of(config)?.retire(*at_once)?,
            };
            for key_id in retired {
                println!("{key_id} is trusted no more");
            }
        }
    }
    Ok(())
}

fn held(config: &Config, which: Which) -> Result<Table, Refusal> {
    if let Some(ring) = which.seeds(config) {
        let mut table = Table::new(&["key_id", "used", "used_from"]);
        for key in ring.held()? {
            table.row([json!(key.key_id), json!(key.used), json!(key.used_from.map(|at| at.to_rfc3339()))]);
        }
        return Ok(table);
    }
    let mut table = Table::new(&["key_id", "signs", "signs_from"]);
    for key in Ring::of(config)?.held()? {
        table.row([json!(key.key_id), json!(key.signs), json!(key.signs_from.map(|at| at.to_rfc3339()))]);
    }
    Ok(table)
}
