//! [`SessionStarts`]: when the session of each client began, for its identity.
//!
//! CONNECT and CONNACK decide whether a connection begins a session or resumes one.
//! A session is known by the CONNECT that began it, or, if the capture has no
//! beginning of it, by its first CONNECT in the capture.

use std::collections::{HashMap, VecDeque};

use crate::frame::{Connection, Direction};
use crate::identity;
use crate::limits;
use crate::mqtt::{ControlPacket, Version};
use crate::net::Endpoint;
use crate::time::Timestamp;

/// A CONNECT that was not answered yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    /// When.
    time: Timestamp,
    /// Clean Start, or Clean Session.
    clean: bool,
}

/// The latest session of each client.
#[derive(Debug, Default)]
pub(crate) struct SessionStarts {
    starts: HashMap<Key, Start, foldhash::fast::FixedState>,
    /// In the order in which they were first accepted.
    order: VecDeque<Key>,
}

type Key = (Endpoint, Box<[u8]>);

#[derive(Clone, Copy, Debug)]
struct Start {
    at: Timestamp,
    /// It may outlive its connection.
    lasts: bool,
}

impl SessionStarts {
    /// A control packet of a connection, which may decide to which session it belongs.
    /// `attempt` is that of the connection, `time` when the packet was complete.
    pub(crate) fn follow(
        &mut self,
        connection: &mut Connection,
        attempt: &mut Option<Attempt>,
        (direction, packet, version, time): (Direction, &ControlPacket<'_>, Version, Timestamp),
    ) {
        match (packet, direction) {
            (ControlPacket::Connect(connect), Direction::Up) => {
                let clean = connect.clean_start().unwrap_or(true);
                *attempt = Some(Attempt { time, clean });
                // A session that was not resumed is known before CONNACK, unless the
                // server chooses the identifier.
                if clean && let Some(id) = &connection.client_id {
                    let uid = identity::session_uid(connection.server, connection.client, id, time);
                    connection.session_uid = Some(uid.into());
                }
            }
            (ControlPacket::Connack(connack), Direction::Down) => {
                match (attempt.take(), connack.code) {
                    (Some(attempt), None | Some(0)) => {
                        self.belongs(connection, attempt, connack.session_present(version));
                    }
                    (Some(_), Some(_)) => connection.session_uid = None,
                    (None, _) => {}
                }
            }
            // The CONNACK was not captured.
            (_, Direction::Down) => {
                if let Some(attempt) = attempt.take() {
                    self.belongs(connection, attempt, None);
                }
            }
            _ => {}
        }
    }

    fn belongs(&mut self, connection: &mut Connection, attempt: Attempt, present: Option<bool>) {
        let client_id = connection.client_id.as_deref().unwrap_or_default();
        let started = self.accepted(connection.server, client_id, attempt, present);
        let uid = identity::session_uid(connection.server, connection.client, client_id, started);
        connection.session_uid = Some(uid.into());
    }

    /// The server has accepted a client. Returns when its session began.
    /// `present` is Session Present of the CONNACK, where known.
    fn accepted(
        &mut self,
        server: Endpoint,
        client_id: &[u8],
        attempt: Attempt,
        present: Option<bool>,
    ) -> Timestamp {
        if client_id.is_empty() {
            return attempt.time;
        }
        let key = (server, client_id.into());
        let known = self.starts.get(&key);
        let resumed = known.filter(|start| match present {
            _ if attempt.clean => false,
            Some(present) => present,
            None => start.lasts,
        });
        let start = Start {
            at: resumed.map_or(attempt.time, |start| start.at),
            lasts: !attempt.clean,
        };
        if known.is_none() {
            if self.order.len() >= limits::SESSIONS
                && let Some(oldest) = self.order.pop_front()
            {
                self.starts.remove(&oldest);
            }
            self.order.push_back(key.clone());
        }
        self.starts.insert(key, start);
        start.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Endpoint = Endpoint {
        addr: std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 1, 1)),
        port: 1883,
    };

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_parts(seconds, 0)
    }

    fn attempt(seconds: i64, clean: bool) -> Attempt {
        Attempt {
            time: time(seconds),
            clean,
        }
    }

    #[test]
    fn session_present_decides() {
        let mut starts = SessionStarts::default();
        let mut accepted = |seconds, clean, present| {
            starts.accepted(SERVER, b"a", attempt(seconds, clean), present)
        };
        assert_eq!(accepted(1, false, Some(false)), time(1));
        assert_eq!(accepted(2, false, Some(true)), time(1));
        assert_eq!(accepted(3, false, Some(false)), time(3));
        assert_eq!(accepted(4, true, Some(false)), time(4));
        // MQTT 3.1 has no such flag: a clean session did not last.
        assert_eq!(accepted(5, false, None), time(5));
        assert_eq!(accepted(6, false, None), time(5));
        // One that began before the capture.
        assert_eq!(
            starts.accepted(SERVER, b"b", attempt(7, false), Some(true)),
            time(7)
        );
    }

    #[test]
    fn their_number_is_limited() {
        let mut starts = SessionStarts::default();
        for number in 0..=limits::SESSIONS {
            let id = number.to_be_bytes();
            starts.accepted(SERVER, &id, attempt(1, false), Some(false));
        }
        assert_eq!(starts.starts.len(), limits::SESSIONS);
    }
}
