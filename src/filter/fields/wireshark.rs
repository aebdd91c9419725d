//! The fields of Wireshark's MQTT dissector: the same names, values and presence.
//! `tests/filters.rs` compares each with tshark's.
//!
//! Some details: QoS, DUP and RETAIN are fields of PUBLISH (and of those packets of
//! MQTT 3.1 that have them); a topic resolved from an alias is `mqtt.topic` too; an
//! empty topic is absent; `mqtt.len` is the Remaining Length.

use std::borrow::Cow;

use crate::filter::field::{Access, Field, Kind, Many, One, Values, properties};
use crate::filter::value::{Subject, Value};
use crate::mqtt::packet::{Ack, Connack, Connect, Publish, Subscription, Will};
use crate::mqtt::{ControlPacket, PacketType, Properties, Property, PropertyValue, Text, Version};

const TYPES: &[(u64, &str)] = &[
    (0, "Reserved"),
    (1, "Connect Command"),
    (2, "Connect Ack"),
    (3, "Publish Message"),
    (4, "Publish Ack"),
    (5, "Publish Received"),
    (6, "Publish Release"),
    (7, "Publish Complete"),
    (8, "Subscribe Request"),
    (9, "Subscribe Ack"),
    (10, "Unsubscribe Request"),
    (11, "Unsubscribe Ack"),
    (12, "Ping Request"),
    (13, "Ping Response"),
    (14, "Disconnect Req"),
    (15, "Authentication Exchange"),
    // The specification's name, which Wireshark does not accept.
    (1, "CONNECT"),
    (2, "CONNACK"),
    (3, "PUBLISH"),
    (4, "PUBACK"),
    (5, "PUBREC"),
    (6, "PUBREL"),
    (7, "PUBCOMP"),
    (8, "SUBSCRIBE"),
    (9, "SUBACK"),
    (10, "UNSUBSCRIBE"),
    (11, "UNSUBACK"),
    (12, "PINGREQ"),
    (13, "PINGRESP"),
    (14, "DISCONNECT"),
    (15, "AUTH"),
];

const QOS: &[(u64, &str)] = &[
    (0, "At most once delivery (Fire and Forget)"),
    (1, "At least once delivery (Acknowledged deliver)"),
    (2, "Exactly once delivery (Assured Delivery)"),
    (3, "Reserved"),
    (128, "Failure"),
];

const RETURN_CODES: &[(u64, &str)] = &[
    (0, "Connection Accepted"),
    (1, "Connection Refused: unacceptable protocol version"),
    (2, "Connection Refused: identifier rejected"),
    (3, "Connection Refused: server unavailable"),
    (4, "Connection Refused: bad user name or password"),
    (5, "Connection Refused: not authorized"),
];

const VERSIONS: &[(u64, &str)] = &[(3, "MQTT v3.1"), (4, "MQTT v3.1.1"), (5, "MQTT v5.0")];

const RETAIN_HANDLING: &[(u64, &str)] = &[
    (0, "Send msgs at subscription time"),
    (1, "Send msgs if subscription does not exist"),
    (2, "Do not send msgs at subscription time"),
    (3, "Reserved"),
];

pub(super) fn fields() -> Vec<Field> {
    let mut fields = fixed_header();
    fields.extend(connect());
    fields.extend(messages());
    fields.extend(property_fields());
    fields
}

fn field(
    name: &'static str,
    kind: Kind,
    values: Values,
    help: &'static str,
    access: Access,
) -> Field {
    Field {
        name: Cow::Borrowed(name),
        kind,
        help: Cow::Borrowed(help),
        values,
        access,
    }
}

fn number(name: &'static str, help: &'static str, get: One) -> Field {
    field(name, Kind::Number, Values::None, help, Access::One(get))
}

fn named(
    name: &'static str,
    names: &'static [(u64, &'static str)],
    help: &'static str,
    get: One,
) -> Field {
    field(
        name,
        Kind::Number,
        Values::Numbers(names),
        help,
        Access::One(get),
    )
}

fn flag(name: &'static str, help: &'static str, get: One) -> Field {
    field(name, Kind::Flag, Values::None, help, Access::One(get))
}

fn text(name: &'static str, help: &'static str, get: One) -> Field {
    field(name, Kind::Text, Values::None, help, Access::One(get))
}

fn bytes(name: &'static str, help: &'static str, get: One) -> Field {
    field(name, Kind::Bytes, Values::None, help, Access::One(get))
}

