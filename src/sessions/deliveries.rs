//! From a publisher through the server to each subscriber.
//!
//! ```text
//! up   PUBLISH t ──────────────────→ a publication
//! down        PUBLISH t  ┐ same server, topic, payload: a delivery of it,
//! down        PUBLISH t  ┘ the oldest that this connection has not got yet
//! ```
//! Messages are distinguished by topic and payload. Where the same was published more than
//! once, the order decides, and the match is ambiguous. Retained messages are matched
//! with the latest publication that set them. A subscriber that matches and got nothing
//! in this capture is *unseen*: it may have got it elsewhere, or later.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::equal::Equal;
use super::publication::{Delivery, Match, Peer, Publication, Settled, Unpublished, Unseen};
use crate::facts::{Fact, FrameFact, Needs, Sink, Topic};
use crate::frame::{Direction, MQTTFrame};
use crate::limits;
use crate::mqtt::{ControlPacket, Version, topic};
use crate::net::Endpoint;
use crate::time::Timestamp;

/// Matches publications with deliveries.
#[derive(Debug)]
pub struct Deliveries {
    /// How many publications to keep.
    most: usize,
    publications: VecDeque<Publication>,
    /// Number of the first in `publications`.
    first: u64,
    /// How many of them, the oldest, will not change any more and wait to be taken.
    settled: usize,
    /// Deliveries without a publication that wait to be taken; `None` if nothing is.
    unpublished: Option<Vec<Unpublished>>,
    /// Publications by server, topic and payload.
    by_key: HashMap<u64, Equal, RandomState>,
    /// The latest that set a retained message.
    retained: HashMap<(Endpoint, Box<[u8]>), u64>,
    subscribers: BTreeMap<u64, Subscriber>,
    /// Subscriptions of clients that keep their session, by server and client.
    sessions: BTreeMap<(Endpoint, Box<[u8]>), Vec<Filter>>,
    /// Deliveries of messages whose publication is not in the capture.
    foreign: u64,
    evicted: u64,
    /// The next frame is not selected.
    unselected: bool,
}

/// Publications of one topic and payload that are considered for a delivery.
const CANDIDATES: usize = 64;

#[derive(Debug)]
struct Subscriber {
    peer: Arc<Peer>,
    since: Timestamp,
    clean: bool,
    filters: Vec<Filter>,
    /// The publication that it got last, by topic and payload.
    latest: HashMap<u64, u64>,
    /// SUBSCRIBE packets without SUBACK: identifier, filters.
    asked: Vec<(u16, Vec<Filter>)>,
}

#[derive(Clone, Debug)]
struct Filter {
    filter: Box<[u8]>,
    no_local: bool,
}

impl Default for Deliveries {
    /// Keeps [`limits::DELIVERED_PUBLICATIONS`].
    fn default() -> Self {
        Self::up_to(limits::DELIVERED_PUBLICATIONS)
    }
}

impl Deliveries {
    /// Keeps this number of publications until the end of the capture; beyond that, the
    /// oldest are evicted.
    pub fn up_to(publications: usize) -> Self {
        Self {
            most: publications,
            publications: VecDeque::new(),
            first: 0,
            by_key: HashMap::default(),
            retained: HashMap::new(),
            subscribers: BTreeMap::new(),
            sessions: BTreeMap::new(),
            foreign: 0,
            evicted: 0,
            settled: 0,
            unpublished: None,
            unselected: false,
        }
    }

    /// Reports publications as they leave the window of those that are matched, and
    /// deliveries without a publication: [`Self::take_settled`].
    pub fn streaming() -> Self {
        Self {
            unpublished: Some(Vec::new()),
            ..Self::up_to(limits::STREAMED_PUBLICATIONS)
        }
    }

    /// Sets whether the frames that follow are selected. Without a call, they are.
    pub fn select(&mut self, selected: bool) {
        self.unselected = !selected;
    }

