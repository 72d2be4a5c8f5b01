//! Compiles the contract without `protoc`, and generates from its annotations what must never be
//! written by hand: redaction for each message, whose ids it holds, and the identity of each event.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

const PLAIN: i32 = 1;
const HOUSEHOLD: i32 = 1;
const INDIVIDUAL: i32 = 2;
const DIRECT_IDENTIFIER: i32 = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed=tahuka");
    println!("cargo:rerun-if-changed=google");

    let mut files = Vec::new();
    protos_below(&root.join("tahuka"), &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(&files)?;
    let encoded = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptors.bin"), &encoded)?;

    tonic_prost_build::configure()
        .include_file("house.rs")
        .compile_fds(prost_types::FileDescriptorSet::decode(encoded.as_slice())?)?;

    let pool = DescriptorPool::decode(encoded.as_slice())?;
    fs::write(out.join("annotated.rs"), annotated(&pool)?)?;
    Ok(())
}

fn protos_below(dir: &Path, into: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            protos_below(&path, into)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            into.push(path);
        }
    }
    Ok(())
}

fn annotated(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let (mut code, mut units) = (String::new(), String::new());
    let mut events = BTreeMap::new();
    let messages: Vec<_> = pool
        .all_messages()
        .filter(|m| m.package_name().starts_with("tahuka.") && !m.is_map_entry())
        .filter(|m| m.package_name() != "tahuka.options.v1")
        .collect();
    for message in &messages {
        redact(&mut code, pool, message)?;
        if let Some((aggregate, name)) = event_rule(pool, message) {
            let service = message.package_name().split('.').nth(1).unwrap_or_default();
            writeln!(
                code,
                "impl crate::EventMessage for {} {{ const KIND: &'static str = {:?}; \
                 fn unit(&self) -> Option<(crate::UnitKind, &str)> {{ {} }} }}",
                rust_path(message),
                message.full_name(),
                unit(message)
            )?;
            writeln!(units, "{:?} => told::<{}>(body),", message.full_name(), rust_path(message))?;
            events.insert(message.full_name().to_owned(), (service.to_owned(), aggregate, name));
        }
    }
    writeln!(
        code,
        "/// The unit that an event of this kind tells of. None: of none, or it is no event that is known here.\n\
         pub fn unit_of(kind: &str, body: &[u8]) -> Option<(crate::UnitKind, String)> {{\n\
         fn told<M: crate::EventMessage>(body: &[u8]) -> Option<(crate::UnitKind, String)> {{\n\
         M::decode(body).ok()?.unit().map(|(kind, id)| (kind, id.to_owned())) }}\n\
         match kind {{\n{units}_ => None }} }}"
    )?;
    writeln!(code, "/// Every event of the house, by full proto name.\npub static EVENTS: &[crate::EventKind] = &[")?;
    for (kind, (service, aggregate, name)) in events {
        writeln!(code, "crate::EventKind {{ kind: {kind:?}, service: {service:?}, aggregate: {aggregate:?}, name: {name:?} }},")?;
    }
    writeln!(code, "];")?;
    Ok(code)
}

