//! The layers of a captured packet in numbers of bytes: link header, tags, tunnel,
//! IP, TCP, payload, trailer.
//!
//! ```text
//! | link | vlan | tunnel … | ip | ip options | tcp | tcp options | payload | trailer |
//! |<------------------------------ original length ------------------------------->|
//! ```

/// Bytes of a captured packet by layer. They add up to its original length; in 802.11
/// aggregates, those of all frames together do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anatomy {
    /// Link header.
    pub link: u32,
    /// VLAN tags.
    pub vlan: u32,
    /// From the outer IP header (or PPPoE, MPLS) to the innermost IP header.
    pub tunnel: u32,
    /// IP header without options: 20 or 40; 0 when there is no IP.
    pub ip: u32,
    /// IPv4 options, IPv6 extension and fragment headers.
    pub ip_options: u32,
    /// TCP header without options: 20; 0 when there is none here.
    pub tcp: u32,
    /// TCP options with their padding.
    pub tcp_options: u32,
    /// Payload of the innermost header: TCP payload; the body of other protocols and of
    /// fragments.
    pub payload: u32,
    /// Bytes after the IP packet: padding, a frame check sequence. In packets without
    /// IP, everything that was not decoded.
    pub trailer: u32,
    /// Bytes of the TCP options that would not be there without TCP timestamps
    /// (RFC 7323); options are padded to a multiple of four.
    pub timestamps: u32,
    /// Maximum Segment Size, if a SYN offers one (RFC 9293, 3.2).
    pub mss: Option<u16>,
}

impl Anatomy {
    /// All of it.
    pub fn total(&self) -> u32 {
        self.link + self.vlan + self.tunnel + self.l3() + self.trailer
    }

    /// The innermost IP packet.
    pub fn l3(&self) -> u32 {
        self.ip + self.ip_options + self.tcp + self.tcp_options + self.payload
    }
}
