//! What the contract must never forget, checked over all of its descriptors.

#![allow(clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};
use tahuka_proto::access;
use tahuka_proto::options::v1::{DisclosureLevel, PrivacyClass, Subject};

fn methods() -> Vec<MethodDescriptor> {
    access::pool()
        .services()
        .filter(|s| s.full_name().starts_with("tahuka."))
        .flat_map(|s| s.methods().collect::<Vec<_>>())
        .collect()
}

fn option_enum(options: &DynamicMessage, extension: &str) -> Option<i32> {
    let extension = access::pool().get_extension_by_name(extension).expect("the extension is in the contract");
    options.has_extension(&extension).then(|| options.get_extension(&extension).as_enum_number()).flatten()
}

fn default_class(message: &MessageDescriptor) -> Option<i32> {
    option_enum(&message.options(), "tahuka.options.v1.all_fields")
}

fn own_class(field: &FieldDescriptor) -> Option<i32> {
    option_enum(&field.options(), "tahuka.options.v1.privacy")
}

fn ours(message: &MessageDescriptor) -> bool {
    message.package_name().starts_with("tahuka.")
}

/// Every message of ours that an answer can hold.
fn answered() -> BTreeMap<String, MessageDescriptor> {
    let mut found = BTreeMap::new();
    let mut open: Vec<_> = methods().iter().map(|m| m.output()).collect();
    while let Some(message) = open.pop() {
        if !ours(&message) || found.insert(message.full_name().to_owned(), message.clone()).is_some() {
            continue;
        }
        open.extend(message.fields().filter_map(|f| match f.kind() {
            Kind::Message(m) => Some(m),
            _ => None,
        }));
    }
    found
}

fn subject(field: &FieldDescriptor) -> Option<Subject> {
    option_enum(&field.options(), "tahuka.options.v1.subject").and_then(|n| Subject::try_from(n).ok())
}

/// Messages of ours that travel in requests and answers.
fn spoken() -> impl Iterator<Item = MessageDescriptor> {
    let heard: BTreeSet<_> = tahuka_proto::EVENTS.iter().map(|e| e.kind).collect();
    access::pool().all_messages().filter(ours).filter(move |m| !heard.contains(m.full_name()))
}

fn holds_subjects(message: &MessageDescriptor, seen: &mut BTreeSet<String>) -> bool {
    seen.insert(message.full_name().to_owned())
        && message.fields().any(|f| match f.kind() {
            Kind::Message(part) => ours(&part) && holds_subjects(&part, seen),
            _ => subject(&f).is_some(),
        })
}

fn events() -> Vec<MessageDescriptor> {
    tahuka_proto::EVENTS.iter().map(|e| access::pool().get_message_by_name(e.kind).expect("an event is a message")).collect()
}

#[test]
fn every_rpc_has_a_whole_access_rule() {
    let methods = methods();
    assert!(!methods.is_empty());
    let without: Vec<_> = methods
        .iter()
        .map(|m| format!("/{}/{}", m.parent_service().full_name(), m.name()))
        .filter(|path| access::rule(path).is_none())
        .collect();
    assert!(without.is_empty(), "RPCs without an access rule: {without:#?}");
}

#[test]
fn a_permission_begins_with_its_service() {
    for (path, rule) in access::rules() {
        let service = access::service_of(path).expect("a path of the house");
        assert!(rule.permission.starts_with(&format!("{service}.")), "{path}: {}", rule.permission);
        assert_eq!(rule.permission.split('.').count(), 3, "{path}: {}", rule.permission);
    }
}

#[test]
fn every_field_of_an_answer_has_a_privacy_class() {
    let mut without = BTreeSet::new();
    for message in answered().values() {
        for field in message.fields() {
            let class = own_class(&field).or(default_class(message)).unwrap_or_default();
            if class == PrivacyClass::Unspecified as i32 {
                without.insert(field.full_name().to_owned());
            }
        }
    }
    assert!(without.is_empty(), "fields without a privacy class: {without:#?}");
}

