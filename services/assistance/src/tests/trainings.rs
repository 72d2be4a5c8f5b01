//! Cohorts, from the first trainee to the last certificate.

use tonic::Code;

use super::*;

fn enrol(cohort: &Cohort, plans: &[&Plan]) -> EnrolTraineesRequest {
    EnrolTraineesRequest {
        request_id: request_id(),
        cohort_id: cohort.id.clone(),
        plan_ids: plans.iter().map(|plan| plan.id.clone()).collect(),
        enrolled_on: date(2012, 5, 16),
    }
}

fn passed(plan: &Plan) -> TrainingResult {
    TrainingResult {
        plan_id: plan.id.clone(),
        completed: true,
        certificate_number: format!("WDA {}", plan.id),
        toolkit_given: true,
        ..Default::default()
    }
}

fn dropped(plan: &Plan) -> TrainingResult {
    TrainingResult { plan_id: plan.id.clone(), drop_out_reason: "fell ill".into(), ..Default::default() }
}

fn complete(cohort: &Cohort, results: Vec<TrainingResult>) -> CompleteTrainingRequest {
    CompleteTrainingRequest { request_id: request_id(), cohort_id: cohort.id.clone(), completed_on: date(2012, 11, 15), results }
}

pub async fn a_cohort_learns_its_trade_and_each_trainee_is_told_of(house: Assistance) {
    let tailoring = house.package(AssistanceKind::VocationalTraining, "tailoring").await;
    let [ann, ben, cas]: [Plan; 3] = house.approved(&tailoring, RUBAVU, 3).await.try_into().unwrap();
    let cohort = house.cohort("tailoring", RUBAVU, 2).await;
    let enrolled = house.cohorts().enrol_trainees(asked(&house.operator, enrol(&cohort, &[&ann, &ben]))).await.unwrap();
    let enrolled = enrolled.into_inner();
    assert_eq!((enrolled.cohort.map(|c| c.enrolled), enrolled.enrolments.len()), (Some(2), 2));
    assert_eq!(house.state(&ann).await, PlanState::InProgress);

    let refuse = async |results| house.cohorts().complete_training(asked(&house.operator, complete(&cohort, results))).await;
    assert_eq!(field(&refuse(vec![passed(&ann)]).await.unwrap_err()), "results");
    let stranger = refuse(vec![passed(&ann), passed(&ben), dropped(&cas)]).await.unwrap_err();
    assert_eq!(reason(&stranger), "NOT_ENROLLED");
    assert!(stranger.message().starts_with("results[2]"));
    let nameless = TrainingResult { certificate_number: String::new(), ..passed(&ben) };
    assert_eq!(field(&refuse(vec![passed(&ann), nameless]).await.unwrap_err()), "results[1].certificate_number");
    let silent = TrainingResult { drop_out_reason: String::new(), ..dropped(&ben) };
    assert_eq!(field(&refuse(vec![passed(&ann), silent]).await.unwrap_err()), "results[1].drop_out_reason");

    let request = complete(&cohort, vec![dropped(&ben), passed(&ann)]);
    let first = house.cohorts().complete_training(asked(&house.operator, request.clone())).await.unwrap().into_inner();
    let again = house.cohorts().complete_training(asked(&house.operator, request)).await.unwrap().into_inner();
    assert_eq!(first, again);
    let done = first.cohort.unwrap();
    assert_eq!((done.state(), done.enrolled, done.completed), (CohortState::Completed, 2, 1));
    let (ann_now, ben_now) = (house.plan(&ann).await, house.plan(&ben).await);
    assert_eq!((ann_now.state(), ann_now.completed_on), (PlanState::Completed, date(2012, 11, 15)));
    assert_eq!((ben_now.state(), ben_now.cancellation_reason.as_str()), (PlanState::Cancelled, "fell ill"));
    let trained = house.told::<TrainingCompleted>().await;
    assert_eq!((trained.len(), trained[0].trade.as_str(), trained[0].plan_id.as_str()), (1, "tailoring", ann.id.as_str()));
    let delivered = house.told::<AssistanceDelivered>().await;
    assert_eq!((delivered.len(), delivered[0].happened_on), (1, date(2012, 11, 15)));
    assert_eq!(house.told::<PlanCancelled>().await.len(), 1);

    let closed = house.cohorts().enrol_trainees(asked(&house.operator, enrol(&cohort, &[&cas]))).await.unwrap_err();
    assert_eq!(reason(&closed), "COHORT_COMPLETED");

    let partner = house.guest(DisclosureLevel::Pseudonymised, &[RUBAVU], false);
    let list = ListEnrolmentsRequest { cohort_id: cohort.id.clone(), ..Default::default() };
    let seen = house.cohorts().list_enrolments(asked(&partner, list.clone())).await.unwrap().into_inner().enrolments;
    assert!(seen.iter().all(|e| e.certificate_number.is_empty() && e.drop_out_reason.is_empty()));
    let own = house.cohorts().list_enrolments(asked(&house.operator, list.clone())).await.unwrap().into_inner().enrolments;
    let shape: Vec<_> = own.iter().map(|e| (e.state(), e.drop_out_reason.as_str(), e.toolkit_given)).collect();
    assert_eq!(shape, [(EnrolmentState::Completed, "", true), (EnrolmentState::DroppedOut, "fell ill", false)]);
    let stranger = house.guest(DisclosureLevel::Identified, &[MUSANZE], false);
    let refused = house.cohorts().list_enrolments(asked(&stranger, list)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

pub async fn a_cohort_takes_no_more_than_its_capacity(house: Assistance) {
    let tailoring = house.package(AssistanceKind::VocationalTraining, "tailoring").await;
    let [ann, ben, cas]: [Plan; 3] = house.approved(&tailoring, RUBAVU, 3).await.try_into().unwrap();
    let cohort = house.cohort("tailoring", RUBAVU, 2).await;
    let try_enrol = async |plans: &[&Plan]| {
        let answer = house.cohorts().enrol_trainees(asked(&house.operator, enrol(&cohort, plans))).await?;
        Ok::<_, Status>(answer.into_inner().cohort.unwrap().enrolled)
    };
    assert_eq!(reason(&try_enrol(&[&ann, &ben, &cas]).await.unwrap_err()), "COHORT_FULL");
    assert_eq!(house.state(&ann).await, PlanState::Approved, "all of them or none");
    assert_eq!(try_enrol(&[&ann, &ben]).await.unwrap(), 2);
    assert_eq!(reason(&try_enrol(&[&cas]).await.unwrap_err()), "COHORT_FULL");

    // Who is cancelled gives up the seat, and is not told of at the end.
    house.cancel(&ben).await.unwrap();
    assert_eq!(try_enrol(&[&cas]).await.unwrap(), 2);
    let request = complete(&cohort, vec![passed(&ann), passed(&cas)]);
    house.cohorts().complete_training(asked(&house.operator, request)).await.unwrap();
    assert_eq!(house.told::<TrainingCompleted>().await.len(), 2);
}

pub async fn only_approved_plans_of_the_trade_and_the_district_are_enrolled(house: Assistance) {
    let tailoring = house.package(AssistanceKind::VocationalTraining, "tailoring").await;
    let masonry = house.package(AssistanceKind::VocationalTraining, "masonry").await;
    let cohort = house.cohort("tailoring", RUBAVU, 20).await;
    let good = house.approved(&tailoring, RUBAVU, 1).await.remove(0);
    let refuse = async |plan: &Plan| {
        let request = enrol(&cohort, &[&good, plan]);
        house.cohorts().enrol_trainees(asked(&house.operator, request)).await.unwrap_err()
    };
    let mason = house.approved(&masonry, RUBAVU, 1).await.remove(0);
    let refused = refuse(&mason).await;
    assert_eq!(reason(&refused), "PLAN_DOES_NOT_FIT");
    assert!(refused.message().starts_with("plan_ids[1]"));
    let far = house.approved(&tailoring, MUSANZE, 1).await.remove(0);
    assert_eq!(reason(&refuse(&far).await), "PLAN_DOES_NOT_FIT");
    let unfunded = house.submitted(&tailoring, RUBAVU, 1).await.remove(0);
    assert_eq!(reason(&refuse(&unfunded).await), "PLAN_NOT_APPROVED");
    assert_eq!(field(&refuse(&good).await), "plan_ids[1]");
    let unknown = Plan { id: ids::new_id().to_string(), ..good.clone() };
    assert_eq!(field(&refuse(&unknown).await), "plan_ids[1]");
    assert_eq!(house.state(&good).await, PlanState::Approved);
}

pub async fn two_writers_do_not_share_the_last_seat(house: Assistance) {
    let tailoring = house.package(AssistanceKind::VocationalTraining, "tailoring").await;
    let plans = house.approved(&tailoring, RUBAVU, 8).await;
    let cohort = house.cohort("tailoring", RUBAVU, 3).await;
    let mut writers = tokio::task::JoinSet::new();
    for plan in &plans {
        let (cohorts, request) = (house.cohorts(), asked(&house.operator, enrol(&cohort, &[plan])));
        writers.spawn(async move { cohorts.enrol_trainees(request).await.map(|_| ()) });
    }
    let refused: Vec<_> = writers.join_all().await.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 5);
    assert!(refused.iter().all(|status| reason(status) == "COHORT_FULL"), "{refused:?}");
    let get = GetCohortRequest { cohort_id: cohort.id.clone() };
    let cohort = house.cohorts().get_cohort(asked(&house.operator, get)).await.unwrap().into_inner().cohort.unwrap();
    assert_eq!(cohort.enrolled, 3);
}
