//! The NATS server, and what the stream has of the journals.

use tahuka_chassis::inspect::{self, Broker};
use tahuka_chassis::{Config, Refusal, ServiceSpec, Store};

use super::Findings;

/// Events that may wait for a consumer before somebody should look.
const MANY: u64 = 10_000;
const ALL: [&str; 3] = ["nats-reach", "nats-streams", "nats-replicas"];

/// The broker, if it answers and keeps streams.
pub async fn check(findings: &mut Findings, config: &Config) -> Option<Broker> {
    let broker = match Broker::connect(&config.nats).await {
        Ok(Some(broker)) => broker,
        Ok(None) => {
            ALL.iter().for_each(|id| findings.skipped(id, "", "the bus is in the process"));
            return None;
        }
        Err(e) => {
            findings.fail("nats-reach", "", e.to_string(), "see that the server runs, and that nats.url is right");
            ALL[1..].iter().for_each(|id| findings.skipped(id, "", "the server does not answer"));
            return None;
        }
    };
    findings.ok("nats-reach", "", format!("nats-server {}", broker.version()));
    if let Err(why) = broker.keeps_streams().await {
        findings.fail("nats-streams", "", why, "start the server with JetStream, and let this account use it");
        findings.skipped("nats-replicas", "", "there are no streams");
        return None;
    }
    findings.ok("nats-streams", "", "JetStream is on");
    replicas(findings, &broker, config.nats.replicas).await;
    Some(broker)
}

async fn replicas(findings: &mut Findings, broker: &Broker, wanted: usize) {
    let servers = broker.servers();
    if servers < wanted {
        let found = format!("{wanted} are asked for, and the cluster tells of {servers} servers");
        let advice = "set nats.replicas to the size of the cluster, 3 at most";
        return findings.fail("nats-replicas", "", found, advice);
    }
    match broker.stream().await {
        Err(e) => findings.fail("nats-replicas", "", e.to_string(), "let this account read the stream"),
        Ok(None) => findings.ok("nats-replicas", "", format!("{wanted} can be had; the first process makes the stream")),
        Ok(Some(stream)) if !stream.on_disk => {
            findings.fail("nats-replicas", "", "the stream is in memory", "remove it; a process makes it again, on disk");
        }
        Ok(Some(stream)) if stream.replicas != wanted => {
            let found = format!("the stream has {}, and {wanted} are asked for", stream.replicas);
            findings.warn("nats-replicas", "", found, "`nats stream edit` changes the stream's replicas");
        }
        Ok(Some(stream)) if stream.current < stream.replicas => {
            let found = format!("{} of {} are up to date", stream.current, stream.replicas);
            findings.warn("nats-replicas", "", found, "look at the NATS cluster");
        }
        Ok(Some(stream)) => findings.ok("nats-replicas", "", format!("{} of {}", stream.current, stream.replicas)),
    }
}

/// What the stream has of a service's journal, and who hears it.
pub async fn events(findings: &mut Findings, broker: Option<&Broker>, spec: &ServiceSpec, store: &Store, config: &Config) {
    let service = spec.name;
    let Some(broker) = broker else {
        let why = if config.nats.server().is_ok_and(|url| url.is_none()) {
            "the bus is in the process"
        } else {
            "NATS does not answer"
        };
        findings.skipped("journal-in-stream", service, why);
        findings.skipped("consumers-listen", service, why);
        return;
    };
    if let Err(e) = held(findings, broker, store).await {
        findings.fail("journal-in-stream", service, e.to_string(), "see that the schema is current and the stream can be read");
    }
    let consumers = match inspect::consumers(spec, store, config) {
        Ok(consumers) => consumers,
        Err(e) => return findings.fail("consumers-listen", service, e.to_string(), "mend the configuration"),
    };
    for consumer in consumers {
        let subject = consumer.as_str();
        match broker.heard(subject).await {
            Err(e) => findings.fail("consumers-listen", subject, e.to_string(), "let this account read the stream's consumers"),
            Ok(None) => findings.fail("consumers-listen", subject, "has never listened", "start the service"),
            Ok(Some(heard)) if heard.pending > MANY => {
                findings.warn("consumers-listen", subject, format!("{} events wait for it", heard.pending), "look at its log");
            }
            Ok(Some(heard)) => {
                findings.ok("consumers-listen", subject, format!("{} wait, {} in hand", heard.pending, heard.in_hand));
            }
        }
    }
}

async fn held(findings: &mut Findings, broker: &Broker, store: &Store) -> Result<(), Refusal> {
    let service = store.service();
    let Some((place, event)) = inspect::backlog(store).await?.on_the_bus else {
        findings.ok("journal-in-stream", service, "no event has been told yet");
        return Ok(());
    };
    match broker.holds(place, event).await {
        Ok(true) => findings.ok("journal-in-stream", service, format!("has it, in place {place}")),
        Ok(false) => {
            let advice = "the running service sends again what is lost, within half a minute; look again then";
            findings.fail("journal-in-stream", service, format!("does not have it in place {place}"), advice);
        }
        Err(e) => findings.fail("journal-in-stream", service, e.to_string(), "let this account read the stream"),
    }
    Ok(())
}
