//! A slice is given over: its rows have another custodian, in one transaction.

use sea_orm::{ConnectionTrait as _, DbBackend};
use uuid::Uuid;

use super::{Rows, Slice, moved};
use crate::refusal::Refusal;
use crate::store::Tx;

/// Gives the tranche's rows to the recipient; how many have another custodian now.
pub(super) async fn transfer(tx: &Tx, slice: &Slice, tranche: Uuid, recipient: Uuid) -> Result<u64, Refusal> {
    let mut records = 0;
    for table in slice.tables {
        let Some(owned) = table.owned() else { continue };
        let passed = match (&slice.owns, tx.conn().get_database_backend()) {
            (Some(own), _) if !own.numbered || own.table != table.table => "",
            (Some(_), DbBackend::Postgres) => ", passed = CAST(id AS text)",
            (Some(_), _) => ", passed = lower(hex(id))",
            (None, _) => "",
        };
        let sql = format!("UPDATE {} AS t SET custodian_id = $2{passed} WHERE t.custodian_id <> $2 AND {owned}", table.table);
        records += tx.run(&sql, vec![tranche.into(), recipient.into()]).await?;
    }
    for table in slice.tables {
        for rows in table.rows {
            let Rows::Container { by } = rows else { continue };
            let anybody_elses: Vec<String> = by
                .iter()
                .map(|(inner, column)| {
                    format!("NOT EXISTS (SELECT 1 FROM {inner} e WHERE e.{column} = t.id AND e.custodian_id <> $2)")
                })
                .collect();
            let sql = format!(
                "UPDATE {} AS t SET custodian_id = $2 WHERE t.custodian_id <> $2 AND {} AND {}",
                table.table,
                table.within(slice),
                anybody_elses.join(" AND ")
            );
            records += tx.run(&sql, vec![tranche.into(), recipient.into()]).await?;
        }
    }
    moved::note(tx, tranche, recipient).await?;
    Ok(records)
}
