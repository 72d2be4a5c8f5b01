//! The ledger: double entry, append-only. Money goes from the donor through cash (and exchange) to
//! available, and from there to reserved, committed and spent of a budget line, or back.

pub mod rpc;
pub mod store;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use tahuka_chassis::{Amount, Currency, Refusal, coded};
use uuid::Uuid;

coded!(
    Bucket {
        Donor = 1 "donor",
        Cash = 2 "cash",
        Exchange = 3 "exchange",
        Available = 4 "available",
        Reserved = 5 "reserved",
        Committed = 6 "committed",
        Spent = 7 "spent",
    }
);

impl Bucket {
    /// Only where money comes from, and where currencies meet, may a balance be below zero.
    pub fn may_be_negative(self) -> bool {
        matches!(self, Bucket::Donor | Bucket::Exchange)
    }
}

coded!(
    PostingKind {
        Receipt = 1 "receipt",
        Credit = 2 "credit",
        Reservation = 3 "reservation",
        Commitment = 4 "commitment",
        Expenditure = 5 "expenditure",
        Release = 6 "release",
    }
);

/// An account of one grant. The order is the order in which balances are taken, so that two
/// postings never wait for each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account {
    pub bucket: Bucket,
    /// None: of the whole grant.
    pub line: Option<Uuid>,
    pub currency: Currency,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub account: Account,
    /// Above zero into the account, below zero out of it.
    pub minor: i64,
    /// What the money is for.
    pub reservation: Option<Uuid>,
}

/// Whose money moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purse {
    pub grant_id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
}

/// A movement of money that balances in each currency.
#[derive(Debug, Clone)]
pub struct Posting {
    pub purse: Purse,
    pub kind: PostingKind,
    pub happened_on: NaiveDate,
    pub description: String,
    entries: Vec<Entry>,
}

/// The part of a budget line that one need takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    pub line: Uuid,
    pub minor: i64,
    pub reservation: Option<Uuid>,
}

impl Posting {
    pub fn new(purse: Purse, kind: PostingKind, happened_on: NaiveDate, entries: Vec<Entry>) -> Result<Self, Refusal> {
        let mut sums: BTreeMap<&Currency, i128> = BTreeMap::new();
        for entry in &entries {
            *sums.entry(&entry.account.currency).or_default() += i128::from(entry.minor);
        }
        if entries.is_empty() || sums.values().any(|sum| *sum != 0) {
            return Err(Refusal::internal("a posting must balance in each currency"));
        }
        Ok(Posting { purse, kind, happened_on, description: String::new(), entries })
    }

