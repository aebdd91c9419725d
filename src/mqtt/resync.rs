//! Resynchronisation: finds the next control packet after a gap in a fixed
//! header, and when a capture starts in the middle of a stream.
//!
//! Every position is a candidate. The search follows the chain of packets from
//! each, and adds up their evidence (see [`plausible`](super::plausible)): `n`
//! bits mean that random bytes look like this once in 2^n positions. A
//! candidate whose chain is impossible is dropped. One is accepted when its
//! evidence reaches
//!
//! | bits | where |
//! |--:|---|
//! | [`ALIGNED_BITS`] | at the start of a TCP segment, where senders start packets |
//! | [`ANYWHERE_BITS`] | anywhere else |
//!
//! so random bytes are taken for MQTT less than once in 2^28 segments, or once
//! in 2^48 bytes. At the end of the capture no more bytes follow, and a stream
//! that consists of whole packets from its first segment to its last byte is
//! accepted with [`WHOLE_BITS`], or with [`WHOLE_BITS_PEER`] if the other
//! direction is certainly MQTT. A stream that was MQTT before the gap most
//! likely ends with whole packets, each sent in its own segment: there
//! [`KNOWN_BITS`] are sufficient for it and for its last segment, and
//! [`KNOWN_BITS_LATE`] for whole packets from another segment to the end.
//! Everything found this way is marked `resynchronised`.

use super::header::PacketType;
use super::plausible::{self, Evidence};
use super::varint::{self, Varint};
use super::version::Version;
use crate::direction::Direction;
use crate::limits::RESYNC_BYTES;

/// Evidence needed at the start of a segment, in bits.
pub(super) const ALIGNED_BITS: u32 = 28;
/// Evidence needed at any other position.
pub(super) const ANYWHERE_BITS: u32 = 48;
/// Evidence needed at the end, for a stream made of whole packets.
pub(super) const WHOLE_BITS: u32 = 24;
/// The same if the other direction is known to be MQTT.
pub(super) const WHOLE_BITS_PEER: u32 = 16;
/// The same if the stream was framed before the gap: one small packet. Its last
/// segment may be that packet, too.
const KNOWN_BITS: u32 = 12;
/// The same from any segment to the end: there may be many.
const KNOWN_BITS_LATE: u32 = 16;

/// Candidates that are followed at once; beyond it the weakest is dropped.
const CANDIDATES: usize = 64;

/// A search for a boundary.
#[derive(Debug, Default)]
pub struct Resync {
    /// Bytes from the first candidate on.
    buffer: Vec<u8>,
    /// Bytes before `buffer` that were skipped.
    skipped: u64,
    /// Candidates by position, none of them impossible so far.
    candidates: Vec<Candidate>,
    /// Bits needed at the end of the capture, once that was reached.
    end: Option<u32>,
    /// Whether bytes were skipped that lay within reach of the search.
    passed_over: bool,
    /// Whether the stream was in step before.
    known: bool,
    /// Candidates are the starts of segments alone.
    aligned_only: bool,
    /// Position in `buffer` where the last segment started.
    last_segment: usize,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// Position in `buffer` of its first packet.
    start: usize,
    /// Position of the next packet to weigh; may be beyond `buffer`.
    next: u64,
    bits: u32,
    /// Whether a segment started there.
    aligned: bool,
    version: Option<Version>,
    /// The type of the last packet of the chain.
    last: Option<PacketType>,
}

/// A boundary that was accepted.
#[derive(Debug)]
pub(super) struct Found {
    /// The bytes from the boundary on.
    pub bytes: Vec<u8>,
    /// Bytes before it that were skipped.
    pub skipped: u64,
}

impl Resync {
    /// A search in a stream that was framed, after `cut_off` bytes of a header
    /// whose rest is missing.
    pub fn after(cut_off: u64) -> Self {
        Self {
            skipped: cut_off,
            known: true,
            ..Self::default()
        }
    }

    /// A cheap search, for streams that need not be MQTT: only at the starts of
    /// segments.
    pub fn at_segments() -> Self {
        Self {
            aligned_only: true,
            ..Self::default()
        }
    }

    /// Bytes that belong to no packet found so far.
    pub fn unframed(&self) -> u64 {
        self.skipped + self.buffer.len() as u64
    }

    /// Memory that this takes, in bytes.
    pub fn kept(&self) -> usize {
        self.buffer.capacity() + self.candidates.capacity() * size_of::<Candidate>()
    }

