//! Histories made at random, with handovers in their midst: whatever is heard, cells are the sums of facts, and the order
//! in which the journals come beside each other does not matter.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sea_orm::EntityTrait as _;
use tahuka_proto::UnitKind;
use tahuka_proto::assistance::v1::TrainingCompleted;
use tahuka_proto::projects::v1::ProjectCompleted;

use super::giving::{HOLDERS, Tranche};
use super::*;
use crate::custody::store::memberships;
use crate::{fact, grant, heard, helped, indicator, need, tranche};

/// What makes a cell one, but its custodian.
type Key = [String; 9];

/// What the read model holds, as far as it may be compared.
#[derive(Debug, Default, PartialEq)]
pub struct Dump {
    pub cells: BTreeMap<(Uuid, Key), i64>,
    facts: BTreeMap<(Uuid, Key), i64>,
    helped: BTreeSet<String>,
    needs: BTreeSet<String>,
    grants: BTreeMap<Uuid, Uuid>,
    tranches: BTreeMap<(Uuid, Uuid, Key), i64>,
    heard: BTreeMap<Uuid, (i64, DateTime<Utc>)>,
}

impl Dump {
    /// An indicator's sums by custodian.
    pub fn held(&self, code: &str) -> BTreeMap<Uuid, i64> {
        let mut sums = BTreeMap::new();
        for ((custodian, _), value) in self.cells.iter().filter(|((_, key), _)| key[0] == code) {
            *sums.entry(*custodian).or_default() += value;
        }
        sums
    }

    /// The programme's sums, whoever answers for what.
    fn programme(&self) -> BTreeMap<&Key, i64> {
        let mut sums = BTreeMap::new();
        for ((_, key), value) in &self.cells {
            *sums.entry(key).or_default() += value;
        }
        sums.retain(|_, value| *value != 0);
        sums
    }
}

/// All of it, by the custodians that it has now.
pub async fn dump(insight: &Insight) -> Dump {
    let tx = insight.store.system("test").await.unwrap();
    let mut dump = Dump::default();
    macro_rules! key {
        ($row:expr) => {{
            let row = $row;
            [row.indicator, row.district, row.kind, row.sex, row.age_band, row.category, row.grant_id, row.month, row.currency]
        }};
    }
    for row in indicator::store::Entity::find().all(tx.conn()).await.unwrap() {
        let (custodian, value) = (row.custodian_id, row.value);
        dump.cells.insert((custodian, key!(row)), value);
    }
    for row in fact::Entity::find().all(tx.conn()).await.unwrap() {
        let of_grant = !row.currency.is_empty() && !row.grant_id.is_empty();
        let unit = match of_grant {
            true => Some((UnitKind::Grant, row.grant_id.parse().unwrap())),
            false => UnitKind::parse(&row.unit_kind).zip(row.unit_id),
        };
        let members = memberships(&tx, unit.map(|(_, id)| id)).await.unwrap();
        let custodian = unit.and_then(|unit| members.custodian(unit)).unwrap_or(row.custodian_id);
        let value = row.value;
        *dump.facts.entry((custodian, key!(row))).or_default() += value;
    }
    for row in tranche::store::Entity::find().all(tx.conn()).await.unwrap() {
        let (id, custodian, value) = (row.tranche_id, row.custodian_id, row.value);
        dump.tranches.insert((id, custodian, key!(row)), value);
    }
    for row in helped::Entity::find().all(tx.conn()).await.unwrap() {
        dump.helped.insert(format!("{row:?}"));
    }
    for mut row in need::store::Entity::find().all(tx.conn()).await.unwrap() {
        // When it was written; and where money is counted follows from its grant.
        (row.recorded_at, row.counted_by) = (DateTime::UNIX_EPOCH, None);
        dump.needs.insert(format!("{row:?}"));
    }
    for row in grant::Entity::find().all(tx.conn()).await.unwrap() {
        dump.grants.insert(row.id, row.custodian_id);
    }
    for row in heard::Entity::find().all(tx.conn()).await.unwrap() {
        dump.heard.insert(row.custodian_id, (row.events_counted, row.last_event_at));
    }
    for sums in [&mut dump.cells, &mut dump.facts] {
        sums.retain(|_, value| *value != 0);
    }
    dump.tranches.retain(|_, value| *value != 0);
    dump
}

