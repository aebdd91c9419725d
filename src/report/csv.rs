//! CSV: one row per frame, with fixed columns, for tables and spreadsheets.
//!
//! The columns are promised in `docs/formats.md`. Cells hold text as the text
//! line does, escapes included, so that a row is always a line and no cell can
//! drive a terminal. Events have no place here: the caller shows them on
//! standard error.

use ::csv::{ByteRecord, WriterBuilder};

use super::escape::{self, Within};
use super::utc::Utc;
use super::{Format, Options, Report, put};
use crate::event::Event;
use crate::frame::MQTTFrame;
use crate::mqtt::{ControlPacket, Text, reason};

/// `--format csv`
pub static CSV: Format = Format {
    name: "csv",
    help: "one row per control packet, for tables; events go to standard error",
    new: |options| {
        Box::new(Csv {
            options: options.clone(),
            utc: Utc::default(),
            row: Row::default(),
        })
    },
};

/// The columns, in order.
const COLUMNS: [&str; 29] = [
    "file",
    "packet",
    "last_packet",
    "time",
    "connection",
    "src",
    "dst",
    "direction",
    "client_id",
    "version",
    "version_assumed",
    "type",
    "qos",
    "dup",
    "retain",
    "length",
    "missing",
    "resynchronised",
    "packet_id",
    "topic",
    "topic_alias",
    "payload_length",
    "payload",
    "filters",
    "codes",
    "reason_code",
    "reason",
    "transport",
    "defects",
];

struct Csv {
    options: Options,
    utc: Utc,
    row: Row,
}

impl Report for Csv {
    fn begin(&mut self, out: &mut Vec<u8>) {
        put_record(&ByteRecord::from(COLUMNS.as_slice()), out);
    }

    fn frame(&mut self, frame: &MQTTFrame<'_>, _topic_unknown: bool, out: &mut Vec<u8>) {
        let row = &mut self.row;
        row.record.clear();
        let file = self.options.file(frame.last);
        row.text(file.map(str::as_bytes));
        row.number(Some(frame.first.number));
        row.number(Some(frame.last.number));
        row.cell(|cell| self.utc.put(frame.time, cell));
        let connection = frame.connection;
        row.number(Some(connection.number));
        let (src, dst) = connection.endpoints(frame.direction);
        row.cell(|cell| put::endpoint(src, cell));
        row.cell(|cell| put::endpoint(dst, cell));
        row.word(frame.direction.name());
        row.text(connection.client_id.as_deref());
        row.word(frame.version.name());
        row.flag(connection.version_assumed);
        let header = frame.header;
        row.word(header.packet_type().name());
        row.number(Some(header.qos()));
        row.flag(header.dup());
        row.flag(header.retain());
        row.number(Some(header.packet_len()));
        row.number(Some(frame.missing).filter(|&missing| missing > 0));
        row.flag(frame.resynchronised);
        row.packet(frame);
        row.word(connection.transport.name());
        row.cell(|cell| {
            for (at, defect) in frame.defects.iter().enumerate() {
                if at > 0 {
                    cell.push(b' ');
                }
                cell.extend_from_slice(defect.code.as_bytes());
                cell.push(b':');
                put::decimal(defect.offset, cell);
            }
        });
        put_record(&row.record, out);
    }

