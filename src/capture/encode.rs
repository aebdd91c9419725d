//! pcapng blocks as bytes, always little-endian.
//!
//! Options of a big-endian file contain integers whose widths depend on their
//! meaning: see the tables below. Text, addresses and unknown options are
//! copied. Options that must not be copied are not.

use super::bytes::{ByteOrder, padded};
use super::interface::{Clock, Interface};
use super::item::{Block, Packet};
use super::options::{COMMENT, Options};
use super::pcapng::kind;

/// Layout of an option's value.
enum Layout {
    /// Text, addresses, single bytes.
    Bytes,
    /// Integers of this many bytes, one after another.
    Integers(usize),
    /// A byte for the kind, then integers of this many bytes.
    Tagged(usize),
    /// A byte that is 1 for a BPF program: instructions of 2, 1, 1, 4 bytes.
    Filter,
}

fn interface_layout(code: u16) -> Layout {
    match code {
        8 | 14 | 16 | 17 => Layout::Integers(8), // speed, tsoffset, tx and rx speed
        10 => Layout::Integers(4),               // tzone
        11 => Layout::Filter,
        _ => Layout::Bytes,
    }
}

fn packet_layout(code: u16) -> Layout {
    match code {
        2 | 6 => Layout::Integers(4),     // flags, queue
        4 | 5 | 8 => Layout::Integers(8), // drop count, packet id, process id
        7 => Layout::Tagged(8),           // verdict
        _ => Layout::Bytes,
    }
}

fn statistics_layout(code: u16) -> Layout {
    match code {
        2 | 3 => Layout::Integers(4), // times, as a high and a low half
        4..=8 => Layout::Integers(8), // counters
        _ => Layout::Bytes,
    }
}

fn text_layout(_code: u16) -> Layout {
    Layout::Bytes
}

/// The header of the section, with encoded options.
pub(super) fn section(out: &mut Vec<u8>, options: &[u8]) {
    framed(out, kind::SECTION, |out| {
        out.extend_from_slice(&0x1a2b_3c4d_u32.to_le_bytes());
        out.extend_from_slice(&[1, 0, 0, 0]);
        // The original length is unknown.
        out.extend_from_slice(&u64::MAX.to_le_bytes());
        ended(out, |out| out.extend_from_slice(options));
    });
}

/// Options of a section, encoded without the end.
pub(super) fn section_options(out: &mut Vec<u8>, from: &Options<'_>) {
    options(out, from, text_layout);
}

/// The comments alone, encoded without the end.
pub(super) fn comments(out: &mut Vec<u8>, from: &Options<'_>) {
    for comment in from.comments() {
        option(out, COMMENT, comment);
    }
}

/// The description of an interface, with further encoded options.
pub(super) fn interface(out: &mut Vec<u8>, interface: &Interface, more: &[u8]) {
    const IF_TSRESOL: u16 = 9;
    framed(out, kind::INTERFACE, |out| {
        out.extend_from_slice(&interface.link_type.0.to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&interface.snap_length.to_le_bytes());
        ended(out, |out| {
            let from = interface.options();
            options(out, &from, interface_layout);
            // That of a pcap file follows from its magic number.
            let has_resolution = from.first(IF_TSRESOL).is_some();
            if !has_resolution && interface.clock == Clock::NANOSECONDS {
                option(out, IF_TSRESOL, &[9]);
            }
            out.extend_from_slice(more);
        });
    });
}

/// A packet, appended: packets are many, and not put together anywhere else.
#[inline]
pub(super) fn packet(
    out: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
    interface: u32,
    Packet {
        packet,
        ticks,
        options: from,
        ..
    }: &Packet<'_>,
) {
    scratch.clear();
    ended(scratch, |out| options(out, from, packet_layout));
    let len = packet.data.len();
    let padding = padded(len) - len;
    // A simple packet has no time, belongs to the first interface, and is cut
    // only by its snap length. Others without time get tick 0.
    let simple = ticks.is_none() && interface == 0;
    let total = if simple { 16 } else { 32 } + len + padding + scratch.len();
    let total = u32::try_from(total).unwrap_or(u32::MAX).to_le_bytes();
    if simple {
        out.extend_from_slice(&kind::SIMPLE_PACKET.to_le_bytes());
        out.extend_from_slice(&total);
        out.extend_from_slice(&packet.original_len.to_le_bytes());
    } else {
        let ticks = ticks.unwrap_or(0);
        out.extend_from_slice(&kind::ENHANCED_PACKET.to_le_bytes());
        out.extend_from_slice(&total);
        out.extend_from_slice(&interface.to_le_bytes());
        out.extend_from_slice(&halves(ticks));
        out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&packet.original_len.to_le_bytes());
    }
    out.extend_from_slice(packet.data);
    out.extend_from_slice([0; 3].get(..padding).unwrap_or_default());
    out.extend_from_slice(scratch);
    out.extend_from_slice(&total);
}

