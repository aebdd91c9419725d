//! Errors in an expression, with their position.

use std::fmt;
use std::ops::Range;

/// An expression that cannot be compiled. It displays as two or three lines:
///
/// ```text
/// unknown field mqtt.topik; the nearest is mqtt.topic
///     mqtt.topik == "a"
///     ^~~~~~~~~~
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    message: String,
    text: String,
    /// Bytes of `text`.
    span: Range<usize>,
}

impl FilterError {
    pub(super) fn new(text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            text: text.to_owned(),
            span,
        }
    }

    /// The error, without the expression.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where it is wrong: the column of the first character, from 1.
    pub fn column(&self) -> usize {
        self.characters(0..self.span.start) + 1
    }

    fn characters(&self, range: Range<usize>) -> usize {
        self.text.get(range).map_or(0, |part| part.chars().count())
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = self.characters(self.span.clone()).saturating_sub(1);
        writeln!(f, "{}", self.message)?;
        // On one line, so that the marks are below the right columns.
        writeln!(f, "    {}", self.text.replace(char::is_control, " "))?;
        let before = self.column() - 1;
        write!(f, "    {:before$}^{:~<tail$}", "", "")
    }
}

impl std::error::Error for FilterError {}
