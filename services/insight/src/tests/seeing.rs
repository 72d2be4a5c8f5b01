//! Who sees what of it.

use super::*;

pub async fn an_officer_has_the_report_of_the_district_and_the_districts_add_up(insight: Insight) {
    let mut events = insight.deliveries(7, RUBAVU, "livestock", "2012-03-01");
    events.extend(insight.deliveries(2, MUSANZE, "shelter", "2012-04-01"));
    events.extend((0..3).map(|_| insight.registered(MUSANZE, "2012-01-01")));
    let campaign = |level: &str, district: &str, reach| CampaignHeld {
        programme_id: insight.programme.to_string(),
        happened_on: Some(on("2012-02-02")),
        district: district.into(),
        campaign_id: ids::new_id().to_string(),
        level: level.into(),
        reach,
        cost: Some(usd(10)),
    };
    events.push(insight.event(&campaign("national", "", 90_000)));
    events.push(insight.event(&campaign("local", RUBAVU, 500)));
    insight.hear(&events).await;

    let musanze = insight.report(&insight.officer(&[MUSANZE]), None).await;
    assert_eq!(figure(&musanze, "people_helped"), Some(2), "an officer is let in by name: nothing is withheld");
    assert_eq!(figure(&musanze, "people_registered"), Some(3));
    assert_eq!(figure(&musanze, "campaigns_held"), Some(0));
    assert!(all(&musanze, "campaigns_held.national").is_empty(), "it belongs to no district");
    assert_eq!(musanze.districts.len(), 1);
    let rubavu = insight.report(&insight.officer(&[RUBAVU]), None).await;
    assert_eq!((figure(&rubavu, "people_helped"), figure(&rubavu, "campaign_reach")), (Some(7), Some(500)));

    let whole = insight.report(&insight.operator, None).await;
    assert_eq!(figure(&whole, "campaigns_held.national"), Some(1));
    assert_eq!(figure(&whole, "campaign_reach"), Some(90_500));
    for code in ["people_registered", "people_helped", "people_helped.livestock", "people_helped.shelter"] {
        let sum: i64 = whole.districts.iter().map(|line| district(&whole, &line.district, code).0.unwrap()).sum();
        assert_eq!(Some(sum), figure(&whole, code), "{code}");
    }
    let both = insight.report(&insight.officer(&[RUBAVU, MUSANZE]), None).await;
    assert_eq!(both.districts, whole.districts);

    let stranger =
        caller(ids::new_id(), TenantKind::Ministry, vec![entry(ids::new_id(), DisclosureLevel::Identified, &[], true)]);
    let request = GetProgrammeReportRequest { programme_id: insight.programme.to_string(), since: None };
    let refusal = Reports { store: insight.store.clone() }.get_programme_report(asked(&stranger, request)).await.unwrap_err();
    assert_eq!(refusal.code(), Code::NotFound);
}

