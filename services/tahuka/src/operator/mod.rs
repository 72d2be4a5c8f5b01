//! The operators' command line. `tenant`, `staff` and `agreement` ask the gateway's API as somebody, as every other client
//! does; `keys` works on the files of this machine; `backup`, `restore`, `drill`, `journal` and `dead-letters` work on the
//! services' databases. Answers are a table, or JSON.

mod agreement;
mod backup;
mod dead_letters;
mod desk;
mod journal;
mod keys;
mod staff;
mod table;
mod tenant;

use tahuka_chassis::{Config, Refusal};

pub use agreement::AgreementCommand;
pub use backup::{Backup, Drill, Restore, drill, restore, run as backup};
pub use dead_letters::{DeadLettersCommand, run as dead_letters};
pub use journal::{JournalCommand, run as journal};
pub use keys::KeysCommand;
pub use staff::StaffCommand;
pub use tenant::TenantCommand;

pub async fn tenant(command: TenantCommand) -> Result<(), Refusal> {
    tenant::run(command).await
}

pub async fn staff(command: StaffCommand) -> Result<(), Refusal> {
    staff::run(command).await
}

pub async fn agreement(command: AgreementCommand) -> Result<(), Refusal> {
    agreement::run(command).await
}

pub fn keys(config: &Config, command: &KeysCommand) -> Result<(), Refusal> {
    keys::run(config, command)
}

/// Refuses where an embedded database is not there: opening it would make it.
fn there(service: &str, config: &Config) -> Result<(), Refusal> {
    let embedded = config.data_dir.join(format!("{service}.db"));
    if config.database.is_embedded() && !embedded.exists() {
        let advice = format!("{} is not there; say --data-dir or --database", embedded.display());
        return Err(Refusal::precondition("NO_DATABASE", advice));
    }
    Ok(())
}
