//! The first tenant of an installation: the platform itself, so that somebody can create the others.

use tahuka_chassis::{Refusal, Store, TenantKind, Tx, edge, ids};

use crate::staff::role::PLATFORM_OPERATOR;
use crate::staff::{Kind, StaffMember, store as staff};
use crate::tenant::identity_provider::{ClaimMapping, IdentityProvider, Keys};
use crate::tenant::store::{self as tenant, provider};
use crate::tenant::{Slug, State, Tenant};

const SLUG: &str = "platform";

/// Whose word the installation trusts to begin with, and who it makes platform operator.
#[derive(Debug, Clone)]
pub struct PlatformIssuer {
    pub issuer: String,
    pub audience: String,
    /// The public keys, or in their place where they are fetched.
    pub jwks_json: String,
    pub jwks_uri: String,
    /// The signature algorithms that its tokens may carry. Empty: all that the keys can verify.
    pub algorithms: Vec<String>,
    pub subject: String,
}

/// Makes sure of the platform's tenant, issuer and operator. At each start: what is there stays,
/// and the issuer gets the keys and the audience told now. An operator who was removed stays
/// removed.
pub async fn bootstrap(store: &Store, platform: &PlatformIssuer) -> Result<(), Refusal> {
    let keys = Keys::parse(&platform.jwks_json, &platform.jwks_uri)?;
    let algorithms = match platform.algorithms.as_slice() {
        [] => keys.algorithms().to_vec(),
        names => keys.choose("platform.algorithms", names)?,
    };
    let issuer = edge::text("issuer", &platform.issuer, 500)?;
    let audience = edge::text("audience", &platform.audience, 500)?;
    let subject = edge::text("subject", &platform.subject, 500)?;

    let tx = store.system("bootstrap").await?;
    let tenant = platform_tenant(&tx).await?;
    let wanted = IdentityProvider {
        id: ids::new_id(),
        tenant_id: tenant.id,
        issuer,
        audience,
        keys,
        algorithms,
        claims: ClaimMapping::default(),
    };
    match provider::by_issuer(&tx, &wanted.issuer).await? {
        None => {
            provider::insert(&tx, wanted).await?;
        }
        Some(known) if known.tenant_id != tenant.id => {
            let advice = "the platform's issuer speaks for another tenant already; configure one of its own";
            return Err(Refusal::conflict("ISSUER_TAKEN", advice));
        }
        Some(known) => {
            let claims = known.claims()?;
            provider::renew(&tx, known, IdentityProvider { claims, ..wanted }).await?;
        }
    }
    if !staff::known(&tx, tenant.id, &subject).await? {
        let roles = vec![PLATFORM_OPERATOR.to_owned()];
        let (id, tenant_id) = (ids::new_id(), tenant.id);
        let member = StaffMember { id, tenant_id, subject, kind: Kind::Person, roles, districts: Vec::new() };
        staff::add(&tx, member).await?;
    }
    tx.commit().await
}

async fn platform_tenant(tx: &Tx) -> Result<tenant::Model, Refusal> {
    let slug = Slug::parse(SLUG).ok_or_else(|| Refusal::internal("platform slug"))?;
    match tenant::by_slug(tx, &slug).await? {
        Some(found) if found.kind()? == TenantKind::Platform => Ok(found),
        Some(_) => Err(Refusal::conflict("SLUG_TAKEN", "the slug `platform` belongs to another kind of tenant")),
        None => {
            let name = "Platform".to_owned();
            let new = Tenant { id: ids::new_id(), name, kind: TenantKind::Platform, slug, state: State::Active };
            tenant::insert(tx, new).await
        }
    }
}
