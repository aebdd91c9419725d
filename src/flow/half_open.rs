//! Connections of which only SYNs of one side were captured: port scans, servers
//! that are down, floods. There may be a million of them, so each takes as little
//! memory as its SYN says; a [`Flow`] is made of it when anything else happens.

use std::hash::BuildHasher;

use hashbrown::HashTable;

use crate::net::Endpoint;
use crate::time::Timestamp;

use super::connection::{Flow, TcpState};
use super::event::FlowInfo;
use super::key::FlowKey;
use super::{At, End, PerEnd};

/// What is known of a connection without an answer.
#[derive(Clone, Debug)]
pub(super) struct HalfOpen {
    pub(super) number: u64,
    pub(super) last_seen: Timestamp,
    pub(super) first: At,
    /// Its latest SYN.
    pub(super) latest: At,
    pub(super) ends: PerEnd<Endpoint>,
    pub(super) initiator: End,
    /// The initial sequence number.
    pub(super) isn: u32,
    /// How many times the SYN was sent.
    pub(super) tries: u32,
    pub(super) tcp: TcpState,
}

/// The half-open connections of a table, by key.
#[derive(Debug, Default)]
pub(super) struct HalfOpens {
    all: Vec<HalfOpen>,
    /// Places in `all`.
    index: HashTable<u32>,
}

impl HalfOpen {
    pub(super) fn key(&self) -> FlowKey {
        FlowKey::new(self.ends.a, self.ends.b).0
    }
}

impl HalfOpens {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &HalfOpen> {
        self.all.iter()
    }

    /// All of them.
    pub(super) fn into_all(self) -> Vec<HalfOpen> {
        self.all
    }

    /// Adds one; there must be none with its key.
    pub(super) fn insert(&mut self, hasher: &impl BuildHasher, one: HalfOpen) {
        let all = &self.all;
        let hash = |&at: &u32| hasher.hash_one(all[at as usize].key());
        let at = all.len() as u32;
        self.index
            .insert_unique(hasher.hash_one(one.key()), at, hash);
        self.all.push(one);
    }

    /// Takes the one with a key, whose hash is given.
    pub(super) fn take(
        &mut self,
        hasher: &impl BuildHasher,
        key: FlowKey,
        hash: u64,
    ) -> Option<HalfOpen> {
        let all = &self.all;
        let same = |&at: &u32| all[at as usize].key() == key;
        let (at, _) = self.index.find_entry(hash, same).ok()?.remove();
        // The last one moves to its place.
        let last = all.len() as u32 - 1;
        if at != last {
            let moved = hasher.hash_one(all[last as usize].key());
            if let Some(place) = self.index.find_mut(moved, |&place| place == last) {
                *place = at;
            }
        }
        Some(self.all.swap_remove(at as usize))
    }
}

impl<S: Default> Flow<S> {
    /// What is to be kept of it, if it is half open and nothing else is known of it.
    pub(super) fn half_open(&self) -> Option<HalfOpen> {
        let initiator = self.info.initiator?;
        let isn = self.streams[initiator].isn?;
        let latest = self.ended?;
        let is_half_open = !self.info.established
            && self.packets == self.info.syn_tries
            && self.reset.is_none()
            && self.streams[initiator].is_only_syn()
            && self.streams[initiator.peer()].is_unused();
        let is_alone = self.previous.is_none()
            && self.first_view.is_none()
            && self.first_bytes.is_none()
            && !self.is_view;
        let goes_on = !self.ignored && !self.replaced && !self.closed && !self.lingering;
        (is_half_open && is_alone && goes_on).then(|| HalfOpen {
            number: self.info.number,
            last_seen: self.last_seen,
            first: self.info.first,
            latest,
            ends: self.info.ends,
            initiator,
            isn,
            tries: self.info.syn_tries,
            tcp: self.tcp[initiator],
        })
    }

    /// The connection that was kept as half open.
    pub(super) fn of_half_open(one: &HalfOpen) -> Self {
        let mut info = FlowInfo::new(one.number, one.ends, one.first);
        info.initiator = Some(one.initiator);
        info.syn_tries = one.tries;
        info.from_start[one.initiator] = true;
        info.first_seq[one.initiator] = Some(one.isn.wrapping_add(1));
        let mut flow = Self::new(one.key(), info, None);
        flow.streams[one.initiator].syn(one.isn);
        flow.streams[one.initiator].captured = true;
        flow.last_seen = one.last_seen;
        flow.packets = one.tries;
        flow.ended = Some(one.latest);
        flow.tcp[one.initiator] = one.tcp;
        flow
    }
}
