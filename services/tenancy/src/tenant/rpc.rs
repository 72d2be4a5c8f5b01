//! The edge of tenants.

use prost_types::FieldMask;
use tahuka_chassis::{Caller, Once, Page, Refusal, Store, TenantKind, edge, ids};
use tahuka_proto::tenancy::v1::tenant_service_server::{TenantService, TenantServiceServer};
use tahuka_proto::tenancy::v1::{self as proto, *};
use tonic::{Request, Response, Status};

use super::identity_provider::{ClaimMapping, IdentityProvider, Keys};
use super::{Command, Slug, State, Tenant, store};

pub fn server(store: Store) -> TenantServiceServer<Tenants> {
    TenantServiceServer::new(Tenants { store })
}

pub struct Tenants {
    store: Store,
}

#[tonic::async_trait]
impl TenantService for Tenants {
    async fn create_tenant(&self, request: Request<CreateTenantRequest>) -> Result<Response<CreateTenantResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let tenant = Tenant {
            id: ids::new_id(),
            name: edge::text("name", &request.name, 200)?,
            kind: kind(request.kind)?.ok_or_else(|| Refusal::invalid("kind", "must be given"))?,
            slug: Slug::parse(&request.slug)
                .ok_or_else(|| Refusal::invalid("slug", "must be 2 to 40 lower-case letters, digits and inner hyphens"))?,
            state: State::Active,
        };

