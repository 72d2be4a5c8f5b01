//! What happens to a need and its money: it is asked for, approved, incurred or cancelled, and what waits is served
//! when money comes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use tahuka_chassis::custody::UnitKind;
use tahuka_chassis::{Amount, Refusal, Tx, clock, edge, ids};
use tahuka_proto::funding::v1::{ExpenditureRecorded, FundsCommitted, FundsNotAvailable, FundsReleased, FundsReserved};
use uuid::Uuid;

use super::store::{self, Lines, Model};
use super::{Candidate, Command, Need, NeedKind, Stage, State, pick};
use crate::exchange_rate::Rates;
use crate::exchange_rate::store as exchange_rate;
use crate::fields::currency;
use crate::grant::store as grant;
use crate::ledger::store::{post, turn};
use crate::ledger::{Bucket, Posting, Share};

/// Needs in one posting, so that a posting stays readable.
const MOST_SHARES: usize = 500;

/// A need as it is told of.
#[derive(Debug, Clone)]
pub struct Asked {
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub need_kind: NeedKind,
    pub need_id: Uuid,
    /// Whom it is for, where that can pass to another custodian.
    pub unit: Option<(UnitKind, Uuid)>,
    /// 1 (least urgent) to 5; 0 where not assessed.
    pub priority_band: i32,
    pub need: Need,
}

/// What a need is called elsewhere, and whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Named {
    pub custodian_id: Uuid,
    pub need_kind: NeedKind,
    pub need_id: Uuid,
    pub unit: Option<(UnitKind, Uuid)>,
}

/// A need enters; it gets its money at once or waits.
pub async fn ask(tx: &mut Tx, asked: Asked) -> Result<(), Refusal> {
    turn(tx, asked.custodian_id).await?;
    let need = asked.need;
    let on = need.since;
    let row = Model {
        id: ids::new_id(),
        programme_id: asked.programme_id,
        custodian_id: asked.custodian_id,
        district: need.district.unwrap_or_default(),
        need_kind: asked.need_kind.word().to_owned(),
        need_id: asked.need_id,
        kind: need.kind.word().to_owned(),
        priority_band: asked.priority_band,
        cost_minor: need.cost.minor,
        cost_currency: need.cost.currency.as_str().to_owned(),
        submitted_on: on,
        incurred_on: (need.stage == Stage::Incurred).then_some(on),
        stage: need.stage.word().to_owned(),
        state: State::Open.word().to_owned(),
        grant_id: None,
        line_id: None,
        held_minor: 0,
        held_currency: None,
        unit_kind: asked.unit.map(|(kind, _)| kind.word().to_owned()),
        unit_id: asked.unit.map(|(_, id)| id),
        version: 1,
        recorded_at: clock::now(),
    };
    if !store::insert(tx, &row).await? {
        tracing::warn!(need = %asked.need_id, "a need that is known was asked for again");
        return Ok(());
    }
    fund_or_wait(tx, row, on).await
}

/// The thing is approved: what is kept for it is committed to it.
pub async fn approve(tx: &mut Tx, named: Named, on: NaiveDate) -> Result<(), Refusal> {
    let Some((mut row, state)) = known(tx, named, Command::Approve).await? else { return Ok(()) };
    row.stage = Stage::Approved.word().to_owned();
    row.state = state.word().to_owned();
    let row = store::update(tx, row).await?;
    if let Some((line, share)) = held(tx, &row).await? {
        post(tx, &Posting::commitment(line.purse, on, &line.currency, &share)?).await?;
        publish(tx, &row, Told::Committed, on).await?;
    }
    Ok(())
}

/// The cost is there. What is held for it is spent, with what the line can add; when that is not enough, the money goes
/// back and the whole cost waits for a line that can pay it.
pub async fn incur(tx: &mut Tx, named: Named, cost: &Amount, on: NaiveDate) -> Result<(), Refusal> {
    let Some((mut row, state)) = known(tx, named, Command::Incur).await? else { return Ok(()) };
    let from = row.state()?.bucket();
    row.stage = Stage::Incurred.word().to_owned();
    row.incurred_on = Some(on);
    let paid = match (from, held(tx, &row).await?) {
        (Some(from), Some((line, share))) => {
            let rates =
                exchange_rate::in_force(tx, line.purse.custodian_id, &cost.currency, std::slice::from_ref(&line.currency), on)
                    .await?;
            let price = rates.convert(cost, &line.currency, on).map(|(price, _)| price);
            match price.filter(|price| price - share.minor <= line.most()) {
                Some(price) => {
                    post(tx, &Posting::expenditure(line.purse, on, &line.currency, from, &share, price)?).await?;
                    row.held_minor = price;
                    true
                }
                None => {
                    row = give_back(tx, row, Command::Reopen, on).await?;
                    false
                }
            }
        }
        _ => false,
    };
    if paid {
        row.state = state.word().to_owned();
        let row = store::update(tx, row).await?;
        return publish(tx, &row, Told::Spent, on).await;
    }
    (row.cost_minor, row.cost_currency) = (cost.minor, cost.currency.as_str().to_owned());
    let row = store::update(tx, row).await?;
    fund_or_wait(tx, row, on).await
}

