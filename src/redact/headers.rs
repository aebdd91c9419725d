//! The headers of a captured packet: which bytes of them are replaced.
//!
//! ```text
//! | link | tags | IP | options | TCP | options | payload | trailer |
//!   MACs          addresses      ports           given     zeros
//! ```
//! Everything behind the last header that is understood becomes zeros, and so do
//! options of which no size is derived.

use std::net::IpAddr;
use std::ops::Range;

use super::Problem;
use super::pseudonym::Pseudonyms;
use crate::net::checksum::{fold, sum};
use crate::packet::{CapturedPacket, LinkType};

/// Fill of TCP payload that was not read as MQTT: an AUTH packet of an impossible
/// length, and nothing in any other protocol.
pub(super) const UNREAD: u8 = 0xff;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMP6: u8 = 58;

/// Where the parts of a packet are.
#[derive(Debug, Default)]
pub(super) struct Layout {
    macs: Vec<usize>,
    zeros: Vec<Range<usize>>,
    /// IPv4 options become NOPs.
    ip_options: Range<usize>,
    ip: Option<Ip>,
    transport: Option<Transport>,
}

#[derive(Clone, Copy, Debug)]
struct Ip {
    at: usize,
    is_v6: bool,
    header: usize,
}

/// What follows the link header and its tags, and where.
enum Next {
    Ip(usize),
    Unknown(usize),
}

#[derive(Clone, Debug)]
struct Transport {
    protocol: u8,
    at: usize,
    /// Where its payload begins.
    payload: usize,
    /// Its end on the wire, which may lie beyond the captured bytes.
    end: usize,
}

impl Layout {
    /// Finds the parts of a packet.
    pub(super) fn of(packet: &CapturedPacket<'_>) -> Result<Self, Problem> {
        let mut layout = Self::default();
        let data = packet.data;
        let from = match layout.link(data, packet.link_type)? {
            Next::Ip(at) => layout.network(data, at, packet.original_len as usize),
            Next::Unknown(at) => at,
        };
        layout.zeros.push(from.min(data.len())..data.len());
        Ok(layout)
    }

    /// Reads the link header.
    fn link(&mut self, data: &[u8], link: LinkType) -> Result<Next, Problem> {
        let u16_at = |at: usize| Some(u16::from_be_bytes(*data.get(at..)?.first_chunk()?));
        let (mut at, mut ether_type) = match link.0 {
            1 => {
                if data.len() < 14 {
                    return Ok(Next::Unknown(0));
                }
                self.macs.extend([0, 6]);
                (14, u16_at(12))
            }
            113 => {
                if data.len() < 16 {
                    return Ok(Next::Unknown(0));
                }
                self.cooked_address(6, u16_at(4).unwrap_or(0).into());
                (16, u16_at(14))
            }
            276 => {
                if data.len() < 20 {
                    return Ok(Next::Unknown(0));
                }
                self.cooked_address(12, data[11].into());
                (20, u16_at(0))
            }
            0 | 108 => (4, Some(0x0800)),
            12 | 14 | 101 | 228 | 229 => (0, Some(0x0800)),
            other => return Err(Problem::LinkType(other)),
        };
        loop {
            match ether_type {
                Some(0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300) => {
                    ether_type = u16_at(at + 2);
                    at += 4;
                }
                Some(0x8864) => {
                    ether_type = match u16_at(at + 6) {
                        Some(0x0021 | 0x0057) => Some(0x0800),
                        _ => None,
                    };
                    at += 8;
                }
                Some(0x0800 | 0x86dd) => {
                    return Ok(Next::Ip(at));
                }
                _ => return Ok(Next::Unknown(at)),
            }
        }
    }

    /// The address in a header of eight bytes for it.
    fn cooked_address(&mut self, at: usize, len: usize) {
        match len {
            6 => {
                self.macs.push(at);
                self.zeros.push(at + 6..at + 8);
            }
            _ => self.zeros.push(at..at + 8),
        }
    }

