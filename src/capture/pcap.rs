//! The classic pcap format: a header, then a record per packet.
//!
//! ```text
//! file    magic version(2.4) zone sigfigs snaplen linktype      24 bytes
//! record  seconds fraction captured original [8 more] data…     16 bytes (24)
//! ```
//!
//! As in libpcap, five variants are supported: both byte orders; nanoseconds
//! instead of microseconds, by another magic number; the longer record headers
//! of the modified format; versions before 2.3 (and DG/UX's 543.0) that wrote
//! the two lengths in reverse order, and 2.3 that did either; and a link type
//! field whose upper half has flags and the length of the frame check sequence.
//! Records may exceed the snap length.
//!
//! The records are decoded here rather than by a library because each error has
//! to name its offset, and because `pcap-parser` supports neither the modified
//! format in the other byte order nor reversed lengths; the tests compare this
//! module with it for the plain formats.

use crate::limits;
use crate::packet::LinkType;
use crate::time::Timestamp;

use super::buffer::Buffer;
use super::bytes::{ByteOrder, Fields};
use super::error::Problem;
use super::framed::{Framed, FramedPacket};
use super::interface::{Clock, Interface};

/// Bytes before the first record.
const FILE_HEADER: usize = 24;
/// Bytes of a record before its packet, unless the format is modified.
const RECORD_HEADER: usize = 16;

/// Reads the records of one file.
pub(super) struct Pcap {
    order: ByteOrder,
    record_header: usize,
    lengths: Lengths,
    /// Ticks per second.
    unit: u64,
    clock: Clock,
}

/// A record that is buffered to its end, in numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct WholeRecord {
    pub(super) ticks: u64,
    pub(super) time: Timestamp,
    pub(super) original: u32,
    captured: u32,
}

impl WholeRecord {
    /// Bytes of the record.
    pub(super) fn len(&self) -> usize {
        RECORD_HEADER + self.captured as usize
    }

    /// The bytes of its packet; `unread` starts with the record.
    pub(super) fn data<'a>(&self, unread: &'a [u8]) -> Option<&'a [u8]> {
        unread.get(RECORD_HEADER..self.len())
    }
}

