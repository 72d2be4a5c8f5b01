//! Values of the kinds that columns have, as they are written in a line.

use std::cmp::Ordering;

use crate::schema::Kind;

/// How two values of one kind are sorted.
pub fn order(kind: Kind, a: &[u8], b: &[u8]) -> Ordering {
    match kind {
        Kind::Integer => integer(a).cmp(&integer(b)),
        Kind::Text if a.contains(&b'\\') || b.contains(&b'\\') => {
            let text = |token| serde_json::from_slice::<String>(token).unwrap_or_default();
            text(a).cmp(&text(b))
        }
        _ => inner(a).cmp(inner(b)),
    }
}

pub fn inner(token: &[u8]) -> &[u8] {
    token.get(1..token.len().saturating_sub(1)).unwrap_or_default()
}

pub fn integer(token: &[u8]) -> Option<i64> {
    let digits = if token.first() == Some(&b'"') { inner(token) } else { token };
    std::str::from_utf8(digits).ok()?.parse().ok()
}

pub fn uuid(token: &[u8]) -> Option<u128> {
    let token: &[u8; 38] = token.try_into().ok()?;
    let mut value = 0_u128;
    for (n, byte) in token.iter().enumerate() {
        let digit = match (n, byte) {
            (0 | 37, b'"') | (9 | 14 | 19 | 24, b'-') => continue,
            (_, b'0'..=b'9') => byte - b'0',
            (_, b'a'..=b'f') => byte - b'a' + 10,
            _ => return None,
        };
        value = value << 4 | u128::from(digit);
    }
    // A hyphen or a quote elsewhere was refused above; a digit in their place was not.
    let marks = [9, 14, 19, 24].iter().all(|n| token[*n] == b'-') && token[0] == b'"' && token[37] == b'"';
    marks.then_some(value)
}

fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0')))
}

pub fn is_date(text: &[u8]) -> bool {
    let (Some(year), Some(month), Some(day)) = (text.get(..4), text.get(5..7), text.get(8..10)) else { return false };
    let (Some(year), Some(month), Some(day)) = (digits(year), digits(month), digits(day)) else { return false };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    text.len() == 10 && text[4] == b'-' && text[7] == b'-' && (1..=days).contains(&day)
}

pub fn is_timestamp(text: &[u8]) -> bool {
    let &[_, _, _, _, _, _, _, _, _, _, b'T', h1, h2, b':', m1, m2, b':', s1, s2, b'.', ref fraction @ .., b'Z'] = text else {
        return false;
    };
    let below = |a, b, end| digits(&[a, b]).is_some_and(|n| n < end);
    is_date(&text[..10])
        && below(h1, h2, 24)
        && below(m1, m2, 60)
        && below(s1, s2, 61)
        && fraction.len() == 6
        && digits(fraction).is_some()
}

pub fn is_base64(text: &[u8]) -> bool {
    let padding = text.iter().rev().take_while(|b| **b == b'=').count();
    let body = &text[..text.len() - padding.min(text.len())];
    let plain = body.iter().all(|b| matches!(b, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/'));
    let unused_bits_are_zero = || match (padding, body.last()) {
        (0, _) => true,
        (1, Some(b)) => {
            matches!(b, b'A' | b'E' | b'I' | b'M' | b'Q' | b'U' | b'Y' | b'c' | b'g' | b'k' | b'o' | b's' | b'w')
                || matches!(b, b'0' | b'4' | b'8')
        }
        (2, Some(b)) => matches!(b, b'A' | b'Q' | b'g' | b'w'),
        _ => false,
    };
    text.len().is_multiple_of(4) && plain && unused_bits_are_zero()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_sorted_by_their_kind() {
        assert_eq!(order(Kind::Integer, b"9", b"10"), Ordering::Less);
        assert_eq!(order(Kind::Integer, b"10", b"\"9007199254740992\""), Ordering::Less);
        assert_eq!(order(Kind::Text, b"\"ab\"", b"\"a b\""), Ordering::Greater);
        assert_eq!(order(Kind::Text, b"\"a\"", b"\"a!\""), Ordering::Less);
    }
}
