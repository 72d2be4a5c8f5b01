//! All SQL of the inbox and the dead letters.

use uuid::Uuid;

use super::Event;
use crate::clock;
use crate::refusal::Refusal;
use crate::store::Tx;

/// Whether `consumer` sees this event for the first time; remembers it with the transaction.
pub(super) async fn first_time(tx: &Tx, consumer: &str, event: Uuid) -> Result<bool, Refusal> {
    let sql = "INSERT INTO inbox (consumer, event_id, handled_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    Ok(tx.run(sql, vec![consumer.into(), event.into(), clock::now().into()]).await? == 1)
}

pub(super) async fn park(tx: &Tx, consumer: &str, event: &Event, error: &str, tries: u32) -> Result<(), Refusal> {
    let sql = "INSERT INTO dead_letter (consumer, event_id, kind, custodian_id, aggregate_id, body, error, tries, recorded_at, failed_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING";
    let values = vec![
        consumer.into(),
        event.id.into(),
        event.kind.as_str().into(),
        event.custodian.into(),
        event.aggregate_id.into(),
        event.body.to_vec().into(),
        error.into(),
        i64::from(tries).into(),
        event.recorded_at.into(),
        clock::now().into(),
    ];
    tx.run(sql, values).await?;
    Ok(())
}
