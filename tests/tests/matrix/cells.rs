//! The matrix: every RPC for every caller, each answer held against the access rule, and searched for what the caller
//! must not be told.

use std::collections::{BTreeMap, HashSet};

use futures::StreamExt as _;
use prost_reflect::Value;
use tahuka_chassis::Enforcement;
use tahuka_proto::options::v1::DisclosureLevel;
use tonic::Code;
use uuid::Uuid;

use crate::bearers::{ACCESSES, Caller, PARTIES, Party};
use crate::home::{Answer, Form, Rpc};
use crate::told;
use crate::world::World;

#[derive(Debug, Default)]
pub struct Score {
    pub cells: usize,
    pub let_in: usize,
    pub answered: usize,
    pub wrong: Vec<String>,
    pub leaks: Vec<String>,
}

impl Score {
    fn add(&mut self, other: Score) {
        self.cells += other.cells;
        self.let_in += other.let_in;
        self.answered += other.answered;
        self.wrong.extend(other.wrong);
        self.leaks.extend(other.leaks);
    }

    pub fn assert_clean(&self) {
        let show = |list: &[String]| list.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
        assert!(self.wrong.is_empty(), "{} cells against the rule:\n{}", self.wrong.len(), show(&self.wrong));
        assert!(self.leaks.is_empty(), "{} leaks:\n{}", self.leaks.len(), show(&self.leaks));
    }
}

/// Every cell. Where scope is enforced in one place only, the door is the same, and one role that grants
/// what all of them grant stands for them.
pub async fn run(world: &World) -> Score {
    let mut roles = world.roles.clone();
    roles.push(("none".to_owned(), Vec::new()));
    if !matches!(world.home.form, Form::Sqlite | Form::Postgres(Enforcement::Both)) {
        roles = vec![("every role".to_owned(), roles.into_iter().flat_map(|(_, permissions)| permissions).collect())];
    }
    let mut score = Score::default();
    for party in PARTIES {
        for (role, permissions) in &roles {
            for access in ACCESSES {
                let caller = Caller::new(party, access, role, permissions, &world.tenants);
                let passport = world.home.passport(&caller.bearer);
                let cells = world.rpcs.iter().map(|rpc| cell(world, rpc, &caller, &passport));
                let mut cells = futures::stream::iter(cells).buffer_unordered(8);
                while let Some(one) = cells.next().await {
                    score.add(one);
                }
            }
        }
    }
    for rpc in &world.rpcs {
        score.cells += 1;
        let answer = world.home.call(rpc, world.templates[&rpc.path].fresh(), None).await;
        if answer.code() != Code::Unauthenticated {
            score.wrong.push(format!("{} without a passport: {:?}", rpc.path, answer.code()));
        }
    }
    score
}

async fn cell(world: &World, rpc: &Rpc, caller: &Caller, passport: &str) -> Score {
    let mut score = Score { cells: 1, ..Score::default() };
    let mut template = world.templates[&rpc.path].clone();
    if caller.knows_by_pseudonym() {
        world.rename(&mut template, caller.bearer.tenant_id);
    }
    let request = template.fresh();
    let answer = world.home.call(rpc, request.clone(), Some(passport)).await;
    let what = || format!("{} as {:?} {} {:?}", rpc.path, caller.party, caller.role, caller.access);
    let code = answer.code();
    let broken = matches!(code, Code::Internal | Code::Unknown | Code::Unimplemented | Code::Unauthenticated | Code::DataLoss);
    if caller.is_let_in(rpc.rule) {
        score.let_in = 1;
        score.answered = usize::from(code == Code::Ok);
        if code == Code::PermissionDenied || broken {
            score.wrong.push(format!("{} is let in, and: {:?}", what(), answer.status));
        }
    } else if code != Code::PermissionDenied || !answer.is_silent() {
        score.wrong.push(format!("{} is not let in, and: {code:?}", what()));
    }
    score.leaks =
        leaks(world, rpc, caller, &request.concat(), &answer).into_iter().map(|leak| format!("{}: {leak}", what())).collect();
    score
}

