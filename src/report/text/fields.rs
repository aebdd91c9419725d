//! The indented lines below a frame: every field, property and the connection
//! with `-v`; offsets and TCP facts too with `-vv`.
//!
//! ```text
//!     packet id 7
//!     topic "plant/7/temp"
//!     payload 11 B "123|456|789"
//! ```
//!
//! One field per line, named as in the specification. Strings are printed in full.

use super::summary::{CLEAN_START, clean_start_name, is_bridge, put_code};
use crate::frame::MQTTFrame;
use crate::mqtt::packet::{Connack, Connect, Publish, Subscription, Will};
use crate::mqtt::{ControlPacket, Properties, PropertyValue, Text, Version};
use crate::payload::Decoded;
use crate::report::escape;
use crate::report::payload;
use crate::report::put;
use crate::report::secret::{AUTHENTICATION_DATA, MASK};

/// What to show.
#[derive(Clone, Copy)]
pub(super) struct How {
    /// Offsets and TCP facts as well (`-vv`).
    pub(super) everything: bool,
    /// TCP sequence numbers with these.
    pub(super) sequence_numbers: bool,
    pub(super) show_secrets: bool,
    /// Nothing of the connection and the captured packets.
    pub(super) bare: bool,
}

/// Appends the lines of a frame.
pub(super) fn fields(
    frame: &MQTTFrame<'_>,
    decoded: Option<&Decoded>,
    how: How,
    out: &mut Vec<u8>,
) {
    let How {
        everything,
        sequence_numbers,
        show_secrets,
        bare,
    } = how;
    let mut lines = Lines {
        frame,
        everything,
        show_secrets,
        out,
    };
    lines.header();
    lines.packet();
    if let Some(decoded) = decoded {
        lines.decoded(decoded);
    }
    lines.state();
    if bare {
        return;
    }
    lines.connection();
    if everything {
        lines.offsets(sequence_numbers);
    }
}

struct Lines<'f, 'o> {
    frame: &'f MQTTFrame<'f>,
    everything: bool,
    show_secrets: bool,
    out: &'o mut Vec<u8>,
}

impl Lines<'_, '_> {
    fn header(&mut self) {
        let header = self.frame.header;
        self.line("flags ", |out| {
            put_hex(header.flags(), out);
            for (set, name) in [(header.dup(), " dup"), (header.retain(), " retain")] {
                if set {
                    out.extend_from_slice(name.as_bytes());
                }
            }
        });
        self.line("length ", |out| {
            put_bytes(header.packet_len(), out);
        });
        if self.everything {
            self.line("fixed header ", |out| {
                put_bytes(header.header_len() as u64, out);
                out.extend_from_slice(b", remaining length ");
                put::decimal(header.remaining_length, out);
            });
        }
    }

    fn packet(&mut self) {
        let frame = self.frame;
        match &frame.packet {
            ControlPacket::Reserved | ControlPacket::Pingreq | ControlPacket::Pingresp => {}
            ControlPacket::Connect(connect) => self.connect(connect),
            ControlPacket::Connack(connack) => self.connack(connack),
            ControlPacket::Publish(publish) => self.publish(publish),
            ControlPacket::Puback(ack)
            | ControlPacket::Pubrec(ack)
            | ControlPacket::Pubrel(ack)
            | ControlPacket::Pubcomp(ack) => {
                self.id(ack.packet_id);
                self.code("reason code ", ack.code);
                self.properties(ack.properties);
            }
            ControlPacket::Subscribe(subscribe) => {
                self.id(subscribe.packet_id);
                self.properties(subscribe.properties);
                for subscription in subscribe.filters() {
                    self.subscription(subscription);
                }
            }
            ControlPacket::Suback(suback) => {
                self.id(suback.packet_id);
                self.properties(suback.properties);
                for &code in suback.codes {
                    self.code("code ", Some(code));
                }
            }
            ControlPacket::Unsubscribe(unsubscribe) => {
                self.id(unsubscribe.packet_id);
                self.properties(unsubscribe.properties);
                for filter in unsubscribe.filters() {
                    self.text("filter ", Some(filter));
                }
            }
            ControlPacket::Unsuback(unsuback) => {
                self.id(unsuback.packet_id);
                self.properties(unsuback.properties);
                for &code in unsuback.codes {
                    self.code("code ", Some(code));
                }
            }
            ControlPacket::Disconnect(disconnect) => {
                self.code("reason code ", disconnect.code);
                self.properties(disconnect.properties);
            }
            ControlPacket::Auth(auth) => {
                self.code("reason code ", auth.code);
                self.properties(auth.properties);
            }
        }
    }

