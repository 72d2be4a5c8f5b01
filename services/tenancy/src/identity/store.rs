//! Reads across tenants, to say what one subject may do: as the house itself, in one transaction.

use tahuka_chassis::{Caller, Refusal, Store, Tx, clock};

use super::{Identity, scope};
use crate::agreement::store as agreement;
use crate::staff::{role, store as staff};
use crate::tenant::State;
use crate::tenant::store::{self as tenant, provider};

/// The subject behind a token of `issuer`. Why it is not found is not told.
pub async fn resolve(store: &Store, issuer: &str, subject: &str) -> Result<Identity, Refusal> {
    let unknown = || Refusal::not_found("identity", None);
    let tx = read(store).await?;
    let provider = provider::by_issuer(&tx, issuer).await?.ok_or_else(unknown)?;
    let tenant = tenant::get(&tx, provider.tenant_id).await?;
    if tenant.state()? != State::Active {
        return Err(unknown());
    }
    let member = staff::by_subject(&tx, tenant.id, subject).await?.ok_or_else(unknown)?;
    let permissions = role::permissions(&staff::catalogue(&tx).await?, &member.roles);
    let today = clock::today();
    let agreements = agreement::in_force(&tx, tenant.id, today).await?;
    Ok(Identity {
        tenant_id: tenant.id,
        tenant_kind: tenant.kind()?,
        permissions,
        scope: scope(tenant.id, &member.districts, &agreements, today),
        roles: member.roles,
        districts: member.districts,
    })
}

pub async fn providers(store: &Store) -> Result<Vec<provider::Model>, Refusal> {
    provider::active(&read(store).await?).await
}

async fn read(store: &Store) -> Result<Tx, Refusal> {
    store.read(&Caller::system("identity")).await
}