#[test]
fn a_message_that_describes_a_person_classes_each_field_itself() {
    for message in access::pool().all_messages().filter(ours) {
        let Some(default) = default_class(&message) else { continue };
        assert!(default <= PrivacyClass::Coarse as i32, "{}: all_fields goes up to COARSE", message.full_name());
        for field in message.fields() {
            let class = own_class(&field).unwrap_or(default);
            assert!(class <= PrivacyClass::Coarse as i32, "{} is private; class each field", field.full_name());
        }
    }
}

#[test]
fn no_event_carries_personal_data() {
    let events = events();
    assert!(!events.is_empty());
    for event in events {
        for field in event.fields() {
            let class = own_class(&field).or(default_class(&event)).unwrap_or_default();
            let coarse = (PrivacyClass::Plain as i32..=PrivacyClass::Coarse as i32).contains(&class);
            assert!(coarse, "{} is above COARSE or without a class", field.full_name());
        }
    }
}

/// By these names somebody is found. To class one of them lower, or to add one, is a decision about people: it is made here
/// too.
const NAMES: [&str; 10] = [
    "document_number",
    "enumerator",
    "given_name",
    "head_given_name",
    "head_surname",
    "phone",
    "reader",
    "subject",
    "surname",
    "visitor",
];

/// Fields of these names that show nobody to a tenant, each with its reason.
const SHOWN_TO_NOBODY: [(&str, &str); 2] = [
    ("tahuka.tenancy.v1.ClaimMapping.subject", "the name of a claim"),
    ("tahuka.tenancy.v1.ResolveIdentityResponse.subject", "the gateway alone is answered"),
];

#[test]
fn what_names_somebody_is_classed_so() {
    let mut named = BTreeSet::new();
    for message in answered().values() {
        for field in message.fields() {
            let direct = own_class(&field) == Some(PrivacyClass::DirectIdentifier as i32);
            let names = NAMES.contains(&field.name()) && !SHOWN_TO_NOBODY.iter().any(|(shown, _)| *shown == field.full_name());
            assert_eq!(direct, names, "{}", field.full_name());
            if direct {
                named.insert(field.name().to_owned());
            }
        }
    }
    assert_eq!(named, NAMES.map(str::to_owned).into());
}

#[test]
fn no_answer_chooses_between_forms() {
    // Redaction is generated field by field and does not look into a oneof.
    for message in answered().values() {
        let real = message.oneofs().filter(|o| !o.is_synthetic()).count();
        assert_eq!(real, 0, "{} has a oneof", message.full_name());
    }
}

#[test]
fn every_mutation_can_be_repeated_safely() {
    for method in methods() {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let Some(rule) = access::rule(&path) else { continue };
        if !method.is_client_streaming() {
            let repeatable = method.input().get_field_by_name("request_id").is_some();
            assert!(repeatable || !rule.write, "{path} has no request_id");
            // Whoever is let in to read only must not be let in to change.
            assert!(rule.write || !repeatable, "{path} changes something, and its rule does not say so");
        }
    }
}

#[test]
fn every_rpc_has_messages_of_its_own() {
    let mut seen = BTreeSet::new();
    for method in methods() {
        assert_eq!(method.input().name(), format!("{}Request", method.name()));
        assert_eq!(method.output().name(), format!("{}Response", method.name()));
        assert!(seen.insert(method.input().full_name().to_owned()), "{} serves two RPCs", method.input().full_name());
    }
}

#[test]
fn every_id_of_a_person_says_so() {
    let mut without = Vec::new();
    for message in spoken() {
        let of_people = ["tahuka.registry.v1", "tahuka.assistance.v1", "tahuka.funding.v1"].contains(&message.package_name());
        let record = message.fields().any(|f| matches!(subject(&f), Some(Subject::Household | Subject::Individual)))
            && !message.name().ends_with("Request")
            && !message.name().ends_with("Response");
        for field in message.fields().filter(|_| of_people) {
            let right = match field.name() {
                "household_id" | "household_ids" => subject(&field) == Some(Subject::Household),
                "individual_id" | "individual_ids" | "head_id" => subject(&field) == Some(Subject::Individual),
                "plan_id" | "plan_ids" | "consent_id" | "assessment_id" | "need_id" | "reservation_id" => {
                    subject(&field).is_some()
                }
                "id" => !record || subject(&field).is_some(),
                _ => true,
            };
            if !right {
                without.push(field.full_name().to_owned());
            }
        }
    }
    assert!(without.is_empty(), "ids without their subject: {without:#?}");
}

