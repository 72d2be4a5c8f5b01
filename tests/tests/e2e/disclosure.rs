//! What is told of people below their names, and who has been told their names.

use std::process::Command;

use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::registry::v1 as registry;
use tahuka_proto::registry::v1::access_log_service_client::AccessLogServiceClient;
use tahuka_proto::registry::v1::household_service_client::HouseholdServiceClient;
use tahuka_proto::registry::v1::individual_service_client::IndividualServiceClient;
use tahuka_proto::tenancy::v1::TenantKind;
use tahuka_tests::{Platform, Voice, binary, new_request_id};
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};

use crate::programme::{Programme, RUBAVU, agree, on, tenant};
use crate::story::eventually;
use crate::tokens::keys;

fn new_household(programme: &Programme, number: &str) -> registry::CreateHouseholdRequest {
    registry::CreateHouseholdRequest {
        request_id: new_request_id(),
        programme_id: programme.id.clone(),
        category: registry::HouseholdCategory::Returnee.into(),
        place: format!("{RUBAVU}0101"),
        household_number: number.into(),
        household_size: 4,
        registered_on: on(2011, 5, 3),
        registration_source: "a test".into(),
        enumerator: "E-01".into(),
        individuals: vec![registry::NewIndividual {
            surname: "UWIMANA".into(),
            given_name: "Béatrice".into(),
            sex: registry::Sex::Female.into(),
            birth_date: on(1979, 4, 1),
            relation_to_head: registry::RelationToHead::Head.into(),
            phone: "+250788123456".into(),
            ..Default::default()
        }],
    }
}

async fn register(voice: &Voice, request: registry::CreateHouseholdRequest) -> registry::Household {
    let answer = HouseholdServiceClient::new(voice.line()).create_household(request).await.expect("it is registered");
    answer.into_inner().household.expect("it is told")
}

async fn households(voice: &Voice, programme: &Programme) -> Result<Vec<registry::Household>, Status> {
    let request = registry::ListHouseholdsRequest { programme_id: programme.id.clone(), ..Default::default() };
    Ok(HouseholdServiceClient::new(voice.line()).list_households(request).await?.into_inner().households)
}

async fn household(voice: &Voice, id: &str) -> Result<registry::Household, Status> {
    let request = registry::GetHouseholdRequest { household_id: id.into() };
    Ok(HouseholdServiceClient::new(voice.line()).get_household(request).await?.into_inner().household.expect("it is told"))
}

async fn members(voice: &Voice, household: &str) -> Vec<registry::Individual> {
    let request = registry::ListIndividualsRequest { household_id: household.into(), ..Default::default() };
    IndividualServiceClient::new(voice.line()).list_individuals(request).await.expect("a list").into_inner().individuals
}

/// A training centre that IOM lets see registrations under pseudonyms.
async fn partner(platform: &Platform, programme: &Programme, slug: &str) -> Voice {
    let staff = [("manager", "partner_manager", ""), ("trainer", "case_worker", "")];
    let id = tenant(platform, slug, TenantKind::ImplementingPartner, &staff).await;
    let (manager, trainer) = (platform.as_(slug, "manager").await, platform.as_(slug, "trainer").await);
    let registration = [DataCategory::Registration];
    agree(&programme.id, &programme.iom, &manager, &id, &registration, DisclosureLevel::Pseudonymised).await;
    let what = format!("{slug} is let in");
    eventually(&what, || async { households(&trainer, programme).await.is_ok_and(|seen| !seen.is_empty()) }).await;
    trainer
}

