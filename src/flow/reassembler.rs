//! One direction of a TCP connection: segments in any order become bytes in
//! order, with the gaps named.
//!
//! ```text
//!          passed on          |   gap   |  early  |   gap   |  early
//!  0 ─────────────────────────┼─────────┼─────────┼─────────┼────────→ offset
//!                           next
//! ```
//! Invariants: the `early` payloads (by offset) are not empty, do not overlap,
//! and all start after `next`. First bytes win: bytes that were passed on or wait
//! are never replaced, only compared.
//!
//! Offsets count from 0 at the first byte after the SYN, or at the first byte
//! captured of a connection that had begun before. They are 64 bits wide, so that
//! sequence numbers may wrap as often as they like.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::limits::WAITING_SEGMENT;
use crate::time::Timestamp;

use super::history::{History, Newest, differing};
use super::{At, ByteRange, Chunk, Data, Kept, StreamEvent};

/// A segment's payload that waits for the bytes before it.
#[derive(Debug)]
struct Early {
    bytes: Vec<u8>,
    at: At,
    /// Its checksum is wrong: it waits for a better copy as well.
    suspect: bool,
}

impl Early {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// The payload of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payload<'a> {
    pub(super) seq: u32,
    pub(super) bytes: &'a [u8],
    /// Bytes after these that were on the wire but not captured.
    pub(super) cut: u32,
    pub(super) at: At,
    /// Its checksum was verified and is wrong. A receiver would not have taken
    /// it, so it counts only if no better copy comes before the bytes are
    /// acknowledged (which is how captures of offloading hosts look) or
    /// dropped.
    pub(super) suspect: bool,
}

/// How a segment relates to those before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sending {
    /// New bytes, or none.
    New,
    /// A keep-alive probe: the byte before the next, or none, with the sequence
    /// number of that byte (RFC 9293, 3.8.4).
    KeepAlive,
    /// Bytes that have all been passed on.
    Again { offset: i64, len: u64 },
    /// Bytes in a gap before others that came `waited` ago.
    Late {
        offset: i64,
        len: u64,
        waited: Duration,
    },
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Reassembler {
    /// Sequence number at `next`, once known.
    seq: Option<u32>,
    /// Offset of the next byte to pass on.
    next: u64,
    /// Initial sequence number, if the SYN was captured.
    pub(super) isn: Option<u32>,
    /// Offset of the end of the stream, if the FIN was captured.
    fin: Option<u64>,
    /// Up to where the peer has acknowledged.
    acked: u64,
    /// Whether this side sent any packet that was captured.
    pub(super) captured: bool,
    early: BTreeMap<u64, Early>,
    /// Tails that the snap length cut off segments that wait, from and to:
    /// those that no other segment carries are a gap at once.
    cuts: BTreeMap<u64, u64>,
    waiting_bytes: usize,
    /// Since when there is a gap that could be declared.
    gap_since: Option<(u32, Timestamp)>,
    /// Gaps that were declared, newest last; only the last few.
    gaps: Vec<(u64, u64)>,
    newest: Newest,
}

/// Bytes by which an acknowledgement may exceed what was captured: as much as any
/// window in use.
const CREDIBLE_ACK: u64 = 16 << 20;

/// Declared gaps that are remembered per direction, to distinguish late bytes
/// from retransmissions.
const GAPS_KEPT: usize = 16;

impl Reassembler {
    /// The SYN of this side. Returns whether offset 0 is the byte after it: not
    /// when bytes were taken before that lie elsewhere.
    pub(super) fn syn(&mut self, seq: u32) -> bool {
        self.isn = Some(seq);
        let first = seq.wrapping_add(1);
        // An acknowledgement that was captured before may have set a later one.
        if self.seq.is_none() || self.next == 0 && self.early.is_empty() && self.cuts.is_empty() {
            self.seq = Some(first);
        }
        self.position(first) == 0
    }

    /// Takes `seq` as the start of the captured stream, unless the position
    /// is known already.
    pub(super) fn start_at(&mut self, seq: u32) {
        self.seq.get_or_insert(seq);
    }

