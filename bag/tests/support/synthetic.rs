//! A bag of invented households with their histories, written through the public interface: for tests, the benchmark and
//! checks with tools of others. The same size gives the same bytes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tahuka_bag::merkle::Tree;
use tahuka_bag::{
    Agreement, AgreementParty, AgreementRef, Column, FileEntry, Handover, Kind, Party, PayloadFile, ProgrammeRef, SigningKey,
    Slice, TableSchema, TagFiles, Tally, TrancheRef, agreement, manifest, record,
};

pub const PROGRAMME: &str = "01980000-0000-7000-8000-00000000aaaa";
pub const SENDER: &str = "01980000-0000-7000-8000-00000000bbbb";
pub const RECIPIENT: &str = "01980000-0000-7000-8000-00000000cccc";
const RECORDED: &str = "2027-03-04T05:06:07.000008Z";
const DISTRICTS: [&str; 3] = ["RW0301", "RW0302", "RW0303"];

pub fn sender_key() -> SigningKey {
    SigningKey::from_seed(&[11; 32])
}

pub fn recipient_key() -> SigningKey {
    SigningKey::from_seed(&[22; 32])
}

/// Tables, each with ids of its own that are in the order of their numbers.
#[derive(Clone, Copy)]
#[repr(u16)]
enum T {
    Household = 1,
    Individual,
    Episode,
    Consent,
    Assessment,
    Criteria,
    Import,
    Submission,
    Package,
    Plan,
    Distribution,
    Entitlement,
    Visit,
    Project,
    Facility,
    Served,
    Donor,
    Grant,
    Line,
    Instalment,
    Reservation,
    Posting,
    Entry,
    Event,
    Access,
}

/// Shaped as a UUID of version 7: the number as its time, and digits that do not compress.
fn id(table: T, number: u64) -> String {
    let time = 0x0198_0000_0000 + number;
    let noise = (number ^ 0x5bd1_e995).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (table as u64) << 40;
    let tail = noise & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
    format!("{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}", time >> 16, time & 0xffff, table as u16, tail >> 48, tail & 0xffff_ffff_ffff)
}

struct Service<'a> {
    root: &'a Path,
    name: &'static str,
    tree: Tree,
    tally: Tally,
    files: BTreeMap<String, FileEntry>,
}

impl<'a> Service<'a> {
    fn new(root: &'a Path, name: &'static str, grants: &[String]) -> Self {
        fs::create_dir_all(root.join("data").join(name)).unwrap();
        Service { root, name, tree: Tree::new(), tally: Tally::new(name, grants), files: BTreeMap::new() }
    }

    /// `columns`: `name:kind`, with `?` where it may be null.
    fn table(&mut self, table: &str, key: &[&str], columns: &str, rows: impl Iterator<Item = Value>) {
        let kind = |word: &str| match word {
            "uuid" => Kind::Uuid,
            "date" => Kind::Date,
            "time" => Kind::Timestamp,
            "int" => Kind::Integer,
            "bool" => Kind::Boolean,
            "json" => Kind::Json,
            "bytes" => Kind::Bytes,
            _ => Kind::Text,
        };
        let columns = columns.split_whitespace().map(|told| {
            let (name, word) = told.split_once(':').unwrap_or((told, "text"));
            Column::new(name.trim_end_matches('?'), kind(word.trim_end_matches('?')), told.ends_with('?'))
        });
        let schema = TableSchema::new(self.name, table, 1, key, columns.collect());
        let bytes = schema.to_bytes().unwrap();
        fs::write(self.root.join(schema.schema_path()), &bytes).unwrap();
        let entry = FileEntry { bytes: bytes.len() as u64, records: 0, sha256: hex::encode(Sha256::digest(&bytes)) };
        self.files.insert(schema.schema_path(), entry);

        let path = schema.records_path();
        let mut file = BufWriter::with_capacity(1 << 20, File::create(self.root.join(&path)).unwrap());
        let counted = self.tally.of_table(table);
        let (mut hasher, mut size, mut records, mut line) = (Sha256::new(), 0, 0, Vec::new());
        for row in rows {
            line.clear();
            record::write(&row, &mut line).unwrap();
            self.tree.push(&line);
            self.tally.add(&counted, row.as_object().unwrap_or(&Map::new()));
            line.push(b'\n');
            hasher.update(&line);
            file.write_all(&line).unwrap();
            size += line.len() as u64;
            records += 1;
        }
        file.flush().unwrap();
        self.files.insert(path, FileEntry { bytes: size, records, sha256: hex::encode(hasher.finalize()) });
    }

