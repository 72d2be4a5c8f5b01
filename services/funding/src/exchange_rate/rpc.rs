//! The edge of exchange rates.

use tahuka_chassis::{Caller, Currency, Once, Page, Refusal, Store, clock, edge, ids};
use tahuka_proto::funding::v1::exchange_rate_service_server::ExchangeRateService;
use tahuka_proto::funding::v1::{self as proto, *};
use tonic::{Request, Response, Status};

use super::Rate;
use super::store::{self, Model};
use crate::fields::disclosed;

pub struct ExchangeRates {
    pub store: Store,
}

#[tonic::async_trait]
impl ExchangeRateService for ExchangeRates {
    async fn create_exchange_rate(
        &self,
        request: Request<CreateExchangeRateRequest>,
    ) -> Result<Response<CreateExchangeRateResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let (base, quote) = (currency("base", &request.base)?, currency("quote", &request.quote)?);
        if base == quote {
            return Err(Refusal::invalid("quote", "must be another currency than base").into());
        }
        let rate = Rate::parse(&request.rate)
            .ok_or_else(|| Refusal::invalid("rate", "must be a decimal above zero with at most 9 places"))?;
        let row = Model {
            id: ids::new_id(),
            custodian_id: caller.tenant_id,
            base: base.as_str().to_owned(),
            quote: quote.as_str().to_owned(),
            rate: rate.scaled(),
            valid_on: edge::date("valid_on", request.valid_on.as_ref())?,
            source: edge::text("source", &request.source, 500)?,
            recorded_at: clock::now(),
        };

        let tx = match self.store.begin_once(&caller, "CreateExchangeRate", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        tx.require_write(row.custodian_id, None)?;
        store::insert(&tx, &row).await?;
        let answer = CreateExchangeRateResponse { exchange_rate: Some(shown(&caller, row)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn list_exchange_rates(
        &self,
        request: Request<ListExchangeRatesRequest>,
    ) -> Result<Response<ListExchangeRatesResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let wanted = |field, code: &str| (!code.is_empty()).then(|| currency(field, code)).transpose();
        let (base, quote) = (wanted("base", &request.base)?, wanted("quote", &request.quote)?);
        let filter = format!("exchange_rates {base:?} {quote:?}");
        let page = Page::parse(request.page_size, &request.page_token, &caller, &filter)?;
        let tx = self.store.read(&caller).await?;
        let rows = store::list(&tx, base.as_ref(), quote.as_ref(), &page).await?;
        let (rows, next_page_token) = page.cut(rows, |row| row.id);
        let exchange_rates = rows.into_iter().map(|row| shown(&caller, row)).collect();
        Ok(Response::new(ListExchangeRatesResponse { exchange_rates, next_page_token }))
    }
}

fn currency(field: &str, code: &str) -> Result<Currency, Refusal> {
    Currency::parse(code).ok_or_else(|| Refusal::invalid(field, "must be an ISO 4217 code"))
}

fn shown(caller: &Caller, row: Model) -> proto::ExchangeRate {
    let rate = proto::ExchangeRate {
        id: row.id.to_string(),
        custodian_id: row.custodian_id.to_string(),
        base: row.base,
        quote: row.quote,
        rate: Rate::of_scaled(row.rate).map(|rate| rate.to_string()).unwrap_or_default(),
        valid_on: Some(edge::to_date(row.valid_on)),
        source: row.source,
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    disclosed(caller, row.custodian_id, rate)
}
