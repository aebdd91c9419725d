//! What a connection tells whoever reads it.

use crate::net::{Endpoint, TcpFlags};

use super::{At, End, PerEnd};

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

/// A segment as it stands in its connection, for those who ask for it
/// ([`Handler::follows_segments`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Position in its sender's stream of its first byte (if it has one);
    /// negative when that lies before the first byte that counts. For a SYN,
    /// of the byte after it.
    pub offset: i64,
    /// Bytes of payload that were on the wire.
    pub len: u32,
    /// Up to where its sender has acknowledged the other side's stream, if it
    /// has: 0 for nothing but the SYN. A FIN counts one.
    pub acked: Option<i64>,
    /// Control bits.
    pub flags: TcpFlags,
    /// A packet that was captured twice: this is the second copy.
    pub copy: bool,
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
    pub ends: PerEnd<Endpoint>,
    /// Who sent the SYN, as far as it or the SYN-ACK was seen.
    pub initiator: Option<End>,
    /// The SYN, if it was seen; else the first packet.
    pub first: At,
    /// For each end, whether offset 0 is the first byte of the stream.
    pub from_start: PerEnd<bool>,
    /// For each end, the sequence number at offset 0, once known.
    pub first_seq: PerEnd<Option<u32>>,
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

    /// Whether [`Handler::segment`] is to be called at all.
    fn follows_segments(&self) -> bool {
        false
    }

    /// A segment, of any connection; before its bytes are passed on, and also
    /// when they will not be.
    fn segment(&mut self, _: &FlowInfo, _: &mut S, _from: End, _segment: Carried, _now: At) {}

    /// The connection is over and everything of it was passed on; `at` is the
    /// packet that ended it.
    fn closed(&mut self, flow: &FlowInfo, state: &mut S, how: Closed, at: At);

    /// Not even stragglers of this connection would be known any more. Not told
    /// when the capture ends.
    fn forgotten(&mut self, _flow: &FlowInfo) {}
}