    fn finish(self) -> (String, Slice) {
        let slice = Slice {
            records: self.tree.leaves(),
            merkle_root: hex::encode(self.tree.root()),
            files: self.files,
            totals: self.tally.finish(),
        };
        (self.name.to_owned(), slice)
    }
}

/// Writes a bag of so many households into a folder that is there and empty. Not signed yet.
pub fn write(root: &Path, households: u64) -> Handover {
    let grants: Vec<String> = (0..GRANTS).map(|n| id(T::Grant, n)).collect();
    let projects: Vec<String> = (0..5).map(|n| id(T::Project, n)).collect();
    // In the order of paths, for the Merkle tree of each.
    let services = [
        assistance(root, households),
        funding(root, households, &grants),
        insight(root),
        projects_of(root, &projects),
        registry(root, households),
    ];
    let services = BTreeMap::from(services);
    let mut handover = Handover {
        format: manifest::FORMAT.to_owned(),
        version: manifest::VERSION,
        tranche: TrancheRef {
            id: "01980000-0000-7000-8000-00000000dddd".to_owned(),
            name: "Northern districts".to_owned(),
            number: 2,
            bundle_number: 3,
            programme: ProgrammeRef {
                id: PROGRAMME.to_owned(),
                name: "Return and reintegration".to_owned(),
                starts_on: "2025-01-01".to_owned(),
                ends_on: "2028-12-31".to_owned(),
                districts: DISTRICTS.map(str::to_owned).to_vec(),
                custodian: SENDER.to_owned(),
            },
            sender: Party { id: SENDER.to_owned(), name: "Mission".to_owned() },
            recipient: Party { id: RECIPIENT.to_owned(), name: "Ministry of Emergency Management".to_owned() },
            districts: DISTRICTS.map(str::to_owned).to_vec(),
            package_kinds: Vec::new(),
            project_ids: projects,
            grant_ids: grants,
        },
        agreement: AgreementRef { id: "01980000-0000-7000-8000-00000000eeee".to_owned(), revision: 1 },
        sealed_at: "2027-12-30T08:00:00.000000Z".to_owned(),
        bundled_at: "2027-12-31T09:00:00.000000Z".to_owned(),
        software: "tahuka/0.1.0".to_owned(),
        files: BTreeMap::new(),
        totals: Handover::sum_totals(&services),
        services,
    };
    let agreed = Agreement {
        format: agreement::FORMAT.to_owned(),
        version: agreement::VERSION,
        id: handover.agreement.id.clone(),
        revision: 1,
        programme_id: PROGRAMME.to_owned(),
        programme_name: handover.tranche.programme.name.clone(),
        sender: AgreementParty::new(SENDER, "Mission", &sender_key().public()),
        recipient: AgreementParty::new(RECIPIENT, "Ministry of Emergency Management", &recipient_key().public()),
        agreed_at: "2025-06-01T00:00:00.000000Z".to_owned(),
        terms: json!({"sender_keeps": "aggregate"}),
    };
    let mut envelope = agreed.envelope().unwrap();
    envelope.sign(&sender_key()).unwrap();
    envelope.sign(&recipient_key()).unwrap();
    let agreed = envelope.to_bytes().unwrap();
    fs::write(root.join(agreement::PATH), &agreed).unwrap();
    close(root, &mut handover, &agreed);
    handover
}

