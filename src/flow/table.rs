//! Which connection a segment belongs to, and what became of it.

use hashbrown::HashTable;
use std::hash::BuildHasher;

use crate::limits;
use crate::net::{Endpoint, Segment, TcpFlags};
use crate::time::Timestamp;

use super::half::{Half, Payload, Piece};
use super::history::History;
use super::key::FlowKey;
use super::{At, End};

/// What a direction of a connection pushes out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StreamEvent<'a> {
    /// Bytes in order, and the packet that brought them.
    Data {
        /// Position in the stream.
        offset: u64,
        /// The bytes; never empty.
        bytes: &'a [u8],
        /// Packet that brought them, which may be an earlier one than the one
        /// being read.
        at: At,
    },
    /// Bytes that the capture lacks.
    Gap {
        /// Position in the stream.
        offset: u64,
        /// How many.
        len: u64,
    },
    /// Bytes that differ from those that came first in their place, and that
    /// were passed on.
    Conflict {
        /// Position in the stream of the overlap.
        offset: u64,
        /// How many bytes differ.
        bytes: u64,
    },
    /// Bytes that came after their place had been declared a gap.
    Late {
        /// Position in the stream.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// A bound of ours bit, and a gap was declared early.
    Bound {
        /// Which.
        reason: &'static str,
    },
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Both sides sent FIN; this one did first.
    Fin(End),
    /// One side sent FIN and the capture ended (or the connection went silent)
    /// before the other did.
    HalfClosed(End),
    /// This side reset it.
    Reset(End),
    /// A new connection took the port pair.
    Replaced,
    /// Nothing was seen of it for so long that it was forgotten.
    Idle,
    /// There were more connections than can be kept.
    Evicted,
    /// The capture ended while it was open.
    CaptureEnd,
}

/// Whether a reader of streams wants more of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// More, please.
    Wanted,
    /// No more: the flow need not be reassembled.
    Ignored,
}

/// What is known of a TCP connection.
#[derive(Clone, Debug)]
pub struct FlowInfo {
    /// Number from 1, by first packet.
    pub number: u64,
    /// Both endpoints, by [`End`].
    pub ends: [Endpoint; 2],
    /// Who sent the SYN, as far as it or the SYN-ACK was seen.
    pub opener: Option<End>,
    /// The SYN, if it was seen; else the first packet.
    pub first: At,
    /// For each end, whether offset 0 is the first byte of the stream.
    pub from_start: [bool; 2],
    /// For each end, the sequence number at offset 0, once known.
    pub first_seq: [Option<u32>; 2],
}

/// Who reads the streams. `S` is what it keeps per flow.
pub trait Handler<S> {
    /// A connection was seen for the first time, or only now its SYN.
    fn opened(&mut self, flow: &FlowInfo, state: &mut S, now: At);

    /// Something in one direction of a connection. `now` is the packet being
    /// read, or the last one read if the capture ended.
    fn stream(
        &mut self,
        flow: &FlowInfo,
        state: &mut S,
        from: End,
        event: StreamEvent<'_>,
        now: At,
    ) -> Interest;

    /// The connection is over and everything of it was passed on; `at` is the
    /// packet that ended it.
    fn closed(&mut self, flow: &FlowInfo, state: &mut S, how: Closed, at: At);
}

/// One connection in the table.
#[derive(Debug)]
struct Flow<S> {
    key: FlowKey,
    info: FlowInfo,
    halves: [Half; 2],
    state: S,
    ignored: bool,
    /// Whether the handler was interested until the end, which has come.
    read_to_end: bool,
    packets: u32,
    first_fin: Option<End>,
    reset: Option<End>,
    /// The packet that made it over: the reset, or the second FIN.
    ended: Option<At>,
    /// A new connection took its port pair.
    replaced: bool,
    /// The end was told to the handler.
    told: bool,
    /// Whether the table is waiting to forget it.
    lingering: bool,
    recent: RecentCopies,
    /// The connection that had this port pair before.
    previous: Option<Slot>,
}

