//! A tranche on its way: planned, sealed, bundled, verified, signed by both, transferred, closed; and back, until both have
//! signed.

pub mod bundle;
pub mod change;
pub mod manifest;
pub mod readiness;
pub mod rpc;
mod shown;
pub mod slice;
pub mod store;

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use tahuka_chassis::{Refusal, coded};
use uuid::Uuid;

use crate::agreement::{Agreement, Party, add_signature};

/// Who holds records that go over, by name in ascending order. Each has a slice of every tranche, if an empty one.
pub const SERVICES: [&str; 5] = ["assistance", "funding", "insight", "projects", "registry"];

coded!(
    State {
        Planned = 1 "planned",
        Sealing = 2 "sealing",
        Sealed = 3 "sealed",
        Bundling = 4 "bundling",
        Bundled = 5 "bundled",
        Verified = 6 "verified",
        Signed = 7 "signed",
        Transferred = 8 "transferred",
        Closed = 9 "closed",
        Unsealing = 10 "unsealing",
        Aborting = 11 "aborting",
        Aborted = 12 "aborted",
    }
);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Seal,
    /// Every service has sealed its slice.
    SlicesSealed,
    Bundle,
    /// Every service has written its slice, and the tag files are there.
    SlicesBundled,
    Verify,
    /// Whether the other party has signed already.
    Sign {
        last: bool,
    },
    /// Every service has given its slice over.
    SlicesTransferred,
    Close,
    Unseal,
    Abort,
    /// Every service has lifted its seals.
    SlicesUnsealed,
}

impl State {
    pub fn next(self, command: Command) -> Result<Self, Refusal> {
        use State::{
            Aborted, Aborting, Bundled, Bundling, Closed, Planned, Sealed, Sealing, Signed, Transferred, Unsealing, Verified,
        };
        match (self, command) {
            (Planned, Command::Seal) => Ok(Sealing),
            (Sealing, Command::SlicesSealed) => Ok(Sealed),
            // A bundle that the recipient could not use is written anew.
            (Sealed | Bundled, Command::Bundle) => Ok(Bundling),
            (Bundling, Command::SlicesBundled) => Ok(Bundled),
            (Bundled, Command::Verify) => Ok(Verified),
            (Verified, Command::Sign { last: false }) => Ok(Verified),
            (Verified, Command::Sign { last: true }) => Ok(Signed),
            (Signed, Command::SlicesTransferred) => Ok(Transferred),
            (Transferred, Command::Close) => Ok(Closed),
            (Sealed | Bundling | Bundled | Verified, Command::Unseal) => Ok(Unsealing),
            // Nothing is held fast yet.
            (Planned, Command::Abort) => Ok(Aborted),
            (Sealed | Bundling | Bundled | Verified, Command::Abort) => Ok(Aborting),
            (Unsealing, Command::SlicesUnsealed) => Ok(Planned),
            (Aborting, Command::SlicesUnsealed) => Ok(Aborted),
            (Signed | Transferred | Closed, Command::Unseal | Command::Abort) => {
                Err(Refusal::precondition("BOTH_HAVE_SIGNED", "both have signed: the tranche goes forward only"))
            }
            (Sealing | Unsealing | Aborting, _) => Err(Refusal::precondition(
                "UNDER_WAY",
                format!("the tranche is {}; wait until the services have answered", self.word()),
            )),
            (Aborted, _) => Err(Refusal::precondition("TRANCHE_OVER", "the tranche was given up; plan a new one")),
            (Closed, _) => Err(Refusal::precondition("TRANCHE_OVER", "the tranche is closed")),
            _ => Err(Refusal::precondition("NOT_NOW", format!("the tranche is {}: this is not its next step", self.word()))),
        }
    }

    /// Services hold its records fast, or are about to.
    pub fn holds(self) -> bool {
        !matches!(self, State::Planned | State::Closed | State::Aborted)
    }
}

/// What is in a tranche: the households of these districts, these projects, these grants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    pub districts: Vec<String>,
    pub package_kinds: Vec<String>,
    pub project_ids: Vec<Uuid>,
    pub grant_ids: Vec<Uuid>,
}

impl Contents {
    pub fn check(&self) -> Result<(), Refusal> {
        if self.districts.is_empty() && self.project_ids.is_empty() && self.grant_ids.is_empty() {
            return Err(Refusal::invalid("districts", "name districts, projects or grants: an empty tranche hands nothing over"));
        }
        if !self.package_kinds.is_empty() && self.districts.is_empty() {
            return Err(Refusal::invalid("package_kinds", "limit the households of districts; name these"));
        }
        Ok(())
    }