/// Writes the tag files anew, and the manifest with no signature.
pub fn close(root: &Path, handover: &mut Handover, agreed: &[u8]) {
    let tags = TagFiles::of(handover, &[PayloadFile::of(agreement::PATH, agreed)]).unwrap();
    handover.files = tags.digests();
    for (name, bytes) in tags.iter() {
        fs::write(root.join(name), bytes).unwrap();
    }
    fs::write(root.join(manifest::PATH), handover.envelope().unwrap().to_bytes().unwrap()).unwrap();
}

/// Signs the manifest that is there.
pub fn sign(root: &Path, keys: &[SigningKey]) {
    let path = root.join(manifest::PATH);
    let mut envelope = tahuka_bag::Envelope::parse(&fs::read(&path).unwrap()).unwrap();
    for key in keys {
        envelope.sign(key).unwrap();
    }
    fs::write(path, envelope.to_bytes().unwrap()).unwrap();
}

/// The columns that every record has.
fn row(table: T, number: u64, more: Value) -> Value {
    let mut row = json!({"id": id(table, number), "programme_id": PROGRAMME, "custodian_id": SENDER, "recorded_at": RECORDED});
    if let (Some(row), Value::Object(more)) = (row.as_object_mut(), more) {
        row.extend(more);
    }
    row
}

const BASE: &str = "id:uuid programme_id:uuid custodian_id:uuid recorded_at:time ";

fn with(more: &str) -> String {
    format!("{BASE}{more}")
}

fn district(household: u64) -> &'static str {
    DISTRICTS[household as usize % DISTRICTS.len()]
}

const PEOPLE: u64 = 4;

