//! One TCP connection: its state, the effect of a segment on it, when its
//! gaps are final, how it ends.

use std::time::Duration;

use crate::limits::{self, Limit};
use crate::net::{Segment, TcpFlags};
use crate::time::Timestamp;

use super::duplicates::RecentDuplicates;
use super::event::{Carried, Closed, FlowInfo, Handler, Interest, Reset, StreamEvent, TcpFact};
use super::history::History;
use super::key::{FlowKey, Slot};
use super::reassembler::{Payload, Reassembler, Sending};
use super::twice::FirstBytes;
use super::{At, End, PerEnd};

/// Sequence numbers further apart than this belong to different connections,
/// if the acknowledgement numbers agree. No window in use is as large.
const FAR: i32 = 1 << 24;
/// A SYN that comes after data it should precede (handshake captured out of
/// order) may be this far behind.
const LATE_SYN: i32 = 1 << 16;

/// One connection in the table.
#[derive(Debug)]
pub(super) struct Flow<S> {
    pub(super) key: FlowKey,
    pub(super) info: FlowInfo,
    pub(super) streams: PerEnd<Reassembler>,
    pub(super) state: S,
    pub(super) ignored: bool,
    /// Whether the handler was interested until the end, which has come.
    pub(super) read_to_end: bool,
    /// Time of its latest packet.
    pub(super) last_seen: Timestamp,
    pub(super) packets: u32,
    pub(super) first_fin: Option<End>,
    pub(super) reset: Option<End>,
    /// The first FIN or reset, until the handler knows of it.
    closing: Option<At>,
    /// The packet that made it over: the reset, or the second FIN; of a
    /// connection that was not established, the last SYN.
    pub(super) ended: Option<At>,
    /// A new connection took its port pair.
    pub(super) replaced: bool,
    /// The handler knows that it is closed.
    pub(super) closed: bool,
    /// Whether the table is waiting to evict it.
    pub(super) lingering: bool,
    pub(super) recent: RecentDuplicates,
    /// The state needed to report on TCP itself, if the handler follows that.
    pub(super) tcp: PerEnd<TcpState>,
    /// The connection that had this port pair before.
    pub(super) previous: Option<Slot>,
    /// The first bytes of its client.
    pub(super) first_bytes: Option<FirstBytes>,
    /// The connection of which it may be another view.
    pub(super) first_view: Option<Slot>,
    /// It is another view of a connection: its packets are duplicates.
    pub(super) is_view: bool,
    /// It is open in both directions, nothing waits or is missing, and nothing about
    /// it is still to be learned: the next segment can be predicted.
    is_steady: bool,
}

/// The state of one side, to report on TCP itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TcpState {
    ttl: Option<u8>,
    window_scale: Option<u8>,
    /// Its latest window is 0.
    zero_window: bool,
    /// Packets that it sent again, since the latest of the other side.
    unanswered: u32,
}

impl<S: Default> Flow<S> {
    /// A connection of which nothing was read yet.
    pub(super) fn new(key: FlowKey, info: FlowInfo, previous: Option<Slot>) -> Self {
        Self {
            key,
            info,
            streams: Default::default(),
            state: S::default(),
            ignored: false,
            read_to_end: false,
            last_seen: Timestamp::MIN,
            packets: 0,
            first_fin: None,
            reset: None,
            closing: None,
            ended: None,
            replaced: false,
            closed: false,
            lingering: false,
            recent: RecentDuplicates::default(),
            tcp: PerEnd::default(),
            previous,
            first_bytes: None,
            first_view: None,
            is_view: false,
            is_steady: false,
        }
    }
}

impl<S> Flow<S> {
    pub(super) fn over(&self) -> bool {
        self.replaced || self.reset.is_some() || self.both_finished()
    }

    /// Whether it is open and nothing of it waits, nor is missing.
    pub(super) fn is_calm(&self) -> bool {
        !self.ignored
            && !self.replaced
            && self.closing.is_none()
            && self.reset.is_none()
            && self.streams.a.is_calm()
            && self.streams.b.is_calm()
    }

    /// After a segment was read: whether the next one can be predicted.
    pub(super) fn settle_prediction(&mut self) {
        let info = &self.info;
        self.is_steady = self.is_calm()
            && !self.is_view
            && info.established
            && (info.initiator.is_none() || self.first_bytes.is_some())
            && info.first_seq.iter().all(Option::is_some);
    }

    /// The next segment is read as any other.
    #[cfg(test)]
    pub(super) fn forget_prediction(&mut self) {
        self.is_steady = false;
    }

