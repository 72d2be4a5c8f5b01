//! The certificate of a closed tranche: what was handed over, from whom to whom, with its control totals, bound to the
//! manifest that both have signed. It is made from that alone, so it is the same whenever it is asked for.

mod page;
pub mod rpc;

use serde::Serialize;
use tahuka_bag::{AgreementRef, Envelope, Handover, Party, ProgrammeRef, Total};
use tahuka_chassis::Refusal;

use crate::agreement::{self, Agreement};
use crate::json;
use crate::signing_key;
use crate::tranche::{State, Tranche, manifest};

#[derive(Debug, Serialize)]
pub struct Certificate {
    /// Always `tahuka-certificate`.
    format: &'static str,
    version: u32,
    tranche: Which,
    programme: ProgrammeRef,
    agreement: AgreementRef,
    sender: Signer,
    recipient: Signer,
    sealed_at: String,
    bundled_at: String,
    closed_at: String,
    verification: String,
    totals: Vec<Total>,
    services: Vec<Part>,
    manifest_sha256: String,
    /// The manifest with both signatures (DSSE): whoever has the keys checks the certificate by it.
    manifest: Envelope,
}

#[derive(Debug, Serialize)]
struct Which {
    id: String,
    name: String,
    number: u32,
    bundle_number: u32,
    districts: Vec<String>,
    package_kinds: Vec<String>,
    project_ids: Vec<String>,
    grant_ids: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Signer {
    #[serde(flatten)]
    party: Party,
    signed_on: String,
    key_id: String,
    fingerprint: String,
    signature: String,
}

#[derive(Debug, Serialize)]
struct Part {
    service: String,
    records: u64,
    merkle_root: String,
}

pub fn of(tranche: &Tranche, agreement: &Agreement) -> Result<Certificate, Refusal> {
    if tranche.state != State::Closed {
        return Err(Refusal::precondition("NOT_CLOSED", "there is a certificate once the tranche is closed"));
    }
    let envelope = agreement::envelope(&tranche.envelope)?;
    let handover: Handover = manifest::read(tranche)?;
    let signer = |party: Party, key: &str, on: Option<chrono::NaiveDate>| -> Result<Signer, Refusal> {
        let key = signing_key::stored(key)?;
        envelope.verify(&key).map_err(Refusal::internal)?;
        let own = envelope.signatures.iter().find(|s| s.keyid == key.id());
        Ok(Signer {
            party,
            signed_on: on.map(|on| on.to_string()).unwrap_or_default(),
            key_id: key.id().0,
            fingerprint: key.fingerprint(),
            signature: own.map(|s| s.sig.clone()).unwrap_or_default(),
        })
    };
    let which = handover.tranche;
    Ok(Certificate {
        format: "tahuka-certificate",
        version: 1,
        sender: signer(which.sender, &agreement.sender_key, tranche.sender_signed_on)?,
        recipient: signer(which.recipient, &agreement.recipient_key, tranche.recipient_signed_on)?,
        tranche: Which {
            id: which.id,
            name: which.name,
            number: which.number,
            bundle_number: which.bundle_number,
            districts: which.districts,
            package_kinds: which.package_kinds,
            project_ids: which.project_ids,
            grant_ids: which.grant_ids,
        },
        programme: which.programme,
        agreement: handover.agreement,
        sealed_at: handover.sealed_at,
        bundled_at: handover.bundled_at,
        closed_at: tranche.closed_at.map(json::time).unwrap_or_default(),
        verification: tranche.verification.clone(),
        totals: handover.totals,
        services: handover
            .services
            .into_iter()
            .map(|(service, slice)| Part { service, records: slice.records, merkle_root: slice.merkle_root })
            .collect(),
        manifest_sha256: tranche.manifest_sha256.clone(),
        manifest: envelope,
    })
}

impl Certificate {
    /// Canonical JSON.
    pub fn json(&self) -> Result<String, Refusal> {
        let bytes = tahuka_bag::record::canonical_of(self).map_err(Refusal::internal)?;
        String::from_utf8(bytes).map_err(Refusal::internal)
    }

    /// A4, text only.
    pub fn pdf(&self) -> Vec<u8> {
        let mut paper = page::Paper::new("Certificate of handover");
        paper.title("Certificate of handover");
        paper.text(&self.programme.name);
        paper.gap();
        paper.pair("Tranche", &format!("{} ({} of this agreement)", self.tranche.name, self.tranche.number));
        paper.pair("Handed over by", &format!("{}, signed {}", self.sender.party.name, self.sender.signed_on));
        paper.pair("Taken over by", &format!("{}, signed {}", self.recipient.party.name, self.recipient.signed_on));
        for (what, all) in [
            ("Districts", &self.tranche.districts),
            ("Package kinds", &self.tranche.package_kinds),
            ("Projects", &self.tranche.project_ids),
            ("Grants", &self.tranche.grant_ids),
        ] {
            if !all.is_empty() {
                paper.pair(what, &all.join(", "));
            }
        }
        paper.pair("Verified", &self.verification);
        paper.pair("Closed", &self.closed_at);

        paper.heading("What was handed over");
        for total in &self.totals {
            let name = total.name.replace('_', " ");
            let name = if total.by.is_empty() { name } else { format!("{name}, {}", total.by.replace('_', " ")) };
            paper.figure(&name, &thousands(total.value));
        }
        paper.small("Money is in minor units of its currency.");

        paper.heading("What was signed");
        paper.pair("Manifest", "SHA-256, by both parties (DSSE, Ed25519)");
        paper.code(&self.manifest_sha256);
        for (who, signer) in [("Sender's key", &self.sender), ("Recipient's key", &self.recipient)] {
            paper.pair(who, &signer.key_id);
            paper.code(&signer.fingerprint);
        }
        for part in &self.services {
            paper.pair(
                &part.service,
                &format!("{} records, Merkle root", thousands(i64::try_from(part.records).unwrap_or_default())),
            );
            paper.code(&part.merkle_root);
        }
        paper.small(&format!(
            "Tranche {}, bundle {}, agreement {}.",
            self.tranche.id, self.tranche.bundle_number, self.agreement.id
        ));
        paper.finish()
    }
}

/// 1234567 as 1,234,567.
fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_people_write_them() {
        assert_eq!([0, 999, 1000, -1_234_567].map(thousands), ["0", "999", "1,000", "-1,234,567"]);
    }
}
