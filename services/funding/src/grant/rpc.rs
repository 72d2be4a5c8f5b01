//! The edge of grants.

use std::collections::{BTreeSet, HashMap};

use tahuka_chassis::{Amount, Caller, Once, Page, Refusal, Store, clock, edge, ids};
use tahuka_proto::funding::v1::grant_service_server::GrantService;
use tahuka_proto::funding::v1::{self as proto, *};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::store::{self, Model, instalment, line};
use super::{BudgetKind, Period};
use crate::donor::store as donor;
use crate::exchange_rate::store as exchange_rate;
use crate::fields::disclosed;
use crate::ledger::store::{self as ledger, Totals};
use crate::ledger::{Bucket, Posting, Share};
use crate::reservation::flow;

pub struct Grants {
    pub store: Store,
}

#[tonic::async_trait]
impl GrantService for Grants {
    async fn create_grant(&self, request: Request<CreateGrantRequest>) -> Result<Response<CreateGrantResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let donor_id = edge::uuid("donor_id", &request.donor_id)?;
        let mut grant = grant(&caller, &request)?;

        let mut tx = match self.store.begin_once(&caller, "CreateGrant", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        tx.require_write(grant.custodian_id, None)?;
        let donor = donor::get(&tx, donor_id).await?;
        (grant.donor_id, grant.donor_tenant_id) = (donor.id, donor.tenant_id);
        store::insert(&tx, &grant).await?;
        tx.publish(grant.custodian_id, grant.id, &opened(&grant)).await?;
        let answer = CreateGrantResponse { grant: Some(shown(&caller, &grant, &Totals::default())?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn get_grant(&self, request: Request<GetGrantRequest>) -> Result<Response<GetGrantResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("grant_id", &request.grant_id)?;
        let tx = self.store.read(&caller).await?;
        let grant = store::get(&tx, id).await?;
        let totals = ledger::totals(&tx, vec![id]).await?.remove(&id).unwrap_or_default();
        Ok(Response::new(GetGrantResponse { grant: Some(shown(&caller, &grant, &totals)?) }))
    }

    async fn list_grants(&self, request: Request<ListGrantsRequest>) -> Result<Response<ListGrantsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let programme = edge::optional_uuid("programme_id", &request.programme_id)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("grants {programme:?}"))?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, programme, &page).await?, |row| row.id);
        let totals: HashMap<Uuid, Totals> = ledger::totals(&tx, rows.iter().map(|row| row.id).collect()).await?;
        let none = Totals::default();
        let grants =
            (rows.iter()).map(|row| shown(&caller, row, totals.get(&row.id).unwrap_or(&none))).collect::<Result<_, _>>()?;
        Ok(Response::new(ListGrantsResponse { grants, next_page_token }))
    }

    async fn create_budget_line(
        &self,
        request: Request<CreateBudgetLineRequest>,
    ) -> Result<Response<CreateBudgetLineResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let grant_id = edge::uuid("grant_id", &request.grant_id)?;
        let code = edge::text("code", &request.code, 60)?;
        let kind = kind("kind", request.kind)?;
        let amount = edge::positive_money("amount", request.amount.as_ref())?;

        let mut tx = match self.store.begin_once(&caller, "CreateBudgetLine", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let grant = store::get_for_write(&tx, grant_id).await?;
        in_currency_of("amount", &grant, &amount)?;
        let earmarked = grant.earmarks()?.kinds;
        // To administer the earmarked work is not other work.
        if kind != BudgetKind::Administration && !earmarked.is_empty() && !earmarked.contains(&kind) {
            return Err(Refusal::invalid("kind", "must be one that the grant is earmarked for").into());
        }
        ledger::turn(&tx, grant.custodian_id).await?;
        let line = line::Model {
            id: ids::new_id(),
            programme_id: grant.programme_id,
            custodian_id: grant.custodian_id,
            grant_id,
            code,
            kind: kind.word().to_owned(),
            amount_minor: amount.minor,
            used_minor: 0,
            currency: grant.currency.clone(),
            version: 1,
            recorded_at: clock::now(),
        };
        store::insert_line(&tx, &line).await?;
        let needs_served = match store::last_instalment(&tx, grant_id).await? {
            Some(last) => flow::serve(&mut tx, &grant, last.received_on).await?,
            None => 0,
        };
        let line = store::get_line(&tx, grant_id, line.id).await?;
        let answer = CreateBudgetLineResponse { budget_line: Some(shown_line(&caller, line)), needs_served };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn list_budget_lines(
        &self,
        request: Request<ListBudgetLinesRequest>,
    ) -> Result<Response<ListBudgetLinesResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let grant_id = edge::uuid("grant_id", &request.grant_id)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("budget_lines {grant_id}"))?;
        let tx = self.store.read(&caller).await?;
        store::get(&tx, grant_id).await?;
        let (rows, next_page_token) = page.cut(store::lines(&tx, grant_id, &page).await?, |row| row.id);
        let budget_lines = rows.into_iter().map(|row| shown_line(&caller, row)).collect();
        Ok(Response::new(ListBudgetLinesResponse { budget_lines, next_page_token }))
    }

    async fn record_instalment(
        &self,
        request: Request<RecordInstalmentRequest>,
    ) -> Result<Response<RecordInstalmentResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let grant_id = edge::uuid("grant_id", &request.grant_id)?;
        let received = edge::positive_money("received", request.received.as_ref())?;
        let on = edge::past("received_on", request.received_on.as_ref())?;

        let mut tx = match self.store.begin_once(&caller, "RecordInstalment", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let grant = store::get_for_write(&tx, grant_id).await?;
        ledger::turn(&tx, grant.custodian_id).await?;
        let own = grant.currency()?;
        let rates = exchange_rate::in_force(&tx, grant.custodian_id, &received.currency, std::slice::from_ref(&own), on).await?;
        let (minor, exchange_rate_id) = rates.convert(&received, &own, on).ok_or_else(|| {
            Refusal::precondition(
                "NO_EXCHANGE_RATE",
                "no exchange rate into the grant's currency is in force on that day; create one",
            )
        })?;
        if minor == 0 {
            return Err(Refusal::invalid("received", "must be worth something in the grant's currency").into());
        }
        let credited = Amount { minor, currency: own };
        let row = instalment::Model {
            id: ids::new_id(),
            programme_id: grant.programme_id,
            custodian_id: grant.custodian_id,
            grant_id,
            received_minor: received.minor,
            received_currency: received.currency.as_str().to_owned(),
            credited_minor: credited.minor,
            credited_currency: grant.currency.clone(),
            received_on: on,
            exchange_rate_id,
            recorded_at: clock::now(),
        };
        store::insert_instalment(&tx, &row).await?;
        ledger::post(&tx, &Posting::receipt(grant.purse(), on, &received)?).await?;
        ledger::post(&tx, &Posting::credit(grant.purse(), on, &received, &credited)?).await?;
        let event = InstalmentReceived {
            programme_id: grant.programme_id.to_string(),
            happened_on: Some(edge::to_date(on)),
            grant_id: grant_id.to_string(),
            received: Some(edge::to_money(&received)),
            credited: Some(edge::to_money(&credited)),
        };
        tx.publish(grant.custodian_id, grant_id, &event).await?;
        let needs_served = flow::serve(&mut tx, &grant, on).await?;
        let answer = RecordInstalmentResponse { instalment: Some(shown_instalment(&caller, row)), needs_served };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn list_instalments(
        &self,
        request: Request<ListInstalmentsRequest>,
    ) -> Result<Response<ListInstalmentsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let grant_id = edge::uuid("grant_id", &request.grant_id)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("instalments {grant_id}"))?;
        let tx = self.store.read(&caller).await?;
        store::get(&tx, grant_id).await?;
        let (rows, next_page_token) = page.cut(store::instalments(&tx, grant_id, &page).await?, |row| row.id);
        let instalments = rows.into_iter().map(|row| shown_instalment(&caller, row)).collect();
        Ok(Response::new(ListInstalmentsResponse { instalments, next_page_token }))
    }

    async fn record_expenditure(
        &self,
        request: Request<RecordExpenditureRequest>,
    ) -> Result<Response<RecordExpenditureResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let grant_id = edge::uuid("grant_id", &request.grant_id)?;
        let line_id = edge::uuid("budget_line_id", &request.budget_line_id)?;
        let amount = edge::positive_money("amount", request.amount.as_ref())?;
        let on = edge::past("spent_on", request.spent_on.as_ref())?;
        let description = edge::text("description", &request.description, 500)?;

        let mut tx = match self.store.begin_once(&caller, "RecordExpenditure", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let grant = store::get_for_write(&tx, grant_id).await?;
        in_currency_of("amount", &grant, &amount)?;
        if !grant.period().holds(on) {
            return Err(Refusal::invalid("spent_on", "must lie in the grant's period").into());
        }
        let line = store::get_line(&tx, grant_id, line_id).await?;
        if line.kind != BudgetKind::Administration.word() {
            return Err(Refusal::invalid("budget_line_id", "must be a line of kind administration").into());
        }
        ledger::turn(&tx, grant.custodian_id).await?;
        let nothing_held = Share { line: line_id, minor: 0, reservation: None };
        let posting = Posting::expenditure(grant.purse(), on, &amount.currency, Bucket::Committed, &nothing_held, amount.minor)?;
        let posting_id = ledger::post(&tx, &posting.described(description)).await?;
        let event = ExpenditureRecorded {
            programme_id: grant.programme_id.to_string(),
            happened_on: Some(edge::to_date(on)),
            grant_id: grant_id.to_string(),
            kind: line.kind,
            amount: Some(edge::to_money(&amount)),
            ..Default::default()
        };
        tx.publish(grant.custodian_id, posting_id, &event).await?;
        let line = store::get_line(&tx, grant_id, line_id).await?;
        let budget_line = Some(shown_line(&caller, line));
        let answer =
            disclosed(&caller, grant.custodian_id, RecordExpenditureResponse { posting_id: posting_id.to_string(), budget_line });
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }
}

