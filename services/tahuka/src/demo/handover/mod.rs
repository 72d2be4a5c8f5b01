//! The programme changes hands: at the end of each year the ministry takes over what is done, and at the end of the last one
//! all the rest. `way` takes a tranche all the way, `paper` is what is shown of it.

mod paper;
mod way;

use std::collections::BTreeMap;

use tahuka_bag::SigningKey;
use tahuka_chassis::Refusal;
use tahuka_proto::assistance::v1 as assistance;
use tahuka_proto::assistance::v1::plan_service_client::PlanServiceClient;
use tahuka_proto::funding::v1 as funding;
use tahuka_proto::funding::v1::grant_service_client::GrantServiceClient;
use tahuka_proto::handover::v1 as handover;
use tahuka_proto::handover::v1::Criterion;
use tahuka_proto::projects::v1 as projects;
use tahuka_proto::projects::v1::project_service_client::ProjectServiceClient;

use super::files::values::Day;
use super::voice::ask;
use super::{PAGE, Stage, report};
use way::{Contents, Parties};

/// Why cases that are open go over at the end of a year.
const UNCOLLECTED: &str = "What was approved and is not collected yet goes over as it is, with its money";

/// What has gone over so far.
#[derive(Default)]
pub struct Handovers {
    parties: Option<Parties>,
    closed: Vec<handover::Tranche>,
}

/// What is done by the end of this phase's year goes over.
pub async fn after_phase(stage: &mut Stage<'_>, phase: &str) -> Result<(), Refusal> {
    let Some(file) = stage.programme.setting.tranches.iter().find(|tranche| tranche.after == phase) else { return Ok(()) };
    stage.progress.heading(&format!("Handover on {}: {}", file.on, file.name));
    if stage.handovers.parties.is_none() {
        let keys = (key()?, key()?);
        let waived = [Criterion::OpenCases, Criterion::UnreconciledMoney].map(|criterion| (criterion, UNCOLLECTED.to_owned()));
        stage.handovers.parties = Some(way::agree(stage, keys, file.on, &waived.into()).await?);
    }
    let mut districts = Vec::new();
    for district in &file.districts {
        let open = open_cases(stage, district).await?;
        if open.is_empty() {
            districts.push(district.clone());
            continue;
        }
        let told: Vec<_> = open.iter().map(|((kind, state), count)| format!("{count} {state}, {kind}")).collect();
        stage.progress.note(&format!("{district} stays for now, with cases that are open: {}", told.join("; ")));
    }
    let wanted = |project: &projects::Project| file.projects.contains(&project.code);
    let done = projects(stage).await?.into_iter().filter(wanted).filter(|p| p.state() == projects::ProjectState::Completed);
    let contents = Contents { districts, projects: done.map(|project| project.id).collect(), grants: Vec::new() };
    over(stage, &file.name, file.on, contents).await
}

/// All that the sender still has, as it is.
pub async fn last(stage: &mut Stage<'_>) -> Result<(), Refusal> {
    let Some(file) = &stage.programme.setting.last_tranche else { return Ok(()) };
    stage.progress.heading(&format!("Handover on {}: {}", file.on, file.name));
    let keys = match stage.handovers.parties.take() {
        Some(parties) => parties.keys(),
        None => (key()?, key()?),
    };
    let waived = [Criterion::OpenCases, Criterion::UnreconciledMoney, Criterion::OpenStock, Criterion::IncompleteDocuments];
    let waived = waived.into_iter().map(|criterion| (criterion, file.waived.clone())).collect();
    stage.handovers.parties = Some(way::agree(stage, keys, file.on, &waived).await?);
    let before = report::of(stage, &stage.cast.manager).await?;
    let contents = Contents {
        districts: stage.programme.setting.districts.iter().map(|district| district.pcode.clone()).collect(),
        projects: projects(stage).await?.into_iter().map(|project| project.id).collect(),
        grants: grants(stage).await?,
    };
    let name = file.name.clone();
    over(stage, &name, file.on, contents).await?;
    paper::shown(stage, &stage.handovers.closed, &before).await
}

async fn over(stage: &mut Stage<'_>, name: &str, on: Day, contents: Contents) -> Result<(), Refusal> {
    if contents.is_empty() {
        stage.progress.note("nothing is ready to go over");
        return Ok(());
    }
    let Some(parties) = &stage.handovers.parties else { return Ok(()) };
    let closed = way::over(stage, parties, name, on, contents).await?;
    stage.progress.note(&paper::in_short(&closed));
    stage.handovers.closed.push(closed);
    Ok(())
}

fn key() -> Result<SigningKey, Refusal> {
    SigningKey::generate().map_err(Refusal::internal)
}

/// How many plans of the district wait for something that is still to come, by kind and state. What is approved and was
/// never collected goes over as it is.
async fn open_cases(stage: &Stage<'_>, district: &str) -> Result<BTreeMap<(String, String), usize>, Refusal> {
    use assistance::PlanState;
    let mut open = BTreeMap::new();
    for state in [PlanState::Submitted, PlanState::Funded, PlanState::Waiting, PlanState::InProgress] {
        let mut request = assistance::ListPlansRequest {
            programme_id: stage.cast.programme_id.clone(),
            page_size: PAGE,
            state: state.into(),
            district: district.to_owned(),
            ..Default::default()
        };
        loop {
            let page = ask!(stage.cast.manager, PlanServiceClient.list_plans(request.clone()))?;
            for plan in page.plans.iter().filter(|plan| plan.custodian_id == stage.cast.custodian_id) {
                let kind = plan.kind().as_str_name().trim_start_matches("ASSISTANCE_KIND_").to_lowercase();
                let state = state.as_str_name().trim_start_matches("PLAN_STATE_").to_lowercase();
                *open.entry((kind, state)).or_default() += 1;
            }
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
    }
    Ok(open)
}

/// The sender's own.
async fn projects(stage: &Stage<'_>) -> Result<Vec<projects::Project>, Refusal> {
    let request =
        projects::ListProjectsRequest { programme_id: stage.cast.programme_id.clone(), page_size: PAGE, ..Default::default() };
    let all = ask!(stage.cast.manager, ProjectServiceClient.list_projects(request))?.projects;
    Ok(all.into_iter().filter(|project| project.custodian_id == stage.cast.custodian_id).collect())
}

async fn grants(stage: &Stage<'_>) -> Result<Vec<String>, Refusal> {
    let request =
        funding::ListGrantsRequest { programme_id: stage.cast.programme_id.clone(), page_size: PAGE, ..Default::default() };
    let all = ask!(stage.cast.finance, GrantServiceClient.list_grants(request))?.grants;
    Ok(all.into_iter().filter(|grant| grant.custodian_id == stage.cast.custodian_id).map(|grant| grant.id).collect())
}
