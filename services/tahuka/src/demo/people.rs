//! The people of a phase: their registrations go in as the field wrote them, and what each asked for becomes a plan.

use std::collections::{BTreeMap, HashMap};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tahuka_chassis::Refusal;
use tahuka_proto::assistance::v1 as assistance;
use tahuka_proto::assistance::v1::plan_service_client::PlanServiceClient;
use tahuka_proto::registry::v1 as registry;
use tahuka_proto::registry::v1::household_service_client::HouseholdServiceClient;
use tahuka_proto::registry::v1::import_households_request::Part;
use tahuka_proto::registry::v1::import_service_client::ImportServiceClient;
use tahuka_proto::registry::v1::individual_service_client::IndividualServiceClient;

use super::files::values::Day;
use super::voice::{ask, request_id, told};
use super::{AT_ONCE, PAGE, Stage};

/// Persons of one question, and plans of one batch.
const QUESTION: usize = 500;
const BATCH: usize = 250;

/// How far a plan has come, as this player saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Asked,
    Approved,
    Completed,
    Cancelled,
}

pub struct Plan {
    pub id: String,
    pub standing: Standing,
}

/// The plans so far. A person has one.
#[derive(Default)]
pub struct Plans {
    all: Vec<Plan>,
    by_submission: HashMap<String, usize>,
    by_id: HashMap<String, usize>,
}

impl Plans {
    fn add(&mut self, submission: String, id: String) {
        let at = self.all.len();
        self.by_id.insert(id.clone(), at);
        self.by_submission.insert(submission, at);
        self.all.push(Plan { id, standing: Standing::Asked });
    }

    pub fn of(&self, submission: &str) -> Option<&Plan> {
        self.by_submission.get(submission).and_then(|at| self.all.get(*at))
    }

    pub fn stands(&mut self, id: &str, standing: Standing) {
        if let Some(plan) = self.by_id.get(id).and_then(|at| self.all.get_mut(*at)) {
            plan.standing = standing;
        }
    }

    pub fn count(&self, standing: Standing) -> usize {
        self.all.iter().filter(|plan| plan.standing == standing).count()
    }
}

/// What came of the files' rows.
#[derive(Default)]
pub struct Tally {
    pub rows: i64,
    pub accepted: i64,
    pub repeated: i64,
    pub rejected: i64,
    pub import_seconds: f64,
    /// What was in a file and could not be played, by reason.
    pub left_out: BTreeMap<&'static str, usize>,
}

impl Tally {
    pub fn leave_out(&mut self, why: &'static str, count: usize) {
        if count > 0 {
            *self.left_out.entry(why).or_default() += count;
        }
    }
}

/// Sends the phase's rows as one file.
pub async fn register(stage: &mut Stage<'_>, phase: usize) -> Result<(), Refusal> {
    let file = &stage.programme.registrations;
    let code = stage.programme.setting.phases.get(phase).map(|p| p.code.as_str()).unwrap_or_default();
    let start = registry::ImportStart {
        request_id: request_id(),
        programme_id: stage.cast.programme_id.clone(),
        file_name: format!("registrations-{code}.csv"),
    };
    let chunks = file.chunks(phase);
    let bar = std::sync::Mutex::new(stage.progress.step("registrations", file.count(phase)));
    let import = stage.cast.clerk.call("import_households", (), |line, ()| {
        let parts = std::iter::once((Part::Start(start.clone()), 0))
            .chain(chunks.iter().cloned().map(|(bytes, rows)| (Part::Chunk(bytes), rows)));
        let messages: Vec<_> = parts.map(|(part, rows)| (registry::ImportHouseholdsRequest { part: Some(part) }, rows)).collect();
        // Chunks are taken as fast as the platform takes them.
        let (sent, counted) = tokio::sync::watch::channel(0_u64);
        let stream = stream::iter(messages).map(move |(message, rows)| {
            sent.send_modify(|count| *count += rows);
            message
        });
        let bar = &bar;
        async move {
            let mut client = ImportServiceClient::new(line);
            let answer = client.import_households(stream);
            tokio::pin!(answer);
            let mut counted = counted;
            loop {
                tokio::select! {
                    answer = &mut answer => return answer,
                    Ok(()) = counted.changed() => {
                        if let Ok(mut bar) = bar.lock() {
                            bar.reach(*counted.borrow_and_update());
                        }
                    }
                }
            }
        }
    });
    let import = told(import.await?.import, "import")?;
    let mut bar = bar.into_inner().map_err(Refusal::internal)?;
    bar.reach(u64::try_from(import.rows).unwrap_or_default());
    stage.tally.import_seconds += bar.end();
    stage.tally.rows += import.rows;
    stage.tally.accepted += import.accepted;
    stage.tally.repeated += import.repeated;
    stage.tally.rejected += import.rejected;
    stage
        .progress
        .note(&format!("{} accepted, {} repeated, {} rejected row by row", import.accepted, import.repeated, import.rejected));
    Ok(())
}