    pub fn described(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// From the donor into the grant's cash.
    pub fn receipt(purse: Purse, on: NaiveDate, received: &Amount) -> Result<Self, Refusal> {
        let entries = vec![
            whole(Bucket::Donor, &received.currency, received.minor.checked_neg().unwrap_or(i64::MIN)),
            whole(Bucket::Cash, &received.currency, received.minor),
        ];
        Posting::new(purse, PostingKind::Receipt, on, entries)
    }

    /// From cash to what the grant can promise, through the exchange when the currencies differ.
    pub fn credit(purse: Purse, on: NaiveDate, received: &Amount, credited: &Amount) -> Result<Self, Refusal> {
        let mut entries = vec![whole(Bucket::Cash, &received.currency, -received.minor)];
        if received.currency != credited.currency {
            entries.push(whole(Bucket::Exchange, &received.currency, received.minor));
            entries.push(whole(Bucket::Exchange, &credited.currency, -credited.minor));
        }
        entries.push(whole(Bucket::Available, &credited.currency, credited.minor));
        Posting::new(purse, PostingKind::Credit, on, entries)
    }

    /// From available to reserved, for one need or many.
    pub fn reservation(purse: Purse, on: NaiveDate, currency: &Currency, shares: &[Share]) -> Result<Self, Refusal> {
        let entries = (shares.iter())
            .flat_map(|s| {
                [
                    Entry { reservation: s.reservation, ..whole(Bucket::Available, currency, -s.minor) },
                    of_line(Bucket::Reserved, currency, s, s.minor),
                ]
            })
            .collect();
        Posting::new(purse, PostingKind::Reservation, on, entries)
    }

    pub fn commitment(purse: Purse, on: NaiveDate, currency: &Currency, share: &Share) -> Result<Self, Refusal> {
        let entries = vec![
            of_line(Bucket::Reserved, currency, share, -share.minor),
            of_line(Bucket::Committed, currency, share, share.minor),
        ];
        Posting::new(purse, PostingKind::Commitment, on, entries)
    }

    /// What was held in `from` becomes `actual` spent; the difference comes from available or goes back to it.
    pub fn expenditure(
        purse: Purse,
        on: NaiveDate,
        currency: &Currency,
        from: Bucket,
        held: &Share,
        actual: i64,
    ) -> Result<Self, Refusal> {
        let mut entries = Vec::with_capacity(3);
        if held.minor != 0 {
            entries.push(of_line(from, currency, held, -held.minor));
        }
        if held.minor != actual {
            let back = Entry { reservation: held.reservation, ..whole(Bucket::Available, currency, held.minor - actual) };
            entries.push(back);
        }
        entries.push(of_line(Bucket::Spent, currency, held, actual));
        Posting::new(purse, PostingKind::Expenditure, on, entries)
    }

    /// Back to available, from reserved or committed.
    pub fn release(purse: Purse, on: NaiveDate, currency: &Currency, from: Bucket, share: &Share) -> Result<Self, Refusal> {
        let entries = vec![
            of_line(from, currency, share, -share.minor),
            Entry { reservation: share.reservation, ..whole(Bucket::Available, currency, share.minor) },
        ];
        Posting::new(purse, PostingKind::Release, on, entries)
    }

    /// By how much each account changes.
    pub fn movements(&self) -> BTreeMap<&Account, i64> {
        let mut movements = BTreeMap::new();
        for entry in &self.entries {
            *movements.entry(&entry.account).or_default() += entry.minor;
        }
        movements
    }

    /// By how much the use of each budget line changes.
    pub fn line_use(&self) -> BTreeMap<Uuid, i64> {
        let mut lines = BTreeMap::new();
        for entry in &self.entries {
            if let Some(line) = entry.account.line {
                *lines.entry(line).or_default() += entry.minor;
            }
        }
        lines
    }
}

fn whole(bucket: Bucket, currency: &Currency, minor: i64) -> Entry {
    Entry { account: Account { bucket, line: None, currency: currency.clone() }, minor, reservation: None }
}

fn of_line(bucket: Bucket, currency: &Currency, share: &Share, minor: i64) -> Entry {
    Entry {
        account: Account { bucket, line: Some(share.line), currency: currency.clone() },
        minor,
        reservation: share.reservation,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn purse() -> Purse {
        Purse { grant_id: Uuid::from_u128(1), programme_id: Uuid::from_u128(2), custodian_id: Uuid::from_u128(3) }
    }

    fn day() -> NaiveDate {
        NaiveDate::from_ymd_opt(2010, 4, 1).unwrap()
    }

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    fn amount(minor: i64, code: &str) -> Amount {
        Amount { minor, currency: currency(code) }
    }

    fn share(line: u128, minor: i64) -> Share {
        Share { line: Uuid::from_u128(line), minor, reservation: Some(Uuid::from_u128(line + 100)) }
    }

    #[test]
    fn a_posting_balances_in_each_currency() {
        let crooked = vec![whole(Bucket::Donor, &currency("JPY"), -100), whole(Bucket::Available, &currency("USD"), 100)];
        assert!(Posting::new(purse(), PostingKind::Credit, day(), crooked).is_err());
        assert!(Posting::new(purse(), PostingKind::Credit, day(), Vec::new()).is_err());
        let credit = Posting::credit(purse(), day(), &amount(100_000, "JPY"), &amount(118_340, "USD")).unwrap();
        assert_eq!(credit.entries().len(), 4);
        let same = Posting::credit(purse(), day(), &amount(5, "USD"), &amount(5, "USD")).unwrap();
        assert_eq!(same.entries().len(), 2);
    }

    #[test]
    fn less_spent_than_committed_gives_the_rest_back() {
        let posting = Posting::expenditure(purse(), day(), &currency("USD"), Bucket::Committed, &share(7, 500), 420).unwrap();
        assert_eq!(posting.line_use().into_values().collect::<Vec<_>>(), [-80]);
        let available = posting.movements().into_iter().find(|(a, _)| a.bucket == Bucket::Available).map(|(_, m)| m);
        assert_eq!(available, Some(80));
    }

    #[test]
    fn many_needs_in_one_posting_move_each_account_once() {
        let shares = [share(7, 10), share(7, 20), share(8, 5)];
        let posting = Posting::reservation(purse(), day(), &currency("RWF"), &shares).unwrap();
        assert_eq!(posting.movements().into_values().collect::<Vec<_>>(), [-35, 30, 5]);
        assert_eq!(posting.line_use().into_values().collect::<Vec<_>>(), [30, 5]);
    }

    #[test]
    fn whatever_is_posted_nothing_is_made_or_lost() {
        let mut random = StdRng::seed_from_u64(2010);
        let usd = currency("USD");
        let mut balances: BTreeMap<Account, i64> = BTreeMap::new();
        let mut held: Vec<(Bucket, Share)> = Vec::new();
        for n in 0..2000 {
            let one = random.gen_range(1..1000);
            let made = match random.gen_range(0..5) {
                0 => vec![
                    Posting::receipt(purse(), day(), &amount(one * 84, "JPY")),
                    Posting::credit(purse(), day(), &amount(one * 84, "JPY"), &amount(one, "USD")),
                ],
                1 => {
                    let share = share(n % 3, one);
                    held.push((Bucket::Reserved, share.clone()));
                    vec![Posting::reservation(purse(), day(), &usd, &[share])]
                }
                _ if held.is_empty() => continue,
                pick => {
                    let at = random.gen_range(0..held.len());
                    let (bucket, share) = held.swap_remove(at);
                    match (pick, bucket) {
                        (2, Bucket::Reserved) => {
                            held.push((Bucket::Committed, share.clone()));
                            vec![Posting::commitment(purse(), day(), &usd, &share)]
                        }
                        (3, _) => vec![Posting::expenditure(purse(), day(), &usd, bucket, &share, one)],
                        _ => vec![Posting::release(purse(), day(), &usd, bucket, &share)],
                    }
                }
            };
            for posting in made {
                for (account, delta) in posting.unwrap().movements() {
                    *balances.entry(account.clone()).or_default() += delta;
                }
            }
            for code in ["USD", "JPY"] {
                assert_eq!(balances.iter().filter(|(a, _)| a.currency.as_str() == code).map(|(_, b)| b).sum::<i64>(), 0);
            }
        }
        assert!(balances.iter().filter(|(a, _)| a.bucket == Bucket::Cash).all(|(_, b)| *b == 0));
    }
}
