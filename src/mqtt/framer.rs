//! Finds the boundaries of control packets in a byte stream.
//!
//! In: the stream of one direction, in chunks of any size and gaps. Out: each
//! control packet when its last byte is known:
//!
//! ```text
//! bytes ──→ ┌─ Boundary ─→ Body ─┐            gap inside a body: counted through
//! gap   ──→ │     ↑──────────────┘            gap in a header: framing lost
//!           └─ Lost (resync) ─────→ Boundary  found again by `Resync`
//! ```
//! A packet within one chunk is passed on without a copy. Of a packet in
//! several chunks only the head is kept (see [`Sink::keep`]), so a body of
//! 268,435,455 bytes costs no memory unless it is needed.
//!
//! The framer is independent of TCP and of the meaning of packets, except that
//! it has to know where the payload of a PUBLISH starts.

use super::digest::Digest;
use super::header::{FixedHeader, PacketType};
use super::resync::Resync;
use super::varint::{self, Varint};
use super::version::Version;
use crate::direction::Direction;
use crate::limits::Limit;

/// A control packet, cut out of its stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Framed<'a> {
    /// Its fixed header.
    pub header: FixedHeader,
    /// Position of its first byte in the stream.
    pub offset: u64,
    /// Its first bytes, those kept and before the first gap.
    pub bytes: &'a [u8],
    /// How many of its bytes the stream lacked.
    pub missing: u64,
    /// Whether framing had been lost, or not yet found, before it.
    pub resynchronised: bool,
    /// Digest of the payload of a PUBLISH, with [`Sink::digests`], where `bytes`
    /// is not the whole packet.
    pub payload: Option<PayloadDigest>,
}

/// The digest of a payload, even if less of it was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadDigest {
    /// Offset of the payload in its packet.
    pub start: u64,
    /// Its digest, as from [`Digest::of`].
    pub value: u64,
}

reasons! {
    /// Why a stream cannot be framed further.
    Malformed {
        RemainingLength = "Remaining Length has more than four bytes",
    }
}

/// An event of a stream other than control packets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    /// A gap between two packets or in a header; framing is lost.
    Gap {
        /// Number of missing bytes, if known.
        bytes: Option<u64>,
    },
    /// Framing was found again.
    Resynchronised {
        /// Bytes that were there but had to be skipped.
        skipped: u64,
    },
    /// The stream cannot be framed further.
    Malformed {
        /// What was expected and what was there.
        reason: Malformed,
    },
    /// Less of a packet is kept than requested, because a limit was reached.
    Bound {
        /// Which.
        limit: Limit,
    },
}

