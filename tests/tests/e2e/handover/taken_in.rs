//! The ministry's own installation: the bag is taken in there, and both tell the same figures of the tranche.

use std::process::Output;

use tahuka_proto::handover::v1::Criterion;
use tahuka_proto::insight::v1::report_service_client::ReportServiceClient;
use tahuka_proto::insight::v1::{GetTrancheFiguresRequest, GetTrancheFiguresResponse};
use tahuka_proto::tenancy::v1::TenantKind;
use tahuka_tests::{Form, Platform, Voice};
use tonic::Status;

use super::steps::Handover;
use super::story::{grow, household};
use crate::programme::{MUSANZE, Programme, RUBAVU, on, tenant};
use crate::story::{AssistanceKind, BudgetKind, PlanState, eventually, usd};

async fn figures(by: &Voice, programme: &str, tranche: &str) -> Result<GetTrancheFiguresResponse, Status> {
    let request = GetTrancheFiguresRequest { programme_id: programme.into(), tranche_id: tranche.into() };
    Ok(ReportServiceClient::new(by.line()).get_tranche_figures(request).await?.into_inner())
}

fn told(output: &Output) -> serde_json::Value {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"))
}

/// A tranche with people, a plan and its money goes over, and then into a platform that has never heard of it.
pub async fn a_bag_is_taken_into_another_installation(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let going = programme.person(MUSANZE, "H-1", 1980).await;
    programme.person(RUBAVU, "H-2", 1981).await;
    let package = programme.package(AssistanceKind::Livestock, "goats", 230).await;
    let grant = programme.grant("JPN-2011", 1_000, BudgetKind::Livestock).await;
    programme.instalment(&grant, usd(1_000), on(2011, 1, 15)).await;
    let plan = programme.submit(&going, &package).await.expect("a plan");
    programme.until_plan(&plan.id, PlanState::Funded).await;
    programme.approve(&plan.id).await;
    programme.until_balances(&grant, [1_000, 770, 0, 230, 0]).await;

    let waived = [Criterion::OpenCases, Criterion::UnreconciledMoney, Criterion::OpenStock, Criterion::IncompleteDocuments];
    let h = Handover::agreed(&programme, &waived).await;
    let tranche = h.plan(&[MUSANZE]).await;
    h.sealed(&tranche).await;
    h.bundled(&tranche).await;
    h.handed_over(&tranche).await;
    let bag = tempfile::TempDir::new().expect("a folder");
    for (path, content) in h.fetch(&programme.ministry, &tranche).await.expect("the bag") {
        let file = bag.path().join(path);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("it is made");
        std::fs::write(file, content).expect("it is written");
    }
    let there = figures(&programme.ministry, &programme.id, &tranche).await.expect("the recipient's figures");
    assert!(!there.figures.is_empty());

    let own = Platform::start(Form::Embedded).await.expect("another platform");
    let ministry = tenant(&own, "midimar", TenantKind::Ministry, &[("manager", "programme_manager", "")]).await;
    let bag = bag.path().to_str().expect("a path");
    let import = ["handover", "import", bag, "--custodian", &ministry, "--json"];
    let first = told(&own.command(&import));
    assert!(first["added"].as_u64() > Some(0), "{first}");
    let again = told(&own.command(&import));
    assert_eq!((again["added"].as_u64(), again["passed"].as_u64()), (Some(0), Some(0)), "{again}");

    let manager = own.as_("midimar", "manager").await;
    eventually("both installations tell the same figures", || async {
        figures(&manager, &programme.id, &tranche).await.is_ok_and(|here| here == there)
    })
    .await;
    assert_eq!(household(&manager, &going.household).await.expect("she is here").custodian_id, ministry);
    grow(&manager, &going.household).await.expect("and the ministry works on");

    // One byte that is another, and nothing is taken in.
    let file = std::path::Path::new(bag).join("data/registry/household.jsonl");
    let mut content = std::fs::read(&file).expect("the households");
    content[20] ^= 1;
    std::fs::write(&file, content).expect("it is written");
    let refused = own.command(&import);
    assert!(!refused.status.success());
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(why.contains("nothing is imported") && why.contains("household.jsonl"), "{why}");
}
