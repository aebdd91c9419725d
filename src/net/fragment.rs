//! Reassembly of IP fragments, with limits on memory and time.
//!
//! ```text
//! offset 0      1480     2960  3200
//!        |---A---|---B---|--C-|        complete when C (the last) is there without
//!              |---b---|               a gap before it; the overlapping b is
//!                                      ignored: bytes that came first are kept
//! ```
//!
//! Fragments may arrive in any order and more than once. One that the snap length
//! cut still occupies its whole range: the reassembled datagram has the bytes up to
//! the first missing one, and the rest is *cut* as in any packet.
//!
//! A reassembled datagram is kept until its time is up, because a mirror port shows
//! fragments twice: otherwise the duplicates would wait for the others, and be joined
//! to a later datagram with the same identification. A fragment that differs from the
//! kept bytes starts a new datagram.
//!
//! Limits (see [`crate::limits`]): datagrams, bytes, seconds of capture time. When one
//! is reached, the oldest datagram is dropped, and counted if it was incomplete.
//! only remembered.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use super::ip::{Fragment, Ip};
use crate::limits;
use crate::link::Bytes;
use crate::packet::{CapturedPacket, PacketRef};
use crate::time::Timestamp;

/// Longest payload in IP, except jumbograms.
const LONGEST: u32 = 0xffff;
/// Approximate memory of a fragment besides its bytes.
const OVERHEAD: usize = 64;

/// Which datagram a fragment belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    /// 0 for IPv6, where only the first fragment has it.
    protocol: u8,
    /// Number of IP headers around it: inner and outer packets of a tunnel number
    /// their datagrams independently.
    depth: usize,
}

/// A datagram that is whole again.
#[derive(Default, Debug)]
pub(super) struct Joined {
    /// Its bytes after the IP header, up to the first missing one.
    bytes: Vec<u8>,
    /// Its length on the wire.
    wire: usize,
    /// Protocol of the payload.
    pub(super) protocol: u8,
    /// The packets that carried it, without the one that completed it.
    pub(super) packets: Vec<PacketRef>,
}

impl Joined {
    pub(super) fn bytes(&self) -> Bytes<'_> {
        Bytes::new(&self.bytes, self.wire)
    }
}

/// Context of a fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    /// How many IP headers.
    pub(super) depth: usize,
    /// Packets that were joined to decode it: it lies within a fragmented
    /// tunnel.
    pub(super) packets: &'a [PacketRef],
}

/// Counts of fragments by outcome.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FragmentCounters {
    /// IP fragments met.
    pub fragments: u64,
    /// Datagrams that were joined.
    pub joined: u64,
    /// Duplicates of fragments of reassembled datagrams.
    pub duplicates: u64,
    /// Inconsistent fragments: too long, beyond the end of their datagram, or with
    /// a different end.
    pub malformed: u64,
    /// Datagrams dropped because fragments did not arrive in time.
    pub expired: u64,
    /// Datagrams dropped because a limit was reached.
    pub evicted: u64,
}

