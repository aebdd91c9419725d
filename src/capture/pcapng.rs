//! The pcapng format: blocks, each with its length before and after it.
//!
//! ```text
//! section header    byte order, comments                 ← starts afresh
//!   interface 0     link type, snap length, clock
//!   interface 1
//!   packet          interface, ticks, lengths, data, options
//!   names, secrets, statistics, custom …
//! section header    perhaps the other byte order, other interfaces
//! ```
//!
//! This file finds the blocks, keeps the section's interfaces, which packets
//! refer to, and passes on other blocks as bytes ([`Block`]). Damage inside a
//! block whose two lengths agree costs that block; if they disagree, nothing
//! after it can be read. A damaged option list costs the options after the
//! damage, never the packet.
//!
//! `pcap-parser` is not used here: version 0.17 gives up on every binary
//! `if_tsresol`, reads `if_tsoffset` in one byte order only, and collects the
//! options of every packet into a vector.

use std::sync::Arc;

use crate::limits;
use crate::packet::PacketRef;

use super::buffer::Buffer;
use super::bytes::{ByteOrder, Fields, padded};
use super::error::Problem;
use super::framed::{Framed, FramedPacket};
use super::interface::{Clock, Interface};
use super::item::{Block, Dropped};
use super::options::Options;
use super::origin::Origin;

/// Block types.
pub(super) mod kind {
    pub(in crate::capture) const SECTION: u32 = 0x0a0d_0d0a;
    pub(in crate::capture) const INTERFACE: u32 = 1;
    /// Obsolete, yet in old files.
    pub(in crate::capture) const PACKET: u32 = 2;
    pub(in crate::capture) const SIMPLE_PACKET: u32 = 3;
    pub(in crate::capture) const NAMES: u32 = 4;
    pub(in crate::capture) const STATISTICS: u32 = 5;
    pub(in crate::capture) const ENHANCED_PACKET: u32 = 6;
    pub(in crate::capture) const JOURNAL: u32 = 9;
    pub(in crate::capture) const SECRETS: u32 = 10;
    pub(in crate::capture) const CUSTOM: u32 = 0xbad;
}

/// Type and length before a block's body.
const HEADER: usize = 8;
/// The length after it.
const TRAILER: usize = 4;
/// Options of an interface.
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;
/// Option of a packet: how many were lost since the one before.
const EPB_DROPCOUNT: u16 = 4;
/// Options of statistics: how many were lost since the capture began, by the
/// interface and by the operating system.
const ISB_DROPS: [u16; 2] = [5, 7];

/// Reads the blocks of one file.
pub(super) struct Pcapng {
    file: u32,
    order: ByteOrder,
    /// Number of sections so far.
    sections: u32,
    /// Those of the current section.
    interfaces: Vec<Arc<Interface>>,
    /// Packets already reported as lost.
    dropped: Vec<u64>,
    /// The description of a derived capture.
    origin: Option<Box<Origin>>,
    /// Number and file of origin of the packet framed last, in a derived capture.
    original: Option<PacketRef>,
}

impl Pcapng {
    pub(super) fn new(file: u32) -> Self {
        Self {
            file,
            order: ByteOrder::Little,
            sections: 0,
            interfaces: Vec::new(),
            dropped: Vec::new(),
            origin: None,
            original: None,
        }
    }

    /// Reads the description of a derived capture from the first section header, which
    /// stays unread. Damage is reported when the block is read.
    pub(super) fn open(file: u32, buffer: &mut Buffer) -> Self {
        let mut this = Self::new(file);
        if let Ok(order) = byte_order(buffer) {
            let length = buffer.unread().get(4..).and_then(<[u8]>::first_chunk);
            let length = length.map_or(0, |bytes| order.u32(*bytes)) as usize;
            if length <= limits::BLOCK_BYTES && buffer.want(length).is_ok() {
                let end = length.saturating_sub(TRAILER);
                let bytes = buffer.unread().get(HEADER + 16..end).unwrap_or_default();
                this.origin = Origin::of(&Options { bytes, order }).map(Box::new);
            }
        }
        this
    }

    /// The description of a derived capture.
    pub(super) fn origin(&self) -> Option<&Origin> {
        self.origin.as_deref()
    }

