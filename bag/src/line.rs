//! One line of a file of records, checked without building anything: canonical JSON, the columns of its schema and nothing
//! else, each of its kind. It is the inner loop of a verification.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::record::{GREATEST_NUMBER, double, key_order};
use crate::schema::{Kind, TableSchema};
use crate::value::{inner, integer, is_base64, is_date, is_timestamp, uuid};

/// What is wrong, in words for a person; never with what the record says.
pub type Wrong = String;

/// Nothing that a service writes is deeper.
const DEEPEST: u32 = 64;

/// A schema made ready for reading lines.
pub struct Shape {
    columns: Vec<ShapeColumn>,
}

struct ShapeColumn {
    name: String,
    /// `"name":`
    token: Vec<u8>,
    kind: Kind,
    nullable: bool,
}

/// Where each column's value stands in the line, in the order of the schema's columns.
#[derive(Default)]
pub struct Spans(Vec<(u32, u32)>);

impl Shape {
    pub fn of(schema: &TableSchema) -> Self {
        let column = |c: &crate::Column| ShapeColumn {
            name: c.name.clone(),
            token: format!("{}:", serde_json::Value::from(c.name.as_str())).into_bytes(),
            kind: c.kind,
            nullable: c.nullable,
        };
        Shape { columns: schema.columns.iter().map(column).collect() }
    }

    /// Checks a line (without its end) and notes where its values are.
    pub fn check(&self, line: &[u8], spans: &mut Spans) -> Result<(), Wrong> {
        spans.0.clear();
        if std::str::from_utf8(line).is_err() {
            return Err("is not valid UTF-8".to_owned());
        }
        let mut scan = Scan { bytes: line, at: 0 };
        scan.take(b'{')?;
        for (n, column) in self.columns.iter().enumerate() {
            if n > 0 && !scan.next_is(b',') {
                return Err(self.missing(column, line, scan.at));
            }
            if !line[scan.at..].starts_with(&column.token) {
                return Err(self.not_expected(&mut scan, column));
            }
            scan.at += column.token.len();
            let from = scan.at;
            let seen = scan.value(0).map_err(|wrong| format!("{}: {wrong}", column.name))?;
            column.check(seen, &line[from..scan.at])?;
            spans.0.push((from as u32, scan.at as u32));
        }
        if scan.next_is(b',') || (self.columns.is_empty() && scan.peek() == Some(b'"')) {
            return Err("has a column that its schema has not, or one twice, or columns out of order".to_owned());
        }
        scan.take(b'}')?;
        if scan.at == line.len() { Ok(()) } else { Err("has something after the record".to_owned()) }
    }

    fn missing(&self, column: &ShapeColumn, line: &[u8], at: usize) -> Wrong {
        match line.get(at) {
            Some(b'}') => format!("{} is missing", column.name),
            _ => "is not canonical JSON".to_owned(),
        }
    }

    fn not_expected(&self, scan: &mut Scan, column: &ShapeColumn) -> Wrong {
        let from = scan.at;
        if scan.peek() != Some(b'"') || scan.string().is_err() {
            return "is not canonical JSON".to_owned();
        }
        let key = &scan.bytes[from..scan.at];
        let known = self.columns.iter().any(|c| c.token[..c.token.len() - 1] == *key);
        if known {
            format!("{} is missing, or a column stands twice or out of order", column.name)
        } else {
            format!("{} is missing, or a column is there that its schema has not", column.name)
        }
    }
}

impl Spans {
    /// What a column says: the text of a string, the digits of a number, `true`; none for null.
    pub fn says<'a>(&self, line: &'a [u8], column: usize) -> Option<Cow<'a, str>> {
        let token = self.token(line, column);
        match token.first() {
            Some(b'"') if !token.contains(&b'\\') => std::str::from_utf8(token.get(1..token.len() - 1)?).ok().map(Cow::Borrowed),
            Some(b'"') => serde_json::from_slice(token).ok().map(Cow::Owned),
            Some(b'n') | None => None,
            Some(_) => std::str::from_utf8(token).ok().map(Cow::Borrowed),
        }
    }

    /// The value of a column of kind uuid; none for null.
    pub fn uuid(&self, line: &[u8], column: usize) -> Option<u128> {
        uuid(self.token(line, column))
    }

    pub fn token<'a>(&self, line: &'a [u8], column: usize) -> &'a [u8] {
        self.0.get(column).map_or(&[], |(from, to)| &line[*from as usize..*to as usize])
    }
}

