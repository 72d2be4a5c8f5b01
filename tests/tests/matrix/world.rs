//! The world that the matrix and the probes look at: two custodians of one programme, those whom the first one lets in,
//! and a well-formed request for every RPC.

use std::collections::{BTreeMap, HashSet};

use prost::Message as _;
use sea_orm::{ConnectionTrait, Statement};
use tahuka_chassis::TenantKind;
use tahuka_proto::insight::v1::{ListIndicatorsResponse, QueryIndicatorRequest};
use tahuka_proto::options::v1::DisclosureLevel;
use tonic::Code;
use uuid::Uuid;

use crate::bearers::{ACCESSES, Caller, PARTIES, Party, Tenants, manager};
use crate::cells::outcomes;
use crate::home::{Form, Home, Rpc, rpcs};
use crate::request::{Template, learn};
use crate::seed::{Custodian, RUBAVU, tenant};
use crate::told;

pub struct World {
    pub home: Home,
    pub rpcs: Vec<Rpc>,
    pub tenants: Tenants,
    pub roles: Vec<(String, Vec<String>)>,
    pub first: Custodian,
    pub second: Custodian,
    /// A ministry that the second custodian has agreed with.
    elsewhere: Uuid,
    /// Ids that both custodians' records name: the programme, and tenants.
    pub shared_ids: HashSet<String>,
    pub templates: BTreeMap<String, Template>,
}

impl World {
    /// Seeds the first custodian, notes what every caller reads, seeds the second, and holds every read against the note:
    /// nothing of what the second recorded may have made a difference. Then learns the requests that write.
    pub async fn make(form: Form) -> Option<World> {
        let mut world = World::of_the_first(form).await?;
        let reads: Vec<_> = world.rpcs.iter().filter(|rpc| !rpc.rule.write).cloned().collect();
        world.learn(&reads).await;
        let earlier = world.read(&reads).await;
        let mut before = world.read(&reads).await;
        let figures = world.figures().await;
        // An answer that the reading itself has changed, such as the access log's, and that of who has read the bundle, says
        // nothing here.
        before.retain(|key, answer| earlier.get(key) == Some(answer));
        assert!(before.len() + 20 > earlier.len(), "most answers stay as they are");
        world.seed_the_second().await;
        let after = world.read(&reads).await;
        let changed: Vec<_> = before.iter().filter(|(key, answer)| after.get(*key) != Some(answer)).map(|(key, _)| key).collect();
        assert!(changed.is_empty(), "what the second custodian recorded is seen in {} answers: {changed:#?}", changed.len());
        assert_eq!(figures, world.figures().await, "what the second custodian recorded is counted");
        println!(
            "{form:?}: {} answers and {} tables of figures are the same before and after the other custodian's {} records",
            before.len(),
            figures.len(),
            world.second.known.every_id.len()
        );

        let writes: Vec<_> = world.rpcs.iter().filter(|rpc| rpc.rule.write).cloned().collect();
        world.learn(&writes).await;
        world.home.settle().await;
        Some(world)
    }

    /// The records of both custodians and nothing more.
    pub async fn of_records(form: Form) -> Option<World> {
        let mut world = World::of_the_first(form).await?;
        world.seed_the_second().await;
        Some(world)
    }

