//! Who has signed: the manifest against the keys of the agreement, the agreement against its own keys, and both against
//! keys that whoever verifies has from elsewhere.

use super::Options;
use super::fault::{Check, Faults};
use super::report::PartyReport;
use crate::{Agreement, Envelope, Handover, PublicKey, agreement, manifest};

pub fn check(
    envelope: &Envelope,
    handover: &Handover,
    agreed: Option<&[u8]>,
    options: &Options,
    faults: &mut Faults,
) -> Vec<PartyReport> {
    let Some((agreement, sender, recipient)) = agreed.and_then(|bytes| opened(bytes, handover, faults)) else {
        return Vec::new();
    };
    let roles = [
        ("sender", &agreement.sender.name, sender, options.sender_key.as_ref()),
        ("recipient", &agreement.recipient.name, recipient, options.recipient_key.as_ref()),
    ];
    for signature in envelope.signatures.iter().filter(|s| ![sender.id(), recipient.id()].contains(&s.keyid)) {
        let why = format!("signed with a key that is not in the agreement ({})", short(&signature.keyid.0));
        faults.add(Check::Signatures, manifest::PATH, None, why);
    }
    let mut parties = Vec::new();
    for (role, name, key, outside) in roles {
        if outside.is_some_and(|outside| *outside != key) {
            let why = format!("the {role}'s key in the agreement is not the one that was told");
            faults.add(Check::Agreement, agreement::PATH, None, why);
        }
        let signed = envelope.is_signed_by(&key.id());
        let holds = signed && envelope.verify(&key).is_ok();
        if signed && !holds {
            faults.add(Check::Signatures, manifest::PATH, None, format!("the {role}'s signature does not hold"));
        }
        parties.push(PartyReport {
            role,
            name: name.clone(),
            key_id: key.id().0,
            fingerprint: key.fingerprint(),
            key_told: outside.is_some_and(|outside| *outside == key),
            signed: holds,
        });
    }
    parties
}

fn opened(bytes: &[u8], handover: &Handover, faults: &mut Faults) -> Option<(Agreement, PublicKey, PublicKey)> {
    let mut refused = |check: Check, why: String| faults.add(check, agreement::PATH, None, why);
    let read = Envelope::parse(bytes).and_then(|envelope| Ok((Agreement::open(&envelope)?, envelope)));
    let (agreement, envelope) = match read {
        Ok(read) => read,
        Err(e) => {
            refused(Check::Format, e.to_string());
            return None;
        }
    };
    let tranche = &handover.tranche;
    let same = [
        ("agreement", agreement.id == handover.agreement.id && agreement.revision == handover.agreement.revision),
        ("programme", agreement.programme_id == tranche.programme.id),
        ("sender", agreement.sender.id == tranche.sender.id),
        ("recipient", agreement.recipient.id == tranche.recipient.id),
    ];
    for (what, _) in same.iter().filter(|(_, same)| !same) {
        refused(Check::Agreement, format!("its {what} is not that of the manifest"));
    }
    match agreement.check(&envelope) {
        Ok((sender, recipient)) => Some((agreement, sender, recipient)),
        Err(e) => {
            refused(Check::Agreement, e.to_string());
            None
        }
    }
}

/// Whoever wrote the envelope wrote this text.
fn short(text: &str) -> String {
    text.chars().filter(char::is_ascii_hexdigit).take(32).collect()
}

pub fn fresh(handover: &Handover, options: &Options, faults: &mut Faults) {
    let tranche = &handover.tranche;
    if options.tranche.as_ref().is_some_and(|id| *id != tranche.id) {
        faults.add(Check::Freshness, manifest::PATH, None, "is of another tranche than the one expected");
    }
    if let Some(expected) = options.bundle_number
        && tranche.bundle_number < expected
    {
        let why = format!("is bundle {} of its tranche, which bundle {expected} has replaced", tranche.bundle_number);
        faults.add(Check::Freshness, manifest::PATH, None, why);
    }
}
