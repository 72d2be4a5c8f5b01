//! One tenant's ids, page tokens and request ids in another's requests: each is as good as one that was never given out.

use std::time::{Duration, Instant};

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};
use tahuka_chassis::ids;
use tahuka_chassis::passport::Bearer;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::cells::ids_in;
use crate::home::{Answer, Rpc};
use crate::request::Template;
use crate::seed::Custodian;
use crate::told;
use crate::world::World;

/// Fields by which something may be told, each with its reason.
const TOLD: &[(&str, &str)] = &[
    (
        "tahuka.tenancy.v1.ProposeAgreementRequest.recipient_id",
        "an agreement is proposed to an organisation that is there; their ids are known among them",
    ),
    ("tahuka.tenancy.v1.GetHandoverPartiesRequest.recipient_id", "likewise"),
    ("tahuka.handover.v1.ProposeHandoverAgreementRequest.recipient_id", "likewise"),
];

#[derive(Debug, Default)]
pub struct Probes {
    pub ids: usize,
    pub tokens: usize,
    pub request_ids: usize,
    pub told: Vec<String>,
}

pub async fn run(world: &World) -> Probes {
    let mut probes = Probes::default();
    // The platform administers every organisation: none of them is another's to it.
    let mut rpcs: Vec<_> =
        world.rpcs.iter().filter(|rpc| !rpc.path.contains("TenantService") && !rpc.path.contains("IdentityService")).collect();
    // Reads first: what the writes record here is the first custodian's own.
    rpcs.sort_by_key(|rpc| rpc.rule.write);
    for rpc in &rpcs {
        strange_ids(world, rpc, &mut probes).await;
        strange_tokens(world, rpc, &mut probes).await;
        strange_request_ids(world, rpc, &mut probes).await;
    }
    probes
}

/// Every field that takes an id, with the second custodian's and with one of nobody's, asked by the first's manager.
async fn strange_ids(world: &World, rpc: &Rpc, probes: &mut Probes) {
    let template = &world.templates[&rpc.path];
    for (message, slot) in slots(template) {
        let name = slot.last().map(|field| field.full_name().to_owned()).unwrap_or_default();
        if TOLD.iter().any(|(told, _)| *told == name) {
            continue;
        }
        for id in candidates(&world.second, slot.last()) {
            probes.ids += 1;
            let nobodys = ids::new_id().to_string();
            let mut answers = Vec::new();
            for id in [&id, &nobodys] {
                let mut template = template.clone();
                put(&mut template.messages[message], &slot, id);
                let answer = ask(world, rpc, &template, &world.first.manager()).await;
                answers.push(plain(&answer, id));
                if let Some(leak) = tells(&answer, &world.second, id) {
                    probes.told.push(format!("{} {name}: {leak}", rpc.path));
                }
            }
            if answers[0] != answers[1] {
                let show = |n: usize| String::from_utf8_lossy(&answers[n]).chars().take(300).collect::<String>();
                probes.told.push(format!(
                    "{} {name}: another's id is told from nobody's:\n  {}\n  {}",
                    rpc.path,
                    show(0),
                    show(1)
                ));
            }
        }
    }
}

/// The first custodian's page token in the second's hand is refused in the words in which garbage is.
async fn strange_tokens(world: &World, rpc: &Rpc, probes: &mut Probes) {
    let input = rpc.method.input();
    if input.get_field_by_name("page_token").is_none() {
        return;
    }
    let page = |custodian: &Custodian, token: &str| {
        let mut template = of(world, &world.templates[&rpc.path], custodian);
        template.messages[0].set_field_by_name("page_size", Value::I32(1));
        template.messages[0].set_field_by_name("page_token", Value::String(token.to_owned()));
        template
    };
    let answer = ask(world, rpc, &page(&world.first, ""), &world.first.manager()).await;
    let token = answer.messages.first().and_then(|m| m.get_field_by_name("next_page_token").map(|t| t.into_owned()));
    let token = token.and_then(|t| t.as_str().map(str::to_owned)).unwrap_or_default();
    if token.is_empty() {
        probes.told.push(format!("{}: there is no second page to try a token of: {:?}", rpc.path, answer.status));
        return;
    }
    probes.tokens += 1;
    let mut refusals = Vec::new();
    for token in [token.as_str(), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let answer = ask(world, rpc, &page(&world.second, token), &world.second.manager()).await;
        if answer.code() != Code::InvalidArgument {
            probes.told.push(format!("{}: a strange page token is taken: {:?}", rpc.path, answer.code()));
        }
        refusals.push(answer.everything());
    }
    if refusals[0] != refusals[1] {
        probes.told.push(format!("{}: another's page token is told from garbage", rpc.path));
    }
}

