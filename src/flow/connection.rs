//! One TCP connection: what belongs to it, what a segment does to it, when its
//! holes are final, how it ends.

use crate::limits;
use crate::net::{Segment, TcpFlags};
use crate::time::Timestamp;

use super::copies::RecentCopies;
use super::event::{Carried, Closed, FlowInfo, Handler, Interest, StreamEvent, TcpFact};
use super::half::{Half, Payload, Piece};
use super::history::History;
use super::key::FlowKey;
use super::table::Slot;
use super::{At, End, PerEnd};

/// Sequence numbers further apart than this belong to different connections,
/// if the acknowledgement numbers say so too. No window in use is as large.
const FAR: i32 = 1 << 24;
/// A SYN that comes after data it should precede (handshake captured out of
/// order) may be this far behind.
const LATE_SYN: i32 = 1 << 16;

/// One connection in the table.
#[derive(Debug)]
pub(super) struct Flow<S> {
    pub(super) key: FlowKey,
    pub(super) info: FlowInfo,
    pub(super) halves: PerEnd<Half>,
    pub(super) state: S,
    pub(super) ignored: bool,
    /// Whether the handler was interested until the end, which has come.
    pub(super) read_to_end: bool,
    /// Time of its latest packet.
    pub(super) last_seen: Timestamp,
    pub(super) packets: u32,
    pub(super) first_fin: Option<End>,
    pub(super) reset: Option<End>,
    /// The packet that made it over: the reset, or the second FIN.
    pub(super) ended: Option<At>,
    /// A new connection took its port pair.
    pub(super) replaced: bool,
    /// The end was told to the handler.
    pub(super) told: bool,
    /// Whether the table is waiting to forget it.
    pub(super) lingering: bool,
    pub(super) recent: RecentCopies,
    /// The connection that had this port pair before.
    pub(super) previous: Option<Slot>,
}

impl<S: Default> Flow<S> {
    /// A connection of which nothing was read yet.
    pub(super) fn new(key: FlowKey, info: FlowInfo, previous: Option<Slot>) -> Self {
        Self {
            key,
            info,
            halves: Default::default(),
            state: S::default(),
            ignored: false,
            read_to_end: false,
            last_seen: Timestamp::MIN,
            packets: 0,
            first_fin: None,
            reset: None,
            ended: None,
            replaced: false,
            told: false,
            lingering: false,
            recent: RecentCopies::default(),
            previous,
        }
    }
}

impl<S> Flow<S> {
    pub(super) fn over(&self) -> bool {
        self.replaced
            || self.reset.is_some()
            || (self.halves.a.fin_seen() && self.halves.b.fin_seen())
    }

    /// Neither side has sent a byte, as far as is known.
    pub(super) fn is_empty(&self) -> bool {
        self.halves.iter().all(|half| half.next() == 0) && !self.holed()
    }

    /// How it ended, if nothing else happens any more.
    pub(super) fn ending(&self) -> Option<Closed> {
        match (self.reset, self.first_fin) {
            _ if self.halves.a.fin_seen() && self.halves.b.fin_seen() => {
                self.first_fin.map(Closed::Fin)
            }
            (Some(by), _) => Some(Closed::Reset(by)),
            (None, _) if self.replaced => Some(Closed::Replaced),
            (None, Some(by)) => Some(Closed::HalfClosed(by)),
            (None, None) => None,
        }
    }

