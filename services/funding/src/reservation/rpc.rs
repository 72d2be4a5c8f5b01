//! The edge of reservations, which are read here; events make them.

use tahuka_chassis::{Caller, Page, Refusal, Store, edge};
use tahuka_proto::funding::v1::reservation_service_server::ReservationService;
use tahuka_proto::funding::v1::{self as proto, *};
use tonic::{Request, Response, Status};

use super::store::{self, Filter, Model};
use super::{NeedKind, State};
use crate::grant::rpc::kind;
use crate::grant::{BudgetKind, store as grant};

pub struct Reservations {
    pub store: Store,
}

#[tonic::async_trait]
impl ReservationService for Reservations {
    async fn list_reservations(
        &self,
        request: Request<ListReservationsRequest>,
    ) -> Result<Response<ListReservationsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let filter = Filter {
            grant_id: edge::optional_uuid("grant_id", &request.grant_id)?,
            state: match request.state {
                0 => None,
                number => {
                    Some(State::numbered(number).ok_or_else(|| Refusal::invalid("state", "must be a state of the contract"))?)
                }
            },
        };
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("reservations {filter:?}"))?;
        let tx = self.store.read(&caller).await?;
        if let Some(id) = filter.grant_id {
            grant::get(&tx, id).await?;
        }
        let (rows, next_page_token) = page.cut(store::reservations(&tx, &filter, &page).await?, |row| row.id);
        let reservations = rows.into_iter().map(|row| shown(&caller, row)).collect();
        Ok(Response::new(ListReservationsResponse { reservations, next_page_token }))
    }

    async fn list_needs(&self, request: Request<ListNeedsRequest>) -> Result<Response<ListNeedsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let programme = edge::uuid("programme_id", &request.programme_id)?;
        let kind = match request.kind {
            0 => None,
            number => Some(kind("kind", number)?),
        };
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("needs {programme} {kind:?}"))?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = page.cut(store::needs(&tx, programme, kind, &page).await?, |row| row.id);
        let needs = rows.into_iter().map(|row| shown(&caller, row)).collect();
        Ok(Response::new(ListNeedsResponse { needs, next_page_token }))
    }
}

fn shown(caller: &Caller, row: Model) -> proto::Reservation {
    let of = |kind: NeedKind| if row.need_kind == kind.word() { row.need_id.to_string() } else { String::new() };
    let reservation = proto::Reservation {
        id: row.id.to_string(),
        programme_id: row.programme_id.to_string(),
        custodian_id: row.custodian_id.to_string(),
        district: row.district.clone(),
        need_kind: NeedKind::number_of(&row.need_kind),
        need_id: row.need_id.to_string(),
        kind: BudgetKind::number_of(&row.kind),
        priority_band: row.priority_band,
        cost: edge::stored_money(row.cost_minor, &row.cost_currency),
        submitted_on: Some(edge::to_date(row.submitted_on)),
        state: State::number_of(&row.state),
        grant_id: edge::shown_uuid(row.grant_id),
        budget_line_id: edge::shown_uuid(row.line_id),
        held: row.held_currency.as_deref().and_then(|currency| edge::stored_money(row.held_minor, currency)),
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
        project_id: of(NeedKind::Project),
        campaign_id: of(NeedKind::Campaign),
    };
    caller.disclose(row.custodian_id, Some(&row.district), reservation)
}
