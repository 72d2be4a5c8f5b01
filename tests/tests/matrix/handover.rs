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

impl Custodian {
    /// With the ministry that `recipient` is.
    pub async fn hand_over(&mut self, home: &Home, programme: &str, recipient: Uuid) {
        let ministry = || Speaker::new(home, manager(recipient, TenantKind::Ministry));
        let keys = [self.base % 251, self.base % 241 + 1].map(|n| SigningKey::from_seed(&[u8::try_from(n).unwrap_or(7); 32]));
        let [own, theirs] = &keys;
        let key = |key: &SigningKey, label: String, on: Json| json!({"public_key": key.public().to_hex(), "label": label, "registered_on": on});
        let (first, second) = (self.date(1, 1), self.date(1, 2));
        for (key_of, day) in [(own, &first), (&SigningKey::from_seed(&[u8::try_from(self.base % 239).unwrap_or(9); 32]), &second)] {
            let request = key(key_of, self.text("key"), day.clone());
            self.say(home, "RegisterSigningKey", request).await;
        }
        ministry().say("RegisterSigningKey", key(theirs, "theirs".into(), first.clone())).await;

        let request = json!({
            "programme_id": programme, "recipient_id": recipient.to_string(), "key_id": own.id().0, "purpose": self.text("takes over"),
            "proposed_on": first,
            "criteria": [{"criterion": "CRITERION_UNMATCHED_AGREEMENTS", "waived": true, "reason": self.text("they agree later")}],
        });
        let agreement = text(&self.say(home, "ProposeHandoverAgreement", request.clone()).await, "agreement.id");
        self.say(home, "ProposeHandoverAgreement", request).await;
        let request = json!({"handover_agreement_id": agreement, "key_id": theirs.id().0, "accepted_on": first});
        let accepted = ministry().say("AcceptHandoverAgreement", request).await;
        for key in [own, theirs] {
            let (key_id, signature) = signed(&accepted, "agreement.envelope", key);
            let request = json!({"handover_agreement_id": agreement, "key_id": key_id, "signature": signature, "signed_on": first});
            if key.id() == own.id() {
                self.say(home, "SignHandoverAgreement", request).await;
            } else {
                ministry().say("SignHandoverAgreement", request).await;
            }
        }
        home.settle().await;
        self.tranche(home, &agreement, &ministry(), &keys).await;
        let request = json!({"handover_agreement_id": agreement, "name": self.text("tranche"), "districts": [NOBODYS], "planned_on": first});
        self.say(home, "PlanTranche", request).await;
    }

    /// One that is closed.
    async fn tranche(&mut self, home: &Home, agreement: &str, ministry: &Speaker<'_>, [own, theirs]: &[SigningKey; 2]) {
        let day = self.date(12, 1);
        let request = json!({"handover_agreement_id": agreement, "name": self.text("tranche"), "districts": [NOBODYS], "planned_on": day});
        let tranche = text(&self.say(home, "PlanTranche", request).await, "tranche.id");
        self.say(home, "SealTranche", json!({"tranche_id": tranche, "sealed_on": day})).await;
        self.until(home, &tranche, "sealed").await;
        self.say(home, "BundleTranche", json!({"tranche_id": tranche, "bundled_on": day})).await;
        let bundled = self.until(home, &tranche, "bundled").await;
        let manifest = text(&bundled, "tranche.manifest_sha256");
        let request =
            json!({"tranche_id": tranche, "manifest_sha256": manifest, "passed": true, "note": "all of it", "verified_on": day});
        ministry.say("RecordVerification", request).await;
        for key in [own, theirs] {
            let (key_id, signature) = signed(&bundled, "tranche.envelope", key);
            let request = json!({
                "tranche_id": tranche, "manifest_sha256": manifest, "key_id": key_id, "signature": signature, "signed_on": day,
            });
            if key.id() == own.id() {
                self.say(home, "SignTranche", request).await;
            } else {
                ministry.say("SignTranche", request).await;
            }
        }
        self.until(home, &tranche, "closed").await;
    }

    async fn until(&mut self, home: &Home, tranche: &str, state: &str) -> DynamicMessage {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let changes = self.say(home, "ListTrancheChanges", json!({"tranche_id": tranche})).await;
            let changes = changes.get_field_by_name("changes").expect("changes").into_owned();
            let done = changes.as_list().expect("a list").iter().any(|c| text(c.as_message().expect("a change"), "action") == state);
            if done {
                return self.say(home, "GetTranche", json!({"tranche_id": tranche})).await;
            }
            assert!(Instant::now() < until, "the tranche is never {state}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