    /// Number of the packet framed last, and its file: those of origin, if it is known.
    #[inline(always)]
    pub(super) fn identity(&self, number: u64) -> PacketRef {
        match self.original {
            Some(original) => original,
            None => PacketRef {
                number,
                file: self.file,
            },
        }
    }

    /// The interface of a framed packet.
    pub(super) fn interface(&self, number: usize) -> Option<&Arc<Interface>> {
        self.interfaces.get(number)
    }

    /// Finds the next block; `None` if the file ends between two.
    #[inline]
    pub(super) fn frame(&mut self, buffer: &mut Buffer) -> Result<Option<Framed>, Problem> {
        let there = buffer.want(HEADER).map_err(Problem::Read)?;
        let Some(&[k0, k1, k2, k3, l0, l1, l2, l3]) = buffer.unread().first_chunk::<HEADER>()
        else {
            return match there {
                0 => Ok(None),
                there => Err(cut("block header", HEADER, there)),
            };
        };
        let mut kind = self.order.u32([k0, k1, k2, k3]);
        // The same in both byte orders, so that it is found in either.
        if kind == kind::SECTION {
            self.order = byte_order(buffer)?;
            kind = kind::SECTION;
        }
        let length = self.order.u32([l0, l1, l2, l3]);
        let least = least_length(kind);
        if length < least {
            return Err(Problem::BlockLength {
                kind,
                length,
                expected: least,
            });
        }
        if length as usize > limits::BLOCK_BYTES {
            return Err(Problem::TooLong {
                what: "block",
                length: u64::from(length),
                limit: limits::BLOCK_BYTES as u64,
            });
        }
        // A multiple of four by the specification; some writers leave the
        // padding out of the length.
        let record = padded(length as usize);
        let there = buffer.want(record).map_err(Problem::Read)?;
        if there < record {
            return Err(cut(name(kind), record, there));
        }
        let block = buffer.unread().get(..record).unwrap_or_default();
        let Some((content, trailer)) = block.split_last_chunk::<TRAILER>() else {
            return Err(cut(name(kind), record, there));
        };
        let after = self.order.u32(*trailer);
        if after != length {
            return Err(Problem::Trailer {
                kind,
                before: length,
                after,
            });
        }
        let body = content.get(HEADER..).unwrap_or_default();
        let packet = match kind {
            kind::ENHANCED_PACKET => self.enhanced_packet(body),
            kind::SIMPLE_PACKET => self.simple_packet(body),
            kind::PACKET => self.obsolete_packet(body),
            _ => return self.other(kind, record, body).map(Some),
        };
        Ok(Some(match packet {
            Ok(mut packet) => {
                packet.record = record;
                self.original = None;
                if !packet.options.is_empty() || packet.dropped > 0 {
                    self.packet_dropped(content, &mut packet);
                }
                Framed::Packet(packet)
            }
            Err(problem) => Framed::Lost { record, problem },
        }))
    }

    #[inline]
    fn enhanced_packet(&self, body: &[u8]) -> Result<FramedPacket, Problem> {
        let mut fields = Fields::new(body, self.order);
        let (Some(number), Some(high), Some(low), Some(captured), Some(original)) = (
            fields.u32(),
            fields.u32(),
            fields.u32(),
            fields.u32(),
            fields.u32(),
        ) else {
            return Err(short(kind::ENHANCED_PACKET, body));
        };
        let ticks = u64::from(high) << 32 | u64::from(low);
        self.packet(20, body.len(), number, Some(ticks), captured, original)
    }

    fn obsolete_packet(&self, body: &[u8]) -> Result<FramedPacket, Problem> {
        let mut fields = Fields::new(body, self.order);
        let (Some(number), Some(drops), Some(high), Some(low), Some(captured), Some(original)) = (
            fields.u16(),
            fields.u16(),
            fields.u32(),
            fields.u32(),
            fields.u32(),
            fields.u32(),
        ) else {
            return Err(short(kind::PACKET, body));
        };
        let ticks = u64::from(high) << 32 | u64::from(low);
        let number = u32::from(number);
        let packet = self.packet(20, body.len(), number, Some(ticks), captured, original)?;
        Ok(FramedPacket {
            dropped: match drops {
                u16::MAX => 0, // It was not counted.
                drops => drops.into(),
            },
            ..packet
        })
    }

