//! A handover between a custodian and a ministry, all the way: of a district in which nobody is registered, so that the
//! records of everybody else stay where they are.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::DynamicMessage;
use serde_json::{Value as Json, json};
use tahuka_bag::{Envelope, SigningKey};
use tahuka_chassis::TenantKind;
use uuid::Uuid;

use crate::bearers::manager;
use crate::home::Home;
use crate::seed::Custodian;
use crate::speaker::{Speaker, text};

/// Nobody is registered there.
const NOBODYS: &str = "RW11";

/// Signs what the message at `path` tells, as an RPC takes it.
fn signed(message: &DynamicMessage, path: &str, key: &SigningKey) -> (String, String) {
    let mut envelope = Envelope::parse(text(message, path).as_bytes()).expect("an envelope");
    envelope.sign(key).expect("a signature");
    let own = envelope.signatures.iter().find(|s| s.keyid == key.id()).expect("one's own");
    assert!(STANDARD.decode(&own.sig).is_ok());
    (key.id().0, own.sig.clone())
}

/// The parties' keys: the custodian's, another one of its, and the ministry's.
fn keys(base: i64) -> [SigningKey; 3] {
    [251, 241, 239].map(|n| SigningKey::from_seed(&[u8::try_from(base % n).unwrap_or(7) ^ (n as u8); 32]))
}

impl Custodian {
    fn ministry<'a>(&self, home: &'a Home, recipient: Uuid) -> Speaker<'a> {
        Speaker::new(home, manager(recipient, TenantKind::Ministry))
    }

    /// An empty district, to the ministry that `recipient` is; and another tranche that is only planned.
    pub async fn hand_over(&mut self, home: &Home, programme: &str, recipient: Uuid) {
        let (first, second) = (self.date(1, 1), self.date(1, 2));
        // Whom one hands over to is known to both.
        self.known.ids.entry("recipient".into()).or_default().push(recipient.to_string());
        let [own, other, theirs] = keys(self.base);
        let key = |key: &SigningKey, label: String, on: &Json| json!({"public_key": key.public().to_hex(), "label": label, "registered_on": on});
        for (one, day) in [(&own, &first), (&other, &second)] {
            let request = key(one, self.text("key"), day);
            self.say(home, "RegisterSigningKey", request).await;
        }
        self.ministry(home, recipient).say("RegisterSigningKey", key(&theirs, "theirs".into(), &first)).await;
        let waived =
            json!([{"criterion": "CRITERION_UNMATCHED_AGREEMENTS", "waived": true, "reason": self.text("they agree later")}]);
        let agreement = self.agree(home, programme, recipient, waived).await;
        self.tranche(home, &agreement, recipient, json!({"districts": [NOBODYS]})).await;
        let request = json!({"handover_agreement_id": agreement, "name": self.text("tranche"), "districts": [NOBODYS], "planned_on": first});
        self.say(home, "PlanTranche", request).await;
    }

    /// All of these, whatever is open.
    pub async fn hand_over_all(&mut self, home: &Home, programme: &str, recipient: Uuid, contents: Json) {
        let criteria = ["OPEN_CASES", "OPEN_STOCK", "UNRECONCILED_MONEY", "INCOMPLETE_DOCUMENTS", "UNMATCHED_AGREEMENTS"];
        let waived: Vec<_> = criteria
            .iter()
            .map(|one| json!({"criterion": format!("CRITERION_{one}"), "waived": true, "reason": self.text("as it is")}))
            .collect();
        let agreement = self.agree(home, programme, recipient, json!(waived)).await;
        self.tranche(home, &agreement, recipient, contents).await;
    }

    /// A handover agreement that both have signed.
    async fn agree(&mut self, home: &Home, programme: &str, recipient: Uuid, criteria: Json) -> String {
        let day = self.date(1, 3);
        let [own, _, theirs] = keys(self.base);
        let request = json!({
            "programme_id": programme, "recipient_id": recipient.to_string(), "key_id": own.id().0, "purpose": self.text("takes over"),
            "proposed_on": day, "criteria": criteria,
        });
        let agreement = text(&self.say(home, "ProposeHandoverAgreement", request.clone()).await, "agreement.id");
        self.say(home, "ProposeHandoverAgreement", request).await;
        let request = json!({"handover_agreement_id": agreement, "key_id": theirs.id().0, "accepted_on": day});
        let accepted = self.ministry(home, recipient).say("AcceptHandoverAgreement", request).await;
        for key in [&own, &theirs] {
            let (key_id, signature) = signed(&accepted, "agreement.envelope", key);
            let request = json!({"handover_agreement_id": agreement, "key_id": key_id, "signature": signature, "signed_on": day});
            if key.id() == own.id() {
                self.say(home, "SignHandoverAgreement", request).await;
            } else {
                self.ministry(home, recipient).say("SignHandoverAgreement", request).await;
            }
        }
        home.settle().await;
        agreement
    }

    /// One that is closed.
    async fn tranche(&mut self, home: &Home, agreement: &str, recipient: Uuid, contents: Json) {
        let day = self.date(12, 1);
        let [own, _, theirs] = keys(self.base);
        let mut request = contents;
        request["handover_agreement_id"] = json!(agreement);
        request["name"] = json!(self.text("tranche"));
        request["planned_on"] = day.clone();
        let tranche = text(&self.say(home, "PlanTranche", request).await, "tranche.id");
        self.say(home, "SealTranche", json!({"tranche_id": tranche, "sealed_on": day})).await;
        self.until(home, &tranche, "sealed").await;
        self.say(home, "BundleTranche", json!({"tranche_id": tranche, "bundled_on": day})).await;
        let bundled = self.until(home, &tranche, "bundled").await;
        let manifest = text(&bundled, "tranche.manifest_sha256");
        let request =
            json!({"tranche_id": tranche, "manifest_sha256": manifest, "passed": true, "note": "all of it", "verified_on": day});
        self.ministry(home, recipient).say("RecordVerification", request).await;
        for key in [&own, &theirs] {
            let (key_id, signature) = signed(&bundled, "tranche.envelope", key);
            let request = json!({
                "tranche_id": tranche, "manifest_sha256": manifest, "key_id": key_id, "signature": signature, "signed_on": day,
            });
            if key.id() == own.id() {
                self.say(home, "SignTranche", request).await;
            } else {
                self.ministry(home, recipient).say("SignTranche", request).await;
            }
        }
        self.until(home, &tranche, "closed").await;
    }

    async fn until(&mut self, home: &Home, tranche: &str, state: &str) -> DynamicMessage {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let changes = self.say(home, "ListTrancheChanges", json!({"tranche_id": tranche})).await;
            let changes = changes.get_field_by_name("changes").expect("changes").into_owned();
            let done =
                changes.as_list().expect("a list").iter().any(|c| text(c.as_message().expect("a change"), "action") == state);
            if done {
                return self.say(home, "GetTranche", json!({"tranche_id": tranche})).await;
            }
            assert!(Instant::now() < until, "the tranche is never {state}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
