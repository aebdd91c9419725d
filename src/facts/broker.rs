//! Messages that pass through a server: publications, retained messages, wills, and
//! their deliveries.
//!
//! A delivery is matched with its publication by topic and payload. Only a unique match
//! counts. Servers can be configured, have plug-ins, and get messages from connections
//! that were not captured, so rules base at most warnings on it.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::rc::Rc;

use crate::frame::MQTTFrame;
use crate::limits;
use crate::mqtt::ControlPacket;
use crate::net::Endpoint;
use crate::time::Timestamp;

use super::delivered::Delivered;
use super::doubt::Doubt;
use super::frame_ref::FrameRef;
use super::properties as p;
use super::publication::{LeftWill, Publication};
use super::topic_tree::TopicTree;

/// Facts of a PUBLISH from a server.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its publication, if that is unique.
    pub publication: Option<Rc<Publication>>,
    /// There are several possible publications.
    pub ambiguous: bool,
    /// The latest of the deliveries of it on this connection before.
    pub before: Option<Timestamp>,
    /// A publication of the same topic, publisher and QoS that was delivered
    /// on this connection before, although it was published later.
    pub overtaken_by: Option<FrameRef>,
    /// The last message that was published to the topic with RETAIN 1; its payload is
    /// compared by `is_latest_retained`.
    pub retained: Option<Rc<Publication>>,
    /// Whether this is that message.
    pub is_latest_retained: bool,
    /// It is a cancelled will, and no client published it.
    pub unwanted_will: Option<UnwantedWill>,
    /// The connection of another member of the shared subscription, to which
    /// the message went before, and when.
    pub other_member: Option<(u64, Timestamp)>,
    /// The key of the message, like [`Publication::key`].
    pub key: u64,
    /// Why the server may have got this message without it being captured.
    pub missed: Doubt,
}

/// Why a will should not have been published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnwantedWill {
    /// Its client had sent DISCONNECT with 0x00.
    Disconnected(FrameRef),
    /// Its client reconnected before the Will Delay Interval was over.
    CameBack(FrameRef),
}

/// A will, from the CONNACK of its client on.
#[derive(Debug)]
struct KeptWill {
    publication: Rc<Publication>,
    client_id: Box<[u8]>,
    state: WillState,
}

/// When the delay of a will is over. A connection ends bit by bit, and no packet
/// shows when the server knew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct WillDue {
    /// At the earliest.
    pub(super) first: Timestamp,
    /// At the latest.
    pub(super) last: Timestamp,
}

/// State of a will.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WillState {
    /// Its connection is open.
    Pending,
    /// The end of its connection was not captured. Its client was there at this time.
    Unseen(Timestamp),
    /// It has to be published when its delay is over.
    Due(WillDue),
    /// It was delivered.
    Delivered,
    /// It must not be published.
    Unwanted(UnwantedWill),
}

/// The last message published to a topic with RETAIN 1.
#[derive(Clone, Debug)]
pub(super) struct Retained {
    pub(super) publication: Rc<Publication>,
    /// Time by which the server has certainly accepted it.
    pub(super) accepted: Option<Timestamp>,
}

impl Deref for Retained {
    type Target = Publication;

    fn deref(&self) -> &Publication {
        &self.publication
    }
}

/// A publication among those of its server.
#[derive(Debug)]
struct Kept {
    publication: Rc<Publication>,
    /// The previous one with the same key, which may have been evicted.
    previous: u64,
}

/// All servers. Beyond the limit, those are evicted that have had no publication for
/// longest.
#[derive(Debug, Default)]
pub(super) struct Brokers {
    places: HashMap<Endpoint, usize, foldhash::fast::FixedState>,
    all: Vec<OfServer>,
    /// The one that was asked for last.
    latest: usize,
    turns: u64,
    /// Number of evicted servers.
    pub(super) evicted: u64,
}

#[derive(Debug)]
struct OfServer {
    server: Endpoint,
    broker: Broker,
    /// When it was last asked for.
    turn: u64,
}

impl Brokers {
    pub(super) fn get(&self, server: Endpoint) -> Option<&Broker> {
        Some(&self.all[*self.places.get(&server)?].broker)
    }

