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
//! This file finds the blocks, holds the section's interfaces against which
//! packets are read, and leaves everything that is not a packet as bytes for
//! whoever wants it ([`Block`]). Damage inside a block whose two lengths agree
//! costs that block; when they disagree nothing after it can be trusted. A
//! damaged option list costs the options after the damage, never the packet.
//!
//! `pcap-parser` is not used here: version 0.17 gives up on every binary
//! `if_tsresol`, reads `if_tsoffset` in one byte order only, and collects the
//! options of every packet into a vector.

use std::ops::Range;
use std::sync::Arc;

use crate::limits;

use super::buffer::Buffer;
use super::bytes::{ByteOrder, Fields, padded};
use super::error::Problem;
use super::interface::{Clock, Interface};
use super::options::Options;
use super::source::{Block, Framed, FramedPacket};

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

/// Reads the blocks of one file.
pub(super) struct Pcapng {
    file: u32,
    order: ByteOrder,
    /// Sections begun so far.
    sections: u32,
    /// Those of the current section.
    interfaces: Vec<Arc<Interface>>,
}

impl Pcapng {
    pub(super) fn new(file: u32) -> Self {
        Self {
            file,
            order: ByteOrder::Little,
            sections: 0,
            interfaces: Vec::new(),
        }
    }

    /// The interface of a framed packet.
    pub(super) fn interface(&self, number: usize) -> Option<&Arc<Interface>> {
        self.interfaces.get(number)
    }

    /// Finds the next block; `None` where the file ends between two.
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
            Ok(packet) => Framed::Packet(FramedPacket { record, ..packet }),
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
        let (Some(number), Some(_drops), Some(high), Some(low), Some(captured), Some(original)) = (
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
        self.packet(20, body.len(), number, Some(ticks), captured, original)
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
            // What follows the data is padding, for it has no options.
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
            }
            kind::INTERFACE => {
                if self.interfaces.len() >= limits::INTERFACES {
                    return Err(Problem::Interfaces(limits::INTERFACES));
                }
                let interface = self.describe(body).ok_or_else(|| short(kind, body))?;
                self.interfaces.push(Arc::new(interface));
            }
            _ => {}
        }
        // Unknown blocks, those that ask not to be copied, and those whose body
        // makes no sense: nothing that anyone could use.
        if self.block(kind, body).is_none() {
            return Ok(Framed::Skipped { record });
        }
        Ok(Framed::Block {
            record,
            kind,
            body: HEADER..HEADER + body.len(),
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

/// The least a block of this type takes, header and trailer included.
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

/// Where in a record something lies, in bytes from its start.
pub(super) type Part = Range<usize>;
