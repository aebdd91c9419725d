//! Captures: the only module that uses files and devices.
//!
//! ```text
//!            ┌─ Input: file, pipe, stdin; gzip, zstd, lz4
//!            │       ┌─ Pcap or Pcapng
//! Capture ───┴───────┘ ─┐
//! Capture ──────────────┼→ Merge ─Item→ … ─Item→ Writer
//! Capture ──────────────┘
//! ```
//! An interface (`live`) is a stream of pcap bytes like a pipe, with reports
//! between them (`meanwhile`).
//!
//! A [`Capture`] is one file, read packet by packet without copying; a
//! [`Merge`] combines several by time; a [`Writer`] writes packets to a file
//! with their pcapng metadata; a [`Filter`] is a BPF expression. Packets are
//! not decoded here.

mod bpf;
mod buffer;
mod bytes;
mod compress;
mod encode;
mod error;
mod follow;
mod framed;
mod input;
mod interface;
mod item;
#[cfg(feature = "live")]
mod live;
#[cfg(feature = "live")]
mod machine;
mod magic;
mod meanwhile;
mod merge;
mod options;
mod origin;
mod owned;
mod pcap;
mod pcapng;
mod sink;
mod snoop;
mod source;
#[cfg(test)]
mod testing;
mod writer;

pub use bpf::{Filter, FilterError};
pub use bytes::ByteOrder;
pub use error::{Compression, Error, Place, Problem};
pub use interface::{Clock, Interface};
pub use item::{Block, Dropped, Item, Packet};
#[cfg(feature = "live")]
pub use live::{
    InterfaceError, Listed, LiveCounter, LiveCounts, LiveOptions, RING_BYTES, Way, interface_given,
    interface_name, interfaces,
};
pub use merge::Merge;
pub use options::{COMMENT, Options};
pub use origin::{
    ORIGINS, Origin, ShardOf, StateOf, clock_mark, clock_of, identified, origin_of, pause_mark,
    pause_of,
};
pub use owned::OwnedPacket;
pub use sink::Lost;
pub use source::Capture;
pub use writer::{FileFormat, Plan, Writer};