    /// Has neither interface (it is 0), time, nor captured length: that is the
    /// original length or the snap length, whichever is less.
    fn simple_packet(&self, body: &[u8]) -> Result<FramedPacket, Problem> {
        let Some(original) = Fields::new(body, self.order).u32() else {
            return Err(short(kind::SIMPLE_PACKET, body));
        };
        let snap_length = match self.interfaces.first() {
            Some(interface) if interface.snap_length > 0 => interface.snap_length,
            _ => u32::MAX,
        };
        let room = u32::try_from(body.len() - 4).unwrap_or(u32::MAX);
        let captured = original.min(snap_length).min(room);
        let packet = self.packet(4, body.len(), 0, None, captured, original)?;
        Ok(FramedPacket {
            // The bytes after the data are padding, because it has no options.
            options: packet.data.end..packet.data.end,
            ..packet
        })
    }

    /// A packet whose data starts `header` bytes into a body of `len` bytes.
    #[inline]
    fn packet(
        &self,
        header: usize,
        len: usize,
        number: u32,
        ticks: Option<u64>,
        captured: u32,
        original: u32,
    ) -> Result<FramedPacket, Problem> {
        let Some(interface) = self.interfaces.get(number as usize) else {
            return Err(Problem::NoInterface {
                index: number,
                known: self.interfaces.len(),
            });
        };
        let room = len - header;
        if captured as usize > room {
            return Err(Problem::Room { captured, room });
        }
        let data = HEADER + header;
        let options = data + padded(captured as usize).min(room);
        Ok(FramedPacket {
            record: 0,
            data: data..data + captured as usize,
            options: options..HEADER + len,
            ticks,
            time: interface.clock.time(ticks.unwrap_or(0)),
            captured,
            original,
            interface: number as usize,
            link_type: interface.link_type,
            dropped: 0,
        })
    }

    /// A block that is not a packet.
    fn other(&mut self, kind: u32, record: usize, body: &[u8]) -> Result<Framed, Problem> {
        match kind {
            kind::SECTION => {
                let mut fields = Fields::new(body, self.order);
                let _magic = fields.u32();
                if let (Some(major), Some(minor)) = (fields.u16(), fields.u16())
                    && major != 1
                {
                    return Err(Problem::Version {
                        format: "pcapng",
                        major,
                        minor,
                        expected: "1.0",
                    });
                }
                self.sections = self.sections.saturating_add(1);
                self.interfaces.clear();
                self.dropped.clear();
            }
            kind::INTERFACE => {
                if self.interfaces.len() >= limits::INTERFACES {
                    return Err(Problem::Interfaces(limits::INTERFACES));
                }
                let interface = self.describe(body).ok_or_else(|| short(kind, body))?;
                self.interfaces.push(Arc::new(interface));
                self.dropped.push(0);
            }
            _ => {}
        }
        // Unknown blocks, blocks that must not be copied, and blocks with an
        // invalid body are not used.
        if self.block(kind, body).is_none() {
            return Ok(Framed::Skipped { record });
        }
        Ok(Framed::Block {
            record,
            kind,
            body: HEADER..HEADER + body.len(),
            dropped: self.statistics_dropped(kind, body),
        })
    }

    fn describe(&self, body: &[u8]) -> Option<Interface> {
        let mut fields = Fields::new(body, self.order);
        let link_type = fields.u16()?;
        let _reserved = fields.u16()?;
        let snap_length = fields.u32()?;
        let options = Options {
            bytes: fields.rest(),
            order: self.order,
        };
        let resolution = options
            .first(IF_TSRESOL)
            .and_then(|value| value.first().copied());
        let offset = options
            .first(IF_TSOFFSET)
            .and_then(|value| value.first_chunk::<8>().copied());
        Some(Interface {
            file: self.file,
            section: self.sections.saturating_sub(1),
            number: u32::try_from(self.interfaces.len()).ok()?,
            link_type: Interface::link_type(link_type),
            snap_length,
            clock: Clock::new(
                resolution.unwrap_or(6),
                offset.map_or(0, |bytes| self.order.u64(bytes).cast_signed()),
            ),
            options: options.bytes.to_vec(),
            order: self.order,
        })
    }

