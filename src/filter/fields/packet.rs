//! Fields of the transport, by Wireshark's names. In tunnels, addresses are the
//! innermost ones, and `frame` is the captured packet that completed the control
//! packet.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::filter::field::{Access, Field, Kind, Many, One, Values};
use crate::filter::value::{Subject, Value};
use crate::net::Endpoint;

pub(super) fn fields() -> Vec<Field> {
    let one = |name, kind, help, get: One| field(name, kind, help, Access::One(get));
    let many = |name, kind, help, each: Many| field(name, kind, help, Access::Many(each));
    vec![
        one("frame", Kind::Presence, "every packet", |_| {
            Some(Value::There)
        }),
        one(
            "frame.number",
            Kind::Number,
            "number of the captured packet that completed it, from 1",
            |s| Some(Value::Number(s.frame.last.number)),
        ),
        one("frame.time", Kind::Time, "when it was complete", |s| {
            Some(Value::Time(s.frame.time))
        }),
        one(
            "frame.time_epoch",
            Kind::Time,
            "the same; compare with seconds since 1970",
            |s| Some(Value::Time(s.frame.time)),
        ),
        one(
            "frame.time_relative",
            Kind::Elapsed,
            "seconds since the first packet of the capture",
            |s| {
                let nanos = s.frame.time.nanos().saturating_sub(s.origin?.nanos());
                Some(Value::Elapsed(nanos))
            },
        ),
        one("tcp", Kind::Presence, "TCP", |_| Some(Value::There)),
        one(
            "tcp.stream",
            Kind::Number,
            "number of the TCP connection, from 0",
            |s| Some(Value::Number(s.frame.connection.number.saturating_sub(1))),
        ),
        one("tcp.srcport", Kind::Number, "source port", |s| {
            Some(Value::Number(ends(s).0.port.into()))
        }),
        one("tcp.dstport", Kind::Number, "destination port", |s| {
            Some(Value::Number(ends(s).1.port.into()))
        }),
        many(
            "tcp.port",
            Kind::Number,
            "source or destination port",
            |s, visit| {
                let (src, dst) = ends(s);
                visit(Value::Number(src.port.into())) || visit(Value::Number(dst.port.into()))
            },
        ),
        one("ip", Kind::Presence, "IPv4", |s| {
            v4(ends(s).0).map(|_| Value::There)
        }),
        one("ip.src", Kind::Ipv4, "source IPv4 address", |s| {
            v4(ends(s).0)
        }),
        one("ip.dst", Kind::Ipv4, "destination IPv4 address", |s| {
            v4(ends(s).1)
        }),
        many(
            "ip.addr",
            Kind::Ipv4,
            "source or destination IPv4 address",
            |s, visit| {
                let (src, dst) = ends(s);
                v4(src).is_some_and(&mut *visit) || v4(dst).is_some_and(visit)
            },
        ),
        one("ipv6", Kind::Presence, "IPv6", |s| {
            v6(ends(s).0).map(|_| Value::There)
        }),
        one("ipv6.src", Kind::Ipv6, "source IPv6 address", |s| {
            v6(ends(s).0)
        }),
        one("ipv6.dst", Kind::Ipv6, "destination IPv6 address", |s| {
            v6(ends(s).1)
        }),
        many(
            "ipv6.addr",
            Kind::Ipv6,
            "source or destination IPv6 address",
            |s, visit| {
                let (src, dst) = ends(s);
                v6(src).is_some_and(&mut *visit) || v6(dst).is_some_and(visit)
            },
        ),
        one("tls", Kind::Presence, "TLS, decrypted", |s| {
            let tls = s.frame.connection.transport.is_tls();
            tls.then_some(Value::There)
        }),
        one("websocket", Kind::Presence, "WebSocket", |s| {
            let websocket = s.frame.connection.transport.is_websocket();
            websocket.then_some(Value::There)
        }),
    ]
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

fn ends(subject: &Subject<'_>) -> (Endpoint, Endpoint) {
    subject.frame.connection.endpoints(subject.frame.direction)
}

fn v4<'a>(end: Endpoint) -> Option<Value<'a>> {
    matches!(end.addr, IpAddr::V4(_)).then_some(Value::Address(end.addr))
}

fn v6<'a>(end: Endpoint) -> Option<Value<'a>> {
    matches!(end.addr, IpAddr::V6(_)).then_some(Value::Address(end.addr))
}
