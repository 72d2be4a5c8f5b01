//! A file of registrations: its columns, and what makes a row good. A row's faults name column and rule, never the
//! value.

pub mod held;
pub mod landing;
pub mod rpc;
pub mod store;

use std::collections::BTreeSet;

use chrono::NaiveDate;
use csv::StringRecord;

use crate::household::{self, Category};
use crate::individual::{self, AssistanceKind, BirthDate, Document, DocumentKind, Person, Relation, Rule, Sex};
use crate::places::Place;
use crate::return_episode::{self, Return};

pub const COLUMNS: [&str; 25] = [
    "submission_id",
    "submitted_on",
    "household_number",
    "category",
    "district_pcode",
    "cell_pcode",
    "household_size",
    "relation_to_head",
    "surname",
    "given_name",
    "sex",
    "birth_date",
    "document_kind",
    "document_number",
    "phone",
    "country_of_asylum",
    "fled_year",
    "returned_on",
    "entry_point",
    "transit_centre",
    "vulnerability",
    "consent",
    "assistance_requested",
    "assistance_item",
    "enumerator",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub column: &'static str,
    pub rule: Rule,
}

/// One person, ready to be registered.
#[derive(Debug, Clone)]
pub struct Row {
    pub submission_id: String,
    pub submitted_on: NaiveDate,
    pub household_number: String,
    pub category: Category,
    pub district: Place,
    pub place: Place,
    pub household_size: i32,
    pub person: Person,
    /// Of returnees only.
    pub returned: Option<Return>,
    /// Codes of the criteria met.
    pub criteria: BTreeSet<String>,
    pub enumerator: String,
}

/// Whether the first line is the header, exactly.
pub fn is_header(record: &StringRecord) -> bool {
    record.iter().map(str::trim).eq(COLUMNS)
}

/// The row, or all that is wrong with it. `today` is the last day on which it can have been submitted.
pub fn parse(record: &StringRecord, today: NaiveDate) -> Result<Row, Vec<Fault>> {
    if record.len() != COLUMNS.len() {
        return Err(vec![Fault { column: "", rule: "the row has not as many cells as the header" }]);
    }
    let mut cells = Cells { record, faults: Vec::new() };
    let row = cells.row(today);
    match row {
        Some(row) if cells.faults.is_empty() => Ok(row),
        _ => Err(cells.faults),
    }
}

struct Cells<'a> {
    record: &'a StringRecord,
    faults: Vec<Fault>,
}

