//! Records of every aggregate for two custodians of one programme, each full of what must never be seen by the wrong
//! caller: words, numbers, ids and a year of its own. All of it through the services' own RPCs.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::DynamicMessage;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value as Json, json};
use tahuka_chassis::passport::Bearer;
use tahuka_chassis::{TenantKind, ids};
use uuid::Uuid;

use crate::bearers::manager;
use crate::home::Home;
use crate::known::Known;
use crate::request::JWKS;
use crate::speaker::{Speaker, all, text};

pub const MUSANZE: &str = "RW43";
pub const RUBAVU: &str = "RW33";

/// A file of registrations: one good row and two bad ones.
pub fn file(word: &str, year: i32) -> String {
    let header = "submission_id,submitted_on,household_number,category,district_pcode,cell_pcode,household_size,relation_to_head,\
                  surname,given_name,sex,birth_date,document_kind,document_number,phone,country_of_asylum,fled_year,returned_on,\
                  entry_point,transit_centre,vulnerability,consent,assistance_requested,assistance_item,enumerator";
    let year = 2000 + year % 2000;
    let row = |n: u32, surname: &str| {
        format!(
            "{word}-{n},{year}-05-03,IMP-{word},returnee,RW43,RW430101,4,head,{surname},{word}43 Imported,male,1979,,,,COD,1994,\
             {year}-04-20,{word}43 Border,,,yes,livestock,goats,{word}43 Clerk"
        )
    };
    [header.to_owned(), row(1, &format!("{word}43 Imported")), row(2, ""), row(3, "")].join("\n")
}

/// One custodian, and how its records are marked.
pub struct Custodian {
    pub tenant: Uuid,
    /// Stands in every text, followed by 43, 33 or 00 for the district or none.
    pub word: &'static str,
    pub year: i32,
    /// Begins its numbers.
    pub base: i64,
    pub known: Known,
}

/// The organisations, made by the platform: each is known by id.
pub async fn tenant(home: &Home, platform: Uuid, name: &str, kind: &str, slug: &str) -> Uuid {
    let speaker = Speaker::new(home, manager(platform, TenantKind::Platform));
    let answer = speaker.say("CreateTenant", json!({"name": name, "kind": kind, "slug": slug})).await;
    Uuid::try_parse(&text(&answer, "tenant.id")).expect("an id")
}

impl Custodian {
    pub fn new(tenant: Uuid, word: &'static str, year: i32, base: i64) -> Self {
        let mut known = Known::default();
        known.every_id.insert(tenant.to_string());
        known.ids.insert("tenant".into(), vec![tenant.to_string()]);
        Custodian { tenant, word, year, base, known }
    }

    pub fn manager(&self) -> Bearer {
        manager(self.tenant, TenantKind::Operator)
    }

    fn day(&self, month: u32, day: u32) -> Json {
        json!({"year": self.year, "month": month, "day": day})
    }

    pub fn date(&self, month: u32, day: u32) -> Json {
        self.day(month, day)
    }

    /// A text of no district.
    pub fn text(&self, what: &str) -> String {
        self.of("", what)
    }

    fn usd(&self, units: i64) -> Json {
        json!({"currency_code": "USD", "units": units})
    }

    /// A text of a district, or of none (`00`).
    fn of(&self, district: &str, what: &str) -> String {
        format!("{}{} {what}", self.word, if district.is_empty() { "00" } else { &district[2..] })
    }

    pub async fn say(&mut self, home: &Home, method: &str, request: Json) -> DynamicMessage {
        let answer = Speaker::new(home, self.manager()).say(method, request).await;
        self.known.note(&answer);
        answer
    }

