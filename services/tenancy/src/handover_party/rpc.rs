//! The edge of handovers' parties.

use tahuka_chassis::{Caller, Refusal, Store, clock, edge};
use tahuka_proto::tenancy::v1::handover_party_service_server::{HandoverPartyService, HandoverPartyServiceServer};
use tahuka_proto::tenancy::v1::*;
use tonic::{Request, Response, Status};

use super::{store, unmatched};
use crate::programme::store as programme;
use crate::tenant::store as tenant;

pub fn server(store: Store) -> HandoverPartyServiceServer<HandoverParties> {
    HandoverPartyServiceServer::new(HandoverParties { store })
}

pub struct HandoverParties {
    store: Store,
}

#[tonic::async_trait]
impl HandoverPartyService for HandoverParties {
    async fn get_handover_parties(
        &self,
        request: Request<GetHandoverPartiesRequest>,
    ) -> Result<Response<GetHandoverPartiesResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let programme_id = edge::uuid("programme_id", &request.programme_id)?;
        let recipient_id = edge::uuid("recipient_id", &request.recipient_id)?;
        if recipient_id == caller.tenant_id {
            return Err(Refusal::invalid("recipient_id", "must be another tenant").into());
        }
        let tx = self.store.read(&caller).await?;
        let programme = programme::get_own(&tx, programme_id).await?.programme()?;
        let sender = tenant::get(&tx, caller.tenant_id).await?;
        let recipient = tenant::get_active(&tx, recipient_id).await?;
        // Whom the recipient lets in is the recipient's alone to see; that it lets somebody in whom the sender does too is
        // for the sender to know before it hands anything over.
        let system = self.store.read(&Caller::system("handover parties")).await?;
        let agreements = store::agreements(&system, programme_id, caller.tenant_id, recipient_id).await?;
        let unmatched = unmatched(caller.tenant_id, recipient_id, &agreements, clock::today());
        Ok(Response::new(GetHandoverPartiesResponse {
            sender_name: sender.name,
            recipient_name: recipient.name,
            programme_name: programme.name,
            starts_on: Some(edge::to_date(programme.time.starts_on)),
            ends_on: Some(edge::to_date(programme.time.ends_on)),
            districts: programme.districts.into_iter().map(|district| district.pcode).collect(),
            custodian_id: programme.custodian_id.to_string(),
            unmatched_ids: unmatched.iter().map(ToString::to_string).collect(),
        }))
    }
}