impl ShapeColumn {
    fn check(&self, seen: Seen, token: &[u8]) -> Result<(), Wrong> {
        if seen == Seen::Null {
            let allowed = self.nullable || self.kind == Kind::Json;
            return if allowed { Ok(()) } else { Err(format!("{} is null", self.name)) };
        }
        let right = match self.kind {
            Kind::Json => true,
            Kind::Text => seen == Seen::String,
            Kind::Uuid => uuid(token).is_some(),
            Kind::Date => seen == Seen::String && is_date(inner(token)),
            Kind::Timestamp => seen == Seen::String && is_timestamp(inner(token)),
            Kind::Boolean => seen == Seen::Bool,
            Kind::Double => seen == Seen::Number,
            Kind::Bytes => seen == Seen::String && is_base64(inner(token)),
            // Which of the two forms it has follows from its size: there is one way to write it.
            Kind::Integer => match (seen, integer(token)) {
                (Seen::Number, Some(value)) => (-GREATEST_NUMBER..=GREATEST_NUMBER).contains(&value),
                (Seen::String, Some(value)) => {
                    !(-GREATEST_NUMBER..=GREATEST_NUMBER).contains(&value) && value.to_string().as_bytes() == inner(token)
                }
                _ => false,
            },
        };
        if right { Ok(()) } else { Err(format!("{} is not of its kind ({:?})", self.name, self.kind).to_lowercase()) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// True for what stands in a string as it is.
const PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let mut byte = 0;
    while byte < 0x20 {
        plain[byte] = false;
        byte += 1;
    }
    plain[b'"' as usize] = false;
    plain[b'\\' as usize] = false;
    plain
};

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next_is(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn take(&mut self, byte: u8) -> Result<(), Wrong> {
        if self.next_is(byte) { Ok(()) } else { Err("is not canonical JSON".to_owned()) }
    }

    fn value(&mut self, depth: u32) -> Result<Seen, Wrong> {
        match self.peek() {
            Some(b'"') => self.string().map(|()| Seen::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| Seen::Number),
            Some(b'n') => self.word(b"null").map(|()| Seen::Null),
            Some(b't') => self.word(b"true").map(|()| Seen::Bool),
            Some(b'f') => self.word(b"false").map(|()| Seen::Bool),
            Some(b'[' | b'{') if depth >= DEEPEST => Err("is nested too deeply".to_owned()),
            Some(b'[') => self.array(depth).map(|()| Seen::Array),
            Some(b'{') => self.object(depth).map(|()| Seen::Object),
            _ => Err("is not canonical JSON".to_owned()),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Wrong> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err("is not canonical JSON".to_owned());
        }
        self.at += word.len();
        Ok(())
    }

    fn string(&mut self) -> Result<(), Wrong> {
        self.at += 1;
        loop {
            let rest = &self.bytes[self.at..];
            let plain = rest.iter().position(|b| !PLAIN[usize::from(*b)]).ok_or("has a string without an end")?;
            self.at += plain + 1;
            match rest[plain] {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                _ => return Err("has a control character in a string".to_owned()),
            }
        }
    }

    /// There is one way to write each character: the short escape where there is one, else `\u00` and small hex digits.
    fn escape(&mut self) -> Result<(), Wrong> {
        let wrong = || "has an escape that canonical JSON does not use".to_owned();
        let rest = &self.bytes[self.at..];
        let length = match rest {
            [b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 1,
            [b'u', b'0', b'0', high @ b'0'..=b'1', low, ..] => match (high, low) {
                (b'0', b'8' | b'9' | b'a' | b'c' | b'd') => return Err(wrong()),
                (_, b'0'..=b'9' | b'a'..=b'f') => 5,
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        self.at += length;
        Ok(())
    }

    fn number(&mut self) -> Result<(), Wrong> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|b| !matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).unwrap_or(rest.len());
        let token = &rest[..length];
        let digits = token.strip_prefix(b"-").unwrap_or(token);
        let simple = digits.len() <= 15 && digits.iter().all(u8::is_ascii_digit);
        let canonical = match digits.first() {
            Some(b'1'..=b'9') if simple => true,
            Some(b'0'..=b'9') => {
                let text = std::str::from_utf8(token).unwrap_or_default();
                text.parse::<f64>().is_ok_and(|v| v.is_finite() && double(v) == text)
            }
            _ => false,
        };
        self.at += length;
        if canonical { Ok(()) } else { Err("has a number that is not in canonical form".to_owned()) }
    }

    fn array(&mut self, depth: u32) -> Result<(), Wrong> {
        self.at += 1;
        if self.next_is(b']') {
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            if !self.next_is(b',') {
                return self.take(b']');
            }
        }
    }

    fn object(&mut self, depth: u32) -> Result<(), Wrong> {
        self.at += 1;
        if self.next_is(b'}') {
            return Ok(());
        }
        let mut before: Option<(usize, usize)> = None;
        loop {
            let from = self.at;
            if self.peek() != Some(b'"') {
                return Err("is not canonical JSON".to_owned());
            }
            self.string()?;
            let key = (from, self.at);
            if let Some(before) = before {
                match self.key_order(before, key) {
                    Ordering::Less => {}
                    Ordering::Equal => return Err("has a key twice".to_owned()),
                    Ordering::Greater => return Err("has keys out of order".to_owned()),
                }
            }
            before = Some(key);
            self.take(b':')?;
            self.value(depth + 1)?;
            if !self.next_is(b',') {
                return self.take(b'}');
            }
        }
    }

    fn key_order(&self, a: (usize, usize), b: (usize, usize)) -> Ordering {
        let (a, b) = (&self.bytes[a.0..a.1], &self.bytes[b.0..b.1]);
        if a.is_ascii() && b.is_ascii() && !a.contains(&b'\\') && !b.contains(&b'\\') {
            return inner(a).cmp(inner(b));
        }
        let text = |token| serde_json::from_slice::<String>(token).unwrap_or_default();
        key_order(&text(a), &text(b))
    }
}

/// Checks that bytes are one canonical JSON value.
pub fn is_canonical(bytes: &[u8]) -> Result<(), Wrong> {
    if std::str::from_utf8(bytes).is_err() {
        return Err("is not valid UTF-8".to_owned());
    }
    let mut scan = Scan { bytes, at: 0 };
    scan.value(0)?;
    if scan.at == bytes.len() { Ok(()) } else { Err("has something after its end".to_owned()) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{Column, record};

    fn shape() -> Shape {
        Shape::of(&TableSchema::new(
            "registry",
            "x",
            1,
            &["id"],
            vec![
                Column::new("id", Kind::Uuid, false),
                Column::new("born_on", Kind::Date, true),
                Column::new("minor", Kind::Integer, false),
                Column::new("seen_at", Kind::Timestamp, false),
                Column::new("more", Kind::Json, false),
                Column::new("body", Kind::Bytes, false),
            ],
        ))
    }

    fn good() -> Value {
        json!({
            "id": "0198c0de-0000-7000-8000-0000000000af", "born_on": "2024-02-29", "minor": 12,
            "seen_at": "2026-11-25T09:07:00.000001Z", "more": {"a": [1, 0.5, "é\u{1}\n", {}]}, "body": "AQI=",
        })
    }

    fn verdict(change: impl FnOnce(&mut Value)) -> Result<(), Wrong> {
        let mut value = good();
        change(&mut value);
        shape().check(&record::canonical(&value).unwrap(), &mut Spans::default())
    }

    #[test]
    fn a_record_of_its_schema_is_taken_and_any_other_is_not() {
        verdict(|_| ()).unwrap();
        verdict(|v| v["born_on"] = Value::Null).unwrap();
        verdict(|v| v["minor"] = record::integer(i64::MIN)).unwrap();
        let bad: [(&str, Value); 14] = [
            ("id", Value::Null),
            ("id", json!("0198C0DE-0000-7000-8000-0000000000af")),
            ("id", json!("0198c0de000007000080000000000000afaf")),
            ("born_on", json!("2023-02-29")),
            ("born_on", json!("2024-2-29")),
            ("minor", json!("12")),
            ("minor", json!(1.5)),
            ("minor", json!("92233720368547758080")),
            ("seen_at", json!("2026-11-25T09:07:00Z")),
            ("seen_at", json!("2026-11-25T24:07:00.000001Z")),
            ("body", json!("AQI")),
            ("body", json!("AQJ=")),
            ("body", json!("A===")),
            ("more2", json!(1)),
        ];
        for (column, value) in bad {
            assert!(verdict(|v| v[column] = value.clone()).is_err(), "{column}: {value}");
        }
        assert!(verdict(|v| v.as_object_mut().unwrap().remove("minor").map(|_| ()).unwrap()).is_err());
    }

    #[test]
    fn other_forms_of_the_same_json_are_not_canonical() {
        for text in [
            "{\"a\":1, \"b\":2}",
            "{\"b\":1,\"a\":2}",
            "{\"a\":1,\"a\":2}",
            "[1.0]",
            "[01]",
            "[-0]",
            "[1e2]",
            "[\"\\u0041\"]",
            "[\"\\/\"]",
            "[\"\\u000A\"]",
            "[\"\\u000a\"]",
            "[\"\t\"]",
            "[1,]",
            "[",
            "{\"a\"}",
            "",
            "nul",
            "[1]x",
            "[\"\\ud800\"]",
            "[9007199254740993]",
            "[1E400]",
            "[\"a]",
            "[+1]",
            "[--1]",
            "[1-1]",
            "[.5]",
            "\"\\",
        ] {
            assert!(is_canonical(text.as_bytes()).is_err(), "{text}");
        }
        assert!(is_canonical(b"[\"\xff\"]").is_err());
        assert!(is_canonical("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn the_columns_are_found_where_they_stand() {
        let line = record::canonical(&good()).unwrap();
        let mut spans = Spans::default();
        shape().check(&line, &mut spans).unwrap();
        // By name: body, born_on, id, minor, more, seen_at.
        assert_eq!(spans.says(&line, 1).as_deref(), Some("2024-02-29"));
        assert_eq!(spans.uuid(&line, 2), Some(0x0198c0de_0000_7000_8000_0000000000af));
        assert_eq!(spans.says(&line, 3).as_deref(), Some("12"));
        assert_eq!(spans.says(&line, 9), None);
    }
}