    fn connect(&mut self, connect: &Connect<'_>) {
        let version = self.frame.version;
        self.text("protocol name ", connect.protocol_name);
        if let Some(level) = connect.protocol_level {
            self.line("protocol level ", |out| {
                put::decimal(level & 0x7f, out);
                if let Some(version) = Version::from_level(level) {
                    out.extend_from_slice(b" (MQTT ");
                    out.extend_from_slice(version.name().as_bytes());
                    out.push(b')');
                }
                if is_bridge(level) {
                    out.extend_from_slice(b" with the bridge bit");
                }
            });
        }
        if let Some(flags) = connect.flags {
            self.line("connect flags ", |out| {
                put_hex(flags, out);
                let names = [
                    (0x80, "user name"),
                    (0x40, "password"),
                    (0x20, "will retain"),
                    (0x04, "will"),
                    (CLEAN_START, clean_start_name(version)),
                    (0x01, "reserved"),
                ];
                let mut before: &[u8] = b" ";
                for (_, name) in names.iter().filter(|(bit, _)| flags & bit != 0) {
                    out.extend_from_slice(before);
                    out.extend_from_slice(name.as_bytes());
                    before = b", ";
                }
            });
        }
        if let Some(seconds) = connect.keep_alive {
            self.line("keep alive ", |out| {
                put::decimal(seconds, out);
                out.extend_from_slice(b" s");
            });
        }
        self.properties(connect.properties);
        self.text("client id ", connect.client_id);
        if let Some(will) = &connect.will {
            self.will(will);
        }
        self.text("user name ", connect.username);
        if let Some(password) = connect.password {
            if self.show_secrets {
                self.text("password ", Some(Text(password)));
            } else {
                self.line("password ***", |_| {});
            }
        }
    }

    fn will(&mut self, will: &Will<'_>) {
        self.line("will qos ", |out| {
            put::decimal(will.qos, out);
            out.extend_from_slice(if will.retain { b" retain" } else { b"" });
        });
        self.properties(will.properties);
        self.text("will topic ", will.topic);
        if let Some(payload) = will.payload {
            self.line("will payload ", |out| {
                put_bytes(payload.len() as u64, out);
                out.push(b' ');
                escape::payload(payload, out);
            });
        }
    }

    fn connack(&mut self, connack: &Connack<'_>) {
        if let Some(flags) = connack.flags {
            self.line("acknowledge flags ", |out| {
                put_hex(flags, out);
                if flags & 1 != 0 {
                    out.extend_from_slice(b" session present");
                }
            });
        }
        let name = if self.frame.version == Version::V5 {
            "reason code "
        } else {
            "return code "
        };
        self.code(name, connack.code);
        self.properties(connack.properties);
    }

    fn publish(&mut self, publish: &Publish<'_>) {
        let frame = self.frame;
        self.text("topic ", publish.topic);
        self.id(publish.packet_id);
        if let Some(alias) = publish.topic_alias {
            self.line("topic alias ", |out| {
                put::decimal(alias, out);
                let replaced = publish.topic.is_some_and(|topic| topic.bytes().is_empty());
                match frame.topic {
                    Some(topic) if replaced => {
                        out.extend_from_slice(b" for ");
                        escape::quoted(topic.bytes(), out);
                    }
                    None => out.extend_from_slice(b" for an unknown topic"),
                    Some(_) => {}
                }
            });
        }
        self.properties(publish.properties);
        let Some(length) = publish.payload_len else {
            return;
        };
        let kept = publish.payload.len() as u64;
        self.line("payload ", |out| {
            put_bytes(length.into(), out);
            if kept > 0 {
                out.push(b' ');
                escape::payload(publish.payload, out);
            }
            if kept < u64::from(length) {
                out.extend_from_slice(escape::ELLIPSIS);
                out.extend_from_slice(b" (the first ");
                put_bytes(kept, out);
                out.push(b')');
            }
        });
    }

    /// The decoded payload as a tree, or why it cannot be decoded.
    fn decoded(&mut self, decoded: &Decoded) {
        match &decoded.value {
            Ok(value) => {
                self.line("payload as ", |out| {
                    out.extend_from_slice(decoded.format.as_bytes());
                });
                payload::tree(value, "\t    ", self.out);
            }
            Err(_) => self.line("payload ", |out| payload::preview(decoded, None, out)),
        }
    }

    fn subscription(&mut self, subscription: Subscription<'_>) {
        let version = self.frame.version;
        self.line("filter ", |out| {
            escape::quoted(subscription.filter.bytes(), out);
            let mut option = |name: &str, value: Option<u8>| {
                if let Some(value) = value {
                    out.extend_from_slice(name.as_bytes());
                    put::decimal(value, out);
                }
            };
            option(" qos ", subscription.max_qos());
            if version == Version::V5 {
                option(" no local ", subscription.no_local().map(u8::from));
                let as_published = subscription.retain_as_published();
                option(" retain as published ", as_published.map(u8::from));
                option(" retain handling ", subscription.retain_handling());
            }
        });
    }

