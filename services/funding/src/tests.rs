//! Funding as its callers and the events of others meet it, each time on a database of its own: on SQLite, and on
//! PostgreSQL where TAHUKA_TEST_DATABASE_URL names a server.

use std::sync::Arc;
use std::time::Instant;

use prost::Message as _;
use sea_orm::{ConnectionTrait as _, Database, Statement};
use tahuka_chassis::consumer::Event;
use tahuka_chassis::{Caller, Config, Consumer as _, Scope, ScopeEntry, Store, TenantKind, clock, ids};
use tahuka_proto::EventMessage;
use tahuka_proto::assistance::v1::{AssistanceDelivered, PlanApproved, PlanCancelled, PlanSubmitted};
use tahuka_proto::funding::v1::appeal_service_server::AppealService as _;
use tahuka_proto::funding::v1::donor_service_server::DonorService as _;
use tahuka_proto::funding::v1::exchange_rate_service_server::ExchangeRateService as _;
use tahuka_proto::funding::v1::grant_service_server::GrantService as _;
use tahuka_proto::funding::v1::ledger_service_server::LedgerService as _;
use tahuka_proto::funding::v1::reservation_service_server::ReservationService as _;
use tahuka_proto::funding::v1::*;
use tahuka_proto::google::r#type::{Date, Money};
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::projects::v1::{CampaignHeld, ProjectCompleted, ProjectSubmitted};
use tonic::{Code, Request};
use uuid::Uuid;

use crate::appeal::rpc::Appeals;
use crate::consumers::Needs;
use crate::donor::rpc::Donors;
use crate::exchange_rate::rpc::ExchangeRates;
use crate::grant::rpc::Grants;
use crate::ledger::rpc::Ledger;
use crate::ledger::store::drift;
use crate::reservation::rpc::Reservations;

struct Funding {
    store: Store,
    programme: Uuid,
    operator: Caller,
    /// Somebody of the donor's.
    japan: Caller,
    _dir: tempfile::TempDir,
}

fn caller(tenant: Uuid, kind: TenantKind, custodian: Uuid, districts: &[&str], write: bool) -> Caller {
    let entry = ScopeEntry {
        category: DataCategory::Funding.into(),
        level: if write { DisclosureLevel::Identified } else { DisclosureLevel::Aggregate }.into(),
        custodian,
        districts: districts.iter().map(|d| (*d).to_owned()).collect(),
        write,
        ..Default::default()
    };
    Caller {
        tenant_id: tenant,
        tenant_kind: kind,
        subject: "somebody".into(),
        scope: Scope::Entries(vec![entry]),
        ..Caller::system("test")
    }
}

fn asked<M>(caller: &Caller, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller.clone());
    request
}

fn new_id() -> String {
    ids::new_id().to_string()
}

fn date(year: i32, month: i32, day: i32) -> Option<Date> {
    Some(Date { year, month, day })
}

fn money(units: i64, code: &str) -> Option<Money> {
    Some(Money { currency_code: code.into(), units, nanos: 0 })
}

fn usd(units: i64) -> Option<Money> {
    money(units, "USD")
}

impl Funding {
    async fn on_sqlite() -> Self {
        Self::on(None).await
    }

    async fn on_postgres() -> Option<Self> {
        let server = std::env::var("TAHUKA_TEST_DATABASE_URL").ok()?;
        let name = format!("funding_{}", ids::new_id().simple());
        Database::connect(&server).await.unwrap().execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
        Some(Self::on(Some(format!("{}/{name}", server.rsplit_once('/').unwrap().0))).await)
    }

    async fn on(url: Option<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        (config.database.url, config.database.max_connections) = (url, 8);
        let config = Arc::new(config);
        tahuka_chassis::migrate(&[crate::service()], &config).await.unwrap();
        let store = Store::open("funding", &config.database, &config.data_dir).await.unwrap();
        let own = ids::new_id();
        let operator = caller(own, TenantKind::Operator, own, &[], true);
        let japan = caller(ids::new_id(), TenantKind::Donor, own, &[], false);
        Funding { store, programme: ids::new_id(), operator, japan, _dir: dir }
    }

    fn grants(&self) -> Grants {
        Grants { store: self.store.clone() }
    }

    async fn donor(&self, tenant: &str) -> String {
        let donors = Donors { store: self.store.clone() };
        let request = CreateDonorRequest {
            request_id: new_id(),
            name: "Government of Japan".into(),
            tenant_id: tenant.into(),
            country: "JP".into(),
        };
        donors.create_donor(asked(&self.operator, request)).await.unwrap().into_inner().donor.unwrap().id
    }

    /// A grant of 10,000 dollars for 2010 to 2013.
    async fn grant(&self, change: impl FnOnce(&mut CreateGrantRequest)) -> Grant {
        let mut request = CreateGrantRequest {
            request_id: new_id(),
            programme_id: self.programme.to_string(),
            donor_id: String::new(),
            code: new_id(),
            title: "Reintegration of returnees".into(),
            amount: usd(10_000),
            starts_on: date(2010, 1, 1),
            ends_on: date(2013, 12, 31),
            earmarks: None,
        };
        change(&mut request);
        if request.donor_id.is_empty() {
            request.donor_id = self.donor(&self.japan.tenant_id.to_string()).await;
        }
        self.grants().create_grant(asked(&self.operator, request)).await.unwrap().into_inner().grant.unwrap()
    }