fn registry(root: &Path, households: u64) -> (String, Slice) {
    let mut s = Service::new(root, "registry", &[]);
    let people = households * PEOPLE;
    let of = |n: u64| json!({"district": district(n / PEOPLE), "household_id": id(T::Household, n / PEOPLE), "individual_id": id(T::Individual, n)});
    let join = |mut a: Value, b: Value| {
        if let (Some(a), Value::Object(b)) = (a.as_object_mut(), b) {
            a.extend(b);
        }
        a
    };
    s.table("access_log", &["id"], "id:uuid seq:int accessed_at:time tenant_id:uuid reader rpc purpose hash household_id:uuid?", (0..households).map(|n| {
        json!({"id": id(T::Access, n), "seq": n + 1, "accessed_at": RECORDED, "tenant_id": SENDER, "reader": "officer-12",
            "rpc": "tahuka.registry.v1.HouseholdService/GetHousehold", "purpose": "follow-up", "hash": hex::encode(Sha256::digest(n.to_be_bytes())),
            "household_id": id(T::Household, n)})
    }));
    s.table("assessment", &["id"], &with("district household_id:uuid criteria_set_id:uuid assessed_on:date score:int priority_band:int explanation:json version:int"),
        (0..households).map(|n| row(T::Assessment, n, json!({"district": district(n), "household_id": id(T::Household, n), "criteria_set_id": id(T::Criteria, 0),
            "assessed_on": "2026-02-03", "score": n % 90, "priority_band": n % 4 + 1, "version": 1,
            "explanation": [{"criterion": "single_head", "weight": 12.5, "met": n % 2 == 0}, {"criterion": "under_five", "weight": 7, "met": n % 3 == 0}]}))));
    s.table("consent", &["id"], &with("district household_id:uuid individual_id:uuid purpose form given_on:date withdrawn_on:date? version:int"),
        (0..people).map(|n| row(T::Consent, n, join(of(n), json!({"purpose": "assistance", "form": "signed", "given_on": "2026-01-05", "withdrawn_on": null, "version": 1})))));
    s.table(
        "criteria_set",
        &["id"],
        &with("name effective_on:date criteria:json version:int"),
        (0..1).map(|n| {
            row(
                T::Criteria,
                n,
                json!({"name": "First", "effective_on": "2025-01-01", "criteria": {"single_head": 12.5}, "version": 1}),
            )
        }),
    );
    s.table("household", &["id"], &with("district place category household_number household_size:int registered_on:date registration_source enumerator head_id:uuid? priority_band:int assessment_id:uuid? version:int"),
        (0..households).map(|n| row(T::Household, n, json!({"district": district(n), "place": format!("{}0{}", district(n), n % 10), "category": "returnee",
            "household_number": format!("HH-{n:06}"), "household_size": PEOPLE, "registered_on": "2026-01-05", "registration_source": "border",
            "enumerator": "enumerator-7", "head_id": id(T::Individual, n * PEOPLE), "priority_band": n % 4 + 1, "assessment_id": id(T::Assessment, n), "version": 3}))));
    s.table("import_run", &["id"], &with("file_name request_id:uuid digest? rows_read:int accepted:int finished_at:time? version:int"),
        (0..1).map(|n| row(T::Import, n, json!({"file_name": "returns.csv", "request_id": id(T::Import, 9), "digest": null, "rows_read": people, "accepted": people, "finished_at": RECORDED, "version": 1}))));
    s.table("individual", &["id"], &with("district household_id:uuid surname given_name? sex birth_date:date? birth_precision? relation_to_head? document_kind? document_number? phone? registered_on:date submission_id? assistance_requested? assistance_item? version:int"),
        (0..people).map(|n| row(T::Individual, n, json!({"district": district(n / PEOPLE), "household_id": id(T::Household, n / PEOPLE), "surname": format!("Name{n}"),
            "given_name": "Éléonore", "sex": if n % 2 == 0 { "female" } else { "male" }, "birth_date": "1988-02-29", "birth_precision": "day",
            "relation_to_head": if n % PEOPLE == 0 { "head" } else { "child" }, "document_kind": "travel", "document_number": format!("T{n:08}"), "phone": null,
            "registered_on": "2026-01-05", "submission_id": format!("row-{n}"), "assistance_requested": "livestock", "assistance_item": "goat", "version": 1}))));
    s.table("journal", &["seq"], "seq:int event_id:uuid kind subject custodian_id:uuid aggregate_id:uuid body:bytes recorded_at:time unit_kind? unit_id:uuid?",
        (0..people * 2).map(|n| json!({"seq": n + 1, "event_id": id(T::Event, n), "kind": "registry.individual.registered", "subject": "tahuka.registry.individual.registered",
            "custodian_id": SENDER, "aggregate_id": id(T::Individual, n / 2), "body": "CiQwMTk4MDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMGFhYWESJDAxOTgwMDAwLTAwMDAtNzAwMC04MDAw",
            "recorded_at": RECORDED, "unit_kind": "household", "unit_id": id(T::Household, n / 2 / PEOPLE)})));
    s.table("return_episode", &["id"], &with("district household_id:uuid individual_id:uuid? country_of_asylum fled_year:int? returned_on:date entry_point? transit_centre? version:int"),
        (0..people).map(|n| row(T::Episode, n, join(of(n), json!({"country_of_asylum": "COD", "fled_year": 1996, "returned_on": "2026-01-04", "entry_point": "Rubavu", "transit_centre": "Kijote", "version": 1})))));
    s.table("submission", &["id"], &with("submission_id import_id:uuid row_number:int individual_id:uuid version:int"),
        (0..people).map(|n| row(T::Submission, n, json!({"submission_id": format!("row-{n}"), "import_id": id(T::Import, 0), "row_number": n + 1, "individual_id": id(T::Individual, n), "version": 1}))));
    s.finish()
}

