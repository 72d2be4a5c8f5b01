//! The edge of signing keys.

use tahuka_chassis::{Caller, Once, Page, Refusal, Store, clock, edge, ids};
use tahuka_proto::handover::v1::signing_key_service_server::SigningKeyService;
use tahuka_proto::handover::v1::*;
use tonic::{Request, Response, Status};

use super::{must_be_in_use, parse, store};

pub struct SigningKeys {
    pub store: Store,
}

#[tonic::async_trait]
impl SigningKeyService for SigningKeys {
    async fn register_signing_key(
        &self,
        request: Request<RegisterSigningKeyRequest>,
    ) -> Result<Response<RegisterSigningKeyResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let key = parse("public_key", &request.public_key)?;
        let row = store::Model {
            id: ids::new_id(),
            tenant_id: caller.tenant_id,
            key_id: key.id().0,
            public_key: key.to_hex(),
            label: edge::text("label", &request.label, 200)?,
            registered_on: edge::past("registered_on", request.registered_on.as_ref())?,
            retired_on: None,
            version: 1,
            recorded_at: clock::now(),
        };

        let tx = match self.store.begin_once(&caller, "RegisterSigningKey", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::insert(&tx, row).await?;
        let answer = RegisterSigningKeyResponse { signing_key: Some(shown(&row)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn retire_signing_key(
        &self,
        request: Request<RetireSigningKeyRequest>,
    ) -> Result<Response<RetireSigningKeyResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("signing_key_id", &request.signing_key_id)?;
        let on = edge::past("retired_on", request.retired_on.as_ref())?;

        let tx = match self.store.begin_once(&caller, "RetireSigningKey", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::get(&tx, id).await?;
        must_be_in_use(row.retired_on)?;
        if on < row.registered_on {
            return Err(Refusal::invalid("retired_on", "must not be before the key was registered").into());
        }
        let row = store::retire(&tx, row, on).await?;
        let answer = RetireSigningKeyResponse { signing_key: Some(shown(&row)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn list_signing_keys(
        &self,
        request: Request<ListSigningKeysRequest>,
    ) -> Result<Response<ListSigningKeysResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, "signing_keys")?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, &page).await?, |row| row.id);
        let signing_keys = rows.iter().map(shown).collect::<Result<_, _>>()?;
        Ok(Response::new(ListSigningKeysResponse { signing_keys, next_page_token }))
    }
}

fn shown(row: &store::Model) -> Result<SigningKey, Refusal> {
    let key = super::stored(&row.public_key)?;
    Ok(SigningKey {
        id: row.id.to_string(),
        tenant_id: row.tenant_id.to_string(),
        key_id: row.key_id.clone(),
        public_key: row.public_key.clone(),
        fingerprint: key.fingerprint(),
        label: row.label.clone(),
        registered_on: Some(edge::to_date(row.registered_on)),
        retired_on: row.retired_on.map(edge::to_date),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    })
}
