//! Idempotency (AIP-155): the answer to a `request_id` is kept in the transaction of its effect.
//! The same request gets the same answer; another body under the same id is refused.

use prost::Message;
use sea_orm::{ConnectionTrait, Statement};
use sha2::{Digest, Sha256};
use tahuka_proto::Redact;
use tahuka_proto::options::v1::DisclosureLevel;
use uuid::Uuid;

use super::{Store, Tx};
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::{clock, edge};

/// Whether the request has been answered before.
#[allow(clippy::large_enum_variant)] // Matched at once, never kept.
pub enum Once<R> {
    Done(R),
    Fresh(Tx),
}

#[derive(Debug, Clone)]
pub(super) struct Key {
    method: &'static str,
    request_id: Uuid,
}

impl Store {
    /// Opens a writing transaction for a request that must take effect once.
    pub async fn begin_once<R: Message + Default + Redact>(
        &self,
        caller: &Caller,
        method: &'static str,
        request_id: &str,
        request: &impl Message,
    ) -> Result<Once<R>, Refusal> {
        let request_id = edge::uuid("request_id", request_id)?;
        let digest = hex::encode(Sha256::digest(request.encode_to_vec()));
        let mut tx = self.begin(caller).await?;
        let taken = tx
            .run(
                "INSERT INTO idempotency (tenant_id, subject, method, request_id, digest, recorded_at) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
                vec![
                    caller.tenant_id.into(),
                    caller.subject.as_str().into(),
                    method.into(),
                    request_id.into(),
                    digest.as_str().into(),
                    clock::now().into(),
                ],
            )
            .await?;
        if taken == 1 {
            tx.once = Some(Key { method, request_id });
            return Ok(Once::Fresh(tx));
        }
        let statement = Statement::from_sql_and_values(
            tx.inner.get_database_backend(),
            "SELECT digest, answer FROM idempotency WHERE tenant_id = $1 AND subject = $2 AND method = $3 AND request_id = $4",
            [caller.tenant_id.into(), caller.subject.as_str().into(), method.into(), request_id.into()],
        );
        let row = tx.inner.query_one_raw(statement).await?.ok_or_else(|| Refusal::internal("idempotency row is gone"))?;
        let kept: String = row.try_get("", "digest")?;
        if kept != digest {
            return Err(Refusal::invalid("request_id", "was used for another request; make a new one"));
        }
        let answer: Vec<u8> = row.try_get::<Option<Vec<u8>>>("", "answer")?.unwrap_or_default();
        let answer = R::decode(answer.as_slice()).map_err(Refusal::internal)?;
        // It was redacted for this caller before it was kept; whom it shows by name, it shows once more.
        Ok(Once::Done(caller.disclose_at(DisclosureLevel::Identified, answer)))
    }
}

impl Tx {
    /// Commits, and keeps `answer` for a repeated request.
    pub async fn commit_with(self, answer: &impl Message) -> Result<(), Refusal> {
        if let Some(key) = &self.once {
            self.run(
                "UPDATE idempotency SET answer = $1 WHERE tenant_id = $2 AND subject = $3 AND method = $4 AND request_id = $5",
                vec![
                    answer.encode_to_vec().into(),
                    self.caller.tenant_id.into(),
                    self.caller.subject.as_str().into(),
                    key.method.into(),
                    key.request_id.into(),
                ],
            )
            .await?;
        }
        self.commit().await
    }
}