    pub async fn of_the_first(form: Form) -> Option<World> {
        let home = Home::start(form).await?;
        let platform = tenant(&home, Uuid::now_v7(), "Platform", "TENANT_KIND_PLATFORM", "platform").await;
        let mut ids = Vec::new();
        for (name, kind) in [
            ("QZA", "OPERATOR"),
            ("QZB", "OPERATOR"),
            ("Ministry", "MINISTRY"),
            ("Donor", "DONOR"),
            ("Partner", "IMPLEMENTING_PARTNER"),
            ("Stranger", "IMPLEMENTING_PARTNER"),
            ("Elsewhere", "MINISTRY"),
        ] {
            ids.push(tenant(&home, platform, name, &format!("TENANT_KIND_{kind}"), &name.to_lowercase()).await);
        }
        let tenants = Tenants { operator: ids[0], ministry: ids[2], donor: ids[3], partner: ids[4], platform, stranger: ids[5] };
        let mut world = World {
            roles: roles(&home).await,
            first: Custodian::new(ids[0], "QZA", 2011, 4_101_259),
            second: Custodian::new(ids[1], "QZB", 2012, 5_312_347),
            shared_ids: [ids[2], ids[3], ids[4], ids[5], ids[6], platform, Uuid::nil()].iter().map(Uuid::to_string).collect(),
            rpcs: rpcs(),
            templates: BTreeMap::new(),
            elsewhere: ids[6],
            tenants,
            home,
        };
        let programme = world.first.organise(&world.home, platform, ids[2]).await;
        world.shared_ids.insert(programme.clone());
        world.first.work(&world.home, &programme, ids[3]).await;
        world.first.hand_over(&world.home, &programme, ids[2]).await;
        world.plant_figures(&world.first, &programme).await;
        Some(world)
    }

    /// A figure of each of the custodian's tranches: nobody is in them, so they come to nothing of themselves.
    async fn plant_figures(&self, custodian: &Custodian, programme: &str) {
        let (_, store) = self.home.house.stores.iter().find(|(name, _)| *name == "insight").expect("its store");
        let tx = store.system("matrix").await.expect("a transaction");
        let uuid = |text: &str| sea_orm::Value::from(Uuid::parse_str(text).expect("an id"));
        for tranche in &custodian.known.ids["tranche"] {
            let sql = "INSERT INTO tranche_figure (tranche_id, programme_id, custodian_id, indicator, district, kind, sex, age_band, \
                       category, grant_id, month, currency, value) \
                       VALUES ($1, $2, $3, 'people_registered', $4, '', '', '', '', '', '2012-01', '', 7)";
            let values = [uuid(tranche), uuid(programme), custodian.tenant.into(), RUBAVU.into()];
            let statement = Statement::from_sql_and_values(tx.conn().get_database_backend(), sql, values);
            tx.conn().execute_raw(statement).await.expect("a figure");
        }
        tx.commit().await.expect("a commit");
    }

    async fn seed_the_second(&mut self) {
        let programme = self.first.known.ids["programme"][0].clone();
        self.second.organise(&self.home, self.tenants.platform, self.elsewhere).await;
        self.second.work(&self.home, &programme, self.tenants.donor).await;
        let own = self.second.known.ids["programme"].iter().find(|id| **id != programme).expect("one of its own").clone();
        self.second.hand_over(&self.home, &own, self.elsewhere).await;
        self.plant_figures(&self.second, &own).await;
        self.home.settle().await;
    }

    pub async fn learn(&mut self, rpcs: &[Rpc]) {
        let (mut failed, mut codes) = (Vec::new(), BTreeMap::new());
        for rpc in rpcs {
            // Organisations are the platform's.
            let bearer = match rpc.path.contains("TenantService/") {
                true => manager(self.tenants.platform, TenantKind::Platform),
                false => self.first.manager(),
            };
            match learn(&self.home, rpc, &self.first.known.ids, &self.home.passport(&bearer)).await {
                Ok((template, answer)) => {
                    // A read must show the custodian something of its own, or the matrix would prove nothing by it.
                    if !rpc.rule.write
                        && !rpc.path.contains("IdentityService")
                        && (answer.code() != Code::Ok || answer.bytes.len() < 8)
                    {
                        failed.push(format!(
                            "{}: the custodian reads nothing: {:?} {:?}",
                            rpc.path, answer.status, template.messages
                        ));
                    }
                    if matches!(answer.code(), Code::PermissionDenied | Code::Internal | Code::Unknown | Code::Unimplemented) {
                        failed.push(format!("{}: {:?}", rpc.path, answer.status));
                    }
                    codes.insert(rpc.path.clone(), answer.code());
                    self.templates.insert(rpc.path.clone(), template);
                }
                Err(why) => failed.push(why),
            }
        }
        println!("{} requests made: {}", codes.len(), outcomes(&codes));
        let rest: Vec<_> = codes.iter().filter(|(_, code)| **code != Code::Ok).collect();
        println!("  not OK: {rest:?}");
        assert!(failed.is_empty(), "no well-formed request for {} RPCs:\n{}", failed.len(), failed.join("\n"));
    }

