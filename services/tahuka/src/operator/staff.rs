//! `tahuka staff`: who works for a tenant, persons and workloads, and the roles that there are.

use clap::{Subcommand, ValueEnum};
use serde_json::json;
use tahuka_chassis::Refusal;
use tahuka_proto::tenancy::v1 as tenancy;
use tahuka_proto::tenancy::v1::staff_service_client::StaffServiceClient;

use super::desk::{Desk, Line, request_id, told};
use super::table::Table;
use super::tenant::{id_of, word};

#[derive(Subcommand)]
pub enum StaffCommand {
    /// The staff of a tenant
    List {
        #[command(flatten)]
        desk: Desk,
        /// Slug or id [default: one's own]
        #[arg(long)]
        tenant: Option<String>,
        /// Persons or workloads only
        #[arg(long)]
        kind: Option<Kind>,
    },
    /// Take in a person, or a client of the tenant's identity provider
    Add {
        #[command(flatten)]
        desk: Desk,
        /// Slug or id
        #[arg(long)]
        tenant: String,
        /// The subject of the person's tokens, or the client's id
        #[arg(long)]
        subject: String,
        /// Several with commas; `tahuka staff roles` tells which there are
        #[arg(long = "role", value_delimiter = ',', required = true)]
        roles: Vec<String>,
        /// P-codes, several with commas [default: no limit]
        #[arg(long = "district", value_delimiter = ',')]
        districts: Vec<String>,
        #[arg(long, default_value = "person")]
        kind: Kind,
    },
    /// Let a member of staff in no more
    Remove {
        #[command(flatten)]
        desk: Desk,
        /// The member's id
        member: String,
    },
    /// The role catalogue
    Roles {
        #[command(flatten)]
        desk: Desk,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Kind {
    Person,
    Workload,
}

impl Kind {
    fn proto(self) -> tenancy::StaffKind {
        match self {
            Kind::Person => tenancy::StaffKind::Person,
            Kind::Workload => tenancy::StaffKind::Workload,
        }
    }
}

pub async fn run(command: StaffCommand) -> Result<(), Refusal> {
    match command {
        StaffCommand::List { desk, tenant, kind } => {
            let tenant_id = match tenant {
                Some(tenant) => id_of(&desk, &tenant).await?,
                None => String::new(),
            };
            let mut client = client(&desk).await?;
            let mut request = tenancy::ListStaffMembersRequest {
                tenant_id,
                page_size: 1000,
                kind: kind.map(Kind::proto).unwrap_or_default().into(),
                ..Default::default()
            };
            let mut members = Vec::new();
            loop {
                let page = client.list_staff_members(request.clone()).await?.into_inner();
                members.extend(page.staff_members);
                request.page_token = page.next_page_token;
                if request.page_token.is_empty() {
                    return desk.tell(&table(&members));
                }
            }
        }
        StaffCommand::Add { desk, tenant, subject, roles, districts, kind } => {
            let request = tenancy::AddStaffMemberRequest {
                request_id: request_id(),
                tenant_id: id_of(&desk, &tenant).await?,
                subject,
                roles,
                districts,
                kind: kind.proto().into(),
            };
            let answer = client(&desk).await?.add_staff_member(request).await?.into_inner();
            desk.tell(&table(&[told(answer.staff_member)?]))
        }
        StaffCommand::Remove { desk, member } => {
            let request = tenancy::RemoveStaffMemberRequest { request_id: request_id(), staff_member_id: member };
            client(&desk).await?.remove_staff_member(request).await?;
            Ok(())
        }
        StaffCommand::Roles { desk } => {
            let answer = client(&desk).await?.list_roles(tenancy::ListRolesRequest {}).await?.into_inner();
            let mut table = Table::new(&["role", "kinds", "permissions"]);
            for role in answer.roles {
                let kinds: Vec<_> = role.kinds().map(|kind| word(kind.as_str_name(), "TENANT_KIND_")).collect();
                table.row([json!(role.name), json!(kinds), json!(role.permissions)]);
            }
            desk.tell(&table)
        }
    }
}

async fn client(desk: &Desk) -> Result<StaffServiceClient<Line>, Refusal> {
    Ok(StaffServiceClient::new(desk.line().await?))
}

fn table(members: &[tenancy::StaffMember]) -> Table {
    let mut table = Table::new(&["subject", "kind", "roles", "districts", "id"]);
    for member in members {
        let kind = word(member.kind().as_str_name(), "STAFF_KIND_");
        table.row([json!(member.subject), json!(kind), json!(member.roles), json!(member.districts), json!(member.id)]);
    }
    table
}