    async fn line(&self, grant: &Grant, kind: BudgetKind, amount: i64) -> CreateBudgetLineResponse {
        self.try_line(grant, kind, usd(amount)).await.unwrap()
    }

    async fn try_line(
        &self,
        grant: &Grant,
        kind: BudgetKind,
        amount: Option<Money>,
    ) -> Result<CreateBudgetLineResponse, tonic::Status> {
        let (request_id, grant_id) = (new_id(), grant.id.clone());
        let request = CreateBudgetLineRequest { request_id, grant_id, code: new_id(), kind: kind.into(), amount };
        Ok(self.grants().create_budget_line(asked(&self.operator, request)).await?.into_inner())
    }

    async fn instalment(&self, grant: &Grant, received: Option<Money>, received_on: Option<Date>) -> RecordInstalmentResponse {
        self.try_instalment(grant, received, received_on).await.unwrap()
    }

    async fn try_instalment(
        &self,
        grant: &Grant,
        received: Option<Money>,
        received_on: Option<Date>,
    ) -> Result<RecordInstalmentResponse, tonic::Status> {
        let request = RecordInstalmentRequest { request_id: new_id(), grant_id: grant.id.clone(), received, received_on };
        Ok(self.grants().record_instalment(asked(&self.operator, request)).await?.into_inner())
    }

    async fn rate(&self, base: &str, quote: &str, rate: &str, valid_on: Option<Date>) -> Result<ExchangeRate, tonic::Status> {
        let rates = ExchangeRates { store: self.store.clone() };
        let request = CreateExchangeRateRequest {
            request_id: new_id(),
            base: base.into(),
            quote: quote.into(),
            rate: rate.into(),
            valid_on,
            source: "United Nations operational rates of exchange".into(),
        };
        Ok(rates.create_exchange_rate(asked(&self.operator, request)).await?.into_inner().exchange_rate.unwrap())
    }

    async fn hear(&self, events: &[Event]) {
        let mut tx = self.store.system("needs").await.unwrap();
        for event in events {
            Needs.handle(&mut tx, event).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    fn event<M: EventMessage>(&self, message: M) -> Event {
        Event {
            id: ids::new_id(),
            kind: M::KIND.into(),
            custodian: self.operator.tenant_id,
            aggregate_id: ids::new_id(),
            recorded_at: clock::now(),
            body: message.encode_to_vec().into(),
        }
    }

    fn submitted(&self, plan: Uuid, kind: &str, cost: i64, priority_band: i32, on: Option<Date>) -> PlanSubmitted {
        PlanSubmitted {
            programme_id: self.programme.to_string(),
            happened_on: on,
            district: "RW33".into(),
            plan_id: plan.to_string(),
            kind: kind.into(),
            priority_band,
            cost: usd(cost),
            ..Default::default()
        }
    }

    async fn submit(&self, cost: i64, priority_band: i32, on: Option<Date>) -> Uuid {
        let plan = ids::new_id();
        self.hear(&[self.event(self.submitted(plan, "livestock", cost, priority_band, on))]).await;
        plan
    }

    async fn approve(&self, plan: Uuid, on: Option<Date>) {
        self.hear(&[self.event(PlanApproved { plan_id: plan.to_string(), happened_on: on, ..Default::default() })]).await;
    }

    async fn deliver(&self, plan: Uuid, cost: Option<Money>, on: Option<Date>) {
        let told = AssistanceDelivered { plan_id: plan.to_string(), happened_on: on, cost, ..Default::default() };
        self.hear(&[self.event(told)]).await;
    }

    async fn cancel(&self, plan: Uuid, on: Option<Date>) {
        self.hear(&[self.event(PlanCancelled { plan_id: plan.to_string(), happened_on: on, ..Default::default() })]).await;
    }

    /// The newest reservation events: name, need, amount in minor units and day.
    async fn told(&self) -> Vec<(String, String, i64, String)> {
        let tx = self.store.system("test").await.unwrap();
        let sql = "SELECT kind, body FROM journal WHERE subject LIKE '%.reservation.%' ORDER BY seq";
        let backend = tx.conn().get_database_backend();
        let rows = tx.conn().query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
        (rows.iter())
            .map(|row| {
                let kind: String = row.try_get("", "kind").unwrap();
                let body: Vec<u8> = row.try_get("", "body").unwrap();
                // All of them have the same fields.
                let event = FundsReserved::decode(body.as_slice()).unwrap();
                let (amount, on) = (event.amount.unwrap(), event.happened_on.unwrap());
                let minor = amount.units * 100 + i64::from(amount.nanos / 10_000_000);
                let name = kind.rsplit('.').next().unwrap().to_owned();
                (name, event.need_id, minor, format!("{}-{:02}-{:02}", on.year, on.month, on.day))
            })
            .collect()
    }

    async fn last(&self, need: Uuid) -> (String, i64, String) {
        let mine = self.told().await.into_iter().rfind(|(_, id, ..)| *id == need.to_string()).unwrap();
        (mine.0, mine.2, mine.3)
    }

    /// Available, reserved, committed and spent, in dollars.
    async fn money(&self, grant: &Grant) -> [i64; 4] {
        let request = GetGrantRequest { grant_id: grant.id.clone() };
        let grant = self.grants().get_grant(asked(&self.operator, request)).await.unwrap().into_inner().grant.unwrap();
        let b = grant.balances.unwrap();
        let four = [b.available, b.reserved, b.committed, b.spent].map(|m| m.unwrap().units);
        assert_eq!(b.received.unwrap().units, four.iter().sum::<i64>());
        four
    }

    async fn reservations(&self, caller: &Caller, grant: &str) -> Result<Vec<Reservation>, Code> {
        let reservations = Reservations { store: self.store.clone() };
        let request = ListReservationsRequest { grant_id: grant.into(), page_size: 1000, ..Default::default() };
        match reservations.list_reservations(asked(caller, request)).await {
            Ok(answer) => Ok(answer.into_inner().reservations),
            Err(status) => Err(status.code()),
        }
    }

    async fn needs(&self, caller: &Caller) -> Vec<Reservation> {
        let reservations = Reservations { store: self.store.clone() };
        let request = ListNeedsRequest { programme_id: self.programme.to_string(), ..Default::default() };
        reservations.list_needs(asked(caller, request)).await.unwrap().into_inner().needs
    }

    async fn appeal(&self) -> Appeal {
        let appeals = Appeals { store: self.store.clone() };
        let request = GetAppealRequest { programme_id: self.programme.to_string() };
        appeals.get_appeal(asked(&self.operator, request)).await.unwrap().into_inner().appeal.unwrap()
    }

    async fn postings(&self, grant: &Grant) -> Vec<Posting> {
        let ledger = Ledger { store: self.store.clone() };
        let (mut postings, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListPostingsRequest { grant_id: grant.id.clone(), page_size: 1000, page_token };
            let page = ledger.list_postings(asked(&self.operator, request)).await.unwrap().into_inner();
            postings.extend(page.postings);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return postings;
            }
        }
    }

    /// Every posting balances, the balances are the sums of the entries, and they come to nothing in each currency.
    async fn adds_up(&self, grant: &Grant) {
        use std::collections::BTreeMap;
        let minor = |money: Option<Money>| {
            let money = money.unwrap();
            (money.currency_code.clone(), i128::from(money.units) * 1_000_000_000 + i128::from(money.nanos))
        };
        let (mut sums, mut accounts) = (BTreeMap::<String, i128>::new(), BTreeMap::<(i32, String, String), i128>::new());
        for entry in self.postings(grant).await.into_iter().flat_map(|p| p.entries) {
            let (code, nanos) = minor(entry.amount);
            *sums.entry(code.clone()).or_default() += nanos;
            *accounts.entry((entry.bucket, entry.budget_line_id, code)).or_default() += nanos;
        }
        assert!(sums.values().all(|sum| *sum == 0), "{sums:?}");
        let ledger = Ledger { store: self.store.clone() };
        let request = ListBalancesRequest { grant_id: grant.id.clone() };
        let balances = ledger.list_balances(asked(&self.operator, request)).await.unwrap().into_inner().balances;
        let balances: BTreeMap<_, _> = (balances.into_iter())
            .map(|b| {
                let (code, nanos) = minor(b.balance);
                ((b.bucket, b.budget_line_id, code), nanos)
            })
            .collect();
        assert_eq!(balances, accounts);
    }
}

/// Each story twice.
macro_rules! on_both {
    ($($story:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story(super::Funding::on_sqlite().await).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                if let Some(funding) = super::Funding::on_postgres().await {
                    super::$story(funding).await;
                }
            })+
        }
    };
}

