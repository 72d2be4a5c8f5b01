//! Packages and plans, from the draft to the money.

use tonic::Code;

use super::*;

fn create(plan: NewPlan) -> CreatePlanRequest {
    CreatePlanRequest {
        request_id: request_id(),
        household_id: plan.household_id,
        individual_id: plan.individual_id,
        package_id: plan.package_id,
        drafted_on: plan.drafted_on,
        submitted_on: plan.submitted_on,
    }
}

pub async fn a_code_is_used_once_and_a_retired_package_makes_no_plans(house: Assistance) {
    let request = house.new_package(AssistanceKind::Livestock, "goats");
    let first = house.catalogue().create_package(asked(&house.operator, request.clone())).await.unwrap().into_inner();
    let again = house.catalogue().create_package(asked(&house.operator, request.clone())).await.unwrap().into_inner();
    assert_eq!(first, again);
    let taken = CreatePackageRequest { request_id: request_id(), ..request };
    let refused = house.catalogue().create_package(asked(&house.operator, taken)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::AlreadyExists, "PACKAGE_CODE_TAKEN".into()));

    let goats = first.package.unwrap();
    assert_eq!(goats.unit_cost.as_ref().map(|m| (m.units, m.nanos)), Some((350, 500_000_000)));
    let retire = RetirePackageRequest { request_id: request_id(), package_id: goats.id.clone(), etag: goats.etag.clone() };
    let retired = house.catalogue().retire_package(asked(&house.operator, retire)).await.unwrap().into_inner();
    assert!(retired.package.unwrap().retired);
    let plan = house.new_plan(&house.registry.person(RUBAVU), &goats);
    assert_eq!(reason(&house.create_plans(vec![plan]).await.unwrap_err()), "PACKAGE_RETIRED");

    // A partner of one district sees the catalogue, and changes nothing of it.
    let partner = house.guest(DisclosureLevel::Aggregate, &[RUBAVU], true);
    let list = ListPackagesRequest { kind: AssistanceKind::Livestock.into(), ..Default::default() };
    let seen = house.catalogue().list_packages(asked(&partner, list)).await.unwrap().into_inner().packages;
    assert_eq!((seen.len(), seen[0].items.len(), seen[0].code.as_str()), (1, 1, goats.code.as_str()));
    let retire = RetirePackageRequest { request_id: request_id(), package_id: goats.id, etag: "2".into() };
    let refused = house.catalogue().retire_package(asked(&partner, retire)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

pub async fn a_draft_is_submitted_funded_and_approved(house: Assistance) {
    let package = house.package(AssistanceKind::Shelter, "roofing").await;
    let person = house.registry.person(RUBAVU);
    let draft = create(NewPlan { submitted_on: None, ..house.new_plan(&person, &package) });
    let plan = house.plans().create_plan(asked(&house.operator, draft)).await.unwrap().into_inner().plan.unwrap();
    assert_eq!(plan.state(), PlanState::Draft);
    assert_eq!((plan.sex.as_str(), plan.age_band.as_str(), plan.category.as_str()), ("female", "25-59", "returnee"));
    assert_eq!((plan.priority_band, plan.district.as_str(), plan.item.as_str()), (4, RUBAVU, "roofing"));
    assert!(house.told::<PlanSubmitted>().await.is_empty());

    let submit = |etag: &str, day| SubmitPlanRequest {
        request_id: request_id(),
        plan_id: plan.id.clone(),
        etag: etag.into(),
        submitted_on: date(2012, day, 1),
    };
    let early = house.plans().submit_plan(asked(&house.operator, submit("1", 4))).await.unwrap_err();
    assert_eq!(field(&early), "submitted_on");
    let stale = house.plans().submit_plan(asked(&house.operator, submit("9", 5))).await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted);
    house.plans().submit_plan(asked(&house.operator, submit("1", 5))).await.unwrap();
    let submitted = house.told::<PlanSubmitted>().await.remove(0);
    assert_eq!((submitted.plan_id.as_str(), submitted.kind.as_str()), (plan.id.as_str(), "shelter"));
    assert_eq!((submitted.priority_band, submitted.cost.clone()), (4, package.unit_cost.clone()));
    assert_eq!((submitted.happened_on, submitted.individual_id), (date(2012, 5, 1), person.individual_id.to_string()));

    house.fund(&plan).await;
    let funded = house.plan(&plan).await;
    assert_eq!((funded.state(), funded.grant_id.as_str()), (PlanState::Funded, GRANT.to_string().as_str()));
    assert_eq!((funded.funded_on, funded.etag.as_str()), (date(2012, 5, 3), "3"));
    let approve = ApprovePlanRequest {
        request_id: request_id(),
        plan_id: plan.id.clone(),
        etag: "3".into(),
        approved_on: date(2012, 5, 10),
    };
    let approved = house.plans().approve_plan(asked(&house.operator, approve.clone())).await.unwrap().into_inner();
    let again = house.plans().approve_plan(asked(&house.operator, approve)).await.unwrap().into_inner();
    assert_eq!(approved, again);
    let told = house.told::<PlanApproved>().await;
    assert_eq!((told.len(), told[0].grant_id.as_str()), (1, GRANT.to_string().as_str()));
}

