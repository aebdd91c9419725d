//! The TCP segment as it travels from the headers to the flow table.

use serde::{Deserialize, Serialize};

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::packet::PacketRef;
use crate::time::Timestamp;

/// An address and a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    /// IPv4 or IPv6 address, the innermost one when tunnelled.
    pub addr: IpAddr,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.addr, self.port).fmt(f)
    }
}

/// The control bits of a TCP header (RFC 9293, section 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement number counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);

    /// Whether all bits of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl fmt::Debug for TcpFlags {
    /// As tcpdump prints them: `S` `F` `R` `P` `.` for ACK, `U`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [
            (Self::SYN, "S"),
            (Self::FIN, "F"),
            (Self::RST, "R"),
            (Self::PSH, "P"),
            (Self::ACK, "."),
            (Self::URG, "U"),
        ] {
            if self.has(bit) {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// One TCP segment, its payload still lying in the captured packet (or in the
/// buffer that joined its IP fragments).
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The captured packet that carried it, or that completed its IP datagram.
    pub packet: PacketRef,
    /// When that packet was captured.
    pub time: Timestamp,
    /// Sender.
    pub src: Endpoint,
    /// Receiver.
    pub dst: Endpoint,
    /// Sequence number of the first payload byte, or of the SYN.
    pub seq: u32,
    /// Acknowledgement number; meaningful with [`TcpFlags::ACK`].
    pub ack: u32,
    /// Control bits.
    pub flags: TcpFlags,
    /// Window as on the wire, not scaled.
    pub window: u16,
    /// By how many bits this sender scales its windows, of a SYN that has the
    /// option (RFC 7323).
    pub window_scale: Option<u8>,
    /// IPv4 time to live, or IPv6 hop limit; 0 if the capture lacks it.
    pub ttl: u8,
    /// The captured part of the payload.
    pub payload: &'a [u8],
    /// Bytes of payload that were on the wire after `payload`, but which the
    /// snap length cut off.
    pub cut: u32,
    /// Distinguishes a duplicate of this packet (mirror ports, bridges) from a
    /// retransmission: IPv4 identification (0 if there is none) and TCP checksum.
    pub copy_marks: (u16, u16),
    /// Whether the TCP checksum is correct; `None` if it was not verified or cannot be
    /// (cut packet).
    pub checksum_ok: Option<bool>,
    /// The packets whose IP fragments were reassembled into this segment; empty if it
    /// was not fragmented.
    pub fragments: &'a [PacketRef],
}
