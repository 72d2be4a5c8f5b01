//! Whether a tranche is fit to go: each acceptance criterion with its check, asked of the services that know, on the
//! caller's behalf. What stands in the way is named.

use serde::{Deserialize, Serialize};
use tahuka_chassis::{Caller, Peer, Peers, Refusal, forward};
use tahuka_proto::assistance::v1 as assistance;
use tahuka_proto::assistance::v1::distribution_service_client::DistributionServiceClient;
use tahuka_proto::assistance::v1::plan_service_client::PlanServiceClient;
use tahuka_proto::funding::v1 as funding;
use tahuka_proto::funding::v1::reservation_service_client::ReservationServiceClient;
use tahuka_proto::projects::v1 as projects;
use tahuka_proto::projects::v1::project_service_client::ProjectServiceClient;

use super::Tranche;
use crate::agreement::rpc::parties;
use crate::agreement::{Acceptance, Agreement, Criterion};

/// Rows of a page.
const PAGE: i32 = 1000;
/// How many of what stands in the way are named.
const NAMED: usize = 10;

/// What the check of one criterion came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub criterion: String,
    pub waived: bool,
    pub reason: String,
    pub count: i64,
    pub first_ids: Vec<String>,
    pub finding: String,
}

impl Check {
    fn new(acceptance: &Acceptance, found: Found, what: &str) -> Self {
        let finding = match found.count {
            0 => format!("no {what}"),
            n => format!("{n} {what}"),
        };
        Check {
            criterion: acceptance.criterion.clone(),
            waived: acceptance.waived,
            reason: acceptance.reason.clone(),
            count: found.count,
            first_ids: found.first_ids,
            finding,
        }
    }

    pub fn met(&self) -> bool {
        self.count == 0
    }

    pub fn stands_in_the_way(&self) -> bool {
        !self.met() && !self.waived
    }
}

/// Refuses a tranche that is not ready, naming what stands in the way.
pub fn must_be_ready(checks: &[Check]) -> Result<(), Refusal> {
    let open: Vec<_> = checks.iter().filter(|check| check.stands_in_the_way()).collect();
    if open.is_empty() {
        return Ok(());
    }
    let findings: Vec<_> = open.iter().map(|check| format!("{}: {}", check.criterion, check.finding)).collect();
    Err(Refusal::precondition(
        "NOT_READY",
        format!("settle what stands in the way, or waive it in the agreement: {}", findings.join("; ")),
    ))
}

#[derive(Debug, Default)]
struct Found {
    count: i64,
    first_ids: Vec<String>,
}

impl Found {
    fn add(&mut self, id: &str) {
        self.count += 1;
        if self.first_ids.len() < NAMED {
            self.first_ids.push(id.to_owned());
        }
    }
}

/// Asks as `caller`, the sender.
struct Asking<'a> {
    caller: &'a Caller,
    tranche: &'a Tranche,
    sender: String,
    assistance: Peer,
    projects: Peer,
    funding: Peer,
}

pub async fn check(peers: &Peers, caller: &Caller, agreement: &Agreement, tranche: &Tranche) -> Result<Vec<Check>, Refusal> {
    let asking = Asking {
        caller,
        tranche,
        sender: tranche.sender_id.to_string(),
        assistance: peers.channel("assistance")?,
        projects: peers.channel("projects")?,
        funding: peers.channel("funding")?,
    };
    let mut checks = Vec::new();
    for acceptance in &agreement.criteria {
        let Some(criterion) = Criterion::parse(&acceptance.criterion) else { continue };
        let (found, what) = match criterion {
            Criterion::OpenCases => (asking.open_cases().await?, "plans or projects that are neither completed nor cancelled"),
            Criterion::OpenStock => (asking.open_stock().await?, "distributions that are not closed"),
            Criterion::UnreconciledMoney => {
                (asking.unreconciled_money().await?, "needs whose money is reserved or committed, not spent or given back")
            }
            Criterion::IncompleteDocuments => {
                (asking.incomplete_documents().await?, "deliveries without a proof, or projects without their people served")
            }
            Criterion::UnmatchedAgreements => {
                let told = parties(peers, caller, tranche.programme_id, tranche.recipient_id).await?;
                let mut found = Found::default();
                told.unmatched_ids.iter().for_each(|id| found.add(id));
                (found, "tenants whom the sender lets in and the recipient does not")
            }
        };
        checks.push(Check::new(acceptance, found, what));
    }
    Ok(checks)
}