on_both!(
    money_follows_a_plan_from_the_donor_to_the_household,
    the_queue_is_served_by_urgency_and_then_by_age,
    a_new_budget_line_serves_what_waited_for_it,
    yen_are_credited_at_the_rate_of_the_day,
    what_costs_more_than_the_line_can_pay_waits_whole,
    campaigns_and_administration_are_spent_at_once,
    a_donor_sees_its_own_grants_to_the_last_cent_and_no_other,
    an_agreement_that_names_grants_shows_no_other,
    the_appeal_is_what_is_missing,
    a_request_takes_effect_once_and_what_is_posted_stays,
    twelve_thousand_needs_take_seconds,
    a_ledger_that_was_written_past_drifts,
    replicas_never_promise_the_same_money_twice,
    what_is_being_handed_over_takes_no_money_meanwhile,
);

async fn money_follows_a_plan_from_the_donor_to_the_household(funding: Funding) {
    let grant = funding.grant(|_| ()).await;
    funding.line(&grant, BudgetKind::Livestock, 6_000).await;

    let early = funding.submit(300, 3, date(2010, 3, 1)).await;
    assert_eq!(funding.last(early).await, ("FundsNotAvailable".into(), 30_000, "2010-03-01".into()));
    assert_eq!(funding.needs(&funding.operator).await.len(), 1);

    let came = funding.instalment(&grant, usd(1_000), date(2010, 4, 1)).await;
    assert_eq!(came.needs_served, 1);
    assert_eq!(funding.last(early).await, ("FundsReserved".into(), 30_000, "2010-04-01".into()));
    assert_eq!(funding.money(&grant).await, [700, 300, 0, 0]);

    let later = funding.submit(400, 1, date(2010, 5, 1)).await;
    assert_eq!(funding.last(later).await, ("FundsReserved".into(), 40_000, "2010-05-01".into()));
    funding.approve(early, date(2010, 5, 2)).await;
    assert_eq!(funding.last(early).await, ("FundsCommitted".into(), 30_000, "2010-05-02".into()));
    assert_eq!(funding.money(&grant).await, [300, 400, 300, 0]);

    funding.deliver(early, usd(280), date(2010, 6, 1)).await;
    assert_eq!(funding.last(early).await, ("ExpenditureRecorded".into(), 28_000, "2010-06-01".into()));
    assert_eq!(funding.money(&grant).await, [320, 400, 0, 280]);
    // Delivered before anybody approved it.
    funding.deliver(later, usd(450), date(2010, 6, 2)).await;
    assert_eq!(funding.money(&grant).await, [270, 0, 0, 730]);
    funding.adds_up(&grant).await;

    // Told again, in any order, it changes nothing.
    let before = funding.told().await.len();
    funding.deliver(later, usd(450), date(2010, 6, 2)).await;
    funding.approve(early, date(2010, 6, 2)).await;
    funding.cancel(early, date(2010, 6, 3)).await;
    funding.cancel(ids::new_id(), date(2010, 6, 3)).await;
    funding.hear(&[funding.event(funding.submitted(early, "livestock", 300, 3, date(2010, 3, 1)))]).await;
    assert_eq!(funding.told().await.len(), before);

    let lines = ListBudgetLinesRequest { grant_id: grant.id.clone(), ..Default::default() };
    let lines = funding.grants().list_budget_lines(asked(&funding.operator, lines)).await.unwrap().into_inner().budget_lines;
    assert_eq!(lines[0].used, usd(730));
}

