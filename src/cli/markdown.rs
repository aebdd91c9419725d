//! Renders the Markdown of rule pages for a terminal: headings in bold, examples
//! indented, paragraphs wrapped between words.

use std::fmt::Write as _;

use anstyle::Style;

use super::hanging::hang;

/// Renders headings, paragraphs and fenced blocks, the only elements in rule pages.
/// Control sequences are removed where the terminal has no colour.
pub(crate) fn render(markdown: &str, columns: usize) -> String {
    let bold = Style::new().bold();
    let mut text = String::new();
    let mut is_example = false;
    for line in markdown.lines() {
        if line.starts_with("```") {
            is_example = !is_example;
        } else if is_example {
            let _ = writeln!(text, "    {line}");
        } else if let Some(heading) = line.strip_prefix("# ") {
            let _ = writeln!(text, "{bold}{heading}{bold:#}");
        } else {
            let line = line.replace('`', "");
            match line.strip_suffix(':') {
                Some(label) if !label.contains(' ') || label.len() < 20 => {
                    let _ = writeln!(text, "{bold}{label}{bold:#}");
                }
                _ => hang(&line, 0, 0, columns, &mut text),
            }
        }
    }
    // A fence has an empty line on both sides, which leaves two.
    text.replace("\n\n\n", "\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_wrapped_and_examples_are_not() {
        let page = "# id\n\nSome words that are wrapped.\n\nGood:\n\n```text\n> PUBLISH topic=a payload=11111111\n```\n";
        let text = render(page, 12);
        let plain = text.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
        assert_eq!(
            plain,
            "id\n\nSome words\nthat are\nwrapped.\n\nGood\n\n    > PUBLISH topic=a payload=11111111\n"
        );
    }
}