impl Asking<'_> {
    /// The kinds that limit the tranche's households; one that stands for all where nothing does.
    fn kinds(&self) -> Vec<i32> {
        let kinds = &self.tranche.contents.package_kinds;
        if kinds.is_empty() {
            return vec![assistance::AssistanceKind::Unspecified.into()];
        }
        let number =
            |kind: &String| assistance::AssistanceKind::from_str_name(&format!("ASSISTANCE_KIND_{}", kind.to_uppercase()));
        kinds.iter().filter_map(number).map(i32::from).collect()
    }

    async fn open_cases(&self) -> Result<Found, Refusal> {
        use assistance::PlanState;
        let mut found = Found::default();
        for district in &self.tranche.contents.districts {
            for kind in self.kinds() {
                for state in
                    [PlanState::Submitted, PlanState::Funded, PlanState::Waiting, PlanState::Approved, PlanState::InProgress]
                {
                    self.plans(district, kind, state, &mut found).await?;
                }
            }
        }
        for project in self.projects().await? {
            if !matches!(project.state(), projects::ProjectState::Completed | projects::ProjectState::Cancelled) {
                found.add(&project.id);
            }
        }
        Ok(found)
    }

    async fn plans(&self, district: &str, kind: i32, state: assistance::PlanState, found: &mut Found) -> Result<(), Refusal> {
        let mut client = PlanServiceClient::new(self.assistance.clone());
        let mut request = assistance::ListPlansRequest {
            programme_id: self.tranche.programme_id.to_string(),
            page_size: PAGE,
            state: state.into(),
            kind,
            district: district.to_owned(),
            ..Default::default()
        };
        loop {
            let page = client.list_plans(forward(self.caller, request.clone())).await?.into_inner();
            page.plans.iter().filter(|plan| plan.custodian_id == self.sender).for_each(|plan| found.add(&plan.id));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                return Ok(());
            }
        }
    }

    async fn projects(&self) -> Result<Vec<projects::Project>, Refusal> {
        let mut client = ProjectServiceClient::new(self.projects.clone());
        let mut all = Vec::new();
        for id in &self.tranche.contents.project_ids {
            let request = projects::GetProjectRequest { project_id: id.to_string() };
            all.extend(client.get_project(forward(self.caller, request)).await?.into_inner().project);
        }
        Ok(all)
    }

    /// The sender's, in the tranche's districts.
    async fn distributions(&self) -> Result<Vec<assistance::Distribution>, Refusal> {
        let mut client = DistributionServiceClient::new(self.assistance.clone());
        let mut all = Vec::new();
        for district in &self.tranche.contents.districts {
            for kind in self.kinds() {
                let mut request = assistance::ListDistributionsRequest {
                    programme_id: self.tranche.programme_id.to_string(),
                    page_size: PAGE,
                    district: district.clone(),
                    kind,
                    ..Default::default()
                };
                loop {
                    let page = client.list_distributions(forward(self.caller, request.clone())).await?.into_inner();
                    all.extend(page.distributions.into_iter().filter(|one| one.custodian_id == self.sender));
                    request.page_token = page.next_page_token;
                    if request.page_token.is_empty() {
                        break;
                    }
                }
            }
        }
        Ok(all)
    }

    async fn open_stock(&self) -> Result<Found, Refusal> {
        let mut found = Found::default();
        let open = |one: &assistance::Distribution| one.state() != assistance::DistributionState::Closed;
        self.distributions().await?.iter().filter(|one| open(one)).for_each(|one| found.add(&one.id));
        Ok(found)
    }

    async fn unreconciled_money(&self) -> Result<Found, Refusal> {
        use funding::ReservationState;
        let contents = &self.tranche.contents;
        let (grants, projects): (Vec<_>, Vec<_>) = (
            contents.grant_ids.iter().map(ToString::to_string).collect(),
            contents.project_ids.iter().map(ToString::to_string).collect(),
        );
        let goes = |one: &funding::Reservation| {
            let of_district = one.need_kind() == funding::NeedKind::Plan && contents.districts.contains(&one.district);
            let of_project = projects.contains(&one.project_id) || projects.contains(&one.need_id);
            one.custodian_id == self.sender && (of_district || of_project || grants.contains(&one.grant_id))
        };
        let mut client = ReservationServiceClient::new(self.funding.clone());
        let mut found = Found::default();
        for state in [ReservationState::Reserved, ReservationState::Committed] {
            let mut request = funding::ListReservationsRequest { state: state.into(), page_size: PAGE, ..Default::default() };
            loop {
                let page = client.list_reservations(forward(self.caller, request.clone())).await?.into_inner();
                page.reservations.iter().filter(|one| goes(one)).for_each(|one| found.add(&one.id));
                request.page_token = page.next_page_token;
                if request.page_token.is_empty() {
                    break;
                }
            }
        }
        Ok(found)
    }

    async fn incomplete_documents(&self) -> Result<Found, Refusal> {
        let mut found = Found::default();
        let mut client = DistributionServiceClient::new(self.assistance.clone());
        for distribution in self.distributions().await? {
            let mut request = assistance::ListEntitlementsRequest {
                distribution_id: distribution.id,
                page_size: PAGE,
                state: assistance::EntitlementState::Delivered.into(),
                ..Default::default()
            };
            loop {
                let page = client.list_entitlements(forward(self.caller, request.clone())).await?.into_inner();
                let unproven = |one: &&assistance::Entitlement| {
                    one.proof_kind() == assistance::ProofKind::Unspecified || one.proof_reference.is_empty()
                };
                page.entitlements.iter().filter(unproven).for_each(|one| found.add(&one.id));
                request.page_token = page.next_page_token;
                if request.page_token.is_empty() {
                    break;
                }
            }
        }
        let mut client = ProjectServiceClient::new(self.projects.clone());
        for project in self.projects().await? {
            if project.state() != projects::ProjectState::Completed {
                continue;
            }
            let request =
                projects::ListPeopleServedRequest { project_id: project.id.clone(), page_size: 1, ..Default::default() };
            if client.list_people_served(forward(self.caller, request)).await?.into_inner().records.is_empty() {
                found.add(&project.id);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(criterion: &str, count: i64, waived: bool) -> Check {
        let acceptance = Acceptance { criterion: criterion.into(), waived, reason: String::new() };
        Check::new(&acceptance, Found { count, first_ids: Vec::new() }, "plans")
    }

    #[test]
    fn what_stands_in_the_way_is_named_and_what_is_waived_does_not() {
        assert!(must_be_ready(&[check("open_cases", 0, false), check("open_stock", 3, true)]).is_ok());
        let refused = must_be_ready(&[check("open_cases", 2, false), check("open_stock", 3, true)]).unwrap_err();
        assert!(refused.to_string().ends_with("open_cases: 2 plans"), "{refused}");
    }
}
