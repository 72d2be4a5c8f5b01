//! The operators' command line: the same API, for people and for scripts.

use std::process::{Command, Output};

use serde_json::Value;
use tahuka_tests::Platform;

use crate::programme::{Programme, tenant};
use crate::story::eventually;
use tahuka_proto::tenancy::v1::TenantKind;

/// As this member of this tenant.
fn run(platform: &Platform, who: (&str, &str), arguments: &[&str]) -> Output {
    Command::new(tahuka_tests::binary())
        .args(arguments)
        .args(["--gateway", &platform.gateway])
        .env("TAHUKA_TOKEN", platform.token(who.0, who.1))
        .output()
        .expect("the binary runs")
}

fn text(platform: &Platform, who: (&str, &str), arguments: &[&str]) -> String {
    let out = run(platform, who, arguments);
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

fn json(platform: &Platform, who: (&str, &str), arguments: &[&str]) -> Vec<Value> {
    let told = text(platform, who, &[arguments, &["--json"]].concat());
    serde_json::from_str(&told).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {told}"))
}

fn refused(platform: &Platform, who: (&str, &str), arguments: &[&str]) -> String {
    let out = run(platform, who, arguments);
    assert_eq!(out.status.code(), Some(1), "{arguments:?}");
    assert!(out.stdout.is_empty());
    String::from_utf8(out.stderr).expect("text")
}

const OPERATOR: (&str, &str) = ("platform", "operator");

pub async fn tenants_and_staff_are_kept_from_the_command_line(platform: Platform) {
    let ask = |arguments: &[&str]| json(&platform, OPERATOR, arguments);
    let made = ask(&["tenant", "create", "--slug", "iom", "--name", "IOM Rwanda", "--kind", "operator"]);
    assert_eq!((made[0]["slug"].as_str(), made[0]["state"].as_str()), (Some("iom"), Some("active")));
    let listed = text(&platform, OPERATOR, &["tenant", "list"]);
    assert!(listed.starts_with("SLUG"), "{listed}");
    assert!(listed.lines().any(|line| line.starts_with("iom") && line.contains("IOM Rwanda")), "{listed}");
    assert_eq!(ask(&["tenant", "list", "--kind", "operator"]).len(), 1);

    let jwks = platform.data_dir().join("jwks.json");
    std::fs::write(&jwks, crate::issuer::Issuer::jwks(1).to_string()).expect("a file");
    let issuer = ["--issuer", "https://login.iom.example", "--audience", "tahuka", "--algorithm", "EdDSA"];
    let file = ["--jwks-file", jwks.to_str().expect("a path"), "--roles-claim", "realm_access.roles"];
    let provider = ask(&[&["tenant", "add-provider", "iom"], &issuer[..], &file[..]].concat())[0].clone();
    assert_eq!(provider["claims"], serde_json::json!(["roles=realm_access.roles"]));
    let id = provider["id"].as_str().expect("an id");
    let uri = "https://login.iom.example/jwks.json";
    assert_eq!(ask(&["tenant", "update-provider", "iom", id, "--jwks-uri", uri])[0]["keys"], uri);
    assert_eq!(ask(&["tenant", "providers", "iom"]).len(), 1);
    text(&platform, OPERATOR, &["tenant", "remove-provider", id]);
    assert!(ask(&["tenant", "providers", "iom"]).is_empty());

    let add = ["staff", "add", "--tenant", "iom", "--subject", "sync", "--role", "integration_client", "--kind", "workload"];
    let member = ask(&add)[0].clone();
    assert_eq!((member["kind"].as_str(), member["roles"][0].as_str()), (Some("workload"), Some("integration_client")));
    assert_eq!(ask(&["staff", "list", "--tenant", "iom"]).len(), 1);
    assert!(ask(&["staff", "list", "--tenant", "iom", "--kind", "person"]).is_empty());
    assert!(ask(&["staff", "roles"]).iter().any(|role| role["role"] == "auditor"));
    text(&platform, OPERATOR, &["staff", "remove", member["id"].as_str().expect("an id")]);
    assert!(ask(&["staff", "list", "--tenant", "iom"]).is_empty());

    assert_eq!(ask(&["tenant", "suspend", "iom"])[0]["state"], "suspended");
    assert_eq!(ask(&["tenant", "reinstate", "iom"])[0]["state"], "active");

    let told = refused(&platform, OPERATOR, &["tenant", "create", "--slug", "I O M", "--name", "x", "--kind", "donor"]);
    assert!(told.contains("slug"), "{told}");
    assert!(refused(&platform, OPERATOR, &["tenant", "suspend", "nobody"]).contains("not found"));
    assert!(refused(&platform, ("nobody", "at-all"), &["tenant", "list"]).contains("authentication failed"));
    // A token in a file does as well.
    let file = platform.data_dir().join("token");
    std::fs::write(&file, platform.token(OPERATOR.0, OPERATOR.1) + "\n").expect("a file");
    let out = Command::new(tahuka_tests::binary())
        .args(["tenant", "list", "--gateway", &platform.gateway, "--token-file"])
        .arg(&file)
        .output()
        .expect("the binary runs");
    assert!(out.status.success());
}

pub async fn agreements_are_made_and_ended_from_the_command_line(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let partner = tenant(&platform, "ntc", TenantKind::Operator, &[("manager", "programme_manager", "")]).await;
    let (iom, ntc) = (("iom", "manager"), ("ntc", "manager"));
    let what = ["--from", "2010-09-01", "--until", "2099-12-31", "--purpose", "training", "--on", "2011-01-01"];
    let first = ["agreement", "propose", "--programme", &programme.id, "--to", &partner, "--term", "projects=aggregate"];
    let proposed = json(&platform, iom, &[&first[..], &what[..]].concat())[0].clone();
    assert_eq!(proposed["state"], "proposed");
    let id = proposed["id"].as_str().expect("an id");
    // A tenant just made is let in within seconds.
    eventually("the partner is let in", async || run(&platform, ntc, &["agreement", "list"]).status.success()).await;
    assert_eq!(json(&platform, ntc, &["agreement", "sign", id, "--on", "2011-01-02"])[0]["state"], "active");

    let next =
        ["agreement", "amend", id, "--term", "registration=pseudonymised@RW33,RW43", "--term", "projects=identified+write"];
    let amended = json(&platform, iom, &[&next[..], &what[..]].concat())[0].clone();
    assert_eq!((amended["revision"].as_i64(), amended["amendment"].as_i64()), (Some(1), Some(2)));
    let signed = json(&platform, ntc, &["agreement", "sign", id, "--revision", "2", "--on", "2011-01-03"])[0].clone();
    assert_eq!(signed["terms"], serde_json::json!(["registration=pseudonymised@RW33,RW43", "projects=identified+write"]));

    assert_eq!(json(&platform, iom, &["agreement", "revoke", id, "--on", "2011-02-01"])[0]["state"], "revoked");
    let trail = json(&platform, iom, &["agreement", "changes", id]);
    let actions: Vec<_> = trail.iter().map(|change| change["action"].as_str().expect("a word")).collect();
    assert_eq!(actions, ["proposed", "signed", "amendment_proposed", "signed", "revoked"]);
    assert!(text(&platform, ntc, &["agreement", "list"]).contains("revoked"));
    let told = refused(&platform, iom, &["agreement", "sign", id]);
    assert!(told.contains("ended") || told.contains("revision"), "{told}");
}
