//! What a custodian's own answers have told of it: what nobody else may be told.

use std::collections::HashSet;

use prost_reflect::{DynamicMessage, Value};
use tahuka_proto::options::v1::PrivacyClass;
use uuid::Uuid;

use crate::request::Ids;
use crate::told;

/// Everything of one custodian that its own answers have told.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// By what they are the ids of.
    pub ids: Ids,
    pub every_id: HashSet<String>,
    /// Ids of people and of records about one person.
    pub subjects: HashSet<String>,
    /// Texts that nobody below the identified level may see.
    pub private: HashSet<String>,
    pub numbers: HashSet<i64>,
    /// Texts and ids that stand in open fields too: they tell nothing of anybody (a village, a project's id).
    open: HashSet<String>,
}

impl Known {
    pub fn note(&mut self, answer: &DynamicMessage) {
        told::each(answer, &mut |told| {
            let ours = told::ours(told.field.parent_message());
            if let Some(n) = told::number(&told)
                && n >= 1000
                && told.field.name() != "year"
            {
                self.numbers.insert(n);
            }
            let Value::String(text) = told.value else { return };
            if Uuid::try_parse(text).is_ok() {
                self.every_id.insert(text.clone());
                if told.field.name() == "id"
                    && let Some(stem) = told::stem(&told.field)
                {
                    let known = self.ids.entry(stem).or_default();
                    if !known.contains(text) {
                        known.push(text.clone());
                    }
                }
                if told::is_subject(&told.field) {
                    self.subjects.insert(text.clone());
                } else if told.field.name() == "id" {
                    self.open.insert(text.clone());
                }
            } else if ours && told::class(&told.field) > PrivacyClass::Coarse as i32 && text.chars().count() > 3 {
                self.private.insert(text.clone());
            } else {
                self.open.insert(text.clone());
            }
        });
        self.subjects.retain(|id| !self.open.contains(id));
        self.private.retain(|text| !self.open.contains(text));
    }
}
