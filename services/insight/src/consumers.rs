//! What the read model does when events arrive: each adds to the cells of what it tells of.

use chrono::NaiveDate;
use tahuka_chassis::{Amount, Consumer, Event, Refusal, Tx, async_trait, edge};
use tahuka_proto::assistance::v1::{AssistanceDelivered, PlanSubmitted, TrainingCompleted, VisitRecorded};
use tahuka_proto::funding::v1::{
    ExpenditureRecorded, FundsCommitted, FundsNotAvailable, FundsReleased, FundsReserved, GrantOpened, InstalmentReceived,
    PledgeMade,
};
use tahuka_proto::google::r#type::{Date, Money};
use tahuka_proto::handover::v1::{
    SliceSealed, SliceTransferred, SliceUnsealed, TrancheSealRequested, TrancheTransferRequested, TrancheUnsealRequested,
    UnitsSealed,
};
use tahuka_proto::projects::v1::{CampaignHeld, FacilityCompleted, PeopleServed, ProjectCompleted};
use tahuka_proto::registry::v1::{HouseholdRegistered, IndividualRegistered, ReturnRecorded};
use tahuka_proto::tenancy::v1::ProgrammeCreated;
use tahuka_proto::{EventMessage, UnitKind};
use uuid::Uuid;

use crate::batch::{Batch, Taken};
use crate::custody::{self, Unit, saga};
use crate::fact::Delta;
use crate::indicator::Cell;
use crate::need::{Need, Stage};
use crate::{grant, helped, need};

/// Hears what is counted. Not heard: approvals and cancellations of plans and projects and their submission to funding
/// (funding's own events tell what became of the money), vulnerability, and agreements; of handovers that a bundle is
/// asked for (see `tranche`), and that a tranche is closed: nobody writes to the read model, so it has no seal to lift.
pub struct ReadModel;

#[async_trait]
impl Consumer for ReadModel {
    fn name(&self) -> &'static str {
        "read_model"
    }

    fn hears(&self) -> &'static [&'static str] {
        &[
            ProgrammeCreated::KIND,
            HouseholdRegistered::KIND,
            IndividualRegistered::KIND,
            ReturnRecorded::KIND,
            PlanSubmitted::KIND,
            AssistanceDelivered::KIND,
            TrainingCompleted::KIND,
            VisitRecorded::KIND,
            ProjectCompleted::KIND,
            FacilityCompleted::KIND,
            PeopleServed::KIND,
            CampaignHeld::KIND,
            GrantOpened::KIND,
            InstalmentReceived::KIND,
            FundsReserved::KIND,
            FundsNotAvailable::KIND,
            FundsCommitted::KIND,
            FundsReleased::KIND,
            ExpenditureRecorded::KIND,
            PledgeMade::KIND,
            TrancheSealRequested::KIND,
            UnitsSealed::KIND,
            SliceSealed::KIND,
            SliceUnsealed::KIND,
            TrancheUnsealRequested::KIND,
            TrancheTransferRequested::KIND,
            SliceTransferred::KIND,
        ]
    }

    async fn handle(&self, tx: &mut Tx, event: &Event) -> Result<(), Refusal> {
        if saga::is_of(&event.kind) {
            // What a tranche comes to is read from what was written.
            self.settle(tx).await?;
            custody::store::in_turn(tx).await?;
            return saga::take(tx, event).await;
        }
        let mut batch = match tx.kept::<Batch>() {
            Some(batch) => batch,
            None => {
                custody::store::in_turn(tx).await?;
                Batch::default()
            }
        };
        match take(tx, event).await? {
            Some(taken) => batch.add(event, taken),
            None => tracing::warn!(event = %event.id, kind = event.kind, "an event that the read model does not know"),
        }
        tx.keep(batch);
        Ok(())
    }

    async fn settle(&self, tx: &mut Tx) -> Result<(), Refusal> {
        match tx.kept::<Batch>() {
            Some(batch) => batch.write(tx).await,
            None => Ok(()),
        }
    }
}

