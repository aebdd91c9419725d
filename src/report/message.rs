//! Events in words, the same for the text line and for `message` in JSON.

use super::{layer, put};
use crate::event::{Event, EventKind};

/// Appends what happened, such as `gap of 400 bytes`. Text from the wire is in
/// quotes, and escaped.
pub(super) fn event(event: &Event<'_>, show_secrets: bool, out: &mut Vec<u8>) {
    let mut words = Words { out };
    match event.kind {
        EventKind::Opened => words.put("opened"),
        EventKind::Closed { by, how } => {
            words.put(if how == "reset" { "reset" } else { "closed" });
            if let Some(side) = by {
                words.put(" by ");
                words.put(side.name());
            }
            match how {
                "fin" | "reset" => {}
                "replaced" => words.put(": a new connection took its ports"),
                _ => {
                    words.put(": ");
                    words.put(how);
                }
            }
        }
        EventKind::Gap => {
            words.put("gap of ");
            words.bytes(event.bytes);
        }
        EventKind::Resynchronised => {
            words.put("resynchronised, ");
            words.bytes(event.bytes);
            words.put(" skipped");
        }
        EventKind::Malformed { reason } => words.because("malformed", reason),
        EventKind::Unfinished { wanted } => {
            words.put("unfinished message");
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
        EventKind::NotMqtt { reason } => words.because("not MQTT", reason),
        EventKind::Bound { reason } => words.because("bound reached", reason),
        EventKind::Layer(note) => layer::words(note, event.connection, show_secrets, words.out),
        EventKind::Conflict => {
            words.put("conflicting overlap of ");
            words.bytes(event.bytes);
            words.put(", the first copy kept");
        }
        EventKind::Late => {
            words.bytes(event.bytes);
            words.put(" came late, after their place was declared a gap");
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
    use crate::event::Side;
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
        let closed = |by, how| EventKind::Closed { by, how };
        let reason = "a reason";
        let cases = [
            (EventKind::Opened, None, "opened"),
            (closed(by, "fin"), None, "closed by server"),
            (closed(by, "reset"), None, "reset by server"),
            (closed(None, "idle"), None, "closed: idle"),
            (
                closed(None, "replaced"),
                None,
                "closed: a new connection took its ports",
            ),
            (EventKind::Gap, Some(400), "gap of 400 bytes"),
            (EventKind::Gap, None, "gap of an unknown number of bytes"),
            (
                EventKind::Resynchronised,
                Some(1),
                "resynchronised, 1 byte skipped",
            ),
            (EventKind::Malformed { reason }, None, "malformed: a reason"),
            (
                EventKind::Unfinished { wanted: Some(7) },
                Some(12),
                "unfinished message: 12 bytes seen, 7 bytes still to come",
            ),
            (EventKind::NotMqtt { reason }, None, "not MQTT: a reason"),
            (EventKind::Bound { reason }, None, "bound reached: a reason"),
            (
                EventKind::Conflict,
                Some(3),
                "conflicting overlap of 3 bytes, the first copy kept",
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
                "9 bytes came late, after their place was declared a gap",
            ),
        ];
        for (kind, bytes, expected) in cases {
            assert_eq!(written(kind, bytes), expected);
        }
    }
}
