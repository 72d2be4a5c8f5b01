//! The edge of the ledger, which is read here and written by what happens.

use tahuka_chassis::{Caller, Page, Store, edge};
use tahuka_proto::funding::v1::ledger_service_server::LedgerService;
use tahuka_proto::funding::v1::{self as proto, *};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::store::{self, balance, entry, posting};
use super::{Bucket, PostingKind};
use crate::fields::disclosed;
use crate::grant::store as grant;

/// A page ends early rather than have more entries than a message can carry.
const MOST_ENTRIES: i32 = 10_000;

pub struct Ledger {
    pub store: Store,
}

#[tonic::async_trait]
impl LedgerService for Ledger {
    async fn list_postings(&self, request: Request<ListPostingsRequest>) -> Result<Response<ListPostingsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let grant_id = edge::uuid("grant_id", &request.grant_id)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("postings {grant_id}"))?;
        let tx = self.store.read(&caller).await?;
        grant::get(&tx, grant_id).await?;
        let (mut rows, mut next_page_token) = page.cut(store::postings(&tx, grant_id, &page).await?, |row| row.id);
        let fit = fitting(&rows);
        if fit < rows.len() {
            rows.truncate(fit);
            next_page_token = rows.last().map(|row| page.token(row.id)).unwrap_or_default();
        }
        let mut entries = store::entries(&tx, rows.iter().map(|row| row.id).collect()).await?;
        let postings = rows
            .into_iter()
            .map(|row| {
                let own = entries.remove(&row.id);
                shown(&caller, row, own.unwrap_or_default())
            })
            .collect();
        Ok(Response::new(ListPostingsResponse { postings, next_page_token }))
    }

    async fn list_balances(&self, request: Request<ListBalancesRequest>) -> Result<Response<ListBalancesResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let grant_id = edge::uuid("grant_id", &request.grant_id)?;
        let tx = self.store.read(&caller).await?;
        grant::get(&tx, grant_id).await?;
        let mut rows = store::balances(&tx, grant_id).await?;
        rows.sort_by_key(|row| (Bucket::number_of(&row.bucket), row.line_id, row.currency.clone()));
        let balances = rows.into_iter().map(|row| shown_balance(&caller, row)).collect();
        Ok(Response::new(ListBalancesResponse { balances }))
    }
}

/// How many postings fit into one answer; at least one.
fn fitting(rows: &[posting::Model]) -> usize {
    let mut entries = 0;
    let over = rows.iter().position(|row| {
        entries += row.entries;
        entries > MOST_ENTRIES
    });
    over.unwrap_or(rows.len()).max(1)
}

fn shown(caller: &Caller, row: posting::Model, entries: Vec<entry::Model>) -> proto::Posting {
    let entry = |entry: entry::Model| proto::Entry {
        budget_line_id: edge::shown_uuid(entry.line_id),
        bucket: Bucket::number_of(&entry.bucket),
        amount: edge::stored_money(entry.minor, &entry.currency),
        reservation_id: edge::shown_uuid(entry.reservation_id),
    };
    let posting = proto::Posting {
        id: row.id.to_string(),
        grant_id: row.grant_id.to_string(),
        kind: PostingKind::number_of(&row.kind),
        happened_on: Some(edge::to_date(row.happened_on)),
        description: row.description,
        entries: entries.into_iter().map(entry).collect(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    disclosed(caller, row.custodian_id, posting)
}

fn shown_balance(caller: &Caller, row: balance::Model) -> proto::Balance {
    let balance = proto::Balance {
        budget_line_id: edge::shown_uuid((row.line_id != Uuid::nil()).then_some(row.line_id)),
        bucket: Bucket::number_of(&row.bucket),
        balance: edge::stored_money(row.minor, &row.currency),
    };
    disclosed(caller, row.custodian_id, balance)
}
