//! Collects the captured packets that have a selected message, for commands whose
//! results name packets.

use std::collections::HashSet;

use mqttdump::facts::{Fact, Needs, Sink};
use mqttdump::packet::PacketRef;
use mqttdump::payload::{Decoder, Lazy, Message};
use mqttdump::select::Selector;
use mqttdump::time::Timestamp;

/// A set of packets with selected messages.
pub(crate) struct Matching {
    selector: Selector,
    decoder: Decoder,
    packets: HashSet<PacketRef>,
}

impl Matching {
    pub(crate) fn new(selector: Selector) -> Self {
        Self {
            selector,
            decoder: Decoder::default(),
            packets: HashSet::new(),
        }
    }

    /// Sets the capture time of the next packet.
    pub(crate) fn packet(&mut self, time: Timestamp) {
        self.selector.packet(time);
    }

    /// Whether any packet has a selected message.
    pub(crate) fn any(&self) -> bool {
        !self.packets.is_empty()
    }

    /// Whether one of these packets has a selected message.
    pub(crate) fn has(&self, packets: &[PacketRef]) -> bool {
        packets.iter().any(|packet| self.packets.contains(packet))
    }
}

impl Sink for Matching {
    fn needs(&self) -> Needs {
        self.selector.needs()
    }

    fn fact(&mut self, fact: Fact<'_>) {
        let Fact::Frame(fact) = fact else { return };
        let message = Message::of(fact.frame);
        if let Some(message) = &message {
            self.decoder.observe(message);
        }
        let payload = message.map(|message| Lazy::new(&self.decoder, message));
        if self.selector.frame(&fact, payload.as_ref()).is_shown() {
            self.packets.insert(fact.frame.last);
        }
    }
}