    /// That of a server, to which something comes.
    pub(super) fn at(&mut self, server: Endpoint) -> &mut Broker {
        self.turns += 1;
        // Messages come in runs: 35 instructions less than looking it up each time.
        let is_latest = |of: &OfServer| of.server == server;
        if !self.all.get(self.latest).is_some_and(is_latest) {
            self.latest = self.find_or_insert(server);
        }
        let of = &mut self.all[self.latest];
        of.turn = self.turns;
        &mut of.broker
    }

    fn find_or_insert(&mut self, server: Endpoint) -> usize {
        if let Some(place) = self.places.get(&server) {
            return *place;
        }
        let new = OfServer {
            server,
            broker: Broker::default(),
            turn: self.turns,
        };
        let place = match self.all.len() < limits::SERVERS {
            true => {
                self.all.push(new);
                self.all.len() - 1
            }
            false => {
                let turns = self.all.iter().enumerate();
                let oldest = turns.min_by_key(|(_, of)| of.turn);
                let place = oldest.map_or(0, |(place, _)| place);
                self.places.remove(&self.all[place].server);
                self.evicted += 1;
                self.all[place] = new;
                place
            }
        };
        self.places.insert(server, place);
        place
    }
}

/// Messages of one server.
#[derive(Debug, Default)]
pub(super) struct Broker {
    /// In order of arrival.
    publications: VecDeque<Kept>,
    /// The latest of each key, and their number.
    by_key: HashMap<u64, (u64, u32), foldhash::fast::FixedState>,
    published: u64,
    /// One that was evicted and that nothing refers to, for its memory.
    spare: Option<Rc<Publication>>,
    /// Bytes of the publications.
    size: usize,
    retained: RetainedMessages,
    wills: HashMap<u64, Vec<KeptWill>, foldhash::fast::FixedState>,
    /// Keys of wills, the oldest first.
    will_order: VecDeque<u64>,
    /// Why it may have got messages that were not captured.
    pub(super) missed: Doubt,
}

/// The retained messages of a server, as far as captured.
#[derive(Debug, Default)]
struct RetainedMessages {
    places: HashMap<Box<[u8]>, u32, foldhash::fast::FixedState>,
    all: Vec<Option<Retained>>,
    topics: TopicTree<u32>,
    size: usize,
}

impl RetainedMessages {
    fn get(&self, topic: &[u8]) -> Option<&Retained> {
        self.all[*self.places.get(topic)? as usize].as_ref()
    }

    fn get_mut(&mut self, topic: &[u8]) -> Option<&mut Option<Retained>> {
        self.all.get_mut(*self.places.get(topic)? as usize)
    }

    fn set(&mut self, message: Retained) {
        let topic = &message.publication.topic[..];
        if let Some(known) = self.places.get(topic) {
            self.all[*known as usize] = Some(message);
            return;
        }
        let room = self.all.len() < limits::PUBLICATIONS
            && self.size < limits::PUBLICATION_BYTES
            && TopicTree::<u32>::takes(topic);
        if room {
            let at = self.all.len() as u32;
            self.size += topic.len();
            self.topics.insert(topic, at);
            self.places.insert(topic.into(), at);
            self.all.push(Some(message));
        }
    }
}

impl Broker {
    /// A client publishes; `key` is of topic and payload, and `released` means
    /// that PUBREL was sent before.
    pub(super) fn publish(&mut self, frame: &MQTTFrame<'_>, key: u64, released: bool) {
        let (ControlPacket::Publish(publish), Some(topic)) = (&frame.packet, frame.topic) else {
            return;
        };
        // A duplicate is not a second message.
        if frame.header.dup()
            && let Some((latest, _)) = self.by_key.get(&key)
        {
            if let Some(kept) = self.kept(*latest) {
                let publication = &kept.publication;
                let here = publication.seen.connection == frame.connection.number;
                match here && !released {
                    true => publication.resent.set(publication.resent.get() + 1),
                    false => publication.returned.set(true),
                }
            }
            return;
        }
        self.published += 1;
        // In the memory of an evicted one: 200 instructions less a PUBLISH.
        let mut publication = self.spare.take().unwrap_or_default();
        if let Some(this) = Rc::get_mut(&mut publication) {
            this.seen = FrameRef::of(frame);
            this.key = key;
            this.topic.clear();
            this.topic.extend_from_slice(topic.bytes());
            this.qos = frame.header.qos();
            this.retain = frame.header.retain();
            this.will = false;
            this.expiry = p::number(publish.properties, p::MESSAGE_EXPIRY);
            this.carried.replace(publish.properties);
            this.empty = publish.payload_len == Some(0);
            this.order = self.published;
            this.resent = Cell::new(0);
            this.returned = Cell::new(false);
            this.member = Cell::new(None);
        }
        self.add(publication);
    }

