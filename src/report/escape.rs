//! Text from the wire, made safe to print.
//!
//! A topic, payload or client id is whatever a peer chose to send. Printed raw
//! it could clear the reader's terminal (`ESC [ 2 J`), forge a line of ours
//! (`\n13:05:02 …`), or show `exe.gpj` for `jpg.exe` (U+202E). So everything
//! that does not draw a glyph of its own, left to right, is written as an
//! escape instead:
//!
//! | on the wire | written |
//! |---|---|
//! | C0 controls and DEL | `\n` `\r` `\t`, else `\x1b` |
//! | bytes that are not UTF-8 | `\xff` |
//! | C1 controls, bidirectional, zero-width, invisible and line-separating characters | `\u{202e}` |
//! | `\`, and the character that would end the text, such as `"` | `\\` `\"` |
//!
//! Nothing is lost: the bytes can be told from what is written. Plain ASCII is
//! by far the most usual and is copied in one go.

use unicode_width::UnicodeWidthChar;

use super::put;

/// What encloses a text, and so has to be escaped within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    /// `"…"`
    Quotes,
    /// `[…]`
    Brackets,
    /// A cell of its own: nothing encloses it.
    Cell,
    /// A list separated by spaces.
    Words,
}

impl Within {
    const fn ends_at(self, byte: u8) -> bool {
        match self {
            Self::Quotes => byte == b'"',
            Self::Brackets => byte == b']',
            Self::Cell => false,
            Self::Words => byte == b' ',
        }
    }
}

/// Appends `text` in quotes.
pub(super) fn quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    escaped(text, Within::Quotes, out);
    out.push(b'"');
}

/// Appends `text` in quotes, cut to `columns` and followed by `…` when it is
/// longer.
pub(super) fn quoted_within(text: &[u8], columns: usize, out: &mut Vec<u8>) {
    out.push(b'"');
    let whole = limited(text, columns, out);
    out.push(b'"');
    if !whole {
        out.extend_from_slice(ELLIPSIS);
    }
}

/// `…`, after a text that was cut.
pub(super) const ELLIPSIS: &[u8] = "…".as_bytes();

/// Appends all of `text`.
pub(super) fn escaped(text: &[u8], within: Within, out: &mut Vec<u8>) {
    if are_plain(text, within) {
        out.extend_from_slice(text);
        return;
    }
    for chunk in text.utf8_chunks() {
        for char in chunk.valid().chars() {
            put_char(char, within, out);
        }
        for &byte in chunk.invalid() {
            put_byte(byte, out);
        }
    }
}

/// Appends the beginning of a quoted `text` that takes up at most `columns` on
/// a terminal, and says whether that was all of it. Never cuts an escape or a
/// character in two.
fn limited(text: &[u8], columns: usize, out: &mut Vec<u8>) -> bool {
    let head = text.get(..columns).unwrap_or(text);
    if are_plain(head, Within::Quotes) {
        out.extend_from_slice(head);
        return head.len() == text.len();
    }
    // Every four bytes fill one column at least, so this is enough; what the
    // slice may cut in two lies beyond the last column.
    let head = text.get(..columns.saturating_mul(4)).unwrap_or(text);
    let mut left = columns;
    let mut room = |out: &mut Vec<u8>, before: usize, width: usize| {
        let fits = width <= left;
        if fits {
            left -= width;
        } else {
            out.truncate(before);
        }
        fits
    };
    for chunk in head.utf8_chunks() {
        for char in chunk.valid().chars() {
            let before = out.len();
            put_char(char, Within::Quotes, out);
            // A character as it is, or an escape, which is ASCII. Combining
            // marks count as one column, so that they cannot pile up.
            let width = if out.len() - before == char.len_utf8() {
                char.width().unwrap_or(1).max(1)
            } else {
                out.len() - before
            };
            if !room(out, before, width) {
                return false;
            }
        }
        for &byte in chunk.invalid() {
            let before = out.len();
            put_byte(byte, out);
            if !room(out, before, 4) {
                return false;
            }
        }
    }
    head.len() == text.len()
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

/// Printable ASCII other than the backslash: copied as it is unless it would
/// end the text.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b'\\'
}

/// Whether all of a text is copied as it is. Many bytes at once, without
/// branches, because this looks at every byte that is shown.
fn are_plain(text: &[u8], within: Within) -> bool {
    fn plain<const N: usize>(bytes: &[u8; N], within: Within) -> bool {
        bytes.iter().fold(true, |plain, &byte| {
            plain & is_plain(byte) & !within.ends_at(byte)
        })
    }
    // The last chunk may overlap the one before it.
    if let Some(last) = text.last_chunk::<16>() {
        let (chunks, _) = text.as_chunks::<16>();
        chunks.iter().all(|chunk| plain(chunk, within)) && plain(last, within)
    } else if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        plain(first, within) & plain(last, within)
    } else {
        text.iter()
            .all(|&byte| is_plain(byte) && !within.ends_at(byte))
    }
}

fn put_char(char: char, within: Within, out: &mut Vec<u8>) {
    match char {
        '\0'..='\x7f' => put_ascii(char as u8, within, out),
        _ if deceives(char) => {
            out.extend_from_slice(b"\\u{");
            let digits = (32 - (char as u32).leading_zeros()).div_ceil(4);
            for digit in (0..digits).rev() {
                let value = (char as u32 >> (4 * digit)) & 15;
                out.push(char::from_digit(value, 16).unwrap_or('0') as u8);
            }
            out.push(b'}');
        }
        _ => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn put_ascii(byte: u8, within: Within, out: &mut Vec<u8>) {
    match byte {
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\\' => out.extend_from_slice(b"\\\\"),
        // A list is split at its spaces, so they may not stay.
        b' ' if within == Within::Words => put_byte(byte, out),
        _ if within.ends_at(byte) => out.extend_from_slice(&[b'\\', byte]),
        0x20..=0x7e => out.push(byte),
        _ => put_byte(byte, out),
    }
}

fn put_byte(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\x");
    put::hex(byte, out);
}

/// Whether a character beyond ASCII can deceive a reader or drive a terminal:
/// C1 controls, line and paragraph separators, and what Unicode calls format
/// characters or default ignorables, because they draw nothing or change how
/// their neighbours are drawn. Emoji sequences lose their joiners, which is
/// the price of seeing what was sent.
pub(super) const fn deceives(char: char) -> bool {
    if (char as u32) < 0x300 {
        // Nearly all real text ends here.
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
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}'     // tags, more variation selectors
    )
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
        quoted_within(text.as_bytes(), columns, &mut out);
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
            for within in [Within::Quotes, Within::Brackets, Within::Cell, Within::Words] {
                let mut out = Vec::new();
                escaped(&text, within, &mut out);
                let out = String::from_utf8(out).expect("UTF-8");
                proptest::prop_assert!(!out.chars().any(|c| c.is_control() || deceives(c)));
            }
            let mut out = Vec::new();
            quoted_within(&text, columns, &mut out);
            // Two quotes and the ellipsis come on top.
            proptest::prop_assert!(super::columns(&out) <= columns + 3);
        }

        #[test]
        fn what_was_escaped_can_be_told_back(text: Vec<u8>) {
            let mut out = Vec::new();
            escaped(&text, Within::Quotes, &mut out);
            proptest::prop_assert_eq!(unescaped(&out), text);
        }
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
