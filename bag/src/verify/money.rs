//! The ledger's own rules, over the lines of `funding/entry`: each posting balances in each currency and has all its
//! entries, and each balance is the sum of its entries.

use std::collections::{BTreeMap, HashMap};

use super::fault::{Check, Faults};
use super::ids::Ids;

/// Of one grant: bucket, line (0: the whole grant), currency.
type Account = (u128, String, u128, String);

#[derive(Debug, Default)]
pub struct Ledger {
    /// Postings that do not balance yet. The entries of one stand close together, so that these are few.
    open: HashMap<u128, Vec<(String, i128)>>,
    /// Entries seen of each posting, by its place among the ids.
    seen: Vec<u32>,
    accounts: BTreeMap<Account, i128>,
}

pub struct Entry<'a> {
    pub posting: u128,
    /// The posting's place among the ids of postings.
    pub place: Option<usize>,
    pub grant: u128,
    pub bucket: &'a str,
    pub line: Option<u128>,
    pub currency: &'a str,
    pub minor: i64,
}

impl Ledger {
    pub fn new(postings: usize) -> Self {
        Ledger { seen: vec![0; postings], ..Ledger::default() }
    }

    pub fn add(&mut self, entry: &Entry) {
        if let Some(seen) = entry.place.and_then(|place| self.seen.get_mut(place)) {
            *seen = seen.saturating_add(1);
        }
        let sums = self.open.entry(entry.posting).or_default();
        match sums.iter_mut().find(|(currency, _)| currency == entry.currency) {
            Some((_, sum)) => *sum += i128::from(entry.minor),
            None => sums.push((entry.currency.to_owned(), i128::from(entry.minor))),
        }
        if sums.iter().all(|(_, sum)| *sum == 0) {
            self.open.remove(&entry.posting);
        }
        let account = (entry.grant, entry.bucket.to_owned(), entry.line.unwrap_or(0), entry.currency.to_owned());
        *self.accounts.entry(account).or_default() += i128::from(entry.minor);
    }

    /// After the last entry.
    pub fn close(&mut self, postings: &Ids, path: &str, posting_path: &str, faults: &mut Faults) {
        for id in std::mem::take(&mut self.open).into_keys() {
            match postings.find(id) {
                Some(place) => faults.add(Check::Money, posting_path, place as u64 + 1, "its entries do not balance"),
                // Refused as a reference already.
                None => faults.add(Check::Money, path, None, "entries of a posting that is not there do not balance"),
            }
        }
        for (place, seen) in self.seen.iter().enumerate() {
            if let Some(told) = postings.told(place)
                && told != *seen
            {
                faults.add(Check::Money, posting_path, place as u64 + 1, format!("has {seen} entries, and says {told}"));
            }
        }
    }

    /// A line of `funding/balance`. Balances of a grant whose entries are not here are not asked for.
    pub fn balance(&mut self, account: Account, minor: i64) -> bool {
        self.accounts.remove(&account).unwrap_or(0) == i128::from(minor)
    }

    /// After the last balance: an account with money in it that no balance tells of.
    pub fn untold(&self) -> bool {
        self.accounts.values().any(|sum| *sum != 0)
    }
}
