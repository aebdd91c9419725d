//! Sessions: what outlives a connection.
//!
//! A connection owns the state of its session while it is open; between
//! connections it rests in [`Sessions`], under server, Client Identifier and
//! user name (tenants of one server may share identifiers). What it says about
//! an earlier connection is never proof, because nothing on the wire shows
//! that every connection of a client was captured.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::frame::{Direction, PerDirection};
use crate::limits;
use crate::mqtt::topic;
use crate::net::Endpoint;
use crate::time::Timestamp;

use super::doubt::{Doubt, Reason};
use super::exchange::IdSpace;
use super::request::Request;
use super::seen::Seen;

/// What belongs to a session, as far as it was seen.
#[derive(Debug, Default)]
pub struct Session {
    /// What is in flight, by the direction of the PUBLISH packets.
    spaces: PerDirection<IdSpace>,
    /// Its subscriptions.
    pub subscriptions: Subscriptions,
    /// The connection before this one.
    pub earlier: Option<Earlier>,
}

/// What is known of the session's previous connection.
#[derive(Clone, Copy, Debug)]
pub struct Earlier {
    /// Its number.
    pub number: u64,
    /// When it ended.
    pub ended: Timestamp,
    /// The session could not outlive it: Clean Session (3.x), or a Session
    /// Expiry Interval of 0 (5.0).
    pub session_ended: bool,
    /// Seconds that the session was to outlive it; `None` for ever.
    pub expiry: Option<u32>,
    /// Whether all of it was captured.
    pub complete: bool,
}

impl Session {
    /// Whether it could not outlive its latest connection.
    fn is_over(&self) -> bool {
        self.earlier.is_some_and(|earlier| earlier.session_ended)
    }

    /// Subscriptions and exchanges that it holds, as a measure of its size.
    fn weight(&self) -> usize {
        self.spaces.iter().map(IdSpace::weight).sum::<usize>() + self.subscriptions.len()
    }

    /// What is in flight of the PUBLISH packets that go this way.
    pub fn space(&self, direction: Direction) -> &IdSpace {
        &self.spaces[direction]
    }

    pub(super) fn space_mut(&mut self, direction: Direction) -> &mut IdSpace {
        &mut self.spaces[direction]
    }

    pub(super) fn spaces_mut(&mut self) -> &mut PerDirection<IdSpace> {
        &mut self.spaces
    }

    /// Everything of it was discarded.
    pub(super) fn discard(&mut self) {
        self.spaces.iter_mut().for_each(IdSpace::reset);
        self.subscriptions = Subscriptions::default();
    }

    /// A new connection of it begins.
    pub(super) fn resume(&mut self) {
        self.spaces.iter_mut().for_each(IdSpace::carry);
    }

    /// The server has nothing of it.
    pub(super) fn server_has_none(&mut self, connection: u64) {
        let tainted = self.spaces[Direction::Down].past;
        self.spaces[Direction::Down].reset();
        self.spaces[Direction::Down].past = tainted;
        // A client need not wait for CONNACK to subscribe.
        let here = |s: &Subscription| s.since.connection == connection;
        self.subscriptions.exact.retain(|_, s| here(s));
        self.subscriptions.wild.retain(here);
    }

    /// The end of its previous connection came to be known late.
    pub(super) fn doubt_carried(&mut self, reason: Reason) {
        for space in &mut self.spaces {
            space.taint_carried(reason);
        }
    }

    /// It may have a past that was not seen.
    pub(super) fn doubt_past(&mut self, reason: Reason) {
        for space in &mut self.spaces {
            space.past.get_or_insert(reason);
        }
        self.subscriptions.past.get_or_insert(reason);
    }
}

/// The Topic Filters a client subscribed to.
#[derive(Debug, Default)]
pub struct Subscriptions {
    exact: HashMap<Box<[u8]>, Subscription>,
    wild: Vec<Subscription>,
    /// Why there may be others.
    pub past: Doubt,
}

/// A subscription that is, or was.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The Topic Filter, without a share name.
    pub filter: Box<[u8]>,
    /// Whether it is (5.0) a shared one.
    pub shared: bool,
    /// Subscription Options of its latest SUBSCRIBE.
    pub options: u8,
    /// Highest QoS that was ever granted; `None` while SUBACK is to come.
    pub granted: Option<u8>,
    /// Subscription Identifiers it had, the latest last.
    pub ids: Vec<u32>,
    /// Its latest SUBSCRIBE.
    pub since: Seen,
    /// The UNSUBACK that ended it.
    pub until: Option<Seen>,
    /// The server refused it.
    pub refused: bool,
}

