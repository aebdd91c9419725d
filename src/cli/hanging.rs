//! Text for terminals: lines that break between words, with a hanging indent.

/// Appends the words of `text` to `out`, in lines of at most `columns`. `used` columns
/// of the first line are taken; the following lines are indented. A word that is longer
/// than a line has a line of its own.
pub(crate) fn hang(text: &str, used: usize, indent: usize, columns: usize, out: &mut String) {
    let mut used = used;
    let mut first = true;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !first && used + 1 + length > columns {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            used = indent;
        } else if !first {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
        first = false;
    }
    out.push('\n');
}

/// A list: a name, two blanks and its text. In at most `columns` the text is wrapped:
/// beside the names, or below them if they leave less than half a line.
pub(crate) fn list<'a>(
    rows: impl Iterator<Item = (String, &'a str)> + Clone,
    columns: Option<usize>,
) -> String {
    let width = rows.clone().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or(0);
    let mut out = String::new();
    for (name, text) in rows {
        match columns {
            None => out += &format!("{name:width$}  {text}\n"),
            Some(columns) if width + 2 <= columns / 2 => {
                out += &format!("{name:width$}  ");
                hang(text, width + 2, width + 2, columns, &mut out);
            }
            Some(columns) => {
                let name: Vec<&str> = name.split_whitespace().collect();
                out += &format!("{}\n    ", name.join(" "));
                hang(text, 4, 4, columns, &mut out);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_fit() {
        let rows = [
            ("a".to_owned(), "one two three"),
            ("name".to_owned(), "four"),
        ];
        let listed = |columns| list(rows.iter().cloned(), columns);
        assert_eq!(listed(None), "a     one two three\nname  four\n");
        assert_eq!(listed(Some(13)), "a     one two\n      three\nname  four\n");
        assert_eq!(
            listed(Some(11)),
            "a\n    one two\n    three\nname\n    four\n"
        );
    }

    #[test]
    fn words_are_whole() {
        let mut out = String::new();
        hang("unbreakable word", 5, 2, 8, &mut out);
        assert_eq!(out, "unbreakable\n  word\n");
    }
}
