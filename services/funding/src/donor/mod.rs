//! A donor: who gives the money, and its tenant where it has one.

pub mod rpc;
pub mod store;

/// ISO 3166 alpha-2.
pub fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_two_capitals() {
        assert!(is_country("JP"));
        assert!(!is_country("jp") && !is_country("JPN") && !is_country(""));
    }
}
