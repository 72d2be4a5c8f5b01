//! The edge of staff.

use tahuka_chassis::{Caller, Once, Page, Refusal, Store, TenantKind, edge, ids};
use tahuka_proto::tenancy::v1::staff_service_server::{StaffService, StaffServiceServer};
use tahuka_proto::tenancy::v1::{self as proto, *};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Kind, StaffMember, role, store};
use crate::edge::districts;
use crate::tenant::rpc::to_kind;
use crate::tenant::store as tenant;

pub fn server(store: Store) -> StaffServiceServer<Staff> {
    StaffServiceServer::new(Staff { store })
}

pub struct Staff {
    store: Store,
}

#[tonic::async_trait]
impl StaffService for Staff {
    async fn add_staff_member(
        &self,
        request: Request<AddStaffMemberRequest>,
    ) -> Result<Response<AddStaffMemberResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let tenant_id = edge::uuid("tenant_id", &request.tenant_id)?;
        within_reach(&caller, tenant_id, "tenant")?;
        let member = StaffMember {
            id: ids::new_id(),
            tenant_id,
            subject: edge::text("subject", &request.subject, 500)?,
            kind: kind(request.kind)?.unwrap_or(Kind::Person),
            roles: request.roles.clone(),
            districts: districts("districts", &request.districts)?,
        };

        let tx = match self.store.begin_once(&caller, "AddStaffMember", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let of = tenant::get(&tx, tenant_id).await?.kind()?;
        let roles = role::choose(&store::catalogue(&tx).await?, of, &member.roles)?;
        let row = store::add(&tx, StaffMember { roles, ..member }).await?;
        let answer = AddStaffMemberResponse { staff_member: Some(shown(&caller, &row)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn list_staff_members(
        &self,
        request: Request<ListStaffMembersRequest>,
    ) -> Result<Response<ListStaffMembersResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let tenant_id = match request.tenant_id.as_str() {
            "" => caller.tenant_id,
            id => edge::uuid("tenant_id", id)?,
        };
        within_reach(&caller, tenant_id, "tenant")?;
        let kind = kind(request.kind)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("staff {tenant_id} {kind:?}"))?;
        let tx = self.store.read(&caller).await?;
        tenant::get(&tx, tenant_id).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, tenant_id, kind, &page).await?, |row| row.id);
        let staff_members = rows.iter().map(|row| shown(&caller, row)).collect::<Result<_, _>>()?;
        Ok(Response::new(ListStaffMembersResponse { staff_members, next_page_token }))
    }

    async fn remove_staff_member(
        &self,
        request: Request<RemoveStaffMemberRequest>,
    ) -> Result<Response<RemoveStaffMemberResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("staff_member_id", &request.staff_member_id)?;

        let tx = match self.store.begin_once(&caller, "RemoveStaffMember", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let member = store::get(&tx, id).await?;
        within_reach(&caller, member.tenant_id, "staff member")?;
        if member.tenant_id == caller.tenant_id && member.subject == caller.subject {
            return Err(Refusal::precondition("OWN_MEMBERSHIP", "have another member of staff remove you").into());
        }
        store::remove(&tx, member).await?;
        let answer = RemoveStaffMemberResponse {};
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn list_roles(&self, request: Request<ListRolesRequest>) -> Result<Response<ListRolesResponse>, Status> {
        let (caller, _) = Caller::take(request)?;
        let tx = self.store.read(&caller).await?;
        let role = |role: role::Role| proto::Role {
            name: role.name,
            permissions: role.permissions,
            kinds: role.kinds.into_iter().map(|kind| to_kind(kind).into()).collect(),
        };
        Ok(Response::new(ListRolesResponse { roles: store::catalogue(&tx).await?.into_iter().map(role).collect() }))
    }
}

/// None when unspecified.
fn kind(told: i32) -> Result<Option<Kind>, Refusal> {
    match told {
        0 => Ok(None),
        number => Kind::numbered(number).map(Some).ok_or_else(|| Refusal::invalid("kind", "must be PERSON or WORKLOAD")),
    }
}

/// A tenant reaches its own staff; of others it may not even know. The platform reaches all.
fn within_reach(caller: &Caller, tenant: Uuid, what: &'static str) -> Result<(), Refusal> {
    if caller.tenant_id == tenant || caller.tenant_kind == TenantKind::Platform {
        return Ok(());
    }
    Err(Refusal::not_found(what, None))
}

/// The record is the caller's own to see: `within_reach` has been asked.
fn shown(caller: &Caller, row: &store::Model) -> Result<proto::StaffMember, Refusal> {
    let member = row.member()?;
    let message = proto::StaffMember {
        id: member.id.to_string(),
        tenant_id: member.tenant_id.to_string(),
        subject: member.subject,
        kind: member.kind.number(),
        roles: member.roles,
        districts: member.districts,
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    let district = caller.districts.first().map(String::as_str);
    Ok(caller.disclose(caller.tenant_id, district, message))
}
