//! What people get: cohorts are taught, lists are handed out, and a sample is visited afterwards.

use std::collections::{BTreeMap, HashMap};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tahuka_chassis::Refusal;
use tahuka_proto::assistance::v1 as assistance;
use tahuka_proto::assistance::v1::cohort_service_client::CohortServiceClient;
use tahuka_proto::assistance::v1::distribution_service_client::DistributionServiceClient;
use tahuka_proto::assistance::v1::follow_up_service_client::FollowUpServiceClient;

use super::files::values::{Answer, Day};
use super::files::{Delivery, Trainee, TrainingResult};
use super::people::Standing;
use super::voice::{ask, request_id, told};
use super::{AT_ONCE, Stage};

const BATCH: usize = 500;
const UNFUNDED: &str = "listed, but without an approved plan";
const UNVISITED: &str = "to be visited, but nothing was delivered";

/// What became of the plans of one cohort or list.
struct Ended {
    plans: Vec<(String, Standing)>,
    left_out: usize,
}

/// Rows with the same key, in the order of the file.
fn grouped<R>(rows: &[R], key: impl Fn(&R) -> &str) -> Vec<Vec<&R>> {
    let mut at: HashMap<&str, usize> = HashMap::new();
    let mut groups: Vec<Vec<&R>> = Vec::new();
    for row in rows {
        let place = *at.entry(key(row)).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(place) {
            group.push(row);
        }
    }
    groups
}

/// The phase in which the last of these people is registered; the first phase for people whom nobody registers.
fn phase_of<'r>(stage: &Stage<'_>, submissions: impl Iterator<Item = &'r str>) -> usize {
    submissions.filter_map(|id| stage.programme.registrations.phase_of(id)).max().unwrap_or(0)
}

/// The rows of approved plans, with the plans' ids.
fn approved<'r, R>(stage: &Stage<'_>, rows: &[&'r R], submission: impl Fn(&R) -> &str) -> Vec<(&'r R, String)> {
    let plan =
        |row: &R| stage.plans.of(submission(row)).filter(|plan| plan.standing == Standing::Approved).map(|plan| plan.id.clone());
    rows.iter().filter_map(|row| plan(row).map(|id| (*row, id))).collect()
}

/// Plays groups side by side; the caller writes down what became of them.
async fn side_by_side<'g, G, F>(
    stage: &Stage<'_>,
    label: &str,
    groups: &'g [G],
    one: impl Fn(&'g G) -> F,
) -> Result<Vec<Ended>, Refusal>
where
    F: Future<Output = Result<Ended, Refusal>>,
{
    let mut bar = stage.progress.step(label, groups.len());
    let mut ends = stream::iter(groups).map(one).buffer_unordered(AT_ONCE);
    let mut ended = Vec::new();
    while let Some(end) = ends.try_next().await? {
        bar.add(1);
        ended.push(end);
    }
    bar.end();
    Ok(ended)
}

fn write_down(stage: &mut Stage<'_>, ended: Vec<Ended>) {
    for end in ended {
        stage.tally.leave_out(UNFUNDED, end.left_out);
        for (id, standing) in end.plans {
            stage.plans.stands(&id, standing);
        }
    }
}

/// The phase's cohorts: enrolled on their first day, told of on their last.
pub async fn teach(stage: &mut Stage<'_>, phase: usize) -> Result<(), Refusal> {
    let mut cohorts = grouped(&stage.programme.training, |row| &row.cohort);
    cohorts.retain(|rows| phase_of(stage, rows.iter().map(|row| row.submission_id.as_str())) == phase);
    if !cohorts.is_empty() {
        let ended = side_by_side(stage, "cohorts taught", &cohorts, |rows| cohort(stage, rows)).await?;
        write_down(stage, ended);
    }
    Ok(())
}

async fn cohort(stage: &Stage<'_>, rows: &[&Trainee]) -> Result<Ended, Refusal> {
    let trainees = approved(stage, rows, |row| &row.submission_id);
    let left_out = rows.len() - trainees.len();
    let (Some(first), false) = (rows.first(), trainees.is_empty()) else {
        return Ok(Ended { plans: Vec::new(), left_out });
    };
    let manager = &stage.cast.manager;
    let request = assistance::CreateCohortRequest {
        request_id: request_id(),
        programme_id: stage.cast.programme_id.clone(),
        district: first.district_pcode.clone(),
        trade: first.trade.clone(),
        provider: first.provider.clone(),
        name: first.cohort.clone(),
        capacity: first.capacity,
        starts_on: first.starts_on.proto(),
        ends_on: first.ends_on.proto(),
    };
    let cohort_id = told(ask!(manager, CohortServiceClient.create_cohort(request))?.cohort, "cohort")?.id;
    let request = assistance::EnrolTraineesRequest {
        request_id: request_id(),
        cohort_id: cohort_id.clone(),
        plan_ids: trainees.iter().map(|(_, id)| id.clone()).collect(),
        enrolled_on: first.starts_on.proto(),
    };
    ask!(manager, CohortServiceClient.enrol_trainees(request))?;
    let results = trainees.iter().map(|(row, id)| assistance::TrainingResult {
        plan_id: id.clone(),
        completed: row.result == TrainingResult::Completed,
        drop_out_reason: row.drop_out_reason.clone(),
        certificate_number: row.certificate_number.clone(),
        toolkit_given: row.toolkit == Answer::Yes,
    });
    let request = assistance::CompleteTrainingRequest {
        request_id: request_id(),
        cohort_id,
        completed_on: first.ends_on.proto(),
        results: results.collect(),
    };
    ask!(manager, CohortServiceClient.complete_training(request))?;
    let standing = |row: &Trainee| match row.result {
        TrainingResult::Completed => Standing::Completed,
        TrainingResult::DroppedOut => Standing::Cancelled,
    };
    Ok(Ended { plans: trainees.into_iter().map(|(row, id)| (id, standing(row))).collect(), left_out })
}

