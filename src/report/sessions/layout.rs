//! How text for a reader is laid out: tables, lists, and the words of a cell.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::Style;

use super::visible;
use crate::report::escape::columns;
use crate::report::wrap::{may_start_line, words};
use crate::sessions::{Cause, Certainty, Close, Record};

/// How lists are written.
#[derive(Clone, Copy)]
pub(super) struct Lines {
    pub(super) colour: bool,
    pub(super) width: usize,
    pub(super) limit: usize,
}

impl Lines {
    /// Appends a heading.
    pub(super) fn heading(self, words: &str, text: &mut String) {
        let style = match self.colour {
            true => Style::new().bold(),
            false => Style::new(),
        };
        let _ = writeln!(text, "\n{style}{words}{style:#}");
    }

    /// Appends a heading and the first lines of a list.
    pub(super) fn put(self, words: &str, lines: &[String], text: &mut String) {
        if lines.is_empty() {
            return;
        }
        self.heading(words, text);
        for line in lines.iter().take(self.limit) {
            wrap(line, self.width, text);
        }
        if lines.len() > self.limit {
            let _ = writeln!(text, "  and {} more", lines.len() - self.limit);
        }
    }
}

/// A table with as little ink as possible.
pub(super) fn aligned(header: Vec<String>, rows: &[Vec<String>]) -> String {
    let mut widths = Widths::of(&header);
    rows.iter().for_each(|row| widths.add(row));
    let mut text = String::new();
    widths.put(&header, &mut text);
    rows.iter().for_each(|row| widths.put(row, &mut text));
    text
}

/// The widths of the columns of a table, so that its rows need not be kept.
#[derive(Debug)]
pub(super) struct Widths(Vec<usize>);

impl Widths {
    /// Of a table with only a header.
    pub(super) fn of(header: &[String]) -> Self {
        let mut widths = Self(vec![0; header.len()]);
        widths.add(header);
        widths
    }

    /// Makes room for a row.
    pub(super) fn add(&mut self, row: &[String]) {
        for (width, cell) in self.0.iter_mut().zip(row) {
            *width = (*width).max(columns(cell.as_bytes()));
        }
    }

    /// Only these columns.
    pub(super) fn only(&self, kept: &[usize]) -> Self {
        Self(kept.iter().map(|at| self.0[*at]).collect())
    }

    /// The length of the longest line.
    pub(super) fn line(&self) -> usize {
        self.0.iter().map(|width| width + GAP).sum::<usize>() - GAP
    }

    /// Appends a row.
    pub(super) fn put(&self, row: &[String], text: &mut String) {
        let begin = text.len();
        for (width, cell) in self.0.iter().zip(row) {
            *text += cell;
            let pad = width - columns(cell.as_bytes()).min(*width) + GAP;
            text.extend(std::iter::repeat_n(' ', pad));
        }
        let end = begin + text[begin..].trim_end().len();
        text.truncate(end);
        text.push('\n');
    }
}

/// Blanks between columns.
const GAP: usize = 2;

pub(super) fn name(record: &Record) -> String {
    match &record.client_id {
        Some(id) => visible(id),
        None => "?".to_owned(),
    }
}

pub(super) fn short(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

pub(super) fn because(close: &Close) -> String {
    let cause = close.cause.name().replace('_', " ");
    let code = match (close.cause, close.reason_code) {
        (Cause::Disconnect, Some(0)) | (_, None) => String::new(),
        (_, Some(code)) if code <= 0xFF => format!(" 0x{code:02X}"),
        (_, Some(code)) => format!(" {code}"),
    };
    let doubt = match close.certainty {
        Certainty::Proved => "",
        // Nothing can prove that no end is missing.
        Certainty::Likely if close.cause == Cause::StillOpen => "",
        Certainty::Likely => ", likely",
        Certainty::CannotTell => "?",
    };
    format!("{cause}{code}{doubt}")
}

pub(super) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match time.as_secs() {
        0 if time.as_micros() < 1000 => format!("{} µs", time.as_micros()),
        0 => format!("{:.1} ms", seconds * 1e3),
        1..100 => format!("{seconds:.1} s"),
        100..6000 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

/// Columns of the longest line.
pub(super) fn widest(text: &str) -> usize {
    text.lines()
        .map(|line| super::super::escape::columns(line.as_bytes()))
        .max()
        .unwrap_or(0)
}

/// Appends a line, broken between words where it would be too long.
pub(super) fn wrap(line: &str, width: usize, text: &mut String) {
    indented(line, 2, width, text);
}

/// The same at the left margin.
pub(super) fn hang(line: &str, width: usize, text: &mut String) {
    indented(line, 0, width, text);
}

fn indented(line: &str, indent: usize, width: usize, text: &mut String) {
    let mut column = 0;
    for word in words(line) {
        let len = super::super::escape::columns(word.as_bytes());
        if column == 0 {
            *text += &" ".repeat(indent);
            column = indent + len;
        } else if column + 1 + len > width && may_start_line(word) {
            *text += "\n";
            *text += &" ".repeat(indent + 2);
            column = indent + 2 + len;
        } else {
            *text += " ";
            column += 1 + len;
        }
        *text += word;
    }
    *text += "\n";
}
