//! Custody that passes from one tenant to another, unit by unit: a household, a project or a grant goes with everything
//! that a service knows of it, its slice. What a service holds is declared (`Slice`); sealing, writing into the bundle and
//! giving over are the same for all. Read `seal` (nothing is written any more), `consumer` and `steps` (what is asked of
//! the service, done one step after the other), `transfer` (the rows have another custodian), `held` (what arrives
//! meanwhile).

mod bundle;
mod consumer;
pub mod held;
pub mod import;
mod moved;
mod record;
pub mod seal;
pub(crate) mod steps;
mod tranche;
mod transfer;
pub(crate) mod trigger;

use futures::future::BoxFuture;
pub use tahuka_proto::UnitKind;

use crate::refusal::Refusal;
use crate::store::Store;

pub(crate) use consumer::Custody;
pub use moved::{custodian_of, note as note_moved};

/// What a service holds of units that can pass to another custodian.
pub struct Slice {
    /// The units that are this service's own.
    pub owns: Option<Owned>,
    /// Where it can be told which households have plans of some kind.
    pub selects: Option<Selects>,
    /// Services that have sealed theirs before this one's slice is fixed: what they tell of may still add to it.
    pub after: &'static [&'static str],
    /// In an order in which they can be filled: what others refer to comes first.
    pub tables: &'static [SliceTable],
    /// What else the service has kept back while something was sealed, and takes up now; how much of it.
    pub release: Option<Release>,
}

impl Slice {
    pub const NONE: Slice = Slice { owns: None, selects: None, after: &[], tables: &[], release: None };

    pub fn is_none(&self) -> bool {
        self.tables.is_empty()
    }

    /// The kinds of units that any of its rows belong to.
    fn knows(&self, kind: UnitKind) -> bool {
        let of = |rows: &Rows| match rows {
            Rows::Of { kind: own, .. } => *own == kind,
            Rows::OfEither { kinds, .. } => kinds.contains(&kind),
            _ => false,
        };
        self.tables.iter().any(|table| table.rows.iter().any(of))
    }

    pub(crate) fn table(&self, name: &str) -> Option<&'static SliceTable> {
        self.tables.iter().find(|table| table.table == name)
    }
}

/// The column by which an installation tells what has passed apart from what is the custodian's own. It is in no bundle.
const PASSED: &str = "passed";

pub type Release = fn(&Store) -> Releasing<'_>;
pub type Releasing<'a> = BoxFuture<'a, Result<usize, Refusal>>;

/// The table whose rows are the units; it has `id`, `programme_id`, `custodian_id` and, of households, `district`.
pub struct Owned {
    pub kind: UnitKind,
    pub table: &'static str,
    /// It has a column `passed`, by which what came from another custodian is told apart from the recipient's own where
    /// both have the same number.
    pub numbered: bool,
}

/// The table that tells which household has something of a kind.
pub struct Selects {
    pub table: &'static str,
    pub household: &'static str,
    pub kind: &'static str,
    /// Rows that do not count.
    pub unless: &'static str,
}

/// A table of which a slice has rows.
pub struct SliceTable {
    pub table: &'static str,
    /// The columns of its primary key.
    pub key: &'static [&'static str],
    /// A row is in the slice if one of these says so.
    pub rows: &'static [Rows],
}

/// Which rows are in the slice of a unit.
pub enum Rows {
    /// They belong to the unit that `column` names: they are sealed with it, and pass with it.
    Of { kind: UnitKind, column: &'static str },
    /// As `Of`, where another column says of which kind the unit is.
    OfEither { kinds: &'static [UnitKind], kind_column: &'static str, column: &'static str },
    /// They tell of a row of the slice, and stay whoever's they are.
    Through { column: &'static str, table: &'static str },
    /// Rows of the slice refer to them: they are told of, and stay whoever's they are. Table and column.
    Referenced { by: &'static [(&'static str, &'static str)] },
    /// They hold rows of several units together. They pass once no such row is anybody else's than the recipient's.
    Container { by: &'static [(&'static str, &'static str)] },
}

impl SliceTable {
    /// Whether its rows belong to units.
    pub(crate) fn is_owned(&self) -> bool {
        self.rows.iter().any(|rows| matches!(rows, Rows::Of { .. } | Rows::OfEither { .. }))
    }

    /// The condition that a row `t` belongs to a unit of tranche `$1`.
    pub(crate) fn owned(&self) -> Option<String> {
        self.owned_by("t")
    }

    fn owned_by(&self, alias: &str) -> Option<String> {
        let any: Vec<String> = self.rows.iter().filter_map(|rows| rows.belongs(alias)).collect();
        (!any.is_empty()).then(|| format!("({})", any.join(" OR ")))
    }

    /// The condition that a row `t` is in the slice of tranche `$1`.
    pub(crate) fn within(&self, slice: &Slice) -> String {
        slice.reaches(self.table, "t")
    }
}

impl Slice {
    /// The condition that row `alias` of a table is in the slice, of itself or through a row that belongs to a unit.
    fn reaches(&self, name: &str, alias: &str) -> String {
        let Some(table) = self.table(name) else { return "1 = 0".to_owned() };
        let mut any: Vec<String> = table.rows.iter().filter_map(|rows| rows.belongs(alias)).collect();
        for rows in table.rows {
            match rows {
                Rows::Of { .. } | Rows::OfEither { .. } => {}
                Rows::Through { column, table } => {
                    any.push(format!("{alias}.{column} IN (SELECT v.id FROM {table} v WHERE {})", self.reaches(table, "v")));
                }
                Rows::Referenced { by } | Rows::Container { by } => {
                    for (table, column) in *by {
                        any.push(format!("{alias}.id IN (SELECT w.{column} FROM {table} w WHERE {})", self.reaches(table, "w")));
                    }
                }
            }
        }
        if any.is_empty() { "1 = 0".to_owned() } else { format!("({})", any.join(" OR ")) }
    }
}

impl Rows {
    fn belongs(&self, alias: &str) -> Option<String> {
        let sealed = |kind: String, column: &str| {
            format!(
                "EXISTS (SELECT 1 FROM seal s WHERE s.unit_kind = {kind} AND s.unit_id = {alias}.{column} AND s.tranche_id = $1)"
            )
        };
        match self {
            Rows::Of { kind, column } => Some(sealed(format!("'{}'", kind.word()), column)),
            Rows::OfEither { kind_column, column, .. } => Some(sealed(format!("{alias}.{kind_column}"), column)),
            _ => None,
        }
    }
}
