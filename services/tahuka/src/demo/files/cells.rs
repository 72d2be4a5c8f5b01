//! A row of a CSV file as serde reads it, cell by cell, so that a refusal can name the column.

use std::cell::Cell as Shared;

use csv::StringRecord;
use serde::Deserializer;
use serde::de::value::{Error, MapDeserializer};
use serde::de::{DeserializeOwned, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

/// The row; else the column, where it is one column's fault, and the rule.
pub fn row<R: DeserializeOwned>(header: &StringRecord, record: &StringRecord) -> Result<R, (String, String)> {
    let at = Shared::new("");
    let cells = header.iter().zip(record).map(|(column, cell)| {
        at.set(column);
        (column, Cell(cell))
    });
    // Once every cell is read, what is still wrong is no column's fault.
    let cells = cells.chain(std::iter::from_fn(|| {
        at.set("");
        None
    }));
    R::deserialize(MapDeserializer::new(cells)).map_err(|e: Error| (at.get().to_owned(), e.to_string()))
}

struct Cell<'de>(&'de str);

impl<'de> IntoDeserializer<'de> for Cell<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Cell<'de> {
    fn whole<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i64(self.0.parse().map_err(|_| Error::custom("must be a whole number"))?)
    }
}

impl<'de> Deserializer<'de> for Cell<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.whole(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.whole(visitor)
    }

    /// An empty cell is none.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_empty() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! {
        bool i8 i16 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::files::Visit;

    #[test]
    fn a_bad_cell_is_told_by_column_and_rule() {
        let header = StringRecord::from(vec!["submission_id", "visited_on", "outcome", "visitor"]);
        let told = |cells: [&str; 4]| row::<Visit>(&header, &StringRecord::from(cells.to_vec())).map_err(|(column, _)| column);
        assert_eq!(told(["s-1", "2012-02-01", "employed", "V-1"]).unwrap().submission_id, "s-1");
        assert_eq!(told(["s-1", "2012-02-31", "employed", "V-1"]).unwrap_err(), "visited_on");
        assert_eq!(told(["s-1", "2012-02-01", "rich", "V-1"]).unwrap_err(), "outcome");
        let short = StringRecord::from(vec!["submission_id"]);
        let missing = row::<Visit>(&short, &StringRecord::from(vec!["s-1"])).unwrap_err();
        assert_eq!(missing, (String::new(), "missing field `visited_on`".to_owned()));
    }
}