/// Events by the service that published them, in the order of their time.
struct History {
    rng: StdRng,
    now: DateTime<Utc>,
    events: Vec<(&'static str, Event)>,
    programme: Uuid,
    /// Who answers for each household, project and grant.
    holders: BTreeMap<(&'static str, Uuid), Uuid>,
    sealed: BTreeSet<Uuid>,
    people: BTreeMap<Uuid, Vec<Uuid>>,
}

const KINDS: [&str; 2] = ["livestock", "shelter"];

impl History {
    fn new(seed: u64, insight: &Insight) -> Self {
        let mut history = History {
            rng: StdRng::seed_from_u64(seed),
            now: "2012-01-01T00:00:00Z".parse().unwrap(),
            events: Vec::new(),
            programme: insight.programme,
            holders: BTreeMap::new(),
            sealed: BTreeSet::new(),
            people: BTreeMap::new(),
        };
        let own = insight.operator.tenant_id;
        for (kind, count) in [("household", 8), ("project", 2), ("grant", 3)] {
            for _ in 0..count {
                let unit = ids::new_id();
                history.holders.insert((kind, unit), own);
                match kind {
                    "household" => {
                        history.people.insert(unit, (0..2).map(|_| ids::new_id()).collect());
                    }
                    "grant" => history.push("funding", own, insight.grant(unit, None, usd(10_000))),
                    _ => {}
                }
            }
        }
        history
    }

    fn push(&mut self, service: &'static str, custodian: Uuid, event: Event) {
        self.now += Duration::seconds(60);
        self.events.push((service, Event { custodian, recorded_at: self.now, ..event }));
    }

    fn pick(&mut self, kind: &'static str) -> Option<(Uuid, Uuid)> {
        let open: Vec<_> = self.holders.iter().filter(|((k, id), _)| *k == kind && !self.sealed.contains(id)).collect();
        let at = (!open.is_empty()).then(|| self.rng.gen_range(0..open.len()))?;
        Some((open[at].0.1, *open[at].1))
    }

    /// One thing that happens to something that is not sealed.
    fn happen(&mut self, insight: &Insight) {
        let (programme_id, day) = (self.programme.to_string(), format!("2012-{:02}-01", self.rng.gen_range(1..13)));
        let (happened_on, district) = (Some(on(&day)), if self.rng.gen_bool(0.5) { RUBAVU } else { MUSANZE });
        let kind = KINDS[self.rng.gen_range(0..2)];
        macro_rules! event {
            ($service:literal, $custodian:expr, $event:ident { $($field:ident : $value:expr),* $(,)? }) => {{
                #[allow(clippy::needless_update)] // One of them has no other fields.
                let event = insight.event(&$event {
                    programme_id, happened_on, district: district.into(), $($field: $value,)* ..Default::default()
                });
                self.push($service, $custodian, event);
            }};
        }
        let choice = self.rng.gen_range(0..10);
        if choice < 4 {
            let Some((household, holder)) = self.pick("household") else { return };
            let person = self.people[&household][self.rng.gen_range(0..2)].to_string();
            let (household_id, kind) = (household.to_string(), kind.to_owned());
            match choice {
                0 => event!("registry", holder, HouseholdRegistered { household_id: household_id, category: "returnee".into() }),
                1 => event!(
                    "registry",
                    holder,
                    IndividualRegistered { household_id: household_id, individual_id: person, sex: "female".into() }
                ),
                2 => event!(
                    "assistance",
                    holder,
                    AssistanceDelivered { household_id: household_id, individual_id: person, kind: kind }
                ),
                _ => event!("assistance", holder, TrainingCompleted { household_id: household_id, kind: kind }),
            }
        } else if choice < 5 {
            let Some((project, holder)) = self.pick("project") else { return };
            match self.rng.gen_range(0..2) {
                0 => event!("projects", holder, ProjectCompleted { project_id: project.to_string() }),
                _ => event!("projects", holder, PeopleServed { project_id: project.to_string(), people: 40 }),
            }
        } else if choice < 6 {
            let Some((_, holder)) = self.pick("grant") else { return };
            event!("projects", holder, CampaignHeld { campaign_id: ids::new_id().to_string(), level: "local".into(), reach: 9 });
        } else {
            self.money(insight, &day, district);
        }
    }

    /// A need of a household, of a project or of a campaign, in any stage whatever came before.
    fn money(&mut self, insight: &Insight, day: &str, district: &str) {
        let Some((grant, of_grant)) = self.pick("grant") else { return };
        let (need, need_kind, household, holder) = match self.rng.gen_range(0..5) {
            0..3 => match self.pick("household") {
                // Two needs of each household.
                Some((h, holder)) => (Uuid::from_u128(h.as_u128() ^ self.rng.gen_range(1..3u128)), "plan", h.to_string(), holder),
                None => return,
            },
            3 => match self.pick("project") {
                Some((project, holder)) => (project, "project", String::new(), holder),
                None => return,
            },
            _ => (Uuid::from_u128(77), "campaign", String::new(), of_grant),
        };
        let kind = if need_kind == "plan" { KINDS[self.rng.gen_range(0..2)] } else { need_kind };
        let amount = self.rng.gen_range(1..500);
        macro_rules! told {
            ($event:ident, $grant:expr) => {
                insight.event(&$event {
                    programme_id: self.programme.to_string(),
                    happened_on: Some(on(day)),
                    grant_id: $grant,
                    need_id: need.to_string(),
                    need_kind: need_kind.into(),
                    kind: kind.into(),
                    district: district.into(),
                    amount: Some(usd(amount)),
                    household_id: household,
                })
            };
        }
        let event = match self.rng.gen_range(0..5) {
            0 => told!(FundsNotAvailable, String::new()),
            1 => told!(FundsReserved, grant.to_string()),
            2 => told!(FundsCommitted, grant.to_string()),
            3 => told!(FundsReleased, grant.to_string()),
            _ => told!(ExpenditureRecorded, grant.to_string()),
        };
        self.push("funding", holder, event);
    }

    /// Some of what the sender has is sealed, perhaps unsealed again, and goes over.
    fn hand_over(&mut self, insight: &Insight, sender: Uuid, recipient: Uuid, gives_up_first: bool) {
        let tranche = Tranche { sender, ..Tranche::new(insight, recipient) };
        for given_up in gives_up_first.then_some(true).into_iter().chain([false]) {
            let own: Vec<_> = self.holders.iter().filter(|(_, holder)| **holder == sender).map(|(unit, _)| *unit).collect();
            let units: Vec<_> = own.into_iter().filter(|_| self.rng.gen_bool(0.6)).collect();
            let of = |kind: &str| units.iter().filter(|(k, _)| *k == kind).map(|(_, id)| *id).collect::<Vec<_>>();
            self.push("handover", sender, tranche.asked_to_seal());
            for (kind, service) in [("household", "registry"), ("project", "projects"), ("grant", "funding")] {
                for page in of(kind).chunks(3) {
                    self.push(service, sender, tranche.units(kind, page));
                }
            }
            self.sealed = units.iter().map(|(_, id)| *id).collect();
            for service in HOLDERS {
                self.push(service, sender, tranche.sealed(service));
                self.happen(insight);
            }
            if given_up {
                self.push("handover", sender, tranche.asked_to_unseal());
                for service in HOLDERS {
                    self.push(service, sender, tranche.unsealed(service));
                }
                self.sealed.clear();
                self.happen(insight);
                continue;
            }
            self.push("handover", sender, tranche.asked_to_transfer());
            for service in HOLDERS {
                self.happen(insight);
                self.push(service, sender, tranche.transferred(service));
            }
            for unit in units {
                self.holders.insert(unit, recipient);
            }
            self.sealed.clear();
        }
    }

    /// The journals in another order beside each other, each in its own.
    fn shuffled(&mut self) -> Vec<Event> {
        let mut journals: BTreeMap<&str, std::collections::VecDeque<Event>> = BTreeMap::new();
        for (service, event) in &self.events {
            journals.entry(service).or_default().push_back(event.clone());
        }
        let mut events = Vec::new();
        while !journals.is_empty() {
            let services: Vec<_> = journals.keys().copied().collect();
            let service = services[self.rng.gen_range(0..services.len())];
            // A run of one journal.
            for _ in 0..self.rng.gen_range(1..40) {
                events.extend(journals.get_mut(service).and_then(std::collections::VecDeque::pop_front));
            }
            journals.retain(|_, left| !left.is_empty());
        }
        events
    }

    /// Some events come twice, later on, and are known by their inbox rows then.
    async fn hear(&mut self, insight: &Insight, events: &[Event]) {
        let mut known = BTreeSet::new();
        let mut left = events;
        while !left.is_empty() {
            let (batch, rest) = left.split_at(self.rng.gen_range(1..=left.len().min(30)));
            let start = events.len() - left.len();
            let again = (start > 0).then(|| events[self.rng.gen_range(0..start)].clone());
            let batch: Vec<_> = batch.iter().cloned().chain(again).filter(|event| known.insert(event.id)).collect();
            insight.hear(&batch).await;
            left = rest;
        }
    }
}

pub async fn whatever_is_heard_in_whatever_order_cells_are_the_sums_of_facts(insight: Insight) {
    let seeds = std::env::var("TAHUKA_TEST_HISTORIES").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    for seed in 0..seeds {
        let here = Insight { programme: ids::new_id(), ..insight.again().await };
        let mut history = History::new(seed, &here);
        let (operator, ministry, district) = (here.operator.tenant_id, ids::new_id(), ids::new_id());
        for (sender, recipient, gives_up_first) in
            [(operator, ministry, seed % 2 == 0), (ministry, district, false), (operator, ministry, true)]
        {
            for _ in 0..60 {
                history.happen(&here);
            }
            history.hand_over(&here, sender, recipient, gives_up_first);
        }
        for _ in 0..60 {
            history.happen(&here);
        }
        let events: Vec<_> = history.events.iter().map(|(_, event)| event.clone()).collect();
        history.hear(&here, &events).await;
        let incremental = dump(&here).await;
        assert_eq!(incremental.cells, incremental.facts, "seed {seed}");
        assert!(incremental.cells.keys().map(|(custodian, _)| *custodian).collect::<BTreeSet<_>>().len() >= 2, "seed {seed}");
        assert!(!incremental.tranches.is_empty(), "seed {seed}");

        // Without a handover the programme comes to the same, whoever answers for what.
        let alone = insight.again().await;
        let plain: Vec<_> = events.iter().filter(|event| !event.kind.contains("handover")).cloned().collect();
        history.hear(&alone, &plain).await;
        assert_eq!(dump(&alone).await.programme(), incremental.programme(), "seed {seed}");

        let anew = insight.again().await;
        let shuffled = history.shuffled();
        history.hear(&anew, &shuffled).await;
        assert_eq!(dump(&anew).await, incremental, "seed {seed}");
    }
}