    /// Takes what will not change any more: `each` gets it.
    pub fn take_settled(&mut self, mut each: impl FnMut(Settled<'_>)) {
        let settled = std::mem::take(&mut self.settled);
        for of in self.publications.range(..settled) {
            each(Settled::Publication(of));
        }
        self.publications.drain(..settled);
        self.first += settled as u64;
        for of in self.unpublished.iter_mut().flat_map(|all| all.drain(..)) {
            each(Settled::Unpublished(&of));
        }
    }

    /// Takes all publications: the capture has ended.
    pub fn take_rest(&mut self) -> impl Iterator<Item = Publication> {
        self.settled = 0;
        std::mem::take(&mut self.publications).into_iter()
    }

    /// The publications in the order of capture.
    pub fn publications(&self) -> impl Iterator<Item = &Publication> {
        self.publications.iter()
    }

    /// Keeps the publications that are selected: [`Self::select`].
    pub fn retain_selected(&mut self) {
        debug_assert!(
            self.unpublished.is_none(),
            "what waits to be taken is counted"
        );
        self.publications
            .retain(|publication| publication.is_selected);
    }

    /// Deliveries of messages whose publication is not in the capture.
    pub const fn foreign(&self) -> u64 {
        self.foreign
    }

    /// Publications that were evicted because there were too many.
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    fn frame(&mut self, fact: &FrameFact<'_>) {
        let frame = fact.frame;
        let connection = frame.connection;
        let subscriber = self
            .subscribers
            .entry(connection.number)
            .or_insert_with(|| Subscriber {
                peer: Arc::new(Peer::of(connection)),
                since: frame.time,
                clean: false,
                filters: Vec::new(),
                latest: HashMap::new(),
                asked: Vec::new(),
            });
        if !subscriber.peer.is_current(connection) {
            let known = subscriber.peer.client_id.clone();
            let mut peer = Peer::of(connection);
            peer.client_id = known.or(peer.client_id);
            subscriber.peer = Arc::new(peer);
        }
        match (&frame.packet, frame.direction) {
            (ControlPacket::Connect(connect), Direction::Up) => {
                subscriber.clean = connect.clean_start().unwrap_or(true);
            }
            (ControlPacket::Connack(connack), Direction::Down) => {
                if connack.session_present(frame.version) == Some(true)
                    && let Some(id) = &subscriber.peer.client_id
                    && let Some(filters) = self.sessions.get(&(connection.server, id.clone()))
                {
                    subscriber.filters.clone_from(filters);
                }
            }
            (ControlPacket::Subscribe(subscribe), Direction::Up) => {
                let filters = subscribe
                    .filters()
                    .take(limits::SUBSCRIPTIONS)
                    .map(|asked| Filter {
                        filter: asked.filter.bytes().into(),
                        no_local: frame.version == Version::V5
                            && asked.options.unwrap_or(0) & 4 != 0,
                    })
                    .collect();
                if let Some(id) = frame.packet.packet_id()
                    && subscriber.asked.len() < limits::UNACKED_REQUESTS
                {
                    subscriber.asked.push((id, filters));
                }
            }
            (ControlPacket::Suback(suback), Direction::Down) => {
                let id = frame.packet.packet_id();
                let Some(at) = subscriber
                    .asked
                    .iter()
                    .position(|(asked, _)| Some(*asked) == id)
                else {
                    return;
                };
                let (_, asked) = subscriber.asked.remove(at);
                for (filter, code) in asked.into_iter().zip(suback.codes) {
                    subscriber
                        .filters
                        .retain(|known| known.filter != filter.filter);
                    if *code <= 2 && subscriber.filters.len() < limits::SUBSCRIPTIONS {
                        subscriber.filters.push(filter);
                    }
                }
            }
            (ControlPacket::Unsubscribe(unsubscribe), Direction::Up) => {
                for name in unsubscribe.filters() {
                    subscriber
                        .filters
                        .retain(|known| *known.filter != *name.bytes());
                }
            }
            (ControlPacket::Publish(_), Direction::Up) => {
                let peer = subscriber.peer.clone();
                self.published(fact, peer);
            }
            (ControlPacket::Publish(_), Direction::Down) => {
                let peer = subscriber.peer.clone();
                self.delivered(fact, peer);
            }
            _ => {}
        }
    }

    fn published(&mut self, fact: &FrameFact<'_>, peer: Arc<Peer>) {
        let frame = fact.frame;
        let (ControlPacket::Publish(publish), Some(topic), Some(digest)) =
            (&frame.packet, fact.topic, frame.payload_digest)
        else {
            return;
        };
        let key = self.key(peer.server, topic, digest);
        // The same packet again is not another message.
        if frame.header.dup()
            && let Some(latest) = self.by_key.get(&key).and_then(|equal| equal.all().last())
            && let Some(known) = self.at(*latest)
            && known.peer.client_id == peer.client_id
        {
            return;
        }
        if self.window() >= self.most {
            self.evict();
        }
        let number = self.first + self.publications.len() as u64;
        let unseen = self.expected(frame, topic);
        self.by_key
            .entry(key)
            .and_modify(|equal| equal.push(number))
            .or_insert(Equal::One(number));
        if frame.header.retain() && self.retained.len() < limits::PUBLICATIONS {
            self.retained
                .insert((peer.server, (**topic).into()), number);
        }
        self.publications.push_back(Publication {
            peer,
            exchange: fact.exchange_id(),
            packet: frame.last,
            time: frame.time,
            is_selected: !self.unselected,
            topic: topic.clone(),
            qos: frame.header.qos(),
            retain: frame.header.retain(),
            payload_len: publish.payload_len.unwrap_or(0),
            deliveries: Vec::new(),
            unseen,
            digest,
            key,
        });
    }

    /// Clients whose filters match: those that are connected, and those that keep their
    /// sessions. Of a shared subscription one member gets the message, and which is not
    /// known.
    fn expected(&self, frame: &MQTTFrame<'_>, topic: &[u8]) -> Vec<Unseen> {
        let server = frame.connection.server;
        let mut found: Vec<Unseen> = Vec::new();
        if self.subscribers.len() + self.sessions.len() > limits::WATCHED_SUBSCRIBERS {
            return found;
        }
        let own = frame.connection.number;
        let mut add = |client_id: Option<&[u8]>, filters: &[Filter], is_own: bool| {
            let matching = filters.iter().find(|filter| {
                topic::shared(&filter.filter).is_none()
                    && !(is_own && filter.no_local)
                    && topic::matches(&filter.filter, topic)
            });
            if let Some(filter) = matching
                && found.len() < limits::DELIVERIES
                && !found
                    .iter()
                    .any(|known| known.client_id.as_deref() == client_id)
            {
                found.push(Unseen {
                    client_id: client_id.map(Into::into),
                    filter: filter.filter.clone(),
                });
            }
        };
        for (number, subscriber) in &self.subscribers {
            if subscriber.peer.server == server {
                add(
                    subscriber.peer.client_id.as_deref(),
                    &subscriber.filters,
                    *number == own,
                );
            }
        }
        // A server need not keep messages of QoS 0 for a client that is away (4.1.0-1).
        if frame.header.qos() > 0 {
            for ((at, client_id), filters) in &self.sessions {
                if *at == server {
                    add(Some(client_id), filters, false);
                }
            }
        }
        found
    }

    fn delivered(&mut self, fact: &FrameFact<'_>, peer: Arc<Peer>) {
        let frame = fact.frame;
        let (Some(topic), Some(digest)) = (fact.topic, frame.payload_digest) else {
            return;
        };
        let key = self.key(peer.server, topic, digest);
        let Some(equal) = self.by_key.get(&key) else {
            self.foreign += u64::from(!self.unselected);
            self.unpublished(fact, peer, topic, digest);
            return;
        };
        let candidates = equal.all();
        let is_retained = frame.header.retain();
        let retained = is_retained
            .then(|| self.retained.get(&(peer.server, (**topic).into())))
            .flatten()
            .filter(|number| candidates.contains(number));
        let subscriber = self.subscribers.get(&peer.connection);
        let since = subscriber.map(|subscriber| subscriber.since);
        // In order after the one before; of a client that comes new, not of long ago.
        let begin = match subscriber.and_then(|subscriber| subscriber.latest.get(&key)) {
            Some(latest) => candidates.partition_point(|number| number <= latest),
            None => candidates.partition_point(|number| {
                self.at(*number)
                    .zip(since)
                    .is_some_and(|(publication, since)| publication.time < since)
            }),
        };
        // A delivery never has a higher QoS than its publication.
        let fits = |number: &&u64| {
            self.at(**number)
                .is_some_and(|publication| publication.qos >= frame.header.qos())
        };
        let (older, newer) = candidates.split_at(begin);
        let next = newer.iter().take(CANDIDATES).find(fits);
        // Overlapping subscriptions bring the same again; queued messages are
        // older than the connection.
        let before = || older.iter().rev().take(CANDIDATES).find(fits);
        let number = retained.or(next).or_else(before).copied();
        let matched = match candidates {
            [_] => Match::Exact,
            _ => Match::Ambiguous,
        };
        let Some(number) = number else {
            self.unpublished(fact, peer, topic, digest);
            return;
        };
        if let Some(subscriber) = self.subscribers.get_mut(&peer.connection)
            && subscriber.latest.len() < limits::PUBLICATIONS
        {
            subscriber.latest.insert(key, number);
        }
        let at = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let Some(publication) = self.publications.get_mut(at) else {
            return;
        };
        publication.is_selected |= !self.unselected;
        publication
            .unseen
            .retain(|unseen| unseen.client_id != peer.client_id);
        if publication.deliveries.len() >= limits::DELIVERIES {
            self.evicted += 1;
            return;
        }
        publication.deliveries.push(Delivery {
            peer,
            exchange: fact.exchange_id(),
            packet: frame.last,
            qos: frame.header.qos(),
            retained: is_retained,
            queued: !is_retained && since.is_some_and(|since| since > publication.time),
            time: frame.time.since(publication.time),
            matched,
        });
    }

    fn unpublished(&mut self, fact: &FrameFact<'_>, peer: Arc<Peer>, topic: &Topic, digest: u64) {
        let frame = fact.frame;
        let Some(all) = self.unpublished.as_mut().filter(|_| !self.unselected) else {
            return;
        };
        all.push(Unpublished {
            peer,
            exchange: fact.exchange_id(),
            packet: frame.last,
            time: frame.time,
            topic: topic.clone(),
            qos: frame.header.qos(),
            retained: frame.header.retain(),
            payload_len: match &frame.packet {
                ControlPacket::Publish(publish) => publish.payload_len,
                _ => None,
            },
            digest,
        });
    }

    /// The key that distinguishes messages.
    fn key(&self, server: Endpoint, topic: &[u8], payload: u64) -> u64 {
        self.by_key.hasher().hash_one((server, topic, payload))
    }

    /// How many publications are matched.
    fn window(&self) -> usize {
        self.publications.len() - self.settled
    }

    fn at(&self, number: u64) -> Option<&Publication> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        (at >= self.settled).then(|| self.publications.get(at))?
    }

