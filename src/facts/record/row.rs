//! The rows of a file of records.

use serde::{Deserialize, Serialize};

use super::Counts;
use crate::event::{CloseReason, EventKind};
use crate::flow::TcpFact;
use crate::frame::{Connection, Direction, MQTTFrame, Received};
use crate::layer::ByteRange;
use crate::mqtt::{FixedHeader, Version};
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// A row. Connections are named by their number in the shard.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Row<'a> {
    /// The rows that follow come from this packet.
    At {
        time: Timestamp,
        packet: PacketRef,
        /// It is in another shard.
        is_clock: bool,
    },
    /// They come from the end of the capture.
    AtEnd,
    /// A TCP connection has its first packet.
    Opened(u64),
    /// A connection is now like this.
    Connection(Connection),
    #[serde(borrow)]
    Frame(Frame<'a>),
    Event {
        kind: EventKind,
        time: Timestamp,
        packet: PacketRef,
        connection: Option<u64>,
        direction: Option<Direction>,
        bytes: Option<u64>,
    },
    Tcp {
        connection: u64,
        from: Direction,
        fact: TcpFact,
        packet: PacketRef,
        time: Timestamp,
    },
    Ended {
        connection: u64,
        reason: CloseReason,
        packet: PacketRef,
        time: Timestamp,
    },
    /// The file is complete.
    Counts(Counts),
    /// No packet of the whole capture came between these times.
    Pause { from: Timestamp, until: Timestamp },
    /// Not in a file: the packet is written already.
    Done,
}

/// A control packet, up to its payload.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Frame<'a> {
    pub(super) header: FixedHeader,
    pub(super) bytes: &'a [u8],
    pub(super) topic: Option<&'a [u8]>,
    pub(super) payload_digest: Option<u64>,
    pub(super) missing: u64,
    pub(super) unfinished: bool,
    pub(super) resynchronised: bool,
    pub(super) version: Version,
    pub(super) connection: u64,
    pub(super) direction: Direction,
    pub(super) number: u64,
    pub(super) first: PacketRef,
    pub(super) last: PacketRef,
    pub(super) time: Timestamp,
    pub(super) offset: u64,
    pub(super) range: ByteRange,
    pub(super) started: Timestamp,
    pub(super) received: Received,
}

impl<'a> Frame<'a> {
    pub(super) fn of(frame: &MQTTFrame<'a>, bytes: &'a [u8]) -> Self {
        Self {
            header: frame.header,
            bytes,
            topic: frame.topic.map(|topic| topic.bytes()),
            payload_digest: frame.payload_digest,
            missing: frame.missing,
            unfinished: frame.unfinished,
            resynchronised: frame.resynchronised,
            version: frame.version,
            connection: frame.connection.number,
            direction: frame.direction,
            number: frame.number,
            first: frame.first,
            last: frame.last,
            time: frame.time,
            offset: frame.offset,
            range: frame.range,
            started: frame.started,
            received: frame.received,
        }
    }
}

impl Row<'_> {
    /// Appends the row, with its length in front.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        // Writing to memory does not fail.
        let _ = postcard::to_io(self, &mut *out);
        let len = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX);
        if let Some(front) = out.get_mut(at..at + 4) {
            front.copy_from_slice(&len.to_le_bytes());
        }
    }
}