    /// The organisation's own: programme, staff, agreements with `recipient`.
    pub async fn organise(&mut self, home: &Home, platform: Uuid, recipient: Uuid) -> String {
        let request = json!({
            "name": self.of("", "Programme"), "starts_on": self.day(1, 1), "ends_on": self.day(12, 31),
            "districts": [
                {"pcode": MUSANZE, "name": "Musanze", "basis": "DISTRICT_BASIS_ATTESTED", "source": self.of("", "source")},
                {"pcode": RUBAVU, "name": "Rubavu", "basis": "DISTRICT_BASIS_ASSUMED", "source": self.of("", "source")},
            ],
        });
        let programme = text(&self.say(home, "CreateProgramme", request.clone()).await, "programme.id");
        self.say(home, "CreateProgramme", request).await;
        for category in ["REGISTRATION", "FUNDING"] {
            let request = json!({
                "programme_id": programme, "recipient_id": recipient.to_string(), "purpose": self.of("", "purpose"),
                "terms": [{"category": category, "level": "AGGREGATE"}],
                "starts_on": self.day(1, 1), "ends_on": {"year": 2099, "month": 1, "day": 1}, "proposed_on": self.day(1, 1),
            });
            self.say(home, "ProposeAgreement", request).await;
        }
        let operator = Speaker::new(home, manager(platform, TenantKind::Platform));
        for n in [1, 2] {
            let request = json!({"tenant_id": self.tenant.to_string(), "subject": self.of("", &format!("staff {n}")), "roles": ["auditor"]});
            self.known.note(&operator.say("AddStaffMember", request).await);
            let request = json!({
                "tenant_id": self.tenant.to_string(), "issuer": format!("https://{}.invalid/{n}", self.word), "audience": self.of("", "audience"),
                "jwks_json": JWKS, "algorithms": ["EdDSA"],
            });
            self.known.note(&operator.say("AddIdentityProvider", request).await);
        }
        programme
    }

    /// A household with its people, who consent, return, and are assessed.
    async fn household(
        &mut self,
        home: &Home,
        programme: &str,
        district: &str,
        number: &str,
        people: usize,
    ) -> (String, Vec<String>) {
        let members: Vec<_> = (0..people)
            .map(|n| {
                json!({
                    "surname": self.of(district, &format!("Surname {number} {n}")), "given_name": self.of(district, &format!("Given {n}")),
                    "sex": if n % 2 == 0 { "SEX_FEMALE" } else { "SEX_MALE" }, "birth_date": {"year": 1980, "month": 3, "day": 7},
                    "relation_to_head": if n == 0 { "RELATION_TO_HEAD_HEAD" } else { "RELATION_TO_HEAD_SIBLING" },
                    "document_kind": "DOCUMENT_KIND_REPATRIATION_FORM", "document_number": format!("1{}{}{n:06}", self.base, &district[2..]),
                    "phone": format!("+25078{}{}{n:03}", self.base / 100_000, &district[2..]),
                    "assistance_requested": "livestock", "assistance_item": "goats",
                })
            })
            .collect();
        let request = json!({
            "programme_id": programme, "category": "HOUSEHOLD_CATEGORY_RETURNEE", "place": format!("{district}0101"),
            "household_number": number, "household_size": people, "registered_on": self.day(2, 1),
            "registration_source": "transit_centre", "enumerator": self.of(district, "Enumerator"), "individuals": members,
        });
        let answer = self.say(home, "CreateHousehold", request).await;
        let (household, individuals) = (text(&answer, "household.id"), all(&answer, "individuals", "id"));
        for individual in &individuals {
            for purpose in ["ASSISTANCE", "RESEARCH"] {
                let request = json!({
                    "individual_id": individual, "purpose": format!("CONSENT_PURPOSE_{purpose}"), "form": "CONSENT_FORM_WRITTEN",
                    "given_on": self.day(2, 1),
                });
                self.say(home, "RecordConsent", request).await;
            }
        }
        for month in [1, 2] {
            let request = json!({
                "household_id": household, "country_of_asylum": "COD", "fled_year": 1994, "returned_on": self.day(month, 20),
                "entry_point": self.of(district, "Border"), "transit_centre": self.of(district, "Centre"),
            });
            self.say(home, "RecordReturnEpisode", request).await;
        }
        let request = json!({"household_id": household, "criteria_met": ["single_parent"], "assessed_on": self.day(2, 2)});
        self.say(home, "AssessVulnerability", request).await;
        (household, individuals)
    }

