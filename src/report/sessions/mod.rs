//! Reports of `sessions`: a table with one line per connection.

use std::fmt::Write as _;

use super::escape::{Within, escaped};
use crate::sessions::Session;

const HEADINGS: [&str; 9] = [
    "CONNECTION",
    "CLIENT",
    "SERVER",
    "CLIENT ID",
    "VERSION",
    "UP",
    "DOWN",
    "DURATION",
    "CLOSED",
];

/// Appends the table of these sessions, headings first.
pub fn table<'a>(sessions: impl Iterator<Item = &'a Session>, out: &mut Vec<u8>) {
    let rows: Vec<[String; 9]> = std::iter::once(HEADINGS.map(str::to_owned))
        .chain(sessions.map(row))
        .collect();
    let mut widths = [0; 9];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in &rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            let _ = write!(line, "{cell:width$}  ");
        }
        out.extend(line.trim_end().bytes());
        out.push(b'\n');
    }
}

fn row(session: &Session) -> [String; 9] {
    let mut client_id = Vec::new();
    match &session.client_id {
        Some(id) => escaped(id, Within::Cell, &mut client_id),
        None => client_id.push(b'?'),
    }
    let closed = match session.closed {
        None => "still open".to_owned(),
        Some(close) => match close.by {
            Some(side) => format!("{} by {}", close.how, side.name()),
            None => close.how.to_owned(),
        },
    };
    [
        session.connection.to_string(),
        session.client.to_string(),
        session.server.to_string(),
        String::from_utf8_lossy(&client_id).into_owned(),
        session
            .version
            .map_or("?".to_owned(), |version| version.to_string()),
        session.messages.up.to_string(),
        session.messages.down.to_string(),
        format!("{:.3} s", session.last.since(session.first).as_secs_f64()),
        closed,
    ]
}
