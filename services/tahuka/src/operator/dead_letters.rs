//! `tahuka dead-letters`: events that a consumer could not take. Works on the databases, while services run.

use clap::{Args, Subcommand};
use serde_json::json;
use tahuka_chassis::consumer::dead_letters::{self, DeadLetter, Outcome};
use tahuka_chassis::{Config, Refusal, ServiceSpec, Store};
use uuid::Uuid;

use super::table::Table;
use crate::house;

#[derive(Subcommand)]
pub enum DeadLettersCommand {
    /// What waits, in the order in which it was recorded
    List {
        #[command(flatten)]
        of: Of,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// One of them, by the event's id
    Show {
        event: Uuid,
        #[command(flatten)]
        of: Of,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Try them again, in their order: each takes effect once. Later events of the same record may have been taken since
    Replay {
        /// One event alone
        #[arg(long)]
        event: Option<Uuid>,
        #[command(flatten)]
        of: Of,
    },
    /// Give one up: its effect never comes
    Discard {
        event: Uuid,
        #[command(flatten)]
        of: Of,
    },
}

#[derive(Args)]
pub struct Of {
    /// Of this service alone
    #[arg(long)]
    service: Option<String>,
    /// Of this consumer alone
    #[arg(long)]
    consumer: Option<String>,
}

impl Of {
    async fn stores(&self, config: &Config) -> Result<Vec<(ServiceSpec, Store)>, Refusal> {
        let mut stores = Vec::new();
        for spec in house::specs(&[self.service.clone().unwrap_or_else(|| "all".to_owned())])? {
            super::there(spec.name, config)?;
            let store = Store::open(spec.name, &config.database, &config.data_dir).await?;
            stores.push((spec, store));
        }
        Ok(stores)
    }

    async fn letters(&self, config: &Config) -> Result<Vec<(Store, DeadLetter)>, Refusal> {
        let mut all = Vec::new();
        for (_, store) in self.stores(config).await? {
            let letters = dead_letters::list(&store, self.consumer.as_deref()).await?;
            all.extend(letters.into_iter().map(|letter| (store.clone(), letter)));
        }
        Ok(all)
    }

    /// All of one event: several consumers may have failed at it.
    async fn about(&self, config: &Config, event: Uuid) -> Result<Vec<(Store, DeadLetter)>, Refusal> {
        let mut found = self.letters(config).await?;
        found.retain(|(_, letter)| letter.event_id == event);
        if found.is_empty() { Err(Refusal::not_found("dead letter", event)) } else { Ok(found) }
    }
}

pub async fn run(config: &Config, command: DeadLettersCommand) -> Result<(), Refusal> {
    match command {
        DeadLettersCommand::List { of, json } => tell(&of.letters(config).await?, json),
        DeadLettersCommand::Show { event, of, json } => tell(&of.about(config, event).await?, json),
        DeadLettersCommand::Discard { event, of } => {
            for (store, letter) in of.about(config, event).await? {
                if dead_letters::discard(&store, &letter).await? {
                    println!("{} {}.{} is given up", letter.event_id, store.service(), letter.consumer);
                }
            }
            Ok(())
        }
        DeadLettersCommand::Replay { event, of } => replay(config, event, &of).await,
    }
}

async fn replay(config: &Config, event: Option<Uuid>, of: &Of) -> Result<(), Refusal> {
    let (mut tried, mut left) = (0, 0);
    for (spec, store) in of.stores(config).await? {
        let built = spec.for_command(store.clone(), config)?;
        for (letter, outcome) in dead_letters::replay(&store, &built.consumers, of.consumer.as_deref(), event).await? {
            let became = match &outcome {
                Outcome::Taken => "taken".to_owned(),
                Outcome::Failed(code) => format!("failed again: {code}"),
                Outcome::Behind(earlier) => format!("stays: the earlier event {earlier} of the same record does"),
                Outcome::NoConsumer => "stays: this consumer is no more; discard it".to_owned(),
            };
            println!("{} {}.{} {became}", letter.event_id, spec.name, letter.consumer);
            tried += 1;
            left += u32::from(outcome != Outcome::Taken);
        }
    }
    if let (0, Some(event)) = (tried, event) {
        return Err(Refusal::not_found("dead letter", event));
    }
    if left > 0 {
        return Err(Refusal::precondition(
            "DEAD_LETTERS_LEFT",
            format!("{left} of {tried} stay; the services' log says why they failed"),
        ));
    }
    Ok(())
}

fn tell(letters: &[(Store, DeadLetter)], json: bool) -> Result<(), Refusal> {
    let columns =
        &["service", "consumer", "event", "kind", "aggregate", "custodian", "error", "tries", "recorded_at", "failed_at"];
    let mut table = Table::new(columns);
    for (store, letter) in letters {
        table.row([
            json!(store.service()),
            json!(letter.consumer),
            json!(letter.event_id),
            json!(letter.kind),
            json!(letter.aggregate_id),
            json!(letter.custodian),
            json!(letter.error),
            json!(letter.tries),
            json!(letter.recorded_at.to_rfc3339()),
            json!(letter.failed_at.to_rfc3339()),
        ]);
    }
    print!("{}", if json { table.json()? } else { table.text() });
    Ok(())
}