    /// Money: two grants, every kind of line but shelter, rates, pledges, figures.
    async fn money(&mut self, home: &Home, programme: &str, donor_tenant: Uuid) {
        let mut donors = Vec::new();
        for n in [1, 2] {
            let request =
                json!({"name": self.of("", &format!("Donor {n}")), "country": "JP", "tenant_id": donor_tenant.to_string()});
            donors.push(text(&self.say(home, "CreateDonor", request).await, "donor.id"));
        }
        for (month, rate) in [(1, "0.0125"), (2, "0.0126")] {
            let request = json!({"base": "JPY", "quote": "USD", "rate": rate, "valid_on": self.day(month, 1), "source": self.of("", "Bank")});
            self.say(home, "CreateExchangeRate", request).await;
        }
        for n in [1, 2] {
            let request = json!({
                "programme_id": programme, "donor_id": donors[0], "code": format!("G-{n}"), "title": self.of("", &format!("Grant {n}")),
                "amount": self.usd(self.base + n), "starts_on": self.day(1, 1), "ends_on": self.day(12, 31),
            });
            let grant = text(&self.say(home, "CreateGrant", request).await, "grant.id");
            let kinds = ["VOCATIONAL_TRAINING", "STARTUP_CAPITAL", "LIVESTOCK", "PROJECT", "CAMPAIGN", "ADMINISTRATION"];
            let mut line = String::new();
            for kind in kinds {
                let request = json!({
                    "grant_id": grant, "code": format!("{}-{kind}", self.word), "kind": format!("BUDGET_KIND_{kind}"),
                    "amount": self.usd(self.base / 10 + n),
                });
                line = text(&self.say(home, "CreateBudgetLine", request).await, "budget_line.id");
            }
            for month in [1, 2] {
                let request = json!({"grant_id": grant, "received": self.usd(self.base / 3 + month), "received_on": self.day(month as u32, 15)});
                self.say(home, "RecordInstalment", request).await;
            }
            let request = json!({
                "grant_id": grant, "budget_line_id": line, "amount": self.usd(1_000 + self.base % 997), "spent_on": self.day(3, 1),
                "description": self.of("", "Rent"),
            });
            self.say(home, "RecordExpenditure", request).await;
            let request = json!({
                "programme_id": programme, "donor_id": donors[0], "amount": self.usd(self.base / 7 + n), "pledged_on": self.day(1, 2),
                "kind": "BUDGET_KIND_SHELTER",
            });
            self.say(home, "CreatePledge", request).await;
            let request = json!({
                "programme_id": programme, "code": "people_helped", "value": self.base / 11 + n, "text": self.of("", "over"),
                "source": self.of("", "Report"), "published_on": self.day(4, 1),
            });
            self.say(home, "CreatePublishedFigure", request).await;
        }
    }

    /// Projects and campaigns of both districts.
    async fn projects(&mut self, home: &Home, programme: &str) {
        for (n, district) in [(1_i64, MUSANZE), (2, RUBAVU)] {
            let request = json!({
                "programme_id": programme, "code": format!("P-{n}"), "title": self.of(district, "School"), "place": district,
                "partners": [self.of(district, "Partner")], "budget": self.usd(3_000 + self.base % 983), "starts_on": self.day(1, 1),
                "facilities": [{"kind": "FACILITY_KIND_SCHOOL", "name": self.of(district, "School"), "place": format!("{district}0101")}],
            });
            let answer = self.say(home, "CreateProject", request).await;
            let (project, etag) = (text(&answer, "project.id"), text(&answer, "project.etag"));
            let request = json!({"project_id": project, "etag": etag, "submitted_on": self.day(2, 1)});
            self.say(home, "SubmitProject", request).await;
            home.settle().await;
            let etag = text(&self.say(home, "GetProject", json!({"project_id": project})).await, "project.etag");
            let request = json!({"project_id": project, "etag": etag, "approved_on": self.day(3, 1)});
            self.say(home, "ApproveProject", request).await;
            for percent in [30, 60] {
                let request = json!({
                    "project_id": project, "reported_on": self.day(4, 1), "percent": percent, "note": self.of(district, "Walls"),
                });
                self.say(home, "RecordProgress", request).await;
            }
            let request = json!({
                "project_id": project, "counted_on": self.day(5, 1), "method": self.of(district, "Register"),
                "counts": [
                    {"sex": "female", "age_band": "18-24", "people": 2_000 + self.base % 971},
                    {"sex": "male", "age_band": "18-24", "people": 2_000 + self.base % 967},
                ],
            });
            self.say(home, "RecordPeopleServed", request).await;
            let request = json!({
                "programme_id": programme, "code": format!("C-{n}"), "level": "CAMPAIGN_LEVEL_LOCAL", "district": district,
                "title": self.of(district, "Campaign"), "topic": self.of(district, "Rights"), "channels": ["CHANNEL_RADIO"],
                "starts_on": self.day(1, 1), "ends_on": self.day(1, 31),
            });
            let answer = self.say(home, "CreateCampaign", request).await;
            let request = json!({
                "campaign_id": text(&answer, "campaign.id"), "etag": text(&answer, "campaign.etag"), "held_on": self.day(1, 20),
                "reach": 40_000 + self.base % 953, "cost": self.usd(1_500 + self.base % 947),
            });
            self.say(home, "HoldCampaign", request).await;
        }
    }