/// All fragments that are waiting for others.
#[derive(Default, Debug)]
pub(super) struct Fragments {
    datagrams: HashMap<Key, Datagram>,
    /// Oldest first. May name datagrams that were replaced since.
    order: VecDeque<Ticket>,
    last_serial: u64,
    bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Ticket {
    key: Key,
    serial: u64,
    since: Timestamp,
}

#[derive(Default, Debug)]
struct Datagram {
    serial: u64,
    /// In order of offset, not overlapping.
    chunks: Vec<Chunk>,
    /// End of the datagram, once the last fragment was captured.
    end: Option<u32>,
    /// Protocol in the fragment at offset 0.
    protocol: u8,
    packets: Vec<PacketRef>,
    bytes: usize,
    joined: bool,
}

#[derive(Debug)]
struct Chunk {
    start: u32,
    end: u32,
    /// The captured part, at most `end - start` bytes.
    data: Box<[u8]>,
}

impl Fragments {
    /// Adds a fragment. If it completes its datagram, that is written to `into` and the
    /// result is `true`.
    pub(super) fn push(
        &mut self,
        packet: &CapturedPacket<'_>,
        ip: Ip<'_>,
        fragment: Fragment,
        around: Around<'_>,
        into: &mut Joined,
        counters: &mut FragmentCounters,
    ) -> bool {
        counters.fragments += 1;
        self.expire(packet.time, counters);
        let Some(part) = Part::new(ip.payload, fragment) else {
            counters.malformed += 1;
            return false;
        };
        let key = Key {
            src: ip.addresses.src(),
            dst: ip.addresses.dst(),
            id: fragment.id,
            protocol: if ip.addresses.is_v4() { ip.protocol } else { 0 },
            depth: around.depth,
        };
        match self.datagrams.get(&key) {
            Some(known) if !known.joined => {}
            Some(known) if known.repeats(&part) => {
                counters.duplicates += 1;
                return false;
            }
            _ => self.begin(key, packet.time),
        }
        let Some(datagram) = self.datagrams.get_mut(&key) else {
            return false;
        };
        if datagram.contradicts(&part) {
            counters.malformed += 1;
            return false;
        }
        let mut added = datagram.add(&part, ip.protocol);
        if added > 0 {
            added += size_of_val(around.packets);
            datagram.bytes += added;
            self.bytes += added;
            datagram.packets.extend_from_slice(around.packets);
            datagram.packets.push(packet.id);
        }
        let is_whole = datagram.is_whole();
        if is_whole {
            datagram.join(packet.id, into);
            counters.joined += 1;
        }
        self.bound(counters);
        is_whole
    }

    /// Datagrams of which fragments lack.
    pub(super) fn waiting(&self) -> usize {
        let incomplete = |datagram: &&Datagram| !datagram.joined;
        self.datagrams.values().filter(incomplete).count()
    }

    /// Starts a datagram, replacing a reassembled one.
    fn begin(&mut self, key: Key, since: Timestamp) {
        self.last_serial += 1;
        let serial = self.last_serial;
        let datagram = Datagram {
            serial,
            ..Datagram::default()
        };
        if let Some(old) = self.datagrams.insert(key, datagram) {
            self.bytes -= old.bytes;
        }
        self.order.push_back(Ticket { key, serial, since });
    }

    fn expire(&mut self, now: Timestamp, counters: &mut FragmentCounters) {
        const PATIENCE: Duration = Duration::from_secs(limits::FRAGMENT_SECONDS);
        while let Some(ticket) = self.order.front() {
            if now.since(ticket.since) <= PATIENCE {
                return;
            }
            counters.expired += u64::from(self.give_up_oldest());
        }
    }

    fn bound(&mut self, counters: &mut FragmentCounters) {
        while self.order.len() > limits::FRAGMENTED_DATAGRAMS || self.bytes > limits::FRAGMENT_BYTES
        {
            if self.order.is_empty() {
                return;
            }
            counters.evicted += u64::from(self.give_up_oldest());
        }
    }

    /// Whether it was still waiting for fragments.
    fn give_up_oldest(&mut self) -> bool {
        let Some(ticket) = self.order.pop_front() else {
            return false;
        };
        let is_current = |datagram: &Datagram| datagram.serial == ticket.serial;
        if !self.datagrams.get(&ticket.key).is_some_and(is_current) {
            return false;
        }
        let Some(old) = self.datagrams.remove(&ticket.key) else {
            return false;
        };
        self.bytes -= old.bytes;
        !old.joined
    }
}

/// Range and bytes of one fragment.
#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    start: u32,
    end: u32,
    last: bool,
    captured: &'a [u8],
}

