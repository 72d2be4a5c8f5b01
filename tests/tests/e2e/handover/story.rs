//! The stories: the whole way, the way back, and what is refused.

use tahuka_bag::SigningKey;
use tahuka_proto::assistance::v1 as assistance;
use tahuka_proto::handover::v1 as handover;
use tahuka_proto::registry::v1 as registry;
use tahuka_proto::registry::v1::household_service_client::HouseholdServiceClient;
use tahuka_tests::{Platform, Voice, new_request_id};
use tonic::{Code, Status};

use super::steps::{Handover, State, reason, sign_agreement, tranches};
use crate::programme::{MUSANZE, Programme, RUBAVU, on};
use crate::story::{AssistanceKind, BudgetKind, PlanState, eventually, usd};

pub async fn household(by: &Voice, id: &str) -> Result<registry::Household, Status> {
    let request = registry::GetHouseholdRequest { household_id: id.into() };
    Ok(HouseholdServiceClient::new(by.line()).get_household(request).await?.into_inner().household.expect("is told"))
}

/// A change that nobody minds: her household grows.
pub async fn grow(by: &Voice, id: &str) -> Result<registry::Household, Status> {
    let now = household(by, id).await?;
    let request = registry::UpdateHouseholdRequest {
        request_id: new_request_id(),
        household: Some(registry::Household { household_size: now.household_size + 1, ..now.clone() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["household_size".into()] }),
    };
    Ok(HouseholdServiceClient::new(by.line()).update_household(request).await?.into_inner().household.expect("is told"))
}

/// Everything: sealed, bundled, verified, signed by both, transferred, closed. Then the ministry works on, IOM sees what it
/// is left, and Japan sees no seam.
pub async fn a_tranche_goes_over_and_the_recipient_works_on(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let going = programme.person(MUSANZE, "H-1", 1980).await;
    let staying = programme.person(RUBAVU, "H-2", 1981).await;
    let (iom, ministry) = (&programme.iom, &programme.ministry);
    let h = Handover::agreed(&programme, &[]).await;
    let tranche = h.plan(&[MUSANZE]).await;
    h.sealed(&tranche).await;

    let bundled = h.bundled(&tranche).await;
    assert_eq!(bundled.slices.len(), 5);
    assert!(bundled.slices.iter().all(|slice| slice.sealed && slice.bundled && !slice.transferred));
    let files = h.fetch(ministry, &tranche).await.expect("the recipient reads the bag");
    let text = |path: &str| String::from_utf8(files.get(path).unwrap_or_else(|| panic!("no {path}")).clone()).expect("text");
    let households = text("data/registry/household.jsonl");
    assert!(households.contains(&going.household) && !households.contains(&staying.household));
    assert!(text("data/registry/individual.jsonl").contains(&going.individual));
    assert!(text("bagit.txt").starts_with("BagIt-Version: 1.0\n"));
    assert!(text("manifest-sha256.txt").contains("data/agreement.dsse.json"));

    let closed = h.handed_over(&tranche).await;
    assert!(closed.slices.iter().all(|slice| slice.transferred));
    let total = |name: &str| closed.totals.iter().find(|t| t.name == name && t.by.is_empty()).map(|t| t.value);
    assert_eq!(total("households"), Some(1));
    assert_eq!(total("individuals"), Some(1));

    // The recipient's own, and nobody's else.
    eventually("the ministry answers for her household", || async {
        household(ministry, &going.household).await.is_ok_and(|h| h.custodian_id == closed.recipient_id)
    })
    .await;
    eventually("and works on", || async { grow(ministry, &going.household).await.is_ok() }).await;
    assert_eq!(household(iom, &going.household).await.expect_err("IOM has let go").code(), Code::NotFound);
    assert_eq!(household(iom, &staying.household).await.expect("IOM keeps the other").custodian_id, closed.sender_id);
    assert!(grow(iom, &staying.household).await.is_ok());
    let changes = handover::ListTrancheChangesRequest { tranche_id: tranche.clone(), ..Default::default() };
    let changes = tranches(ministry).list_tranche_changes(changes).await.expect("the trail").into_inner().changes;
    let actions: Vec<_> = changes.iter().map(|c| c.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "planned",
            "seal_requested",
            "sealed",
            "bundle_requested",
            "bundled",
            "bundle_read",
            "verified",
            "signed",
            "signed",
            "transferred",
            "closed"
        ]
    );

    let certificate = h.certificate(ministry, &tranche).await.expect("a certificate");
    assert_eq!(certificate, h.certificate(iom, &tranche).await.expect("the same for both"));
    assert!(certificate.pdf.starts_with(b"%PDF-"));
    let json: serde_json::Value = serde_json::from_str(&certificate.json).expect("JSON");
    assert_eq!(json["manifest_sha256"], closed.manifest_sha256.as_str());
    assert_eq!(json["manifest"]["signatures"].as_array().map(Vec::len), Some(2));
    // A stranger to the agreement knows nothing of it.
    let told = h.certificate(&programme.japan, &tranche).await.expect_err("a donor is no party");
    assert!(matches!(told.code(), Code::NotFound | Code::PermissionDenied), "{told}");
}

