//! The saga of money: from what somebody needs to what was spent on it, across services.

use tahuka_proto::assistance::v1 as assistance;
use tahuka_proto::assistance::v1::distribution_service_client::DistributionServiceClient;
use tahuka_proto::assistance::v1::plan_service_client::PlanServiceClient;
use tahuka_proto::funding::v1 as funding;
use tahuka_proto::funding::v1::appeal_service_client::AppealServiceClient;
use tahuka_proto::funding::v1::exchange_rate_service_client::ExchangeRateServiceClient;
use tahuka_proto::funding::v1::grant_service_client::GrantServiceClient;
use tahuka_proto::funding::v1::ledger_service_client::LedgerServiceClient;
use tahuka_proto::google::r#type::Money;
use tahuka_proto::registry::v1 as registry;
use tahuka_proto::registry::v1::vulnerability_service_client::VulnerabilityServiceClient;
use tahuka_tests::{Platform, new_request_id};
use tonic::Code;
use tonic_types::StatusExt;

use crate::programme::{Programme, RUBAVU, on};
use crate::story::{AssistanceKind, BudgetKind, Person, PlanState, usd};

pub async fn a_plan_is_funded_approved_delivered_and_spent(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let goats = programme.package(AssistanceKind::Livestock, "goats", 180).await;
    let grant = programme.grant("JP-I", 1000, BudgetKind::Livestock).await;
    programme.instalment(&grant, usd(1000), on(2011, 1, 15)).await;
    let person = programme.person(RUBAVU, "H-1", 1980).await;

    let plan = programme.submit(&person, &goats).await.expect("a plan is submitted");
    let plan = programme.until_plan(&plan.id, PlanState::Funded).await;
    assert_eq!(plan.grant_id, grant);
    assert_eq!(programme.balances(&grant).await, [1000, 820, 180, 0, 0]);

    programme.approve(&plan.id).await;
    programme.until_balances(&grant, [1000, 820, 0, 180, 0]).await;

    let mut distributions = DistributionServiceClient::new(programme.iom.line());
    let request = assistance::CreateDistributionRequest {
        request_id: new_request_id(),
        programme_id: programme.id.clone(),
        place: RUBAVU.into(),
        kind: AssistanceKind::Livestock.into(),
        name: "Goats, Gisenyi".into(),
        planned_on: on(2011, 4, 1),
        plan_ids: vec![plan.id.clone()],
    };
    let list = distributions.create_distribution(request).await.expect("a list").into_inner().distribution.expect("is told");
    let delivery = assistance::NewDelivery {
        plan_id: plan.id.clone(),
        proof_kind: assistance::ProofKind::Signature.into(),
        proof_reference: "list 1, line 1".into(),
        delivered_on: on(2011, 4, 2),
    };
    let request = |request_id: String| assistance::RecordDeliveriesRequest {
        request_id,
        distribution_id: list.id.clone(),
        deliveries: vec![delivery.clone()],
    };
    let id = new_request_id();
    distributions.record_deliveries(request(id.clone())).await.expect("she has her goats");
    distributions.record_deliveries(request(id)).await.expect("the same request has the same answer");
    let refused = distributions.record_deliveries(request(new_request_id())).await.expect_err("nothing is handed out twice");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(refused.get_details_error_info().expect("a reason").reason, "ALREADY_DELIVERED");

    assert_eq!(programme.plan(&plan.id).await.state(), PlanState::Completed);
    programme.until_balances(&grant, [1000, 820, 0, 0, 180]).await;
    // Double entry: whatever happened, each currency adds up to nought.
    let request = funding::ListBalancesRequest { grant_id: grant.clone() };
    let balances = LedgerServiceClient::new(programme.iom.line()).list_balances(request).await.expect("the ledger");
    let sum: i64 = balances.into_inner().balances.iter().filter_map(|b| b.balance.as_ref()).map(|m| m.units).sum();
    assert_eq!(sum, 0);
}

pub async fn what_no_grant_covers_waits_and_is_served_by_vulnerability(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let roof = programme.package(AssistanceKind::Shelter, "roofing_set", 500).await;
    let mut people = Vec::new();
    for number in ["H-1", "H-2", "H-3"] {
        people.push(programme.person(RUBAVU, number, 1980).await);
    }
    let mut vulnerability = VulnerabilityServiceClient::new(programme.iom.line());
    let criteria = [("single_parent", 60), ("no_shelter", 40)]
        .map(|(code, weight)| registry::Criterion { code: code.into(), weight, label: code.into() })
        .to_vec();
    let request = registry::CreateCriteriaSetRequest {
        request_id: new_request_id(),
        programme_id: programme.id.clone(),
        name: "2011".into(),
        effective_on: on(2011, 1, 1),
        criteria,
        band_floors: vec![20, 40, 60, 80],
    };
    vulnerability.create_criteria_set(request).await.expect("criteria");
    let request = registry::AssessVulnerabilityRequest {
        request_id: new_request_id(),
        household_id: people[2].household.clone(),
        criteria_met: vec!["single_parent".into(), "no_shelter".into()],
        assessed_on: on(2011, 1, 20),
    };
    vulnerability.assess_vulnerability(request).await.expect("the third household is the most vulnerable");

    let mut plans = Vec::new();
    for person in &people {
        let plan = programme.submit(person, &roof).await.expect("a plan");
        plans.push(programme.until_plan(&plan.id, PlanState::Waiting).await.id);
    }
    assert_eq!(appeal(&programme).await, (3, 1500));

    let grant = programme.grant("JP-I", 1000, BudgetKind::Shelter).await;
    assert_eq!(programme.instalment(&grant, usd(600), on(2011, 3, 1)).await, 1);
    let first = programme.until_plan(&plans[2], PlanState::Funded).await;
    assert_eq!(first.funded_on, on(2011, 3, 1));
    assert_eq!(programme.plan(&plans[0]).await.state(), PlanState::Waiting);
    assert_eq!(appeal(&programme).await, (2, 1000));

    assert_eq!(programme.instalment(&grant, usd(400), on(2011, 4, 1)).await, 1);
    programme.until_plan(&plans[0], PlanState::Funded).await;
    assert_eq!(programme.plan(&plans[1]).await.state(), PlanState::Waiting);
}