    /// Reads IP and TCP; returns from where on the packet is not understood.
    fn network(&mut self, data: &[u8], at: usize, wire: usize) -> usize {
        let Some(first) = data.get(at) else { return at };
        let (ip, protocol, start, end) = match first >> 4 {
            4 => {
                let header = usize::from(first & 15) * 4;
                if header < 20 || data.len() < at + header {
                    return at;
                }
                let total = usize::from(u16::from_be_bytes([data[at + 2], data[at + 3]]));
                let end = match total {
                    // Segmentation offload.
                    0 => wire,
                    total => at + total,
                };
                let is_fragment = u16::from_be_bytes([data[at + 6], data[at + 7]]) & 0x3fff != 0;
                self.ip_options = at + 20..at + header;
                let protocol = if is_fragment { 255 } else { data[at + 9] };
                let ip = Ip {
                    at,
                    is_v6: false,
                    header,
                };
                (ip, protocol, at + header, end)
            }
            6 => {
                if data.len() < at + 40 {
                    return at;
                }
                let payload = usize::from(u16::from_be_bytes([data[at + 4], data[at + 5]]));
                let end = match payload {
                    0 => wire,
                    payload => at + 40 + payload,
                };
                let (mut next, mut start) = (data[at + 6], at + 40);
                while matches!(next, 0 | 43 | 60) {
                    let Some(&[following, units]) = data.get(start..start + 2) else {
                        break;
                    };
                    let len = (usize::from(units) + 1) * 8;
                    // Addresses may be in it; zeros are padding.
                    let to = (start + len).min(data.len());
                    self.zeros.push(start + 2..to);
                    (next, start) = (following, start + len);
                }
                let ip = Ip {
                    at,
                    is_v6: true,
                    header: start - at,
                };
                (ip, next, start, end)
            }
            _ => return at,
        };
        self.ip = Some(ip);
        if start > data.len() || end < start {
            return start.min(data.len());
        }
        let captured = end.min(data.len());
        let payload = match protocol {
            TCP => {
                let Some(&offset) = data[..captured].get(start + 12) else {
                    return start;
                };
                let header = usize::from(offset >> 4) * 4;
                if header < 20 || start + header > end {
                    return start;
                }
                self.tcp_options(data, start + 20..(start + header).min(captured));
                start + header
            }
            UDP if captured >= start + 8 => start + 8,
            ICMP | ICMP6 if captured >= start + 4 => start + 4,
            _ => return start,
        };
        if payload > captured {
            // The snap length cut the header; its checksum was captured.
            return captured;
        }
        self.transport = Some(Transport {
            protocol,
            at: start,
            payload,
            end,
        });
        end
    }

    /// Options other than those that connections are understood by.
    fn tcp_options(&mut self, data: &[u8], options: Range<usize>) {
        let mut at = options.start;
        while at < options.end {
            match (data[at], data.get(at + 1)) {
                (0, _) => return self.zeros.push(at..options.end),
                (1, _) => at += 1,
                (kind, Some(&len)) if len >= 2 && at + usize::from(len) <= options.end => {
                    let end = at + usize::from(len);
                    // MSS, window scale, SACK, timestamps.
                    if !matches!(kind, 2 | 3 | 4 | 5 | 8) {
                        self.zeros.push(at + 2..end);
                    }
                    at = end;
                }
                _ => return self.zeros.push((at + 1).min(options.end)..options.end),
            }
        }
    }

    /// Bytes of the TCP payload: where the captured ones are, and how many were on the
    /// wire.
    pub(super) fn tcp_payload(&self, captured: usize) -> Option<(Range<usize>, usize)> {
        let tcp = self.transport.as_ref().filter(|t| t.protocol == TCP)?;
        Some((tcp.payload..tcp.end.min(captured), tcp.end - tcp.payload))
    }