async fn take(tx: &Tx, event: &Event) -> Result<Option<Taken>, Refusal> {
    Ok(Some(match event.kind.as_str() {
        ProgrammeCreated::KIND => {
            let e: ProgrammeCreated = event.decode()?;
            let programme = edge::uuid("programme_id", &e.programme_id)?;
            Taken { programme, unit: None, happened_on: event.recorded_at.date_naive(), deltas: Vec::new() }
        }
        HouseholdRegistered::KIND => {
            let e: HouseholdRegistered = event.decode()?;
            let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
            told.one(told.cell("households_registered").district(&e.district).person("", "", &e.category))
        }
        IndividualRegistered::KIND => {
            let e: IndividualRegistered = event.decode()?;
            let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
            let cell = told.cell("people_registered").district(&e.district);
            told.one(cell.person(&e.sex, &e.age_band, &e.category))
        }
        ReturnRecorded::KIND => {
            let e: ReturnRecorded = event.decode()?;
            let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
            told.one(told.cell("returns_recorded").district(&e.district))
        }
        PlanSubmitted::KIND => {
            let e: PlanSubmitted = event.decode()?;
            let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
            let cell = told.cell("plans_submitted").district(&e.district).kind(&e.kind);
            told.one(cell.person(&e.sex, &e.age_band, &e.category))
        }
        AssistanceDelivered::KIND => delivered(tx, event).await?,
        TrainingCompleted::KIND => {
            let e: TrainingCompleted = event.decode()?;
            let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
            let cell = told.cell("trainings_completed").district(&e.district).kind(&e.kind);
            told.one(cell.person(&e.sex, &e.age_band, &e.category))
        }
        VisitRecorded::KIND => visited(event)?,
        ProjectCompleted::KIND => {
            let e: ProjectCompleted = event.decode()?;
            let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
            told.one(told.cell("projects_completed").district(&e.district))
        }
        FacilityCompleted::KIND => {
            let e: FacilityCompleted = event.decode()?;
            let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
            told.one(told.cell("facilities_completed").district(&e.district).kind(&e.kind))
        }
        PeopleServed::KIND => {
            let e: PeopleServed = event.decode()?;
            let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
            let cell = told.cell("people_served").district(&e.district).person(&e.sex, &e.age_band, "");
            told.all(vec![(cell, e.people)])
        }
        CampaignHeld::KIND => {
            let e: CampaignHeld = event.decode()?;
            let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
            let cell = |code| told.cell(code).district(&e.district).kind(&e.level);
            told.all(vec![(cell("campaigns_held"), 1), (cell("campaign_reach"), e.reach)])
        }
        _ => return take_money(tx, event).await,
    }))
}

/// The same for what funding publishes.
async fn take_money(tx: &Tx, event: &Event) -> Result<Option<Taken>, Refusal> {
    Ok(Some(match event.kind.as_str() {
        GrantOpened::KIND => opened(tx, event).await?,
        InstalmentReceived::KIND => {
            let e: InstalmentReceived = event.decode()?;
            let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
            told.money("money_received", &e.grant_id, "credited", e.credited.as_ref())?
        }
        PledgeMade::KIND => {
            let e: PledgeMade = event.decode()?;
            let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
            told.money("money_pledged", &e.grant_id, "amount", e.amount.as_ref())?
        }
        FundsReserved::KIND => {
            let e: FundsReserved = event.decode()?;
            let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
            let need = need(&told, Stage::Reserved, &e.grant_id, [&e.need_kind, &e.kind, &e.district], e.amount.as_ref())?;
            moved(tx, &told, &e.need_id, need).await?
        }
        FundsNotAvailable::KIND => {
            let e: FundsNotAvailable = event.decode()?;
            let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
            let need = need(&told, Stage::Open, "", [&e.need_kind, &e.kind, &e.district], e.amount.as_ref())?;
            moved(tx, &told, &e.need_id, need).await?
        }
        FundsCommitted::KIND => {
            let e: FundsCommitted = event.decode()?;
            let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
            let need = need(&told, Stage::Committed, &e.grant_id, [&e.need_kind, &e.kind, &e.district], e.amount.as_ref())?;
            moved(tx, &told, &e.need_id, need).await?
        }
        FundsReleased::KIND => {
            let e: FundsReleased = event.decode()?;
            let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
            let need = need(&told, Stage::Over, &e.grant_id, [&e.need_kind, &e.kind, &e.district], e.amount.as_ref())?;
            moved(tx, &told, &e.need_id, need).await?
        }
        ExpenditureRecorded::KIND => {
            let e: ExpenditureRecorded = event.decode()?;
            let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
            let spent = need(&told, Stage::Spent, &e.grant_id, [&e.need_kind, &e.kind, &e.district], e.amount.as_ref())?;
            if e.need_id.is_empty() {
                // Administration: nobody's need, so spent at once.
                told.all(spent.change(None, &|code| told.cell(code)))
            } else {
                moved(tx, &told, &e.need_id, spent).await?
            }
        }
        _ => return Ok(None),
    }))
}

/// What every event tells: of which programme and custodian, of what, and when it happened.
struct Told {
    programme: Uuid,
    custodian: Uuid,
    unit: Option<Unit>,
    happened_on: NaiveDate,
}

impl Told {
    fn of(event: &Event, programme: &str, happened_on: Option<&Date>) -> Result<Self, Refusal> {
        Ok(Told {
            programme: edge::uuid("programme_id", programme)?,
            custodian: event.custodian,
            unit: event.unit(),
            happened_on: edge::date("happened_on", happened_on)?,
        })
    }