pub async fn each_partner_has_names_of_its_own_for_the_same_people(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let real = register(&programme.iom, new_household(&programme, "H-1")).await;
    register(&programme.iom, new_household(&programme, "H-2")).await;
    let gisenyi = partner(&platform, &programme, "gisenyi").await;
    let ruhengeri = partner(&platform, &programme, "ruhengeri").await;

    let first = households(&gisenyi, &programme).await.expect("a list");
    let again = households(&gisenyi, &programme).await.expect("a list");
    assert_eq!(first, again, "the same names twice");
    let other = households(&ruhengeri, &programme).await.expect("a list");
    assert_eq!((first.len(), other.len()), (2, 2));
    for (mine, theirs) in first.iter().zip(&other) {
        assert!(mine.id.starts_with("p-") && mine.id.len() == 34, "{}", mine.id);
        assert_ne!((&mine.id, &mine.head_id), (&theirs.id, &theirs.head_id));
    }
    let names: Vec<_> = first.iter().chain(&other).flat_map(|h| [h.id.as_str(), h.head_id.as_str()]).collect();
    assert!(!names.contains(&real.id.as_str()) && !names.contains(&real.head_id.as_str()));

    // What is said of one of them fits together.
    let seen = household(&gisenyi, &first[0].id).await.expect("it reads by its own name for it");
    assert_eq!(seen, first[0]);
    let people = members(&gisenyi, &seen.id).await;
    assert_eq!((people.len(), &people[0].id, &people[0].household_id), (1, &seen.head_id, &seen.id));
    assert_eq!((seen.district.as_str(), people[0].age_band.as_str()), (RUBAVU, "25-59"));

    // And nothing of it tells who they are.
    assert_eq!((seen.head_surname.as_str(), seen.head_given_name.as_str(), seen.enumerator.as_str()), ("", "", ""));
    assert_eq!((seen.place.as_str(), seen.household_number.as_str(), seen.household_size), ("", "", 0));
    assert_eq!((people[0].surname.as_str(), people[0].phone.as_str(), people[0].birth_date), ("", "", None));
    assert_eq!((seen.recorded_at, people[0].recorded_at), (None, None), "the time of its record would join two lists");

    // By id it finds as little as by an id that nobody has, and by the other partner's name too.
    let unknown = household(&gisenyi, &new_request_id()).await.expect_err("there is no such household");
    for told in [&real.id, &other[0].id] {
        let refused = household(&gisenyi, told).await.expect_err("it is not there for this partner");
        assert_eq!(
            (refused.code(), refused.message(), refused.details()),
            (Code::NotFound, unknown.message(), unknown.details())
        );
        assert!(members(&gisenyi, told).await.is_empty());
    }

    // Whoever may see names reads by id, and by its own pseudonyms if it were told any.
    assert_eq!(household(&programme.iom, &real.id).await.expect("IOM reads").head_surname, "UWIMANA");
    household(&programme.iom, &first[0].id).await.expect_err("a partner's name is nobody to IOM");
}

async fn page(voice: &Voice, programme: &Programme, token: &str) -> Result<registry::ListHouseholdsResponse, Status> {
    let page_token = token.to_owned();
    let request =
        registry::ListHouseholdsRequest { programme_id: programme.id.clone(), page_size: 1, page_token, ..Default::default() };
    Ok(HouseholdServiceClient::new(voice.line()).list_households(request).await?.into_inner())
}

/// With the next keys a partner's names for people are new; the old ones, and pages that were begun, hold until the old
/// keys are retired.
pub async fn the_keys_of_names_and_pages_change_while_everybody_works(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    for number in ["H-1", "H-2"] {
        register(&programme.iom, new_household(&programme, number)).await;
    }
    let gisenyi = partner(&platform, &programme, "gisenyi").await;
    let first = page(&gisenyi, &programme, "").await.expect("the first page");
    let old = first.households[0].id.clone();
    for which in ["pseudonym", "page"] {
        keys(&platform, &["rotate", which, "--grace", "5"]);
        let held: serde_json::Value = serde_json::from_str(&keys(&platform, &["list", which, "--json"])).expect("JSON");
        assert_eq!((held.as_array().map(Vec::len), &held[0]["used_from"]), (Some(2), &serde_json::Value::Null), "{held}");
    }
    assert_eq!(page(&gisenyi, &programme, "").await.expect("the first page").households[0].id, old, "it is not its time yet");
    tokio::time::sleep(std::time::Duration::from_secs(9)).await;

    let now = page(&gisenyi, &programme, "").await.expect("the first page");
    let new = now.households[0].id.clone();
    assert!(new.starts_with("p-") && new != old, "{new}");
    for name in [&old, &new] {
        let seen = household(&gisenyi, name).await.expect("it reads by either name");
        assert_eq!((&seen.id, &members(&gisenyi, name).await[0].household_id), (&new, &new));
    }
    for begun in [&first, &now] {
        let second = page(&gisenyi, &programme, &begun.next_page_token).await.expect("the second page");
        assert!(second.households.len() == 1 && second.households[0].id != new && second.next_page_token.is_empty());
    }

    for which in ["pseudonym", "page"] {
        assert_eq!(keys(&platform, &["retire", which, "--at-once"]).lines().count(), 1);
    }
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(household(&gisenyi, &old).await.expect_err("a name of the old key is nobody's").code(), Code::NotFound);
    assert_eq!(household(&gisenyi, &new).await.expect("it reads").id, new);
    let refused = page(&gisenyi, &programme, &first.next_page_token).await.expect_err("it begins again");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(page(&gisenyi, &programme, &now.next_page_token).await.expect("the second page").households.len(), 1);
}