pub async fn what_waits_is_funded_later_and_a_late_answer_changes_nothing(house: Assistance) {
    let package = house.package(AssistanceKind::StartupCapital, "kiosk").await;
    let [first, second]: [Plan; 2] = house.submitted(&package, RUBAVU, 2).await.try_into().unwrap();
    house.refuse_funds(&first).await;
    assert_eq!(house.state(&first).await, PlanState::Waiting);
    house.fund(&second).await;
    let refused = house.approve(&[second.clone(), first.clone()]).await.unwrap_err();
    assert_eq!(reason(&refused), "PLAN_NOT_FUNDED");
    assert!(refused.message().starts_with("plan_ids[1]"), "{}", refused.message());
    assert_eq!(house.state(&second).await, PlanState::Funded, "all of them or none");

    house.fund(&first).await;
    house.refuse_funds(&first).await;
    assert_eq!(house.state(&first).await, PlanState::Funded);
    house.approve(&[second.clone(), first.clone()]).await.unwrap();

    let late = house.submitted(&package, RUBAVU, 1).await.remove(0);
    let cancelled = house.cancel(&late).await.unwrap();
    assert_eq!(cancelled.cancellation_reason, "went back to Goma");
    house.fund(&late).await;
    assert_eq!(house.plan(&late).await, cancelled);
    assert_eq!(house.told::<PlanCancelled>().await.len(), 1);
    // Of a plan that nobody knows, and of a project.
    house.fund(&Plan { id: ids::new_id().to_string(), ..late.clone() }).await;
    house.hear(&FundsReserved { need_id: "P-1".into(), need_kind: "project".into(), ..Default::default() }).await;
}

pub async fn a_batch_is_refused_whole_and_tells_which_element(house: Assistance) {
    let mut request = house.new_package(AssistanceKind::Livestock, "goats");
    request.conditions =
        Some(PackageConditions { categories: vec!["returnee".into()], age_bands: vec!["25-59".into()], least_priority_band: 3 });
    let created = house.catalogue().create_package(asked(&house.operator, request)).await.unwrap();
    let goats = created.into_inner().package.unwrap();
    let people: Vec<_> = (0..3).map(|_| house.registry.person(RUBAVU)).collect();
    let plans: Vec<_> = people.iter().map(|person| house.new_plan(person, &goats)).collect();
    let person = &people[1];

    house.registry.change(person, |profile| profile.consent_given = false);
    let refused = house.create_plans(plans.clone()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "NO_CONSENT"));
    assert!(refused.message().starts_with("plans[1]"), "{}", refused.message());
    house.registry.change(person, |profile| profile.consent_given = true);

    house.registry.change(person, |profile| profile.priority_band = 2);
    let refused = house.create_plans(plans.clone()).await.unwrap_err();
    assert_eq!(reason(&refused), "NOT_ELIGIBLE");
    assert!(refused.message().starts_with("plans[1]") && refused.message().contains("least_priority_band"));
    house.registry.change(person, |profile| profile.priority_band = 3);

    let programme = ids::new_id().to_string();
    house.registry.change(person, |profile| profile.programme_id = programme);
    assert_eq!(field(&house.create_plans(plans.clone()).await.unwrap_err()), "plans[1].household_id");
    let programme = house.programme.to_string();
    house.registry.change(person, |profile| profile.programme_id = programme);

    let mut unknown = plans.clone();
    unknown[2].package_id = ids::new_id().to_string();
    assert_eq!(field(&house.create_plans(unknown).await.unwrap_err()), "plans[2].package_id");
    let mut early = plans.clone();
    early[2].submitted_on = date(2012, 4, 30);
    assert_eq!(field(&house.create_plans(early).await.unwrap_err()), "plans[2].submitted_on");
    let mut twice = plans.clone();
    twice.push(plans[0].clone());
    let refused = house.create_plans(twice).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "PLAN_EXISTS"));
    assert!(refused.message().starts_with("plans[3]"));
    let stranger = house.registry.person(RUBAVU);
    house.registry.forget(&stranger);
    let mut strange = plans.clone();
    strange.push(house.new_plan(&stranger, &goats));
    assert_eq!(field(&house.create_plans(strange).await.unwrap_err()), "plans[3].household_id");
    assert_eq!(field(&house.create_plans(Vec::new()).await.unwrap_err()), "plans");

    assert!(list(&house, &house.operator, |_| ()).await.is_empty());
    assert!(house.told::<PlanSubmitted>().await.is_empty());
    let made = house.create_plans(plans.clone()).await.unwrap();
    assert_eq!(
        made.iter().map(|plan| &plan.individual_id).collect::<Vec<_>>(),
        plans.iter().map(|p| &p.individual_id).collect::<Vec<_>>()
    );

    // One live plan for each person and package; a cancelled one makes room.
    let refused = house.create_plans(vec![plans[2].clone()]).await.unwrap_err();
    assert_eq!(reason(&refused), "PLAN_EXISTS");
    house.cancel(&made[2]).await.unwrap();
    house.create_plans(vec![plans[2].clone()]).await.unwrap();
}

