//! What a service hears of a tranche. Each event becomes a step that is done by `steps`: some take longer than the bus
//! waits for.

use std::sync::Arc;

use tahuka_proto::EventMessage as _;
use tahuka_proto::handover::v1::{
    HouseholdsSelected, SliceSealed, TrancheBundleRequested, TrancheClosed, TrancheSealRequested, TrancheTransferRequested,
    TrancheUnsealRequested, UnitsSealed,
};
use tokio::sync::Notify;

use crate::consumer::{Consumer, Event};
use crate::refusal::Refusal;
use crate::store::Tx;

pub(super) const NAME: &str = "custody";

/// Hears of tranches, in every service that has records of units.
pub(crate) struct Custody {
    /// Told when there may be a step to do.
    pub wake: Arc<Notify>,
}

#[async_trait::async_trait]
impl Consumer for Custody {
    fn name(&self) -> &'static str {
        NAME
    }

    fn hears(&self) -> &'static [&'static str] {
        const HEARS: &[&str] = &[
            TrancheSealRequested::KIND,
            HouseholdsSelected::KIND,
            UnitsSealed::KIND,
            SliceSealed::KIND,
            TrancheBundleRequested::KIND,
            TrancheUnsealRequested::KIND,
            TrancheTransferRequested::KIND,
            TrancheClosed::KIND,
        ];
        HEARS
    }

    async fn handle(&self, tx: &mut Tx, event: &Event) -> Result<(), Refusal> {
        let sql = "INSERT INTO custody_step (event_id, tranche_id, kind, custodian_id, body, recorded_at) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
        let values = vec![
            event.id.into(),
            event.aggregate_id.into(),
            event.kind.as_str().into(),
            event.custodian.into(),
            event.body.to_vec().into(),
            event.recorded_at.into(),
        ];
        tx.run(sql, values).await.map(|_| ())
    }

    fn taken(&self) {
        self.wake.notify_one();
    }
}
