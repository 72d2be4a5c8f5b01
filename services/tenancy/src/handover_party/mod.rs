//! Who takes a programme over from whom: the recipient of a handover agrees with others in its own name from the day that
//! both have signed, so that nobody who was let in is shut out when the records change hands.

pub mod rpc;
pub mod store;

use std::collections::BTreeSet;

use chrono::NaiveDate;
use uuid::Uuid;

use crate::agreement::Agreement;

/// Those whom the sender lets in `today`, and the recipient does not, each once.
pub fn unmatched(sender: Uuid, recipient: Uuid, agreements: &[Agreement], today: NaiveDate) -> Vec<Uuid> {
    let let_in_by = |custodian: Uuid| -> BTreeSet<Uuid> {
        let of = agreements.iter().filter(|agreement| agreement.custodian_id == custodian && agreement.in_force(today));
        of.map(|agreement| agreement.recipient_id).collect()
    };
    let by_recipient = let_in_by(recipient);
    let parties = [sender, recipient];
    let_in_by(sender).into_iter().filter(|tenant| !parties.contains(tenant) && !by_recipient.contains(tenant)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agreement::State;

    fn agreement(custodian: u128, recipient: u128) -> Agreement {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        Agreement {
            id: Uuid::from_u128(1),
            programme_id: Uuid::from_u128(2),
            custodian_id: Uuid::from_u128(custodian),
            recipient_id: Uuid::from_u128(recipient),
            state: State::Active,
            terms: Vec::new(),
            purpose: String::new(),
            starts_on: day("2010-01-01"),
            ends_on: day("2030-12-31"),
            custodian_signed_on: None,
            recipient_signed_on: None,
            revoked_on: None,
            revision: 1,
        }
    }

    #[test]
    fn whoever_is_let_in_by_the_sender_alone_stands_in_the_way() {
        const IOM: u128 = 10;
        const MINISTRY: u128 = 11;
        const JAPAN: u128 = 12;
        const PARTNER: u128 = 13;
        let today = "2014-12-31".parse().unwrap();
        let of = |agreements: &[Agreement]| unmatched(Uuid::from_u128(IOM), Uuid::from_u128(MINISTRY), agreements, today);
        let before = [agreement(IOM, JAPAN), agreement(IOM, MINISTRY), agreement(IOM, PARTNER), agreement(IOM, JAPAN)];
        assert_eq!(of(&before), [JAPAN, PARTNER].map(Uuid::from_u128));
        let mut after = before.to_vec();
        after.extend([agreement(MINISTRY, JAPAN), agreement(MINISTRY, IOM)]);
        assert_eq!(of(&after), [Uuid::from_u128(PARTNER)]);
        after[2].state = State::Revoked;
        assert!(of(&after).is_empty());
        assert_eq!(of(&[agreement(IOM, JAPAN), Agreement { state: State::Expired, ..agreement(MINISTRY, JAPAN) }]).len(), 1);
    }
}