impl<S> Flow<S> {
    fn over(&self) -> bool {
        self.replaced
            || self.reset.is_some()
            || (self.halves[0].fin_seen() && self.halves[1].fin_seen())
    }

    /// How it ended, if nothing else happens any more.
    fn ending(&self) -> Option<Closed> {
        match (self.reset, self.first_fin) {
            _ if self.halves[0].fin_seen() && self.halves[1].fin_seen() => {
                self.first_fin.map(Closed::Fin)
            }
            (Some(by), _) => Some(Closed::Reset(by)),
            (None, _) if self.replaced => Some(Closed::Replaced),
            (None, Some(by)) => Some(Closed::HalfClosed(by)),
            (None, None) => None,
        }
    }

    fn holed(&self) -> bool {
        !self.ignored && (self.halves[0].has_hole() || self.halves[1].has_hole())
    }

    /// Whether time alone may bring something: a hole becomes final, or a
    /// connection that was reset has really ended. (Segments captured a moment
    /// after the reset, by another queue of the card, still count.)
    fn waits_for_time(&self) -> bool {
        self.holed() || (self.over() && !self.told)
    }
}

/// A place in the table, and which connection was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    index: u32,
    number: u64,
}

/// What the last few packets of a connection looked like, to tell a packet
/// captured twice from a retransmission.
#[derive(Clone, Copy, Debug, Default)]
struct RecentCopies {
    marks: [(u64, Timestamp); 4],
    next: u8,
}

/// A second copy of a packet follows within this many milliseconds; the
/// shortest retransmission time-out in use is 200 ms.
const COPY_MILLIS: u128 = 100;
/// The same where the packet has no IPv4 identification to tell them apart.
const COPY_MILLIS_UNMARKED: u128 = 2;

impl RecentCopies {
    /// Whether a packet that looks the same was seen a moment ago.
    fn is_copy(&mut self, segment: &Segment<'_>) -> bool {
        let (ip_id, checksum) = segment.copy_marks;
        let a = u64::from(segment.seq) << 32 | u64::from(segment.ack);
        let b = (segment.payload.len() as u64) << 40
            ^ u64::from(segment.flags.0) << 32
            ^ u64::from(segment.window) << 16
            ^ u64::from(checksum)
            ^ u64::from(ip_id) << 48;
        let mark = (a ^ b.rotate_left(21)).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b;
        let found = self.marks.iter().any(|&(m, time)| {
            let age = segment.time.since(time).as_millis();
            m == mark
                && if ip_id != 0 {
                    age <= COPY_MILLIS
                } else {
                    age <= COPY_MILLIS_UNMARKED
                        && (!segment.payload.is_empty()
                            || segment.flags.0 & (TcpFlags::SYN.0 | TcpFlags::FIN.0) != 0)
                }
        });
        if !found {
            self.marks[usize::from(self.next % 4)] = (mark, segment.time);
            self.next = self.next.wrapping_add(1);
        }
        found
    }
}

/// Sequence numbers further apart than this belong to different connections,
/// if the acknowledgement numbers say so too. No window in use is as large.
const FAR: i32 = 1 << 24;
/// A SYN that comes after data it should precede (handshake captured out of
/// order) may be this far behind.
const LATE_SYN: i32 = 1 << 16;

/// All TCP connections of a capture.
#[derive(Debug)]
pub struct FlowTable<S> {
    slots: Vec<Option<Box<Flow<S>>>>,
    last_seen: Vec<Timestamp>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
    /// Connections so far: the number of the newest.
    connections: u64,
    duplicates: u64,
    history: History,
    /// Bytes that wait on all flows.
    waiting: usize,
    /// Flows with a hole that time may declare, or an end it may confirm.
    waiting_for_time: std::collections::BTreeSet<Slot>,
    /// Flows that are over, oldest first.
    lingering: std::collections::VecDeque<(Slot, Timestamp)>,
    now: At,
    next_tick: Timestamp,
    segments: u64,
    next_sweep: (Timestamp, u64),
}

