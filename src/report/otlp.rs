//! OpenTelemetry: exchanges as spans, in OTLP/JSON, one request a line, as the file
//! receiver of the Collector reads them.
//!
//! A PUBLISH of a client is a span of a producer, one of a server (a delivery) that of a
//! consumer; other exchanges are spans of a client. If a message has the User Property
//! `traceparent` ([W3C Trace Context](https://www.w3.org/TR/trace-context/)), its span
//! belongs to that trace and has that parent. Servers pass User Properties on, so that
//! deliveries belong to it, too. Without it, the identity of the exchange gives the
//! trace. Attributes follow the semantic conventions of messaging where there are some.

use super::json::{self, Object, key};
use super::{Format, FrameItem, FrameNeeds, Frames, Options, Report, put};
use crate::facts::{ExchangeKind, FrameFact, Needs, OpenExchanges, Role};
use crate::frame::{Direction, MQTTFrame};
use crate::identity::{self, ExchangeId};
use crate::mqtt::{ControlPacket, PacketType, PropertyValue, reason};
use crate::time::Timestamp;

/// `--format otlp`
pub static OTLP: Format<Frames> = Format {
    name: "otlp",
    help: "exchanges as OpenTelemetry spans, OTLP/JSON, one request a line",
    needs: FrameNeeds {
        events: false,
        facts: |_| Needs::EXCHANGES | Needs::SESSION_UIDS,
    },
    new: |_: &Options| Box::new(Otlp::default()),
};

#[derive(Default)]
struct Otlp {
    open: OpenExchanges<Span>,
}

/// A span without its end.
struct Span {
    /// From `traceId` to `startTimeUnixNano`.
    head: Vec<u8>,
    /// The attributes, each after a comma.
    attributes: Vec<u8>,
    end: Timestamp,
}

/// How an exchange ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Completed,
    Refused,
    /// No answer was captured.
    Open,
}

impl Report<Frames> for Otlp {
    fn put(&mut self, item: &FrameItem<'_>, out: &mut Vec<u8>) {
        match *item {
            FrameItem::Frame {
                frame, exchange, ..
            } => {
                let fact = FrameFact::without_topic(frame, exchange);
                self.frame(&fact, out);
            }
            FrameItem::Ended(connection) => {
                for span in self.open.ended(connection) {
                    write(span, Outcome::Open, None, out);
                }
            }
            FrameItem::Event(_) | FrameItem::LinkHeader(_) => {}
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        for span in self.open.finish() {
            write(span, Outcome::Open, None, out);
        }
    }
}

impl Otlp {
    fn frame(&mut self, fact: &FrameFact<'_>, out: &mut Vec<u8>) {
        let frame = fact.frame;
        let Some(id) = fact.exchange_id() else {
            return;
        };
        let Some(exchange) = fact.exchange else {
            let span = Span::new(frame, id, ExchangeKind::Publish);
            return write(span, Outcome::Completed, None, out);
        };
        let Some(first) = exchange.first else {
            return;
        };
        let number = frame.connection.number;
        if exchange.role == Role::Opens {
            let span = Span::new(frame, id, exchange.kind);
            if let Some(before) = self.open.open(number, first, span) {
                write(before, Outcome::Open, None, out);
            }
            return;
        }
        if let Some(span) = self.open.get_mut(first) {
            span.end = frame.time;
        }
        if exchange.role == Role::Completes
            && let Some(span) = self.open.complete(number, first)
        {
            let code = code(frame);
            let is_refused = match frame.header.packet_type() {
                PacketType::Connack => code.is_some_and(|code| code != 0),
                _ => code.is_some_and(|code| code >= 0x80),
            };
            let outcome = match is_refused {
                true => Outcome::Refused,
                false => Outcome::Completed,
            };
            let kind = frame.header.packet_type();
            let name = code.and_then(|code| reason::name(frame.version, kind, code));
            write(span, outcome, code.zip(name), out);
        }
    }
}

fn code(frame: &MQTTFrame<'_>) -> Option<u8> {
    match &frame.packet {
        ControlPacket::Suback(suback) => suback.codes.iter().max().copied(),
        packet => packet.code(),
    }
}

impl Span {
    fn new(frame: &MQTTFrame<'_>, id: ExchangeId, kind: ExchangeKind) -> Self {
        let connection = frame.connection;
        let exchange_uid = id.uid(connection.uid());
        let digest = identity::digest(exchange_uid.as_bytes());
        let parent = traceparent(frame);
        let mut head = Vec::new();
        let mut object = Object::open(&mut head);
        object.text(key!("traceId"), |out| match parent {
            Some((trace, _)) => out.extend_from_slice(trace.as_bytes()),
            None => digest[..16].iter().for_each(|byte| put::hex(*byte, out)),
        });
        let span = digest.iter().rev().take(8);
        object.text(key!("spanId"), |out| {
            span.for_each(|byte| put::hex(*byte, out))
        });
        if let Some((_, span)) = parent {
            object.word(key!("parentSpanId"), span);
        }
        let operation = match kind {
            ExchangeKind::Connect => "connect",
            ExchangeKind::Publish if frame.direction == Direction::Down => "deliver",
            ExchangeKind::Publish => "publish",
            ExchangeKind::Subscribe => "subscribe",
            ExchangeKind::Unsubscribe => "unsubscribe",
            ExchangeKind::Ping => "ping",
            ExchangeKind::Auth => "auth",
        };
        let destination = frame.topic.map(|topic| String::from_utf8_lossy(topic.0));
        object.string(
            key!("name"),
            &match &destination {
                Some(topic) => format!("{operation} {topic}"),
                None => operation.to_owned(),
            },
        );
        // SPAN_KIND_PRODUCER, _CONSUMER, _CLIENT
        object.number(
            key!("kind"),
            match (kind, frame.direction) {
                (ExchangeKind::Publish, Direction::Up) => 4,
                (ExchangeKind::Publish, Direction::Down) => 5,
                _ => 3,
            },
        );
        object.text(key!("startTimeUnixNano"), |out| nanos(frame.time, out));

        let mut attributes = Vec::new();
        let out = &mut attributes;
        text("messaging.system", "mqtt", out);
        text("messaging.operation.name", operation, out);
        if let Some(topic) = &destination {
            text("messaging.destination.name", topic, out);
        }
        if let Some(client_id) = client_id(frame) {
            text(
                "messaging.client.id",
                &String::from_utf8_lossy(client_id),
                out,
            );
        }
        text("server.address", &connection.server.addr.to_string(), out);
        number("server.port", connection.server.port.into(), out);
        text("client.address", &connection.client.addr.to_string(), out);
        number("client.port", connection.client.port.into(), out);
        text("network.protocol.name", "mqtt", out);
        text("network.protocol.version", frame.version.name(), out);
        if let ControlPacket::Publish(publish) = &frame.packet {
            if let Some(len) = publish.payload_len {
                number("messaging.message.body.size", len.into(), out);
            }
            number("mqtt.qos", frame.header.qos().into(), out);
            flag("mqtt.retain", frame.header.retain(), out);
        }
        if let Some(id) = frame.packet.packet_id() {
            number("mqtt.packet_id", id.into(), out);
        }
        text("mqtt.connection_uid", connection.uid(), out);
        if let Some(session) = &connection.session_uid {
            text("mqtt.session_uid", session, out);
        }
        text("mqtt.exchange_uid", &exchange_uid, out);
        number("mqtt.packet", frame.last.number, out);
        Self {
            head,
            attributes,
            end: frame.time,
        }
    }
}

fn client_id<'a>(frame: &'a MQTTFrame<'_>) -> Option<&'a [u8]> {
    match (&frame.connection.client_id, &frame.packet) {
        (None, ControlPacket::Connect(connect)) => connect.client_id.map(|id| id.0),
        (id, _) => id.as_deref(),
    }
}

/// Trace and parent of a User Property `traceparent`: `00-TRACE-PARENT-FLAGS`.
fn traceparent<'a>(frame: &MQTTFrame<'a>) -> Option<(&'a str, &'a str)> {
    let value = frame
        .packet
        .properties()
        .iter()
        .find_map(|property| match property.value {
            PropertyValue::Pair(name, value) if name.0.eq_ignore_ascii_case(b"traceparent") => {
                value.as_str()
            }
            _ => None,
        })?;
    let mut parts = value.split('-');
    let (version, trace, parent) = (parts.next()?, parts.next()?, parts.next()?);
    let is_id = |text: &str, len| {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        text.len() == len && text.bytes().all(is_hex) && text.bytes().any(|byte| byte != b'0')
    };
    (version.len() == 2 && version != "ff" && is_id(trace, 32) && is_id(parent, 16))
        .then_some((trace, parent))
}