/// Which of the two length fields of a record is first.
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
            record_header: if modified { 24 } else { RECORD_HEADER },
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

    /// The record at the start of `unread`, if it is complete, its header is of the
    /// usual kind and its lengths are plausible.
    #[inline]
    pub(super) fn whole_record(&self, unread: &[u8]) -> Option<WholeRecord> {
        let (header, _) = unread.as_chunks().0.split_first_chunk()?;
        let [seconds, fraction, captured, original] = header.map(|field| self.order.u32(field));
        let is_usual = self.record_header == RECORD_HEADER
            && self.lengths == Lengths::CapturedFirst
            && captured <= original
            && captured as usize <= limits::PACKET_BYTES;
        if !is_usual || unread.len() - RECORD_HEADER < captured as usize {
            return None;
        }
        let ticks = u64::from(seconds) * self.unit + u64::from(fraction);
        Some(WholeRecord {
            ticks,
            time: self.clock.time(ticks),
            original,
            captured,
        })
    }

    /// Finds the next record; false where the file ends between two.
    #[inline]
    pub(super) fn frame(
        &self,
        buffer: &mut Buffer,
        link_type: LinkType,
        framed: &mut Option<Framed>,
    ) -> Result<bool, Problem> {
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
                0 => Ok(false),
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
        *framed = Some(Framed::Packet(FramedPacket {
            record: header + len,
            data: header..header + len,
            options: header + len..header + len,
            ticks: Some(ticks),
            time: self.clock.time(ticks),
            captured,
            original,
            interface: 0,
            link_type,
            dropped: 0,
        }));
        Ok(true)
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
        // An implausible length is an error that is reported now.
        len as usize > limits::PACKET_BYTES || unread.len() >= self.record_header + len as usize
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{BOTH, Bytes, Seen, capture};
    use super::*;

    const MICRO: u32 = 0xa1b2_c3d4;
    const NANO: u32 = 0xa1b2_3c4d;
    const MODIFIED: u32 = 0xa1b2_cd34;

    fn packet(number: u64, nanos: i64, data: &[u8]) -> Seen {
        Seen {
            number,
            nanos,
            link_type: 1,
            original: data.len() as u32,
            data: data.to_vec(),
        }
    }

    #[test]
    fn both_orders_and_resolutions() {
        for order in BOTH {
            for (magic, nanos) in [(MICRO, 2_000_003_000), (NANO, 2_000_000_003)] {
                let (packets, errors) = Bytes::pcap(order, magic, 4, 1)
                    .record(2, 3, b"abc")
                    .record(2, 3, b"")
                    .record(4_000_000_000, 0, b"defgh")
                    .seen();
                let expected = [
                    packet(1, nanos, b"abc"),
                    packet(2, nanos, b""),
                    packet(3, 4_000_000_000_000_000_000, b"defgh"),
                ];
                assert_eq!(packets, expected);
                assert!(errors.is_empty(), "{errors:?}");
            }
        }
    }

    #[test]
    fn modified_records_have_eight_bytes_more() {
        for order in BOTH {
            let record = |bytes: Bytes, data: &[u8]| {
                let len = data.len() as u32;
                let bytes = bytes.u32(1).u32(0).u32(len).u32(len);
                bytes.u32(2).u16(0x800).raw(&[4, 0]).raw(data)
            };
            let file = record(Bytes::pcap(order, MODIFIED, 4, 1), b"abc");
            let (packets, errors) = record(file, b"de").seen();
            assert_eq!(
                packets,
                [
                    packet(1, 1_000_000_000, b"abc"),
                    packet(2, 1_000_000_000, b"de")
                ]
            );
            assert!(errors.is_empty(), "{errors:?}");
        }
    }

    #[test]
    fn old_versions_swap_the_lengths() {
        for (minor, first, second) in [(2, 9, 3), (3, 9, 3), (3, 3, 9), (4, 3, 9)] {
            let (packets, errors) = Bytes::pcap(ByteOrder::Little, MICRO, minor, 1)
                .u64(0)
                .u32(first)
                .u32(second)
                .raw(b"abc")
                .seen();
            assert_eq!(packets.len(), 1, "version 2.{minor}: {errors:?}");
            assert_eq!(
                (packets[0].original, &packets[0].data[..]),
                (9, &b"abc"[..])
            );
        }
    }

    #[test]
    fn link_types_are_masked_and_raw_ip_is_recognised() {
        for (field, link_type) in [(0x4400_0001, 1), (12, 101), (14, 101), (276, 276)] {
            let file = Bytes::pcap(ByteOrder::Big, MICRO, 4, field).record(0, 0, b"x");
            assert_eq!(file.seen().0[0].link_type, link_type);
        }
    }

    #[test]
    fn unknown_versions_are_refused() {
        let error = Bytes::pcap(ByteOrder::Little, MICRO, 5, 1).capture().err();
        let message = error.expect("version 2.5").to_string();
        assert_eq!(message, "test: is pcap version 2.5, expected 2.0 to 2.4");
    }

    #[test]
    fn a_header_alone_is_a_capture_without_packets() {
        let (packets, errors) = Bytes::pcap(ByteOrder::Big, NANO, 4, 1).seen();
        assert!(packets.is_empty() && errors.is_empty());
    }

    #[test]
    fn a_file_cut_anywhere_gives_what_was_whole_and_one_error() {
        let file = Bytes::pcap(ByteOrder::Little, MICRO, 4, 1)
            .record(1, 0, b"abcde")
            .record(2, 0, b"")
            .record(3, 0, b"fg")
            .bytes;
        let ends = [24, 24 + 21, 24 + 21 + 16, file.len()];
        for len in 1..=file.len() {
            let mut capture = match capture(&file[..len]) {
                Ok(capture) => capture,
                Err(error) => {
                    assert!(len < 24 && error.is_truncation(), "{len}: {error}");
                    continue;
                }
            };
            let (packets, errors) = super::super::testing::seen(&mut capture);
            let whole = ends.iter().filter(|&&end| end <= len).count() - 1;
            assert_eq!(packets.len(), whole, "cut at {len}");
            match errors.as_slice() {
                [] => assert!(ends.contains(&len), "cut at {len} went unnoticed"),
                [error] => {
                    assert!(error.is_truncation());
                    let at = format!("test, packet {} at byte {}: ", whole + 1, ends[whole]);
                    assert!(error.to_string().starts_with(&at), "{at}: {error}");
                }
                more => panic!("{more:?}"),
            }
        }
    }

    #[test]
    fn absurd_lengths_are_refused_and_unusual_ones_reported() {
        let start = Bytes::pcap(ByteOrder::Little, MICRO, 4, 1).record(1, 0, b"ab");
        let (packets, errors) = start.clone().u64(0).u32(u32::MAX).u32(1).raw(b"x").seen();
        assert_eq!((packets.len(), errors.len()), (1, 1));
        assert!(!errors[0].is_truncation());
        assert_eq!(
            errors[0].to_string(),
            "test, packet 2 at byte 42: packet claims 4294967295 bytes, expected at most 16777216"
        );

        let (packets, errors) = start
            .u64(0)
            .u32(3)
            .u32(1)
            .raw(b"xyz")
            .record(2, 0, b"after")
            .seen();
        assert_eq!(packets[1].original, 3, "never less than what was captured");
        assert_eq!(packets[2].data, b"after");
        assert_eq!(
            errors[0].to_string(),
            "test, packet 2 at byte 42: captured length 3 is above the original length 1, \
             expected at most that"
        );
    }

    /// The plain formats decoded by a library.
    #[test]
    fn agrees_with_pcap_parser() {
        use pcap_parser::{PcapBlockOwned, PcapError, create_reader};
        for order in BOTH {
            let file = (0..200u32).fold(Bytes::pcap(order, MICRO, 4, 1), |file, n| {
                file.record(n, n * 7, &vec![n as u8; (n * n % 1500) as usize])
            });
            let (packets, _) = file.seen();
            let mut ours = packets.into_iter();
            let input = std::io::Cursor::new(&file.bytes);
            let mut theirs = create_reader(1 << 16, input).expect("a pcap file");
            let mut number = 0;
            loop {
                let used = match theirs.next() {
                    Ok((used, PcapBlockOwned::Legacy(block))) => {
                        number += 1;
                        let seconds = i64::from(block.ts_sec) * 1_000_000_000;
                        let nanos = seconds + i64::from(block.ts_usec) * 1000;
                        assert_eq!(ours.next(), Some(packet(number, nanos, block.data)));
                        used
                    }
                    Ok((used, _)) => used,
                    Err(PcapError::Incomplete(_)) => {
                        theirs.refill().expect("no read error");
                        continue;
                    }
                    Err(PcapError::Eof) => break,
                    Err(error) => panic!("{error:?}"),
                };
                theirs.consume(used);
            }
            assert_eq!((number, ours.next()), (200, None));
        }
    }
}
