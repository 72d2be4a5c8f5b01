//! `tahuka tenant`: the organisations that share the platform, and their identity providers.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use tahuka_chassis::Refusal;
use tahuka_proto::tenancy::v1 as tenancy;
use tahuka_proto::tenancy::v1::tenant_service_client::TenantServiceClient;
use uuid::Uuid;

use super::desk::{Desk, Line, request_id, told};
use super::table::Table;

#[derive(Subcommand)]
pub enum TenantCommand {
    /// Every tenant
    List {
        #[command(flatten)]
        desk: Desk,
        /// Of this kind only
        #[arg(long)]
        kind: Option<Kind>,
    },
    /// Take in an organisation
    Create {
        #[command(flatten)]
        desk: Desk,
        /// Short unique name: lower-case letters, digits and hyphens
        #[arg(long)]
        slug: String,
        #[arg(long)]
        name: String,
        #[arg(long)]
        kind: Kind,
    },
    /// Let nobody of a tenant in any more, from now on
    Suspend {
        #[command(flatten)]
        desk: Desk,
        /// Slug or id
        tenant: String,
    },
    /// Let a suspended tenant in again
    Reinstate {
        #[command(flatten)]
        desk: Desk,
        /// Slug or id
        tenant: String,
    },
    /// The identity providers of a tenant
    Providers {
        #[command(flatten)]
        desk: Desk,
        /// Slug or id
        tenant: String,
    },
    /// Let tokens of an issuer speak for a tenant
    AddProvider {
        #[command(flatten)]
        desk: Desk,
        /// Slug or id
        tenant: String,
        /// The `iss` of its tokens
        #[arg(long)]
        issuer: String,
        #[command(flatten)]
        keys: KeyArgs,
        #[command(flatten)]
        claims: ClaimArgs,
    },
    /// Change an identity provider: what is told takes the place of what was
    UpdateProvider {
        #[command(flatten)]
        desk: Desk,
        /// Slug or id of its tenant
        tenant: String,
        /// Its id
        provider: String,
        #[command(flatten)]
        keys: KeyArgs,
        /// Put the claims told here in the place of all that are mapped
        #[arg(long)]
        map_claims: bool,
        #[command(flatten)]
        claims: ClaimArgs,
    },
    /// Let tokens of an issuer speak for nobody any more
    RemoveProvider {
        #[command(flatten)]
        desk: Desk,
        /// Its id
        provider: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Kind {
    Operator,
    Ministry,
    Donor,
    ImplementingPartner,
    Platform,
}

impl Kind {
    fn proto(self) -> tenancy::TenantKind {
        match self {
            Kind::Operator => tenancy::TenantKind::Operator,
            Kind::Ministry => tenancy::TenantKind::Ministry,
            Kind::Donor => tenancy::TenantKind::Donor,
            Kind::ImplementingPartner => tenancy::TenantKind::ImplementingPartner,
            Kind::Platform => tenancy::TenantKind::Platform,
        }
    }
}

#[derive(Args)]
pub struct KeyArgs {
    /// The `aud` that its tokens must carry
    #[arg(long)]
    audience: Option<String>,
    /// File with its public keys, a JSON Web Key Set
    #[arg(long, value_name = "FILE", conflicts_with = "jwks_uri")]
    jwks_file: Option<PathBuf>,
    /// Where the gateway fetches its public keys
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// Of EdDSA, ES256, RS256; several with commas
    #[arg(long = "algorithm", value_delimiter = ',')]
    algorithms: Vec<String>,
}

impl KeyArgs {
    fn jwks_json(&self) -> Result<Option<String>, Refusal> {
        let read = |file: &PathBuf| {
            std::fs::read_to_string(file).map_err(|e| Refusal::invalid("--jwks-file", format!("{}: {e}", file.display())))
        };
        self.jwks_file.as_ref().map(read).transpose()
    }
}

#[derive(Args)]
pub struct ClaimArgs {
    /// The claim with the subject [default: sub]
    #[arg(long, value_name = "CLAIM")]
    subject_claim: Option<String>,
    /// The claim that only tokens of clients carry
    #[arg(long, value_name = "CLAIM")]
    client_claim: Option<String>,
    /// The claim with the roles, e.g. realm_access.roles: only those count that tenancy grants too
    #[arg(long, value_name = "CLAIM")]
    roles_claim: Option<String>,
    /// The claim with the districts, which narrow likewise
    #[arg(long, value_name = "CLAIM")]
    districts_claim: Option<String>,
    /// Whom tenancy has never known as staff has the roles of the token
    #[arg(long)]
    trust_roles: bool,
}

impl ClaimArgs {
    fn mapping(&self) -> tenancy::ClaimMapping {
        tenancy::ClaimMapping {
            subject: self.subject_claim.clone().unwrap_or_default(),
            client: self.client_claim.clone().unwrap_or_default(),
            roles: self.roles_claim.clone().unwrap_or_default(),
            districts: self.districts_claim.clone().unwrap_or_default(),
            trust_roles: self.trust_roles,
        }
    }
}

pub async fn run(command: TenantCommand) -> Result<(), Refusal> {
    match command {
        TenantCommand::List { desk, kind } => {
            let tenants = all(&mut client(&desk).await?, kind.map(Kind::proto)).await?;
            desk.tell(&table(&tenants))
        }
        TenantCommand::Create { desk, slug, name, kind } => {
            let request = tenancy::CreateTenantRequest { request_id: request_id(), name, kind: kind.proto().into(), slug };
            let answer = client(&desk).await?.create_tenant(request).await?.into_inner();
            desk.tell(&table(&[told(answer.tenant)?]))
        }
        TenantCommand::Suspend { desk, tenant } => {
            let mut client = client(&desk).await?;
            let tenant_id = id(&mut client, &tenant).await?;
            let request = tenancy::SuspendTenantRequest { request_id: request_id(), tenant_id };
            desk.tell(&table(&[told(client.suspend_tenant(request).await?.into_inner().tenant)?]))
        }
        TenantCommand::Reinstate { desk, tenant } => {
            let mut client = client(&desk).await?;
            let tenant_id = id(&mut client, &tenant).await?;
            let request = tenancy::ReinstateTenantRequest { request_id: request_id(), tenant_id };
            desk.tell(&table(&[told(client.reinstate_tenant(request).await?.into_inner().tenant)?]))
        }
        TenantCommand::Providers { desk, tenant } => {
            let mut client = client(&desk).await?;
            let tenant_id = id(&mut client, &tenant).await?;
            desk.tell(&providers_table(&providers(&mut client, &tenant_id).await?))
        }
        TenantCommand::AddProvider { desk, tenant, issuer, keys, claims } => {
            let mut client = client(&desk).await?;
            let request = tenancy::AddIdentityProviderRequest {
                request_id: request_id(),
                tenant_id: id(&mut client, &tenant).await?,
                issuer,
                jwks_json: keys.jwks_json()?.unwrap_or_default(),
                jwks_uri: keys.jwks_uri.unwrap_or_default(),
                audience: keys.audience.unwrap_or_default(),
                algorithms: keys.algorithms,
                claims: Some(claims.mapping()),
            };
            let answer = client.add_identity_provider(request).await?.into_inner();
            desk.tell(&providers_table(&[told(answer.identity_provider)?]))
        }
        TenantCommand::UpdateProvider { desk, tenant, provider, keys, map_claims, claims } => {
            let mut client = client(&desk).await?;
            let tenant_id = id(&mut client, &tenant).await?;
            let all = providers(&mut client, &tenant_id).await?;
            let current = all.into_iter().find(|p| p.id == provider);
            let current = current.ok_or_else(|| Refusal::not_found("identity provider", None))?;
            let request = update(current, &keys, map_claims.then(|| claims.mapping()))?;
            let answer = client.update_identity_provider(request).await?.into_inner();
            desk.tell(&providers_table(&[told(answer.identity_provider)?]))
        }
        TenantCommand::RemoveProvider { desk, provider } => {
            let request = tenancy::RemoveIdentityProviderRequest { request_id: request_id(), identity_provider_id: provider };
            client(&desk).await?.remove_identity_provider(request).await?;
            Ok(())
        }
    }
}

async fn client(desk: &Desk) -> Result<TenantServiceClient<Line>, Refusal> {
    Ok(TenantServiceClient::new(desk.line().await?))
}

async fn all(client: &mut TenantServiceClient<Line>, kind: Option<tenancy::TenantKind>) -> Result<Vec<tenancy::Tenant>, Refusal> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let kind = kind.unwrap_or_default().into();
        let request = tenancy::ListTenantsRequest { page_size: 1000, page_token, kind };
        let page = client.list_tenants(request).await?.into_inner();
        all.extend(page.tenants);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

/// The id of the tenant with this slug, or the id itself.
async fn id(client: &mut TenantServiceClient<Line>, told: &str) -> Result<String, Refusal> {
    if Uuid::try_parse(told).is_ok() {
        return Ok(told.to_owned());
    }
    let found = all(client, None).await?.into_iter().find(|tenant| tenant.slug == told);
    found.map(|tenant| tenant.id).ok_or_else(|| Refusal::not_found("tenant", None))
}

/// As `id`, for commands about something else of a tenant.
pub async fn id_of(desk: &Desk, told: &str) -> Result<String, Refusal> {
    id(&mut client(desk).await?, told).await
}

async fn providers(client: &mut TenantServiceClient<Line>, tenant: &str) -> Result<Vec<tenancy::IdentityProvider>, Refusal> {
    let request = tenancy::ListIdentityProvidersRequest { tenant_id: tenant.to_owned(), page_size: 1000, ..Default::default() };
    Ok(client.list_identity_providers(request).await?.into_inner().identity_providers)
}

fn update(
    current: tenancy::IdentityProvider,
    keys: &KeyArgs,
    claims: Option<tenancy::ClaimMapping>,
) -> Result<tenancy::UpdateIdentityProviderRequest, Refusal> {
    let mut paths = Vec::new();
    let mut provider = tenancy::IdentityProvider { id: current.id, etag: current.etag, claims, ..Default::default() };
    if let Some(audience) = &keys.audience {
        paths.push("audience".to_owned());
        provider.audience.clone_from(audience);
    }
    if let Some(jwks_json) = keys.jwks_json()? {
        paths.push("jwks_json".to_owned());
        provider.jwks_json = jwks_json;
    }
    if let Some(jwks_uri) = &keys.jwks_uri {
        paths.push("jwks_uri".to_owned());
        provider.jwks_uri.clone_from(jwks_uri);
    }
    if !keys.algorithms.is_empty() {
        paths.push("algorithms".to_owned());
        provider.algorithms.clone_from(&keys.algorithms);
    }
    if provider.claims.is_some() {
        paths.push("claims".to_owned());
    }
    Ok(tenancy::UpdateIdentityProviderRequest {
        request_id: request_id(),
        identity_provider: Some(provider),
        update_mask: Some(prost_types::FieldMask { paths }),
    })
}

/// The word of an enum's value, without its prefix.
pub fn word(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase()
}

fn table(tenants: &[tenancy::Tenant]) -> Table {
    let mut table = Table::new(&["slug", "kind", "state", "name", "id"]);
    for tenant in tenants {
        let kind = word(tenant.kind().as_str_name(), "TENANT_KIND_");
        let state = word(tenant.state().as_str_name(), "TENANT_STATE_");
        table.row([json!(tenant.slug), json!(kind), json!(state), json!(tenant.name), json!(tenant.id)]);
    }
    table
}

fn providers_table(providers: &[tenancy::IdentityProvider]) -> Table {
    let mut table = Table::new(&["issuer", "audience", "keys", "algorithms", "claims", "id"]);
    for provider in providers {
        let keys = if provider.jwks_uri.is_empty() { "told" } else { &provider.jwks_uri };
        let claims = provider.claims.clone().unwrap_or_default();
        let mut mapped: Vec<String> =
            [("subject", claims.subject), ("client", claims.client), ("roles", claims.roles), ("districts", claims.districts)]
                .into_iter()
                .filter(|(_, claim)| !claim.is_empty())
                .map(|(what, claim)| format!("{what}={claim}"))
                .collect();
        if claims.trust_roles {
            mapped.push("trust_roles".to_owned());
        }
        table.row([
            json!(provider.issuer),
            json!(provider.audience),
            json!(keys),
            json!(provider.algorithms),
            json!(mapped),
            json!(provider.id),
        ]);
    }
    table
}
