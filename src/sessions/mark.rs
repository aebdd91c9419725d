//! A point in the capture.

use crate::packet::PacketRef;
use crate::time::Timestamp;

/// A captured packet and its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mark {
    /// The packet.
    pub packet: PacketRef,
    /// When it was captured.
    pub time: Timestamp,
}
