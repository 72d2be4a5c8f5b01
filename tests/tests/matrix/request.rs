//! A well-formed request for any RPC, without a line written for it: it starts empty, and each field that the service
//! says is missing or wrong gets its next likely value, until the service takes it.

use std::collections::BTreeMap;

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value};
use tahuka_chassis::ids;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::home::{Answer, Home, Rpc};
use crate::told::stem;

/// How often a request is mended before it is given up.
const ROUNDS: usize = 60;

/// What fields of these names hold, for texts that have a form. Anything else is found by trying.
const FORMS: &[(&str, &[&str])] = &[
    ("etag", &["1"]),
    ("currency_code", &["USD"]),
    ("base", &["JPY"]),
    ("quote", &["USD"]),
    ("rate", &["0.0125"]),
    ("country", &["JP"]),
    ("country_of_asylum", &["COD"]),
    ("pcode", &["RW33"]),
    ("district", &["RW33"]),
    ("place", &["RW330101"]),
    ("roles", &["auditor"]),
    ("algorithms", &["EdDSA"]),
    ("slug", &["templates"]),
    ("indicator", &["people_registered"]),
    ("sex", &["female"]),
    ("age_band", &["18-24"]),
    ("from_month", &["2013-01"]),
    ("jwks_json", &[JWKS]),
    ("public_key", &["d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"]),
    ("package_kinds", &["livestock"]),
];

/// What any other text may have to be.
const TEXTS: &[&str] = &[
    "template",
    "RW33",
    "RW330101",
    "2013-01",
    "female",
    "18-24",
    "USD",
    "JP",
    "0.5",
    "people_helped",
    "https://template.invalid/1",
];

/// A public key that nobody has the private half of.
pub const JWKS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"t","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

const NUMBERS: &[i64] = &[1, 2, 5, 0, 50, 100];

/// The ids that requests point to, by what they are the ids of.
pub type Ids = BTreeMap<String, Vec<String>>;

/// A request of one RPC, as often as it is needed.
#[derive(Clone)]
pub struct Template {
    pub messages: Vec<DynamicMessage>,
}

impl Template {
    fn of(rpc: &Rpc) -> Template {
        let input = rpc.method.input();
        let forms: Vec<_> = input.oneofs().filter(|o| !o.is_synthetic()).flat_map(|o| o.fields().collect::<Vec<_>>()).collect();
        if !rpc.method.is_client_streaming() || forms.is_empty() {
            return Template { messages: vec![DynamicMessage::new(input)] };
        }
        // A stream of a message that chooses between forms: one of each, in their order.
        let message = |field: FieldDescriptor| {
            let mut message = DynamicMessage::new(input.clone());
            let value = match field.kind() {
                Kind::Message(m) => Value::Message(DynamicMessage::new(m)),
                _ => Value::Bytes(prost::bytes::Bytes::from(crate::seed::file("template", 13).into_bytes())),
            };
            message.set_field(&field, value);
            message
        };
        Template { messages: forms.into_iter().map(message).collect() }
    }

    /// The bytes of a new request: as the template, with a request id of its own.
    pub fn fresh(&self) -> Vec<Vec<u8>> {
        let mut copy = self.clone();
        copy.messages.iter_mut().for_each(renew);
        copy.encode()
    }

    pub fn encode(&self) -> Vec<Vec<u8>> {
        self.messages.iter().map(|m| m.encode_to_vec()).collect()
    }

    /// Changes each text, wherever it stands.
    pub fn map_texts(&mut self, change: &mut dyn FnMut(&FieldDescriptor, &mut String)) {
        self.messages.iter_mut().for_each(|m| map_texts(m, change));
    }
}

fn renew(message: &mut DynamicMessage) {
    let fields: Vec<_> = message.descriptor().fields().collect();
    for field in fields {
        if field.name() == "request_id" {
            message.set_field(&field, Value::String(ids::new_id().to_string()));
        } else if matches!(field.kind(), Kind::Message(_))
            && !field.is_list()
            && message.has_field(&field)
            && let Value::Message(inner) = message.get_field_mut(&field)
        {
            renew(inner);
        }
    }
}

fn map_texts(message: &mut DynamicMessage, change: &mut dyn FnMut(&FieldDescriptor, &mut String)) {
    let fields: Vec<_> = message.fields_mut().map(|(field, _)| field).collect();
    for field in fields {
        match message.get_field_mut(&field) {
            Value::List(values) => values.iter_mut().for_each(|value| map_text(&field, value, change)),
            value => map_text(&field, value, change),
        }
    }
}

fn map_text(field: &FieldDescriptor, value: &mut Value, change: &mut dyn FnMut(&FieldDescriptor, &mut String)) {
    match value {
        Value::String(text) => change(field, text),
        Value::Message(inner) => map_texts(inner, change),
        _ => {}
    }
}

/// Makes the RPC's template, by asking the service as `passport`. The last answer is the one to the finished request.
pub async fn learn(home: &Home, rpc: &Rpc, ids: &Ids, passport: &str) -> Result<(Template, Answer), String> {
    let mut template = Template::of(rpc);
    let mut tried: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let answer = home.call(rpc, template.fresh(), Some(passport)).await;
        if answer.code() != Code::InvalidArgument {
            return Ok((template, answer));
        }
        let status = answer.status.expect("a refusal");
        let wrong = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
        if wrong.is_empty() {
            return Err(format!("{}: refused without a field: {status:?}", rpc.path));
        }
        for violation in wrong {
            let times = tried.entry(violation.field.clone()).or_default();
            let mended = template.messages.iter_mut().any(|m| mend(m, &violation.field, *times, ids));
            *times += 1;
            if !mended {
                return Err(format!("{}: {} {} (tried {times} values)", rpc.path, violation.field, violation.description));
            }
        }
    }
    Err(format!("{}: not well-formed after {ROUNDS} rounds; last tried {tried:?}", rpc.path))
}