/// Open needs, and what they come to in whole dollars.
async fn appeal(programme: &Programme) -> (i64, i64) {
    let request = funding::GetAppealRequest { programme_id: programme.id.clone() };
    let answer = AppealServiceClient::new(programme.iom.line()).get_appeal(request).await.expect("the appeal");
    let totals = answer.into_inner().appeal.expect("is told").totals;
    totals.first().map_or((0, 0), |t| (t.open_needs, t.needed.as_ref().map_or(0, |m| m.units)))
}

pub async fn a_cancelled_plan_gives_its_money_back(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let goats = programme.package(AssistanceKind::Livestock, "goats", 180).await;
    let grant = programme.grant("JP-I", 1000, BudgetKind::Livestock).await;
    programme.instalment(&grant, usd(200), on(2011, 1, 15)).await;
    let (one, other) = (programme.person(RUBAVU, "H-1", 1980).await, programme.person(RUBAVU, "H-2", 1990).await);
    let plan = programme.submit(&one, &goats).await.expect("a plan");
    let plan = programme.until_plan(&plan.id, PlanState::Funded).await;

    let mut plans = PlanServiceClient::new(programme.iom.line());
    let request = assistance::CancelPlanRequest {
        request_id: new_request_id(),
        plan_id: plan.id.clone(),
        etag: plan.etag.clone(),
        cancelled_on: on(2011, 2, 20),
        reason: "moved to another country".into(),
    };
    plans.cancel_plan(request.clone()).await.expect("it is cancelled");
    programme.until_balances(&grant, [200, 200, 0, 0, 0]).await;
    let stale = assistance::CancelPlanRequest { request_id: new_request_id(), ..request };
    let refused = plans.cancel_plan(stale).await.expect_err("once");
    assert!(matches!(refused.code(), Code::Aborted | Code::FailedPrecondition), "{refused:?}");

    let plan = programme.submit(&other, &goats).await.expect("a plan");
    programme.until_plan(&plan.id, PlanState::Funded).await;
}

pub async fn yen_are_credited_at_the_rate_of_their_day(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let grant = programme.grant("JP-I", 1_000_000, BudgetKind::Livestock).await;
    let mut rates = ExchangeRateServiceClient::new(programme.iom.line());
    for (rate, valid_on) in [("0.0120", on(2011, 1, 1)), ("0.0125", on(2011, 3, 1))] {
        let request = funding::CreateExchangeRateRequest {
            request_id: new_request_id(),
            base: "JPY".into(),
            quote: "USD".into(),
            rate: rate.into(),
            valid_on,
            source: "monthly average".into(),
        };
        rates.create_exchange_rate(request).await.expect("a rate");
    }
    let yen = |units| Some(Money { currency_code: "JPY".into(), units, nanos: 0 });
    programme.instalment(&grant, yen(1_000_000), on(2011, 2, 28)).await;
    assert_eq!(programme.balances(&grant).await[..2], [12_000, 12_000]);
    programme.instalment(&grant, yen(1_000_000), on(2011, 3, 1)).await;
    assert_eq!(programme.balances(&grant).await[..2], [24_500, 24_500]);

    let request = funding::RecordInstalmentRequest {
        request_id: new_request_id(),
        grant_id: grant,
        received: Some(Money { currency_code: "JPY".into(), units: 5, nanos: 500_000_000 }),
        received_on: on(2011, 3, 2),
    };
    let refused = GrantServiceClient::new(programme.iom.line()).record_instalment(request).await.expect_err("half a yen");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.get_details_bad_request().expect("details").field_violations[0].field, "received.nanos");
}

pub async fn who_does_not_consent_gets_no_plan(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let goats = programme.package(AssistanceKind::Livestock, "goats", 180).await;
    let person = programme.person(RUBAVU, "H-1", 1980).await;
    let request = registry::ListConsentsRequest { individual_id: person.individual.clone(), ..Default::default() };
    let mut consents = registry::consent_service_client::ConsentServiceClient::new(programme.iom.line());
    let consent = consents.list_consents(request).await.expect("consents").into_inner().consents.remove(0);
    let request = registry::WithdrawConsentRequest {
        request_id: new_request_id(),
        consent_id: consent.id,
        etag: consent.etag,
        withdrawn_on: on(2011, 1, 20),
    };
    consents.withdraw_consent(request).await.expect("she withdraws it");

    let refused = programme.submit(&person, &goats).await.expect_err("no consent, no plan");
    assert_eq!(refused.get_details_error_info().expect("a reason").reason, "NO_CONSENT");
    let stranger = Person { individual: new_request_id(), ..person };
    let refused = programme.submit(&stranger, &goats).await.expect_err("a person of no household");
    assert!(matches!(refused.code(), Code::NotFound | Code::InvalidArgument), "{refused:?}");
}