/// The receiver of a framer's output.
pub trait Sink {
    /// A control packet.
    fn framed(&mut self, framed: Framed<'_>);

    /// An unfinished control packet at the end of the stream. Its header is as
    /// on the wire if the Remaining Length was complete; otherwise it has the
    /// maximum length.
    fn unfinished(&mut self, _: Framed<'_>) {}

    /// Another event, at a position of the stream.
    fn trouble(&mut self, offset: u64, trouble: Trouble);

    /// The version of the connection, as far as known.
    fn version(&self) -> Option<Version>;

    /// How many bytes of an incomplete packet to keep, of which `kept` were
    /// received; `None` until more is known.
    fn keep(&self, header: FixedHeader, kept: &[u8]) -> Option<usize>;

    /// Whether `more` bytes may be kept; granted bytes are returned with
    /// [`Sink::release`].
    fn reserve(&mut self, more: usize) -> bool;

    /// Gives back what was reserved.
    fn release(&mut self, bytes: usize);

    /// Whether payloads are to be digested while they pass.
    fn digests(&self) -> bool {
        false
    }
}

/// The framing of one direction.
#[derive(Debug)]
pub struct Framer {
    state: State,
    /// Head of the packet that is not complete yet.
    kept: Vec<u8>,
    /// Of its payload.
    digest: Option<Box<Streaming>>,
    /// Position in the stream of the next byte.
    offset: u64,
    resynchronised: bool,
}

/// A payload whose digest is being computed.
#[derive(Debug, Default)]
struct Streaming {
    digest: Digest,
    /// Offset of the payload in its packet, once known.
    start: Option<usize>,
}

impl Streaming {
    /// Adds the bytes of a packet from `at` on; `kept` is its head, as far as
    /// kept, including these bytes. Returns whether it can continue: not if the
    /// head was too long to be kept.
    fn update(
        &mut self,
        header: FixedHeader,
        kept: &[u8],
        at: u64,
        bytes: &[u8],
        version: Version,
    ) -> bool {
        let before = usize::try_from(at).unwrap_or(usize::MAX);
        let start = match self.start {
            Some(start) => start,
            None => match payload_start(header, kept, version) {
                Some(start) => {
                    self.start = Some(start);
                    if start < before {
                        let Some(earlier) = kept.get(start..before) else {
                            return false;
                        };
                        self.digest.update(earlier);
                    }
                    start
                }
                // More of it may follow.
                None => return kept.len() >= before.saturating_add(bytes.len()),
            },
        };
        let skip = start.saturating_sub(before).min(bytes.len());
        self.digest.update(&bytes[skip..]);
        true
    }

    fn finish(self) -> Option<PayloadDigest> {
        Some(PayloadDigest {
            start: self.start? as u64,
            value: self.digest.finish(),
        })
    }
}

#[derive(Debug)]
enum State {
    /// Between two packets, or within a fixed header (whose bytes are in `kept`).
    Boundary,
    /// Within a packet whose length is known.
    Body {
        header: FixedHeader,
        offset: u64,
        /// Bytes of it so far, gaps included.
        got: u64,
        missing: u64,
        /// Whether `kept` still grows.
        keeping: bool,
    },
    /// Looking for a boundary.
    Lost(Box<Resync>),
    /// Framing has ended for good.
    Dead,
}

impl Framer {
    /// A framer for a stream whose first byte starts a control packet.
    pub fn at_boundary() -> Self {
        Self {
            state: State::Boundary,
            kept: Vec::new(),
            digest: None,
            offset: 0,
            resynchronised: false,
        }
    }

    /// A framer for a stream that was joined somewhere.
    pub fn joining() -> Self {
        Self {
            state: State::Lost(Box::default()),
            resynchronised: true,
            ..Self::at_boundary()
        }
    }

    /// A framer for a stream that is not MQTT.
    pub fn given_up() -> Self {
        Self {
            state: State::Dead,
            ..Self::at_boundary()
        }
    }

    /// Position of the first byte of the packet that is not complete yet.
    #[inline]
    pub fn pending(&self) -> Option<u64> {
        match &self.state {
            State::Boundary => {
                (!self.kept.is_empty()).then(|| self.offset - self.kept.len() as u64)
            }
            State::Body { offset, .. } => Some(*offset),
            State::Lost(resync) => resync.held_from(self.offset),
            State::Dead => None,
        }
    }

    /// Position in the stream of the next byte.
    pub fn position(&self) -> u64 {
        self.offset
    }

    /// The search for a boundary, if one is on.
    pub fn lost(&self) -> Option<&Resync> {
        match &self.state {
            State::Lost(resync) => Some(resync),
            _ => None,
        }
    }

    /// Whether it began, or went on after a loss, in the middle.
    pub fn joined(&self) -> bool {
        self.resynchronised
    }

    /// Whether it outputs packets: framing is neither lost nor ended.
    pub fn in_step(&self) -> bool {
        matches!(self.state, State::Boundary | State::Body { .. })
    }

    /// Takes the next bytes of the stream. `direction` is the way they
    /// went, if that is known. A chunk should start where a TCP segment did:
    /// senders like to begin packets there, and so does the search.
    #[inline(always)]
    pub fn data(&mut self, bytes: &[u8], direction: Option<Direction>, sink: &mut impl Sink) {
        // Nearly all chunks are whole packets.
        let rest = match self.state {
            State::Boundary if self.kept.is_empty() => self.whole_packets(bytes, sink),
            _ => bytes,
        };
        if !rest.is_empty() {
            self.data_in_parts(rest, direction, sink);
        }
    }

    /// The same for bytes that are no whole packet, or not known to be.
    fn data_in_parts(&mut self, bytes: &[u8], direction: Option<Direction>, sink: &mut impl Sink) {
        if let State::Lost(resync) = &mut self.state {
            self.offset += bytes.len() as u64;
            resync.data(bytes, direction, sink.version());
            let resync = std::mem::take(resync.as_mut());
            self.try_find(resync, 0, direction, sink);
            return;
        }
        self.frame(bytes, direction, sink);
    }

    /// Settles on the best boundary of a search, if the evidence for it and
    /// `more` bits from elsewhere are enough.
    pub fn settle(
        &mut self,
        more: u32,
        direction: Option<Direction>,
        sink: &mut impl Sink,
    ) -> bool {
        if let State::Lost(resync) = &mut self.state {
            let resync = std::mem::take(resync.as_mut());
            return self.try_find(resync, more, direction, sink);
        }
        false
    }

    fn try_find(
        &mut self,
        resync: Resync,
        more: u32,
        direction: Option<Direction>,
        sink: &mut impl Sink,
    ) -> bool {
        match resync.find(more) {
            Ok(found) => {
                let start = self.offset - found.bytes.len() as u64;
                sink.trouble(
                    start,
                    Trouble::Resynchronised {
                        skipped: found.skipped,
                    },
                );
                self.offset = start;
                self.state = State::Boundary;
                self.kept.clear();
                self.resynchronised = true;
                self.frame(&found.bytes, direction, sink);
                true
            }
            Err(resync) => {
                self.state = State::Lost(Box::new(resync));
                false
            }
        }
    }

    fn frame(&mut self, mut bytes: &[u8], direction: Option<Direction>, sink: &mut impl Sink) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Boundary if self.kept.is_empty() => {
                    bytes = self.whole_packets(bytes, sink);
                    if bytes.is_empty() || matches!(self.state, State::Dead) {
                        continue;
                    }
                    self.begin(bytes[0]);
                    bytes = &bytes[1..];
                }
                State::Boundary => {
                    self.begin(bytes[0]);
                    bytes = &bytes[1..];
                    self.header_complete(sink);
                }
                State::Body { .. } => bytes = self.body(bytes, sink),
                State::Lost(_) => return self.data_in_parts(bytes, direction, sink),
                State::Dead => {
                    self.offset += bytes.len() as u64;
                    return;
                }
            }
        }
    }

    /// Outputs the packets that are complete at the start of `bytes`; returns
    /// the rest. This is the path of nearly all packets.
    #[inline(always)]
    fn whole_packets<'a>(&mut self, mut bytes: &'a [u8], sink: &mut impl Sink) -> &'a [u8] {
        while let Some(header) = FixedHeader::read(bytes) {
            let len = header.packet_len();
            let Some(packet) = usize::try_from(len).ok().and_then(|len| bytes.get(..len)) else {
                break;
            };
            sink.framed(Framed {
                header,
                offset: self.offset,
                bytes: packet,
                missing: 0,
                resynchronised: self.resynchronised,
                payload: None,
            });
            self.offset += len;
            bytes = &bytes[packet.len()..];
        }
        bytes
    }

    fn begin(&mut self, byte: u8) {
        self.kept.push(byte);
        self.offset += 1;
    }

    /// Continues with the body once the fixed header is complete.
    fn header_complete(&mut self, sink: &mut impl Sink) {
        let offset = self.offset - self.kept.len() as u64;
        let Some(header) = FixedHeader::read(&self.kept) else {
            if self.kept.len() == 5 {
                self.state = State::Dead;
                self.kept = Vec::new();
                sink.trouble(
                    offset,
                    Trouble::Malformed {
                        reason: Malformed::RemainingLength,
                    },
                );
            }
            return;
        };
        if header.remaining_length == 0 {
            sink.framed(Framed {
                header,
                offset,
                bytes: &self.kept,
                missing: 0,
                resynchronised: self.resynchronised,
                payload: None,
            });
            self.kept.clear();
            return;
        }
        if header.packet_type() == PacketType::Publish && sink.digests() {
            self.digest = Some(Box::default());
        }
        self.state = State::Body {
            header,
            offset,
            got: self.kept.len() as u64,
            missing: 0,
            keeping: true,
        };
    }

    /// Takes the bytes of a body; returns what lies after it.
    fn body<'a>(&mut self, bytes: &'a [u8], sink: &mut impl Sink) -> &'a [u8] {
        let State::Body {
            header,
            got,
            keeping,
            ..
        } = &mut self.state
        else {
            return bytes;
        };
        let here = usize::try_from(header.packet_len() - *got)
            .map_or(bytes.len(), |wanted| wanted.min(bytes.len()));
        let (mine, rest) = bytes.split_at(here);
        let mut new = mine;
        // How much is worth keeping may show only with the bytes themselves.
        while *keeping && !new.is_empty() {
            let step = match sink.keep(*header, &self.kept) {
                Some(limit) => limit.saturating_sub(self.kept.len()).min(new.len()),
                None => new.len().min(64),
            };
            if step == 0 {
                *keeping = false;
                if header.packet_type() != PacketType::Publish {
                    let limit = Limit::LongPacket;
                    sink.trouble(self.offset, Trouble::Bound { limit });
                }
            } else if !sink.reserve(step) {
                *keeping = false;
                sink.trouble(
                    self.offset,
                    Trouble::Bound {
                        limit: Limit::IncompleteMessages,
                    },
                );
            } else {
                self.kept.extend_from_slice(&new[..step]);
                new = &new[step..];
            }
        }
        if let Some(digest) = &mut self.digest {
            let version = sink.version().unwrap_or(Version::V3_1_1);
            if !digest.update(*header, &self.kept, *got, mine, version) {
                self.digest = None;
            }
        }
        *got += here as u64;
        self.offset += here as u64;
        self.body_complete(sink);
        rest
    }

    fn body_complete(&mut self, sink: &mut impl Sink) {
        let State::Body {
            header,
            offset,
            got,
            missing,
            ..
        } = self.state
        else {
            return;
        };
        if got < header.packet_len() {
            return;
        }
        sink.framed(Framed {
            header,
            offset,
            bytes: &self.kept,
            missing,
            resynchronised: self.resynchronised,
            payload: self.digest.take().and_then(|digest| digest.finish()),
        });
        self.drop_kept(sink);
        self.state = State::Boundary;
    }

    fn drop_kept(&mut self, sink: &mut impl Sink) {
        if let State::Body { header, .. } = self.state {
            sink.release(self.kept.len().saturating_sub(header.header_len()));
        }
        self.kept.clear();
        self.kept.shrink_to(4096);
        self.digest = None;
    }

    /// Takes a gap of `len` bytes; `None` if its length is unknown.
    ///
    /// Then at least the rest of the current packet is missing, and the next
    /// one has to be found.
    pub fn gap(&mut self, len: Option<u64>, sink: &mut impl Sink) {
        let mut left = len;
        if let State::Body {
            header,
            got,
            missing,
            keeping,
            ..
        } = &mut self.state
        {
            let rest = header.packet_len() - *got;
            let inside = len.map_or(rest, |len| len.min(rest));
            *got += inside;
            *missing += inside;
            *keeping = false;
            self.digest = None;
            self.offset += inside;
            left = len.map(|len| len - inside);
            self.body_complete(sink);
        }
        if left == Some(0) {
            return;
        }
        match &mut self.state {
            State::Lost(resync) => {
                resync.gap();
                sink.trouble(self.offset, Trouble::Gap { bytes: left });
            }
            State::Boundary => {
                // A header that was cut off counts as skipped: it was there.
                let cut_off = self.kept.len() as u64;
                self.kept.clear();
                sink.trouble(self.offset, Trouble::Gap { bytes: left });
                self.state = State::Lost(Box::new(Resync::after(cut_off)));
            }
            State::Body { .. } | State::Dead => {}
        }
        self.offset += left.unwrap_or(0);
    }

    /// The stream ends here. Returns how many bytes the last packet still
    /// lacks (at least), if one was begun.
    pub fn finish(
        &mut self,
        direction: Option<Direction>,
        peer_in_step: bool,
        sink: &mut impl Sink,
    ) -> End {
        if let State::Lost(resync) = &mut self.state {
            let mut resync = std::mem::take(resync.as_mut());
            resync.end(peer_in_step);
            if !self.try_find(resync, 0, direction, sink) {
                let State::Lost(resync) = &self.state else {
                    return End::Clean;
                };
                return match resync.unframed() {
                    0 => End::Clean,
                    bytes => End::NeverFound { bytes },
                };
            }
        }
        let (header, offset, got, wanted) = match &self.state {
            State::Body {
                header,
                offset,
                got,
                ..
            } => (*header, *offset, *got, Some(header.packet_len() - *got)),
            State::Boundary if !self.kept.is_empty() => {
                let got = self.kept.len() as u64;
                let header = FixedHeader {
                    first: self.kept.first().copied().unwrap_or(0),
                    length_bytes: 4,
                    remaining_length: varint::MAX,
                };
                (header, self.offset - got, got, None)
            }
            State::Boundary | State::Lost(_) | State::Dead => {
                self.state = State::Dead;
                return End::Clean;
            }
        };
        sink.unfinished(Framed {
            header,
            offset,
            bytes: &self.kept,
            missing: header.packet_len() - got,
            resynchronised: self.resynchronised,
            payload: None,
        });
        let end = End::Unfinished {
            offset,
            got,
            first: header.first,
            wanted,
        };
        self.drop_kept(sink);
        self.state = State::Dead;
        end
    }
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Between two packets.
    Clean,
    /// Within one.
    Unfinished {
        /// Where it began.
        offset: u64,
        /// Bytes of it that were there.
        got: u64,
        /// The first of them.
        first: u8,
        /// Bytes still missing; `None` if not even its length was known.
        wanted: Option<u64>,
    },
    /// No boundary was found after framing was lost.
    NeverFound {
        /// Bytes that were there since then.
        bytes: u64,
    },
}

