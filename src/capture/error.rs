//! Errors in capture files: the file, the position, what was expected and what
//! was found.
//!
//! Everything readable before the damage (and after it, where the framing is intact) is
//! delivered; the error follows at the end.

use std::fmt;
use std::io;

/// A capture that could not be opened, read to its end, or written.
#[derive(Debug, thiserror::Error)]
#[error("{file}{place}: {problem}{}", Others(*.others))]
pub struct Error {
    /// Name of the file as the user gave it; `-` is standard input or output.
    pub file: String,
    /// Where in the file.
    pub place: Place,
    /// The error.
    pub problem: Problem,
    /// Number of further errors, later in the file, that this one represents.
    pub others: u64,
}

impl Error {
    pub(super) fn new(file: &str, place: Place, problem: Problem) -> Self {
        Self {
            file: file.to_owned(),
            place,
            problem,
            others: 0,
        }
    }

    /// The file merely ends in the middle of a record, as it does when the
    /// capturing program was killed; everything before is sound.
    pub fn is_truncation(&self) -> bool {
        match &self.problem {
            Problem::Cut { .. } => true,
            Problem::Decompress(_, error) => error.kind() == io::ErrorKind::UnexpectedEof,
            _ => false,
        }
    }

    /// The reader of the output has closed the pipe: a success.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(&self.problem, Problem::Write(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Where in a capture file something is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The file as a whole, or its header.
    File,
    /// A packet's record.
    Packet {
        /// Number of the packet within the file, from 1.
        number: u64,
        /// Bytes from the start of the file to the start of the record.
        offset: u64,
        /// The offset counts uncompressed bytes of a compressed file.
        uncompressed: bool,
    },
    /// A pcapng block that is not a packet.
    Block {
        /// Number of the packet before it; 0 if there is none.
        after: u64,
        /// Bytes from the start of the file to the start of the block.
        offset: u64,
        /// The offset counts uncompressed bytes of a compressed file.
        uncompressed: bool,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (offset, uncompressed) = match *self {
            Self::File => return Ok(()),
            Self::Packet {
                number,
                offset,
                uncompressed,
            } => {
                write!(f, ", packet {number}")?;
                (offset, uncompressed)
            }
            Self::Block {
                after,
                offset,
                uncompressed,
            } => {
                write!(f, ", block after packet {after}")?;
                (offset, uncompressed)
            }
        };
        write!(f, " at byte {offset}")?;
        if uncompressed {
            f.write_str(" (uncompressed)")?;
        }
        Ok(())
    }
}

