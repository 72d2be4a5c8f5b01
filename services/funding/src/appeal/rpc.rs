//! The edge of the appeal.

use tahuka_chassis::{Caller, Once, Refusal, Store, clock, edge, ids};
use tahuka_proto::funding::v1::appeal_service_server::AppealService;
use tahuka_proto::funding::v1::{self as proto, *};
use tonic::{Request, Response, Status};

use super::store::{self, Model};
use super::{Line, appeal, unpaid};
use crate::donor::store as donor;
use crate::fields::disclosed;
use crate::grant::BudgetKind;
use crate::grant::rpc::kind;
use crate::grant::store as grant;
use crate::reservation::store as reservation;

pub struct Appeals {
    pub store: Store,
}

#[tonic::async_trait]
impl AppealService for Appeals {
    async fn get_appeal(&self, request: Request<GetAppealRequest>) -> Result<Response<GetAppealResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let programme = edge::uuid("programme_id", &request.programme_id)?;
        let tx = self.store.read(&caller).await?;
        let wanted = reservation::wanted(&tx, programme).await?;
        let promises = store::promises(&tx, programme).await?;
        let received = grant::received(&tx, promises.iter().filter_map(|p| p.grant_id).collect()).await?;
        let (lines, totals) = appeal(&wanted, &unpaid(promises, received.into_iter().collect()));
        // Sums over what the caller may see, of nobody in particular: there is nothing to clear.
        let appeal = proto::Appeal {
            programme_id: programme.to_string(),
            lines: lines.into_iter().map(shown_line).collect(),
            totals: totals.into_iter().map(shown_total).collect(),
        };
        Ok(Response::new(GetAppealResponse { appeal: Some(appeal) }))
    }

    async fn create_pledge(&self, request: Request<CreatePledgeRequest>) -> Result<Response<CreatePledgeResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let amount = edge::positive_money("amount", request.amount.as_ref())?;
        let pledge = Model {
            id: ids::new_id(),
            programme_id: edge::uuid("programme_id", &request.programme_id)?,
            custodian_id: caller.tenant_id,
            donor_id: edge::uuid("donor_id", &request.donor_id)?,
            kind: match request.kind {
                0 => None,
                number => Some(kind("kind", number)?.word().to_owned()),
            },
            amount_minor: amount.minor,
            currency: amount.currency.as_str().to_owned(),
            pledged_on: edge::past("pledged_on", request.pledged_on.as_ref())?,
            grant_id: edge::optional_uuid("grant_id", &request.grant_id)?,
            recorded_at: clock::now(),
        };

        let mut tx = match self.store.begin_once(&caller, "CreatePledge", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        tx.require_write(pledge.custodian_id, None)?;
        donor::get(&tx, pledge.donor_id).await?;
        if let Some(id) = pledge.grant_id {
            let grant = grant::get(&tx, id).await?;
            if grant.donor_id != pledge.donor_id || grant.programme_id != pledge.programme_id {
                return Err(Refusal::invalid("grant_id", "must be a grant of the donor to the programme").into());
            }
            if grant.currency != pledge.currency {
                return Err(Refusal::invalid("amount.currency_code", "must be the grant's currency").into());
            }
        }
        store::insert(&tx, &pledge).await?;
        let event = PledgeMade {
            programme_id: pledge.programme_id.to_string(),
            happened_on: Some(edge::to_date(pledge.pledged_on)),
            grant_id: edge::shown_uuid(pledge.grant_id),
            amount: Some(edge::to_money(&amount)),
        };
        tx.publish(pledge.custodian_id, pledge.id, &event).await?;
        let answer = CreatePledgeResponse { pledge: Some(shown(&caller, pledge)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }
}

fn shown_line(line: Line) -> proto::AppealLine {
    proto::AppealLine {
        kind: line.kind.as_deref().map(BudgetKind::number_of).unwrap_or_default(),
        open_needs: line.open_needs,
        needed: edge::stored_money(line.needed, &line.currency),
        pledged: edge::stored_money(line.pledged, &line.currency),
        gap: edge::stored_money(line.gap, &line.currency),
    }
}

fn shown_total(line: Line) -> proto::AppealTotal {
    proto::AppealTotal {
        open_needs: line.open_needs,
        needed: edge::stored_money(line.needed, &line.currency),
        pledged: edge::stored_money(line.pledged, &line.currency),
        gap: edge::stored_money(line.gap, &line.currency),
    }
}

fn shown(caller: &Caller, row: Model) -> proto::Pledge {
    let pledge = proto::Pledge {
        id: row.id.to_string(),
        programme_id: row.programme_id.to_string(),
        custodian_id: row.custodian_id.to_string(),
        donor_id: row.donor_id.to_string(),
        kind: row.kind.as_deref().map(BudgetKind::number_of).unwrap_or_default(),
        amount: edge::stored_money(row.amount_minor, &row.currency),
        pledged_on: Some(edge::to_date(row.pledged_on)),
        grant_id: edge::shown_uuid(row.grant_id),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    disclosed(caller, row.custodian_id, pledge)
}
