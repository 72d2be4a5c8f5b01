//! A handover agreement: proposed by the sender, accepted by the recipient, in force once both have signed the one document
//! that names their keys.

pub mod rpc;
pub mod store;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use tahuka_bag::{Agreement as Document, AgreementParty, Envelope};
use tahuka_chassis::{Refusal, coded};
use uuid::Uuid;

use crate::signing_key;

coded!(
    /// What must be in order before a tranche is sealed.
    Criterion {
        OpenCases = 1 "open_cases",
        OpenStock = 2 "open_stock",
        UnreconciledMoney = 3 "unreconciled_money",
        IncompleteDocuments = 4 "incomplete_documents",
        UnmatchedAgreements = 5 "unmatched_agreements",
    }
);

coded!(
    State {
        Proposed = 1 "proposed",
        Accepted = 2 "accepted",
        Active = 3 "active",
        Ended = 4 "ended",
    }
);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    Sender,
    Recipient,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Accept,
    /// Whether the other party has signed already.
    Sign {
        last: bool,
    },
    End,
}

impl State {
    pub fn next(self, command: Command) -> Result<Self, Refusal> {
        match (self, command) {
            (State::Proposed, Command::Accept) => Ok(State::Accepted),
            (State::Accepted, Command::Sign { last: false }) => Ok(State::Accepted),
            (State::Accepted, Command::Sign { last: true }) => Ok(State::Active),
            (State::Proposed | State::Accepted | State::Active, Command::End) => Ok(State::Ended),
            (State::Ended, _) => Err(Refusal::precondition("AGREEMENT_OVER", "the agreement has ended; propose a new one")),
            (State::Proposed, Command::Sign { .. }) => {
                Err(Refusal::precondition("NOT_ACCEPTED", "the recipient must accept first; then the document stands"))
            }
            (_, Command::Accept) => Err(Refusal::precondition("ALREADY_ACCEPTED", "the agreement is accepted already")),
            (State::Active, Command::Sign { .. }) => {
                Err(Refusal::precondition("ALREADY_SIGNED", "both parties have signed this agreement already"))
            }
        }
    }
}

/// One criterion, and whether the parties take a tranche without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    pub criterion: String,
    pub waived: bool,
    pub reason: String,
}

/// What the recipient leaves the sender to see: names of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retained {
    pub category: String,
    pub level: String,
}

/// The programme as it stands in what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programme {
    pub name: String,
    pub starts_on: NaiveDate,
    pub ends_on: NaiveDate,
    pub districts: Vec<String>,
    pub custodian_id: Uuid,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    pub id: Uuid,
    pub programme_id: Uuid,
    pub sender_id: Uuid,
    pub recipient_id: Uuid,
    pub state: State,
    pub purpose: String,
    pub programme: Programme,
    pub sender_name: String,
    pub recipient_name: String,
    pub criteria: Vec<Acceptance>,
    pub retained: Vec<Retained>,
    /// Public keys, hex; the recipient's is empty until it has accepted.
    pub sender_key: String,
    pub recipient_key: String,
    /// DSSE; empty until then too.
    pub envelope: String,
    pub proposed_on: NaiveDate,
    pub sender_signed_on: Option<NaiveDate>,
    pub recipient_signed_on: Option<NaiveDate>,
    pub ended_on: Option<NaiveDate>,
}

/// All criteria, each once: those that are not told are not waived.
pub fn all_criteria(told: Vec<(Criterion, Option<String>)>) -> Vec<Acceptance> {
    let waived = |criterion: &Criterion| told.iter().find(|(c, _)| c == criterion).and_then(|(_, reason)| reason.clone());
    let of = |criterion: &Criterion| {
        let reason = waived(criterion);
        Acceptance { criterion: criterion.word().to_owned(), waived: reason.is_some(), reason: reason.unwrap_or_default() }
    };
    Criterion::ALL.iter().map(of).collect()
}

impl Agreement {
    /// The tenant's part in it; None for a stranger, who may not know of it.
    pub fn party(&self, tenant: Uuid) -> Option<Party> {
        match tenant {
            t if t == self.sender_id => Some(Party::Sender),
            t if t == self.recipient_id => Some(Party::Recipient),
            _ => None,
        }
    }

