//! A row of registrations.csv, as it leaves the tablets: every cell is text. Names and order of the cells are the
//! header's.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    pub submission_id: String,
    pub submitted_on: String,
    pub household_number: String,
    pub category: String,
    pub district_pcode: String,
    pub cell_pcode: String,
    pub household_size: String,
    pub relation_to_head: String,
    pub surname: String,
    pub given_name: String,
    pub sex: String,
    pub birth_date: String,
    pub document_kind: String,
    pub document_number: String,
    pub phone: String,
    pub country_of_asylum: String,
    pub fled_year: String,
    pub returned_on: String,
    pub entry_point: String,
    pub transit_centre: String,
    pub vulnerability: String,
    pub consent: String,
    pub assistance_requested: String,
    pub assistance_item: String,
    pub enumerator: String,
}

/// Ways in which a row is no good, each by itself enough to be refused.
const FAULTS: [fn(&mut Form); 20] = [
    |f| f.district_pcode = "RW99".into(),
    |f| f.cell_pcode = "RW110101".into(),
    |f| f.cell_pcode = format!("{}9999", f.district_pcode),
    |f| f.birth_date = "1987-02-30".into(),
    |f| f.birth_date = "12/05/1979".into(),
    |f| f.returned_on = "2009-13-05".into(),
    |f| (f.document_kind, f.document_number) = ("national_id".into(), "919797001234560".into()),
    |f| f.sex = "G".into(),
    |f| f.surname = String::new(),
    |f| f.household_size = "many".into(),
    |f| f.phone = "07512".into(),
    |f| f.country_of_asylum = "Congo".into(),
    |f| f.category = "refugee".into(),
    |f| f.consent = String::new(),
    |f| f.assistance_requested = "cow".into(),
    |f| f.fled_year = "2019".into(),
    |f| (f.document_kind, f.document_number) = (String::new(), "HCR 00417".into()),
    |f| f.birth_date = "2031".into(),
    |f| f.household_size = "0".into(),
    |f| f.relation_to_head = "neighbour".into(),
];

impl Form {
    /// Makes the row one that must be refused.
    pub fn spoil(&mut self, how: usize) {
        FAULTS[how % FAULTS.len()](self);
        if how % 7 == 6 {
            FAULTS[(how + 9) % FAULTS.len()](self);
        }
    }
}
