//! What an operator does with a platform, and what befalls it.

use std::process::{Command, Output};

use sea_orm::{ConnectionTrait, Database};

use super::{Form, Platform, SERVICES, new_database, production_parts};

/// A database for each service on the server that `url` names; the URL with `{service}` in it.
async fn new_databases(url: &str) -> String {
    let name = format!("tahuka_{}", uuid::Uuid::new_v4().simple());
    let server = Database::connect(url).await.expect("the test database server answers");
    for service in SERVICES {
        server.execute_unprepared(&format!("CREATE DATABASE {name}_{service}")).await.expect("a database can be made");
    }
    let (base, query) = url.split_once('?').map_or((url, String::new()), |(b, q)| (b, format!("?{q}")));
    let (server, _) = base.rsplit_once('/').expect("a database URL has a path");
    format!("{server}/{name}_{{service}}{query}")
}

impl Platform {
    /// Separate processes with a database for each service.
    pub async fn start_apart() -> Option<Platform> {
        let (server, nats) = production_parts()?;
        let url = new_databases(&server).await;
        Some(Self::on(Form::Separate, &[], false, Some((server, url, nats))).await)
    }

    /// Separate processes with a broker of their own.
    pub async fn start_with_broker(broker: &str) -> Option<Platform> {
        let (server, _) = production_parts()?;
        let url = new_database(&server).await;
        Some(Self::on(Form::Separate, &[], false, Some((server, url, broker.to_owned()))).await)
    }

    /// `kill -9` of one process, then the same process again, ready.
    pub async fn kill_and_restart(&mut self, name: &str) {
        self.kill(name);
        self.restart(name).await;
    }

    /// `kill -9` of one process.
    pub fn kill(&mut self, name: &str) {
        let at = self.processes.iter().position(|p| p.name == name).expect("a process of this name");
        self.processes[at].child.kill().expect("it can be killed");
        self.processes[at].child.wait().expect("it ends");
    }

    /// A process that was killed, again, ready.
    pub async fn restart(&mut self, name: &str) {
        let at = self.processes.iter().position(|p| p.name == name).expect("a process of this name");
        let again = self.run(name, &self.processes[at].arguments.clone());
        self.processes[at].child = again;
        self.processes[at].wait_ready().await;
    }

    /// Every process that was killed, again, on the database of this URL where one is told.
    pub async fn restart_all(&mut self, database: Option<&str>) {
        if let Some(url) = database {
            let before = self.database().expect("a platform on PostgreSQL").to_owned();
            let moved =
                |arguments: &mut Vec<String>| arguments.iter_mut().filter(|a| **a == before).for_each(|a| *a = url.to_owned());
            moved(&mut self.common);
            self.processes.iter_mut().for_each(|process| moved(&mut process.arguments));
            self.database = self.database.take().map(|(server, _)| (server, url.to_owned()));
        }
        for n in 0..self.processes.len() {
            self.processes[n].child = self.run(self.processes[n].name, &self.processes[n].arguments.clone());
        }
        for process in &mut self.processes {
            process.wait_ready().await;
        }
    }

    /// A command of an operator's, on the same databases and the same broker where its arguments say nothing else.
    pub fn command(&self, arguments: &[&str]) -> Output {
        Command::new(&self.binary).args(&self.common).args(arguments).output().expect("the binary runs")
    }

    /// A new database on the same server.
    pub async fn another_database(&self) -> Option<String> {
        let (server, _) = self.database.as_ref()?;
        Some(new_database(server).await)
    }
}
