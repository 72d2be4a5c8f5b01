//! A person: names, sex, birth date as far as it is known, document, phone. Every parser answers with the rule that
//! was broken and never with the value, so that a refusal can be shown and logged.

pub mod rpc;
pub mod store;

use chrono::{Datelike, NaiveDate};

/// The rule that a value breaks.
pub type Rule = &'static str;

/// Longest name or free text, in characters.
const LONGEST: usize = 200;

/// A word in files, in the database and on the bus, with the other words that files have for it.
macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $code:literal $(| $alias:literal)*),+ $(,)? }, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(clippy::enum_variant_names)]
        pub enum $name { $($variant),+ }

        impl $name {
            /// As it is stored and travels in events.
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            pub fn parse(text: &str) -> Result<Self, $crate::individual::Rule> {
                match text.trim().to_ascii_lowercase().as_str() {
                    $($code $(| $alias)* => Ok(Self::$variant),)+
                    _ => Err($rule),
                }
            }
        }
    };
}
pub(crate) use coded;

coded!(Sex { Female = "female" | "f", Male = "male" | "m", Unknown = "unknown" }, "must be female, male or unknown");

coded!(
    Relation {
        Head = "head",
        Spouse = "spouse",
        Child = "child" | "son" | "daughter",
        Parent = "parent",
        Sibling = "sibling",
        OtherRelative = "other_relative" | "other_rel" | "other" | "relative" | "grandchild" | "grandparent",
        FosterChild = "foster_child" | "foster",
        Unrelated = "unrelated" | "non_rel" | "non_relative",
    },
    "must be head, spouse, child, parent, sibling, other_relative, foster_child or unrelated"
);

coded!(
    DocumentKind {
        NationalId = "national_id" | "nin",
        RepatriationForm = "repatriation_form" | "vrf",
        RefugeeCard = "refugee_card",
        Passport = "passport",
        BirthCertificate = "birth_certificate",
        Other = "other",
    },
    "must be national_id, repatriation_form, refugee_card, passport, birth_certificate or other"
);

coded!(
    /// What somebody asks for.
    AssistanceKind {
        VocationalTraining = "vocational_training",
        StartupCapital = "startup_capital",
        Livestock = "livestock",
        Shelter = "shelter",
    },
    "must be vocational_training, startup_capital, livestock or shelter"
);

coded!(
    /// How much of a birth date is known.
    Precision { Day = "day", Month = "month", Year = "year" },
    "must be day, month or year"
);

/// A birth date as far as it is known. What is not known stands in the middle of what it may be, so that an age is
/// wrong by half a year at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BirthDate {
    pub date: NaiveDate,
    pub precision: Precision,
}

impl BirthDate {
    /// Month and day 0 where not known. `on` is the day the person was registered.
    pub fn new(year: i32, month: u32, day: u32, on: NaiveDate) -> Result<Self, Rule> {
        let (date, precision) = match (month, day) {
            (0, 0) => (NaiveDate::from_ymd_opt(year, 7, 1), Precision::Year),
            (0, _) => return Err("needs a month with the day"),
            (_, 0) => (NaiveDate::from_ymd_opt(year, month, 15), Precision::Month),
            _ => (NaiveDate::from_ymd_opt(year, month, day), Precision::Day),
        };
        let date = date.ok_or("is not a date")?;
        if year < 1880 {
            return Err("is too long ago");
        }
        let later = match precision {
            Precision::Day => date > on,
            Precision::Month => (year, month) > (on.year(), on.month()),
            Precision::Year => year > on.year(),
        };
        if later { Err("is after the registration") } else { Ok(Self { date, precision }) }
    }

