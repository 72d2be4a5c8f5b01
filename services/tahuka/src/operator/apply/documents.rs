//! The files: YAML with one or more documents, each of one kind.

use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tahuka_chassis::Refusal;
use tahuka_proto::tenancy::v1 as tenancy;

use super::super::agreement::term;

const KINDS: &str = "Tenant, Staff, WorkloadClient, Programme, Agreement";

pub struct Document {
    file: PathBuf,
    /// Within the file, from 1; None: it is the only one.
    number: Option<usize>,
    pub wanted: Wanted,
}

pub enum Wanted {
    Tenant(Tenant),
    Staff(Member),
    WorkloadClient(Member),
    Programme(Programme),
    Agreement(Agreement),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    pub slug: String,
    pub name: String,
    #[serde(rename = "type", deserialize_with = "tenant_kind")]
    pub kind: tenancy::TenantKind,
    #[serde(default)]
    pub state: State,
    #[serde(default)]
    pub issuers: Vec<Issuer>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    #[default]
    Active,
    Suspended,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    #[default]
    Present,
    Absent,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    pub issuer: String,
    #[serde(default)]
    pub audience: String,
    /// Beside the document.
    pub jwks_file: Option<PathBuf>,
    pub jwks_uri: Option<String>,
    #[serde(default)]
    pub algorithms: Vec<String>,
    #[serde(default)]
    pub claims: Claims,
    #[serde(default)]
    pub state: Presence,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Claims {
    pub subject: String,
    pub client: String,
    pub roles: String,
    pub districts: String,
    pub trust_roles: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Slug or id.
    pub tenant: String,
    #[serde(alias = "client")]
    pub subject: String,
    #[serde(default)]
    pub roles: Vec<String>,
    #[serde(default)]
    pub districts: Vec<String>,
    #[serde(default)]
    pub state: Presence,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Programme {
    pub name: String,
    pub starts_on: NaiveDate,
    pub ends_on: NaiveDate,
    pub districts: Vec<District>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct District {
    pub pcode: String,
    pub name: String,
    #[serde(deserialize_with = "basis")]
    pub basis: tenancy::DistrictBasis,
    pub source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Its name or id.
    pub programme: String,
    /// The tenant that is let in: its id, or its slug where the token may look it up.
    pub recipient: String,
    /// As `tahuka agreement propose --term` takes them.
    #[serde(deserialize_with = "terms")]
    pub terms: Vec<tenancy::AgreementTerm>,
    pub starts_on: NaiveDate,
    pub ends_on: NaiveDate,
    pub purpose: String,
    /// The day of a proposal that is still to be made; none: today.
    pub proposed_on: Option<NaiveDate>,
}

fn tenant_kind<'de, D: Deserializer<'de>>(from: D) -> Result<tenancy::TenantKind, D::Error> {
    let word = String::deserialize(from)?;
    let known = tenancy::TenantKind::from_str_name(&format!("TENANT_KIND_{}", word.to_uppercase()));
    let rule = "must be operator, ministry, donor, implementing_partner or platform";
    known.filter(|kind| *kind != tenancy::TenantKind::Unspecified).ok_or_else(|| serde::de::Error::custom(rule))
}

fn basis<'de, D: Deserializer<'de>>(from: D) -> Result<tenancy::DistrictBasis, D::Error> {
    match String::deserialize(from)?.as_str() {
        "attested" => Ok(tenancy::DistrictBasis::Attested),
        "assumed" => Ok(tenancy::DistrictBasis::Assumed),
        _ => Err(serde::de::Error::custom("must be attested or assumed")),
    }
}

/// One term, so that an error names its place in the list.
struct Term(tenancy::AgreementTerm);

impl<'de> Deserialize<'de> for Term {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        term(&String::deserialize(from)?).map(Term).map_err(serde::de::Error::custom)
    }
}

fn terms<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<tenancy::AgreementTerm>, D::Error> {
    Ok(Vec::<Term>::deserialize(from)?.into_iter().map(|term| term.0).collect())
}

/// Every document of a file, or of the files in a directory by name.
pub fn read(path: &Path) -> Result<Vec<Document>, Refusal> {
    let failed = |e: std::io::Error| Refusal::invalid("--file", format!("{}: {e}", path.display()));
    if !path.is_dir() {
        return parse(path, &std::fs::read_to_string(path).map_err(failed)?);
    }
    let is_one = |file: &PathBuf| {
        let ending = file.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        ["yaml", "yml", "json"].contains(&ending) && !file.to_string_lossy().ends_with(".jwks.json") && !hidden
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(path).map_err(failed)?.flatten().map(|e| e.path()).filter(is_one).collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|e| Refusal::invalid("--file", format!("{}: {e}", file.display())))?;
        all.extend(parse(&file, &text)?);
    }
    if all.is_empty() {
        return Err(Refusal::invalid("--file", format!("{}: holds no document", path.display())));
    }
    Ok(all)
}

fn parse(file: &Path, text: &str) -> Result<Vec<Document>, Refusal> {
    let told: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|e| Refusal::invalid(file.display().to_string(), e.to_string()))?;
    let several = told.len() > 1;
    let documents = told.into_iter().enumerate().filter(|(_, value)| !value.is_null());
    let read = |(at, value): (usize, Value)| {
        let number = several.then_some(at + 1);
        Ok(Document { file: file.to_owned(), number, wanted: wanted(&place(file, number), value)? })
    };
    documents.map(read).collect()
}

fn place(file: &Path, number: Option<usize>) -> String {
    number.map_or_else(|| file.display().to_string(), |number| format!("{}[{number}]", file.display()))
}