impl Subscriptions {
    /// Those that match a topic, ended ones included.
    pub fn matching<'a>(&'a self, topic: &'a [u8]) -> impl Iterator<Item = &'a Subscription> {
        let wild = self.wild.iter();
        self.exact
            .get(topic)
            .into_iter()
            .chain(wild.filter(move |s| topic::matches(&s.filter, topic)))
    }

    /// All of them, ended ones included.
    pub fn all(&self) -> impl Iterator<Item = &Subscription> {
        self.exact.values().chain(&self.wild)
    }

    pub(super) fn len(&self) -> usize {
        self.exact.len() + self.wild.len()
    }

    fn find(&mut self, filter: &[u8]) -> Option<&mut Subscription> {
        if topic::check_wildcards(filter).is_ok() {
            return self.exact.get_mut(filter);
        }
        self.wild.iter_mut().find(|s| *s.filter == *filter)
    }

    pub(super) fn subscribe(&mut self, request: &Request, v5: bool) {
        for (filter, options) in &request.filters {
            let (bare, shared) = bare(filter, v5);
            if topic::check_filter(filter, v5).is_err() {
                continue;
            }
            if let Some(known) = self.find(bare) {
                known.options = *options;
                known.since = request.seen;
                known.until = None;
                known.shared |= shared;
                known.ids.extend(request.subscription_id);
                continue;
            }
            if self.len() >= limits::SUBSCRIPTIONS {
                self.past.get_or_insert(Reason::Bound);
                return;
            }
            let new = Subscription {
                filter: bare.into(),
                shared,
                options: *options,
                granted: None,
                ids: request.subscription_id.into_iter().collect(),
                since: request.seen,
                until: None,
                refused: false,
            };
            if topic::check_wildcards(bare).is_ok() {
                self.exact.insert(bare.into(), new);
            } else {
                self.wild.push(new);
            }
        }
    }

    pub(super) fn granted(&mut self, request: &Request, codes: &[u8], v5: bool) {
        for ((filter, _), &code) in request.filters.iter().zip(codes) {
            if let Some(known) = self.find(bare(filter, v5).0) {
                if code <= 2 {
                    known.granted = known.granted.max(Some(code));
                    known.refused = false;
                } else if known.granted.is_none() {
                    known.refused = true;
                }
            }
        }
    }

    pub(super) fn unsubscribed(&mut self, request: &Request, by: Seen, v5: bool) {
        for (filter, _) in &request.filters {
            if let Some(known) = self.find(bare(filter, v5).0) {
                known.until = Some(by);
            }
        }
    }
}

/// The filter without a share name, and whether it had one.
fn bare(filter: &[u8], v5: bool) -> (&[u8], bool) {
    match topic::shared(filter).filter(|_| v5) {
        Some((_, filter)) => (filter, true),
        None => (filter, false),
    }
}

/// What a session is known by.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key {
    pub(super) server: Endpoint,
    pub(super) client_id: Box<[u8]>,
    pub(super) username: Option<Box<[u8]>>,
}

/// Sessions whose connection has ended.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    resting: HashMap<Key, Session>,
    order: VecDeque<Key>,
    /// What they hold: see [`Session::weight`].
    weight: usize,
    /// How many were forgotten.
    pub(super) forgotten: u64,
}

impl Sessions {
    pub(super) fn take(&mut self, key: &Key) -> Option<Session> {
        let session = self.resting.remove(key)?;
        self.weight -= session.weight();
        Some(session)
    }

    pub(super) fn keep(&mut self, key: Key, session: Session) {
        self.weight += session.weight();
        if let Some(before) = self.resting.insert(key.clone(), session) {
            self.weight -= before.weight();
        }
        self.order.push_back(key);
        while (self.resting.len() > limits::SESSIONS || self.weight > limits::SESSION_ITEMS)
            && let Some(oldest) = self.order.pop_front()
        {
            // Of one that ended with its connection, nothing is lost.
            let lost = self.take(&oldest).is_some_and(|session| !session.is_over());
            self.forgotten += u64::from(lost);
        }
        if self.order.len() > 2 * limits::SESSIONS {
            // Those that were taken again stand in it more than once.
            let mut once = HashSet::new();
            let resting = &self.resting;
            self.order
                .retain(|key| resting.contains_key(key) && once.insert(key.clone()));
        }
    }
}