/// The thing will not be: its money goes back, and serves what waits.
pub async fn cancel(tx: &mut Tx, named: Named, on: NaiveDate) -> Result<(), Refusal> {
    let Some((mut row, state)) = known(tx, named, Command::Cancel).await? else { return Ok(()) };
    let Some(grant_id) = row.grant_id else {
        row.state = state.word().to_owned();
        let row = store::update(tx, row).await?;
        return publish(tx, &row, Told::Withdrawn, on).await;
    };
    let row = give_back(tx, row, Command::Cancel, on).await?;
    store::update(tx, row).await?;
    let grant = grant::get(tx, grant_id).await?;
    serve(tx, &grant, on).await?;
    Ok(())
}

/// Lets the grant pay for what waits, the most urgent first, then the oldest; what it can not pay is passed over. How many
/// needs found their money. The custodian's turn must be ours.
pub async fn serve(tx: &mut Tx, grant: &grant::Model, on: NaiveDate) -> Result<i32, Refusal> {
    let mut lines = store::candidates(tx, Lines::Grant(grant.id)).await?;
    let waiting = store::queue(tx, &grant.purse(), &lines).await?;
    let own = grant.currency()?;
    let mut rates: BTreeMap<String, Rates> = BTreeMap::new();
    let mut payments = Vec::new();
    for row in waiting {
        let need = row.need()?;
        if !rates.contains_key(&row.cost_currency) {
            let of_pair = match need.cost.currency == own {
                true => Rates::default(),
                false => exchange_rate::of_pair(tx, grant.custodian_id, &need.cost.currency, &own).await?,
            };
            rates.insert(row.cost_currency.clone(), of_pair);
        }
        let price = rates.get(&row.cost_currency).and_then(|r| r.convert(&need.cost, &own, need.paid_on(on)));
        lines.iter_mut().for_each(|line| line.price = price.map(|(minor, _)| minor));
        let Some((line, minor)) = pick(&need, need.due_on(on), &lines) else { continue };
        let line = line.clone();
        for other in &mut lines {
            other.available -= minor;
            if other.line_id == line.line_id {
                other.room -= minor;
            }
        }
        payments.push(Payment { row, stage: need.stage, line, minor, on: need.paid_on(on) });
    }
    let served = i32::try_from(payments.len()).map_err(Refusal::internal)?;
    pay(tx, payments).await?;
    Ok(served)
}

/// One open need and the line that pays for it.
struct Payment {
    row: Model,
    stage: Stage,
    line: Candidate,
    minor: i64,
    on: NaiveDate,
}