pub async fn a_repeated_request_has_the_same_answer_whatever_the_registry_says_now(house: Assistance) {
    let package = house.package(AssistanceKind::Livestock, "goats").await;
    let person = house.registry.person(RUBAVU);
    let request = create(house.new_plan(&person, &package));
    let first = house.plans().create_plan(asked(&house.operator, request.clone())).await.unwrap().into_inner();
    house.registry.forget(&person);
    let again = house.plans().create_plan(asked(&house.operator, request.clone())).await.unwrap().into_inner();
    assert_eq!(first, again);
    let other = CreatePlanRequest { request_id: request_id(), ..request };
    let refused = house.plans().create_plan(asked(&house.operator, other)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

pub async fn five_hundred_at_once(house: Assistance) {
    let package = house.package(AssistanceKind::Shelter, "roofing").await;
    let plans = house.approved(&package, RUBAVU, 500).await;
    assert_eq!(house.told::<PlanApproved>().await.len(), 500);
    let distribution = house.distribute(AssistanceKind::Shelter, &plans).await.unwrap();
    let distribution = house.deliver(&distribution, &plans.iter().collect::<Vec<_>>()).await.unwrap();
    assert_eq!((distribution.entitlements, distribution.delivered), (500, 500));
    let done = list(&house, &house.operator, |request| request.state = PlanState::Completed.into()).await;
    assert_eq!(done.len(), 500);
    // Each row got its own day.
    assert!(done.iter().enumerate().all(|(n, plan)| plan.completed_on == date(2012, 5, 20 + i32::try_from(n % 3).unwrap())));
}

pub async fn who_sees_what_of_a_plan(house: Assistance) {
    let package = house.package(AssistanceKind::Livestock, "goats").await;
    let plan = house.submitted(&package, RUBAVU, 1).await.remove(0);
    house.submitted(&package, MUSANZE, 1).await;
    house.cancel(&plan).await.unwrap();

    let partner = house.guest(DisclosureLevel::Pseudonymised, &[RUBAVU], false);
    let seen = list(&house, &partner, |_| ()).await;
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].cancellation_reason.as_str(), seen[0].sex.as_str()), ("", "female"));
    assert_eq!(list(&house, &house.operator, |request| request.district = MUSANZE.into()).await.len(), 1);
    assert_eq!(list(&house, &house.operator, |request| request.submitted_from = date(2012, 5, 3)).await.len(), 0);
    assert_eq!(list(&house, &house.operator, |request| request.kind = AssistanceKind::Shelter.into()).await.len(), 0);

    let stranger = house.guest(DisclosureLevel::Identified, &[MUSANZE], true);
    let get = GetPlanRequest { plan_id: plan.id.clone() };
    assert_eq!(house.plans().get_plan(asked(&stranger, get)).await.unwrap_err().code(), Code::NotFound);
    let approve = BatchApprovePlansRequest { request_id: request_id(), plan_ids: vec![plan.id], approved_on: date(2012, 5, 10) };
    let refused = house.plans().batch_approve_plans(asked(&stranger, approve)).await.unwrap_err();
    assert_eq!(field(&refused), "plan_ids[0]");
    let draft = create(house.new_plan(&house.registry.person(RUBAVU), &package));
    let refused = house.plans().create_plan(asked(&stranger, draft)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

async fn list(house: &Assistance, caller: &Caller, change: impl FnOnce(&mut ListPlansRequest)) -> Vec<Plan> {
    let mut request = ListPlansRequest { page_size: 1000, ..Default::default() };
    change(&mut request);
    house.plans().list_plans(asked(caller, request)).await.unwrap().into_inner().plans
}
