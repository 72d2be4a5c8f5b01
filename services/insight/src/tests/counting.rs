//! What is counted, and how often.

use std::time::{Duration, Instant};

use sea_orm::ConnectionTrait as _;
use tahuka_chassis::House;

use super::*;

pub async fn a_person_counts_once_however_many_deliveries_there_were(insight: Insight) {
    let (alice, bosco) = (ids::new_id(), ids::new_id());
    insight
        .hear(&[
            insight.delivered(alice, RUBAVU, "livestock", "2012-03-01"),
            insight.delivered(alice, RUBAVU, "livestock", "2013-06-01"),
            insight.delivered(alice, RUBAVU, "shelter", "2012-01-15"),
            insight.delivered(bosco, MUSANZE, "shelter", "2012-02-01"),
        ])
        .await;
    let report = insight.report(&insight.operator, Some(on("2013-01-01"))).await;
    let told = ["people_helped", "people_helped.livestock", "people_helped.shelter", "people_helped.startup_capital"];
    assert_eq!(told.map(|code| figure(&report, code)), [Some(2), Some(1), Some(2), Some(0)]);
    assert_eq!(figure(&report, "people_helped_since"), Some(1));
    assert_eq!(figure(&report, "people_helped_since.livestock"), Some(1));
    assert_eq!(figure(&report, "people_helped_since.shelter"), Some(0));
    assert_eq!(figure(&report, "districts_reached"), Some(2));
    assert_eq!(report.events_counted, 4);
    assert!(report.last_event_at.is_some());
    let on_the_day = insight.report(&insight.operator, Some(on("2013-06-01"))).await;
    assert_eq!(figure(&on_the_day, "people_helped_since"), Some(1), "that day included");
    let without = insight.report(&insight.operator, None).await;
    assert!(all(&without, "people_helped_since").is_empty() && all(&without, "people_helped_since.shelter").is_empty());

    // The shelter of January was heard of last: the person is counted in the month of the first delivery.
    let months = insight.query(&insight.operator, "people_helped", &[Dimension::Month]).await;
    assert_eq!(table(&months), [(vec!["2012-01"], Some(1)), (vec!["2012-02"], Some(1))]);
    let kinds = insight.query(&insight.operator, "people_helped", &[Dimension::Kind]).await;
    assert_eq!(table(&kinds), [(vec!["livestock"], Some(1)), (vec!["shelter"], Some(2))]);
    assert_eq!(kinds.totals[0].value, Some(2), "kinds do not add up");
    let plans = insight.query(&insight.operator, "assistance_delivered", &[]).await;
    assert_eq!(plans.totals[0].value, Some(4));
}

pub async fn an_event_that_comes_twice_has_no_second_effect(insight: Insight) {
    let house = House::start(vec![crate::service()], insight.config.clone()).await.unwrap();
    let store = house.stores[0].1.clone();

    let event = |n: i64| PeopleServed {
        programme_id: insight.programme.to_string(),
        happened_on: Some(on("2012-05-01")),
        district: RUBAVU.into(),
        project_id: ids::new_id().to_string(),
        sex: "female".into(),
        age_band: String::new(),
        people: n,
    };
    let mut tx = store.system("test").await.unwrap();
    for n in [100, 20, 3] {
        tx.publish(insight.operator.tenant_id, ids::new_id(), &event(n)).await.unwrap();
    }
    tx.commit().await.unwrap();
    heard(&insight, 3).await;

    let tx = store.system("test").await.unwrap();
    tx.conn().execute_unprepared("UPDATE journal SET published_at = NULL").await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.system("test").await.unwrap();
    tx.publish(insight.operator.tenant_id, ids::new_id(), &event(4000)).await.unwrap();
    tx.commit().await.unwrap();
    heard(&insight, 4).await;
    let report = insight.report(&insight.operator, None).await;
    assert_eq!((figure(&report, "people_served"), report.events_counted), (Some(4123), 4));
    house.stop().await;
}

