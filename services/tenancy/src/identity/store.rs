//! Reads across tenants, to say what one subject may do: as the house itself, in one transaction.

use tahuka_chassis::{Caller, Refusal, Store, Tx, clock};

use super::{Granted, Identity, Told, scope};
use crate::agreement::store as agreement;
use crate::staff::{Kind, role, store as staff};
use crate::tenant::State;
use crate::tenant::store::{self as tenant, provider};

/// Whom a token of `issuer` speaks for. Why somebody is not found is not told.
pub async fn resolve(store: &Store, issuer: &str, told: &Told) -> Result<Identity, Refusal> {
    let unknown = || Refusal::not_found("identity", None);
    let tx = read(store).await?;
    let provider = provider::by_issuer(&tx, issuer).await?.ok_or_else(unknown)?;
    let mapping = provider.claims()?;
    let tenant = tenant::get(&tx, provider.tenant_id).await?;
    if tenant.state()? != State::Active {
        return Err(unknown());
    }
    let (subject, kinds) = told.whom(&mapping);
    if subject.is_empty() {
        return Err(unknown());
    }
    let catalogue = staff::catalogue(&tx).await?;
    let (kind, granted) = match staff::by_subject(&tx, tenant.id, subject).await? {
        // Who was removed is known, and is not let in by a token's word.
        Some(row) if row.removed_at.is_some() => return Err(unknown()),
        Some(row) => {
            let member = row.member()?;
            (member.kind, Granted { roles: member.roles, districts: member.districts })
        }
        None if mapping.trust_roles => {
            let kind = if kinds == [Kind::Workload] { Kind::Workload } else { Kind::Person };
            let roles = role::open(&catalogue, tenant.kind()?, &told.roles);
            (kind, Granted { roles, districts: Vec::new() })
        }
        None => return Err(unknown()),
    };
    if !kinds.contains(&kind) {
        return Err(unknown());
    }
    let granted = granted.narrowed(&mapping, told).ok_or_else(unknown)?;
    let today = clock::today();
    let agreements = agreement::in_force(&tx, tenant.id, today).await?;
    Ok(Identity {
        subject: subject.to_owned(),
        kind,
        tenant_id: tenant.id,
        tenant_kind: tenant.kind()?,
        permissions: role::permissions(&catalogue, &granted.roles),
        scope: scope(tenant.id, &granted.districts, &agreements, today),
        roles: granted.roles,
        districts: granted.districts,
    })
}

pub async fn providers(store: &Store) -> Result<Vec<provider::Model>, Refusal> {
    provider::active(&read(store).await?).await
}

async fn read(store: &Store) -> Result<Tx, Refusal> {
    store.read(&Caller::system("identity")).await
}