/// A plan for everybody who asked for something that the catalogue has and may have it, in the order of registration.
pub async fn plan(stage: &mut Stage<'_>, phase: usize) -> Result<(), Refusal> {
    let askers = askers(stage, phase).await?;
    let (found, unknown): (Vec<_>, Vec<_>) = askers.into_iter().partition(|person| package(stage, person).is_some());
    stage.tally.leave_out("asked for what the catalogue does not have", unknown.len());
    let profiles = profiles(stage, &found).await?;
    let mut wanted = Vec::new();
    for (person, profile) in found.iter().zip(&profiles) {
        let Some((package_id, at)) = package(stage, person) else { continue };
        if !profile.consent_given {
            stage.tally.leave_out("registered without consent to assistance", 1);
        } else if !entitled(stage, *at, profile) {
            stage.tally.leave_out("not within the package's conditions", 1);
        } else {
            wanted.push((person, package_id.clone()));
        }
    }
    let mut bar = stage.progress.step("plans submitted", wanted.len());
    // One batch after the other: who asked first is served first.
    for batch in wanted.chunks(BATCH) {
        let plans = batch.iter().map(|(person, package_id)| assistance::NewPlan {
            household_id: person.household_id.clone(),
            individual_id: person.id.clone(),
            package_id: package_id.clone(),
            drafted_on: person.registered_on,
            submitted_on: person.registered_on,
        });
        let request = assistance::BatchCreatePlansRequest {
            request_id: request_id(),
            programme_id: stage.cast.programme_id.clone(),
            plans: plans.collect(),
        };
        let answer = ask!(stage.cast.manager, PlanServiceClient.batch_create_plans(request))?;
        for ((person, _), plan) in batch.iter().zip(answer.plans) {
            stage.plans.add(person.submission_id.clone(), plan.id);
        }
        bar.add(batch.len());
    }
    bar.end();
    Ok(())
}

/// Everybody of the phase who asked for something, by pages.
async fn askers(stage: &Stage<'_>, phase: usize) -> Result<Vec<registry::Individual>, Refusal> {
    let Some(phase) = stage.programme.setting.phases.get(phase) else { return Ok(Vec::new()) };
    let mut people = Vec::new();
    let mut request = registry::ListIndividualsRequest {
        programme_id: stage.cast.programme_id.clone(),
        page_size: PAGE,
        assistance_requested: "any".into(),
        registered_from: phase.registered_from.proto(),
        registered_to: phase.registered_to.proto(),
        ..Default::default()
    };
    loop {
        let page = ask!(stage.cast.manager, IndividualServiceClient.list_individuals(request.clone()))?;
        people.extend(page.individuals);
        if page.next_page_token.is_empty() {
            return Ok(people);
        }
        request.page_token = page.next_page_token;
    }
}

fn package<'a>(stage: &'a Stage<'_>, person: &registry::Individual) -> Option<&'a (String, usize)> {
    stage.cast.packages.get(&(person.assistance_requested.clone(), person.assistance_item.clone()))
}

/// What the registry says of them on the day of their registration, in their order.
async fn profiles(
    stage: &Stage<'_>,
    people: &[registry::Individual],
) -> Result<Vec<registry::GetHouseholdProfileResponse>, Refusal> {
    let answers = stream::iter(people.chunks(QUESTION)).map(|people| {
        let requests = people.iter().map(|person| registry::GetHouseholdProfileRequest {
            household_id: person.household_id.clone(),
            individual_id: person.id.clone(),
            on: person.registered_on,
        });
        let request = registry::BatchGetHouseholdProfilesRequest { requests: requests.collect() };
        async move { ask!(stage.cast.manager, HouseholdServiceClient.batch_get_household_profiles(request)) }
    });
    let answers: Vec<_> = answers.buffered(AT_ONCE).try_collect().await?;
    Ok(answers.into_iter().flat_map(|answer| answer.profiles).collect())
}

/// Whether the package's own conditions hold, as its file tells them.
fn entitled(stage: &Stage<'_>, package: usize, profile: &registry::GetHouseholdProfileResponse) -> bool {
    let Some(package) = stage.programme.setting.packages.get(package) else { return false };
    let category = match profile.category() {
        registry::HouseholdCategory::Returnee => "returnee",
        registry::HouseholdCategory::HostCommunity => "host_community",
        registry::HouseholdCategory::Unspecified => "",
    };
    let among = |allowed: &[String], value: &str| allowed.is_empty() || allowed.iter().any(|a| a == value);
    among(&package.conditions.categories, category)
        && among(&package.conditions.age_bands, &profile.age_band)
        && profile.priority_band >= package.conditions.least_priority_band
}

/// Approves whatever has its money, on the day that it got it; how many.
pub async fn approve(stage: &mut Stage<'_>) -> Result<usize, Refusal> {
    let mut funded: BTreeMap<Day, Vec<String>> = BTreeMap::new();
    let mut request = assistance::ListPlansRequest {
        programme_id: stage.cast.programme_id.clone(),
        page_size: PAGE,
        state: assistance::PlanState::Funded.into(),
        ..Default::default()
    };
    loop {
        let page = ask!(stage.cast.manager, PlanServiceClient.list_plans(request.clone()))?;
        for plan in page.plans {
            let on = Day::told(plan.funded_on.as_ref());
            funded.entry(told(on, "day of funding")?).or_default().push(plan.id);
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let total = funded.values().map(Vec::len).sum();
    let mut bar = stage.progress.step("plans approved", total);
    let batches: Vec<_> = funded.iter().flat_map(|(on, ids)| ids.chunks(BATCH).map(|ids| (*on, ids.to_vec()))).collect();
    let stage_ref = &*stage;
    let mut answers = stream::iter(batches)
        .map(|(on, plan_ids)| {
            let request = assistance::BatchApprovePlansRequest { request_id: request_id(), plan_ids, approved_on: on.proto() };
            async move { ask!(stage_ref.cast.manager, PlanServiceClient.batch_approve_plans(request)) }
        })
        .buffer_unordered(AT_ONCE);
    let mut approved = Vec::new();
    while let Some(answer) = answers.try_next().await? {
        bar.add(answer.plans.len());
        approved.extend(answer.plans.into_iter().map(|plan| plan.id));
    }
    drop(answers);
    bar.end();
    for id in &approved {
        stage.plans.stands(id, Standing::Approved);
    }
    Ok(total)
}
