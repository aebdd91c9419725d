//! The text format: one line per control packet, for a reader.
//!
//! ```text
//! 13:05:02.104511 10.0.0.7:40122 > 10.0.1.1:1883 [sensor-7] MQTTFrame { type: PUBLISH, qos: AT_LEAST_ONCE, dup:false } id 7 topic "plant/7/temp" 11 B "123|456|789"
//! └── clock ────┘ └── endpoints ───────────────┘ └ client ┘ └── notation ───────────────────────────────────────────┘ └── summary ──────────────────────────────────┘
//! ```
//!
//! What follows the notation is by packet type in `summary`, the indented lines
//! of `-v` and `-vv` are in `fields`, the dumps of `-A`, `-x` and `-X` in
//! `dump`. Events are lines of their own that start with `-- `.
//!
//! A busy capture has millions of lines, so the parts of a line are appended to the
//! caller's buffer, without `format!` and without allocation.

mod cause;
mod clock;
mod compact;
mod dump;
mod fields;
mod summary;

use std::sync::LazyLock;

use super::escape::{self, Within};
use super::prefix::Prefixes;
use super::{Format, FrameItem, FrameNeeds, Frames, Options, Report, message, put, secret};
use crate::event::Event;
use crate::facts::{ExchangeFact, Needs};
use crate::frame::{Connection, Direction, MQTTFrame};
use crate::mqtt::{FixedHeader, PacketType};
use crate::packet::PacketRef;
use crate::payload::Decoded;
use crate::time::Timestamp;
use anstyle::AnsiColor;
use clock::{Clock, Fraction};
use compact::Compact;
use fields::How;
use summary::Preview;

pub use clock::TimeStyle;
pub use dump::Dump;

/// `--format text`
pub static TEXT: Format<Frames> = Format {
    name: "text",
    help: "one line per control packet, for reading",
    needs: FrameNeeds {
        events: true,
        facts: |options| {
            Needs::EXCHANGES.when(options.text.wants_exchanges())
                | Needs::FIELDS.when(options.text.wants_fields())
        },
    },
    new: |options| Box::new(TextReport::new(options)),
};

/// Options of the text of frames.
#[derive(Clone, Debug, Default)]
pub struct TextOptions {
    /// How much of each frame is shown.
    pub detail: Detail,
    /// How a frame is shown in its line.
    pub style: Style,
    /// How times are written.
    pub time: TimeStyle,
    /// Nanoseconds instead of microseconds.
    pub nanoseconds: bool,
    /// Show the bytes of each control packet.
    pub dump: Option<Dump>,
    /// Begin lines with the number of the captured packet that completed the
    /// frame, preceded by the number of its file (from 1) when there are
    /// several: `    7  ` or `2:7  `.
    pub number: bool,
    /// With [`Detail::Everything`], TCP sequence numbers too.
    pub sequence_numbers: bool,
    /// Leave out endpoints and what else concerns the connection and the captured
    /// packets: the control packets were not captured.
    pub bare: bool,
}

impl TextOptions {
    fn fraction(&self) -> Fraction {
        match (self.nanoseconds, self.style, self.time) {
            (true, _, _) => Fraction::Nanos,
            // For more digits, use -t.
            (false, Style::Compact, TimeStyle::TimeOfDay) => Fraction::Millis,
            _ => Fraction::Micros,
        }
    }

    /// Whether the lines show fields, and not the fixed header alone.
    pub fn wants_fields(&self) -> bool {
        self.detail != Detail::Notation
    }

    /// Whether the lines show facts of exchanges, such as latency.
    pub fn wants_exchanges(&self) -> bool {
        self.style == Style::Compact && self.detail != Detail::Notation
    }
}

/// How a frame is shown in its line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Endpoints, the notation and all fields of the summary.
    #[default]
    Line,
    /// The most important fields, in one row of the terminal.
    Compact,
}

/// How much of each frame is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// `-q`: the notation alone, without events, dumps or packet numbers, because
    /// scripts compare these lines literally.
    Notation,
    /// A line.
    #[default]
    Line,
    /// `-v`: a line, and every field on lines below it.
    Fields,
    /// `-vv`: properties, offsets and TCP facts as well.
    Everything,
}

/// Writes frames and events as text.
#[derive(Debug)]
pub struct TextReport {
    detail: Detail,
    style: Style,
    compact: Compact,
    clock: Clock,
    prefixes: Prefixes,
    dump: Option<Dump>,
    number: bool,
    sequence_numbers: bool,
    bare: bool,
    many_files: bool,
    show_secrets: bool,
    paint: Option<Paint>,
    width: Option<usize>,
    /// Text of `-e`, before the endpoints.
    link_header: Vec<u8>,
    /// Text that follows a payload preview, to compute the room it has.
    tail: Vec<u8>,
}

