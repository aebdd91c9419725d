//! Packets of connections about which nothing is decided yet.
//!
//! A connection is to be saved once one of its frames is selected, but its
//! first packets come before: the handshake, the CONNECT. A file can be read
//! again; of a pipe they have to be held until then.
//!
//! ```text
//!   packet ──▶ held ──▶ released   a frame of its connection was selected
//!                └────▶ dropped    the connection closed, or the oldest had to
//!                                  make room
//! ```
//!
//! What was dropped for room is counted by connection, so that the loss is
//! told if that connection is selected after all. Packets that belong to no
//! connection are held too, for they may be fragments whose last part is still
//! to come.

use std::collections::{BTreeMap, HashMap, VecDeque};

use mqttdump::packet::PacketRef;

/// What a held packet takes besides its bytes.
const OVERHEAD: usize = 160;
/// Connections of which dropped packets are counted.
const COUNTED: usize = 1 << 16;

/// Held packets of type `P`, in no more than a given number of bytes.
pub(super) struct Held<P> {
    packets: HashMap<PacketRef, Slot<P>>,
    /// The packets of each connection; some may have been dropped, but not the
    /// first.
    of: HashMap<u64, VecDeque<PacketRef>>,
    /// All packets in order of arrival; some may be gone.
    order: VecDeque<PacketRef>,
    /// How many packets have arrived.
    arrived: u64,
    bytes: usize,
    limit: usize,
    /// Packets dropped for room, by connection.
    dropped: BTreeMap<u64, u64>,
}

struct Slot<P> {
    connection: Option<u64>,
    arrival: u64,
    size: usize,
    packet: P,
}

impl<P> Held<P> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            packets: HashMap::new(),
            of: HashMap::new(),
            order: VecDeque::new(),
            arrived: 0,
            bytes: 0,
            limit,
            dropped: BTreeMap::new(),
        }
    }

    /// Holds a packet with `len` bytes of its own.
    pub(super) fn hold(&mut self, id: PacketRef, connection: Option<u64>, len: usize, packet: P) {
        let size = len + OVERHEAD;
        self.arrived += 1;
        let slot = Slot {
            connection,
            arrival: self.arrived,
            size,
            packet,
        };
        if let Some(connection) = connection {
            self.of.entry(connection).or_default().push_back(id);
        }
        self.packets.insert(id, slot);
        self.order.push_back(id);
        self.bytes += size;
        while self.bytes > self.limit && self.drop_oldest() {}
        if self.order.len() > 2 * self.packets.len() + 1024 {
            self.order.retain(|id| self.packets.contains_key(id));
        }
    }

    /// Earlier packets turn out to belong to a connection.
    pub(super) fn assign(&mut self, ids: &[PacketRef], connection: u64) {
        for id in ids {
            match self.packets.get_mut(id) {
                Some(slot) if slot.connection.is_none() => {
                    slot.connection = Some(connection);
                    self.of.entry(connection).or_default().push_back(*id);
                }
                Some(_) => {}
                None => self.count_dropped(connection),
            }
        }
    }

    /// The packets of a connection in order of arrival, and how many more had
    /// to be dropped.
    pub(super) fn release(&mut self, connection: u64) -> (Vec<P>, u64) {
        let ids = self.of.remove(&connection).unwrap_or_default();
        let mut slots: Vec<_> = ids.iter().filter_map(|id| self.take(id)).collect();
        slots.sort_unstable_by_key(|slot| slot.arrival);
        let packets = slots.into_iter().map(|slot| slot.packet).collect();
        (packets, self.dropped.remove(&connection).unwrap_or(0))
    }

    /// A connection will not be selected any more.
    pub(super) fn forget(&mut self, connection: u64) {
        self.release(connection);
    }

    fn take(&mut self, id: &PacketRef) -> Option<Slot<P>> {
        let slot = self.packets.remove(id)?;
        self.bytes -= slot.size;
        Some(slot)
    }

    /// Drops the oldest packet; whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let Some(id) = self.order.pop_front() else {
            return false;
        };
        if let Some(connection) = self.take(&id).and_then(|slot| slot.connection) {
            self.count_dropped(connection);
            if let Some(ids) = self.of.get_mut(&connection) {
                while ids.front().is_some_and(|id| !self.packets.contains_key(id)) {
                    ids.pop_front();
                }
                if ids.is_empty() {
                    self.of.remove(&connection);
                }
            }
        }
        true
    }

    fn count_dropped(&mut self, connection: u64) {
        *self.dropped.entry(connection).or_default() += 1;
        if self.dropped.len() > COUNTED {
            self.dropped.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> PacketRef {
        PacketRef { number, file: 0 }
    }

    #[test]
    fn packets_are_released_with_their_connection() {
        let mut held = Held::new(1 << 20);
        held.hold(id(1), Some(1), 10, "a1");
        held.hold(id(2), Some(2), 10, "b1");
        held.hold(id(3), Some(1), 10, "a2");
        assert_eq!(held.release(1), (vec!["a1", "a2"], 0));
        assert_eq!(held.release(1), (vec![], 0));
        held.forget(2);
        assert_eq!((held.bytes, held.packets.len()), (0, 0));
    }

    #[test]
    fn fragments_join_the_connection_they_turn_out_to_belong_to() {
        let mut held = Held::new(1 << 20);
        held.hold(id(1), None, 10, "first fragment");
        held.hold(id(2), None, 10, "some datagram");
        held.hold(id(3), Some(1), 10, "between");
        held.assign(&[id(1)], 1);
        held.hold(id(4), Some(1), 10, "last fragment");
        assert_eq!(
            held.release(1),
            (vec!["first fragment", "between", "last fragment"], 0)
        );
        assert_eq!(held.packets.len(), 1);
    }

    #[test]
    fn the_oldest_make_room_and_are_counted() {
        let mut held = Held::new(3 * (OVERHEAD + 100));
        for number in 1..=5 {
            held.hold(id(number), Some(number % 2), 100, number);
        }
        // 1 and 2 had to go.
        assert_eq!(held.release(1), (vec![3, 5], 1));
        assert_eq!(held.release(0), (vec![4], 1));
        // A fragment that is gone is missing from its connection.
        held.assign(&[id(1)], 7);
        assert_eq!(held.release(7), (vec![], 1));
    }

    #[test]
    fn what_is_kept_beside_the_packets_is_bounded_too() {
        let mut held = Held::new(10 * OVERHEAD);
        for number in 0..200_000 {
            held.hold(id(number), Some(number), 0, ());
            if number % 3 == 0 {
                held.release(number);
            }
        }
        assert!(held.packets.len() <= 10);
        assert!(held.of.len() <= 10);
        assert!(held.order.len() <= 2 * 10 + 1024 + 1);
        assert!(held.dropped.len() <= COUNTED);
    }
}
