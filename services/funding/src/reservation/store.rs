//! Reservations on disk, and the budget lines that might pay for them.

use chrono::NaiveDate;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait as _, OnConflict};
use sea_orm::{Condition, FromQueryResult, IntoActiveModel, QueryOrder, QuerySelect, Set};
use tahuka_chassis::page::{Page, keyset};
use tahuka_chassis::{Amount, Refusal, Scoped, Tx};

use super::{Candidate, Need, NeedKind, Stage, State};
use crate::appeal::Wanted;
use crate::fields::{currency, of_grants, statement, unknown};
use crate::grant::store::{earmarks, own_only};
use crate::grant::{BudgetKind, Period};
use crate::ledger::{Bucket, Purse};

/// Ids in one statement; far below what either database can bind.
const CHUNK: usize = 1000;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reservation")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    /// Empty for nation-wide.
    pub district: String,
    pub need_kind: String,
    pub need_id: Uuid,
    pub kind: String,
    pub priority_band: i32,
    pub cost_minor: i64,
    pub cost_currency: String,
    pub submitted_on: Date,
    /// The day of the cost.
    pub incurred_on: Option<Date>,
    pub stage: String,
    pub state: String,
    pub grant_id: Option<Uuid>,
    pub line_id: Option<Uuid>,
    pub held_minor: i64,
    pub held_currency: Option<String>,
    /// Whom the money is for, where that can pass to another custodian.
    pub unit_kind: Option<String>,
    pub unit_id: Option<Uuid>,
    pub version: i64,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Scoped for Entity {
    fn custodian() -> Column {
        Column::CustodianId
    }
    fn district() -> Option<Column> {
        Some(Column::District)
    }
}

impl Model {
    pub fn state(&self) -> Result<State, Refusal> {
        State::parse(&self.state).ok_or_else(|| unknown("reservation.state"))
    }

    pub fn cost(&self) -> Result<Amount, Refusal> {
        Ok(Amount { minor: self.cost_minor, currency: currency(&self.cost_currency)? })
    }

    pub fn need(&self) -> Result<Need, Refusal> {
        Ok(Need {
            kind: BudgetKind::parse(&self.kind).ok_or_else(|| unknown("reservation.kind"))?,
            district: (!self.district.is_empty()).then(|| self.district.clone()),
            cost: self.cost()?,
            since: self.incurred_on.unwrap_or(self.submitted_on),
            stage: Stage::parse(&self.stage).ok_or_else(|| unknown("reservation.stage"))?,
        })
    }
}

/// False when the need is known already.
pub async fn insert(tx: &Tx, row: &Model) -> Result<bool, Refusal> {
    let known = OnConflict::columns([Column::NeedKind, Column::NeedId]).do_nothing().to_owned();
    let done = Entity::insert(row.clone().into_active_model()).on_conflict(known).exec_without_returning(tx.conn()).await?;
    Ok(done == 1)
}

pub async fn of_need(tx: &Tx, kind: NeedKind, need: Uuid) -> Result<Option<Model>, Refusal> {
    let select = tx.find::<Entity>().filter(Column::NeedKind.eq(kind.word())).filter(Column::NeedId.eq(need));
    Ok(select.one(tx.conn()).await?)
}

/// Writes what may change of a need as its next version.
pub async fn update(tx: &Tx, row: Model) -> Result<Model, Refusal> {
    let change = ActiveModel {
        cost_minor: Set(row.cost_minor),
        cost_currency: Set(row.cost_currency.clone()),
        incurred_on: Set(row.incurred_on),
        stage: Set(row.stage.clone()),
        state: Set(row.state.clone()),
        grant_id: Set(row.grant_id),
        line_id: Set(row.line_id),
        held_minor: Set(row.held_minor),
        held_currency: Set(row.held_currency.clone()),
        unit_kind: Set(row.unit_kind.clone()),
        unit_id: Set(row.unit_id),
        version: Set(row.version + 1),
        ..Default::default()
    };
    let done = Entity::update_many()
        .set(change)
        .filter(Column::Id.eq(row.id))
        .filter(Column::Version.eq(row.version))
        .exec(tx.conn())
        .await?;
    if done.rows_affected == 1 { Ok(Model { version: row.version + 1, ..row }) } else { Err(changed()) }
}