fn present(name: &'static str, help: &'static str, get: One) -> Field {
    field(name, Kind::Presence, Values::None, help, Access::One(get))
}

fn many(name: &'static str, kind: Kind, help: &'static str, each: Many) -> Field {
    field(name, kind, Values::None, help, Access::Many(each))
}

fn fixed_header() -> Vec<Field> {
    vec![
        present("mqtt", "every control packet", |_| Some(Value::There)),
        number("mqtt.len", "Remaining Length", |s| {
            Some(Value::Number(s.frame.header.remaining_length.into()))
        }),
        number("mqtt.hdrflags", "first byte of the fixed header", |s| {
            Some(Value::Number(s.frame.header.first.into()))
        }),
        named("mqtt.msgtype", TYPES, "packet type, 0 to 15", |s| {
            Some(Value::Number(packet_type(s) as u64))
        }),
        flag("mqtt.dupflag", "DUP, of PUBLISH", |s| {
            has_flags(s).then_some(Value::Flag(s.frame.header.dup()))
        }),
        named("mqtt.qos", QOS, "QoS of a PUBLISH", |s| {
            has_flags(s).then_some(Value::Number(s.frame.header.qos().into()))
        }),
        flag("mqtt.retain", "RETAIN, of PUBLISH", |s| {
            (packet_type(s) == PacketType::Publish).then_some(Value::Flag(s.frame.header.retain()))
        }),
        number(
            "mqtt.hdr_reserved",
            "reserved bits of the fixed header, where DUP, QoS and RETAIN have no meaning",
            |s| (!has_flags(s)).then_some(Value::Number(s.frame.header.flags().into())),
        ),
        number(
            "mqtt.retain_reserved",
            "bit 0 of the fixed header, of MQTT 3.1 packets that have DUP and QoS but no RETAIN",
            |s| {
                let reserved = has_flags(s) && packet_type(s) != PacketType::Publish;
                reserved.then_some(Value::Number(s.frame.header.retain().into()))
            },
        ),
        number("mqtt.msgid", "Packet Identifier", |s| {
            Some(Value::Number(s.frame.packet.packet_id()?.into()))
        }),
    ]
}

fn connect() -> Vec<Field> {
    vec![
        number("mqtt.proto_len", "length of the Protocol Name", |s| {
            len(as_connect(s)?.protocol_name?.bytes())
        }),
        text("mqtt.protoname", "Protocol Name", |s| {
            string(as_connect(s)?.protocol_name)
        }),
        named("mqtt.ver", VERSIONS, "Protocol Level", |s| {
            Some(Value::Number(as_connect(s)?.protocol_level?.into()))
        }),
        number("mqtt.conflags", "Connect Flags", |s| {
            Some(Value::Number(as_connect(s)?.flags?.into()))
        }),
        flag("mqtt.conflag.uname", "User Name Flag", |s| {
            connect_flag(s, 0x80)
        }),
        flag("mqtt.conflag.passwd", "Password Flag", |s| {
            connect_flag(s, 0x40)
        }),
        flag("mqtt.conflag.retain", "Will Retain", |s| {
            connect_flag(s, 0x20)
        }),
        named("mqtt.conflag.qos", QOS, "Will QoS", |s| {
            Some(Value::Number(u64::from(as_connect(s)?.flags? >> 3 & 3)))
        }),
        flag("mqtt.conflag.willflag", "Will Flag", |s| {
            connect_flag(s, 0x04)
        }),
        flag(
            "mqtt.conflag.cleansess",
            "Clean Session, Clean Start",
            |s| connect_flag(s, 0x02),
        ),
        flag(
            "mqtt.conflag.reserved",
            "reserved bit of the Connect Flags",
            |s| connect_flag(s, 0x01),
        ),
        number("mqtt.kalive", "Keep Alive in seconds", |s| {
            Some(Value::Number(as_connect(s)?.keep_alive?.into()))
        }),
        number(
            "mqtt.clientid_len",
            "length of the Client Identifier",
            |s| len(as_connect(s)?.client_id?.bytes()),
        ),
        text("mqtt.clientid", "Client Identifier, of CONNECT", |s| {
            string(as_connect(s)?.client_id)
        }),
        number("mqtt.willtopic_len", "length of the Will Topic", |s| {
            len(as_will(s)?.topic?.bytes())
        }),
        text("mqtt.willtopic", "Will Topic", |s| {
            string(as_will(s)?.topic.filter(not_empty))
        }),
        number("mqtt.willmsg_len", "length of the Will Message", |s| {
            len(as_will(s)?.payload?)
        }),
        bytes("mqtt.willmsg", "Will Message", |s| {
            Some(Value::Bytes(as_will(s)?.payload?))
        }),
        number("mqtt.username_len", "length of the User Name", |s| {
            len(as_connect(s)?.username?.bytes())
        }),
        text("mqtt.username", "User Name", |s| {
            string(as_connect(s)?.username)
        }),
        number("mqtt.passwd_len", "length of the Password", |s| {
            len(as_connect(s)?.password?)
        }),
        text("mqtt.passwd", "Password", |s| {
            Some(Value::Text(as_connect(s)?.password?))
        }),
        number(
            "mqtt.conack.flags",
            "Connect Acknowledge Flags, from MQTT 3.1.1 on",
            |s| {
                let flags = as_connack(s)?.flags?;
                (s.frame.version != Version::V3_1).then_some(Value::Number(flags.into()))
            },
        ),
        flag(
            "mqtt.conack.flags.reserved",
            "reserved bits of the Connect Acknowledge Flags",
            |s| {
                let reserved = match s.frame.version {
                    Version::V3_1 => 0xff,
                    Version::V3_1_1 | Version::V5 => 0xfe,
                };
                Some(Value::Flag(as_connack(s)?.flags? & reserved != 0))
            },
        ),
        flag("mqtt.conack.flags.sp", "Session Present", |s| {
            let flags = as_connack(s)?.flags?;
            (s.frame.version != Version::V3_1).then_some(Value::Flag(flags & 1 != 0))
        }),
        named(
            "mqtt.conack.val",
            RETURN_CODES,
            "Connect Return Code, before MQTT 5.0",
            |s| {
                let code = as_connack(s)?.code?;
                (s.frame.version != Version::V5).then_some(Value::Number(code.into()))
            },
        ),
    ]
}

