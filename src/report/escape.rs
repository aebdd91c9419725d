//! Text from the wire, made safe to print.
//!
//! A topic, payload or client id is whatever a peer chose to send. Printed raw
//! it could clear the terminal (`ESC [ 2 J`), forge an output line
//! (`\n13:05:02 …`), or show `exe.gpj` for `jpg.exe` (U+202E). So every character
//! that does not draw a glyph of its own, left to right, is written as an escape:
//!
//! | on the wire | written |
//! |---|---|
//! | C0 controls and DEL | `\n` `\r` `\t`, else `\x1b` |
//! | bytes that are not UTF-8 | `\xff` |
//! | C1 controls, bidirectional, zero-width, invisible and line-separating characters | `\u{202e}` |
//! | `\`, and the character that would end the text, such as `"` | `\\` `\"` |
//!
//! The original bytes can be recovered from the output. Plain ASCII is by far the
//! most common and is copied in runs.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// Context of a text, which determines what has to be escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    /// `"…"`
    Quotes,
    /// `"…"` at the end of a line, where a quote is ambiguous only before one of
    /// [`TAILS`]: JSON stays unchanged, for `grep`.
    Payload,
    /// `[…]`
    Brackets,
    /// In a cell of its own, without delimiters.
    Cell,
    /// A list separated by spaces.
    Words,
    /// Messages and file names: `\` stays too.
    Prose,
}

/// Text that may follow a payload on its line. A quote within the payload is
/// escaped only if it precedes one of these.
pub(super) const TAILS: [&str; 7] = [
    " missing ",
    " resynchronised",
    " version ",
    " defect: ",
    " (the first ",
    " from ",
    "…",
];

impl Within {
    /// ASCII characters that are printable and yet escaped (or looked at).
    const fn specials(self) -> Specials {
        Specials(match self {
            Self::Quotes | Self::Payload => *b"\\\"\"",
            Self::Brackets => *b"\\]]",
            Self::Cell => *b"\\\\\\",
            Self::Words => *b"\\  ",
            Self::Prose => [0; 3],
        })
    }
}

/// Appends `text` in quotes.
pub(super) fn quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    escaped(text, Within::Quotes, out);
    out.push(b'"');
}

/// Appends a payload in quotes.
pub(super) fn payload(text: &[u8], out: &mut Vec<u8>) {
    if plain_run(text, Within::Payload.specials()) == text.len() {
        return put_quoted(text, out);
    }
    out.push(b'"');
    escaped(text, Within::Payload, out);
    out.push(b'"');
}

/// Appends `text` in quotes, cut to `columns` and followed by `…` when it is
/// longer.
pub(super) fn quoted_within(text: &[u8], within: Within, columns: usize, out: &mut Vec<u8>) {
    if text.len() <= columns && plain_run(text, within.specials()) == text.len() {
        return put_quoted(text, out);
    }
    out.push(b'"');
    let whole = limited(text, within, columns, out);
    out.push(b'"');
    if !whole {
        out.extend_from_slice(ELLIPSIS);
    }
}