    async fn plans(&mut self, home: &Home, programme: &str, package: &str, people: &[(&str, &str)]) -> Vec<String> {
        let plans: Vec<_> = people
            .iter()
            .map(|(household, individual)| {
                json!({
                    "household_id": household, "individual_id": individual, "package_id": package,
                    "drafted_on": self.day(3, 1), "submitted_on": self.day(3, 1),
                })
            })
            .collect();
        all(&self.say(home, "BatchCreatePlans", json!({"programme_id": programme, "plans": plans})).await, "plans", "id")
    }

    /// Everything of an operator's programme, in the programme that both custodians share.
    pub async fn work(&mut self, home: &Home, programme: &str, donor_tenant: Uuid) {
        let request = json!({
            "programme_id": programme, "name": self.of("", "Criteria"), "effective_on": self.day(1, 1), "band_floors": [20, 40, 60, 80],
            "criteria": [{"code": "single_parent", "weight": 60, "label": self.of("", "label")}],
        });
        self.say(home, "CreateCriteriaSet", request).await;
        self.money(home, programme, donor_tenant).await;
        let (first, people) = self.household(home, programme, MUSANZE, "HH-1", 3).await;
        let (second, others) = self.household(home, programme, RUBAVU, "HH-1", 2).await;
        let start = json!({"start": {"request_id": ids::new_id().to_string(), "programme_id": programme, "file_name": self.of("", "file.csv")}});
        use base64::Engine as _;
        let chunk = base64::engine::general_purpose::STANDARD.encode(file(self.word, self.year));
        let answer = Speaker::new(home, self.manager()).send("ImportHouseholds", vec![start, json!({"chunk": chunk})]).await;
        self.known.note(&answer);
        for (district, household) in [(MUSANZE, &first), (RUBAVU, &second)] {
            self.hold(home, programme, district, household).await;
        }

        let mut packages = BTreeMap::new();
        for (kind, item) in [("VOCATIONAL_TRAINING", "tailoring"), ("LIVESTOCK", "goats"), ("SHELTER", "roofing_set")] {
            let request = json!({
                "programme_id": programme, "code": format!("K-{item}"), "kind": format!("ASSISTANCE_KIND_{kind}"), "item": item,
                "name": self.of("", item), "items": [{"name": self.of("", item), "quantity": 1, "unit": "piece"}],
                "unit_cost": self.usd(1_000 + self.base % 941),
            });
            packages.insert(item, text(&self.say(home, "CreatePackage", request).await, "package.id"));
        }
        let (one, two, three) =
            ((first.as_str(), people[0].as_str()), (first.as_str(), people[1].as_str()), (second.as_str(), others[0].as_str()));
        let trainees = self.plans(home, programme, &packages["tailoring"], &[one, two, three]).await;
        let herders = self.plans(home, programme, &packages["goats"], &[one, two, three]).await;
        self.plans(home, programme, &packages["roofing_set"], &[one, three]).await;
        home.settle().await;
        let every: BTreeSet<_> = trainees.iter().chain(&herders).collect();
        self.say(home, "BatchApprovePlans", json!({"plan_ids": every, "approved_on": self.day(4, 1)})).await;
        home.settle().await;
        for (district, trainees, herders) in [(MUSANZE, &trainees[..2], &herders[..2]), (RUBAVU, &trainees[2..], &herders[2..])] {
            let request = json!({
                "programme_id": programme, "district": district, "trade": "tailoring", "provider": self.of(district, "School"),
                "name": self.of(district, "Cohort"), "capacity": 20, "starts_on": self.day(4, 2), "ends_on": self.day(6, 1),
            });
            let cohort = text(&self.say(home, "CreateCohort", request).await, "cohort.id");
            self.say(home, "EnrolTrainees", json!({"cohort_id": cohort, "plan_ids": trainees, "enrolled_on": self.day(4, 2)}))
                .await;
            let results: Vec<_> = (trainees.iter().enumerate())
                .map(|(n, plan)| json!({
                    "plan_id": plan, "completed": true, "certificate_number": self.of(district, &format!("certificate {n}")), "toolkit_given": true,
                }))
                .collect();
            self.say(home, "CompleteTraining", json!({"cohort_id": cohort, "completed_on": self.day(6, 1), "results": results}))
                .await;
            let request = json!({
                "programme_id": programme, "place": district, "kind": "ASSISTANCE_KIND_LIVESTOCK", "name": self.of(district, "Goats"),
                "planned_on": self.day(5, 1), "plan_ids": herders,
            });
            let list = text(&self.say(home, "CreateDistribution", request).await, "distribution.id");
            let deliveries: Vec<_> = (herders.iter().enumerate())
                .map(|(n, plan)| json!({
                    "plan_id": plan, "proof_kind": "PROOF_KIND_SIGNATURE", "proof_reference": self.of(district, &format!("list {n}")),
                    "delivered_on": self.day(5, 2),
                }))
                .collect();
            self.say(home, "RecordDeliveries", json!({"distribution_id": list, "deliveries": deliveries})).await;
            for plan in herders {
                let visit = json!({
                    "plan_id": plan, "visited_on": self.day(11, 2), "outcome": "OUTCOME_LIVESTOCK_ALIVE", "visitor": self.of(district, "Visitor"),
                });
                self.say(home, "RecordVisit", json!({"visit": visit})).await;
            }
        }
        self.projects(home, programme).await;
        home.settle().await;
        self.look(home, programme).await;
    }

