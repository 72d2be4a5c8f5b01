//! What the door costs: the same read through the gateway, with a token, and at the registry's own port, with a passport;
//! rounds taken in turn in one run, as a ratio of requests per second. `make bench` runs it on the optimised binary.

#![allow(clippy::expect_used, clippy::print_stdout)]

use std::path::Path;
use std::time::{Duration, Instant};

use tahuka_chassis::passport::{Bearer, METADATA, Mint};
use tahuka_chassis::{ScopeEntry, TenantKind, keys};
use tahuka_proto::google::r#type::Date;
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::registry::v1 as registry;
use tahuka_proto::registry::v1::household_service_client::HouseholdServiceClient;
use tahuka_proto::tenancy::v1 as tenancy;
use tahuka_proto::tenancy::v1::staff_service_client::StaffServiceClient;
use tahuka_proto::tenancy::v1::tenant_service_client::TenantServiceClient;
use tahuka_tests::{Form, Platform, binary, new_request_id};
use tonic::Request;
use tonic::metadata::{MetadataKey, MetadataValue};
use tonic::transport::Channel;
use uuid::Uuid;

const ROUNDS: usize = 6;
const ROUND: Duration = Duration::from_secs(3);
const CALLERS: usize = 32;

/// Metadata that lets the caller in: a token, or a passport.
type Pass = (&'static str, String);

async fn iom(platform: &Platform) -> String {
    let operator = platform.as_("platform", "operator").await;
    let mut tenants = TenantServiceClient::new(operator.line());
    let request = tenancy::CreateTenantRequest {
        request_id: new_request_id(),
        name: "IOM".into(),
        kind: tenancy::TenantKind::Operator.into(),
        slug: "iom".into(),
    };
    let id = tenants.create_tenant(request).await.expect("a tenant").into_inner().tenant.expect("is told").id;
    let jwks = std::process::Command::new(binary()).args(["token", "--jwks", "--data-dir"]).arg(platform.data_dir()).output();
    let provider = tenancy::AddIdentityProviderRequest {
        request_id: new_request_id(),
        tenant_id: id.clone(),
        issuer: "https://demo.tahuka.invalid/iom".into(),
        audience: "tahuka".into(),
        jwks_json: String::from_utf8(jwks.expect("the binary runs").stdout).expect("a key set is text"),
        algorithms: vec!["EdDSA".into()],
        ..Default::default()
    };
    tenants.add_identity_provider(provider).await.expect("its issuer is known");
    let member = tenancy::AddStaffMemberRequest {
        request_id: new_request_id(),
        tenant_id: id.clone(),
        subject: "manager".into(),
        roles: vec!["programme_manager".into()],
        ..Default::default()
    };
    StaffServiceClient::new(operator.line()).add_staff_member(member).await.expect("a manager");
    id
}

/// One household of ours, without a name in it: so that it is the door that is measured, not the access log.
async fn household(platform: &Platform) -> String {
    let request = registry::CreateHouseholdRequest {
        request_id: new_request_id(),
        programme_id: new_request_id(),
        category: registry::HouseholdCategory::Returnee.into(),
        place: "RW330101".into(),
        household_number: "H-1".into(),
        household_size: 2,
        registered_on: Some(Date { year: 2011, month: 5, day: 3 }),
        registration_source: "bench".into(),
        enumerator: "E-1".into(),
        individuals: vec![registry::NewIndividual {
            surname: "UWIMANA".into(),
            sex: registry::Sex::Female.into(),
            relation_to_head: registry::RelationToHead::Head.into(),
            ..Default::default()
        }],
    };
    let voice = platform.as_("iom", "manager").await;
    let answer = HouseholdServiceClient::new(voice.line()).create_household(request).await.expect("a household");
    answer.into_inner().household.expect("is told").id
}

fn passport(data_dir: &Path, tenant_id: &str) -> String {
    let key = keys::signing_key(&data_dir.join("keys/passport.key")).expect("the signing key");
    let bearer = Bearer {
        subject: "manager".into(),
        tenant_id: Uuid::parse_str(tenant_id).expect("an id"),
        tenant_kind: TenantKind::Operator,
        roles: vec!["programme_manager".into()],
        permissions: vec!["registry.*".into()],
        districts: Vec::new(),
        scope: vec![ScopeEntry {
            category: DataCategory::Registration.into(),
            level: DisclosureLevel::Identified.into(),
            custodian: Uuid::parse_str(tenant_id).expect("an id"),
            write: true,
            ..Default::default()
        }],
        ..Default::default()
    };
    Mint::new(&key).expect("a mint").passport(&bearer).expect("a passport")
}

/// Requests per second of one round.
async fn round(channel: &Channel, pass: &Pass, household_id: &str) -> f64 {
    let until = Instant::now() + ROUND;
    let started = Instant::now();
    let callers = (0..CALLERS).map(|_| {
        let mut client = HouseholdServiceClient::new(channel.clone());
        let key: MetadataKey<_> = pass.0.parse().expect("a key");
        let value: MetadataValue<_> = pass.1.parse().expect("a value");
        let household_id = household_id.to_owned();
        tokio::spawn(async move {
            let mut served = 0_u32;
            while Instant::now() < until {
                let mut request = Request::new(registry::GetHouseholdProfileRequest {
                    household_id: household_id.clone(),
                    individual_id: String::new(),
                    on: Some(Date { year: 2012, month: 1, day: 1 }),
                });
                request.metadata_mut().insert(key.clone(), value.clone());
                client.get_household_profile(request).await.expect("an answer");
                served += 1;
            }
            served
        })
    });
    let mut served = 0;
    for caller in callers.collect::<Vec<_>>() {
        served += caller.await.expect("a caller ends");
    }
    f64::from(served) / started.elapsed().as_secs_f64()
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[tokio::main]
async fn main() {
    let platform = Platform::start(Form::Separate).await.expect("PostgreSQL and NATS: run `make bench`");
    let tenant = iom(&platform).await;
    let household_id = household(&platform).await;
    let gateway = platform.channel().await;
    let registry =
        Channel::from_shared(platform.peer("registry").to_owned()).expect("an address").connect().await.expect("it answers");
    let (mut through, mut direct) = (Vec::new(), Vec::new());
    for n in 0..=ROUNDS {
        let token = ("authorization", format!("Bearer {}", platform.token("iom", "manager")));
        let pass = (METADATA, passport(platform.data_dir(), &tenant));
        let (a, b) = (round(&gateway, &token, &household_id).await, round(&registry, &pass, &household_id).await);
        // The first round warms up.
        if n > 0 {
            println!("round {n}: through the gateway {a:.0}/s, directly {b:.0}/s, ratio {:.2}", a / b);
            through.push(a);
            direct.push(b);
        }
    }
    let (a, b) = (median(through), median(direct));
    println!("\nmedians of {ROUNDS} rounds, {CALLERS} callers: through the gateway {a:.0}/s, directly {b:.0}/s");
    println!("ratio {:.2} (goal: at least 0.75)", a / b);
}
