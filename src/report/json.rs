//! JSON, for every format that is JSON.
//!
//! JSON requires escapes only for `"`, `\` and C0 controls. Here all characters that
//! could deceive a reader at a terminal are also written as escapes (`\u202e`), and
//! `</`, which would end a script in a web page, as `<\/`; parsers return the same
//! string. [`put_json`] is the only writer of strings; documents written by
//! `serde_json` use it too.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use super::escape::{self, Specials};
use super::put;
use crate::mqtt::Text;

/// Appends `text` as a JSON string.
pub(super) fn put_json(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    put_fragment(text, out);
    out.push(b'"');
}

/// Appends a document on one line, without a line feed.
pub(super) fn compact(value: &impl Serialize, out: &mut Vec<u8>) {
    serialize(value, CompactFormatter, out);
}

/// Appends a document on many lines, indented by two.
pub(super) fn pretty(value: &impl Serialize, out: &mut Vec<u8>) {
    serialize(value, PrettyFormatter::new(), out);
}

fn serialize(value: &impl Serialize, layout: impl Formatter, out: &mut Vec<u8>) {
    let start = out.len();
    let mut serializer = Serializer::with_formatter(&mut *out, Safe(layout));
    // Neither a Vec nor these types can fail. If one did, nothing would be
    // better than half a document.
    if value.serialize(&mut serializer).is_err() {
        out.truncate(start);
    }
}

const SPECIALS: Specials = Specials(*b"\"\\<");

/// Appends `text` without quotes around it.
fn put_fragment(text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    loop {
        let run = escape::plain_run(rest.as_bytes(), SPECIALS);
        let (plain, special) = rest.split_at(run);
        out.extend_from_slice(plain.as_bytes());
        let mut chars = special.chars();
        let Some(char) = chars.next() else {
            return;
        };
        rest = chars.as_str();
        match char {
            '<' if rest.starts_with('/') => out.extend_from_slice(b"<\\"),
            '<' => out.push(b'<'),
            _ => put_char(char, out),
        }
    }
}

fn put_char(char: char, out: &mut Vec<u8>) {
    let short = match char {
        '"' => b'"',
        '\\' => b'\\',
        '\x08' => b'b',
        '\t' => b't',
        '\n' => b'n',
        '\x0c' => b'f',
        '\r' => b'r',
        '\0'..='\x1f' | '\x7f' => return put_unit(char as u16, out),
        _ if escape::deceives(char) => {
            for &mut unit in char.encode_utf16(&mut [0; 2]) {
                put_unit(unit, out);
            }
            return;
        }
        _ => {
            out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// `\u202e`, a UTF-16 code unit.
fn put_unit(unit: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\u");
    let [high, low] = unit.to_be_bytes();
    put::hex(high, out);
    put::hex(low, out);
}

/// Appends bytes as a JSON string, with U+FFFD for what is not UTF-8.
pub(super) fn put_lossy(text: &[u8], out: &mut Vec<u8>) {
    match std::str::from_utf8(text) {
        Ok(text) => put_json(text, out),
        Err(_) => put_json(&String::from_utf8_lossy(text), out),
    }
}

/// Appends bytes as a JSON string in base64.
pub(super) fn put_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    let length = base64::encoded_len(bytes.len(), true).unwrap_or_default();
    out.resize(start + length, 0);
    // Exactly the encoded length.
    let written = STANDARD
        .encode_slice(bytes, &mut out[start..])
        .unwrap_or_default();
    out.truncate(start + written);
    out.push(b'"');
}

/// Appends a list of values that `write` appends.
pub(super) fn put_list<T>(
    values: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'[');
    for (at, value) in values.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(value, out);
    }
    out.push(b']');
}

/// The key of an object with its separators: `,"key":`. Copying one constant takes a
/// few instructions, copying three strings forty, and a line has twenty keys.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}
pub(super) use key;

