//! The operators' command line. `tenant`, `staff`, `agreement`, `handover` and `apply` ask the gateway's API as somebody, as every other
//! client does; `keys` and `secrets` work on the files of this machine; `backup`, `restore`, `drill`, `journal` and
//! `dead-letters` work on the services' databases; `doctor` and `support-bundle` look at all of it. Answers are a table, or
//! JSON.

mod agreement;
mod apply;
mod backup;
mod dead_letters;
mod desk;
mod doctor;
pub mod handover;
mod health;
mod journal;
mod keys;
mod reference;
mod secrets;
mod staff;
mod support;
mod table;
mod tenant;

use tahuka_chassis::{Config, Refusal};

pub use agreement::AgreementCommand;
pub use apply::Options as ApplyOptions;
pub use backup::{Backup, Drill, Restore, drill, restore, run as backup};
pub use dead_letters::{DeadLettersCommand, run as dead_letters};
pub use doctor::Options as DoctorOptions;
pub use handover::{HandoverCommand, run as handover};
pub use health::Options as HealthOptions;
pub use journal::{JournalCommand, run as journal};
pub use keys::KeysCommand;
pub use reference::markdown as reference;
pub use secrets::SecretsCommand;
pub use staff::StaffCommand;
pub use support::Options as SupportOptions;
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

pub fn secrets(command: &SecretsCommand) -> Result<(), Refusal> {
    secrets::run(command)
}

pub async fn health(options: &HealthOptions) -> Result<(), Refusal> {
    health::run(options).await
}

pub async fn doctor(load: impl FnOnce() -> Result<Config, Refusal>, options: DoctorOptions) -> Result<(), Refusal> {
    doctor::run(load, options).await
}

pub async fn apply(options: ApplyOptions) -> Result<(), Refusal> {
    apply::run(options).await
}

pub async fn support_bundle(config: Config, options: &SupportOptions) -> Result<(), Refusal> {
    support::run(config, options).await
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
