//! Where the packets of a derived capture come from: files that
//! [`shard`](crate::shard) or `--state-out` writes hold packets of other captures, and
//! keep their numbers.
//!
//! ```text
//! section header   comment: mqttdump-origin {"files":["a.pcap","b.pcap"],…}
//! packet           epb_packetid: index of the file (16 bits), number in it (48 bits)
//! statistics       in a shard, comment: mqttdump-clock, file and number of a packet;
//!                  mqttdump-pause, the same, and since when there was no packet
//! ```
//! `epb_packetid` is an option of the pcapng format for an identity of the packet;
//! Wireshark shows it as `frame.packet_id`. A reader of such a file reports packets by
//! their numbers and files of origin.

use serde::{Deserialize, Serialize};

use crate::packet::PacketRef;
use crate::time::Timestamp;

use super::bytes::ByteOrder;
use super::item::Block;
use super::options::{COMMENT, Options};

/// Option of a packet: an identity.
pub(super) const EPB_PACKETID: u16 = 5;
/// The comments of the section header that hold the description start with this. A
/// long list of files needs more than one.
const MARK: &[u8] = b"mqttdump-origin ";
/// Bits of a packet's number; those above are the file.
const NUMBER_BITS: u32 = 48;
/// The most files that packets can refer to.
pub const ORIGINS: usize = 1 << 16;

/// Description of a derived capture, in its first section header.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// Version of this format.
    pub version: u32,
    /// Version of the program that wrote the file.
    pub program: String,
    /// The files of origin; packets refer to them by index.
    pub files: Vec<String>,
    /// A file of origin may hold keys of TLS connections: it is pcapng.
    #[serde(default)]
    pub may_hold_keys: bool,
    /// Which part of the packets it holds, of a shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<ShardOf>,
    /// What it continues, of a state file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateOf>,
}

/// Which part of the packets a shard holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShardOf {
    /// Number of this shard, from 0.
    pub number: u32,
    /// Number of shards.
    pub shards: u32,
    /// What is kept together: `flow` or `session`.
    pub by: String,
}

/// The point in a capture at which a state file was written.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct StateOf {
    /// Time of the latest packet, in nanoseconds since 1970; `None` before the first.
    pub until: Option<i64>,
    /// Packets in the state.
    pub packets: u64,
    /// TCP connections until then.
    pub connections: u64,
    /// Packets that were dropped because of the limit.
    pub dropped_packets: u64,
}

impl ShardOf {
    /// Whether it has all connections of its clients.
    pub fn keeps_sessions(&self) -> bool {
        self.by == "session"
    }
}

impl Origin {
    /// Version of the format that this program reads and writes.
    pub const VERSION: u32 = 1;

    /// The origin of packets from these files.
    pub fn new(files: Vec<String>, may_hold_keys: bool) -> Self {
        Self {
            may_hold_keys,
            version: Self::VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            files,
            shard: None,
            state: None,
        }
    }

    /// Options of the section header: this description as a comment. Little-endian.
    pub fn to_options(&self) -> Vec<u8> {
        // The length of an option has 16 bits.
        const LONGEST: usize = 60_000;
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut bytes = Vec::new();
        for part in json.chunks(LONGEST) {
            put(&mut bytes, COMMENT, &[MARK, part].concat());
        }
        bytes
    }

    /// The description among the options of a section header; `None` if there is none.
    pub(super) fn of(options: &Options<'_>) -> Option<Self> {
        let parts = options.comments().filter_map(|it| it.strip_prefix(MARK));
        serde_json::from_slice(&parts.collect::<Vec<_>>().concat()).ok()
    }

    /// The packet that the options of a packet refer to.
    #[cold]
    pub(super) fn packet(options: &Options<'_>) -> Option<PacketRef> {
        let id = options
            .order
            .u64(*options.first(EPB_PACKETID)?.first_chunk()?);
        Some(PacketRef {
            number: id & ((1 << NUMBER_BITS) - 1),
            file: u32::try_from(id >> NUMBER_BITS).ok()?,
        })
    }
}

/// The description in a section header.
pub fn origin_of(block: &Block<'_>) -> Option<Origin> {
    match block {
        Block::Section { options, .. } => Origin::of(options),
        _ => None,
    }
}

/// The comment of a statistics block that is a mark of the clock starts with this.
const CLOCK: &[u8] = b"mqttdump-clock ";

/// Options of a statistics block that marks the clock of the whole capture in a shard,
/// at the time of this packet. Little-endian.
pub fn clock_mark(id: PacketRef) -> Vec<u8> {
    let mut bytes = Vec::new();
    let numbers = format!("{} {}", id.file, id.number);
    put(&mut bytes, COMMENT, &[CLOCK, numbers.as_bytes()].concat());
    bytes
}

/// The comment of a statistics block that marks a pause starts with this.
const PAUSE: &[u8] = b"mqttdump-pause ";