    /// With the recipient's key, by which the document stands. `agreed_at` is told in it.
    pub fn accept(mut self, key: &str, agreed_at: String) -> Result<Self, Refusal> {
        self.state = self.state.next(Command::Accept)?;
        if key == self.sender_key {
            return Err(Refusal::invalid("key_id", "must not be the key of the other party"));
        }
        key.clone_into(&mut self.recipient_key);
        let document = self.document(agreed_at)?;
        self.envelope = text(&document.envelope().map_err(Refusal::internal)?)?;
        Ok(self)
    }

    fn document(&self, agreed_at: String) -> Result<Document, Refusal> {
        let party = |id: Uuid, name: &str, key: &str| -> Result<AgreementParty, Refusal> {
            Ok(AgreementParty::new(&id.to_string(), name, &signing_key::stored(key)?))
        };
        let terms = serde_json::json!({ "purpose": self.purpose, "criteria": self.criteria, "retained": self.retained });
        Ok(Document {
            format: "tahuka-agreement".into(),
            version: 1,
            id: self.id.to_string(),
            revision: 1,
            programme_id: self.programme_id.to_string(),
            programme_name: self.programme.name.clone(),
            sender: party(self.sender_id, &self.sender_name, &self.sender_key)?,
            recipient: party(self.recipient_id, &self.recipient_name, &self.recipient_key)?,
            agreed_at,
            terms,
        })
    }

    /// The hex of the public key that signs for the party.
    pub fn key_of(&self, party: Party) -> &str {
        match party {
            Party::Sender => &self.sender_key,
            Party::Recipient => &self.recipient_key,
        }
    }

    /// With the party's signature, if it holds. `signature` is base64.
    pub fn sign(mut self, party: Party, signature: &str, on: NaiveDate) -> Result<Self, Refusal> {
        let (own, other) = match party {
            Party::Sender => (self.sender_signed_on, self.recipient_signed_on),
            Party::Recipient => (self.recipient_signed_on, self.sender_signed_on),
        };
        self.state = self.state.next(Command::Sign { last: other.is_some() })?;
        if own.is_some() {
            return Err(Refusal::precondition("ALREADY_SIGNED", "the caller's organisation has signed this agreement already"));
        }
        if on < self.proposed_on {
            return Err(Refusal::invalid("signed_on", "must not be before the agreement was proposed"));
        }
        self.envelope = add_signature(&self.envelope, self.key_of(party), signature)?;
        match party {
            Party::Sender => self.sender_signed_on = Some(on),
            Party::Recipient => self.recipient_signed_on = Some(on),
        }
        Ok(self)
    }

    pub fn end(mut self, on: NaiveDate) -> Result<Self, Refusal> {
        self.state = self.state.next(Command::End)?;
        if on < self.proposed_on {
            return Err(Refusal::invalid("ended_on", "must not be before the agreement was proposed"));
        }
        self.ended_on = Some(on);
        Ok(self)
    }

    pub fn must_be_active(&self) -> Result<(), Refusal> {
        match self.state {
            State::Active => Ok(()),
            State::Ended => Err(Refusal::precondition("AGREEMENT_OVER", "the agreement has ended; propose a new one")),
            _ => Err(Refusal::precondition("AGREEMENT_NOT_ACTIVE", "both parties must have signed the agreement first")),
        }
    }
}

/// An envelope in JSON.
pub fn text(envelope: &Envelope) -> Result<String, Refusal> {
    String::from_utf8(envelope.to_bytes().map_err(Refusal::internal)?).map_err(Refusal::internal)
}

pub fn envelope(text: &str) -> Result<Envelope, Refusal> {
    Envelope::parse(text.as_bytes()).map_err(Refusal::internal)
}

/// The envelope with one more signature (base64) by this public key, if it holds.
pub fn add_signature(envelope_text: &str, public_key: &str, signature: &str) -> Result<String, Refusal> {
    let mut envelope = envelope(envelope_text)?;
    let refused =
        |_| Refusal::precondition("SIGNATURE_INVALID", "the signature does not hold; sign what was answered, with this key");
    envelope.add(&signing_key::stored(public_key)?, signature).map_err(refused)?;
    text(&envelope)
}

#[cfg(test)]
pub mod tests {
    use tahuka_bag::SigningKey;