fn messages() -> Vec<Field> {
    vec![
        many(
            "mqtt.topic_len",
            Kind::Number,
            "length of a Topic Name or Topic Filter",
            |s, visit| match &s.frame.packet {
                ControlPacket::Publish(publish) => publish
                    .topic
                    .and_then(|topic| len(topic.bytes()))
                    .is_some_and(visit),
                packet => {
                    filters(packet).any(|(filter, _)| len(filter.bytes()).is_some_and(&mut *visit))
                }
            },
        ),
        many(
            "mqtt.topic",
            Kind::Text,
            "Topic Name of a PUBLISH, also by its alias; Topic Filters of SUBSCRIBE and UNSUBSCRIBE",
            |s, visit| match &s.frame.packet {
                ControlPacket::Publish(publish) => topic(s, publish).is_some_and(visit),
                packet => filters(packet)
                    .filter(|(filter, _)| not_empty(filter))
                    .any(|(filter, _)| visit(Value::Text(filter.bytes()))),
            },
        ),
        bytes(
            "mqtt.msg",
            "payload of a PUBLISH, as far as it was kept (--payload)",
            |s| match &s.frame.packet {
                ControlPacket::Publish(publish) => {
                    publish.payload_len.map(|_| Value::Bytes(publish.payload))
                }
                _ => None,
            },
        ),
        field(
            "mqtt.sub.qos",
            Kind::Number,
            Values::Numbers(QOS),
            "requested QoS, before MQTT 5.0",
            Access::Many(|s, visit| {
                options(s, false).any(|options| visit(Value::Number(options.into())))
            }),
        ),
        field(
            "mqtt.suback.qos",
            Kind::Number,
            Values::Numbers(QOS),
            "granted QoS, before MQTT 5.0",
            Access::Many(|s, visit| match &s.frame.packet {
                ControlPacket::Suback(suback) if s.frame.version != Version::V5 => {
                    codes(suback.codes, visit)
                }
                _ => false,
            }),
        ),
        many(
            "mqtt.subscription_options",
            Kind::Number,
            "Subscription Options, since MQTT 5.0",
            |s, visit| options(s, true).any(|options| visit(Value::Number(options.into()))),
        ),
        field(
            "mqtt.subscription_options_qos",
            Kind::Number,
            Values::Numbers(QOS),
            "Maximum QoS of a subscription",
            Access::Many(|s, visit| {
                options(s, true).any(|options| visit(Value::Number((options & 3).into())))
            }),
        ),
        many(
            "mqtt.subscription_options_nl",
            Kind::Flag,
            "No Local",
            |s, visit| options(s, true).any(|options| visit(Value::Flag(options & 4 != 0))),
        ),
        many(
            "mqtt.subscription_options_rap",
            Kind::Flag,
            "Retain As Published",
            |s, visit| options(s, true).any(|options| visit(Value::Flag(options & 8 != 0))),
        ),
        field(
            "mqtt.subscription_options_retain",
            Kind::Number,
            Values::Numbers(RETAIN_HANDLING),
            "Retain Handling",
            Access::Many(|s, visit| {
                options(s, true).any(|options| visit(Value::Number((options >> 4 & 3).into())))
            }),
        ),
        many(
            "mqtt.subscription_options_reserved",
            Kind::Number,
            "reserved bits of the Subscription Options",
            |s, visit| options(s, true).any(|options| visit(Value::Number((options >> 6).into()))),
        ),
        reason(
            "mqtt.connack.reason_code",
            PacketType::Connack,
            "Reason Code of a CONNACK",
            |s| v5(s, as_connack(s)?.code),
        ),
        reason(
            "mqtt.puback.reason_code",
            PacketType::Puback,
            "Reason Code of a PUBACK",
            |s| match &s.frame.packet {
                ControlPacket::Puback(ack) => ack_code(s, ack),
                _ => None,
            },
        ),
        reason(
            "mqtt.pubrec.reason_code",
            PacketType::Pubrec,
            "Reason Code of a PUBREC",
            |s| match &s.frame.packet {
                ControlPacket::Pubrec(ack) => ack_code(s, ack),
                _ => None,
            },
        ),
        reason(
            "mqtt.pubrel.reason_code",
            PacketType::Pubrel,
            "Reason Code of a PUBREL",
            |s| match &s.frame.packet {
                ControlPacket::Pubrel(ack) => ack_code(s, ack),
                _ => None,
            },
        ),
        reason(
            "mqtt.pubcomp.reason_code",
            PacketType::Pubcomp,
            "Reason Code of a PUBCOMP",
            |s| match &s.frame.packet {
                ControlPacket::Pubcomp(ack) => ack_code(s, ack),
                _ => None,
            },
        ),
        field(
            "mqtt.suback.reason_code",
            Kind::Number,
            Values::Reasons(PacketType::Suback),
            "Reason Codes of a SUBACK",
            Access::Many(|s, visit| match &s.frame.packet {
                ControlPacket::Suback(suback) if s.frame.version == Version::V5 => {
                    codes(suback.codes, visit)
                }
                _ => false,
            }),
        ),
        field(
            "mqtt.unsuback.reason_code",
            Kind::Number,
            Values::Reasons(PacketType::Unsuback),
            "Reason Codes of an UNSUBACK",
            Access::Many(|s, visit| match &s.frame.packet {
                ControlPacket::Unsuback(unsuback) => codes(unsuback.codes, visit),
                _ => false,
            }),
        ),
        reason(
            "mqtt.disconnect.reason_code",
            PacketType::Disconnect,
            "Reason Code of a DISCONNECT",
            |s| match &s.frame.packet {
                ControlPacket::Disconnect(disconnect) => v5(s, disconnect.code),
                _ => None,
            },
        ),
        reason(
            "mqtt.auth.reason_code",
            PacketType::Auth,
            "Reason Code of an AUTH",
            |s| match &s.frame.packet {
                ControlPacket::Auth(auth) => v5(s, auth.code),
                _ => None,
            },
        ),
        present(
            "mqtt.unknown_topic_alias",
            "a Topic Alias that was never set",
            |s| match &s.frame.packet {
                ControlPacket::Publish(publish) => {
                    let unknown = publish.topic_alias.is_some_and(|alias| alias != 0)
                        && publish.topic.is_some_and(|topic| !not_empty(&topic))
                        && s.frame.topic.is_none();
                    unknown.then_some(Value::There)
                }
                _ => None,
            },
        ),
        present(
            "mqtt.unknown_version",
            "the version is unknown because no CONNECT was captured",
            |s| {
                let unknown =
                    s.frame.connection.version_assumed && packet_type(s) != PacketType::Connect;
                unknown.then_some(Value::There)
            },
        ),
    ]
}

