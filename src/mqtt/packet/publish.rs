//! PUBLISH (3.1.1: 3.3; 5.0: 3.3).

use super::super::header::PacketType;
use super::super::property::{Place, Properties, PropertyValue};
use super::super::reader::Reader;
use super::super::text::Text;

/// PUBLISH.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Publish<'a> {
    /// Topic Name as on the wire: empty where a Topic Alias stands for it.
    pub topic: Option<Text<'a>>,
    /// Packet Identifier, present with QoS above 0; 0 is illegal but shown.
    pub packet_id: Option<u16>,
    /// Properties of 5.0.
    pub properties: Properties<'a>,
    /// Topic Alias, if that property is there.
    pub topic_alias: Option<u16>,
    /// Bytes of the whole payload; `None` if its start is unknown.
    pub payload_len: Option<u32>,
    /// The beginning of the payload, as far as it was kept and captured
    /// without a hole.
    pub payload: &'a [u8],
}

/// Property Identifier of the Topic Alias.
const TOPIC_ALIAS: u8 = 0x23;
/// Property Identifier of the Payload Format Indicator.
const PAYLOAD_FORMAT: u8 = 0x01;

impl<'a> Publish<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let mut publish = Self::default();
        let header = reader.header;
        if header.qos() == 3 {
            reader.defect("qos-3", 0, format_args!("expected QoS 0 to 2, found 3"));
        }
        if header.qos() == 0 && header.dup() {
            reader.defect(
                "dup-with-qos-0",
                0,
                format_args!("expected DUP clear with QoS 0, found it set"),
            );
        }
        let at = reader.offset();
        publish.topic = reader.topic_name("Topic Name");
        if header.qos() > 0 {
            publish.packet_id = reader.packet_id();
        }
        let mut properties_known = true;
        let mut is_text = false;
        if reader.v5() {
            let place = Place::Packet(PacketType::Publish);
            (publish.properties, properties_known) =
                Properties::read(reader, place, |value, definition| {
                    match (definition.id, value) {
                        (TOPIC_ALIAS, PropertyValue::TwoByteInteger(alias)) => {
                            publish.topic_alias = Some(*alias);
                        }
                        (PAYLOAD_FORMAT, PropertyValue::Byte(1)) => is_text = true,
                        _ => {}
                    }
                });
        }
        if let Some(topic) = publish.topic
            && publish.topic_alias.is_none()
            && properties_known
        {
            reader.check_not_empty("Topic Name", at + 2, topic);
        }
        let at = reader.offset();
        (publish.payload, publish.payload_len) = reader.rest();
        // Only a payload that is here in full can be said not to be text.
        if is_text
            && publish.payload_len == Some(publish.payload.len() as u32)
            && Text(publish.payload).as_str().is_none()
        {
            reader.defect(
                "bad-utf8",
                at,
                format_args!("payload: expected UTF-8 as the Payload Format Indicator says"),
            );
        }
        publish
    }
}