    /// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    pub fn parse(text: &str, on: NaiveDate) -> Result<Self, Rule> {
        const FORM: Rule = "must be YYYY or YYYY-MM-DD";
        let parts: Vec<_> = text.trim().split('-').collect();
        let number = |at: usize, width: usize| match parts.get(at) {
            None => Ok(0),
            Some(p) if p.len() == width && p.bytes().all(|b| b.is_ascii_digit()) => p.parse::<u32>().map_err(|_| FORM),
            Some(_) => Err(FORM),
        };
        if parts.len() > 3 {
            return Err(FORM);
        }
        let (year, month, day) = (number(0, 4)?, number(1, 2)?, number(2, 2)?);
        if (parts.len() > 1 && month == 0) || (parts.len() > 2 && day == 0) {
            return Err("is not a date");
        }
        Self::new(year.cast_signed(), month, day, on)
    }

    /// Year, month and day; 0 where not known.
    pub fn parts(self) -> (i32, u32, u32) {
        let (year, month, day) = (self.date.year(), self.date.month(), self.date.day());
        match self.precision {
            Precision::Day => (year, month, day),
            Precision::Month => (year, month, 0),
            Precision::Year => (year, 0, 0),
        }
    }

    fn age(self, on: NaiveDate) -> u32 {
        on.years_since(self.date).unwrap_or(0)
    }
}

/// The band a person is in on a day.
pub fn age_band(birth: Option<BirthDate>, on: NaiveDate) -> &'static str {
    match birth.map(|b| b.age(on)) {
        None => "unknown",
        Some(0..=4) => "0-4",
        Some(5..=11) => "5-11",
        Some(12..=17) => "12-17",
        Some(18..=24) => "18-24",
        Some(25..=59) => "25-59",
        Some(_) => "60+",
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub kind: DocumentKind,
    pub number: String,
}

impl Document {
    /// A national ID has a status, a year, a sex and a serial; the two check digits are nobody's to check, and a
    /// status of 9 marks a person who does not exist.
    pub fn new(kind: DocumentKind, number: &str) -> Result<Self, Rule> {
        let number: String = match kind {
            DocumentKind::NationalId => number.chars().filter(|c| !c.is_whitespace()).collect(),
            _ => text(number)?.ok_or("is missing")?,
        };
        if kind == DocumentKind::NationalId {
            let digits = number.as_bytes();
            if digits.is_empty() {
                return Err("is missing");
            }
            if digits.len() != 16 || !digits.iter().all(u8::is_ascii_digit) {
                return Err("must be 16 digits");
            }
            let year_known = matches!(&digits[1..3], b"19" | b"20");
            if !matches!(digits[0], b'1' | b'2' | b'3' | b'9') || !year_known || !matches!(digits[5], b'7' | b'8') {
                return Err("is not built as a national ID number");
            }
        }
        Ok(Self { kind, number })
    }
}

/// `+2507` and eight digits, from any of the ways people write it.
pub fn phone(text: &str) -> Result<String, Rule> {
    const FORM: Rule = "must be a Rwandan mobile number";
    let mut digits = String::with_capacity(12);
    for (at, c) in text.trim().chars().enumerate() {
        match c {
            '0'..='9' => digits.push(c),
            '+' if at == 0 => {}
            ' ' | '.' | '-' | '(' | ')' => {}
            _ => return Err(FORM),
        }
    }
    let national = match digits.len() {
        9 => digits.as_str(),
        10 => digits.strip_prefix('0').ok_or(FORM)?,
        12 => digits.strip_prefix("250").ok_or(FORM)?,
        14 => digits.strip_prefix("00250").ok_or(FORM)?,
        _ => return Err(FORM),
    };
    if national.starts_with('7') { Ok(format!("+250{national}")) } else { Err(FORM) }
}

/// Trimmed, inner spaces single; nothing for an empty one.
pub fn text(value: &str) -> Result<Option<String>, Rule> {
    if value.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return Err("has control characters");
    }
    let clean = value.split_whitespace().collect::<Vec<_>>().join(" ");
    if clean.chars().count() > LONGEST {
        return Err("is longer than 200 characters");
    }
    Ok((!clean.is_empty()).then_some(clean))
}

/// A date from a file.
pub fn day(text: &str) -> Result<NaiveDate, Rule> {
    let text = text.trim();
    if text.len() != 10 {
        return Err("must be YYYY-MM-DD");
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| "is not a date")
}

