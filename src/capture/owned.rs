//! A packet that outlives the reader's buffer, for saving a connection that is selected
//! later.

use std::sync::Arc;

use crate::packet::CapturedPacket;

use super::interface::Interface;
use super::item::Packet;
use super::options::Options;

/// A copy of a packet with its metadata.
#[derive(Clone, Debug)]
pub struct OwnedPacket {
    /// Without its bytes, which are at the front of `bytes`.
    packet: CapturedPacket<'static>,
    interface: Arc<Interface>,
    ticks: Option<u64>,
    /// The packet's bytes, then its options'.
    bytes: Box<[u8]>,
    data_len: usize,
}

impl OwnedPacket {
    /// The packet, as it was lent out.
    pub fn lend(&self) -> Packet<'_> {
        let (data, options) = self
            .bytes
            .split_at_checked(self.data_len)
            .unwrap_or_default();
        Packet {
            packet: CapturedPacket {
                data,
                ..self.packet
            },
            interface: &self.interface,
            ticks: self.ticks,
            options: Options {
                bytes: options,
                order: self.interface.order,
            },
        }
    }

    /// Its memory in bytes, for limits.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }
}

impl From<&Packet<'_>> for OwnedPacket {
    fn from(packet: &Packet<'_>) -> Self {
        Self {
            packet: CapturedPacket {
                data: &[],
                ..packet.packet
            },
            interface: Arc::clone(packet.interface),
            ticks: packet.ticks,
            bytes: [packet.packet.data, packet.options.bytes].concat().into(),
            data_len: packet.packet.data.len(),
        }
    }
}
