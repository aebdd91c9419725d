//! Whether a connection begins with a ClientHello.
//!
//! ```text
//! 16 03 0x len │ 01 length │ 03 0x │ random 32 │ session id 0..32 │ suites, even │ …
//!  record        message     version
//! ```
//! Other protocols must not be taken for TLS, so lengths have to agree with
//! each other before the answer is yes. A hello may be cut into many records,
//! and is looked at across them; it is the only message of its records, because
//! a client waits for the answer.

use super::header::{HEADER, header};
use crate::layer::Answer;

/// Whether the first bytes of a direction are a ClientHello of TLS or SSL.
pub fn client_hello(bytes: &[u8]) -> Answer {
    match bytes.first() {
        None => Answer::More,
        Some(0x16) => in_records(bytes),
        Some(0x80..) => ssl2(bytes),
        Some(_) => Answer::No,
    }
}

/// Whether bytes begin with a handshake record with a ServerHello of less than
/// 64 KiB.
pub(super) fn server_hello(bytes: &[u8]) -> Answer {
    const LONG_ENOUGH: usize = 9;
    let fits = |(at, byte): (usize, &u8)| match at {
        0 => *byte == 0x16,
        1 => *byte == 3,
        2 => *byte <= 4,
        5 => *byte == 2,
        6 => *byte == 0,
        _ => true,
    };
    match bytes.iter().take(LONG_ENOUGH).enumerate().all(fits) {
        false => Answer::No,
        true if bytes.len() < LONG_ENOUGH => Answer::More,
        true => Answer::Yes,
    }
}

/// Whether bytes begin with the header of a record of TLS 1.0 to 1.3.
pub fn begins_record(bytes: &[u8]) -> bool {
    header(bytes).is_some()
}

fn in_records(mut bytes: &[u8]) -> Answer {
    let mut message = Vec::new();
    // More than all that is looked at.
    while message.len() < 128 {
        let fits = |(at, byte): (usize, &u8)| match at {
            0 => *byte == 0x16,
            1 => *byte == 3,
            2 => *byte <= 4,
            _ => true,
        };
        let head = bytes.get(..HEADER).unwrap_or(bytes);
        if !head.iter().enumerate().all(fits) {
            return Answer::No;
        }
        let &[_, _, _, high, low, ref rest @ ..] = bytes else {
            break;
        };
        let len = usize::from(high) << 8 | usize::from(low);
        if len == 0 || len > 1 << 14 {
            return Answer::No;
        }
        let whole = rest.len() >= len;
        let (body, rest) = rest.split_at(len.min(rest.len()));
        message.extend(body.iter().take(128));
        // Nothing else follows the hello in its record.
        if let &[_, a, b, c, ..] = &message[..]
            && message.len() == body.len().min(128)
            && (usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)) + 4 < len
        {
            return Answer::No;
        }
        bytes = rest;
        if !whole {
            break;
        }
    }
    hello(&message)
}

/// The message itself.
fn hello(message: &[u8]) -> Answer {
    let at = |at: usize| message.get(at).copied().map(usize::from);
    let length = match (at(1), at(2), at(3)) {
        (Some(a), Some(b), Some(c)) => Some(a << 16 | b << 8 | c),
        _ => None,
    };
    let session = at(38);
    let suites = session.and_then(|session| {
        let (high, low) = (at(39 + session)?, at(40 + session)?);
        Some(high << 8 | low)
    });
    let wrong = at(0).is_some_and(|kind| kind != 1)
        || length.is_some_and(|len| !(41..1 << 17).contains(&len))
        || at(4).is_some_and(|major| major != 3)
        || at(5).is_some_and(|minor| minor > 4)
        || session.is_some_and(|session| session > 32)
        || suites.is_some_and(|suites| {
            // Version, random, session id, these, and compression after them.
            let least = 2 + 32 + 1 + session.unwrap_or(0) + 2 + suites + 2;
            suites == 0 || suites % 2 != 0 || length.is_some_and(|len| least > len)
        });
    match (wrong, suites) {
        (true, _) => Answer::No,
        (false, Some(_)) => Answer::Yes,
        (false, None) => Answer::More,
    }
}

/// RFC 6101, appendix E: the hello that clients sent to servers of which they
/// did not know whether they speak more than SSL 2.0.
fn ssl2(bytes: &[u8]) -> Answer {
    let number = |at: usize| {
        let (high, low) = (bytes.get(at)?, bytes.get(at + 1)?);
        Some(usize::from(*high) << 8 | usize::from(*low))
    };
    let fits = |(at, byte): (usize, &u8)| match (at, byte) {
        (2, kind) => *kind == 1,
        (3, major) => *major == 3 || *major == 0,
        (4, minor) => *minor <= 3,
        _ => true,
    };
    if !bytes.iter().take(5).enumerate().all(fits) {
        return Answer::No;
    }
    let (Some(len), Some(version), Some(suites), Some(session), Some(challenge)) =
        (number(0), number(3), number(5), number(7), number(9))
    else {
        return Answer::More;
    };
    let agree = (len & 0x7FFF) == 9 + suites + session + challenge
        && matches!(version, 0x0002 | 0x0300..=0x0303)
        && suites > 0
        && suites % 3 == 0
        && matches!(session, 0 | 16 | 32)
        && (16..=32).contains(&challenge);
    match agree {
        true => Answer::Yes,
        false => Answer::No,
    }
}