#[test]
fn a_subject_is_a_text_that_stands_alone() {
    for message in access::pool().all_messages().filter(ours) {
        for field in message.fields().filter(|f| subject(f).is_some()) {
            assert_eq!(field.kind(), Kind::String, "{} is no text", field.full_name());
            // What is generated of subjects does not look into a oneof.
            assert!(field.containing_oneof().is_none(), "{} is in a oneof", field.full_name());
        }
        for oneof in message.oneofs().filter(|o| !o.is_synthetic()) {
            for field in oneof.fields() {
                let Kind::Message(part) = field.kind() else { continue };
                assert!(!holds_subjects(&part, &mut BTreeSet::new()), "{} holds subjects in a oneof", field.full_name());
            }
        }
    }
}

#[test]
fn what_identifies_somebody_says_whom_and_in_whose_custody() {
    // The access log is written from these. Staff of a tenant are no subjects of the programme.
    for message in answered().values().filter(|m| m.package_name() != "tahuka.tenancy.v1") {
        let class = |f: &FieldDescriptor| own_class(f).or(default_class(message)).unwrap_or_default();
        if !message.fields().any(|f| class(&f) == PrivacyClass::DirectIdentifier as i32) {
            continue;
        }
        let name = message.full_name();
        let whom =
            message.fields().any(|f| matches!(subject(&f), Some(Subject::Household | Subject::Individual)) && !f.is_list());
        assert!(whom, "{name} names no household or individual");
        for field in ["custodian_id", "district"] {
            assert!(message.get_field_by_name(field).is_some(), "{name} has no {field}");
        }
    }
}

#[test]
fn no_stream_carries_people() {
    // Pseudonyms in a request, and the access log of an answer, are dealt with before its handler and before it leaves.
    for method in methods() {
        let streams = [(method.is_client_streaming(), method.input()), (method.is_server_streaming(), method.output())];
        for (_, message) in streams.iter().filter(|(streams, _)| *streams) {
            assert!(!holds_subjects(message, &mut BTreeSet::new()), "{} is streamed", message.full_name());
        }
    }
}

#[test]
fn an_rpc_in_aggregate_answers_no_person() {
    for method in methods() {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let Some(rule) = access::rule(&path) else { continue };
        let people =
            method.output().package_name() != "tahuka.funding.v1" && holds_subjects(&method.output(), &mut BTreeSet::new());
        assert!(!people || rule.least_level >= DisclosureLevel::Pseudonymised, "{path} answers people in AGGREGATE");
    }
}

#[test]
fn an_event_tells_of_one_unit() {
    use tahuka_proto::assistance::v1::PlanSubmitted;
    use tahuka_proto::funding::v1::{FundsReserved, GrantOpened};
    use tahuka_proto::projects::v1::CampaignHeld;
    use tahuka_proto::{EventMessage, UnitKind, unit_of};

    fn unit<M: EventMessage>(event: &M) -> Option<(UnitKind, String)> {
        unit_of(M::KIND, &event.encode_to_vec())
    }
    let of = |kind, id: &str| Some((kind, id.to_owned()));
    let household = FundsReserved { household_id: "h".into(), grant_id: "g".into(), need_id: "n".into(), ..Default::default() };
    assert_eq!(unit(&household), of(UnitKind::Household, "h"));
    let project = FundsReserved { need_kind: "project".into(), household_id: String::new(), ..household.clone() };
    assert_eq!(unit(&project), of(UnitKind::Project, "n"));
    let campaign = FundsReserved { need_kind: "campaign".into(), ..project };
    assert_eq!(unit(&campaign), of(UnitKind::Grant, "g"));
    assert_eq!(unit(&PlanSubmitted { household_id: "h".into(), ..Default::default() }), of(UnitKind::Household, "h"));
    assert_eq!(unit(&GrantOpened { grant_id: "g".into(), ..Default::default() }), of(UnitKind::Grant, "g"));
    assert_eq!(unit(&CampaignHeld { campaign_id: "c".into(), ..Default::default() }), None);
    assert_eq!(unit_of("tahuka.none.v1.None", &[]), None);
}