fn property_fields() -> Vec<Field> {
    vec![
        present(
            "mqtt.properties",
            "has properties, if only their length",
            |s| section(s, false).map(|_| Value::There),
        ),
        present(
            "mqtt.will_properties",
            "has Will Properties, if only their length",
            |s| section(s, true).map(|_| Value::There),
        ),
        many(
            "mqtt.property_len",
            Kind::Number,
            "Property Length",
            |s, visit| {
                [false, true]
                    .into_iter()
                    .filter_map(|will| section(s, will))
                    .any(|properties| len(properties.bytes).is_some_and(&mut *visit))
            },
        ),
        many(
            "mqtt.property_id",
            Kind::Number,
            "Property Identifier",
            |s, visit| all_properties(s).any(|property| visit(Value::Number(property.id.into()))),
        ),
        many(
            "mqtt.prop_number",
            Kind::Number,
            "a property that is a number",
            |s, visit| {
                all_properties(s)
                    .filter(|property| !matches!(property.id, MAXIMUM_QOS | TOPIC_ALIAS))
                    .filter_map(|property| property_number(property.value))
                    .any(|number| visit(Value::Number(number)))
            },
        ),
        many(
            "mqtt.property.content_type",
            Kind::Text,
            "Content Type",
            |s, visit| {
                all_properties(s)
                    .filter(|property| property.id == CONTENT_TYPE)
                    .filter_map(|property| property_bytes(property.value))
                    .any(|text| visit(Value::Text(text)))
            },
        ),
        many(
            "mqtt.property.max_qos",
            Kind::Number,
            "Maximum QoS",
            |s, visit| {
                all_properties(s)
                    .filter(|property| property.id == MAXIMUM_QOS)
                    .filter_map(|property| property_number(property.value))
                    .any(|number| visit(Value::Number(number)))
            },
        ),
        many(
            "mqtt.property.topic_alias",
            Kind::Number,
            "Topic Alias",
            |s, visit| {
                all_properties(s)
                    .filter(|property| property.id == TOPIC_ALIAS)
                    .filter_map(|property| property_number(property.value))
                    .any(|number| visit(Value::Number(number)))
            },
        ),
        many(
            "mqtt.prop_string_len",
            Kind::Number,
            "length of a property that is text or bytes",
            |s, visit| strings(s).any(|text| len(text).is_some_and(&mut *visit)),
        ),
        many(
            "mqtt.prop_string",
            Kind::Text,
            "a property that is text or bytes",
            |s, visit| strings(s).any(|text| visit(Value::Text(text))),
        ),
        many(
            "mqtt.prop_key_len",
            Kind::Number,
            "length of the name of a User Property",
            |s, visit| pairs(s).any(|(key, _)| len(key).is_some_and(&mut *visit)),
        ),
        many(
            "mqtt.prop_key",
            Kind::Text,
            "name of a User Property",
            |s, visit| pairs(s).any(|(key, _)| visit(Value::Text(key))),
        ),
        many(
            "mqtt.prop_value_len",
            Kind::Number,
            "length of the value of a User Property",
            |s, visit| pairs(s).any(|(_, value)| len(value).is_some_and(&mut *visit)),
        ),
        many(
            "mqtt.prop_value",
            Kind::Text,
            "value of a User Property",
            |s, visit| pairs(s).any(|(_, value)| visit(Value::Text(value))),
        ),
    ]
}