    /// The oldest is not matched any more.
    fn evict(&mut self) {
        let Some(oldest) = self.publications.get(self.settled) else {
            return;
        };
        if let Entry::Occupied(mut equal) = self.by_key.entry(oldest.key)
            && !equal.get_mut().remove_first()
        {
            equal.remove();
        }
        if self.unpublished.is_some() {
            self.settled += 1;
        } else {
            self.publications.pop_front();
            self.first += 1;
            self.evicted += 1;
        }
    }

    /// The connection of this number is over.
    fn ended(&mut self, number: u64) {
        let Some(subscriber) = self.subscribers.remove(&number) else {
            return;
        };
        let Some(client_id) = subscriber.peer.client_id.clone() else {
            return;
        };
        let key = (subscriber.peer.server, client_id);
        match subscriber.clean {
            true => drop(self.sessions.remove(&key)),
            false if self.sessions.len() < limits::SESSIONS => {
                self.sessions.insert(key, subscriber.filters);
            }
            false => self.evicted += 1,
        }
    }
}

impl Sink for Deliveries {
    fn needs(&self) -> Needs {
        Needs::DIGESTS | Needs::EXCHANGES | Needs::SESSION_UIDS | Needs::TOPICS
    }

    fn fact(&mut self, fact: Fact<'_>) {
        match fact {
            Fact::Frame(fact) => self.frame(&fact),
            Fact::Ended(ended) => self.ended(ended.connection.number),
            _ => {}
        }
    }

    /// Evicts the sixteenth part of the publications, the oldest, and forgets what
    /// clients that are away subscribe to.
    fn make_room(&mut self) -> bool {
        let share = self.window().div_ceil(16);
        (0..share).for_each(|_| self.evict());
        let sessions = std::mem::take(&mut self.sessions).len();
        self.evicted += sessions as u64;
        self.retained.clear();
        share + sessions > 0
    }
}