    /// Bytes of both directions that wait, with what they cost to keep.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.halves.a.waiting_bytes() + self.halves.b.waiting_bytes()
    }

    pub(super) fn holed(&self) -> bool {
        !self.ignored && (self.halves.a.has_hole() || self.halves.b.has_hole())
    }

    /// Whether time alone may bring something: a hole becomes final, or a
    /// connection that was reset has really ended. (Segments captured a moment
    /// after the reset, by another queue of the card, still count.)
    pub(super) fn waits_for_time(&self) -> bool {
        self.holed() || (self.over() && !self.told)
    }

    /// Whether a segment can be of this connection, by SYN and sequence numbers.
    pub(super) fn belongs(&self, from: End, segment: &Segment<'_>) -> bool {
        let half = &self.halves[from];
        let peer = &self.halves[from.peer()];
        if segment.flags.has(TcpFlags::SYN) {
            if let Some(isn) = half.isn {
                return isn == segment.seq;
            }
            // The other side of the handshake, or a handshake captured after data.
            return !self.over()
                && half
                    .distance(segment.seq.wrapping_add(1))
                    .is_none_or(|d| (-LATE_SYN..=0).contains(&d));
        }
        let Some(distance) = half.distance(segment.seq) else {
            return true;
        };
        let carries_data = !segment.payload.is_empty() || segment.cut > 0;
        if carries_data && distance < -FAR {
            return false;
        }
        let near = distance.unsigned_abs();
        let too_late = self.over() && carries_data && near > LATE_SYN.unsigned_abs();
        if near <= FAR.unsigned_abs() && !too_late {
            return true;
        }
        segment.flags.has(TcpFlags::ACK)
            && !self.over()
            && peer
                .distance(segment.ack)
                .is_none_or(|d| d.unsigned_abs() <= FAR.unsigned_abs())
    }

    /// Reads a segment into its connection.
    pub(super) fn read(
        &mut self,
        from: End,
        segment: &Segment<'_>,
        now: At,
        history: &mut History,
        handler: &mut impl Handler<S>,
    ) {
        let flags = segment.flags;
        let syn = flags.has(TcpFlags::SYN);
        let ack = flags.has(TcpFlags::ACK);
        let (me, other) = (from, from.peer());
        let new = self.packets == 0;
        self.packets = self.packets.wrapping_add(1);
        if syn && self.halves[me].isn.is_none() {
            self.info.from_start[me] = self.halves[me].syn(segment.seq);
            if !ack && self.info.initiator.is_none() {
                self.info.initiator = Some(from);
                self.info.first = now;
            } else if ack && self.info.initiator.is_none() {
                self.info.initiator = Some(from.peer());
            }
            handler.opened(&self.info, &mut self.state, now);
        } else if new {
            handler.opened(&self.info, &mut self.state, now);
        }
        let mut acked = 0;
        if ack {
            let half = &mut self.halves[other];
            if half.next_seq().is_none() && !flags.has(TcpFlags::RST) {
                half.start_at(segment.ack);
                // A SYN-ACK acknowledges the SYN alone, and the first
                // acknowledgement of who opened the connection stands right
                // after the SYN of who accepted it.
                let is_first = self.info.initiator == Some(from) && !half.seen && self.packets <= 2;
                self.info.from_start[other] = syn || is_first;
            }
            half.ack(segment.ack);
            acked = half.offset_of(segment.ack);
        }
        let seq = segment.seq.wrapping_add(u32::from(syn));
        let reset = flags.has(TcpFlags::RST);
        if !reset {
            self.halves[me].start_at(seq);
        }
        if handler.follows_segments() {
            let acked = ack && self.halves[other].next_seq().is_some();
            let carried = Carried {
                offset: self.halves[me].position(seq),
                len: segment.payload.len() as u32 + segment.cut,
                acked: acked.then(|| self.halves[other].position(segment.ack)),
                flags,
                copy: false,
            };
            handler.segment(&self.info, &mut self.state, from, carried, now);
        }
        if reset {
            // Data on a RST is a message about the reset (RFC 1122, 4.2.2.12),
            // not part of the stream.
            let credible = self.halves[me]
                .distance(seq)
                .is_none_or(|d| (-1..=LATE_SYN).contains(&d) || (segment.seq == 0 && ack));
            if credible && self.reset.is_none() {
                self.reset = Some(from);
            }
            self.halves[me].seen = true;
            return;
        }
        self.halves[me].seen = true;
        let follows = !self.ignored && handler.follows_tcp();
        if follows && ack {
            let fact = TcpFact::Acknowledged { offset: acked };
            handler.tcp(&self.info, &mut self.state, from, fact, now);
            if segment.window == 0 {
                handler.tcp(&self.info, &mut self.state, from, TcpFact::ZeroWindow, now);
            }
        }
        if self.info.first_seq[me].is_none() {
            self.info.first_seq[me] = self.halves[me].first_seq();
        }
        if self.ignored {
            // Only the end of the connection matters any more.
            self.halves[me].skip_to(seq.wrapping_add(segment.payload.len() as u32));
        } else if segment.payload.is_empty() && segment.cut == 0 {
            if follows && self.halves[me].offset_of(seq) > self.halves[me].next() {
                handler.tcp(&self.info, &mut self.state, from, TcpFact::Unseen, now);
            }
        } else {
            let at = At {
                packet: segment.packet,
                time: segment.time,
                acked,
            };
            let mut out = Out {
                info: &self.info,
                state: &mut self.state,
                ignored: &mut self.ignored,
                from,
                now,
                handler,
            };
            let payload = Payload {
                seq,
                bytes: segment.payload,
                cut: segment.cut,
                at,
                suspect: segment.checksum_ok == Some(false),
            };
            self.halves[me].data(payload, history, &mut |piece| out.push(piece));
        }
        if flags.has(TcpFlags::FIN) {
            let end = seq
                .wrapping_add(segment.payload.len() as u32)
                .wrapping_add(segment.cut);
            self.halves[me].fin(end);
            self.first_fin.get_or_insert(from);
            if follows {
                handler.tcp(&self.info, &mut self.state, from, TcpFact::Fin, now);
            }
        }
    }

    /// Tells of a packet that was captured twice, and is not read again.
    pub(super) fn second_copy(
        &mut self,
        from: End,
        segment: &Segment<'_>,
        now: At,
        handler: &mut impl Handler<S>,
    ) {
        if handler.follows_segments() {
            let carried = Carried {
                offset: self.halves[from].position(segment.seq),
                len: segment.payload.len() as u32 + segment.cut,
                acked: None,
                flags: segment.flags,
                copy: true,
            };
            handler.segment(&self.info, &mut self.state, from, carried, now);
        }
    }

    /// Declares the holes that nothing can be expected to fill any more.
    pub(super) fn mind_holes(
        &mut self,
        now: At,
        waiting_elsewhere: usize,
        history: &mut History,
        handler: &mut impl Handler<S>,
    ) {
        let ends: &[End] = match self.holed() {
            true => &End::ALL,
            false => &[],
        };
        for &end in ends {
            let peer_seen = self.halves[end.peer()].seen;
            let mut out = Out {
                info: &self.info,
                state: &mut self.state,
                ignored: &mut self.ignored,
                from: end,
                now,
                handler,
            };
            let half = &mut self.halves[end];
            half.drain(history, &mut |piece| out.push(piece));
            while half.has_hole() && !*out.ignored {
                let patience = if half.hole_acked() {
                    Some((limits::HOLE_PACKETS, limits::HOLE_MILLIS))
                } else if peer_seen {
                    None
                } else {
                    Some((limits::BLIND_HOLE_PACKETS, limits::BLIND_HOLE_MILLIS))
                };
                let bound = if half.waiting_bytes() > limits::WAITING_BYTES {
                    Some("too many bytes of one connection wait for a missing segment")
                } else if half.waiting_bytes() > 0
                    && waiting_elsewhere + half.waiting_bytes() > limits::WAITING_BYTES_TOTAL
                {
                    Some("too many bytes of all connections wait for missing segments")
                } else {
                    None
                };
                if let Some(reason) = bound {
                    out.event(StreamEvent::Bound { reason });
                } else if !half.hole_is_final(self.packets, now.time, patience) {
                    break;
                }
                half.declare_hole(history, &mut |piece| out.push(piece));
            }
        }
        if self.ignored {
            self.halves.iter_mut().for_each(Half::give_up);
        }
    }

    /// Passes on everything that waits and tells the end of the connection.
    pub(super) fn finish(
        &mut self,
        how: Option<Closed>,
        now: At,
        history: &mut History,
        handler: &mut impl Handler<S>,
    ) {
        for end in End::ALL {
            let mut out = Out {
                info: &self.info,
                state: &mut self.state,
                ignored: &mut self.ignored,
                from: end,
                now,
                handler,
            };
            if !*out.ignored {
                self.halves[end].flush(history, &mut |piece| out.push(piece));
            }
        }
        self.tell_end(how, now, handler);
    }

    /// Tells the end of the connection, once: how it ended by its own FINs and
    /// resets, else `how`.
    pub(super) fn tell_end(&mut self, how: Option<Closed>, now: At, handler: &mut impl Handler<S>) {
        if !self.told {
            self.told = true;
            let how = self.ending().or(how).unwrap_or(Closed::CaptureEnd);
            let at = self.ended.unwrap_or(now);
            handler.closed(&self.info, &mut self.state, how, at);
            self.read_to_end = !self.ignored;
            self.ignored = true;
            self.halves.iter_mut().for_each(Half::give_up);
        }
    }
}

/// Translates what a half pushes out for the handler.
struct Out<'a, S, H> {
    info: &'a FlowInfo,
    state: &'a mut S,
    ignored: &'a mut bool,
    from: End,
    now: At,
    handler: &'a mut H,
}

impl<S, H: Handler<S>> Out<'_, S, H> {
    fn push(&mut self, piece: Piece<'_>) {
        self.event(match piece {
            Piece::Data { offset, bytes, at } => StreamEvent::Data { offset, bytes, at },
            Piece::Gap { offset, len } => StreamEvent::Gap { offset, len },
            Piece::Conflict { offset, bytes } => StreamEvent::Conflict { offset, bytes },
            Piece::Late { offset, bytes } => StreamEvent::Late { offset, bytes },
        });
    }

    fn event(&mut self, event: StreamEvent<'_>) {
        if *self.ignored {
            return;
        }
        let interest = self
            .handler
            .stream(self.info, self.state, self.from, event, self.now);
        *self.ignored = interest == Interest::Ignored;
    }
}