fn assistance(root: &Path, households: u64) -> (String, Slice) {
    let mut s = Service::new(root, "assistance", &[]);
    let of = |n: u64| json!({"district": district(n), "plan_id": id(T::Plan, n), "household_id": id(T::Household, n), "individual_id": id(T::Individual, n * PEOPLE)});
    let join = |mut a: Value, b: Value| {
        if let (Some(a), Value::Object(b)) = (a.as_object_mut(), b) {
            a.extend(b);
        }
        a
    };
    let item = |n: u64| if n.is_multiple_of(2) { "goat" } else { "seeds" };
    s.table("distribution", &["id"], &with("district place kind name planned_on:date state entitlements:int delivered:int closed_on:date? version:int"),
        (0..3).map(|n| row(T::Distribution, n, json!({"district": district(n), "place": district(n), "kind": "livestock", "name": "Goats", "planned_on": "2026-06-01",
            "state": "closed", "entitlements": households / 3, "delivered": households / 3, "closed_on": "2026-06-02", "version": 2}))));
    s.table("entitlement", &["id"], &with("district plan_id:uuid household_id:uuid individual_id:uuid distribution_id:uuid item state proof_kind? proof_reference? delivered_on:date? version:int"),
        (0..households).map(|n| row(T::Entitlement, n, join(of(n), json!({"distribution_id": id(T::Distribution, n % 3), "item": item(n), "state": "delivered",
            "proof_kind": "thumbprint", "proof_reference": format!("sheet-{n}"), "delivered_on": "2026-06-01", "version": 2})))));
    s.table("journal", &["seq"], "seq:int event_id:uuid kind subject custodian_id:uuid aggregate_id:uuid body:bytes recorded_at:time unit_kind? unit_id:uuid?",
        (0..households * 5).map(|n| json!({"seq": n + 1, "event_id": id(T::Event, n + (1 << 40)), "kind": "assistance.plan.submitted", "subject": "tahuka.assistance.plan.submitted",
            "custodian_id": SENDER, "aggregate_id": id(T::Plan, n / 5), "body": "CiQwMTk4MDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMGFhYWESJDAxOTgwMDAwLTAwMDAtNzAwMC04MDAw",
            "recorded_at": RECORDED, "unit_kind": "household", "unit_id": id(T::Household, n / 5)})));
    s.table("package", &["id"], &with("code kind item name items:json cost_minor:int cost_currency version:int"),
        (0..1).map(|n| row(T::Package, n, json!({"code": "GOAT", "kind": "livestock", "item": "goat", "name": "Two goats", "items": ["goat", "goat"], "cost_minor": COST, "cost_currency": "RWF", "version": 1}))));
    s.table("plan", &["id"], &with("district household_id:uuid individual_id:uuid package_id:uuid kind item sex age_band category priority_band:int cost_minor:int cost_currency state grant_id:uuid? drafted_on:date submitted_on:date? completed_on:date? version:int"),
        (0..households).map(|n| row(T::Plan, n, json!({"district": district(n), "household_id": id(T::Household, n), "individual_id": id(T::Individual, n * PEOPLE),
            "package_id": id(T::Package, 0), "kind": "livestock", "item": item(n), "sex": "female", "age_band": "18-59", "category": "returnee", "priority_band": n % 4 + 1,
            "cost_minor": COST, "cost_currency": "RWF", "state": "completed", "grant_id": id(T::Grant, n % GRANTS), "drafted_on": "2026-02-01", "submitted_on": "2026-02-02",
            "completed_on": "2026-06-01", "version": 6}))));
    s.table("visit", &["id"], &with("district plan_id:uuid household_id:uuid individual_id:uuid kind visited_on:date months_after:int outcome favourable:bool visitor"),
        (0..households * 2).map(|n| row(T::Visit, n, join(of(n / 2), json!({"kind": "follow_up", "visited_on": format!("2026-{:02}-01", 9 + n % 2), "months_after": 3, "outcome": "kept", "favourable": true, "visitor": "officer-3"})))));
    s.finish()
}

