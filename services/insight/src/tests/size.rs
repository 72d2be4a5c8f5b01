//! A tranche of many households: how long it takes to seal it here and to give it over.

use std::time::{Duration, Instant};

use super::giving::{HOLDERS, Tranche};
use super::history::dump;
use super::*;
use crate::fact::{self, Delta, Fact};
use crate::indicator::{Cell, store as cells};
use tahuka_proto::UnitKind;

/// Facts of a household with its history.
const FACTS: usize = 30;

/// `TAHUKA_TEST_HOUSEHOLDS` says how many; the mission expects 70,000.
pub async fn a_large_tranche_goes_over_in_one_piece(insight: Insight) {
    let count: usize = std::env::var("TAHUKA_TEST_HOUSEHOLDS").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    let households: Vec<Uuid> = (0..count).map(|_| ids::new_id()).collect();
    let codes = ["people_registered", "people_helped", "assistance_delivered", "visits_recorded", "plans_submitted"];
    let created = ProgrammeCreated { programme_id: insight.programme.to_string(), ..Default::default() };
    insight.hear(&[insight.event(&created)]).await;
    let begun = Instant::now();
    for (from, page) in households.chunks(1_000).enumerate() {
        let facts: Vec<Fact> = page
            .iter()
            .enumerate()
            .flat_map(|(n, household)| (0..FACTS).map(move |m| (from * 1_000 + n, m, *household)))
            .map(|(n, m, household)| {
                let day = NaiveDate::from_ymd_opt(2011 + (n % 4) as i32, 1 + (m % 12) as u32, 1).unwrap();
                let cell = Cell::of(insight.programme, insight.operator.tenant_id, day, codes[m % 5])
                    .district(&format!("RW{}", 11 + n % 30))
                    .kind(crate::report::KINDS[(n + m) % 4])
                    .person(["female", "male"][m % 2], ["0-4", "5-11", "18-24", "25-59"][m % 4], "returnee");
                let delta = Delta { cell, value: 1, unit: Some((UnitKind::Household, household)) };
                Fact { event: ids::new_id(), number: 0, happened_on: day, recorded_at: clock::now(), delta }
            })
            .collect();
        let tx = insight.store.system("test").await.unwrap();
        cells::add(&tx, facts.iter().map(|fact| (fact.delta.cell.clone(), 1)).collect()).await.unwrap();
        fact::insert(&tx, facts).await.unwrap();
        tx.commit().await.unwrap();
    }
    println!("{count} households, {} facts, written in {:.1} s", count * FACTS, begun.elapsed().as_secs_f64());

    let recipient = ids::new_id();
    let tranche = Tranche::new(&insight, recipient);
    let begun = Instant::now();
    insight.hear(&[tranche.asked_to_seal()]).await;
    let mut longest = Duration::ZERO;
    for page in households.chunks(1_000) {
        let one = Instant::now();
        insight.hear(&[tranche.units("household", page)]).await;
        longest = longest.max(one.elapsed());
    }
    insight.hear(&HOLDERS.map(|service| tranche.sealed(service))).await;
    println!("sealed in {:.1} s, a page in {:.2} s at most", begun.elapsed().as_secs_f64(), longest.as_secs_f64());
    let begun = Instant::now();
    insight.hear(&[tranche.asked_to_transfer()]).await;
    insight.hear(&HOLDERS.map(|service| tranche.transferred(service))).await;
    let given = begun.elapsed();
    println!("given over in {:.1} s", given.as_secs_f64());
    // The bus hands an event out again after 30 seconds.
    assert!(given < Duration::from_secs(25), "{given:?}");
    let whose = insight.query(&insight.operator, "people_helped", &[]).await;
    assert_eq!(whose.totals[0].value, Some(0));
    if count < 1_000 {
        let dump = dump(&insight).await;
        let all = (count * FACTS / codes.len()) as i64;
        assert_eq!(dump.held("people_helped"), std::collections::BTreeMap::from([(recipient, all)]));
    }
}