const CONTENT_TYPE: u32 = 0x03;
const TOPIC_ALIAS: u32 = 0x23;
const MAXIMUM_QOS: u32 = 0x24;

fn reason(name: &'static str, packet: PacketType, help: &'static str, get: One) -> Field {
    field(
        name,
        Kind::Number,
        Values::Reasons(packet),
        help,
        Access::One(get),
    )
}

fn packet_type(subject: &Subject<'_>) -> PacketType {
    subject.frame.header.packet_type()
}

/// Whether DUP and QoS have a meaning: in a PUBLISH, and in 3.1 in packets sent with
/// QoS 1.
fn has_flags(subject: &Subject<'_>) -> bool {
    match packet_type(subject) {
        PacketType::Publish => true,
        PacketType::Pubrel | PacketType::Subscribe | PacketType::Unsubscribe => {
            subject.frame.version == Version::V3_1
        }
        _ => false,
    }
}

fn as_connect<'a>(subject: &Subject<'a>) -> Option<&'a Connect<'a>> {
    match &subject.frame.packet {
        ControlPacket::Connect(connect) => Some(connect),
        _ => None,
    }
}

fn as_will<'a>(subject: &Subject<'a>) -> Option<&'a Will<'a>> {
    as_connect(subject)?.will.as_ref()
}

fn as_connack<'a>(subject: &Subject<'a>) -> Option<&'a Connack<'a>> {
    match &subject.frame.packet {
        ControlPacket::Connack(connack) => Some(connack),
        _ => None,
    }
}