/// A line: one span, as a request of its own.
fn write(mut span: Span, outcome: Outcome, code: Option<(u8, &str)>, out: &mut Vec<u8>) {
    let attributes = &mut span.attributes;
    let name = match outcome {
        Outcome::Completed => "completed",
        Outcome::Refused => "refused",
        Outcome::Open => "open",
    };
    text("mqtt.outcome", name, attributes);
    if let Some((code, _)) = code {
        number("mqtt.reason_code", code.into(), attributes);
    }
    out.extend_from_slice(
        br#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"mqtt"}}]},"scopeSpans":[{"scope":{"name":"mqttdump"},"spans":["#,
    );
    out.extend_from_slice(&span.head);
    let mut object = Object::goes_on(out);
    object.text(key!("endTimeUnixNano"), |out| nanos(span.end, out));
    object.value(key!("attributes"), |out| {
        out.push(b'[');
        out.extend_from_slice(span.attributes.get(1..).unwrap_or_default());
        out.push(b']');
    });
    if outcome == Outcome::Refused {
        object.object(key!("status"), |status| {
            if let Some((_, name)) = code {
                status.string(key!("message"), name);
            }
            // STATUS_CODE_ERROR
            status.number(key!("code"), 2);
        });
    }
    object.close();
    out.extend_from_slice(b"]}]}]}\n");
}

/// Unsigned in OTLP: times before 1970, as of clocks that were not set, are 0.
fn nanos(time: Timestamp, out: &mut Vec<u8>) {
    put::decimal(u64::try_from(time.nanos()).unwrap_or(0), out);
}

fn text(name: &str, text: &str, out: &mut Vec<u8>) {
    attribute(name, "stringValue", out, |out| json::put_json(text, out));
}

/// Integers are strings in OTLP/JSON, as in all of Protobuf's.
fn number(name: &str, number: u64, out: &mut Vec<u8>) {
    attribute(name, "intValue", out, |out| {
        out.push(b'"');
        put::decimal(number, out);
        out.push(b'"');
    });
}

fn flag(name: &str, set: bool, out: &mut Vec<u8>) {
    let word: &[u8] = if set { b"true" } else { b"false" };
    attribute(name, "boolValue", out, |out| out.extend_from_slice(word));
}

fn attribute(name: &str, kind: &str, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(format!(",{{\"key\":\"{name}\",\"value\":{{\"{kind}\":").as_bytes());
    value(out);
    out.extend_from_slice(b"}}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_unsigned() {
        let text = |time| {
            let mut out = Vec::new();
            nanos(Timestamp::from_nanos(time), &mut out);
            String::from_utf8_lossy(&out).into_owned()
        };
        assert_eq!([-1, 0, 1].map(text), ["0", "0", "1"]);
    }
}