pub async fn a_donor_sees_its_own_grants_money_and_every_currency_stands_alone(insight: Insight) {
    let donor = insight.donor();
    let (own, other) = (ids::new_id(), ids::new_id());
    let (plan, second, third) = (Some(ids::new_id()), Some(ids::new_id()), Some(ids::new_id()));
    let received = |grant: Uuid, credited: Money| InstalmentReceived {
        programme_id: insight.programme.to_string(),
        happened_on: Some(on("2011-01-10")),
        grant_id: grant.to_string(),
        received: Some(jpy(999)),
        credited: Some(credited),
    };
    insight
        .hear(&[
            insight.grant(own, Some(donor.tenant_id), usd(10_000)),
            insight.grant(other, Some(ids::new_id()), jpy(500_000)),
            insight.event(&received(own, usd(6_000))),
            insight.event(&received(other, jpy(200_000))),
            need!(insight, FundsNotAvailable, None, plan, "livestock", usd(300)),
            need!(insight, FundsNotAvailable, None, second, "shelter", usd(450)),
            need!(insight, FundsReserved, Some(own), plan, "livestock", usd(300)),
            need!(insight, FundsCommitted, Some(own), plan, "livestock", usd(300)),
            need!(insight, ExpenditureRecorded, Some(own), plan, "livestock", usd(280)),
            need!(insight, FundsReserved, Some(other), third, "shelter", jpy(40_000)),
            need!(insight, FundsReleased, Some(other), third, "shelter", jpy(40_000)),
            need!(insight, ExpenditureRecorded, Some(other), None::<Uuid>, "administration", jpy(7_000)),
        ])
        .await;

    let whole = insight.report(&insight.operator, None).await;
    let told = |value, currency: &str| (Some(value), currency.to_owned(), false);
    assert_eq!(all(&whole, "money_granted"), [told(1_000_000, "USD"), told(500_000, "JPY")]);
    assert_eq!(all(&whole, "money_received"), [told(600_000, "USD"), told(200_000, "JPY")]);
    assert_eq!(all(&whole, "money_reserved"), [told(0, "USD")]);
    assert_eq!(all(&whole, "money_spent"), [told(28_000, "USD"), told(7_000, "JPY")]);
    assert_eq!(all(&whole, "money_spent.livestock"), [told(28_000, "USD")]);
    assert_eq!(all(&whole, "money_spent.administration"), [told(7_000, "JPY")]);
    assert_eq!(all(&whole, "money_needed"), [told(45_000, "USD")]);
    assert_eq!((figure(&whole, "needs_open"), whole.grants.len()), (Some(1), 2));

    let japan = insight.report(&donor, None).await;
    assert_eq!(all(&japan, "money_granted"), [told(1_000_000, "USD")]);
    assert_eq!(all(&japan, "money_spent"), [told(28_000, "USD")]);
    assert_eq!(all(&japan, "money_spent.administration"), [told(0, "USD")]);
    assert_eq!(all(&japan, "money_needed"), [told(45_000, "USD")]);
    let [line] = &japan.grants[..] else { panic!("one grant") };
    assert_eq!(
        (line.grant_id.clone(), line.spent.clone(), line.committed.clone()),
        (own.to_string(), Some(usd(280)), Some(usd(0)))
    );
    let by_grant = insight.query(&donor, "money_spent", &[Dimension::Grant, Dimension::Kind]).await;
    assert_eq!(table(&by_grant), [(vec![own.to_string().as_str(), "livestock"], Some(28_000))]);
    assert_eq!(by_grant.totals[0].amount, Some(usd(280)));

    // A ministry whose agreement names one grant sees that one's money, and the appeal.
    let mut limited = insight.officer(&[]);
    if let Scope::Entries(entries) = &mut limited.scope {
        entries[1].grants = vec![other.to_string()];
    }
    let seen = insight.report(&limited, None).await;
    assert_eq!(all(&seen, "money_granted"), [told(500_000, "JPY")]);
    assert_eq!(all(&seen, "money_spent"), [told(7_000, "JPY")]);
    assert_eq!(all(&seen, "money_needed"), [told(45_000, "USD")]);
    assert_eq!(seen.grants.iter().map(|line| line.grant_id.clone()).collect::<Vec<_>>(), [other.to_string()]);
    let by_grant = insight.query(&limited, "money_spent", &[Dimension::Grant]).await;
    assert_eq!(table(&by_grant), [(vec![other.to_string().as_str()], Some(7_000))]);

    let rubavu = insight.report(&insight.officer(&[RUBAVU]), None).await;
    assert!(all(&rubavu, "money_received").is_empty(), "what came in belongs to no district");
    assert_eq!(all(&rubavu, "money_spent"), [told(28_000, "USD")]);
    assert_eq!(rubavu.grants[0].granted, None);
    let waiting = insight.query(&insight.operator, "plans_waiting", &[Dimension::Kind]).await;
    assert_eq!(table(&waiting), [(vec!["shelter"], Some(1))]);
}