fn wanted(place: &str, mut value: Value) -> Result<Wanted, Refusal> {
    let kind = value.as_object_mut().and_then(|fields| fields.remove("kind"));
    let kind = kind.as_ref().and_then(Value::as_str).unwrap_or_default();
    match kind {
        "Tenant" => Ok(Wanted::Tenant(of(place, value)?)),
        "Staff" => Ok(Wanted::Staff(of(place, value)?)),
        "WorkloadClient" => Ok(Wanted::WorkloadClient(of(place, value)?)),
        "Programme" => Ok(Wanted::Programme(of(place, value)?)),
        "Agreement" => Ok(Wanted::Agreement(of(place, value)?)),
        _ => Err(Refusal::invalid(format!("{place}.kind"), format!("must be one of {KINDS}"))),
    }
}

fn of<T: serde::de::DeserializeOwned>(place: &str, value: Value) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let path = e.path().to_string();
        let field = if path == "." { place.to_owned() } else { format!("{place}.{path}") };
        Refusal::invalid(field, e.into_inner().to_string())
    })
}

/// Refuses two documents about the same thing: which of them holds would depend on their order.
pub fn must_differ(documents: &[Document]) -> Result<(), Refusal> {
    for (at, document) in documents.iter().enumerate() {
        let same = |other: &&Document| other.rank() == document.rank() && other.name() == document.name();
        if let Some(first) = documents[..at].iter().find(same) {
            let rule = format!("{} {} is in {} already", document.kind(), document.name(), first.place());
            return Err(Refusal::invalid(document.place(), rule));
        }
    }
    Ok(())
}

impl Document {
    pub fn place(&self) -> String {
        place(&self.file, self.number)
    }

    /// Where the files are that it names.
    pub fn dir(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("."))
    }

    pub fn rank(&self) -> u8 {
        match &self.wanted {
            Wanted::Tenant(_) => 0,
            Wanted::Staff(_) => 1,
            Wanted::WorkloadClient(_) => 2,
            Wanted::Programme(_) => 3,
            Wanted::Agreement(_) => 4,
        }
    }

    pub fn kind(&self) -> &'static str {
        match &self.wanted {
            Wanted::Tenant(_) => "Tenant",
            Wanted::Staff(_) => "Staff",
            Wanted::WorkloadClient(_) => "WorkloadClient",
            Wanted::Programme(_) => "Programme",
            Wanted::Agreement(_) => "Agreement",
        }
    }

    pub fn name(&self) -> String {
        match &self.wanted {
            Wanted::Tenant(tenant) => tenant.slug.clone(),
            Wanted::Staff(member) | Wanted::WorkloadClient(member) => format!("{}/{}", member.tenant, member.subject),
            Wanted::Programme(programme) => programme.name.clone(),
            Wanted::Agreement(agreement) => format!("{} with {}", agreement.programme, agreement.recipient),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse(Path::new("a.yaml"), text).err().expect("it is refused").to_string()
    }

    #[test]
    fn a_file_holds_several_documents() {
        let text = "kind: Agreement\nprogramme: P\nrecipient: midimar\nstarts_on: 2010-09-01\nends_on: 2014-12-31\n\
                    purpose: training\nterms:\n- registration=identified@RW33\n- projects=aggregate\n---\nkind: Staff\n\
                    tenant: iom\nsubject: manager\nroles: [programme_manager]\n---\n";
        let all = parse(Path::new("a.yaml"), text).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].place(), all[0].name()), ("a.yaml[1]".into(), "P with midimar".into()));
        let Wanted::Agreement(agreement) = &all[0].wanted else { panic!("an agreement") };
        assert_eq!(agreement.terms[0].districts, ["RW33"]);
    }

    #[test]
    fn an_error_names_the_file_and_the_field() {
        let staff = "kind: Staff\ntenant: iom\n";
        assert_eq!(refused(staff), "invalid request: a.yaml: missing field `subject`");
        let typo = refused("kind: Tenant\nslug: iom\nname: IOM\ntype: operator\nissuers:\n- issuer: x\n  audiense: y\n");
        assert!(typo.contains("a.yaml.issuers[0]") && typo.contains("audiense"), "{typo}");
        assert!(refused("kind: Tenant\nslug: a\nname: b\ntype: bank\n").contains("a.yaml.type: must be operator"));
        let second =
            refused(&format!("{staff}subject: a\n---\nkind: Agreement\nprogramme: P\nrecipient: r\nterms: [registration]\n"));
        assert!(second.contains("a.yaml[2].terms[0]: must be CATEGORY=LEVEL"), "{second}");
        assert!(refused("kind: Tennant\n").contains("a.yaml.kind: must be one of"));
        assert!(refused("slug: [iom\n").contains("a.yaml"));
    }

    #[test]
    fn the_examples_of_the_document_can_be_read() {
        let document = include_str!("../../../../../docs/onboard.md");
        let blocks: Vec<&str> = document.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        let all: Vec<Document> = blocks.iter().flat_map(|block| parse(Path::new("onboard.md"), block).unwrap()).collect();
        let kinds: Vec<&str> = all.iter().map(Document::kind).collect();
        assert_eq!(kinds, ["Tenant", "Staff", "WorkloadClient", "Staff", "Programme", "Agreement"]);
    }

    #[test]
    fn nothing_is_said_twice() {
        let twice = "kind: Staff\ntenant: iom\nsubject: a\n---\nkind: Staff\ntenant: iom\nsubject: a\nroles: [auditor]\n";
        let all = parse(Path::new("a.yaml"), twice).unwrap();
        assert!(must_differ(&all).unwrap_err().to_string().contains("a.yaml[2]: Staff iom/a is in a.yaml[1] already"));
    }
}
