//! A tranche goes over: whose the figures are then, and that they are the same ones.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, Statement};
use tahuka_chassis::House;
use tahuka_chassis::consumer::rebuild;
use tahuka_chassis::journal::status;
use tahuka_proto::handover::v1::*;

use super::history::dump;
use super::*;

/// A tranche from the operator to a ministry.
pub struct Tranche {
    pub id: Uuid,
    pub sender: Uuid,
    pub recipient: Uuid,
    pub programme: Uuid,
}

pub const HOLDERS: [&str; 4] = ["registry", "assistance", "projects", "funding"];

impl Tranche {
    pub fn new(insight: &Insight, recipient: Uuid) -> Self {
        Tranche { id: ids::new_id(), sender: insight.operator.tenant_id, recipient, programme: insight.programme }
    }

    pub fn event<M: EventMessage>(&self, event: &M) -> Event {
        Event {
            id: ids::new_id(),
            kind: M::KIND.to_owned(),
            custodian: self.sender,
            aggregate_id: self.id,
            recorded_at: clock::now(),
            body: event.encode_to_vec().into(),
        }
    }

    fn id(&self) -> String {
        self.id.to_string()
    }

    pub fn asked_to_seal(&self) -> Event {
        let (sender_id, recipient_id) = (self.sender.to_string(), self.recipient.to_string());
        let programme_id = self.programme.to_string();
        self.event(&TrancheSealRequested { tranche_id: self.id(), programme_id, sender_id, recipient_id, ..Default::default() })
    }

    pub fn units(&self, kind: &str, units: &[Uuid]) -> Event {
        let unit_ids = units.iter().map(Uuid::to_string).collect();
        self.event(&UnitsSealed { tranche_id: self.id(), unit_kind: kind.into(), unit_ids })
    }

    pub fn sealed(&self, service: &str) -> Event {
        self.event(&SliceSealed { tranche_id: self.id(), service: service.into(), ..Default::default() })
    }

    pub fn unsealed(&self, service: &str) -> Event {
        self.event(&SliceUnsealed { tranche_id: self.id(), service: service.into() })
    }

    pub fn asked_to_unseal(&self) -> Event {
        self.event(&TrancheUnsealRequested { tranche_id: self.id(), happened_on: Some(on("2012-12-30")) })
    }

    pub fn asked_to_transfer(&self) -> Event {
        let (sender_id, recipient_id) = (self.sender.to_string(), self.recipient.to_string());
        let (programme_id, happened_on) = (self.programme.to_string(), Some(on("2012-12-31")));
        self.event(&TrancheTransferRequested { tranche_id: self.id(), programme_id, sender_id, recipient_id, happened_on })
    }

    pub fn transferred(&self, service: &str) -> Event {
        self.event(&SliceTransferred { tranche_id: self.id(), service: service.into(), records: 1 })
    }

    /// From the request to seal until it has gone over.
    pub fn goes_over(&self, units: &[(&str, &[Uuid])]) -> Vec<Event> {
        let mut events = vec![self.asked_to_seal()];
        events.extend(units.iter().map(|(kind, units)| self.units(kind, units)));
        events.extend(HOLDERS.map(|service| self.sealed(service)));
        events.push(self.asked_to_transfer());
        events.extend(HOLDERS.map(|service| self.transferred(service)));
        events
    }
}

/// A household with a person who is registered and helped.
pub struct Family {
    pub household: Uuid,
    pub person: Uuid,
}

impl Family {
    pub fn new() -> Self {
        Family { household: ids::new_id(), person: ids::new_id() }
    }

    pub fn registered(&self, insight: &Insight, district: &str) -> Vec<Event> {
        let (programme_id, happened_on) = (insight.programme.to_string(), Some(on("2011-05-01")));
        let household = HouseholdRegistered {
            programme_id: programme_id.clone(),
            happened_on,
            district: district.into(),
            household_id: self.household.to_string(),
            category: "returnee".into(),
        };
        let person = IndividualRegistered {
            programme_id,
            happened_on,
            district: district.into(),
            household_id: self.household.to_string(),
            individual_id: self.person.to_string(),
            sex: "female".into(),
            age_band: "25-59".into(),
            category: "returnee".into(),
        };
        vec![insight.event(&household), insight.event(&person)]
    }

