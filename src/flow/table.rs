//! Which connection a segment belongs to, and for how long it is kept.

use std::hash::BuildHasher;

use hashbrown::HashTable;

use crate::limits;
use crate::net::{Segment, TcpFlags};
use crate::packet::PacketRef;
use crate::time::Timestamp;

use super::connection::Flow;
use super::event::{Closed, FlowInfo, Handler};
use super::half_open::{HalfOpen, HalfOpens};
use super::history::History;
use super::key::{FlowKey, Slot};
use super::twice::{FirstBytes, RecentSyns};
use super::{At, End, PerEnd};

/// The clock moves no further at once, in nanoseconds.
const STEP: i64 = limits::CLOCK_STEP_SECONDS as i64 * 1_000_000_000;
/// Milliseconds after which a connection without an answer takes less memory: until
/// then its SYN may be captured again, or under other addresses.
const UNANSWERED: u128 = 200;

/// All TCP connections of a capture.
#[derive(Debug)]
pub struct FlowTable<S> {
    /// How many to keep at once.
    most: usize,
    slots: Vec<Option<Box<Flow<S>>>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    /// Connections without an answer, which are in no slot.
    half_open: HalfOpens,
    /// Connections whose SYN was captured a moment ago, and when.
    opening: std::collections::VecDeque<(Slot, Timestamp)>,
    hasher: foldhash::fast::RandomState,
    /// Connections so far: the number of the newest.
    connections: u64,
    duplicates: u64,
    /// Connections captured twice under other addresses are followed twice.
    keep_views: bool,
    syns: RecentSyns,
    history: History,
    /// Bytes that wait on all flows.
    waiting: usize,
    /// Flows with a gap that time may declare, or an end it may confirm.
    waiting_for_time: std::collections::BTreeSet<Slot>,
    /// Flows that are over, oldest first.
    lingering: std::collections::VecDeque<(Slot, Timestamp)>,
    /// The packet being read, or the last one that was.
    now: At,
    /// The latest time that a packet or a tick had.
    latest: Timestamp,
    /// Time for everything that waits: it only goes forward, and no further at
    /// once than [`limits::CLOCK_STEP_SECONDS`]. So a clock that was set during
    /// the capture ends no connection.
    clock: Timestamp,
    next_tick: Timestamp,
    segments: u64,
    next_sweep: (Timestamp, u64),
}

impl<S> Default for FlowTable<S> {
    fn default() -> Self {
        Self {
            most: limits::FLOWS,
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            half_open: HalfOpens::default(),
            opening: Default::default(),
            hasher: foldhash::fast::RandomState::default(),
            connections: 0,
            duplicates: 0,
            keep_views: false,
            syns: RecentSyns::default(),
            history: History::new(),
            waiting: 0,
            waiting_for_time: Default::default(),
            lingering: Default::default(),
            now: At::default(),
            latest: Timestamp::MIN,
            clock: Timestamp::MIN,
            next_tick: Timestamp::MIN,
            segments: 0,
            next_sweep: (Timestamp::MIN, 0),
        }
    }
}

