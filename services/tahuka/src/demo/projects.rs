//! Community projects with their facilities, and campaigns.

use tahuka_chassis::Refusal;
use tahuka_proto::projects::v1 as projects;
use tahuka_proto::projects::v1::campaign_service_client::CampaignServiceClient;
use tahuka_proto::projects::v1::project_service_client::ProjectServiceClient;

use super::Stage;
use super::files::values::{Day, Sum};
use super::files::{Campaign, Facility};
use super::voice::{ask, request_id, told};

/// A project of the file, as it stands on the platform.
pub struct Project<'a> {
    facilities: Vec<&'a Facility>,
    project: projects::Project,
}

pub struct Planned<'a> {
    file: &'a Campaign,
    campaign: projects::Campaign,
}

fn money(currency: &str, amount: &str) -> Option<tahuka_proto::google::r#type::Money> {
    // The files have been checked.
    Sum::read(currency, amount).ok().and_then(|sum| sum.proto())
}

/// Drafts and submits the phase's projects. A row is a facility; rows of one code are one project.
pub async fn submit<'a>(stage: &Stage<'a>, phase: &str) -> Result<Vec<Project<'a>>, Refusal> {
    let mut submitted: Vec<Project<'a>> = Vec::new();
    let mut codes: Vec<&str> = Vec::new();
    let of_phase: Vec<&Facility> = stage.programme.facilities.iter().filter(|row| row.phase == phase).collect();
    for first in &of_phase {
        if codes.contains(&first.code.as_str()) {
            continue;
        }
        codes.push(&first.code);
        let facilities: Vec<&Facility> = of_phase.iter().copied().filter(|row| row.code == first.code).collect();
        let new = facilities.iter().map(|row| projects::NewFacility {
            kind: row.facility_kind.0.into(),
            name: row.facility_name.clone(),
            place: row.facility_place_pcode.clone(),
        });
        let request = projects::CreateProjectRequest {
            request_id: request_id(),
            programme_id: stage.cast.programme_id.clone(),
            code: first.code.clone(),
            title: first.title.clone(),
            place: first.place_pcode.clone(),
            partners: first.partners.0.clone(),
            budget: money(&first.budget_currency, &first.budget_amount),
            starts_on: first.starts_on.proto(),
            facilities: new.collect(),
        };
        let project = told(ask!(stage.cast.manager, ProjectServiceClient.create_project(request))?.project, "project")?;
        let request = projects::SubmitProjectRequest {
            request_id: request_id(),
            project_id: project.id,
            etag: project.etag,
            submitted_on: first.submitted_on.proto(),
        };
        let project = told(ask!(stage.cast.manager, ProjectServiceClient.submit_project(request))?.project, "project")?;
        submitted.push(Project { facilities, project });
    }
    Ok(submitted)
}

/// Approves what has its money, and builds it.
pub async fn build(stage: &mut Stage<'_>, submitted: Vec<Project<'_>>) -> Result<(), Refusal> {
    let mut bar = stage.progress.step("projects built", submitted.len());
    for project in submitted {
        let request = projects::GetProjectRequest { project_id: project.project.id.clone() };
        let now = told(ask!(stage.cast.manager, ProjectServiceClient.get_project(request))?.project, "project")?;
        if now.state() == projects::ProjectState::Funded {
            build_one(stage, &project.facilities, now).await?;
            bar.add(1);
        } else {
            stage.tally.leave_out("projects without money", 1);
        }
    }
    bar.end();
    Ok(())
}

