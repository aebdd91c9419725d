//! Buffers packets of connections that are not yet selected.
//!
//! A connection is saved once one of its frames is selected, but its first
//! packets come before that: the handshake and the CONNECT. A file can be read a
//! second time; packets from a pipe have to be buffered.
//!
//! ```text
//!   packet ──▶ buffered ──▶ released   a frame of its connection was selected
//!                  └──────▶ dropped    the connection closed, or the buffer was
//!                                      full and the packet was the oldest
//! ```
//!
//! Packets dropped from a full buffer are counted by connection, so that the loss
//! can be reported if that connection is selected later. Packets that belong to no
//! connection are buffered too: they may be fragments whose last one has not
//! arrived yet.

use std::collections::{BTreeMap, HashMap, VecDeque};

use mqttdump::packet::PacketRef;

/// Memory per buffered packet besides its bytes.
const OVERHEAD: usize = 160;
/// Maximum number of connections whose dropped packets are counted.
const COUNTED: usize = 1 << 16;

/// A buffer of packets of type `P`, limited in bytes.
pub(super) struct PacketBuffer<P> {
    packets: HashMap<PacketRef, Slot<P>>,
    /// The packets of each connection. Those after the first may have been
    /// dropped already.
    of: HashMap<u64, VecDeque<PacketRef>>,
    /// All packets in order of arrival, including ones that are gone.
    order: VecDeque<PacketRef>,
    /// Number of packets that have arrived.
    arrived: u64,
    bytes: usize,
    limit: usize,
    /// Number of packets dropped because the buffer was full, by connection.
    dropped: BTreeMap<u64, u64>,
}

struct Slot<P> {
    connection: Option<u64>,
    arrival: u64,
    size: usize,
    packet: P,
}

impl<P> PacketBuffer<P> {
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

    /// Buffers a packet of `len` bytes.
    pub(super) fn push(&mut self, id: PacketRef, connection: Option<u64>, len: usize, packet: P) {
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

    /// Earlier packets turn out to belong to a connection: their fragments were
    /// completed.
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

    /// Removes and returns the packets of a connection in order of arrival, and the
    /// number dropped before.
    pub(super) fn release(&mut self, connection: u64) -> (Vec<P>, u64) {
        let ids = self.of.remove(&connection).unwrap_or_default();
        let mut slots: Vec<_> = ids.iter().filter_map(|id| self.take(id)).collect();
        slots.sort_unstable_by_key(|slot| slot.arrival);
        let packets = slots.into_iter().map(|slot| slot.packet).collect();
        (packets, self.dropped.remove(&connection).unwrap_or(0))
    }

    /// Drops the packets of a connection that will not be selected.
    pub(super) fn drop_connection(&mut self, connection: u64) {
        self.release(connection);
    }

    fn take(&mut self, id: &PacketRef) -> Option<Slot<P>> {
        let slot = self.packets.remove(id)?;
        self.bytes -= slot.size;
        Some(slot)
    }

    /// Drops the oldest packet; returns whether there was one.
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
        let mut buffer = PacketBuffer::new(1 << 20);
        buffer.push(id(1), Some(1), 10, "a1");
        buffer.push(id(2), Some(2), 10, "b1");
        buffer.push(id(3), Some(1), 10, "a2");
        assert_eq!(buffer.release(1), (vec!["a1", "a2"], 0));
        assert_eq!(buffer.release(1), (vec![], 0));
        buffer.drop_connection(2);
        assert_eq!((buffer.bytes, buffer.packets.len()), (0, 0));
    }

    #[test]
    fn fragments_join_the_connection_they_turn_out_to_belong_to() {
        let mut buffer = PacketBuffer::new(1 << 20);
        buffer.push(id(1), None, 10, "first fragment");
        buffer.push(id(2), None, 10, "some datagram");
        buffer.push(id(3), Some(1), 10, "between");
        buffer.assign(&[id(1)], 1);
        buffer.push(id(4), Some(1), 10, "last fragment");
        assert_eq!(
            buffer.release(1),
            (vec!["first fragment", "between", "last fragment"], 0)
        );
        assert_eq!(buffer.packets.len(), 1);
    }

    #[test]
    fn the_oldest_make_room_and_are_counted() {
        let mut buffer = PacketBuffer::new(3 * (OVERHEAD + 100));
        for number in 1..=5 {
            buffer.push(id(number), Some(number % 2), 100, number);
        }
        // 1 and 2 were dropped.
        assert_eq!(buffer.release(1), (vec![3, 5], 1));
        assert_eq!(buffer.release(0), (vec![4], 1));
        // A dropped fragment is missing from its connection.
        buffer.assign(&[id(1)], 7);
        assert_eq!(buffer.release(7), (vec![], 1));
    }

    #[test]
    fn what_is_kept_beside_the_packets_is_bounded_too() {
        let mut buffer = PacketBuffer::new(10 * OVERHEAD);
        for number in 0..200_000 {
            buffer.push(id(number), Some(number), 0, ());
            if number % 3 == 0 {
                buffer.release(number);
            }
        }
        assert!(buffer.packets.len() <= 10);
        assert!(buffer.of.len() <= 10);
        assert!(buffer.order.len() <= 2 * 10 + 1024 + 1);
        assert!(buffer.dropped.len() <= COUNTED);
    }
}
