//! Wraps text at a number of columns.
//!
//! A line breaks at blanks, but neither within quotes, which hold topics and
//! other text from the wire, nor after a number, which belongs to its unit, nor
//! in the numbers of `(packets 4, 6)` and `(connections 1 to 8)`. A word that is longer than a line has a line of its own. A word that job logs
//! would run as a command (`::error::`) starts no line: it stays behind the word
//! before it.

use super::escape;

/// Words that stay together.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped, mut listed) = (false, false, false);
    let (mut from, mut at) = (0, 0);
    text.split(move |char: char| {
        let end = at;
        at += char.len_utf8();
        if char == ' ' && !quoted {
            let word = text.get(from..end).unwrap_or_default();
            from = at;
            listed = (listed || word.starts_with("(packet") || word.starts_with("(connection"))
                && !word.contains(')');
            return !listed && !is_number(word);
        }
        quoted ^= char == '"' && !escaped;
        escaped = char == '\\' && !escaped;
        false
    })
}

/// `12`, `1.2` or `(12`, which a unit follows; an address is none.
fn is_number(word: &str) -> bool {
    let word = word.trim_start_matches('(');
    word.starts_with(|char: char| char.is_ascii_digit())
        && word.ends_with(|char: char| char.is_ascii_digit())
        && word.matches('.').count() < 2
        && word
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','))
}

/// Whether a line may start with this word, after blanks: not if job logs would
/// run the line as a command.
pub(super) fn may_start_line(word: &str) -> bool {
    !word.starts_with("::")
}

/// Appends `text` in lines of at most `width` columns, each indented, and a line
/// feed after the last.
pub(super) fn wrap(text: &str, indent: usize, width: usize, out: &mut String) {
    let mut column = 0;
    for word in words(text) {
        let columns = escape::columns(word.as_bytes());
        let fits = column + 1 + columns <= width || !may_start_line(word);
        if column > 0 && fits {
            out.push(' ');
            column += 1;
        } else {
            if column > 0 {
                out.push('\n');
            }
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        }
        out.push_str(word);
        column += columns;
    }
    out.push('\n');
}

/// The text with words of at most `columns`: of longer ones, the middle is left out.
pub(super) fn shorten_words(text: &str, columns: usize) -> String {
    let words = words(text).map(|word| shortened(word, columns, columns / 2));
    words.collect::<Vec<_>>().join(" ")
}

/// Text in at most `columns`, cut after `head` columns, or the end of it alone.
pub(super) fn shortened(text: &str, columns: usize, head: usize) -> String {
    let whole = escape::columns(text.as_bytes());
    if whole <= columns {
        return text.to_owned();
    }
    let start = take_columns(text.chars(), head);
    let end = take_columns(text.chars().rev(), columns.saturating_sub(head + 1));
    let end: String = end.chars().rev().collect();
    format!("{start}…{end}")
}

/// Text in at most `columns`, cut at its end.
pub(super) fn shortened_end(text: &str, columns: usize) -> String {
    if escape::columns(text.as_bytes()) <= columns {
        return text.to_owned();
    }
    take_columns(text.chars(), columns.saturating_sub(1)) + "…"
}

fn take_columns(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut left = columns;
    let mut out = String::new();
    for char in chars {
        let width = escape::columns(char.encode_utf8(&mut [0; 4]).as_bytes());
        if width > left {
            break;
        }
        left -= width;
        out.push(char);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, width: usize) -> Vec<String> {
        let mut out = String::new();
        wrap(text, 2, width, &mut out);
        out.lines().map(str::to_owned).collect()
    }

    #[test]
    fn neither_topics_nor_numbers_are_split() {
        let text = "took 1200 ms for \"a b \\\" c\" here";
        assert_eq!(
            words(text).collect::<Vec<_>>(),
            ["took", "1200 ms", "for", "\"a b \\\" c\"", "here"]
        );
        assert_eq!(
            lines(text, 12),
            ["  took", "  1200 ms", "  for", "  \"a b \\\" c\"", "  here"]
        );
        assert_eq!(
            words("twice (connections 1 to 8): both").collect::<Vec<_>>(),
            ["twice", "(connections 1 to 8):", "both"]
        );
        assert_eq!(
            words("from 127.0.0.1 on").collect::<Vec<_>>(),
            ["from", "127.0.0.1", "on"]
        );
        assert_eq!(
            words("within 1.2 ms (packets 4, 6) or 7.").collect::<Vec<_>>(),
            ["within", "1.2 ms", "(packets 4, 6)", "or", "7."]
        );
        assert_eq!(lines("one two three", 10), ["  one two", "  three"]);
        assert_eq!(lines("温度温度 a", 10), ["  温度温度", "  a"]);
        assert_eq!(
            lines("one two ::error::x y", 10),
            ["  one two ::error::x", "  y"]
        );
    }
}