/// Builds an object. Keys are constants ([`key!`]), each used once.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Object<'o> {
    /// An object without keys so far.
    #[inline]
    pub(super) fn open(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// An object whose first keys were written elsewhere.
    pub(super) fn goes_on(out: &'o mut Vec<u8>) -> Self {
        Self { out, first: false }
    }

    /// The buffer, for keys written elsewhere, each after a comma. The object must
    /// already have a key.
    pub(super) fn rest(&mut self) -> &mut Vec<u8> {
        self.out
    }

    #[inline]
    pub(super) fn close(self) {
        self.out.push(b'}');
    }

    #[inline(always)]
    fn key(&mut self, key: &str) {
        let start = usize::from(std::mem::take(&mut self.first));
        self.out
            .extend_from_slice(key.as_bytes().get(start..).unwrap_or_default());
    }

    /// A value that `write` appends, under a name that is not a constant.
    pub(super) fn named(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        put_json(name, self.out);
        self.out.push(b':');
        write(self.out);
    }

    /// A value that `write` appends.
    #[inline(always)]
    pub(super) fn value(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.key(key);
        write(self.out);
    }

    /// A string without characters to escape.
    #[inline(always)]
    pub(super) fn word(&mut self, key: &str, word: &str) {
        self.text(key, |out| out.extend_from_slice(word.as_bytes()));
    }

    /// A string that `write` appends, without characters to escape.
    #[inline(always)]
    pub(super) fn text(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.key(key);
        self.out.push(b'"');
        write(self.out);
        self.out.push(b'"');
    }

    /// Any string.
    #[inline(always)]
    pub(super) fn string(&mut self, key: &str, text: &str) {
        self.value(key, |out| put_json(text, out));
    }

    /// Any bytes, with U+FFFD for what is not UTF-8.
    #[inline(always)]
    pub(super) fn lossy(&mut self, key: &str, text: &[u8]) {
        self.value(key, |out| put_lossy(text, out));
    }

    /// A string from the wire, if present.
    #[inline(always)]
    pub(super) fn wire(&mut self, key: &str, text: Option<Text<'_>>) {
        if let Some(text) = text {
            self.lossy(key, text.bytes());
        }
    }

    /// A string from the wire, if present, and its exact bytes under another key if
    /// it is not UTF-8.
    pub(super) fn exact(&mut self, key: &str, base64: &str, text: Option<Text<'_>>) {
        self.wire(key, text);
        if let Some(text) = text.filter(|text| text.as_str().is_none()) {
            self.base64(base64, text.bytes());
        }
    }

    pub(super) fn base64(&mut self, key: &str, bytes: &[u8]) {
        self.value(key, |out| put_base64(bytes, out));
    }

    #[inline(always)]
    pub(super) fn number(&mut self, key: &str, number: impl put::Decimal) {
        self.value(key, |out| put::decimal(number, out));
    }

    #[inline(always)]
    pub(super) fn optional(&mut self, key: &str, number: Option<impl put::Decimal>) {
        if let Some(number) = number {
            self.number(key, number);
        }
    }

    /// A number, or `null`.
    pub(super) fn nullable(&mut self, key: &str, number: Option<impl put::Decimal>) {
        self.value(key, |out| match number {
            Some(number) => put::decimal(number, out),
            None => out.extend_from_slice(b"null"),
        });
    }

    #[inline(always)]
    pub(super) fn bool(&mut self, key: &str, set: bool) {
        let text: &[u8] = if set { b"true" } else { b"false" };
        self.value(key, |out| out.extend_from_slice(text));
    }

    /// A key that is present only if true.
    #[inline(always)]
    pub(super) fn flag(&mut self, key: &str, set: bool) {
        if set {
            self.bool(key, true);
        }
    }

    /// A list of values that `write` appends.
    pub(super) fn values<T>(
        &mut self,
        key: &str,
        values: impl IntoIterator<Item = T>,
        write: impl FnMut(T, &mut Vec<u8>),
    ) {
        self.key(key);
        put_list(values, self.out, write);
    }

    pub(super) fn numbers(&mut self, key: &str, numbers: &[u8]) {
        self.values(key, numbers, |&number, out| put::decimal(number, out));
    }

    /// A nested object.
    pub(super) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.key(key);
        let mut object = Object::open(self.out);
        fill(&mut object);
        object.close();
    }

    /// A list of objects.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        items: impl IntoIterator<Item = T>,
        mut fill: impl FnMut(T, &mut Object<'_>),
    ) {
        self.values(key, items, |item, out| {
            let mut object = Object::open(out);
            fill(item, &mut object);
            object.close();
        });
    }
}

/// A layout of `serde_json` whose strings are written by [`put_json`].
struct Safe<F>(F);

impl<F: Formatter> Formatter for Safe<F> {
    /// `serde_json` passes fragments that it does not escape itself: everything but
    /// `"`, `\` and C0 controls.
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        let mut escaped = Vec::new();
        put_fragment(text, &mut escaped);
        out.write_all(&escaped)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_array(out)
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array(out)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array_value(out)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object(out)
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object(out)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object_value(out)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object_value(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        put_json(text, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn each_kind_of_character() {
        assert_eq!(written("plant/7 ü 温度"), "\"plant/7 ü 温度\"");
        assert_eq!(
            written("\"\\\x08\x0c\r\n\t\x1b\0\x7f"),
            r#""\"\\\b\f\r\n\t\u001b\u0000\u007f""#
        );
        assert_eq!(written("\u{85}\u{202e}"), r#""\u0085\u202e""#);
        assert_eq!(written("\u{e0041}"), r#""\udb40\udc41""#);
        assert_eq!(written("</script><a>"), r#""<\/script><a>""#);
    }

    proptest::proptest! {
        #[test]
        fn parsed_it_is_the_same(text: String) {
            for text in [text.clone(), format!("{text}</\u{202e}\u{1b}{text}")] {
                let json = written(&text);
                proptest::prop_assert!(!json.chars().any(|c| c.is_control() || escape::deceives(c)));
                let parsed: String = serde_json::from_str(&json).expect("JSON");
                proptest::prop_assert_eq!(&parsed, &text);
                // The other way in gives the same.
                let mut out = Vec::new();
                compact(&text, &mut out);
                proptest::prop_assert_eq!(String::from_utf8(out).expect("UTF-8"), json);
            }
        }
    }
}