impl<S> Default for FlowTable<S> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            last_seen: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: foldhash::fast::RandomState::default(),
            connections: 0,
            duplicates: 0,
            history: History::new(),
            waiting: 0,
            waiting_for_time: Default::default(),
            lingering: Default::default(),
            now: At {
                packet: Default::default(),
                time: Timestamp::MIN,
            },
            next_tick: Timestamp::MIN,
            segments: 0,
            next_sweep: (Timestamp::MIN, 0),
        }
    }
}

impl<S: Default> FlowTable<S> {
    /// Connections seen so far.
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// Packets of wanted connections that were second copies of another.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Reads a segment; returns the number of its connection.
    pub fn push(&mut self, segment: &Segment<'_>, handler: &mut impl Handler<S>) -> u64 {
        let at = At {
            packet: segment.packet,
            time: segment.time,
        };
        self.now = At {
            packet: at.packet,
            time: at.time.max(self.now.time),
        };
        self.segments += 1;
        if self.now.time >= self.next_tick {
            self.tick(self.now.time, handler);
        }
        let (key, from) = FlowKey::new(segment.src, segment.dst);
        let slot = self.place(key, from, segment, handler);
        self.last_seen[slot.index as usize] = self.now.time;
        let Some(flow) = &mut self.slots[slot.index as usize] else {
            return slot.number;
        };
        let waiting = flow.halves[0].waiting_bytes() + flow.halves[1].waiting_bytes();
        let wanted = !flow.ignored || flow.read_to_end;
        let copy = wanted && flow.recent.is_copy(segment);
        if copy {
            self.duplicates += 1;
            return slot.number;
        }
        read(flow, from, segment, self.now, &mut self.history, handler);
        let others = self.waiting - waiting;
        mind_holes(flow, self.now, others, &mut self.history, handler);
        if flow.ignored {
            flow.halves.iter_mut().for_each(Half::give_up);
        }
        self.waiting = others + flow.halves[0].waiting_bytes() + flow.halves[1].waiting_bytes();
        if flow.over() {
            flow.ended.get_or_insert(self.now);
            if flow.reset.is_none() && !flow.replaced && !flow.holed() {
                tell_end(flow, None, self.now, handler);
            }
            if !flow.lingering {
                flow.lingering = true;
                self.lingering.push_back((slot, self.now.time));
            }
        }
        if flow.waits_for_time() {
            self.waiting_for_time.insert(slot);
        }
        slot.number
    }

    /// Capture time has come to `now`: what waits for time to pass is settled.
    pub fn tick(&mut self, now: Timestamp, handler: &mut impl Handler<S>) {
        self.now.time = self.now.time.max(now);
        self.next_tick = Timestamp::from_nanos(now.nanos().saturating_add(500_000_000));
        for slot in std::mem::take(&mut self.waiting_for_time) {
            let Some(flow) = flow_at(&mut self.slots, slot) else {
                continue;
            };
            let waiting = flow.halves[0].waiting_bytes() + flow.halves[1].waiting_bytes();
            let others = self.waiting - waiting;
            mind_holes(flow, self.now, others, &mut self.history, handler);
            let silent = now.since(self.last_seen[slot.index as usize]).as_millis();
            if flow.over() && silent >= u128::from(limits::HOLE_MILLIS) {
                finish(flow, None, self.now, &mut self.history, handler);
            }
            self.waiting = others + flow.halves[0].waiting_bytes() + flow.halves[1].waiting_bytes();
            if flow.waits_for_time() {
                self.waiting_for_time.insert(slot);
            }
        }
        while let Some(&(slot, since)) = self.lingering.front() {
            if now.since(since).as_secs() < limits::CLOSED_SECONDS {
                break;
            }
            self.lingering.pop_front();
            self.forget(slot, None, handler);
        }
        let (when, segments) = self.next_sweep;
        if now >= when && self.segments >= segments {
            self.sweep(now, handler);
        }
    }

