//! The operators' command line. `tenant`, `staff` and `agreement` ask the gateway's API as somebody, as every other client
//! does; `keys` works on the files of this machine. Answers are a table, or JSON.

mod agreement;
mod desk;
mod keys;
mod staff;
mod table;
mod tenant;

use tahuka_chassis::{Config, Refusal};

pub use agreement::AgreementCommand;
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