impl Cells<'_> {
    fn cell(&self, column: &'static str) -> &str {
        let at = COLUMNS.iter().position(|c| *c == column);
        at.and_then(|at| self.record.get(at)).map(str::trim).unwrap_or_default()
    }

    fn fault(&mut self, column: &'static str, rule: Rule) {
        self.faults.push(Fault { column, rule });
    }

    /// A cell that must be filled.
    fn must<T>(&mut self, column: &'static str, parse: impl FnOnce(&str) -> Result<T, Rule>) -> Option<T> {
        let parsed = match self.cell(column) {
            "" => Err("is missing"),
            cell => parse(cell),
        };
        parsed.map_err(|rule| self.fault(column, rule)).ok()
    }

    /// A cell that may be empty. A fault counts as empty: it is told, and the row falls with it.
    fn may<T>(&mut self, column: &'static str, parse: impl FnOnce(&str) -> Result<T, Rule>) -> Option<T> {
        if self.cell(column).is_empty() { None } else { self.must(column, parse) }
    }

    fn row(&mut self, today: NaiveDate) -> Option<Row> {
        let submission_id = self.must("submission_id", line);
        let submitted_on = self.must("submitted_on", |cell| {
            let day = individual::day(cell)?;
            if day > today { Err("is in the future") } else { Ok(day) }
        });
        // Faults of later columns are told even where no day is known to hold them against.
        let on = submitted_on.unwrap_or(today);
        let household_number = self.must("household_number", line);
        let category = self.must("category", Category::parse);
        let residence = self.residence();
        let household_size =
            self.must("household_size", |cell| cell.parse().map_err(|_| "must be a number").and_then(household::size));
        let person = self.person(on);
        let returned = self.returned(category, on);
        let criteria = self.may("vulnerability", |cell| Ok(codes(cell))).unwrap_or_default();
        self.must("consent", |cell| match cell.to_ascii_lowercase().as_str() {
            "yes" => Ok(()),
            "no" => Err("was not given: nobody is registered without it"),
            _ => Err("must be yes or no"),
        });
        let enumerator = self.must("enumerator", line);
        let (place, district) = residence?;
        Some(Row {
            submission_id: submission_id?,
            submitted_on: submitted_on?,
            household_number: household_number?,
            category: category?,
            district,
            place,
            household_size: household_size?,
            person: person?,
            returned,
            criteria,
            enumerator: enumerator?,
        })
    }

    /// Place and district.
    fn residence(&mut self) -> Option<(Place, Place)> {
        let district = self.must("district_pcode", |cell| match Place::find(cell) {
            Some(place) if place.level() == 2 => Ok(place),
            Some(_) => Err("must be a district"),
            None => Err("is not a known p-code"),
        });
        let cell = self.may("cell_pcode", |cell| match Place::find(cell) {
            Some(place) if place.level() == 4 => Ok(place),
            Some(_) => Err("must be a cell"),
            None => Err("is not a known p-code"),
        });
        let district = district?;
        if cell.and_then(Place::district).is_some_and(|of| of != district) {
            self.fault("cell_pcode", "is not in the district");
        }
        Some((cell.unwrap_or(district), district))
    }

    fn person(&mut self, on: NaiveDate) -> Option<Person> {
        let relation = self.may("relation_to_head", Relation::parse);
        let surname = self.must("surname", line);
        let given_name = self.may("given_name", line);
        let sex = self.must("sex", Sex::parse);
        let birth = self.may("birth_date", |cell| BirthDate::parse(cell, on));
        let document = self.document();
        let phone = self.may("phone", individual::phone);
        let requested = self.may("assistance_requested", AssistanceKind::parse);
        let item = self.may("assistance_item", line);
        Some(Person { surname: surname?, given_name, sex: sex?, birth, relation, document, phone, requested, item })
    }

    fn document(&mut self) -> Option<Document> {
        let number = self.cell("document_number").to_owned();
        let kind = match self.cell("document_kind") {
            "none" => None,
            _ => self.may("document_kind", DocumentKind::parse),
        };
        match kind {
            Some(kind) => Document::new(kind, &number).map_err(|rule| self.fault("document_number", rule)).ok(),
            None => {
                if !number.is_empty() && matches!(self.cell("document_kind"), "" | "none") {
                    self.fault("document_kind", "is missing");
                }
                None
            }
        }
    }

    fn returned(&mut self, category: Option<Category>, on: NaiveDate) -> Option<Return> {
        if category == Some(Category::HostCommunity) {
            for column in ["country_of_asylum", "fled_year", "returned_on"] {
                if !self.cell(column).is_empty() {
                    self.fault(column, "must be empty for the host community");
                }
            }
            return None;
        }
        let country = self.must("country_of_asylum", return_episode::country);
        let returned_on = self.must("returned_on", |cell| {
            let day = individual::day(cell)?;
            if day > on { Err("is after the registration") } else { Ok(day) }
        });
        let fled_year = self.may("fled_year", |cell| {
            let year = cell.parse().map_err(|_| "must be a year")?;
            return_episode::fled(year, returned_on.unwrap_or(on))
        });
        let entry_point = self.may("entry_point", line);
        let transit_centre = self.may("transit_centre", line);
        Some(Return { country: country?, fled_year, returned_on: returned_on?, entry_point, transit_centre })
    }
}

fn line(cell: &str) -> Result<String, Rule> {
    individual::text(cell).and_then(|text| text.ok_or("is missing"))
}

