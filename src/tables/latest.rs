//! [`Latest`]: the packets of the latest messages that a display filter selects.

use std::collections::HashSet;

use crate::limits;
use crate::packet::PacketRef;

/// The packets that completed selected messages, of the latest
/// [`limits::FILTERED_PACKETS`] at least: findings are about them. They are forgotten in two
/// halves.
#[derive(Debug, Default)]
pub(super) struct Latest {
    now: HashSet<PacketRef>,
    before: HashSet<PacketRef>,
}

impl Latest {
    pub(super) fn add(&mut self, packet: PacketRef) {
        if self.now.len() >= limits::FILTERED_PACKETS {
            self.before = std::mem::take(&mut self.now);
        }
        self.now.insert(packet);
    }

    pub(super) fn has(&self, packet: &PacketRef) -> bool {
        self.now.contains(packet) || self.before.contains(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_long_ago_are_forgotten() {
        let packet = |number| PacketRef { file: 0, number };
        let mut latest = Latest::default();
        let most = limits::FILTERED_PACKETS as u64;
        (0..2 * most + 1).for_each(|number| latest.add(packet(number)));
        assert!(!latest.has(&packet(0)) && !latest.has(&packet(most - 1)));
        assert!((most..2 * most + 1).all(|number| latest.has(&packet(number))));
        assert_eq!(latest.now.len() + latest.before.len(), most as usize + 1);
    }
}
