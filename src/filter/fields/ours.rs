//! The keys of NDJSON as fields, nested with dots: everything that is printed can be
//! filtered. Presence follows NDJSON, such as `qos` from every fixed header.

use std::borrow::Cow;
use std::str;

use crate::filter::field::{Access, Field, Kind, Many, One, Values};
use crate::filter::value::{Subject, Value};
use crate::mqtt::packet::{Connect, Publish, Subscription, Will};
use crate::mqtt::{ControlPacket, Text, Version, reason};

/// Prefixes of paths into a payload. The format in the name is not checked:
/// `payload.json.a` is found in CBOR as well.
pub(super) const PAYLOAD_ROOTS: [&str; 6] = [
    "payload.json",
    "payload.cbor",
    "payload.msgpack",
    "payload.protobuf",
    "payload.sparkplug",
    "payload_decoded",
];

static TYPES: &[&str] = &[
    "RESERVED",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
];

pub(super) fn fields() -> Vec<Field> {
    let mut fields = identity();
    fields.extend(header());
    fields.extend(connect());
    fields.extend(message());
    fields.extend(verdicts());
    fields
}

fn field(name: &'static str, kind: Kind, help: &'static str, access: Access) -> Field {
    Field {
        name: Cow::Borrowed(name),
        kind,
        help: Cow::Borrowed(help),
        values: Values::None,
        access,
    }
}

fn one(name: &'static str, kind: Kind, help: &'static str, get: One) -> Field {
    field(name, kind, help, Access::One(get))
}

fn many(name: &'static str, kind: Kind, help: &'static str, each: Many) -> Field {
    field(name, kind, help, Access::Many(each))
}

fn names(
    name: &'static str,
    names: &'static [&'static str],
    help: &'static str,
    get: One,
) -> Field {
    Field {
        values: Values::Names(names),
        ..one(name, Kind::Text, help, get)
    }
}

/// Packet and connection.
fn identity() -> Vec<Field> {
    vec![
        one(
            "packet",
            Kind::Number,
            "captured packet with its first byte, from 1",
            |s| Some(Value::Number(s.frame.first.number)),
        ),
        one(
            "last_packet",
            Kind::Number,
            "captured packet that completed it",
            |s| Some(Value::Number(s.frame.last.number)),
        ),
        one("time", Kind::Time, "when it was complete", |s| {
            Some(Value::Time(s.frame.time))
        }),
        one(
            "connection",
            Kind::Number,
            "number of the TCP connection, from 1",
            |s| Some(Value::Number(s.frame.connection.number)),
        ),
        one("src", Kind::Endpoint, "source", |s| {
            let (src, _) = s.frame.connection.endpoints(s.frame.direction);
            Some(Value::Endpoint(src))
        }),
        one("dst", Kind::Endpoint, "destination", |s| {
            let (_, dst) = s.frame.connection.endpoints(s.frame.direction);
            Some(Value::Endpoint(dst))
        }),
        names(
            "direction",
            &["up", "down"],
            "up (client to server) or down",
            |s| word(s.frame.direction.name()),
        ),
        one(
            "client_id",
            Kind::Text,
            "the client of the connection",
            |s| {
                let known = s.frame.connection.client_id.as_deref();
                let known = known.or_else(|| Some(as_connect(s)?.client_id?.bytes()));
                known.map(Value::Text)
            },
        ),
        names("version", &["3.1", "3.1.1", "5.0"], "MQTT version", |s| {
            word(s.frame.version.name())
        }),
        one(
            "version_assumed",
            Kind::Flag,
            "no CONNECT was captured",
            |s| when(s.frame.connection.version_assumed),
        ),
        names(
            "transport",
            &["tcp", "tls", "websocket", "tls+websocket"],
            "the transport of MQTT",
            |s| word(s.frame.connection.transport.name()),
        ),
    ]
}