    fn add(&mut self, publication: Rc<Publication>) {
        if publication.retain {
            self.retained.set(Retained {
                publication: publication.clone(),
                accepted: None,
            });
        }
        self.size += publication.size();
        let (latest, count) = self.by_key.entry(publication.key).or_default();
        let previous = std::mem::replace(latest, publication.order);
        *count += 1;
        self.publications.push_back(Kept {
            publication,
            previous,
        });
        while self.publications.len() > limits::PUBLICATIONS
            || self.size > limits::PUBLICATION_BYTES
        {
            let Some(Kept {
                mut publication, ..
            }) = self.publications.pop_front()
            else {
                break;
            };
            self.size -= publication.size();
            if let Some((_, count)) = self.by_key.get_mut(&publication.key) {
                *count -= 1;
                if *count == 0 {
                    self.by_key.remove(&publication.key);
                }
            }
            if Rc::get_mut(&mut publication).is_some() {
                self.spare = Some(publication);
            }
        }
    }

    /// The server has answered a publication: it is accepted, or refused.
    pub(super) fn answered(&mut self, publication: &Publication, accepted: bool, at: Timestamp) {
        if let Some(slot) = self.retained.get_mut(&publication.topic)
            && let Some(message) = slot
            && message.seen == publication.seen
        {
            match accepted {
                true => message.accepted = Some(at),
                // The previous message stays retained, but is not kept.
                false => *slot = None,
            }
        }
    }

    /// A client with a will was accepted. It replaces the will of earlier connections,
    /// unless that may still be published.
    pub(super) fn will(&mut self, client_id: &[u8], publication: Publication) {
        let key = publication.key;
        if self.will_order.len() >= limits::PUBLICATIONS
            && let Some(oldest) = self.will_order.pop_front()
            && let Some(wills) = self.wills.get_mut(&oldest)
        {
            wills.remove(0);
            if wills.is_empty() {
                self.wills.remove(&oldest);
            }
        }
        let wills = self.wills.entry(key).or_default();
        let before = wills.len();
        wills.retain(|will| {
            *will.client_id != *client_id || matches!(will.state, WillState::Due(_))
        });
        let mut gone = before - wills.len();
        self.will_order.retain(|other| {
            let goes = gone > 0 && *other == key;
            gone -= usize::from(goes);
            !goes
        });
        wills.push(KeptWill {
            publication: Rc::new(publication),
            client_id: client_id.into(),
            state: WillState::Pending,
        });
        self.will_order.push_back(key);
    }

    /// State of the will of a CONNECT, and the will, if it is still kept.
    pub(super) fn set_will(
        &mut self,
        key: u64,
        connect: FrameRef,
        state: WillState,
    ) -> Option<Rc<Publication>> {
        let wills = self.wills.get_mut(&key)?;
        let will = wills
            .iter_mut()
            .find(|will| will.publication.seen == connect)?;
        will.state = state;
        let publication = will.publication.clone();
        if let WillState::Due(due) = state
            && publication.retain
        {
            self.retained.set(Retained {
                publication: publication.clone(),
                accepted: Some(due.last),
            });
        }
        Some(publication)
    }

    /// The connection of a will has ended but is still tracked.
    pub(super) fn is_due(&mut self, will: LeftWill, due: WillDue) {
        let kept = self.wills.get_mut(&will.key).into_iter().flatten();
        for kept in kept {
            if kept.publication.seen == will.connect && kept.state == WillState::Pending {
                kept.state = WillState::Due(due);
            }
        }
    }

