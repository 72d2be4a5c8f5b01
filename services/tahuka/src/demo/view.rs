//! The same few households and the same money, as each tenant may see them: by name, by name in one district, and never
//! a person.

use tahuka_chassis::Refusal;
use tahuka_proto::funding::v1 as funding;
use tahuka_proto::funding::v1::grant_service_client::GrantServiceClient;
use tahuka_proto::insight::v1 as insight;
use tahuka_proto::insight::v1::report_service_client::ReportServiceClient;
use tahuka_proto::registry::v1 as registry;
use tahuka_proto::registry::v1::household_service_client::HouseholdServiceClient;

use super::files::values::shown;
use super::report::figure_text;
use super::voice::{Voice, ask, code, told};
use super::{PAGE, Stage};

/// Households of the officer's district, and of another one.
const EACH: usize = 2;

pub async fn side_by_side(stage: &Stage<'_>) -> Result<(), Refusal> {
    let cast = &stage.cast;
    let elsewhere = stage.programme.setting.districts.iter().find(|district| district.pcode != cast.district);
    let mut ids = households(stage, &cast.manager, &cast.district, EACH).await?;
    if let Some(district) = elsewhere {
        ids.extend(households(stage, &cast.manager, &district.pcode, EACH).await?);
    }
    println!("\nThe same households, as each tenant sees them");
    println!("\n  {} (custodian: everything, by name)", cast.manager.who);
    look(stage, &cast.manager, &ids).await?;
    println!("\n  {} (by agreement, in {} only)", cast.district_officer.who, district_name(stage, &cast.district));
    look(stage, &cast.district_officer, &ids).await?;
    println!("\n  {} (a donor: counts and money, never a person)", cast.donor_officer.who);
    for id in &ids {
        let request = registry::GetHouseholdRequest { household_id: id.clone() };
        println!("    {id}  {}", refused(ask!(cast.donor_officer, HouseholdServiceClient.get_household(request)))?);
    }
    let request = registry::ListHouseholdsRequest { programme_id: cast.programme_id.clone(), ..Default::default() };
    println!(
        "    the list of households                {}",
        refused(ask!(cast.donor_officer, HouseholdServiceClient.list_households(request)))?
    );

    println!("\nThe same programme, in counts");
    for voice in [&cast.manager, &cast.district_officer, &cast.donor_officer] {
        println!("\n  {}", voice.who);
        counts(stage, voice).await?;
    }
    money(stage).await
}

async fn households(stage: &Stage<'_>, voice: &Voice, district: &str, count: usize) -> Result<Vec<String>, Refusal> {
    let request = registry::ListHouseholdsRequest {
        programme_id: stage.cast.programme_id.clone(),
        page_size: 20,
        district: district.to_owned(),
        ..Default::default()
    };
    let mut page = ask!(voice, HouseholdServiceClient.list_households(request))?.households;
    // Those whose head is registered tell more.
    page.sort_by_key(|household| household.head_surname.is_empty());
    Ok(page.into_iter().take(count).map(|household| household.id).collect())
}

fn district_name<'a>(stage: &'a Stage<'_>, pcode: &'a str) -> &'a str {
    stage.programme.setting.districts.iter().find(|d| d.pcode == pcode).map_or(pcode, |d| d.name.as_str())
}

async fn look(stage: &Stage<'_>, voice: &Voice, ids: &[String]) -> Result<(), Refusal> {
    for id in ids {
        let request = registry::GetHouseholdRequest { household_id: id.clone() };
        match ask!(voice, HouseholdServiceClient.get_household(request)) {
            Ok(answer) => {
                let household = told(answer.household, "household")?;
                let name = format!("{} {}", household.head_surname, household.head_given_name);
                let category = household.category().as_str_name().trim_start_matches("HOUSEHOLD_CATEGORY_").to_lowercase();
                println!(
                    "    {id}  {:<11} {:<16} {:<14} size {:<2} priority {}  {}",
                    district_name(stage, &household.district),
                    household.household_number,
                    category,
                    household.household_size,
                    household.priority_band,
                    name.trim(),
                );
            }
            Err(refusal) => println!("    {id}  {}", refused::<()>(Err(refusal))?),
        }
    }
    Ok(())
}

/// What the platform answered to one who may not; that it answered otherwise is a failure.
fn refused<T>(answer: Result<T, Refusal>) -> Result<String, Refusal> {
    match answer {
        Ok(_) => Err(Refusal::precondition("SHOWN", "the platform showed a household to one who may not see it")),
        Err(refusal) => match code(&refusal) {
            Some(tonic::Code::PermissionDenied) => Ok("PERMISSION_DENIED".into()),
            Some(tonic::Code::NotFound) => Ok("NOT_FOUND".into()),
            _ => Err(refusal),
        },
    }
}

/// The people of the programme as far as this voice is let in.
async fn counts(stage: &Stage<'_>, voice: &Voice) -> Result<(), Refusal> {
    let request = insight::GetProgrammeReportRequest { programme_id: stage.cast.programme_id.clone(), since: None };
    let report = told(ask!(voice, ReportServiceClient.get_programme_report(request))?.report, "report")?;
    let figures: Vec<_> = report.sections.iter().flat_map(|section| &section.figures).collect();
    for code in ["people_registered", "people_helped", "districts_reached", "visits_recorded", "people_served"] {
        if let Some(figure) = figures.iter().find(|figure| figure.code == code) {
            println!("    {:<36} {:>16}", figure.label, figure_text(figure));
        }
    }
    Ok(())
}

/// The grants, as their donor follows them.
async fn money(stage: &Stage<'_>) -> Result<(), Refusal> {
    let officer = &stage.cast.donor_officer;
    let request =
        funding::ListGrantsRequest { programme_id: stage.cast.programme_id.clone(), page_size: PAGE, ..Default::default() };
    println!("\nThe money, as {} follows it\n", officer.who);
    println!("    {:<10} {:>18} {:>18} {:>18} {:>18} {:>18}", "grant", "granted", "received", "available", "committed", "spent");
    for grant in ask!(officer, GrantServiceClient.list_grants(request))?.grants {
        let balances = grant.balances.unwrap_or_default();
        println!(
            "    {:<10} {:>18} {:>18} {:>18} {:>18} {:>18}",
            grant.code,
            shown(grant.amount.as_ref()),
            shown(balances.received.as_ref()),
            shown(balances.available.as_ref()),
            shown(balances.committed.as_ref()),
            shown(balances.spent.as_ref()),
        );
    }
    Ok(())
}
