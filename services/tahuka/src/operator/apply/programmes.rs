//! A programme, told by the tenant that answers for it.

use tahuka_chassis::{Refusal, edge};
use tahuka_proto::tenancy::v1 as tenancy;
use tahuka_proto::tenancy::v1::programme_service_client::ProgrammeServiceClient;

use super::super::desk::{Line, request_id, shown_day};
use super::documents::Programme;
use super::tenants::fixed;
use super::{Change, Hand, set};

pub async fn apply(hand: &mut Hand, wanted: &Programme) -> Result<Change, Refusal> {
    let mut client = ProgrammeServiceClient::new(hand.line.clone());
    let districts: Vec<tenancy::ProgrammeDistrict> = wanted.districts.iter().map(district).collect();
    if let Some(current) = find(&mut client, &wanted.name).await? {
        fixed("starts_on", &shown_day(current.starts_on.as_ref()), &wanted.starts_on.to_string())?;
        fixed("ends_on", &shown_day(current.ends_on.as_ref()), &wanted.ends_on.to_string())?;
        fixed("districts", &shown(&current.districts), &shown(&districts))?;
        return Ok(Change::of(Vec::new()));
    }
    if hand.dry_run {
        hand.plan(&wanted.name);
        return Ok(Change::create());
    }
    let request = tenancy::CreateProgrammeRequest {
        request_id: request_id(),
        name: wanted.name.clone(),
        starts_on: Some(edge::to_date(wanted.starts_on)),
        ends_on: Some(edge::to_date(wanted.ends_on)),
        districts,
    };
    client.create_programme(request).await?;
    Ok(Change::create())
}

fn district(told: &super::documents::District) -> tenancy::ProgrammeDistrict {
    tenancy::ProgrammeDistrict {
        pcode: told.pcode.clone(),
        name: told.name.clone(),
        basis: told.basis.into(),
        source: told.source.clone(),
    }
}

fn shown(districts: &[tenancy::ProgrammeDistrict]) -> String {
    let basis = |d: &tenancy::ProgrammeDistrict| d.basis().as_str_name().trim_start_matches("DISTRICT_BASIS_").to_lowercase();
    let all: Vec<String> = districts.iter().map(|d| format!("{} {} ({}: {})", d.pcode, d.name, basis(d), d.source)).collect();
    set(&all)
}

/// The programme of this name or id that the caller knows of.
pub async fn find(client: &mut ProgrammeServiceClient<Line>, told: &str) -> Result<Option<tenancy::Programme>, Refusal> {
    let mut request = tenancy::ListProgrammesRequest { page_size: 1000, ..Default::default() };
    loop {
        let page = client.list_programmes(request.clone()).await?.into_inner();
        if let Some(found) = page.programmes.into_iter().find(|programme| programme.name == told || programme.id == told) {
            return Ok(Some(found));
        }
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(None);
        }
    }
}
