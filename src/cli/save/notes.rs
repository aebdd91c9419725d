//! [`Notes`]: comments on packets that are saved.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use mqttdump::frame::MQTTFrame;
use mqttdump::limits;
use mqttdump::packet::PacketRef;
use mqttdump::report::visible;
use mqttdump::rules::Finding;

/// Comments by packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Notes {
    /// Packets with comments, at most.
    most: usize,
    notes: HashMap<PacketRef, Vec<Arc<str>>>,
    /// The same texts are kept once.
    texts: HashSet<Arc<str>>,
    more: u64,
}

impl Default for Notes {
    fn default() -> Self {
        Self::up_to(limits::ANNOTATED_PACKETS)
    }
}

impl Notes {
    /// Comments on no more than `most` packets.
    fn up_to(most: usize) -> Self {
        Self {
            most,
            notes: HashMap::new(),
            texts: HashSet::new(),
            more: 0,
        }
    }

    /// The comments of a packet.
    pub(crate) fn of(&self, packet: PacketRef) -> &[Arc<str>] {
        self.notes.get(&packet).map_or(&[], Vec::as_slice)
    }

    /// Packets without their comments, because there were too many.
    pub(crate) fn more(&self) -> u64 {
        self.more
    }

    fn add(&mut self, packet: PacketRef, text: &str) {
        if self.notes.len() >= self.most && !self.notes.contains_key(&packet) {
            self.more += 1;
            return;
        }
        let text = match self.texts.get(text) {
            Some(known) => known.clone(),
            None => {
                let new: Arc<str> = text.into();
                self.texts.insert(new.clone());
                new
            }
        };
        let notes = self.notes.entry(packet).or_default();
        if !notes.contains(&text) {
            notes.push(text);
        }
    }

    /// Adds the type, client and topic of a control packet to the packet that completes
    /// it.
    pub(crate) fn frame(&mut self, frame: &MQTTFrame<'_>) {
        let client = frame.connection.client_id.as_deref();
        let text = |bytes| visible(&String::from_utf8_lossy(bytes)).into_owned();
        let mut comment = frame.header.packet_type().name().to_owned();
        if let Some(client) = client {
            comment += &format!(", client {}", text(client));
        }
        if let Some(topic) = frame.topic {
            comment += &format!(", topic {}", text(topic.0));
        }
        self.add(frame.last, &comment);
    }

    /// Adds a finding to its packets.
    pub(crate) fn finding(&mut self, finding: &Finding) {
        let message = visible(&finding.message);
        let comment = format!("{} {}: {message}", finding.verdict.name(), finding.rule.id);
        for packet in &finding.packets {
            self.add(*packet, &comment);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_beyond_the_limit_have_no_comments_and_are_counted() {
        let mut notes = Notes::up_to(3);
        let packet = |number| PacketRef { number, file: 0 };
        for number in 1..=5 {
            notes.add(packet(number), "PINGREQ");
        }
        notes.add(packet(1), "another");
        notes.add(packet(1), "another");
        let counts = [1, 3, 4, 5].map(|number| notes.of(packet(number)).len());
        assert_eq!(counts, [2, 1, 0, 0]);
        assert_eq!((notes.more(), notes.texts.len()), (2, 2));
    }
}
