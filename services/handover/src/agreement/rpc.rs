//! The edge of handover agreements.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tahuka_chassis::{Caller, Once, Page, Peers, Refusal, Scope, Store, Tx, clock, edge, forward, ids};
use tahuka_proto::handover::v1::handover_agreement_service_server::HandoverAgreementService;
use tahuka_proto::handover::v1::{self as proto, *};
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::tenancy::v1::handover_party_service_client::HandoverPartyServiceClient;
use tahuka_proto::tenancy::v1::{GetHandoverPartiesRequest, GetHandoverPartiesResponse};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Agreement, Criterion, Party, Programme, Retained, State, all_criteria, store};
use crate::json;
use crate::signing_key::{self, must_be_in_use};

pub struct Agreements {
    pub store: Store,
    pub peers: Peers,
}

#[tonic::async_trait]
impl HandoverAgreementService for Agreements {
    async fn propose_handover_agreement(
        &self,
        request: Request<ProposeHandoverAgreementRequest>,
    ) -> Result<Response<ProposeHandoverAgreementResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let programme_id = edge::uuid("programme_id", &request.programme_id)?;
        let recipient_id = edge::uuid("recipient_id", &request.recipient_id)?;
        let criteria = all_criteria(criteria(&request.criteria)?);
        let retained = request.retained.iter().enumerate().map(retained).collect::<Result<_, _>>()?;
        let purpose = edge::text("purpose", &request.purpose, 2000)?;
        let proposed_on = edge::past("proposed_on", request.proposed_on.as_ref())?;
        edge::required("key_id", &request.key_id)?;
        let parties = parties(&self.peers, &caller, programme_id, recipient_id).await?;

