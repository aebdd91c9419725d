//! Where and when a control packet was seen.

use crate::frame::MQTTFrame;
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// A control packet that was seen: which captured packet completed it, when,
/// and where in the byte stream of its direction it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FrameRef {
    /// The captured packet that completed it.
    pub packet: PacketRef,
    /// When its first byte was seen.
    pub started: Timestamp,
    /// When it was complete.
    pub time: Timestamp,
    /// Position after its last byte in the stream of its direction.
    pub end: u64,
    /// Number of its TCP connection.
    pub connection: u64,
    /// Its number in its direction of the connection.
    pub number: u64,
}

impl FrameRef {
    pub(super) fn of(frame: &MQTTFrame<'_>) -> Self {
        Self {
            packet: frame.last,
            started: frame.started,
            time: frame.time,
            end: frame.end(),
            connection: frame.connection.number,
            number: frame.number,
        }
    }
}
