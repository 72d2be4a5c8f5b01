//! Who gets in by which token, and who does not get in any more.

use std::time::{Duration, Instant};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tahuka_chassis::Config;
use tahuka_chassis::passport::{Bearer, METADATA, Mint, Ring};
use tahuka_proto::registry::v1 as registry;
use tahuka_proto::registry::v1::household_service_client::HouseholdServiceClient;
use tahuka_proto::registry::v1::import_households_request::Part;
use tahuka_proto::registry::v1::import_service_client::ImportServiceClient;
use tahuka_proto::tenancy::v1 as tenancy;
use tahuka_proto::tenancy::v1::agreement_service_client::AgreementServiceClient;
use tahuka_proto::tenancy::v1::programme_service_client::ProgrammeServiceClient;
use tahuka_proto::tenancy::v1::staff_service_client::StaffServiceClient;
use tahuka_proto::tenancy::v1::tenant_service_client::TenantServiceClient;
use tahuka_tests::{BytesCodec, Form, Platform, Voice, new_request_id};
use tokio_stream::StreamExt as _;
use tonic::{Code, Status};

use crate::issuer::Issuer;
use crate::programme::{Programme, RUBAVU, on, tenant};
use crate::story::eventually;

/// What is changed takes effect within this time, wherever.
const SECONDS: Duration = Duration::from_secs(5);

async fn programmes(platform: &Platform, token: String) -> Result<usize, Status> {
    let voice = Voice::new(platform.channel().await, Some(token));
    let request = tenancy::ListProgrammesRequest::default();
    Ok(ProgrammeServiceClient::new(voice.line()).list_programmes(request).await?.into_inner().programmes.len())
}

/// Lets the issuer speak for the tenant, with keys that the gateway fetches; the provider.
async fn register(
    platform: &Platform,
    tenant_id: &str,
    issuer: &Issuer,
    claims: tenancy::ClaimMapping,
) -> tenancy::IdentityProvider {
    let request = tenancy::AddIdentityProviderRequest {
        request_id: new_request_id(),
        tenant_id: tenant_id.into(),
        issuer: issuer.name.clone(),
        audience: "tahuka".into(),
        algorithms: vec!["EdDSA".into()],
        jwks_uri: issuer.url.clone(),
        claims: Some(claims),
        ..Default::default()
    };
    let mut tenants = TenantServiceClient::new(platform.as_("platform", "operator").await.line());
    tenants.add_identity_provider(request).await.expect("it is registered").into_inner().identity_provider.expect("and told")
}

fn with(mut value: Value, changes: Value) -> Value {
    for (name, change) in changes.as_object().expect("an object") {
        if change.is_null() {
            value.as_object_mut().expect("an object").remove(name);
        } else {
            value[name] = change.clone();
        }
    }
    value
}