fn codes(cell: &str) -> BTreeSet<String> {
    let codes = cell.split(';').map(|code| code.trim().to_ascii_lowercase());
    codes.filter(|code| !code.is_empty() && code != "none").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> [&'static str; 25] {
        [
            "s-1",
            "2012-05-04",
            "RW33-0001",
            "returnee",
            "RW33",
            "RW330401",
            "4",
            "head",
            "MUKAMANA",
            "Alice",
            "female",
            "1980",
            "national_id",
            "9 1980 7 0012345 0 12",
            "0788123456",
            "COD",
            "1994",
            "2012-04-30",
            "Grande Barrière",
            "nkamira",
            "single_parent; disability",
            "yes",
            "livestock",
            "goat",
            "E07",
        ]
    }

    fn with(changes: &[(&str, &'static str)]) -> StringRecord {
        let mut cells = good();
        for (column, value) in changes {
            cells[COLUMNS.iter().position(|c| c == column).unwrap()] = value;
        }
        StringRecord::from(cells.to_vec())
    }

    fn parsed(changes: &[(&str, &'static str)]) -> Result<Row, Vec<Fault>> {
        parse(&with(changes), NaiveDate::from_ymd_opt(2014, 1, 1).unwrap())
    }

    #[test]
    fn a_good_row_is_a_person_of_a_household() {
        let row = parsed(&[]).unwrap();
        assert_eq!((row.place.code, row.district.code), ("RW330401", "RW33"));
        assert_eq!(row.person.phone.as_deref(), Some("+250788123456"));
        assert_eq!(row.criteria.iter().map(String::as_str).collect::<Vec<_>>(), ["disability", "single_parent"]);
        assert_eq!(row.returned.unwrap().fled_year, Some(1994));
        let host = [("category", "host_community"), ("country_of_asylum", ""), ("fled_year", ""), ("returned_on", "")];
        assert!(parsed(&host).unwrap().returned.is_none());
    }

    #[test]
    fn a_bad_cell_is_told_by_column_and_rule() {
        for (column, value, rule) in [
            ("submission_id", "", "is missing"),
            ("submitted_on", "2012-02-30", "is not a date"),
            ("submitted_on", "2014-01-02", "is in the future"),
            ("category", "refugee", "must be returnee or host_community"),
            ("district_pcode", "RW99", "is not a known p-code"),
            ("cell_pcode", "RW110101", "is not in the district"),
            ("cell_pcode", "RW339999", "is not a known p-code"),
            ("household_size", "many", "must be a number"),
            ("household_size", "0", "must be 1 to 60"),
            ("surname", " ", "is missing"),
            ("sex", "x", "must be female, male or unknown"),
            ("birth_date", "2012-13-01", "is not a date"),
            ("birth_date", "2013", "is after the registration"),
            ("document_number", "123", "must be 16 digits"),
            ("document_kind", "", "is missing"),
            ("phone", "12345", "must be a Rwandan mobile number"),
            ("country_of_asylum", "Congo", "must be a country code of three capital letters"),
            ("fled_year", "2013", "is after the return"),
            ("returned_on", "2012-05-05", "is after the registration"),
            ("consent", "no", "was not given: nobody is registered without it"),
            ("assistance_requested", "car", "must be vocational_training, startup_capital, livestock or shelter"),
        ] {
            assert_eq!(parsed(&[(column, value)]).unwrap_err(), [Fault { column, rule }], "{column} {value}");
        }
    }

    #[test]
    fn all_faults_of_a_row_are_told_at_once() {
        let faults = parsed(&[("surname", ""), ("sex", "?"), ("consent", "")]).unwrap_err();
        assert_eq!(faults.iter().map(|f| f.column).collect::<Vec<_>>(), ["surname", "sex", "consent"]);
        assert_eq!(parse(&StringRecord::from(vec!["a"]), NaiveDate::MAX).unwrap_err()[0].column, "");
    }

    #[test]
    fn the_header_is_exact() {
        assert!(is_header(&StringRecord::from(COLUMNS.to_vec())));
        assert!(!is_header(&StringRecord::from(COLUMNS[..24].to_vec())));
    }
}
