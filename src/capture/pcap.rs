//! The classic pcap format: a header, then a record per packet.
//!
//! ```text
//! file    magic version(2.4) zone sigfigs snaplen linktype      24 bytes
//! record  seconds fraction captured original [8 more] data…     16 bytes (24)
//! ```
//!
//! Five quirks that libpcap reads and so do we: both byte orders; nanoseconds
//! instead of microseconds by another magic number; the longer record headers
//! of the modified format; versions before 2.3 (and DG/UX's 543.0) that wrote
//! the two lengths the other way round, and 2.3 that did either; and a link type
//! field whose upper half holds flags and the length of the frame check
//! sequence. A snap length that a record exceeds is not held against it.
//!
//! The records are read here rather than by a library because each error is to
//! name its byte, and because `pcap-parser` knows neither the modified format in
//! the other byte order nor swapped lengths; its reading of the plain formats is
//! what the tests of this module are compared with.

use crate::limits;
use crate::packet::LinkType;

use super::buffer::Buffer;
use super::bytes::{ByteOrder, Fields};
use super::error::Problem;
use super::interface::{Clock, Interface};
use super::source::{Framed, FramedPacket};

/// Bytes before the first record.
const FILE_HEADER: usize = 24;

/// Reads the records of one file.
pub(super) struct Pcap {
    order: ByteOrder,
    record_header: usize,
    lengths: Lengths,
    /// Ticks per second.
    unit: u64,
    clock: Clock,
}

/// Which of the two length fields of a record comes first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lengths {
    CapturedFirst,
    OriginalFirst,
    /// The smaller one is the captured length.
    Either,
}

impl Pcap {
    /// Reads the file header.
    pub(super) fn open(
        buffer: &mut Buffer,
        file: u32,
        order: ByteOrder,
        nanoseconds: bool,
        modified: bool,
    ) -> Result<(Self, Interface), Problem> {
        let there = buffer.want(FILE_HEADER).map_err(Problem::Read)?;
        let cut = || Problem::Cut {
            what: "file header",
            expected: FILE_HEADER as u64,
            there: there as u64,
        };
        let header = buffer.unread().first_chunk::<FILE_HEADER>();
        let mut fields = Fields::new(header.ok_or_else(cut)?, order);
        let _magic = fields.u32();
        let (Some(major), Some(minor)) = (fields.u16(), fields.u16()) else {
            return Err(cut());
        };
        // Both are 0 in practice, and no reader looks at them.
        let (_zone, _significant_figures) = (fields.u32(), fields.u32());
        let (Some(snap_length), Some(link_type)) = (fields.u32(), fields.u32()) else {
            return Err(cut());
        };
        buffer.consume(FILE_HEADER);
        let lengths = match (major, minor) {
            (2, 0..=2) | (543, 0) => Lengths::OriginalFirst,
            (2, 3) => Lengths::Either,
            (2, 4) => Lengths::CapturedFirst,
            _ => {
                return Err(Problem::Version {
                    format: "pcap",
                    major,
                    minor,
                    expected: "2.0 to 2.4",
                });
            }
        };
        let clock = if nanoseconds {
            Clock::NANOSECONDS
        } else {
            Clock::MICROSECONDS
        };
        let pcap = Self {
            order,
            record_header: if modified { 24 } else { 16 },
            lengths,
            unit: if nanoseconds {
                1_000_000_000
            } else {
                1_000_000
            },
            clock,
        };
        let interface = Interface {
            file,
            section: 0,
            number: 0,
            link_type: Interface::link_type(link_type as u16),
            snap_length,
            clock,
            options: Vec::new(),
            order,
        };
        Ok((pcap, interface))
    }

    /// Finds the next record; `None` where the file ends between two.
    #[inline]
    pub(super) fn frame(
        &self,
        buffer: &mut Buffer,
        link_type: LinkType,
    ) -> Result<Option<Framed>, Problem> {
        let header = self.record_header;
        let there = buffer.want(header).map_err(Problem::Read)?;
        let mut fields = Fields::new(buffer.unread(), self.order);
        let (true, Some(seconds), Some(fraction), Some(first), Some(second)) = (
            there >= header,
            fields.u32(),
            fields.u32(),
            fields.u32(),
            fields.u32(),
        ) else {
            return match there {
                0 => Ok(None),
                there => Err(Problem::Cut {
                    what: "packet record header",
                    expected: header as u64,
                    there: there as u64,
                }),
            };
        };
        let (captured, original) = match self.lengths {
            Lengths::CapturedFirst => (first, second),
            Lengths::OriginalFirst => (second, first),
            Lengths::Either => (first.min(second), first.max(second)),
        };
        let len = captured as usize;
        if len > limits::PACKET_BYTES {
            return Err(Problem::TooLong {
                what: "packet",
                length: len as u64,
                limit: limits::PACKET_BYTES as u64,
            });
        }
        let there = buffer.want(header + len).map_err(Problem::Read)?;
        if there < header + len {
            return Err(Problem::Cut {
                what: "packet data",
                expected: len as u64,
                there: (there - header) as u64,
            });
        }
        let ticks = u64::from(seconds) * self.unit + u64::from(fraction);
        Ok(Some(Framed::Packet(FramedPacket {
            record: header + len,
            data: header..header + len,
            options: header + len..header + len,
            ticks: Some(ticks),
            time: self.clock.time(ticks),
            captured,
            original,
            interface: 0,
            link_type,
        })))
    }

    /// Whether the next record is complete among these unread bytes.
    pub(super) fn is_complete(&self, unread: &[u8]) -> bool {
        let mut fields = Fields::new(unread, self.order);
        let (Some(_), Some(_), Some(first), Some(second)) =
            (fields.u32(), fields.u32(), fields.u32(), fields.u32())
        else {
            return false;
        };
        let len = match self.lengths {
            Lengths::CapturedFirst => first,
            Lengths::OriginalFirst => second,
            Lengths::Either => first.min(second),
        };
        // A length beyond reason is an error to be told now.
        len as usize > limits::PACKET_BYTES || unread.len() >= self.record_header + len as usize
    }
}
