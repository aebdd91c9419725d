//! TCP connections: segments in any order become byte streams in order, with
//! the gaps of the capture as data.
//!
//! ```text
//! Segment ─→ FlowTable ─→ which connection? (key, SYN, sequence numbers)
//!                └─ Reassembler A→B, B→A ─→ StreamEvent: Data, Gap, Conflict, Late
//! ```
//! The table knows TCP (RFC 9293) and nothing of MQTT. The reader of the streams
//! (a [`Handler`]) keeps its own state `S` inside each flow and declares whether
//! it wants more. A flow that it does not want costs a table entry and is not
//! reassembled.
//!
//! A capture is not an endpoint. Bytes are passed on as soon as they are in
//! order, acknowledged or not; missing bytes become a gap only when nothing can
//! be expected to fill it (see [`crate::limits`]); and of two segments that
//! overlap with different bytes the first wins and the conflict is reported,
//! because a tap cannot know which one the receiver took.

mod chunk;
mod connection;
mod duplicates;
mod event;
mod half_open;
mod history;
mod key;
mod reassembler;
mod table;
mod twice;

pub use chunk::{ByteRange, Chunk, Data, Seal};
pub use event::{Carried, Closed, FlowInfo, Handler, Interest, Kept, Reset, StreamEvent, TcpFact};
pub use key::{End, PerEnd};
pub use table::FlowTable;

use crate::packet::PacketRef;
use crate::time::Timestamp;

/// A captured packet and its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct At {
    /// The packet.
    pub packet: PacketRef,
    /// When it was captured.
    pub time: Timestamp,
    /// Up to where its sender had acknowledged the stream of the other side
    /// when it was sent; 0 if that is not known.
    pub acked: u64,
}