    /// Where `seq` lies, in signed distance from the next byte. `None` as long
    /// as nothing is known.
    pub(super) fn distance(&self, seq: u32) -> Option<i32> {
        Some(seq.wrapping_sub(self.seq?) as i32)
    }

    /// Sequence number of the next byte.
    pub(super) fn next_seq(&self) -> Option<u32> {
        self.seq
    }

    /// Sequence number at offset 0.
    pub(super) fn first_seq(&self) -> Option<u32> {
        self.seq.map(|seq| seq.wrapping_sub(self.next as u32))
    }

    /// Offset of the next byte.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The offset that `seq` stands for, as far as anything is known.
    pub(super) fn position(&self, seq: u32) -> i64 {
        self.next as i64 + i64::from(self.distance(seq).unwrap_or(0))
    }

    /// The offset that `seq` stands for; 0 before the first byte, and as long
    /// as nothing is known.
    pub(super) fn offset_of(&self, seq: u32) -> u64 {
        match self.seq {
            Some(_) => self.position(seq).max(0) as u64,
            None => 0,
        }
    }

    /// Whether nothing but the SYN of this side is known of it.
    pub(super) fn is_only_syn(&self) -> bool {
        self.isn
            .is_some_and(|isn| self.seq == Some(isn.wrapping_add(1)))
            && self.next == 0
            && self.acked == 0
            && self.fin.is_none()
            && !self.has_gap()
            && self.gaps.is_empty()
    }

    /// Whether nothing is known of this side.
    pub(super) fn is_unused(&self) -> bool {
        self.seq.is_none() && !self.captured && self.acked == 0 && self.fin.is_none()
    }

    /// The FIN of this side, which stands at `seq`.
    pub(super) fn fin(&mut self, seq: u32) {
        let at = self.position(seq);
        if let Ok(at) = u64::try_from(at) {
            self.fin.get_or_insert(at);
        }
    }

    /// Whether the FIN was captured, whatever is still missing before it.
    pub(super) fn has_fin(&self) -> bool {
        self.fin.is_some()
    }

    /// The peer's acknowledgement number.
    ///
    /// One that is far ahead of everything captured is ignored: it would declare a
    /// gap of megabytes because of one unusual packet.
    pub(super) fn ack(&mut self, ack: u32) {
        let captured = self
            .early
            .last_key_value()
            .map_or(self.next, |(&offset, early)| offset + early.len());
        if let Ok(ack) = u64::try_from(self.position(ack))
            && ack <= captured + CREDIBLE_ACK
        {
            self.acked = self.acked.max(match self.fin {
                Some(fin) => ack.min(fin),
                None => ack,
            });
        }
    }

    /// The peer's acknowledgement number, of bytes that were passed on. Returns the
    /// offset that it stands for.
    #[inline]
    pub(super) fn ack_captured(&mut self, ack: u32) -> u64 {
        let offset = self.offset_of(ack);
        self.acked = self.acked.max(offset);
        offset
    }

    /// Whether bytes wait, or were acknowledged without being captured.
    pub(super) fn has_gap(&self) -> bool {
        !self.early.is_empty() || !self.cuts.is_empty() || self.acked_beyond()
    }

    /// Nothing waits, nothing is missing, and no FIN was sent.
    #[inline]
    pub(super) fn is_calm(&self) -> bool {
        self.waiting_bytes == 0 && self.fin.is_none() && self.acked <= self.next
    }

    /// The peer has acknowledged bytes that were not captured. A single one at the
    /// very end is a FIN that was not captured.
    fn acked_beyond(&self) -> bool {
        self.acked > self.next + u64::from(self.early.is_empty())
    }

    /// Whether the peer has acknowledged one byte more than this side is known to
    /// have sent: its FIN, which is missing from the capture.
    fn fin_acked(&self) -> bool {
        self.fin.is_none()
            && self.early.is_empty()
            && self.cuts.is_empty()
            && self.acked == self.next + 1
    }

    /// Whether it was captured, or the peer has acknowledged it.
    pub(super) fn fin_known(&self) -> bool {
        self.has_fin() || self.fin_acked()
    }

    /// Whether every byte before the FIN was passed on.
    pub(super) fn reached_fin(&self) -> bool {
        self.fin.is_some_and(|fin| fin <= self.next)
    }

