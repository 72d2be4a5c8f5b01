//! Checks a bag against what was signed, with nothing but its files: no server, no account, no network. Each file is read
//! once, files in parallel; what is kept in memory are the ids that others refer to.

mod fault;
mod ids;
mod lines;
mod money;
mod records;
mod relation;
mod report;
mod schedule;
mod signed;
mod structure;

use std::path::Path;

pub use fault::{Check, Fault};
pub use report::{CheckResult, Outcome, PartyReport, Report, TotalReport, Verdict, money_text};

use crate::{PublicKey, Total};
use fault::Faults;

/// What whoever verifies knows from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The sender's public key, from paper or a site that is trusted.
    pub sender_key: Option<PublicKey>,
    pub recipient_key: Option<PublicKey>,
    /// The tranche that it must be.
    pub tranche: Option<String>,
    /// The number of the bundle that is expected at least: an older one has been replaced.
    pub bundle_number: Option<u32>,
    /// Files that are read at once; 0: as many as there are processors.
    pub threads: usize,
}

/// Verifies a bag that is a folder. Never panics, whatever is in there.
pub fn verify(root: &Path, options: &Options) -> Report {
    let mut faults = Faults::default();
    let mut report = Report::default();
    if let Some((envelope, handover)) = structure::handover(root, &mut faults) {
        if structure::plausible(&handover, &mut faults).is_some() {
            let found = structure::files(root, &handover, &mut faults);
            let agreement = structure::tags(root, &handover, &found, &mut faults);
            report.parties = signed::check(&envelope, &handover, agreement.as_deref(), options, &mut faults);
            let read = schedule::read_all(root, &handover, &found, options.threads, &mut faults);
            report.bytes = found.values().sum();
            report.records = read.records;
            report.totals = compare(&handover.totals, &read.totals, &mut faults);
            report.reached_records = true;
        }
        signed::fresh(&handover, options, &mut faults);
        report.handover = Some(handover);
    }
    report.conclude(faults);
    report
}

/// The totals as told and as counted.
fn compare(told: &[Total], counted: &[Total], faults: &mut Faults) -> Vec<TotalReport> {
    let mut both = std::collections::BTreeMap::<(&str, &str), (Option<i64>, Option<i64>)>::new();
    for total in told {
        both.entry((&total.name, &total.by)).or_default().0 = Some(total.value);
    }
    for total in counted {
        both.entry((&total.name, &total.by)).or_default().1 = Some(total.value);
    }
    let mut totals = Vec::new();
    for ((name, by), (told, counted)) in both {
        let (told, counted) = (told.unwrap_or(0), counted.unwrap_or(0));
        if told != counted {
            let of = if by.is_empty() { name.to_owned() } else { format!("{name} ({by})") };
            faults.add(Check::Totals, crate::manifest::PATH, None, format!("{of}: {told} signed, {counted} counted"));
        }
        totals.push(TotalReport { name: name.to_owned(), by: by.to_owned(), told, counted });
    }
    totals
}
