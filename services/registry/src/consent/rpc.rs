//! The edge of consents.

use tahuka_chassis::{Caller, Once, Page, Refusal, Store, clock, edge};
use tahuka_proto::registry::v1::consent_service_server::ConsentService;
use tahuka_proto::registry::v1::{self as proto, *};
use tonic::{Request, Response, Status};

use super::store::{self, Model};
use super::{Form, Purpose, withdrawal};
use crate::fields::at;
use crate::individual::store as individual;

pub struct Consents {
    pub store: Store,
}

#[tonic::async_trait]
impl ConsentService for Consents {
    async fn record_consent(&self, request: Request<RecordConsentRequest>) -> Result<Response<RecordConsentResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let individual_id = edge::uuid("individual_id", &request.individual_id)?;
        let (purpose, form) = (purpose(request.purpose)?, form(request.form)?);
        let given_on = edge::past("given_on", request.given_on.as_ref())?;

        let tx = match self.store.begin_once(&caller, "RecordConsent", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let individual = individual::get_for_write(&tx, individual_id).await?;
        let row = Model::new(&individual, purpose, form, given_on, clock::now());
        store::insert(&tx, vec![row.clone()]).await?;
        let answer = RecordConsentResponse { consent: Some(shown(&caller, &row)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn withdraw_consent(
        &self,
        request: Request<WithdrawConsentRequest>,
    ) -> Result<Response<WithdrawConsentResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("consent_id", &request.consent_id)?;
        let on = edge::past("withdrawn_on", request.withdrawn_on.as_ref())?;

        let tx = match self.store.begin_once(&caller, "WithdrawConsent", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let consent = store::get_for_write(&tx, id).await?;
        edge::etag("etag", &request.etag, consent.version)?;
        if consent.withdrawn_on.is_some() {
            return Err(Refusal::precondition("ALREADY_WITHDRAWN", "the consent has been withdrawn before").into());
        }
        let on = at("withdrawn_on", withdrawal(consent.given_on, on))?;
        let row = store::withdraw(&tx, consent, on).await?;
        let answer = WithdrawConsentResponse { consent: Some(shown(&caller, &row)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn list_consents(&self, request: Request<ListConsentsRequest>) -> Result<Response<ListConsentsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let individual_id = edge::uuid("individual_id", &request.individual_id)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("consents {individual_id}"))?;
        let tx = self.store.read(&caller).await?;
        individual::get(&tx, individual_id).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, individual_id, &page).await?, |row| row.id);
        let consents = rows.iter().map(|row| shown(&caller, row)).collect();
        Ok(Response::new(ListConsentsResponse { consents, next_page_token }))
    }
}

fn purpose(told: i32) -> Result<Purpose, Refusal> {
    match ConsentPurpose::try_from(told) {
        Ok(ConsentPurpose::Assistance) => Ok(Purpose::Assistance),
        Ok(ConsentPurpose::Handover) => Ok(Purpose::Handover),
        Ok(ConsentPurpose::Research) => Ok(Purpose::Research),
        _ => Err(Refusal::invalid("purpose", "must be assistance, handover or research")),
    }
}

fn to_purpose(code: &str) -> ConsentPurpose {
    match Purpose::parse(code) {
        Ok(Purpose::Assistance) => ConsentPurpose::Assistance,
        Ok(Purpose::Handover) => ConsentPurpose::Handover,
        Ok(Purpose::Research) => ConsentPurpose::Research,
        Err(_) => ConsentPurpose::Unspecified,
    }
}

fn form(told: i32) -> Result<Form, Refusal> {
    match ConsentForm::try_from(told) {
        Ok(ConsentForm::Written) => Ok(Form::Written),
        Ok(ConsentForm::Oral) => Ok(Form::Oral),
        Ok(ConsentForm::Thumbprint) => Ok(Form::Thumbprint),
        Ok(ConsentForm::RegistrationForm) => Ok(Form::RegistrationForm),
        _ => Err(Refusal::invalid("form", "must be written, oral, thumbprint or registration_form")),
    }
}

fn to_form(code: &str) -> ConsentForm {
    match Form::parse(code) {
        Ok(Form::Written) => ConsentForm::Written,
        Ok(Form::Oral) => ConsentForm::Oral,
        Ok(Form::Thumbprint) => ConsentForm::Thumbprint,
        Ok(Form::RegistrationForm) => ConsentForm::RegistrationForm,
        Err(_) => ConsentForm::Unspecified,
    }
}

fn shown(caller: &Caller, row: &Model) -> proto::Consent {
    let message = proto::Consent {
        id: row.id.to_string(),
        programme_id: row.programme_id.to_string(),
        custodian_id: row.custodian_id.to_string(),
        district: row.district.clone(),
        household_id: row.household_id.to_string(),
        individual_id: row.individual_id.to_string(),
        purpose: to_purpose(&row.purpose).into(),
        form: to_form(&row.form).into(),
        given_on: Some(edge::to_date(row.given_on)),
        withdrawn_on: row.withdrawn_on.map(edge::to_date),
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    caller.disclose(row.custodian_id, Some(&row.district), message)
}