impl<'a> Part<'a> {
    /// `None` if it is empty or exceeds the maximum length of IP.
    ///
    /// All fragments but the last have a multiple of 8 bytes; the excess is dropped,
    /// as in Linux.
    fn new(payload: Bytes<'a>, fragment: Fragment) -> Option<Self> {
        let length = u32::try_from(payload.wire()).ok()?;
        let length = if fragment.more { length & !7 } else { length };
        let end = fragment.offset.checked_add(length)?;
        (length > 0 && end <= LONGEST).then(|| Self {
            start: fragment.offset,
            end,
            last: !fragment.more,
            captured: payload.at_most(length as usize).captured(),
        })
    }

    /// The captured bytes within a range that lies in the fragment.
    fn range(&self, start: u32, end: u32) -> &'a [u8] {
        let at = |place: u32| {
            let place = place.saturating_sub(self.start) as usize;
            place.min(self.captured.len())
        };
        self.captured.get(at(start)..at(end)).unwrap_or_default()
    }
}

impl Datagram {
    /// Whether it claims another end than the known one.
    fn contradicts(&self, part: &Part<'_>) -> bool {
        let highest = self.chunks.last().map_or(0, |chunk| chunk.end);
        match self.end {
            Some(end) => part.end > end || (part.last && part.end != end),
            None => part.last && part.end < highest,
        }
    }

    /// Whether a reassembled datagram has exactly these bytes.
    fn repeats(&self, part: &Part<'_>) -> bool {
        let ends_alike = match self.end {
            Some(end) if part.last => part.end == end,
            Some(end) => part.end < end,
            None => false,
        };
        ends_alike
            && self
                .chunks
                .iter()
                .filter(|chunk| chunk.end > part.start && chunk.start < part.end)
                .all(|chunk| {
                    let start = chunk.start.max(part.start);
                    let end = chunk.end.min(part.end);
                    // If one copy was cut earlier, the shorter length is compared.
                    let (new, old) = (part.range(start, end), chunk.range(start, end));
                    new.iter().zip(old).all(|(new, old)| new == old)
                })
    }

    /// Adds the new bytes of a fragment. Returns the memory they take.
    fn add(&mut self, part: &Part<'_>, protocol: u8) -> usize {
        if part.start == 0 && self.chunks.first().is_none_or(|chunk| chunk.start > 0) {
            self.protocol = protocol;
        }
        if part.last {
            self.end = Some(part.end);
        }
        let mut cost = 0;
        let mut start = part.start;
        let mut at = self.chunks.partition_point(|chunk| chunk.end <= start);
        while start < part.end {
            let (taken_from, taken_to) = match self.chunks.get(at) {
                Some(chunk) => (chunk.start, chunk.end),
                None => (part.end, part.end),
            };
            let end = part.end.min(taken_from);
            if start < end {
                let data: Box<[u8]> = part.range(start, end).into();
                cost += data.len() + OVERHEAD;
                self.chunks.insert(at, Chunk { start, end, data });
                at += 1;
            }
            start = taken_to.max(end);
            at += 1;
        }
        cost
    }

    fn is_whole(&self) -> bool {
        let Some(end) = self.end else {
            return false;
        };
        let mut reached = 0;
        for chunk in &self.chunks {
            if chunk.start != reached {
                return false;
            }
            reached = chunk.end;
        }
        reached == end
    }

    fn join(&mut self, completed_by: PacketRef, into: &mut Joined) {
        self.joined = true;
        into.bytes.clear();
        into.wire = self.end.unwrap_or(0) as usize;
        into.protocol = self.protocol;
        for chunk in &self.chunks {
            into.bytes.extend_from_slice(&chunk.data);
            if chunk.data.len() < (chunk.end - chunk.start) as usize {
                break;
            }
        }
        into.packets.clear();
        let earlier = self.packets.drain(..).filter(|id| *id != completed_by);
        into.packets.extend(earlier);
    }
}

impl Chunk {
    /// The captured bytes within a range of the fragment.
    fn range(&self, start: u32, end: u32) -> &[u8] {
        let at = |place: u32| {
            let place = place.saturating_sub(self.start) as usize;
            place.min(self.data.len())
        };
        self.data.get(at(start)..at(end)).unwrap_or_default()
    }
}
