//! A staff member: a subject of the tenant's identity provider, with roles and perhaps districts.

pub mod role;
pub mod rpc;
pub mod store;

use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaffMember {
    pub id: Uuid,
    pub tenant_id: Uuid,
    /// The `sub` of the tokens; exact.
    pub subject: String,
    pub roles: Vec<String>,
    /// P-codes; empty for no limit.
    pub districts: Vec<String>,
}
