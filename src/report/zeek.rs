//! Zeek's logs of MQTT: `mqtt_connect`, `mqtt_publish` and `mqtt_subscribe`, as the
//! ASCII writer of Zeek writes them.
//!
//! The three logs share one output. Where another log goes on, its header is written
//! again, with `#path`, as in logs that were concatenated: `zeek-cut` reads that, and
//! the paths divide it into files. `uid` is the identity of the connection.

use super::escape;
use super::{Format, FrameItem, FrameNeeds, Frames, Options, Report, put, utc};
use crate::facts::{ExchangeFact, ExchangeKind, First, Needs, OpenExchanges, Role};
use crate::frame::{Connection, Direction, MQTTFrame};
use crate::mqtt::ControlPacket;
use crate::mqtt::packet::Connect;
use crate::time::Timestamp;

/// `--format zeek`
pub static ZEEK: Format<Frames> = Format {
    name: "zeek",
    help: "Zeek's mqtt_connect, mqtt_publish and mqtt_subscribe logs, as TSV",
    needs: FrameNeeds {
        events: false,
        facts: |_| Needs::EXCHANGES,
    },
    new: |_: &Options| Box::new(Zeek::default()),
};

/// A log: its path, fields and types.
#[derive(PartialEq, Eq)]
struct Log {
    path: &'static str,
    fields: &'static str,
    types: &'static str,
}

static CONNECT: Log = Log {
    path: "mqtt_connect",
    fields: "proto_name\tproto_version\tclient_id\tconnect_status\twill_topic\twill_payload",
    types: "string\tstring\tstring\tstring\tstring\tstring",
};

static PUBLISH: Log = Log {
    path: "mqtt_publish",
    fields: "from_client\tretain\tqos\tstatus\ttopic\tpayload\tpayload_len",
    types: "bool\tbool\tstring\tstring\tstring\tstring\tcount",
};

static SUBSCRIBE: Log = Log {
    path: "mqtt_subscribe",
    fields: "action\ttopics\tqos_levels\tgranted_qos_level\tack",
    types: "enum\tvector[string]\tvector[count]\tcount\tbool",
};

#[derive(Default)]
struct Zeek {
    open: OpenExchanges<Row>,
    /// The log that goes on.
    log: Option<&'static Log>,
    last: Timestamp,
}

/// A row that waits for an answer.
struct Row {
    log: &'static Log,
    /// The columns before the first that depends on the answer.
    before: Vec<u8>,
    /// Those after the last.
    after: Vec<u8>,
    /// The columns between if there is no answer.
    unanswered: &'static [u8],
}

impl Row {
    fn new(frame: &MQTTFrame<'_>, log: &'static Log, unanswered: &'static [u8]) -> Self {
        let mut before = Vec::new();
        let Connection { client, server, .. } = frame.connection;
        put_time(frame.time, &mut before);
        before.push(b'\t');
        before.extend_from_slice(frame.connection.uid().as_bytes());
        for endpoint in [client, server] {
            before.push(b'\t');
            put::address(endpoint.addr, &mut before);
            before.push(b'\t');
            put::decimal(endpoint.port, &mut before);
        }
        Self {
            log,
            before,
            after: Vec::new(),
            unanswered,
        }
    }

    fn connect(frame: &MQTTFrame<'_>, connect: &Connect<'_>) -> Self {
        let mut row = Self::new(frame, &CONNECT, b"-");
        let version = connect.protocol_level.map(|level| match level & 0x7f {
            3 => "3.1".to_owned(),
            4 => "3.1.1".to_owned(),
            5 => "5.0".to_owned(),
            other => format!("unknown-version-{other}"),
        });
        text(connect.protocol_name.map(|name| name.0), &mut row.before);
        text(version.as_deref().map(str::as_bytes), &mut row.before);
        text(connect.client_id.map(|id| id.0), &mut row.before);
        let will = connect.will.as_ref();
        let topic = will.and_then(|will| will.topic);
        text(topic.map(|topic| topic.0), &mut row.after);
        text(will.and_then(|will| will.payload), &mut row.after);
        row
    }

