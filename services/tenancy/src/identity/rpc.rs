//! The edge of identity, for the gateway.

use tahuka_chassis::{Caller, Refusal, ScopeEntry, Store, edge};
use tahuka_proto::tenancy::v1::identity_service_server::{IdentityService, IdentityServiceServer};
use tahuka_proto::tenancy::v1::{self as proto, *};
use tonic::{Request, Response, Status};

use super::{Told, store};
use crate::tenant::rpc::{shown_provider, to_kind};

pub fn server(store: Store) -> IdentityServiceServer<Identities> {
    IdentityServiceServer::new(Identities { store })
}

pub struct Identities {
    store: Store,
}

#[tonic::async_trait]
impl IdentityService for Identities {
    async fn list_issuers(&self, request: Request<ListIssuersRequest>) -> Result<Response<ListIssuersResponse>, Status> {
        Caller::take(request)?;
        let rows = store::providers(&self.store).await?;
        let identity_providers = rows.iter().map(shown_provider).collect::<Result<_, Refusal>>()?;
        Ok(Response::new(ListIssuersResponse { identity_providers }))
    }

    async fn resolve_identity(
        &self,
        request: Request<ResolveIdentityRequest>,
    ) -> Result<Response<ResolveIdentityResponse>, Status> {
        let (_, request) = Caller::take(request)?;
        let issuer = edge::required("issuer", &request.issuer)?;
        let told = Told {
            subject: request.subject.clone(),
            client_id: request.client_id.clone(),
            roles: request.roles.clone(),
            districts: request.districts.clone(),
        };
        let identity = store::resolve(&self.store, issuer, &told).await?;
        Ok(Response::new(ResolveIdentityResponse {
            tenant_id: identity.tenant_id.to_string(),
            tenant_kind: to_kind(identity.tenant_kind).into(),
            roles: identity.roles,
            permissions: identity.permissions,
            districts: identity.districts,
            scope: identity.scope.into_iter().map(entry).collect(),
            subject: identity.subject,
            staff_kind: identity.kind.number(),
        }))
    }
}

fn entry(entry: ScopeEntry) -> proto::ScopeEntry {
    proto::ScopeEntry {
        category: entry.category,
        level: entry.level,
        custodian_id: entry.custodian.to_string(),
        districts: entry.districts,
        write: entry.write,
        grants: entry.grants,
        purpose: entry.purpose,
    }
}
