//! A tenant: an organisation that shares the platform.

pub mod identity_provider;
pub mod rpc;
pub mod store;

use tahuka_chassis::{Refusal, TenantKind};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    pub id: Uuid,
    pub name: String,
    pub kind: TenantKind,
    pub slug: Slug,
    pub state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Active,
    Suspended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Suspend,
    Reinstate,
}

impl State {
    pub fn next(self, command: Command) -> Result<State, Refusal> {
        match (self, command) {
            (State::Active, Command::Suspend) => Ok(State::Suspended),
            (State::Suspended, Command::Reinstate) => Ok(State::Active),
            (State::Suspended, Command::Suspend) => {
                Err(Refusal::precondition("TENANT_SUSPENDED", "the tenant is suspended already"))
            }
            (State::Active, Command::Reinstate) => {
                Err(Refusal::precondition("TENANT_ACTIVE", "the tenant is active; only a suspended one can be reinstated"))
            }
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Suspended => "suspended",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [State::Active, State::Suspended].into_iter().find(|s| s.as_str() == word)
    }
}

pub const KINDS: [TenantKind; 5] =
    [TenantKind::Operator, TenantKind::Ministry, TenantKind::Donor, TenantKind::ImplementingPartner, TenantKind::Platform];

pub fn kind_name(kind: TenantKind) -> &'static str {
    match kind {
        TenantKind::Operator => "operator",
        TenantKind::Ministry => "ministry",
        TenantKind::Donor => "donor",
        TenantKind::ImplementingPartner => "implementing_partner",
        TenantKind::Platform => "platform",
    }
}

pub fn kind_named(word: &str) -> Option<TenantKind> {
    KINDS.into_iter().find(|kind| kind_name(*kind) == word)
}

/// A tenant's short name: 2 to 40 lower-case letters, digits and inner hyphens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slug(String);

impl Slug {
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let shaped = (2..=40).contains(&text.len()) && plain && !text.starts_with('-') && !text.ends_with('-');
        shaped.then(|| Slug(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspension_is_undone_by_reinstatement_and_neither_repeats() -> Result<(), Refusal> {
        let suspended = State::Active.next(Command::Suspend)?;
        assert_eq!(suspended.next(Command::Reinstate)?, State::Active);
        assert!(suspended.next(Command::Suspend).is_err());
        assert!(State::Active.next(Command::Reinstate).is_err());
        Ok(())
    }

    #[test]
    fn every_kind_keeps_its_name() {
        for kind in KINDS {
            assert_eq!(kind_named(kind_name(kind)), Some(kind));
        }
    }

    #[test]
    fn slugs_are_plain() {
        for good in ["iom", "midimar", "jp-mofa", "p2"] {
            assert!(Slug::parse(good).is_some(), "{good}");
        }
        for bad in ["", "a", "IOM", "-iom", "iom-", "i om", "é1"] {
            assert!(Slug::parse(bad).is_none(), "{bad}");
        }
    }
}
