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
//! A busy capture has millions of lines, so a line is appended piece by piece
//! to the caller's buffer: no `format!`, no allocation.

mod clock;
mod dump;
mod endpoints;
mod fields;
mod summary;

use std::sync::LazyLock;

use anstyle::{AnsiColor, Style};
use jiff::tz::TimeZone;

use super::escape;
use super::{Format, Options, Report, message, put, secret};
use crate::event::Event;
use crate::frame::{Direction, MQTTFrame};
use crate::mqtt::{FixedHeader, PacketType};
use crate::packet::PacketRef;
use crate::time::Timestamp;
use clock::Clock;
use endpoints::Endpoints;
use fields::How;
use summary::Preview;

pub use clock::TimeStyle;
pub use dump::Dump;

/// `--format text`
pub static TEXT: Format = Format {
    name: "text",
    help: "one line per control packet, for reading",
    new: |options| Box::new(TextReport::new(options)),
};

/// What the text format is told.
#[derive(Clone, Debug)]
pub struct TextOptions {
    /// How much of each frame is told.
    pub detail: Detail,
    /// How lines tell the time.
    pub time: TimeStyle,
    /// Tell nanoseconds instead of microseconds.
    pub nanoseconds: bool,
    /// Where "local time" is.
    pub zone: TimeZone,
    /// Show the bytes of each control packet.
    pub dump: Option<Dump>,
    /// Begin lines with the number of the captured packet that completed the
    /// frame, preceded by the number of its file (from 1) when there are
    /// several: `    7  ` or `2:7  `.
    pub number: bool,
    /// With [`Detail::Everything`], TCP sequence numbers too.
    pub sequence_numbers: bool,
    /// Colour frames by type.
    pub colour: bool,
    /// Columns of the terminal, if the output is one. Payload previews then
    /// end where a row ends, instead of at 64 columns.
    pub width: Option<usize>,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            detail: Detail::default(),
            time: TimeStyle::default(),
            nanoseconds: false,
            zone: TimeZone::UTC,
            dump: None,
            number: false,
            sequence_numbers: false,
            colour: false,
            width: None,
        }
    }
}

/// How much of each frame is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// `-q`: the notation alone, and no events. Dumps and packet numbers give
    /// way to it as well: scripts compare these lines letter for letter.
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
    clock: Clock,
    endpoints: Endpoints,
    dump: Option<Dump>,
    number: bool,
    sequence_numbers: bool,
    many_files: bool,
    show_secrets: bool,
    paint: Option<Paint>,
    width: Option<usize>,
    /// What `-e` shows before the endpoints.
    link_header: Vec<u8>,
    /// What will follow a payload preview, to know how much room it has.
    tail: Vec<u8>,
}

impl TextReport {
    /// A report that has written nothing yet.
    pub fn new(options: &Options) -> Self {
        let text = &options.text;
        Self {
            detail: text.detail,
            clock: Clock::new(text.time, text.nanoseconds, text.zone.clone()),
            endpoints: Endpoints::default(),
            dump: text.dump,
            number: text.number,
            sequence_numbers: text.sequence_numbers,
            many_files: options.files.len() > 1,
            show_secrets: options.show_secrets,
            paint: text.colour.then(Paint::new),
            width: text.width,
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

    /// The notation in the colour of its type; returns how many bytes of it do
    /// not show.
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

impl Report for TextReport {
    fn frame(&mut self, frame: &MQTTFrame<'_>, topic_unknown: bool, out: &mut Vec<u8>) {
        if self.detail == Detail::Notation {
            notation(frame, out);
            out.push(b'\n');
            return;
        }
        let start = out.len();
        self.begin_line(frame.last, frame.time, out);
        self.endpoints.put(frame.connection, frame.direction, out);
        let invisible = self.notation(frame, out);
        if topic_unknown {
            out.extend_from_slice(b" ?");
        }
        self.tail.clear();
        let tail_invisible = summary::tail(frame, self.paint.as_ref(), &mut self.tail);
        let preview = match self.width {
            Some(width) => Preview::Fit {
                width,
                start: start + invisible,
                tail: escape::columns(&self.tail).saturating_sub(tail_invisible),
            },
            None => Preview::Usual,
        };
        summary::summary(frame, preview, self.show_secrets, out);
        out.extend_from_slice(&self.tail);
        out.push(b'\n');
        if self.detail >= Detail::Fields {
            let how = How {
                everything: self.detail == Detail::Everything,
                sequence_numbers: self.sequence_numbers,
                show_secrets: self.show_secrets,
            };
            fields::fields(frame, how, out);
        }
        if let Some(how) = self.dump {
            let masked = if self.show_secrets {
                0..0
            } else {
                secret::password(frame)
            };
            dump::dump(how, frame.bytes, &masked, out);
            put_absent(frame, out);
        }
    }

    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.detail == Detail::Notation {
            return;
        }
        if let Some(paint) = &self.paint {
            out.extend_from_slice(&paint.event);
        }
        out.extend_from_slice(b"-- ");
        self.begin_line(event.packet, event.time, out);
        if let Some(connection) = event.connection {
            let direction = event.direction.unwrap_or(Direction::Up);
            self.endpoints.put(connection, direction, out);
        }
        message::event(event, out);
        if let Some(paint) = &self.paint {
            out.extend_from_slice(&paint.reset);
        }
        out.push(b'\n');
    }

    fn link_header(&mut self, text: &str) {
        self.link_header.clear();
        self.link_header.extend_from_slice(text.as_bytes());
    }
}

/// `MQTTFrame { type: PUBLISH, qos: AT_LEAST_ONCE, dup:false }`, as `Display`
/// has it, without its cost.
fn notation(frame: &MQTTFrame<'_>, out: &mut Vec<u8>) {
    // RETAIN, the lowest bit, does not show.
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

/// Right-aligned to five columns, as tcpdump has it.
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

/// What a dump does not show, and why.
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

/// Escape codes, ready to be copied.
#[derive(Debug)]
struct Paint {
    by_type: [Vec<u8>; 16],
    event: Vec<u8>,
    defect: Vec<u8>,
    reset: Vec<u8>,
}

impl Paint {
    fn new() -> Self {
        let code = |style: Style| style.render().to_string().into_bytes();
        let colour = |colour: AnsiColor| code(colour.on_default());
        Self {
            by_type: PacketType::ALL.map(|packet_type| colour(colour_of(packet_type))),
            event: code(Style::new().dimmed()),
            defect: colour(AnsiColor::Red),
            reset: Style::new().bold().render_reset().to_string().into_bytes(),
        }
    }

    fn before(&self, packet_type: PacketType) -> &[u8] {
        self.by_type
            .get(packet_type as usize)
            .map_or(&[], Vec::as_slice)
    }
}

/// One colour for each kind of conversation.
const fn colour_of(packet_type: PacketType) -> AnsiColor {
    match packet_type {
        PacketType::Publish => AnsiColor::Green,
        PacketType::Puback | PacketType::Pubrec | PacketType::Pubrel | PacketType::Pubcomp => {
            AnsiColor::Cyan
        }
        PacketType::Connect | PacketType::Connack | PacketType::Disconnect | PacketType::Auth => {
            AnsiColor::Magenta
        }
        PacketType::Subscribe
        | PacketType::Suback
        | PacketType::Unsubscribe
        | PacketType::Unsuback => AnsiColor::Blue,
        PacketType::Pingreq | PacketType::Pingresp => AnsiColor::BrightBlack,
        PacketType::Reserved => AnsiColor::Red,
    }
}
