//! What a message tells, read from its descriptor: the class and the subject of each field, and all that stands in it.

use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, Value};
use tahuka_proto::access;
use tahuka_proto::options::v1::{DisclosureLevel, PrivacyClass};

fn option(options: &DynamicMessage, name: &str) -> Option<i32> {
    let extension = access::pool().get_extension_by_name(name)?;
    options.has_extension(&extension).then(|| options.get_extension(&extension).as_enum_number()).flatten()
}

/// The privacy class of a field of an answer; what has none is the most private.
pub fn class(field: &FieldDescriptor) -> i32 {
    option(&field.options(), "tahuka.options.v1.privacy")
        .or_else(|| option(&field.parent_message().options(), "tahuka.options.v1.all_fields"))
        .unwrap_or(PrivacyClass::DirectIdentifier as i32)
}

/// Whether the field holds the id of somebody, or of a record about one person.
pub fn is_subject(field: &FieldDescriptor) -> bool {
    option(&field.options(), "tahuka.options.v1.subject").is_some_and(|subject| subject != 0)
}

/// The highest class that a reader at `level` is shown, as the design has it; the house's own code is not asked.
pub fn most_shown(level: DisclosureLevel) -> i32 {
    match level {
        DisclosureLevel::Identified => PrivacyClass::DirectIdentifier as i32,
        DisclosureLevel::Pseudonymised | DisclosureLevel::Aggregate => PrivacyClass::Coarse as i32,
        DisclosureLevel::Unspecified => 0,
    }
}

/// One value somewhere in a message.
pub struct Told<'a> {
    pub field: FieldDescriptor,
    pub value: &'a Value,
}

/// Every field that is set, of the message and of all that are in it; elements of a list one by one.
pub fn each<'a>(message: &'a DynamicMessage, see: &mut dyn FnMut(Told<'a>)) {
    for (field, value) in message.fields() {
        match value {
            Value::List(values) => {
                for value in values {
                    one(&field, value, see);
                }
            }
            value => one(&field, value, see),
        }
    }
}

fn one<'a>(field: &FieldDescriptor, value: &'a Value, see: &mut dyn FnMut(Told<'a>)) {
    see(Told { field: field.clone(), value });
    if let Value::Message(inner) = value {
        each(inner, see);
    }
}

/// A whole number that is no part of a time.
pub fn number(told: &Told<'_>) -> Option<i64> {
    match told.value {
        _ if told.field.parent_message().full_name() == "google.protobuf.Timestamp" => None,
        Value::I32(n) => Some(i64::from(*n)),
        Value::I64(n) => Some(*n),
        _ => None,
    }
}

pub fn ours(message: &MessageDescriptor) -> bool {
    message.package_name().starts_with("tahuka.")
}

/// The aggregate that an id field names: `household` for `household_id`, `plan` for `plan_ids`, and for `id` the message's own name.
pub fn stem(field: &FieldDescriptor) -> Option<String> {
    let name = field.name();
    match name {
        "id" => Some(snake(field.parent_message().name())),
        "request_id" | "submission_id" => None,
        _ => name.strip_suffix("_id").or_else(|| name.strip_suffix("_ids")).map(str::to_owned),
    }
}

pub fn snake(name: &str) -> String {
    let mut out = String::new();
    for (n, c) in name.chars().enumerate() {
        if c.is_uppercase() && n > 0 {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}
