//! Times, addresses and names as they stand in a sentence.

use std::fmt::Write;
use std::time::Duration;

use crate::net::Endpoint;

/// `90.1 s`, `12.3 ms`, `2 h 5 min`.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match time.as_secs() {
        0 if time.as_micros() < 1_000 => format!("{} µs", time.as_micros()),
        0 => format!("{:.1} ms", seconds * 1e3),
        1..120 => format!("{seconds:.1} s"),
        s @ 120..7200 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3600, s / 60 % 60),
    }
}

/// `10.0.0.7:40122`.
pub(super) fn address(endpoint: Endpoint) -> String {
    endpoint.to_string()
}

/// Text from the wire without control characters of terminals.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            c if c.is_control() || is_directional(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Characters that change the direction of the text around them.
fn is_directional(c: char) -> bool {
    matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}