/// Gives open needs their money: the same amount of the same line, to the same state.
pub async fn fund(tx: &Tx, ids: &[Uuid], state: State, from: &Candidate, minor: i64) -> Result<(), Refusal> {
    for ids in ids.chunks(CHUNK) {
        let change = ActiveModel {
            state: Set(state.word().to_owned()),
            grant_id: Set(Some(from.purse.grant_id)),
            line_id: Set(Some(from.line_id)),
            held_minor: Set(minor),
            held_currency: Set(Some(from.currency.as_str().to_owned())),
            ..Default::default()
        };
        let done = Entity::update_many()
            .set(change)
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .filter(Column::Id.is_in(ids.iter().copied()))
            .filter(Column::State.eq(State::Open.word()))
            .exec(tx.conn())
            .await?;
        if usize::try_from(done.rows_affected).ok() != Some(ids.len()) {
            return Err(changed());
        }
    }
    Ok(())
}

fn changed() -> Refusal {
    Refusal::conflict("CHANGED_MEANWHILE", "the reservation has changed since; repeat")
}

/// What is being handed over takes no money meanwhile.
const NOT_SEALED: &str =
    "NOT EXISTS (SELECT 1 FROM seal s WHERE s.unit_kind = reservation.unit_kind AND s.unit_id = reservation.unit_id)";

/// The open needs that one of the lines of a grant might pay, as far as that can be told here: the most urgent first,
/// then the oldest.
pub async fn queue(tx: &Tx, grant: &Purse, lines: &[Candidate]) -> Result<Vec<Model>, Refusal> {
    let mut payable = Condition::any();
    for line in lines.iter().filter(|line| line.most() > 0) {
        // What another currency comes to is found out with the day's rate.
        let within = Column::CostCurrency.ne(line.currency.as_str()).or(Column::CostMinor.lte(line.most()));
        payable = payable.add(Column::Kind.eq(line.kind.word()).and(within));
    }
    if payable.is_empty() {
        return Ok(Vec::new());
    }
    let select = (tx.find::<Entity>())
        .filter(Column::ProgrammeId.eq(grant.programme_id))
        .filter(Column::CustodianId.eq(grant.custodian_id))
        .filter(Column::State.eq(State::Open.word()))
        .filter(payable)
        .filter(Expr::cust(NOT_SEALED))
        .order_by_desc(Column::PriorityBand)
        .order_by_asc(Column::SubmittedOn)
        .order_by_asc(Column::Id);
    Ok(select.all(tx.conn()).await?)
}

#[derive(FromQueryResult)]
struct CandidateRow {
    grant_id: Uuid,
    programme_id: Uuid,
    custodian_id: Uuid,
    line_id: Uuid,
    kind: String,
    starts_on: NaiveDate,
    ends_on: NaiveDate,
    districts: Json,
    kinds: Json,
    currency: String,
    room: i64,
    available: i64,
}

impl CandidateRow {
    fn candidate(self) -> Result<Candidate, Refusal> {
        Ok(Candidate {
            purse: Purse { grant_id: self.grant_id, programme_id: self.programme_id, custodian_id: self.custodian_id },
            line_id: self.line_id,
            kind: BudgetKind::parse(&self.kind).ok_or_else(|| unknown("budget_line.kind"))?,
            period: Period { starts_on: self.starts_on, ends_on: self.ends_on },
            earmarks: earmarks(&self.districts, &self.kinds)?,
            currency: currency(&self.currency)?,
            room: self.room,
            available: self.available,
            price: None,
        })
    }
}

/// Which budget lines are asked.
#[derive(Debug, Clone, Copy)]
pub enum Lines {
    /// Those of a kind, of every grant of the custodian to the programme.
    Kind {
        custodian: Uuid,
        programme: Uuid,
        kind: BudgetKind,
    },
    Grant(Uuid),
    Line(Uuid),
}