/// Waits until so many events have been counted.
async fn heard(insight: &Insight, events: i64) {
    let reports = Reports { store: insight.store.clone() };
    for _ in 0..200 {
        let request = GetProgrammeReportRequest { programme_id: insight.programme.to_string(), since: None };
        if let Ok(answer) = reports.get_programme_report(asked(&insight.operator, request)).await
            && answer.get_ref().report.as_ref().unwrap().events_counted >= events
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{events} events were not heard");
}

pub async fn a_question_that_makes_no_sense_is_refused_by_its_field(insight: Insight) {
    insight.hear(&[insight.registered(RUBAVU, "2012-01-01")]).await;
    let base = insight.question("people_registered", &[]);
    let cases = [
        (QueryIndicatorRequest { indicator: "people".into(), ..base.clone() }, "indicator"),
        (QueryIndicatorRequest { group_by: vec![Dimension::Grant.into()], ..base.clone() }, "group_by[0]"),
        (QueryIndicatorRequest { group_by: vec![3, 3], ..base.clone() }, "group_by[1]"),
        (QueryIndicatorRequest { group_by: vec![1, 3, 4, 5], ..base.clone() }, "group_by"),
        (QueryIndicatorRequest { from_month: "2012".into(), ..base.clone() }, "from_month"),
        (QueryIndicatorRequest { from_month: "2012-02".into(), to_month: "2012-01".into(), ..base.clone() }, "to_month"),
        (QueryIndicatorRequest { district: "Rubavu".into(), ..base.clone() }, "district"),
    ];
    for (question, field) in cases {
        let refusal = insight.ask(&insight.operator, question).await.unwrap_err();
        assert_eq!(refusal.code(), Code::InvalidArgument);
        assert!(refusal.message().contains(&format!("{field}:")), "{field}: {}", refusal.message());
    }
    let mut question = insight.question("people_registered", &[Dimension::Sex, Dimension::AgeBand, Dimension::Month]);
    question.from_month = "2012-01".into();
    let answer = insight.ask(&insight.operator, question).await.unwrap();
    assert_eq!(table(&answer), [(vec!["female", "25-59", "2012-01"], Some(1))]);
    let none = insight.query(&insight.operator, "trainings_completed", &[]).await;
    assert_eq!(none.totals[0].value, Some(0));
    let catalogue =
        Indicators { store: insight.store.clone() }.list_indicators(asked(&insight.operator, Default::default())).await;
    assert!(catalogue.unwrap().get_ref().indicators.len() >= 20);
}

pub async fn a_programme_of_which_only_the_start_was_heard_has_a_report_of_noughts(insight: Insight) {
    let created =
        ProgrammeCreated { programme_id: insight.programme.to_string(), name: "A programme".into(), ..Default::default() };
    insight.hear(&[insight.event(&created)]).await;
    let report = insight.report(&insight.operator, Some(on("2012-01-01"))).await;
    assert_eq!((figure(&report, "people_helped"), figure(&report, "people_helped_since.shelter")), (Some(0), Some(0)));
    assert_eq!(all(&report, "money_spent.project"), [(Some(0), "USD".to_owned(), false)]);
    assert_eq!(figure(&report, "facilities_completed.school"), Some(0));
    assert_eq!(report.sections.len(), 4);
}

pub async fn events_are_taken_by_the_thousand_a_second(insight: Insight) {
    let places = ["RW31", "RW32", "RW33", "RW41", "RW43"];
    let kinds = crate::report::KINDS;
    let day = |n: usize| format!("20{:02}-{:02}-{:02}", 11 + n % 3, 1 + n % 12, 1 + n % 28);
    let grant = Some(ids::new_id());
    let mut events = Vec::new();
    for n in 0..2_000 {
        let (place, kind, day, plan) = (places[n % 5], kinds[n % 4], day(n), Some(ids::new_id()));
        events.push(insight.registered(place, &day));
        events.push(insight.event(&PlanSubmitted {
            programme_id: insight.programme.to_string(),
            happened_on: Some(on(&day)),
            district: place.into(),
            kind: kind.into(),
            ..Default::default()
        }));
        events.push(insight.event(&HouseholdRegistered {
            programme_id: insight.programme.to_string(),
            happened_on: Some(on(&day)),
            district: place.into(),
            household_id: ids::new_id().to_string(),
            category: "returnee".into(),
        }));
        events.push(insight.event(&FacilityCompleted {
            programme_id: insight.programme.to_string(),
            happened_on: Some(on(&day)),
            district: place.into(),
            kind: "school".into(),
            ..Default::default()
        }));
        events.push(need!(insight, FundsNotAvailable, None, plan, kind, usd(300)));
        events.push(need!(insight, FundsReserved, grant, plan, kind, usd(300)));
        events.push(need!(insight, FundsCommitted, grant, plan, kind, usd(300)));
        events.push(insight.delivered(ids::new_id(), place, kind, &day));
        events.push(need!(insight, ExpenditureRecorded, grant, plan, kind, usd(290)));
    }
    let began = Instant::now();
    for batch in events.chunks(256) {
        insight.hear(batch).await;
    }
    let rate = events.len() as f64 / began.elapsed().as_secs_f64();
    println!("{rate:.0} events a second");
    let report = insight.report(&insight.operator, None).await;
    assert_eq!(report.events_counted, events.len() as i64);
    assert_eq!(figure(&report, "people_helped"), Some(2_000));
    // Without optimisation, on a machine that builds as well; the release build takes several times as many.
    assert!(rate > 200.0, "{rate}");
}
