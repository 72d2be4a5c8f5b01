//! Distributions, and what came of them.

use tahuka_proto::assistance::v1::follow_up_service_server::FollowUpService as _;
use tonic::Code;

use super::*;

pub async fn nothing_is_handed_out_twice(house: Assistance) {
    let goats = house.package(AssistanceKind::Livestock, "goats").await;
    let [ann, ben, cas]: [Plan; 3] = house.approved(&goats, RUBAVU, 3).await.try_into().unwrap();
    let distribution = house.distribute(AssistanceKind::Livestock, &[ann.clone(), ben.clone()]).await.unwrap();
    assert_eq!((distribution.district.as_str(), distribution.entitlements), (RUBAVU, 2));
    assert_eq!(house.state(&ann).await, PlanState::InProgress);
    let listed = house.distribute(AssistanceKind::Livestock, &[cas.clone(), ann.clone()]).await.unwrap_err();
    assert_eq!(reason(&listed), "PLAN_NOT_APPROVED");
    assert!(listed.message().starts_with("plan_ids[1]"), "{}", listed.message());

    let request = RecordDeliveriesRequest {
        request_id: request_id(),
        distribution_id: distribution.id.clone(),
        deliveries: vec![delivery(&ann, 0)],
    };
    let first = house.distributions().record_deliveries(asked(&house.operator, request.clone())).await.unwrap().into_inner();
    let again = house.distributions().record_deliveries(asked(&house.operator, request)).await.unwrap().into_inner();
    assert_eq!(first, again);
    let delivered = house.told::<AssistanceDelivered>().await;
    assert_eq!(delivered.len(), 1);
    let told = &delivered[0];
    assert_eq!((told.plan_id.as_str(), told.grant_id.as_str()), (ann.id.as_str(), GRANT.to_string().as_str()));
    assert_eq!((told.cost.clone(), told.item.as_str(), told.happened_on), (goats.unit_cost, "goats", date(2012, 5, 20)));

    let twice = house.deliver(&distribution, &[&ben, &ann]).await.unwrap_err();
    assert_eq!((twice.code(), reason(&twice).as_str()), (Code::FailedPrecondition, "ALREADY_DELIVERED"));
    assert!(twice.message().starts_with("deliveries[1]"));
    assert_eq!(reason(&house.deliver(&distribution, &[&ben, &cas]).await.unwrap_err()), "NOT_ON_LIST");
    assert_eq!(field(&house.deliver(&distribution, &[&ben, &ben]).await.unwrap_err()), "deliveries[1].plan_id");
    assert_eq!(house.state(&ben).await, PlanState::InProgress, "all of them or none");
    assert_eq!(reason(&house.cancel(&ann).await.unwrap_err()), "PLAN_COMPLETED");
    assert_eq!(house.told::<AssistanceDelivered>().await.len(), 1);
}

pub async fn what_was_not_collected_lapses_and_is_listed_anew(house: Assistance) {
    let goats = house.package(AssistanceKind::Livestock, "goats").await;
    let [ann, ben, cas]: [Plan; 3] = house.approved(&goats, RUBAVU, 3).await.try_into().unwrap();
    let all = [ann.clone(), ben.clone(), cas.clone()];
    let distribution = house.distribute(AssistanceKind::Livestock, &all).await.unwrap();
    house.deliver(&distribution, &[&ann]).await.unwrap();
    house.cancel(&cas).await.unwrap();
    let close = |day| CloseDistributionRequest {
        request_id: request_id(),
        distribution_id: distribution.id.clone(),
        closed_on: date(2012, 5, day),
    };
    let early = house.distributions().close_distribution(asked(&house.operator, close(19))).await.unwrap_err();
    assert_eq!(field(&early), "closed_on");
    let closed = house.distributions().close_distribution(asked(&house.operator, close(25))).await.unwrap().into_inner();
    assert_eq!(closed.distribution.map(|d| (d.state(), d.delivered)), Some((DistributionState::Closed, 1)));
    assert_eq!(reason(&house.deliver(&distribution, &[&ben]).await.unwrap_err()), "DISTRIBUTION_CLOSED");
    let states = [house.state(&ann).await, house.state(&ben).await, house.state(&cas).await];
    assert_eq!(states, [PlanState::Completed, PlanState::Approved, PlanState::Cancelled]);

    let next = house.distribute(AssistanceKind::Livestock, std::slice::from_ref(&ben)).await.unwrap();
    house.deliver(&next, &[&ben]).await.unwrap();
    assert_eq!(house.told::<AssistanceDelivered>().await.len(), 2);

    let partner = house.guest(DisclosureLevel::Pseudonymised, &[RUBAVU], false);
    let list = |state: EntitlementState| ListEntitlementsRequest {
        distribution_id: distribution.id.clone(),
        state: state.into(),
        ..Default::default()
    };
    let lapsed = house.distributions().list_entitlements(asked(&partner, list(EntitlementState::Lapsed))).await.unwrap();
    assert_eq!(lapsed.into_inner().entitlements.len(), 2);
    let seen = house.distributions().list_entitlements(asked(&partner, list(EntitlementState::Delivered))).await.unwrap();
    let seen = seen.into_inner().entitlements.remove(0);
    assert_eq!((seen.proof_kind(), seen.proof_reference.as_str()), (ProofKind::Signature, ""));
    let own = house.distributions().list_entitlements(asked(&house.operator, list(EntitlementState::Delivered))).await.unwrap();
    assert_eq!(own.into_inner().entitlements[0].proof_reference, "list 7, line 0");
}

