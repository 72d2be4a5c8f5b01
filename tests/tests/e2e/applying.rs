//! Tenants, staff, programmes and agreements as files: brought about once, left alone from then on.

use std::process::{Command, Output};

use serde_json::Value;
use tahuka_tests::Platform;

use crate::story::eventually;

const TENANTS: &str = "\
kind: Tenant
slug: iom
name: IOM Rwanda
type: operator
issuers:
  - issuer: https://demo.tahuka.invalid/iom
    audience: tahuka
    jwks_file: iom.jwks.json
    algorithms: [EdDSA]
---
kind: Tenant
slug: midimar
name: MIDIMAR
type: ministry
issuers:
  - issuer: https://demo.tahuka.invalid/midimar
    audience: tahuka
    jwks_file: iom.jwks.json
    algorithms: [EdDSA]
";

const STAFF: &str = "\
kind: Staff
tenant: iom
subject: manager
roles: [programme_manager]
---
kind: Staff
tenant: midimar
subject: manager
roles: [programme_manager]
---
kind: Staff
tenant: midimar
subject: musanze
roles: [district_officer]
districts: [RW43]
---
kind: WorkloadClient
tenant: iom
client: sync
roles: [integration_client]
";

const PROGRAMME: &str = "\
kind: Programme
name: Reintegration
starts_on: 2010-09-01
ends_on: 2014-12-31
districts:
  - {pcode: RW43, name: Musanze, basis: attested, source: a test}
  - {pcode: RW33, name: Rubavu, basis: assumed, source: a test}
";

fn agreement(recipient: &str, terms: &str) -> String {
    format!(
        "kind: Agreement\nprogramme: Reintegration\nrecipient: {recipient}\nterms: {terms}\nstarts_on: 2010-09-01\n\
         ends_on: 2099-12-31\npurpose: the programme\nproposed_on: 2010-09-01\n"
    )
}

struct Files<'a> {
    platform: &'a Platform,
    dir: std::path::PathBuf,
}

impl Files<'_> {
    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(&self.dir).expect("a directory");
        std::fs::write(self.dir.join(name), text).expect("a file");
    }

    fn run(&self, who: (&str, &str), what: &str, more: &[&str]) -> Output {
        Command::new(tahuka_tests::binary())
            .args(["apply", "--json", "-f"])
            .arg(self.dir.join(what))
            .args(["--gateway", &self.platform.gateway])
            .args(more)
            .env("TAHUKA_TOKEN", self.platform.token(who.0, who.1))
            .output()
            .expect("the binary runs")
    }

    /// The actions, one for each document.
    fn apply(&self, who: (&str, &str), what: &str, more: &[&str]) -> Vec<Value> {
        let out = self.run(who, what, more);
        assert!(out.status.success(), "{what}: {}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).expect("json")
    }

    fn refused(&self, who: (&str, &str), what: &str) -> String {
        let out = self.run(who, what, &[]);
        assert_eq!(out.status.code(), Some(1), "{what}");
        String::from_utf8(out.stderr).expect("text")
    }
}

fn actions(told: &[Value]) -> Vec<&str> {
    told.iter().map(|row| row["action"].as_str().expect("a word")).collect()
}

const OPERATOR: (&str, &str) = ("platform", "operator");
const IOM: (&str, &str) = ("iom", "manager");

