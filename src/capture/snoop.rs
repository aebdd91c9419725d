//! The snoop format (RFC 1761) of Solaris: a header, then a record per packet.
//! All numbers are big-endian.
//!
//! ```text
//! file    "snoop\0\0\0" version(2) datalink                          16 bytes
//! record  original captured record drops seconds microseconds data…  24 bytes
//! ```
//!
//! A record is padded, so that its length is a field of its own. `drops` counts
//! the packets that were lost since the capture began.

use crate::limits;
use crate::packet::LinkType;

use super::buffer::Buffer;
use super::bytes::{ByteOrder, Fields};
use super::error::Problem;
use super::framed::{Framed, FramedPacket};
use super::interface::{Clock, Interface};
use super::magic;

/// The first bytes of a file.
const MAGIC: [u8; 8] = *b"snoop\0\0\0";
const FILE_HEADER: usize = 16;
const RECORD_HEADER: usize = 24;
const VERSION: u32 = 2;

/// Reads the records of one file.
pub(super) struct Snoop {
    /// Packets that were lost by the latest record.
    dropped: u32,
}

impl Snoop {
    /// Reads the file header.
    pub(super) fn open(buffer: &mut Buffer, file: u32) -> Result<(Self, Interface), Problem> {
        let there = buffer.want(FILE_HEADER).map_err(Problem::Read)?;
        let cut = || Problem::Cut {
            what: "file header",
            expected: FILE_HEADER as u64,
            there: there as u64,
        };
        if !buffer.unread().starts_with(&MAGIC) && there >= MAGIC.len() {
            return Err(magic::foreign(buffer.unread()));
        }
        let header = buffer.unread().first_chunk::<FILE_HEADER>();
        let mut fields = Fields::new(&header.ok_or_else(cut)?[MAGIC.len()..], ByteOrder::Big);
        let (Some(version), Some(datalink)) = (fields.u32(), fields.u32()) else {
            return Err(cut());
        };
        if version != VERSION {
            return Err(Problem::Version {
                format: "snoop",
                major: version as u16,
                minor: 0,
                expected: "2",
            });
        }
        let Some(link_type) = link_type(datalink) else {
            return Err(Problem::Unsupported(
                "a snoop capture of an unknown link type",
            ));
        };
        buffer.consume(FILE_HEADER);
        let interface = Interface {
            file,
            section: 0,
            number: 0,
            link_type,
            snap_length: 0,
            clock: Clock::MICROSECONDS,
            options: Vec::new(),
            order: ByteOrder::Big,
        };
        Ok((Self { dropped: 0 }, interface))
    }

    /// Finds the next record; `None` if the file ends between two.
    pub(super) fn frame(
        &mut self,
        buffer: &mut Buffer,
        link_type: LinkType,
    ) -> Result<Option<Framed>, Problem> {
        let there = buffer.want(RECORD_HEADER).map_err(Problem::Read)?;
        let Some(record) = Record::read(buffer.unread()) else {
            return match there {
                0 => Ok(None),
                there => Err(Problem::Cut {
                    what: "packet record header",
                    expected: RECORD_HEADER as u64,
                    there: there as u64,
                }),
            };
        };
        let length = record.length as usize;
        if length > limits::PACKET_BYTES {
            return Err(Problem::TooLong {
                what: "packet",
                length: length as u64,
                limit: limits::PACKET_BYTES as u64,
            });
        }
        let data = RECORD_HEADER..RECORD_HEADER + record.captured as usize;
        if length < data.end {
            return Err(Problem::Cut {
                what: "packet record",
                expected: data.end as u64,
                there: length as u64,
            });
        }
        let there = buffer.want(length).map_err(Problem::Read)?;
        if there < length {
            return Err(Problem::Cut {
                what: "packet data",
                expected: (length - RECORD_HEADER) as u64,
                there: there.saturating_sub(RECORD_HEADER) as u64,
            });
        }
        let dropped = record.dropped.saturating_sub(self.dropped);
        self.dropped = record.dropped;
        Ok(Some(Framed::Packet(FramedPacket {
            record: length,
            options: data.end..data.end,
            data,
            ticks: Some(record.ticks),
            time: Clock::MICROSECONDS.time(record.ticks),
            captured: record.captured,
            original: record.original,
            interface: 0,
            link_type,
            dropped: dropped.into(),
        })))
    }

    /// Whether the next record is complete among these unread bytes.
    pub(super) fn is_complete(&self, unread: &[u8]) -> bool {
        Record::read(unread).is_some_and(|record| {
            let length = record.length as usize;
            // An impossible length is an error to report now.
            length > limits::PACKET_BYTES || unread.len() >= length
        })
    }
}

/// The header of a record.
struct Record {
    original: u32,
    captured: u32,
    /// Bytes of the whole record.
    length: u32,
    dropped: u32,
    ticks: u64,
}

impl Record {
    fn read(unread: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(unread.get(..RECORD_HEADER)?, ByteOrder::Big);
        let mut next = || fields.u32();
        Some(Self {
            original: next()?,
            captured: next()?,
            length: next()?,
            dropped: next()?,
            ticks: u64::from(next()?) * 1_000_000 + u64::from(next()?),
        })
    }
}

/// The link type of a datalink number. RFC 1761 has the first nine; Solaris
/// added some.
fn link_type(datalink: u32) -> Option<LinkType> {
    Some(LinkType(match datalink {
        // IEEE 802.3 and Ethernet have the same frames.
        0 | 4 => 1,
        2 => 6,
        8 => 10,
        18 => 19,
        26 => 228,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{capture, seen};
    use super::*;

    fn file(datalink: u32) -> Vec<u8> {
        [&MAGIC[..], &VERSION.to_be_bytes(), &datalink.to_be_bytes()].concat()
    }

    fn record(original: u32, dropped: u32, data: &[u8]) -> Vec<u8> {
        let length = (RECORD_HEADER + data.len()).next_multiple_of(4);
        let fields = [original, data.len() as u32, length as u32, dropped, 7, 9];
        let mut bytes: Vec<u8> = fields.iter().flat_map(|f| f.to_be_bytes()).collect();
        bytes.extend_from_slice(data);
        bytes.resize(length, 0);
        bytes
    }

    #[test]
    fn records_with_padding_and_drops() {
        let bytes = [file(4), record(5, 0, b"abc"), record(2, 3, b"de")].concat();
        let (packets, errors) = seen(&mut capture(&bytes).unwrap());
        assert!(errors.is_empty(), "{errors:?}");
        let records: Vec<_> = packets
            .iter()
            .map(|p| (p.number, p.nanos, p.link_type, p.original, &p.data[..]))
            .collect();
        let time = 7_000_009_000;
        assert_eq!(
            records,
            [(1, time, 1, 5, &b"abc"[..]), (2, time, 1, 2, &b"de"[..])]
        );
    }

    #[test]
    fn every_cut_is_reported_and_nothing_panics() {
        let bytes = [file(4), record(3, 0, b"abc")].concat();
        for len in MAGIC.len()..bytes.len() {
            let Ok(mut capture) = capture(&bytes[..len]) else {
                assert!(len < FILE_HEADER);
                continue;
            };
            let (packets, errors) = seen(&mut capture);
            assert!(packets.is_empty());
            // Between the header and the first record nothing is missing.
            assert_eq!(errors.is_empty(), len == FILE_HEADER, "{len}: {errors:?}");
        }
    }
}
