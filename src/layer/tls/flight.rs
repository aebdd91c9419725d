//! Which records belong to a handshake that cannot be read.
//!
//! In TLS 1.3 nearly all of the handshake is sealed, and its records claim that
//! they are application data. Without keys this is all that is known: the
//! handshake lasts to the client's first sealed flight, which ends with its
//! Finished, the size of which is known:
//!
//! ```text
//! client ── Hello ─────────────────────────── [Certificate, …] Finished │ data
//! server ────────── Hello, sealed, sealed, … ───────────────────────────┼ data
//! ```
//! With a certificate the flight has up to three records, which are sent
//! together.

use super::record::{Record, kind};
use super::suite::Suite;
use crate::direction::Direction;
use crate::packet::PacketRef;

/// How far the handshake of TLS 1.3 is, without its keys.
#[derive(Debug, Default)]
pub(super) enum Flight {
    /// The client's sealed flight has not come.
    #[default]
    Before,
    /// So many of its records may still come, in this packet.
    Within(PacketRef, u8),
    /// It is over.
    Over,
}

impl Flight {
    /// Whether a record that comes now is part of the handshake. `early` is
    /// whether the client may be sending early data.
    pub(super) fn has(
        &mut self,
        direction: Direction,
        record: &Record<'_>,
        suite: Option<Suite>,
        early: bool,
    ) -> bool {
        if record.kind() != kind::APPLICATION {
            return true;
        }
        if direction == Direction::Down {
            return matches!(self, Self::Before);
        }
        if early && matches!(self, Self::Before) {
            return false;
        }
        // Message header and hash; with the shortest tag if it is not known.
        let finished = suite.map_or(4 + 32 + 1 + 8, |s| 4 + s.hash.len() + s.after());
        let packet = record.at().packet;
        let (is_part, left) = match self {
            Self::Before => (true, 2),
            Self::Within(of, left) if *of == packet && *left > 0 => (true, *left - 1),
            _ => (false, 0),
        };
        let is_first = matches!(self, Self::Before);
        let len = record.body().len();
        *self = match is_part && len != finished && !(is_first && len < finished) {
            true => Self::Within(packet, left),
            false => Self::Over,
        };
        is_part
    }
}
