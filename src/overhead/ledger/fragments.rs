//! IP fragments that wait for the segment they are joined into.

use std::collections::VecDeque;

use super::super::Map;
use super::super::level::Measures;
use super::head::Head;
use crate::limits;
use crate::packet::PacketRef;

/// Frames that wait for the rest of their IP datagram.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    waiting: Map<PacketRef, (Head, Measures)>,
    order: VecDeque<PacketRef>,
}

impl Fragments {
    /// Keeps one; returns the one that was evicted.
    pub(super) fn hold(&mut self, packet: PacketRef, head: Head, whole: Measures) -> Measures {
        self.waiting.insert(packet, (head, whole));
        self.order.push_back(packet);
        let mut dropped = Measures::default();
        while self.order.len() > limits::WAITING_FRAGMENTS {
            let oldest = self.order.pop_front();
            if let Some((_, measures)) = oldest.and_then(|packet| self.waiting.remove(&packet)) {
                dropped += measures;
            }
        }
        dropped
    }

    /// One that was joined into a segment.
    pub(super) fn take(&mut self, packet: PacketRef) -> Option<(Head, Measures)> {
        self.waiting.remove(&packet)
    }

    /// All that are still waiting.
    pub(super) fn rest(&self) -> Measures {
        self.waiting.values().map(|(_, measures)| *measures).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Anatomy;

    #[test]
    fn the_oldest_fragments_make_room() {
        let mut fragments = Fragments::default();
        let packet = |number: usize| PacketRef {
            number: number as u64,
            file: 0,
        };
        let measures = Measures {
            l2: 100,
            packets: 1,
            ..Measures::default()
        };
        let mut dropped = Measures::default();
        for n in 0..limits::WAITING_FRAGMENTS + 10 {
            let head = Head::new(&Anatomy::default());
            dropped += fragments.hold(packet(n), head, measures);
        }
        // What is dropped is not lost: it counts as foreign.
        assert_eq!((dropped.packets, dropped.l2), (10, 1000));
        assert!(fragments.take(packet(9)).is_none());
        assert!(fragments.take(packet(10)).is_some());
        let rest = limits::WAITING_FRAGMENTS as u64 - 1;
        assert_eq!(fragments.rest().packets, rest);
    }
}
