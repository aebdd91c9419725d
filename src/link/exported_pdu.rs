//! Wireshark's exported PDUs (link type 252): the data given to one dissector, with
//! tags for its origin. "Export PDUs to file" writes them.
//!
//! ```text
//! tag: | type 2 | length 2 | value, padded to 4 |
//!      12 dissector, 20 to 23 addresses, 24 kind of port, 25 and 26 ports, 0 end
//! ```
//!
//! A PDU of a dissector above TCP has neither IP nor TCP headers; `net::exported`
//! replaces them. A PDU of `ip` or `eth` is an ordinary packet.

use std::net::IpAddr;

use super::{Bytes, Link, Next, Stop};
use crate::packet::LinkType;

/// Its entry in the list of link types.
pub(super) const LINK: Link = Link {
    number: LinkType(252),
    name: "WIRESHARK_UPPER_PDU",
    open: |bytes| {
        let pdu = open(bytes)?;
        let next = match pdu.dissector {
            b"ip" | b"ipv4" | b"ipv6" => Next::Ip,
            b"eth" | b"eth_withoutfcs" | b"eth_maybefcs" => Next::Ethernet,
            _ => return Err(Stop::NotIp),
        };
        Ok((next, pdu.body))
    },
    show: |_| None,
};

/// An exported PDU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pdu<'a> {
    /// Name of the dissector that takes it.
    pub(crate) dissector: &'a [u8],
    /// Sender, if an address is given.
    pub(crate) src: Option<IpAddr>,
    /// Receiver.
    pub(crate) dst: Option<IpAddr>,
    /// TCP ports of sender and receiver, if the ports are TCP's.
    pub(crate) ports: Option<(u16, u16)>,
    /// What was exported.
    pub(crate) body: Bytes<'a>,
}

/// Reads the tags.
pub(crate) fn open(bytes: Bytes<'_>) -> Result<Pdu<'_>, Stop> {
    const TCP: u32 = 2;
    let mut pdu = Pdu {
        dissector: &[],
        src: None,
        dst: None,
        ports: None,
        body: bytes,
    };
    let (mut kind, mut src, mut dst) = (0, None, None);
    let mut rest = bytes;
    loop {
        let (tag, length) = (rest.u16(0)?, usize::from(rest.u16(2)?));
        let value = rest.skip(4)?.at_most(length);
        rest = rest.skip(4 + length)?;
        match tag {
            0 => break,
            12 => {
                let name = value.first(length)?;
                // Padded with zeros to a multiple of four.
                let end = name.iter().position(|byte| *byte == 0);
                pdu.dissector = name.get(..end.unwrap_or(length)).unwrap_or(name);
            }
            20 => pdu.src = Some(IpAddr::from(value.array::<4>(0)?)),
            21 => pdu.dst = Some(IpAddr::from(value.array::<4>(0)?)),
            22 => pdu.src = Some(IpAddr::from(value.array::<16>(0)?)),
            23 => pdu.dst = Some(IpAddr::from(value.array::<16>(0)?)),
            24 => kind = value.u32(0)?,
            25 => src = u16::try_from(value.u32(0)?).ok(),
            26 => dst = u16::try_from(value.u32(0)?).ok(),
            _ => {}
        }
    }
    pdu.body = rest;
    pdu.ports = src.zip(dst).filter(|_| kind == TCP);
    Ok(pdu)
}