    pub fn helped(&self, insight: &Insight, district: &str, kind: &str, day: &str) -> Event {
        insight.event(&AssistanceDelivered {
            programme_id: insight.programme.to_string(),
            happened_on: Some(on(day)),
            district: district.into(),
            plan_id: ids::new_id().to_string(),
            household_id: self.household.to_string(),
            individual_id: self.person.to_string(),
            kind: kind.into(),
            sex: "female".into(),
            age_band: "25-59".into(),
            category: "returnee".into(),
            grant_id: String::new(),
            cost: Some(usd(300)),
            item: "goat".into(),
        })
    }
}

fn families(count: usize) -> Vec<Family> {
    (0..count).map(|_| Family::new()).collect()
}

fn households(families: &[Family]) -> Vec<Uuid> {
    families.iter().map(|family| family.household).collect()
}

/// As if who answers for the record had published it.
fn by(custodian: Uuid, event: Event) -> Event {
    Event { custodian, ..event }
}

/// The same caller, let in by `custodian` as well.
fn let_in(caller: &Caller, custodian: Uuid, level: DisclosureLevel) -> Caller {
    let Scope::Entries(mut entries) = caller.scope.clone() else { panic!("no entries") };
    entries.push(entry(custodian, level, &[], false));
    Caller { scope: Scope::Entries(entries), ..caller.clone() }
}

/// A report without what says how far events were heard.
fn told(mut report: ProgrammeReport) -> ProgrammeReport {
    (report.events_counted, report.last_event_at) = (0, None);
    report
}

pub async fn nobody_sees_a_seam_and_nobody_counts_twice(insight: Insight) {
    let (rubavu, musanze) = (families(7), families(9));
    let mut events = Vec::new();
    for (district, families) in [(RUBAVU, &rubavu), (MUSANZE, &musanze)] {
        for family in families {
            events.extend(family.registered(&insight, district));
            events.push(family.helped(&insight, district, "livestock", "2012-03-01"));
        }
    }
    let ministry = caller(ids::new_id(), TenantKind::Ministry, Vec::new());
    let own = |level| entry(ministry.tenant_id, level, &[], true);
    let ministry = Caller { scope: Scope::Entries(vec![own(DisclosureLevel::Identified)]), ..ministry };
    insight.hear(&events).await;

    // Japan is let in by both, before there is anything that the ministry answers for.
    let japan = let_in(&insight.donor(), ministry.tenant_id, DisclosureLevel::Aggregate);
    let since = Some(on("2012-01-01"));
    let donor_before = insight.report(&japan, since).await;
    let operator_before = insight.report(&insight.operator, since).await;
    let request = GetProgrammeReportRequest { programme_id: insight.programme.to_string(), since };
    let reports = Reports { store: insight.store.clone() };
    let nothing = reports.get_programme_report(asked(&ministry, request)).await.unwrap_err();
    assert_eq!(nothing.code(), Code::NotFound, "the programme is none of the ministry's yet");

    let tranche = Tranche::new(&insight, ministry.tenant_id);
    insight.hear(&tranche.goes_over(&[("household", &households(&rubavu))])).await;

    assert_eq!(told(insight.report(&japan, since).await), told(donor_before), "the donor's report has no seam");
    let ours = insight.report(&ministry, since).await;
    let codes = ["people_registered", "people_helped", "people_helped.livestock", "people_helped_since"];
    assert_eq!(codes.map(|code| figure(&ours, code)), [Some(7); 4]);
    let theirs = insight.report(&insight.operator, since).await;
    assert_eq!(codes.map(|code| figure(&theirs, code)), [Some(9); 4], "the sender is let in no more");
    assert_eq!(theirs.districts.len(), 1);
    let both = let_in(&insight.operator, ministry.tenant_id, DisclosureLevel::Identified);
    assert_eq!(told(insight.report(&both, since).await), told(operator_before), "the programme is what it was");
    // As the agreement leaves it, counts are withheld over both together and not beside each other.
    let counts = let_in(&insight.operator, ministry.tenant_id, DisclosureLevel::Aggregate);
    assert_eq!(figure(&insight.report(&counts, since).await, "people_helped"), Some(16));
}