async fn accesses(voice: &Voice, household: &str) -> Result<Vec<registry::Access>, Status> {
    let request = registry::ListAccessesRequest { household_id: household.into(), ..Default::default() };
    Ok(AccessLogServiceClient::new(voice.line()).list_accesses(request).await?.into_inner().accesses)
}

/// The last part of each RPC's path.
fn rpcs(accesses: &[registry::Access]) -> Vec<&str> {
    accesses.iter().filter_map(|access| access.rpc.rsplit('/').next()).collect()
}

pub async fn a_custodian_knows_who_has_seen_a_family(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let request = new_household(&programme, "H-1");
    let real = register(&programme.iom, request.clone()).await;
    let other = register(&programme.iom, new_household(&programme, "H-2")).await;
    let gisenyi = partner(&platform, &programme, "gisenyi").await;

    let mut told = Request::new(registry::GetHouseholdRequest { household_id: real.id.clone() });
    told.metadata_mut().insert("x-tahuka-purpose", MetadataValue::from_static("visit before the rains"));
    HouseholdServiceClient::new(programme.iom.line()).get_household(told).await.expect("IOM reads");
    let refused = household(&programme.japan, &real.id).await.expect_err("a donor reads nobody");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let under_pseudonym = &households(&gisenyi, &programme).await.expect("a list")[0].id.clone();
    household(&gisenyi, under_pseudonym).await.expect("the partner reads, and learns no name");
    eventually("the ministry is let in", || async { household(&programme.ministry, &real.id).await.is_ok() }).await;
    assert_eq!(register(&programme.iom, request).await, real, "the same answer to the same request");

    let seen = accesses(&programme.iom, &real.id).await.expect("IOM reads its log");
    assert_eq!(rpcs(&seen), ["CreateHousehold", "GetHousehold", "GetHousehold", "CreateHousehold"]);
    let [made, read, by_ministry, again] = &seen[..] else { unreachable!() };
    assert_eq!((read.purpose.as_str(), made.purpose.as_str()), ("visit before the rains", "programme work: HouseholdService"));
    assert_eq!((read.reader.as_str(), &read.roles[..]), ("manager", &["programme_manager".to_owned()][..]));
    assert_eq!(
        (&read.household_id, &read.individual_ids, read.district.as_str()),
        (&real.id, &vec![real.head_id.clone()], RUBAVU)
    );
    assert_eq!(made.messages, ["tahuka.registry.v1.Household", "tahuka.registry.v1.Individual"]);
    assert_eq!((&made.tenant_id, &again.tenant_id), (&read.tenant_id, &read.tenant_id));
    assert_ne!(by_ministry.tenant_id, read.tenant_id);
    assert!(seen.iter().all(|access| access.trace_id.len() == 32 && access.accessed_at.is_some()));

    // To read the log is to be in it; of another family's log it says nothing.
    assert_eq!(rpcs(&accesses(&programme.iom, &real.id).await.expect("once more")).last(), Some(&"ListAccesses"));
    assert_eq!(rpcs(&accesses(&programme.iom, &other.id).await.expect("the other's")), ["CreateHousehold"]);
    let by_person = registry::ListAccessesRequest { individual_id: real.head_id.clone(), page_size: 2, ..Default::default() };
    let mut log = AccessLogServiceClient::new(programme.iom.line());
    let page = log.list_accesses(by_person.clone()).await.expect("of a person").into_inner();
    assert_eq!(rpcs(&page.accesses), ["CreateHousehold", "GetHousehold"]);
    let next = registry::ListAccessesRequest { page_token: page.next_page_token, ..by_person };
    let page = log.list_accesses(next).await.expect("the next page").into_inner();
    assert_eq!(rpcs(&page.accesses), ["GetHousehold", "CreateHousehold"]);

    // The log is the custodian's.
    let refused = accesses(&programme.ministry, &real.id).await.expect_err("the ministry answers for none of it");
    assert_eq!(refused.code(), Code::NotFound);
    let refused = accesses(&gisenyi, under_pseudonym).await.expect_err("nor does a partner");
    assert_eq!(refused.code(), Code::NotFound);

    let mut verify = Command::new(binary());
    verify.args(["audit", "verify", "--data-dir"]).arg(platform.data_dir());
    if let Some(url) = platform.database() {
        verify.args(["--database", url]);
    }
    let out = verify.output().expect("the binary runs");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
    let registry = text.lines().find(|line| line.starts_with("registry")).expect("a line for the registry");
    let words: Vec<_> = registry.split_whitespace().collect();
    assert!(words[1].parse::<i64>().is_ok_and(|rows| rows >= 8), "{registry}");
    assert_eq!(words[4].len(), 64, "{registry}");
}