async fn the_queue_is_served_by_urgency_and_then_by_age(funding: Funding) {
    let grant = funding.grant(|_| ()).await;
    funding.line(&grant, BudgetKind::Livestock, 2_000).await;
    let young = funding.submit(300, 3, date(2010, 3, 9)).await;
    let old = funding.submit(300, 3, date(2010, 3, 1)).await;
    let calm = funding.submit(100, 1, date(2010, 2, 1)).await;
    let dear = funding.submit(900, 5, date(2010, 3, 5)).await;
    let urgent = funding.submit(300, 5, date(2010, 3, 8)).await;
    let future = funding.submit(50, 4, date(2011, 1, 1)).await;

    let came = funding.instalment(&grant, usd(750), date(2010, 4, 1)).await;
    assert_eq!(came.needs_served, 4);
    let states: Vec<_> = [urgent, future, old, calm, young, dear].map(|id| id.to_string()).into();
    let reserved = funding.reservations(&funding.operator, &grant.id).await.unwrap();
    let reserved: Vec<_> = states.iter().map(|id| reserved.iter().any(|r| r.need_id == *id)).collect();
    assert_eq!(reserved, [true, true, true, true, false, false], "what can not be paid is passed over");
    assert_eq!(funding.last(future).await.2, "2011-01-01", "no money goes to a need before it is asked for");
    assert_eq!(funding.last(old).await.2, "2010-04-01");

    // A cancelled plan's money goes to the next in the queue.
    funding.cancel(old, date(2010, 5, 1)).await;
    assert_eq!(funding.last(old).await, ("FundsReleased".into(), 30_000, "2010-05-01".into()));
    assert_eq!(funding.last(young).await, ("FundsReserved".into(), 30_000, "2010-05-01".into()));
    funding.cancel(dear, date(2010, 5, 2)).await;
    assert_eq!(funding.last(dear).await, ("FundsReleased".into(), 90_000, "2010-05-02".into()));
    assert!(funding.needs(&funding.operator).await.is_empty());
    assert_eq!(funding.money(&grant).await, [0, 750, 0, 0]);
    funding.adds_up(&grant).await;
}

async fn what_is_being_handed_over_takes_no_money_meanwhile(funding: Funding) {
    use tahuka_chassis::custody::{UnitKind, seal};
    let grant = funding.grant(|_| ()).await;
    funding.line(&grant, BudgetKind::Livestock, 2_000).await;
    let (household, tranche, urgent) = (ids::new_id(), ids::new_id(), ids::new_id());
    let told = funding.submitted(urgent, "livestock", 300, 5, date(2010, 3, 1));
    funding.hear(&[funding.event(PlanSubmitted { household_id: household.to_string(), ..told })]).await;
    let calm = funding.submit(300, 1, date(2010, 3, 2)).await;

    let tx = funding.store.system("test").await.unwrap();
    seal::insert(&tx, tranche, UnitKind::Household, &[household]).await.unwrap();
    tx.commit().await.unwrap();
    funding.instalment(&grant, usd(300), date(2010, 4, 1)).await;
    assert_eq!(funding.last(calm).await.0, "FundsReserved");
    assert_eq!(funding.last(urgent).await.0, "FundsNotAvailable");

    let tx = funding.store.system("test").await.unwrap();
    seal::lift(&tx, tranche).await.unwrap();
    tx.commit().await.unwrap();
    funding.instalment(&grant, usd(300), date(2010, 5, 1)).await;
    assert_eq!(funding.last(urgent).await.0, "FundsReserved");
    let tx = funding.store.system("test").await.unwrap();
    let sql = "SELECT count(*) AS n FROM journal WHERE unit_kind = 'household' AND unit_id = $1";
    let statement = Statement::from_sql_and_values(tx.conn().get_database_backend(), sql, [household.into()]);
    let row = tx.conn().query_one_raw(statement).await.unwrap().unwrap();
    assert_eq!(row.try_get::<i64>("", "n").unwrap(), 2, "both events name the household");
    funding.adds_up(&grant).await;
}