/// A request id that the first custodian has used is new to the second, and stays the first's.
async fn strange_request_ids(world: &World, rpc: &Rpc, probes: &mut Probes) {
    if !rpc.rule.write {
        return;
    }
    probes.request_ids += 1;
    let id = ids::new_id().to_string();
    let with = |custodian: &Custodian| {
        let mut template = of(world, &world.templates[&rpc.path], custodian);
        template.messages.iter_mut().for_each(|m| set_request_id(m, &id));
        template.encode()
    };
    let call = async |custodian: &Custodian| {
        let passport = world.home.passport(&custodian.manager());
        world.home.call(rpc, with(custodian), Some(&passport)).await
    };
    let first = call(&world.first).await;
    let second = call(&world.second).await;
    let again = call(&world.first).await;
    let clash = second.status.as_ref().and_then(|s| s.get_details_bad_request());
    if clash.is_some_and(|bad| bad.field_violations.iter().any(|v| v.field.ends_with("request_id"))) {
        probes.told.push(format!("{}: a request id of another tenant is known", rpc.path));
    }
    if let Some(leak) = tells(&second, &world.first, "") {
        probes.told.push(format!("{}: under another's request id: {leak}", rpc.path));
    }
    if first.code() == Code::Ok && first.bytes != again.bytes {
        probes.told.push(format!("{}: another's request has changed the answer that was kept", rpc.path));
    }
}

async fn ask(world: &World, rpc: &Rpc, template: &Template, bearer: &Bearer) -> Answer {
    world.home.call(rpc, template.fresh(), Some(&world.home.passport(bearer))).await
}

/// The request as the other custodian would make it: with its own ids in the place of the first's.
fn of(world: &World, template: &Template, custodian: &Custodian) -> Template {
    let mut template = template.clone();
    template.map_texts(&mut |field, text| {
        let own = told::stem(field).and_then(|stem| custodian.known.ids.get(&stem)?.first().cloned());
        if let Some(own) = own
            && !world.shared_ids.contains(text)
        {
            *text = own;
        }
    });
    template
}

fn set_request_id(message: &mut DynamicMessage, id: &str) {
    if message.get_field_by_name("request_id").is_some() {
        message.set_field_by_name("request_id", Value::String(id.to_owned()));
    }
    let fields: Vec<_> = message.fields_mut().map(|(field, _)| field).collect();
    for field in fields {
        if let Value::Message(inner) = message.get_field_mut(&field) {
            set_request_id(inner, id);
        }
    }
}

/// Where an id can stand in the request: the number of its message in the stream, and the fields on the way.
fn slots(template: &Template) -> Vec<(usize, Vec<FieldDescriptor>)> {
    let mut slots = Vec::new();
    for (n, message) in template.messages.iter().enumerate() {
        below(message, &mut Vec::new(), &mut |path| slots.push((n, path)));
    }
    slots
}

fn below(message: &DynamicMessage, way: &mut Vec<FieldDescriptor>, found: &mut dyn FnMut(Vec<FieldDescriptor>)) {
    for field in message.descriptor().fields() {
        way.push(field.clone());
        match field.kind() {
            Kind::String if told::stem(&field).is_some() => found(way.clone()),
            Kind::Message(_) if message.has_field(&field) => match message.get_field(&field).as_ref() {
                Value::Message(inner) => below(inner, way, found),
                Value::List(inner) => {
                    if let Some(Value::Message(inner)) = inner.first() {
                        below(inner, way, found);
                    }
                }
                _ => {}
            },
            _ => {}
        }
        way.pop();
    }
}