    /// Losses before a packet, according to its options.
    fn packet_dropped(&mut self, block: &[u8], packet: &mut FramedPacket) {
        let options = Options {
            bytes: block.get(packet.options.clone()).unwrap_or_default(),
            order: self.order,
        };
        if let Some(count) = options.first(EPB_DROPCOUNT).and_then(|v| v.first_chunk()) {
            packet.dropped = self.order.u64(*count);
        }
        // Another section may be that of another program.
        if let (Some(origin), 1) = (&self.origin, self.sections) {
            let original = Origin::packet(&options);
            let known = |id: &PacketRef| (id.file as usize) < origin.files.len();
            self.original = original.filter(known).map(|id| PacketRef {
                file: self.file + id.file,
                ..id
            });
        }
        if let Some(known) = self.dropped.get_mut(packet.interface) {
            *known = known.saturating_add(packet.dropped);
        }
    }

    /// Losses according to statistics that no packet has reported.
    fn statistics_dropped(&mut self, kind: u32, body: &[u8]) -> Option<Dropped> {
        if kind != kind::STATISTICS {
            return None;
        }
        let mut fields = Fields::new(body, self.order);
        let number = fields.u32()? as usize;
        let (high, low) = (fields.u32()?, fields.u32()?);
        let ticks = u64::from(high) << 32 | u64::from(low);
        let options = Options {
            bytes: fields.rest(),
            order: self.order,
        };
        let counts = ISB_DROPS.map(|code| {
            let value = options.first(code).and_then(|value| value.first_chunk());
            value.map_or(0, |count| self.order.u64(*count))
        });
        let total = counts.into_iter().fold(0, u64::saturating_add);
        let until = self.interfaces.get(number)?.clock.time(ticks);
        let known = self.dropped.get_mut(number)?;
        let packets = total.saturating_sub(*known);
        *known = total.max(*known);
        (packets > 0).then_some(Dropped { packets, until })
    }

    /// The content of a framed block that is not a packet.
    pub(super) fn block<'a>(&'a self, kind: u32, body: &'a [u8]) -> Option<Block<'a>> {
        let mut fields = Fields::new(body, self.order);
        let options = |bytes| Options {
            bytes,
            order: self.order,
        };
        Some(match kind {
            kind::SECTION => {
                // Magic, version, and the section's length, which no reader
                // needs.
                fields.take(16)?;
                Block::Section {
                    file: self.file,
                    options: options(fields.rest()),
                }
            }
            kind::INTERFACE => Block::Interface(self.interfaces.last()?),
            kind::NAMES => {
                let records = name_records(fields);
                let (records, rest) = body.split_at_checked(records)?;
                Block::Names {
                    records: options(records),
                    options: options(rest.get(4..).unwrap_or_default()),
                }
            }
            kind::SECRETS => {
                let kind = fields.u32()?;
                let len = fields.u32()? as usize;
                let data = fields.take(len)?;
                let _padding = fields.take(padded(len) - len);
                Block::Secrets {
                    kind,
                    data,
                    options: options(fields.rest()),
                }
            }
            kind::STATISTICS => {
                let interface = self.interfaces.get(fields.u32()? as usize)?;
                let (high, low) = (fields.u32()?, fields.u32()?);
                Block::Statistics {
                    interface,
                    ticks: u64::from(high) << 32 | u64::from(low),
                    options: options(fields.rest()),
                }
            }
            kind::JOURNAL => Block::Journal(body),
            kind::CUSTOM => Block::Custom {
                vendor: fields.u32()?,
                data: fields.rest(),
            },
            _ => return None,
        })
    }

    /// Whether the next block is complete among these unread bytes, or wrong.
    pub(super) fn is_complete(&self, unread: &[u8]) -> bool {
        let Some((&[k0, k1, k2, k3, l0, l1, l2, l3], rest)) = unread.split_first_chunk::<HEADER>()
        else {
            return false;
        };
        let mut order = self.order;
        if order.u32([k0, k1, k2, k3]) == kind::SECTION {
            match rest.first_chunk::<4>() {
                None => return false,
                Some(magic) => match order_of(*magic) {
                    None => return true,
                    Some(found) => order = found,
                },
            }
        }
        let length = order.u32([l0, l1, l2, l3]) as usize;
        length > limits::BLOCK_BYTES || unread.len() >= padded(length)
    }

    /// Whether these bytes start a packet's block.
    pub(super) fn is_packet(&self, unread: &[u8]) -> bool {
        matches!(
            Fields::new(unread, self.order).u32(),
            Some(kind::ENHANCED_PACKET | kind::SIMPLE_PACKET | kind::PACKET)
        )
    }
}

