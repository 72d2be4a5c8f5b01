//! The programme's report: which figures it has, in their order, and from what each is read.

mod compose;
pub mod rpc;

use crate::indicator::{Dimension, Unit};

/// From what a figure is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An indicator's total.
    Total(&'static str),
    /// One line of an indicator's table by one dimension.
    Line(&'static str, Dimension, &'static str),
    /// People of a kind (empty: of any) who had a delivery on or after the day asked for.
    Since(&'static str),
    /// Districts in which people were helped.
    Districts,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Figure {
    pub code: &'static str,
    pub label: &'static str,
    pub definition: &'static str,
    pub unit: Unit,
    pub source: Source,
    /// It belongs to no district, so a report of some districts is without it.
    pub nation_wide: bool,
}

pub struct Section {
    pub code: &'static str,
    pub title: &'static str,
    pub figures: &'static [Figure],
}

/// The kinds of assistance, in the order of the report.
pub const KINDS: [&str; 4] = ["vocational_training", "startup_capital", "livestock", "shelter"];

/// The figures of one district.
pub const DISTRICT: [(&str, &str); 7] = [
    ("households_registered", ""),
    ("people_registered", ""),
    ("people_helped", ""),
    ("people_helped.vocational_training", KINDS[0]),
    ("people_helped.startup_capital", KINDS[1]),
    ("people_helped.livestock", KINDS[2]),
    ("people_helped.shelter", KINDS[3]),
];

/// The figure of this code.
pub fn figure(code: &str) -> Option<&'static Figure> {
    REPORT.iter().flat_map(|section| section.figures).find(|figure| figure.code == code)
}

const fn of(code: &'static str, label: &'static str, unit: Unit, source: Source, definition: &'static str) -> Figure {
    Figure { code, label, definition, unit, source, nation_wide: false }
}

const fn nation_wide(figure: Figure) -> Figure {
    Figure { nation_wide: true, ..figure }
}

use Dimension::{Category, Kind};
use Source::{Districts, Line, Since, Total};
use Unit::{Households, Items, Money, Percent, Persons};

const REGISTERED: &str = "Individuals registered, counted once.";
const HELPED: &str = "Individuals to whom some assistance was delivered, counted once however many deliveries they had.";
const HELPED_KIND: &str =
    "Individuals to whom assistance of this kind was delivered, counted once; who had several kinds is in each.";
const SINCE: &str = "Individuals with at least one delivery on or after the day asked for, counted once.";
const FAVOURABLE: &str = "Share of the follow-up visits that met somebody at which the outcome was favourable.";
const SPENT: &str = "Paid from grants for this.";

pub static REPORT: &[Section] = &[
    Section {
        code: "people",
        title: "People",
        figures: &[
            of(
                "households_registered",
                "Households registered",
                Households,
                Total("households_registered"),
                "Households registered, counted once.",
            ),
            of("people_registered", "People registered", Persons, Total("people_registered"), REGISTERED),
            of(
                "people_registered.returnee",
                "Returnees registered",
                Persons,
                Line("people_registered", Category, "returnee"),
                REGISTERED,
            ),
            of(
                "people_registered.host_community",
                "Host community members registered",
                Persons,
                Line("people_registered", Category, "host_community"),
                REGISTERED,
            ),
            of("returns_recorded", "Returns recorded", Items, Total("returns_recorded"), "Return episodes recorded."),
            of("people_helped", "People helped", Persons, Total("people_helped"), HELPED),
            of(
                "people_helped.vocational_training",
                "People helped: vocational training",
                Persons,
                Line("people_helped", Kind, KINDS[0]),
                HELPED_KIND,
            ),
            of(
                "people_helped.startup_capital",
                "People helped: start-up capital",
                Persons,
                Line("people_helped", Kind, KINDS[1]),
                HELPED_KIND,
            ),
            of(
                "people_helped.livestock",
                "People helped: livestock",
                Persons,
                Line("people_helped", Kind, KINDS[2]),
                HELPED_KIND,
            ),
            of("people_helped.shelter", "People helped: shelter", Persons, Line("people_helped", Kind, KINDS[3]), HELPED_KIND),
            of("people_helped_since", "People helped since", Persons, Since(""), SINCE),
            of(
                "people_helped_since.vocational_training",
                "People helped since: vocational training",
                Persons,
                Since(KINDS[0]),
                SINCE,
            ),
            of("people_helped_since.startup_capital", "People helped since: start-up capital", Persons, Since(KINDS[1]), SINCE),
            of("people_helped_since.livestock", "People helped since: livestock", Persons, Since(KINDS[2]), SINCE),
            of("people_helped_since.shelter", "People helped since: shelter", Persons, Since(KINDS[3]), SINCE),
            of("districts_reached", "Districts reached", Items, Districts, "Districts in which people were helped."),
        ],
    },
    Section {
        code: "outcomes",
        title: "What came of it",
        figures: &[
            of(
                "trainings_completed",
                "Trainings completed",
                Items,
                Total("trainings_completed"),
                "Vocational trainings that a trainee has completed.",
            ),
            of(
                "visits_recorded",
                "Follow-up visits",
                Items,
                Total("visits_recorded"),
                "Follow-up visits after a delivery, those included at which nobody was met.",
            ),
            of("outcomes_favourable", "Favourable outcomes", Percent, Total("outcomes_favourable"), FAVOURABLE),
            of(
                "outcomes_favourable.vocational_training",
                "In work after vocational training",
                Percent,
                Line("outcomes_favourable", Kind, KINDS[0]),
                FAVOURABLE,
            ),
            of(
                "outcomes_favourable.startup_capital",
                "Businesses running",
                Percent,
                Line("outcomes_favourable", Kind, KINDS[1]),
                FAVOURABLE,
            ),
            of(
                "outcomes_favourable.livestock",
                "Animals alive or sold",
                Percent,
                Line("outcomes_favourable", Kind, KINDS[2]),
                FAVOURABLE,
            ),
            of("outcomes_favourable.shelter", "Houses roofed", Percent, Line("outcomes_favourable", Kind, KINDS[3]), FAVOURABLE),
        ],
    },
    Section {
        code: "projects",
        title: "Community projects and campaigns",
        figures: &[
            of(
                "people_served",
                "People served by community projects",
                Persons,
                Total("people_served"),
                "People who use what community projects built, counted once for each project.",
            ),
            of(
                "projects_completed",
                "Community projects completed",
                Items,
                Total("projects_completed"),
                "Community projects completed.",
            ),
            of(
                "facilities_completed",
                "Facilities completed",
                Items,
                Total("facilities_completed"),
                "Schools, health posts and transit centres completed.",
            ),
            of(
                "facilities_completed.school",
                "Schools completed",
                Items,
                Line("facilities_completed", Kind, "school"),
                "Schools completed.",
            ),
            of(
                "facilities_completed.health_post",
                "Health posts completed",
                Items,
                Line("facilities_completed", Kind, "health_post"),
                "Health posts completed.",
            ),
            of(
                "facilities_completed.transit_centre",
                "Transit centres completed",
                Items,
                Line("facilities_completed", Kind, "transit_centre"),
                "Transit centres completed.",
            ),
            of("campaigns_held", "Campaigns held", Items, Total("campaigns_held"), "Information campaigns held."),
            nation_wide(of(
                "campaigns_held.national",
                "National campaigns held",
                Items,
                Line("campaigns_held", Kind, "national"),
                "Information campaigns for the whole country.",
            )),
            of(
                "campaigns_held.local",
                "Local campaigns held",
                Items,
                Line("campaigns_held", Kind, "local"),
                "Information campaigns in one district.",
            ),
            of(
                "campaign_reach",
                "People reached by campaigns",
                Persons,
                Total("campaign_reach"),
                "Audience of the campaigns as estimated, added up: nobody is recorded, and some are counted several times.",
            ),
        ],
    },
    Section {
        code: "money",
        title: "Money",
        figures: &[
            nation_wide(of("money_granted", "Money granted", Money, Total("money_granted"), "Grants opened.")),
            nation_wide(of(
                "money_received",
                "Money received",
                Money,
                Total("money_received"),
                "Instalments received, in the grants' currency.",
            )),
            of(
                "money_reserved",
                "Money reserved",
                Money,
                Total("money_reserved"),
                "Kept at present for needs that are not approved yet.",
            ),
            of(
                "money_committed",
                "Money committed",
                Money,
                Total("money_committed"),
                "Kept at present for needs that are approved and not yet paid.",
            ),
            of("money_spent", "Money spent", Money, Total("money_spent"), "Paid from grants."),
            of(
                "money_spent.vocational_training",
                "Money spent: vocational training",
                Money,
                Line("money_spent", Kind, KINDS[0]),
                SPENT,
            ),
            of("money_spent.startup_capital", "Money spent: start-up capital", Money, Line("money_spent", Kind, KINDS[1]), SPENT),
            of("money_spent.livestock", "Money spent: livestock", Money, Line("money_spent", Kind, KINDS[2]), SPENT),
            of("money_spent.shelter", "Money spent: shelter", Money, Line("money_spent", Kind, KINDS[3]), SPENT),
            of("money_spent.project", "Money spent: community projects", Money, Line("money_spent", Kind, "project"), SPENT),
            of("money_spent.campaign", "Money spent: campaigns", Money, Line("money_spent", Kind, "campaign"), SPENT),
            nation_wide(of(
                "money_spent.administration",
                "Money spent: administration",
                Money,
                Line("money_spent", Kind, "administration"),
                SPENT,
            )),
            of(
                "money_needed",
                "Money needed",
                Money,
                Total("money_needed"),
                "Cost of the needs that no grant pays for at present.",
            ),
            of(
                "needs_open",
                "Open needs",
                Items,
                Total("needs_open"),
                "Plans, projects and campaigns that no grant pays for at present.",
            ),
            nation_wide(of("money_pledged", "Money pledged", Money, Total("money_pledged"), "Pledges made to the appeal.")),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::indicator;

    #[test]
    fn every_figure_has_a_code_of_its_own_and_an_indicator_of_its_unit() {
        let all: Vec<_> = REPORT.iter().flat_map(|section| section.figures).collect();
        for (n, figure) in all.iter().enumerate() {
            assert!(all[n + 1..].iter().all(|other| other.code != figure.code), "{}", figure.code);
            if let Total(code) | Line(code, ..) = figure.source {
                let indicator = indicator::get(code).unwrap();
                assert_eq!(indicator.unit, figure.unit, "{}", figure.code);
            }
            if let Line(code, dimension, _) = figure.source {
                assert!(indicator::get(code).unwrap().dimensions.contains(&dimension), "{}", figure.code);
            }
        }
        assert!(DISTRICT.iter().all(|(code, _)| figure(code).is_some()));
    }
}
