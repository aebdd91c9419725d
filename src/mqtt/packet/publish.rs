//! PUBLISH.

use crate::mqtt::Text;
use crate::mqtt::header::PacketType;
use crate::mqtt::property::{Place, Properties, PropertyValue};
use crate::mqtt::reader::Reader;

/// PUBLISH.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Publish<'a> {
    /// Topic Name as on the wire: empty if a Topic Alias replaces it.
    pub topic: Option<Text<'a>>,
    /// Packet Identifier, present with QoS above 0; 0 is illegal but shown.
    pub packet_id: Option<u16>,
    /// Properties of 5.0.
    pub properties: Properties<'a>,
    /// Topic Alias, if that property is there.
    pub topic_alias: Option<u16>,
    /// Bytes of the whole payload; `None` if its start is unknown.
    pub payload_len: Option<u32>,
    /// The first bytes of the payload, those kept and captured without a gap.
    pub payload: &'a [u8],
}

const TOPIC_ALIAS: u8 = 0x23;

impl<'a> Publish<'a> {
    /// The Topic Name, unless it is empty and a Topic Alias stands for it, or may: its
    /// properties were not captured. An empty one without an alias is illegal, and its topic.
    #[inline]
    pub fn own_topic(&self) -> Option<Text<'a>> {
        let is_alone = self.topic_alias.is_none() && self.payload_len.is_some();
        self.topic
            .filter(|topic| !topic.bytes().is_empty() || is_alone)
    }

    #[inline]
    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let offset = reader.offset();
        let topic = reader.topic_name("Topic Name");
        let packet_id = (reader.header.qos() > 0)
            .then(|| reader.packet_id())
            .flatten();
        let mut topic_alias = None;
        let (properties, whole) = if reader.v5() {
            Properties::read(
                reader,
                Place::Packet(PacketType::Publish),
                |value, definition| {
                    if let (TOPIC_ALIAS, PropertyValue::TwoByteInteger(alias)) =
                        (definition.id, value)
                    {
                        topic_alias.get_or_insert(*alias);
                    }
                },
            )
        } else {
            (Properties::default(), true)
        };
        // Before the last property it is unknown whether there is an alias.
        if let (Some(topic), None, true) = (topic, topic_alias, whole) {
            reader.check_not_empty("Topic Name", offset, topic);
        }
        let (payload, payload_len) = reader.rest();
        Self {
            topic,
            packet_id,
            properties,
            topic_alias,
            payload_len,
            payload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::samples::{bytes, clean, codes, header};
    use crate::mqtt::{ControlPacket, Version, decode};

    fn publish(version: Version, hex: &str) -> Publish<'static> {
        match clean(version, hex) {
            ControlPacket::Publish(publish) => publish,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn by_qos_and_version() {
        let packet = publish(Version::V3_1_1, "30 07 0003 'a/b' 'hi'");
        assert_eq!(packet.topic, Some(Text(b"a/b")));
        assert_eq!(packet.packet_id, None);
        assert_eq!((packet.payload, packet.payload_len), (&b"hi"[..], Some(2)));

        let packet = publish(Version::V3_1, "3d 07 0003 'a/b' 0102");
        assert_eq!(packet.packet_id, Some(0x102));
        assert_eq!((packet.payload, packet.payload_len), (&b""[..], Some(0)));

        let packet = publish(Version::V5, "32 0c 0000 0007 05 01 01 23 0002 'x' 'y'");
        assert_eq!(packet.topic, Some(Text(b"")));
        assert_eq!(packet.topic_alias, Some(2));
        assert_eq!(packet.payload, b"xy");
    }

    #[test]
    fn qos_3_is_kept_and_reported() {
        let hex = "36 07 0003 'a/b' 0102";
        assert_eq!(codes(Version::V3_1_1, hex), ["qos-3"]);
    }

    #[test]
    fn a_body_that_was_not_kept_still_has_its_length() {
        let all = bytes("32 90 4e 0001 't' 0009 'the beginning'");
        let decoded = decode(header(all), all, Version::V3_1_1);
        let ControlPacket::Publish(packet) = decoded.packet else {
            panic!()
        };
        assert_eq!(packet.payload, b"the beginning");
        assert_eq!(packet.payload_len, Some(10_000 - 5));
        assert!(decoded.defects.is_empty());
    }

    #[test]
    fn an_empty_topic_needs_an_alias() {
        assert_eq!(codes(Version::V5, "30 03 0000 00"), ["empty-topic"]);
        // An alias may follow in the unread part.
        assert_eq!(
            codes(Version::V5, "30 05 0000 02 7e 23"),
            ["unknown-property"]
        );
        let all = bytes("30 06 0000 03 23 0001");
        for cut in 0..all.len() {
            let prefix = &all[..cut];
            assert!(decode(header(all), prefix, Version::V5).defects.is_empty());
        }
    }
}
