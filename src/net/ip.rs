//! IPv4 and IPv6 headers, up to what they carry or a fragment of it.
//!
//! ```text
//! IPv4 [options] → [AH] → TCP, UDP, tunnel …
//! IPv6 → [hop-by-hop] [routing] [destination] [fragment] [AH] … → TCP, UDP …
//! ```
//!
//! Three lengths may determine where a packet ends; the header's is used: bytes
//! after it are Ethernet's padding, missing bytes were cut. Length 0 occurs in
//! packets that were captured before segmentation offload (or IPv6 jumbograms);
//! there the link's length is used.
//!
//! The addresses are those of the endpoints: with a routing header the last
//! destination, with a home address option the home address. TCP's checksum covers
//! the same addresses.

use std::net::IpAddr;

use etherparse::{
    IpAuthHeaderSlice, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice,
    Ipv6RawExtHeaderSlice,
};

use crate::link::{Bytes, Stop};

/// Contents of an IP header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ip<'a> {
    /// Sender and receiver; with a routing header, the final destination.
    pub(super) addresses: Addresses<'a>,
    /// IPv4 identification; 0 for IPv6.
    pub(super) identification: u16,
    /// IPv4 time to live, or IPv6 hop limit.
    pub(super) ttl: u8,
    /// Protocol of `payload`.
    pub(super) protocol: u8,
    /// Bytes after all IP headers.
    pub(super) payload: Bytes<'a>,
    /// Set if `payload` is a fragment.
    pub(super) fragment: Option<Fragment>,
}

/// Sender and receiver, as slices of the packet.
///
/// References rather than [`IpAddr`]s, because those are copied in units of 16 bytes
/// right after they are written in units of 4, which stalls a processor's store
/// buffer: it doubled the time for a packet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Addresses<'a> {
    /// Adjacent.
    V4(&'a [u8; 8]),
    /// Sender and receiver, from different headers maybe.
    V6(&'a [u8; 16], &'a [u8; 16]),
}

impl Addresses<'_> {
    pub(super) fn is_v4(self) -> bool {
        matches!(self, Self::V4(_))
    }

    #[inline]
    pub(super) fn src(self) -> IpAddr {
        match self {
            Self::V4([a, b, c, d, ..]) => IpAddr::from([*a, *b, *c, *d]),
            Self::V6(src, _) => IpAddr::from(*src),
        }
    }

    #[inline]
    pub(super) fn dst(self) -> IpAddr {
        match self {
            Self::V4([.., a, b, c, d]) => IpAddr::from([*a, *b, *c, *d]),
            Self::V6(_, dst) => IpAddr::from(*dst),
        }
    }
}

/// Range of a fragment in its datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fragment {
    /// Identification of the datagram.
    pub(super) id: u32,
    /// Start in bytes, a multiple of 8.
    pub(super) offset: u32,
    /// Whether it is not the last fragment.
    pub(super) more: bool,
}