impl<S: Default> FlowTable<S> {
    /// A table that follows a connection once for each pair of addresses under
    /// which it was captured.
    pub fn keeping_views(keep_views: bool) -> Self {
        Self {
            keep_views,
            ..Self::default()
        }
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// Packets of wanted connections that were captured before.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Reads a segment; returns the number of its connection.
    #[inline]
    pub fn push(&mut self, segment: &Segment<'_>, handler: &mut impl Handler<S>) -> u64 {
        self.now = At {
            packet: segment.packet,
            time: segment.time,
            acked: 0,
        };
        self.segments += 1;
        self.advance(segment.time, handler);
        let (key, from) = FlowKey::new(segment.src, segment.dst);
        let hash = self.hasher.hash_one(key);
        let found = self.find(key, hash);
        if let Some(index) = found
            && let Some(flow) = &mut self.slots[index as usize]
            && flow.predicts(from, segment)
        {
            flow.last_seen = self.clock;
            let now = (self.now, self.latest);
            flow.read_predicted(from, segment, now, &mut self.history, handler);
            return flow.info.number;
        }
        self.push_any(found, (key, hash, from), segment, handler)
    }

    /// Reads a segment that may be anything. `found` is the slot of its key.
    fn push_any(
        &mut self,
        found: Option<u32>,
        (key, hash, from): (FlowKey, u64, End),
        segment: &Segment<'_>,
        handler: &mut impl Handler<S>,
    ) -> u64 {
        let slot = match found.or_else(|| self.wake(key, hash)) {
            Some(index) => self.choose(index, (key, hash, from), segment, handler),
            None => self.create((key, hash, from), segment, None, handler),
        };
        let Some(flow) = &mut self.slots[slot.index as usize] else {
            return slot.number;
        };
        flow.last_seen = self.clock;
        let others = self.waiting - flow.waiting_bytes();
        let wanted = !flow.ignored || flow.read_to_end;
        if wanted && flow.recent.is_duplicate(segment) {
            self.duplicates += 1;
            flow.duplicate(from, segment, self.now, handler);
            return slot.number;
        }
        if flow.is_view {
            return self.push_duplicate(slot, from, segment, handler);
        }
        if flow.first_bytes.is_none()
            && !segment.payload.is_empty()
            && flow.info.initiator == Some(from)
            && self.becomes_view(slot, segment, handler)
        {
            return self.push_duplicate(slot, from, segment, handler);
        }
        let Some(flow) = &mut self.slots[slot.index as usize] else {
            return slot.number;
        };
        flow.read(
            from,
            segment,
            self.now,
            self.latest,
            &mut self.history,
            handler,
        );
        flow.settle_prediction();
        // The rest is for gaps and ends: 60 instructions less a packet.
        if flow.is_calm() {
            self.waiting = others;
            return slot.number;
        }
        flow.settle_gaps(self.now, self.clock, others, &mut self.history, handler);
        flow.report_closing(handler);
        self.waiting = others + flow.waiting_bytes();
        if flow.over() {
            flow.ended.get_or_insert(At {
                time: self.latest,
                ..self.now
            });
            if flow.reset.is_none() && !flow.replaced && !flow.has_gap() {
                flow.close(None, self.now, handler);
            }
            if !flow.lingering {
                flow.lingering = true;
                self.lingering.push_back((slot, self.clock));
            }
        }
        if flow.waits_for_time() {
            self.waiting_for_time.insert(slot);
        }
        slot.number
    }

    /// Counts a packet that is not read, because the same was captured elsewhere.
    fn push_duplicate(
        &mut self,
        slot: Slot,
        from: End,
        segment: &Segment<'_>,
        handler: &mut impl Handler<S>,
    ) -> u64 {
        self.duplicates += 1;
        if let Some(flow) = flow_at(&mut self.slots, slot) {
            flow.duplicate(from, segment, self.now, handler);
        }
        slot.number
    }

    /// Takes the first bytes of a client. Returns whether they show that its
    /// connection was captured before, under other addresses.
    #[cold]
    fn becomes_view(
        &mut self,
        slot: Slot,
        segment: &Segment<'_>,
        handler: &mut impl Handler<S>,
    ) -> bool {
        let bytes = FirstBytes::of(segment, &self.hasher);
        let Some(flow) = flow_at(&mut self.slots, slot) else {
            return false;
        };
        flow.first_bytes = Some(bytes);
        let Some(first_view) = flow.first_view else {
            return false;
        };
        let first = flow_at(&mut self.slots, first_view);
        let first_bytes = first.and_then(|first| first.first_bytes);
        let is_view = first_bytes.is_some_and(|first| first.is_same(&bytes, segment));
        if let Some(flow) = flow_at(&mut self.slots, slot) {
            flow.is_view = is_view;
            match is_view {
                true => handler.captured_twice(&flow.info, &mut flow.state),
                false => {
                    flow.first_view = None;
                    flow.info.may_be_view = false;
                    flow.report_opened(self.now, handler);
                }
            }
        }
        is_view
    }

    /// Capture time has come to `now`: everything that waits for time to pass is settled.
    pub fn tick(&mut self, now: Timestamp, handler: &mut impl Handler<S>) {
        self.next_tick = self.clock;
        self.advance(now, handler);
    }

    /// The same, by a packet that is in another shard of the capture.
    pub fn tick_at(&mut self, packet: PacketRef, time: Timestamp, handler: &mut impl Handler<S>) {
        self.now = At {
            packet,
            time,
            acked: 0,
        };
        self.tick(time, handler);
    }

    /// Sets the clock, and settles everything that waits for it: twice a second.
    #[inline]
    fn advance(&mut self, time: Timestamp, handler: &mut impl Handler<S>) {
        if self.latest == Timestamp::MIN {
            (self.latest, self.clock) = (time, time);
        }
        if time > self.latest {
            let step = time.nanos().saturating_sub(self.latest.nanos());
            self.latest = time;
            self.clock = Timestamp::from_nanos(self.clock.nanos().saturating_add(step.min(STEP)));
        }
        if self.clock >= self.next_tick {
            self.settle(self.clock, handler);
        }
    }

    /// Settles everything that waits for the clock.
    #[inline(never)]
    fn settle(&mut self, now: Timestamp, handler: &mut impl Handler<S>) {
        self.next_tick = Timestamp::from_nanos(now.nanos().saturating_add(500_000_000));
        for slot in std::mem::take(&mut self.waiting_for_time) {
            let Some(flow) = flow_at(&mut self.slots, slot) else {
                continue;
            };
            let others = self.waiting - flow.waiting_bytes();
            flow.settle_gaps(self.now, now, others, &mut self.history, handler);
            let silent = now.since(flow.last_seen).as_millis();
            if flow.over() && silent >= u128::from(limits::GAP_MILLIS) {
                flow.finish(None, self.now, &mut self.history, handler);
            }
            flow.report_closing(handler);
            self.waiting = others + flow.waiting_bytes();
            if flow.waits_for_time() {
                self.waiting_for_time.insert(slot);
            }
        }
        while let Some(&(slot, since)) = self.lingering.front() {
            if now.since(since).as_secs() < limits::CLOSED_SECONDS {
                break;
            }
            self.lingering.pop_front();
            self.remove(slot, None, handler);
        }
        while let Some(&(slot, since)) = self.opening.front() {
            if now.since(since).as_millis() < UNANSWERED {
                break;
            }
            self.opening.pop_front();
            self.lay_down(slot, handler);
        }
        let (when, segments) = self.next_sweep;
        if now >= when && self.segments >= segments {
            self.sweep(now, handler);
        }
    }

    /// Looks at every connection that is kept; with the last packet read.
    pub fn each(&mut self, mut f: impl FnMut(&FlowInfo, &mut S, At)) {
        for flow in self.slots.iter_mut().flatten() {
            f(&flow.info, &mut flow.state, self.now);
        }
    }

    /// The capture has ended: every gap is final, every connection done.
    pub fn finish(&mut self, handler: &mut impl Handler<S>) {
        let mut half_open = std::mem::take(&mut self.half_open).into_all();
        half_open.sort_unstable_by_key(|one| one.number);
        let mut half_open = half_open.into_iter().peekable();
        let (now, history) = (self.now, &mut self.history);
        let mut finish_before = |number: u64, history: &mut History, handler: &mut _| {
            while let Some(one) = half_open.next_if(|one| one.number < number) {
                Flow::<S>::of_half_open(&one).finish(None, now, history, handler);
            }
        };
        let mut order: Vec<(u64, u32)> = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(i, flow)| Some((flow.as_ref()?.info.number, i as u32)))
            .collect();
        order.sort_unstable();
        for (number, index) in order {
            finish_before(number, history, handler);
            // Gone at once: what comes out of it may need the memory.
            if let Some(mut flow) = self.slots[index as usize].take() {
                flow.finish(None, now, history, handler);
            }
        }
        finish_before(u64::MAX, history, handler);
        *self = Self {
            connections: self.connections,
            duplicates: self.duplicates,
            keep_views: self.keep_views,
            ..Self::default()
        };
    }

