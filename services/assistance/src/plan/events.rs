//! What the house is told of a plan: ids and coarse attributes.

use chrono::NaiveDate;
use tahuka_chassis::edge;
use tahuka_proto::assistance::v1::*;

use super::store::Model;

/// An event with all that each event tells of its plan.
macro_rules! of_plan {
    ($event:ident, $plan:expr, $on:expr, { $($field:ident: $value:expr),* $(,)? }) => {
        $event {
            programme_id: $plan.programme_id.to_string(),
            happened_on: Some(edge::to_date($on)),
            district: $plan.district.clone(),
            plan_id: $plan.id.to_string(),
            household_id: $plan.household_id.to_string(),
            individual_id: $plan.individual_id.to_string(),
            kind: $plan.kind.clone(),
            sex: $plan.sex.clone(),
            age_band: $plan.age_band.clone(),
            category: $plan.category.clone(),
            $($field: $value),*
        }
    };
}

pub fn submitted(plan: &Model, on: NaiveDate) -> PlanSubmitted {
    of_plan!(PlanSubmitted, plan, on, {
        priority_band: plan.priority_band,
        cost: edge::stored_money(plan.cost_minor, &plan.cost_currency),
    })
}

pub fn approved(plan: &Model, on: NaiveDate) -> PlanApproved {
    of_plan!(PlanApproved, plan, on, { grant_id: edge::shown_uuid(plan.grant_id) })
}

pub fn cancelled(plan: &Model, on: NaiveDate) -> PlanCancelled {
    of_plan!(PlanCancelled, plan, on, {})
}

pub fn delivered(plan: &Model, on: NaiveDate) -> AssistanceDelivered {
    of_plan!(AssistanceDelivered, plan, on, {
        grant_id: edge::shown_uuid(plan.grant_id),
        cost: edge::stored_money(plan.cost_minor, &plan.cost_currency),
        item: plan.item.clone(),
    })
}

pub fn trained(plan: &Model, on: NaiveDate) -> TrainingCompleted {
    of_plan!(TrainingCompleted, plan, on, { trade: plan.item.clone() })
}

pub fn visited(plan: &Model, on: NaiveDate, outcome: &str, favourable: bool, months_after: i32) -> VisitRecorded {
    of_plan!(VisitRecorded, plan, on, { outcome: outcome.to_owned(), favourable: favourable, months_after: months_after })
}
