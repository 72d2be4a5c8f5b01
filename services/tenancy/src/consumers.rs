//! What a handover means for tenancy: whoever takes records over agrees with others in its own name, and leaves the sender
//! what both have signed.

use chrono::{Months, NaiveDate};
use tahuka_chassis::{Consumer, Event, Refusal, Tx, async_trait, clock, edge, ids};
use tahuka_proto::EventMessage;
use tahuka_proto::handover::v1::HandoverAgreed;
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::tenancy::v1::AgreementChanged;
use uuid::Uuid;

use crate::agreement::{Action, Agreement, Party, State, Term, change, store as agreement};
use crate::handover_party::store as custodian;

/// How long the sender may look at what it is left: as long as the handover must be provable, and some more.
const YEARS_LEFT: u32 = 30;

pub struct Handovers;

#[async_trait]
impl Consumer for Handovers {
    fn name(&self) -> &'static str {
        "handovers"
    }

    fn hears(&self) -> &'static [&'static str] {
        &[HandoverAgreed::KIND]
    }

    async fn handle(&self, tx: &mut Tx, event: &Event) -> Result<(), Refusal> {
        let told: HandoverAgreed = event.decode()?;
        let programme_id = edge::uuid("programme_id", &told.programme_id)?;
        let sender = edge::uuid("sender_id", &told.sender_id)?;
        let recipient = edge::uuid("recipient_id", &told.recipient_id)?;
        let on = edge::date("happened_on", told.happened_on.as_ref())?;
        let row = custodian::Model {
            programme_id,
            tenant_id: recipient,
            agreement_id: edge::uuid("agreement_id", &told.agreement_id)?,
            since: on,
            recorded_at: clock::now(),
        };
        custodian::add(tx, row).await?;
        let terms: Vec<Term> = told.retained.iter().filter_map(left_to_the_sender).collect();
        if terms.is_empty() {
            return Ok(());
        }
        leave(tx, programme_id, (recipient, sender), terms, on).await
    }
}

fn left_to_the_sender(told: &tahuka_proto::handover::v1::handover_agreed::Retained) -> Option<Term> {
    let category = DataCategory::try_from(told.category).ok().filter(|c| *c != DataCategory::Unspecified)?;
    let level = DisclosureLevel::try_from(told.level).ok().filter(|l| *l != DisclosureLevel::Unspecified)?;
    Some(Term { category, level, districts: Vec::new(), write: false, grants: Vec::new() })
}

/// The agreement by which the new custodian lets the sender in. Both have signed it with the handover.
async fn leave(tx: &mut Tx, programme_id: Uuid, parties: (Uuid, Uuid), terms: Vec<Term>, on: NaiveDate) -> Result<(), Refusal> {
    let (custodian_id, recipient_id) = parties;
    let agreement = Agreement {
        id: ids::new_id(),
        programme_id,
        custodian_id,
        recipient_id,
        state: State::PROPOSED,
        terms,
        purpose: "What the sender of a handover may still see".into(),
        starts_on: on,
        ends_on: on.checked_add_months(Months::new(12 * YEARS_LEFT)).unwrap_or(on),
        custodian_signed_on: Some(on),
        recipient_signed_on: None,
        revoked_on: None,
        revision: 1,
    };
    let agreement = agreement.sign(Party::Recipient, on)?;
    let known = custodian::agreements(tx, programme_id, custodian_id, recipient_id).await?;
    let same =
        |one: &Agreement| one.custodian_id == custodian_id && one.recipient_id == recipient_id && one.terms == agreement.terms;
    if known.iter().any(|one| same(one) && one.ends_on >= on) {
        // An earlier handover of the two has left it to the sender already.
        return Ok(());
    }
    agreement::insert(tx, &agreement).await?;
    for (tenant, action) in [(custodian_id, Action::Proposed), (recipient_id, Action::Signed)] {
        change::note_of(tx, tenant, "", &agreement, action, 1, on).await?;
    }
    let event = AgreementChanged {
        agreement_id: agreement.id.to_string(),
        recipient_id: recipient_id.to_string(),
        state: agreement.state.as_str().to_owned(),
        happened_on: Some(edge::to_date(on)),
        revision: agreement.revision,
    };
    tx.publish(custodian_id, agreement.id, &event).await
}