/// Byte order of the section that starts here.
fn byte_order(buffer: &mut Buffer) -> Result<ByteOrder, Problem> {
    const BEFORE_VERSION: usize = 12;
    let there = buffer.want(BEFORE_VERSION).map_err(Problem::Read)?;
    let Some(&[.., m0, m1, m2, m3]) = buffer.unread().first_chunk::<BEFORE_VERSION>() else {
        return Err(cut("section header", 28, there));
    };
    let magic = [m0, m1, m2, m3];
    order_of(magic).ok_or(Problem::ByteOrderMagic(magic))
}

fn order_of(magic: [u8; 4]) -> Option<ByteOrder> {
    match magic {
        [0x1a, 0x2b, 0x3c, 0x4d] => Some(ByteOrder::Big),
        [0x4d, 0x3c, 0x2b, 0x1a] => Some(ByteOrder::Little),
        _ => None,
    }
}

/// Bytes of the records in a names block, before the one that ends them.
fn name_records(fields: Fields<'_>) -> usize {
    let mut walk = fields;
    loop {
        let here = fields.rest().len() - walk.rest().len();
        let (Some(kind), Some(len)) = (walk.u16(), walk.u16()) else {
            return here;
        };
        if kind == 0 || walk.take(padded(usize::from(len))).is_none() {
            return here;
        }
    }
}

/// Minimum size of a block of this type, header and trailer included.
fn least_length(kind: u32) -> u32 {
    match kind {
        kind::SECTION => 28,
        kind::INTERFACE => 20,
        kind::ENHANCED_PACKET | kind::PACKET => 32,
        kind::SIMPLE_PACKET => 16,
        _ => 12,
    }
}

fn name(kind: u32) -> &'static str {
    match kind {
        kind::SECTION => "section header",
        kind::INTERFACE => "interface description",
        kind::ENHANCED_PACKET | kind::PACKET | kind::SIMPLE_PACKET => "packet block",
        kind::NAMES => "names block",
        kind::SECRETS => "secrets block",
        kind::STATISTICS => "statistics block",
        _ => "block",
    }
}

fn cut(what: &'static str, expected: usize, there: usize) -> Problem {
    Problem::Cut {
        what,
        expected: expected as u64,
        there: there as u64,
    }
}