    /// Whether a segment is the one that nearly all are: the next bytes in order, or
    /// none, with an acknowledgement of bytes that were captured. As hosts do (header
    /// prediction), it is read at once: 250 instructions less a packet than
    /// [`Flow::read`], which would make the same of it.
    #[inline(always)]
    pub(super) fn predicts(&mut self, from: End, segment: &Segment<'_>) -> bool {
        const DECISIVE: u8 = TcpFlags::SYN.0 | TcpFlags::FIN.0 | TcpFlags::RST.0 | TcpFlags::ACK.0;
        self.is_steady
            && segment.flags.0 & DECISIVE == TcpFlags::ACK.0
            && segment.cut == 0
            && segment.checksum_ok != Some(false)
            && self.streams[from].distance(segment.seq) == Some(0)
            && self.streams[from.peer()]
                .distance(segment.ack)
                .is_some_and(|distance| distance <= 0)
            // Bytes that are next are new.
            && (!segment.payload.is_empty() || !self.recent.is_duplicate(segment))
    }

    /// Reads a segment that [`Flow::predicts`] returned true for.
    #[inline(always)]
    pub(super) fn read_predicted(
        &mut self,
        from: End,
        segment: &Segment<'_>,
        (now, latest): (At, Timestamp),
        history: &mut History,
        handler: &mut impl Handler<S>,
    ) {
        self.packets = self.packets.wrapping_add(1);
        let acked = self.streams[from.peer()].ack_captured(segment.ack);
        if handler.follows_segments() {
            let carried = Carried {
                offset: self.streams[from].position(segment.seq),
                len: segment.payload.len() as u32,
                acked: Some(self.streams[from.peer()].position(segment.ack)),
                flags: segment.flags,
                copy: false,
            };
            handler.segment(&self.info, &mut self.state, from, carried, now);
        }
        if handler.follows_tcp() {
            let forward = At {
                time: latest,
                ..now
            };
            self.report_ack(from, segment, (acked, false), forward, handler);
        }
        if !segment.payload.is_empty() {
            self.recent.remember(segment);
            let mut out = Out {
                info: &self.info,
                state: &mut self.state,
                ignored: &mut self.ignored,
                from,
                now,
                handler,
            };
            let at = At { acked, ..now };
            self.streams[from].pass(segment.payload, at, history, &mut |event| out.event(event));
            if self.ignored {
                self.is_steady = false;
                self.streams.iter_mut().for_each(Reassembler::give_up);
            }
        }
    }

    /// Both sides have sent FIN, as far as the capture shows it.
    pub(super) fn both_finished(&self) -> bool {
        self.streams.a.has_fin() && self.streams.b.has_fin()
    }

    /// Neither side has sent a byte, as far as is known.
    pub(super) fn is_empty(&self) -> bool {
        self.streams.iter().all(|stream| stream.next() == 0) && !self.has_gap()
    }

    /// How it ended, if nothing else happens any more. `otherwise` is the
    /// reason why nothing does.
    fn ending(&self, otherwise: Option<Closed>, now: At) -> Closed {
        if let Some(unanswered) = self.unanswered(otherwise, now) {
            return unanswered;
        }
        match (self.reset, self.first_fin) {
            (_, Some(first)) if self.both_finished() => Closed::Fin(first),
            (Some(by), _) => Closed::Reset(by),
            (None, _) if self.replaced => Closed::Replaced,
            (None, Some(by)) => match self.streams.iter().all(Reassembler::fin_known) {
                true => Closed::Fin(by),
                false => Closed::HalfClosed(by),
            },
            (None, None) => otherwise.unwrap_or(Closed::CaptureEnd),
        }
    }

    /// How it ended, if its SYN was captured but never answered. One that was sent
    /// once and right before the capture ended may have been.
    fn unanswered(&self, otherwise: Option<Closed>, now: At) -> Option<Closed> {
        const PATIENCE: Duration = Duration::from_secs(1);
        let initiator = self.info.initiator.filter(|_| !self.info.established)?;
        if self.reset == Some(initiator.peer()) {
            return Some(Closed::Refused(initiator.peer()));
        }
        let final_ = self.replaced
            || self.reset.is_some()
            || otherwise == Some(Closed::Idle)
            || self.info.syn_tries > 1
            || now.time.since(self.info.first.time) >= PATIENCE;
        final_.then_some(Closed::Unanswered)
    }

