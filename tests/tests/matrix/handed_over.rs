//! After everything that a custodian has of households, projects and grants has gone over to a ministry: every RPC that
//! reads, as the sender, the recipient and the donor. The recipient reads what the sender read; the sender and the donor are
//! told of nobody.

use std::collections::{BTreeMap, HashSet};

use serde_json::json;
use tahuka_chassis::passport::Bearer;
use tahuka_chassis::{ScopeEntry, TenantKind};
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::funding::v1::NeedKind;
use tonic::Code;
use uuid::Uuid;

use crate::bearers::{custody, manager};
use crate::cells::ids_in;
use crate::home::{Answer, Rpc};
use crate::seed::{MUSANZE, RUBAVU};
use crate::speaker::text;
use crate::told;
use crate::world::World;

#[derive(Debug, Default)]
pub struct Score {
    pub cells: usize,
    pub kept: usize,
    pub leaks: Vec<String>,
    /// Reads by which the recipient is not told what the sender was.
    pub lost: Vec<String>,
}

/// Whom the agreements let in where, after the transfer.
fn seen(custodians: &[Uuid], categories: &[DataCategory], level: DisclosureLevel) -> Vec<ScopeEntry> {
    let entry = |custodian: Uuid, category: DataCategory| ScopeEntry {
        category: category.into(),
        level: level.into(),
        custodian,
        ..Default::default()
    };
    custodians.iter().flat_map(|c| categories.iter().map(|category| entry(*c, *category))).collect()
}

/// Of records that stay with the sender, or that are everybody's own: they are not part of what went over.
const STAYS: [&str; 13] = [
    "tenancy.",
    "handover.",
    "CampaignService",
    "CatalogueService",
    "DonorService",
    "ExchangeRateService",
    "PublishedFigureService",
    "ImportService",
    "AccessLogService",
    "VulnerabilityService/GetCriteriaSet",
    "VulnerabilityService/ListCriteriaSets",
    "AppealService",
    "ReportService/GetTrancheFigures",
];

pub async fn run(world: &mut World) -> Score {
    let reads: Vec<Rpc> = world.rpcs.iter().filter(|rpc| !rpc.rule.write).cloned().collect();
    world.learn(&reads).await;
    let (sender, recipient) = (world.first.tenant, world.tenants.ministry);
    let before = read(world, &reads, &manager(sender, TenantKind::Operator)).await;

    let programme = world.first.known.ids["programme"][0].clone();
    let contents = json!({
        "districts": [MUSANZE, RUBAVU], "project_ids": world.first.known.ids["project"], "grant_ids": world.first.known.ids["grant"],
    });
    world.first.hand_over_all(&world.home, &programme, recipient, contents).await;
    world.home.settle().await;

    use DataCategory::{Funding, Projects, Reporting};
    let own = |tenant: Uuid, kind: TenantKind, more: Vec<ScopeEntry>| {
        let scope = custody(tenant).into_iter().chain(more).collect();
        Bearer { scope, ..manager(tenant, kind) }
    };
    let left = seen(&[recipient], &[Reporting], DisclosureLevel::Aggregate);
    let donors = seen(&[sender, recipient], &[Funding, Projects, Reporting], DisclosureLevel::Aggregate);
    let mut score = Score::default();
    for (who, bearer) in [
        ("the sender", own(sender, TenantKind::Operator, left)),
        ("the donor", Bearer { scope: donors, ..manager(world.tenants.donor, TenantKind::Donor) }),
    ] {
        for (path, answer) in read(world, &reads, &bearer).await {
            score.cells += 1;
            score.leaks.extend(leaks(world, &path, &answer).into_iter().map(|leak| format!("{path} as {who}: {leak}")));
        }
    }
    let after = read(world, &reads, &own(recipient, TenantKind::Ministry, Vec::new())).await;
    for (path, answer) in &after {
        score.cells += 1;
        if STAYS.iter().any(|stays| path.contains(stays)) {
            continue;
        }
        let campaigns = of_campaigns(&before[path]);
        let wanted: HashSet<_> = ids_of(world, &before[path]).into_iter().filter(|id| !campaigns.contains(id)).collect();
        let told = ids_in(&String::from_utf8_lossy(&answer.everything()));
        let missing: Vec<_> = wanted.difference(&told).collect();
        match (answer.code(), missing.is_empty()) {
            (Code::Ok, true) => score.kept += 1,
            (code, _) => score.lost.push(format!("{path}: {code:?}, {} of {} ids are missing", missing.len(), wanted.len())),
        }
    }
    score
}

async fn read(world: &World, reads: &[Rpc], bearer: &Bearer) -> BTreeMap<String, Answer> {
    let passport = world.home.passport(bearer);
    let mut answers = BTreeMap::new();
    for rpc in reads.iter().filter(|rpc| !rpc.path.contains("TenantService") && !rpc.path.contains("IdentityService")) {
        let request = world.templates[&rpc.path].fresh();
        answers.insert(rpc.path.clone(), world.home.call(rpc, request, Some(&passport)).await);
    }
    answers
}

/// The ids of people and of records about one person in the answer.
fn ids_of(world: &World, answer: &Answer) -> HashSet<String> {
    let text = String::from_utf8_lossy(&answer.everything()).into_owned();
    ids_in(&text).into_iter().filter(|id| world.first.known.subjects.contains(id)).collect()
}

/// What tells of somebody who has gone over.
fn leaks(world: &World, path: &str, answer: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    if path.contains("handover.v1.TrancheService/ReadBundle") {
        // What a party has signed it may read again.
        return found;
    }
    if path.contains("StaffService") {
        // Its own staff stays.
        return found;
    }
    let campaigns = of_campaigns(answer);
    let ids = ids_of(world, answer).into_iter().filter(|id| !campaigns.contains(id));
    found.extend(ids.map(|id| format!("the id of somebody: {id}")));
    for message in &answer.messages {
        told::each(message, &mut |told| {
            if let prost_reflect::Value::String(text) = told.value
                && world.first.known.private.contains(text)
            {
                found.push(format!("{}: {text}", told.field.full_name()));
            }
        });
    }
    found
}

/// The reservations of campaigns, which stay with the sender.
fn of_campaigns(answer: &Answer) -> HashSet<String> {
    let mut ids = HashSet::new();
    for message in &answer.messages {
        let Some(list) = message.get_field_by_name("reservations") else { continue };
        for reservation in list.as_list().into_iter().flatten().filter_map(prost_reflect::Value::as_message) {
            let kind = reservation.get_field_by_name("need_kind").and_then(|kind| kind.as_enum_number());
            if kind == Some(NeedKind::Campaign.into()) {
                ids.insert(text(reservation, "id"));
            }
        }
    }
    ids
}
