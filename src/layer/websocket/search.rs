//! Finds the next frame where its position is unknown: after a gap over a
//! header, and when a capture starts in the middle.
//!
//! ```text
//! gap │ … 7e 5c 82 │ 82 9a k k k k  30 18 00 05 … │ 82 8a k k k k  40 02 …
//!                     └┬┘ └┬┘         └────┬─────┘   └┬┘
//!                      5   1 bit     as `plausible`    5 more, and so on
//! ```
//! This is the search of [`mqtt::Resync`](crate::mqtt::Resync) one layer down,
//! with the same thresholds and for the same reason: every position is a
//! candidate, each is followed along the chain of frames that would lie there,
//! and accepted when random bytes give that much evidence less than once in
//! 2^28 chunks, or once in 2^48 positions. A frame's header alone is weak evidence:
//! one of 9 first bytes out of 256, the right mask bit. That its length ends
//! where a chunk ends, or is that of the packets in it, is 6 bits more. What
//! counts is the MQTT inside. A packet may begin in an earlier frame, so a frame
//! without one is possible; but headers alone never suffice, however long the
//! chain, because payloads are not random. Only where each frame so far begins
//! and ends with a chunk do they: payloads know nothing of chunks.
//!
//! Nor are the bytes after a gap: there is a true chain in them, and two bytes of
//! a payload that happen to lead to it would have all its evidence. So the first
//! frame has to stand for itself ([`OWN_BITS`]), which one that begins with a
//! control packet does, or fill a chunk from its first byte to its last. Of
//! compressed messages nothing is visible; there only that will do.
//! A wrong match still has to pass the search for packets.

use super::super::Data;
use super::super::pending::Pending;
use super::header::{FrameHeader, Opcode, mask};
use crate::direction::Direction;
use crate::limits;
use crate::mqtt::plausible::{self, Evidence};

/// Evidence needed at the start of a chunk, in bits.
const ALIGNED_BITS: u32 = 28;
/// Evidence needed at any other position.
const ANYWHERE_BITS: u32 = 48;
/// Evidence needed at the end, for bytes or chunks made of whole frames. Less than
/// for MQTT, which will ask for evidence of its own: one frame that holds one
/// acknowledgement.
const WHOLE_BITS: u32 = 20;
/// Bits that headers count at most where payloads can be read.
const HEADERS_BITS: u32 = 20;
/// Evidence that the first frame of a chain needs.
const OWN_BITS: u32 = 20;
/// Candidates that are followed at once; beyond it the weakest is dropped.
const CANDIDATES: usize = 64;
/// Largest frame that is believed, in bytes: the largest control packet.
const LARGEST: u64 = (256 << 20) + 5;

/// A search for a frame.
#[derive(Debug)]
pub(super) struct Search {
    direction: Direction,
    pending: Pending,
    /// By position, none of them impossible so far.
    candidates: Vec<Candidate>,
    /// Whether bytes were let go.
    passed_over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// Position in `pending` of its first frame.
    start: usize,
    /// Position of the frame to be looked at next; may lie beyond `pending`.
    next: u64,
    /// Evidence of the headers, in bits.
    headers: u32,
    /// Evidence of the payloads, in bits.
    payloads: u32,
    /// Whether a chunk starts there.
    aligned: bool,
    /// Whether every frame in it begins and ends where chunks do.
    fills: bool,
    /// Whether a frame in it is compressed.
    compressed: bool,
}

impl Candidate {
    fn bits(&self) -> u32 {
        let headers = match self.compressed || self.fills {
            true => self.headers,
            false => self.headers.min(HEADERS_BITS),
        };
        headers + self.payloads
    }

    fn enough(&self) -> u32 {
        match self.aligned {
            true => ALIGNED_BITS,
            false => ANYWHERE_BITS,
        }
    }
}

impl Search {
    pub(super) fn new(direction: Direction) -> Self {
        Self {
            direction,
            pending: Pending::default(),
            candidates: Vec::new(),
            passed_over: false,
        }
    }

    /// Memory that this takes.
    pub(super) fn kept(&self) -> usize {
        self.pending.kept() + self.candidates.capacity() * size_of::<Candidate>()
    }

