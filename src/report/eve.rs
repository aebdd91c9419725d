//! EVE: `mqtt` events as Suricata writes them, one for each transaction.
//!
//! A transaction is a request with its answers: CONNECT and CONNACK, PUBLISH to PUBACK
//! or PUBCOMP, SUBSCRIBE and SUBACK, UNSUBSCRIBE and UNSUBACK. Other control packets
//! are transactions of their own, and so are answers without a captured request. An
//! event is written when its transaction is complete, or its connection is over.

use super::json::{self, Object, key};
use super::{Format, FrameItem, FrameNeeds, Frames, Options, Report, put, utc};
use crate::facts::{ExchangeFact, ExchangeKind, Needs, OpenExchanges, Role};
use crate::frame::{Connection, MQTTFrame};
use crate::mqtt::packet::{Connect, Will};
use crate::mqtt::{ControlPacket, PacketType, Properties, PropertyValue, Version};
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// `--format eve`
pub static EVE: Format<Frames> = Format {
    name: "eve",
    help: "mqtt events of Suricata's EVE JSON, one per transaction",
    needs: FrameNeeds {
        events: false,
        facts: |_| Needs::EXCHANGES,
    },
    new: |options| {
        Box::new(Eve {
            options: options.clone(),
            open: OpenExchanges::default(),
        })
    },
};

struct Eve {
    options: Options,
    open: OpenExchanges<Transaction>,
}

/// A transaction that is not complete.
struct Transaction {
    /// The keys before `mqtt`.
    head: Vec<u8>,
    /// The messages, each after a comma.
    messages: Vec<u8>,
    last: PacketRef,
    time: Timestamp,
}

impl Transaction {
    fn new(frame: &MQTTFrame<'_>) -> Self {
        let mut head = Vec::new();
        let connection = frame.connection;
        let mut object = Object::goes_on(&mut head);
        object.word(key!("event_type"), "mqtt");
        let (src, dst) = connection.endpoints(frame.direction);
        object.text(key!("src_ip"), |out| put::address(src.addr, out));
        object.number(key!("src_port"), src.port);
        object.text(key!("dest_ip"), |out| put::address(dst.addr, out));
        object.number(key!("dest_port"), dst.port);
        object.word(key!("proto"), "TCP");
        object.word(key!("app_proto"), "mqtt");
        object.word(key!("community_id"), community_id(connection));
        Self {
            head,
            messages: Vec::new(),
            last: frame.last,
            time: frame.time,
        }
    }

    fn add(&mut self, frame: &MQTTFrame<'_>, show_secrets: bool) {
        put_message(frame, show_secrets, &mut self.messages);
        (self.last, self.time) = (frame.last, frame.time);
    }
}

/// The part of a connection's identity that is its Community ID.
fn community_id(connection: &Connection) -> &str {
    let uid = connection.uid();
    uid.split_once('-').map_or(uid, |(id, _)| id)
}

impl Report<Frames> for Eve {
    fn put(&mut self, item: &FrameItem<'_>, out: &mut Vec<u8>) {
        match *item {
            FrameItem::Frame {
                frame, exchange, ..
            } => self.frame(frame, exchange, out),
            FrameItem::Ended(connection) => {
                for transaction in self.open.ended(connection) {
                    self.write(&transaction, out);
                }
            }
            FrameItem::Event(_) | FrameItem::LinkHeader(_) => {}
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        for transaction in self.open.finish() {
            self.write(&transaction, out);
        }
    }
}

impl Eve {
    fn frame(&mut self, frame: &MQTTFrame<'_>, exchange: Option<&ExchangeFact>, out: &mut Vec<u8>) {
        let show_secrets = self.options.show_secrets;
        let number = frame.connection.number;
        let is_pair = |exchange: &&ExchangeFact| {
            !matches!(exchange.kind, ExchangeKind::Ping | ExchangeKind::Auth)
        };
        let known = exchange
            .filter(is_pair)
            .and_then(|exchange| Some((exchange.role, exchange.first?)));
        match known {
            Some((Role::Opens, first)) => {
                let mut transaction = Transaction::new(frame);
                transaction.add(frame, show_secrets);
                if let Some(before) = self.open.open(number, first, transaction) {
                    self.write(&before, out);
                }
                return;
            }
            // A PUBLISH that is sent again is another transaction, which Suricata never
            // completes.
            Some((role, first)) if role != Role::Repeats => {
                if let Some(open) = self.open.get_mut(first) {
                    open.add(frame, show_secrets);
                    if role == Role::Completes
                        && let Some(done) = self.open.complete(number, first)
                    {
                        self.write(&done, out);
                    }
                    return;
                }
            }
            _ => {}
        }
        let mut alone = Transaction::new(frame);
        alone.add(frame, show_secrets);
        self.write(&alone, out);
    }