    /// A row that came for the household while that was handed over, and is registered since.
    async fn hold(&self, home: &Home, programme: &str, district: &str, household: &str) {
        let id = |text: &str| Uuid::try_parse(text).expect("an id");
        let store = &home.house.stores.iter().find(|(name, _)| *name == "registry").expect("the registry").1;
        let tx = store.system("seed").await.expect("a transaction");
        let sql = "INSERT INTO held_submission (id, programme_id, custodian_id, recorded_at, district, import_id, row_number, \
                   submission_id, household_id, tranche_id, cells, state, column_name, reason) \
                   SELECT $1, $2, $3, $4, $5, r.id, 7, $6, $7, $8, $9, 'registered', '', '' FROM import_run r \
                   WHERE r.custodian_id = $3 LIMIT 1";
        let values: Vec<sea_orm::Value> = vec![
            ids::new_id().into(),
            id(programme).into(),
            self.tenant.into(),
            tahuka_chassis::clock::now().into(),
            district.into(),
            self.of(district, "held").into(),
            id(household).into(),
            ids::new_id().into(),
            json!([self.of(district, "Held")]).into(),
        ];
        let backend = tx.conn().get_database_backend();
        let done = tx.conn().execute_raw(Statement::from_sql_and_values(backend, sql, values)).await.expect("a row");
        assert_eq!(done.rows_affected(), 1);
        tx.commit().await.expect("it commits");
    }

    /// Reads what came about by events, so that it is known too.
    async fn look(&mut self, home: &Home, programme: &str) {
        for method in [
            "ListReservations",
            "ListNeeds",
            "GetAppeal",
            "GetProgrammeReport",
            "ListHeldSubmissions",
            "ListPlans",
            "ListHouseholds",
            "ListIndividuals",
            "ListProjects",
        ] {
            let input = Speaker::new(home, self.manager()).input(method);
            let request =
                if input.get_field_by_name("programme_id").is_some() { json!({"programme_id": programme}) } else { json!({}) };
            self.say(home, method, request).await;
        }
        for grant in self.known.ids["grant"].clone() {
            for method in ["GetGrant", "ListPostings", "ListBalances", "ListInstalments", "ListBudgetLines"] {
                self.say(home, method, json!({"grant_id": grant})).await;
            }
        }
        for (method, stem) in [
            ("ListEnrolments", "cohort"),
            ("ListEntitlements", "distribution"),
            ("ListProgress", "project"),
            ("ListPeopleServed", "project"),
        ] {
            for id in self.known.ids[stem].clone() {
                self.say(home, method, json!({format!("{stem}_id"): id})).await;
            }
        }
    }
}