pub async fn files_are_brought_about_and_then_nothing_changes(platform: Platform) {
    let files = Files { platform: &platform, dir: platform.data_dir().join("files") };
    let jwks = Command::new(tahuka_tests::binary())
        .args(["token", "--jwks", "--data-dir"])
        .arg(platform.data_dir())
        .output()
        .expect("the binary runs");
    // The order of the files does not matter.
    files.write("a-staff.yaml", STAFF);
    files.write("b-tenants.yaml", TENANTS);
    files.write("iom.jwks.json", &String::from_utf8(jwks.stdout).expect("text"));

    let would = files.apply(OPERATOR, "", &["--dry-run"]);
    assert_eq!(actions(&would), ["would create"; 6]);
    // It was only told.
    assert_eq!(actions(&files.apply(OPERATOR, "", &[])), ["created"; 6]);
    assert_eq!(actions(&files.apply(OPERATOR, "", &[])), ["unchanged"; 6]);
    assert_eq!(actions(&files.apply(OPERATOR, "", &["--dry-run"])), ["unchanged"; 6]);

    // What is different is told before it is changed, and changed alone.
    files.write("a-staff.yaml", &STAFF.replace("districts: [RW43]", "districts: [RW43, RW33]"));
    files.write("b-tenants.yaml", &TENANTS.replacen("audience: tahuka", "audience: platform", 1));
    let would = files.apply(OPERATOR, "", &["--dry-run"]);
    let changed: Vec<&Value> = would.iter().filter(|row| row["action"] != "unchanged").collect();
    assert_eq!(changed.len(), 2, "{would:#?}");
    assert_eq!(changed[0]["difference"], serde_json::json!(["issuers[0].audience: tahuka -> platform"]));
    assert_eq!(changed[1]["difference"], serde_json::json!(["districts: RW43 -> RW33,RW43"]));
    assert!(changed[1]["file"].as_str().is_some_and(|file| file.ends_with("a-staff.yaml[3]")), "{would:#?}");
    assert_eq!(actions(&files.apply(OPERATOR, "", &[])).iter().filter(|a| **a == "updated").count(), 2);
    files.write("b-tenants.yaml", TENANTS);
    assert_eq!(actions(&files.apply(OPERATOR, "", &[])).iter().filter(|a| **a == "updated").count(), 1);

    // States go both ways; who is absent is out.
    files.write("state.yaml", "kind: Tenant\nslug: midimar\nname: MIDIMAR\ntype: ministry\nstate: suspended\n");
    let told = files.apply(OPERATOR, "state.yaml", &[]);
    assert_eq!(told[0]["difference"], serde_json::json!(["state: active -> suspended"]));
    files.write("state.yaml", "kind: Tenant\nslug: midimar\nname: MIDIMAR\ntype: ministry\n");
    assert_eq!(actions(&files.apply(OPERATOR, "state.yaml", &[])), ["updated"]);
    files.write("state.yaml", "kind: WorkloadClient\ntenant: iom\nclient: sync\nstate: absent\n");
    assert_eq!(actions(&files.apply(OPERATOR, "state.yaml", &[])), ["removed"]);
    assert_eq!(actions(&files.apply(OPERATOR, "state.yaml", &[])), ["unchanged"]);

    // An error names the file and the field, and what cannot be changed is said.
    files.write("state.yaml", "kind: Tenant\nslug: iom\nname: Another\ntype: operator\n");
    let told = files.refused(OPERATOR, "state.yaml");
    assert!(told.contains("state.yaml") && told.contains("name: is \"IOM Rwanda\" already"), "{told}");
    files.write("state.yaml", "kind: Staff\ntenant: iom\nsubject: x\nroles: [auditor, kng]\n");
    assert!(files.refused(OPERATOR, "state.yaml").contains("roles[1]: there is no role kng"));
    files.write("state.yaml", "kind: Staff\ntenant: iom\nsubjct: x\n");
    assert!(files.refused(OPERATOR, "state.yaml").contains("unknown field `subjct`"));

    // The custodian brings its programme and its agreements, with its own token.
    let all = tenants(&platform);
    let midimar = all.iter().find(|t| t["slug"] == "midimar").and_then(|t| t["id"].as_str()).expect("an id").to_owned();
    files.write("programme.yaml", PROGRAMME);
    // A tenant just made is let in within seconds.
    eventually("iom is let in", async || files.run(IOM, "programme.yaml", &["--dry-run"]).status.success()).await;
    assert_eq!(actions(&files.apply(IOM, "programme.yaml", &[])), ["created"]);
    assert_eq!(actions(&files.apply(IOM, "programme.yaml", &[])), ["unchanged"]);
    files.write("programme.yaml", &PROGRAMME.replace("2014-12-31", "2015-12-31"));
    assert!(files.refused(IOM, "programme.yaml").contains("ends_on: is \"2014-12-31\" already"));

    files.write("agreement.yaml", &agreement("midimar", "[registration=identified]"));
    assert!(files.refused(IOM, "agreement.yaml").contains("put the tenant's id there"));
    files.write("agreement.yaml", &agreement(&midimar, "[registration=identified, projects=aggregate]"));
    let proposed = files.apply(IOM, "agreement.yaml", &[]);
    assert_eq!(actions(&proposed), ["created"]);
    let told = proposed[0]["difference"][0].as_str().expect("what waits");
    assert!(told.contains("waits for the signature"), "{told}");
    let id = told.rsplit(' ').next().expect("an id").to_owned();
    assert_eq!(actions(&files.apply(IOM, "agreement.yaml", &[])), ["unchanged"]);
    sign(&platform, &id, "1");
    // The same terms in another order are the same terms.
    files.write("agreement.yaml", &agreement(&midimar, "[projects=aggregate, registration=identified]"));
    assert_eq!(actions(&files.apply(IOM, "agreement.yaml", &[])), ["unchanged"]);
    files.write("agreement.yaml", &agreement(&midimar, "[\"registration=identified@RW33,RW43\"]"));
    let would = files.apply(IOM, "agreement.yaml", &["--dry-run"]);
    let difference = "terms: projects=aggregate,registration=identified -> registration=identified@RW33,RW43";
    assert_eq!(would[0]["difference"], serde_json::json!([difference]));
    assert_eq!(actions(&files.apply(IOM, "agreement.yaml", &[])), ["updated"]);
    assert_eq!(actions(&files.apply(IOM, "agreement.yaml", &[])), ["unchanged"], "it waits for a signature");
    sign(&platform, &id, "2");
    assert_eq!(actions(&files.apply(IOM, "agreement.yaml", &[])), ["unchanged"]);
}

fn tenants(platform: &Platform) -> Vec<Value> {
    let out = Command::new(tahuka_tests::binary())
        .args(["tenant", "list", "--json", "--gateway", &platform.gateway])
        .env("TAHUKA_TOKEN", platform.token(OPERATOR.0, OPERATOR.1))
        .output()
        .expect("the binary runs");
    serde_json::from_slice(&out.stdout).expect("json")
}

/// Signing stays with people.
fn sign(platform: &Platform, id: &str, revision: &str) {
    let out = Command::new(tahuka_tests::binary())
        .args(["agreement", "sign", id, "--revision", revision, "--on", "2010-09-02", "--gateway", &platform.gateway])
        .env("TAHUKA_TOKEN", platform.token("midimar", "manager"))
        .output()
        .expect("the binary runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