/// Reads an IP header of either version, and the headers that belong to it.
#[inline(always)]
pub(super) fn open(bytes: Bytes<'_>) -> Result<Ip<'_>, Stop> {
    match bytes.u8(0)? >> 4 {
        4 => open_v4(bytes),
        6 => open_v6(bytes),
        _ => Err(Stop::Malformed),
    }
}

#[inline(always)]
fn open_v4(bytes: Bytes<'_>) -> Result<Ip<'_>, Stop> {
    const ADDRESSES: usize = 12;
    let header_len = usize::from(bytes.u8(0)? & 0x0f) * 4;
    let header =
        Ipv4HeaderSlice::from_slice(bytes.first(header_len)?).map_err(|_| Stop::Malformed)?;
    let packet = match usize::from(header.total_len()) {
        0 => bytes,
        length if length < header_len => return Err(Stop::Malformed),
        length => bytes.exactly(length),
    };
    let offset = u32::from(header.fragments_offset().value()) * 8;
    let more = header.more_fragments();
    let identification = header.identification();
    let addresses = Addresses::V4(chunk(header.slice(), ADDRESSES).ok_or(Stop::Malformed)?);
    let ip = Ip {
        addresses,
        identification,
        ttl: header.ttl(),
        protocol: header.protocol().0,
        payload: packet.skip(header_len)?,
        fragment: (offset > 0 || more).then_some(Fragment {
            id: identification.into(),
            offset,
            more,
        }),
    };
    if ip.fragment.is_none() && ip.protocol == protocol::AH {
        // A copy, so that `ip` can stay in registers in the usual case.
        return extensions(Ip { ..ip });
    }
    Ok(ip)
}

fn open_v6(bytes: Bytes<'_>) -> Result<Ip<'_>, Stop> {
    const HEADER: usize = 40;
    const SRC: usize = 8;
    const DST: usize = 24;
    let header = Ipv6HeaderSlice::from_slice(bytes.first(HEADER)?).map_err(|_| Stop::Malformed)?;
    let rest = bytes.skip(HEADER)?;
    let length = usize::from(header.payload_length());
    let (Some(src), Some(dst)) = (chunk(header.slice(), SRC), chunk(header.slice(), DST)) else {
        return Err(Stop::Malformed);
    };
    let mut ip = Ip {
        addresses: Addresses::V6(src, dst),
        identification: 0,
        ttl: header.hop_limit(),
        protocol: header.next_header().0,
        payload: match length {
            0 => rest,
            length => rest.exactly(length),
        },
        fragment: None,
    };
    if length == 0 && ip.protocol == protocol::HOP_BY_HOP {
        jumbo(&mut ip)?;
    }
    extensions(ip)
}

/// Skips extension headers up to another protocol, or a fragment.
///
/// Also used for a reassembled datagram, which may start with more headers.
pub(super) fn extensions(mut ip: Ip<'_>) -> Result<Ip<'_>, Stop> {
    let is_v6 = !ip.addresses.is_v4();
    loop {
        let (next, length) = match ip.protocol {
            protocol::AH => {
                let length = (usize::from(ip.payload.u8(1)?) + 2) * 4;
                let header = IpAuthHeaderSlice::from_slice(ip.payload.first(length)?)
                    .map_err(|_| Stop::Malformed)?;
                (header.next_header().0, length)
            }
            protocol::FRAGMENT if is_v6 => {
                let header = Ipv6FragmentHeaderSlice::from_slice(ip.payload.first(8)?)
                    .map_err(|_| Stop::Malformed)?;
                // An atomic fragment (RFC 6946) is the whole datagram.
                if header.is_fragmenting_payload() {
                    ip.fragment = Some(Fragment {
                        id: header.identification(),
                        offset: u32::from(header.fragment_offset().value()) * 8,
                        more: header.more_fragments(),
                    });
                }
                (header.next_header().0, 8)
            }
            kind @ (protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::DESTINATION
            | protocol::MOBILITY
            | protocol::HIP
            | protocol::SHIM6)
                if is_v6 =>
            {
                let length = (usize::from(ip.payload.u8(1)?) + 1) * 8;
                let header = Ipv6RawExtHeaderSlice::from_slice(ip.payload.first(length)?)
                    .map_err(|_| Stop::Malformed)?;
                ip.addresses = readdress(ip.addresses, kind, header.slice());
                (header.next_header().0, length)
            }
            _ => return Ok(ip),
        };
        ip.protocol = next;
        ip.payload = ip.payload.skip(length)?;
        if ip.fragment.is_some() {
            return Ok(ip);
        }
    }
}

/// IP protocol numbers that are decoded.
pub(super) mod protocol {
    pub(in crate::net) const HOP_BY_HOP: u8 = 0;
    pub(in crate::net) const IPV4: u8 = 4;
    pub(in crate::net) const TCP: u8 = 6;
    pub(in crate::net) const UDP: u8 = 17;
    pub(in crate::net) const IPV6: u8 = 41;
    pub(in crate::net) const ROUTING: u8 = 43;
    pub(in crate::net) const FRAGMENT: u8 = 44;
    pub(in crate::net) const GRE: u8 = 47;
    pub(in crate::net) const AH: u8 = 51;
    pub(in crate::net) const DESTINATION: u8 = 60;
    pub(in crate::net) const ETHERIP: u8 = 97;
    pub(in crate::net) const MOBILITY: u8 = 135;
    pub(in crate::net) const MPLS: u8 = 137;
    pub(in crate::net) const HIP: u8 = 139;
    pub(in crate::net) const SHIM6: u8 = 140;
}

/// Takes the length from a jumbo payload option (RFC 2675), limited to the length of
/// the link.
fn jumbo(ip: &mut Ip<'_>) -> Result<(), Stop> {
    const JUMBO: u8 = 0xc2;
    let length = (usize::from(ip.payload.u8(1)?) + 1) * 8;
    let body = ip.payload.first(length)?.get(2..).unwrap_or_default();
    if let Some(option) = options(body).find(|option| option.kind == JUMBO)
        && let Some(&length) = option.value.first_chunk()
    {
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        ip.payload = ip.payload.at_most(length);
    }
    Ok(())
}

/// The addresses as an extension header changes them.
fn readdress<'a>(addresses: Addresses<'a>, kind: u8, header: &'a [u8]) -> Addresses<'a> {
    let Addresses::V6(src, dst) = addresses else {
        return addresses;
    };
    let body = header.get(2..).unwrap_or_default();
    match kind {
        protocol::ROUTING => Addresses::V6(src, final_destination(body).unwrap_or(dst)),
        protocol::DESTINATION => Addresses::V6(home_address(body).unwrap_or(src), dst),
        _ => addresses,
    }
}

/// The home address option of Mobile IPv6 (RFC 6275, section 6.3).
fn home_address(body: &[u8]) -> Option<&[u8; 16]> {
    const HOME_ADDRESS: u8 = 0xc9;
    options(body)
        .find(|option| option.kind == HOME_ADDRESS)
        .and_then(|option| option.value.first_chunk())
}

/// Final destination of a routing header, if the packet is still in transit.
/// `body` starts after the two bytes that all extension headers share.
fn final_destination(body: &[u8]) -> Option<&[u8; 16]> {
    let (&[kind, left], rest) = body.split_first_chunk()?;
    let addresses = rest.get(4..)?;
    match kind {
        _ if left == 0 => None,
        // Source routing (RFC 2460) and Mobile IPv6: visited in order.
        0 | 2 => addresses.last_chunk(),
        // Segment routing (RFC 8754): the last segment comes first.
        4 => addresses.first_chunk(),
        _ => None,
    }
}

/// The `N` bytes at `at`.
fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..)?.first_chunk()
}

/// An option of a hop-by-hop or destination header.
struct TypedOption<'a> {
    kind: u8,
    value: &'a [u8],
}

/// Options up to the end or the first invalid one. Kind 0 is one byte of padding.
fn options(mut body: &[u8]) -> impl Iterator<Item = TypedOption<'_>> {
    std::iter::from_fn(move || {
        while let [0, rest @ ..] = body {
            body = rest;
        }
        let [kind, length, rest @ ..] = body else {
            return None;
        };
        let (value, rest) = rest.split_at_checked((*length).into())?;
        body = rest;
        Some(TypedOption { kind: *kind, value })
    })
}

/// The IP packet at the start of `bytes`, without bytes after its end.
pub(super) fn whole(bytes: Bytes<'_>) -> Bytes<'_> {
    bytes.at_most(total_len(bytes))
}

/// Length of the IP packet at the start of `bytes` by its header, or the link's
/// length if the header has none.
pub(super) fn total_len(bytes: Bytes<'_>) -> usize {
    let length = match bytes.u8(0).map(|first| first >> 4) {
        Ok(4) => bytes.u16(2).map_or(0, usize::from),
        Ok(6) => match bytes.u16(4) {
            Ok(0) | Err(_) => 0,
            Ok(length) => usize::from(length) + 40,
        },
        _ => 0,
    };
    match length {
        0 => bytes.wire(),
        length => length,
    }
}