pub async fn small_counts_are_withheld_from_the_donor_and_not_from_the_custodian(insight: Insight) {
    let mut events = Vec::new();
    for (people, place) in [(40, RUBAVU), (3, MUSANZE), (9, "RW31"), (20, "RW41")] {
        events.extend(insight.deliveries(people, place, "livestock", "2012-03-01"));
    }
    events.extend(insight.deliveries(30, RUBAVU, "shelter", "2012-06-01"));
    insight.hear(&events).await;

    let donor = insight.donor();
    let seen = insight.report(&donor, None).await;
    assert_eq!(figure(&seen, "people_helped"), Some(102));
    assert_eq!(district(&seen, MUSANZE, "people_helped"), (None, true));
    assert_eq!(district(&seen, "RW31", "people_helped"), (None, true), "so that the first cannot be worked out");
    assert_eq!(district(&seen, RUBAVU, "people_helped"), (Some(70), false));
    assert_eq!(district(&seen, MUSANZE, "people_helped.livestock"), (None, true));
    let known = insight.report(&insight.operator, None).await;
    assert_eq!(district(&known, MUSANZE, "people_helped"), (Some(3), false));

    let by = [Dimension::District, Dimension::Kind];
    let answer = insight.query(&donor, "people_helped", &by).await;
    assert!(answer.cells.iter().any(|cell| cell.suppressed && cell.value.is_none()));
    assert!(answer.cells.iter().all(|cell| cell.value.is_none_or(|v| v >= 5)));
    let turned = insight.query(&donor, "people_helped", &[by[1], by[0]]).await;
    for cell in &answer.cells {
        let keys: Vec<_> = cell.keys.iter().rev().cloned().collect();
        let same = turned.cells.iter().find(|c| c.keys == keys).unwrap();
        assert_eq!((same.value, same.suppressed), (cell.value, cell.suppressed), "however it is asked");
    }
    // One district's line of the same table.
    let mut question = insight.question("people_helped", &[Dimension::Kind]);
    question.district = MUSANZE.into();
    let answer = insight.ask(&donor, question.clone()).await.unwrap();
    assert!(answer.cells.iter().chain(&answer.totals).all(|cell| cell.suppressed));
    let answer = insight.ask(&insight.operator, question).await.unwrap();
    assert_eq!(table(&answer), [(vec!["livestock"], Some(3))]);

    let three = [Dimension::District, Dimension::Kind, Dimension::Sex];
    let refusal = insight.ask(&donor, insight.question("people_helped", &three)).await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
    assert_eq!(insight.query(&insight.operator, "people_helped", &three).await.cells.len(), 5);
}

pub async fn two_answers_of_different_times_tell_no_more_than_one(insight: Insight) {
    let mut events = insight.deliveries(30, RUBAVU, "livestock", "2012-03-01");
    events.extend(insight.deliveries(2, RUBAVU, "livestock", "2012-04-01"));
    events.extend(insight.deliveries(40, RUBAVU, "livestock", "2012-05-01"));
    insight.hear(&events).await;
    let donor = insight.donor();
    let to = |month: &str| QueryIndicatorRequest { to_month: month.into(), ..insight.question("people_helped", &[]) };
    let value = async |caller: &Caller, month| insight.ask(caller, to(month)).await.unwrap().totals[0].value;
    assert_eq!(value(&insight.operator, "2012-04").await, Some(32));
    let told = [value(&donor, "2012-03").await, value(&donor, "2012-04").await, value(&donor, "2012-05").await];
    assert_eq!(told, [None, None, Some(72)]);
    let since = async |day| figure(&insight.report(&donor, Some(on(day))).await, "people_helped_since");
    let told = [since("2012-03-01").await, since("2012-04-01").await, since("2012-05-01").await, since("2012-06-01").await];
    assert_eq!(told, [Some(72), Some(42), None, Some(0)]);
}