/// The phase's lists, by their days. Who did not come may stand on a later list, which then waits for the earlier one.
pub async fn hand_out(stage: &mut Stage<'_>, phase: usize) -> Result<(), Refusal> {
    let mut lists = grouped(&stage.programme.deliveries, |row| &row.list);
    lists.retain(|rows| phase_of(stage, rows.iter().map(|row| row.submission_id.as_str())) == phase);
    lists.sort_by_key(|rows| rows.first().map(|row| row.planned_on));
    let mut last_wave: HashMap<&str, usize> = HashMap::new();
    let mut waves: BTreeMap<usize, Vec<Vec<&Delivery>>> = BTreeMap::new();
    for rows in lists {
        let wave = rows.iter().filter_map(|row| last_wave.get(row.submission_id.as_str())).max().map_or(0, |wave| wave + 1);
        last_wave.extend(rows.iter().map(|row| (row.submission_id.as_str(), wave)));
        waves.entry(wave).or_default().push(rows);
    }
    for lists in waves.into_values() {
        let ended = side_by_side(stage, "lists handed out", &lists, |rows| list(stage, rows)).await?;
        write_down(stage, ended);
    }
    Ok(())
}

async fn list(stage: &Stage<'_>, rows: &[&Delivery]) -> Result<Ended, Refusal> {
    let entitled = approved(stage, rows, |row| &row.submission_id);
    let left_out = rows.len() - entitled.len();
    let (Some(first), false) = (rows.first(), entitled.is_empty()) else {
        return Ok(Ended { plans: Vec::new(), left_out });
    };
    let manager = &stage.cast.manager;
    let request = assistance::CreateDistributionRequest {
        request_id: request_id(),
        programme_id: stage.cast.programme_id.clone(),
        place: first.place_pcode.clone(),
        kind: first.kind.0.into(),
        name: first.list.clone(),
        planned_on: first.planned_on.proto(),
        plan_ids: entitled.iter().map(|(_, id)| id.clone()).collect(),
    };
    let distribution = told(ask!(manager, DistributionServiceClient.create_distribution(request))?.distribution, "distribution")?;
    let came: Vec<_> = entitled.into_iter().filter(|(row, _)| row.delivered_on.is_some()).collect();
    let mut closed_on = first.planned_on;
    for batch in came.chunks(BATCH) {
        let deliveries = batch.iter().map(|(row, id)| assistance::NewDelivery {
            plan_id: id.clone(),
            proof_kind: row.proof_kind.map_or(0, |kind| kind.0.into()),
            proof_reference: row.proof_reference.clone(),
            delivered_on: row.delivered_on.and_then(Day::proto),
        });
        let request = assistance::RecordDeliveriesRequest {
            request_id: request_id(),
            distribution_id: distribution.id.clone(),
            deliveries: deliveries.collect(),
        };
        ask!(manager, DistributionServiceClient.record_deliveries(request))?;
        closed_on = batch.iter().filter_map(|(row, _)| row.delivered_on).fold(closed_on, Day::max);
    }
    let request = assistance::CloseDistributionRequest {
        request_id: request_id(),
        distribution_id: distribution.id,
        closed_on: closed_on.proto(),
    };
    ask!(manager, DistributionServiceClient.close_distribution(request))?;
    Ok(Ended { plans: came.into_iter().map(|(_, id)| (id, Standing::Completed)).collect(), left_out })
}

/// The visits to the phase's people.
pub async fn visit(stage: &mut Stage<'_>, phase: usize) -> Result<(), Refusal> {
    let of_phase =
        stage.programme.visits.iter().filter(|row| phase_of(stage, std::iter::once(row.submission_id.as_str())) == phase);
    let (mut visits, mut unvisited) = (Vec::new(), 0);
    for row in of_phase {
        match stage.plans.of(&row.submission_id).filter(|plan| plan.standing == Standing::Completed) {
            None => unvisited += 1,
            Some(plan) => visits.push(assistance::NewVisit {
                plan_id: plan.id.clone(),
                visited_on: row.visited_on.proto(),
                outcome: row.outcome.0.into(),
                visitor: row.visitor.clone(),
            }),
        }
    }
    let mut bar = stage.progress.step("visits recorded", visits.len());
    let asked = stream::iter(visits.chunks(BATCH)).map(|visits| {
        let request = assistance::BatchRecordVisitsRequest { request_id: request_id(), visits: visits.to_vec() };
        let manager = &stage.cast.manager;
        async move { ask!(manager, FollowUpServiceClient.batch_record_visits(request)) }
    });
    let mut answers = asked.buffer_unordered(AT_ONCE);
    while let Some(answer) = answers.try_next().await? {
        bar.add(answer.visits.len());
    }
    drop(answers);
    bar.end();
    stage.played.visits += visits.len();
    stage.tally.leave_out(UNVISITED, unvisited);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_the_order_of_the_file() {
        let rows = ["b1", "a1", "b2", "c1", "a2"];
        let groups: Vec<Vec<&str>> =
            grouped(&rows, |row| &row[..1]).into_iter().map(|g| g.into_iter().copied().collect()).collect();
        assert_eq!(groups, [vec!["b1", "b2"], vec!["a1", "a2"], vec!["c1"]]);
    }
}