/// For the compiler's sake: lengths are checked before bodies are read.
fn short(kind: u32, body: &[u8]) -> Problem {
    Problem::BlockLength {
        kind,
        length: u32::try_from(body.len() + HEADER + TRAILER).unwrap_or(u32::MAX),
        expected: least_length(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{BOTH, Bytes, Seen, capture, plain, seen};
    use super::super::{Error, Item};
    use super::*;

    fn file(order: ByteOrder) -> Bytes {
        Bytes::new(order).section(order, plain)
    }

    fn times(file: &Bytes) -> Vec<i64> {
        let (packets, errors) = file.seen();
        assert!(errors.is_empty(), "{errors:?}");
        packets.iter().map(|packet| packet.nanos).collect()
    }

    #[test]
    fn every_packet_block_in_both_orders() {
        for order in BOTH {
            let (packets, errors) = file(order)
                .interface(1, 3, plain)
                .interface(113, 0, plain)
                .enhanced(1, 5, 9, b"abcde", plain)
                .block(3, |body| body.u32(7).raw(b"xyz"))
                .block(3, |body| body.u32(2).raw(b"uv"))
                .block(2, |body| {
                    let body = body.u16(1).u16(0xffff).u32(0).u32(6);
                    body.u32(1).u32(4).raw(b"o").pad()
                })
                .seen();
            assert!(errors.is_empty(), "{errors:?}");
            let expected = [
                (5000, 113, 9, &b"abcde"[..]),
                (0, 1, 7, b"xyz"),
                (0, 1, 2, b"uv"),
                (6000, 113, 4, b"o"),
            ];
            for (n, (nanos, link_type, original, data)) in expected.into_iter().enumerate() {
                let expected = Seen {
                    number: n as u64 + 1,
                    nanos,
                    link_type,
                    original,
                    data: data.to_vec(),
                };
                assert_eq!(packets[n], expected);
            }
        }
    }

    #[test]
    fn clocks_of_interfaces() {
        for order in BOTH {
            let file = file(order)
                .interface(1, 0, |body| body.option(9, &[9]).end())
                .interface(1, 0, |body| body.option(9, &[0x80 | 10]))
                .interface(1, 0, |body| {
                    let shift = Bytes::new(order).u64((-2_i64).cast_unsigned());
                    body.option(1, b"odd").option(14, &shift.bytes).end()
                })
                .enhanced(0, 7, 1, b"a", plain)
                .enhanced(1, 1536, 1, b"a", plain)
                .enhanced(2, 500_000, 1, b"a", plain);
            assert_eq!(times(&file), [7, 1_500_000_000, -1_500_000_000]);
        }
    }

    #[test]
    fn sections_start_afresh_in_their_own_order() {
        let [little, big] = BOTH;
        let file = file(big)
            .interface(1, 0, |body| body.option(9, &[0]).end())
            .enhanced(0, 1, 1, b"a", plain)
            .section(little, plain)
            .interface(101, 0, plain)
            .enhanced(0, 1, 1, b"b", plain)
            .enhanced(1, 1, 1, b"lost", plain)
            .enhanced(0, 2, 1, b"c", plain);
        let (packets, errors) = file.seen();
        let seen: Vec<_> = packets
            .iter()
            .map(|packet| (packet.number, packet.link_type, packet.nanos))
            .collect();
        assert_eq!(
            seen,
            [(1, 1, 1_000_000_000), (2, 101, 1000), (4, 101, 2000)]
        );
        assert_eq!(errors.len(), 1);
        assert!(
            errors[0]
                .to_string()
                .contains("packet 3 at byte 180: names interface 1, but"),
            "{}",
            errors[0]
        );
    }

    #[test]
    fn unknown_blocks_are_stepped_over() {
        let [order, _] = BOTH;
        let file = file(order)
            .interface(1, 0, plain)
            .block(0x1234_5678, |body| body.raw(&[7; 40]))
            .block(0x4000_0bad, |body| body.u32(1).raw(b"private"))
            .enhanced(0, 0, 1, b"a", plain);
        assert_eq!(times(&file).len(), 1);
    }

    #[test]
    fn a_damaged_option_list_costs_only_its_rest() {
        let [order, _] = BOTH;
        let file = file(order)
            .interface(1, 0, plain)
            .enhanced(0, 0, 4, b"data", |body| {
                body.option(1, b"fine").u16(1).u16(9999).u32(0)
            });
        let mut capture = file.capture().expect("a section");
        let mut comments = Vec::new();
        while let Ok(Some(item)) = capture.next() {
            if let Item::Packet(packet) = item {
                assert_eq!(packet.packet.data, b"data");
                comments.extend(packet.options.comments().map(<[u8]>::to_vec));
            }
        }
        assert_eq!(comments, [b"fine"]);
    }

    #[test]
    fn drops_are_reported_once_and_before_their_packet() {
        for order in BOTH {
            let count = |count: u64| Bytes::new(order).u64(count).bytes;
            let statistics = |file: Bytes, by_interface, by_system| {
                file.block(5, |body| {
                    let body = body.u32(0).u32(0).u32(9).option(4, &count(1000));
                    let body = body.option(5, &count(by_interface));
                    body.option(7, &count(by_system)).end()
                })
            };
            let file = file(order)
                .interface(1, 0, |body| body.option(9, &[0]).end())
                .enhanced(0, 1, 1, b"a", |body| body.option(4, &count(0)).end())
                .enhanced(0, 2, 1, b"b", |body| {
                    body.option(1, b"why").option(4, &count(3)).end()
                });
            let file = statistics(file, 0, 3);
            let file = file.block(2, |body| {
                let body = body.u16(0).u16(2).u32(0).u32(5).u32(1).u32(1);
                body.raw(b"c")
            });
            let file = file.block(2, |body| {
                let body = body.u16(0).u16(0xffff).u32(0).u32(6).u32(1).u32(1);
                body.raw(b"d")
            });
            let file = statistics(file, 1, 5);
            let mut capture = file.capture().expect("a section");
            let mut said = Vec::new();
            while let Some(item) = capture.next().expect("no damage") {
                said.push(match item {
                    Item::Packet(packet) => packet.packet.time.seconds().to_string(),
                    Item::Dropped(dropped) => {
                        format!("-{}<{}", dropped.packets, dropped.until.seconds())
                    }
                    _ => ".".to_owned(),
                });
            }
            assert_eq!(said.join(" "), ". . 1 -3<2 2 . -2<5 5 6 -1<9 .");
        }
    }

    fn only_error(file: &Bytes) -> (usize, Error) {
        let (packets, mut errors) = file.seen();
        assert_eq!(errors.len(), 1, "{errors:?}");
        (packets.len(), errors.remove(0))
    }

    #[test]
    fn damage_is_named() {
        let [order, _] = BOTH;
        let start = file(order)
            .interface(1, 0, plain)
            .enhanced(0, 0, 2, b"ab", plain);
        let says = |file: Bytes, packets: usize, message: &str| {
            let (seen, error) = only_error(&file);
            assert_eq!(seen, packets);
            assert!(error.to_string().ends_with(message), "{error}");
            assert!(!error.is_truncation());
        };
        says(
            start.clone().u32(6).u32(8).u32(8),
            1,
            "packet 2 at byte 84: block of type 0x6 has length 8, expected 32 or more",
        );
        says(
            start.clone().u32(4).u32(16).u32(0).u32(20),
            1,
            "block after packet 1 at byte 84: \
             block of type 0x4 says length 16 before it and 20 after it",
        );
        says(
            start.clone().u32(4).u32(u32::MAX).u32(0),
            1,
            "block claims 4294967295 bytes, expected at most 17825792",
        );
        says(
            start.clone().block(0x0a0d_0d0a, |body| body.u64(1).u64(2)),
            1,
            "byte-order magic is [01, 00, 00, 00], expected 1a 2b 3c 4d or 4d 3c 2b 1a",
        );
        let broken = |body: Bytes| body.u32(0).u64(0).u32(100).u32(100).raw(b"abcd");
        says(
            start
                .clone()
                .block(6, broken)
                .block(6, broken)
                .enhanced(0, 0, 1, b"z", plain),
            2,
            "packet 2 at byte 84: captured length 100 does not fit its block, \
             which has room for 4 bytes (and 1 more such problems after it)",
        );
    }

    #[test]
    fn a_file_cut_anywhere_gives_what_was_whole_and_one_error() {
        for order in BOTH {
            let start = file(order);
            let one = start
                .clone()
                .interface(1, 0, |body| body.option(2, b"eth0"));
            let two = one
                .clone()
                .enhanced(0, 1, 3, b"abc", |body| body.option(1, b"a comment").end());
            let three = two.clone().block(3, |body| body.u32(2).raw(b"de"));
            let blocks = [&start, &one, &two, &three].map(|bytes| bytes.bytes.len());
            for len in 1..=three.bytes.len() {
                let mut capture = match capture(&three.bytes[..len]) {
                    Ok(capture) => capture,
                    Err(error) => {
                        assert!(len < 4 && error.is_truncation(), "{len}: {error}");
                        continue;
                    }
                };
                let (packets, errors) = seen(&mut capture);
                let whole = blocks[2..].iter().filter(|&&end| end <= len).count();
                assert_eq!(packets.len(), whole, "cut at {len}");
                match errors.as_slice() {
                    [] => assert!(blocks.contains(&len), "cut at {len} went unnoticed"),
                    [error] => {
                        assert!(error.is_truncation());
                        let before = blocks.iter().rev().find(|&&end| end <= len).unwrap_or(&0);
                        let at = format!(" at byte {before}: expected");
                        assert!(error.to_string().contains(&at), "{len}: {error}");
                    }
                    more => panic!("{more:?}"),
                }
            }
        }
    }

    #[test]
    fn no_single_changed_byte_makes_it_panic() {
        for order in BOTH {
            let whole = file(order)
                .interface(1, 0, |body| body.option(9, &[9]).end())
                .block(4, |body| {
                    body.u16(1).u16(8).raw(b"\x7f\0\0\x01me\0\0").u32(0)
                })
                .block(10, |body| body.u32(0x544c_534b).u32(3).raw(b"key"))
                .block(5, |body| body.u32(0).u64(1))
                .enhanced(0, 1, 3, b"abc", |body| body.option(1, b"comment").end());
            for at in 0..whole.bytes.len() {
                for value in [0, 1, 0x7f, 0x80, 0xff] {
                    let mut bytes = whole.bytes.clone();
                    bytes[at] = value;
                    if let Ok(mut capture) = capture(&bytes) {
                        seen(&mut capture);
                    }
                }
            }
        }
    }
}
