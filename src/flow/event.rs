//! The events that a connection reports to the reader of its streams.

use serde::{Deserialize, Serialize};

use crate::limits::Limit;
use std::time::Duration;

use crate::net::{Endpoint, TcpFlags};

use super::{At, Chunk, End, PerEnd};

/// The output of a direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StreamEvent<'a> {
    /// Bytes in order, or a gap.
    Chunk(Chunk<'a>),
    /// Bytes that differ from those that another segment has at the same
    /// positions.
    Conflict {
        /// Position in the stream of the overlap.
        offset: u64,
        /// How many bytes differ.
        bytes: u64,
        /// Which were kept.
        kept: Kept,
    },
    /// Bytes that came after they had been declared a gap.
    Late {
        /// Position in the stream.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// A limit was reached, and a gap was declared early.
    Limit {
        /// Which.
        limit: Limit,
    },
}

/// Which of two segments with different bytes was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kept {
    /// The one that came first.
    First,
    /// The second, because its checksum is right and that of the first is not.
    RightChecksum,
}

impl Kept {
    /// The value in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::RightChecksum => "second",
        }
    }
}

/// A fact that TCP itself shows of a connection, for handlers that ask for it
/// ([`Handler::follows_tcp`]). "This side" is the sender of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TcpFact {
    /// This side has acknowledged the other's stream up to an offset; with
    /// every packet that acknowledges.
    Acknowledged {
        /// Position in the other side's stream. A FIN counts one.
        offset: u64,
        /// Bytes that this side can take from there on: the window, scaled if
        /// the SYN that states by how much was captured.
        window: u32,
    },
    /// This side has sent FIN. If it is missing from the capture, the
    /// acknowledgement of the other side proves it, and the packet is that one.
    Fin,
    /// This side can take no more bytes; with every packet that has window 0.
    ZeroWindow,
    /// This side can take bytes again.
    WindowOpened,
    /// This side has sent bytes before that the capture has not shown so far.
    Unseen,
    /// This side sent its SYN again.
    SynAgain {
        /// How many times it has sent it now.
        tries: u32,
    },
    /// This side sent bytes again that were captured before.
    Retransmitted {
        /// Position of the first in its stream.
        offset: u64,
        /// How many.
        bytes: u64,
        /// Retransmissions and keep-alive probes that this side has sent since
        /// the last packet of the other, with this one.
        unanswered: u32,
    },
    /// This side sent bytes that belong before others that were captured
    /// earlier. If they come much later than those, they were lost on their way
    /// to the capture and sent again; within about 3 ms the network has only
    /// changed the order.
    OutOfOrder {
        /// Position of the first in its stream.
        offset: u64,
        /// How many.
        bytes: u64,
        /// How long after the first of the others.
        waited: Duration,
    },
    /// This side sent a TCP keep-alive probe.
    KeepAlive {
        /// As for [`TcpFact::Retransmitted`].
        unanswered: u32,
    },
    /// This side reset the connection, or another host did in its name.
    Reset(Reset),
}

/// A RST, and the evidence that its sender is the peer it claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// IPv4 time to live, or IPv6 hop limit.
    pub ttl: u8,
    /// The same of the last packet before it from the same address.
    pub usual_ttl: Option<u8>,
    /// By how much its sequence number differs from the next one expected;
    /// `None` if nothing of its sender was captured.
    pub distance: Option<i32>,
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
    /// A packet that was captured twice: this is the duplicate.
    pub copy: bool,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Both sides sent FIN; this one did first.
    Fin(End),
    /// This side sent FIN, and the capture ended (or the connection went silent)
    /// before the other did.
    HalfClosed(End),
    /// This side reset it.
    Reset(End),
    /// This side answered the SYN with RST.
    Refused(End),
    /// The SYN was not answered.
    Unanswered,
    /// A new connection took the port pair.
    Replaced,
    /// It was silent for so long that it was evicted.
    Idle,
    /// It was evicted because the table is full.
    Evicted,
    /// The capture ended while it was open.
    CaptureEnd,
}

/// Whether a reader of streams wants more of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// More of it.
    Wanted,
    /// Nothing more: the flow need not be reassembled.
    Ignored,
}

/// Properties of a TCP connection.
#[derive(Clone, Debug)]
pub struct FlowInfo {
    /// Number from 1, by first packet.
    pub number: u64,
    /// Both endpoints, by [`End`].
    pub ends: PerEnd<Endpoint>,
    /// Who sent the SYN, as far as it or the SYN-ACK was captured.
    pub initiator: Option<End>,
    /// Whether anything but SYNs of the initiator and resets was captured: the SYN
    /// was answered, or the capture begins after it.
    pub established: bool,
    /// How many times the SYN was sent, if it was captured.
    pub syn_tries: u32,
    /// The SYN, if it was captured; else the first packet.
    pub first: At,
    /// For each end, whether offset 0 is the first byte of the stream.
    pub from_start: PerEnd<bool>,
    /// For each end, the sequence number at offset 0, once known.
    pub first_seq: PerEnd<Option<u32>>,
    /// It may be a connection that is captured under other addresses as well.
    pub may_be_view: bool,
}

impl FlowInfo {
    /// Of a connection of which nothing was read yet, whose first packet this is.
    pub(super) fn new(number: u64, ends: PerEnd<Endpoint>, first: At) -> Self {
        Self {
            number,
            ends,
            initiator: None,
            established: false,
            syn_tries: 0,
            first,
            from_start: PerEnd::default(),
            first_seq: PerEnd::default(),
            may_be_view: false,
        }
    }
}

/// The reader of the streams. `S` is what it keeps per flow.
pub trait Handler<S> {
    /// The first packet of a connection or its SYN was captured, or it was
    /// established.
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

    /// Whether it keeps something in the state of a connection. One without an answer
    /// then takes less memory.
    fn has_state(&self, _state: &S) -> bool {
        true
    }

    /// Whether [`Handler::tcp`] is to be called at all.
    fn follows_tcp(&self) -> bool {
        false
    }

    /// TCP itself shows something of a connection, by a packet of `from`;
    /// before the bytes of that packet are passed on.
    fn tcp(&mut self, _: &FlowInfo, _: &mut S, _from: End, _fact: TcpFact, _now: At) {}

    /// Whether [`Handler::segment`] is to be called at all.
    fn follows_segments(&self) -> bool {
        false
    }

    /// A segment, of any connection; before its bytes are passed on, and also
    /// when they will not be.
    fn segment(&mut self, _: &FlowInfo, _: &mut S, _from: End, _segment: Carried, _now: At) {}

    /// A side began to close the connection: `at` is the first FIN or RST, and
    /// everything that its sender sent before was passed on. More may come, at
    /// least from the other side; [`Handler::closed`] follows.
    fn closing(&mut self, _: &FlowInfo, _: &mut S, _how: Closed, _at: At) {}

    /// The connection is over and everything of it was passed on; `at` is the
    /// packet that ended it.
    fn closed(&mut self, flow: &FlowInfo, state: &mut S, how: Closed, at: At);

    /// The connection is another view of one that is known: everything of it was
    /// captured twice, under other addresses. Nothing more is passed on.
    fn captured_twice(&mut self, _: &FlowInfo, _: &mut S) {}

    /// The connection was evicted: a packet of it would now begin another. Not
    /// called when the capture ends.
    fn evicted(&mut self, _flow: &FlowInfo) {}
}