    /// The slot of the latest flow with this key.
    #[inline]
    fn find(&self, key: FlowKey, hash: u64) -> Option<u32> {
        let slots = &self.slots;
        let same = |&i: &u32| slots[i as usize].as_ref().is_some_and(|f| f.key == key);
        self.index.find(hash, same).copied()
    }

    /// The flow a segment belongs to: the one in the slot `index`, the one before it
    /// with the same key, or a new one.
    fn choose(
        &mut self,
        index: u32,
        (key, hash, from): (FlowKey, u64, End),
        segment: &Segment<'_>,
        handler: &mut impl Handler<S>,
    ) -> Slot {
        let Some(flow) = self.slots[index as usize].as_deref() else {
            return self.create((key, hash, from), segment, None, handler);
        };
        let current = Slot {
            index,
            number: flow.info.number,
        };
        if flow.belongs(from, segment) {
            return current;
        }
        let previous = flow.previous;
        if let Some(slot) = previous
            && let Some(flow) = flow_at(&mut self.slots, slot)
            && flow.belongs(from, segment)
        {
            return slot;
        }
        // A stray acknowledgement or reset does not make a connection.
        if segment.payload.is_empty() && segment.cut == 0 && !segment.flags.has(TcpFlags::SYN) {
            return current;
        }
        if let Some(slot) = previous {
            self.remove(slot, None, handler);
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
                self.lingering.push_back((current, self.clock));
            }
            if flow.waits_for_time() {
                self.waiting_for_time.insert(current);
            }
        }
        if let Ok(entry) = self.index.find_entry(hash, |&i| i == index) {
            entry.remove();
        }
        self.create((key, hash, from), segment, Some(current), handler)
    }

    fn create(
        &mut self,
        (key, hash, from): (FlowKey, u64, End),
        segment: &Segment<'_>,
        previous: Option<Slot>,
        handler: &mut impl Handler<S>,
    ) -> Slot {
        if self.live() >= self.most {
            self.evict(handler);
        }
        self.connections += 1;
        let (a, b) = match from {
            End::A => (segment.src, segment.dst),
            End::B => (segment.dst, segment.src),
        };
        let info = FlowInfo::new(self.connections, PerEnd { a, b }, self.now);
        let mut flow = Box::new(Flow::new(key, info, previous));
        let slot = Slot {
            index: self.vacant(),
            number: self.connections,
        };
        let is_syn = segment.flags.has(TcpFlags::SYN) && !segment.flags.has(TcpFlags::ACK);
        if is_syn {
            self.opening.push_back((slot, self.clock));
        }
        if is_syn && !self.keep_views {
            let first_view = self.syns.first_view(segment, slot);
            // No host has answered it yet.
            let is_open = |slot: &Slot| {
                let first = self.slots.get(slot.index as usize)?.as_deref()?;
                let client = first.info.initiator?;
                Some(first.info.first_seq[client.peer()].is_none() && !first.info.established)
            };
            flow.first_view = first_view.filter(|slot| is_open(slot) == Some(true));
            flow.info.may_be_view = flow.first_view.is_some();
        }
        self.occupy(slot.index, hash, flow);
        slot
    }

    /// A slot that is not in use.
    fn vacant(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        })
    }

    fn occupy(&mut self, index: u32, hash: u64, flow: Box<Flow<S>>) {
        self.slots[index as usize] = Some(flow);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, index, |&i| {
            slots[i as usize]
                .as_ref()
                .map_or(0, |f| hasher.hash_one(f.key))
        });
    }

    /// Connections that are kept.
    fn live(&self) -> usize {
        self.slots.len() - self.free.len() + self.half_open.len()
    }

    /// Moves a connection without an answer out of its slot.
    fn lay_down(&mut self, slot: Slot, handler: &impl Handler<S>) {
        let Some(flow) = flow_at(&mut self.slots, slot) else {
            return;
        };
        let hash = self.hasher.hash_one(flow.key);
        // Not one whose port pair was used again.
        let entry = self.index.find_entry(hash, |&i| i == slot.index);
        if let (Some(one), Ok(entry)) = (flow.half_open(), entry)
            && !handler.has_state(&flow.state)
        {
            entry.remove();
            self.slots[slot.index as usize] = None;
            self.free.push(slot.index);
            self.half_open.insert(&self.hasher, one);
        }
    }

    /// Moves a connection without an answer back to a slot, if there is one with this
    /// key.
    #[cold]
    fn wake(&mut self, key: FlowKey, hash: u64) -> Option<u32> {
        let one = self.half_open.take(&self.hasher, key, hash)?;
        let slot = Slot {
            index: self.vacant(),
            number: one.number,
        };
        self.occupy(slot.index, hash, Box::new(Flow::of_half_open(&one)));
        self.opening.push_back((slot, self.clock));
        Some(slot.index)
    }

    /// Evicts connections without an answer, and reports their end.
    fn remove_half_open(
        &mut self,
        mut evicted: Vec<HalfOpen>,
        how: Closed,
        handler: &mut impl Handler<S>,
    ) {
        evicted.sort_unstable_by_key(|one| one.number);
        for one in evicted {
            let key = one.key();
            self.half_open
                .take(&self.hasher, key, self.hasher.hash_one(key));
            let mut flow = Flow::of_half_open(&one);
            flow.finish(Some(how), self.now, &mut self.history, handler);
            handler.evicted(&flow.info);
        }
    }

    /// Makes room by evicting the sixteenth part that has been silent longest. Returns how
    /// many that were.
    pub fn make_room(&mut self, handler: &mut impl Handler<S>) -> u64 {
        let before = self.live();
        if before > 0 {
            self.evict(handler);
        }
        (before - self.live()) as u64
    }

    /// Removes a flow, and reports its end if that is still to come.
    fn remove(&mut self, slot: Slot, how: Option<Closed>, handler: &mut impl Handler<S>) {
        let Some(flow) = flow_at(&mut self.slots, slot) else {
            return;
        };
        self.waiting -= flow.waiting_bytes();
        flow.finish(how, self.now, &mut self.history, handler);
        handler.evicted(&flow.info);
        let hash = self.hasher.hash_one(flow.key);
        if let Ok(entry) = self.index.find_entry(hash, |&i| i == slot.index) {
            entry.remove();
        }
        self.slots[slot.index as usize] = None;
        self.free.push(slot.index);
    }

    /// Makes room: evicts the sixteenth part that has been silent longest.
    fn evict(&mut self, handler: &mut impl Handler<S>) {
        let mut all: Vec<Timestamp> = self.half_open.iter().map(|one| one.last_seen).collect();
        all.extend(self.slots.iter().flatten().map(|flow| flow.last_seen));
        let share = (all.len() / 16).max(1).min(all.len());
        let (_, &mut oldest, _) = all.select_nth_unstable(share - 1);
        let unanswered = self.half_open.iter().filter(|one| one.last_seen <= oldest);
        let unanswered: Vec<_> = unanswered.take(share).cloned().collect();
        let share = share - unanswered.len();
        self.remove_half_open(unanswered, Closed::Evicted, handler);
        let mut all: Vec<(Timestamp, Slot)> = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(index, flow)| {
                let flow = flow.as_ref()?;
                let slot = Slot {
                    index: index as u32,
                    number: flow.info.number,
                };
                Some((flow.last_seen, slot))
            })
            .collect();
        if (1..all.len()).contains(&share) {
            all.select_nth_unstable(share - 1);
        }
        for &(_, slot) in all.iter().take(share) {
            self.remove(slot, Some(Closed::Evicted), handler);
        }
    }

    /// Evicts connections that have been silent for long.
    fn sweep(&mut self, now: Timestamp, handler: &mut impl Handler<S>) {
        self.next_sweep = (
            Timestamp::from_nanos(now.nanos().saturating_add(60_000_000_000)),
            self.segments + self.live() as u64 / 4,
        );
        let is_silent =
            |one: &&HalfOpen| now.since(one.last_seen).as_secs() >= limits::IDLE_EMPTY_SECONDS;
        let unanswered = self.half_open.iter().filter(is_silent).cloned().collect();
        self.remove_half_open(unanswered, Closed::Idle, handler);
        let mut silent = Vec::new();
        for (index, flow) in self.slots.iter().enumerate() {
            let Some(flow) = flow else { continue };
            let slot = Slot {
                index: index as u32,
                number: flow.info.number,
            };
            let seconds = now.since(flow.last_seen).as_secs();
            let patience = if flow.is_empty() {
                limits::IDLE_EMPTY_SECONDS
            } else if flow.ignored {
                limits::IDLE_SECONDS
            } else {
                limits::IDLE_MQTT_SECONDS
            };
            if seconds >= patience {
                silent.push(slot);
            }
        }
        for slot in silent {
            self.remove(slot, Some(Closed::Idle), handler);
        }
    }
}

fn flow_at<S>(slots: &mut [Option<Box<Flow<S>>>], slot: Slot) -> Option<&mut Flow<S>> {
    slots
        .get_mut(slot.index as usize)?
        .as_deref_mut()
        .filter(|flow| flow.info.number == slot.number)
}

#[cfg(test)]
mod tests;