impl TextReport {
    /// A report that has written nothing yet.
    pub fn new(options: &Options) -> Self {
        let text = &options.text;
        Self {
            detail: text.detail,
            style: text.style,
            compact: Compact::default(),
            clock: Clock::new(text.time, text.fraction(), options.zone.clone()),
            prefixes: Prefixes::default(),
            dump: text.dump,
            number: text.number,
            sequence_numbers: text.sequence_numbers,
            bare: text.bare,
            many_files: options.files.len() > 1,
            show_secrets: options.show_secrets,
            paint: options.colour.then(Paint::new),
            width: options.width,
            link_header: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// Number, time, link header.
    fn begin_line(&mut self, packet: PacketRef, time: Timestamp, out: &mut Vec<u8>) {
        if self.number {
            put_number(packet, self.many_files, out);
        }
        self.clock.put(time, out);
        if !self.link_header.is_empty() {
            out.extend_from_slice(&self.link_header);
            out.push(b' ');
        }
    }

    /// The notation in the colour of its type; returns the number of invisible bytes.
    fn notation(&self, frame: &MQTTFrame<'_>, out: &mut Vec<u8>) -> usize {
        let packet_type = frame.header.packet_type();
        let Some(paint) = &self.paint else {
            notation(frame, out);
            return 0;
        };
        let before = paint.before(packet_type);
        out.extend_from_slice(before);
        notation(frame, out);
        out.extend_from_slice(&paint.reset);
        before.len() + paint.reset.len()
    }
}

impl Report<Frames> for TextReport {
    fn put(&mut self, item: &FrameItem<'_>, out: &mut Vec<u8>) {
        match *item {
            FrameItem::Frame { frame, .. } if self.detail == Detail::Notation => {
                notation(frame, out);
                out.push(b'\n');
            }
            FrameItem::Frame {
                frame,
                exchange,
                topic_unknown,
                payload,
            } => self.frame(frame, exchange, topic_unknown, payload, out),
            FrameItem::Event(event) => self.event(event, out),
            FrameItem::Ended(_) => {}
            FrameItem::LinkHeader(text) => {
                self.link_header.clear();
                self.link_header.extend_from_slice(text.as_bytes());
            }
        }
    }
}

impl TextReport {
    fn frame(
        &mut self,
        frame: &MQTTFrame<'_>,
        exchange: Option<&ExchangeFact>,
        topic_unknown: bool,
        decoded: Option<&Decoded>,
        out: &mut Vec<u8>,
    ) {
        match self.style {
            Style::Compact => self.compact_frame(frame, exchange, topic_unknown, decoded, out),
            Style::Line => self.line(frame, topic_unknown, decoded, out),
        }
        if self.detail >= Detail::Fields {
            let how = How {
                everything: self.detail == Detail::Everything,
                sequence_numbers: self.sequence_numbers,
                show_secrets: self.show_secrets,
                bare: self.bare,
            };
            fields::fields(frame, decoded, how, out);
        }
        if let Some(how) = self.dump {
            let masked = match self.show_secrets {
                true => Vec::new(),
                false => secret::secrets(frame),
            };
            dump::dump(how, frame.bytes, &masked, out);
            put_absent(frame, out);
        }
    }

    fn line(
        &mut self,
        frame: &MQTTFrame<'_>,
        topic_unknown: bool,
        decoded: Option<&Decoded>,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        self.begin_line(frame.last, frame.time, out);
        if !self.bare {
            self.prefixes
                .put(frame.connection, frame.direction, out, put_endpoints);
        }
        let invisible = self.notation(frame, out);
        if topic_unknown {
            out.extend_from_slice(b" ?");
        }
        let Some(width) = self.width else {
            summary::summary(frame, decoded, Preview::Whole, self.show_secrets, out);
            summary::tail(frame, self.paint.as_ref(), out);
            out.push(b'\n');
            return;
        };
        self.tail.clear();
        let tail_invisible = summary::tail(frame, self.paint.as_ref(), &mut self.tail);
        let preview = Preview::Fit {
            width,
            start: start + invisible,
            tail: escape::columns(&self.tail).saturating_sub(tail_invisible),
        };
        summary::summary(frame, decoded, preview, self.show_secrets, out);
        out.extend_from_slice(&self.tail);
        out.push(b'\n');
    }

    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.detail == Detail::Notation {
            return;
        }
        if self.style == Style::Compact {
            return self.compact_event(event, out);
        }
        if let Some(paint) = &self.paint {
            out.extend_from_slice(&paint.event);
        }
        out.extend_from_slice(b"-- ");
        self.begin_line(event.packet, event.time, out);
        if let Some(connection) = event.connection {
            let direction = event.direction.unwrap_or(Direction::Up);
            self.prefixes.put(connection, direction, out, put_endpoints);
        }
        message::event(event, self.show_secrets, out);
        if let Some(paint) = &self.paint {
            out.extend_from_slice(&paint.reset);
        }
        out.push(b'\n');
    }
}

/// `10.0.0.7:40122 > 10.0.1.1:1883 [sensor-7] `
fn put_endpoints(connection: &Connection, direction: Direction, out: &mut Vec<u8>) {
    let (src, dst) = connection.endpoints(direction);
    put::endpoint(src, out);
    out.extend_from_slice(b" > ");
    put::endpoint(dst, out);
    out.push(b' ');
    if let Some(client_id) = &connection.client_id {
        out.push(b'[');
        escape::escaped(client_id, Within::Brackets, out);
        out.extend_from_slice(b"] ");
    }
}

/// `MQTTFrame { type: PUBLISH, qos: AT_LEAST_ONCE, dup:false }`, like `Display`
/// but faster.
fn notation(frame: &MQTTFrame<'_>, out: &mut Vec<u8>) {
    // RETAIN, the lowest bit, is not part of it.
    out.extend_from_slice(&NOTATIONS[usize::from(frame.header.first >> 1)]);
}

static NOTATIONS: LazyLock<[Vec<u8>; 128]> = LazyLock::new(|| {
    std::array::from_fn(|bits| {
        let header = FixedHeader {
            first: (bits << 1) as u8,
            length_bytes: 1,
            remaining_length: 0,
        };
        header.to_string().into_bytes()
    })
});

/// Right-aligned to five columns, as in tcpdump.
fn put_number(packet: PacketRef, many_files: bool, out: &mut Vec<u8>) {
    const COLUMNS: usize = 5;
    let start = out.len();
    out.extend_from_slice(&[b' '; COLUMNS]);
    let digits = out.len();
    if many_files {
        put::decimal(u64::from(packet.file) + 1, out);
        out.push(b':');
    }
    put::decimal(packet.number, out);
    let unneeded = (out.len() - digits).min(COLUMNS);
    out.drain(start..start + unneeded);
    out.extend_from_slice(b"  ");
}

/// Bytes missing from a dump, and why.
fn put_absent(frame: &MQTTFrame<'_>, out: &mut Vec<u8>) {
    let absent = frame
        .header
        .packet_len()
        .saturating_sub(frame.bytes.len() as u64);
    if absent == 0 {
        return;
    }
    out.extend_from_slice(b"\t(");
    put::decimal(absent, out);
    out.extend_from_slice(b" B more");
    if frame.missing > 0 {
        out.extend_from_slice(b", ");
        put::decimal(frame.missing, out);
        out.extend_from_slice(b" B of them not captured");
    }
    out.extend_from_slice(b")\n");
}

/// Precomputed escape codes.
#[derive(Debug)]
struct Paint {
    by_type: [Vec<u8>; 16],
    clients: [Vec<u8>; 6],
    event: Vec<u8>,
    defect: Vec<u8>,
    reset: Vec<u8>,
}

impl Paint {
    fn new() -> Self {
        let code = |style: anstyle::Style| style.render().to_string().into_bytes();
        let colour = |colour: AnsiColor| code(colour.on_default());
        Self {
            by_type: PacketType::ALL.map(|packet_type| code(style_of(packet_type))),
            clients: [
                AnsiColor::Cyan.on_default(),
                AnsiColor::Magenta.on_default(),
                AnsiColor::Green.on_default(),
                AnsiColor::Cyan.on_default().bold(),
                AnsiColor::Magenta.on_default().bold(),
                AnsiColor::Green.on_default().bold(),
            ]
            .map(code),
            event: code(anstyle::Style::new().dimmed()),
            defect: colour(AnsiColor::Red),
            reset: anstyle::Style::new()
                .bold()
                .render_reset()
                .to_string()
                .into_bytes(),
        }
    }

