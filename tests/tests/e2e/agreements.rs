//! What is agreed can be agreed anew, and who did so is written down.

use tahuka_proto::funding::v1 as funding;
use tahuka_proto::funding::v1::grant_service_client::GrantServiceClient;
use tahuka_proto::insight::v1 as insight;
use tahuka_proto::insight::v1::report_service_client::ReportServiceClient;
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::registry::v1 as registry;
use tahuka_proto::registry::v1::household_service_client::HouseholdServiceClient;
use tahuka_proto::tenancy::v1 as tenancy;
use tahuka_proto::tenancy::v1::agreement_service_client::AgreementServiceClient;
use tahuka_tests::{Platform, Voice, new_request_id};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::programme::{MUSANZE, Programme, RUBAVU, on};
use crate::story::{BudgetKind, eventually, usd};

fn term(category: DataCategory, level: DisclosureLevel, districts: &[&str], grants: &[&str]) -> tenancy::AgreementTerm {
    let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
    tenancy::AgreementTerm {
        category: category.into(),
        level: level.into(),
        districts: words(districts),
        write: false,
        grants: words(grants),
    }
}

async fn amend(by: &Voice, agreement: &str, terms: Vec<tenancy::AgreementTerm>) -> Result<tenancy::Agreement, Status> {
    let request = tenancy::AmendAgreementRequest {
        request_id: new_request_id(),
        agreement_id: agreement.into(),
        terms,
        starts_on: on(2010, 9, 1),
        ends_on: on(2099, 12, 31),
        purpose: "joint implementation in Musanze".into(),
        proposed_on: on(2011, 3, 1),
    };
    let answer = AgreementServiceClient::new(by.line()).amend_agreement(request).await?;
    Ok(answer.into_inner().agreement.expect("an agreement is told"))
}

async fn sign(by: &Voice, agreement: &str, revision: i32) -> Result<tenancy::Agreement, Status> {
    let request = tenancy::SignAgreementRequest {
        request_id: new_request_id(),
        agreement_id: agreement.into(),
        signed_on: on(2011, 3, 2),
        revision,
    };
    let answer = AgreementServiceClient::new(by.line()).sign_agreement(request).await?;
    Ok(answer.into_inner().agreement.expect("an agreement is told"))
}

async fn households(by: &Voice, programme: &Programme) -> usize {
    let request = registry::ListHouseholdsRequest { programme_id: programme.id.clone(), ..Default::default() };
    HouseholdServiceClient::new(by.line()).list_households(request).await.map_or(0, |answer| answer.into_inner().households.len())
}

async fn changes(by: &Voice, agreement: &str) -> Result<Vec<tenancy::AgreementChange>, Status> {
    let request = tenancy::ListAgreementChangesRequest { agreement_id: agreement.into(), ..Default::default() };
    Ok(AgreementServiceClient::new(by.line()).list_agreement_changes(request).await?.into_inner().changes)
}

