//! What arrives for a record while it is sealed. An event whose effect the seal refuses is kept, with all that follow it
//! for the same unit, and has its effect in order once the seal is lifted, in the name of whoever has the unit then.

use std::sync::Arc;

use sea_orm::QueryResult;
use uuid::Uuid;

use super::moved;
use crate::clock;
use crate::consumer::{self, Consumer, Event};
use crate::refusal::Refusal;
use crate::store::{Store, Tx};

/// How often an event that is due is tried before it becomes a dead letter.
const TRIES: u32 = 5;

/// Whether a consumer must look at units at all: most of the time nothing is held and nothing has ever passed.
pub(crate) struct Care {
    held: bool,
    moved: bool,
}

/// What is to be done with an event that has come.
pub(crate) enum Due {
    Now(Event),
    /// An earlier one of its unit waits for this tranche.
    Behind(Uuid),
}

impl Care {
    pub async fn of(tx: &Tx, consumer: &str) -> Result<Self, Refusal> {
        let sql = "SELECT EXISTS (SELECT 1 FROM held_event WHERE consumer = $1) AS held, \
                   EXISTS (SELECT 1 FROM unit_custody) AS moved";
        let rows = tx.query(sql, vec![consumer.into()]).await?;
        let row = rows.first().ok_or_else(|| Refusal::internal("the store does not answer"))?;
        Ok(Care { held: row.try_get("", "held")?, moved: row.try_get("", "moved")? })
    }

    pub async fn due(&self, tx: &Tx, consumer: &str, event: &Event) -> Result<Due, Refusal> {
        if !self.held && !self.moved {
            return Ok(Due::Now(event.clone()));
        }
        let unit = event.unit();
        if self.held
            && let Some((kind, id)) = unit
        {
            let sql = "SELECT tranche_id FROM held_event WHERE consumer = $1 AND unit_kind = $2 AND unit_id = $3 LIMIT 1";
            let rows = tx.query(sql, vec![consumer.into(), kind.word().into(), id.into()]).await?;
            if let Some(row) = rows.first() {
                return Ok(Due::Behind(row.try_get("", "tranche_id")?));
            }
        }
        Ok(Due::Now(moved::as_of_now(tx, event, unit).await?))
    }
}

/// Keeps the event until the tranche's seals are lifted.
pub(crate) async fn hold(tx: &Tx, consumer: &str, event: &Event, tranche: Uuid) -> Result<(), Refusal> {
    let unit = event.unit();
    let sql = "INSERT INTO held_event (consumer, event_id, kind, custodian_id, aggregate_id, body, recorded_at, unit_kind, \
               unit_id, tranche_id, held_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING";
    let values = vec![
        consumer.into(),
        event.id.into(),
        event.kind.as_str().into(),
        event.custodian.into(),
        event.aggregate_id.into(),
        event.body.to_vec().into(),
        event.recorded_at.into(),
        unit.map(|(kind, _)| kind.word().to_owned()).into(),
        unit.map(|(_, id)| id).into(),
        tranche.into(),
        clock::now().into(),
    ];
    tx.run(sql, values).await?;
    tracing::info!(consumer, event = %event.id, kind = event.kind, %tranche, "an event waits for the end of a handover");
    Ok(())
}

/// How many events wait.
pub(crate) async fn count(store: Store) -> Result<f64, Refusal> {
    let tx = store.system("held").await?;
    let rows = tx.query("SELECT count(*) AS n FROM held_event", Vec::new()).await?;
    let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get("", "n"))?;
    #[allow(clippy::cast_precision_loss)] // Far below 2^52.
    Ok(count as f64)
}

/// An event that waits, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub consumer: String,
    pub event_id: Uuid,
    pub kind: String,
    pub tranche_id: Uuid,
}

/// In the order in which they have their effect.
pub async fn list(store: &Store) -> Result<Vec<Held>, Refusal> {
    let tx = store.system("held").await?;
    let rows = tx.query("SELECT consumer, event_id, kind, tranche_id FROM held_event ORDER BY seq", Vec::new()).await?;
    let held = |row: &QueryResult| {
        Ok(Held {
            consumer: row.try_get("", "consumer")?,
            event_id: row.try_get("", "event_id")?,
            kind: row.try_get("", "kind")?,
            tranche_id: row.try_get("", "tranche_id")?,
        })
    };
    rows.iter().map(held).collect()
}

/// The first events whose tranche is not sealed any more.
const DUE: &str = "SELECT seq, consumer, event_id, kind, custodian_id, aggregate_id, body, recorded_at FROM held_event h \
                   WHERE NOT EXISTS (SELECT 1 FROM seal s WHERE s.tranche_id = h.tranche_id) ORDER BY seq LIMIT 100";

/// Lets what waits no longer have its effect, in order; how many events did.
pub(super) async fn release(store: &Store, consumers: &[Arc<dyn Consumer>]) -> Result<usize, Refusal> {
    let tx = store.system("held").await?;
    let rows = tx.query(DUE, Vec::new()).await?;
    drop(tx);
    for row in &rows {
        let (seq, name): (i64, String) = (row.try_get("", "seq")?, row.try_get("", "consumer")?);
        let event = Event {
            id: row.try_get("", "event_id")?,
            kind: row.try_get("", "kind")?,
            custodian: row.try_get("", "custodian_id")?,
            aggregate_id: row.try_get("", "aggregate_id")?,
            recorded_at: row.try_get("", "recorded_at")?,
            body: row.try_get::<Vec<u8>>("", "body")?.into(),
        };
        let mut tries = 0;
        loop {
            match apply(store, consumers, seq, &name, &event).await {
                Ok(()) => break,
                // Another tranche has sealed it since.
                Err(Refusal::Sealed { tranche }) => {
                    let tx = store.system(&name).await?;
                    tx.run("UPDATE held_event SET tranche_id = $1 WHERE seq = $2", vec![tranche.into(), seq.into()]).await?;
                    tx.commit().await?;
                    break;
                }
                Err(refusal) if refusal.is_transient() => return Err(refusal),
                Err(refusal) => {
                    tries += 1;
                    if tries < TRIES {
                        continue;
                    }
                    let tx = store.system(&name).await?;
                    tx.run("DELETE FROM held_event WHERE seq = $1", vec![seq.into()]).await?;
                    consumer::park(&tx, &name, &event, &refusal, tries).await?;
                    tx.commit().await?;
                    break;
                }
            }
        }
    }
    Ok(rows.len())
}

async fn apply(store: &Store, consumers: &[Arc<dyn Consumer>], seq: i64, name: &str, event: &Event) -> Result<(), Refusal> {
    let mut tx = store.system(name).await?;
    // Another replica may have done it.
    if tx.run("DELETE FROM held_event WHERE seq = $1", vec![seq.into()]).await? == 0 {
        return Ok(());
    }
    let consumer = consumers.iter().find(|consumer| consumer.name() == name);
    let consumer = consumer.ok_or_else(|| Refusal::internal("nobody listens for an event that was held"))?;
    let event = moved::as_of_now(&tx, event, event.unit()).await?;
    consumer.handle(&mut tx, &event).await?;
    consumer.settle(&mut tx).await?;
    tx.commit().await
}