/// Any other block. `interface` is the number of the one it is about.
pub(super) fn block(out: &mut Vec<u8>, interface: u32, block: &Block<'_>) {
    match block {
        // Written by functions of their own above.
        Block::Section { .. } | Block::Interface(_) => out.clear(),
        Block::Names {
            records,
            options: from,
        } => framed(out, kind::NAMES, |out| {
            for (record, value) in records.iter() {
                option(out, record, value);
            }
            out.extend_from_slice(&[0; 4]);
            ended(out, |out| options(out, from, text_layout));
        }),
        Block::Secrets {
            kind,
            data,
            options: from,
        } => framed(out, kind::SECRETS, |out| {
            let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&kind.to_le_bytes());
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(data);
            pad(out, data.len());
            ended(out, |out| options(out, from, text_layout));
        }),
        Block::Statistics {
            ticks,
            options: from,
            ..
        } => framed(out, kind::STATISTICS, |out| {
            out.extend_from_slice(&interface.to_le_bytes());
            out.extend_from_slice(&halves(*ticks));
            ended(out, |out| options(out, from, statistics_layout));
        }),
        Block::Custom { vendor, data } => framed(out, kind::CUSTOM, |out| {
            out.extend_from_slice(&vendor.to_le_bytes());
            out.extend_from_slice(data);
            pad(out, data.len());
        }),
        Block::Journal(entry) => framed(out, kind::JOURNAL, |out| {
            out.extend_from_slice(entry);
            pad(out, entry.len());
        }),
    }
}

/// A timestamp: the high half first, whatever the byte order.
fn halves(ticks: u64) -> [u8; 8] {
    ticks.rotate_left(32).to_le_bytes()
}

/// A block around what `body` appends.
fn framed(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    out.clear();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    let total = u32::try_from(out.len() + 4)
        .unwrap_or(u32::MAX)
        .to_le_bytes();
    out.extend_from_slice(&total);
    if let Some(length) = out.get_mut(4..8) {
        length.copy_from_slice(&total);
    }
}

/// An option list with its end, if `list` appends anything.
fn ended(out: &mut Vec<u8>, list: impl FnOnce(&mut Vec<u8>)) {
    let before = out.len();
    list(out);
    if out.len() > before {
        out.extend_from_slice(&[0; 4]);
    }
}

fn options(out: &mut Vec<u8>, from: &Options<'_>, layout: fn(u16) -> Layout) {
    /// Options of vendors: text and bytes that may be copied, and that may not.
    const CUSTOM: [u16; 2] = [2988, 2989];
    const CUSTOM_UNCOPIED: [u16; 2] = [19372, 19373];
    for (code, value) in from.iter() {
        if CUSTOM_UNCOPIED.contains(&code) {
            continue;
        }
        let start = out.len() + 4;
        option(out, code, value);
        if from.order == ByteOrder::Big
            && let Some(value) = out.get_mut(start..start + value.len())
        {
            if CUSTOM.contains(&code) {
                // The vendor's number; the rest is the vendor's.
                reverse_each(value.get_mut(..4).unwrap_or_default(), 4);
            } else {
                convert(value, layout(code));
            }
        }
    }
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    // What came out of an option fits into one.
    let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(value);
    pad(out, value.len());
}

fn pad(out: &mut Vec<u8>, len: usize) {
    out.resize(out.len() + padded(len) - len, 0);
}

/// From big to little endian, in place.
fn convert(value: &mut [u8], layout: Layout) {
    match (layout, value) {
        (Layout::Bytes, _) => {}
        (Layout::Integers(width), value) => reverse_each(value, width),
        (Layout::Tagged(width), [_, value @ ..]) => reverse_each(value, width),
        (Layout::Filter, [1, program @ ..]) => {
            for instruction in program.chunks_exact_mut(8) {
                if let [code @ .., _, _, _, _, _, _] = instruction {
                    code.reverse();
                }
                if let [_, _, _, _, operand @ ..] = instruction {
                    operand.reverse();
                }
            }
        }
        (Layout::Tagged(_) | Layout::Filter, _) => {}
    }
}

/// Integers of an unexpected length are left as they are.
fn reverse_each(value: &mut [u8], width: usize) {
    for integer in value.chunks_exact_mut(width) {
        integer.reverse();
    }
}