    /// Position of the first buffered byte, if `end` is the position after the last.
    pub(super) fn held_from(&self, end: u64) -> Option<u64> {
        (!self.buffer.is_empty()).then(|| end - self.buffer.len() as u64)
    }

    /// Takes the next bytes of the stream; a segment started at the first.
    pub fn data(&mut self, bytes: &[u8], direction: Option<Direction>, version: Option<Version>) {
        let new = self.buffer.len();
        self.last_segment = new;
        self.buffer.extend_from_slice(bytes);
        let buffer = &self.buffer;
        self.candidates
            .retain_mut(|candidate| candidate.follow(buffer, direction));
        let starts = match self.aligned_only {
            true => new..self.buffer.len().min(new + 1),
            false => new..self.buffer.len(),
        };
        for start in starts {
            let mut candidate = Candidate {
                start,
                next: start as u64,
                bits: 0,
                aligned: start == new,
                version,
                last: None,
            };
            if candidate.follow(&self.buffer, direction) {
                self.candidates.push(candidate);
            }
        }
        self.drop_hopeless();
    }

    /// A gap in the stream: no chain continues after it.
    pub fn gap(&mut self) {
        self.skip(self.buffer.len());
    }

    /// The stream has ended.
    pub fn end(&mut self, peer_in_step: bool) {
        self.end = Some(match (self.known, peer_in_step) {
            (true, _) => KNOWN_BITS,
            (false, true) => WHOLE_BITS_PEER,
            (false, false) => WHOLE_BITS,
        });
    }

    /// The evidence that everything since the start of the search is whole
    /// packets, in bits, if that is possible.
    pub fn whole_bits(&self) -> Option<u32> {
        self.whole().map(|candidate| candidate.bits)
    }

    /// Whether everything, or else what follows the start of some segment, is whole
    /// packets, one of which has this type and packet identifier.
    pub fn may_hold(&self, kind: PacketType, id: Option<u16>) -> bool {
        let Some(candidate) = self.favoured() else {
            return false;
        };
        let mut rest = self.buffer.get(candidate.start..).unwrap_or_default();
        while let [first, after @ ..] = rest
            && let Varint::Value { value, bytes } = varint::decode(after)
        {
            let body = after.get(usize::from(bytes)..).unwrap_or_default();
            let found = body.first_chunk().map(|id| u16::from_be_bytes(*id));
            if PacketType::ALL[usize::from(first >> 4)] == kind && (id.is_none() || id == found) {
                return true;
            }
            rest = body.get(value as usize..).unwrap_or_default();
        }
        false
    }

    /// The first type and packet identifier if everything is whole packets.
    pub fn opening(&self) -> Option<(PacketType, Option<u16>)> {
        self.whole()?;
        let (&first, rest) = self.buffer.split_first()?;
        let id = match rest {
            [_, high, low, ..] => Some(u16::from_be_bytes([*high, *low])),
            _ => None,
        };
        Some((PacketType::ALL[usize::from(first >> 4)], id))
    }

    /// The candidate that other evidence may speak for.
    fn favoured(&self) -> Option<&Candidate> {
        let to_the_end = |it: &&Candidate| it.aligned && it.next == self.buffer.len() as u64;
        self.whole()
            .or_else(|| self.candidates.iter().find(to_the_end))
    }

    fn whole(&self) -> Option<&Candidate> {
        let first = self.candidates.first()?;
        let whole = !self.passed_over
            && first.start == 0
            && first.aligned
            && first.next == self.buffer.len() as u64;
        whole.then_some(first)
    }

    /// Whether the evidence for a boundary is enough.
    pub fn is_found(&self) -> bool {
        self.accepted(0).is_some()
    }

    /// The type of the control packet at the boundary that `find` would
    /// accept.
    pub fn found_type(&self) -> Option<PacketType> {
        let first = self.buffer.get(self.accepted(0)?)?;
        Some(PacketType::ALL[usize::from(first >> 4)])
    }

    /// Accepts the first boundary with sufficient evidence; `more` bits are
    /// added for one that makes everything, or else everything from some segment
    /// on, whole packets. Returns the search if there is none.
    pub(super) fn find(mut self, more: u32) -> Result<Found, Self> {
        match self.accepted(more) {
            Some(start) => {
                self.buffer.drain(..start);
                Ok(Found {
                    bytes: self.buffer,
                    skipped: self.skipped + start as u64,
                })
            }
            None => Err(self),
        }
    }