/// What is sealed is refused, with the tranche's id; unsealed, it is written again; sealed anew, the next bundle counts.
pub async fn what_is_sealed_takes_no_writes_until_it_is_unsealed(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let going = programme.person(MUSANZE, "H-1", 1980).await;
    let staying = programme.person(RUBAVU, "H-2", 1981).await;
    let iom = &programme.iom;
    let h = Handover::agreed(&programme, &[]).await;
    let tranche = h.plan(&[MUSANZE]).await;
    assert!(grow(iom, &going.household).await.is_ok());
    h.sealed(&tranche).await;

    let refused = grow(iom, &going.household).await.expect_err("it is sealed");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "RECORD_SEALED"));
    let told = tonic_types::StatusExt::get_details_error_info(&refused).expect("a reason");
    assert_eq!(told.metadata.get("tranche_id").map(String::as_str), Some(tranche.as_str()));
    assert!(grow(iom, &staying.household).await.is_ok(), "what is not in the tranche goes on");

    h.bundled(&tranche).await;
    assert_eq!(reason(&h.unseal(&programme.ministry, &tranche).await.expect_err("the sender's step")), "SENDER_ONLY");
    h.unseal(iom, &tranche).await.expect("IOM unseals");
    let planned = h.until(&tranche, State::Planned).await;
    assert!(planned.manifest_sha256.is_empty() && planned.bundled_on.is_none());
    eventually("it is written again", || async { grow(iom, &going.household).await.is_ok() }).await;

    h.sealed(&tranche).await;
    assert_eq!(h.bundled(&tranche).await.bundle_number, 2);
    h.abort(&programme.ministry, &tranche).await.expect("either may give it up");
    h.until(&tranche, State::Aborted).await;
    eventually("it is written again", || async { grow(iom, &going.household).await.is_ok() }).await;
    assert_eq!(household(iom, &going.household).await.expect("IOM's still").custodian_id, planned.sender_id);
    assert_eq!(reason(&h.seal(iom, &tranche).await.expect_err("it is over")), "TRANCHE_OVER");
}

