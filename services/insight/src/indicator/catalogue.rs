//! Every indicator that can be queried.

use super::Dimension::{AgeBand, Category, District, Grant, Kind, Month, Sex};
use super::{Dimension, Indicator, Measure, Unit};

const PERSON: &[Dimension] = &[District, Sex, AgeBand, Category, Month];
const ASSISTANCE: &[Dimension] = &[District, Kind, Sex, AgeBand, Category, Month];
const MONEY: &[Dimension] = &[District, Kind, Grant, Month];

/// The indicator of this code.
pub fn get(code: &str) -> Option<&'static Indicator> {
    CATALOGUE.iter().find(|i| i.code == code)
}

const fn sum(
    code: &'static str,
    name: &'static str,
    unit: Unit,
    counts_people: bool,
    dimensions: &'static [Dimension],
    definition: &'static str,
) -> Indicator {
    Indicator { code, name, unit, definition, dimensions, counts_people, measure: Measure::Sum, of_grants: false }
}

const fn money(code: &'static str, name: &'static str, dimensions: &'static [Dimension], definition: &'static str) -> Indicator {
    let of_grants = true;
    let (unit, measure) = (Unit::Money, Measure::Sum);
    Indicator { code, name, unit, definition, dimensions, counts_people: false, measure, of_grants }
}

pub static CATALOGUE: &[Indicator] = &[
    sum(
        "households_registered",
        "Households registered",
        Unit::Households,
        true,
        &[District, Category, Month],
        "Households, counted once, in the month and the district of their registration.",
    ),
    sum(
        "people_registered",
        "People registered",
        Unit::Persons,
        true,
        PERSON,
        "Individuals, counted once, in the month and the district of their registration; age band as on that day.",
    ),
    sum(
        "returns_recorded",
        "Returns recorded",
        Unit::Items,
        true,
        &[District, Month],
        "Return episodes, counted once each, in the month and the district of the record.",
    ),
    Indicator {
        code: "people_helped",
        name: "People helped",
        unit: Unit::Persons,
        definition: "Individuals to whom some assistance was delivered, counted once however many deliveries they had, in the \
                     month of the first one. By kind: once for each kind, so the kinds add up to more than the total.",
        dimensions: ASSISTANCE,
        counts_people: true,
        measure: Measure::PeopleByKind { by_kind: "people_helped_by_kind" },
        of_grants: false,
    },
    sum(
        "plans_submitted",
        "Plans submitted",
        Unit::Items,
        true,
        ASSISTANCE,
        "Reintegration plans, counted once, in the month of their submission, whatever came of them.",
    ),
    sum(
        "plans_waiting",
        "Plans waiting for money",
        Unit::Items,
        true,
        &[District, Kind, Month],
        "Plans that no grant pays for at present. By month: how many more began to wait than ceased to.",
    ),
    sum(
        "assistance_delivered",
        "Assistance delivered",
        Unit::Items,
        true,
        &[District, Kind, Sex, AgeBand, Category, Grant, Month],
        "Reintegration plans whose assistance was delivered, counted once each, in the month of the delivery.",
    ),
    sum(
        "trainings_completed",
        "Trainings completed",
        Unit::Items,
        true,
        ASSISTANCE,
        "Vocational trainings that a trainee has completed, in the month of completion.",
    ),
    sum(
        "visits_recorded",
        "Follow-up visits",
        Unit::Items,
        true,
        ASSISTANCE,
        "Follow-up visits after a delivery, those included at which nobody was met, in the month of the visit.",
    ),
    Indicator {
        code: "outcomes_favourable",
        name: "Favourable outcomes",
        unit: Unit::Percent,
        definition: "Share of the follow-up visits that met somebody at which the outcome was favourable: in work, business \
                     running, animals alive or sold, house roofed.",
        dimensions: ASSISTANCE,
        counts_people: true,
        measure: Measure::Share { part: "visits_favourable", of: "visits_met" },
        of_grants: false,
    },
    sum(
        "people_served",
        "People served by community projects",
        Unit::Persons,
        true,
        &[District, Sex, AgeBand, Month],
        "People who use what community projects built, counted once for each project, in the month of the count.",
    ),
    sum(
        "projects_completed",
        "Community projects completed",
        Unit::Items,
        false,
        &[District, Month],
        "Community projects, in the month of their completion.",
    ),
    sum(
        "facilities_completed",
        "Facilities completed",
        Unit::Items,
        false,
        &[District, Kind, Month],
        "Schools, health posts and transit centres, in the month of their completion.",
    ),
    sum(
        "campaigns_held",
        "Campaigns held",
        Unit::Items,
        false,
        &[District, Kind, Month],
        "Information campaigns, in the month in which they were held. The kind is their level, national or local; a national \
         one has no district.",
    ),
    sum(
        "campaign_reach",
        "People reached by campaigns",
        Unit::Persons,
        false,
        &[District, Kind, Month],
        "Audience of the campaigns as estimated, added up: nobody is recorded, and some are counted several times.",
    ),
    money("money_granted", "Money granted", &[Grant, Month], "Grants, in the month in which they were opened."),
    money("money_received", "Money received", &[Grant, Month], "Instalments, in the grant's currency, in the month of receipt."),
    money("money_pledged", "Money pledged", &[Grant, Month], "Pledges to the appeal, in the month of the pledge."),
    money(
        "money_reserved",
        "Money reserved",
        MONEY,
        "Kept for needs that are not approved yet. By month: what was added less what went on or back.",
    ),
    money(
        "money_committed",
        "Money committed",
        MONEY,
        "Kept for needs that are approved and not yet paid. By month: what was added less what went on or back.",
    ),
    money(
        "money_spent",
        "Money spent",
        MONEY,
        "Paid for deliveries, projects, campaigns and administration, in the month of the expenditure.",
    ),
    Indicator {
        code: "money_needed",
        name: "Money needed",
        unit: Unit::Money,
        definition: "Cost of the needs that no grant pays for at present. By month: what was added less what found its money.",
        dimensions: &[District, Kind, Month],
        counts_people: false,
        measure: Measure::Sum,
        of_grants: false,
    },
    sum(
        "needs_open",
        "Open needs",
        Unit::Items,
        true,
        &[District, Kind, Month],
        "Plans, projects and campaigns that no grant pays for at present. By month: how many more opened than closed.",
    ),
];