/// What the answer tells this caller and must not.
pub fn leaks(world: &World, rpc: &Rpc, caller: &Caller, request: &[u8], answer: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    // Organisations and who works for them are the platform's records: who administers them sees every one.
    let administers = rpc.path.starts_with("/tahuka.tenancy.v1.TenantService/")
        || (rpc.path.starts_with("/tahuka.tenancy.v1.StaffService/") && caller.party == Party::Platform);
    if administers {
        return found;
    }
    // What the two parties of an agreement are told of it does not hang on what it lets them see.
    let party =
        ["tenancy", "handover"].contains(&rpc.service.as_str()) && caller.party.kind() == tahuka_chassis::TenantKind::Ministry;
    let (first, second) = (&world.first, &world.second);
    let (sees, identifies) = (caller.sees_the_first() || party, caller.identifies_the_first());

    let text = String::from_utf8_lossy(&answer.everything()).to_lowercase();
    let mut words = vec![second.word.to_lowercase()];
    if !sees {
        words.push(first.word.to_lowercase());
    }
    if caller.party == Party::MinistryOfRubavu {
        words.push(format!("{}43", first.word.to_lowercase()));
    }
    found.extend(words.iter().filter(|word| text.contains(*word)).map(|word| format!("the word {word}")));

    let mut asked: HashSet<_> = ids_in(&String::from_utf8_lossy(request).to_lowercase());
    if caller.party == Party::MinistryWithOwn {
        // Its own records may name what it was let see when it made them, in another cell.
        asked.extend(world.templates.values().flat_map(|t| ids_in(&String::from_utf8_lossy(&t.encode().concat()))));
    }
    for id in ids_in(&text) {
        if world.shared_ids.contains(&id) || asked.contains(&id) {
            continue;
        }
        if second.known.every_id.contains(&id) {
            found.push(format!("an id of the second custodian: {id}"));
        }
        if !sees && first.known.every_id.contains(&id) {
            found.push(format!("an id of the first custodian: {id}"));
        }
        if !identifies && first.known.subjects.contains(&id) {
            found.push(format!("the id of somebody: {id}"));
        }
    }

    let single = caller.party != Party::MinistryWithOwn;
    let most = told::most_shown(caller.access.0);
    for message in &answer.messages {
        told::each(message, &mut |told| {
            let parent = told.field.parent_message();
            if told::ours(parent) && single && told::class(&told.field) > most {
                found.push(format!("{} at {:?}: {}", told.field.full_name(), caller.access.0, told.value));
            }
            if told::ours(parent) && single && told::is_subject(&told.field) && caller.access.0 != DisclosureLevel::Identified {
                let known = told.value.as_str().is_none_or(|id| !id.starts_with("p-"));
                if known {
                    found.push(format!("{} is no pseudonym: {}", told.field.full_name(), told.value));
                }
            }
            if let Some(n) = told::number(&told) {
                if told.field.name() == "year" && n == i64::from(second.year) {
                    found.push(format!("the second custodian's year in {}", told.field.full_name()));
                }
                let own = first.known.numbers.contains(&n);
                if (second.known.numbers.contains(&n) && !own) || (!sees && own && !second.known.numbers.contains(&n)) {
                    found.push(format!("another's number in {}: {n}", told.field.full_name()));
                }
            }
            if let Value::String(text) = told.value
                && !identifies
                && first.known.private.contains(text)
            {
                found.push(format!("{}: {text}", told.field.full_name()));
            }
        });
    }
    found
}

/// Everything in the text that looks like a UUID.
pub fn ids_in(text: &str) -> HashSet<String> {
    let bytes = text.as_bytes();
    let mut found = HashSet::new();
    for (dash, byte) in bytes.iter().enumerate().skip(8) {
        let candidate = bytes.get(dash - 8..dash + 28);
        if *byte == b'-'
            && let Some(candidate) = candidate
            && candidate[13] == b'-'
            && let Ok(candidate) = std::str::from_utf8(candidate)
            && Uuid::try_parse(candidate).is_ok()
        {
            found.insert(candidate.to_owned());
        }
    }
    found
}

/// Each code that RPCs answered with, for a run's summary.
pub fn outcomes(answers: &BTreeMap<String, Code>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for code in answers.values() {
        *counts.entry(format!("{code:?}")).or_default() += 1;
    }
    counts.iter().map(|(code, n)| format!("{n} {code}")).collect::<Vec<_>>().join(", ")
}
