//! Events in words, the same in text lines and in the JSON key `message`.

use super::{layer, put};
use crate::event::{CloseReason, Event, EventKind, Kept, Side};
use crate::mqtt::PacketType;

/// Appends what happened, such as `gap of 400 bytes`. Text from the wire is quoted
/// and escaped.
pub(super) fn event(event: &Event<'_>, show_secrets: bool, out: &mut Vec<u8>) {
    let mut words = Words { out };
    match event.kind {
        EventKind::Opened => words.put("opened"),
        EventKind::Closed {
            by,
            reason,
            disconnect,
        } => words.closed(by, reason, disconnect),
        EventKind::Gap => {
            words.put("gap of ");
            words.bytes(event.bytes);
        }
        EventKind::Resynchronised => {
            words.put("resynchronised, ");
            words.bytes(event.bytes);
            words.put(" skipped");
        }
        EventKind::Malformed { reason } => words.because("malformed", reason.text()),
        EventKind::Unfinished { wanted, first } => {
            words.put("unfinished ");
            words.put(match first {
                Some(first) => PacketType::of(first).name(),
                None => "message",
            });
            // QoS 3 is illegal: the sender of this or of the previous packet
            // miscounted its bytes.
            if first.is_some_and(|first| first & 0xf6 == 0x36) {
                words.put(" with QoS 3");
            }
            if event.bytes.is_some() {
                words.put(": ");
                words.bytes(event.bytes);
                words.put(" seen");
            }
            if wanted.is_some() {
                words.put(", ");
                words.bytes(wanted);
                words.put(" still to come");
            }
        }
        EventKind::NotMqtt { reason } => words.because("not MQTT", reason.text()),
        EventKind::Bound { limit } => words.because("limit reached", limit.text()),
        EventKind::Layer(note) => layer::words(note, event.connection, show_secrets, words.out),
        EventKind::Conflict { kept } => {
            words.put("conflicting overlap of ");
            words.bytes(event.bytes);
            words.put(match kept {
                Kept::First => ", the first copy kept",
                Kept::RightChecksum => ", the second copy kept: its checksum is correct",
            });
        }
        EventKind::Late => {
            words.bytes(event.bytes);
            words.put(" arrived late, after they were declared a gap");
        }
        EventKind::Dropped { packets } => {
            put::decimal(packets, words.out);
            words.put(match packets {
                1 => " packet was dropped before it could be captured",
                _ => " packets were dropped before they could be captured",
            });
        }
    }
}

struct Words<'a> {
    out: &'a mut Vec<u8>,
}

impl Words<'_> {
    fn put(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn closed(&mut self, by: Option<Side>, reason: CloseReason, disconnect: Option<Side>) {
        self.put(match reason {
            CloseReason::Reset => "reset",
            CloseReason::TcpRefused => "refused",
            _ => "closed",
        });
        if let Some(side) = by {
            self.put(" by ");
            self.put(side.name());
        }
        self.put(match reason {
            CloseReason::Fin | CloseReason::Reset => "",
            CloseReason::TcpRefused => ": RST in answer to the SYN",
            CloseReason::TcpUnanswered => ": no answer to the SYN",
            CloseReason::Replaced => ": its ports were reused by a new connection",
            CloseReason::Idle => ": idle",
            CloseReason::Evicted => ": evicted",
        });
        // After DISCONNECT a FIN is expected.
        if let (CloseReason::Reset, Some(side)) = (reason, disconnect) {
            self.put(" after DISCONNECT by ");
            self.put(side.name());
        }
    }

    fn because(&mut self, what: &str, reason: &str) {
        self.put(what);
        if !reason.is_empty() {
            self.put(": ");
            self.put(reason);
        }
    }

    fn bytes(&mut self, count: Option<u64>) {
        match count {
            Some(count) => {
                put::decimal(count, self.out);
                self.put(if count == 1 { " byte" } else { " bytes" });
            }
            None => self.put("an unknown number of bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NotMqtt;
    use crate::limits::Limit;
    use crate::mqtt::Malformed;
    use crate::packet::PacketRef;
    use crate::time::Timestamp;

    fn written(kind: EventKind, bytes: Option<u64>) -> String {
        let mut out = Vec::new();
        let happened = Event {
            kind,
            time: Timestamp::default(),
            packet: PacketRef::default(),
            connection: None,
            direction: None,
            bytes,
        };
        event(&happened, false, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn every_kind() {
        let by = Some(Side::Server);
        let closed = |by, reason| EventKind::Closed {
            by,
            reason,
            disconnect: None,
        };
        let after_disconnect = EventKind::Closed {
            by,
            reason: CloseReason::Reset,
            disconnect: Some(Side::Client),
        };
        let cases = [
            (EventKind::Opened, None, "opened"),
            (closed(by, CloseReason::Fin), None, "closed by server"),
            (closed(by, CloseReason::Reset), None, "reset by server"),
            (
                after_disconnect,
                None,
                "reset by server after DISCONNECT by client",
            ),
            (
                closed(by, CloseReason::TcpRefused),
                None,
                "refused by server: RST in answer to the SYN",
            ),
            (
                closed(None, CloseReason::TcpUnanswered),
                None,
                "closed: no answer to the SYN",
            ),
            (closed(None, CloseReason::Idle), None, "closed: idle"),
            (
                closed(None, CloseReason::Replaced),
                None,
                "closed: its ports were reused by a new connection",
            ),
            (EventKind::Gap, Some(400), "gap of 400 bytes"),
            (EventKind::Gap, None, "gap of an unknown number of bytes"),
            (
                EventKind::Resynchronised,
                Some(1),
                "resynchronised, 1 byte skipped",
            ),
            (
                EventKind::Malformed {
                    reason: Malformed::RemainingLength,
                },
                None,
                "malformed: Remaining Length has more than four bytes",
            ),
            (
                EventKind::Unfinished {
                    wanted: Some(7),
                    first: Some(0x30),
                },
                Some(12),
                "unfinished PUBLISH: 12 bytes seen, 7 bytes still to come",
            ),
            (
                EventKind::NotMqtt {
                    reason: NotMqtt::Tls,
                },
                None,
                "not MQTT: this looks like TLS",
            ),
            (
                EventKind::Bound {
                    limit: Limit::TlsRecords,
                },
                None,
                "limit reached: too many TLS records wait for their secrets",
            ),
            (
                EventKind::Conflict { kept: Kept::First },
                Some(3),
                "conflicting overlap of 3 bytes, the first copy kept",
            ),
            (
                EventKind::Conflict {
                    kept: Kept::RightChecksum,
                },
                Some(3),
                "conflicting overlap of 3 bytes, the second copy kept: its checksum is correct",
            ),
            (
                EventKind::Dropped { packets: 1 },
                None,
                "1 packet was dropped before it could be captured",
            ),
            (
                EventKind::Dropped { packets: 40 },
                None,
                "40 packets were dropped before they could be captured",
            ),
            (
                EventKind::Late,
                Some(9),
                "9 bytes arrived late, after they were declared a gap",
            ),
        ];
        for (kind, bytes, expected) in cases {
            assert_eq!(written(kind, bytes), expected);
        }
    }
}