/// A person as told at registration.
#[derive(Debug, Clone)]
pub struct Person {
    pub surname: String,
    /// Some people have one name.
    pub given_name: Option<String>,
    pub sex: Sex,
    pub birth: Option<BirthDate>,
    pub relation: Option<Relation>,
    pub document: Option<Document>,
    pub phone: Option<String>,
    pub requested: Option<AssistanceKind>,
    pub item: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on() -> NaiveDate {
        NaiveDate::from_ymd_opt(2012, 6, 15).unwrap()
    }

    #[test]
    fn a_birth_date_holds_what_is_known() {
        assert_eq!(BirthDate::parse("1980", on()).unwrap().parts(), (1980, 0, 0));
        assert_eq!(BirthDate::parse("1980-03", on()).unwrap().parts(), (1980, 3, 0));
        assert_eq!(BirthDate::parse("2012-02-29", on()).unwrap().parts(), (2012, 2, 29));
        assert_eq!(BirthDate::parse("2012", on()).unwrap().precision, Precision::Year);
        for (bad, rule) in [
            ("2011-02-29", "is not a date"),
            ("1980-13-01", "is not a date"),
            ("1980-00-01", "is not a date"),
            ("1980-01-00", "is not a date"),
            ("2013", "is after the registration"),
            ("2012-06-16", "is after the registration"),
            ("1800", "is too long ago"),
            ("80", "must be YYYY or YYYY-MM-DD"),
            ("01/02/1980", "must be YYYY or YYYY-MM-DD"),
            ("+980", "must be YYYY or YYYY-MM-DD"),
        ] {
            assert_eq!(BirthDate::parse(bad, on()), Err(rule), "{bad}");
        }
        assert_eq!(BirthDate::new(1980, 0, 3, on()), Err("needs a month with the day"));
    }

    #[test]
    fn age_bands_change_on_the_birthday() {
        let band = |text: &str| age_band(Some(BirthDate::parse(text, on()).unwrap()), on());
        assert_eq!(band("2007-06-16"), "0-4");
        assert_eq!(band("2007-06-15"), "5-11");
        assert_eq!(band("2000-06-15"), "12-17");
        assert_eq!(band("1994-06-16"), "12-17");
        assert_eq!(band("1994-06-15"), "18-24");
        assert_eq!(band("1987-06-15"), "25-59");
        assert_eq!(band("1952-06-15"), "60+");
        assert_eq!(band("2012"), "0-4");
        assert_eq!(age_band(None, on()), "unknown");
    }

    #[test]
    fn phones_are_written_one_way() {
        for written in ["0788123456", "+250 788 123 456", "250788123456", "788.123.456", "00250788123456"] {
            assert_eq!(phone(written).as_deref(), Ok("+250788123456"), "{written}");
        }
        for bad in ["", "078812345", "0252123456", "+256788123456", "o788123456", "07881234567"] {
            assert!(phone(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_national_id_is_checked_in_form_only() {
        assert_eq!(
            Document::new(DocumentKind::NationalId, "9 1985 8 0012345 0 67").map(|d| d.number),
            Ok("9198580012345067".to_owned())
        );
        assert!(Document::new(DocumentKind::NationalId, "9198570012345099").is_ok());
        assert_eq!(Document::new(DocumentKind::NationalId, "919858001234506"), Err("must be 16 digits"));
        assert_eq!(Document::new(DocumentKind::NationalId, "919858001234506x"), Err("must be 16 digits"));
        assert!(Document::new(DocumentKind::NationalId, "5198580012345067").is_err());
        assert!(Document::new(DocumentKind::NationalId, "9185580012345067").is_err());
        assert!(Document::new(DocumentKind::NationalId, "9198510012345067").is_err());
        assert_eq!(Document::new(DocumentKind::Passport, " "), Err("is missing"));
    }

    #[test]
    fn texts_are_cleaned() {
        assert_eq!(text("  MUKAMANA   Alice "), Ok(Some("MUKAMANA Alice".to_owned())));
        assert_eq!(text(" \t"), Ok(None));
        assert!(text("a\u{0}b").is_err());
        assert!(text(&"x".repeat(201)).is_err());
    }
}