    /// A client has reconnected to its session: the will of the previous connection,
    /// whose delay is not over, is not published. Returns whether there is one whose
    /// delay may not be over.
    pub(super) fn came_back(&mut self, connect: FrameRef, will: LeftWill) -> bool {
        let Some(wills) = self.wills.get_mut(&will.key) else {
            return false;
        };
        let waits = |kept: &&mut KeptWill| {
            kept.publication.seen == will.connect
                && matches!(kept.state, WillState::Due(due) if due.last > connect.time)
        };
        let Some(kept) = wills.iter_mut().find(waits) else {
            return false;
        };
        if matches!(kept.state, WillState::Due(due) if due.first > connect.time) {
            kept.state = WillState::Unwanted(UnwantedWill::CameBack(connect));
        }
        true
    }

    /// Wills that would replace what is retained for a topic, and were not seen to be due.
    pub(super) fn wills_to(&self, topic: &[u8]) -> impl Iterator<Item = (FrameRef, WillState)> {
        self.wills.values().flatten().filter_map(move |will| {
            let publication = &will.publication;
            let replaces = publication.retain && publication.topic == topic;
            let may_be = matches!(will.state, WillState::Pending | WillState::Unseen(_));
            (replaces && may_be).then_some((publication.seen, will.state))
        })
    }

    /// The publication of that PUBLISH.
    pub(super) fn find(&self, key: u64, seen: FrameRef) -> Option<Rc<Publication>> {
        let mut order = self.by_key.get(&key)?.0;
        while let Some(kept) = self.kept(order) {
            if kept.publication.seen == seen {
                return Some(kept.publication.clone());
            }
            order = kept.previous;
        }
        None
    }

    /// The topic of a message that was published, or is a will.
    pub(super) fn topic_of(&self, key: u64) -> Option<&[u8]> {
        let order = self.by_key.get(&key)?.0;
        Some(&self.kept(order)?.publication.topic)
    }

    /// The publication with this index, unless it was evicted.
    fn kept(&self, order: u64) -> Option<&Kept> {
        let first = self.publications.front()?.publication.order;
        self.publications
            .get(usize::try_from(order.checked_sub(first)?).ok()?)
    }

    /// A server delivers.
    pub(super) fn deliver(
        &mut self,
        frame: &MQTTFrame<'_>,
        key: u64,
        delivered: &mut Delivered,
    ) -> Delivery {
        let (latest, count) = self.by_key.get(&key).copied().unwrap_or_default();
        let mut wills = self.wills.get_mut(&key);
        let of_wills = wills.as_ref().map_or(0, |wills| wills.len());
        let mut unwanted_will = None;
        let publication = match (count, of_wills) {
            (1, 0) => self.kept(latest).map(|kept| kept.publication.clone()),
            // Whether the end of its connection was captured before or after.
            (0, 1) => wills.as_mut().and_then(|wills| {
                let will = &mut wills[0];
                match will.state {
                    WillState::Unwanted(why) => {
                        unwanted_will = Some(why);
                        return None;
                    }
                    WillState::Due(_) => will.state = WillState::Delivered,
                    WillState::Pending | WillState::Unseen(_) | WillState::Delivered => {}
                }
                Some(will.publication.clone())
            }),
            _ => None,
        };
        let retained = frame
            .topic
            .and_then(|topic| self.retained.get(topic.bytes()));
        let overtaken_by = publication.as_ref().and_then(|publication| {
            let live = !frame.header.retain() && !frame.header.dup() && !publication.will;
            live.then(|| delivered.in_order(publication)).flatten()
        });
        Delivery {
            ambiguous: count as usize + of_wills > 1,
            // One from before the publication was of another.
            before: delivered.again(key, frame).filter(|before| {
                let since = publication.as_ref().map(|it| it.seen.time);
                since.is_none_or(|since| *before >= since)
            }),
            overtaken_by,
            retained: retained.map(|retained| retained.publication.clone()),
            is_latest_retained: retained.is_some_and(|retained| retained.key == key),
            unwanted_will,
            other_member: None,
            key,
            missed: self.missed,
            publication,
        }
    }

    /// Up to `limit` retained messages whose topic matches a filter.
    pub(super) fn retained_by(&self, filter: &[u8], most: usize) -> Vec<&Retained> {
        let mut found = Vec::new();
        self.retained.topics.matched_by(filter, |at| {
            found.extend(self.retained.all[at as usize].as_ref());
            found.len() < most
        });
        found
    }
}