/// Options of a statistics block that marks a pause of the whole capture in a shard: it
/// began at `from`, and this packet ends it. Little-endian.
pub fn pause_mark(id: PacketRef, from: Timestamp) -> Vec<u8> {
    let mut bytes = Vec::new();
    let numbers = format!("{} {} {}", id.file, id.number, from.nanos());
    put(&mut bytes, COMMENT, &[PAUSE, numbers.as_bytes()].concat());
    bytes
}

/// The packet that ends a pause, and the beginning and the end of it.
pub fn pause_of(block: &Block<'_>) -> Option<(PacketRef, Timestamp, Timestamp)> {
    let (mark, until, first_file) = mark(block, PAUSE)?;
    let mut numbers = mark.split(' ');
    let id = packet_of(&mut numbers, first_file)?;
    let from = Timestamp::from_nanos(numbers.next()?.parse().ok()?);
    Some((id, from, until))
}

/// The time of a mark, at which it precedes packets of the same capture.
pub(super) fn time_of_mark(block: &Block<'_>) -> Option<Timestamp> {
    let mark = [CLOCK, PAUSE].iter().find_map(|it| mark(block, it));
    mark.map(|(_, time, _)| time)
}

/// What follows the beginning of the comment of a mark, its time, and the file from
/// which it counts.
fn mark<'a>(block: &Block<'a>, beginning: &[u8]) -> Option<(&'a str, Timestamp, u32)> {
    let Block::Statistics {
        interface,
        ticks,
        options,
    } = block
    else {
        return None;
    };
    let mark = options.comments().next()?.strip_prefix(beginning)?;
    let mark = std::str::from_utf8(mark).ok()?;
    Some((mark, interface.clock.time(*ticks), interface.file))
}

fn packet_of<'a>(numbers: &mut impl Iterator<Item = &'a str>, first: u32) -> Option<PacketRef> {
    let file: u32 = numbers.next()?.parse().ok()?;
    Some(PacketRef {
        file: first.checked_add(file)?,
        number: numbers.next()?.parse().ok()?,
    })
}

/// The packet and the time of a mark of the clock.
pub fn clock_of(block: &Block<'_>) -> Option<(PacketRef, Timestamp)> {
    let (mark, time, first_file) = mark(block, CLOCK)?;
    Some((packet_of(&mut mark.split(' '), first_file)?, time))
}

/// The options of a packet with its identity, for writing it into a derived capture.
///
/// `options` are those of the packet; an identity among them is replaced.
pub fn identified(id: PacketRef, options: &Options<'_>, out: &mut Vec<u8>) -> ByteOrder {
    out.clear();
    let order = match options.bytes.is_empty() {
        true => ByteOrder::Little,
        false => options.order,
    };
    let value = u64::from(id.file) << NUMBER_BITS | id.number;
    let (code, len) = (EPB_PACKETID, 8_u16);
    match order {
        ByteOrder::Little => {
            out.extend_from_slice(&code.to_le_bytes());
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(&value.to_le_bytes());
        }
        ByteOrder::Big => {
            out.extend_from_slice(&code.to_be_bytes());
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
    for (code, value) in options.iter().filter(|(code, _)| *code != EPB_PACKETID) {
        let at = out.len();
        put(out, code, value);
        if order == ByteOrder::Big
            && let Some(head) = out.get_mut(at..at + 4)
        {
            head[..2].reverse();
            head[2..].reverse();
        }
    }
    order
}

/// Appends an option, little-endian, with its padding.
fn put(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_read_as_it_was_written() {
        let origin = Origin {
            shard: Some(ShardOf {
                number: 3,
                shards: 16,
                by: "flow".into(),
            }),
            ..Origin::new(vec!["a.pcap".into(), "b \"1\".pcap".into()], true)
        };
        let bytes = origin.to_options();
        let options = Options::new(&bytes, ByteOrder::Little);
        assert_eq!(Origin::of(&options), Some(origin));
    }

    #[test]
    fn an_identity_replaces_another_and_keeps_the_rest() {
        let id = PacketRef {
            number: 7_000_000_000,
            file: 5,
        };
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let mut bytes = Vec::new();
            put(&mut bytes, COMMENT, b"abc");
            if order == ByteOrder::Big {
                bytes[..2].reverse();
                bytes[2..4].reverse();
            }
            let (mut once, mut twice) = (Vec::new(), Vec::new());
            let before = Options::new(&bytes, order);
            let order = identified(PacketRef { number: 1, file: 0 }, &before, &mut once);
            let order = identified(id, &Options::new(&once, order), &mut twice);
            let after = Options::new(&twice, order);
            assert_eq!(Origin::packet(&after), Some(id));
            assert_eq!(after.comments().collect::<Vec<_>>(), [&b"abc"[..]]);
            assert_eq!(after.iter().count(), 2);
        }
    }
}