    fn cell(&self, code: &'static str) -> Cell {
        Cell::of(self.programme, self.custodian, self.happened_on, code)
    }

    fn all(&self, deltas: Vec<(Cell, i64)>) -> Taken {
        self.with(deltas.into_iter().map(|(cell, value)| self.delta(cell, value)).collect())
    }

    fn with(&self, deltas: Vec<Delta>) -> Taken {
        Taken { programme: self.programme, unit: self.unit, happened_on: self.happened_on, deltas }
    }

    /// What goes with a grant is money alone.
    fn delta(&self, cell: Cell, value: i64) -> Delta {
        let of_grant = !cell.grant_id.is_empty() && !cell.currency.is_empty();
        Delta { cell, value, unit: self.unit.filter(|(kind, _)| of_grant || *kind != UnitKind::Grant) }
    }

    /// The household or project that it is of.
    fn place(&self) -> Option<Uuid> {
        self.unit.filter(|(kind, _)| *kind != UnitKind::Grant).map(|(_, id)| id)
    }

    fn one(&self, cell: Cell) -> Taken {
        self.all(vec![(cell, 1)])
    }

    fn money(&self, code: &'static str, grant_id: &str, field: &str, told: Option<&Money>) -> Result<Taken, Refusal> {
        let amount = edge::money(field, told)?;
        let cell = self.cell(code).grant(grant_id).currency(amount.currency.as_str());
        Ok(self.all(vec![(cell, amount.minor)]))
    }
}

async fn delivered(tx: &Tx, event: &Event) -> Result<Taken, Refusal> {
    let e: AssistanceDelivered = event.decode()?;
    let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
    let person = helped::Model {
        programme_id: told.programme,
        individual_id: edge::uuid("individual_id", &e.individual_id)?,
        custodian_id: told.custodian,
        household_id: edge::optional_uuid("household_id", &e.household_id)?,
        first_delivered_on: told.happened_on,
        last_delivered_on: told.happened_on,
        kind: e.kind,
        district: e.district,
        sex: e.sex,
        age_band: e.age_band,
        category: e.category,
    };
    let mut deltas = helped::record(tx, &person).await?;
    let cell = told.cell("assistance_delivered").district(&person.district).kind(&person.kind);
    deltas.push(told.delta(cell.person(&person.sex, &person.age_band, &person.category).grant(&e.grant_id), 1));
    Ok(told.with(deltas))
}

/// A visit that met nobody says nothing of the outcome.
fn visited(event: &Event) -> Result<Taken, Refusal> {
    let e: VisitRecorded = event.decode()?;
    let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
    let cell = |code| told.cell(code).district(&e.district).kind(&e.kind).person(&e.sex, &e.age_band, &e.category);
    let met = e.outcome != "not_found";
    let mut deltas = vec![(cell("visits_recorded"), 1)];
    deltas.extend(met.then(|| (cell("visits_met"), 1)));
    deltas.extend((met && e.favourable).then(|| (cell("visits_favourable"), 1)));
    Ok(told.all(deltas))
}

async fn opened(tx: &Tx, event: &Event) -> Result<Taken, Refusal> {
    let e: GrantOpened = event.decode()?;
    let told = Told::of(event, &e.programme_id, e.happened_on.as_ref())?;
    let taken = told.money("money_granted", &e.grant_id, "amount", e.amount.as_ref())?;
    let row = grant::Model {
        id: edge::uuid("grant_id", &e.grant_id)?,
        programme_id: told.programme,
        custodian_id: told.custodian,
        donor_tenant_id: edge::optional_uuid("donor_tenant_id", &e.donor_tenant_id)?,
        title: e.title,
        currency: e.amount.map(|amount| amount.currency_code).unwrap_or_default(),
        recorded_at: event.recorded_at,
    };
    grant::insert(tx, row).await?;
    Ok(taken)
}

/// The need that one of funding's events tells of, in its stage.
fn need(told: &Told, stage: Stage, grant_id: &str, words: [&str; 3], amount: Option<&Money>) -> Result<Need, Refusal> {
    let Amount { minor, currency } = edge::money("amount", amount)?;
    let [need_kind, kind, district] = words.map(str::to_owned);
    let (grant_id, currency) = (grant_id.to_owned(), currency.as_str().to_owned());
    Ok(Need { stage, district, need_kind, kind, grant_id, minor, currency, counted_by: told.custodian })
}

/// A need in a new stage.
async fn moved(tx: &Tx, told: &Told, id: &str, need: Need) -> Result<Taken, Refusal> {
    let id = edge::uuid("need_id", id)?;
    let (programme, custodian, unit) = (told.programme, told.custodian, told.place());
    let (now, before) = need::store::replace(tx, need::store::Told { id, programme, custodian, unit, need }).await?;
    Ok(told.all(now.change(before.as_ref(), &|code| told.cell(code))))
}