async fn a_new_budget_line_serves_what_waited_for_it(funding: Funding) {
    let grant = funding.grant(|_| ()).await;
    funding.instalment(&grant, usd(1_000), date(2010, 4, 1)).await;
    let plan = funding.submit(300, 3, date(2010, 3, 1)).await;
    let line = funding.line(&grant, BudgetKind::Livestock, 500).await;
    assert_eq!((line.needs_served, line.budget_line.unwrap().used), (1, usd(300)));
    assert_eq!(funding.last(plan).await, ("FundsReserved".into(), 30_000, "2010-04-01".into()));
    let over = funding.try_line(&grant, BudgetKind::Shelter, usd(9_501)).await.unwrap_err();
    assert_eq!(over.code(), Code::FailedPrecondition);
    let yen = funding.try_line(&grant, BudgetKind::Shelter, money(100, "JPY")).await.unwrap_err();
    assert_eq!(yen.code(), Code::InvalidArgument);
}

async fn yen_are_credited_at_the_rate_of_the_day(funding: Funding) {
    let grant = funding.grant(|_| ()).await;
    funding.line(&grant, BudgetKind::Livestock, 5_000).await;
    let without = funding.try_instalment(&grant, money(100_000, "JPY"), date(2010, 4, 1)).await.unwrap_err();
    assert_eq!(without.code(), Code::FailedPrecondition);

    let old = funding.rate("JPY", "USD", "0.011", date(2010, 1, 1)).await.unwrap();
    let new = funding.rate("USD", "JPY", "80", date(2010, 6, 1)).await.unwrap();
    assert_eq!(funding.rate("USD", "JPY", "81", date(2010, 6, 1)).await.unwrap_err().code(), Code::AlreadyExists);
    let first = funding.instalment(&grant, money(100_000, "JPY"), date(2010, 4, 1)).await.instalment.unwrap();
    assert_eq!((first.credited, first.exchange_rate_id), (usd(1_100), old.id));
    let second = funding.instalment(&grant, money(100_000, "JPY"), date(2010, 7, 1)).await.instalment.unwrap();
    assert_eq!((second.credited, second.exchange_rate_id), (usd(1_250), new.id));
    let third = funding.instalment(&grant, usd(10), date(2010, 7, 2)).await.instalment.unwrap();
    assert_eq!((third.credited, third.exchange_rate_id), (usd(10), String::new()));

    // A plan in francs waits until there is a rate, and is then paid at the rate of its day.
    let plan = ids::new_id();
    let francs = PlanSubmitted { cost: money(116_000, "RWF"), ..funding.submitted(plan, "livestock", 0, 2, date(2010, 8, 1)) };
    funding.hear(&[funding.event(francs)]).await;
    assert_eq!(funding.last(plan).await.0, "FundsNotAvailable");
    funding.rate("USD", "RWF", "580", date(2010, 8, 1)).await.unwrap();
    funding.rate("USD", "RWF", "600", date(2011, 1, 1)).await.unwrap();
    assert_eq!(funding.instalment(&grant, usd(40), date(2010, 9, 1)).await.needs_served, 1);
    assert_eq!(funding.last(plan).await, ("FundsReserved".into(), 20_000, "2010-09-01".into()));
    assert_eq!(funding.money(&grant).await, [2_200, 200, 0, 0]);
    funding.deliver(plan, money(120_000, "RWF"), date(2011, 2, 1)).await;
    assert_eq!(funding.money(&grant).await, [2_200, 0, 0, 200]);
    funding.adds_up(&grant).await;
}

async fn what_costs_more_than_the_line_can_pay_waits_whole(funding: Funding) {
    let grant = funding.grant(|_| ()).await;
    funding.line(&grant, BudgetKind::Project, 1_000).await;
    funding.instalment(&grant, usd(2_000), date(2010, 2, 1)).await;
    let project = ids::new_id();
    let submitted = ProjectSubmitted {
        programme_id: funding.programme.to_string(),
        happened_on: date(2010, 3, 1),
        district: "RW33".into(),
        project_id: project.to_string(),
        budget: usd(900),
    };
    funding.hear(&[funding.event(submitted)]).await;
    assert_eq!(funding.last(project).await, ("FundsReserved".into(), 90_000, "2010-03-01".into()));
    let completed = ProjectCompleted {
        project_id: project.to_string(),
        happened_on: date(2010, 9, 1),
        cost: usd(1_100),
        ..Default::default()
    };
    funding.hear(&[funding.event(completed)]).await;
    assert_eq!(funding.last(project).await, ("FundsNotAvailable".into(), 110_000, "2010-09-01".into()));
    assert_eq!(funding.money(&grant).await, [2_000, 0, 0, 0]);
    assert_eq!(funding.line(&grant, BudgetKind::Project, 1_500).await.needs_served, 1);
    assert_eq!(funding.last(project).await, ("ExpenditureRecorded".into(), 110_000, "2010-09-01".into()));
    assert_eq!(funding.money(&grant).await, [900, 0, 0, 1_100]);
    funding.adds_up(&grant).await;
}

