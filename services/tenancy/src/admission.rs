//! What a programme of another installation needs here before its records come: the programme itself, and the two
//! organisations of the handover. What is here already stays as it is.

use chrono::NaiveDate;
use tahuka_chassis::{Refusal, Store, TenantKind, Tx, clock, edge};
use tahuka_proto::tenancy::v1::ProgrammeCreated;
use uuid::Uuid;

use crate::handover_party::store as custodian;
use crate::programme::{Basis, District, Programme, Time, store as programme};
use crate::tenant::{Slug, State, Tenant, store as tenant};

/// A programme as a bundle tells of it.
#[derive(Debug, Clone)]
pub struct Admission {
    pub programme_id: Uuid,
    pub name: String,
    pub starts_on: NaiveDate,
    pub ends_on: NaiveDate,
    pub districts: Vec<String>,
    pub sender: (Uuid, String),
    /// As the bundle tells.
    pub recipient: (Uuid, String),
    /// Who has the records here: the recipient, or whoever it is here.
    pub custodian: Uuid,
    /// The handover agreement.
    pub agreement_id: Uuid,
    pub since: NaiveDate,
}

/// Adds what is missing; what that was, in words.
pub async fn admit(store: &Store, admission: &Admission) -> Result<Vec<String>, Refusal> {
    let mut tx = store.system("import").await?;
    let mut added = Vec::new();
    let parties = [(&admission.sender, TenantKind::Operator), (&admission.recipient, TenantKind::Ministry)];
    for ((id, name), kind) in parties {
        let is_needed = *id == admission.sender.0 || *id == admission.custodian;
        if is_needed && add(&tx, *id, name, kind).await? {
            added.push(format!("the tenant {name}"));
        }
    }
    tenant::get_active(&tx, admission.custodian).await?;
    if programme::find(&tx, admission.programme_id).await?.is_none() {
        let source = "handover";
        let district = |pcode: &String| District {
            pcode: pcode.clone(),
            name: pcode.clone(),
            basis: Basis::Assumed,
            source: source.to_owned(),
        };
        let new = Programme {
            id: admission.programme_id,
            custodian_id: admission.sender.0,
            name: admission.name.clone(),
            time: Time::new(admission.starts_on, admission.ends_on)?,
            districts: admission.districts.iter().map(district).collect(),
        };
        programme::insert(&tx, &new).await?;
        let event = ProgrammeCreated {
            programme_id: new.id.to_string(),
            name: new.name.clone(),
            starts_on: Some(edge::to_date(admission.starts_on)),
            ends_on: Some(edge::to_date(admission.ends_on)),
            districts: admission.districts.clone(),
        };
        tx.publish(new.custodian_id, new.id, &event).await?;
        added.push(format!("the programme {}", admission.name));
    }
    if admission.custodian != admission.sender.0 {
        let row = custodian::Model {
            programme_id: admission.programme_id,
            tenant_id: admission.custodian,
            agreement_id: admission.agreement_id,
            since: admission.since,
            recorded_at: clock::now(),
        };
        custodian::add(&tx, row).await?;
    }
    tx.commit().await?;
    Ok(added)
}

/// Whether it was missing.
async fn add(tx: &Tx, id: Uuid, name: &str, kind: TenantKind) -> Result<bool, Refusal> {
    match tenant::get(tx, id).await {
        Ok(_) => return Ok(false),
        Err(Refusal::NotFound { .. }) => {}
        Err(other) => return Err(other),
    }
    // Its id makes the slug one that nobody has.
    let id_part = id.simple().to_string();
    let slug = Slug::parse(&format!("handover-{}", id_part.get(20..).unwrap_or_default()));
    let slug = slug.ok_or_else(|| Refusal::internal("a slug"))?;
    tenant::insert(tx, Tenant { id, name: name.to_owned(), kind, slug, state: State::Active }).await?;
    Ok(true)
}
