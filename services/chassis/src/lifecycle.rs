//! What a process says of itself: what it waits for, whether it has started, whether it is leaving. One state, told to
//! everybody in the same words: HTTP probes, gRPC health on every port, and the services that send it calls.

use std::collections::BTreeMap;

use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

/// Names of gRPC health that stand for the process, beside those of its services.
const STARTUP: &str = "startup";
const READINESS: &str = "readiness";
const LIVENESS: &str = "liveness";

#[derive(Clone)]
pub struct Lifecycle {
    state: watch::Sender<State>,
    reporter: HealthReporter,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// What is waited for, with why.
    waits: BTreeMap<String, String>,
    started: bool,
    leaving: bool,
    /// Services of this process, by their full names.
    services: Vec<String>,
}

impl State {
    fn why_not_started(&self) -> Option<String> {
        let waits: Vec<String> = self.waits.iter().map(|(what, why)| format!("{what}: {why}")).collect();
        match (self.started, waits.is_empty()) {
            (true, _) => None,
            (false, true) => Some("starting".into()),
            (false, false) => Some(waits.join("; ")),
        }
    }

    fn why_not_ready(&self) -> Option<String> {
        if self.leaving {
            return Some("stopping".into());
        }
        let waits: Vec<String> = self.waits.iter().map(|(what, why)| format!("{what}: {why}")).collect();
        if waits.is_empty() { self.why_not_started() } else { Some(waits.join("; ")) }
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { state: watch::Sender::default(), reporter: HealthReporter::new() }
    }
}

impl Lifecycle {
    /// `what` (a service's schema, its database, the bus) is not there, and why, in words for an operator. Whether that is news.
    pub fn waits_for(&self, what: &str, why: impl Into<String>) -> bool {
        let why = why.into();
        self.change(|state| state.waits.insert(what.to_owned(), why.clone()).as_deref() != Some(&why))
    }

    /// `what` is there.
    pub fn has(&self, what: &str) {
        self.change(|state| state.waits.remove(what).is_some());
    }

    /// These services are served by this process.
    pub(crate) fn serves(&self, services: &[String]) {
        self.change(|state| {
            state.services.extend_from_slice(services);
            true
        });
    }

    /// Everything of this process runs.
    pub fn started(&self) {
        self.change(|state| !std::mem::replace(&mut state.started, true));
    }

    /// No more calls are wanted; those that come are still answered.
    pub fn leaves(&self) {
        self.change(|state| !std::mem::replace(&mut state.leaving, true));
    }

    /// Ok, or why it has not started.
    pub fn startup(&self) -> Result<(), String> {
        self.state.borrow().why_not_started().map_or(Ok(()), Err)
    }

    /// Ok, or why no calls should be sent here.
    pub fn readiness(&self) -> Result<(), String> {
        self.state.borrow().why_not_ready().map_or(Ok(()), Err)
    }

    /// gRPC health, for any port.
    pub fn health(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }

    /// Keeps gRPC health at what the state says.
    pub(crate) async fn report(self) {
        let mut states = self.state.subscribe();
        loop {
            let state = states.borrow_and_update().clone();
            let (ready, started) = (state.why_not_ready().is_none(), state.why_not_started().is_none());
            metrics::gauge!("tahuka_ready").set(if ready { 1.0 } else { 0.0 });
            let status = |good: bool| if good { ServingStatus::Serving } else { ServingStatus::NotServing };
            let own = [("", ready), (STARTUP, started), (READINESS, ready), (LIVENESS, true)];
            let services = state.services.iter().map(|service| (service.as_str(), ready));
            for (service, good) in own.into_iter().chain(services) {
                self.reporter.set_service_status(service, status(good)).await;
            }
            if states.changed().await.is_err() {
                return;
            }
        }
    }

    fn change(&self, what: impl FnOnce(&mut State) -> bool) -> bool {
        self.state.send_if_modified(what)
    }
}