    use super::*;

    pub fn key(n: u8) -> SigningKey {
        SigningKey::from_seed(&[n; 32])
    }

    pub fn signature(envelope_text: &str, key: &SigningKey) -> String {
        let mut envelope = envelope(envelope_text).unwrap();
        envelope.sign(key).unwrap();
        envelope.signatures.iter().find(|s| s.keyid == key.id()).unwrap().sig.clone()
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    pub fn proposed() -> Agreement {
        Agreement {
            id: Uuid::from_u128(1),
            programme_id: Uuid::from_u128(2),
            sender_id: Uuid::from_u128(3),
            recipient_id: Uuid::from_u128(4),
            state: State::Proposed,
            purpose: "the government takes over".into(),
            programme: Programme {
                name: "Reintegration".into(),
                starts_on: day("2010-01-01"),
                ends_on: day("2014-12-31"),
                districts: vec!["RW33".into()],
                custodian_id: Uuid::from_u128(3),
            },
            sender_name: "IOM".into(),
            recipient_name: "MIDIMAR".into(),
            criteria: all_criteria(Vec::new()),
            retained: Vec::new(),
            sender_key: key(1).public().to_hex(),
            recipient_key: String::new(),
            envelope: String::new(),
            proposed_on: day("2011-01-10"),
            sender_signed_on: None,
            recipient_signed_on: None,
            ended_on: None,
        }
    }

    #[test]
    fn it_is_in_force_once_both_have_signed_the_same_document() -> Result<(), Refusal> {
        assert!(proposed().sign(Party::Sender, "", day("2011-01-11")).is_err(), "there is no document yet");
        let accepted = proposed().accept(&key(2).public().to_hex(), "2011-01-12T00:00:00.000000Z".into())?;
        assert!(accepted.must_be_active().is_err());
        let by_sender = signature(&accepted.envelope, &key(1));
        let one = accepted.clone().sign(Party::Sender, &by_sender, day("2011-01-13"))?;
        assert_eq!(one.state, State::Accepted);
        assert!(one.clone().sign(Party::Sender, &by_sender, day("2011-01-13")).is_err(), "nobody signs twice");
        let by_recipient = signature(&one.envelope, &key(2));
        let both = one.sign(Party::Recipient, &by_recipient, day("2011-01-14"))?;
        both.must_be_active()?;
        let envelope = envelope(&both.envelope)?;
        let document = Document::open(&envelope).map_err(Refusal::internal)?;
        document.check(&envelope).map_err(Refusal::internal)?;
        Ok(())
    }

    #[test]
    fn a_signature_of_another_key_or_of_another_document_does_not_hold() -> Result<(), Refusal> {
        let accepted = proposed().accept(&key(2).public().to_hex(), "2011-01-12T00:00:00.000000Z".into())?;
        let other = proposed().accept(&key(2).public().to_hex(), "2011-01-13T00:00:00.000000Z".into())?;
        for wrong in [signature(&accepted.envelope, &key(3)), signature(&other.envelope, &key(1)), "nonsense".into()] {
            assert!(accepted.clone().sign(Party::Sender, &wrong, day("2011-01-13")).is_err());
        }
        assert!(proposed().accept(&key(1).public().to_hex(), String::new()).is_err(), "one key cannot sign for both");
        Ok(())
    }

    #[test]
    fn every_state_meets_every_command() {
        let commands = [Command::Accept, Command::Sign { last: false }, Command::Sign { last: true }, Command::End];
        let table: Vec<Vec<_>> =
            State::ALL.iter().map(|s| commands.iter().map(|c| s.next(*c).map_or("-", State::word)).collect()).collect();
        assert_eq!(
            table,
            [
                ["accepted", "-", "-", "ended"],
                ["-", "accepted", "active", "ended"],
                ["-", "-", "-", "ended"],
                ["-", "-", "-", "-"],
            ]
        );
    }

    #[test]
    fn a_criterion_that_is_not_told_is_not_waived() {
        let all = all_criteria(vec![(Criterion::OpenCases, Some("they go over as they are".into()))]);
        assert_eq!(all.len(), Criterion::ALL.len());
        assert!(all[0].waived && all.iter().skip(1).all(|a| !a.waived && a.reason.is_empty()));
    }
}
