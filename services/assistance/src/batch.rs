//! What the batch RPCs share: elements are counted, told apart and named in refusals, and one UPDATE gives each row a
//! value of its own.

use std::collections::HashSet;

use sea_orm::sea_query::{CaseStatement, Expr};
use sea_orm::{ColumnTrait, Value};
use tahuka_chassis::{Refusal, edge};
use uuid::Uuid;

const LARGEST: usize = 500;

pub fn sized(field: &str, elements: usize) -> Result<(), Refusal> {
    if (1..=LARGEST).contains(&elements) {
        Ok(())
    } else {
        Err(Refusal::invalid(field, format!("must hold 1 to {LARGEST} elements")))
    }
}

/// The ids, each told once; `field` names the nth.
pub fn ids<'a>(told: impl Iterator<Item = &'a String>, field: impl Fn(usize) -> String) -> Result<Vec<Uuid>, Refusal> {
    let mut known = HashSet::new();
    let one = |(n, text): (usize, &String)| {
        let id = edge::uuid(&field(n), text)?;
        if known.insert(id) { Ok(id) } else { Err(Refusal::invalid(field(n), "is told twice")) }
    };
    told.enumerate().map(one).collect()
}

/// The ids of a request's own list, 1 to 500, each told once.
pub fn listed(field: &str, told: &[String]) -> Result<Vec<Uuid>, Refusal> {
    sized(field, told.len())?;
    ids(told.iter(), |n| format!("{field}[{n}]"))
}

/// Puts the element's place before the advice of a refusal. What is not there is told as the element's fault, so that
/// the caller learns which one. An empty place is no batch.
pub fn of_element(place: &str, refusal: Refusal) -> Refusal {
    match refusal {
        refusal if place.is_empty() => refusal,
        Refusal::Precondition { reason, advice } => Refusal::Precondition { reason, advice: format!("{place}: {advice}") },
        Refusal::Conflict { reason, advice } => Refusal::Conflict { reason, advice: format!("{place}: {advice}") },
        Refusal::NotFound { .. } => Refusal::invalid(place, "is not there"),
        other => other,
    }
}

/// What `column` becomes in each row, by its id; one plain value where all get the same.
pub fn per_row<C, V>(id: C, column: C, values: Vec<(Uuid, V)>) -> Expr
where
    C: ColumnTrait,
    V: Into<Value> + PartialEq,
{
    let same = values.windows(2).all(|pair| matches!(pair, [a, b] if a.1 == b.1));
    let mut values = values.into_iter();
    match values.next() {
        Some((_, value)) if same => Expr::val(value),
        first => {
            let each = first.into_iter().chain(values);
            let cases = each.fold(CaseStatement::new(), |cases, (key, value)| cases.case(id.eq(key), Expr::val(value)));
            cases.finally(Expr::col(column)).into()
        }
    }
}

/// Another write came between the reading and the writing.
pub fn overtaken() -> Refusal {
    Refusal::conflict("ETAG_MISMATCH", "a record has changed since; read it again and repeat")
}
