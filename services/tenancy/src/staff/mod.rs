//! A staff member: a subject of one of the tenant's identity providers, person or workload, with roles and perhaps
//! districts.

pub mod role;
pub mod rpc;
pub mod store;

use tahuka_chassis::coded;
use uuid::Uuid;

coded!(
    /// Who stands behind a subject: somebody, or a client of the identity provider, which is another system.
    Kind {
        Person = 1 "person",
        Workload = 2 "workload",
    }
);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaffMember {
    pub id: Uuid,
    pub tenant_id: Uuid,
    /// The `sub` of the tokens; exact.
    pub subject: String,
    pub kind: Kind,
    pub roles: Vec<String>,
    /// P-codes; empty for no limit.
    pub districts: Vec<String>,
}
