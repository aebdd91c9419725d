//! The evidence on one connection when its end is judged: from its frames, from the
//! layers below and from TCP, with the gaps of the capture.

use std::time::Duration;

use crate::facts::{Doubt, Reason};
use crate::frame::{Direction, PerDirection};
use crate::limits;
use crate::mqtt::Version;
use crate::net::Endpoint;
use crate::time::Timestamp;

use super::mark::Mark;
use super::tcp::Trail;
use super::words::duration;

/// How the engine saw a connection end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Ended {
    /// By FIN or RST.
    Closed,
    /// A new connection took its port pair.
    Replaced,
    /// It was silent for so long that it was evicted.
    Idle,
    /// The table of connections was full.
    Evicted,
    /// It did not.
    #[default]
    CaptureEnd,
}

/// The same client identifier on a newer connection.
#[derive(Clone, Debug)]
pub(super) struct Takeover {
    /// Its number.
    pub(super) connection: u64,
    /// Its client.
    pub(super) client: Endpoint,
    /// Its CONNECT.
    pub(super) connect: Mark,
    /// Whether CONNACK accepted it.
    pub(super) accepted: bool,
}

/// A violation by the client, before the end.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// The packet that broke the rule.
    pub(super) at: Mark,
    /// The fault, with the rule.
    pub(super) message: String,
    /// Whether the specification obliges the server to close the connection.
    pub(super) obliges: bool,
}

/// All connections of a server ended within a moment.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    /// How many.
    pub(super) connections: usize,
    /// Within how long.
    pub(super) within: Duration,
}

impl Stop {
    pub(super) fn in_words(&self) -> String {
        let at_least = match self.connections >= limits::SERVER_ENDS {
            true => "at least ",
            false => "",
        };
        format!(
            "the server closed all its {at_least}{} connections within {}",
            self.connections,
            duration(self.within)
        )
    }
}

/// The evidence for the verdict on one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    pub(super) trail: Trail,
    /// Whether the first byte of each direction's MQTT stream was captured.
    pub(super) from_start: PerDirection<bool>,
    /// Why not everything that went each way is known.
    pub(super) doubt: PerDirection<Doubt>,
    /// MQTT version, as far as it is known.
    pub(super) version: Option<Version>,
    pub(super) connect: Option<Mark>,
    /// The first CONNACK, its code, and whether its bytes are beyond doubt.
    pub(super) connack: Option<(Mark, u8, bool)>,
    /// CONNACK accepted the client, or the server went on as if it had.
    pub(super) is_accepted: bool,
    /// Effective Keep Alive in seconds.
    pub(super) keep_alive: Option<u16>,
    /// The first DISCONNECT of each side, its Reason Code, and whether its bytes
    /// are beyond doubt.
    pub(super) disconnect: PerDirection<Option<(Mark, u8, bool)>>,
    /// The latest control packet of each side.
    pub(super) latest: PerDirection<Option<Mark>>,
    /// Control packets in both directions.
    pub(super) frames: u64,
    /// The oldest PINGREQ without an answer.
    pub(super) ping: Option<Mark>,
    /// PINGREQ packets without an answer.
    pub(super) pings: u32,
    /// Largest control packet of the client that was complete.
    pub(super) largest_up: Option<(u64, Mark)>,
    /// A packet of the client that was incomplete at the end: where it began, the
    /// bytes that were there, and how many it should have, if known.
    pub(super) unfinished_up: Option<(Mark, u64, Option<u64>)>,
    /// The first TLS alert that ends a connection.
    pub(super) alert: Option<(Direction, Mark, u8)>,
    /// The first WebSocket close frame.
    pub(super) websocket_close: Option<(Direction, Mark, Option<u16>)>,
    /// The HTTP status that refused a WebSocket.
    pub(super) http_refused: Option<(Mark, u16)>,
    /// Why the bytes above TCP cannot be read.
    pub(super) encrypted: Option<&'static str>,
    /// The latest violation by the client.
    pub(super) fault: Option<Fault>,
    pub(super) takeover: Option<Takeover>,
    pub(super) stop: Option<Stop>,
    pub(super) ended: Ended,
    /// Latest time of the capture when this was judged.
    pub(super) until: Timestamp,
}

impl Evidence {
    /// Nothing but SYNs of the client was captured.
    pub(super) fn is_only_opened(&self) -> bool {
        let down = &self.trail.streams.down;
        let answered = down.syn.is_some() || down.last.is_some();
        !answered && !self.trail.carried && self.trail.end.is_none() && self.frames == 0
    }

    /// Every byte of both directions up to the end was captured and read.
    pub(super) fn is_whole(&self) -> bool {
        self.is_complete() && self.encrypted.is_none()
    }

    /// Every byte was captured, though perhaps not decrypted.
    pub(super) fn is_complete(&self) -> bool {
        let streams = &self.trail.streams;
        let hidden = |doubt: Doubt| doubt.is_none_or(|reason| reason == Reason::Encrypted);
        Direction::ALL.into_iter().all(|way| {
            hidden(self.doubt[way])
                && !streams[way].has_loss()
                && (self.from_start[way] || streams[way].has_begin())
        })
    }

    /// Holds `reason` against one direction, or against both.
    pub(super) fn taint(&mut self, direction: Option<Direction>, reason: Reason) {
        for way in Direction::ALL {
            if direction.is_none_or(|direction| direction == way) {
                self.doubt[way].get_or_insert(reason);
            }
        }
    }
}