/// As asked for; its donor is not looked up yet.
fn grant(caller: &Caller, request: &CreateGrantRequest) -> Result<Model, Refusal> {
    let amount = edge::positive_money("amount", request.amount.as_ref())?;
    let period = Period {
        starts_on: edge::date("starts_on", request.starts_on.as_ref())?,
        ends_on: edge::date("ends_on", request.ends_on.as_ref())?,
    };
    if period.ends_on < period.starts_on {
        return Err(Refusal::invalid("ends_on", "must not be before starts_on"));
    }
    let told = request.earmarks.clone().unwrap_or_default();
    let districts = (told.districts.iter().enumerate())
        .map(|(n, code)| edge::district(&format!("earmarks.districts[{n}]"), code))
        .collect::<Result<BTreeSet<_>, _>>()?;
    let kinds = (told.kinds.iter().enumerate())
        .map(|(n, number)| kind(&format!("earmarks.kinds[{n}]"), *number))
        .collect::<Result<BTreeSet<_>, _>>()?;
    Ok(Model {
        id: ids::new_id(),
        programme_id: edge::uuid("programme_id", &request.programme_id)?,
        custodian_id: caller.tenant_id,
        donor_id: Uuid::nil(),
        donor_tenant_id: None,
        code: edge::text("code", &request.code, 60)?,
        title: edge::text("title", &request.title, 300)?,
        amount_minor: amount.minor,
        currency: amount.currency.as_str().to_owned(),
        starts_on: period.starts_on,
        ends_on: period.ends_on,
        districts: serde_json::json!(districts),
        kinds: kinds.into_iter().map(BudgetKind::word).collect(),
        lined_minor: 0,
        version: 1,
        recorded_at: clock::now(),
    })
}

