//! What a caller reaches, in one definition: the condition of queries and the settings that
//! row-level security reads are both made from it.

use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ColumnTrait, Condition};
use uuid::Uuid;

use super::Scoped;
use crate::caller::{Scope, ScopeEntry};

/// Custodians' records, each of everywhere or of some districts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reach<'a> {
    whole: Vec<Uuid>,
    parts: Vec<(Uuid, &'a [String])>,
}

impl<'a> Reach<'a> {
    pub(super) fn to_read(scope: &'a Scope) -> Self {
        Self::of(scope, |_| true)
    }

    pub(super) fn to_write(scope: &'a Scope) -> Self {
        Self::of(scope, |entry| entry.write)
    }

    fn of(scope: &'a Scope, counts: fn(&ScopeEntry) -> bool) -> Self {
        let mut reach = Reach::default();
        let Scope::Entries(entries) = scope else { return reach };
        for entry in entries.iter().filter(|entry| counts(entry)) {
            if entry.districts.is_empty() {
                reach.whole.push(entry.custodian);
            } else {
                reach.parts.push((entry.custodian, &entry.districts));
            }
        }
        reach
    }

    /// The rows of `E` within it.
    pub(super) fn condition<E: Scoped>(&self) -> Condition {
        let mut any = Condition::any();
        for custodian in &self.whole {
            any = any.add(E::custodian().eq(*custodian));
        }
        for (custodian, districts) in &self.parts {
            let custodian = E::custodian().eq(*custodian);
            any = any.add(match E::district() {
                Some(district) => custodian.and(district.is_in(districts.iter().map(String::as_str))),
                // Rows without a district are seen by whoever sees any of the custodian's.
                None => custodian,
            });
        }
        if any.is_empty() { Condition::all().add(Expr::val(1).eq(Expr::val(0))) } else { any }
    }

    /// Every custodian in it, as an array literal of PostgreSQL.
    pub(super) fn custodians(&self) -> String {
        array(self.whole.iter().copied().chain(self.parts.iter().map(|(custodian, _)| *custodian)))
    }

    /// The custodians whose records are reached everywhere, likewise.
    pub(super) fn whole(&self) -> String {
        array(self.whole.iter().copied())
    }

    /// Pairs of custodian and district, `custodian|district`, with commas between.
    pub(super) fn parts(&self) -> String {
        let pair = |(custodian, districts): &(Uuid, &[String])| {
            districts.iter().map(|district| format!("{custodian}|{district}")).collect::<Vec<_>>()
        };
        self.parts.iter().flat_map(pair).collect::<Vec<_>>().join(",")
    }
}

fn array(ids: impl Iterator<Item = Uuid>) -> String {
    format!("{{{}}}", ids.map(|id| id.to_string()).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use sea_orm::{EntityTrait as _, QueryFilter as _, QueryTrait as _};

    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    fn entry(custodian: Uuid, districts: &[&str], write: bool) -> ScopeEntry {
        let districts = districts.iter().map(|d| (*d).to_owned()).collect();
        ScopeEntry { category: 2, level: 3, custodian, districts, write, ..Default::default() }
    }

    #[test]
    fn the_settings_tell_custodians_and_their_districts() {
        let scope = Scope::Entries(vec![entry(ONE, &[], true), entry(OTHER, &["RW33", "RW43"], false)]);
        let reach = Reach::to_read(&scope);
        assert_eq!(reach.custodians(), format!("{{{ONE},{OTHER}}}"));
        assert_eq!(reach.whole(), format!("{{{ONE}}}"));
        assert_eq!(reach.parts(), format!("{OTHER}|RW33,{OTHER}|RW43"));
    }

    mod record {
        use sea_orm::entity::prelude::*;

        #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
        #[sea_orm(table_name = "record")]
        pub struct Model {
            #[sea_orm(primary_key, auto_increment = false)]
            pub id: Uuid,
            pub custodian_id: Uuid,
            pub district: String,
        }

        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}
    }

    impl Scoped for record::Entity {
        fn custodian() -> record::Column {
            record::Column::CustodianId
        }
        fn district() -> Option<record::Column> {
            Some(record::Column::District)
        }
    }

    fn sql(scope: Vec<ScopeEntry>) -> String {
        let condition = Reach::to_read(&Scope::Entries(scope)).condition::<record::Entity>();
        let query = record::Entity::find().filter(condition).build(sea_orm::DbBackend::Sqlite).to_string();
        query.split_once(" WHERE ").map(|(_, condition)| condition.replace("\"record\".", "")).unwrap_or_default()
    }

    #[test]
    fn the_condition_tells_them_too() {
        let scope = vec![entry(ONE, &[], true), entry(OTHER, &["RW33", "RW43"], false)];
        let (one, other) = (format!("\"custodian_id\" = '{ONE}'"), format!("\"custodian_id\" = '{OTHER}'"));
        assert_eq!(sql(scope), format!("{one} OR ({other} AND \"district\" IN ('RW33', 'RW43'))"));
        assert_eq!(sql(Vec::new()), "1 = 0");
    }

    #[test]
    fn what_may_be_written_is_told_apart() {
        let scope = Scope::Entries(vec![entry(ONE, &[], false), entry(OTHER, &["RW33"], true)]);
        let reach = Reach::to_write(&scope);
        assert_eq!(
            (reach.custodians(), reach.whole(), reach.parts()),
            (format!("{{{OTHER}}}"), "{}".into(), format!("{OTHER}|RW33"))
        );
    }

    #[test]
    fn an_empty_scope_reaches_nothing() {
        let nothing = Scope::Entries(Vec::new());
        let reach = Reach::to_read(&nothing);
        assert_eq!((reach.custodians(), reach.whole(), reach.parts()), ("{}".into(), "{}".into(), String::new()));
    }
}