/// Appends text in quotes that needs no escapes, as nearly all do.
#[inline]
fn put_quoted(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

/// `…`, after a text that was cut.
pub(super) const ELLIPSIS: &[u8] = "…".as_bytes();

/// Escapes messages and file names, so that they cannot drive a terminal or start
/// a new line. A backslash stays.
pub fn visible(text: &str) -> Cow<'_, str> {
    if plain_run(text.as_bytes(), Within::Prose.specials()) == text.len() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::new();
    escaped(text.as_bytes(), Within::Prose, &mut out);
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// Appends all of `text`.
pub(super) fn escaped(text: &[u8], within: Within, out: &mut Vec<u8>) {
    let specials = within.specials();
    let mut rest = text;
    loop {
        let run = plain_run(rest, specials);
        let (plain, special) = rest.split_at(run);
        out.extend_from_slice(plain);
        rest = special;
        // Special characters come in groups: binary payloads, other scripts.
        while let Some(&byte) = rest.first() {
            if is_plain(byte, specials) {
                break;
            }
            let taken = put_special(rest, within, out);
            rest = &rest[taken..];
        }
        if rest.is_empty() {
            return;
        }
    }
}

/// Appends the beginning of a quoted `text` that takes up at most `columns` on
/// a terminal, and returns whether that was all of it. Never cuts an escape or a
/// character in two.
fn limited(text: &[u8], within: Within, columns: usize, out: &mut Vec<u8>) -> bool {
    let specials = within.specials();
    let (mut rest, mut left) = (text, columns);
    loop {
        let head = rest.get(..left).unwrap_or(rest);
        let (plain, _) = head.split_at(plain_run(head, specials));
        out.extend_from_slice(plain);
        left -= plain.len();
        rest = &rest[plain.len()..];
        while let Some(&byte) = rest.first() {
            if is_plain(byte, specials) {
                break;
            }
            let before = out.len();
            let taken = put_special(rest, within, out);
            // A character as it is, or an escape, which is ASCII. Combining
            // marks count as one column, so that they cannot pile up.
            let written = out.get(before..).unwrap_or_default();
            let width = match std::str::from_utf8(written).ok().and_then(first_char) {
                Some(char) if !char.is_ascii() => char.width().unwrap_or(1).max(1),
                _ => written.len(),
            };
            if width > left {
                out.truncate(before);
                return false;
            }
            left -= width;
            rest = &rest[taken..];
        }
        if rest.is_empty() || left == 0 {
            return rest.is_empty();
        }
    }
}

fn first_char(text: &str) -> Option<char> {
    text.chars().next()
}

/// Columns that a line takes up on a terminal; controls count as one.
pub(super) fn columns(line: &[u8]) -> usize {
    if line.is_ascii() {
        return line.len();
    }
    line.utf8_chunks()
        .map(|chunk| {
            let valid: usize = chunk
                .valid()
                .chars()
                .map(|char| char.width().unwrap_or(1))
                .sum();
            valid + chunk.invalid().len()
        })
        .sum()
}

/// Printable ASCII characters that have to be escaped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Specials(pub(super) [u8; 3]);

/// Printable ASCII that is copied unchanged.
#[inline(always)]
const fn is_plain(byte: u8, Specials([a, b, c]): Specials) -> bool {
    (byte.wrapping_sub(b' ') < 0x5f) & (byte != a) & (byte != b) & (byte != c)
}

/// Number of plain bytes at the start.
///
/// Of a long text 64 and sixteen at a time without branches, which compiles to vector
/// instructions: 1 instruction a byte. Then eight at a time by arithmetic, the last
/// eight again: 2 instructions, where a look at each byte takes 8.
#[inline(always)]
pub(super) fn plain_run(text: &[u8], specials: Specials) -> usize {
    let special = |word: &[u8; 8]| special_bits(u64::from_le_bytes(*word), specials);
    let mut at = 0;
    for block in text.as_chunks::<64>().0 {
        if !all_plain(block, specials) {
            break;
        }
        at += block.len();
    }
    for block in text[at..].as_chunks::<16>().0 {
        if !all_plain(block, specials) {
            break;
        }
        at += block.len();
    }
    let (words, rest) = text[at..].as_chunks::<8>();
    for word in words {
        let special = special(word);
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    match text.last_chunk::<8>() {
        // What was looked at before is plain.
        Some(last) => text.len() - 8 + special(last).trailing_zeros() as usize / 8,
        None => {
            let mut word = [b'a'; 8];
            word[..rest.len()].copy_from_slice(rest);
            (special(&word).trailing_zeros() as usize / 8).min(rest.len())
        }
    }
}

#[inline(always)]
fn all_plain<const N: usize>(block: &[u8; N], specials: Specials) -> bool {
    let odd = |found, &byte: &u8| found | u8::from(!is_plain(byte, specials));
    block.iter().fold(0, odd) == 0
}

/// The high bit of each byte that is not plain. Bytes above the lowest such one
/// may be wrong, because of the borrow.
const fn special_bits(bytes: u64, Specials([a, b, c]): Specials) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    /// Of bytes below 0x80, those that are `byte`.
    const fn equal(bytes: u64, byte: u8) -> u64 {
        (bytes ^ (ONES * byte as u64)).wrapping_sub(ONES)
    }
    let controls = bytes.wrapping_sub(ONES * 0x20);
    let others = equal(bytes, 0x7f) | equal(bytes, a) | equal(bytes, b) | equal(bytes, c);
    (bytes | controls | others) & (ONES << 7)
}

/// Appends the escape of the first character or byte, which is not plain; returns
/// its length in bytes.
fn put_special(text: &[u8], within: Within, out: &mut Vec<u8>) -> usize {
    let Some(&byte) = text.first() else {
        return 0;
    };
    if byte < 0x80 {
        put_ascii(byte, text, within, out);
        return 1;
    }
    match first_sequence(text) {
        Some((char, bytes)) if deceives(char) => {
            put_deceptive(char, out);
            bytes.len()
        }
        Some((_, bytes)) => {
            out.extend_from_slice(bytes);
            bytes.len()
        }
        None => {
            put_byte(byte, out);
            1
        }
    }
}

/// The character beyond ASCII at the start, and its bytes, if they are UTF-8
/// (Unicode 3.9, table 3-7).
fn first_sequence(text: &[u8]) -> Option<(char, &[u8])> {
    let tail = |byte: u8| u32::from(byte & 0x3f);
    let is_tail = |byte: u8| byte & 0xc0 == 0x80;
    match *text {
        [lead @ 0xc2..=0xdf, a, ..] if is_tail(a) => {
            let code = u32::from(lead & 0x1f) << 6 | tail(a);
            Some((char::from_u32(code)?, text.get(..2)?))
        }
        [lead @ 0xe0..=0xef, a, b, ..] if is_tail(a) && is_tail(b) => {
            let code = u32::from(lead & 0x0f) << 12 | tail(a) << 6 | tail(b);
            // Surrogates are not characters; below 0x800 the encoding is overlong.
            let char = char::from_u32(code).filter(|_| code >= 0x800)?;
            Some((char, text.get(..3)?))
        }
        [lead @ 0xf0..=0xf4, a, b, c, ..] if is_tail(a) && is_tail(b) && is_tail(c) => {
            let code = u32::from(lead & 7) << 18 | tail(a) << 12 | tail(b) << 6 | tail(c);
            let char = char::from_u32(code).filter(|_| code >= 0x1_0000)?;
            Some((char, text.get(..4)?))
        }
        _ => None,
    }
}

fn put_deceptive(char: char, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\u{");
    let digits = (32 - (char as u32).leading_zeros()).div_ceil(4);
    for digit in (0..digits).rev() {
        let value = (char as u32 >> (4 * digit)) & 15;
        out.push(char::from_digit(value, 16).unwrap_or('0') as u8);
    }
    out.push(b'}');
}

fn put_ascii(byte: u8, text: &[u8], within: Within, out: &mut Vec<u8>) {
    match byte {
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\\' => out.extend_from_slice(b"\\\\"),
        // A list is split at its spaces, so they have to be escaped.
        b' ' => put_byte(byte, out),
        b'"' if within == Within::Payload && !ends_payload(text) => out.push(byte),
        0x21..=0x7e => out.extend_from_slice(&[b'\\', byte]),
        _ => put_byte(byte, out),
    }
}

/// Whether a quote at the start would look like the end of the payload.
fn ends_payload(text: &[u8]) -> bool {
    let after = text.get(1..).unwrap_or_default();
    matches!(after.first(), Some(b' ' | 0xe2))
        && TAILS.iter().any(|tail| after.starts_with(tail.as_bytes()))
}

fn put_byte(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(&[
        b'\\',
        b'x',
        DIGITS[usize::from(byte >> 4)],
        DIGITS[usize::from(byte & 15)],
    ]);
}

/// Whether a character beyond ASCII can deceive a reader or drive a terminal: C1
/// controls, line and paragraph separators, and Unicode's format characters and
/// default ignorables, which draw nothing or change how their neighbours are
/// drawn. Emoji sequences lose their joiners too.
pub(super) const fn deceives(char: char) -> bool {
    if (char as u32) < 0x300 {
        // Nearly all real text is handled here.
        return matches!(char, '\u{80}'..='\u{9f}' | '\u{ad}');
    }
    matches!(char,
        '\u{34f}'                       // combining grapheme joiner
        | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{890}'..='\u{891}' | '\u{8e2}'
        | '\u{115f}'..='\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
        | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'       // zero width, direction marks
        | '\u{2028}'..='\u{202e}'       // separators, embeddings, overrides
        | '\u{2060}'..='\u{206f}'       // joiners, isolates, shapers
        | '\u{fe00}'..='\u{fe0f}'       // variation selectors
        | '\u{feff}'                    // byte order mark
        | '\u{fff0}'..='\u{fffb}'
        | '\u{fffe}'..='\u{ffff}'       // no characters, and not allowed in XML
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}'     // tags, more variation selectors
    )
}

/// Whether a character must be escaped in all output: one that deceives, or a
/// control character.
pub(super) fn is_unsafe(char: char) -> bool {
    char.is_control() || deceives(char)
}

/// The payload as text, if it is. Where it was truncated, a last character cut
/// in two is left out rather than turning all of it into base64.
pub(super) fn as_text(payload: &[u8], truncated: bool) -> Option<&str> {
    match std::str::from_utf8(payload) {
        Ok(text) => Some(text),
        Err(error) if truncated && error.error_len().is_none() => payload
            .get(..error.valid_up_to())
            .and_then(|whole| std::str::from_utf8(whole).ok()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(text: &[u8], within: Within) -> String {
        let mut out = Vec::new();
        escaped(text, within, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    fn cut(text: &str, columns: usize) -> String {
        let mut out = Vec::new();
        quoted_within(text.as_bytes(), Within::Quotes, columns, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn each_kind_of_character() {
        let cases: [(&[u8], &str); 13] = [
            (b"plant/7", "plant/7"),
            ("Küche/温度/🌡".as_bytes(), "Küche/温度/🌡"),
            (b"a\x1b[2Jb", r"a\x1b[2Jb"),
            (b"a\r\n\tb\0\x7f", r"a\r\n\tb\x00\x7f"),
            ("a\u{202e}b\u{2066}".as_bytes(), r"a\u{202e}b\u{2066}"),
            ("a\u{85}\u{9b}31m".as_bytes(), r"a\u{85}\u{9b}31m"),
            (b"a\x9b31m", r"a\x9b31m"),
            ("a\u{2028}\u{2029}".as_bytes(), r"a\u{2028}\u{2029}"),
            (
                "a\u{200b}\u{feff}\u{e0041}".as_bytes(),
                r"a\u{200b}\u{feff}\u{e0041}",
            ),
            (b"\xff\xc3", r"\xff\xc3"),
            (b"\xed\xa0\x80", r"\xed\xa0\x80"),
            (br"back\slash", r"back\\slash"),
            (br#"say "hi""#, r#"say \"hi\""#),
        ];
        for (text, expected) in cases {
            assert_eq!(within(text, Within::Quotes), expected);
        }
    }

    #[test]
    fn only_what_would_end_the_text_is_escaped() {
        assert_eq!(within(b"a\"]b c", Within::Quotes), r#"a\"]b c"#);
        assert_eq!(within(b"a\"]b c", Within::Brackets), r#"a"\]b c"#);
        assert_eq!(within(b"a\"]b c", Within::Cell), r#"a"]b c"#);
        assert_eq!(within(b"a\"]b c", Within::Words), r#"a"]b\x20c"#);
    }

    #[test]
    fn a_preview_keeps_to_its_columns() {
        assert_eq!(cut("12345", 5), r#""12345""#);
        assert_eq!(cut("123456", 5), r#""12345"…"#);
        assert_eq!(cut("温度計", 6), r#""温度計""#);
        assert_eq!(cut("温度計", 5), r#""温度"…"#);
        assert_eq!(cut("äöü", 2), r#""äö"…"#);
        // An escape is whole or not there.
        assert_eq!(cut("ab\x1bcd", 5), r#""ab"…"#);
        assert_eq!(cut("ab\x1bcd", 6), r#""ab\x1b"…"#);
        assert_eq!(cut("a\"b", 2), r#""a"…"#);
        assert_eq!(cut("", 0), r#""""#);
        assert_eq!(cut("x", 0), r#"""…"#);
        // The quote lies beyond the cut, so the fast path takes it.
        assert_eq!(cut("abc\"", 3), r#""abc"…"#);
    }

    #[test]
    fn marks_do_not_pile_up() {
        let text = format!("a{}", "\u{301}".repeat(100));
        assert_eq!(cut(&text, 4), format!("\"a{}\"…", "\u{301}".repeat(3)));
    }

    #[test]
    fn columns_of_a_line() {
        assert_eq!(columns(b"plain"), 5);
        assert_eq!(columns("温度 ü".as_bytes()), 6);
    }

    proptest::proptest! {
        #[test]
        fn nothing_deceptive_is_left(text: Vec<u8>, columns in 0usize..40) {
            for within in [
                Within::Quotes,
                Within::Payload,
                Within::Brackets,
                Within::Cell,
                Within::Words,
                Within::Prose,
            ] {
                let mut out = Vec::new();
                escaped(&text, within, &mut out);
                let out = String::from_utf8(out).expect("UTF-8");
                proptest::prop_assert!(!out.chars().any(|c| c.is_control() || deceives(c)));
            }
            let mut out = Vec::new();
            quoted_within(&text, Within::Quotes, columns, &mut out);
            // Two quotes and the ellipsis come on top.
            proptest::prop_assert!(super::columns(&out) <= columns + 3);
        }

        #[test]
        fn what_was_escaped_can_be_recovered(text: Vec<u8>) {
            let mut out = Vec::new();
            escaped(&text, Within::Quotes, &mut out);
            proptest::prop_assert_eq!(unescaped(&out), text);
        }
    }

    /// The runs and the decoder, compared with the standard library's.
    #[test]
    fn every_character_and_every_sequence() {
        for char in '\0'..=char::MAX {
            let text = char.to_string();
            let expected = match char {
                '\n' => r"\n".to_owned(),
                '\r' => r"\r".to_owned(),
                '\t' => r"\t".to_owned(),
                '\\' => r"\\".to_owned(),
                '\0'..' ' | '\x7f' => format!("\\x{:02x}", char as u32),
                _ if deceives(char) => format!("\\u{{{:x}}}", char as u32),
                _ => text.clone(),
            };
            assert_eq!(within(text.as_bytes(), Within::Cell), expected);
        }
        for bytes in 0..1 << 24 {
            // All values of three bytes, the first a lead or a tail.
            let text = u32::to_be_bytes(0xc000_0000 >> 8 | bytes);
            let text = &text[1..];
            let first = first_sequence(text).map(|(char, _)| char);
            let valid = text.utf8_chunks().next().expect("not empty").valid();
            let expected = valid.chars().next().filter(|char| !char.is_ascii());
            assert_eq!(first, expected, "{text:x?}");
        }
    }

    #[test]
    fn quotes_in_a_payload_stay_unless_they_would_end_it() {
        let json = br#"{"a": "b \"c\"", "d" : [1]}"#;
        assert_eq!(
            within(json, Within::Payload),
            r#"{"a": "b \\"c\\"", "d" : [1]}"#
        );
        assert_eq!(
            within(br#"x" missing 4 B "y" defect: z""#, Within::Payload),
            r#"x\" missing 4 B "y\" defect: z""#
        );
        assert_eq!(within("a\"…".as_bytes(), Within::Payload), "a\\\"…");
    }

    #[test]
    fn prose_keeps_backslashes() {
        assert_eq!(visible(r"C:\a b.pcap"), r"C:\a b.pcap");
        assert_eq!(
            visible("a\n::error::\u{202e}\x1b"),
            r"a\n::error::\u{202e}\x1b"
        );
    }

    /// The inverse, written naively.
    fn unescaped(text: &[u8]) -> Vec<u8> {
        let text = std::str::from_utf8(text).expect("UTF-8");
        let mut out = Vec::new();
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            if char != '\\' {
                out.extend(char.to_string().bytes());
                continue;
            }
            match chars.next() {
                Some('n') => out.push(b'\n'),
                Some('r') => out.push(b'\r'),
                Some('t') => out.push(b'\t'),
                Some('x') => {
                    let digits: String = chars.by_ref().take(2).collect();
                    out.push(u8::from_str_radix(&digits, 16).expect("hex"));
                }
                Some('u') => {
                    let digits: String = chars.by_ref().skip(1).take_while(|&c| c != '}').collect();
                    let code = u32::from_str_radix(&digits, 16).expect("hex");
                    out.extend(
                        char::from_u32(code)
                            .expect("a character")
                            .to_string()
                            .bytes(),
                    );
                }
                Some(itself) => out.extend(itself.to_string().bytes()),
                None => panic!("a lone backslash"),
            }
        }
        out
    }
}