/// How many bytes of an incomplete packet to keep so that everything but its
/// payload can be decoded, and `payload` bytes of that; `None` until more of
/// the packet is received. At most `limit` without the payload.
pub fn head_len(
    header: FixedHeader,
    kept: &[u8],
    version: Version,
    payload: usize,
    limit: usize,
) -> Option<usize> {
    if header.packet_type() != PacketType::Publish {
        return Some(limit);
    }
    let head = payload_start(header, kept, version)?;
    Some(head.min(limit).saturating_add(payload))
}

/// Offset of the payload in a PUBLISH; `None` until more of it is received.
fn payload_start(header: FixedHeader, kept: &[u8], version: Version) -> Option<usize> {
    let topic = header.header_len();
    let &[high, low] = kept.get(topic..topic + 2)? else {
        return None;
    };
    let mut head = topic + 2 + usize::from(u16::from_be_bytes([high, low]));
    if header.qos() > 0 {
        head += 2;
    }
    if version == Version::V5 {
        let rest = kept.get(head..)?;
        match varint::decode(rest) {
            Varint::Value { value, bytes } => head += usize::from(bytes) + value as usize,
            Varint::Incomplete => return None,
            Varint::Malformed => {}
        }
    }
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Records the output of a framer: packets as (offset, first byte, kept
    /// length, missing), and events.
    #[derive(Default, Debug, PartialEq)]
    struct Record {
        packets: Vec<(u64, u8, u64)>,
        kept: Vec<usize>,
        troubles: Vec<(u64, Trouble)>,
        reserved: usize,
        /// Digests of payloads, of packets that came in chunks.
        payloads: Vec<(u64, u64)>,
    }

    impl Sink for Record {
        fn framed(&mut self, framed: Framed<'_>) {
            self.packets
                .push((framed.offset, framed.header.first, framed.missing));
            self.kept.push(framed.bytes.len());
            if let Some(payload) = framed.payload {
                self.payloads
                    .push((framed.offset + payload.start, payload.value));
            }
        }

        fn digests(&self) -> bool {
            true
        }

        fn trouble(&mut self, offset: u64, trouble: Trouble) {
            self.troubles.push((offset, trouble));
        }

        fn version(&self) -> Option<Version> {
            Some(Version::V3_1_1)
        }

        fn keep(&self, header: FixedHeader, kept: &[u8]) -> Option<usize> {
            head_len(header, kept, Version::V3_1_1, 8, 1000)
        }

        fn reserve(&mut self, more: usize) -> bool {
            self.reserved += more;
            true
        }

        fn release(&mut self, bytes: usize) {
            self.reserved -= bytes;
        }
    }

    fn publish(payload: usize) -> Vec<u8> {
        let mut packet = vec![0x30];
        varint::encode(3 + payload as u32, &mut packet);
        packet.extend(b"\x00\x01t");
        packet.resize(packet.len() + payload, b'x');
        packet
    }

    fn stream() -> Vec<u8> {
        let mut bytes = vec![0xc0, 0];
        for payload in [0, 1, 124, 125, 126, 300] {
            bytes.extend(publish(payload));
            bytes.extend([0x40, 2, 0, 7, 0xe0, 0]);
        }
        bytes
    }

    fn run(chunks: &[&[u8]]) -> Record {
        let (mut framer, mut record) = (Framer::at_boundary(), Record::default());
        for chunk in chunks {
            framer.data(chunk, Some(Direction::Up), &mut record);
        }
        assert_eq!(
            framer.finish(Some(Direction::Up), true, &mut record),
            End::Clean
        );
        record
    }

    #[test]
    fn every_pair_of_cuts_gives_the_same_packets() {
        let bytes = stream();
        let whole = run(&[&bytes]);
        assert_eq!(whole.packets.len(), 19);
        for a in 0..bytes.len() {
            for b in a..bytes.len() {
                let record = run(&[&bytes[..a], &bytes[a..b], &bytes[b..]]);
                assert_eq!(record.packets, whole.packets, "cut at {a} and {b}");
                assert_eq!(record.reserved, 0);
            }
        }
    }

    /// However it is split, and although no more than 8 bytes of it are kept.
    #[test]
    fn a_payload_in_chunks_has_the_digest_of_the_whole() {
        let mut bytes = publish(300);
        for (byte, value) in bytes[6..].iter_mut().zip((0..=250).cycle()) {
            *byte = value;
        }
        let expected = [(6, Digest::of(&bytes[6..]))];
        for a in 1..bytes.len() {
            for b in a..bytes.len() {
                let record = run(&[&bytes[..a], &bytes[a..b], &bytes[b..]]);
                assert_eq!(record.payloads, expected, "cut at {a} and {b}");
            }
        }
    }

    #[test]
    fn a_payload_with_a_gap_has_no_digest() {
        let bytes = publish(300);
        let (mut framer, mut record) = (Framer::at_boundary(), Record::default());
        framer.data(&bytes[..100], Some(Direction::Up), &mut record);
        framer.gap(Some(10), &mut record);
        framer.data(&bytes[110..], Some(Direction::Up), &mut record);
        assert_eq!((record.packets.len(), record.payloads.len()), (1, 0));
    }

    #[test]
    fn a_hole_inside_a_body_costs_that_packet_only() {
        let bytes = stream();
        let whole = run(&[&bytes]);
        let publish = whole.packets[16].0 as usize;
        for from in publish + 3..publish + 306 {
            for len in [1, 2, publish + 306 - from] {
                if from + len > publish + 306 {
                    continue;
                }
                let (mut framer, mut record) = (Framer::at_boundary(), Record::default());
                framer.data(&bytes[..from], Some(Direction::Up), &mut record);
                framer.gap(Some(len as u64), &mut record);
                framer.data(&bytes[from + len..], Some(Direction::Up), &mut record);
                let mut expected = whole.packets.clone();
                expected[16].2 = len as u64;
                assert_eq!(record.packets, expected, "gap of {len} at {from}");
                assert_eq!(record.troubles, []);
            }
        }
    }

    #[test]
    fn a_fifth_length_byte_ends_the_framing() {
        let mut record = Record::default();
        let mut framer = Framer::at_boundary();
        for byte in [0x30, 0xff, 0xff, 0xff, 0xff, 0x01, 0xc0, 0x00] {
            framer.data(&[byte], Some(Direction::Up), &mut record);
        }
        assert_eq!(record.packets, []);
        assert!(matches!(
            record.troubles[..],
            [(0, Trouble::Malformed { .. })]
        ));
    }

    #[test]
    fn the_largest_body_is_counted_and_not_kept() {
        let mut record = Record::default();
        let mut framer = Framer::at_boundary();
        let mut head = vec![0x30];
        varint::encode(varint::MAX, &mut head);
        head.extend(b"\x00\x01t");
        framer.data(&head, Some(Direction::Up), &mut record);
        let block = vec![0; 1 << 20];
        let mut left = varint::MAX as usize - 3;
        while left > 0 {
            let step = left.min(block.len());
            framer.data(&block[..step], Some(Direction::Up), &mut record);
            left -= step;
            assert!(record.reserved < 100);
        }
        framer.data(&[0xe0, 0], Some(Direction::Up), &mut record);
        assert_eq!(record.packets.len(), 2);
        assert_eq!(record.kept, [8 + 8, 2]);
        assert_eq!(record.packets[1].0, 5 + u64::from(varint::MAX));
    }

    proptest! {
        #[test]
        fn random_cuts_and_holes_never_panic(
            chunks in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..40).prop_map(Ok),
                    (1u64..400).prop_map(Err),
                ],
                0..40,
            )
        ) {
            let (mut framer, mut record) = (Framer::at_boundary(), Record::default());
            for chunk in &chunks {
                match chunk {
                    Ok(bytes) => framer.data(bytes, Some(Direction::Up), &mut record),
                    Err(gap) => framer.gap(Some(*gap), &mut record),
                }
            }
            framer.finish(Some(Direction::Up), false, &mut record);
            prop_assert_eq!(record.reserved, 0);
        }
    }
}
