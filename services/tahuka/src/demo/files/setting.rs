//! `programme.toml`, as it is written.

use serde::Deserialize;
use tahuka_proto::assistance::v1::AssistanceKind;
use tahuka_proto::funding::v1::BudgetKind;
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::tenancy::v1::{AgreementTerm, DistrictBasis, TenantKind};

use super::values::{Day, Sum, Word};

/// `programme.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// What the reader of the demonstration must know of its data.
    pub note: String,
    /// From when the report's figures 'since' count.
    pub report_since: Day,
    pub programme: Frame,
    pub tenants: Vec<Tenant>,
    pub districts: Vec<District>,
    pub agreements: Vec<Agreement>,
    pub criteria: CriteriaSet,
    pub packages: Vec<Package>,
    pub donors: Vec<Donor>,
    pub exchange_rates: Vec<ExchangeRate>,
    pub phases: Vec<Phase>,
    pub grants: Vec<Grant>,
    /// What goes over to the ministry on the way.
    #[serde(default)]
    pub tranches: Vec<Tranche>,
    /// And at the end: all the rest.
    pub last_tranche: Option<LastTranche>,
    #[serde(default)]
    pub pledges: Vec<Pledge>,
    #[serde(default)]
    pub published_figures: Vec<PublishedFigure>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    pub name: String,
    pub starts_on: Day,
    pub ends_on: Day,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    pub slug: String,
    pub name: String,
    pub kind: Word<TenantKind>,
    pub staff: Vec<Member>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub subject: String,
    pub roles: Vec<String>,
    #[serde(default)]
    pub districts: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct District {
    pub pcode: String,
    pub name: String,
    pub basis: Word<DistrictBasis>,
    pub source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    pub custodian: String,
    pub recipient: String,
    pub purpose: String,
    pub starts_on: Day,
    pub ends_on: Day,
    pub signed_on: Day,
    pub terms: Vec<Term>,
}

impl Agreement {
    /// As the contract takes them.
    pub fn terms(&self) -> Vec<AgreementTerm> {
        let term = |term: &Term| AgreementTerm {
            category: term.category.0.into(),
            level: term.level.0.into(),
            districts: term.districts.clone(),
            write: term.write,
            grants: Vec::new(),
        };
        self.terms.iter().map(term).collect()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    pub category: Word<DataCategory>,
    pub level: Word<DisclosureLevel>,
    #[serde(default)]
    pub districts: Vec<String>,
    #[serde(default)]
    pub write: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CriteriaSet {
    pub name: String,
    pub effective_on: Day,
    pub criteria: Vec<Criterion>,
    #[serde(default)]
    pub band_floors: Vec<i32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criterion {
    pub code: String,
    pub weight: i32,
    pub label: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    pub code: String,
    pub kind: Word<AssistanceKind>,
    /// As registrations ask for it.
    pub item: String,
    pub name: String,
    pub unit_cost: Sum,
    pub items: Vec<PackageItem>,
    #[serde(default)]
    pub conditions: Conditions,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageItem {
    pub name: String,
    pub quantity: i32,
    pub unit: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conditions {
    pub categories: Vec<String>,
    pub age_bands: Vec<String>,
    pub least_priority_band: i32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Donor {
    pub slug: String,
    /// The donor's own tenant; empty while it has none.
    #[serde(default)]
    pub tenant: String,
    pub name: String,
    pub country: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExchangeRate {
    pub base: String,
    pub quote: String,
    pub rate: String,
    pub valid_on: Day,
    pub source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    pub code: String,
    /// Both inclusive.
    pub registered_from: Day,
    pub registered_to: Day,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    pub code: String,
    pub phase: String,
    pub title: String,
    pub donor: String,
    pub amount: Sum,
    pub starts_on: Day,
    pub ends_on: Day,
    #[serde(default)]
    pub earmarks: Earmarks,
    pub budget_lines: Vec<BudgetLine>,
    pub instalments: Vec<Instalment>,
    #[serde(default)]
    pub expenditures: Vec<Expenditure>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Earmarks {
    pub districts: Vec<String>,
    pub kinds: Vec<Word<BudgetKind>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetLine {
    pub code: String,
    pub kind: Word<BudgetKind>,
    pub amount: Sum,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instalment {
    pub received_on: Day,
    pub amount: Sum,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expenditure {
    pub line: String,
    pub amount: Sum,
    pub spent_on: Day,
    pub description: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tranche {
    /// The code of a phase.
    pub after: String,
    pub name: String,
    pub on: Day,
    /// P-codes. One whose cases are not all closed then stays.
    pub districts: Vec<String>,
    /// Codes. One that is not completed then stays.
    #[serde(default)]
    pub projects: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastTranche {
    pub name: String,
    pub on: Day,
    /// Why cases and money that are open go over as they are.
    pub waived: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pledge {
    pub donor: String,
    pub amount: Sum,
    pub pledged_on: Day,
    pub kind: Option<Word<BudgetKind>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedFigure {
    pub code: String,
    pub value: Option<i64>,
    pub text: String,
    pub source: String,
    pub published_on: Option<Day>,
}