        let tx = match self.store.begin_once(&caller, "ProposeHandoverAgreement", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let key = signing_key::store::by_key_id(&tx, &request.key_id).await?;
        must_be_in_use(key.retired_on)?;
        let agreement = Agreement {
            id: ids::new_id(),
            programme_id,
            sender_id: caller.tenant_id,
            recipient_id,
            state: State::Proposed,
            purpose,
            programme: programme(&parties)?,
            sender_name: parties.sender_name,
            recipient_name: parties.recipient_name,
            criteria,
            retained,
            sender_key: key.public_key,
            recipient_key: String::new(),
            envelope: String::new(),
            proposed_on,
            sender_signed_on: None,
            recipient_signed_on: None,
            ended_on: None,
        };
        let row = store::insert(&tx, &agreement).await?;
        let answer = ProposeHandoverAgreementResponse { agreement: Some(shown(&row)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn accept_handover_agreement(
        &self,
        request: Request<AcceptHandoverAgreementRequest>,
    ) -> Result<Response<AcceptHandoverAgreementResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("handover_agreement_id", &request.handover_agreement_id)?;
        edge::past("accepted_on", request.accepted_on.as_ref())?;
        edge::required("key_id", &request.key_id)?;

        let tx = match self.store.begin_once(&caller, "AcceptHandoverAgreement", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::get(&tx, id).await?;
        let agreement = row.agreement()?;
        if agreement.party(caller.tenant_id) != Some(Party::Recipient) {
            return Err(Refusal::precondition("RECIPIENT_ONLY", "the recipient accepts").into());
        }
        let key = signing_key::store::by_key_id(&tx, &request.key_id).await?;
        must_be_in_use(key.retired_on)?;
        let agreement = agreement.accept(&key.public_key, json::time(clock::now()))?;
        let row = store::update(&tx, row, &agreement).await?;
        let answer = AcceptHandoverAgreementResponse { agreement: Some(shown(&row)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn sign_handover_agreement(
        &self,
        request: Request<SignHandoverAgreementRequest>,
    ) -> Result<Response<SignHandoverAgreementResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("handover_agreement_id", &request.handover_agreement_id)?;
        let signed_on = edge::past("signed_on", request.signed_on.as_ref())?;

        let house = in_the_houses_hands(&caller);
        let mut tx = match self.store.begin_once(&house, "SignHandoverAgreement", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::get(&tx, id).await?;
        let agreement = row.agreement()?;
        let party = agreement.party(caller.tenant_id).ok_or_else(|| Refusal::not_found("handover agreement", id))?;
        must_sign_with(&tx, &agreement, party, &request.key_id).await?;
        let agreement = agreement.sign(party, &STANDARD.encode(&request.signature), signed_on)?;
        let row = store::update(&tx, row, &agreement).await?;
        if agreement.state == State::Active {
            tx.publish(agreement.sender_id, agreement.id, &agreed(&agreement, signed_on)).await?;
        }
        let answer = SignHandoverAgreementResponse { agreement: Some(shown(&row)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn end_handover_agreement(
        &self,
        request: Request<EndHandoverAgreementRequest>,
    ) -> Result<Response<EndHandoverAgreementResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("handover_agreement_id", &request.handover_agreement_id)?;
        let ended_on = edge::past("ended_on", request.ended_on.as_ref())?;

        let tx = match self.store.begin_once(&caller, "EndHandoverAgreement", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::get(&tx, id).await?;
        let agreement = row.agreement()?.end(ended_on)?;
        let row = store::update(&tx, row, &agreement).await?;
        let answer = EndHandoverAgreementResponse { agreement: Some(shown(&row)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn get_handover_agreement(
        &self,
        request: Request<GetHandoverAgreementRequest>,
    ) -> Result<Response<GetHandoverAgreementResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("handover_agreement_id", &request.handover_agreement_id)?;
        let tx = self.store.read(&caller).await?;
        let agreement = shown(&store::get(&tx, id).await?)?;
        Ok(Response::new(GetHandoverAgreementResponse { agreement: Some(agreement) }))
    }

    async fn list_handover_agreements(
        &self,
        request: Request<ListHandoverAgreementsRequest>,
    ) -> Result<Response<ListHandoverAgreementsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let programme = edge::optional_uuid("programme_id", &request.programme_id)?;
        let filter = format!("handover_agreements {programme:?}");
        let page = Page::parse(request.page_size, &request.page_token, &caller, &filter)?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, programme, &page).await?, |row| row.id);
        let agreements = rows.iter().map(shown).collect::<Result<_, _>>()?;
        Ok(Response::new(ListHandoverAgreementsResponse { agreements, next_page_token }))
    }
}

/// The caller, with the database's door open: what both parties' word brings about is told in the sender's name, whoever
/// speaks last. Who it is, is checked by hand.
pub fn in_the_houses_hands(caller: &Caller) -> Caller {
    Caller { scope: Scope::System, ..caller.clone() }
}

/// A party signs with the key that the agreement names, while it is not retired.
pub async fn must_sign_with(tx: &Tx, agreement: &Agreement, party: Party, key_id: &str) -> Result<(), Refusal> {
    let named = agreement.key_of(party);
    if named.is_empty() {
        return Err(Refusal::precondition("NOT_ACCEPTED", "the recipient must accept first; then the document stands"));
    }
    if signing_key::stored(named)?.id().0 != key_id {
        let advice = "the agreement names another key for the caller's organisation; sign with that one";
        return Err(Refusal::precondition("KEY_NOT_IN_AGREEMENT", advice));
    }
    must_be_in_use(signing_key::store::by_key_id(tx, key_id).await?.retired_on)
}

/// What tenancy says of the two, on the caller's behalf.
pub async fn parties(
    peers: &Peers,
    caller: &Caller,
    programme_id: Uuid,
    recipient_id: Uuid,
) -> Result<GetHandoverPartiesResponse, Refusal> {
    let request = GetHandoverPartiesRequest { programme_id: programme_id.to_string(), recipient_id: recipient_id.to_string() };
    let mut tenancy = HandoverPartyServiceClient::new(peers.channel("tenancy")?);
    Ok(tenancy.get_handover_parties(forward(caller, request)).await?.into_inner())
}

fn programme(told: &GetHandoverPartiesResponse) -> Result<Programme, Refusal> {
    Ok(Programme {
        name: told.programme_name.clone(),
        starts_on: edge::date("starts_on", told.starts_on.as_ref())?,
        ends_on: edge::date("ends_on", told.ends_on.as_ref())?,
        districts: told.districts.clone(),
        custodian_id: edge::uuid("custodian_id", &told.custodian_id)?,
    })
}

/// Each with the reason why it is waived, if it is.
fn criteria(told: &[AcceptanceCriterion]) -> Result<Vec<(Criterion, Option<String>)>, Refusal> {
    let mut criteria: Vec<(Criterion, Option<String>)> = Vec::new();
    for (i, one) in told.iter().enumerate() {
        let field = |name: &str| format!("criteria[{i}].{name}");
        let criterion = Criterion::numbered(one.criterion)
            .ok_or_else(|| Refusal::invalid(field("criterion"), "must be one of the criteria"))?;
        if criteria.iter().any(|(c, _)| *c == criterion) {
            return Err(Refusal::invalid(field("criterion"), "is named twice"));
        }
        let reason = edge::optional_text(&field("reason"), &one.reason, 1000)?;
        if one.waived && reason.is_none() {
            return Err(Refusal::invalid(field("reason"), "must say why the criterion is waived"));
        }
        criteria.push((criterion, reason.filter(|_| one.waived)));
    }
    Ok(criteria)
}

fn retained((i, told): (usize, &RetainedView)) -> Result<Retained, Refusal> {
    let category = DataCategory::try_from(told.category).ok().filter(|c| *c != DataCategory::Unspecified);
    let level = DisclosureLevel::try_from(told.level).ok().filter(|l| *l != DisclosureLevel::Unspecified);
    let category = category.ok_or_else(|| Refusal::invalid(format!("retained[{i}].category"), "must be a category of data"))?;
    let level = level
        .ok_or_else(|| Refusal::invalid(format!("retained[{i}].level"), "must be AGGREGATE, PSEUDONYMISED or IDENTIFIED"))?;
    Ok(Retained { category: category.as_str_name().to_owned(), level: level.as_str_name().to_owned() })
}

fn numbers(retained: &Retained) -> (i32, i32) {
    let category = DataCategory::from_str_name(&retained.category).unwrap_or_default();
    let level = DisclosureLevel::from_str_name(&retained.level).unwrap_or_default();
    (category.into(), level.into())
}

fn agreed(agreement: &Agreement, on: chrono::NaiveDate) -> HandoverAgreed {
    let left = |retained: &Retained| {
        let (category, level) = numbers(retained);
        handover_agreed::Retained { category, level }
    };
    HandoverAgreed {
        agreement_id: agreement.id.to_string(),
        programme_id: agreement.programme_id.to_string(),
        sender_id: agreement.sender_id.to_string(),
        recipient_id: agreement.recipient_id.to_string(),
        happened_on: Some(edge::to_date(on)),
        retained: agreement.retained.iter().map(left).collect(),
    }
}

fn shown(row: &store::Model) -> Result<proto::HandoverAgreement, Refusal> {
    let agreement = row.agreement()?;
    let criteria = agreement.criteria.iter().map(|acceptance| AcceptanceCriterion {
        criterion: Criterion::number_of(&acceptance.criterion),
        waived: acceptance.waived,
        reason: acceptance.reason.clone(),
    });
    let view = |retained: &Retained| {
        let (category, level) = numbers(retained);
        RetainedView { category, level }
    };
    Ok(proto::HandoverAgreement {
        id: agreement.id.to_string(),
        programme_id: agreement.programme_id.to_string(),
        sender_id: agreement.sender_id.to_string(),
        recipient_id: agreement.recipient_id.to_string(),
        state: agreement.state.number(),
        criteria: criteria.collect(),
        retained: agreement.retained.iter().map(view).collect(),
        sender_key: signing_key::shown(&agreement.sender_key),
        recipient_key: signing_key::shown(&agreement.recipient_key),
        envelope: agreement.envelope,
        purpose: agreement.purpose,
        proposed_on: Some(edge::to_date(agreement.proposed_on)),
        sender_signed_on: agreement.sender_signed_on.map(edge::to_date),
        recipient_signed_on: agreement.recipient_signed_on.map(edge::to_date),
        ended_on: agreement.ended_on.map(edge::to_date),
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
        programme_name: agreement.programme.name,
        sender_name: agreement.sender_name,
        recipient_name: agreement.recipient_name,
    })
}
