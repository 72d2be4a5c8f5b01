//! The edge of agreements.

use chrono::NaiveDate;
use tahuka_chassis::{Caller, Once, Page, Refusal, Store, Tx, edge, ids};
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::tenancy::v1::agreement_service_server::{AgreementService, AgreementServiceServer};
use tahuka_proto::tenancy::v1::{self as proto, *};
use tonic::{Request, Response, Status};

use super::amendment::Standing;
use super::store::amendment;
use super::{Action, Agreement, Amendment, State, Term, change, check_terms, store};
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
            terms: terms(&request.terms)?,
            purpose: edge::text("purpose", &request.purpose, 2000)?,
            starts_on: edge::date("starts_on", request.starts_on.as_ref())?,
            ends_on: edge::date("ends_on", request.ends_on.as_ref())?,
            custodian_signed_on: Some(proposed_on),
            recipient_signed_on: None,
            revoked_on: None,
            revision: 1,
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
        change::note(&tx, &agreement, Action::Proposed, 1, proposed_on).await?;
        tell(&mut tx, &agreement, proposed_on).await?;
        let answer = ProposeAgreementResponse { agreement: Some(shown(&row, None)?) };
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
        let mut open = amendment::open(&tx, vec![id]).await?.remove(&id);
        let (agreement, revision) = match (request.revision, &mut open) {
            (0 | 1, _) if agreement.revision == 1 => (agreement.sign(party, signed_on)?, 1),
            (revision, Some(amendment)) if amendment.revision == revision => {
                agreement.may_be_amended()?;
                *amendment = amendment.clone().sign(party, signed_on)?;
                amendment::update(&tx, amendment).await?;
                (agreement.adopting(amendment), revision)
            }
            _ => {
                let advice = "this revision does not wait for a signature; read the agreement again";
                return Err(Refusal::precondition("NOT_THIS_REVISION", advice).into());
            }
        };
        let row = store::update(&tx, row, &agreement).await?;
        change::note(&tx, &agreement, Action::Signed, revision, signed_on).await?;
        tell(&mut tx, &agreement, signed_on).await?;
        let open = open.filter(|amendment| amendment.standing == Standing::Open);
        let answer = SignAgreementResponse { agreement: Some(shown(&row, open.as_ref())?) };
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
        amendment::close(&tx, id, Standing::Lapsed).await?;
        change::note(&tx, &agreement, Action::Revoked, agreement.revision, revoked_on).await?;
        tell(&mut tx, &agreement, revoked_on).await?;
        let answer = RevokeAgreementResponse { agreement: Some(shown(&row, None)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn get_agreement(&self, request: Request<GetAgreementRequest>) -> Result<Response<GetAgreementResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("agreement_id", &request.agreement_id)?;
        let tx = self.store.read(&caller).await?;
        let row = store::get(&tx, id).await?;
        let agreement = shown(&row, amendment::open(&tx, vec![id]).await?.get(&id))?;
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
        let open = amendment::open(&tx, rows.iter().map(|row| row.id).collect()).await?;
        let agreements = rows.iter().map(|row| shown(row, open.get(&row.id))).collect::<Result<_, _>>()?;
        Ok(Response::new(ListAgreementsResponse { agreements, next_page_token }))
    }

    async fn amend_agreement(&self, request: Request<AmendAgreementRequest>) -> Result<Response<AmendAgreementResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("agreement_id", &request.agreement_id)?;
        let proposed_on = edge::date("proposed_on", request.proposed_on.as_ref())?;
        let terms = terms(&request.terms)?;
        let purpose = edge::text("purpose", &request.purpose, 2000)?;
        let starts_on = edge::date("starts_on", request.starts_on.as_ref())?;
        let ends_on = edge::date("ends_on", request.ends_on.as_ref())?;
        if ends_on < starts_on {
            return Err(Refusal::invalid("ends_on", "must not be before starts_on").into());
        }

        let mut tx = match self.store.begin_once(&caller, "AmendAgreement", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::get(&tx, id).await?;
        let agreement = row.agreement()?;
        let party = agreement.party(caller.tenant_id).ok_or_else(|| Refusal::not_found("agreement", id))?;
        agreement.may_be_amended()?;
        let recipient = tenant::get_active(&tx, agreement.recipient_id).await?;
        check_terms(recipient.kind()?, &terms)?;
        amendment::close(&tx, id, Standing::Superseded).await?;
        let unsigned = Amendment {
            id: ids::new_id(),
            agreement_id: id,
            custodian_id: agreement.custodian_id,
            recipient_id: agreement.recipient_id,
            revision: amendment::last_revision(&tx, id).await? + 1,
            standing: Standing::Open,
            terms,
            purpose,
            starts_on,
            ends_on,
            custodian_signed_on: None,
            recipient_signed_on: None,
        };
        let amendment = unsigned.sign(party, proposed_on)?;
        amendment::insert(&tx, &amendment).await?;
        let row = store::update(&tx, row, &agreement).await?;
        change::note(&tx, &agreement, Action::AmendmentProposed, amendment.revision, proposed_on).await?;
        tell(&mut tx, &agreement, proposed_on).await?;
        let answer = AmendAgreementResponse { agreement: Some(shown(&row, Some(&amendment))?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn list_agreement_changes(
        &self,
        request: Request<ListAgreementChangesRequest>,
    ) -> Result<Response<ListAgreementChangesResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("agreement_id", &request.agreement_id)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("agreement_changes {id}"))?;
        let tx = self.store.read(&caller).await?;
        store::get(&tx, id).await?;
        let (rows, next_page_token) = page.cut(change::list(&tx, id, &page).await?, |row| row.id);
        let changes = rows.into_iter().map(|row| shown_change(&caller, row)).collect();
        Ok(Response::new(ListAgreementChangesResponse { changes, next_page_token }))
    }
}

fn terms(told: &[AgreementTerm]) -> Result<Vec<Term>, Refusal> {
    told.iter().enumerate().map(|(i, told)| term(i, told)).collect()
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
    let grant = |(n, id): (usize, &String)| edge::uuid(&field(&format!("grants[{n}]")), id);
    let mut grants = told.grants.iter().enumerate().map(grant).collect::<Result<Vec<_>, _>>()?;
    grants.sort();
    grants.dedup();
    Ok(Term { category, level, districts: districts(&field("districts"), &told.districts)?, write: told.write, grants })
}

async fn tell(tx: &mut Tx, agreement: &Agreement, happened_on: NaiveDate) -> Result<(), Refusal> {
    let event = AgreementChanged {
        agreement_id: agreement.id.to_string(),
        recipient_id: agreement.recipient_id.to_string(),
        state: agreement.state.as_str().to_owned(),
        happened_on: Some(edge::to_date(happened_on)),
        revision: change::in_force(agreement),
    };
    // In the name of the party that acts: a tenant's journal takes no other's events.
    let party = tx.caller().tenant_id;
    tx.publish(party, agreement.id, &event).await
}

fn to_state(state: &str) -> AgreementState {
    AgreementState::from_str_name(&format!("AGREEMENT_STATE_{}", state.to_uppercase())).unwrap_or_default()
}

fn shown_terms(terms: &[Term]) -> Vec<AgreementTerm> {
    let term = |term: &Term| AgreementTerm {
        category: term.category.into(),
        level: term.level.into(),
        districts: term.districts.clone(),
        write: term.write,
        grants: term.grants.iter().map(ToString::to_string).collect(),
    };
    terms.iter().map(term).collect()
}

fn shown_amendment(amendment: &Amendment) -> AgreementAmendment {
    AgreementAmendment {
        revision: amendment.revision,
        terms: shown_terms(&amendment.terms),
        purpose: amendment.purpose.clone(),
        starts_on: Some(edge::to_date(amendment.starts_on)),
        ends_on: Some(edge::to_date(amendment.ends_on)),
        custodian_signed_on: amendment.custodian_signed_on.map(edge::to_date),
        recipient_signed_on: amendment.recipient_signed_on.map(edge::to_date),
    }
}

/// A party sees who of its own staff acted, and of the other side only which party.
fn shown_change(caller: &Caller, row: change::Model) -> AgreementChange {
    let level = match caller.tenant_id == row.tenant_id {
        true => caller.level(row.tenant_id, caller.districts.first().map(String::as_str)),
        false => DisclosureLevel::Aggregate,
    };
    let change = AgreementChange {
        id: row.id.to_string(),
        agreement_id: row.agreement_id.to_string(),
        tenant_id: row.tenant_id.to_string(),
        subject: row.subject,
        action: Action::number_of(&row.action),
        revision: row.revision,
        state: to_state(&row.state).into(),
        revision_in_force: row.revision_in_force,
        happened_on: Some(edge::to_date(row.happened_on)),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    caller.disclose_at(level, change)
}

/// With what waits for a signature.
fn shown(row: &store::Model, open: Option<&Amendment>) -> Result<proto::Agreement, Refusal> {
    let agreement = row.agreement()?;
    // An agreement that has run out cannot be amended any more.
    let open = open.filter(|_| agreement.state == State::Active);
    Ok(proto::Agreement {
        id: agreement.id.to_string(),
        programme_id: agreement.programme_id.to_string(),
        custodian_id: agreement.custodian_id.to_string(),
        recipient_id: agreement.recipient_id.to_string(),
        state: to_state(agreement.state.as_str()).into(),
        terms: shown_terms(&agreement.terms),
        purpose: agreement.purpose,
        starts_on: Some(edge::to_date(agreement.starts_on)),
        ends_on: Some(edge::to_date(agreement.ends_on)),
        custodian_signed_on: agreement.custodian_signed_on.map(edge::to_date),
        recipient_signed_on: agreement.recipient_signed_on.map(edge::to_date),
        revoked_on: agreement.revoked_on.map(edge::to_date),
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
        revision: agreement.revision,
        amendment: open.map(shown_amendment),
    })
}