    fn properties(&mut self, properties: Properties<'_>) {
        let everything = self.everything;
        let show_secrets = self.show_secrets;
        for property in properties.iter() {
            self.line("property ", |out| {
                out.extend_from_slice(property.name().as_bytes());
                if everything {
                    out.extend_from_slice(b" (0x");
                    put::hex(property.id as u8, out);
                    out.push(b')');
                }
                out.push(b' ');
                match property.id {
                    AUTHENTICATION_DATA if !show_secrets => out.extend_from_slice(MASK.as_bytes()),
                    _ => put_value(property.value, out),
                }
                if everything {
                    out.extend_from_slice(b" at offset ");
                    put::decimal(property.offset, out);
                }
            });
        }
    }

    /// What is unusual about the frame.
    fn state(&mut self) {
        let frame = self.frame;
        if frame.missing > 0 {
            self.line("missing ", |out| put_bytes(frame.missing, out));
        }
        for defect in frame.defects {
            self.line("defect ", |out| {
                out.extend_from_slice(defect.code.name().as_bytes());
                out.extend_from_slice(b" at offset ");
                put::decimal(defect.offset, out);
                out.extend_from_slice(b": ");
                let message = defect.message.as_bytes();
                escape::escaped(message, escape::Within::Cell, out);
            });
        }
    }

    fn connection(&mut self) {
        let frame = self.frame;
        self.line("version ", |out| {
            out.extend_from_slice(frame.version.name().as_bytes());
            if frame.connection.version_assumed {
                out.extend_from_slice(b" assumed");
            }
        });
        self.line("connection ", |out| {
            put::decimal(frame.connection.number, out);
            out.push(b' ');
            out.extend_from_slice(frame.connection.transport.name().as_bytes());
            out.push(b' ');
            out.extend_from_slice(frame.direction.name().as_bytes());
        });
    }

    fn offsets(&mut self, sequence_numbers: bool) {
        let frame = self.frame;
        self.line("stream offset ", |out| {
            put::decimal(frame.offset, out);
            out.extend_from_slice(b"..");
            let end = frame.offset.saturating_add(frame.header.packet_len());
            put::decimal(end, out);
        });
        let first_seq = frame.connection.first_seq[frame.direction];
        if let Some(first) = first_seq.filter(|_| sequence_numbers) {
            self.line("sequence numbers ", |out| {
                put::decimal(first.wrapping_add(frame.range.start as u32), out);
                out.extend_from_slice(b"..");
                put::decimal(first.wrapping_add(frame.range.end as u32), out);
            });
        }
        self.line("packets ", |out| {
            put::decimal(frame.first.number, out);
            out.extend_from_slice(b"..");
            put::decimal(frame.last.number, out);
        });
    }

    fn id(&mut self, packet_id: Option<u16>) {
        if let Some(id) = packet_id {
            self.line("packet id ", |out| put::decimal(id, out));
        }
    }

    fn code(&mut self, name: &str, code: Option<u8>) {
        let frame = self.frame;
        if let Some(code) = code {
            self.line(name, |out| {
                put_code(frame.version, frame.header.packet_type(), code, out);
            });
        }
    }

    fn text(&mut self, name: &str, text: Option<Text<'_>>) {
        if let Some(text) = text {
            self.line(name, |out| escape::quoted(text.bytes(), out));
        }
    }

    fn line(&mut self, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
        self.out.extend_from_slice(b"    ");
        self.out.extend_from_slice(name.as_bytes());
        value(self.out);
        self.out.push(b'\n');
    }
}

fn put_hex(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0x");
    put::hex(byte, out);
}

fn put_bytes(count: u64, out: &mut Vec<u8>) {
    put::decimal(count, out);
    out.extend_from_slice(b" B");
}

fn put_value(value: PropertyValue<'_>, out: &mut Vec<u8>) {
    match value {
        PropertyValue::Byte(number) => put::decimal(number, out),
        PropertyValue::TwoByteInteger(number) => put::decimal(number, out),
        PropertyValue::FourByteInteger(number) | PropertyValue::VariableByteInteger(number) => {
            put::decimal(number, out);
        }
        PropertyValue::String(text) => escape::quoted(text.bytes(), out),
        PropertyValue::Pair(name, value) => {
            escape::quoted(name.bytes(), out);
            out.extend_from_slice(b" = ");
            escape::quoted(value.bytes(), out);
        }
        PropertyValue::Binary(bytes) => {
            put_bytes(bytes.len() as u64, out);
            out.push(b' ');
            escape::quoted(bytes, out);
        }
    }
}
