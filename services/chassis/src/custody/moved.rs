//! Who has a unit that has passed. An event that was told before it passed, and is heard after, has its effect in the new
//! custodian's name.

use uuid::Uuid;

use super::UnitKind;
use crate::consumer::Event;
use crate::refusal::Refusal;
use crate::store::Tx;

/// Notes that the tranche's units are the recipient's.
pub async fn note(tx: &Tx, tranche: Uuid, recipient: Uuid) -> Result<(), Refusal> {
    let sql = "INSERT INTO unit_custody (unit_kind, unit_id, custodian_id, tranche_id) \
               SELECT unit_kind, unit_id, $2, tranche_id FROM seal WHERE tranche_id = $1 \
               ON CONFLICT (unit_kind, unit_id) DO UPDATE SET custodian_id = excluded.custodian_id, tranche_id = excluded.tranche_id";
    tx.run(sql, vec![tranche.into(), recipient.into()]).await?;
    Ok(())
}

/// Whose the unit is, if it has ever passed.
pub async fn custodian_of(tx: &Tx, kind: UnitKind, unit: Uuid) -> Result<Option<Uuid>, Refusal> {
    let sql = "SELECT custodian_id FROM unit_custody WHERE unit_kind = $1 AND unit_id = $2";
    let rows = tx.query(sql, vec![kind.word().into(), unit.into()]).await?;
    Ok(rows.first().map(|row| row.try_get("", "custodian_id")).transpose()?)
}

/// The event in the name of whoever has its unit now.
pub(crate) async fn as_of_now(tx: &Tx, event: &Event, unit: Option<(UnitKind, Uuid)>) -> Result<Event, Refusal> {
    let custodian = match unit {
        Some((kind, id)) => custodian_of(tx, kind, id).await?,
        None => None,
    };
    Ok(Event { custodian: custodian.unwrap_or(event.custodian), ..event.clone() })
}