pub fn kind(field: &str, number: i32) -> Result<BudgetKind, Refusal> {
    BudgetKind::numbered(number).ok_or_else(|| Refusal::invalid(field, "must be a kind of budget"))
}

fn in_currency_of(field: &str, grant: &Model, amount: &Amount) -> Result<(), Refusal> {
    if amount.currency.as_str() == grant.currency {
        return Ok(());
    }
    Err(Refusal::invalid(format!("{field}.currency_code"), "must be the grant's currency"))
}

/// The grant has no day of its own but its first.
fn opened(grant: &Model) -> GrantOpened {
    GrantOpened {
        programme_id: grant.programme_id.to_string(),
        happened_on: Some(edge::to_date(grant.starts_on)),
        grant_id: grant.id.to_string(),
        donor_tenant_id: edge::shown_uuid(grant.donor_tenant_id),
        title: grant.title.clone(),
        amount: edge::stored_money(grant.amount_minor, &grant.currency),
        starts_on: Some(edge::to_date(grant.starts_on)),
        ends_on: Some(edge::to_date(grant.ends_on)),
    }
}

fn shown(caller: &Caller, row: &Model, totals: &Totals) -> Result<proto::Grant, Refusal> {
    let money = |minor| edge::stored_money(minor, &row.currency);
    let earmarks = row.earmarks()?;
    let grant = proto::Grant {
        id: row.id.to_string(),
        programme_id: row.programme_id.to_string(),
        custodian_id: row.custodian_id.to_string(),
        donor_id: row.donor_id.to_string(),
        donor_tenant_id: edge::shown_uuid(row.donor_tenant_id),
        code: row.code.clone(),
        title: row.title.clone(),
        amount: money(row.amount_minor),
        starts_on: Some(edge::to_date(row.starts_on)),
        ends_on: Some(edge::to_date(row.ends_on)),
        earmarks: Some(proto::Earmarks {
            districts: earmarks.districts,
            kinds: earmarks.kinds.into_iter().map(BudgetKind::number).collect(),
        }),
        balances: Some(proto::GrantBalances {
            received: money(totals.received()),
            available: money(totals.available),
            reserved: money(totals.reserved),
            committed: money(totals.committed),
            spent: money(totals.spent),
        }),
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    Ok(disclosed(caller, row.custodian_id, grant))
}

fn shown_line(caller: &Caller, row: line::Model) -> proto::BudgetLine {
    let line = proto::BudgetLine {
        id: row.id.to_string(),
        grant_id: row.grant_id.to_string(),
        kind: BudgetKind::number_of(&row.kind),
        amount: edge::stored_money(row.amount_minor, &row.currency),
        used: edge::stored_money(row.used_minor, &row.currency),
        code: row.code,
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    disclosed(caller, row.custodian_id, line)
}

fn shown_instalment(caller: &Caller, row: instalment::Model) -> proto::Instalment {
    let instalment = proto::Instalment {
        id: row.id.to_string(),
        grant_id: row.grant_id.to_string(),
        received: edge::stored_money(row.received_minor, &row.received_currency),
        credited: edge::stored_money(row.credited_minor, &row.credited_currency),
        received_on: Some(edge::to_date(row.received_on)),
        exchange_rate_id: edge::shown_uuid(row.exchange_rate_id),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    disclosed(caller, row.custodian_id, instalment)
}
