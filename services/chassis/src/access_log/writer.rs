//! The one writer of a service's access log in this process. Answers that come at once share a transaction: a read
//! costs a part of a commit.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::{Access, store};
use crate::refusal::Refusal;
use crate::store::Store;

/// Answers that share a transaction, at most.
const MOST: usize = 256;
const TRIES: u32 = 4;

struct Waiting {
    access: Access,
    written: oneshot::Sender<bool>,
}

#[derive(Clone)]
pub(crate) struct AccessLog {
    waiting: mpsc::Sender<Waiting>,
}

impl AccessLog {
    /// The log of the service whose store this is. It writes for as long as somebody has it.
    pub fn of(store: Store) -> Self {
        let (waiting, queue) = mpsc::channel(4 * MOST);
        tokio::spawn(run(store, queue));
        AccessLog { waiting }
    }

    /// Returns when the access is on disk.
    pub async fn write(&self, access: Access) -> Result<(), Refusal> {
        let (written, told) = oneshot::channel();
        let sent = self.waiting.send(Waiting { access, written }).await.is_ok();
        match sent && told.await.unwrap_or(false) {
            true => Ok(()),
            false => Err(Refusal::Unavailable("the access log".into())),
        }
    }
}

async fn run(store: Store, mut queue: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, MOST).await > 0 {
        let (accesses, waiting): (Vec<_>, Vec<_>) = batch.drain(..).map(|w| (w.access, w.written)).unzip();
        let written = append(&store, &accesses).await;
        metrics::counter!("tahuka_access_log_rows_total", "service" => store.service(), "written" => written.to_string())
            .increment(accesses.len() as u64);
        for told in waiting {
            let _ = told.send(written);
        }
    }
}

async fn append(store: &Store, accesses: &[Access]) -> bool {
    let mut pause = Duration::from_millis(20);
    for tried in 1..=TRIES {
        match store::append(store, accesses).await {
            Ok(()) => return true,
            Err(refusal) if refusal.is_transient() && tried < TRIES => tokio::time::sleep(pause).await,
            Err(refusal) => {
                tracing::error!(service = store.service(), error = %refusal, "the access log is not written; answers are held back");
                return false;
            }
        }
        pause *= 2;
    }
    false
}
