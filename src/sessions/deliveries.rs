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

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::facts::{Fact, FrameFact, Needs, Sink, Topic};
use crate::frame::{Direction, MQTTFrame};
use crate::identity::ExchangeId;
use crate::limits;
use crate::mqtt::{ControlPacket, Version, topic};
use crate::net::Endpoint;
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// How a delivery was matched with its publication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Match {
    /// Nothing else with this topic and payload was published.
    Exact,
    /// The same was published more than once, and the order decides.
    Ambiguous,
}

impl Match {
    /// The value in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// The identities of a PUBLISH.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Its connection.
    pub connection_uid: Arc<str>,
    /// Its session, where known.
    pub session_uid: Option<Arc<str>>,
    /// Its exchange on the connection.
    pub exchange: Option<ExchangeId>,
}

impl Origin {
    /// The text of its exchange.
    pub fn exchange_uid(&self) -> Option<String> {
        Some(self.exchange?.uid(&self.connection_uid))
    }

    fn of(fact: &FrameFact<'_>) -> Self {
        let connection = fact.frame.connection;
        Self {
            connection_uid: connection.uid().clone(),
            session_uid: connection.session_uid.clone(),
            exchange: fact.exchange_id(),
        }
    }
}

/// A PUBLISH that a server received.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Its identities.
    pub origin: Origin,
    /// Its connection.
    pub connection: u64,
    /// The packet that completed it.
    pub packet: PacketRef,
    /// When.
    pub time: Timestamp,
    /// It or one of its deliveries is selected: [`Deliveries::select`].
    pub is_selected: bool,
    /// Its client.
    pub client_id: Option<Arc<[u8]>>,
    /// Topic Name.
    pub topic: Topic,
    /// QoS.
    pub qos: u8,
    /// Whether it was to be retained.
    pub retain: bool,
    /// Bytes of its payload.
    pub payload_len: u32,
    /// Deliveries, in the order of capture.
    pub deliveries: Vec<Delivery>,
    /// Subscribers without a delivery.
    pub unseen: Vec<Unseen>,
    /// The server.
    pub server: Endpoint,
    /// Digest of its payload.
    pub digest: u64,
    key: u64,
}

/// A PUBLISH that a server sent.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its identities.
    pub origin: Origin,
    /// Its connection.
    pub connection: u64,
    /// The packet that completed it.
    pub packet: PacketRef,
    /// Its client.
    pub client_id: Option<Arc<[u8]>>,
    /// QoS.
    pub qos: u8,
    /// RETAIN: it was sent because of a new subscription.
    pub retained: bool,
    /// The client connected after the message was published: it was queued.
    pub queued: bool,
    /// Time in the server, from the publication to this.
    pub time: Duration,
    /// How it was matched.
    pub matched: Match,
}

/// A PUBLISH that a server sent, whose publication is not in the capture.
#[derive(Clone, Debug)]
pub struct Unpublished {
    /// Its identities.
    pub origin: Origin,
    /// The server.
    pub server: Endpoint,
    /// The packet that completed it.
    pub packet: PacketRef,
    /// When.
    pub time: Timestamp,
    /// Its client.
    pub client_id: Option<Arc<[u8]>>,
    /// Topic Name.
    pub topic: Topic,
    /// QoS.
    pub qos: u8,
    /// RETAIN: it was sent because of a new subscription.
    pub retained: bool,
    /// Bytes of its payload, where known.
    pub payload_len: Option<u32>,
    /// Digest of its payload.
    pub digest: u64,
}

