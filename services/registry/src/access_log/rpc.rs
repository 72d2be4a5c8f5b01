//! The edge of the access log.

use std::collections::BTreeSet;

use tahuka_chassis::access_log::{self, About, Model, subject};
use tahuka_chassis::{Caller, Page, Refusal, Store, edge};
use tahuka_proto::registry::v1::access_log_service_server::AccessLogService;
use tahuka_proto::registry::v1::{self as proto, *};
use tonic::{Request, Response, Status};

use crate::household::store as household;
use crate::individual::store as individual;

pub struct AccessLog {
    pub store: Store,
}

#[tonic::async_trait]
impl AccessLogService for AccessLog {
    async fn list_accesses(&self, request: Request<ListAccessesRequest>) -> Result<Response<ListAccessesResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let caller = caller.in_own_custody();
        let about = about(&request)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("accesses {about:?}"))?;
        let tx = self.store.read(&caller).await?;
        match about {
            About::Household(id) => household::get(&tx, id).await.map(drop)?,
            About::Individual(id) => individual::get(&tx, id).await.map(drop)?,
        }
        let (rows, next_page_token) = page.cut(access_log::list(&tx, about, &page).await?, |(row, _)| row.id);
        let accesses = rows.iter().filter_map(|(row, subjects)| shown(&caller, row, subjects)).collect();
        Ok(Response::new(ListAccessesResponse { accesses, next_page_token }))
    }
}

fn about(request: &ListAccessesRequest) -> Result<About, Refusal> {
    let household = edge::optional_uuid("household_id", &request.household_id)?;
    match (household, edge::optional_uuid("individual_id", &request.individual_id)?) {
        (Some(id), None) => Ok(About::Household(id)),
        (None, Some(id)) => Ok(About::Individual(id)),
        _ => Err(Refusal::invalid("household_id", "must be given, or individual_id, and not both")),
    }
}

fn shown(caller: &Caller, row: &Model, subjects: &[subject::Model]) -> Option<proto::Access> {
    let first = subjects.first()?;
    let each = |text: fn(&subject::Model) -> String| -> Vec<String> {
        subjects.iter().map(text).filter(|text| !text.is_empty()).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let message = proto::Access {
        id: row.id.to_string(),
        custodian_id: first.custodian_id.to_string(),
        district: first.district.clone(),
        household_id: edge::shown_uuid(first.household_id),
        individual_ids: each(|s| edge::shown_uuid(s.individual_id)),
        tenant_id: row.tenant_id.to_string(),
        reader: row.reader.clone(),
        roles: row.roles.split(',').filter(|role| !role.is_empty()).map(str::to_owned).collect(),
        rpc: row.rpc.clone(),
        messages: each(|s| s.message.clone()),
        purpose: row.purpose.clone(),
        trace_id: row.trace_id.clone(),
        accessed_at: Some(edge::timestamp(row.accessed_at)),
    };
    Some(caller.disclose(first.custodian_id, Some(&first.district), message))
}