    /// The capture has ended: every hole is final, every connection done.
    pub fn finish(&mut self, handler: &mut impl Handler<S>) {
        let mut order: Vec<(u64, u32)> = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(i, flow)| Some((flow.as_ref()?.info.number, i as u32)))
            .collect();
        order.sort_unstable();
        for (_, index) in order {
            if let Some(flow) = &mut self.slots[index as usize] {
                finish(flow, None, self.now, &mut self.history, handler);
            }
        }
        *self = Self {
            connections: self.connections,
            duplicates: self.duplicates,
            ..Self::default()
        };
    }

    /// The flow a segment belongs to: one that is there, or a new one.
    fn place(
        &mut self,
        key: FlowKey,
        from: End,
        segment: &Segment<'_>,
        handler: &mut impl Handler<S>,
    ) -> Slot {
        let hash = self.hasher.hash_one(key);
        let slots = &self.slots;
        let same = |&i: &u32| slots[i as usize].as_ref().is_some_and(|f| f.key == key);
        let Some(&index) = self.index.find(hash, same) else {
            return self.create(key, hash, from, segment, None, handler);
        };
        let Some(flow) = self.slots[index as usize].as_deref() else {
            return self.create(key, hash, from, segment, None, handler);
        };
        let current = Slot {
            index,
            number: flow.info.number,
        };
        if belongs(flow, from, segment) {
            return current;
        }
        let previous = flow.previous;
        if let Some(slot) = previous
            && let Some(flow) = flow_at(&mut self.slots, slot)
            && belongs(flow, from, segment)
        {
            return slot;
        }
        // A stray acknowledgement or reset does not make a connection.
        if segment.payload.is_empty() && segment.cut == 0 && !segment.flags.has(TcpFlags::SYN) {
            return current;
        }
        if let Some(slot) = previous {
            self.forget(slot, None, handler);
        }
        // Its own packets may still come, out of order: it lingers.
        if let Some(flow) = flow_at(&mut self.slots, current) {
            flow.previous = None;
            if !flow.over() {
                flow.replaced = true;
                flow.ended = Some(self.now);
            }
            if !flow.lingering {
                flow.lingering = true;
                self.lingering.push_back((current, self.now.time));
            }
            if flow.waits_for_time() {
                self.waiting_for_time.insert(current);
            }
        }
        if let Ok(entry) = self.index.find_entry(hash, |&i| i == index) {
            entry.remove();
        }
        self.create(key, hash, from, segment, Some(current), handler)
    }

    fn create(
        &mut self,
        key: FlowKey,
        hash: u64,
        from: End,
        segment: &Segment<'_>,
        previous: Option<Slot>,
        handler: &mut impl Handler<S>,
    ) -> Slot {
        if self.slots.len() - self.free.len() >= limits::FLOWS {
            self.evict(handler);
        }
        self.connections += 1;
        let ends = match from {
            End::A => [segment.src, segment.dst],
            End::B => [segment.dst, segment.src],
        };
        let flow = Box::new(Flow {
            key,
            info: FlowInfo {
                number: self.connections,
                ends,
                opener: None,
                first: self.now,
                from_start: [false; 2],
                first_seq: [None; 2],
            },
            halves: Default::default(),
            state: S::default(),
            ignored: false,
            read_to_end: false,
            packets: 0,
            first_fin: None,
            reset: None,
            ended: None,
            replaced: false,
            told: false,
            lingering: false,
            recent: RecentCopies::default(),
            previous,
        });
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(None);
                self.last_seen.push(self.now.time);
                (self.slots.len() - 1) as u32
            }
        };
        self.slots[index as usize] = Some(flow);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, index, |&i| {
            slots[i as usize]
                .as_ref()
                .map_or(0, |f| hasher.hash_one(f.key))
        });
        Slot {
            index,
            number: self.connections,
        }
    }

    /// Forgets a flow, telling its end first.
    fn forget(&mut self, slot: Slot, how: Option<Closed>, handler: &mut impl Handler<S>) {
        let Some(flow) = flow_at(&mut self.slots, slot) else {
            return;
        };
        self.waiting -= flow.halves[0].waiting_bytes() + flow.halves[1].waiting_bytes();
        finish(flow, how, self.now, &mut self.history, handler);
        let hash = self.hasher.hash_one(flow.key);
        if let Ok(entry) = self.index.find_entry(hash, |&i| i == slot.index) {
            entry.remove();
        }
        self.slots[slot.index as usize] = None;
        self.free.push(slot.index);
    }

    /// Makes room: forgets the sixteenth part that has been silent longest.
    fn evict(&mut self, handler: &mut impl Handler<S>) {
        let mut all: Vec<(Timestamp, Slot)> = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(index, flow)| {
                let number = flow.as_ref()?.info.number;
                Some((
                    self.last_seen[index],
                    Slot {
                        index: index as u32,
                        number,
                    },
                ))
            })
            .collect();
        let share = (all.len() / 16).max(1).min(all.len());
        all.select_nth_unstable(share - 1);
        for &(_, slot) in &all[..share] {
            self.forget(slot, Some(Closed::Evicted), handler);
        }
    }

    /// Forgets connections that have been silent for long.
    fn sweep(&mut self, now: Timestamp, handler: &mut impl Handler<S>) {
        let live = self.slots.len() - self.free.len();
        self.next_sweep = (
            Timestamp::from_nanos(now.nanos().saturating_add(60_000_000_000)),
            self.segments + live as u64 / 4,
        );
        let mut silent = Vec::new();
        for (index, flow) in self.slots.iter().enumerate() {
            let Some(flow) = flow else { continue };
            let slot = Slot {
                index: index as u32,
                number: flow.info.number,
            };
            let seconds = now.since(self.last_seen[index]).as_secs();
            let patience = if flow.ignored {
                limits::IDLE_SECONDS
            } else {
                limits::IDLE_MQTT_SECONDS
            };
            if seconds >= patience {
                silent.push(slot);
            }
        }
        for slot in silent {
            self.forget(slot, Some(Closed::Idle), handler);
        }
    }
}

