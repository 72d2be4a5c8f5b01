//! The embedded default: publishing returns when every consumer has taken the events, so the
//! journal's unpublished rows are all the durability that is needed.

use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use futures::future::join_all;
use uuid::Uuid;

use super::{Bus, BusError, Envelope, Subscription, Waiting};

#[derive(Default)]
pub struct InProcessBus {
    subscriptions: RwLock<Vec<Arc<Subscription>>>,
}

#[async_trait]
impl Bus for InProcessBus {
    async fn publish(&self, events: &[Envelope]) -> Result<Vec<Option<u64>>, BusError> {
        let listening = self.subscriptions.read().map_err(BusError::of)?.clone();
        join_all(listening.iter().map(|subscription| async move {
            let heard: Vec<_> = events.iter().filter(|e| subscription.kinds.contains(&e.kind.as_str())).cloned().collect();
            if !heard.is_empty() {
                subscription.handler.deliver(&heard).await;
            }
        }))
        .await;
        Ok(vec![None; events.len()])
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<(), BusError> {
        self.subscriptions.write().map_err(BusError::of)?.push(Arc::new(subscription));
        Ok(())
    }

    /// It keeps nothing, and gives no places.
    async fn holds(&self, _: u64, _: Uuid) -> Result<bool, BusError> {
        Ok(true)
    }

    /// What waits, waits in the journals.
    async fn waiting(&self, _: &str) -> Result<Option<Waiting>, BusError> {
        Ok(None)
    }

    fn system(&self) -> &'static str {
        "in_process"
    }
}