    /// Bytes of both directions that wait, with what they cost to keep.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.streams.a.waiting_bytes() + self.streams.b.waiting_bytes()
    }

    pub(super) fn has_gap(&self) -> bool {
        !self.ignored && (self.streams.a.has_gap() || self.streams.b.has_gap())
    }

    /// Whether time alone may change something: a gap becomes final, or a
    /// connection that was reset has really ended. (Segments captured a moment
    /// after the reset, by another queue of the card, still count.)
    pub(super) fn waits_for_time(&self) -> bool {
        self.has_gap() || (self.over() && !self.closed)
    }

    /// Whether a segment can be of this connection, by SYN and sequence numbers.
    pub(super) fn belongs(&self, from: End, segment: &Segment<'_>) -> bool {
        let stream = &self.streams[from];
        let peer = &self.streams[from.peer()];
        if segment.flags.has(TcpFlags::SYN) {
            if let Some(isn) = stream.isn {
                return isn == segment.seq;
            }
            // The other side of the handshake, or a handshake captured after data.
            return !self.over()
                && stream
                    .distance(segment.seq.wrapping_add(1))
                    .is_none_or(|d| (-LATE_SYN..=0).contains(&d));
        }
        let Some(distance) = stream.distance(segment.seq) else {
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
        latest: Timestamp,
        history: &mut History,
        handler: &mut impl Handler<S>,
    ) {
        // Facts of TCP are compared with each other: their time goes forward.
        let forward = At {
            time: latest,
            ..now
        };
        let flags = segment.flags;
        let syn = flags.has(TcpFlags::SYN);
        let ack = flags.has(TcpFlags::ACK);
        let (me, other) = (from, from.peer());
        let new = self.packets == 0;
        self.packets = self.packets.wrapping_add(1);
        let reset = flags.has(TcpFlags::RST);
        let established = !reset && (!syn || ack) && !self.info.established;
        self.info.established |= established;
        let follows = !self.ignored && handler.follows_tcp();
        if syn && !ack {
            self.info.syn_tries += 1;
            self.ended = Some(now).filter(|_| !self.info.established);
        }
        if syn && self.streams[me].isn.is_none() {
            self.info.from_start[me] = self.streams[me].syn(segment.seq);
            if !ack && self.info.initiator.is_none() {
                self.info.initiator = Some(from);
                self.info.first = now;
            } else if ack && self.info.initiator.is_none() {
                self.info.initiator = Some(from.peer());
            }
            self.report_opened(now, handler);
        } else if new || established {
            self.report_opened(now, handler);
        } else if syn && !ack && follows {
            let tries = self.info.syn_tries;
            handler.tcp(
                &self.info,
                &mut self.state,
                from,
                TcpFact::SynAgain { tries },
                forward,
            );
        }
        if established {
            self.ended = None;
        }
        let mut acked = 0;
        let mut fin_acked = false;
        if ack {
            let stream = &mut self.streams[other];
            if stream.next_seq().is_none() && !reset {
                stream.start_at(segment.ack);
                // A SYN-ACK acknowledges the SYN alone, and the first
                // acknowledgement of the initiator stands right after the SYN of
                // the responder.
                let is_first =
                    self.info.initiator == Some(from) && !stream.captured && self.packets <= 2;
                self.info.from_start[other] = syn || is_first;
            }
            let known = stream.fin_known();
            stream.ack(segment.ack);
            fin_acked = !known && stream.fin_known();
            acked = stream.offset_of(segment.ack);
        }
        let seq = segment.seq.wrapping_add(u32::from(syn));
        if !reset {
            self.streams[me].start_at(seq);
        }
        if handler.follows_segments() {
            let acked = ack && self.streams[other].next_seq().is_some();
            let carried = Carried {
                offset: self.streams[me].position(seq),
                len: segment.payload.len() as u32 + segment.cut,
                acked: acked.then(|| self.streams[other].position(segment.ack)),
                flags,
                copy: false,
            };
            handler.segment(&self.info, &mut self.state, from, carried, now);
        }
        if reset {
            // Data on a RST is a message about the reset (RFC 1122, 4.2.2.12),
            // not part of the stream.
            let distance = self.streams[me].distance(seq);
            let credible =
                distance.is_none_or(|d| (-1..=LATE_SYN).contains(&d) || (segment.seq == 0 && ack));
            if credible && self.reset.is_none() {
                self.reset = Some(from);
                if self.first_fin.is_none() {
                    self.closing = Some(now);
                }
            }
            self.streams[me].captured = true;
            if follows {
                let fact = TcpFact::Reset(Reset {
                    ttl: segment.ttl,
                    usual_ttl: self.tcp[me].ttl,
                    distance,
                });
                handler.tcp(&self.info, &mut self.state, from, fact, forward);
            }
            return;
        }
        self.streams[me].captured = true;
        if fin_acked {
            self.finished(other, now);
        }
        if follows {
            self.report(from, segment, seq, acked, fin_acked, forward, handler);
        }
        if self.info.first_seq[me].is_none() {
            self.info.first_seq[me] = self.streams[me].first_seq();
        }
        if self.ignored {
            // Only the end of the connection matters any more.
            self.streams[me].skip_to(seq.wrapping_add(segment.payload.len() as u32));
        } else if segment.payload.is_empty() && segment.cut == 0 {
            if follows && self.streams[me].offset_of(seq) > self.streams[me].next() {
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
            self.streams[me].data(payload, history, &mut |event| out.event(event));
        }
        if flags.has(TcpFlags::FIN) {
            let end = seq
                .wrapping_add(segment.payload.len() as u32)
                .wrapping_add(segment.cut);
            self.streams[me].fin(end);
            self.finished(from, now);
            if follows {
                handler.tcp(&self.info, &mut self.state, from, TcpFact::Fin, forward);
            }
        }
    }

    /// A side has sent FIN.
    fn finished(&mut self, by: End, now: At) {
        if self.first_fin.is_none() {
            self.first_fin = Some(by);
            if self.reset.is_none() {
                self.closing = Some(now);
            }
        }
    }

    /// Reports the facts of TCP that a segment shows. `seq` is the sequence
    /// number of its first byte.
    #[allow(clippy::too_many_arguments)]
    fn report(
        &mut self,
        from: End,
        segment: &Segment<'_>,
        seq: u32,
        acked: u64,
        fin_acked: bool,
        now: At,
        handler: &mut impl Handler<S>,
    ) {
        self.report_ack(from, segment, (acked, fin_acked), now, handler);
        let tcp = &mut self.tcp[from];
        let mut report = |from, fact| handler.tcp(&self.info, &mut self.state, from, fact, now);
        let len = segment.payload.len() as u64 + u64::from(segment.cut);
        match self.streams[from].sending(seq, len, now.time) {
            Sending::New => {}
            Sending::KeepAlive => {
                tcp.unanswered += 1;
                let unanswered = tcp.unanswered;
                report(from, TcpFact::KeepAlive { unanswered });
            }
            Sending::Again { offset, len } => {
                tcp.unanswered += 1;
                let fact = TcpFact::Retransmitted {
                    offset: offset.max(0) as u64,
                    bytes: len,
                    unanswered: tcp.unanswered,
                };
                report(from, fact);
            }
            Sending::Late {
                offset,
                len,
                waited,
            } => {
                let fact = TcpFact::OutOfOrder {
                    offset: offset.max(0) as u64,
                    bytes: len,
                    waited,
                };
                report(from, fact);
            }
        }
    }

    /// The same of its header alone: what it acknowledges, and its window.
    #[inline]
    fn report_ack(
        &mut self,
        from: End,
        segment: &Segment<'_>,
        (acked, fin_acked): (u64, bool),
        now: At,
        handler: &mut impl Handler<S>,
    ) {
        let mut report = |from, fact| handler.tcp(&self.info, &mut self.state, from, fact, now);
        self.tcp[from.peer()].unanswered = 0;
        let scales = self.tcp.iter().all(|tcp| tcp.window_scale.is_some());
        let tcp = &mut self.tcp[from];
        tcp.ttl = Some(segment.ttl);
        if segment.flags.has(TcpFlags::SYN) {
            tcp.window_scale = segment.window_scale;
        }
        if segment.flags.has(TcpFlags::ACK) {
            let scale = tcp.window_scale.filter(|_| scales).unwrap_or(0);
            let fact = TcpFact::Acknowledged {
                offset: acked,
                window: u32::from(segment.window) << scale,
            };
            report(from, fact);
            let is_zero = segment.window == 0;
            if is_zero {
                report(from, TcpFact::ZeroWindow);
            } else if tcp.zero_window {
                report(from, TcpFact::WindowOpened);
            }
            tcp.zero_window = is_zero;
            if fin_acked {
                report(from.peer(), TcpFact::Fin);
            }
        }
    }

    /// Reports the first FIN or reset, once everything before it was passed on.
    pub(super) fn report_closing(&mut self, handler: &mut impl Handler<S>) {
        let Some(at) = self.closing else { return };
        let (how, passed) = match (self.first_fin, self.reset) {
            (Some(by), _) => {
                let stream = &self.streams[by];
                (Closed::Fin(by), stream.reached_fin() || !stream.has_gap())
            }
            (None, Some(by)) => match self.unanswered(None, at) {
                Some(refused) => (refused, true),
                None => (Closed::Reset(by), !self.streams[by].has_gap()),
            },
            (None, None) => return,
        };
        if passed || self.ignored {
            self.closing = None;
            handler.closing(&self.info, &mut self.state, how, at);
        }
    }

    /// Reports the connection, unless it may be another view of one.
    pub(super) fn report_opened(&mut self, now: At, handler: &mut impl Handler<S>) {
        if self.first_view.is_none() {
            handler.opened(&self.info, &mut self.state, now);
        }
    }

    /// Reports a packet that was captured twice, and is not read again.
    pub(super) fn duplicate(
        &mut self,
        from: End,
        segment: &Segment<'_>,
        now: At,
        handler: &mut impl Handler<S>,
    ) {
        if handler.follows_segments() {
            let carried = Carried {
                offset: self.streams[from].position(segment.seq),
                len: segment.payload.len() as u32 + segment.cut,
                acked: None,
                flags: segment.flags,
                copy: true,
            };
            handler.segment(&self.info, &mut self.state, from, carried, now);
        }
    }

    /// Declares the gaps that nothing can be expected to fill any more.
    pub(super) fn settle_gaps(
        &mut self,
        now: At,
        clock: Timestamp,
        waiting_elsewhere: usize,
        history: &mut History,
        handler: &mut impl Handler<S>,
    ) {
        let ends: &[End] = match self.has_gap() {
            true => &End::ALL,
            false => &[],
        };
        for &end in ends {
            let peer_sent = self.streams[end.peer()].captured;
            let mut out = Out {
                info: &self.info,
                state: &mut self.state,
                ignored: &mut self.ignored,
                from: end,
                now,
                handler,
            };
            let stream = &mut self.streams[end];
            stream.drain(history, &mut |event| out.event(event));
            while stream.has_gap() && !*out.ignored {
                let patience = if stream.gap_acked() {
                    Some((limits::GAP_PACKETS, limits::GAP_MILLIS))
                } else if peer_sent {
                    None
                } else {
                    Some((limits::BLIND_GAP_PACKETS, limits::BLIND_GAP_MILLIS))
                };
                let reached = if stream.waiting_bytes() > limits::WAITING_BYTES {
                    Some(Limit::SegmentsWaiting)
                } else if stream.waiting_bytes() > 0
                    && waiting_elsewhere + stream.waiting_bytes() > limits::WAITING_BYTES_TOTAL
                {
                    Some(Limit::AllSegmentsWaiting)
                } else {
                    None
                };
                if let Some(limit) = reached {
                    out.event(StreamEvent::Limit { limit });
                } else if !stream.gap_is_final(self.packets, clock, patience) {
                    break;
                }
                stream.declare_gap(history, &mut |event| out.event(event));
            }
        }
        if self.ignored {
            self.streams.iter_mut().for_each(Reassembler::give_up);
        }
    }

    /// Passes on everything that waits and reports the end of the connection.
    pub(super) fn finish(
        &mut self,
        how: Option<Closed>,
        now: At,
        history: &mut History,
        handler: &mut impl Handler<S>,
    ) {
        // The order does not depend on addresses, where the SYN was captured.
        let first = self.info.initiator.unwrap_or(End::A);
        for end in [first, first.peer()] {
            let mut out = Out {
                info: &self.info,
                state: &mut self.state,
                ignored: &mut self.ignored,
                from: end,
                now,
                handler,
            };
            if !*out.ignored {
                self.streams[end].flush(history, &mut |event| out.event(event));
            }
        }
        self.close(how, now, handler);
    }

    /// Reports the end of the connection, once: how it ended by its own FINs and
    /// resets, else `how`.
    pub(super) fn close(&mut self, how: Option<Closed>, now: At, handler: &mut impl Handler<S>) {
        if !self.closed {
            self.closed = true;
            self.report_closing(handler);
            let how = self.ending(how, now);
            let at = self.ended.unwrap_or(now);
            handler.closed(&self.info, &mut self.state, how, at);
            self.read_to_end = !self.ignored;
            self.ignored = true;
            self.is_steady = false;
            self.streams.iter_mut().for_each(Reassembler::give_up);
        }
    }
}

/// Hands the events of one stream to the handler, as long as it wants them.
struct Out<'a, S, H> {
    info: &'a FlowInfo,
    state: &'a mut S,
    ignored: &'a mut bool,
    from: End,
    now: At,
    handler: &'a mut H,
}

impl<S, H: Handler<S>> Out<'_, S, H> {
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
