//! A record is one line: the canonical form of a JSON object (RFC 8785), so that the same record has the same bytes and the
//! same digest wherever it is written, and whoever writes it.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use crate::{Error, Result};

/// Above it a JSON number means different things to different readers: such integers are written as strings.
pub const GREATEST_NUMBER: i64 = (1 << 53) - 1;

/// The canonical bytes, without the line's end.
pub fn canonical(value: &Value) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(512);
    write(value, &mut out)?;
    Ok(out)
}

/// The canonical bytes of whatever serialises to JSON.
pub fn canonical_of<T: serde::Serialize>(value: &T) -> Result<Vec<u8>> {
    canonical(&serde_json::to_value(value).map_err(|e| Error::NotCanonical(e.to_string()))?)
}

/// Whether bytes are one JSON value in the canonical form; if not, what is wrong.
pub fn check(bytes: &[u8]) -> Result<()> {
    crate::line::is_canonical(bytes).map_err(Error::NotCanonical)
}

/// An integer of a record: a number as long as every reader takes it for the same one, else a string.
pub fn integer(value: i64) -> Value {
    if (-GREATEST_NUMBER..=GREATEST_NUMBER).contains(&value) { Value::from(value) } else { Value::from(value.to_string()) }
}

/// How canonical JSON orders keys: by their UTF-16 code units.
pub fn key_order(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

/// Appends the canonical bytes to `out`.
pub fn write(value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(number, out)?,
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| key_order(a, b));
            out.push(b'{');
            for (n, (key, member)) in sorted.into_iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write(member, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_number(number: &Number, out: &mut Vec<u8>) -> Result<()> {
    let beyond = || Error::NotCanonical("an integer beyond 2^53-1 is written as a string".to_owned());
    if number.is_i64() || number.is_u64() {
        let text = number.to_string();
        let small = number.as_i64().is_some_and(|value| (-GREATEST_NUMBER..=GREATEST_NUMBER).contains(&value));
        // A large double has no point and no exponent either: what was written as one is written again as it was.
        if !small && number.as_f64().map(double).as_deref() != Some(&text) {
            return Err(beyond());
        }
        out.extend_from_slice(text.as_bytes());
    } else {
        let value = number.as_f64().filter(|v| v.is_finite());
        let value = value.ok_or_else(|| Error::NotCanonical("a number that is not finite".to_owned()))?;
        out.extend_from_slice(double(value).as_bytes());
    }
    Ok(())
}

/// A finite double as ECMAScript writes it, which is what RFC 8785 asks for: the shortest digits that give it back,
/// without an exponent between 1e-6 and 1e21.
pub fn double(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    // Ryu has the same digits, in a form of its own: "-1.2345e-7", "0.001", "123000.0".
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format_finite(value);
    let (sign, shortest) = shortest.strip_prefix('-').map_or(("", shortest), |m| ("-", m));
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{part}");
    let significant = all.trim_start_matches('0');
    // The place of the point, counted from before the first digit.
    let point = exponent.parse().unwrap_or(0) + whole.len() as i32 - (all.len() - significant.len()) as i32;
    let digits = significant.trim_end_matches('0').to_owned();
    let count = digits.len() as i32;
    let exponent = point - 1;
    let plain = if count <= point && point <= 21 {
        digits + &"0".repeat((point - count) as usize)
    } else if 0 < point && point <= 21 {
        let (whole, part) = digits.split_at(point as usize);
        format!("{whole}.{part}")
    } else if -6 < point && point <= 0 {
        format!("0.{}{digits}", "0".repeat(-point as usize))
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let plus = if exponent > 0 { "+" } else { "" };
        format!("{first}{dot}{rest}e{plus}{exponent}")
    };
    format!("{sign}{plain}")
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut done = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            0x00..=0x1f => 0,
            _ => continue,
        };
        out.extend_from_slice(&bytes[done..at]);
        if short == 0 {
            out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
        } else {
            out.extend_from_slice(&[b'\\', short]);
        }
        done = at + 1;
    }
    out.extend_from_slice(&bytes[done..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(value: &Value) -> String {
        String::from_utf8(canonical(value).unwrap()).unwrap()
    }

    #[test]
    fn the_example_of_the_rfc() {
        let value: Value = serde_json::from_str(
            r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
                "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"#,
        )
        .unwrap();
        assert_eq!(
            text(&value),
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
             \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
        );
    }

    #[test]
    fn keys_go_by_utf16_and_not_by_utf8() {
        // From the RFC: U+1F600 is a pair of surrogates, which come before U+FB33.
        let value = json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
        assert_eq!(text(&value), "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}");
    }

    #[test]
    fn doubles_as_in_the_rfcs_appendix() {
        let vectors = [
            (0x0000000000000000, "0"),
            (0x8000000000000000, "0"),
            (0x0000000000000001, "5e-324"),
            (0x8000000000000001, "-5e-324"),
            (0x7fefffffffffffff, "1.7976931348623157e+308"),
            (0x4340000000000000, "9007199254740992"),
            (0xc340000000000000, "-9007199254740992"),
            (0x4430000000000000, "295147905179352830000"),
            (0x44b52d02c7e14af5, "9.999999999999997e+22"),
            (0x44b52d02c7e14af6, "1e+23"),
            (0x44b52d02c7e14af7, "1.0000000000000001e+23"),
            (0x444b1ae4d6e2ef4e, "999999999999999700000"),
            (0x444b1ae4d6e2ef4f, "999999999999999900000"),
            (0x444b1ae4d6e2ef50, "1e+21"),
            (0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"),
            (0x3eb0c6f7a0b5ed8d, "0.000001"),
            (0x41b3de4355555553, "333333333.3333332"),
            (0x41b3de4355555554, "333333333.33333325"),
            (0x41b3de4355555555, "333333333.3333333"),
            (0x41b3de4355555556, "333333333.3333334"),
            (0x41b3de4355555557, "333333333.33333343"),
            (0xbecbf647612f3696, "-0.0000033333333333333333"),
            (0x43143ff3c1cb0959, "1424953923781206.2"),
        ];
        for (bits, written) in vectors {
            assert_eq!(double(f64::from_bits(bits)), written, "{bits:x}");
        }
    }

    #[test]
    fn integers_that_readers_would_round_are_strings() {
        assert_eq!(text(&json!({"a": integer(GREATEST_NUMBER), "b": integer(-GREATEST_NUMBER - 1)})), {
            "{\"a\":9007199254740991,\"b\":\"-9007199254740992\"}"
        });
        assert!(canonical(&json!(9_007_199_254_740_993_i64)).is_err());
        assert!(canonical(&json!(u64::MAX)).is_err());
    }
}