/// Budget lines of grants that have had money, with what is left of both.
pub async fn candidates(tx: &Tx, lines: Lines) -> Result<Vec<Candidate>, Refusal> {
    let mut values: Vec<sea_orm::Value> = vec![Bucket::Available.word().into(), Uuid::nil().into()];
    let which = match lines {
        Lines::Kind { custodian, programme, kind } => {
            values.extend([custodian.into(), programme.into(), kind.word().into()]);
            // A grant that is being handed over gives nothing meanwhile.
            "g.custodian_id = $3 AND g.programme_id = $4 AND l.kind = $5 \
             AND NOT EXISTS (SELECT 1 FROM seal s WHERE s.unit_kind = 'grant' AND s.unit_id = g.id)"
        }
        Lines::Grant(id) => {
            values.push(id.into());
            "g.id = $3"
        }
        Lines::Line(id) => {
            values.push(id.into());
            "l.id = $3"
        }
    };
    let sql = format!(
        "SELECT g.id AS grant_id, g.programme_id, g.custodian_id, l.id AS line_id, l.kind, g.starts_on, g.ends_on, g.districts, \
         g.kinds, g.currency, l.amount_minor - l.used_minor AS room, b.minor AS available \
         FROM budget_line l JOIN donor_grant g ON g.id = l.grant_id \
         JOIN balance b ON b.grant_id = g.id AND b.bucket = $1 AND b.line_id = $2 AND b.currency = g.currency WHERE {which}"
    );
    let rows = CandidateRow::find_by_statement(statement(tx, &sql, values)).all(tx.conn()).await?;
    rows.into_iter().map(CandidateRow::candidate).collect()
}

#[derive(Debug, Default)]
pub struct Filter {
    pub grant_id: Option<Uuid>,
    pub state: Option<State>,
}

/// Needs that have, or had, money. A donor sees those of its grants.
pub async fn reservations(tx: &Tx, filter: &Filter, page: &Page) -> Result<Vec<Model>, Refusal> {
    let mut select = tx.find::<Entity>().filter(Column::GrantId.is_not_null()).filter(of_grants::<Entity>(tx, Column::GrantId));
    if let Some(own) = own_only(tx) {
        select = select.filter(Column::GrantId.in_subquery(own));
    }
    if let Some(grant) = filter.grant_id {
        select = select.filter(Column::GrantId.eq(grant));
    }
    if let Some(state) = filter.state {
        select = select.filter(Column::State.eq(state.word()));
    }
    Ok(keyset(select, Column::Id, page).all(tx.conn()).await?)
}

pub async fn needs(tx: &Tx, programme: Uuid, kind: Option<BudgetKind>, page: &Page) -> Result<Vec<Model>, Refusal> {
    let mut select = tx
        .find::<Entity>()
        .filter(of_grants::<Entity>(tx, Column::GrantId))
        .filter(Column::ProgrammeId.eq(programme))
        .filter(Column::State.eq(State::Open.word()));
    if let Some(kind) = kind {
        select = select.filter(Column::Kind.eq(kind.word()));
    }
    Ok(keyset(select, Column::Id, page).all(tx.conn()).await?)
}

/// What the open needs of the programme come to, by kind and currency.
pub async fn wanted(tx: &Tx, programme: Uuid) -> Result<Vec<Wanted>, Refusal> {
    let select = tx
        .find::<Entity>()
        .filter(Column::ProgrammeId.eq(programme))
        .filter(Column::State.eq(State::Open.word()))
        .select_only()
        .column(Column::Kind)
        .column(Column::CostCurrency)
        .column_as(Column::Id.count(), "open_needs")
        .column_as(Column::CostMinor.sum().cast_as("bigint"), "needed")
        .group_by(Column::Kind)
        .group_by(Column::CostCurrency);
    let rows = select.into_tuple::<(String, String, i64, i64)>().all(tx.conn()).await?;
    let row = |(kind, currency, open_needs, needed)| Wanted { kind, currency, open_needs, needed };
    Ok(rows.into_iter().map(row).collect())
}