async fn campaigns_and_administration_are_spent_at_once(funding: Funding) {
    let grant =
        funding.grant(|r| r.earmarks = Some(Earmarks { kinds: vec![BudgetKind::Campaign.into()], ..Default::default() })).await;
    let foreign = funding.try_line(&grant, BudgetKind::Shelter, usd(1)).await.unwrap_err();
    assert_eq!(foreign.code(), Code::InvalidArgument);
    funding.line(&grant, BudgetKind::Campaign, 1_000).await;
    let office = funding.line(&grant, BudgetKind::Administration, 100).await.budget_line.unwrap();
    funding.instalment(&grant, usd(500), date(2010, 2, 1)).await;
    let held = |cost, on| {
        let campaign = ids::new_id();
        let told = CampaignHeld {
            programme_id: funding.programme.to_string(),
            happened_on: on,
            campaign_id: campaign.to_string(),
            cost: usd(cost),
            ..Default::default()
        };
        (campaign, funding.event(told))
    };
    let (radio, told) = held(300, date(2010, 3, 1));
    funding.hear(&[told]).await;
    assert_eq!(funding.last(radio).await, ("ExpenditureRecorded".into(), 30_000, "2010-03-01".into()));
    let (theatre, told) = held(300, date(2010, 4, 1));
    let (free, freely) = held(0, date(2010, 4, 1));
    funding.hear(&[told, freely]).await;
    assert_eq!(funding.last(theatre).await.0, "FundsNotAvailable");
    assert!(funding.told().await.iter().all(|(_, need, ..)| *need != free.to_string()), "what costs nothing needs no money");

    let spend = |amount, spent_on| RecordExpenditureRequest {
        request_id: new_id(),
        grant_id: grant.id.clone(),
        budget_line_id: office.id.clone(),
        amount: usd(amount),
        spent_on,
        description: "Fuel".into(),
    };
    let spent = funding.grants().record_expenditure(asked(&funding.operator, spend(60, date(2010, 4, 2)))).await.unwrap();
    assert_eq!(spent.into_inner().budget_line.unwrap().used, usd(60));
    let over = funding.grants().record_expenditure(asked(&funding.operator, spend(41, date(2010, 4, 2)))).await.unwrap_err();
    assert_eq!(over.code(), Code::FailedPrecondition);
    let late = funding.grants().record_expenditure(asked(&funding.operator, spend(1, date(2014, 1, 1)))).await.unwrap_err();
    assert_eq!(late.code(), Code::InvalidArgument);
    assert_eq!(funding.instalment(&grant, usd(500), date(2010, 6, 1)).await.needs_served, 1);
    assert_eq!(funding.last(theatre).await, ("ExpenditureRecorded".into(), 30_000, "2010-06-01".into()));
    assert_eq!(funding.money(&grant).await, [340, 0, 0, 660]);
    funding.adds_up(&grant).await;
}

async fn a_donor_sees_its_own_grants_to_the_last_cent_and_no_other(funding: Funding) {
    let own = funding.grant(|_| ()).await;
    let stranger = funding.donor(&new_id()).await;
    let other = funding.grant(|r| r.donor_id = stranger.clone()).await;
    for grant in [&own, &other] {
        funding.line(grant, BudgetKind::Livestock, 500).await;
        funding.instalment(grant, usd(500), date(2010, 2, 1)).await;
    }
    let first = funding.submit(400, 1, date(2010, 3, 1)).await;
    let second = funding.submit(400, 1, date(2010, 3, 1)).await;
    funding.submit(400, 1, date(2010, 3, 1)).await;
    assert_eq!(funding.last(first).await.0, "FundsReserved");
    assert_eq!(funding.last(second).await.0, "FundsReserved");

    let (japan, grants) = (&funding.japan, funding.grants());
    let ledger = Ledger { store: funding.store.clone() };
    let all = grants.list_grants(asked(japan, ListGrantsRequest::default())).await.unwrap().into_inner().grants;
    assert_eq!(all.iter().map(|g| g.id.as_str()).collect::<Vec<_>>(), [own.id.as_str()]);
    assert_eq!(all[0].balances.as_ref().unwrap().reserved, usd(400));
    let donors = Donors { store: funding.store.clone() };
    let donors = donors.list_donors(asked(japan, ListDonorsRequest::default())).await.unwrap().into_inner().donors;
    assert_eq!(donors.len(), 1);
    assert_eq!(funding.reservations(japan, "").await.unwrap().len(), 1);
    assert_eq!(funding.reservations(japan, &own.id).await.unwrap().len(), 1);
    assert_eq!(funding.reservations(&funding.operator, "").await.unwrap().len(), 2);
    assert_eq!(funding.needs(japan).await.len(), 1);
    for (grant, seen) in [(&own, true), (&other, false)] {
        let id = || grant.id.clone();
        let answers = [
            grants.get_grant(asked(japan, GetGrantRequest { grant_id: id() })).await.err(),
            grants.list_budget_lines(asked(japan, ListBudgetLinesRequest { grant_id: id(), ..Default::default() })).await.err(),
            grants.list_instalments(asked(japan, ListInstalmentsRequest { grant_id: id(), ..Default::default() })).await.err(),
            ledger.list_postings(asked(japan, ListPostingsRequest { grant_id: id(), ..Default::default() })).await.err(),
            ledger.list_balances(asked(japan, ListBalancesRequest { grant_id: id() })).await.err(),
        ];
        let expected = if seen { None } else { Some(Code::NotFound) };
        assert!(answers.iter().all(|refusal| refusal.as_ref().map(tonic::Status::code) == expected), "{answers:?}");
    }
    assert_eq!(funding.reservations(japan, &other.id).await, Err(Code::NotFound));
    let write = RecordInstalmentRequest {
        request_id: new_id(),
        grant_id: own.id.clone(),
        received: usd(1),
        received_on: date(2010, 3, 1),
    };
    assert_eq!(grants.record_instalment(asked(japan, write)).await.unwrap_err().code(), Code::NotFound);

    // Staff of one district see the programme's grants and their own district's reservations.
    let musanze = caller(ids::new_id(), TenantKind::Ministry, funding.operator.tenant_id, &["RW43"], false);
    let seen = grants.list_grants(asked(&musanze, ListGrantsRequest::default())).await.unwrap().into_inner().grants;
    assert_eq!((seen.len(), seen[0].title.as_str()), (2, "Reintegration of returnees"));
    assert!(funding.reservations(&musanze, "").await.unwrap().is_empty() && funding.needs(&musanze).await.is_empty());
    let nobody = caller(ids::new_id(), TenantKind::Operator, ids::new_id(), &[], false);
    assert_eq!(funding.reservations(&nobody, &own.id).await, Err(Code::NotFound));
}