fn projects_of(root: &Path, projects: &[String]) -> (String, Slice) {
    let mut s = Service::new(root, "projects", &[]);
    let count = projects.len() as u64;
    s.table("facility", &["id"], &with("district project_id:uuid kind name place completed_on:date?"),
        (0..count * 2).map(|n| row(T::Facility, n, json!({"district": "RW0301", "project_id": id(T::Project, n / 2), "kind": "school", "name": format!("School {n}"), "place": "RW030101", "completed_on": null}))));
    s.table("people_served", &["id"], &with("district project_id:uuid counted_on:date sex age_band people:int method"),
        (0..count).map(|n| row(T::Served, n, json!({"district": "RW0301", "project_id": id(T::Project, n), "counted_on": "2027-01-01", "sex": "female", "age_band": "5-17", "people": 120 + n, "method": "register"}))));
    s.table("project", &["id"], &with("district place code title partners:json budget_minor:int budget_currency state grant_id:uuid? starts_on:date version:int"),
        (0..count).map(|n| row(T::Project, n, json!({"district": "RW0301", "place": "RW030101", "code": format!("P{n}"), "title": "Classrooms", "partners": ["District"], "budget_minor": record::integer(9_007_199_254_740_993),
            "budget_currency": "RWF", "state": "completed", "grant_id": id(T::Grant, 0), "starts_on": "2026-01-01", "version": 4}))));
    s.finish()
}

const GRANTS: u64 = 3;
const COST: i64 = 120_000;