    /// The packet with everything replaced. `payload` is that of TCP; `server` is the
    /// port of the server where it is TCP.
    pub(super) fn redact(
        &self,
        original: &[u8],
        payload: &[u8],
        source_is_client: Option<bool>,
        names: &mut Pseudonyms,
    ) -> Vec<u8> {
        let mut data = original.to_vec();
        for &at in &self.macs {
            names.mac(&mut data[at..at + 6]);
        }
        for range in &self.zeros {
            data[range.clone()].fill(0);
        }
        let Some(ip) = self.ip else { return data };
        data[self.ip_options.clone()].fill(1);
        let (source, len) = match ip.is_v6 {
            true => (ip.at + 8, 16),
            false => (ip.at + 12, 4),
        };
        for at in [source, source + len] {
            let field = &mut data[at..at + len];
            if let Some(address) = address(field) {
                match names.address(address) {
                    IpAddr::V4(v4) => field.copy_from_slice(&v4.octets()),
                    IpAddr::V6(v6) => field.copy_from_slice(&v6.octets()),
                }
            }
        }
        if let Some(transport) = &self.transport {
            self.transport(
                original,
                &mut data,
                transport,
                payload,
                source_is_client,
                names,
            );
        }
        if !ip.is_v6 {
            let header = ip.at..ip.at + ip.header;
            let right = fold(sum(&original[header.clone()])) == 0xffff;
            put_checksum(
                &mut data,
                ip.at + 10,
                right.then_some(header),
                0,
                names,
                original,
            );
        }
        data
    }

    fn transport(
        &self,
        original: &[u8],
        data: &mut [u8],
        transport: &Transport,
        payload: &[u8],
        source_is_client: Option<bool>,
        names: &mut Pseudonyms,
    ) {
        let Some(ip) = self.ip else { return };
        let end = transport.end.min(data.len());
        let range = transport.at..end;
        let checksum = match transport.protocol {
            TCP => transport.at + 16,
            UDP => transport.at + 6,
            _ => transport.at + 2,
        };
        if matches!(transport.protocol, TCP | UDP) {
            let port = |at: usize| u16::from_be_bytes([original[at], original[at + 1]]);
            let (from, to) = (port(transport.at), port(transport.at + 2));
            let is_client = source_is_client.unwrap_or(from > to);
            let (from, to) = match is_client {
                true => (names.port(from, to), to),
                false => (from, names.port(to, from)),
            };
            data[transport.at..transport.at + 2].copy_from_slice(&from.to_be_bytes());
            data[transport.at + 2..transport.at + 4].copy_from_slice(&to.to_be_bytes());
        }
        let body = &mut data[transport.payload..end];
        match transport.protocol {
            TCP => {
                body.fill(UNREAD);
                let len = body.len().min(payload.len());
                body[..len].copy_from_slice(&payload[..len]);
            }
            _ => body.fill(0),
        }
        if transport.protocol == UDP && original[checksum..checksum + 2] == [0, 0] {
            return;
        }
        let pseudo = |data: &[u8]| -> u32 {
            let addresses = match ip.is_v6 {
                true => ip.at + 8..ip.at + 40,
                false => ip.at + 12..ip.at + 20,
            };
            match transport.protocol {
                ICMP => 0,
                protocol => {
                    sum(&data[addresses])
                        + u32::from(protocol)
                        + (transport.end - transport.at) as u32
                }
            }
        };
        let is_whole = transport.end <= data.len();
        let right = is_whole
            && fold(sum(&original[range.clone()]).wrapping_add(pseudo(original))) == 0xffff;
        let base = pseudo(data);
        put_checksum(
            data,
            checksum,
            right.then_some(range),
            base,
            names,
            original,
        );
    }
}

/// Puts the checksum over a range, if the original was right; else a pseudonym of it,
/// which is wrong as well.
fn put_checksum(
    data: &mut [u8],
    at: usize,
    right_over: Option<Range<usize>>,
    base: u32,
    names: &mut Pseudonyms,
    original: &[u8],
) {
    let value = match right_over {
        Some(range) => {
            data[at..at + 2].fill(0);
            match !fold(sum(&data[range]).wrapping_add(base)) {
                // 0 is none in UDP, and the same as this everywhere.
                0 => 0xffff,
                sum => sum,
            }
        }
        None => names.checksum(u16::from_be_bytes([original[at], original[at + 1]])),
    };
    data[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

fn address(field: &[u8]) -> Option<IpAddr> {
    match field.len() {
        4 => <[u8; 4]>::try_from(field).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(field).ok().map(IpAddr::from),
    }
}
