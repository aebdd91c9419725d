//! What a connection tells whoever reads it.

use crate::net::Endpoint;

use super::{At, End};

/// What a direction of a connection pushes out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StreamEvent<'a> {
    /// Bytes in order, and the packet that brought them.
    Data {
        /// Position in the stream.
        offset: u64,
        /// The bytes; never empty.
        bytes: &'a [u8],
        /// Packet that brought them, which may be an earlier one than the one
        /// being read.
        at: At,
    },
    /// Bytes that the capture lacks.
    Gap {
        /// Position in the stream.
        offset: u64,
        /// How many.
        len: u64,
    },
    /// Bytes that differ from those that came first in their place, and that
    /// were passed on.
    Conflict {
        /// Position in the stream of the overlap.
        offset: u64,
        /// How many bytes differ.
        bytes: u64,
    },
    /// Bytes that came after their place had been declared a gap.
    Late {
        /// Position in the stream.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// A bound of ours bit, and a gap was declared early.
    Bound {
        /// Which.
        reason: &'static str,
    },
}

/// What TCP itself tells, for those who ask for it
/// ([`Handler::follows_tcp`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpFact {
    /// This side has acknowledged the other's stream up to an offset; told with
    /// every packet that acknowledges.
    Acknowledged {
        /// Position in the other side's stream. A FIN counts one.
        offset: u64,
    },
    /// This side has sent FIN.
    Fin,
    /// This side can take no more bytes for now.
    ZeroWindow,
    /// This side has sent bytes before that the capture has not shown so far.
    Unseen,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Both sides sent FIN; this one did first.
    Fin(End),
    /// One side sent FIN and the capture ended (or the connection went silent)
    /// before the other did.
    HalfClosed(End),
    /// This side reset it.
    Reset(End),
    /// A new connection took the port pair.
    Replaced,
    /// Nothing was seen of it for so long that it was forgotten.
    Idle,
    /// There were more connections than can be kept.
    Evicted,
    /// The capture ended while it was open.
    CaptureEnd,
}

/// Whether a reader of streams wants more of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// More, please.
    Wanted,
    /// No more: the flow need not be reassembled.
    Ignored,
}

/// What is known of a TCP connection.
#[derive(Clone, Debug)]
pub struct FlowInfo {
    /// Number from 1, by first packet.
    pub number: u64,
    /// Both endpoints, by [`End`].
    pub ends: [Endpoint; 2],
    /// Who sent the SYN, as far as it or the SYN-ACK was seen.
    pub opener: Option<End>,
    /// The SYN, if it was seen; else the first packet.
    pub first: At,
    /// For each end, whether offset 0 is the first byte of the stream.
    pub from_start: [bool; 2],
    /// For each end, the sequence number at offset 0, once known.
    pub first_seq: [Option<u32>; 2],
}

/// Who reads the streams. `S` is what it keeps per flow.
pub trait Handler<S> {
    /// A connection was seen for the first time, or only now its SYN.
    fn opened(&mut self, flow: &FlowInfo, state: &mut S, now: At);

    /// Something in one direction of a connection. `now` is the packet being
    /// read, or the last one read if the capture ended.
    fn stream(
        &mut self,
        flow: &FlowInfo,
        state: &mut S,
        from: End,
        event: StreamEvent<'_>,
        now: At,
    ) -> Interest;

    /// Whether [`Handler::tcp`] is to be called at all.
    fn follows_tcp(&self) -> bool {
        false
    }

    /// TCP itself told something about a connection, by a packet of `from`;
    /// before the bytes of that packet are passed on.
    fn tcp(&mut self, _: &FlowInfo, _: &mut S, _from: End, _fact: TcpFact, _now: At) {}

    /// The connection is over and everything of it was passed on; `at` is the
    /// packet that ended it.
    fn closed(&mut self, flow: &FlowInfo, state: &mut S, how: Closed, at: At);
}
