//! Which column of which table names a record of which other one. What a service keeps by foreign keys, and what between
//! services nothing keeps but their events, is checked here over the whole bag.

/// A reference from one table to another.
pub struct Relation {
    /// `*`: of every service.
    pub service: &'static str,
    pub table: &'static str,
    pub column: &'static str,
    pub target: (&'static str, &'static str),
    /// Only in records where this column says this.
    pub only: Option<(&'static str, &'static str)>,
    /// The target is read after this table, because it refers to this one: looked up at the end.
    pub late: bool,
}

const fn to(service: &'static str, table: &'static str, column: &'static str, target: (&'static str, &'static str)) -> Relation {
    Relation { service, table, column, target, only: None, late: false }
}

impl Relation {
    const fn only(self, column: &'static str, says: &'static str) -> Relation {
        Relation { only: Some((column, says)), ..self }
    }

    const fn late(self) -> Relation {
        Relation { late: true, ..self }
    }

    pub fn is_of(&self, service: &str, table: &str) -> bool {
        (self.service == "*" || self.service == service) && self.table == table
    }
}

const HOUSEHOLD: (&str, &str) = ("registry", "household");
const INDIVIDUAL: (&str, &str) = ("registry", "individual");
const PLAN: (&str, &str) = ("assistance", "plan");
const PROJECT: (&str, &str) = ("projects", "project");
const GRANT: (&str, &str) = ("funding", "donor_grant");
const LINE: (&str, &str) = ("funding", "budget_line");

pub const RELATIONS: &[Relation] = &[
    to("registry", "household", "head_id", INDIVIDUAL).late(),
    to("registry", "household", "assessment_id", ("registry", "assessment")).late(),
    to("registry", "individual", "household_id", HOUSEHOLD),
    to("registry", "return_episode", "household_id", HOUSEHOLD),
    to("registry", "return_episode", "individual_id", INDIVIDUAL),
    to("registry", "consent", "household_id", HOUSEHOLD),
    to("registry", "consent", "individual_id", INDIVIDUAL),
    to("registry", "assessment", "household_id", HOUSEHOLD),
    to("registry", "assessment", "criteria_set_id", ("registry", "criteria_set")),
    to("registry", "submission", "individual_id", INDIVIDUAL),
    to("registry", "submission", "import_id", ("registry", "import_run")),
    to("assistance", "plan", "household_id", HOUSEHOLD),
    to("assistance", "plan", "individual_id", INDIVIDUAL),
    to("assistance", "plan", "package_id", ("assistance", "package")),
    to("assistance", "enrolment", "plan_id", PLAN),
    to("assistance", "enrolment", "household_id", HOUSEHOLD),
    to("assistance", "enrolment", "individual_id", INDIVIDUAL),
    to("assistance", "enrolment", "cohort_id", ("assistance", "cohort")),
    to("assistance", "entitlement", "plan_id", PLAN),
    to("assistance", "entitlement", "household_id", HOUSEHOLD),
    to("assistance", "entitlement", "individual_id", INDIVIDUAL),
    to("assistance", "entitlement", "distribution_id", ("assistance", "distribution")),
    to("assistance", "visit", "plan_id", PLAN),
    to("assistance", "visit", "household_id", HOUSEHOLD),
    to("assistance", "visit", "individual_id", INDIVIDUAL),
    to("projects", "facility", "project_id", PROJECT),
    to("projects", "progress", "project_id", PROJECT),
    to("projects", "people_served", "project_id", PROJECT),
    to("funding", "donor_grant", "donor_id", ("funding", "donor")),
    to("funding", "budget_line", "grant_id", GRANT),
    to("funding", "instalment", "grant_id", GRANT),
    to("funding", "instalment", "exchange_rate_id", ("funding", "exchange_rate")),
    to("funding", "pledge", "donor_id", ("funding", "donor")),
    to("funding", "pledge", "grant_id", GRANT),
    to("funding", "reservation", "grant_id", GRANT),
    to("funding", "reservation", "line_id", LINE),
    to("funding", "reservation", "need_id", PLAN).only("need_kind", "plan"),
    to("funding", "reservation", "need_id", PROJECT).only("need_kind", "project"),
    to("funding", "posting", "grant_id", GRANT),
    to("funding", "entry", "posting_id", ("funding", "posting")),
    to("funding", "entry", "grant_id", GRANT),
    to("funding", "entry", "line_id", LINE),
    to("funding", "balance", "grant_id", GRANT),
    to("*", "journal", "unit_id", HOUSEHOLD).only("unit_kind", "household"),
    to("*", "journal", "unit_id", PROJECT).only("unit_kind", "project"),
    to("*", "journal", "unit_id", GRANT).only("unit_kind", "grant"),
];

/// Tables whose rows are in the bag only as the tranche's own: their custodian is the sender. Others may be there because
/// such a row points to them.
pub const OWN: &[(&str, &str)] = &[
    HOUSEHOLD,
    INDIVIDUAL,
    ("registry", "return_episode"),
    ("registry", "consent"),
    ("registry", "assessment"),
    PLAN,
    ("assistance", "enrolment"),
    ("assistance", "entitlement"),
    ("assistance", "visit"),
    PROJECT,
    ("projects", "facility"),
    ("projects", "progress"),
    ("projects", "people_served"),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn there_is_an_order_in_which_every_target_is_read_before_what_refers_to_it() {
        let now = || RELATIONS.iter().filter(|r| !r.late && r.service != "*");
        let mut waiting: HashSet<(&str, &str)> = now().map(|r| (r.service, r.table)).collect();
        while !waiting.is_empty() {
            let ready: HashSet<_> = waiting
                .iter()
                .copied()
                .filter(|(service, table)| now().filter(|r| r.is_of(service, table)).all(|r| !waiting.contains(&r.target)))
                .collect();
            assert!(!ready.is_empty(), "these wait for each other: {waiting:?}");
            waiting.retain(|table| !ready.contains(table));
        }
    }
}