fn connect_flag<'a>(subject: &Subject<'a>, bit: u8) -> Option<Value<'a>> {
    Some(Value::Flag(as_connect(subject)?.flags? & bit != 0))
}

fn len<'a>(bytes: &[u8]) -> Option<Value<'a>> {
    Some(Value::Number(bytes.len() as u64))
}

fn string(text: Option<Text<'_>>) -> Option<Value<'_>> {
    text.map(|text| Value::Text(text.bytes()))
}

fn not_empty(text: &Text<'_>) -> bool {
    !text.bytes().is_empty()
}

fn v5<'a>(subject: &Subject<'a>, code: Option<u8>) -> Option<Value<'a>> {
    (subject.frame.version == Version::V5).then_some(Value::Number(code?.into()))
}

fn ack_code<'a>(subject: &Subject<'a>, ack: &Ack<'a>) -> Option<Value<'a>> {
    v5(subject, ack.code)
}

/// The topic on the wire; else the one that the alias stands for, which is empty if
/// the alias was never set.
fn topic<'a>(subject: &Subject<'a>, publish: &Publish<'a>) -> Option<Value<'a>> {
    let sent = publish.topic?;
    if not_empty(&sent) {
        return Some(Value::Text(sent.bytes()));
    }
    publish.topic_alias.filter(|alias| *alias != 0)?;
    let stands_for = subject.frame.topic.map_or(&b""[..], Text::bytes);
    Some(Value::Text(stands_for))
}

/// Topic Filters, of SUBSCRIBE with their options.
fn filters<'a>(packet: &'a ControlPacket<'a>) -> impl Iterator<Item = (Text<'a>, Option<u8>)> {
    let subscribe = match packet {
        ControlPacket::Subscribe(subscribe) => Some(subscribe.filters()),
        _ => None,
    };
    let unsubscribe = match packet {
        ControlPacket::Unsubscribe(unsubscribe) => Some(unsubscribe.filters()),
        _ => None,
    };
    let subscribed = subscribe.into_iter().flatten();
    let unsubscribed = unsubscribe.into_iter().flatten();
    subscribed
        .map(|Subscription { filter, options }| (filter, options))
        .chain(unsubscribed.map(|filter| (filter, None)))
}

/// The options bytes of a SUBSCRIBE, if it is of 5.0 or if it is not.
fn options<'a>(subject: &Subject<'a>, since_5: bool) -> impl Iterator<Item = u8> + use<'a> {
    let wanted = (subject.frame.version == Version::V5) == since_5;
    filters(subject.frame.packet)
        .filter(move |_| wanted)
        .filter_map(|(_, options)| options)
}

fn codes<'a>(codes: &[u8], visit: &mut dyn FnMut(Value<'a>) -> bool) -> bool {
    codes
        .iter()
        .any(|code| visit(Value::Number((*code).into())))
}

/// The properties, if at least their length is present.
fn section<'a>(subject: &Subject<'a>, will: bool) -> Option<Properties<'a>> {
    // No packet has them at its first byte.
    Some(properties(subject, will)).filter(|properties| properties.offset > 0)
}

fn all_properties<'a>(subject: &Subject<'a>) -> impl Iterator<Item = Property<'a>> + use<'a> {
    let of_packet = properties(subject, false);
    of_packet.iter().chain(properties(subject, true).iter())
}

fn property_number(value: PropertyValue<'_>) -> Option<u64> {
    match value {
        PropertyValue::Byte(number) => Some(number.into()),
        PropertyValue::TwoByteInteger(number) => Some(number.into()),
        PropertyValue::FourByteInteger(number) | PropertyValue::VariableByteInteger(number) => {
            Some(number.into())
        }
        PropertyValue::String(_) | PropertyValue::Pair(..) | PropertyValue::Binary(_) => None,
    }
}

fn property_bytes(value: PropertyValue<'_>) -> Option<&[u8]> {
    match value {
        PropertyValue::String(text) => Some(text.bytes()),
        PropertyValue::Binary(bytes) => Some(bytes),
        _ => None,
    }
}

/// Text and binary properties except the Content Type, which has a field of its own.
fn strings<'a>(subject: &Subject<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    all_properties(subject)
        .filter(|property| property.id != CONTENT_TYPE)
        .filter_map(|property| property_bytes(property.value))
}

fn pairs<'a>(subject: &Subject<'a>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
    all_properties(subject).filter_map(|property| match property.value {
        PropertyValue::Pair(key, value) => Some((key.bytes(), value.bytes())),
        _ => None,
    })
}
