//! What funding answers to a submitted plan: there is money, or there is none yet.

use chrono::NaiveDate;
use tahuka_chassis::{Consumer, Event, Refusal, Tx, async_trait, edge};
use tahuka_proto::EventMessage;
use tahuka_proto::funding::v1::{FundsNotAvailable, FundsReserved};
use uuid::Uuid;

use crate::plan::{Command, store};

/// The need of a plan, among those of projects and campaigns.
const PLAN: &str = "plan";

pub struct Money;

#[async_trait]
impl Consumer for Money {
    fn name(&self) -> &'static str {
        "money"
    }

    fn hears(&self) -> &'static [&'static str] {
        &[FundsReserved::KIND, FundsNotAvailable::KIND]
    }

    async fn handle(&self, tx: &mut Tx, event: &Event) -> Result<(), Refusal> {
        match event.kind.as_str() {
            FundsReserved::KIND => {
                let told: FundsReserved = event.decode()?;
                if told.need_kind != PLAN {
                    return Ok(());
                }
                let grant_id = edge::uuid("grant_id", &told.grant_id)?;
                let on: NaiveDate = edge::date("happened_on", told.happened_on.as_ref())?;
                answered(tx, &told.need_id, Command::Fund { grant_id, on }).await
            }
            FundsNotAvailable::KIND => {
                let told: FundsNotAvailable = event.decode()?;
                if told.need_kind != PLAN {
                    return Ok(());
                }
                answered(tx, &told.need_id, Command::Wait).await
            }
            _ => Ok(()),
        }
    }
}

/// Takes the plan a step further; an answer that comes too late, or for a plan that is not known, changes nothing.
async fn answered(tx: &Tx, need_id: &str, command: Command) -> Result<(), Refusal> {
    let plan_id: Uuid = edge::uuid("need_id", need_id)?;
    let Some(plan) = store::find(tx, plan_id).await? else {
        tracing::warn!(plan = %plan_id, "funding answers for a plan that is not known");
        return Ok(());
    };
    if plan.life()?.next(command.clone()).is_err() {
        tracing::info!(plan = %plan_id, state = plan.state, "funding answers too late");
        return Ok(());
    }
    store::step(tx, plan, command, "happened_on").await.map(|_| ())
}
