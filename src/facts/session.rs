//! Sessions: state that outlives a connection.
//!
//! A connection owns the state of its session while it is open; between connections it
//! is kept in [`Sessions`], by server, Client Identifier and user name (tenants of one
//! server may share identifiers). Evidence from an earlier connection is never proof,
//! because nothing on the wire shows that every connection of a client was captured.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::frame::{Direction, PerDirection};
use crate::limits;
use crate::net::Endpoint;
use crate::time::Timestamp;

use super::delivered::Expected;
use super::doubt::{Doubt, Reason};
use super::exchange::IdSpace;
use super::publication::LeftWill;
use super::publication::Publication;
use super::subscriptions::Subscriptions;

/// State of a session, as far as captured.
#[derive(Debug, Default)]
pub struct Session {
    /// Messages in flight, by the direction of the PUBLISH packets.
    spaces: PerDirection<IdSpace>,
    /// Its subscriptions.
    pub subscriptions: Subscriptions,
    /// The connection before this one.
    pub earlier: Option<Box<Earlier>>,
    /// The client was connected to another server in between, or with another
    /// user name; or a client was that may be the same, because its CONNECT was not
    /// captured.
    pub elsewhere: bool,
    /// Messages published for it and not delivered.
    pub(super) queued: Vec<Expected>,
    /// Why they may have been delivered on the earlier connection.
    pub(super) queued_doubt: Doubt,
}

/// Facts about the session's previous connection.
#[derive(Clone, Copy, Debug)]
pub struct Earlier {
    /// Its number.
    pub number: u64,
    /// When it ended.
    pub ended: Timestamp,
    /// The session could not outlive it: Clean Session (3.x), or a Session
    /// Expiry Interval of 0 (5.0).
    pub session_ended: bool,
    /// Session Expiry Interval in seconds; `None` for no expiry.
    pub expiry: Option<u32>,
    /// The server has set that, in CONNACK.
    pub expiry_by_server: bool,
    /// The packets that determine when the session ends were captured completely. If not,
    /// it has not ended and does not expire, as far as known.
    pub whole: bool,
    /// For how long after that the server may not have noticed.
    pub noticing: Duration,
    /// Whether each direction was captured completely, from the start of the session to
    /// the end of the stream.
    pub complete: PerDirection<bool>,
    /// It was open when the session's next connection started.
    pub taken_over: bool,
    /// The server ended it, and may have been restarted; or its end was not captured.
    pub dropped_by_server: bool,
    /// Its will.
    pub(super) will: Option<LeftWill>,
}

impl Session {
    /// Whether it could not outlive its latest connection.
    fn is_over(&self) -> bool {
        let earlier = self.earlier.as_deref();
        earlier.is_some_and(|earlier| earlier.session_ended)
    }

    /// Number of its subscriptions and exchanges, as a measure of its size.
    fn weight(&self) -> usize {
        self.spaces.iter().map(IdSpace::weight).sum::<usize>() + self.subscriptions.len()
    }

    /// Messages in flight of the PUBLISH packets in this direction.
    pub fn space(&self, direction: Direction) -> &IdSpace {
        &self.spaces[direction]
    }

    pub(super) fn space_mut(&mut self, direction: Direction) -> &mut IdSpace {
        &mut self.spaces[direction]
    }

    /// Its state was discarded.
    pub(super) fn discard(&mut self) {
        self.spaces.iter_mut().for_each(IdSpace::reset);
        self.subscriptions = Subscriptions::default();
        self.queued.clear();
        self.elsewhere = false;
    }

    /// A new connection of it starts.
    pub(super) fn resume(&mut self) {
        self.spaces.iter_mut().for_each(IdSpace::carry);
    }

    /// The server has no state of it.
    pub(super) fn server_has_none(&mut self, connection: u64) {
        let tainted = self.spaces[Direction::Down].past;
        self.spaces[Direction::Down].reset();
        self.spaces[Direction::Down].past = tainted;
        // A client need not wait for CONNACK to subscribe.
        self.subscriptions.keep_only(connection);
        self.queued.clear();
    }

    /// Whether a message matches one of its subscriptions, so that a delivery
    /// is expected: not if it may be for another member of a shared one.
    pub(super) fn should_get(&self, publication: &Publication, own: bool) -> bool {
        if publication.qos == 0 || publication.expiry.is_some() {
            return false;
        }
        let mut good = false;
        for place in self.subscriptions.matching(&publication.topic) {
            let subscription = self.subscriptions.at(place);
            let no_local = own && subscription.options & 4 != 0;
            let granted = subscription.current.is_some_and(|granted| granted > 0);
            if !no_local && !subscription.shared && granted {
                good |= subscription.was_settled_before(publication.seen);
            }
        }
        good
    }

    /// The end of its previous connection became known late.
    pub(super) fn doubt_carried(&mut self, reason: Reason) {
        for space in &mut self.spaces {
            space.taint_carried(reason);
        }
    }

    /// The capture lacks bytes of its previous connection, as became known late.
    pub(super) fn doubt_queued(&mut self, doubt: Doubt) {
        self.queued_doubt = self.queued_doubt.or(doubt);
    }

    /// It may have earlier state that was not captured.
    pub(super) fn doubt_past(&mut self, reason: Reason) {
        for space in &mut self.spaces {
            space.past.get_or_insert(reason);
        }
        self.subscriptions.past.get_or_insert(reason);
    }
}

/// Key of a session.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key {
    pub(super) server: Endpoint,
    pub(super) client_id: Box<[u8]>,
    pub(super) username: Option<Box<[u8]>>,
}