async fn build_one(stage: &mut Stage<'_>, facilities: &[&Facility], funded: projects::Project) -> Result<(), Refusal> {
    let Some(first) = facilities.first() else { return Ok(()) };
    let manager = stage.cast.manager.clone();
    let approved_on =
        Day::told(funded.funded_on.as_ref()).map_or(first.approved_on, |funded_on| funded_on.max(first.approved_on));
    let request = projects::ApproveProjectRequest {
        request_id: request_id(),
        project_id: funded.id.clone(),
        etag: funded.etag.clone(),
        approved_on: approved_on.proto(),
    };
    ask!(manager, ProjectServiceClient.approve_project(request))?;

    let first_completed = facilities.iter().map(|row| row.facility_completed_on).min().unwrap_or(first.completed_on);
    let halfway = approved_on.midway(first.completed_on).min(first_completed);
    let progress = |percent: i32, on: Day, note: &str| projects::RecordProgressRequest {
        request_id: request_id(),
        project_id: funded.id.clone(),
        reported_on: on.proto(),
        percent,
        note: note.into(),
    };
    ask!(manager, ProjectServiceClient.record_progress(progress(50, halfway, "Walls stand")))?;
    for row in facilities {
        let facility = funded.facilities.iter().find(|f| f.name == row.facility_name);
        let request = projects::CompleteFacilityRequest {
            request_id: request_id(),
            project_id: funded.id.clone(),
            facility_id: told(facility, "facility")?.id.clone(),
            completed_on: row.facility_completed_on.proto(),
        };
        ask!(manager, ProjectServiceClient.complete_facility(request))?;
    }
    let done = ask!(manager, ProjectServiceClient.record_progress(progress(100, first.completed_on, "All work is done")))?;
    let request = projects::CompleteProjectRequest {
        request_id: request_id(),
        project_id: funded.id.clone(),
        etag: told(done.project, "project")?.etag,
        completed_on: first.completed_on.proto(),
        cost: money(&first.budget_currency, &first.cost_amount),
    };
    ask!(manager, ProjectServiceClient.complete_project(request))?;
    for row in facilities {
        let counts: Vec<_> = row
            .people()
            .into_iter()
            .filter(|(_, _, people)| *people > 0)
            .map(|(sex, age_band, people)| projects::PeopleCount { sex: sex.into(), age_band: age_band.into(), people })
            .collect();
        if counts.is_empty() {
            continue;
        }
        stage.played.people_served += counts.iter().map(|count| count.people).sum::<i64>();
        let request = projects::RecordPeopleServedRequest {
            request_id: request_id(),
            project_id: funded.id.clone(),
            counted_on: row.counted_on.proto(),
            method: row.method.clone(),
            counts,
        };
        ask!(manager, ProjectServiceClient.record_people_served(request))?;
    }
    stage.played.projects += 1;
    stage.played.facilities += facilities.len();
    Ok(())
}

/// The phase's campaigns, planned.
pub async fn plan_campaigns<'a>(stage: &Stage<'a>, phase: &str) -> Result<Vec<Planned<'a>>, Refusal> {
    let mut planned = Vec::new();
    for row in stage.programme.campaigns.iter().filter(|row| row.phase == phase) {
        let request = projects::CreateCampaignRequest {
            request_id: request_id(),
            programme_id: stage.cast.programme_id.clone(),
            code: row.code.clone(),
            level: row.level.0.into(),
            district: row.district_pcode.clone(),
            title: row.title.clone(),
            topic: row.topic.clone(),
            channels: row.channels().into_iter().map(i32::from).collect(),
            starts_on: row.starts_on.proto(),
            ends_on: row.ends_on.proto(),
        };
        let campaign = told(ask!(stage.cast.manager, CampaignServiceClient.create_campaign(request))?.campaign, "campaign")?;
        planned.push(Planned { file: row, campaign });
    }
    Ok(planned)
}

/// Held, in the order of their days.
pub async fn hold_campaigns(stage: &mut Stage<'_>, mut planned: Vec<Planned<'_>>) -> Result<(), Refusal> {
    planned.sort_by_key(|planned| planned.file.held_on);
    let mut bar = stage.progress.step("campaigns held", planned.len());
    for Planned { file, campaign } in planned {
        let request = projects::HoldCampaignRequest {
            request_id: request_id(),
            campaign_id: campaign.id,
            etag: campaign.etag,
            held_on: file.held_on.proto(),
            reach: file.reach,
            cost: money(&file.cost_currency, &file.cost_amount),
        };
        ask!(stage.cast.manager, CampaignServiceClient.hold_campaign(request))?;
        stage.played.campaigns += 1;
        bar.add(1);
    }
    bar.end();
    Ok(())
}
