//! [`Records`]: a pcap file.

use super::super::error::Problem;
use super::super::interface::Interface;
use super::super::item::Packet;
use super::plan::Plan;
use super::{ETHERNET, SNAP_LENGTH};
use crate::packet::LinkType;

/// The content of pcap files.
#[derive(Default)]
pub(super) struct Records {
    /// The header of this file is written.
    pub(super) begun: bool,
    /// That of any file is, and link type and unit of time are for good.
    fixed: bool,
    link_type: Option<LinkType>,
    nanoseconds: bool,
}

impl Records {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            link_type: plan.link_type,
            nanoseconds: plan.nanoseconds,
            ..Self::default()
        }
    }

    /// Whether a header can be written.
    pub(super) fn is_settled(&self) -> bool {
        self.link_type.is_some()
    }

    /// This interface may have the first packet.
    pub(super) fn expect(&mut self, interface: &Interface) {
        if !self.fixed {
            self.link_type.get_or_insert(interface.link_type);
            self.nanoseconds |= interface.clock.finer_than_microseconds();
        }
    }

    /// This packet is the first, whatever was expected.
    pub(super) fn expect_first(&mut self, packet: &Packet<'_>) {
        if !self.fixed {
            self.link_type = Some(packet.packet.link_type);
            self.nanoseconds |= packet.interface.clock.finer_than_microseconds();
        }
    }

    pub(super) fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        self.fixed = true;
        let magic: u32 = if self.nanoseconds {
            0xa1b2_3c4d
        } else {
            0xa1b2_c3d4
        };
        let link_type = *self.link_type.get_or_insert(ETHERNET);
        out.extend_from_slice(&magic.to_le_bytes());
        out.extend_from_slice(&[2, 0, 4, 0]);
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&SNAP_LENGTH.to_le_bytes());
        out.extend_from_slice(&u32::from(link_type.0).to_le_bytes());
    }

    #[inline]
    pub(super) fn packet(
        &mut self,
        out: &mut Vec<u8>,
        Packet { packet, .. }: &Packet<'_>,
    ) -> Result<(), Problem> {
        if let Some(first) = self.link_type
            && first != packet.link_type
        {
            return Err(Problem::SecondLinkType {
                first,
                second: packet.link_type,
            });
        }
        let Ok(seconds) = u32::try_from(packet.time.seconds()) else {
            return Err(Problem::Time(packet.time));
        };
        let nanos = packet.time.subsec_nanos();
        let fraction = if self.nanoseconds {
            nanos
        } else {
            nanos / 1000
        };
        let captured = u32::try_from(packet.data.len()).unwrap_or(u32::MAX);
        let mut header = [0; 16];
        for (to, field) in
            header
                .chunks_exact_mut(4)
                .zip([seconds, fraction, captured, packet.original_len])
        {
            to.copy_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&header);
        out.extend_from_slice(packet.data);
        Ok(())
    }
}
