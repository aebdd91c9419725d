//! The same connection under other addresses: captured before and after a router
//! that translates them (NAT, a service of Kubernetes), or on both sides of it.
//!
//! Translation changes addresses and ports, and leaves sequence numbers, payloads
//! and the identification of IPv4 packets as they are. So a connection is taken for
//! a second view of another if its SYN came a moment after the other's and before
//! its answer, with the same sequence number and one endpoint in common, and the
//! first bytes of its client came a moment after those of the other. Until then it is followed like any connection; from there on
//! its packets are counted as duplicates. The moment is that of
//! [`super::duplicates`].

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;

use crate::net::{Endpoint, Segment};
use crate::time::Timestamp;

use super::duplicates::{DUPLICATE, DUPLICATE_UNMARKED};
use super::key::Slot;

/// SYNs that are remembered.
const SYNS: usize = 4096;

/// SYNs of the last moment, by sequence number.
#[derive(Debug, Default)]
pub(super) struct RecentSyns {
    by_seq: HashMap<u32, Syn, foldhash::fast::RandomState>,
    order: VecDeque<(u32, Timestamp)>,
}

#[derive(Clone, Copy, Debug)]
struct Syn {
    slot: Slot,
    src: Endpoint,
    dst: Endpoint,
    ip_id: u16,
    time: Timestamp,
}

impl RecentSyns {
    /// The connection of which this SYN may be another view, if there is one;
    /// remembers the SYN otherwise.
    pub(super) fn first_view(&mut self, segment: &Segment<'_>, slot: Slot) -> Option<Slot> {
        let now = segment.time;
        while let Some((seq, time)) = self.order.front().copied()
            && (now.since(time) > DUPLICATE || self.order.len() > SYNS)
        {
            self.order.pop_front();
            if self.by_seq.get(&seq).is_some_and(|syn| syn.time == time) {
                self.by_seq.remove(&seq);
            }
        }
        if let Some(first) = self.by_seq.get(&segment.seq) {
            let has_one_in_common = (first.src == segment.src) != (first.dst == segment.dst);
            let same = is_same_packet(first.ip_id, first.time, segment);
            return (has_one_in_common && same).then_some(first.slot);
        }
        let syn = Syn {
            slot,
            src: segment.src,
            dst: segment.dst,
            ip_id: segment.copy_marks.0,
            time: now,
        };
        self.by_seq.insert(segment.seq, syn);
        self.order.push_back((segment.seq, now));
        None
    }
}

/// Whether a packet may be the same as one with this identification and time.
fn is_same_packet(ip_id: u16, time: Timestamp, segment: &Segment<'_>) -> bool {
    let moment = match ip_id {
        0 => DUPLICATE_UNMARKED,
        _ => DUPLICATE,
    };
    ip_id == segment.copy_marks.0 && segment.time.since(time) <= moment
}

/// The first bytes that a client sent, where and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct FirstBytes {
    seq: u32,
    len: usize,
    hash: u64,
    ip_id: u16,
    time: Timestamp,
}

impl FirstBytes {
    pub(super) fn of(segment: &Segment<'_>, hasher: &foldhash::fast::RandomState) -> Self {
        Self {
            seq: segment.seq,
            len: segment.payload.len(),
            hash: hasher.hash_one(segment.payload),
            ip_id: segment.copy_marks.0,
            time: segment.time,
        }
    }

    /// Whether a segment, whose bytes are `other`, is the same packet captured
    /// again.
    pub(super) fn is_same(&self, other: &Self, segment: &Segment<'_>) -> bool {
        (self.seq, self.len, self.hash) == (other.seq, other.len, other.hash)
            && is_same_packet(self.ip_id, self.time, segment)
    }
}