        let tx = match self.store.begin_once(&caller, "CreateTenant", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::insert(&tx, tenant).await?;
        let answer = CreateTenantResponse { tenant: Some(shown(&row)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn get_tenant(&self, request: Request<GetTenantRequest>) -> Result<Response<GetTenantResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("tenant_id", &request.tenant_id)?;
        let tx = self.store.read(&caller).await?;
        let tenant = shown(&store::get(&tx, id).await?)?;
        Ok(Response::new(GetTenantResponse { tenant: Some(tenant) }))
    }

    async fn list_tenants(&self, request: Request<ListTenantsRequest>) -> Result<Response<ListTenantsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let kind = kind(request.kind)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("tenants {kind:?}"))?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, kind, &page).await?, |row| row.id);
        let tenants = rows.iter().map(shown).collect::<Result<_, _>>()?;
        Ok(Response::new(ListTenantsResponse { tenants, next_page_token }))
    }

    async fn suspend_tenant(&self, request: Request<SuspendTenantRequest>) -> Result<Response<SuspendTenantResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("tenant_id", &request.tenant_id)?;
        if id == caller.tenant_id {
            let advice = "nobody could reinstate it; another platform tenant must do this";
            return Err(Refusal::precondition("OWN_TENANT", advice).into());
        }

        let tx = match self.store.begin_once(&caller, "SuspendTenant", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::get(&tx, id).await?;
        let state = row.state()?.next(Command::Suspend)?;
        let row = store::set_state(&tx, row, state).await?;
        let answer = SuspendTenantResponse { tenant: Some(shown(&row)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn reinstate_tenant(
        &self,
        request: Request<ReinstateTenantRequest>,
    ) -> Result<Response<ReinstateTenantResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("tenant_id", &request.tenant_id)?;

        let tx = match self.store.begin_once(&caller, "ReinstateTenant", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::get(&tx, id).await?;
        let state = row.state()?.next(Command::Reinstate)?;
        let row = store::set_state(&tx, row, state).await?;
        let answer = ReinstateTenantResponse { tenant: Some(shown(&row)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn add_identity_provider(
        &self,
        request: Request<AddIdentityProviderRequest>,
    ) -> Result<Response<AddIdentityProviderResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let keys = Keys::parse(&request.jwks_json, &request.jwks_uri)?;
        let provider = IdentityProvider {
            id: ids::new_id(),
            tenant_id: edge::uuid("tenant_id", &request.tenant_id)?,
            issuer: edge::text("issuer", &request.issuer, 500)?,
            audience: edge::text("audience", &request.audience, 500)?,
            algorithms: keys.choose("algorithms", &request.algorithms)?,
            keys,
            claims: mapping(request.claims.as_ref())?,
        };

        let tx = match self.store.begin_once(&caller, "AddIdentityProvider", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        store::get(&tx, provider.tenant_id).await?;
        let row = store::provider::insert(&tx, provider).await?;
        let answer = AddIdentityProviderResponse { identity_provider: Some(shown_provider(&row)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn list_identity_providers(
        &self,
        request: Request<ListIdentityProvidersRequest>,
    ) -> Result<Response<ListIdentityProvidersResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let tenant = edge::uuid("tenant_id", &request.tenant_id)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("identity_providers {tenant}"))?;
        let tx = self.store.read(&caller).await?;
        store::get(&tx, tenant).await?;
        let (rows, next_page_token) = page.cut(store::provider::list(&tx, tenant, &page).await?, |row| row.id);
        let identity_providers = rows.iter().map(shown_provider).collect::<Result<_, _>>()?;
        Ok(Response::new(ListIdentityProvidersResponse { identity_providers, next_page_token }))
    }

    async fn update_identity_provider(
        &self,
        request: Request<UpdateIdentityProviderRequest>,
    ) -> Result<Response<UpdateIdentityProviderResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let told = request.identity_provider.as_ref();
        let told = told.ok_or_else(|| Refusal::invalid("identity_provider", "must be given"))?;
        let id = edge::uuid("identity_provider.id", &told.id)?;

        let tx = match self.store.begin_once(&caller, "UpdateIdentityProvider", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::provider::get(&tx, id).await?;
        edge::etag("identity_provider.etag", &told.etag, row.version)?;
        let provider = changed(row.provider()?, told, request.update_mask.as_ref())?;
        let row = store::provider::renew(&tx, row, provider).await?;
        let answer = UpdateIdentityProviderResponse { identity_provider: Some(shown_provider(&row)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn remove_identity_provider(
        &self,
        request: Request<RemoveIdentityProviderRequest>,
    ) -> Result<Response<RemoveIdentityProviderResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("identity_provider_id", &request.identity_provider_id)?;

        let tx = match self.store.begin_once(&caller, "RemoveIdentityProvider", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        store::provider::remove(&tx, id).await?;
        let answer = RemoveIdentityProviderResponse {};
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }
}

fn mapping(told: Option<&proto::ClaimMapping>) -> Result<ClaimMapping, Refusal> {
    let Some(told) = told else { return Ok(ClaimMapping::default()) };
    ClaimMapping::new(&told.subject, &told.client, &told.roles, &told.districts, told.trust_roles)
}

/// The provider with those fields of `told` that the mask names.
fn changed(
    mut is: IdentityProvider,
    told: &proto::IdentityProvider,
    mask: Option<&FieldMask>,
) -> Result<IdentityProvider, Refusal> {
    let paths = mask.map(|m| m.paths.as_slice()).unwrap_or_default();
    if paths.is_empty() {
        return Err(Refusal::invalid("update_mask", "must name at least one field"));
    }
    let mut algorithms: Vec<_> = is.algorithms.iter().map(|a| a.as_str().to_owned()).collect();
    let mut keys = None;
    for path in paths {
        match path.as_str() {
            "audience" => is.audience = edge::text("audience", &told.audience, 500)?,
            "jwks_json" if keys.is_none() => keys = Some(Keys::parse(&told.jwks_json, "")?),
            "jwks_uri" if keys.is_none() => keys = Some(Keys::parse("", &told.jwks_uri)?),
            "jwks_json" | "jwks_uri" => return Err(Refusal::invalid("update_mask", "may name jwks_json or jwks_uri, not both")),
            "algorithms" => algorithms.clone_from(&told.algorithms),
            "claims" => is.claims = mapping(told.claims.as_ref())?,
            _ => return Err(Refusal::invalid("update_mask", "may name audience, jwks_json, jwks_uri, algorithms, claims")),
        }
    }
    is.keys = keys.unwrap_or(is.keys);
    is.algorithms = is.keys.choose("algorithms", &algorithms)?;
    Ok(is)
}

/// None when unspecified.
fn kind(told: i32) -> Result<Option<TenantKind>, Refusal> {
    match proto::TenantKind::try_from(told) {
        Ok(proto::TenantKind::Unspecified) => Ok(None),
        Ok(proto::TenantKind::Operator) => Ok(Some(TenantKind::Operator)),
        Ok(proto::TenantKind::Ministry) => Ok(Some(TenantKind::Ministry)),
        Ok(proto::TenantKind::Donor) => Ok(Some(TenantKind::Donor)),
        Ok(proto::TenantKind::ImplementingPartner) => Ok(Some(TenantKind::ImplementingPartner)),
        Ok(proto::TenantKind::Platform) => Ok(Some(TenantKind::Platform)),
        Err(_) => Err(Refusal::invalid("kind", "must be a kind of tenant")),
    }
}

pub fn to_kind(kind: TenantKind) -> proto::TenantKind {
    match kind {
        TenantKind::Operator => proto::TenantKind::Operator,
        TenantKind::Ministry => proto::TenantKind::Ministry,
        TenantKind::Donor => proto::TenantKind::Donor,
        TenantKind::ImplementingPartner => proto::TenantKind::ImplementingPartner,
        TenantKind::Platform => proto::TenantKind::Platform,
    }
}

fn shown(row: &store::Model) -> Result<proto::Tenant, Refusal> {
    let state = match row.state()? {
        State::Active => TenantState::Active,
        State::Suspended => TenantState::Suspended,
    };
    Ok(proto::Tenant {
        id: row.id.to_string(),
        name: row.name.clone(),
        kind: to_kind(row.kind()?).into(),
        slug: row.slug.clone(),
        state: state.into(),
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    })
}

pub fn shown_provider(row: &store::provider::Model) -> Result<proto::IdentityProvider, Refusal> {
    let claims = row.claims()?;
    Ok(proto::IdentityProvider {
        id: row.id.to_string(),
        tenant_id: row.tenant_id.to_string(),
        issuer: row.issuer.clone(),
        audience: row.audience.clone(),
        jwks_json: row.jwks_json.clone(),
        algorithms: row.algorithms()?.iter().map(|a| a.as_str().to_owned()).collect(),
        jwks_uri: row.jwks_uri.clone(),
        claims: Some(proto::ClaimMapping {
            subject: claims.subject.unwrap_or_default(),
            client: claims.client.unwrap_or_default(),
            roles: claims.roles.unwrap_or_default(),
            districts: claims.districts.unwrap_or_default(),
            trust_roles: claims.trust_roles,
        }),
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    })
}
