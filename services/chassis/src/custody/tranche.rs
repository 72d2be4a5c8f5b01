//! A tranche as a service knows it while its records are sealed: what was asked, who has sealed, and how far this service
//! is itself.

use prost::Message as _;
use tahuka_proto::handover::v1::{HouseholdsSelected, SliceSealed, TrancheSealRequested};
use uuid::Uuid;

use super::{Selects, Slice, UnitKind, seal};
use crate::edge;
use crate::refusal::Refusal;
use crate::store::Tx;

/// Who has told which households have plans of the tranche's kinds.
const SELECTION: &str = "selection";

pub(super) struct Tranche {
    pub id: Uuid,
    /// None: others were heard of it before it was asked for.
    request: Option<TrancheSealRequested>,
    heard: Vec<String>,
    /// The service's own units are chosen.
    fixed: bool,
    /// The service has said that its slice is sealed.
    settled: bool,
}

impl Tranche {
    /// As it is known; what is not known yet is begun.
    pub async fn of(tx: &Tx, id: Uuid) -> Result<Self, Refusal> {
        let sql = "INSERT INTO custody_tranche (tranche_id, heard, fixed, settled) VALUES ($1, '', false, false) \
                   ON CONFLICT DO NOTHING";
        tx.run(sql, vec![id.into()]).await?;
        let sql = "SELECT request, heard, fixed, settled FROM custody_tranche WHERE tranche_id = $1";
        let rows = tx.query(sql, vec![id.into()]).await?;
        let row = rows.first().ok_or_else(|| Refusal::internal("a tranche is gone"))?;
        let request: Option<Vec<u8>> = row.try_get("", "request")?;
        let heard: String = row.try_get("", "heard")?;
        Ok(Tranche {
            id,
            request: request.map(|body| TrancheSealRequested::decode(body.as_slice())).transpose().map_err(Refusal::internal)?,
            heard: heard.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
            fixed: row.try_get("", "fixed")?,
            settled: row.try_get("", "settled")?,
        })
    }

    async fn write(&self, tx: &Tx) -> Result<(), Refusal> {
        let sql = "UPDATE custody_tranche SET request = $2, heard = $3, fixed = $4, settled = $5 WHERE tranche_id = $1";
        let values = vec![
            self.id.into(),
            self.request.as_ref().map(prost::Message::encode_to_vec).into(),
            self.heard.join(",").into(),
            self.fixed.into(),
            self.settled.into(),
        ];
        tx.run(sql, values).await.map(|_| ())
    }

    /// It is asked for.
    pub async fn request(mut self, tx: &mut Tx, slice: &Slice, request: TrancheSealRequested) -> Result<(), Refusal> {
        if let Some(selects) = slice.selects.as_ref().filter(|_| is_limited(&request)) {
            select(tx, selects, self.id, &request).await?;
        }
        self.request = Some(request);
        self.advance(tx, slice).await
    }

    /// A page of the households that are chosen by their plans has come.
    pub async fn selected(mut self, tx: &mut Tx, slice: &Slice, told: &HouseholdsSelected) -> Result<(), Refusal> {
        if slice.owns.as_ref().is_none_or(|owned| owned.kind != UnitKind::Household) {
            return Ok(());
        }
        let ids = ids("household_ids", &told.household_ids)?;
        for ids in ids.chunks(seal::PAGE) {
            let places: Vec<String> = (0..ids.len()).map(|n| format!("($1, ${})", n + 2)).collect();
            let sql =
                format!("INSERT INTO custody_selected (tranche_id, unit_id) VALUES {} ON CONFLICT DO NOTHING", places.join(", "));
            tx.run(&sql, std::iter::once(self.id.into()).chain(ids.iter().cloned()).collect()).await?;
        }
        if !told.last {
            return Ok(());
        }
        self.hears(SELECTION);
        self.advance(tx, slice).await
    }

    /// Another service has sealed its slice.
    pub async fn sealed_by(mut self, tx: &mut Tx, slice: &Slice, told: &SliceSealed) -> Result<(), Refusal> {
        if !slice.after.contains(&told.service.as_str()) {
            return Ok(());
        }
        self.hears(&told.service);
        self.advance(tx, slice).await
    }

    fn hears(&mut self, what: &str) {
        if !self.heard.iter().any(|heard| heard == what) {
            self.heard.push(what.to_owned());
        }
    }

    fn has_heard(&self, what: &str) -> bool {
        self.heard.iter().any(|heard| heard == what)
    }

