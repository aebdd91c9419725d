//! Messages on standard error.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};

use mqttdump::report::visible;

use super::hanging::hang;

thread_local! {
    /// Messages of this thread that wait for its turn.
    static DEFERRED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Writes a message to standard error, or keeps it until the turn of this thread.
pub(crate) fn complain(message: &str) {
    let text = harmless(&plain(message));
    DEFERRED.with_borrow_mut(|deferred| match deferred {
        Some(deferred) => deferred.push(text),
        None => write(&text),
    });
}

fn write(text: &str) {
    let text = format!("mqttdump: {text}");
    let text = match io::stderr().is_terminal() {
        true => terminal_size::terminal_size_of(io::stderr())
            .map_or(text.clone(), |(width, _)| wrapped(&text, width.0.into())),
        false => text,
    };
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// The same text with long lines broken between words; continued lines are indented.
fn wrapped(text: &str, columns: usize) -> String {
    let mut wrapped = String::with_capacity(text.len());
    for line in text.split('\n') {
        let indent = line.len() - line.trim_start_matches(' ').len();
        wrapped += &line[..indent];
        match line.chars().count() > columns {
            true => hang(line, indent, indent + 2, columns, &mut wrapped),
            false => {
                wrapped += &line[indent..];
                wrapped.push('\n');
            }
        }
    }
    wrapped.truncate(wrapped.trim_end_matches('\n').len());
    wrapped
}

/// From now on messages of this thread are kept; those that are kept are dropped.
pub(crate) fn defer() {
    DEFERRED.set(Some(Vec::new()));
}

/// Writes the messages of this thread that are kept, and keeps no more.
pub(crate) fn deliver() {
    for text in DEFERRED.take().into_iter().flatten() {
        write(&text);
    }
}

/// Escapes each line of a message that may hold file names. A line that starts
/// with `::` is a command in GitHub's job logs, so such a line is indented.
pub(crate) fn harmless(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for (at, line) in message.split('\n').enumerate() {
        let is_command = line.trim_start().starts_with("::");
        text += match (at, is_command) {
            (0, _) => "",
            (_, true) => "\\n",
            (_, false) => "\n",
        };
        text += &visible(line);
    }
    text
}

/// Removes the error number that `std::io::Error` appends to the text of the
/// system.
pub(crate) fn plain(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((before, after)) = rest.split_once(" (os error ") {
        text += before;
        match after.split_once(')') {
            Some((number, after)) if number.bytes().all(|b| b.is_ascii_digit()) => rest = after,
            _ => {
                text += " (os error ";
                rest = after;
            }
        }
    }
    text + rest
}

/// `1 message`, `2 messages`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    with(count, what, "", "")
}

/// `1 packet is`, `2 packets are`.
pub(crate) fn are(count: u64, what: &str) -> String {
    with(count, what, " is", " are")
}

/// `1 packet was`, `2 packets were`.
pub(crate) fn were(count: u64, what: &str) -> String {
    with(count, what, " was", " were")
}

/// `1 packet does`, `2 packets do`.
pub(crate) fn does(count: u64, what: &str) -> String {
    with(count, what, " does", " do")
}

fn with(count: u64, what: &str, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {what}{one}"),
        _ => format!("{count} {what}s{many}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_or_a_job_log_obeys_is_escaped() {
        assert_eq!(
            harmless("a\n  tip: \x1b[2J\n ::error::b"),
            "a\n  tip: \\x1b[2J\\n ::error::b"
        );
    }

    #[test]
    fn messages_break_between_words() {
        assert_eq!(
            wrapped("mqttdump: no such thing\n  tip: another thing", 15),
            "mqttdump: no\n  such thing\n  tip: another\n    thing"
        );
    }

    #[test]
    fn numbers_of_the_system_are_left_out() {
        assert_eq!(
            plain("a: No such file or directory (os error 2): b"),
            "a: No such file or directory: b"
        );
        assert_eq!(
            plain("(os error x) (os error 1"),
            "(os error x) (os error 1"
        );
    }
}