pub async fn what_goes_on_after_the_handover_is_the_recipients_and_the_same_persons(insight: Insight) {
    let ministry = caller(ids::new_id(), TenantKind::Ministry, Vec::new());
    let own = entry(ministry.tenant_id, DisclosureLevel::Identified, &[], true);
    let ministry = Caller { scope: Scope::Entries(vec![own]), ..ministry };
    let families = families(6);
    let helped = |day: &str| families.iter().map(|f| f.helped(&insight, RUBAVU, "livestock", day)).collect::<Vec<_>>();
    insight.hear(&helped("2012-03-01")).await;
    let tranche = Tranche::new(&insight, ministry.tenant_id);
    insight.hear(&tranche.goes_over(&[("household", &households(&families))])).await;

    // Later ones, and one that turns out to have been the first.
    let of_ministry = |events: Vec<Event>| events.into_iter().map(|event| by(ministry.tenant_id, event)).collect::<Vec<_>>();
    insight.hear(&of_ministry(helped("2013-02-01"))).await;
    insight.hear(&of_ministry(vec![families[0].helped(&insight, RUBAVU, "livestock", "2011-12-01")])).await;
    let both = let_in(&insight.operator, ministry.tenant_id, DisclosureLevel::Identified);
    for caller in [&ministry, &both] {
        let report = insight.report(caller, Some(on("2013-01-01"))).await;
        let codes = ["people_helped", "people_helped.livestock", "people_helped_since"];
        assert_eq!(codes.map(|code| figure(&report, code)), [Some(6); 3]);
        let deliveries = insight.query(caller, "assistance_delivered", &[]).await;
        assert_eq!(deliveries.totals[0].value, Some(13));
        let months = insight.query(caller, "people_helped", &[Dimension::Month]).await;
        assert_eq!(table(&months), [(vec!["2011-12"], Some(1)), (vec!["2012-03"], Some(5))]);
    }
    let left = insight.query(&insight.operator, "people_helped", &[]).await;
    assert_eq!(left.totals[0].value, Some(0));
}

pub async fn money_goes_with_its_grant_and_a_need_with_its_household(insight: Insight) {
    let ministry = ids::new_id();
    let (stays, goes) = (ids::new_id(), ids::new_id());
    let (funded, open) = (Family::new(), Family::new());
    let donor = insight.donor();
    macro_rules! money {
        ($kind:ident, $family:expr, $plan:expr, $grant:expr, $amount:expr) => {
            insight.event(&$kind {
                programme_id: insight.programme.to_string(),
                happened_on: Some(on("2012-05-01")),
                grant_id: edge::shown_uuid($grant),
                need_id: $plan.to_string(),
                need_kind: "plan".into(),
                kind: "livestock".into(),
                district: RUBAVU.into(),
                amount: Some(usd($amount)),
                household_id: $family.household.to_string(),
            })
        };
    }
    let (plan, second, waiting) = (ids::new_id(), ids::new_id(), ids::new_id());
    insight
        .hear(&[
            insight.grant(stays, Some(donor.tenant_id), usd(10_000)),
            insight.grant(goes, None, usd(5_000)),
            money!(FundsReserved, funded, plan, Some(stays), 300),
            money!(FundsReserved, funded, second, Some(goes), 200),
            money!(FundsNotAvailable, open, waiting, None, 450),
        ])
        .await;
    let tranche = Tranche::new(&insight, ministry);
    let households = [funded.household, open.household];
    insight.hear(&tranche.goes_over(&[("household", &households), ("grant", &[goes])])).await;

    let of = async |code: &str| {
        let mut told = Vec::new();
        for custodian in [insight.operator.tenant_id, ministry] {
            let only = vec![entry(custodian, DisclosureLevel::Identified, &[], false)];
            let caller = caller(custodian, TenantKind::Operator, only);
            let answer = insight.query(&caller, code, &[]).await;
            told.push(answer.totals.first().and_then(|total| total.value).unwrap_or_default());
        }
        (told[0], told[1])
    };
    assert_eq!(of("money_granted").await, (1_000_000, 500_000));
    assert_eq!(of("money_reserved").await, (30_000, 20_000));
    assert_eq!((of("money_needed").await, of("needs_open").await), ((0, 45_000), (0, 1)));

    // The plans are the ministry's to go on with; whose the money is does not change by that.
    insight
        .hear(&[
            by(ministry, money!(FundsCommitted, funded, plan, Some(stays), 300)),
            by(ministry, money!(ExpenditureRecorded, funded, plan, Some(stays), 280)),
            by(ministry, money!(FundsCommitted, funded, second, Some(goes), 200)),
            by(ministry, money!(FundsReserved, open, waiting, Some(stays), 450)),
        ])
        .await;
    assert_eq!(of("money_reserved").await, (45_000, 0));
    assert_eq!((of("money_committed").await, of("money_spent").await), ((0, 20_000), (28_000, 0)));
    assert_eq!((of("money_needed").await, of("needs_open").await), ((0, 0), (0, 0)));
    // The donor of the grant that stays is let in by the sender, and follows its money to the last of it.
    let japan = insight.report(&donor, None).await;
    let [line] = &japan.grants[..] else { panic!("one grant") };
    assert_eq!((line.reserved.clone(), line.spent.clone()), (Some(usd(450)), Some(usd(280))));
}