/// Tries every line of the need's kind, and says so when none can pay.
async fn fund_or_wait(tx: &mut Tx, row: Model, on: NaiveDate) -> Result<(), Refusal> {
    let need = row.need()?;
    let of_kind = Lines::Kind { custodian: row.custodian_id, programme: row.programme_id, kind: need.kind };
    let mut lines = store::candidates(tx, of_kind).await?;
    lines.retain(|line| line.most() > 0);
    let currencies: Vec<_> = lines.iter().map(|line| line.currency.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    let paid_on = need.paid_on(on);
    let rates = exchange_rate::in_force(tx, row.custodian_id, &need.cost.currency, &currencies, paid_on).await?;
    for line in &mut lines {
        line.price = rates.convert(&need.cost, &line.currency, paid_on).map(|(minor, _)| minor);
    }
    match pick(&need, need.due_on(on), &lines) {
        Some((line, minor)) => {
            let line = line.clone();
            pay(tx, vec![Payment { row, stage: need.stage, line, minor, on: paid_on }]).await
        }
        None => publish(tx, &row, Told::NotAvailable, on).await,
    }
}

/// Moves the money of open needs to where their stage says, and tells of each.
async fn pay(tx: &mut Tx, payments: Vec<Payment>) -> Result<(), Refusal> {
    let mut postings: BTreeMap<(Uuid, NaiveDate, Stage), Vec<&Payment>> = BTreeMap::new();
    let mut changes: BTreeMap<(Uuid, i64, Stage), (&Candidate, Vec<Uuid>)> = BTreeMap::new();
    for payment in &payments {
        let line = &payment.line;
        postings.entry((line.purse.grant_id, payment.on, payment.stage)).or_default().push(payment);
        let change = changes.entry((line.line_id, payment.minor, payment.stage)).or_insert((line, Vec::new()));
        change.1.push(payment.row.id);
    }
    for ((_, on, stage), payments) in postings {
        for payments in payments.chunks(MOST_SHARES) {
            transfer(tx, on, stage, payments).await?;
        }
    }
    for ((_, minor, stage), (line, ids)) in changes {
        store::fund(tx, &ids, State::Open.next(Command::Fund(stage))?, line, minor).await?;
    }
    for payment in payments {
        let row = Model {
            grant_id: Some(payment.line.purse.grant_id),
            held_minor: payment.minor,
            held_currency: Some(payment.line.currency.as_str().to_owned()),
            ..payment.row
        };
        let told: &[Told] = match payment.stage {
            Stage::Proposed => &[Told::Reserved],
            Stage::Approved => &[Told::Reserved, Told::Committed],
            Stage::Incurred => &[Told::Spent],
        };
        for told in told {
            publish(tx, &row, *told, payment.on).await?;
        }
    }
    Ok(())
}

/// Posts the payments of one grant, day and stage.
async fn transfer(tx: &Tx, on: NaiveDate, stage: Stage, payments: &[&Payment]) -> Result<(), Refusal> {
    let Some(line) = payments.first().map(|p| &p.line) else { return Ok(()) };
    let shares: Vec<_> =
        (payments.iter()).map(|p| Share { line: p.line.line_id, minor: p.minor, reservation: Some(p.row.id) }).collect();
    if stage != Stage::Incurred {
        post(tx, &Posting::reservation(line.purse, on, &line.currency, &shares)?).await?;
    }
    for share in &shares {
        match stage {
            Stage::Proposed => {}
            Stage::Approved => {
                post(tx, &Posting::commitment(line.purse, on, &line.currency, share)?).await?;
            }
            Stage::Incurred => {
                let nothing = Share { minor: 0, ..share.clone() };
                let spent = Posting::expenditure(line.purse, on, &line.currency, Bucket::Committed, &nothing, share.minor)?;
                post(tx, &spent).await?;
            }
        }
    }
    Ok(())
}

/// Releases what is held, and tells of it; the row is as it is then, not written yet. A need that waits on is nobody's.
async fn give_back(tx: &mut Tx, row: Model, command: Command, on: NaiveDate) -> Result<Model, Refusal> {
    let state = row.state()?;
    let next = state.next(command)?;
    if let (Some(from), Some((line, share))) = (state.bucket(), held(tx, &row).await?) {
        post(tx, &Posting::release(line.purse, on, &line.currency, from, &share)?).await?;
        publish(tx, &row, Told::Released, on).await?;
    }
    let mut row = Model { state: next.word().to_owned(), held_minor: 0, ..row };
    if next == State::Open {
        (row.grant_id, row.line_id, row.held_currency) = (None, None, None);
    }
    Ok(row)
}

/// The need in its custodian's turn, with the state that `command` leads to; None where there is nothing to do.
async fn known(tx: &Tx, named: Named, command: Command) -> Result<Option<(Model, State)>, Refusal> {
    turn(tx, named.custodian_id).await?;
    let Some(mut row) = store::of_need(tx, named.need_kind, named.need_id).await? else {
        // As when a draft is cancelled.
        tracing::info!(need = %named.need_id, ?command, "nothing was ever asked for this");
        return Ok(None);
    };
    // One that was asked for before this was kept.
    if let Some((kind, id)) = named.unit {
        (row.unit_kind, row.unit_id) = (Some(kind.word().to_owned()), Some(id));
    }
    match row.state()?.next(command) {
        Ok(state) => Ok(Some((row, state))),
        Err(_) => {
            tracing::warn!(need = %named.need_id, state = row.state, ?command, "the need is past this");
            Ok(None)
        }
    }
}

/// The line that holds money for the need, and how much.
async fn held(tx: &Tx, row: &Model) -> Result<Option<(Candidate, Share)>, Refusal> {
    let Some(line_id) = row.line_id else { return Ok(None) };
    let line = store::candidates(tx, Lines::Line(line_id)).await?.pop();
    let line = line.ok_or_else(|| Refusal::internal("a budget line that holds money is gone"))?;
    Ok(Some((line, Share { line: line_id, minor: row.held_minor, reservation: Some(row.id) })))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Reserved,
    NotAvailable,
    Committed,
    Released,
    /// Cancelled before it had any money.
    Withdrawn,
    Spent,
}

/// Tells of the row: what is held, or its own cost where nothing is.
async fn publish(tx: &mut Tx, row: &Model, told: Told, on: NaiveDate) -> Result<(), Refusal> {
    let amount = match (told, &row.held_currency) {
        (Told::NotAvailable | Told::Withdrawn, _) | (_, None) => row.cost()?,
        (_, Some(code)) => Amount { minor: row.held_minor, currency: currency(code)? },
    };
    let is_household = row.unit_kind.as_deref() == Some(UnitKind::Household.word());
    let household_id = edge::shown_uuid(row.unit_id.filter(|_| is_household));
    macro_rules! say {
        ($event:ident) => {{
            let event = $event {
                programme_id: row.programme_id.to_string(),
                happened_on: Some(edge::to_date(on)),
                grant_id: edge::shown_uuid(row.grant_id),
                need_id: row.need_id.to_string(),
                need_kind: row.need_kind.clone(),
                kind: row.kind.clone(),
                district: row.district.clone(),
                amount: Some(edge::to_money(&amount)),
                household_id: household_id.clone(),
            };
            tx.publish(row.custodian_id, row.id, &event).await
        }};
    }
    match told {
        Told::Reserved => say!(FundsReserved),
        Told::NotAvailable => say!(FundsNotAvailable),
        Told::Committed => say!(FundsCommitted),
        Told::Released | Told::Withdrawn => say!(FundsReleased),
        Told::Spent => say!(ExpenditureRecorded),
    }
}