/// Received, credited, then for each plan reserved, committed and spent.
fn funding(root: &Path, households: u64, grants: &[String]) -> (String, Slice) {
    let mut s = Service::new(root, "funding", grants);
    let plans = |grant: u64| (0..households).filter(|n| n % GRANTS == grant).count() as i64;
    let money = |grant: u64| plans(grant) * COST + 1_000_000;
    let balances = (0..GRANTS).flat_map(|g| {
        let spent = plans(g) * COST;
        let nil = "00000000-0000-0000-0000-000000000000".to_owned();
        let account = move |bucket: &str, line: String, minor: i64| {
            json!({"custodian_id": SENDER, "programme_id": PROGRAMME, "grant_id": id(T::Grant, g), "bucket": bucket, "line_id": line, "currency": "RWF", "minor": record::integer(minor)})
        };
        [account("available", nil.clone(), money(g) - spent), account("committed", id(T::Line, g), 0), account("donor", nil, -money(g)),
            account("reserved", id(T::Line, g), 0), account("spent", id(T::Line, g), spent)]
    });
    s.table(
        "balance",
        &["grant_id", "bucket", "line_id", "currency"],
        "custodian_id:uuid programme_id:uuid grant_id:uuid bucket line_id:uuid currency minor:int",
        balances,
    );
    s.table("budget_line", &["id"], &with("grant_id:uuid code kind amount_minor:int used_minor:int currency version:int"),
        (0..GRANTS).map(|n| row(T::Line, n, json!({"grant_id": id(T::Grant, n), "code": "1.1", "kind": "livestock", "amount_minor": record::integer(money(n)), "used_minor": record::integer(plans(n) * COST), "currency": "RWF", "version": 1}))));
    s.table("donor", &["id"], "id:uuid custodian_id:uuid recorded_at:time name tenant_id:uuid? country version:int",
        (0..1).map(|n| json!({"id": id(T::Donor, n), "custodian_id": SENDER, "recorded_at": RECORDED, "name": "A donor", "tenant_id": null, "country": "JPN", "version": 1})));
    s.table("donor_grant", &["id"], &with("donor_id:uuid code title amount_minor:int currency starts_on:date ends_on:date districts:json kinds:json version:int"),
        (0..GRANTS).map(|n| row(T::Grant, n, json!({"donor_id": id(T::Donor, 0), "code": format!("G{n}"), "title": "Reintegration", "amount_minor": record::integer(money(n)), "currency": "RWF",
            "starts_on": "2025-01-01", "ends_on": "2028-12-31", "districts": [], "kinds": ["livestock"], "version": 1}))));
    // Postings: first one receipt for each grant, then three for each plan; of two entries each.
    let entries = (0..(GRANTS + households * 3) * 2).map(|n| {
        let posting = n / 2;
        let grant = if posting < GRANTS { posting } else { (posting - GRANTS) / 3 % GRANTS };
        let (from, to, minor, line) = match posting.checked_sub(GRANTS).map(|p| p % 3) {
            None => ("donor", "available", money(grant), (false, false)),
            Some(0) => ("available", "reserved", COST, (false, true)),
            Some(1) => ("reserved", "committed", COST, (true, true)),
            Some(_) => ("committed", "spent", COST, (true, true)),
        };
        let first = n % 2 == 0;
        let lined = if first { line.0 } else { line.1 };
        json!({"id": id(T::Entry, n), "custodian_id": SENDER, "programme_id": PROGRAMME, "grant_id": id(T::Grant, grant), "posting_id": id(T::Posting, posting), "number": n % 2 + 1,
            "bucket": if first { from } else { to }, "line_id": lined.then(|| id(T::Line, grant)), "minor": record::integer(if first { -minor } else { minor }), "currency": "RWF",
            "reservation_id": posting.checked_sub(GRANTS).map(|p| id(T::Reservation, p / 3))})
    });
    s.table("entry", &["id"], "id:uuid custodian_id:uuid programme_id:uuid grant_id:uuid posting_id:uuid number:int bucket line_id:uuid? minor:int currency reservation_id:uuid?", entries);
    s.table("instalment", &["id"], &with("grant_id:uuid received_minor:int received_currency credited_minor:int credited_currency received_on:date exchange_rate_id:uuid?"),
        (0..GRANTS).map(|n| row(T::Instalment, n, json!({"grant_id": id(T::Grant, n), "received_minor": record::integer(money(n)), "received_currency": "RWF", "credited_minor": record::integer(money(n)),
            "credited_currency": "RWF", "received_on": "2025-02-01", "exchange_rate_id": null}))));
    s.table("journal", &["seq"], "seq:int event_id:uuid kind subject custodian_id:uuid aggregate_id:uuid body:bytes recorded_at:time unit_kind? unit_id:uuid?",
        (0..households * 3).map(|n| json!({"seq": n + 1, "event_id": id(T::Event, n + (2 << 40)), "kind": "funding.reservation.reserved", "subject": "tahuka.funding.reservation.reserved",
            "custodian_id": SENDER, "aggregate_id": id(T::Reservation, n / 3), "body": "CiQwMTk4MDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMGFhYWESJDAxOTgwMDAwLTAwMDAtNzAwMC04MDAw",
            "recorded_at": RECORDED, "unit_kind": "household", "unit_id": id(T::Household, n / 3)})));
    s.table("posting", &["id"], &with("grant_id:uuid kind happened_on:date description entries:int"),
        (0..GRANTS + households * 3).map(|n| row(T::Posting, n, json!({"grant_id": id(T::Grant, if n < GRANTS { n } else { (n - GRANTS) / 3 % GRANTS }), "kind": "reservation", "happened_on": "2026-03-01", "description": "", "entries": 2}))));
    s.table("reservation", &["id"], &with("district need_kind need_id:uuid kind cost_minor:int cost_currency submitted_on:date state grant_id:uuid? line_id:uuid? held_minor:int held_currency? unit_kind? unit_id:uuid? version:int"),
        (0..households).map(|n| row(T::Reservation, n, json!({"district": district(n), "need_kind": "plan", "need_id": id(T::Plan, n), "kind": "livestock", "cost_minor": COST, "cost_currency": "RWF", "submitted_on": "2026-02-02",
            "state": "spent", "grant_id": id(T::Grant, n % GRANTS), "line_id": id(T::Line, n % GRANTS), "held_minor": 0, "held_currency": "RWF", "unit_kind": "household", "unit_id": id(T::Household, n), "version": 4}))));
    s.finish()
}

fn insight(root: &Path) -> (String, Slice) {
    let mut s = Service::new(root, "insight", &[]);
    let rows =
        (0..100_i64).map(|n| json!({"indicator": format!("households_registered_{n:03}"), "district": "RW0301", "value": n * n}));
    s.table("figures", &["indicator", "district"], "indicator district value:int", rows);
    s.finish()
}