/// The bodies of what insight has published, of one kind.
async fn said<M: EventMessage>(insight: &Insight) -> Vec<M> {
    let tx = insight.store.system("test").await.unwrap();
    let sql = "SELECT body FROM journal WHERE kind = $1 ORDER BY seq";
    let statement = Statement::from_sql_and_values(tx.conn().get_database_backend(), sql, [M::KIND.into()]);
    let rows = tx.conn().query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| M::decode(&row.try_get::<Vec<u8>>("", "body").unwrap()[..]).unwrap()).collect()
}

pub async fn it_says_that_it_has_sealed_when_all_others_have_and_each_request_is_answered_once(insight: Insight) {
    let family = Family::new();
    insight.hear(&family.registered(&insight, RUBAVU)).await;
    let tranche = Tranche::new(&insight, ids::new_id());
    let count = async || (said::<SliceSealed>(&insight).await.len(), said::<SliceUnsealed>(&insight).await.len());

    let request = tranche.asked_to_seal();
    insight.hear(&[request.clone(), tranche.units("household", &[family.household])]).await;
    for (n, service) in HOLDERS.into_iter().enumerate() {
        assert_eq!(count().await.0, 0, "{n} of four");
        insight.hear(&[tranche.sealed(service)]).await;
    }
    assert_eq!(count().await, (1, 0));
    let sealed = &said::<SliceSealed>(&insight).await[0];
    assert_eq!((sealed.service.as_str(), sealed.households, sealed.grants), ("insight", 1, 0));
    insight.hear(&[request, tranche.sealed("funding")]).await;
    assert_eq!(count().await, (1, 0), "asked again");

    insight.hear(&[tranche.asked_to_unseal()]).await;
    insight.hear(&HOLDERS.map(|service| tranche.unsealed(service))).await;
    assert_eq!(count().await, (1, 1));
    assert!(figures(&insight, &insight.operator, tranche.id).await.is_err(), "it is sealed no more");

    insight.hear(&[tranche.asked_to_seal()]).await;
    assert_eq!(count().await, (1, 1), "the others have unsealed");
    insight.hear(&[tranche.units("household", &[family.household])]).await;
    insight.hear(&HOLDERS.map(|service| tranche.sealed(service))).await;
    assert_eq!(count().await, (2, 1));
    insight.hear(&[tranche.asked_to_transfer()]).await;
    for service in HOLDERS {
        assert!(said::<SliceTransferred>(&insight).await.is_empty() || service == "funding");
        insight.hear(&[tranche.transferred(service)]).await;
    }
    let given = said::<SliceTransferred>(&insight).await;
    assert_eq!(given.len(), 1);
    assert_eq!((given[0].service.as_str(), given[0].records), ("insight", 2));
}

/// In one process, what two services say at the same moment is heard at the same moment.
pub async fn what_is_heard_at_once_is_taken_one_after_the_other(insight: Insight) {
    let families = families(4);
    let tranche = Tranche::new(&insight, ids::new_id());
    let events = families.iter().flat_map(|family| family.registered(&insight, RUBAVU)).collect::<Vec<_>>();
    insight.hear(&events).await;
    insight.hear(&[tranche.asked_to_seal(), tranche.units("household", &households(&families))]).await;
    let at_once = async |events: [Event; 4]| {
        futures::future::join_all(events.iter().map(|event| insight.hear(std::slice::from_ref(event)))).await;
    };
    at_once(HOLDERS.map(|service| tranche.sealed(service))).await;
    assert_eq!(said::<SliceSealed>(&insight).await.len(), 1);
    insight.hear(&[tranche.asked_to_transfer()]).await;
    at_once(HOLDERS.map(|service| tranche.transferred(service))).await;
    assert_eq!(said::<SliceTransferred>(&insight).await.len(), 1);
    let dump = dump(&insight).await;
    assert_eq!(dump.held("people_registered"), BTreeMap::from([(tranche.recipient, 4)]));
}

