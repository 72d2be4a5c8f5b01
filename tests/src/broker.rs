//! A NATS server of a test's own, for what no test may do to a server that it shares.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::platform::{free_port, production_parts};

pub struct Broker {
    server: String,
    port: u16,
    store: TempDir,
    child: Child,
}

impl Broker {
    /// None where the test run has not been given a server to start.
    pub fn start() -> Option<Broker> {
        production_parts()?;
        let server = std::env::var("TAHUKA_TEST_NATS_SERVER").expect("`make test` says where the NATS server is");
        let (port, store) = (free_port(), TempDir::new().expect("a directory"));
        let child = run(&server, port, &store);
        Some(Broker { server, port, store, child })
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// `kill -9`, then the same server on the same store.
    pub fn kill_and_restart(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
        self.child = run(&self.server, self.port, &self.store);
    }

    /// Stopped, its store deleted, and started again with nothing in it.
    pub fn lose_everything(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
        self.store = TempDir::new().expect("a directory");
        self.child = run(&self.server, self.port, &self.store);
    }
}

fn run(server: &str, port: u16, store: &TempDir) -> Child {
    let mut command = Command::new(server);
    command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"]).arg(store.path());
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the NATS server starts");
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "the NATS server does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    child
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