    /// Takes the next chunk; `may_compress` is whether messages can be
    /// compressed. Shows those bytes that no frame can begin at any more.
    pub(super) fn push(
        &mut self,
        data: Data<'_>,
        may_compress: bool,
        skipped: impl FnMut(Data<'_>),
    ) {
        let new = self.pending.bytes().len();
        self.pending.push(data);
        let (pending, direction) = (&self.pending, self.direction);
        let candidates = &mut self.candidates;
        candidates.retain_mut(|candidate| candidate.follow(pending, direction, may_compress));
        for start in new..pending.bytes().len() {
            let mut candidate = Candidate {
                start,
                next: start as u64,
                headers: 0,
                payloads: 0,
                aligned: start == new,
                fills: start == new,
                compressed: false,
            };
            if candidate.follow(pending, direction, may_compress) {
                candidates.push(candidate);
                if candidates.len() > CANDIDATES {
                    drop_weakest(candidates);
                }
            }
        }
        self.drop_hopeless(skipped);
    }

    /// The position of the first frame that is beyond doubt. At the end, when
    /// nothing more comes, whole frames from the first byte to the last need
    /// less.
    pub(super) fn found(&self, at_end: bool) -> Option<usize> {
        let whole = |c: &Candidate| {
            let all = c.start == 0 && c.aligned && !self.passed_over;
            at_end && (all || c.fills) && c.next == self.pending.bytes().len() as u64
        };
        let accepted = self
            .candidates
            .iter()
            .find(|c| c.bits() >= c.enough() || whole(c) && c.bits() >= WHOLE_BITS);
        accepted.map(|candidate| candidate.start)
    }

    /// Lets the first `count` bytes go; the rest is no longer searched.
    pub(super) fn into_pending(mut self, count: usize, skipped: impl FnMut(Data<'_>)) -> Pending {
        self.pending.release(count, skipped);
        self.pending
    }

    /// There is a gap here: no chain leads across.
    pub(super) fn gap(&mut self, skipped: impl FnMut(Data<'_>)) {
        self.skip(self.pending.bytes().len(), skipped);
    }

    /// Drops bytes that no candidate needs, and candidates that wait for too
    /// long.
    fn drop_hopeless(&mut self, skipped: impl FnMut(Data<'_>)) {
        let len = self.pending.bytes().len();
        if len > limits::RESYNC_BYTES {
            let too_old = len - limits::RESYNC_BYTES / 2;
            self.candidates.retain(|c| c.start >= too_old);
        }
        let needed = self.candidates.first().map_or(len, |c| c.start);
        if needed == len || needed > 4096 {
            self.skip(needed, skipped);
        }
    }

    fn skip(&mut self, count: usize, skipped: impl FnMut(Data<'_>)) {
        self.pending.release(count, skipped);
        self.passed_over |= count > 0;
        self.candidates.retain_mut(|candidate| {
            let stays = candidate.start >= count;
            if stays {
                candidate.start -= count;
                candidate.next -= count as u64;
            }
            stays
        });
    }
}

fn drop_weakest(candidates: &mut Vec<Candidate>) {
    let weakest = candidates
        .iter()
        .enumerate()
        .min_by_key(|(_, c)| (c.aligned, c.bits()))
        .map_or(0, |(i, _)| i);
    candidates.remove(weakest);
}

impl Candidate {
    /// Follows the chain as far as bytes are there; false if it cannot be one.
    fn follow(&mut self, pending: &Pending, direction: Direction, may_compress: bool) -> bool {
        while self.bits() < ANYWHERE_BITS {
            let Some(rest) = usize::try_from(self.next)
                .ok()
                .and_then(|next| pending.bytes().get(next..))
                .filter(|rest| !rest.is_empty())
            else {
                break;
            };
            let Some(header) = FrameHeader::read(rest) else {
                // The first two bytes alone rule out most positions.
                return begins(rest, direction, may_compress);
            };
            if !begins(rest, direction, may_compress) || !is_strict(header) {
                return false;
            }
            let payload = rest.get(header.header_len()..).unwrap_or_default();
            let glance = usize::try_from(header.len)
                .unwrap_or(usize::MAX)
                .min(limits::WEBSOCKET_GLANCE);
            let Some(payload) = payload.get(..glance) else {
                break;
            };
            let end = self.next + header.header_len() as u64 + header.len;
            let ends_chunk = usize::try_from(end).is_ok_and(|end| pending.ends_chunk(end));
            let Some((bits, fills)) = weigh(header, payload, direction) else {
                return false;
            };
            let is_first = self.next == self.start as u64;
            if is_first && header.rsv1() && end > pending.bytes().len() as u64 {
                break;
            }
            self.headers += first_byte_bits(header) + MASK_BITS;
            if ends_chunk || fills {
                self.headers += LENGTH_BITS;
            }
            if header.len > 0xffff {
                self.headers += LONG_BITS;
            }
            self.payloads += bits;
            self.compressed |= header.rsv1();
            self.fills &= ends_chunk;
            self.next = end;
            let is_enough = !header.rsv1() && self.headers + self.payloads >= OWN_BITS;
            if is_first && !self.fills && !is_enough {
                return false;
            }
        }
        true
    }
}

/// Of 256 first bytes 4 begin a message, 4 a compressed one, and 5 are of other
/// frames: 4 * 2^5 + 4 * 2^4 + 5 * 2^3 is less than 256, as the model of
/// `plausible` wants it.
fn first_byte_bits(header: FrameHeader) -> u32 {
    match header.opcode() {
        Opcode::Text | Opcode::Binary if !header.rsv1() => 5,
        Opcode::Text | Opcode::Binary => 4,
        _ => 3,
    }
}

const MASK_BITS: u32 = 1;
/// A length of seven bits that is one of the two to fit.
const LENGTH_BITS: u32 = 6;
/// Of a length of 64 bits the first 35 are zero; zeros are not random.
const LONG_BITS: u32 = 12;
/// A payload may begin with a control packet or not: one of two readings.
const READING_BITS: u32 = 1;
/// Bits that one payload counts at most.
const PAYLOAD_BITS: u32 = 40;

/// Whether the first one or two bytes can begin a frame that goes this way.
fn begins(bytes: &[u8], direction: Direction, may_compress: bool) -> bool {
    let (first, second) = match bytes {
        [first, second, ..] => (*first, Some(*second)),
        [first] => (*first, None),
        [] => return true,
    };
    let fits = match first {
        0x00..=0x02 | 0x80..=0x82 | 0x88..=0x8a => true,
        0x41 | 0x42 | 0xc1 | 0xc2 => may_compress,
        _ => false,
    };
    fits && second.is_none_or(|second| {
        let is_short = second & 0x7f <= 125;
        (second & 0x80 != 0) == (direction == Direction::Up) && (is_short || first & 0x08 == 0)
    })
}

fn is_strict(header: FrameHeader) -> bool {
    header.is_minimal() && header.len <= LARGEST && (!header.is_control() || header.len <= 125)
}

/// Evidence of the first bytes of a payload, in bits, and whether the packets in
/// it end where it ends; `None` if it cannot be one.
fn weigh(header: FrameHeader, payload: &[u8], direction: Direction) -> Option<(u32, bool)> {
    let mut clear = [0; limits::WEBSOCKET_GLANCE];
    let clear = clear.get_mut(..payload.len())?;
    clear.copy_from_slice(payload);
    if let Some(key) = header.key {
        mask(clear, key, 0);
    }
    match header.opcode() {
        Opcode::Text | Opcode::Binary if !header.rsv1() => {
            Some(packets(clear, header.len, direction))
        }
        Opcode::Close => match *clear {
            [] => Some((0, false)),
            [high, low, ..] => {
                let code = u16::from_be_bytes([high, low]);
                matches!(code, 1000..=1014 | 3000..=4999).then_some((4, false))
            }
            _ => None,
        },
        _ => Some((0, false)),
    }
}

/// Evidence of the control packets that would lie one after another.
fn packets(payload: &[u8], len: u64, direction: Direction) -> (u32, bool) {
    let (mut at, mut bits) = (0_u64, 0_u32);
    while let Some(rest) = usize::try_from(at)
        .ok()
        .and_then(|at| payload.get(at..))
        .filter(|rest| !rest.is_empty())
    {
        match plausible::evidence(rest, Some(direction), None) {
            Evidence::Plausible {
                bits: more,
                packet_len,
                ..
            } => {
                bits += more;
                at += packet_len;
                if bits >= PAYLOAD_BITS {
                    break;
                }
            }
            // The bytes after a packet are one too.
            Evidence::Impossible => return (0, false),
            Evidence::NeedMore => break,
        }
    }
    let bits = bits.saturating_sub(READING_BITS).min(PAYLOAD_BITS);
    (bits, at == len && at > 0)
}
