//! Identities that do not depend on the run: the same for every order and every cut of
//! the files of a capture, on every machine.
//!
//! | identity | form |
//! |---|---|
//! | connection | [Community ID](https://github.com/corelight/community-id-spec) 1.0 of the addresses and ports, `-`, time of the SYN or of the first packet |
//! | session | digest of server and client identifier, `-`, time of the CONNECT that began it |
//! | exchange | connection, `-`, direction of its first packet, `-`, Packet Identifier, `-`, number of that packet in its direction |
//!
//! ```text
//! 1:LQU9qZlK+B5F3KDmev6m5PMibrg=-1403000000.104511000
//! s:8SjYZ0XvW2eK4q1m9C0y5sUo6bE=-1403000000.104820000
//! 1:LQU9qZlK+B5F3KDmev6m5PMibrg=-1403000000.104511000-up-7-3
//! ```
//! The parts of an identity have no `-` themselves. A session of which the capture has
//! no beginning counts from its first CONNECT in the capture.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::direction::Direction;
use crate::net::Endpoint;
use crate::time::Timestamp;

/// What distinguishes a connection from all others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnectionId {
    /// The side that opened it.
    pub client: Endpoint,
    /// The other side.
    pub server: Endpoint,
    /// Time of the SYN, or of the first packet.
    pub started: Timestamp,
}

impl ConnectionId {
    /// Its text.
    pub fn uid(&self) -> String {
        let hash = community_id(self.client, self.server);
        with_start(&format!("1:{hash}"), self.started)
    }
}

/// What distinguishes an exchange from the others of its connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ExchangeId {
    /// Direction of its first packet.
    pub direction: Direction,
    /// Its Packet Identifier; 0 if it has none.
    pub packet_id: u16,
    /// [Number](crate::frame::MQTTFrame::number) of its first packet in that direction.
    pub number: u64,
}

impl ExchangeId {
    /// Its text, on the connection with this identity.
    pub fn uid(&self, connection_uid: &str) -> String {
        let Self {
            direction,
            packet_id,
            number,
        } = self;
        format!("{connection_uid}-{}-{packet_id}-{number}", direction.name())
    }
}

/// A digest of an identity, for formats whose identities have a fixed length.
pub fn digest(identity: &[u8]) -> [u8; 20] {
    Sha1::digest(identity).into()
}

/// The text of a session: of the client `client_id` of `server`, begun by a CONNECT at
/// `started`. Without a client identifier it is distinguished by the address of the
/// client.
pub fn session_uid(
    server: Endpoint,
    client: Endpoint,
    client_id: &[u8],
    started: Timestamp,
) -> String {
    let mut hash = Sha1::new();
    endpoint(&mut hash, server);
    match client_id {
        [] => endpoint(&mut hash, client),
        id => hash.update(id),
    }
    with_start(&format!("s:{}", STANDARD.encode(hash.finalize())), started)
}

fn with_start(what: &str, started: Timestamp) -> String {
    format!("{what}-{}.{:09}", started.seconds(), started.subsec_nanos())
}

fn endpoint(hash: &mut Sha1, endpoint: Endpoint) {
    address(hash, endpoint.addr);
    hash.update(endpoint.port.to_be_bytes());
}

fn address(hash: &mut Sha1, address: IpAddr) {
    match address {
        IpAddr::V4(addr) => hash.update(addr.octets()),
        IpAddr::V6(addr) => hash.update(addr.octets()),
    }
}

/// The hash of the Community ID 1.0 of a TCP flow, with seed 0: the same for both
/// directions.
fn community_id(one: Endpoint, other: Endpoint) -> String {
    let (low, high) = match (one.addr, one.port) <= (other.addr, other.port) {
        true => (one, other),
        false => (other, one),
    };
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    address(&mut hash, low.addr);
    address(&mut hash, high.addr);
    // TCP, and padding.
    hash.update([6, 0]);
    for endpoint in [low, high] {
        hash.update(endpoint.port.to_be_bytes());
    }
    STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(addr: &str, port: u16) -> Endpoint {
        Endpoint {
            addr: addr.parse().expect("an address"),
            port,
        }
    }

    /// From the baseline of the Community ID specification.
    #[test]
    fn as_the_specification_has_it() {
        let (one, other) = (
            endpoint("128.232.110.120", 34855),
            endpoint("66.35.250.204", 80),
        );
        let uid = |client, server| {
            let started = Timestamp::from_parts(1_403_000_000, 104_511_000);
            let id = ConnectionId {
                client,
                server,
                started,
            };
            id.uid()
        };
        let expected = "1:LQU9qZlK+B5F3KDmev6m5PMibrg=-1403000000.104511000";
        assert_eq!(uid(one, other), expected);
        assert_eq!(uid(other, one), expected);
    }

    #[test]
    fn sessions_differ_by_server_client_and_start() {
        let server = endpoint("10.0.1.1", 1883);
        let client = |port| endpoint("10.0.0.7", port);
        let time = Timestamp::from_parts(1_403_000_000, 0);
        let uid = session_uid(server, client(1), b"a", time);
        assert_eq!(uid, session_uid(server, client(2), b"a", time));
        for other in [
            session_uid(endpoint("10.0.1.2", 1883), client(1), b"a", time),
            session_uid(server, client(1), b"b", time),
            session_uid(server, client(1), b"a", Timestamp::from_nanos(1)),
            session_uid(server, client(1), b"", time),
        ] {
            assert_ne!(uid, other);
        }
        let nameless = |port| session_uid(server, client(port), b"", time);
        assert_ne!(nameless(1), nameless(2));
    }
}
