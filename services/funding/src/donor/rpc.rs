//! The edge of donors.

use tahuka_chassis::{Caller, Once, Page, Refusal, Store, clock, edge, ids};
use tahuka_proto::funding::v1::donor_service_server::DonorService;
use tahuka_proto::funding::v1::{self as proto, *};
use tonic::{Request, Response, Status};

use super::is_country;
use super::store::{self, Model};
use crate::fields::disclosed;

pub struct Donors {
    pub store: Store,
}

#[tonic::async_trait]
impl DonorService for Donors {
    async fn create_donor(&self, request: Request<CreateDonorRequest>) -> Result<Response<CreateDonorResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        if !is_country(&request.country) {
            return Err(Refusal::invalid("country", "must be an ISO 3166 alpha-2 code").into());
        }
        let donor = Model {
            id: ids::new_id(),
            custodian_id: caller.tenant_id,
            name: edge::text("name", &request.name, 200)?,
            tenant_id: edge::optional_uuid("tenant_id", &request.tenant_id)?,
            country: request.country.clone(),
            version: 1,
            recorded_at: clock::now(),
        };

        let tx = match self.store.begin_once(&caller, "CreateDonor", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        tx.require_write(donor.custodian_id, None)?;
        store::insert(&tx, &donor).await?;
        let answer = CreateDonorResponse { donor: Some(shown(&caller, donor)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn list_donors(&self, request: Request<ListDonorsRequest>) -> Result<Response<ListDonorsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, "donors")?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, &page).await?, |row| row.id);
        let donors = rows.into_iter().map(|row| shown(&caller, row)).collect();
        Ok(Response::new(ListDonorsResponse { donors, next_page_token }))
    }
}

fn shown(caller: &Caller, row: Model) -> proto::Donor {
    let donor = proto::Donor {
        id: row.id.to_string(),
        custodian_id: row.custodian_id.to_string(),
        name: row.name,
        tenant_id: edge::shown_uuid(row.tenant_id),
        country: row.country,
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    disclosed(caller, row.custodian_id, donor)
}
