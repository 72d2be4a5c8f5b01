//! Published figures: what the programme said of itself, as data, to stand beside what its records say.

pub mod rpc;
pub mod store;

use chrono::NaiveDate;
use tahuka_chassis::Refusal;

use crate::report;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFigure {
    pub code: String,
    /// None where only words were published.
    pub value: Option<i64>,
    /// As published; may be empty where there is a value.
    pub text: String,
    pub source: String,
    pub published_on: Option<NaiveDate>,
}

impl NewFigure {
    /// It must belong to a figure of the report, and say something.
    pub fn checked(self) -> Result<Self, Refusal> {
        if report::figure(&self.code).is_none() {
            return Err(Refusal::invalid("code", "must be the code of one of the report's figures"));
        }
        if self.value.is_none() && self.text.is_empty() {
            return Err(Refusal::invalid("text", "must not be empty where there is no value"));
        }
        if self.value.is_some_and(|value| value < 0) {
            return Err(Refusal::invalid("value", "must not be negative"));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(code: &str, value: Option<i64>, text: &str) -> Result<NewFigure, Refusal> {
        let (code, text) = (code.to_owned(), text.to_owned());
        NewFigure { code, value, text, source: "a report".into(), published_on: None }.checked()
    }

    #[test]
    fn it_belongs_to_a_figure_of_the_report_and_says_something() {
        assert!(figure("people_helped", Some(11_000), "").is_ok());
        assert!(figure("people_helped.livestock", None, "over 3,000").is_ok());
        assert!(figure("people_seen", Some(1), "").is_err());
        assert!(figure("people_helped", None, "").is_err());
        assert!(figure("people_helped", Some(-1), "").is_err());
    }
}
