//! What a verification says: to a program as JSON, to a person as text.

use serde::Serialize;

use super::fault::{Check, Fault, Faults};
use crate::Handover;

/// The short answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Something is wrong with it: nothing of it may be used.
    #[default]
    Refused,
    /// Whole, and signed by nobody: nothing proves who made it.
    WholeNotSigned,
    /// Whole, and not yet countersigned.
    WholeSignedByOne,
    /// Whole, and signed by both.
    Whole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Pass,
    Fail,
    /// It could not be looked at, because something before it failed.
    NotReached,
}

#[derive(Debug, Clone, Serialize)]
pub struct CheckResult {
    pub check: Check,
    pub outcome: Outcome,
    pub says: &'static str,
    pub faults: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct PartyReport {
    /// sender or recipient.
    pub role: &'static str,
    pub name: String,
    pub key_id: String,
    pub fingerprint: String,
    /// The key is also the one that whoever verifies has from elsewhere.
    pub key_told: bool,
    pub signed: bool,
}

#[derive(Debug, Clone, Serialize)]
pub struct TotalReport {
    pub name: String,
    pub by: String,
    /// As it was signed.
    pub told: i64,
    pub counted: i64,
}

#[derive(Debug, Clone, Serialize, Default)]
pub struct Report {
    pub verdict: Verdict,
    /// None: the manifest cannot be read.
    pub handover: Option<Handover>,
    pub parties: Vec<PartyReport>,
    pub checks: Vec<CheckResult>,
    /// The first ones of each check.
    pub faults: Vec<Fault>,
    pub totals: Vec<TotalReport>,
    pub records: u64,
    pub bytes: u64,
    #[serde(skip)]
    pub reached_records: bool,
}

impl Report {
    /// A bag that could not even be opened.
    pub fn refused(fault: Fault) -> Self {
        let mut report = Report::default();
        let mut faults = Faults::default();
        faults.add(fault.check, &fault.file, fault.line, fault.why);
        report.conclude(faults);
        report
    }

    /// Nothing is wrong with it. Whether both have signed is said by the verdict.
    pub fn is_whole(&self) -> bool {
        self.verdict != Verdict::Refused
    }

    pub fn is_signed_by_both(&self) -> bool {
        self.verdict == Verdict::Whole
    }

    pub(super) fn conclude(&mut self, faults: Faults) {
        let opened = self.handover.is_some();
        for check in Check::ALL {
            let reached = match check {
                Check::Structure | Check::Format => true,
                Check::Freshness => opened,
                Check::Agreement | Check::Signatures => !self.parties.is_empty(),
                _ => self.reached_records,
            };
            let outcome = match (faults.of(check), reached) {
                (0, true) => Outcome::Pass,
                (0, false) => Outcome::NotReached,
                _ => Outcome::Fail,
            };
            self.checks.push(CheckResult { check, outcome, says: check.says(), faults: faults.of(check) });
        }
        let whole = faults.is_empty() && self.checks.iter().all(|c| c.outcome == Outcome::Pass);
        self.verdict = match self.parties.iter().filter(|party| party.signed).count() {
            _ if !whole => Verdict::Refused,
            0 => Verdict::WholeNotSigned,
            1 => Verdict::WholeSignedByOne,
            _ => Verdict::Whole,
        };
        self.faults = faults.into_kept();
    }

    /// For a person who is no engineer.
    pub fn text(&self) -> String {
        let mut text = String::from("Verification of a handover bundle\n");
        self.head(&mut text);
        self.figures(&mut text);
        text.push_str("\nWhat was checked\n");
        for check in &self.checks {
            let word = match check.outcome {
                Outcome::Pass => "PASS",
                Outcome::Fail => "FAIL",
                Outcome::NotReached => "  - ",
            };
            text.push_str(&format!("  {word}  {:<11} {}\n", check.check.id(), check.says));
        }
        if !self.faults.is_empty() {
            text.push_str("\nWhat is wrong\n");
            for fault in &self.faults {
                text.push_str(&format!("  {:<11} {fault}\n", fault.check.id()));
            }
            for check in self.checks.iter().filter(|c| c.faults > self.kept(c.check)) {
                text.push_str(&format!("  {:<11} and {} more\n", check.check.id(), check.faults - self.kept(check.check)));
            }
        }
        self.signatures(&mut text);
        text.push_str(&format!("\nRESULT: {}\n", self.result()));
        text
    }