/// A subscriber whose filter matches, without a delivery in this capture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unseen {
    /// The client.
    pub client_id: Option<Box<[u8]>>,
    /// Its filter.
    pub filter: Box<[u8]>,
}

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
    /// Publications by server, topic and payload, oldest first.
    by_key: HashMap<(Endpoint, u64), VecDeque<u64>, RandomState>,
    /// The latest that set a retained message.
    retained: HashMap<(Endpoint, Box<[u8]>), u64>,
    subscribers: BTreeMap<u64, Subscriber>,
    /// Subscriptions of clients that keep their session, by server and client.
    sessions: HashMap<(Endpoint, Box<[u8]>), Vec<Filter>>,
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
    server: Endpoint,
    client_id: Option<Arc<[u8]>>,
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
            sessions: HashMap::new(),
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

    /// Takes what will not change any more.
    pub fn take_settled(
        &mut self,
    ) -> (
        impl Iterator<Item = Publication>,
        impl Iterator<Item = Unpublished>,
    ) {
        let settled = std::mem::take(&mut self.settled);
        self.first += settled as u64;
        (
            self.publications.drain(..settled),
            self.unpublished
                .as_mut()
                .into_iter()
                .flat_map(|all| all.drain(..)),
        )
    }

    /// Takes all publications: the capture has ended.
    pub fn take_rest(&mut self) -> impl Iterator<Item = Publication> {
        std::mem::take(&mut self.publications).into_iter()
    }

    /// The publications in the order of capture.
    pub fn publications(&self) -> impl Iterator<Item = &Publication> {
        self.publications.iter()
    }

    /// Keeps the publications that are selected: [`Self::select`].
    pub fn retain_selected(&mut self) {
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
        let number = frame.connection.number;
        let subscriber = self
            .subscribers
            .entry(number)
            .or_insert_with(|| Subscriber {
                server: frame.connection.server,
                client_id: None,
                since: frame.time,
                clean: false,
                filters: Vec::new(),
                latest: HashMap::new(),
                asked: Vec::new(),
            });
        if subscriber.client_id.is_none() {
            subscriber.client_id = frame.connection.client_id.as_deref().map(Into::into);
        }
        match (&frame.packet, frame.direction) {
            (ControlPacket::Connect(connect), Direction::Up) => {
                subscriber.clean = connect.clean_start().unwrap_or(true);
            }
            (ControlPacket::Connack(connack), Direction::Down) => {
                if connack.session_present(frame.version) == Some(true)
                    && let Some(id) = subscriber.client_id.as_deref()
                    && let Some(filters) = self.sessions.get(&(subscriber.server, id.into()))
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
            (ControlPacket::Publish(_), Direction::Up) => self.published(fact),
            (ControlPacket::Publish(_), Direction::Down) => self.delivered(fact),
            _ => {}
        }
    }

    fn published(&mut self, fact: &FrameFact<'_>) {
        let frame = fact.frame;
        let (ControlPacket::Publish(publish), Some(topic), Some(digest)) =
            (&frame.packet, fact.topic, frame.payload_digest)
        else {
            return;
        };
        let server = frame.connection.server;
        let key = key(topic, digest);
        // The same packet again is not another message.
        if frame.header.dup()
            && self.by_key.get(&(server, key)).is_some_and(|known| {
                known
                    .back()
                    .and_then(|at| self.at(*at))
                    .is_some_and(|known| {
                        known.client_id.as_deref() == frame.connection.client_id.as_deref()
                    })
            })
        {
            return;
        }
        if self.window() >= self.most {
            self.evict();
        }
        let number = self.first + self.publications.len() as u64;
        let unseen = self.expected(frame, topic);
        self.by_key
            .entry((server, key))
            .or_default()
            .push_back(number);
        if frame.header.retain() && self.retained.len() < limits::PUBLICATIONS {
            self.retained.insert((server, (**topic).into()), number);
        }
        let client_id = self.client_id(frame);
        self.publications.push_back(Publication {
            origin: Origin::of(fact),
            connection: frame.connection.number,
            packet: frame.last,
            time: frame.time,
            is_selected: !self.unselected,
            client_id,
            topic: topic.clone(),
            qos: frame.header.qos(),
            retain: frame.header.retain(),
            payload_len: publish.payload_len.unwrap_or(0),
            deliveries: Vec::new(),
            unseen,
            server,
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
            if subscriber.server == server {
                add(
                    subscriber.client_id.as_deref(),
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

    fn delivered(&mut self, fact: &FrameFact<'_>) {
        let frame = fact.frame;
        let (Some(topic), Some(digest)) = (fact.topic, frame.payload_digest) else {
            return;
        };
        let server = frame.connection.server;
        let connection = frame.connection.number;
        let key = key(topic, digest);
        let candidates: &VecDeque<u64> = match self.by_key.get(&(server, key)) {
            Some(found) => found,
            None => {
                self.foreign += u64::from(!self.unselected);
                self.unpublished(fact, topic, digest);
                return;
            }
        };
        let is_retained = frame.header.retain();
        let retained = self
            .retained
            .get(&(server, (**topic).into()))
            .copied()
            .filter(|number| is_retained && candidates.contains(number));
        let subscriber = self.subscribers.get(&connection);
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
        let fits = |number: &u64| {
            self.at(*number)
                .is_some_and(|publication| publication.qos >= frame.header.qos())
        };
        let next = candidates
            .range(begin..)
            .take(CANDIDATES)
            .copied()
            .find(fits);
        // Overlapping subscriptions bring the same again; queued messages are
        // older than the connection.
        let older = || {
            candidates
                .range(..begin)
                .rev()
                .take(CANDIDATES)
                .copied()
                .find(fits)
        };
        let number = retained.or(next).or_else(older);
        let matched = match candidates.len() {
            1 => Match::Exact,
            _ => Match::Ambiguous,
        };
        let Some(number) = number else {
            self.unpublished(fact, topic, digest);
            return;
        };
        if let Some(subscriber) = self.subscribers.get_mut(&connection)
            && subscriber.latest.len() < limits::PUBLICATIONS
        {
            subscriber.latest.insert(key, number);
        }
        let client_id = self.client_id(frame);
        let at = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let Some(publication) = self.publications.get_mut(at) else {
            return;
        };
        publication.is_selected |= !self.unselected;
        publication
            .unseen
            .retain(|unseen| unseen.client_id.as_deref() != client_id.as_deref());
        if publication.deliveries.len() >= limits::DELIVERIES {
            self.evicted += 1;
            return;
        }
        publication.deliveries.push(Delivery {
            origin: Origin::of(fact),
            connection,
            packet: frame.last,
            client_id,
            qos: frame.header.qos(),
            retained: is_retained,
            queued: !is_retained && since.is_some_and(|since| since > publication.time),
            time: frame.time.since(publication.time),
            matched,
        });
    }

    fn unpublished(&mut self, fact: &FrameFact<'_>, topic: &Topic, digest: u64) {
        let frame = fact.frame;
        let client_id = self.client_id(frame);
        let Some(all) = self.unpublished.as_mut().filter(|_| !self.unselected) else {
            return;
        };
        all.push(Unpublished {
            origin: Origin::of(fact),
            server: frame.connection.server,
            packet: frame.last,
            time: frame.time,
            client_id,
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

    /// The client of a frame.
    fn client_id(&self, frame: &MQTTFrame<'_>) -> Option<Arc<[u8]>> {
        self.subscribers
            .get(&frame.connection.number)?
            .client_id
            .clone()
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
        let key = (oldest.server, oldest.key);
        if let Some(numbers) = self.by_key.get_mut(&key) {
            numbers.pop_front();
            if numbers.is_empty() {
                self.by_key.remove(&key);
            }
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
        let Some(client_id) = subscriber.client_id else {
            return;
        };
        let key = (subscriber.server, (*client_id).into());
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

/// The key that distinguishes messages.
fn key(topic: &[u8], payload: u64) -> u64 {
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    topic.hash(&mut hasher);
    payload.hash(&mut hasher);
    hasher.finish()
}
