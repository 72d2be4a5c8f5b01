//! An agreement, proposed or amended by the custodian of its programme. Whose signature is missing is told, and left to
//! them.

use tahuka_chassis::{Refusal, edge};
use tahuka_proto::google::r#type::Date;
use tahuka_proto::tenancy::v1 as tenancy;
use tahuka_proto::tenancy::v1::agreement_service_client::AgreementServiceClient;
use tahuka_proto::tenancy::v1::programme_service_client::ProgrammeServiceClient;

use super::super::agreement::shown_term;
use super::super::desk::{Line, day, request_id, shown_day, told};
use super::documents::Agreement;
use super::{Action, Change, Hand, Known, difference, programmes, set};

/// What the two parties agree on.
struct Contents {
    terms: String,
    starts_on: String,
    ends_on: String,
    purpose: String,
}

impl Contents {
    fn new(terms: &[tenancy::AgreementTerm], starts_on: Option<&Date>, ends_on: Option<&Date>, purpose: &str) -> Self {
        let terms: Vec<String> = terms.iter().map(shown).collect();
        let (starts_on, ends_on) = (shown_day(starts_on), shown_day(ends_on));
        Contents { terms: set(&terms), starts_on, ends_on, purpose: purpose.to_owned() }
    }

    fn differences(&self, wanted: &Contents) -> Vec<String> {
        let all = [
            difference("terms", &self.terms, &wanted.terms),
            difference("starts_on", &self.starts_on, &wanted.starts_on),
            difference("ends_on", &self.ends_on, &wanted.ends_on),
            difference("purpose", &self.purpose, &wanted.purpose),
        ];
        all.into_iter().flatten().collect()
    }
}

/// A term, whatever the order of its districts and grants.
fn shown(term: &tenancy::AgreementTerm) -> String {
    let mut term = term.clone();
    term.districts.sort_unstable();
    term.grants.sort_unstable();
    shown_term(&term)
}

pub async fn apply(hand: &mut Hand, wanted: &Agreement) -> Result<Change, Refusal> {
    let recipient_id = match hand.tenant("recipient", &wanted.recipient).await? {
        Known::Id(id) => id,
        Known::WouldBe => return Ok(Change::create()),
    };
    let programme = programmes::find(&mut ProgrammeServiceClient::new(hand.line.clone()), &wanted.programme).await?;
    let programme_id = match programme {
        Some(programme) => programme.id,
        None if hand.is_planned(&wanted.programme) => return Ok(Change::create()),
        None => return Err(Refusal::invalid("programme", format!("there is no programme {}", wanted.programme))),
    };
    let mut client = AgreementServiceClient::new(hand.line.clone());
    let (starts_on, ends_on) = (edge::to_date(wanted.starts_on), edge::to_date(wanted.ends_on));
    let contents = Contents::new(&wanted.terms, Some(&starts_on), Some(&ends_on), &wanted.purpose);
    let current = find(&mut client, &programme_id, &recipient_id).await?;
    let waits = |id: &str| format!("waits for the signature of {}: tahuka agreement sign {id}", wanted.recipient);
    let Some(current) = current else {
        if hand.dry_run {
            return Ok(Change::create());
        }
        let request = tenancy::ProposeAgreementRequest {
            request_id: request_id(),
            programme_id,
            recipient_id,
            terms: wanted.terms.clone(),
            starts_on: Some(starts_on),
            ends_on: Some(ends_on),
            purpose: wanted.purpose.clone(),
            proposed_on: day(wanted.proposed_on),
        };
        let made = told(client.propose_agreement(request).await?.into_inner().agreement)?;
        return Ok(Change { action: Action::Create, differences: vec![waits(&made.id)] });
    };
    let agreed = Contents::new(&current.terms, current.starts_on.as_ref(), current.ends_on.as_ref(), &current.purpose);
    let differences = agreed.differences(&contents);
    if current.state() == tenancy::AgreementState::Proposed {
        if differences.is_empty() {
            return Ok(Change { action: Action::Nothing, differences: vec![waits(&current.id)] });
        }
        let rule = format!("agreement {} is proposed with other contents; let it be signed or revoke it first", current.id);
        return Err(Refusal::invalid("terms", rule));
    }
    if let Some(open) = &current.amendment {
        let proposed = Contents::new(&open.terms, open.starts_on.as_ref(), open.ends_on.as_ref(), &open.purpose);
        if proposed.differences(&contents).is_empty() {
            let told = format!("revision {} waits for a signature", open.revision);
            return Ok(Change { action: Action::Nothing, differences: vec![told] });
        }
    }
    if differences.is_empty() || hand.dry_run {
        return Ok(Change::of(differences));
    }
    let request = tenancy::AmendAgreementRequest {
        request_id: request_id(),
        agreement_id: current.id.clone(),
        terms: wanted.terms.clone(),
        starts_on: Some(starts_on),
        ends_on: Some(ends_on),
        purpose: wanted.purpose.clone(),
        proposed_on: day(wanted.proposed_on),
    };
    let amended = told(client.amend_agreement(request).await?.into_inner().agreement)?;
    let revision = amended.amendment.map_or(amended.revision, |amendment| amendment.revision);
    let mut change = Change::of(differences);
    change.differences.push(format!("{} --revision {revision}", waits(&current.id)));
    Ok(change)
}

/// The agreement of these two on this programme that has not ended.
async fn find(
    client: &mut AgreementServiceClient<Line>,
    programme_id: &str,
    recipient_id: &str,
) -> Result<Option<tenancy::Agreement>, Refusal> {
    let programme_id = programme_id.to_owned();
    let mut request = tenancy::ListAgreementsRequest { page_size: 1000, programme_id, ..Default::default() };
    loop {
        let page = client.list_agreements(request.clone()).await?.into_inner();
        let holds = |agreement: &tenancy::Agreement| {
            let open = [tenancy::AgreementState::Proposed, tenancy::AgreementState::Active];
            agreement.recipient_id == recipient_id && open.contains(&agreement.state())
        };
        if let Some(found) = page.agreements.into_iter().find(holds) {
            return Ok(Some(found));
        }
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(None);
        }
    }
}
