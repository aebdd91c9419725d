//! Splits an expression into words, strings and operators.

use std::ops::Range;

use super::error::FilterError;

/// A token of an expression, and its columns.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Bytes of the expression.
    pub(super) span: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// A field, a function, a word operator or a literal without quotes.
    Word(String),
    /// `"…"` with its escapes resolved, or `r"…"`.
    Quoted(Vec<u8>),
    /// `'a'`.
    Char(u8),
    /// One of [`SYMBOLS`].
    Symbol(&'static str),
    End,
}

/// Longest first.
const SYMBOLS: [&str; 23] = [
    "===", "!==", "==", "!=", "~=", ">=", "<=", "&&", "||", "..", ">", "<", "!", "~", "&", "(",
    ")", "[", "]", "{", "}", ",", ";",
];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let blank = rest.len() - rest.trim_start().len();
        if blank > 0 {
            at += blank;
            continue;
        }
        let (kind, len) = token(text, at, rest)?;
        tokens.push(Token {
            kind,
            span: at..at + len,
        });
        at += len;
    }
    tokens.push(Token {
        kind: TokenKind::End,
        span: text.len()..text.len(),
    });
    Ok(tokens)
}

fn token(text: &str, at: usize, rest: &str) -> Result<(TokenKind, usize), FilterError> {
    let fail = |len: usize, message: &str| {
        let end = (at + len).min(text.len());
        Err(FilterError::new(text, at..end, message))
    };
    if let Some(inner) = rest.strip_prefix("r\"") {
        return match inner.find('"') {
            Some(end) => {
                let raw = inner.as_bytes().get(..end).unwrap_or_default();
                Ok((TokenKind::Quoted(raw.to_vec()), end + 3))
            }
            None => fail(rest.len(), "this string has no closing quote"),
        };
    }
    if rest.starts_with('"') {
        let (bytes, len) = quoted(text, at, rest)?;
        return Ok((TokenKind::Quoted(bytes), len));
    }
    if rest.starts_with('\'') {
        let Some(end) = rest.get(1..).and_then(|inner| inner.find('\'')) else {
            return fail(1, "this character has no closing quote");
        };
        let inner = rest.get(1..=end).unwrap_or_default();
        // The escapes of a string, read as one.
        let (bytes, _) = quoted(text, at, &format!("\"{inner}\""))?;
        return match bytes[..] {
            [byte] => Ok((TokenKind::Char(byte), end + 2)),
            _ => fail(
                end + 2,
                "single quotes hold one character; strings have double quotes",
            ),
        };
    }
    if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
        return Ok((TokenKind::Symbol(symbol), symbol.len()));
    }
    let len = word_len(rest);
    if len == 0 {
        let len = rest.chars().next().map_or(1, char::len_utf8);
        let hint = if rest.starts_with('=') {
            "a comparison for equality is ==, not ="
        } else if rest.starts_with('|') {
            "or is written || or or"
        } else {
            "this character has no meaning here"
        };
        return fail(len, hint);
    }
    let word = rest.get(..len).unwrap_or_default();
    Ok((TokenKind::Word(word.to_owned()), len))
}

/// A word ends at a blank, a quote, an operator, or `..`.
fn word_len(rest: &str) -> usize {
    let stop = |c: char| c.is_whitespace() || "\"'()[]{},;=!<>&|~".contains(c);
    let len = rest.find(stop).unwrap_or(rest.len());
    let word = rest.get(..len).unwrap_or_default();
    word.find("..").filter(|&at| at > 0).unwrap_or(len)
}

/// A string with C's escapes; returns its bytes and how long it was with quotes.
fn quoted(text: &str, at: usize, rest: &str) -> Result<(Vec<u8>, usize), FilterError> {
    let mut bytes = Vec::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((start, c)) = chars.next() {
        match c {
            '"' => return Ok((bytes, start + 1)),
            '\\' => {
                let escape = chars.next().map(|(_, c)| c);
                let byte = match escape {
                    Some('n') => b'\n',
                    Some('r') => b'\r',
                    Some('t') => b'\t',
                    Some('0') => 0,
                    Some('a') => 7,
                    Some('b') => 8,
                    Some('f') => 12,
                    Some('v') => 11,
                    Some(c @ ('"' | '\'' | '\\')) => c as u8,
                    Some('x') => {
                        let hex: String = chars.by_ref().take(2).map(|(_, c)| c).collect();
                        match u8::from_str_radix(&hex, 16) {
                            Ok(byte) if hex.len() == 2 => byte,
                            _ => {
                                let span = at + start..(at + start + 2 + hex.len()).min(text.len());
                                let message = "\\x needs two hexadecimal digits";
                                return Err(FilterError::new(text, span, message));
                            }
                        }
                    }
                    _ => {
                        let end = at + start + 1 + escape.map_or(0, char::len_utf8);
                        let message = format!(
                            "\\{} is no escape sequence; write \\\\ for a backslash, or r\"…\"",
                            escape.map(String::from).unwrap_or_default()
                        );
                        return Err(FilterError::new(text, at + start..end, message));
                    }
                };
                bytes.push(byte);
            }
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err(FilterError::new(
        text,
        at..at + rest.len(),
        "this string has no closing quote",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        let tokens = tokens(text).expect(text);
        tokens.into_iter().map(|token| token.kind).collect()
    }

    fn word(text: &str) -> TokenKind {
        TokenKind::Word(text.into())
    }

    #[test]
    fn words_symbols_strings() {
        use TokenKind::{Char, End, Quoted, Symbol};
        assert_eq!(
            kinds(r#"a.b==10.0.0.0/8 and!(x~"q\x41\"")"#),
            [
                word("a.b"),
                Symbol("=="),
                word("10.0.0.0/8"),
                word("and"),
                Symbol("!"),
                Symbol("("),
                word("x"),
                Symbol("~"),
                Quoted(b"qA\"".to_vec()),
                Symbol(")"),
                End
            ]
        );
        assert_eq!(
            kinds(r#"{1..5,'a',r"\d"}"#),
            [
                Symbol("{"),
                word("1"),
                Symbol(".."),
                word("5"),
                Symbol(","),
                Char(b'a'),
                Symbol(","),
                Quoted(br"\d".to_vec()),
                Symbol("}"),
                End
            ]
        );
        assert_eq!(kinds("fe80::1"), [word("fe80::1"), End]);
    }

    #[test]
    fn what_cannot_be_split() {
        for (text, column) in [
            ("a = 1", 3),
            ("a == \"x", 6),
            (r#"a == "ü\d""#, 8),
            (r#""\x4""#, 2),
            ("'ab'", 1),
            ("a | b", 3),
        ] {
            let error = tokens(text).expect_err(text);
            assert_eq!(error.column(), column, "{error}");
        }
    }
}