    fn write(&self, transaction: &Transaction, out: &mut Vec<u8>) {
        let mut object = Object::open(out);
        object.text(key!("timestamp"), |out| put_time(transaction.time, out));
        object.number(key!("pcap_cnt"), transaction.last.number);
        if let Some(file) = self.options.file(transaction.last) {
            object.string(key!("pcap_filename"), file);
        }
        object.rest().extend_from_slice(&transaction.head);
        object.value(key!("mqtt"), |out| {
            out.push(b'{');
            out.extend_from_slice(transaction.messages.get(1..).unwrap_or_default());
            out.push(b'}');
        });
        object.close();
        out.push(b'\n');
    }
}

/// `2017-04-07T22:24:37.251547+0000`
fn put_time(time: Timestamp, out: &mut Vec<u8>) {
    utc::date_and_time(time.seconds(), b'T', out);
    out.push(b'.');
    put::zero_padded::<6>(time.subsec_nanos() / 1000, out);
    out.extend_from_slice(b"+0000");
}

/// Appends `,"publish":{…}`.
fn put_message(frame: &MQTTFrame<'_>, show_secrets: bool, out: &mut Vec<u8>) {
    let packet = &frame.packet;
    let name = frame.header.packet_type().name().to_ascii_lowercase();
    let mut objects = Object::goes_on(out);
    objects.named(&name, |out| {
        let mut object = Object::open(out);
        object.number(key!("qos"), frame.header.qos());
        object.bool(key!("retain"), frame.header.retain());
        object.bool(key!("dup"), frame.header.dup());
        let id = packet.packet_id();
        match packet {
            ControlPacket::Connect(connect) => put_connect(connect, show_secrets, &mut object),
            ControlPacket::Connack(connack) => {
                object.bool(key!("session_present"), connack.flags.unwrap_or(0) & 1 != 0);
                object.optional(key!("return_code"), connack.code);
            }
            ControlPacket::Publish(publish) => {
                // With an alias the name on the wire is empty.
                object.wire(key!("topic"), publish.topic);
                object.optional(key!("message_id"), id);
                put_bytes(key!("message"), publish.payload, &mut object);
            }
            ControlPacket::Subscribe(subscribe) => {
                object.optional(key!("message_id"), id);
                object.list(key!("topics"), subscribe.filters(), |asked, object| {
                    object.wire(key!("topic"), Some(asked.filter));
                    object.optional(key!("qos"), asked.max_qos());
                });
            }
            ControlPacket::Suback(suback) => {
                object.optional(key!("message_id"), id);
                object.numbers(key!("qos_granted"), suback.codes);
            }
            ControlPacket::Unsubscribe(unsubscribe) => {
                object.optional(key!("message_id"), id);
                object.values(key!("topics"), unsubscribe.filters(), |filter, out| {
                    json::put_lossy(filter.bytes(), out);
                });
            }
            ControlPacket::Unsuback(unsuback) => {
                object.optional(key!("message_id"), id);
                if !unsuback.codes.is_empty() {
                    object.numbers(key!("reason_codes"), unsuback.codes);
                }
            }
            _ => {
                object.optional(key!("message_id"), id);
                let kind = frame.header.packet_type();
                let has_code = !matches!(kind, PacketType::Pingreq | PacketType::Pingresp);
                // 5.0: a Reason Code that is omitted is 0.
                let omitted = (frame.version == Version::V5 && has_code).then_some(0);
                object.optional(key!("reason_code"), packet.code().or(omitted));
            }
        }
        if frame.missing > 0 {
            object.bool(key!("truncated"), true);
            object.number(key!("skipped_length"), frame.missing);
        }
        put_properties(packet.properties(), show_secrets, &mut object);
        object.close();
    });
}

fn put_connect(connect: &Connect<'_>, show_secrets: bool, object: &mut Object<'_>) {
    object.wire(key!("protocol_string"), connect.protocol_name);
    object.optional(key!("protocol_version"), connect.protocol_level);
    object.wire(key!("client_id"), connect.client_id);
    let flags = connect.flags.unwrap_or(0);
    object.object(key!("flags"), |object| {
        object.bool(key!("username"), flags & 0x80 != 0);
        object.bool(key!("password"), flags & 0x40 != 0);
        object.bool(key!("will_retain"), flags & 0x20 != 0);
        object.bool(key!("will"), flags & 0x04 != 0);
        object.bool(key!("clean_session"), flags & 0x02 != 0);
    });
    object.wire(key!("username"), connect.username);
    if let Some(password) = connect.password.filter(|_| show_secrets) {
        put_bytes(key!("password"), password, object);
    }
    if let Some(will) = &connect.will {
        object.object(key!("will"), |object| put_will(will, show_secrets, object));
    }
}

fn put_will(will: &Will<'_>, show_secrets: bool, object: &mut Object<'_>) {
    object.wire(key!("topic"), will.topic);
    if let Some(payload) = will.payload {
        put_bytes(key!("message"), payload, object);
    }
    put_properties(will.properties, show_secrets, object);
}

/// Properties by their names; a User Property by its own. Keys are not repeated: the
/// first counts.
fn put_properties(properties: Properties<'_>, show_secrets: bool, object: &mut Object<'_>) {
    if properties.is_empty() {
        return;
    }
    object.object(key!("properties"), |object| {
        let mut names: Vec<Vec<u8>> = Vec::new();
        for property in properties.iter() {
            let name = match property.value {
                PropertyValue::Pair(name, _) => name.bytes(),
                _ => property.name().as_bytes(),
            };
            if names.iter().any(|known| known == name) {
                continue;
            }
            names.push(name.to_vec());
            object.named(&String::from_utf8_lossy(name), |out| match property.value {
                PropertyValue::Byte(number) => put::decimal(number, out),
                PropertyValue::TwoByteInteger(number) => put::decimal(number, out),
                PropertyValue::FourByteInteger(number)
                | PropertyValue::VariableByteInteger(number) => put::decimal(number, out),
                PropertyValue::String(text) | PropertyValue::Pair(_, text) => {
                    json::put_lossy(text.bytes(), out);
                }
                PropertyValue::Binary(_)
                    if property.id == super::secret::AUTHENTICATION_DATA && !show_secrets =>
                {
                    json::put_json(super::secret::MASK, out);
                }
                PropertyValue::Binary(bytes) => put_text(bytes, out),
            });
        }
    });
}

fn put_bytes(key: &str, bytes: &[u8], object: &mut Object<'_>) {
    object.value(key, |out| put_text(bytes, out));
}

/// Text as it is; of other bytes, those that are not printable as `\x1f`.
fn put_text(bytes: &[u8], out: &mut Vec<u8>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => json::put_json(text, out),
        Err(_) => {
            let mut text = String::with_capacity(bytes.len());
            for &byte in bytes {
                match byte {
                    b' '..=b'~' => text.push(byte.into()),
                    _ => text += &format!("\\x{byte:02X}"),
                }
            }
            json::put_json(&text, out);
        }
    }
}
