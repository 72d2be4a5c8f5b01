//! Who works for a tenant, persons and workloads.

use tahuka_chassis::Refusal;
use tahuka_proto::tenancy::v1 as tenancy;
use tahuka_proto::tenancy::v1::staff_service_client::StaffServiceClient;

use super::super::desk::{Line, request_id};
use super::documents::{Member, Presence};
use super::{Action, Change, Hand, Known, difference, set};

pub async fn apply(hand: &mut Hand, wanted: &Member, kind: tenancy::StaffKind) -> Result<Change, Refusal> {
    let tenant_id = match hand.tenant("tenant", &wanted.tenant).await? {
        Known::Id(id) => id,
        Known::WouldBe if wanted.state == Presence::Absent => return Ok(Change::of(Vec::new())),
        Known::WouldBe => return Ok(Change::create()),
    };
    let mut client = StaffServiceClient::new(hand.line.clone());
    let current = find(&mut client, &tenant_id, wanted, kind).await?;
    let add = |roles: &[String], districts: &[String]| tenancy::AddStaffMemberRequest {
        request_id: request_id(),
        tenant_id: tenant_id.clone(),
        subject: wanted.subject.clone(),
        roles: roles.to_vec(),
        districts: districts.to_vec(),
        kind: kind.into(),
    };
    let remove = |id: &str| tenancy::RemoveStaffMemberRequest { request_id: request_id(), staff_member_id: id.to_owned() };
    match (current, wanted.state) {
        (None, Presence::Absent) => Ok(Change::of(Vec::new())),
        (Some(current), Presence::Absent) => {
            if !hand.dry_run {
                client.remove_staff_member(remove(&current.id)).await?;
            }
            Ok(Change { action: Action::Remove, differences: Vec::new() })
        }
        (None, Presence::Present) => {
            must_be_known(&mut client, &wanted.roles).await?;
            if !hand.dry_run {
                client.add_staff_member(add(&wanted.roles, &wanted.districts)).await?;
            }
            Ok(Change::create())
        }
        (Some(current), Presence::Present) => {
            let roles = difference("roles", &set(&current.roles), &set(&wanted.roles));
            let districts = difference("districts", &set(&current.districts), &set(&wanted.districts));
            let differences: Vec<String> = roles.into_iter().chain(districts).collect();
            if differences.is_empty() {
                return Ok(Change::of(differences));
            }
            must_be_known(&mut client, &wanted.roles).await?;
            if !hand.dry_run {
                // A member comes back with what is told; until then, for a moment, the member is out.
                client.remove_staff_member(remove(&current.id)).await?;
                if let Err(refused) = client.add_staff_member(add(&wanted.roles, &wanted.districts)).await {
                    client.add_staff_member(add(&current.roles, &current.districts)).await?;
                    return Err(refused.into());
                }
            }
            Ok(Change::of(differences))
        }
    }
}

async fn find(
    client: &mut StaffServiceClient<Line>,
    tenant_id: &str,
    wanted: &Member,
    kind: tenancy::StaffKind,
) -> Result<Option<tenancy::StaffMember>, Refusal> {
    let mut request = tenancy::ListStaffMembersRequest {
        tenant_id: tenant_id.to_owned(),
        page_size: 1000,
        kind: kind.into(),
        ..Default::default()
    };
    loop {
        let page = client.list_staff_members(request.clone()).await?.into_inner();
        if let Some(found) = page.staff_members.into_iter().find(|member| member.subject == wanted.subject) {
            return Ok(Some(found));
        }
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(None);
        }
    }
}

/// Before anything is changed.
async fn must_be_known(client: &mut StaffServiceClient<Line>, roles: &[String]) -> Result<(), Refusal> {
    if roles.is_empty() {
        return Err(Refusal::invalid("roles", "must name at least one; `tahuka staff roles` tells which there are"));
    }
    let catalogue = client.list_roles(tenancy::ListRolesRequest {}).await?.into_inner().roles;
    match roles.iter().enumerate().find(|(_, role)| !catalogue.iter().any(|known| known.name == **role)) {
        None => Ok(()),
        Some((at, role)) => {
            let rule = format!("there is no role {role}; `tahuka staff roles` tells which there are");
            Err(Refusal::invalid(format!("roles[{at}]"), rule))
        }
    }
}
