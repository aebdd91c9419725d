//! How a TCP connection is named: by its endpoints, and by its slot in the
//! table.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::ops::{Index, IndexMut};

use crate::net::Endpoint;

/// One end of a TCP connection, before it is known which is the client: A is
/// the one whose address and port sort first. Not a
/// [`Direction`](crate::direction::Direction), which names the client's stream
/// and the server's, and not RFC 9293's initiator and responder, because a
/// capture may begin after the SYN ([`FlowInfo::initiator`](super::FlowInfo)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The end that sorts first.
    A,
    /// The other one.
    B,
}

impl End {
    /// Both.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// The other end.
    pub const fn peer(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// One value for each end of a connection, indexed by [`End`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PerEnd<T> {
    /// Of end A.
    pub a: T,
    /// Of end B.
    pub b: T,
}

impl<T> PerEnd<T> {
    /// Both values.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        [&self.a, &self.b].into_iter()
    }

    /// Both values, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        [&mut self.a, &mut self.b].into_iter()
    }
}

impl<T> Index<End> for PerEnd<T> {
    type Output = T;

    #[inline]
    fn index(&self, end: End) -> &T {
        match end {
            End::A => &self.a,
            End::B => &self.b,
        }
    }
}

impl<T> IndexMut<End> for PerEnd<T> {
    #[inline]
    fn index_mut(&mut self, end: End) -> &mut T {
        match end {
            End::A => &mut self.a,
            End::B => &mut self.b,
        }
    }
}

/// Two endpoints in a fixed order, packed so that hashing and comparing an
/// IPv4 key is one 128-bit operation.
///
/// VLAN ids and tunnel ids are left out on purpose: mirror ports show the same
/// packet with and without a tag, and Wireshark's `tcp.stream` ignores them
/// too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FlowKey {
    V4(u128),
    V6([u128; 2], u32),
}

/// Without the variant, which the packed values do not need.
impl Hash for FlowKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match *self {
            Self::V4(packed) => state.write_u128(packed),
            Self::V6([low, high], ports) => {
                state.write_u128(low);
                state.write_u128(high);
                state.write_u32(ports);
            }
        }
    }
}

impl FlowKey {
    /// The key of what `src` sends to `dst`, and which end `src` is.
    #[inline]
    pub(super) fn new(src: Endpoint, dst: Endpoint) -> (Self, End) {
        match (src.addr, dst.addr) {
            (IpAddr::V4(s), IpAddr::V4(d)) => {
                let s = (u64::from(s.to_bits()) << 16) | u64::from(src.port);
                let d = (u64::from(d.to_bits()) << 16) | u64::from(dst.port);
                let (low, high, end) = if s <= d {
                    (s, d, End::A)
                } else {
                    (d, s, End::B)
                };
                (Self::V4((u128::from(low) << 64) | u128::from(high)), end)
            }
            (s, d) => {
                let s = (to_v6(s), src.port);
                let d = (to_v6(d), dst.port);
                let (low, high, end) = if s <= d {
                    (s, d, End::A)
                } else {
                    (d, s, End::B)
                };
                let ports = (u32::from(low.1) << 16) | u32::from(high.1);
                (Self::V6([low.0, high.0], ports), end)
            }
        }
    }
}

/// A slot of the table, and the connection that occupied it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) index: u32,
    pub(super) number: u64,
}

fn to_v6(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_have_one_key() {
        for (a, b) in [
            ("10.0.0.1", "10.0.0.2"),
            ("10.0.0.2", "10.0.0.1"),
            ("::1", "::1"),
            ("fe80::1", "2001:db8::7"),
        ] {
            let a = Endpoint {
                addr: a.parse().unwrap(),
                port: 1883,
            };
            let b = Endpoint {
                addr: b.parse().unwrap(),
                port: 40122,
            };
            let (there, from) = FlowKey::new(a, b);
            let (back, to) = FlowKey::new(b, a);
            assert_eq!(there, back);
            assert_eq!(from, to.peer());
        }
    }
}
