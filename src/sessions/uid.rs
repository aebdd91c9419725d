//! Identities that do not depend on the run: Community ID 1.0 of the flow, and when it
//! was opened.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::net::Endpoint;
use crate::time::Timestamp;

/// `1:LQU9qZlK+B5F3KDmev6m5PMibrg=-1403000000.104511000`: the Community ID, and the
/// time of the SYN or of the first packet, in seconds since 1970.
pub(super) fn of(one: Endpoint, other: Endpoint, opened: Timestamp) -> String {
    format!(
        "{}-{}.{:09}",
        community_id(one, other),
        opened.seconds(),
        opened.subsec_nanos()
    )
}

/// The Community ID 1.0 of a TCP flow, with seed 0: the same for both directions.
fn community_id(one: Endpoint, other: Endpoint) -> String {
    let (low, high) = match (one.addr, one.port) <= (other.addr, other.port) {
        true => (one, other),
        false => (other, one),
    };
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    for endpoint in [low, high] {
        match endpoint.addr {
            IpAddr::V4(addr) => hash.update(addr.octets()),
            IpAddr::V6(addr) => hash.update(addr.octets()),
        }
    }
    // TCP, and padding.
    hash.update([6, 0]);
    for endpoint in [low, high] {
        hash.update(endpoint.port.to_be_bytes());
    }
    format!("1:{}", STANDARD.encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the baseline of the Community ID specification.
    #[test]
    fn as_the_specification_has_it() {
        let endpoint = |addr: &str, port| Endpoint {
            addr: addr.parse().expect("an address"),
            port,
        };
        let (one, other) = (
            endpoint("128.232.110.120", 34855),
            endpoint("66.35.250.204", 80),
        );
        assert_eq!(community_id(one, other), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(community_id(other, one), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    }
}
