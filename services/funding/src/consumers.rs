//! What funding does when assistance and projects tell of what they need: money is kept, committed, spent or given back.

use tahuka_chassis::{Amount, Consumer, Event, Refusal, Tx, async_trait, edge};
use tahuka_proto::EventMessage as _;
use tahuka_proto::assistance::v1::{AssistanceDelivered, PlanApproved, PlanCancelled, PlanSubmitted};
use tahuka_proto::google::r#type::{Date, Money};
use tahuka_proto::projects::v1::{CampaignHeld, ProjectApproved, ProjectCancelled, ProjectCompleted, ProjectSubmitted};

use crate::grant::BudgetKind;
use crate::reservation::flow::{self, Asked, Named};
use crate::reservation::{Need, NeedKind, Stage};

pub struct Needs;

#[async_trait]
impl Consumer for Needs {
    fn name(&self) -> &'static str {
        "needs"
    }

    fn hears(&self) -> &'static [&'static str] {
        const HEARS: &[&str] = &[
            PlanSubmitted::KIND,
            PlanApproved::KIND,
            PlanCancelled::KIND,
            AssistanceDelivered::KIND,
            ProjectSubmitted::KIND,
            ProjectApproved::KIND,
            ProjectCancelled::KIND,
            ProjectCompleted::KIND,
            CampaignHeld::KIND,
        ];
        HEARS
    }

    async fn handle(&self, tx: &mut Tx, event: &Event) -> Result<(), Refusal> {
        match event.kind.as_str() {
            PlanSubmitted::KIND => {
                let told: PlanSubmitted = event.decode()?;
                let kind = BudgetKind::parse(&told.kind).ok_or_else(|| Refusal::invalid("kind", "is not known"))?;
                let need = need(kind, &told.district, told.cost.as_ref(), told.happened_on.as_ref(), Stage::Proposed)?;
                let named = named(event, NeedKind::Plan, "plan_id", &told.plan_id)?;
                ask(tx, named, &told.programme_id, told.priority_band, need).await
            }
            ProjectSubmitted::KIND => {
                let told: ProjectSubmitted = event.decode()?;
                let (cost, on) = (told.budget.as_ref(), told.happened_on.as_ref());
                let need = need(BudgetKind::Project, &told.district, cost, on, Stage::Proposed)?;
                let named = named(event, NeedKind::Project, "project_id", &told.project_id)?;
                ask(tx, named, &told.programme_id, 0, need).await
            }
            CampaignHeld::KIND => {
                let told: CampaignHeld = event.decode()?;
                let (cost, on) = (told.cost.as_ref(), told.happened_on.as_ref());
                let need = need(BudgetKind::Campaign, &told.district, cost, on, Stage::Incurred)?;
                let named = named(event, NeedKind::Campaign, "campaign_id", &told.campaign_id)?;
                ask(tx, named, &told.programme_id, 0, need).await
            }
            PlanApproved::KIND => {
                let told: PlanApproved = event.decode()?;
                let named = named(event, NeedKind::Plan, "plan_id", &told.plan_id)?;
                flow::approve(tx, named, edge::date("happened_on", told.happened_on.as_ref())?).await
            }
            ProjectApproved::KIND => {
                let told: ProjectApproved = event.decode()?;
                let named = named(event, NeedKind::Project, "project_id", &told.project_id)?;
                flow::approve(tx, named, edge::date("happened_on", told.happened_on.as_ref())?).await
            }
            AssistanceDelivered::KIND => {
                let told: AssistanceDelivered = event.decode()?;
                let named = named(event, NeedKind::Plan, "plan_id", &told.plan_id)?;
                flow::incur(tx, named, &cost(told.cost.as_ref())?, edge::date("happened_on", told.happened_on.as_ref())?).await
            }
            ProjectCompleted::KIND => {
                let told: ProjectCompleted = event.decode()?;
                let named = named(event, NeedKind::Project, "project_id", &told.project_id)?;
                flow::incur(tx, named, &cost(told.cost.as_ref())?, edge::date("happened_on", told.happened_on.as_ref())?).await
            }
            PlanCancelled::KIND => {
                let told: PlanCancelled = event.decode()?;
                let named = named(event, NeedKind::Plan, "plan_id", &told.plan_id)?;
                flow::cancel(tx, named, edge::date("happened_on", told.happened_on.as_ref())?).await
            }
            ProjectCancelled::KIND => {
                let told: ProjectCancelled = event.decode()?;
                let named = named(event, NeedKind::Project, "project_id", &told.project_id)?;
                flow::cancel(tx, named, edge::date("happened_on", told.happened_on.as_ref())?).await
            }
            _ => Ok(()),
        }
    }
}

/// What costs nothing needs no money.
async fn ask(tx: &mut Tx, named: Named, programme_id: &str, priority_band: i32, need: Need) -> Result<(), Refusal> {
    if need.cost.minor == 0 {
        return Ok(());
    }
    let asked = Asked {
        programme_id: edge::uuid("programme_id", programme_id)?,
        custodian_id: named.custodian_id,
        need_kind: named.need_kind,
        need_id: named.need_id,
        unit: named.unit,
        priority_band,
        need,
    };
    flow::ask(tx, asked).await
}

fn named(event: &Event, need_kind: NeedKind, field: &str, id: &str) -> Result<Named, Refusal> {
    Ok(Named { custodian_id: event.custodian, need_kind, need_id: edge::uuid(field, id)?, unit: event.unit() })
}

fn need(kind: BudgetKind, district: &str, told: Option<&Money>, on: Option<&Date>, stage: Stage) -> Result<Need, Refusal> {
    Ok(Need {
        kind,
        district: (!district.is_empty()).then(|| district.to_owned()),
        cost: cost(told)?,
        since: edge::date("happened_on", on)?,
        stage,
    })
}

fn cost(told: Option<&Money>) -> Result<Amount, Refusal> {
    let cost = edge::money("cost", told)?;
    if cost.minor < 0 { Err(Refusal::invalid("cost", "must not be below zero")) } else { Ok(cost) }
}