    /// How a segment with these bytes relates to the stream so far.
    pub(super) fn sending(&self, seq: u32, len: u64, now: Timestamp) -> Sending {
        let Some(distance) = self.distance(seq) else {
            return Sending::New;
        };
        let offset = self.position(seq);
        let end = offset + len as i64;
        if len <= 1 && distance == -1 {
            Sending::KeepAlive
        } else if len > 0 && end <= self.next as i64 {
            Sending::Again { offset, len }
        } else {
            match self.early.first_key_value() {
                Some((&first, early)) if len > 0 && offset < first as i64 => Sending::Late {
                    offset,
                    len,
                    waited: now.since(early.at.time),
                },
                _ => Sending::New,
            }
        }
    }

    /// Bytes waiting, with what they cost to keep.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Takes a segment's payload. Bytes that can be passed on are pushed to `out`, in
    /// order.
    #[inline]
    pub(super) fn data(
        &mut self,
        payload: Payload<'_>,
        history: &mut History,
        out: &mut impl FnMut(StreamEvent<'_>),
    ) {
        let Payload {
            seq, bytes, cut, ..
        } = payload;
        self.start_at(seq);
        let position = self.position(seq);
        // A keep-alive probe: one byte before the next, of no meaning
        // (RFC 9293, 3.8.4), or none at all.
        if bytes.len() as u64 + u64::from(cut) <= 1 && position + 1 == self.next as i64 {
            return;
        }
        let before = (self.next as i64).saturating_sub(position).max(0) as usize;
        let (old, new) = bytes.split_at(before.min(bytes.len()));
        if !old.is_empty() {
            self.compare_passed(position, old, history, out);
        }
        let offset = position + old.len() as i64;
        let end = offset + new.len() as i64 + i64::from(cut);
        if end <= self.next as i64 {
            return;
        }
        // Bytes before `next` here belong to a cut tail only.
        let offset = u64::try_from(offset).map_or(self.next, |offset| offset.max(self.next));
        let nothing_waits = self.early.is_empty() && self.cuts.is_empty();
        if nothing_waits && offset == self.next && !payload.suspect {
            self.pass(new, payload.at, history, out);
            self.lose(end as u64 - self.next, out);
        } else {
            let new_part = Payload {
                bytes: new,
                ..payload
            };
            self.wait(offset, new_part, out);
            self.wait_for_cut(offset + new.len() as u64, end as u64);
            self.drain(history, out);
        }
    }

    /// Passes bytes on that lie at `next`.
    #[inline]
    pub(super) fn pass(
        &mut self,
        bytes: &[u8],
        at: At,
        history: &mut History,
        out: &mut (impl FnMut(StreamEvent<'_>) + ?Sized),
    ) {
        if bytes.is_empty() {
            return;
        }
        history.remember(&mut self.newest, self.next, bytes);
        out(StreamEvent::Chunk(Chunk::Data(Data {
            bytes,
            range: ByteRange {
                start: self.next,
                end: self.next + bytes.len() as u64,
            },
            at,
            seal: None,
        })));
        self.advance(bytes.len() as u64);
    }

    #[inline]
    fn advance(&mut self, by: u64) {
        self.next += by;
        self.seq = self.seq.map(|seq| seq.wrapping_add(by as u32));
        self.gap_since = None;
    }

    /// Declares `len` bytes at `next` a gap.
    fn lose(&mut self, len: u64, out: &mut dyn FnMut(StreamEvent<'_>)) {
        if len == 0 {
            return;
        }
        out(StreamEvent::Chunk(Chunk::Gap {
            range: ByteRange {
                start: self.next,
                end: self.next + len,
            },
            len: Some(len),
        }));
        if self.gaps.len() == GAPS_KEPT {
            self.gaps.remove(0);
        }
        self.gaps.push((self.next, self.next + len));
        self.advance(len);
    }

    /// Bytes at `position`, all of them before `next`: a retransmission, or
    /// bytes that were dropped.
    fn compare_passed(
        &mut self,
        position: i64,
        bytes: &[u8],
        history: &History,
        out: &mut dyn FnMut(StreamEvent<'_>),
    ) {
        // Bytes before offset 0 precede the first captured byte: nothing to compare.
        let skip = position.min(0).unsigned_abs() as usize;
        let Some(bytes) = bytes.get(skip..).filter(|b| !b.is_empty()) else {
            return;
        };
        let offset = position.max(0) as u64;
        let end = offset + bytes.len() as u64;
        let mut late = 0;
        let mut first_late = end;
        let mut left = Vec::new();
        for &(from, to) in &self.gaps {
            let (filled_from, filled_to) = (from.max(offset), to.min(end));
            if filled_from >= filled_to {
                left.push((from, to));
                continue;
            }
            late += filled_to - filled_from;
            first_late = first_late.min(filled_from);
            // Reported once: a duplicate is a plain retransmission.
            left.extend(
                [(from, filled_from), (filled_to, to)]
                    .iter()
                    .filter(|h| h.0 < h.1),
            );
        }
        if late > 0 {
            self.gaps = left;
            out(StreamEvent::Late {
                offset: first_late,
                bytes: late,
            });
        }
        let differing = history.differing(self.newest, offset, bytes);
        if differing > 0 {
            out(StreamEvent::Conflict {
                offset,
                bytes: differing,
                kept: Kept::First,
            });
        }
    }

    /// Puts the new bytes of a payload between those that wait, and in the
    /// position of suspect ones.
    fn wait(
        &mut self,
        mut offset: u64,
        payload: Payload<'_>,
        out: &mut dyn FnMut(StreamEvent<'_>),
    ) {
        let mut bytes = payload.bytes;
        while !bytes.is_empty() {
            let here = self.early.range(..=offset).next_back();
            if let Some((&start, early)) = here.filter(|(start, p)| *start + p.len() > offset) {
                let theirs = &early.bytes[(offset - start) as usize..];
                let common = theirs.len().min(bytes.len());
                let (ours, rest) = bytes.split_at(common);
                let differing = differing(&theirs[..common], ours);
                let better = early.suspect && !payload.suspect;
                if differing > 0 {
                    out(StreamEvent::Conflict {
                        offset,
                        bytes: differing,
                        kept: match better {
                            true => Kept::RightChecksum,
                            false => Kept::First,
                        },
                    });
                }
                if better {
                    self.replace(start, offset, ours, payload.at);
                }
                offset += common as u64;
                bytes = rest;
                continue;
            }
            let free = self
                .early
                .range(offset..)
                .next()
                .map_or(u64::MAX, |(&start, _)| start - offset);
            let (new, rest) = bytes.split_at(bytes.len().min(free as usize));
            self.insert(offset, new, payload.at, payload.suspect);
            offset += new.len() as u64;
            bytes = rest;
        }
    }

    fn insert(&mut self, offset: u64, bytes: &[u8], at: At, suspect: bool) {
        if !bytes.is_empty() {
            self.waiting_bytes += bytes.len() + WAITING_SEGMENT;
            let bytes = bytes.to_vec();
            self.early.insert(offset, Early { bytes, at, suspect });
        }
    }

    /// Puts `bytes` at `offset` over those of the suspect payload
    /// that starts at `start`.
    fn replace(&mut self, start: u64, offset: u64, bytes: &[u8], at: At) {
        if let Some(old) = self.early.remove(&start) {
            self.waiting_bytes -= old.bytes.len() + WAITING_SEGMENT;
            let (head, tail) = old.bytes.split_at((offset - start) as usize);
            let end = offset + bytes.len() as u64;
            self.insert(start, head, old.at, true);
            self.insert(offset, bytes, at, false);
            self.insert(end, &tail[bytes.len()..], old.at, true);
        }
    }

    /// Notes that the bytes from `from` to `to` were cut off a segment that
    /// waits.
    fn wait_for_cut(&mut self, from: u64, to: u64) {
        if from < to {
            let known = self.cuts.entry(from).or_insert_with(|| {
                self.waiting_bytes += WAITING_SEGMENT;
                to
            });
            *known = (*known).max(to);
        }
    }

    /// Passes on the waiting bytes, as far as they follow without a gap but
    /// those of cut segments.
    pub(super) fn drain(&mut self, history: &mut History, out: &mut dyn FnMut(StreamEvent<'_>)) {
        loop {
            if let Some(first) = self.early.first_entry().filter(|p| *p.key() <= self.next) {
                if first.get().suspect && self.acked <= self.next {
                    break;
                }
                let early = first.remove();
                self.waiting_bytes -= early.bytes.len() + WAITING_SEGMENT;
                self.pass(&early.bytes, early.at, history, out);
            } else if let Some(to) = self.cut_until() {
                // Bytes of the cut tail that another segment carried are no gap.
                let to = self.first_early().map_or(to, |early| early.min(to));
                self.lose(to.saturating_sub(self.next), out);
            } else {
                break;
            }
        }
    }

    /// Where the cut tail ends in which `next` lies. Those before it are
    /// evicted.
    fn cut_until(&mut self) -> Option<u64> {
        let mut until = 0;
        while let Some(cut) = self.cuts.first_entry().filter(|c| *c.key() <= self.next) {
            until = until.max(cut.remove());
            self.waiting_bytes -= WAITING_SEGMENT;
        }
        // An early payload may lie within it.
        self.wait_for_cut(self.next, until);
        (until > self.next).then_some(until)
    }

    /// Offset of the first payload that waits.
    fn first_early(&self) -> Option<u64> {
        self.early.first_key_value().map(|(&offset, _)| offset)
    }

    /// Offset of the first byte after `next` of which something is known.
    fn first_waiting(&self) -> Option<u64> {
        let cut = self.cuts.first_key_value().map(|(&offset, _)| offset);
        self.first_early().into_iter().chain(cut).min()
    }

    /// Whether the gap at `next` has been open for so long (in packets of the
    /// connection, or in milliseconds) that it is taken to be final. Without
    /// `patience` it is not, and the wait starts anew.
    pub(super) fn gap_is_final(
        &mut self,
        packets: u32,
        now: Timestamp,
        patience: Option<(u32, u64)>,
    ) -> bool {
        let Some((patient_packets, patient_millis)) = patience else {
            self.gap_since = None;
            return false;
        };
        let (since_packet, since) = *self.gap_since.get_or_insert((packets, now));
        packets.wrapping_sub(since_packet) >= patient_packets
            || now.since(since).as_millis() >= u128::from(patient_millis)
    }

    /// Whether the peer has acknowledged the byte at `next`, which was not
    /// captured.
    pub(super) fn gap_acked(&self) -> bool {
        self.acked > self.next
    }

    /// Declares the gap at `next`: up to the waiting bytes or the
    /// acknowledged position, whichever comes first. If a suspect payload lies there, it
    /// is used.
    pub(super) fn declare_gap(
        &mut self,
        history: &mut History,
        out: &mut dyn FnMut(StreamEvent<'_>),
    ) {
        if let Some(mut first) = self.early.first_entry()
            && *first.key() <= self.next
        {
            first.get_mut().suspect = false;
        }
        let to_early = self.first_waiting();
        let to_ack = self.acked_beyond().then_some(self.acked);
        let to = match (to_early, to_ack) {
            (Some(early), Some(ack)) => early.min(ack),
            (Some(to), None) | (None, Some(to)) => to,
            (None, None) => return,
        };
        self.lose(to.saturating_sub(self.next), out);
        self.drain(history, out);
    }

    /// This stream is no longer read.
    pub(super) fn give_up(&mut self) {
        self.early = BTreeMap::new();
        self.cuts = BTreeMap::new();
        self.gaps = Vec::new();
        self.waiting_bytes = 0;
        self.acked = 0;
    }

    /// Follows the sequence numbers of a stream that is not read.
    pub(super) fn skip_to(&mut self, seq: u32) {
        if let Some(distance @ 1..) = self.distance(seq) {
            self.advance(distance as u64);
        }
    }

    /// The stream ends here: every gap is final.
    pub(super) fn flush(&mut self, history: &mut History, out: &mut dyn FnMut(StreamEvent<'_>)) {
        while self.has_gap() {
            let before = self.next;
            self.declare_gap(history, out);
            if self.next == before {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests;