    /// Whether a unit could be in both.
    pub fn overlaps(&self, other: &Contents) -> bool {
        fn share<T: Ord>(one: &[T], other: &[T]) -> bool {
            let one: BTreeSet<_> = one.iter().collect();
            other.iter().any(|t| one.contains(t))
        }
        share(&self.districts, &other.districts)
            || share(&self.project_ids, &other.project_ids)
            || share(&self.grant_ids, &other.grant_ids)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tranche {
    pub id: Uuid,
    pub agreement_id: Uuid,
    pub programme_id: Uuid,
    pub sender_id: Uuid,
    pub recipient_id: Uuid,
    pub name: String,
    pub number: i32,
    pub state: State,
    pub contents: Contents,
    pub bundle_number: i32,
    /// The manifest with its signatures (DSSE); empty until it is bundled.
    pub envelope: String,
    pub manifest_sha256: String,
    pub readiness: Vec<readiness::Check>,
    pub verification: String,
    pub planned_on: NaiveDate,
    pub sealed_on: Option<NaiveDate>,
    pub bundled_on: Option<NaiveDate>,
    pub verified_on: Option<NaiveDate>,
    pub sender_signed_on: Option<NaiveDate>,
    pub recipient_signed_on: Option<NaiveDate>,
    pub ended_on: Option<NaiveDate>,
    pub sealed_at: Option<DateTime<Utc>>,
    pub bundled_at: Option<DateTime<Utc>>,
    pub closed_at: Option<DateTime<Utc>>,
}

impl Tranche {
    pub fn party(&self, tenant: Uuid) -> Option<Party> {
        match tenant {
            t if t == self.sender_id => Some(Party::Sender),
            t if t == self.recipient_id => Some(Party::Recipient),
            _ => None,
        }
    }

    pub fn must_be(&self, tenant: Uuid, party: Party) -> Result<(), Refusal> {
        match (self.party(tenant), party) {
            (Some(is), must) if is == must => Ok(()),
            (Some(_), Party::Sender) => Err(Refusal::precondition("SENDER_ONLY", "this step is the sender's")),
            (Some(_), Party::Recipient) => Err(Refusal::precondition("RECIPIENT_ONLY", "this step is the recipient's")),
            (None, _) => Err(Refusal::not_found("tranche", self.id)),
        }
    }

    pub fn seal(mut self, on: NaiveDate, readiness: Vec<readiness::Check>) -> Result<Self, Refusal> {
        self.state = self.state.next(Command::Seal)?;
        self.after("sealed_on", on, Some(self.planned_on))?;
        self.sealed_on = Some(on);
        self.readiness = readiness;
        Ok(self)
    }

    pub fn bundle(mut self, on: NaiveDate) -> Result<Self, Refusal> {
        self.state = self.state.next(Command::Bundle)?;
        self.after("bundled_on", on, self.sealed_on)?;
        self.bundled_on = Some(on);
        self.bundle_number += 1;
        self.forget_bundle();
        Ok(self)
    }

    /// The recipient's word on the bundle; one that it refuses stays bundled.
    pub fn verify(mut self, manifest_sha256: &str, passed: bool, note: String, on: NaiveDate) -> Result<Self, Refusal> {
        let verified = self.state.next(Command::Verify)?;
        self.must_be_this_manifest(manifest_sha256)?;
        self.after("verified_on", on, self.bundled_on)?;
        if passed {
            self.state = verified;
            self.verified_on = Some(on);
        }
        self.verification = note;
        Ok(self)
    }

    fn must_be_this_manifest(&self, manifest_sha256: &str) -> Result<(), Refusal> {
        if self.manifest_sha256 == manifest_sha256 {
            return Ok(());
        }
        let advice = "this is not the manifest of the tranche's bundle; read the bundle again";
        Err(Refusal::precondition("OTHER_MANIFEST", advice))
    }

    /// With the party's signature (base64), if it holds by the agreement's key.
    pub fn sign(
        mut self,
        party: Party,
        agreement: &Agreement,
        manifest_sha256: &str,
        signature: &str,
        on: NaiveDate,
    ) -> Result<Self, Refusal> {
        let (own, other) = match party {
            Party::Sender => (self.sender_signed_on, self.recipient_signed_on),
            Party::Recipient => (self.recipient_signed_on, self.sender_signed_on),
        };
        self.state = self.state.next(Command::Sign { last: other.is_some() })?;
        self.must_be_this_manifest(manifest_sha256)?;
        if own.is_some() {
            return Err(Refusal::precondition("ALREADY_SIGNED", "the caller's organisation has signed this tranche already"));
        }
        if party == Party::Recipient && other.is_none() {
            return Err(Refusal::precondition("SENDER_FIRST", "the sender signs first; the recipient countersigns"));
        }
        self.after("signed_on", on, self.verified_on)?;
        self.envelope = add_signature(&self.envelope, agreement.key_of(party), signature)?;
        match party {
            Party::Sender => self.sender_signed_on = Some(on),
            Party::Recipient => self.recipient_signed_on = Some(on),
        }
        Ok(self)
    }

    /// Back to planned, to be mended.
    pub fn unseal(mut self, on: NaiveDate) -> Result<Self, Refusal> {
        self.state = self.state.next(Command::Unseal)?;
        self.after("unsealed_on", on, self.sealed_on)?;
        Ok(self)
    }

    pub fn abort(mut self, on: NaiveDate) -> Result<Self, Refusal> {
        self.state = self.state.next(Command::Abort)?;
        self.after("aborted_on", on, Some(self.planned_on))?;
        self.ended_on = Some(on);
        Ok(self)
    }

    /// All seals are lifted: nothing of the bundle counts any more.
    pub fn unsealed(mut self) -> Result<Self, Refusal> {
        self.state = self.state.next(Command::SlicesUnsealed)?;
        self.forget_bundle();
        (self.sealed_on, self.sealed_at, self.bundled_on) = (None, None, None);
        Ok(self)
    }

    /// What was said of a bundle that is no more.
    fn forget_bundle(&mut self) {
        self.envelope.clear();
        self.manifest_sha256.clear();
        self.verification.clear();
        (self.verified_on, self.sender_signed_on, self.recipient_signed_on, self.bundled_at) = (None, None, None, None);
    }

    fn after(&self, field: &str, on: NaiveDate, earlier: Option<NaiveDate>) -> Result<(), Refusal> {
        if earlier.is_some_and(|earlier| on < earlier) {
            return Err(Refusal::invalid(field, "must not be before the step that went before it"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMANDS: [Command; 12] = [
        Command::Seal,
        Command::SlicesSealed,
        Command::Bundle,
        Command::SlicesBundled,
        Command::Verify,
        Command::Sign { last: false },
        Command::Sign { last: true },
        Command::SlicesTransferred,
        Command::Close,
        Command::Unseal,
        Command::Abort,
        Command::SlicesUnsealed,
    ];

    #[test]
    fn every_state_meets_every_command() {
        let row = |state: &State| COMMANDS.map(|c| state.next(c).map_or("-", State::word)).join(" ");
        let table: Vec<_> = State::ALL.iter().map(row).collect();
        assert_eq!(
            table,
            [
                "sealing - - - - - - - - - aborted -",
                "- sealed - - - - - - - - - -",
                "- - bundling - - - - - - unsealing aborting -",
                "- - - bundled - - - - - unsealing aborting -",
                "- - bundling - verified - - - - unsealing aborting -",
                "- - - - - verified signed - - unsealing aborting -",
                "- - - - - - - transferred - - - -",
                "- - - - - - - - closed - - -",
                "- - - - - - - - - - - -",
                "- - - - - - - - - - - planned",
                "- - - - - - - - - - - aborted",
                "- - - - - - - - - - - -",
            ]
        );
    }

    #[test]
    fn there_is_no_way_back_once_both_have_signed_and_none_past_what_is_under_way() {
        let reason = |state: State, command| match state.next(command) {
            Err(Refusal::Precondition { reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        for state in [State::Signed, State::Transferred, State::Closed] {
            for command in [Command::Unseal, Command::Abort] {
                assert_eq!(reason(state, command), "BOTH_HAVE_SIGNED");
            }
        }
        for state in [State::Sealing, State::Unsealing, State::Aborting] {
            assert_eq!(reason(state, Command::Abort), "UNDER_WAY");
        }
    }

    #[test]
    fn tranches_that_could_share_a_unit_overlap() {
        let of = |districts: &[&str], projects: &[u128]| Contents {
            districts: districts.iter().map(|d| (*d).to_owned()).collect(),
            project_ids: projects.iter().map(|p| Uuid::from_u128(*p)).collect(),
            ..Default::default()
        };
        assert!(of(&["RW33", "RW43"], &[]).overlaps(&of(&["RW43"], &[])));
        assert!(of(&["RW33"], &[1]).overlaps(&of(&["RW43"], &[2, 1])));
        assert!(!of(&["RW33"], &[1]).overlaps(&of(&["RW43"], &[2])));
        assert!(of(&[], &[]).check().is_err());
        assert!(Contents { package_kinds: vec!["livestock".into()], ..of(&[], &[1]) }.check().is_err());
        assert!(of(&["RW33"], &[]).check().is_ok());
    }
}
