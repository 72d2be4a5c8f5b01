//! The money of a phase: grants with their budget lines and instalments, administration costs, and pledges.

use std::collections::HashMap;

use tahuka_chassis::Refusal;
use tahuka_proto::funding::v1 as funding;
use tahuka_proto::funding::v1::appeal_service_client::AppealServiceClient;
use tahuka_proto::funding::v1::grant_service_client::GrantServiceClient;

use super::Stage;
use super::files::{Grant, Instalment};
use super::voice::{ask, request_id, told};

/// A grant of the file and what the platform made of it.
pub struct Open<'a> {
    file: &'a Grant,
    id: String,
    /// By code.
    lines: HashMap<&'a str, String>,
}

/// The phase's grants with their lines. No money yet.
pub async fn open<'a>(stage: &Stage<'a>, phase: &str) -> Result<Vec<Open<'a>>, Refusal> {
    let mut opened = Vec::new();
    for grant in stage.programme.setting.grants.iter().filter(|grant| grant.phase == phase) {
        let request = funding::CreateGrantRequest {
            request_id: request_id(),
            programme_id: stage.cast.programme_id.clone(),
            donor_id: stage.cast.donors.get(&grant.donor).cloned().unwrap_or_default(),
            code: grant.code.clone(),
            title: grant.title.clone(),
            amount: grant.amount.proto(),
            starts_on: grant.starts_on.proto(),
            ends_on: grant.ends_on.proto(),
            earmarks: Some(funding::Earmarks {
                districts: grant.earmarks.districts.clone(),
                kinds: grant.earmarks.kinds.iter().map(|kind| kind.0.into()).collect(),
            }),
        };
        let id = told(ask!(stage.cast.finance, GrantServiceClient.create_grant(request))?.grant, "grant")?.id;
        let mut lines = HashMap::new();
        for line in &grant.budget_lines {
            let request = funding::CreateBudgetLineRequest {
                request_id: request_id(),
                grant_id: id.clone(),
                code: line.code.clone(),
                kind: line.kind.0.into(),
                amount: line.amount.proto(),
            };
            let answer = ask!(stage.cast.finance, GrantServiceClient.create_budget_line(request))?;
            lines.insert(line.code.as_str(), told(answer.budget_line, "budget line")?.id);
        }
        opened.push(Open { file: grant, id, lines });
    }
    Ok(opened)
}

/// The first instalment of each grant, which comes before anybody is registered.
pub async fn first_instalments(stage: &Stage<'_>, grants: &[Open<'_>]) -> Result<(), Refusal> {
    for grant in grants {
        if let Some(first) = in_order(grant).first() {
            receive(stage, grant, first).await?;
        }
    }
    Ok(())
}

/// The others, by their dates.
pub async fn other_instalments(stage: &Stage<'_>, grants: &[Open<'_>]) -> Result<(), Refusal> {
    let mut others: Vec<_> =
        grants.iter().flat_map(|grant| in_order(grant).into_iter().skip(1).map(move |i| (grant, i))).collect();
    others.sort_by_key(|(_, instalment)| instalment.received_on);
    for (grant, instalment) in others {
        receive(stage, grant, instalment).await?;
    }
    Ok(())
}

fn in_order<'a>(grant: &Open<'a>) -> Vec<&'a Instalment> {
    let mut instalments: Vec<_> = grant.file.instalments.iter().collect();
    instalments.sort_by_key(|instalment| instalment.received_on);
    instalments
}

async fn receive(stage: &Stage<'_>, grant: &Open<'_>, instalment: &Instalment) -> Result<(), Refusal> {
    let request = funding::RecordInstalmentRequest {
        request_id: request_id(),
        grant_id: grant.id.clone(),
        received: instalment.amount.proto(),
        received_on: instalment.received_on.proto(),
    };
    let answer = ask!(stage.cast.finance, GrantServiceClient.record_instalment(request))?;
    let credited = super::files::values::shown(answer.instalment.and_then(|i| i.credited).as_ref());
    let told = super::files::values::shown(instalment.amount.proto().as_ref());
    let told = if told == credited { String::new() } else { format!(" ({told})") };
    let served = if answer.needs_served > 0 {
        format!("; {} needs that waited have their money", answer.needs_served)
    } else {
        String::new()
    };
    stage.progress.note(&format!("{}: {credited}{told} on {}{served}", grant.file.code, instalment.received_on));
    Ok(())
}

/// What the running of the programme cost.
pub async fn administration(stage: &Stage<'_>, grants: &[Open<'_>]) -> Result<(), Refusal> {
    for grant in grants {
        let mut expenditures: Vec<_> = grant.file.expenditures.iter().collect();
        expenditures.sort_by_key(|e| e.spent_on);
        for expenditure in expenditures {
            let request = funding::RecordExpenditureRequest {
                request_id: request_id(),
                grant_id: grant.id.clone(),
                budget_line_id: grant.lines.get(expenditure.line.as_str()).cloned().unwrap_or_default(),
                amount: expenditure.amount.proto(),
                spent_on: expenditure.spent_on.proto(),
                description: expenditure.description.clone(),
            };
            ask!(stage.cast.finance, GrantServiceClient.record_expenditure(request))?;
        }
    }
    Ok(())
}

pub async fn pledges(stage: &Stage<'_>) -> Result<(), Refusal> {
    for pledge in &stage.programme.setting.pledges {
        let request = funding::CreatePledgeRequest {
            request_id: request_id(),
            programme_id: stage.cast.programme_id.clone(),
            donor_id: stage.cast.donors.get(&pledge.donor).cloned().unwrap_or_default(),
            amount: pledge.amount.proto(),
            pledged_on: pledge.pledged_on.proto(),
            kind: pledge.kind.map_or(0, |kind| kind.0.into()),
            grant_id: String::new(),
        };
        ask!(stage.cast.finance, AppealServiceClient.create_pledge(request))?;
    }
    Ok(())
}