async fn figures(insight: &Insight, caller: &Caller, tranche: Uuid) -> Result<GetTrancheFiguresResponse, tonic::Status> {
    let request = GetTrancheFiguresRequest { programme_id: insight.programme.to_string(), tranche_id: tranche.to_string() };
    let reports = Reports { store: insight.store.clone() };
    Ok(reports.get_tranche_figures(asked(caller, request)).await?.into_inner())
}

pub async fn two_installations_have_the_same_figures_of_a_tranche(insight: Insight) {
    let ministry = insight.officer(&[]);
    let (goes, stays) = (families(6), families(3));
    let mut slice = Vec::new();
    let mut rest = Vec::new();
    for (families, events) in [(&goes, &mut slice), (&stays, &mut rest)] {
        for family in families {
            events.extend(family.registered(&insight, RUBAVU));
            events.push(family.helped(&insight, RUBAVU, "livestock", "2012-03-01"));
            events.push(family.helped(&insight, RUBAVU, "shelter", "2012-04-01"));
        }
    }
    insight.hear(&[slice.clone(), rest].concat()).await;
    let tranche = Tranche::new(&insight, ministry.tenant_id);
    let units: &[(&str, &[Uuid])] = &[("household", &households(&goes))];
    let events = tranche.goes_over(units);
    let (sealed, given) = events.split_at(6);
    insight.hear(sealed).await;
    let before = figures(&insight, &insight.operator, tranche.id).await.unwrap();
    insight.hear(given).await;

    // The ministry's own installation: what the bundle's journals hold, and that it was given over.
    let own = Insight { programme: insight.programme, operator: insight.operator.clone(), ..Insight::new(None).await };
    own.hear(&[slice, tranche.goes_over(units)].concat()).await;
    let there = figures(&own, &ministry, tranche.id).await.unwrap();
    let here = figures(&insight, &ministry, tranche.id).await.unwrap();
    assert_eq!(prost_bytes(&there), prost_bytes(&here));
    assert_eq!((&here, here.sha256.len(), here.records), (&before, 64, 7));
    let value = |indicator: &str| here.figures.iter().filter(|f| f.indicator == indicator).map(|f| f.value).sum::<i64>();
    let codes = ["households_registered", "people_helped", "people_helped_by_kind", "assistance_delivered"];
    assert_eq!(codes.map(value), [6, 6, 12, 12]);

    // The recipient works on; the tranche is what was handed over. The sender is let in no more.
    insight.hear(&[by(ministry.tenant_id, goes[0].helped(&insight, RUBAVU, "livestock", "2013-01-01"))]).await;
    assert_eq!(figures(&insight, &ministry, tranche.id).await.unwrap(), here);
    let refusal = figures(&insight, &insight.operator, tranche.id).await.unwrap_err();
    assert_eq!(refusal.code(), Code::NotFound);
    let none = figures(&insight, &ministry, ids::new_id()).await.unwrap_err();
    assert_eq!(none.code(), Code::NotFound);
    // An officer of another district has no part in it.
    let musanze = Caller { tenant_id: ministry.tenant_id, ..caller(ministry.tenant_id, TenantKind::Ministry, Vec::new()) };
    let part = entry(ministry.tenant_id, DisclosureLevel::Identified, &[MUSANZE], true);
    let musanze = Caller { scope: Scope::Entries(vec![part]), ..musanze };
    assert_eq!(figures(&insight, &musanze, tranche.id).await.unwrap_err().code(), Code::NotFound);
}

fn prost_bytes(message: &GetTrancheFiguresResponse) -> Vec<u8> {
    prost::Message::encode_to_vec(message)
}