/// Gives the field at `path` its value number `n`. False when there is no such field or no further value.
fn mend(message: &mut DynamicMessage, path: &str, n: usize, ids: &Ids) -> bool {
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let (name, at) = match head.split_once('[') {
        Some((name, at)) => (name, at.trim_end_matches(']').parse::<usize>().ok()),
        None => (head, None),
    };
    let Some(field) = message.descriptor().get_field_by_name(name) else { return false };
    if let Some(rest) = rest {
        let Kind::Message(inner) = field.kind() else { return false };
        if field.is_list() {
            let at = at.unwrap_or(0);
            let Some(values) = message.get_field_mut(&field).as_list_mut() else { return false };
            while values.len() <= at {
                values.push(Value::Message(DynamicMessage::new(inner.clone())));
            }
            return values[at].as_message_mut().is_some_and(|m| mend(m, rest, n, ids));
        }
        if !message.has_field(&field) && field.containing_oneof().is_some_and(|o| !o.is_synthetic()) {
            return false;
        }
        return message.get_field_mut(&field).as_message_mut().is_some_and(|m| mend(m, rest, n, ids));
    }
    let siblings = message.clone();
    if field.is_list() {
        let lists = lists(&field, n, ids, &siblings);
        if let (Some(at), Some(one)) = (at, value(&field, n, ids, &siblings)) {
            let Some(values) = message.get_field_mut(&field).as_list_mut() else { return false };
            if at < values.len() {
                values[at] = one;
                return true;
            }
        }
        let Some(list) = lists else { return false };
        message.set_field(&field, Value::List(list));
        return true;
    }
    let Some(value) = value(&field, n, ids, &siblings) else { return false };
    message.set_field(&field, value);
    true
}

/// The nth likely list.
fn lists(field: &FieldDescriptor, n: usize, ids: &Ids, siblings: &DynamicMessage) -> Option<Vec<Value>> {
    match (field.kind(), n) {
        (Kind::Int32, 1) => Some([20, 40, 60, 80].map(Value::I32).to_vec()),
        (Kind::Int32, n) if n > 1 => value(field, n - 1, ids, siblings).map(|one| vec![one]),
        _ => value(field, n, ids, siblings).map(|one| vec![one]),
    }
}

/// The nth likely value.
fn value(field: &FieldDescriptor, n: usize, ids: &Ids, siblings: &DynamicMessage) -> Option<Value> {
    match field.kind() {
        Kind::String => text(field, n, ids).map(Value::String),
        Kind::Enum(kinds) => kinds.values().map(|v| v.number()).filter(|v| *v != 0).nth(n).map(Value::EnumNumber),
        Kind::Bool => [true, false].get(n).copied().map(Value::Bool),
        Kind::Int32 | Kind::Sint32 => NUMBERS.get(n).and_then(|n| i32::try_from(*n).ok()).map(Value::I32),
        Kind::Int64 | Kind::Sint64 => NUMBERS.get(n).copied().map(Value::I64),
        Kind::Message(message) => inner(&message, n, siblings).map(Value::Message),
        _ => None,
    }
}

fn text(field: &FieldDescriptor, n: usize, ids: &Ids) -> Option<String> {
    if let Some(stem) = stem(field) {
        let known = ids.get(&stem).map(Vec::as_slice).unwrap_or_default();
        let named = ["tenant", "programme"].iter().filter_map(|kind| ids.get(*kind)?.first());
        return known.iter().chain(named).nth(n).cloned().or_else(|| (n <= known.len() + 2).then(|| ids::new_id().to_string()));
    }
    let forms = FORMS.iter().find(|(name, _)| *name == field.name()).map(|(_, forms)| *forms).unwrap_or_default();
    forms.iter().chain(TEXTS).nth(n).map(|text| (*text).to_owned())
}

fn inner(message: &MessageDescriptor, n: usize, siblings: &DynamicMessage) -> Option<DynamicMessage> {
    let mut made = DynamicMessage::new(message.clone());
    let mut set = |name: &str, value: Value| made.set_field_by_name(name, value);
    match message.full_name() {
        "google.type.Date" => {
            let (year, month, day) = *[(2013, 6, 15), (2011, 6, 15), (2013, 12, 31), (2013, 1, 1), (2030, 1, 1)].get(n)?;
            set("year", Value::I32(year));
            set("month", Value::I32(month));
            set("day", Value::I32(day));
        }
        "google.type.Money" => {
            set("currency_code", Value::String((*["USD", "JPY", "EUR"].get(n)?).to_owned()));
            set("units", Value::I64(1));
        }
        "google.protobuf.FieldMask" => {
            let masked = siblings.fields().find_map(|(_, value)| match value {
                Value::Message(m) if m.descriptor().package_name().starts_with("tahuka.") => Some(m.descriptor()),
                _ => None,
            })?;
            let path = masked.fields().nth(n)?.name().to_owned();
            set("paths", Value::List(vec![Value::String(path)]));
        }
        _ if n > 0 => return None,
        _ => {}
    }
    Some(made)
}
