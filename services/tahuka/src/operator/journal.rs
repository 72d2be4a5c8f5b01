//! `tahuka journal`: how far the services' journals are out, and read models made anew from them.

use clap::Subcommand;
use serde_json::json;
use tahuka_chassis::bus::stream::Stream;
use tahuka_chassis::consumer::rebuild;
use tahuka_chassis::journal::status::{self, Status};
use tahuka_chassis::{Config, Refusal, Store, clock};

use super::table::Table;
use crate::house;

#[derive(Subcommand)]
pub enum JournalCommand {
    /// For each service: how many events there are, how many wait to go out and since when, and whether the stream has the rest
    Status {
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Let the events come once more: to one service, whose read model is made anew, or to all, onto a new stream.
    /// What had its effect is passed over
    Replay {
        /// The service whose read model is forgotten first; its processes must be stopped
        #[arg(long)]
        service: Option<String>,
    },
}

/// The tables that a service makes from events alone.
fn read_model(service: &str) -> Option<&'static [&'static str]> {
    (service == "insight").then_some(tahuka_insight::READ_MODEL)
}

pub async fn run(config: &Config, command: JournalCommand) -> Result<(), Refusal> {
    match command {
        JournalCommand::Status { json } => tell(config, json).await,
        JournalCommand::Replay { service: None } => {
            let stores = stores(config).await?;
            again(&stores, stream(config).await?.as_ref()).await
        }
        JournalCommand::Replay { service: Some(service) } => remake(config, &service).await,
    }
}

async fn stores(config: &Config) -> Result<Vec<Store>, Refusal> {
    let mut stores = Vec::new();
    for spec in house::specs(&["all".to_owned()])? {
        super::there(spec.name, config)?;
        stores.push(Store::open(spec.name, &config.database, &config.data_dir).await?);
    }
    Ok(stores)
}

fn unreachable(error: impl std::fmt::Display) -> Refusal {
    Refusal::Unavailable(format!("NATS ({error})"))
}

async fn stream(config: &Config) -> Result<Option<Stream>, Refusal> {
    Stream::of(&config.nats).await.map_err(unreachable)
}

async fn remake(config: &Config, service: &str) -> Result<(), Refusal> {
    let spec = house::specs(&[service.to_owned()])?.into_iter().next();
    let (Some(spec), Some(tables)) = (spec, read_model(service)) else {
        return Err(Refusal::invalid("--service", format!("{service} has no read model: its data are its own")));
    };
    let stores = stores(config).await?;
    let Some(store) = stores.iter().find(|store| store.service() == service) else { return Ok(()) };
    let stream = stream(config).await?;
    let built = spec.for_command(store.clone(), config)?;
    let forgotten = rebuild::forget(store, &built.consumers, tables).await?;
    println!("{service}: {} rows are forgotten", forgotten.rows);
    // Where the stream has everything, the consumers read it from its first event; else it is made anew.
    if let Some(stream) = &stream
        && whole(&stores, stream).await?
    {
        for consumer in &built.consumers {
            stream.forget(&format!("{service}.{}", consumer.name())).await.map_err(unreachable)?;
        }
        println!("the stream has every event; {service} reads it from the first one when it is started");
        return Ok(());
    }
    again(&stores, stream.as_ref()).await
}

/// Whether the stream has every event that the journals have given it.
async fn whole(stores: &[Store], stream: &Stream) -> Result<bool, Refusal> {
    let Some(state) = stream.state().await.map_err(unreachable)? else { return Ok(false) };
    for store in stores {
        if !status::status(store).await?.is_in(stream, &state).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Lets every event of every journal go out once more, onto a new stream.
async fn again(stores: &[Store], stream: Option<&Stream>) -> Result<(), Refusal> {
    if let Some(stream) = stream {
        // A broker passes over what it was sent shortly before, and consumers have their places; a new stream has neither.
        stream.delete().await.map_err(unreachable)?;
    }
    let mut events = 0;
    for store in stores {
        events += status::publish_again(store).await?;
    }
    println!("{events} events go out once more, as soon as the services run");
    Ok(())
}

async fn tell(config: &Config, json: bool) -> Result<(), Refusal> {
    let stream = stream(config).await?;
    let state = match &stream {
        Some(stream) => stream.state().await.map_err(unreachable)?,
        None => None,
    };
    let mut table =
        Table::new(&["service", "events", "newest", "newest_at", "unpublished", "oldest_unpublished_seconds", "in_stream"]);
    for store in stores(config).await? {
        let told = status::status(&store).await?;
        let in_stream = match (&stream, &state) {
            (None, _) => None,
            (Some(_), None) => Some(told.events == told.unpublished),
            (Some(stream), Some(state)) => Some(told.is_in(stream, state).await?),
        };
        let Status { events, newest, newest_at, unpublished, oldest_unpublished_at, .. } = told;
        let waits = oldest_unpublished_at.map(|at| (clock::now() - at).num_seconds().max(0));
        table.row([
            json!(store.service()),
            json!(events),
            json!(newest),
            json!(newest_at.map(|at| at.to_rfc3339())),
            json!(unpublished),
            json!(waits),
            json!(in_stream),
        ]);
    }
    print!("{}", if json { table.json()? } else { table.text() });
    Ok(())
}
