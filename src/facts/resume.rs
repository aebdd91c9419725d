//! Determines the session of a connection, and what it resumes.

use crate::frame::Direction;

use super::connection::ConnectionFacts;
use super::doubt::Reason;
use super::publication::LeftWill;
use super::session::{Key, Latest, Session};
use super::{Analysis, FrameRef};

impl Analysis {
    /// A CONNECT: which session is it?
    pub(super) fn opened(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(number) else {
            return;
        };
        let Some(opening) = connection.opening.as_deref() else {
            return;
        };
        let whole = connection.any_doubt().is_none() && opening.whole;
        let clean_start = opening.clean_start;
        let mut session = Session::default();
        if !opening.client_id.is_empty() {
            let key = Key {
                server: connection.server,
                client_id: opening.client_id.clone(),
                username: opening.username.clone(),
            };
            session = self.sessions.take(&key).unwrap_or_default();
            connection.key = Some(key.clone());
            // An older connection is still open, or its end was not captured
            // yet: from here on the session belongs to this one.
            if let Some(older) = self
                .live
                .get(&key)
                .copied()
                .filter(|older| *older != number)
                && let Some(older) = self.connections.get_mut(older)
            {
                older.successor = Some(number);
                session = older.hand_over();
            }
            if let Some(earlier) = session.earlier.as_deref() {
                let sessions = &self.sessions;
                session.elsewhere |= sessions.was_elsewhere(&key.client_id, earlier.number)
                    || sessions.has_unnamed(key.server, earlier.ended);
            }
        }
        if clean_start {
            session.discard();
        }
        session.resume();
        if let Some(connection) = self.connections.get_mut(number) {
            let latest = connection
                .key
                .as_ref()
                .and_then(|key| self.sessions.address_of(key));
            connection.other_address = latest.filter(|latest| *latest != connection.client.addr);
            if !whole {
                session.doubt_past(connection.any_doubt().unwrap_or(Reason::Gap));
            }
            connection.session = session;
        }
    }

    /// A CONNACK: the session may be another, and an older connection of it
    /// over.
    pub(super) fn accepted(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(number) else {
            return;
        };
        let Some(accepted) = connection.accepted() else {
            return;
        };
        let seen = accepted.seen;
        let session_present = accepted.session_present;
        if session_present == Some(false) {
            connection.session.server_has_none(number);
        }
        let queued = std::mem::take(&mut connection.session.queued);
        connection.delivered.resume(queued, seen.time);
        let earlier = connection.session.earlier.as_deref();
        let will = earlier.and_then(|earlier| earlier.will);
        if let Some(key) = connection.key.clone() {
            let latest = Latest {
                connection: number,
                server: key.server,
                address: connection.client.addr,
            };
            self.sessions.connected(&key.client_id, latest);
            if let Some(older) = self.live.insert(key, number)
                && older != number
                && let Some(older) = self.connections.get_mut(older)
            {
                older.taken_over(seen);
            }
        }
        self.keep_will(number);
        if session_present == Some(true)
            && let Some(will) = will
            && will.delayed
        {
            self.came_back(number, will);
        }
    }

    /// A client has reconnected to its session: a will whose delay is not over is not
    /// published.
    fn came_back(&mut self, number: u64, will: LeftWill) {
        let Some(connection) = self.connections.get(number) else {
            return;
        };
        let Some(opening) = connection.opening.as_deref() else {
            return;
        };
        let seen = opening.seen;
        let server = connection.server;
        // Its earlier connection may linger, although it was seen to end.
        let due = self
            .connections
            .get(will.connect.connection)
            .and_then(|earlier| {
                let opening = earlier.opening.as_deref()?;
                let (_, end) = earlier.left()?;
                let orderly = matches!(earlier.disconnect[Direction::Up], Some((_, 0)));
                let left = opening.whole_will().filter(|_| !orderly)?;
                Some(earlier.will_due(opening, left, end))
            });
        let broker = self.brokers.at(server);
        if let Some(due) = due {
            broker.is_due(will, due);
        }
        if broker.came_back(seen, will) {
            for connection in self.connections.iter_mut() {
                connection.delivered.forget_will(will.connect);
            }
        }
    }

    /// The CONNECT with which another connection has resumed the session, before
    /// this one ended.
    pub(super) fn resumed_by(&self, connection: &ConnectionFacts) -> Option<FrameRef> {
        let next = self.connections.get(connection.successor?)?;
        let resumed = next.accepted()?.session_present == Some(true);
        let opening = next.opening.as_ref()?;
        resumed.then_some(opening.seen)
    }
}

impl ConnectionFacts {
    /// State of its will when its client reconnects.
    pub(super) fn left_will(&self) -> Option<LeftWill> {
        let opening = self.opening.as_deref()?;
        let will = opening.whole_will()?;
        Some(LeftWill {
            connect: opening.seen,
            key: will.key(),
            delayed: will.delay > 0,
        })
    }
}