    /// Goes as far as what was heard allows.
    async fn advance(mut self, tx: &mut Tx, slice: &Slice) -> Result<(), Refusal> {
        let Some(request) = self.request.clone() else { return self.write(tx).await };
        let sender = edge::uuid("sender_id", &request.sender_id)?;
        if let Some(owned) = slice.owns.as_ref().filter(|_| !self.fixed) {
            let by_selection = owned.kind == UnitKind::Household && is_limited(&request);
            if by_selection && !self.has_heard(SELECTION) {
                return self.write(tx).await;
            }
            self.fix(tx, owned, &request, sender, by_selection).await?;
            // What was written before the seal was told of before it, too.
            seal::settle(tx, slice).await?;
            seal::tell(tx, sender, self.id, owned.kind).await?;
            self.fixed = true;
        }
        if !self.settled && slice.after.iter().all(|service| self.has_heard(service)) {
            seal::settle(tx, slice).await?;
            let counts = seal::counts(tx, self.id).await?;
            let count = |kind: UnitKind| counts.get(kind.word()).copied().unwrap_or_default();
            let event = SliceSealed {
                tranche_id: self.id.to_string(),
                service: tx.service().to_owned(),
                households: count(UnitKind::Household),
                projects: count(UnitKind::Project),
                grants: count(UnitKind::Grant),
            };
            tx.publish(sender, self.id, &event).await?;
            self.settled = true;
        }
        self.write(tx).await
    }

    /// Chooses the service's own units, once and for all.
    async fn fix(
        &self,
        tx: &Tx,
        owned: &super::Owned,
        request: &TrancheSealRequested,
        sender: Uuid,
        by_selection: bool,
    ) -> Result<(), Refusal> {
        let mut values: Vec<sea_orm::Value> =
            vec![self.id.into(), edge::uuid("programme_id", &request.programme_id)?.into(), sender.into()];
        let listed = match owned.kind {
            UnitKind::Household => request.districts.iter().map(|d| d.as_str().into()).collect(),
            UnitKind::Project => ids("project_ids", &request.project_ids)?,
            UnitKind::Grant => ids("grant_ids", &request.grant_ids)?,
        };
        let column = if owned.kind == UnitKind::Household { "district" } else { "id" };
        for listed in listed.chunks(seal::PAGE) {
            values.truncate(3);
            values.extend(listed.iter().cloned());
            let places: Vec<String> = (0..listed.len()).map(|n| format!("${}", n + 4)).collect();
            let chosen = match by_selection {
                true => "AND EXISTS (SELECT 1 FROM custody_selected c WHERE c.tranche_id = $1 AND c.unit_id = u.id)",
                false => "",
            };
            let sql = format!(
                "INSERT INTO seal (unit_kind, unit_id, tranche_id) SELECT '{}', u.id, $1 FROM {} u \
                 WHERE u.programme_id = $2 AND u.custodian_id = $3 AND u.{column} IN ({}) {chosen} ON CONFLICT DO NOTHING",
                owned.kind.word(),
                owned.table,
                places.join(", ")
            );
            tx.run(&sql, values.clone()).await?;
        }
        Ok(())
    }
}

/// Forgets the tranche, and lifts its seals.
pub(super) async fn forget(tx: &Tx, id: Uuid) -> Result<(), Refusal> {
    seal::lift(tx, id).await?;
    for table in ["custody_selected", "custody_tranche"] {
        tx.run(&format!("DELETE FROM {table} WHERE tranche_id = $1"), vec![id.into()]).await?;
    }
    Ok(())
}

/// Whether only households with plans of some kinds are meant.
fn is_limited(request: &TrancheSealRequested) -> bool {
    !request.package_kinds.is_empty() && !request.districts.is_empty()
}

fn ids(field: &str, told: &[String]) -> Result<Vec<sea_orm::Value>, Refusal> {
    told.iter().map(|id| Ok(edge::uuid(field, id)?.into())).collect()
}

/// Tells which households have plans of the tranche's kinds.
async fn select(tx: &mut Tx, selects: &Selects, tranche: Uuid, request: &TrancheSealRequested) -> Result<(), Refusal> {
    let sender = edge::uuid("sender_id", &request.sender_id)?;
    let mut values: Vec<sea_orm::Value> = vec![edge::uuid("programme_id", &request.programme_id)?.into(), sender.into()];
    let mut listed = |told: &[String]| {
        let places: Vec<String> = told
            .iter()
            .map(|word| {
                values.push(word.as_str().into());
                format!("${}", values.len())
            })
            .collect();
        places.join(", ")
    };
    let (districts, kinds) = (listed(&request.districts), listed(&request.package_kinds));
    let Selects { table, household, kind, unless } = selects;
    let sql = format!(
        "SELECT DISTINCT {household} AS id FROM {table} WHERE programme_id = $1 AND custodian_id = $2 \
         AND district IN ({districts}) AND {kind} IN ({kinds}) AND NOT ({unless}) ORDER BY {household}"
    );
    let rows = tx.query(&sql, values).await?;
    let found: Vec<Uuid> = rows.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?;
    let pages = found.len().div_ceil(seal::PAGE).max(1);
    for page in 0..pages {
        let ids = found.iter().skip(page * seal::PAGE).take(seal::PAGE).map(Uuid::to_string).collect();
        let event = HouseholdsSelected { tranche_id: tranche.to_string(), household_ids: ids, last: page + 1 == pages };
        tx.publish(sender, tranche, &event).await?;
    }
    Ok(())
}