fn flow_at<S>(slots: &mut [Option<Box<Flow<S>>>], slot: Slot) -> Option<&mut Flow<S>> {
    slots
        .get_mut(slot.index as usize)?
        .as_deref_mut()
        .filter(|flow| flow.info.number == slot.number)
}

/// Whether a segment can be of this connection, by SYN and sequence numbers.
fn belongs<S>(flow: &Flow<S>, from: End, segment: &Segment<'_>) -> bool {
    let half = &flow.halves[from.index()];
    let peer = &flow.halves[from.peer().index()];
    if segment.flags.has(TcpFlags::SYN) {
        if let Some(isn) = half.isn {
            return isn == segment.seq;
        }
        // The other side of the handshake, or a handshake captured after data.
        return !flow.over()
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
    let too_late = flow.over() && carries_data && near > LATE_SYN.unsigned_abs();
    if near <= FAR.unsigned_abs() && !too_late {
        return true;
    }
    segment.flags.has(TcpFlags::ACK)
        && !flow.over()
        && peer
            .distance(segment.ack)
            .is_none_or(|d| d.unsigned_abs() <= FAR.unsigned_abs())
}

/// Reads a segment into its connection.
fn read<S>(
    flow: &mut Flow<S>,
    from: End,
    segment: &Segment<'_>,
    now: At,
    history: &mut History,
    handler: &mut impl Handler<S>,
) {
    let flags = segment.flags;
    let syn = flags.has(TcpFlags::SYN);
    let ack = flags.has(TcpFlags::ACK);
    let (me, other) = (from.index(), from.peer().index());
    let new = flow.packets == 0;
    flow.packets = flow.packets.wrapping_add(1);
    if syn && flow.halves[me].isn.is_none() {
        flow.halves[me].syn(segment.seq);
        flow.info.from_start[me] = flow.halves[me].next() == 0;
        if !ack && flow.info.opener.is_none() {
            flow.info.opener = Some(from);
            flow.info.first = now;
        } else if ack && flow.info.opener.is_none() {
            flow.info.opener = Some(from.peer());
        }
        handler.opened(&flow.info, &mut flow.state, now);
    } else if new {
        handler.opened(&flow.info, &mut flow.state, now);
    }
    if ack {
        let half = &mut flow.halves[other];
        if half.next_seq().is_none() && !flags.has(TcpFlags::RST) {
            half.start_at(segment.ack);
            // The first acknowledgement of who opened the connection stands
            // right after the SYN of who accepted it.
            flow.info.from_start[other] =
                flow.info.opener == Some(from) && !half.seen && flow.packets <= 2;
        }
        half.ack(segment.ack);
    }
    let seq = segment.seq.wrapping_add(u32::from(syn));
    if flags.has(TcpFlags::RST) {
        // Data on a RST is a message about the reset (RFC 1122, 4.2.2.12),
        // not part of the stream.
        let credible = flow.halves[me]
            .distance(seq)
            .is_none_or(|d| (-1..=LATE_SYN).contains(&d) || (segment.seq == 0 && ack));
        if credible && flow.reset.is_none() {
            flow.reset = Some(from);
        }
        flow.halves[me].seen = true;
        return;
    }
    flow.halves[me].seen = true;
    flow.halves[me].start_at(seq);
    if flow.info.first_seq[me].is_none() {
        flow.info.first_seq[me] = flow.halves[me].first_seq();
    }
    if flow.ignored {
        // Only the end of the connection matters any more.
        flow.halves[me].skip_to(seq.wrapping_add(segment.payload.len() as u32));
    } else if !segment.payload.is_empty() || segment.cut > 0 {
        let at = At {
            packet: segment.packet,
            time: segment.time,
        };
        let mut out = Out {
            info: &flow.info,
            state: &mut flow.state,
            ignored: &mut flow.ignored,
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
        flow.halves[me].data(payload, history, &mut |piece| out.push(piece));
    }
    if flags.has(TcpFlags::FIN) {
        let end = seq
            .wrapping_add(segment.payload.len() as u32)
            .wrapping_add(segment.cut);
        flow.halves[me].fin(end);
        flow.first_fin.get_or_insert(from);
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

/// Declares the holes that nothing can be expected to fill any more.
fn mind_holes<S>(
    flow: &mut Flow<S>,
    now: At,
    waiting_elsewhere: usize,
    history: &mut History,
    handler: &mut impl Handler<S>,
) {
    for end in [End::A, End::B] {
        let peer_seen = flow.halves[end.peer().index()].seen;
        let mut out = Out {
            info: &flow.info,
            state: &mut flow.state,
            ignored: &mut flow.ignored,
            from: end,
            now,
            handler,
        };
        let half = &mut flow.halves[end.index()];
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
            } else if !half.hole_is_final(flow.packets, now.time, patience) {
                break;
            }
            half.declare_hole(history, &mut |piece| out.push(piece));
        }
    }
}

/// Passes on everything that waits and tells the end of the connection.
fn finish<S>(
    flow: &mut Flow<S>,
    how: Option<Closed>,
    now: At,
    history: &mut History,
    handler: &mut impl Handler<S>,
) {
    for end in [End::A, End::B] {
        let mut out = Out {
            info: &flow.info,
            state: &mut flow.state,
            ignored: &mut flow.ignored,
            from: end,
            now,
            handler,
        };
        if !*out.ignored {
            flow.halves[end.index()].flush(history, &mut |piece| out.push(piece));
        }
    }
    tell_end(flow, how, now, handler);
}

/// Tells the end of the connection, once: how it ended by its own FINs and
/// resets, else `how`.
fn tell_end<S>(flow: &mut Flow<S>, how: Option<Closed>, now: At, handler: &mut impl Handler<S>) {
    if !flow.told {
        flow.told = true;
        let how = flow.ending().or(how).unwrap_or(Closed::CaptureEnd);
        let at = flow.ended.unwrap_or(now);
        handler.closed(&flow.info, &mut flow.state, how, at);
        flow.read_to_end = !flow.ignored;
        flow.ignored = true;
        flow.halves.iter_mut().for_each(Half::give_up);
    }
}
