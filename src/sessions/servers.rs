//! Facts across the connections of one server: an identifier that connects
//! again, a server that closes all of them at once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use crate::frame::Direction;
use crate::limits;
use crate::net::Endpoint;
use crate::time::Timestamp;

use super::close::MOMENT;
use super::evidence::Stop;

/// All servers of a capture. The table is limited by the connections that are
/// open, and by those that ended in the last seconds.
#[derive(Debug, Default)]
pub(super) struct Servers {
    servers: HashMap<Endpoint, Server>,
    /// The open connection of each client identifier.
    owners: HashMap<(Endpoint, Box<[u8]>), u64>,
}

#[derive(Debug, Default)]
struct Server {
    /// Open connections, with the time of their first control packet.
    open: BTreeMap<u64, Timestamp>,
    /// Connections that ended lately.
    ends: VecDeque<Ended>,
}

#[derive(Debug)]
struct Ended {
    opened: Timestamp,
    at: Timestamp,
    /// Whose FIN, RST or DISCONNECT came first.
    by: Option<Direction>,
}

impl Servers {
    /// A client connects. Returns the connection that had its identifier.
    pub(super) fn connect(
        &mut self,
        server: Endpoint,
        client_id: &[u8],
        connection: u64,
    ) -> Option<u64> {
        let before = self.owners.insert((server, client_id.into()), connection);
        before.filter(|before| *before != connection)
    }

    /// A connection carries its first control packet.
    pub(super) fn open(&mut self, server: Endpoint, connection: u64, now: Timestamp) {
        let server = self.servers.entry(server).or_default();
        server.open.entry(connection).or_insert(now);
    }

    /// A connection has ended, at the packet that one side closed it with.
    pub(super) fn close(
        &mut self,
        server: Endpoint,
        client_id: Option<&[u8]>,
        connection: u64,
        at: Timestamp,
        by: Option<Direction>,
    ) {
        if let Some(client_id) = client_id {
            let key = (server, client_id.into());
            if self.owners.get(&key) == Some(&connection) {
                self.owners.remove(&key);
            }
        }
        let Some(state) = self.servers.get_mut(&server) else {
            return;
        };
        let Some(opened) = state.open.remove(&connection) else {
            return;
        };
        state.ends.push_back(Ended { opened, at, by });
        let old = |ended: &Ended| at.since(ended.at) > Duration::from_secs(10);
        while state.ends.len() > limits::SERVER_ENDS || state.ends.front().is_some_and(old) {
            state.ends.pop_front();
        }
        if state.open.is_empty() && self.servers.len() > limits::SERVERS {
            self.servers.remove(&server);
        }
    }

    /// Whether the server closed all its connections within a moment of `at`. Asked
    /// when that moment is over.
    pub(super) fn stop(&self, server: Endpoint, at: Timestamp) -> Option<Stop> {
        let server = self.servers.get(&server)?;
        if server.open.values().any(|opened| *opened <= at) {
            return None;
        }
        let near = |time: Timestamp| time.since(at).max(at.since(time)) <= MOMENT;
        let ends = || server.ends.iter().filter(|ended| near(ended.at));
        let first = ends().map(|ended| ended.at).min()?;
        let last = ends().map(|ended| ended.at).max()?;
        // A stopped server accepts no connection; a client that leaves by itself has
        // to do with it only if it was asked to.
        let all = ends().all(|ended| ended.by == Some(Direction::Down) && ended.opened <= first);
        let connections = ends().count();
        (all && connections > 1).then(|| Stop {
            connections,
            within: last.since(first),
        })
    }
}
