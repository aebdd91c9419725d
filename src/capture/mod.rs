//! Captures: the only part of the program that knows files and devices.
//!
//! ```text
//!            ┌─ Input: file, pipe, stdin; gzip, zstd, lz4
//!            │       ┌─ Pcap or Pcapng
//! Capture ───┴───────┘ ─┐
//! Capture ──────────────┼→ Merge ─Item→ … ─Item→ Writer
//! Capture ──────────────┘
//! ```
//!
//! A [`Capture`] is one file, read packet by packet without copying; a `Merge`
//! is several of them as one, by time; a `Writer` puts packets back into a
//! file with all that pcapng says about them; a `Filter` is a BPF expression.
//! What is not known here: what is inside the packets.

mod buffer;
mod bytes;
mod compress;
mod error;
mod input;
mod interface;
mod magic;
mod options;
mod pcap;
mod pcapng;
mod source;

pub use bytes::ByteOrder;
pub use error::{Compression, Error, Place, Problem};
pub use interface::{Clock, Interface};
pub use options::{COMMENT, Options};
pub use source::{Block, Capture, Item, Packet};