/// Nobody takes another's step, nor one before its time, nor signs with a key that the agreement does not name.
pub async fn each_step_has_its_time_its_party_and_its_key(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    programme.person(MUSANZE, "H-1", 1980).await;
    let (iom, ministry) = (&programme.iom, &programme.ministry);
    let h = Handover::agreed(&programme, &[]).await;
    let refused = h.try_plan(ministry, &[MUSANZE]).await.expect_err("the sender plans");
    assert_eq!(reason(&refused), "SENDER_ONLY");
    let tranche = h.plan(&[MUSANZE]).await;
    assert_eq!(reason(&h.bundle(iom, &tranche).await.expect_err("not sealed yet")), "NOT_NOW");
    assert_eq!(reason(&h.seal(ministry, &tranche).await.expect_err("the sender seals")), "SENDER_ONLY");
    h.sealed(&tranche).await;

    let other = h.plan(&[MUSANZE, RUBAVU]).await;
    assert_eq!(reason(&h.seal(iom, &other).await.expect_err("they share Musanze")), "TRANCHES_OVERLAP");

    h.bundled(&tranche).await;
    assert_eq!(reason(&h.verify(iom, &tranche, true).await.expect_err("the recipient verifies")), "RECIPIENT_ONLY");
    let refused = h.sign(iom, &tranche, &h.sender_key).await.expect_err("it is not verified");
    assert_eq!(reason(&refused), "NOT_NOW");
    let still = h.verify(ministry, &tranche, false).await.expect("the ministry says what is wrong");
    assert_eq!(still.state(), State::Bundled);
    h.verify(ministry, &tranche, true).await.expect("now it is right");

    let stranger = SigningKey::from_seed(&[9; 32]);
    for (by, key, wanted) in [
        (ministry, &h.recipient_key, "SENDER_FIRST"),
        (iom, &stranger, "KEY_NOT_IN_AGREEMENT"),
        (iom, &h.recipient_key, "KEY_NOT_IN_AGREEMENT"),
    ] {
        assert_eq!(reason(&h.sign(by, &tranche, key).await.expect_err("this key does not sign here")), wanted);
    }
    // The right key's id with another key's signature.
    let found = h.get(&tranche).await;
    let (_, forged) = super::steps::signature(&found.envelope, &stranger);
    let request = handover::SignTrancheRequest {
        request_id: new_request_id(),
        tranche_id: tranche.clone(),
        manifest_sha256: found.manifest_sha256.clone(),
        key_id: h.sender_key.id().0,
        signature: forged,
        signed_on: on(2011, 6, 5),
    };
    assert_eq!(reason(&tranches(iom).sign_tranche(request.clone()).await.expect_err("forged")), "SIGNATURE_INVALID");
    let request = handover::SignTrancheRequest { request_id: new_request_id(), manifest_sha256: "0".repeat(64), ..request };
    assert_eq!(reason(&tranches(iom).sign_tranche(request).await.expect_err("another manifest")), "OTHER_MANIFEST");

    h.sign(iom, &tranche, &h.sender_key).await.expect("IOM signs");
    assert_eq!(reason(&h.sign(iom, &tranche, &h.sender_key).await.expect_err("twice")), "ALREADY_SIGNED");
    h.sign(ministry, &tranche, &h.recipient_key).await.expect("the ministry countersigns");
    let refused = h.abort(iom, &tranche).await.expect_err("both have signed");
    assert!(["BOTH_HAVE_SIGNED", "TRANCHE_OVER"].contains(&reason(&refused).as_str()), "{refused}");
    h.until(&tranche, State::Closed).await;
    let again = sign_agreement(iom, &h.agreement, &h.sender_key).await.expect_err("it is in force");
    assert_eq!(reason(&again), "ALREADY_SIGNED");
}

/// What stands in the way is named, and a tranche is not sealed before it is settled or waived.
pub async fn what_stands_in_the_way_is_named(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let person = programme.person(MUSANZE, "H-1", 1980).await;
    let package = programme.package(AssistanceKind::Livestock, "goats", 230).await;
    let grant = programme.grant("JPN-2011", 1_000, BudgetKind::Livestock).await;
    programme.instalment(&grant, usd(1_000), on(2011, 1, 15)).await;
    let plan = programme.submit(&person, &package).await.expect("a plan");
    programme.until_plan(&plan.id, PlanState::Funded).await;

    let h = Handover::agreed(&programme, &[]).await;
    let tranche = h.plan(&[MUSANZE]).await;
    let request = handover::GetReadinessRequest { tranche_id: tranche.clone() };
    let readiness = tranches(&programme.iom).get_readiness(request).await.expect("readiness").into_inner();
    assert!(!readiness.ready);
    let check = |criterion| readiness.checks.iter().find(|c| c.criterion() == criterion).expect("each criterion");
    use handover::Criterion;
    assert_eq!(check(Criterion::OpenCases).first_ids, std::slice::from_ref(&plan.id));
    assert_eq!((check(Criterion::UnreconciledMoney).met, check(Criterion::UnreconciledMoney).count), (false, 1));
    for met in [Criterion::OpenStock, Criterion::IncompleteDocuments, Criterion::UnmatchedAgreements] {
        assert!(check(met).met, "{met:?}: {}", check(met).finding);
    }
    assert_eq!(reason(&h.seal(&programme.iom, &tranche).await.expect_err("a case is open")), "NOT_READY");

    let request = assistance::CancelPlanRequest {
        request_id: new_request_id(),
        plan_id: plan.id.clone(),
        etag: programme.plan(&plan.id).await.etag,
        reason: "she moved".into(),
        cancelled_on: on(2011, 3, 1),
    };
    let mut plans = assistance::plan_service_client::PlanServiceClient::new(programme.iom.line());
    plans.cancel_plan(request).await.expect("it is cancelled");
    programme.until_balances(&grant, [1_000, 1_000, 0, 0, 0]).await;
    h.sealed(&tranche).await;
}