fn put(message: &mut DynamicMessage, way: &[FieldDescriptor], id: &str) {
    let Some((field, rest)) = way.split_first() else { return };
    if rest.is_empty() {
        let id = Value::String(id.to_owned());
        message.set_field(field, if field.is_list() { Value::List(vec![id]) } else { id });
        return;
    }
    match message.get_field_mut(field) {
        Value::Message(inner) => put(inner, rest, id),
        Value::List(inner) => {
            if let Some(Value::Message(inner)) = inner.first_mut() {
                put(inner, rest, id);
            }
        }
        _ => {}
    }
}

/// The custodian's ids that may stand in the field: those of its aggregate, or one of each where its name tells none.
fn candidates(of: &Custodian, field: Option<&FieldDescriptor>) -> Vec<String> {
    let known = &of.known.ids;
    match field.and_then(told::stem).and_then(|stem| known.get(&stem)) {
        Some(ids) => ids.iter().take(1).cloned().collect(),
        None => known.values().filter_map(|ids| ids.first().cloned()).collect(),
    }
}

/// The answer without what is new in each: the id that was asked about, ids and times that were made for it.
fn plain(answer: &Answer, asked: &str) -> Vec<u8> {
    let mut answer = answer.clone();
    for message in &mut answer.messages {
        mask(message);
    }
    answer.bytes = answer.messages.iter().flat_map(prost::Message::encode_to_vec).collect();
    let text = String::from_utf8_lossy(&answer.everything()).replace(asked, "ID");
    text.into_bytes()
}

fn mask(message: &mut DynamicMessage) {
    let fields: Vec<_> = message.fields_mut().map(|(field, _)| field).collect();
    for field in fields {
        let time = matches!(field.kind(), Kind::Message(m) if m.full_name() == "google.protobuf.Timestamp");
        if time || field.name() == "next_page_token" || field.name() == "etag" {
            message.clear_field(&field);
            continue;
        }
        match message.get_field_mut(&field) {
            Value::List(values) => values.iter_mut().for_each(mask_value),
            value => mask_value(value),
        }
    }
}

fn mask_value(value: &mut Value) {
    match value {
        Value::String(text) if uuid::Uuid::try_parse(text).is_ok() => *text = "ID".to_owned(),
        Value::Message(inner) => mask(inner),
        _ => {}
    }
}

/// Anything of the custodian in the answer, but for the id that was asked about.
fn tells(answer: &Answer, of: &Custodian, asked: &str) -> Option<String> {
    let text = String::from_utf8_lossy(&answer.everything()).to_lowercase();
    if text.contains(&of.word.to_lowercase()) {
        return Some(format!("the word {}", of.word));
    }
    ids_in(&text)
        .into_iter()
        .find(|id| id != asked && of.known.ids.iter().any(|(stem, ids)| stem != "programme" && ids.contains(id)))
}

/// How long the answer takes about another's record and about nobody's: medians of `times` calls in turn. To be read by
/// people; on a busy machine nothing follows from it.
pub async fn timing(world: &World, times: usize) {
    for rpc in world.rpcs.iter().filter(|rpc| rpc.method.name().starts_with("Get")) {
        let template = &world.templates[&rpc.path];
        let Some((message, slot)) = slots(template).into_iter().next() else { continue };
        let Some(others) = candidates(&world.second, slot.last()).pop() else { continue };
        let mut took: [Vec<Duration>; 2] = Default::default();
        let mut code = Code::Ok;
        for _ in 0..times {
            for (n, id) in [others.clone(), ids::new_id().to_string()].iter().enumerate() {
                let mut template = template.clone();
                put(&mut template.messages[message], &slot, id);
                let started = Instant::now();
                code = ask(world, rpc, &template, &world.first.manager()).await.code();
                took[n].push(started.elapsed());
            }
        }
        let median = |took: &mut Vec<Duration>| {
            took.sort();
            took[took.len() / 2]
        };
        let [others, nobodys] = &mut took;
        let (others, nobodys) = (median(others), median(nobodys));
        println!("  {:28} {code:?}: another's {others:?}, nobody's {nobodys:?}", rpc.method.name());
    }
}
