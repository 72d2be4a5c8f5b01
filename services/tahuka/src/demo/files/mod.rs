//! The programme's files, parsed: `setting` is the TOML, `rows` are the CSV files, `registrations` is the one that goes to
//! the platform as it is. A bad file is refused with its name, the row or line, and the rule that it breaks.

mod cells;
mod registrations;
mod rows;
mod setting;
pub mod values;

pub use registrations::Registrations;
pub use rows::{Campaign, Delivery, Facility, Trainee, TrainingResult, Visit};
pub use setting::{Grant, Instalment, Phase, Setting, Tenant};

use std::collections::HashSet;
use std::path::Path;

use serde::de::DeserializeOwned;
use tahuka_chassis::Refusal;

use values::Sum;

/// All files of a programme.
pub struct Programme {
    pub setting: Setting,
    pub registrations: Registrations,
    pub training: Vec<Trainee>,
    pub deliveries: Vec<Delivery>,
    pub visits: Vec<Visit>,
    pub facilities: Vec<Facility>,
    pub campaigns: Vec<Campaign>,
}

impl Programme {
    pub fn read(dir: &Path) -> Result<Self, Refusal> {
        let file = dir.join("programme.toml");
        let text = std::fs::read_to_string(&file).map_err(|e| bad(&file, e))?;
        let setting: Setting = toml::from_str(&text).map_err(|e| bad(&file, e))?;
        let programme = Programme {
            registrations: Registrations::read(&dir.join("registrations.csv"), &setting.phases)?,
            setting,
            training: rows(&dir.join("training.csv"))?,
            deliveries: rows(&dir.join("deliveries.csv"))?,
            visits: rows(&dir.join("visits.csv"))?,
            facilities: rows(&dir.join("projects.csv"))?,
            campaigns: rows(&dir.join("campaigns.csv"))?,
        };
        programme.check(dir)?;
        Ok(programme)
    }

    /// What one file says of another, or one table of another.
    fn check(&self, dir: &Path) -> Result<(), Refusal> {
        let setting = &self.setting;
        let tenants: HashSet<&str> = setting.tenants.iter().map(|t| t.slug.as_str()).collect();
        let donors: HashSet<&str> = setting.donors.iter().map(|d| d.slug.as_str()).collect();
        let phases: HashSet<&str> = setting.phases.iter().map(|p| p.code.as_str()).collect();
        let known = |file: &str, key: String, word: &str, among: &HashSet<&str>, what: &str| {
            if among.contains(word) { Ok(()) } else { Err(bad(&dir.join(file), format!("{key}: must be {what}"))) }
        };
        let within = |file: &str, row: usize, column: &str, place: &str, district: &str| {
            let inside = place.starts_with(district);
            if inside { Ok(()) } else { Err(bad(&dir.join(file), format!("row {row}, {column}: must lie in district_pcode"))) }
        };
        let toml = "programme.toml";
        for (i, agreement) in setting.agreements.iter().enumerate() {
            known(toml, format!("agreements[{i}].custodian"), &agreement.custodian, &tenants, "the slug of a tenant")?;
            known(toml, format!("agreements[{i}].recipient"), &agreement.recipient, &tenants, "the slug of a tenant")?;
        }
        for donor in setting.donors.iter().filter(|d| !d.tenant.is_empty()) {
            known(toml, format!("donors {}.tenant", donor.slug), &donor.tenant, &tenants, "the slug of a tenant")?;
        }
        for grant in &setting.grants {
            known(toml, format!("grants {}.donor", grant.code), &grant.donor, &donors, "the slug of a donor")?;
            known(toml, format!("grants {}.phase", grant.code), &grant.phase, &phases, "the code of a phase")?;
            let lines: HashSet<&str> = grant.budget_lines.iter().map(|l| l.code.as_str()).collect();
            for expenditure in &grant.expenditures {
                let key = format!("grants {}.expenditures.line", grant.code);
                known(toml, key, &expenditure.line, &lines, "the code of a budget line of the grant")?;
            }
        }
        for (i, pledge) in setting.pledges.iter().enumerate() {
            known(toml, format!("pledges[{i}].donor"), &pledge.donor, &donors, "the slug of a donor")?;
        }
        for (row, delivery) in (2..).zip(&self.deliveries) {
            within("deliveries.csv", row, "place_pcode", &delivery.place_pcode, &delivery.district_pcode)?;
            if delivery.delivered_on.is_some() && delivery.proof_kind.is_none() {
                return Err(bad(
                    &dir.join("deliveries.csv"),
                    format!("row {row}, proof_kind: must be told of what was delivered"),
                ));
            }
        }
        for (row, facility) in (2..).zip(&self.facilities) {
            within("projects.csv", row, "place_pcode", &facility.place_pcode, &facility.district_pcode)?;
            within("projects.csv", row, "facility_place_pcode", &facility.facility_place_pcode, &facility.district_pcode)?;
            known("projects.csv", format!("row {row}, phase"), &facility.phase, &phases, "the code of a phase")?;
            for (column, amount) in [("budget_amount", &facility.budget_amount), ("cost_amount", &facility.cost_amount)] {
                Sum::read(&facility.budget_currency, amount)
                    .map_err(|rule| bad(&dir.join("projects.csv"), format!("row {row}, {column}: {rule}")))?;
            }
        }
        for (row, campaign) in (2..).zip(&self.campaigns) {
            known("campaigns.csv", format!("row {row}, phase"), &campaign.phase, &phases, "the code of a phase")?;
            Sum::read(&campaign.cost_currency, &campaign.cost_amount)
                .map_err(|rule| bad(&dir.join("campaigns.csv"), format!("row {row}, cost_amount: {rule}")))?;
            if campaign.channels().len() != campaign.channels.0.len() {
                return Err(bad(&dir.join("campaigns.csv"), format!("row {row}, channels: is no word of Channel")));
            }
        }
        Ok(())
    }
}

/// A file of the programme that cannot be used.
pub fn bad(path: &Path, why: impl std::fmt::Display) -> Refusal {
    Refusal::precondition("PROGRAMME_FILE", format!("{}: {why}", path.display()))
}

/// Every row of a CSV file, by the names in its header.
fn rows<R: DeserializeOwned>(path: &Path) -> Result<Vec<R>, Refusal> {
    let mut reader = csv::Reader::from_path(path).map_err(|e| bad(path, e))?;
    let header = reader.headers().map_err(|e| bad(path, e))?.clone();
    // The header is row 1, as a spreadsheet shows it.
    (2..)
        .zip(reader.records())
        .map(|(number, record)| {
            let record = record.map_err(|e| bad(path, format!("row {number}: {e}")))?;
            cells::row(&header, &record).map_err(|(column, rule)| {
                let column = if column.is_empty() { column } else { format!(", {column}") };
                bad(path, format!("row {number}{column}: {rule}"))
            })
        })
        .collect()
}