/// What is generated of the privacy classes and subjects: `Redact`, for answers, and `Subjects`.
fn redact(code: &mut String, pool: &DescriptorPool, message: &MessageDescriptor) -> Result<(), Box<dyn Error>> {
    let default = class(pool, &message.options(), "tahuka.options.v1.all_fields");
    // A real oneof is a request's choice of form; answers do not use them, and no subject is in one (the descriptor tests
    // hold that).
    let fields: Vec<_> = message.fields().filter(|f| f.containing_oneof().is_none_or(|oneof| oneof.is_synthetic())).collect();
    // A field without a class is treated as the most private one.
    let class_of =
        |f: &FieldDescriptor| class(pool, &f.options(), "tahuka.options.v1.privacy").or(default).unwrap_or(DIRECT_IDENTIFIER);
    let subject_of = |f: &FieldDescriptor| class(pool, &f.options(), "tahuka.options.v1.subject");
    let (mut redacted, mut visited) = (String::new(), String::new());

    let identifying: Vec<_> = fields
        .iter()
        .filter(|f| class_of(f) == DIRECT_IDENTIFIER && !descends(f))
        .map(|f| format!("crate::is_told(&self.{})", rust_name(f.name())))
        .collect();
    if !identifying.is_empty() && fields.iter().any(|f| subject_of(f).is_some()) {
        let text = |wanted: Option<&FieldDescriptor>| match wanted {
            Some(field) => format!("self.{}.clone()", rust_name(field.name())),
            None => "::std::string::String::new()".to_owned(),
        };
        let named = |name: &str| text(fields.iter().find(|f| f.name() == name));
        let of_kind = |kind: i32| text(fields.iter().find(|f| subject_of(f) == Some(kind) && !f.is_list()));
        writeln!(
            redacted,
            "if view.identifies() && ({}) {{ view.show(crate::Shown {{ message: {:?}, custodian_id: {}, district: {}, \
             household_id: {}, individual_id: {} }}); }}",
            identifying.join(" || "),
            message.full_name(),
            named("custodian_id"),
            named("district"),
            of_kind(HOUSEHOLD),
            of_kind(INDIVIDUAL),
        )?;
    }
    for field in &fields {
        let (name, class) = (rust_name(field.name()), class_of(field));
        if class > PLAIN {
            writeln!(redacted, "if !view.shows({class}) {{ self.{name} = ::core::default::Default::default(); }}")?;
        }
        if let Some(kind) = subject_of(field) {
            let (before, id) = if field.is_list() || field.supports_presence() {
                (format!("for id in self.{name}.iter_mut() {{ "), "id".to_owned())
            } else {
                ("{ ".to_owned(), format!("&mut self.{name}"))
            };
            writeln!(redacted, "{before}view.name({id}); }}")?;
            writeln!(visited, "{before}each(crate::subject({kind}), {id}); }}")?;
        }
        if descends(field) {
            writeln!(redacted, "for part in self.{name}.iter_mut() {{ crate::Redact::redact(part, view); }}")?;
            writeln!(visited, "for part in self.{name}.iter_mut() {{ crate::Subjects::subjects(part, each); }}")?;
        }
    }
    let path = rust_path(message);
    writeln!(
        code,
        "impl crate::Redact for {path} {{ #[allow(unused_variables, clippy::all)] \
         fn redact(&mut self, view: &mut crate::View<'_>) {{\n{redacted}}} }}\n\
         impl crate::Subjects for {path} {{ #[allow(unused_variables, clippy::all)] \
         fn subjects(&mut self, each: &mut dyn FnMut(crate::options::v1::Subject, &mut ::std::string::String)) {{\n{visited}}} }}"
    )?;
    Ok(())
}

fn descends(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(m) if m.package_name().starts_with("tahuka.")) && !field.is_map()
}

fn class(pool: &DescriptorPool, options: &DynamicMessage, extension: &str) -> Option<i32> {
    let extension = pool.get_extension_by_name(extension)?;
    options.has_extension(&extension).then(|| options.get_extension(&extension).as_enum_number()).flatten()
}

fn event_rule(pool: &DescriptorPool, message: &MessageDescriptor) -> Option<(String, String)> {
    let extension = pool.get_extension_by_name("tahuka.options.v1.event")?;
    let options = message.options();
    if !options.has_extension(&extension) {
        return None;
    }
    let rule = options.get_extension(&extension).into_owned();
    let Value::Message(rule) = rule else { return None };
    let text = |field: &str| rule.get_field_by_name(field).and_then(|v| v.as_str().map(str::to_owned));
    Some((text("aggregate")?, text("name")?))
}

/// What an event tells of: a household before all else, then a project, then a grant.
fn unit(message: &MessageDescriptor) -> String {
    let has = |name: &str| message.fields().any(|f| f.name() == name && !f.is_list());
    let mut tries = String::new();
    for (field, kind, guard) in [
        ("household_id", "Household", ""),
        ("project_id", "Project", ""),
        ("need_id", "Project", "self.need_kind == \"project\" && "),
        ("grant_id", "Grant", ""),
    ] {
        if has(field) && (guard.is_empty() || has("need_kind")) {
            tries += &format!(
                "if {guard}!self.{field}.is_empty() {{ return Some((crate::UnitKind::{kind}, self.{field}.as_str())); }}\n"
            );
        }
    }
    tries + "None"
}

/// The path that prost gives a message, from the crate's root.
fn rust_path(message: &MessageDescriptor) -> String {
    let mut path = String::from("crate::tahuka");
    for part in message.package_name().split('.').skip(1) {
        path.push_str("::");
        path.push_str(&rust_name(part));
    }
    let mut parents = Vec::new();
    let mut parent = message.parent_message();
    while let Some(p) = parent {
        parents.push(snake(p.name()));
        parent = p.parent_message();
    }
    for parent in parents.iter().rev() {
        path.push_str("::");
        path.push_str(parent);
    }
    path.push_str("::");
    path.push_str(message.name());
    path
}

fn rust_name(name: &str) -> String {
    match name {
        "type" | "match" | "ref" | "use" | "move" | "where" | "loop" | "in" | "for" => format!("r#{name}"),
        _ => name.to_owned(),
    }
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for (i, c) in name.chars().enumerate() {
        if c.is_uppercase() && i > 0 {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}