/// Fields of every packet.
fn header() -> Vec<Field> {
    vec![
        names("type", TYPES, "packet type", |s| {
            word(s.frame.header.packet_type().name())
        }),
        one(
            "qos",
            Kind::Number,
            "bits 2-1 of the fixed header, of every packet",
            |s| Some(Value::Number(s.frame.header.qos().into())),
        ),
        one("dup", Kind::Flag, "bit 3 of the fixed header", |s| {
            Some(Value::Flag(s.frame.header.dup()))
        }),
        one("retain", Kind::Flag, "bit 0 of the fixed header", |s| {
            Some(Value::Flag(s.frame.header.retain()))
        }),
        one(
            "length",
            Kind::Number,
            "bytes of the whole control packet",
            |s| Some(Value::Number(s.frame.header.packet_len())),
        ),
        one(
            "missing",
            Kind::Number,
            "how many of them the capture lacks",
            |s| (s.frame.missing > 0).then_some(Value::Number(s.frame.missing)),
        ),
        one(
            "resynchronised",
            Kind::Flag,
            "found after framing was lost",
            |s| when(s.frame.resynchronised),
        ),
        one("packet_id", Kind::Number, "Packet Identifier", |s| {
            Some(Value::Number(s.frame.packet.packet_id()?.into()))
        }),
        one("reason_code", Kind::Number, "reason or return code", |s| {
            Some(Value::Number(s.frame.packet.code()?.into()))
        }),
        one(
            "reason",
            Kind::Text,
            "its name, such as Not authorized",
            |s| {
                word(reason::name(
                    s.frame.version,
                    s.frame.header.packet_type(),
                    s.frame.packet.code()?,
                )?)
            },
        ),
        many(
            "codes",
            Kind::Number,
            "codes of SUBACK and UNSUBACK",
            |s, visit| {
                let codes = match &s.frame.packet {
                    ControlPacket::Suback(suback) => suback.codes,
                    ControlPacket::Unsuback(unsuback) => unsuback.codes,
                    _ => &[],
                };
                codes
                    .iter()
                    .any(|code| visit(Value::Number((*code).into())))
            },
        ),
        many(
            "defects.code",
            Kind::Text,
            "bytes that break the packet format",
            |s, visit| {
                let mut defects = s.frame.defects.iter();
                defects.any(|defect| visit(Value::Text(defect.code.name().as_bytes())))
            },
        ),
        many(
            "defects.message",
            Kind::Text,
            "the same in words",
            |s, visit| {
                let mut defects = s.frame.defects.iter();
                defects.any(|defect| visit(Value::Text(defect.message.as_bytes())))
            },
        ),
        many(
            "defects.offset",
            Kind::Number,
            "where in the control packet",
            |s, visit| {
                let mut defects = s.frame.defects.iter();
                defects.any(|defect| visit(Value::Number(defect.offset.into())))
            },
        ),
    ]
}

fn connect() -> Vec<Field> {
    vec![
        one("protocol_name", Kind::Text, "Protocol Name", |s| {
            text(as_connect(s)?.protocol_name)
        }),
        one(
            "protocol_level",
            Kind::Number,
            "Protocol Level without the bridge bit",
            |s| {
                let level = as_connect(s)?.protocol_level?;
                Some(Value::Number((level & 0x7f).into()))
            },
        ),
        one(
            "bridge",
            Kind::Flag,
            "the client marks itself as a bridge",
            |s| when(as_connect(s)?.is_bridge()),
        ),
        one(
            "clean_start",
            Kind::Flag,
            "Clean Start, Clean Session",
            |s| as_connect(s)?.clean_start().map(Value::Flag),
        ),
        one("keep_alive", Kind::Number, "Keep Alive in seconds", |s| {
            Some(Value::Number(as_connect(s)?.keep_alive?.into()))
        }),
        one("username", Kind::Text, "User Name", |s| {
            text(as_connect(s)?.username)
        }),
        one("password", Kind::Text, "Password", |s| {
            as_connect(s)?.password.map(Value::Text)
        }),
        one("will", Kind::Presence, "has a will", |s| {
            as_will(s).map(|_| Value::There)
        }),
        one("will.topic", Kind::Topic, "Will Topic", |s| {
            text(as_will(s)?.topic)
        }),
        one("will.qos", Kind::Number, "Will QoS", |s| {
            Some(Value::Number(as_will(s)?.qos.into()))
        }),
        one("will.retain", Kind::Flag, "Will Retain", |s| {
            Some(Value::Flag(as_will(s)?.retain))
        }),
        one("will.payload", Kind::Bytes, "Will Payload", |s| {
            as_will(s)?.payload.map(Value::Bytes)
        }),
        one(
            "will.payload_length",
            Kind::Number,
            "bytes of the Will Payload",
            |s| Some(Value::Number(as_will(s)?.payload?.len() as u64)),
        ),
        one(
            "session_present",
            Kind::Flag,
            "Session Present",
            |s| match &s.frame.packet {
                ControlPacket::Connack(connack) => {
                    connack.session_present(s.frame.version).map(Value::Flag)
                }
                _ => None,
            },
        ),
    ]
}

