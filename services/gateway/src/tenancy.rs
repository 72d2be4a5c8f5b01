//! What the gateway asks tenancy, in its own name, which may do nothing else.

use tahuka_chassis::passport::{Bearer, METADATA, Mint};
use tahuka_chassis::{Peers, Refusal, ScopeEntry, TenantKind, edge};
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::tenancy::v1 as proto;
use tahuka_proto::tenancy::v1::identity_service_client::IdentityServiceClient;
use tonic::metadata::MetadataValue;
use uuid::Uuid;

#[derive(Clone)]
pub(crate) struct Tenancy {
    pub(crate) peers: Peers,
    pub(crate) mint: Mint,
}

impl Tenancy {
    /// The issuers of every active tenant.
    pub(crate) async fn issuers(&self) -> Result<Vec<proto::IdentityProvider>, Refusal> {
        let request = self.as_gateway(proto::ListIssuersRequest::default())?;
        let mut client = IdentityServiceClient::new(self.peers.channel("tenancy")?);
        Ok(client.list_issuers(request).await?.into_inner().identity_providers)
    }

    /// Whom a token speaks for; UNAUTHENTICATED where that is nobody, or nobody any more.
    pub(crate) async fn resolve(&self, told: proto::ResolveIdentityRequest) -> Result<Bearer, Refusal> {
        let request = self.as_gateway(told)?;
        let mut client = IdentityServiceClient::new(self.peers.channel("tenancy")?);
        let known = match client.resolve_identity(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == tonic::Code::NotFound => return Err(Refusal::Unauthenticated),
            Err(status) => return Err(status.into()),
        };
        let tenant_kind = match known.tenant_kind() {
            proto::TenantKind::Operator => TenantKind::Operator,
            proto::TenantKind::Ministry => TenantKind::Ministry,
            proto::TenantKind::Donor => TenantKind::Donor,
            proto::TenantKind::ImplementingPartner => TenantKind::ImplementingPartner,
            proto::TenantKind::Platform => TenantKind::Platform,
            proto::TenantKind::Unspecified => return Err(Refusal::Unauthenticated),
        };
        let entry = |entry: proto::ScopeEntry| {
            Ok(ScopeEntry {
                category: entry.category,
                level: entry.level,
                custodian: edge::uuid("scope.custodian_id", &entry.custodian_id)?,
                districts: entry.districts,
                write: entry.write,
                grants: entry.grants,
                purpose: entry.purpose,
            })
        };
        Ok(Bearer {
            workload: known.staff_kind() == proto::StaffKind::Workload,
            subject: known.subject,
            tenant_id: edge::uuid("tenant_id", &known.tenant_id)?,
            tenant_kind,
            roles: known.roles,
            permissions: known.permissions,
            districts: known.districts,
            scope: known.scope.into_iter().map(entry).collect::<Result<_, Refusal>>()?,
        })
    }

    fn as_gateway<M>(&self, message: M) -> Result<tonic::Request<M>, Refusal> {
        let gateway = Bearer {
            subject: "gateway".into(),
            workload: true,
            tenant_id: Uuid::nil(),
            tenant_kind: TenantKind::Platform,
            permissions: vec!["tenancy.identity.resolve".into()],
            scope: vec![ScopeEntry {
                category: DataCategory::Tenancy as i32,
                level: DisclosureLevel::Identified as i32,
                ..Default::default()
            }],
            ..Default::default()
        };
        let mut request = tonic::Request::new(message);
        let passport = self.mint.passport_for("tenancy", &gateway)?;
        request.metadata_mut().insert(METADATA, MetadataValue::try_from(passport).map_err(Refusal::internal)?);
        Ok(request)
    }
}