pub async fn a_distribution_serves_one_kind_in_one_district(house: Assistance) {
    let goats = house.package(AssistanceKind::Livestock, "goats").await;
    let far = house.approved(&goats, MUSANZE, 1).await;
    let refused = house.distribute(AssistanceKind::Livestock, &far).await.unwrap_err();
    assert_eq!(reason(&refused), "PLAN_DOES_NOT_FIT");
    let near = house.approved(&goats, RUBAVU, 1).await;
    assert_eq!(reason(&house.distribute(AssistanceKind::Shelter, &near).await.unwrap_err()), "PLAN_DOES_NOT_FIT");
    assert_eq!(field(&house.distribute(AssistanceKind::VocationalTraining, &near).await.unwrap_err()), "kind");
    assert_eq!(house.state(&near[0]).await, PlanState::Approved);
}

pub async fn a_visit_tells_what_came_of_it(house: Assistance) {
    let roofs = house.package(AssistanceKind::Shelter, "roofing").await;
    let [ann, ben]: [Plan; 2] = house.approved(&roofs, RUBAVU, 2).await.try_into().unwrap();
    let distribution = house.distribute(AssistanceKind::Shelter, &[ann.clone(), ben.clone()]).await.unwrap();
    house.deliver(&distribution, &[&ann]).await.unwrap();
    let visit = |plan: &Plan, month, outcome: Outcome| NewVisit {
        plan_id: plan.id.clone(),
        visited_on: date(2012, month, 20),
        outcome: outcome.into(),
        visitor: "Jean HABIMANA".into(),
    };
    let batch = |visits| BatchRecordVisitsRequest { request_id: request_id(), visits };
    let refuse = async |visits| house.follow_up().batch_record_visits(asked(&house.operator, batch(visits))).await.unwrap_err();
    let good = visit(&ann, 11, Outcome::HouseRoofed);

    let early = refuse(vec![good.clone(), visit(&ben, 11, Outcome::HouseRoofed)]).await;
    assert_eq!(reason(&early), "PLAN_NOT_COMPLETED");
    assert!(early.message().starts_with("visits[1]"));
    assert_eq!(field(&refuse(vec![good.clone(), visit(&ann, 10, Outcome::Employed)]).await), "visits[1].outcome");
    assert_eq!(field(&refuse(vec![visit(&ann, 4, Outcome::HouseRoofed)]).await), "visits[0].visited_on");
    assert_eq!(reason(&refuse(vec![good.clone(), good.clone()]).await), "VISIT_EXISTS");

    let two = vec![good.clone(), visit(&ann, 12, Outcome::NotFound)];
    let made = house.follow_up().batch_record_visits(asked(&house.operator, batch(two))).await.unwrap().into_inner();
    let shape: Vec<_> = made.visits.iter().map(|v| (v.months_after, v.favourable)).collect();
    assert_eq!(shape, [(6, true), (7, false)]);
    let told = house.told::<VisitRecorded>().await;
    assert_eq!((told.len(), told[0].outcome.as_str(), told[0].months_after), (2, "house_roofed", 6));
    assert_eq!((told[0].sex.as_str(), told[0].kind.as_str(), told[0].favourable), ("female", "shelter", true));
    let again = RecordVisitRequest { request_id: request_id(), visit: Some(good) };
    let refused = house.follow_up().record_visit(asked(&house.operator, again)).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);

    let partner = house.guest(DisclosureLevel::Pseudonymised, &[RUBAVU], false);
    let list = ListVisitsRequest { plan_id: ann.id, ..Default::default() };
    let by_id = house.follow_up().list_visits(asked(&partner, list.clone())).await.unwrap().into_inner().visits;
    assert!(by_id.is_empty(), "an id is as good as none under a pseudonym");
    let all = ListVisitsRequest { programme_id: house.programme.to_string(), ..Default::default() };
    let seen = house.follow_up().list_visits(asked(&partner, all)).await.unwrap().into_inner().visits;
    assert_eq!((seen.len(), seen[0].visitor.as_str(), seen[0].outcome()), (2, "", Outcome::HouseRoofed));
    let of_it = ListVisitsRequest { plan_id: seen[0].plan_id.clone(), ..Default::default() };
    let by_pseudonym = house.follow_up().list_visits(asked(&partner, of_it)).await.unwrap().into_inner().visits;
    assert_eq!(by_pseudonym, seen);
    let stranger = house.guest(DisclosureLevel::Identified, &[MUSANZE], false);
    assert!(house.follow_up().list_visits(asked(&stranger, list)).await.unwrap().into_inner().visits.is_empty());
}

pub async fn two_writers_do_not_deliver_the_same_plan(house: Assistance) {
    let goats = house.package(AssistanceKind::Livestock, "goats").await;
    let plans = house.approved(&goats, RUBAVU, 2).await;
    let distribution = house.distribute(AssistanceKind::Livestock, &plans).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let request = RecordDeliveriesRequest {
            request_id: request_id(),
            distribution_id: distribution.id.clone(),
            deliveries: vec![delivery(&plans[0], 0)],
        };
        let (distributions, request) = (house.distributions(), asked(&house.operator, request));
        writers.spawn(async move { distributions.record_deliveries(request).await.map(|_| ()) });
    }
    let refused: Vec<_> = writers.join_all().await.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 5);
    assert!(refused.iter().all(|status| reason(status) == "ALREADY_DELIVERED"), "{refused:?}");
    assert_eq!(house.told::<AssistanceDelivered>().await.len(), 1);
}
