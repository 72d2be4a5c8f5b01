//! A household: where it lives, how large it is, and the people in it.

mod profile;
pub mod rpc;
pub mod store;

use chrono::NaiveDate;

use crate::individual::{Person, Relation, Rule, coded};
use crate::places::Place;

coded!(
    Category { Returnee = "returnee", HostCommunity = "host_community" | "host" },
    "must be returnee or host_community"
);

const LARGEST: i32 = 60;

/// The district of a place that a household can live in.
pub fn residence(code: &str) -> Result<(Place, Place), Rule> {
    let place = Place::find(code.trim()).ok_or("is not a known p-code")?;
    let district = place.district().ok_or("must be a district, sector or cell")?;
    Ok((place, district))
}

pub fn size(told: i32) -> Result<i32, Rule> {
    if (1..=LARGEST).contains(&told) { Ok(told) } else { Err("must be 1 to 60") }
}

/// The facts of a household, persons apart.
#[derive(Debug, Clone)]
pub struct Dwelling {
    pub category: Category,
    pub place: Place,
    pub district: Place,
    pub number: String,
    pub size: i32,
    pub registered_on: NaiveDate,
    pub source: String,
    pub enumerator: String,
}

/// Who belongs together: at least one, no more than the size told, one head at most. The index of the head.
pub fn head_of(persons: &[Person], size: i32) -> Result<Option<usize>, Rule> {
    if persons.is_empty() {
        return Err("must name at least one person");
    }
    if persons.len() > usize::try_from(size).unwrap_or(0) {
        return Err("must not name more people than household_size");
    }
    let mut heads = persons.iter().enumerate().filter(|(_, p)| p.relation == Some(Relation::Head));
    let head = heads.next().map(|(at, _)| at);
    if heads.next().is_some() { Err("must name one head at most") } else { Ok(head) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::individual::Sex;

    fn person(relation: Relation) -> Person {
        Person {
            surname: "MUKAMANA".into(),
            given_name: None,
            sex: Sex::Female,
            birth: None,
            relation: Some(relation),
            document: None,
            phone: None,
            requested: None,
            item: None,
        }
    }

    #[test]
    fn a_household_lives_in_a_known_place() {
        assert_eq!(residence("RW330401").map(|(p, d)| (p.code, d.code)), Ok(("RW330401", "RW33")));
        assert_eq!(residence("RW33").map(|(_, d)| d.code), Ok("RW33"));
        assert_eq!(residence("RW3").map(|_| ()), Err("must be a district, sector or cell"));
        assert_eq!(residence("RW339999").map(|_| ()), Err("is not a known p-code"));
    }

    #[test]
    fn one_head_at_most() {
        let people = [person(Relation::Child), person(Relation::Head)];
        assert_eq!(head_of(&people, 2), Ok(Some(1)));
        assert_eq!(head_of(&people[..1], 2), Ok(None));
        assert!(head_of(&people, 1).is_err());
        assert!(head_of(&[], 1).is_err());
        assert!(head_of(&[person(Relation::Head), person(Relation::Head)], 5).is_err());
    }
}