pub async fn the_read_model_that_is_made_anew_has_the_same_custodians(insight: Insight) {
    let families = families(5);
    let ministry = ids::new_id();
    let mut events = Vec::new();
    for family in &families {
        events.extend(family.registered(&insight, RUBAVU));
        events.push(family.helped(&insight, RUBAVU, "livestock", "2012-03-01"));
    }
    let tranche = Tranche::new(&insight, ministry);
    events.extend(tranche.goes_over(&[("household", &households(&families[..3]))]));
    events.push(by(ministry, families[0].helped(&insight, RUBAVU, "shelter", "2013-03-01")));

    // Through the bus and the inbox: each event as insight's own, which is as good as anybody's.
    let house = House::start(vec![crate::service()], insight.config.clone()).await.unwrap();
    let store = house.stores[0].1.clone();
    publish(&store, &events).await;
    published(&store).await;
    let first = dump(&insight).await;
    assert_eq!(first.held("people_helped"), BTreeMap::from([(insight.operator.tenant_id, 2), (ministry, 3)]));
    assert_eq!(said::<SliceTransferred>(&insight).await.iter().filter(|s| s.service == "insight").count(), 1);

    // Everything once more: nothing has a second effect.
    status::publish_again(&store).await.unwrap();
    published(&store).await;
    assert_eq!(dump(&insight).await, first);
    house.stop().await;

    // Forgotten, and made anew: the same, and nobody is told anything twice.
    let spec = crate::service();
    let built = spec.for_command(insight.store.clone(), &insight.config).unwrap();
    let forgotten = rebuild::forget(&insight.store, &built.consumers, crate::READ_MODEL).await.unwrap();
    assert!(forgotten.rows > 0);
    drop(forgotten);
    assert!(dump(&insight).await.cells.is_empty());
    status::publish_again(&insight.store).await.unwrap();
    let house = House::start(vec![crate::service()], insight.config.clone()).await.unwrap();
    published(&house.stores[0].1).await;
    assert_eq!(dump(&insight).await, first);
    assert_eq!(said::<SliceTransferred>(&insight).await.iter().filter(|s| s.service == "insight").count(), 1);
    house.stop().await;
}

pub async fn its_part_of_the_bundle_is_written_once_it_is_sealed_and_says_what_is_told(insight: Insight) {
    use futures::TryStreamExt as _;
    use sha2::Digest as _;
    use tahuka_chassis::bundles::Bundles;

    let families = families(6);
    let events = families.iter().flat_map(|family| family.registered(&insight, RUBAVU)).collect::<Vec<_>>();
    insight.hear(&events).await;
    let tranche = Tranche::new(&insight, ids::new_id());
    let bundles = Bundles::of(&insight.config);
    let bundling = crate::tranche::bundle::Bundling { bundles: bundles.clone() };
    let request = tranche.event(&TrancheBundleRequested { tranche_id: tranche.id(), bundle_number: 1 });
    let ask = async || {
        let mut tx = insight.store.system("bundle").await.unwrap();
        bundling.handle(&mut tx, &request).await?;
        tx.commit().await
    };
    assert!(ask().await.unwrap_err().is_transient(), "the others have not sealed yet");
    insight.hear(&tranche.goes_over(&[("household", &households(&families))])[..6]).await;
    ask().await.unwrap();
    ask().await.unwrap();
    let told = said::<SliceBundled>(&insight).await;
    let [told] = &told[..] else { panic!("told once") };
    let paths: Vec<_> = told.files.iter().map(|file| (file.path.as_str(), file.records)).collect();
    assert_eq!(paths, [("data/insight/figures.jsonl", 2), ("data/insight/figures.schema.json", 0)]);
    for file in &told.files {
        let pieces: Vec<_> = bundles.read(tranche.id, 1, &file.path).await.unwrap().try_collect().await.unwrap();
        let content: Vec<u8> = pieces.concat();
        assert_eq!(file.bytes, content.len() as i64);
        assert_eq!(file.sha256, format!("{:x}", sha2::Sha256::digest(&content)));
    }
    let answer = figures(&insight, &insight.operator, tranche.id).await.unwrap();
    assert_eq!((answer.sha256.as_str(), answer.records), (told.files[0].sha256.as_str(), told.records));
}

/// Puts events into insight's own journal.
async fn publish(store: &Store, events: &[Event]) {
    let tx = store.system("test").await.unwrap();
    for event in events {
        let sql = "INSERT INTO journal (event_id, kind, subject, custodian_id, aggregate_id, body, recorded_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let values: Vec<sea_orm::Value> = vec![
            event.id.into(),
            event.kind.as_str().into(),
            format!("evt.{}.test.test.told", event.custodian).into(),
            event.custodian.into(),
            event.aggregate_id.into(),
            event.body.to_vec().into(),
            event.recorded_at.into(),
        ];
        tx.conn().execute_raw(Statement::from_sql_and_values(tx.conn().get_database_backend(), sql, values)).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// Waits until everything in the journal has been taken.
async fn published(store: &Store) {
    for _ in 0..400 {
        let tx = store.system("test").await.unwrap();
        let sql = "SELECT count(*) AS n FROM journal WHERE published_at IS NULL";
        let row = tx.conn().query_one_raw(Statement::from_string(tx.conn().get_database_backend(), sql)).await.unwrap().unwrap();
        if row.try_get::<i64>("", "n").unwrap() == 0 {
            return;
        }
        drop(tx);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("events were not taken");
}
