//! Splits captures by flow, so that many processes can work on them.
//!
//! ```text
//! packet ─→ Route ─┬→ ports ───────────────→ hash ─→ shard
//!                  ├→ ports, in the plan ──→ hash of the session ─→ shard
//!                  └→ fragment ────────────→ that of its first fragment
//! ```
//! All packets of a TCP connection go to one shard, in the order of the capture: so
//! each shard gives the frames, accounts and events of its connections exactly as the
//! whole capture would. The hash depends on nothing but addresses and ports: files
//! that are split on different machines have a connection in the shard of the same
//! number.
//!
//! With a [`Plan`], all connections of a client go to one shard.

mod manifest;
mod plan;
mod portion;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

pub use manifest::{Manifest, Part, Problem, SourceFile};
pub use plan::{Flow, Grouping, Plan};
pub use portion::Portion;

use crate::limits;
use crate::net::{DatagramKey, Endpoint, Route};
use crate::packet::CapturedPacket;
use crate::time::Timestamp;

/// The most shards of one capture: each is an open file.
pub const SHARDS: u32 = 512;
/// In a longer time without any packet of the capture, its clock may have been set: every
/// shard has to know. A shorter one is within the tolerance of every rule.
pub const PAUSE: Duration = Duration::from_secs(1);
/// Datagrams whose shard is remembered.
const DATAGRAMS: usize = 1 << 16;
/// How long it is remembered, in capture time.
const DATAGRAM_SECONDS: Duration = Duration::from_secs(limits::FRAGMENT_SECONDS);

/// Assigns packets to shards.
#[derive(Debug)]
pub struct Router {
    shards: u32,
    sessions: Grouping,
    datagrams: HashMap<DatagramKey, (u32, Timestamp)>,
    order: VecDeque<DatagramKey>,
    /// Frames of 802.11 aggregates that are not in the shard of their connection.
    aggregates_apart: u64,
    /// Whether the packet placed last is a TCP segment.
    is_tcp: bool,
    clock: Clock,
}

/// The clock of the flow table, which settles twice a second what waits for time to
/// pass: at a packet of any connection.
#[derive(Debug, Default)]
struct Clock {
    latest: Option<Timestamp>,
    next: Timestamp,
}

impl Router {
    /// For this number of shards, from 1 to [`SHARDS`].
    pub fn new(shards: u32, sessions: Grouping) -> Self {
        Self {
            shards: shards.clamp(1, SHARDS),
            sessions,
            datagrams: HashMap::new(),
            order: VecDeque::new(),
            aggregates_apart: 0,
            is_tcp: false,
            clock: Clock::default(),
        }
    }

    /// The shard of a packet, from 0. `None` for an IP fragment that was captured
    /// before the first fragment of its datagram, which has the ports: ask again
    /// after later packets, or [`Router::settle`] it.
    #[inline]
    pub fn place(&mut self, packet: &CapturedPacket<'_>) -> Option<u32> {
        if let Some(ends) = Route::usual(packet) {
            self.is_tcp = true;
            return Some(self.of_flow(ends));
        }
        self.place_unusual(packet)
    }

    fn place_unusual(&mut self, packet: &CapturedPacket<'_>) -> Option<u32> {
        let route = Route::of(packet);
        self.is_tcp = route.is_tcp;
        if route.fragments[0].is_none() && route.next_subframe.is_none() {
            return Some(match route.ends {
                Some(ends) => self.of_flow(ends),
                None => self.of_any(packet),
            });
        }
        self.place_fragment(packet, &route)
    }

    #[cold]
    fn place_fragment(&mut self, packet: &CapturedPacket<'_>, route: &Route) -> Option<u32> {
        let shard = match route.ends {
            Some(ends) => self.of_flow(ends),
            None if route.fragments[0].is_none() => self.of_any(packet),
            None => self.known(route, packet.time)?,
        };
        self.remember(route, shard, packet.time);
        let mut next = route.next_subframe;
        while let Some(subframe) = next {
            let route = Route::of_subframe(packet, subframe);
            let apart = route.ends.is_some_and(|ends| self.of_flow(ends) != shard);
            self.aggregates_apart += u64::from(apart);
            next = route.next_subframe;
        }
        Some(shard)
    }

    /// Whether the packet placed last is a TCP segment.
    #[inline]
    pub fn is_tcp(&self) -> bool {
        self.is_tcp
    }

    /// Whether the packet placed last moves the clock on, so that every shard has to
    /// know.
    #[inline]
    pub fn ticks(&mut self, time: Timestamp) -> bool {
        const HALF_A_SECOND: Duration = Duration::from_millis(500);
        if !self.is_tcp || self.clock.latest.is_some_and(|latest| time <= latest) {
            return false;
        }
        let is_first = self.clock.latest.replace(time).is_none();
        let due = is_first || time >= self.clock.next;
        if due {
            self.clock.next = time.after(HALF_A_SECOND);
        }
        due
    }

    /// The shard of a fragment whose first fragment has not been captured in time:
    /// one for all fragments of its datagram.
    pub fn settle(&mut self, packet: &CapturedPacket<'_>) -> u32 {
        let shard = self.place(packet);
        shard.unwrap_or_else(|| {
            let shard = self.of_any(packet);
            self.remember(&Route::of(packet), shard, packet.time);
            shard
        })
    }

    /// Frames of 802.11 aggregates that are in the shard of another frame's connection:
    /// a packet is in one shard.
    pub fn aggregates_apart(&self) -> u64 {
        self.aggregates_apart
    }

    #[inline]
    fn of_flow(&self, (src, dst): (Endpoint, Endpoint)) -> u32 {
        let flow = Flow::new(src, dst);
        let hash = match self.sessions.is_empty() {
            true => flow.hash(),
            false => self.sessions.of(&flow).unwrap_or_else(|| flow.hash()),
        };
        self.scale(hash)
    }

    /// For packets without a connection: spread evenly.
    fn of_any(&self, packet: &CapturedPacket<'_>) -> u32 {
        self.scale(mix(packet.id.number, u64::from(packet.id.file)))
    }

    #[inline]
    fn scale(&self, hash: u64) -> u32 {
        ((u128::from(hash) * u128::from(self.shards)) >> 64) as u32
    }

    fn known(&self, route: &Route, now: Timestamp) -> Option<u32> {
        let keys = route.fragments.iter().rev().flatten();
        let mut known = keys.filter_map(|key| self.datagrams.get(key));
        let (shard, since) = known.next()?;
        (now.since(*since) <= DATAGRAM_SECONDS).then_some(*shard)
    }

    fn remember(&mut self, route: &Route, shard: u32, now: Timestamp) {
        for key in route.fragments.iter().flatten() {
            if self.datagrams.insert(*key, (shard, now)).is_none() {
                self.order.push_back(*key);
            }
        }
        while self.order.len() > DATAGRAMS
            && let Some(oldest) = self.order.pop_front()
        {
            self.datagrams.remove(&oldest);
        }
    }
}

/// A hash of two numbers that is the same on every machine and in every version: the
/// finalizer of SplitMix64, twice.
#[inline]
fn mix(a: u64, b: u64) -> u64 {
    finish(finish(a.wrapping_add(0x9e37_79b9_7f4a_7c15)) ^ b)
}

#[inline]
fn finish(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[inline]
fn hash_of(Endpoint { addr, port }: Endpoint) -> u64 {
    match addr {
        IpAddr::V4(v4) => u64::from(v4.to_bits()) << 16 | u64::from(port),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            mix((bits >> 64) as u64, bits as u64) ^ u64::from(port)
        }
    }
}
