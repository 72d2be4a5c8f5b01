//! `tahuka apply`: tenants, staff, programmes and agreements as files. What a file says is brought about through the public
//! API, with the token of the one who applies, and what is so already is left alone. Nothing is removed that a file does
//! not call absent, and nobody's signature is given: signing stays with people.

mod agreements;
mod documents;
mod programmes;
mod staff;
mod tenants;

use std::collections::HashSet;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tahuka_chassis::Refusal;
use tahuka_proto::tenancy::v1 as tenancy;
use tahuka_proto::tenancy::v1::tenant_service_client::TenantServiceClient;
use uuid::Uuid;

use super::desk::{Desk, Line};
use super::table::Table;
use documents::{Document, Wanted};

#[derive(Args)]
pub struct Options {
    /// A file, or a directory of files that end in .yaml, .yml or .json
    #[arg(short, long = "file", value_name = "FILE|DIR", required = true)]
    file: Vec<PathBuf>,
    /// Tell what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    desk: Desk,
}

pub async fn run(options: Options) -> Result<(), Refusal> {
    let mut documents = Vec::new();
    for path in &options.file {
        documents.extend(documents::read(path)?);
    }
    // A tenant is there before its staff, and a programme before its agreements, whatever the order of the files.
    documents.sort_by_key(Document::rank);
    documents::must_differ(&documents)?;
    let mut hand = Hand::new(options.desk.line().await?, options.dry_run);
    let mut table = Table::new(&["file", "kind", "name", "action", "difference"]);
    let mut outcome = Ok(());
    for document in &documents {
        match document.apply(&mut hand).await {
            Ok(change) => table.row([
                json!(document.place()),
                json!(document.kind()),
                json!(document.name()),
                json!(change.action.word(options.dry_run)),
                json!(change.differences),
            ]),
            Err(e) => {
                let advice = format!("{} ({} {}): {e}", document.place(), document.kind(), document.name());
                outcome = Err(Refusal::precondition("NOT_APPLIED", advice));
                break;
            }
        }
    }
    options.desk.tell(&table)?;
    outcome
}

impl Document {
    async fn apply(&self, hand: &mut Hand) -> Result<Change, Refusal> {
        match &self.wanted {
            Wanted::Tenant(tenant) => tenants::apply(hand, tenant, self.dir()).await,
            Wanted::Staff(member) => staff::apply(hand, member, tenancy::StaffKind::Person).await,
            Wanted::WorkloadClient(client) => staff::apply(hand, client, tenancy::StaffKind::Workload).await,
            Wanted::Programme(programme) => programmes::apply(hand, programme).await,
            Wanted::Agreement(agreement) => agreements::apply(hand, agreement).await,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Create,
    Update,
    Remove,
    Nothing,
}

impl Action {
    fn word(self, dry_run: bool) -> &'static str {
        match (self, dry_run) {
            (Action::Nothing, _) => "unchanged",
            (Action::Create, true) => "would create",
            (Action::Update, true) => "would update",
            (Action::Remove, true) => "would remove",
            (Action::Create, false) => "created",
            (Action::Update, false) => "updated",
            (Action::Remove, false) => "removed",
        }
    }
}

/// What was done for a document, or would be.
#[derive(Debug)]
pub struct Change {
    pub action: Action,
    /// What was different, field by field.
    pub differences: Vec<String>,
}

impl Change {
    pub fn create() -> Self {
        Change { action: Action::Create, differences: Vec::new() }
    }

    /// An update where there is a difference.
    pub fn of(differences: Vec<String>) -> Self {
        Change { action: if differences.is_empty() { Action::Nothing } else { Action::Update }, differences }
    }
}

/// A field that is not as the file says.
pub fn difference(field: &str, is: &str, wanted: &str) -> Option<String> {
    let shown = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
    (is != wanted).then(|| format!("{field}: {} -> {}", shown(is), shown(wanted)))
}

/// A list without its order, as text.
pub fn set(items: &[String]) -> String {
    let mut items: Vec<&str> = items.iter().map(String::as_str).collect();
    items.sort_unstable();
    items.dedup();
    items.join(",")
}

/// Who applies, and what is known of the platform on the way.
pub struct Hand {
    pub line: Line,
    pub dry_run: bool,
    tenants: Option<Vec<tenancy::Tenant>>,
    /// Slugs and names that a run without --dry-run would have made by now.
    would_be: HashSet<String>,
}

/// Where a tenant is that a document names.
pub enum Known {
    Id(String),
    /// A document of this run would make it.
    WouldBe,
}

impl Hand {
    fn new(line: Line, dry_run: bool) -> Self {
        Hand { line, dry_run, tenants: None, would_be: HashSet::new() }
    }

    pub async fn tenants(&mut self) -> Result<&[tenancy::Tenant], Refusal> {
        if self.tenants.is_none() {
            let mut client = TenantServiceClient::new(self.line.clone());
            let mut all = Vec::new();
            let mut request = tenancy::ListTenantsRequest { page_size: 1000, ..Default::default() };
            loop {
                let page = client.list_tenants(request.clone()).await?.into_inner();
                all.extend(page.tenants);
                request.page_token = page.next_page_token;
                if request.page_token.is_empty() {
                    break;
                }
            }
            self.tenants = Some(all);
        }
        Ok(self.tenants.as_deref().unwrap_or_default())
    }

    /// What was read may be so no more.
    pub fn forget_tenants(&mut self) {
        self.tenants = None;
    }

    pub fn plan(&mut self, name: &str) {
        self.would_be.insert(name.to_owned());
    }

    pub fn is_planned(&self, name: &str) -> bool {
        self.would_be.contains(name)
    }

    /// The tenant of this slug or id; `field` names it in the file.
    pub async fn tenant(&mut self, field: &str, told: &str) -> Result<Known, Refusal> {
        if Uuid::try_parse(told).is_ok() {
            return Ok(Known::Id(told.to_owned()));
        }
        if self.is_planned(told) {
            return Ok(Known::WouldBe);
        }
        let refused = |e: Refusal| match e {
            Refusal::Peer(status) if status.code() == tonic::Code::PermissionDenied => {
                Refusal::invalid(field, format!("{told}: this token may not look up slugs; put the tenant's id there"))
            }
            other => other,
        };
        let found = self.tenants().await.map_err(refused)?.iter().find(|tenant| tenant.slug == told);
        match found {
            Some(tenant) => Ok(Known::Id(tenant.id.clone())),
            None => Err(Refusal::invalid(field, format!("there is no tenant {told}; say it in a Tenant document"))),
        }
    }
}