    fn kept(&self, check: Check) -> u64 {
        self.faults.iter().filter(|fault| fault.check == check).count() as u64
    }

    fn head(&self, text: &mut String) {
        let Some(handover) = &self.handover else { return };
        text.push('\n');
        let tranche = &handover.tranche;
        let rows = [
            ("Programme", tranche.programme.name.clone()),
            ("Tranche", format!("{} (number {}, bundle {})", tranche.name, tranche.number, tranche.bundle_number)),
            ("From", tranche.sender.name.clone()),
            ("To", tranche.recipient.name.clone()),
            ("Agreement", format!("{}, revision {}", handover.agreement.id, handover.agreement.revision)),
            ("Sealed", handover.sealed_at.clone()),
            ("Bundled", handover.bundled_at.clone()),
            ("Read", format!("{} records, {} bytes", grouped(self.records.into()), grouped(self.bytes.into()))),
        ];
        for (label, value) in rows {
            text.push_str(&format!("  {label:<11} {}\n", plain(&value)));
        }
    }

    fn figures(&self, text: &mut String) {
        if self.totals.is_empty() {
            return;
        }
        text.push_str(&format!("\n{:<36} {:>22} {:>22}\n", "What is handed over", "signed", "counted now"));
        for total in &self.totals {
            let name = plain(&total.name.replace('_', " "));
            let by = plain(&total.by.replace('_', " "));
            let label = if by.is_empty() { name } else { format!("{name}: {by}") };
            let shown = |value| if total.is_money() { money_text(value, &total.by) } else { grouped(value.into()) };
            let mark = if total.told == total.counted { "" } else { "  <- differs" };
            text.push_str(&format!("  {label:<34} {:>22} {:>22}{mark}\n", shown(total.told), shown(total.counted)));
        }
    }

    fn signatures(&self, text: &mut String) {
        if self.parties.is_empty() {
            return;
        }
        text.push_str("\nSignatures\n");
        for party in &self.parties {
            let signed = if party.signed { "has signed" } else { "has NOT signed" };
            text.push_str(&format!("  {:<10} {} {signed}, key {}\n", party.role, plain(&party.name), party.key_id));
            text.push_str(&format!("             {}\n", party.fingerprint));
        }
        if self.parties.iter().any(|party| !party.key_told) {
            text.push_str(
                "  These keys stand in the bundle itself. Compare the fingerprints with those on the signed paper of the\n  \
                 agreement, or give the keys that you have (--sender-key, --recipient-key): only then is it proved who signed.\n",
            );
        }
    }

    fn result(&self) -> &'static str {
        match self.verdict {
            Verdict::Refused => "REFUSED. Do not use anything of this bundle; ask the sender for another one.",
            Verdict::WholeNotSigned => "WHOLE, but nobody has signed it: nothing proves who made it.",
            Verdict::WholeSignedByOne => "WHOLE, but one signature is missing.",
            Verdict::Whole => "WHOLE, and signed by both.",
        }
    }
}

impl TotalReport {
    pub fn is_money(&self) -> bool {
        matches!(self.name.as_str(), "granted" | "received" | "expenditure")
    }
}

/// Text of a bundle, as it may go to a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn grouped(value: i128) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

/// Minor units as an amount: 1,234.50 USD.
pub fn money_text(minor: i64, currency: &str) -> String {
    // ISO 4217.
    let decimals = match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND" | "VUV" | "XAF"
        | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    };
    let unit = 10_i128.pow(decimals);
    let value = i128::from(minor);
    let sign = if value < 0 { "-" } else { "" };
    let whole = grouped((value / unit).abs());
    let part = (value % unit).unsigned_abs();
    let width = decimals as usize;
    let currency = plain(currency);
    if decimals == 0 { format!("{sign}{whole} {currency}") } else { format!("{sign}{whole}.{part:0width$} {currency}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        assert_eq!(money_text(123_456_789, "USD"), "1,234,567.89 USD");
        assert_eq!(money_text(-5, "EUR"), "-0.05 EUR");
        assert_eq!(money_text(1_000, "RWF"), "1,000 RWF");
        assert_eq!(money_text(i64::MIN, "RWF"), "-9,223,372,036,854,775,808 RWF");
    }
}
