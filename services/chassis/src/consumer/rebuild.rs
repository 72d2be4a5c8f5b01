//! A read model made anew from the journals: what it holds and what its service has taken is forgotten, in one
//! transaction, while none of its consumers listens. Then every event is to come once more.

use std::sync::Arc;

use super::{Consumer, store};
use crate::bus::Turn;
use crate::refusal::Refusal;
use crate::store::Store;

/// Nobody of the service listens while it is there.
pub struct Forgotten {
    #[allow(dead_code)] // Held, not read.
    turns: Vec<Box<dyn Turn>>,
    /// The rows that were removed.
    pub rows: u64,
}

/// Refused while a process of the service listens: an event that came in between would be counted on its own.
pub async fn forget(store: &Store, consumers: &[Arc<dyn Consumer>], tables: &[&str]) -> Result<Forgotten, Refusal> {
    let service = store.service();
    let mut turns = Vec::new();
    for consumer in consumers {
        let turn = store::turn(store, consumer.name()).await.map_err(|e| Refusal::Unavailable(format!("the store ({e})")))?;
        let advice = || format!("{service} is running; stop its processes, replay, and start them again");
        turns.push(turn.ok_or_else(|| Refusal::precondition("RUNNING", advice()))?);
    }
    let tx = store.system("rebuild").await?;
    let mut rows = 0;
    for table in tables.iter().chain(&["inbox", "dead_letter"]) {
        rows += tx.run(&format!("DELETE FROM {table}"), Vec::new()).await?;
    }
    tx.commit().await?;
    Ok(Forgotten { turns, rows })
}
