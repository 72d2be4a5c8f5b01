//! What the events of one transaction add, written together at its end: facts, cells, the figures of tranches, and how
//! much was heard.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use tahuka_chassis::{Event, Refusal, Tx};
use uuid::Uuid;

use crate::custody::{Unit, store as custody};
use crate::fact::{self, Delta, Fact};
use crate::indicator::store as cells;
use crate::tranche::store as figures;
use crate::{grant, heard, helped, need};

/// What an event is of, and what it adds.
pub struct Taken {
    pub programme: Uuid,
    pub unit: Option<Unit>,
    pub happened_on: NaiveDate,
    pub deltas: Vec<Delta>,
}

#[derive(Default)]
pub struct Batch {
    facts: Vec<Fact>,
    /// What the events are of, and whose they said it was.
    units: BTreeSet<(Unit, Uuid)>,
    heard: BTreeMap<(Uuid, Uuid), (i64, DateTime<Utc>)>,
}

impl Batch {
    pub fn add(&mut self, event: &Event, taken: Taken) {
        let Taken { programme, unit, happened_on, deltas } = taken;
        self.facts.extend(Fact::all(event, happened_on, deltas));
        self.units.extend(unit.map(|unit| (unit, event.custodian)));
        let heard = self.heard.entry((programme, event.custodian)).or_insert((0, event.recorded_at));
        *heard = (heard.0 + 1, heard.1.max(event.recorded_at));
    }

    pub async fn write(mut self, tx: &Tx) -> Result<(), Refusal> {
        self.money_with_its_grant(tx).await?;
        let of_facts = self.facts.iter().flat_map(|fact| [fact.held_by(), fact.delta.unit]).flatten();
        let units: BTreeSet<Uuid> = of_facts.chain(self.units.iter().map(|(unit, _)| *unit)).map(|(_, id)| id).collect();
        let members = custody::memberships(tx, units).await?;
        let (mut counted, mut of_tranches) = (Vec::new(), Vec::new());
        for fact in &self.facts {
            let Delta { cell, value, unit } = &fact.delta;
            if let Some(unit) = unit {
                of_tranches.extend(members.counts_in(*unit, fact.recorded_at).map(|tranche| (tranche, cell.clone(), *value)));
            }
            let custodian = fact.held_by().and_then(|unit| members.custodian(unit)).unwrap_or(cell.custodian_id);
            counted.push((cell.clone().custodian(custodian), *value));
        }
        fact::insert(tx, self.facts).await?;
        cells::add(tx, counted).await?;
        figures::add(tx, of_tranches).await?;

        // An event of the time before its unit was given over, heard after that.
        let mut late: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
        for (unit, told) in self.units {
            if let Some(custodian) = members.custodian(unit).filter(|custodian| *custodian != told) {
                late.entry(custodian).or_default().push(unit.1);
            }
        }
        for (custodian, units) in late {
            helped::given(tx, &units, custodian).await?;
            need::store::given(tx, &units, custodian).await?;
        }
        for ((programme, custodian), (events, last)) in self.heard {
            heard::count(tx, programme, custodian, events, last).await?;
        }
        Ok(())
    }

    /// An event about a household's money comes from who answers for the household; the money is with whoever answers
    /// for the grant.
    async fn money_with_its_grant(&mut self, tx: &Tx) -> Result<(), Refusal> {
        let grants: BTreeSet<Uuid> = self.facts.iter().filter_map(Fact::grant).collect();
        let custodians = grant::custodians(tx, grants).await?;
        for fact in &mut self.facts {
            if let Some(custodian) = fact.grant().and_then(|id| custodians.get(&id)) {
                fact.delta.cell.custodian_id = *custodian;
            }
        }
        Ok(())
    }
}
