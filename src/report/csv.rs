//! CSV: one row per frame, with fixed columns, for tables and spreadsheets.
//!
//! The columns are documented in `docs/formats.md`. Events have no columns: the
//! caller prints them to standard error.

use super::cells::{self, Row};
use super::escape::{self, Within};
use super::utc::Utc;
use super::{Format, FrameItem, FrameNeeds, Frames, Options, Report, put};
use crate::facts::Needs;
use crate::frame::MQTTFrame;
use crate::mqtt::{ControlPacket, Text, reason};

/// `--format csv`
pub static CSV: Format<Frames> = Format {
    name: "csv",
    help: "one row per control packet, for tables; events go to standard error",
    needs: FrameNeeds {
        events: false,
        facts: |_| Needs::FIELDS,
    },
    new: |options| {
        Box::new(Csv {
            options: options.clone(),
            utc: Utc::default(),
            row: Row::new(options.csv_safe),
        })
    },
};

/// The columns, in order.
const COLUMNS: [&str; 31] = [
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
    "payload_encoding",
    "payload_truncated",
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

impl Report<Frames> for Csv {
    fn begin(&mut self, out: &mut Vec<u8>) {
        cells::heading(COLUMNS, out);
    }

    fn put(&mut self, item: &FrameItem<'_>, out: &mut Vec<u8>) {
        if let FrameItem::Frame { frame, .. } = item {
            self.frame(frame, out);
        }
    }
}

impl Csv {
    fn frame(&mut self, frame: &MQTTFrame<'_>, out: &mut Vec<u8>) {
        let row = &mut self.row;
        row.file(self.options.file(frame.last).unwrap_or_default());
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
        put_packet(frame, row);
        row.word(connection.transport.name());
        row.cell(|cell| {
            for (at, defect) in frame.defects.iter().enumerate() {
                if at > 0 {
                    cell.push(b' ');
                }
                cell.extend_from_slice(defect.code.name().as_bytes());
                cell.push(b':');
                put::decimal(defect.offset, cell);
            }
        });
        row.put(out);
    }
}

/// The columns from `packet_id` to `reason`.
fn put_packet(frame: &MQTTFrame<'_>, row: &mut Row) {
    let mut cells = Cells::default();
    match &frame.packet {
        ControlPacket::Connack(connack) => cells.code = connack.code,
        ControlPacket::Publish(publish) => {
            cells = Cells {
                packet_id: publish.packet_id,
                topic: frame.topic,
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
    row.number(cells.packet_id);
    row.text(cells.topic.map(Text::bytes));
    row.number(cells.topic_alias);
    row.number(cells.payload_len);
    match cells.payload_len {
        Some(length) => {
            let truncated = (cells.payload.len() as u64) < u64::from(length);
            row.payload(cells.payload, truncated);
        }
        None => (0..3).for_each(|_| row.word("")),
    }
    row.cell(|cell| put_filters(frame, cell));
    row.cell(|cell| {
        for (at, &code) in cells.codes.iter().enumerate() {
            if at > 0 {
                cell.push(b' ');
            }
            put::decimal(code, cell);
        }
    });
    row.number(cells.code);
    let packet_type = frame.header.packet_type();
    let name = cells
        .code
        .and_then(|code| reason::name(frame.version, packet_type, code));
    row.word(name.unwrap_or_default());
}

/// Cells whose content depends on the packet type.
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