pub async fn a_share_leaves_out_whom_nobody_met_and_small_parts(insight: Insight) {
    let visit = |kind: &str, outcome: &str, favourable| {
        insight.event(&VisitRecorded {
            programme_id: insight.programme.to_string(),
            happened_on: Some(on("2012-11-01")),
            district: RUBAVU.into(),
            plan_id: ids::new_id().to_string(),
            kind: kind.into(),
            outcome: outcome.into(),
            favourable,
            months_after: 6,
            ..Default::default()
        })
    };
    let mut events = Vec::new();
    for n in 0..20 {
        events.push(visit("livestock", if n < 12 { "livestock_alive" } else { "livestock_died" }, n < 12));
        events.push(visit("shelter", if n < 18 { "house_roofed" } else { "house_not_roofed" }, n < 18));
        events.push(visit("startup_capital", if n < 10 { "business_running" } else { "business_closed" }, n < 10));
    }
    events.extend((0..5).map(|_| visit("livestock", "not_found", false)));
    insight.hear(&events).await;
    let report = insight.report(&insight.operator, None).await;
    let told = ["visits_recorded", "outcomes_favourable.livestock", "outcomes_favourable.shelter", "outcomes_favourable"];
    assert_eq!(told.map(|code| figure(&report, code)), [Some(65), Some(60), Some(90), Some(67)]);
    assert_eq!(all(&report, "outcomes_favourable.vocational_training"), [(None, String::new(), false)]);
    let seen = insight.report(&insight.donor(), None).await;
    assert_eq!(all(&seen, "outcomes_favourable.shelter"), [(None, String::new(), true)], "two houses are without a roof");
    assert_eq!(all(&seen, "outcomes_favourable.livestock"), [(None, String::new(), true)]);
    assert_eq!(figure(&seen, "outcomes_favourable.startup_capital"), Some(50));
    assert_eq!(figure(&seen, "outcomes_favourable"), Some(67));
}

pub async fn what_was_published_stands_beside_its_figure(insight: Insight) {
    insight.hear(&insight.deliveries(6, RUBAVU, "livestock", "2012-03-01")).await;
    let published = PublishedFigures { store: insight.store.clone() };
    let request = |code: &str, day: Option<&str>, text: &str| CreatePublishedFigureRequest {
        request_id: ids::new_id().to_string(),
        programme_id: insight.programme.to_string(),
        code: code.into(),
        value: None,
        text: text.into(),
        source: "The programme's page".into(),
        published_on: day.map(on),
    };
    let create = async |caller: &Caller, request: CreatePublishedFigureRequest| {
        published.create_published_figure(asked(caller, request)).await.map(|answer| answer.into_inner())
    };
    let first = request("people_helped", Some("2014-12-01"), "over 11,000");
    let answer = create(&insight.operator, first.clone()).await.unwrap();
    assert_eq!(create(&insight.operator, first).await.unwrap(), answer, "once");
    create(&insight.operator, request("people_helped", Some("2012-01-01"), "some")).await.unwrap();
    let refusal = create(&insight.operator, request("people_seen", None, "many")).await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
    assert!(refusal.message().contains("code"), "{}", refusal.message());

    let donor = insight.donor();
    let list =
        ListPublishedFiguresRequest { programme_id: insight.programme.to_string(), page_size: 1, page_token: String::new() };
    let page = published.list_published_figures(asked(&donor, list)).await.unwrap().into_inner();
    assert_eq!((page.published_figures.len(), page.next_page_token.is_empty()), (1, false));
    let report = insight.report(&donor, None).await;
    let helped = report.sections[0].figures.iter().find(|f| f.code == "people_helped").unwrap();
    assert_eq!(helped.published.as_ref().unwrap().text, "over 11,000", "the one published last");
    let rubavu = insight.report(&insight.officer(&[RUBAVU]), None).await;
    assert!(rubavu.sections.iter().flat_map(|s| &s.figures).all(|f| f.published.is_none()), "it is of the whole programme");
}
