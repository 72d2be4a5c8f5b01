//! The edge of agreements.

use chrono::NaiveDate;
use tahuka_chassis::{Caller, Once, Page, Refusal, Store, Tx, edge, ids};
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::tenancy::v1::agreement_service_server::{AgreementService, AgreementServiceServer};
use tahuka_proto::tenancy::v1::{self as proto, *};
use tonic::{Request, Response, Status};

use super::{Agreement, State, Term, check_terms, store};
use crate::edge::districts;
use crate::programme::store as programme;
use crate::tenant::store as tenant;

pub fn server(store: Store) -> AgreementServiceServer<Agreements> {
    AgreementServiceServer::new(Agreements { store })
}

pub struct Agreements {
    store: Store,
}

#[tonic::async_trait]
impl AgreementService for Agreements {
    async fn propose_agreement(
        &self,
        request: Request<ProposeAgreementRequest>,
    ) -> Result<Response<ProposeAgreementResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let proposed_on = edge::date("proposed_on", request.proposed_on.as_ref())?;
        let agreement = Agreement {
            id: ids::new_id(),
            programme_id: edge::uuid("programme_id", &request.programme_id)?,
            custodian_id: caller.tenant_id,
            recipient_id: edge::uuid("recipient_id", &request.recipient_id)?,
            state: State::PROPOSED,
            terms: request.terms.iter().enumerate().map(|(i, t)| term(i, t)).collect::<Result<_, _>>()?,
            purpose: edge::text("purpose", &request.purpose, 2000)?,
            starts_on: edge::date("starts_on", request.starts_on.as_ref())?,
            ends_on: edge::date("ends_on", request.ends_on.as_ref())?,
            custodian_signed_on: Some(proposed_on),
            recipient_signed_on: None,
            revoked_on: None,
        };
        if agreement.recipient_id == caller.tenant_id {
            return Err(Refusal::invalid("recipient_id", "must be another tenant").into());
        }
        if agreement.ends_on < agreement.starts_on {
            return Err(Refusal::invalid("ends_on", "must not be before starts_on").into());
        }

        let mut tx = match self.store.begin_once(&caller, "ProposeAgreement", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        programme::get_own(&tx, agreement.programme_id).await?;
        let recipient = tenant::get_active(&tx, agreement.recipient_id).await?;
        check_terms(recipient.kind()?, &agreement.terms)?;
        let row = store::insert(&tx, &agreement).await?;
        tell(&mut tx, &agreement, proposed_on).await?;
        let answer = ProposeAgreementResponse { agreement: Some(shown(&row)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn sign_agreement(&self, request: Request<SignAgreementRequest>) -> Result<Response<SignAgreementResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("agreement_id", &request.agreement_id)?;
        let signed_on = edge::date("signed_on", request.signed_on.as_ref())?;

        let mut tx = match self.store.begin_once(&caller, "SignAgreement", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::get(&tx, id).await?;
        let agreement = row.agreement()?;
        let party = agreement.party(caller.tenant_id).ok_or_else(|| Refusal::not_found("agreement", id))?;
        let agreement = agreement.sign(party, signed_on)?;
        let row = store::update(&tx, row, &agreement).await?;
        tell(&mut tx, &agreement, signed_on).await?;
        let answer = SignAgreementResponse { agreement: Some(shown(&row)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn revoke_agreement(
        &self,
        request: Request<RevokeAgreementRequest>,
    ) -> Result<Response<RevokeAgreementResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("agreement_id", &request.agreement_id)?;
        let revoked_on = edge::date("revoked_on", request.revoked_on.as_ref())?;

        let mut tx = match self.store.begin_once(&caller, "RevokeAgreement", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::get(&tx, id).await?;
        let agreement = row.agreement()?.revoke(revoked_on)?;
        let row = store::update(&tx, row, &agreement).await?;
        tell(&mut tx, &agreement, revoked_on).await?;
        let answer = RevokeAgreementResponse { agreement: Some(shown(&row)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn get_agreement(&self, request: Request<GetAgreementRequest>) -> Result<Response<GetAgreementResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("agreement_id", &request.agreement_id)?;
        let tx = self.store.read(&caller).await?;
        let agreement = shown(&store::get(&tx, id).await?)?;
        Ok(Response::new(GetAgreementResponse { agreement: Some(agreement) }))
    }

    async fn list_agreements(&self, request: Request<ListAgreementsRequest>) -> Result<Response<ListAgreementsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let programme = match request.programme_id.as_str() {
            "" => None,
            id => Some(edge::uuid("programme_id", id)?),
        };
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("agreements {programme:?}"))?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, programme, &page).await?, |row| row.id);
        let agreements = rows.iter().map(shown).collect::<Result<_, _>>()?;
        Ok(Response::new(ListAgreementsResponse { agreements, next_page_token }))
    }
}

fn term(i: usize, told: &AgreementTerm) -> Result<Term, Refusal> {
    let field = |name: &str| format!("terms[{i}].{name}");
    let category = match DataCategory::try_from(told.category) {
        Ok(DataCategory::Unspecified) | Err(_) => {
            return Err(Refusal::invalid(field("category"), "must be a category of data"));
        }
        Ok(category) => category,
    };
    let level = match DisclosureLevel::try_from(told.level) {
        Ok(DisclosureLevel::Unspecified) | Err(_) => {
            return Err(Refusal::invalid(field("level"), "must be AGGREGATE, PSEUDONYMISED or IDENTIFIED"));
        }
        Ok(level) => level,
    };
    Ok(Term { category, level, districts: districts(&field("districts"), &told.districts)?, write: told.write })
}

async fn tell(tx: &mut Tx, agreement: &Agreement, happened_on: NaiveDate) -> Result<(), Refusal> {
    let event = AgreementChanged {
        agreement_id: agreement.id.to_string(),
        recipient_id: agreement.recipient_id.to_string(),
        state: agreement.state.as_str().to_owned(),
        happened_on: Some(edge::to_date(happened_on)),
    };
    // In the name of the party that acts: a tenant's journal takes no other's events.
    let party = tx.caller().tenant_id;
    tx.publish(party, agreement.id, &event).await
}

fn shown(row: &store::Model) -> Result<proto::Agreement, Refusal> {
    let agreement = row.agreement()?;
    let state = match agreement.state {
        State::Proposed { .. } => AgreementState::Proposed,
        State::Active => AgreementState::Active,
        State::Revoked => AgreementState::Revoked,
        State::Expired => AgreementState::Expired,
    };
    let term = |term: Term| AgreementTerm {
        category: term.category.into(),
        level: term.level.into(),
        districts: term.districts,
        write: term.write,
    };
    Ok(proto::Agreement {
        id: agreement.id.to_string(),
        programme_id: agreement.programme_id.to_string(),
        custodian_id: agreement.custodian_id.to_string(),
        recipient_id: agreement.recipient_id.to_string(),
        state: state.into(),
        terms: agreement.terms.into_iter().map(term).collect(),
        purpose: agreement.purpose,
        starts_on: Some(edge::to_date(agreement.starts_on)),
        ends_on: Some(edge::to_date(agreement.ends_on)),
        custodian_signed_on: agreement.custodian_signed_on.map(edge::to_date),
        recipient_signed_on: agreement.recipient_signed_on.map(edge::to_date),
        revoked_on: agreement.revoked_on.map(edge::to_date),
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    })
}