pub async fn forged_tokens_are_refused_in_the_same_words(platform: Platform) {
    let iom_id = tenant(&platform, "iom", tenancy::TenantKind::Operator, &[("manager", "programme_manager", "")]).await;
    let japan_id = tenant(&platform, "japan", tenancy::TenantKind::Donor, &[("officer", "donor_officer", "")]).await;
    let iom = Issuer::start("https://login.iom.example", 1).await;
    let japan = Issuer::start("https://login.mofa.example", 2).await;
    register(&platform, &iom_id, &iom, tenancy::ClaimMapping::default()).await;
    register(&platform, &japan_id, &japan, tenancy::ClaimMapping::default()).await;
    assert_eq!(programmes(&platform, iom.token(1, "manager")).await.expect("a good token"), 0);
    assert_eq!(programmes(&platform, japan.token(2, "officer")).await.expect("another one"), 0);

    let good = iom.claims("manager");
    let head = json!({ "alg": "EdDSA", "kid": "key-1" });
    let now = good["iat"].as_i64().expect("a time");
    let hmac = |secret: &[u8]| {
        let head = Header { kid: Some("key-1".into()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&head, &good, &EncodingKey::from_secret(secret)).expect("it is signed")
    };
    let attacker = Issuer::start("https://login.iom.example", 3).await;
    let claims = |changes: Value| Issuer::token_of(1, &with(good.clone(), changes));
    let headed = |changes: Value| Issuer::sign(1, &with(head.clone(), changes), &good);
    let forged = [
        ("no algorithm", format!("{}.", Issuer::unsigned(&json!({ "alg": "none", "kid": "key-1" }), &good))),
        ("no algorithm, with a signature", headed(json!({ "alg": "none" }))),
        ("no signature", format!("{}.", Issuer::unsigned(&head, &good))),
        ("the public key as a shared secret", hmac(&Issuer::public(1))),
        ("the key set as a shared secret", hmac(Issuer::jwks(1).to_string().as_bytes())),
        ("an empty secret", hmac(b"")),
        ("another algorithm than the key's", headed(json!({ "alg": "RS256" }))),
        ("an unknown algorithm", headed(json!({ "alg": "XX999" }))),
        ("a key that is not known", Issuer::token_of(3, &good)),
        ("another's key under a known name", Issuer::sign(3, &head, &good)),
        ("no key named", headed(json!({ "kid": null }))),
        (
            "a key of its own in the head",
            Issuer::sign(3, &with(head.clone(), json!({ "jwk": Issuer::jwk(3), "kid": "key-3" })), &good),
        ),
        (
            "an address of keys in the head",
            Issuer::sign(3, &with(head.clone(), json!({ "jku": attacker.url, "kid": "key-3" })), &good),
        ),
        ("a head that must be understood", headed(json!({ "crit": ["exp"], "exp": now }))),
        ("expired", claims(json!({ "exp": now - 120 }))),
        ("no end", claims(json!({ "exp": null }))),
        ("not yet valid", claims(json!({ "nbf": now + 600 }))),
        ("for somebody else", claims(json!({ "aud": "payroll" }))),
        ("for nobody", claims(json!({ "aud": null }))),
        ("an issuer that is not registered", claims(json!({ "iss": "https://login.evil.example" }))),
        ("no issuer", claims(json!({ "iss": null }))),
        ("nobody", claims(json!({ "sub": null }))),
        ("a stranger", claims(json!({ "sub": "stranger" }))),
        ("another tenant's issuer in this one's name", Issuer::token_of(2, &good)),
        ("another tenant's issuer, this one's subject", japan.token(2, "manager")),
        ("too large", claims(json!({ "padding": "x".repeat(9_000) }))),
        ("claims that are no object", Issuer::token_of(1, &json!(["iss", "sub"]))),
    ];
    for (what, token) in forged {
        let refused = programmes(&platform, token).await.expect_err(what);
        assert_eq!((refused.code(), refused.message()), (Code::Unauthenticated, "authentication failed"), "{what}");
    }
    assert_eq!(attacker.fetches(), 0, "nobody follows an address that a token tells");
    assert!(programmes(&platform, iom.token(1, "manager")).await.is_ok());
}

pub async fn an_issuers_keys_change_at_its_url(platform: Platform) {
    let iom_id = tenant(&platform, "iom", tenancy::TenantKind::Operator, &[("manager", "programme_manager", "")]).await;
    let issuer = Issuer::start("https://login.iom.example", 1).await;
    register(&platform, &iom_id, &issuer, tenancy::ClaimMapping::default()).await;
    assert!(programmes(&platform, issuer.token(1, "manager")).await.is_ok());
    assert_eq!(issuer.fetches(), 1);

    issuer.serve(2);
    let enters = async |n: u8| programmes(&platform, issuer.token(n, "manager")).await.is_ok();
    eventually("the new key is known", || enters(2)).await;
    assert!(!enters(1).await, "the old key is gone from the set");

    // A key set that cannot be fetched leaves the keys that are known.
    issuer.serve_nothing();
    let before = issuer.fetches();
    eventually("it has been asked in vain", async || {
        assert!(!enters(3).await);
        issuer.fetches() > before
    })
    .await;
    assert!(enters(2).await);

    // A flood of unknown keys makes it be fetched once in ten seconds at most, and holds nobody up.
    let (before, began) = (issuer.fetches(), Instant::now());
    let channel = platform.channel().await;
    let mut flood = tokio::task::JoinSet::new();
    for n in 0..400_u32 {
        let head = json!({ "alg": "EdDSA", "kid": format!("unknown-{n}") });
        let token = Issuer::sign(9, &head, &issuer.claims("manager"));
        let voice = Voice::new(channel.clone(), Some(token));
        flood.spawn(async move {
            ProgrammeServiceClient::new(voice.line()).list_programmes(tenancy::ListProgrammesRequest::default()).await
        });
    }
    for _ in 0..5 {
        let asked = Instant::now();
        assert!(enters(2).await);
        assert!(asked.elapsed() < Duration::from_secs(3), "somebody with a known key waited {:?}", asked.elapsed());
    }
    while let Some(answer) = flood.join_next().await {
        assert_eq!(answer.expect("a call").expect_err("it is refused").code(), Code::Unauthenticated);
    }
    let windows = usize::try_from(began.elapsed().as_secs() / 10).expect("not many") + 1;
    assert!(issuer.fetches() - before <= windows, "{} fetches", issuer.fetches() - before);
}

async fn staff(platform: &Platform, request: tenancy::AddStaffMemberRequest) -> String {
    let mut staff = StaffServiceClient::new(platform.as_("platform", "operator").await.line());
    staff.add_staff_member(request).await.expect("a member of staff").into_inner().staff_member.expect("is told").id
}

pub async fn claims_of_a_token_narrow_and_clients_are_told_apart(platform: Platform) {
    let iom_id = tenant(&platform, "iom", tenancy::TenantKind::Operator, &[("manager", "programme_manager", "")]).await;
    let member = |subject: &str, roles: &[&str], kind: tenancy::StaffKind| tenancy::AddStaffMemberRequest {
        request_id: new_request_id(),
        tenant_id: iom_id.clone(),
        subject: subject.into(),
        roles: roles.iter().map(|r| (*r).to_owned()).collect(),
        kind: kind.into(),
        ..Default::default()
    };
    staff(&platform, member("anne", &["auditor", "case_worker"], tenancy::StaffKind::Person)).await;
    let gone = staff(&platform, member("gone", &["auditor"], tenancy::StaffKind::Person)).await;
    let sync = staff(&platform, member("sync", &["integration_client"], tenancy::StaffKind::Workload)).await;
    let operator = platform.as_("platform", "operator").await;
    let remove = tenancy::RemoveStaffMemberRequest { request_id: new_request_id(), staff_member_id: gone };
    StaffServiceClient::new(operator.line()).remove_staff_member(remove).await.expect("somebody leaves");

    let issuer = Issuer::start("https://login.iom.example", 1).await;
    let mapping = tenancy::ClaimMapping {
        subject: "preferred_username".into(),
        client: "client_id".into(),
        roles: "realm_access.roles".into(),
        districts: "districts".into(),
        trust_roles: false,
    };
    let provider = register(&platform, &iom_id, &issuer, mapping.clone()).await;
    let token = |who: Value, roles: &[&str], districts: Value| {
        let claims = with(issuer.claims("f7:0b"), json!({ "realm_access": { "roles": roles }, "districts": districts }));
        Issuer::token_of(1, &with(claims, who))
    };
    let anne = json!({ "preferred_username": "anne" });
    let code = async |token: String| programmes(&platform, token).await.err().map(|refused| refused.code());
    assert_eq!(code(token(anne.clone(), &["auditor", "offline_access"], json!(["*"]))).await, None);
    for (roles, districts) in [
        (&[] as &[&str], json!(["*"])),
        (&["programme_manager"], json!(["*"])),
        (&["auditor"], json!([])),
        (&["auditor"], Value::Null),
    ] {
        assert_eq!(
            code(token(anne.clone(), roles, districts.clone())).await,
            Some(Code::Unauthenticated),
            "{roles:?} {districts}"
        );
    }
    // The case worker may write and the auditor may not: a token that names one of the two is that one's.
    let create = async |roles: &[&str]| {
        let voice = Voice::new(platform.channel().await, Some(token(anne.clone(), roles, json!("RW33 RW43"))));
        let request = registry::CreateHouseholdRequest::default();
        HouseholdServiceClient::new(voice.line()).create_household(request).await.expect_err("it says nothing").code()
    };
    assert_eq!(create(&["auditor"]).await, Code::PermissionDenied);
    assert_eq!(create(&["case_worker"]).await, Code::InvalidArgument);

    // A client is who its own claim says; a person of the same name is not it.
    let client = json!({ "client_id": "sync", "preferred_username": "service-account-sync" });
    assert_eq!(code(token(client.clone(), &["integration_client"], json!(["*"]))).await, None);
    let person = json!({ "preferred_username": "sync" });
    assert_eq!(code(token(person, &["integration_client"], json!(["*"]))).await, Some(Code::Unauthenticated));
    let both = json!({ "client_id": "anne", "preferred_username": "anne" });
    assert_eq!(code(token(both, &["auditor"], json!(["*"]))).await, Some(Code::Unauthenticated));
    let request = tenancy::ListStaffMembersRequest {
        tenant_id: iom_id.clone(),
        kind: tenancy::StaffKind::Workload.into(),
        ..Default::default()
    };
    let listed = StaffServiceClient::new(operator.line()).list_staff_members(request).await.expect("a list").into_inner();
    assert_eq!(listed.staff_members.iter().map(|m| m.id.clone()).collect::<Vec<_>>(), [sync]);

    // Whom tenancy has never known has the issuer's roles, once those are trusted: the tenant's kind's, and no removed one.
    let newcomer = json!({ "preferred_username": "newcomer" });
    let as_auditor = || token(newcomer.clone(), &["auditor", "platform_operator"], json!(["*"]));
    assert_eq!(code(as_auditor()).await, Some(Code::Unauthenticated));
    let request = tenancy::UpdateIdentityProviderRequest {
        request_id: new_request_id(),
        identity_provider: Some(tenancy::IdentityProvider {
            claims: Some(tenancy::ClaimMapping { trust_roles: true, ..mapping }),
            ..provider
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["claims".into()] }),
    };
    TenantServiceClient::new(operator.line()).update_identity_provider(request).await.expect("it is trusted");
    eventually("the issuer's word is trusted", async || code(as_auditor()).await.is_none()).await;
    let operator_only = token(newcomer.clone(), &["platform_operator"], json!(["*"]));
    assert_eq!(code(operator_only).await, Some(Code::Unauthenticated));
    let gone = json!({ "preferred_username": "gone" });
    assert_eq!(code(token(gone, &["auditor"], json!(["*"]))).await, Some(Code::Unauthenticated));
    let roles = StaffServiceClient::new(operator.line()).list_roles(tenancy::ListRolesRequest {}).await.expect("roles");
    assert!(roles.into_inner().roles.iter().any(|role| role.name == "integration_client"));
}

/// How long until the caller is refused with this code; who is let in for longer is a failure.
async fn out(platform: &Platform, token: &str, code: Code) -> Duration {
    let began = Instant::now();
    loop {
        match programmes(platform, token.to_owned()).await {
            Err(refused) => {
                assert_eq!(refused.code(), code);
                return began.elapsed();
            }
            Ok(_) => assert!(began.elapsed() < SECONDS, "still let in after {:?}", began.elapsed()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub async fn who_is_put_out_is_out_within_seconds(platform: Platform) {
    let iom_id = tenant(&platform, "iom", tenancy::TenantKind::Operator, &[("manager", "programme_manager", "")]).await;
    let issuer = Issuer::start("https://login.iom.example", 1).await;
    let provider = register(&platform, &iom_id, &issuer, tenancy::ClaimMapping::default()).await;
    let operator = platform.as_("platform", "operator").await;
    let (mut tenants, mut staff) = (TenantServiceClient::new(operator.line()), StaffServiceClient::new(operator.line()));
    let (manager, by_url) = (platform.token("iom", "manager"), issuer.token(1, "manager"));
    eventually("both tokens are good", async || {
        programmes(&platform, manager.clone()).await.is_ok() && programmes(&platform, by_url.clone()).await.is_ok()
    })
    .await;

    // A key that is taken out of a provider, then the provider itself.
    let told = |keys: u8, etag: &str| tenancy::UpdateIdentityProviderRequest {
        request_id: new_request_id(),
        identity_provider: Some(tenancy::IdentityProvider {
            id: provider.id.clone(),
            etag: etag.into(),
            jwks_json: Issuer::jwks(keys).to_string(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["jwks_json".into()] }),
    };
    let answer = tenants.update_identity_provider(told(2, &provider.etag)).await.expect("another key").into_inner();
    out(&platform, &by_url, Code::Unauthenticated).await;
    let stale = tenants.update_identity_provider(told(1, &provider.etag)).await.expect_err("an old etag");
    assert_eq!(stale.code(), Code::Aborted);
    let etag = answer.identity_provider.expect("is told").etag;
    tenants.update_identity_provider(told(1, &etag)).await.expect("the first key again");
    eventually("the key is known again", async || programmes(&platform, by_url.clone()).await.is_ok()).await;
    let request =
        tenancy::RemoveIdentityProviderRequest { request_id: new_request_id(), identity_provider_id: provider.id.clone() };
    tenants.remove_identity_provider(request).await.expect("the provider is removed");
    out(&platform, &by_url, Code::Unauthenticated).await;
    let request = tenancy::ListIdentityProvidersRequest { tenant_id: iom_id.clone(), ..Default::default() };
    let left = tenants.list_identity_providers(request).await.expect("a list").into_inner().identity_providers;
    assert_eq!(left.len(), 1);

    // The tenant, which is let in again; then the member of staff.
    let request = tenancy::SuspendTenantRequest { request_id: new_request_id(), tenant_id: iom_id.clone() };
    tenants.suspend_tenant(request).await.expect("IOM is suspended");
    out(&platform, &manager, Code::Unauthenticated).await;
    let request = tenancy::ReinstateTenantRequest { request_id: new_request_id(), tenant_id: iom_id.clone() };
    tenants.reinstate_tenant(request).await.expect("and reinstated");
    eventually("IOM is in again", async || programmes(&platform, manager.clone()).await.is_ok()).await;
    let request = tenancy::ListStaffMembersRequest { tenant_id: iom_id.clone(), ..Default::default() };
    let members = staff.list_staff_members(request).await.expect("a list").into_inner().staff_members;
    let request = tenancy::RemoveStaffMemberRequest { request_id: new_request_id(), staff_member_id: members[0].id.clone() };
    staff.remove_staff_member(request).await.expect("the manager leaves");
    out(&platform, &manager, Code::Unauthenticated).await;
}

/// An import that stays open, a few bytes at a time; how it ended.
fn import(voice: &Voice, programme: &str) -> tokio::task::JoinHandle<Result<(), Status>> {
    let start = registry::ImportStart {
        request_id: new_request_id(),
        programme_id: programme.into(),
        file_name: "registrations.csv".into(),
    };
    let chunks = std::iter::repeat_with(|| Part::Chunk(b"submission_id,".to_vec()));
    let parts = tokio_stream::iter(std::iter::once(Part::Start(start)).chain(chunks).take(400));
    let stream = parts.throttle(Duration::from_millis(100));
    let stream = stream.map(|part| registry::ImportHouseholdsRequest { part: Some(part) });
    let mut client = ImportServiceClient::new(voice.line());
    tokio::spawn(async move { client.import_households(Box::pin(stream)).await.map(|_| ()) })
}

async fn ended(call: tokio::task::JoinHandle<Result<(), Status>>, code: Code) {
    let began = Instant::now();
    let refused = call.await.expect("a call").expect_err("it is ended");
    let took = began.elapsed();
    assert_eq!(refused.code(), code, "{refused:?}");
    println!("an open call was ended with {code:?} after {:.2} s", took.as_secs_f64());
    assert!(took < SECONDS, "after {took:?}");
}

pub async fn an_open_call_ends_with_its_callers_right(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    // By now the agreement that has just been signed has taken effect.
    tokio::time::sleep(SECONDS).await;
    let ministry = import(&programme.ministry, &programme.id);
    let iom = import(&programme.iom, &programme.id);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(!iom.is_finished() && !ministry.is_finished(), "nothing has changed for them");

    let request = tenancy::RevokeAgreementRequest {
        request_id: new_request_id(),
        agreement_id: programme.ministry_agreement.clone(),
        revoked_on: on(2012, 1, 1),
    };
    AgreementServiceClient::new(programme.iom.line()).revoke_agreement(request).await.expect("IOM revokes");
    ended(ministry, Code::PermissionDenied).await;
    assert!(!iom.is_finished(), "IOM's own call goes on");

    let operator = platform.as_("platform", "operator").await;
    let mut tenants = TenantServiceClient::new(operator.line());
    let all = tenants.list_tenants(tenancy::ListTenantsRequest::default()).await.expect("tenants").into_inner().tenants;
    let tenant_id = all.into_iter().find(|t| t.slug == platform.slug("iom")).expect("IOM").id;
    tenants
        .suspend_tenant(tenancy::SuspendTenantRequest { request_id: new_request_id(), tenant_id })
        .await
        .expect("IOM is suspended");
    ended(iom, Code::Unauthenticated).await;
}

/// The services' own ports, which only separate processes have.
pub async fn a_service_opens_to_a_passport_that_names_it_alone(platform: Platform) {
    if platform.form != Form::Separate {
        return;
    }
    let config = Config { data_dir: platform.data_dir().to_owned(), ..Config::default() };
    let house = Mint::new(&Ring::of(&config).expect("the house's keys").signing().expect("its key")).expect("a mint");
    let elsewhere = Config { data_dir: platform.data_dir().join("elsewhere"), ..Config::default() };
    let stranger = Mint::new(&Ring::of(&elsewhere).expect("other keys").signing().expect("a key")).expect("a mint");
    let bearer = Bearer { subject: "nobody".into(), ..Bearer::default() };
    let rpcs = [
        ("tenancy", "/tahuka.tenancy.v1.IdentityService/ListIssuers"),
        ("registry", "/tahuka.registry.v1.HouseholdService/ListHouseholds"),
        ("assistance", "/tahuka.assistance.v1.PlanService/ListPlans"),
        ("projects", "/tahuka.projects.v1.ProjectService/ListProjects"),
        ("funding", "/tahuka.funding.v1.GrantService/ListGrants"),
        ("insight", "/tahuka.insight.v1.IndicatorService/ListIndicators"),
    ];
    for (service, path) in rpcs {
        let channel = tonic::transport::Endpoint::from_shared(platform.peer(service).to_owned()).expect("an address");
        let channel = channel.connect().await.expect("the service's port");
        let call = async |passport: Option<String>| {
            let mut client = tonic::client::Grpc::new(channel.clone());
            client.ready().await.expect("it is ready");
            let mut request = tonic::Request::new(Vec::new());
            if let Some(passport) = passport {
                request.metadata_mut().insert(METADATA, passport.parse().expect("a passport"));
            }
            let answer = client.unary(request, path.parse().expect("a path"), BytesCodec).await;
            answer.map(|_: tonic::Response<Vec<u8>>| ()).expect_err("nobody may do anything").code()
        };
        let elsewhere = if service == "funding" { "projects" } else { "funding" };
        assert_eq!(call(None).await, Code::Unauthenticated, "{service}: no passport");
        assert_eq!(call(Some("x.y.z".into())).await, Code::Unauthenticated, "{service}: none that is one");
        let of = |mint: &Mint, at: &str| Some(mint.passport_for(at, &bearer).expect("a passport"));
        assert_eq!(call(of(&stranger, service)).await, Code::Unauthenticated, "{service}: of another house");
        assert_eq!(call(of(&house, elsewhere)).await, Code::Unauthenticated, "{service}: for another service");
        // Its own passport opens the door, and then nobody's roles allow nothing.
        assert_eq!(call(of(&house, service)).await, Code::PermissionDenied, "{service}");
    }
}

pub fn keys(platform: &Platform, arguments: &[&str]) -> String {
    let out = std::process::Command::new(tahuka_tests::binary())
        .args(["keys"])
        .args(arguments)
        .arg("--data-dir")
        .arg(platform.data_dir())
        .output()
        .expect("the binary runs");
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

pub async fn the_passport_key_changes_while_everybody_works(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (voice, stop, id) = (programme.iom.clone(), stop.clone(), programme.id.clone());
        workers.spawn(async move {
            let mut calls = 0_u32;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let request = registry::ListHouseholdsRequest { programme_id: id.clone(), ..Default::default() };
                HouseholdServiceClient::new(voice.line()).list_households(request).await.expect("nobody notices");
                calls += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            calls
        });
    }
    let signs = || {
        let held: Value = serde_json::from_str(&keys(&platform, &["list", "passport", "--json"])).expect("JSON");
        let held = held.as_array().expect("a list").clone();
        let signing = held.iter().find(|key| key["signs"] == true).expect("one signs")["key_id"].clone();
        (signing, held.len())
    };
    let (old, one) = signs();
    assert_eq!(one, 1);
    keys(&platform, &["rotate", "passport", "--grace", "7"]);
    assert_eq!(signs(), (old.clone(), 2));
    tokio::time::sleep(Duration::from_secs(12)).await;
    let (new, two) = signs();
    assert!(new != old && two == 2);
    // By now passports are signed with the new key alone, so the old one can go.
    assert!(keys(&platform, &["retire", "passport", "--at-once"]).contains(old.as_str().expect("an id")));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(signs(), (new, 1));
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    while let Some(calls) = workers.join_next().await {
        assert!(calls.expect("no call failed") > 50);
    }
    let person = programme.person(RUBAVU, "H-1", 1980).await;
    assert!(!person.household.is_empty());
}