    fn publish(frame: &MQTTFrame<'_>, payload: &[u8], len: Option<u32>) -> Self {
        let mut row = Self::new(frame, &PUBLISH, b"incomplete_qos");
        bool(frame.direction == Direction::Up, &mut row.before);
        bool(frame.header.retain(), &mut row.before);
        let qos = match frame.header.qos() {
            0 => "at most once".to_owned(),
            1 => "at least once".to_owned(),
            2 => "exactly once".to_owned(),
            other => format!("unknown-qos-level-{other}"),
        };
        text(Some(qos.as_bytes()), &mut row.before);
        text(frame.topic.map(|topic| topic.0), &mut row.after);
        text(Some(payload), &mut row.after);
        row.after.push(b'\t');
        match len {
            Some(len) => put::decimal(len, &mut row.after),
            None => row.after.push(b'-'),
        }
        row
    }

    /// Of a SUBSCRIBE or UNSUBSCRIBE; `qos` is empty for the latter.
    fn subscribe(frame: &MQTTFrame<'_>, action: &[u8], topics: &[&[u8]], qos: &[u8]) -> Self {
        let mut row = Self::new(frame, &SUBSCRIBE, b"-\tF");
        text(Some(action), &mut row.before);
        row.before.push(b'\t');
        vector(topics, &mut row.before, |topic, out| {
            escaped(topic, b",", out);
        });
        row.before.push(b'\t');
        match qos {
            [] => row.before.push(b'-'),
            qos => vector(qos, &mut row.before, |qos, out| put::decimal(*qos, out)),
        }
        row
    }
}

impl Report<Frames> for Zeek {
    fn put(&mut self, item: &FrameItem<'_>, out: &mut Vec<u8>) {
        match *item {
            FrameItem::Frame {
                frame, exchange, ..
            } => {
                self.last = frame.time;
                self.frame(frame, exchange, out);
            }
            FrameItem::Ended(connection) => {
                for row in self.open.ended(connection) {
                    self.write(&row, row.unanswered, out);
                }
            }
            FrameItem::Event(_) | FrameItem::LinkHeader(_) => {}
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        for row in self.open.finish() {
            self.write(&row, row.unanswered, out);
        }
        if self.log.is_some() {
            put_line("#close\t", self.last, out);
        }
    }
}

impl Zeek {
    fn frame(&mut self, frame: &MQTTFrame<'_>, exchange: Option<&ExchangeFact>, out: &mut Vec<u8>) {
        let row = match &frame.packet {
            ControlPacket::Connect(connect) => Row::connect(frame, connect),
            ControlPacket::Publish(publish) => {
                let row = Row::publish(frame, publish.payload, publish.payload_len);
                if frame.header.qos() == 0 {
                    return self.write(&row, b"ok", out);
                }
                row
            }
            ControlPacket::Subscribe(subscribe) => {
                let filters: Vec<_> = subscribe.filters().collect();
                let topics: Vec<&[u8]> = filters.iter().map(|asked| asked.filter.0).collect();
                let qos: Vec<u8> = filters.iter().filter_map(|asked| asked.max_qos()).collect();
                Row::subscribe(frame, b"MQTT::SUBSCRIBE", &topics, &qos)
            }
            ControlPacket::Unsubscribe(unsubscribe) => {
                let topics: Vec<&[u8]> = unsubscribe.filters().map(|filter| filter.0).collect();
                Row::subscribe(frame, b"MQTT::UNSUBSCRIBE", &topics, &[])
            }
            _ => return self.answer(frame, exchange, out),
        };
        let number = frame.connection.number;
        match exchange.map(|exchange| (exchange.role, exchange.first)) {
            Some((Role::Opens, Some(first))) => {
                if let Some(before) = self.open.open(number, first, row) {
                    self.write(&before, before.unanswered, out);
                }
            }
            Some((Role::Repeats, _)) => {}
            _ => self.write(&row, row.unanswered, out),
        }
    }