/// The latest connection of a Client Identifier.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latest {
    pub(super) connection: u64,
    pub(super) server: Endpoint,
    pub(super) address: IpAddr,
}

/// Connections without a CONNECT that are known of each server: later ones matter most.
const UNNAMED: usize = 16;

/// Sessions without a connection.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    resting: HashMap<Key, Session>,
    order: VecDeque<Key>,
    /// Their total size: see [`Session::weight`].
    weight: usize,
    /// The latest connection of each Client Identifier, for any server and user name.
    latest: HashMap<Box<[u8]>, Latest, foldhash::fast::FixedState>,
    /// The latest connections to each server of which no CONNECT was captured, and when they
    /// started.
    unnamed: HashMap<Endpoint, BTreeMap<u64, Timestamp>, foldhash::fast::FixedState>,
    /// Number of evicted sessions.
    pub(super) evicted: u64,
}

impl Sessions {
    pub(super) fn take(&mut self, key: &Key) -> Option<Session> {
        let session = self.resting.remove(key)?;
        self.weight -= session.weight();
        Some(session)
    }

    /// Whether a client was connected elsewhere after the earlier connection of
    /// its session.
    pub(super) fn was_elsewhere(&self, client_id: &[u8], earlier: u64) -> bool {
        let latest = self.latest.get(client_id);
        latest.is_some_and(|latest| earlier != latest.connection)
    }

    /// A connection without a captured CONNECT, or with one that is captured late: its
    /// client may be any.
    pub(super) fn unnamed(&mut self, server: Endpoint, number: u64, started: Timestamp) {
        if self.unnamed.len() >= limits::SERVERS && !self.unnamed.contains_key(&server) {
            return;
        }
        let latest = self.unnamed.entry(server).or_default();
        latest.insert(number, started);
        if latest.len() > UNNAMED {
            latest.pop_first();
        }
    }

    /// Its CONNECT was captured.
    pub(super) fn named(&mut self, server: Endpoint, number: u64) {
        if let Some(latest) = self.unnamed.get_mut(&server) {
            latest.remove(&number);
        }
    }

    /// Whether a client without a captured CONNECT has connected since then.
    pub(super) fn has_unnamed(&self, server: Endpoint, since: Timestamp) -> bool {
        let latest = self.unnamed.get(&server);
        latest.is_some_and(|latest| latest.values().any(|started| *started >= since))
    }

    /// The address from which a server last accepted a Client Identifier.
    pub(super) fn address_of(&self, key: &Key) -> Option<IpAddr> {
        let latest = self.latest.get(&key.client_id)?;
        (latest.server == key.server).then_some(latest.address)
    }

    /// A client was accepted.
    pub(super) fn connected(&mut self, client_id: &[u8], connection: Latest) {
        if let Some(latest) = self.latest.get_mut(client_id) {
            *latest = connection;
        } else if self.latest.len() < limits::SESSIONS {
            self.latest.insert(client_id.into(), connection);
        }
    }

    /// Those without a connection, in no order.
    pub(super) fn resting(&mut self) -> impl ExactSizeIterator<Item = (&Key, &mut Session)> {
        self.resting.iter_mut()
    }

    /// Evicts the sixteenth part, those without a connection for longest. Returns how
    /// many that were.
    pub(super) fn make_room(&mut self) -> u64 {
        let before = self.resting.len();
        let left = before - before.div_ceil(16);
        while self.resting.len() > left && self.evict_oldest() {}
        (before - self.resting.len()) as u64
    }

    /// Whether there was one.
    fn evict_oldest(&mut self) -> bool {
        let Some(oldest) = self.order.pop_front() else {
            return false;
        };
        // If it ended with its connection, nothing is lost.
        let lost = self.take(&oldest).is_some_and(|session| !session.is_over());
        self.evicted += u64::from(lost);
        true
    }

    pub(super) fn keep(&mut self, key: Key, session: Session) {
        self.weight += session.weight();
        if let Some(before) = self.resting.insert(key.clone(), session) {
            self.weight -= before.weight();
        }
        self.order.push_back(key);
        while (self.resting.len() > limits::SESSIONS || self.weight > limits::SESSION_ITEMS)
            && self.evict_oldest()
        {}
        if self.order.len() > 2 * limits::SESSIONS {
            // Sessions that were resumed occur more than once.
            let mut once = HashSet::new();
            let resting = &self.resting;
            self.order
                .retain(|key| resting.contains_key(key) && once.insert(key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(client: u8) -> Key {
        Key {
            server: Endpoint {
                addr: IpAddr::from([10, 0, 1, 1]),
                port: 1883,
            },
            client_id: [client].into(),
            username: None,
        }
    }

    #[test]
    fn sessions_with_too_many_subscriptions_make_room() {
        let mut sessions = Sessions {
            // Those of other sessions.
            weight: limits::SESSION_ITEMS - 25,
            ..Sessions::default()
        };
        let session = || Session {
            subscriptions: Subscriptions::some(10),
            ..Session::default()
        };
        sessions.keep(key(1), session());
        sessions.keep(key(2), session());
        assert_eq!((sessions.resting.len(), sessions.evicted), (2, 0));
        sessions.keep(key(3), session());
        assert_eq!((sessions.resting.len(), sessions.evicted), (2, 1));
        assert!(sessions.take(&key(1)).is_none());
        assert!(sessions.take(&key(2)).is_some() && sessions.take(&key(3)).is_some());
    }
}