    fn event(&mut self, _event: &Event<'_>, _out: &mut Vec<u8>) {}

    fn takes_events(&self) -> bool {
        false
    }
}

fn put_record(record: &ByteRecord, out: &mut Vec<u8>) {
    let mut writer = WriterBuilder::new()
        .buffer_capacity(1 << 10)
        .from_writer(&mut *out);
    // A Vec takes everything, and every row has the same number of cells.
    let _ = writer.write_byte_record(record);
    let _ = writer.flush();
}

/// A row in the making.
#[derive(Default)]
struct Row {
    record: ByteRecord,
    cell: Vec<u8>,
}

impl Row {
    /// The columns from `packet_id` to `reason`.
    fn packet(&mut self, frame: &MQTTFrame<'_>) {
        let mut cells = Cells::default();
        match &frame.packet {
            ControlPacket::Connack(connack) => cells.code = connack.code,
            ControlPacket::Publish(publish) => {
                let sent = publish
                    .topic
                    .filter(|topic| !topic.bytes().is_empty() || publish.topic_alias.is_none());
                cells = Cells {
                    packet_id: publish.packet_id,
                    topic: frame.topic.or(sent),
                    topic_alias: publish.topic_alias,
                    payload_len: publish.payload_len,
                    payload: publish.payload,
                    ..cells
                };
            }
            ControlPacket::Puback(ack)
            | ControlPacket::Pubrec(ack)
            | ControlPacket::Pubrel(ack)
            | ControlPacket::Pubcomp(ack) => {
                cells.packet_id = ack.packet_id;
                cells.code = ack.code;
            }
            ControlPacket::Subscribe(subscribe) => cells.packet_id = subscribe.packet_id,
            ControlPacket::Suback(suback) => {
                cells.packet_id = suback.packet_id;
                cells.codes = suback.codes;
            }
            ControlPacket::Unsubscribe(unsubscribe) => cells.packet_id = unsubscribe.packet_id,
            ControlPacket::Unsuback(unsuback) => {
                cells.packet_id = unsuback.packet_id;
                cells.codes = unsuback.codes;
            }
            ControlPacket::Disconnect(disconnect) => cells.code = disconnect.code,
            ControlPacket::Auth(auth) => cells.code = auth.code,
            ControlPacket::Reserved
            | ControlPacket::Connect(_)
            | ControlPacket::Pingreq
            | ControlPacket::Pingresp => {}
        }
        self.number(cells.packet_id);
        self.text(cells.topic.map(Text::bytes));
        self.number(cells.topic_alias);
        self.number(cells.payload_len);
        self.text(Some(cells.payload));
        self.cell(|cell| put_filters(frame, cell));
        self.cell(|cell| {
            for (at, &code) in cells.codes.iter().enumerate() {
                if at > 0 {
                    cell.push(b' ');
                }
                put::decimal(code, cell);
            }
        });
        self.number(cells.code);
        let packet_type = frame.header.packet_type();
        let name = cells
            .code
            .and_then(|code| reason::name(frame.version, packet_type, code));
        self.word(name.unwrap_or_default());
    }

    fn cell(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.cell.clear();
        write(&mut self.cell);
        self.record.push_field(&self.cell);
    }

    fn text(&mut self, text: Option<&[u8]>) {
        self.cell(|cell| {
            if let Some(text) = text {
                escape::escaped(text, Within::Cell, cell);
            }
        });
    }

    fn number(&mut self, number: Option<impl itoa::Integer>) {
        self.cell(|cell| {
            if let Some(number) = number {
                put::decimal(number, cell);
            }
        });
    }

    fn word(&mut self, word: &str) {
        self.record.push_field(word.as_bytes());
    }

    fn flag(&mut self, set: bool) {
        self.word(if set { "true" } else { "false" });
    }
}

/// What a packet type has to say in the columns of others.
#[derive(Default)]
struct Cells<'a> {
    packet_id: Option<u16>,
    topic: Option<Text<'a>>,
    topic_alias: Option<u16>,
    payload_len: Option<u32>,
    payload: &'a [u8],
    codes: &'a [u8],
    code: Option<u8>,
}

/// `plant/+/temp:1 plant/#:0`, without the QoS in UNSUBSCRIBE. A space within a
/// filter is written `\x20`.
fn put_filters(frame: &MQTTFrame<'_>, cell: &mut Vec<u8>) {
    match &frame.packet {
        ControlPacket::Subscribe(subscribe) => {
            for (at, subscription) in subscribe.filters().enumerate() {
                if at > 0 {
                    cell.push(b' ');
                }
                escape::escaped(subscription.filter.bytes(), Within::Words, cell);
                cell.push(b':');
                if let Some(qos) = subscription.max_qos() {
                    put::decimal(qos, cell);
                }
            }
        }
        ControlPacket::Unsubscribe(unsubscribe) => {
            for (at, filter) in unsubscribe.filters().enumerate() {
                if at > 0 {
                    cell.push(b' ');
                }
                escape::escaped(filter.bytes(), Within::Words, cell);
            }
        }
        _ => {}
    }
}
