//! Formatting of numbers.

use super::super::super::escape;
use super::layout::JOIN;

/// Text from the wire, escaped for terminals.
pub(super) fn shown(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    escape::escaped(bytes, escape::Within::Cell, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// `1,234,567`
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 frame`, `2 frames`
pub(super) fn plural(n: u64, what: &str) -> String {
    match n {
        1 => format!("1{JOIN}{what}"),
        _ => format!("{}{JOIN}{what}s", number(n)),
    }
}

/// `1,234.5`
pub(super) fn tenths(value: f64) -> String {
    let tenths = (value * 10.0).round() as u64;
    format!("{}.{}", number(tenths / 10), tenths % 10)
}

/// `1.23 MB`, in powers of 1000, as in data plans.
pub(super) fn amount(bytes: f64) -> String {
    let size = bytes.abs();
    match size {
        _ if size < 9_999.5 => format!("{bytes:.0}{JOIN}B"),
        _ if size < 999_950.0 => format!("{:.1}{JOIN}kB", bytes / 1e3),
        _ if size < 999_950_000.0 => format!("{:.2}{JOIN}MB", bytes / 1e6),
        _ => format!("{:.2}{JOIN}GB", bytes / 1e9),
    }
}

/// A time, in one word: [`crate::overhead::period`].
pub(super) fn period(seconds: f64) -> String {
    joined(&crate::overhead::period(seconds))
}

/// Words that must stay on one line.
pub(super) fn joined(words: &str) -> String {
    words.replace(' ', "\u{a0}")
}

pub(super) fn if_any(bytes: f64) -> String {
    match bytes > 0.0 {
        true => amount(bytes),
        false => String::new(),
    }
}

pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(
        || "n/a".to_owned(),
        |share| format!("{:.1}{JOIN}%", 100.0 * share),
    )
}

pub(super) fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "n/a".to_owned(), |value| format!("{value:.2}"))
}

pub(super) fn rate(value: Option<f64>) -> String {
    value.map_or_else(|| "n/a".to_owned(), |value| format!("{value:.1}"))
}

/// A count that may be fractional: `43,200`, `0.4`.
pub(super) fn rounded(n: f64) -> String {
    match n {
        n if n > 0.0 && n < 9.95 && n.fract() > 0.05 => format!("{n:.1}"),
        n => number(n.round() as u64),
    }
}
