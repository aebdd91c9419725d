//! Lines and tables that fit the width and never split a number or a topic.
//!
//! A number and its unit are joined by a no-break space ([`JOIN`]), at which lines are
//! not broken; it is printed as a space.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};
use unicode_width::UnicodeWidthStr;

use crate::report::wrap::may_start_line;

/// Joins words that must stay on one line.
pub(super) const JOIN: char = '\u{a0}';

/// Words in lines of at most `width` columns, after a mark on the first.
pub(super) fn fill(mark: &str, words: &str, width: usize, text: &mut String) {
    let mut line = mark.to_owned();
    let indent = " ".repeat(mark.width());
    for word in join_units(words).split(' ').filter(|word| !word.is_empty()) {
        let is_full = line.width() + word.width() > width && may_start_line(word);
        if line.len() > indent.len() && is_full {
            put_line(&line, text);
            line.clone_from(&indent);
        }
        line += word;
        line.push(' ');
    }
    put_line(&line, text);
}

/// Joins numbers with their units.
fn join_units(words: &str) -> String {
    const UNITS: [&str; 10] = ["ms", "s", "min", "h", "d", "B", "kB", "MB", "GB", "%"];
    let mut joined = String::new();
    for word in words.split(' ') {
        let after_number = joined.ends_with(|c: char| c.is_ascii_digit());
        let unit = word.trim_end_matches([',', ';', ':', '.', ')']);
        if after_number && UNITS.contains(&unit) {
            joined.push(JOIN);
        } else if !joined.is_empty() {
            joined.push(' ');
        }
        joined += word;
    }
    joined
}

fn put_line(line: &str, text: &mut String) {
    let _ = writeln!(text, "{}", line.trim_end().replace(JOIN, " "));
}

/// A column of a table.
#[derive(Clone, Copy)]
pub(super) struct Column {
    name: &'static str,
    kind: Kind,
    /// Order of omission if the width is too small, the greatest first; 0 is never
    /// omitted.
    rank: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Name,
    Number,
    Words,
}

impl Column {
    /// A name: to the left, never broken.
    pub(super) const fn name(name: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Name,
            rank: 0,
        }
    }

    /// A number: to the right, never broken.
    pub(super) const fn number(name: &'static str) -> Self {
        Self {
            kind: Kind::Number,
            ..Self::name(name)
        }
    }

    /// Words, in as many lines as they take.
    pub(super) const fn words(name: &'static str) -> Self {
        Self {
            kind: Kind::Words,
            ..Self::name(name)
        }
    }

    /// The same, omitted if the width is too small: the greatest rank first.
    pub(super) const fn rank(self, rank: u8) -> Self {
        Self { rank, ..self }
    }
}

/// A table as rows of cells.
pub(super) struct Rows<'a> {
    pub(super) columns: &'a [Column],
    pub(super) rows: Vec<Vec<String>>,
}

/// Minimum number of columns for words.
const WORDS: usize = 24;

impl Rows<'_> {
    /// Appends the table. If even the columns that are never omitted are too wide, the
    /// first cell of each row gets a line of its own.
    pub(super) fn put(&self, width: usize, text: &mut String) {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let width_of = |&column: &usize| -> usize {
            let cells = self.rows.iter().map(|row| row[column].width());
            let name = self.columns[column].name.width();
            let widest = cells.chain([name]).max().unwrap_or(0);
            match self.columns[column].kind {
                Kind::Words => widest.min(WORDS),
                Kind::Name | Kind::Number => widest,
            }
        };
        let is_too_wide =
            |shown: &[usize]| 1 + shown.iter().map(|c| 1 + width_of(c)).sum::<usize>() > width;
        while is_too_wide(&shown)
            && let Some(&least) = shown.iter().max_by_key(|&&c| self.columns[c].rank)
            && self.columns[least].rank > 0
        {
            shown.retain(|&column| column != least);
        }
        let has_words = shown.iter().any(|&c| self.columns[c].kind == Kind::Words);
        let own_line = is_too_wide(&shown) && !has_words;
        if own_line {
            shown.remove(0);
        }
        let table = self.table(&shown, width);
        let mut lines = table.lines();
        if let Some(head) = lines.next() {
            put_line(&head, text);
        }
        let mut rows = self.rows.iter();
        for line in lines {
            // Without words a row is a line.
            if own_line && let Some(row) = rows.next() {
                put_line(&format!("  {}", row[0]), text);
            }
            put_line(&line, text);
        }
    }

    fn table(&self, shown: &[usize], width: usize) -> Table {
        let mut table = Table::new();
        let names = shown.iter().map(|&c| self.columns[c].name);
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width as u16)
            .set_header(names);
        for row in &self.rows {
            table.add_row(shown.iter().map(|&c| match self.columns[c].kind {
                Kind::Words => join_units(&row[c]),
                Kind::Name | Kind::Number => row[c].clone(),
            }));
        }
        for (i, (column, &c)) in table.column_iter_mut().zip(shown).enumerate() {
            column.set_padding((if i == 0 { 2 } else { 0 }, 1));
            let kind = self.columns[c].kind;
            if kind == Kind::Number {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if kind != Kind::Words {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column::name("topic"),
        Column::number("bytes"),
        Column::number("p99").rank(2),
        Column::words("but"),
    ];

    fn shown(columns: &[Column], cells: &[&str], width: usize) -> String {
        let mut text = String::new();
        let rows = vec![cells.iter().map(|&cell| cell.to_owned()).collect()];
        Rows { columns, rows }.put(width, &mut text);
        text
    }

    #[test]
    fn columns_are_left_out_and_words_are_broken_numbers_and_topics_are_not() {
        let cells = [
            "plant/7/temperature",
            "1,234,567",
            "2,000",
            "between 570.26 MB and 839.83 MB, or so",
        ];
        for width in 40..100 {
            let text = shown(&COLUMNS, &cells, width);
            assert!(text.contains("plant/7/temperature"), "{width}\n{text}");
            assert!(text.contains("1,234,567"), "{width}\n{text}");
            if width >= 60 {
                assert!(text.contains("570.26 MB"), "{width}\n{text}");
                assert!(text.lines().all(|line| line.width() <= width), "{text}");
            }
        }
        assert!(!shown(&COLUMNS, &cells, 60).contains("p99"));
        assert!(shown(&COLUMNS, &cells, 100).contains("p99"));
    }

    #[test]
    fn a_topic_that_is_too_wide_has_a_line_of_its_own() {
        let topic = "a/".repeat(40);
        let text = shown(&COLUMNS[..3], &[&topic, "12", "34"], 60);
        assert_eq!(text, format!("  bytes\n  {topic}\n     12\n"));
    }

    #[test]
    fn words_are_filled() {
        let mut text = String::new();
        fill("! ", "one two 3 MB four", 10, &mut text);
        assert_eq!(text, "! one two\n  3 MB\n  four\n");
    }
}
