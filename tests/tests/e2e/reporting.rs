//! The programme's report: from events alone, for each tenant as far as it may see.

use tahuka_proto::funding::v1 as funding;
use tahuka_proto::funding::v1::appeal_service_client::AppealServiceClient;
use tahuka_proto::funding::v1::donor_service_client::DonorServiceClient;
use tahuka_proto::insight::v1 as insight;
use tahuka_proto::insight::v1::published_figure_service_client::PublishedFigureServiceClient;
use tahuka_proto::insight::v1::report_service_client::ReportServiceClient;
use tahuka_tests::{Platform, Voice, new_request_id};
use tonic::Code;
use tonic_types::StatusExt;

use crate::programme::{MUSANZE, Programme, RUBAVU, on};
use crate::story::{BudgetKind, eventually, usd};

async fn try_report(voice: &Voice, programme: &Programme) -> Result<insight::ProgrammeReport, tonic::Status> {
    let request = insight::GetProgrammeReportRequest { programme_id: programme.id.clone(), since: on(2013, 3, 1) };
    let answer = ReportServiceClient::new(voice.line()).get_programme_report(request).await?;
    Ok(answer.into_inner().report.expect("a report is told"))
}

/// The report, once insight has heard of the programme.
pub async fn report(voice: &Voice, programme: &Programme) -> insight::ProgrammeReport {
    eventually("a report of the programme", || async { try_report(voice, programme).await.is_ok() }).await;
    try_report(voice, programme).await.expect("the report")
}

pub fn figure(report: &insight::ProgrammeReport, code: &str) -> insight::Figure {
    let mut all = report.sections.iter().flat_map(|s| &s.figures);
    all.find(|f| f.code == code).unwrap_or_else(|| panic!("no figure {code}")).clone()
}

impl Programme {
    /// Waits until IOM's report shows this.
    pub async fn until_counted(&self, code: &str, value: i64) {
        let what = format!("{code} is {value}");
        eventually(&what, || async { figure(&report(&self.iom, self).await, code).value == Some(value) }).await;
    }
}

pub async fn small_counts_are_kept_from_the_donor(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    for n in 0..6 {
        programme.person(RUBAVU, &format!("H-{n}"), 1980).await;
    }
    programme.person(MUSANZE, "H-9", 1990).await;
    programme.until_counted("people_registered", 7).await;

    let own = report(&programme.iom, &programme).await;
    assert_eq!(own.districts.len(), 2);
    assert!(own.districts.iter().flat_map(|d| &d.figures).all(|f| !f.suppressed));

    let japans = report(&programme.japan, &programme).await;
    assert_eq!(figure(&japans, "people_registered").value, Some(7));
    let registered = |district: &str| {
        let line = japans.districts.iter().find(|d| d.district == district).expect("a line of the district");
        line.figures.iter().find(|f| f.code == "people_registered").expect("its figure").value
    };
    // One of Musanze is withheld, and so is what would tell of her: 7 less 6.
    assert_eq!((registered(MUSANZE), registered(RUBAVU)), (None, None));
}

pub async fn a_published_figure_stands_beside_what_was_counted(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let mut figures = PublishedFigureServiceClient::new(programme.iom.line());
    let request = insight::CreatePublishedFigureRequest {
        request_id: new_request_id(),
        programme_id: programme.id.clone(),
        code: "people_helped".into(),
        value: Some(11_000),
        text: "over 11,000".into(),
        source: "a press release".into(),
        published_on: None,
    };
    figures.create_published_figure(request.clone()).await.expect("it is noted");
    let shown = figure(&report(&programme.japan, &programme).await, "people_helped");
    assert_eq!(shown.value, Some(0));
    assert_eq!(shown.published.expect("beside it").text, "over 11,000");

    let unknown = insight::CreatePublishedFigureRequest { request_id: new_request_id(), code: "happiness".into(), ..request };
    let refused = figures.create_published_figure(unknown).await.expect_err("no such figure");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.get_details_bad_request().expect("details").field_violations[0].field, "code");
}

pub async fn a_pledge_to_the_appeal_is_everybodys_to_know(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    programme.grant("JP-I", 1000, BudgetKind::Livestock).await;
    let mut donors = DonorServiceClient::new(programme.iom.line());
    let known = donors.list_donors(funding::ListDonorsRequest::default()).await.expect("donors").into_inner().donors;
    let request = funding::CreatePledgeRequest {
        request_id: new_request_id(),
        programme_id: programme.id.clone(),
        donor_id: known[0].id.clone(),
        amount: usd(60_000),
        pledged_on: on(2014, 2, 1),
        kind: 0,
        grant_id: String::new(),
    };
    AppealServiceClient::new(programme.iom.line()).create_pledge(request).await.expect("a pledge");
    programme.until_counted("money_pledged", 6_000_000).await;
    assert_eq!(figure(&report(&programme.japan, &programme).await, "money_pledged").value, Some(6_000_000));
}