async fn an_agreement_that_names_grants_shows_no_other(funding: Funding) {
    let named = funding.grant(|_| ()).await;
    let other = funding.grant(|_| ()).await;
    for grant in [&named, &other] {
        funding.line(grant, BudgetKind::Livestock, 500).await;
        funding.instalment(grant, usd(500), date(2010, 2, 1)).await;
        let need = funding.submit(400, 1, date(2010, 3, 1)).await;
        assert_eq!(funding.last(need).await.0, "FundsReserved");
    }
    funding.submit(400, 1, date(2010, 3, 1)).await;

    let entry = |districts: &[&str], grants: &[&Grant]| ScopeEntry {
        category: DataCategory::Funding.into(),
        level: DisclosureLevel::Aggregate.into(),
        custodian: funding.operator.tenant_id,
        districts: districts.iter().map(|d| (*d).to_owned()).collect(),
        grants: grants.iter().map(|grant| grant.id.clone()).collect(),
        ..Default::default()
    };
    let with = |entries: Vec<ScopeEntry>| Caller {
        scope: Scope::Entries(entries),
        ..caller(ids::new_id(), TenantKind::Ministry, funding.operator.tenant_id, &[], false)
    };
    let (grants, ledger) = (funding.grants(), Ledger { store: funding.store.clone() });
    let seen = async |by: &Caller| {
        let all = grants.list_grants(asked(by, ListGrantsRequest::default())).await.unwrap().into_inner().grants;
        let mut ids: Vec<_> = all.into_iter().map(|grant| grant.id).collect();
        ids.sort();
        (ids, funding.reservations(by, "").await.unwrap().len(), funding.needs(by).await.len())
    };

    let one = with(vec![entry(&[], &[&named])]);
    assert_eq!(seen(&one).await, (vec![named.id.clone()], 1, 0));
    let id = || other.id.clone();
    let refused = [
        grants.get_grant(asked(&one, GetGrantRequest { grant_id: id() })).await.err(),
        grants.list_budget_lines(asked(&one, ListBudgetLinesRequest { grant_id: id(), ..Default::default() })).await.err(),
        grants.list_instalments(asked(&one, ListInstalmentsRequest { grant_id: id(), ..Default::default() })).await.err(),
        ledger.list_postings(asked(&one, ListPostingsRequest { grant_id: id(), ..Default::default() })).await.err(),
        ledger.list_balances(asked(&one, ListBalancesRequest { grant_id: id() })).await.err(),
    ];
    assert!(refused.iter().all(|r| r.as_ref().map(tonic::Status::code) == Some(Code::NotFound)), "{refused:?}");
    assert_eq!(funding.reservations(&one, &other.id).await, Err(Code::NotFound));
    assert_eq!(funding.reservations(&one, &named.id).await.unwrap().len(), 1);

    // Of two agreements each says for itself where and for which grants it holds: the needs are all of Rubavu.
    let elsewhere = with(vec![entry(&[], &[&named]), entry(&["RW43"], &[])]);
    assert_eq!(seen(&elsewhere).await.1, 1);
    let both = with(vec![entry(&[], &[&named]), entry(&[], &[&other])]);
    let (mut all, reservations, _) = seen(&both).await;
    all.dedup();
    assert_eq!((all.len(), reservations), (2, 2));
    let everything = with(vec![entry(&[], &[&named]), entry(&[], &[])]);
    assert_eq!((seen(&everything).await.1, seen(&everything).await.2), (2, 1));
}

async fn the_appeal_is_what_is_missing(funding: Funding) {
    let grant = funding.grant(|_| ()).await;
    funding.line(&grant, BudgetKind::Livestock, 5_000).await;
    for _ in 0..3 {
        funding.submit(300, 1, date(2010, 3, 1)).await;
    }
    let appeals = Appeals { store: funding.store.clone() };
    let pledge = |amount, grant_id: &str| CreatePledgeRequest {
        request_id: new_id(),
        programme_id: funding.programme.to_string(),
        donor_id: grant.donor_id.clone(),
        amount,
        pledged_on: date(2010, 3, 2),
        kind: BudgetKind::Livestock.into(),
        grant_id: grant_id.into(),
    };
    appeals.create_pledge(asked(&funding.operator, pledge(usd(500), &grant.id))).await.unwrap();
    let yen = appeals.create_pledge(asked(&funding.operator, pledge(money(500, "JPY"), &grant.id))).await.unwrap_err();
    assert_eq!(yen.code(), Code::InvalidArgument);
    let appeal = funding.appeal().await;
    let line = &appeal.lines[0];
    assert_eq!((line.open_needs, line.needed.clone(), line.pledged.clone(), line.gap.clone()), (3, usd(900), usd(500), usd(400)));
    assert_eq!(appeal.totals[0].gap, usd(400));

    funding.instalment(&grant, usd(400), date(2010, 4, 1)).await;
    let total = funding.appeal().await.totals.remove(0);
    assert_eq!((total.open_needs, total.needed, total.pledged, total.gap), (2, usd(600), usd(100), usd(500)));
}

