//! What an operator asks of the parts that services stand on, before they run and while they do. Everything here only
//! looks, gives up soon, and knows counts, names of tables and times, never a person.

mod broker;
mod database;
mod security;

use std::time::Duration;

pub use broker::{Broker, Heard, Stream};
pub use database::{Backlog, DeadLetters, Migrations, Role, Server};
pub use database::{backlog, consumers, dead_letters, migrations, open, role, server};
pub use security::{runtime_roles, unguarded};

/// How long a part may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(5);
