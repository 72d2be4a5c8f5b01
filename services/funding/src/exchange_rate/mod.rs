//! Exchange rates: each with its date and source, and integer arithmetic only.

pub mod rpc;
pub mod store;

use chrono::NaiveDate;
use tahuka_chassis::{Amount, Currency};
use uuid::Uuid;

/// Digits after the decimal point of a rate.
const DIGITS: usize = 9;
const ONE: i128 = 1_000_000_000;

/// Units of the quote currency for one unit of the base, times 10^9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(i64);

impl Rate {
    /// None unless `text` is a decimal above zero, with no more than 9 places.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || whole.len() > 9 || fraction.len() > DIGITS || !digits(whole) || !digits(fraction) {
            return None;
        }
        let scaled: i64 = format!("{whole}{fraction:0<DIGITS$}").parse().ok()?;
        (scaled > 0).then_some(Rate(scaled))
    }

    pub fn scaled(self) -> i64 {
        self.0
    }

    pub fn of_scaled(scaled: i64) -> Option<Self> {
        (scaled > 0).then_some(Rate(scaled))
    }

    /// `amount`, which is in the rate's base, in `quote`.
    pub fn forward(self, amount: &Amount, quote: &Currency) -> Option<i64> {
        let minor = i128::from(amount.minor).checked_mul(self.0.into())?.checked_mul(scale(quote))?;
        rounded(minor, ONE * scale(&amount.currency))
    }

    /// `amount`, which is in the rate's quote, in `base`.
    pub fn backward(self, amount: &Amount, base: &Currency) -> Option<i64> {
        let minor = i128::from(amount.minor).checked_mul(ONE)?.checked_mul(scale(base))?;
        rounded(minor, i128::from(self.0) * scale(&amount.currency))
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{}.{:09}", i128::from(self.0) / ONE, i128::from(self.0) % ONE);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A rate of a pair, in force from a day until a newer one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    pub id: Uuid,
    pub base: Currency,
    pub quote: Currency,
    pub valid_on: NaiveDate,
    pub rate: Rate,
}

impl Quote {
    /// `amount` in the other currency of the pair.
    fn convert(&self, amount: &Amount, to: &Currency) -> Option<i64> {
        if self.is_direct(amount, to) { self.rate.forward(amount, to) } else { self.rate.backward(amount, to) }
    }

    fn is_direct(&self, amount: &Amount, to: &Currency) -> bool {
        self.base == amount.currency && self.quote == *to
    }

    fn is_of(&self, amount: &Amount, to: &Currency) -> bool {
        self.is_direct(amount, to) || (self.base == *to && self.quote == amount.currency)
    }
}

/// What amounts of one currency are in another, by the day.
#[derive(Debug, Clone, Default)]
pub struct Rates(pub Vec<Quote>);

impl Rates {
    /// `amount` in `to` by the newest rate of the pair, told either way, that is in force on the day, and that rate;
    /// none is needed within one currency.
    pub fn convert(&self, amount: &Amount, to: &Currency, on: NaiveDate) -> Option<(i64, Option<Uuid>)> {
        if amount.currency == *to {
            return Some((amount.minor, None));
        }
        let in_force = (self.0.iter())
            .filter(|q| q.valid_on <= on && q.is_of(amount, to))
            .max_by_key(|q| (q.valid_on, q.is_direct(amount, to)))?;
        Some((in_force.convert(amount, to)?, Some(in_force.id)))
    }
}

fn scale(currency: &Currency) -> i128 {
    10_i128.pow(currency.decimals())
}

/// Rounds half to even; None when it does not fit.
fn rounded(dividend: i128, divisor: i128) -> Option<i64> {
    let quotient = dividend.div_euclid(divisor);
    let twice = dividend.rem_euclid(divisor) * 2;
    let up = twice > divisor || (twice == divisor && quotient % 2 != 0);
    i64::try_from(quotient + i128::from(up)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    fn amount(minor: i64, code: &str) -> Amount {
        Amount { minor, currency: currency(code) }
    }

    #[test]
    fn a_rate_is_a_decimal_above_zero() {
        assert_eq!(Rate::parse("0.011834").map(Rate::scaled), Some(11_834_000));
        assert_eq!(Rate::parse("580").map(Rate::scaled), Some(580_000_000_000));
        for bad in ["", "0", "-1", "1e3", "1.0000000001", ".5", "1.2.3", "1234567890"] {
            assert_eq!(Rate::parse(bad), None, "{bad}");
        }
        assert_eq!(Rate::parse("0.011834").unwrap().to_string(), "0.011834");
        assert_eq!(Rate::parse("580").unwrap().to_string(), "580");
    }

    #[test]
    fn yen_become_dollars_and_dollars_francs() {
        let rate = Rate::parse("0.011834").unwrap();
        assert_eq!(rate.forward(&amount(100_000_000, "JPY"), &currency("USD")), Some(118_340_000));
        let rate = Rate::parse("580.5").unwrap();
        assert_eq!(rate.forward(&amount(100, "USD"), &currency("RWF")), Some(580));
        assert_eq!(rate.forward(&amount(300, "USD"), &currency("RWF")), Some(1742));
        assert_eq!(rate.backward(&amount(580_500, "RWF"), &currency("USD")), Some(100_000));
    }

    #[test]
    fn the_newest_rate_of_the_day_counts_told_either_way() {
        let quote = |id, base, other, month, rate| Quote {
            id: Uuid::from_u128(id),
            base: currency(base),
            quote: currency(other),
            valid_on: NaiveDate::from_ymd_opt(2011, month, 1).unwrap(),
            rate: Rate::parse(rate).unwrap(),
        };
        let rates =
            Rates(vec![quote(1, "JPY", "USD", 2, "0.012"), quote(2, "USD", "JPY", 4, "80"), quote(3, "USD", "RWF", 1, "600")]);
        let on = |month| NaiveDate::from_ymd_opt(2011, month, 15).unwrap();
        let yen = amount(1000, "JPY");
        assert_eq!(rates.convert(&yen, &currency("USD"), on(1)), None);
        assert_eq!(rates.convert(&yen, &currency("USD"), on(3)), Some((1200, Some(Uuid::from_u128(1)))));
        assert_eq!(rates.convert(&yen, &currency("USD"), on(5)), Some((1250, Some(Uuid::from_u128(2)))));
        assert_eq!(rates.convert(&yen, &currency("JPY"), on(1)), Some((1000, None)));
    }

    #[test]
    fn too_much_is_none() {
        let rate = Rate::parse("999999999").unwrap();
        assert_eq!(rate.forward(&amount(i64::MAX, "USD"), &currency("RWF")), None);
    }
}
