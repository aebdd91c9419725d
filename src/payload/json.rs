//! JSON (RFC 8259), with exact numbers, repeated keys, and the position of a fault.
//! `serde_json` would round numbers of more than 64 bits and decimal fractions, and
//! keep only the last of equal keys.

use super::fault::{Budget, Fault};
use super::value::Value;

/// Decodes a text that is one JSON value.
pub(super) fn decode(bytes: &[u8]) -> Result<Value, Fault> {
    // RFC 8259, 8.1: a byte order mark may be ignored.
    let start = if bytes.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let mut parser = Parser {
        bytes,
        at: start,
        budget: Budget::new(),
    };
    parser.blank();
    let value = parser.value()?;
    parser.blank();
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(parser.expected("the end")),
    }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    budget: Budget,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expected(&self, what: &str) -> Fault {
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some(byte @ 0x21..=0x7e) => format!("{:?}", char::from(byte)),
            Some(byte) => format!("0x{byte:02x}"),
        };
        Fault::new(self.at, format!("expected {what}, found {found}"))
    }

    fn value(&mut self) -> Result<Value, Fault> {
        self.budget.value(self.at)?;
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(self.expected("a JSON value")),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Fault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(self.expected("a JSON value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn object(&mut self) -> Result<Value, Fault> {
        self.budget.enter(self.at)?;
        self.at += 1;
        let mut entries = Vec::new();
        self.blank();
        if !self.take(b'}') {
            loop {
                self.blank();
                if self.peek() != Some(b'"') {
                    return Err(self.expected("a name in quotes"));
                }
                let name = self.string()?;
                self.blank();
                if !self.take(b':') {
                    return Err(self.expected("':'"));
                }
                self.blank();
                entries.push((name, self.value()?));
                self.blank();
                if self.take(b'}') {
                    break;
                }
                if !self.take(b',') {
                    return Err(self.expected("',' or '}'"));
                }
            }
        }
        self.budget.leave();
        Ok(Value::Map(entries))
    }

    fn array(&mut self) -> Result<Value, Fault> {
        self.budget.enter(self.at)?;
        self.at += 1;
        let mut items = Vec::new();
        self.blank();
        if !self.take(b']') {
            loop {
                self.blank();
                items.push(self.value()?);
                self.blank();
                if self.take(b']') {
                    break;
                }
                if !self.take(b',') {
                    return Err(self.expected("',' or ']'"));
                }
            }
        }
        self.budget.leave();
        Ok(Value::List(items))
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        match self.at > start {
            true => Ok(()),
            false => Err(self.expected("a digit")),
        }
    }

    fn number(&mut self) -> Result<Value, Fault> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        let mut whole = true;
        if self.take(b'.') {
            whole = false;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            whole = false;
            self.at += 1;
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        let digits = self.bytes.get(start..self.at).unwrap_or_default();
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        Ok(match digits.parse() {
            // -0 is not 0.
            Ok(integer) if whole && digits != "-0" => Value::Integer(integer),
            _ => Value::Decimal(digits.into()),
        })
    }

    fn string(&mut self) -> Result<Box<str>, Fault> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
            let plain = rest.iter().position(special).unwrap_or(rest.len());
            let part = rest.get(..plain).unwrap_or_default();
            match std::str::from_utf8(part) {
                Ok(part) => text.push_str(part),
                Err(error) => {
                    let at = self.at + error.valid_up_to();
                    return Err(Fault::new(at, "expected UTF-8"));
                }
            }
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text.into());
                }
                Some(b'\\') => text.push(self.escape()?),
                _ => return Err(self.expected("'\"'")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        self.at += 1;
        let char = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.expected("an escape")),
        };
        self.at += 1;
        Ok(char)
    }

    /// An unpaired surrogate becomes U+FFFD: the grammar allows it, but UTF-8 cannot
    /// represent it.
    fn unicode(&mut self) -> Result<char, Fault> {
        let first = self.four_digits()?;
        if !(0xd800..0xdc00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let mark = self.at;
        if self.take(b'\\') && self.take(b'u') {
            let second = self.four_digits()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
        }
        self.at = mark;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn four_digits(&mut self) -> Result<u32, Fault> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.expected("a hexadecimal digit"))?;
            self.at += 1;
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_exact() {
        for (text, value) in [
            ("0", Value::Integer(0)),
            (
                "-9223372036854775809",
                Value::Integer(-9_223_372_036_854_775_809),
            ),
            ("18446744073709551616", Value::Integer(1 << 64)),
            ("1.10", Value::Decimal("1.10".into())),
            ("-0", Value::Decimal("-0".into())),
            ("1E400", Value::Decimal("1E400".into())),
            (
                "0.1234567890123456789",
                Value::Decimal("0.1234567890123456789".into()),
            ),
        ] {
            assert_eq!(decode(text.as_bytes()), Ok(value), "{text}");
        }
    }

    #[test]
    fn faults_say_where() {
        for (text, offset) in [
            ("", 0),
            ("{\"a\":1,}", 7),
            ("[1 2]", 3),
            ("01", 1),
            ("1.", 2),
            ("\"\\x\"", 2),
            ("\"\u{1}\"", 1),
            ("nul", 0),
            ("{} x", 3),
            ("\"\\ud8", 5),
        ] {
            assert_eq!(
                decode(text.as_bytes()).expect_err(text).offset,
                offset,
                "{text}"
            );
        }
        assert_eq!(decode(b"\"a\xff\"").expect_err("not UTF-8").offset, 2);
    }

    #[test]
    fn depth_and_count_have_limits() {
        assert!(decode("[".repeat(100_000).as_bytes()).is_err());
        let many = format!("[{}0]", "0,".repeat(crate::limits::PAYLOAD_VALUES));
        let fault = decode(many.as_bytes()).expect_err("too many");
        assert!(fault.message.contains("more than"), "{fault}");
    }

    #[test]
    fn surrogates() {
        let text = |json: &str| match decode(json.as_bytes()) {
            Ok(Value::Text(text)) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(&*text(r#""\ud83d\ude00""#), "😀");
        assert_eq!(&*text(r#""\ud83dx\ude00""#), "\u{fffd}x\u{fffd}");
        assert_eq!(&*text(r#""\ud83d\u0041""#), "\u{fffd}A");
    }

    proptest! {
        /// Accepts what serde_json accepts, and nothing else, as far as both
        /// have the same limits.
        #[test]
        fn the_grammar_is_that_of_serde_json(text in r#"[\[\]{}:,"\\0-9eE+\-. a-ftnrul]{0,24}"#) {
            // It refuses numbers out of range, and lone surrogates.
            let ours = decode(text.as_bytes());
            match serde_json::from_str::<serde_json::Value>(&text) {
                Ok(_) => prop_assert!(ours.is_ok(), "{text}: {ours:?}"),
                Err(error) if error.to_string().contains("out of range")
                    || error.to_string().contains("surrogate")
                    || error.to_string().contains("hex escape") => {}
                Err(error) => prop_assert!(ours.is_err(), "{text}: {error}"),
            }
        }
    }
}
