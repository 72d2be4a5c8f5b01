//! Makes the CSV files of the demonstration beside its programme.toml: the same bytes every time.
//!
//! `cargo run -p tahuka-demo-data -- deploy/demo`. Read in this order: `demand` (what is asked for), `registrations` with
//! `person`, `journey` and `form` (who asks), `training`, `deliveries`, `visits`, `projects`, `campaigns` (what came of
//! it), `money` and `check` (that it all holds together).

mod campaigns;
mod check;
mod deliveries;
mod demand;
mod dice;
mod form;
mod journey;
mod money;
mod names;
mod person;
mod places;
mod programme;
mod projects;
mod registrations;
mod spelling;
mod training;
mod visits;

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use places::Places;
use programme::Programme;

/// What went wrong, in words: this is a tool for whoever writes the programme's files.
pub type Fault = Box<dyn std::error::Error>;

/// Everything that is written, as records.
pub struct Story {
    pub registrations: Vec<registrations::Registration>,
    pub training: Vec<training::Trainee>,
    pub deliveries: Vec<deliveries::Delivery>,
    pub visits: Vec<visits::Visit>,
    pub projects: Vec<projects::Row>,
    pub campaigns: Vec<campaigns::Campaign>,
}

impl Story {
    fn make(programme: &Programme, places: &Places) -> Result<Self, Fault> {
        let (slots, classes) = demand::slots();
        let registrations = registrations::make(programme, &slots, places)?;
        let training = training::make(programme, &classes, &registrations, places)?;
        let deliveries = deliveries::make(programme, &registrations)?;
        let visits = visits::make(programme, &training, &deliveries);
        let (projects, campaigns) = (projects::make(programme)?, campaigns::make(programme, places)?);
        Ok(Self { registrations, training, deliveries, visits, projects, campaigns })
    }

    /// Name and bytes of each file.
    fn files(&self) -> Result<Vec<(&'static str, Vec<u8>)>, Fault> {
        Ok(vec![
            ("registrations.csv", table(self.registrations.iter().map(|row| &row.form))?),
            ("training.csv", table(&self.training)?),
            ("deliveries.csv", table(&self.deliveries)?),
            ("visits.csv", table(&self.visits)?),
            ("projects.csv", table(&self.projects)?),
            ("campaigns.csv", table(&self.campaigns)?),
        ])
    }
}

fn table<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Result<Vec<u8>, Fault> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    Ok(writer.into_inner().map_err(|e| e.to_string())?)
}

fn main() -> Result<(), Fault> {
    let directory = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("deploy/demo"), PathBuf::from);
    let (programme, places) = (Programme::read(&directory)?, Places::load());
    let story = Story::make(&programme, &places)?;
    let files = story.files()?;
    let mut out = std::io::stdout().lock();
    write!(out, "{}", check::summary(&programme, &story))?;
    // The table is shown before the checks: whoever changes the programme needs its numbers most when they do not fit.
    check::all(&programme, &places, &story)?;
    for (name, bytes) in files {
        write(&directory, name, &bytes)?;
        writeln!(out, "{name}: {} bytes", bytes.len())?;
    }
    Ok(())
}

fn write(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), Fault> {
    Ok(std::fs::write(directory.join(name), bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_what_the_generator_makes() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let (programme, places) = (Programme::read(&directory).unwrap(), Places::load());
        let story = Story::make(&programme, &places).unwrap();
        check::all(&programme, &places, &story).unwrap();
        for (name, bytes) in story.files().unwrap() {
            let kept = std::fs::read(directory.join(name)).unwrap();
            assert!(kept == bytes, "{name} is not what the generator makes: run it again");
        }
    }
}