    /// An answer completes the row of its request.
    fn answer(
        &mut self,
        frame: &MQTTFrame<'_>,
        exchange: Option<&ExchangeFact>,
        out: &mut Vec<u8>,
    ) {
        let complete = |exchange: &&ExchangeFact| exchange.role == Role::Completes;
        let Some(exchange) = exchange.filter(complete) else {
            return;
        };
        let Some(row) = self.complete(frame, exchange.first) else {
            return;
        };
        let mut middle = Vec::new();
        match (exchange.kind, &frame.packet) {
            (ExchangeKind::Connect, ControlPacket::Connack(connack)) => match connack.code {
                Some(code) => middle.extend_from_slice(connect_status(code).as_bytes()),
                None => middle.push(b'-'),
            },
            (_, ControlPacket::Suback(suback)) => {
                match suback.codes.first() {
                    Some(code) => put::decimal(*code, &mut middle),
                    None => middle.push(b'-'),
                }
                middle.extend_from_slice(b"\tT");
            }
            (_, ControlPacket::Unsuback(_)) => middle.extend_from_slice(b"-\tT"),
            _ => middle.extend_from_slice(b"ok"),
        }
        self.write(&row, &middle, out);
    }

    fn complete(&mut self, frame: &MQTTFrame<'_>, first: Option<First>) -> Option<Row> {
        self.open.complete(frame.connection.number, first?)
    }

    fn write(&mut self, row: &Row, middle: &[u8], out: &mut Vec<u8>) {
        if self.log != Some(row.log) {
            if self.log.is_some() {
                put_line("#close\t", self.last, out);
            }
            self.log = Some(row.log);
            let Log {
                path,
                fields,
                types,
            } = row.log;
            out.extend_from_slice(b"#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n");
            out.extend_from_slice(format!("#unset_field\t-\n#path\t{path}\n").as_bytes());
            put_line("#open\t", self.last, out);
            let head = "ts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p";
            out.extend_from_slice(format!("#fields\t{head}\t{fields}\n").as_bytes());
            let head = "time\tstring\taddr\tport\taddr\tport";
            out.extend_from_slice(format!("#types\t{head}\t{types}\n").as_bytes());
        }
        out.extend_from_slice(&row.before);
        out.push(b'\t');
        out.extend_from_slice(middle);
        out.extend_from_slice(&row.after);
        out.push(b'\n');
    }
}

fn connect_status(code: u8) -> String {
    match code {
        0 => "Connection Accepted".into(),
        1 => "Refused: unacceptable protocol version".into(),
        2 => "Refused: identifier rejected".into(),
        3 => "Refused: server unavailable".into(),
        4 => "Refused: bad user name or password".into(),
        5 => "Refused: not authorized".into(),
        other => format!("unknown-return-code-{other}"),
    }
}

/// `1403000000.104511`
fn put_time(time: Timestamp, out: &mut Vec<u8>) {
    put::decimal(time.seconds(), out);
    out.push(b'.');
    put::zero_padded::<6>(time.subsec_nanos() / 1000, out);
}

/// `#open`, a tab, and `2014-06-17-11-05-02`.
fn put_line(name: &str, time: Timestamp, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    let start = out.len();
    utc::date_and_time(time.seconds(), b'-', out);
    for byte in &mut out[start..] {
        if *byte == b':' {
            *byte = b'-';
        }
    }
    out.push(b'\n');
}

/// A column of text.
fn text(text: Option<&[u8]>, out: &mut Vec<u8>) {
    out.push(b'\t');
    match text {
        None => out.push(b'-'),
        Some(b"") => out.extend_from_slice(b"(empty)"),
        Some(b"-") => out.extend_from_slice(b"\\x2d"),
        Some(text) => escaped(text, b"", out),
    }
}

fn bool(set: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if set { b"\tT" } else { b"\tF" });
}

fn vector<T>(values: &[T], out: &mut Vec<u8>, put: impl Fn(&T, &mut Vec<u8>)) {
    if values.is_empty() {
        out.extend_from_slice(b"(empty)");
    }
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        put(value, out);
    }
}

/// Text with `\x0a` for bytes that are not UTF-8, for characters that could deceive a
/// reader, and for `more`.
fn escaped(text: &[u8], more: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        for char in chunk.valid().chars() {
            let start = out.len();
            let is_special =
                escape::is_unsafe(char) || (char.is_ascii() && more.contains(&(char as u8)));
            match char {
                '\\' => out.extend_from_slice(b"\\\\"),
                _ => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            }
            if is_special {
                let bytes = out.split_off(start);
                bytes.iter().for_each(|byte| hex(*byte, out));
            }
        }
        chunk.invalid().iter().for_each(|byte| hex(*byte, out));
    }
}

fn hex(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\x");
    put::hex(byte, out);
}