fn message() -> Vec<Field> {
    let mut fields = vec![
        one(
            "topic",
            Kind::Topic,
            "topic of a PUBLISH, also by its alias",
            |s| text(s.frame.topic),
        ),
        one("topic_alias", Kind::Number, "Topic Alias", |s| {
            Some(Value::Number(as_publish(s)?.topic_alias?.into()))
        }),
        one(
            "payload",
            Kind::Bytes,
            "payload of a PUBLISH, as far as it was kept (--payload)",
            |s| {
                let publish = as_publish(s)?;
                publish.payload_len.map(|_| Value::Bytes(publish.payload))
            },
        ),
        one(
            "payload_length",
            Kind::Number,
            "bytes of the whole payload",
            |s| Some(Value::Number(as_publish(s)?.payload_len?.into())),
        ),
        names(
            "payload_encoding",
            &["utf-8", "base64"],
            "whether the payload is text",
            |s| {
                let publish = as_publish(s)?;
                publish.payload_len?;
                word(match str::from_utf8(publish.payload) {
                    Ok(_) => "utf-8",
                    Err(error) if is_truncated(publish) && error.error_len().is_none() => "utf-8",
                    Err(_) => "base64",
                })
            },
        ),
        one(
            "payload_truncated",
            Kind::Flag,
            "the payload is longer than the part that was kept",
            |s| when(is_truncated(as_publish(s)?)),
        ),
        many(
            "filters.filter",
            Kind::TopicFilter,
            "Topic Filters of SUBSCRIBE and UNSUBSCRIBE",
            |s, visit| match &s.frame.packet {
                ControlPacket::Unsubscribe(unsubscribe) => unsubscribe
                    .filters()
                    .any(|filter| visit(Value::Text(filter.bytes()))),
                _ => subscriptions(s).any(|entry| visit(Value::Text(entry.filter.bytes()))),
            },
        ),
        many(
            "filters.qos",
            Kind::Number,
            "requested or maximum QoS",
            |s, visit| {
                subscriptions(s)
                    .filter_map(|entry| entry.max_qos())
                    .any(|qos| visit(Value::Number(qos.into())))
            },
        ),
        many("filters.no_local", Kind::Flag, "No Local", |s, visit| {
            since_5(s)
                .filter_map(|entry| entry.no_local())
                .any(|on| visit(Value::Flag(on)))
        }),
        many(
            "filters.retain_as_published",
            Kind::Flag,
            "Retain As Published",
            |s, visit| {
                since_5(s)
                    .filter_map(|entry| entry.retain_as_published())
                    .any(|on| visit(Value::Flag(on)))
            },
        ),
        many(
            "filters.retain_handling",
            Kind::Number,
            "Retain Handling",
            |s, visit| {
                since_5(s)
                    .filter_map(|entry| entry.retain_handling())
                    .any(|how| visit(Value::Number(how.into())))
            },
        ),
    ];
    fields.extend(PAYLOAD_ROOTS.map(|root| {
        let help = "the decoded payload; .A.B[0] for a value inside";
        field(root, Kind::Any, help, Access::Payload([].into()))
    }));
    fields
}

/// Facts of other stages.
fn verdicts() -> Vec<Field> {
    vec![
        one(
            "latency_ms",
            Kind::Real,
            "milliseconds from a request to the packet that ends its exchange",
            |s| Some(Value::Real(s.exchange.latency?.as_secs_f64() * 1000.0)),
        ),
        one(
            "acked",
            Kind::Flag,
            "whether the exchange of the packet was completed",
            |s| s.exchange.acked.map(Value::Flag),
        ),
        many(
            "finding",
            Kind::Text,
            "ids of rules with a finding about the packet",
            |s, visit| {
                let mut findings = s.findings.iter();
                findings.any(|rule| visit(Value::Text(rule.as_bytes())))
            },
        ),
    ]
}

fn word<'a>(text: &'static str) -> Option<Value<'a>> {
    Some(Value::Text(text.as_bytes()))
}

fn text(text: Option<Text<'_>>) -> Option<Value<'_>> {
    text.map(|text| Value::Text(text.bytes()))
}

/// A flag that NDJSON has only when it is true.
fn when<'a>(set: bool) -> Option<Value<'a>> {
    set.then_some(Value::Flag(true))
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

fn as_publish<'a>(subject: &Subject<'a>) -> Option<&'a Publish<'a>> {
    match &subject.frame.packet {
        ControlPacket::Publish(publish) => Some(publish),
        _ => None,
    }
}

fn is_truncated(publish: &Publish<'_>) -> bool {
    let length = publish.payload_len.unwrap_or_default();
    (publish.payload.len() as u64) < u64::from(length)
}

fn subscriptions<'a>(subject: &Subject<'a>) -> impl Iterator<Item = Subscription<'a>> + use<'a> {
    match &subject.frame.packet {
        ControlPacket::Subscribe(subscribe) => Some(subscribe.filters()),
        _ => None,
    }
    .into_iter()
    .flatten()
}

fn since_5<'a>(subject: &Subject<'a>) -> impl Iterator<Item = Subscription<'a>> + use<'a> {
    let wanted = subject.frame.version == Version::V5;
    subscriptions(subject).filter(move |_| wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::PacketType;

    #[test]
    fn the_types_are_those_of_the_headers() {
        let names = PacketType::ALL.map(PacketType::name);
        assert_eq!(TYPES, names);
    }
}
