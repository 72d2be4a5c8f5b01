//! What projects does when funding answers: a project is funded, or waits.

use tahuka_chassis::{Consumer, Event, Refusal, Tx, async_trait, edge};
use tahuka_proto::EventMessage as _;
use tahuka_proto::funding::v1::{FundsNotAvailable, FundsReserved};

use crate::project::{Command, store};

const PROJECT: &str = "project";

pub struct FundingAnswers;

#[async_trait]
impl Consumer for FundingAnswers {
    fn name(&self) -> &'static str {
        "funding_answers"
    }

    fn hears(&self) -> &'static [&'static str] {
        const HEARS: &[&str] = &[FundsReserved::KIND, FundsNotAvailable::KIND];
        HEARS
    }

    async fn handle(&self, tx: &mut Tx, event: &Event) -> Result<(), Refusal> {
        if event.kind == FundsReserved::KIND {
            let told: FundsReserved = event.decode()?;
            if told.need_kind == PROJECT {
                let on = edge::date("happened_on", told.happened_on.as_ref())?;
                let fund = Command::Fund { grant_id: edge::uuid("grant_id", &told.grant_id)?, on };
                return answer(tx, &told.need_id, fund).await;
            }
        } else {
            let told: FundsNotAvailable = event.decode()?;
            if told.need_kind == PROJECT {
                return answer(tx, &told.need_id, Command::Wait).await;
            }
        }
        Ok(())
    }
}

async fn answer(tx: &Tx, need_id: &str, command: Command) -> Result<(), Refusal> {
    let project = edge::uuid("need_id", need_id)?;
    let Some(held) = store::find_for_write(tx, project).await? else {
        tracing::warn!(%project, "funding answered for a project that is not known");
        return Ok(());
    };
    match store::change(tx, held, command).await {
        // Cancelled meanwhile, or answered before: funding hears of a cancellation by itself.
        Err(Refusal::Precondition { reason, .. }) => tracing::info!(%project, reason, "a late answer of funding is left"),
        other => drop(other?),
    }
    Ok(())
}