fn reason(refused: &Status) -> String {
    refused.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

pub async fn what_was_agreed_holds_until_both_have_signed_anew(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let (iom, ministry, agreement) = (&programme.iom, &programme.ministry, programme.ministry_agreement.as_str());
    programme.person(RUBAVU, "H-1", 1980).await;
    programme.person(MUSANZE, "H-2", 1980).await;
    eventually("the ministry sees both", async || households(ministry, &programme).await == 2).await;

    let narrower = || vec![term(DataCategory::Registration, DisclosureLevel::Identified, &[MUSANZE], &[])];
    let proposed = amend(iom, agreement, narrower()).await.expect("IOM proposes");
    assert_eq!((proposed.revision, proposed.terms.len()), (1, 3));
    let amendment = proposed.amendment.expect("it waits");
    assert_eq!((amendment.revision, amendment.recipient_signed_on), (2, None));
    assert_eq!(reason(&sign(iom, agreement, 2).await.expect_err("IOM has signed it")), "ALREADY_SIGNED");
    // A newer proposal takes its place; what it says is what is signed, and nothing else.
    assert_eq!(amend(iom, agreement, narrower()).await.expect("IOM proposes anew").amendment.expect("it waits").revision, 3);
    assert_eq!(reason(&sign(ministry, agreement, 2).await.expect_err("that one is gone")), "NOT_THIS_REVISION");
    assert_eq!(reason(&sign(ministry, agreement, 0).await.expect_err("the first is signed")), "ALREADY_SIGNED");
    assert_eq!(households(ministry, &programme).await, 2, "what was agreed holds");

    let signed = sign(ministry, agreement, 3).await.expect("the ministry signs");
    assert_eq!((signed.revision, signed.state()), (3, tenancy::AgreementState::Active));
    assert!(signed.amendment.is_none());
    eventually("the ministry sees Musanze alone", async || households(ministry, &programme).await == 1).await;

    // Either may propose; the custodian's word is needed all the same.
    let wider = vec![term(DataCategory::Registration, DisclosureLevel::Identified, &[], &[])];
    amend(ministry, agreement, wider).await.expect("the ministry proposes");
    assert_eq!(households(ministry, &programme).await, 1);
    sign(iom, agreement, 4).await.expect("IOM signs");
    eventually("the ministry sees both again", async || households(ministry, &programme).await == 2).await;

    let trail = changes(iom, agreement).await.expect("the trail");
    let told: Vec<_> = trail.iter().map(|c| (c.action(), c.revision, c.revision_in_force, c.subject.as_str())).collect();
    use tenancy::AgreementAction::{AmendmentProposed, Proposed, Signed};
    assert_eq!(
        told,
        [
            (Proposed, 1, 0, "manager"),
            (Signed, 1, 1, ""),
            (AmendmentProposed, 2, 1, "manager"),
            (AmendmentProposed, 3, 1, "manager"),
            (Signed, 3, 3, ""),
            (AmendmentProposed, 4, 3, ""),
            (Signed, 4, 4, "manager"),
        ]
    );
    let theirs = changes(ministry, agreement).await.expect("the same trail");
    assert_eq!(theirs.iter().map(|c| &c.id).collect::<Vec<_>>(), trail.iter().map(|c| &c.id).collect::<Vec<_>>());
    assert_eq!(theirs[0].subject, "");
    assert_eq!(changes(&programme.japan, agreement).await.expect_err("no party of it").code(), Code::NotFound);
    assert_eq!(amend(&programme.japan, agreement, narrower()).await.expect_err("no party of it").code(), Code::NotFound);
}

pub async fn an_agreement_that_names_a_grant_shows_that_one_alone(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let first = programme.grant("JP-1", 1_000, BudgetKind::Livestock).await;
    let second = programme.grant("JP-2", 2_000, BudgetKind::Livestock).await;
    programme.instalment(&first, usd(1_000), on(2011, 2, 1)).await;
    programme.instalment(&second, usd(2_000), on(2011, 2, 1)).await;
    let japan = &programme.japan;
    let grants = async || {
        let answer = GrantServiceClient::new(japan.line()).list_grants(funding::ListGrantsRequest::default()).await;
        answer.map_or(vec![], |a| a.into_inner().grants.into_iter().map(|grant| grant.id).collect::<Vec<_>>())
    };
    let reported = async || {
        let request = insight::GetProgrammeReportRequest { programme_id: programme.id.clone(), ..Default::default() };
        let answer = ReportServiceClient::new(japan.line()).get_programme_report(request).await;
        let report = answer.ok().and_then(|a| a.into_inner().report).unwrap_or_default();
        report.grants.into_iter().map(|line| line.grant_id).collect::<Vec<_>>()
    };
    eventually("Japan sees both grants", async || grants().await.len() == 2 && reported().await.len() == 2).await;

    let request = tenancy::ListAgreementsRequest::default();
    let agreements = AgreementServiceClient::new(japan.line()).list_agreements(request).await.expect("a list");
    let agreement = agreements.into_inner().agreements.remove(0).id;
    let of = |category| term(category, DisclosureLevel::Aggregate, &[], &[&second]);
    let projects = term(DataCategory::Projects, DisclosureLevel::Aggregate, &[], &[&second]);
    let refused = amend(&programme.iom, &agreement, vec![projects]).await.expect_err("projects have no grants");
    assert_eq!(refused.get_details_bad_request().expect("details").field_violations[0].field, "terms[0].grants");
    let terms = vec![of(DataCategory::Funding), of(DataCategory::Reporting)];
    amend(&programme.iom, &agreement, terms).await.expect("IOM proposes");
    assert_eq!(grants().await.len(), 2);
    sign(japan, &agreement, 2).await.expect("Japan signs");
    let only = vec![second.clone()];
    eventually("Japan sees the second grant alone", async || grants().await == only && reported().await == only).await;
    let request = funding::GetGrantRequest { grant_id: first.clone() };
    let refused = GrantServiceClient::new(japan.line()).get_grant(request).await.expect_err("it is not shown");
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(programme.balances(&first).await[0], 1_000, "IOM sees its own");
}
