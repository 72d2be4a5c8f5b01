//! A distribution: livestock, shelter items or start-up capital handed to the people on its list, each with a proof of
//! delivery. Nothing can be handed out twice.

pub mod entitlement;
pub mod rpc;
pub mod store;

use tahuka_chassis::{Refusal, coded};

coded!(State { Open = 1 "open", Closed = 2 "closed" });

coded!(
    /// Lapsed: not collected.
    EntitlementState { Open = 1 "open", Delivered = 2 "delivered", Lapsed = 3 "lapsed" }
);

coded!(Proof { Signature = 1 "signature", Thumbprint = 2 "thumbprint", Photo = 3 "photo", Witness = 4 "witness" });

/// Whether something may be handed over for an entitlement of this state; None for who is not on the list.
pub fn deliverable(entitlement: Option<EntitlementState>) -> Result<(), Refusal> {
    match entitlement {
        Some(EntitlementState::Open) => Ok(()),
        Some(EntitlementState::Delivered) => {
            Err(Refusal::precondition("ALREADY_DELIVERED", "the plan has been delivered; nothing is handed out twice"))
        }
        Some(EntitlementState::Lapsed) | None => {
            Err(Refusal::precondition("NOT_ON_LIST", "the plan is not on the list of this distribution"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_open_entitlement_is_delivered() {
        let reason = |state| match deliverable(state) {
            Err(Refusal::Precondition { reason, .. }) => reason,
            _ => "",
        };
        assert_eq!(reason(Some(EntitlementState::Open)), "");
        assert_eq!(reason(Some(EntitlementState::Delivered)), "ALREADY_DELIVERED");
        assert_eq!(reason(Some(EntitlementState::Lapsed)), "NOT_ON_LIST");
        assert_eq!(reason(None), "NOT_ON_LIST");
    }
}