async fn a_request_takes_effect_once_and_what_is_posted_stays(funding: Funding) {
    let grant = funding.grant(|r| r.code = "JP-2010".into()).await;
    let taken = CreateGrantRequest {
        request_id: new_id(),
        programme_id: funding.programme.to_string(),
        donor_id: grant.donor_id.clone(),
        code: "JP-2010".into(),
        title: "Again".into(),
        amount: usd(1),
        starts_on: date(2010, 1, 1),
        ends_on: date(2010, 1, 1),
        earmarks: None,
    };
    assert_eq!(funding.grants().create_grant(asked(&funding.operator, taken)).await.unwrap_err().code(), Code::AlreadyExists);
    let request = RecordInstalmentRequest {
        request_id: new_id(),
        grant_id: grant.id.clone(),
        received: usd(100),
        received_on: date(2010, 2, 1),
    };
    let first = funding.grants().record_instalment(asked(&funding.operator, request.clone())).await.unwrap().into_inner();
    let again = funding.grants().record_instalment(asked(&funding.operator, request)).await.unwrap().into_inner();
    assert_eq!(first, again);
    assert_eq!(funding.money(&grant).await, [100, 0, 0, 0]);
    for sql in ["UPDATE entry SET minor = 0", "DELETE FROM posting", "UPDATE balance SET minor = -1 WHERE bucket = 'available'"] {
        let tx = funding.store.system("test").await.unwrap();
        assert!(tx.conn().execute_unprepared(sql).await.is_err(), "{sql}");
    }
}

async fn a_ledger_that_was_written_past_drifts(funding: Funding) {
    let grant = funding.grant(|_| ()).await;
    funding.line(&grant, BudgetKind::Livestock, 5_000).await;
    funding.instalment(&grant, usd(3_000), date(2010, 2, 1)).await;
    let plan = funding.submit(50, 1, date(2010, 3, 1)).await;
    funding.approve(plan, date(2010, 3, 2)).await;
    let tx = funding.store.system("test").await.unwrap();
    assert_eq!(drift(&tx).await.unwrap(), 0);
    tx.conn().execute_unprepared("UPDATE balance SET minor = minor + 7 WHERE bucket = 'available'").await.unwrap();
    assert_eq!(drift(&tx).await.unwrap(), 7);
}

async fn replicas_never_promise_the_same_money_twice(funding: Funding) {
    let funding = Arc::new(funding);
    let grant = funding.grant(|_| ()).await;
    funding.line(&grant, BudgetKind::Livestock, 5_000).await;
    funding.instalment(&grant, usd(3_000), date(2010, 2, 1)).await;
    let replicas: Vec<_> = (0..8)
        .map(|_| {
            let funding = funding.clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    let plan = funding.submit(50, 1, date(2010, 3, 1)).await;
                    funding.approve(plan, date(2010, 3, 2)).await;
                }
            })
        })
        .collect();
    for replica in replicas {
        replica.await.unwrap();
    }
    assert_eq!(funding.money(&grant).await, [0, 0, 3_000, 0]);
    assert_eq!(funding.needs(&funding.operator).await.len(), 20);
    funding.adds_up(&grant).await;
}

async fn twelve_thousand_needs_take_seconds(funding: Funding) {
    let grant = funding.grant(|r| r.amount = usd(10_000_000)).await;
    let kinds = ["livestock", "shelter", "startup_capital", "vocational_training"];
    for kind in [BudgetKind::Livestock, BudgetKind::Shelter, BudgetKind::StartupCapital, BudgetKind::VocationalTraining] {
        funding.line(&grant, kind, 2_000_000).await;
    }
    funding.instalment(&grant, usd(6_000 * 300), date(2010, 2, 1)).await;
    let plans: Vec<_> = (0..12_000).map(|_| ids::new_id()).collect();
    let began = Instant::now();
    let events: Vec<_> = (plans.iter().zip(0..))
        .map(|(plan, n)| funding.event(funding.submitted(*plan, kinds[n % 4], 300, n as i32 % 5, date(2010, 3, 1))))
        .collect();
    for batch in events.chunks(256) {
        funding.hear(batch).await;
    }
    let asked = began.elapsed();
    let began = Instant::now();
    assert_eq!(funding.instalment(&grant, usd(6_000 * 300), date(2010, 4, 1)).await.needs_served, 6_000);
    let served = began.elapsed();
    let began = Instant::now();
    let approved: Vec<_> = (plans.iter())
        .map(|plan| {
            funding.event(PlanApproved { plan_id: plan.to_string(), happened_on: date(2010, 5, 1), ..Default::default() })
        })
        .collect();
    for batch in approved.chunks(256) {
        funding.hear(batch).await;
    }
    let approved = began.elapsed();
    println!("asked in {asked:?}, served in {served:?}, approved in {approved:?}");
    assert_eq!(funding.money(&grant).await, [0, 0, 12_000 * 300, 0]);
    funding.adds_up(&grant).await;
    assert!((asked + served + approved).as_secs() < 120, "asked in {asked:?}, served in {served:?}, approved in {approved:?}");
}