    /// The colour of a client, the same in all its lines. Red is reserved for errors.
    fn client(&self, name: &[u8]) -> &[u8] {
        // FNV-1a: the same in every run.
        let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        &self.clients[(hash >> 32) as usize % self.clients.len()]
    }

    fn before(&self, packet_type: PacketType) -> &[u8] {
        self.by_type
            .get(packet_type as usize)
            .map_or(&[], Vec::as_slice)
    }
}

/// One style for each kind of exchange. Red, green, cyan and magenta are legible on
/// dark and light backgrounds: in the palettes of common terminals their contrast is
/// about 3:1, while yellow on white has 1.7:1 and blue on black 1.6:1.
const fn style_of(packet_type: PacketType) -> anstyle::Style {
    match packet_type {
        PacketType::Publish => AnsiColor::Green.on_default(),
        PacketType::Puback | PacketType::Pubrec | PacketType::Pubrel | PacketType::Pubcomp => {
            AnsiColor::Cyan.on_default()
        }
        PacketType::Connect | PacketType::Connack | PacketType::Disconnect | PacketType::Auth => {
            AnsiColor::Magenta.on_default()
        }
        PacketType::Subscribe
        | PacketType::Suback
        | PacketType::Unsubscribe
        | PacketType::Unsuback => anstyle::Style::new().bold(),
        PacketType::Pingreq | PacketType::Pingresp => anstyle::Style::new().dimmed(),
        PacketType::Reserved => AnsiColor::Red.on_default(),
    }
}