    /// What each kind of caller is answered by each RPC that reads, without the tokens of further pages.
    async fn read(&self, reads: &[Rpc]) -> BTreeMap<String, Vec<u8>> {
        let mut answers = BTreeMap::new();
        for party in PARTIES {
            for access in ACCESSES.into_iter().filter(|(_, write)| !write) {
                let caller = Caller::new(party, access, "any", &["*".to_owned()], &self.tenants);
                let passport = self.home.passport(&caller.bearer);
                for rpc in reads.iter().filter(|rpc| !rpc.path.contains("TenantService") && !rpc.path.contains("IdentityService"))
                {
                    let mut template = self.templates[&rpc.path].clone();
                    if caller.knows_by_pseudonym() {
                        self.rename(&mut template, caller.bearer.tenant_id);
                    }
                    let mut answer = self.home.call(rpc, template.fresh(), Some(&passport)).await;
                    for message in &mut answer.messages {
                        message.clear_field_by_name("next_page_token");
                    }
                    answer.bytes = answer.messages.iter().flat_map(prost::Message::encode_to_vec).collect();
                    answers.insert(format!("{} as {party:?} {access:?}", rpc.path), answer.everything());
                }
            }
        }
        answers
    }

    /// Every indicator, in all and by each of its dimensions, as the custodian and as its donor are told it.
    async fn figures(&self) -> BTreeMap<String, Vec<u8>> {
        let rpc = |name: &str| self.rpcs.iter().find(|rpc| rpc.method.name() == name).expect("an RPC of the contract");
        let mut figures = BTreeMap::new();
        for (party, level) in [(Party::Operator, DisclosureLevel::Identified), (Party::Donor, DisclosureLevel::Aggregate)] {
            let caller = Caller::new(party, (level, false), "any", &["*".to_owned()], &self.tenants);
            let passport = self.home.passport(&caller.bearer);
            let catalogue = self.home.call(rpc("ListIndicators"), vec![Vec::new()], Some(&passport)).await;
            let catalogue = ListIndicatorsResponse::decode(catalogue.bytes.as_slice()).expect("the catalogue");
            for indicator in catalogue.indicators {
                for by in indicator.dimensions.iter().map(|d| vec![*d]).chain([Vec::new()]) {
                    let programme_id = self.first.known.ids["programme"][0].clone();
                    let what = format!("{} by {by:?} as {party:?}", indicator.code);
                    let indicator = indicator.code.clone();
                    let request = QueryIndicatorRequest { programme_id, indicator, group_by: by, ..Default::default() };
                    let answer = self.home.call(rpc("QueryIndicator"), vec![request.encode_to_vec()], Some(&passport)).await;
                    assert_eq!(answer.code(), Code::Ok, "{what}: {:?}", answer.status);
                    figures.insert(what, answer.bytes);
                }
            }
        }
        figures
    }

    /// Puts the tenant's own pseudonyms in the place of people's ids.
    pub fn rename(&self, template: &mut Template, tenant: Uuid) {
        template.map_texts(&mut |field, text| {
            if told::is_subject(field) && Uuid::try_parse(text).is_ok() {
                *text = tahuka_chassis::pseudonym(tenant, text);
            }
        });
    }
}

/// The catalogue of roles, as the house has it.
async fn roles(home: &Home) -> Vec<(String, Vec<String>)> {
    let db = home.administrator("tenancy");
    let rows =
        db.query_all_raw(Statement::from_string(db.get_database_backend(), "SELECT name, permissions FROM role ORDER BY name"));
    let rows = rows.await.expect("roles");
    let role = |row: &sea_orm::QueryResult| {
        let permissions: serde_json::Value = row.try_get("", "permissions").expect("a list");
        let permissions = permissions.as_array().expect("a list").iter().filter_map(|p| p.as_str().map(str::to_owned)).collect();
        (row.try_get("", "name").expect("a name"), permissions)
    };
    rows.iter().map(role).collect()
}