    /// The position of the first boundary whose evidence is enough.
    fn accepted(&self, more: u32) -> Option<usize> {
        let whole = self.whole().map(|candidate| candidate.start);
        let favoured = self.favoured().map(|candidate| candidate.start);
        let accepted = self.candidates.iter().find(|candidate| {
            let enough = if candidate.aligned {
                ALIGNED_BITS
            } else {
                ANYWHERE_BITS
            };
            if whole == Some(candidate.start) {
                return candidate.bits + more >= enough.min(self.end.unwrap_or(enough));
            }
            if favoured == Some(candidate.start) && candidate.bits + more >= enough {
                return true;
            }
            let to_the_end = candidate.aligned && candidate.next == self.buffer.len() as u64;
            let enough = match self.end {
                Some(_) if !self.known || !to_the_end => enough,
                Some(known) if candidate.start == self.last_segment => known,
                Some(_) => KNOWN_BITS_LATE,
                None => enough,
            };
            candidate.bits >= enough
        });
        accepted.map(|candidate| candidate.start)
    }

    /// Drops bytes that no candidate needs, and candidates beyond the limits of
    /// number and time.
    fn drop_hopeless(&mut self) {
        while self.candidates.len() > CANDIDATES {
            let weakest = self
                .candidates
                .iter()
                .enumerate()
                .min_by_key(|(_, c)| (c.aligned, c.bits))
                .map_or(0, |(i, _)| i);
            self.candidates.remove(weakest);
        }
        if self.buffer.len() > RESYNC_BYTES {
            let too_old = self.buffer.len() - RESYNC_BYTES / 2;
            self.candidates.retain(|c| c.start >= too_old);
        }
        let needed = self
            .candidates
            .first()
            .map_or(self.buffer.len(), |c| c.start);
        if needed == self.buffer.len() || needed > 4096 {
            self.skip(needed);
        }
    }

    /// Skips the first `count` buffered bytes, and the candidates among them.
    fn skip(&mut self, count: usize) {
        self.buffer.drain(..count);
        self.buffer.shrink_to(4096);
        self.skipped += count as u64;
        self.last_segment = self.last_segment.saturating_sub(count);
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

impl Candidate {
    /// Follows the chain as far as bytes are there; false if it cannot be one.
    fn follow(&mut self, buffer: &[u8], direction: Option<Direction>) -> bool {
        while let Some(rest) = usize::try_from(self.next)
            .ok()
            .and_then(|next| buffer.get(next..))
            .filter(|rest| !rest.is_empty())
        {
            match plausible::evidence(rest, direction, self.version) {
                Evidence::Impossible => return false,
                Evidence::NeedMore => break,
                Evidence::Plausible {
                    bits,
                    packet_len,
                    version,
                    ..
                } => {
                    let kind = PacketType::ALL[usize::from(rest[0] >> 4)];
                    // CONNECT is the first packet, and DISCONNECT the last. A payload
                    // that holds MQTT breaks this soon, or has packets that never
                    // go this way; a sender who breaks it begins a segment with it.
                    let is_late = kind == PacketType::Connect && self.last.is_some();
                    let is_over = self.last == Some(PacketType::Disconnect);
                    if !self.aligned && (is_late || is_over) {
                        return false;
                    }
                    self.last = Some(kind);
                    self.bits = self.bits.saturating_add(bits);
                    self.next += packet_len;
                    self.version = self.version.or(version);
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What looks like the header of a long message, and zeros after it.
    #[test]
    fn a_boundary_whose_proof_does_not_come_is_dropped() {
        let mut resync = Resync::after(0);
        let header = b"\x30\xff\xff\x3f\0\x03a/b";
        resync.data(header, Some(Direction::Up), None);
        assert_eq!(resync.candidates.first().map(|it| it.start), Some(0));
        let (mut given, mut most) = (header.len() as u64, 0);
        for _ in 0..2 * RESYNC_BYTES / 1000 {
            resync.data(&[0; 1000], Some(Direction::Up), None);
            given += 1000;
            most = most.max(resync.buffer.len());
            assert_eq!(resync.unframed(), given);
        }
        assert!(
            (RESYNC_BYTES - 1000..=RESYNC_BYTES).contains(&most),
            "{most}"
        );
        assert!(resync.candidates.is_empty());
        assert!(resync.buffer.len() < 4096);
    }
}
