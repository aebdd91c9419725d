//! TCP connections: segments in any order become byte streams in order, with
//! what the capture lacks told as data.
//!
//! ```text
//! Segment ─→ FlowTable ─→ which connection? (key, SYN, sequence numbers)
//!                └─ Half A→B, Half B→A ─→ StreamEvent: Data, Gap, Conflict, Late
//! ```
//! The table knows TCP (RFC 9293) and nothing of MQTT: whoever reads the
//! streams keeps its own state `S` inside each flow and says whether it still
//! cares. Flows nobody cares about cost a table entry and are not reassembled.
//!
//! A capture is not an endpoint. Bytes are passed on as soon as they are in
//! order, acknowledged or not; a hole becomes a gap only when nothing can be
//! expected to fill it (see [`crate::limits`]); and of two segments that
//! overlap with different bytes the first wins and the conflict is told,
//! because nobody at a tap can know which one the receiver took.

mod connection;
mod copies;
mod event;
mod half;
mod history;
mod key;
mod table;

pub use event::{Carried, Closed, FlowInfo, Handler, Interest, StreamEvent, TcpFact};
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