/// What was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The operating system would not open it.
    #[error("cannot open: {0}")]
    Open(#[source] io::Error),
    /// A directory where a file was expected.
    #[error("is a directory, expected a capture file")]
    Directory,
    /// Not a regular file, where one was to be followed.
    #[error("is no regular file; what a pipe brings is read as it comes, without --follow")]
    NoFile,
    /// A compressed file was to be followed.
    #[error(
        "is compressed with {0}, and cannot be followed while it grows, expected plain pcap or pcapng"
    )]
    Followed(Compression),
    /// Not one byte.
    #[error("is empty (0 bytes), expected a pcap or pcapng header")]
    Empty,
    /// Readable text instead of a capture.
    #[error("is text (\"{0}\"), expected a pcap or pcapng capture")]
    Text(String),
    /// An unknown format.
    #[error("starts with {:02x} {:02x} {:02x} {:02x}, expected a pcap or pcapng capture",
        .0[0], .0[1], .0[2], .0[3])]
    Unknown([u8; 4]),
    /// A known format that is not supported.
    #[error("is {0}, which is not read here, expected pcap or pcapng (editcap can convert it)")]
    Unsupported(&'static str),
    /// An unsupported version of the format.
    #[error("is {format} version {major}.{minor}, expected {expected}")]
    Version {
        /// `pcap` or `pcapng`.
        format: &'static str,
        /// Major version that is there.
        major: u16,
        /// Minor version that is there.
        minor: u16,
        /// The versions that are read.
        expected: &'static str,
    },
    /// An interface cannot be captured on, in libpcap's words.
    #[error("cannot capture: {0}")]
    Live(String),
    /// The same, for want of permission.
    #[error("no permission to capture")]
    NotPermitted,
    /// An interface that was captured on can be captured on no more, in
    /// libpcap's words.
    #[error("capture ended: {0}")]
    InterfaceLost(String),
    /// Reading failed.
    #[error("cannot read: {0}")]
    Read(#[source] io::Error),
    /// The compressed data could not be unpacked.
    #[error("{0} data {state} here: {1}", state = if .1.kind() == io::ErrorKind::UnexpectedEof { "ends too early" } else { "is damaged" })]
    Decompress(Compression, #[source] io::Error),
    /// The file ends within a record.
    #[error("expected {expected} bytes of {what}, but the file ends after {there} of them")]
    Cut {
        /// What was read.
        what: &'static str,
        /// Its length in bytes, as far as known.
        expected: u64,
        /// How many of them are there.
        there: u64,
    },
    /// A record claims more bytes than any packet has.
    #[error("{what} claims {length} bytes, expected at most {limit}")]
    TooLong {
        /// What claims it.
        what: &'static str,
        /// Bytes claimed.
        length: u64,
        /// Bytes that are accepted.
        limit: u64,
    },
    /// More was captured than there was. The packet is delivered.
    #[error(
        "captured length {captured} is above the original length {original}, expected at most that"
    )]
    Lengths {
        /// Bytes captured.
        captured: u32,
        /// Original length of the packet.
        original: u32,
    },
    /// A packet does not fit the pcapng block it is in. The packet is skipped,
    /// and reading continues with the next block.
    #[error("captured length {captured} does not fit its block, which has room for {room} bytes")]
    Room {
        /// Captured length according to the block.
        captured: u32,
        /// Bytes between the block's header and its end.
        room: usize,
    },
    /// A packet refers to an undescribed interface. The packet is skipped, and
    /// reading continues with the next block.
    #[error("names interface {index}, but this section describes {known} interfaces so far")]
    NoInterface {
        /// The index, from 0.
        index: u32,
        /// Interfaces known at that point.
        known: usize,
    },
    /// A section header whose byte-order magic is neither order's.
    #[error("byte-order magic is {0:02x?}, expected 1a 2b 3c 4d or 4d 3c 2b 1a")]
    ByteOrderMagic([u8; 4]),
    /// The length before a block is not one a block can have.
    #[error("block of type {kind:#x} has length {length}, expected {expected} or more")]
    BlockLength {
        /// Block type.
        kind: u32,
        /// Length that is there, in bytes.
        length: u32,
        /// Minimum size of such a block.
        expected: u32,
    },
    /// The lengths before and after a block differ.
    #[error("block of type {kind:#x} says length {before} before it and {after} after it")]
    Trailer {
        /// Block type.
        kind: u32,
        /// Length in the block's header.
        before: u32,
        /// Length in its last four bytes.
        after: u32,
    },
    /// More interfaces than the limit.
    #[error("section describes more than {0} interfaces")]
    Interfaces(usize),
    /// Writing failed.
    #[error("cannot write: {0}")]
    Write(#[source] io::Error),
    /// A pcap file cannot hold packets of two link types.
    #[error(
        "link type {second} comes after {first}, but a pcap file holds one link type; name the file .pcapng"
    )]
    SecondLinkType {
        /// Link type of the file.
        first: crate::packet::LinkType,
        /// Link type of the packet.
        second: crate::packet::LinkType,
    },
    /// A pcap file cannot hold a time before 1970 or after 2106.
    #[error("time {0:?} does not fit a pcap file; name the file .pcapng")]
    Time(crate::time::Timestamp),
}

/// How a capture file was compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// RFC 1952, one or more members.
    Gzip,
    /// RFC 8878, one or more frames.
    Zstd,
    /// LZ4 frame format, one or more frames.
    Lz4,
    /// The .xz file format, one or more streams.
    Xz,
    /// bzip2, one or more streams.
    Bzip2,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        })
    }
}

/// The end of a message that represents several.
struct Others(u64);

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            more => write!(f, " (and {more} more such problems after it)"),
        }
    }
}
