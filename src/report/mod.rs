//! Reports: formats for the results of commands.
//!
//! ```text
//!                                   ┌─ text    lines for a reader
//! Frames    frames, events    ─┐    ├─ ndjson  one object per line, for programs
//! Findings  verdicts          ─┤    ├─ json    one document
//! Overhead  accounts          ─┼──▶ ├─ csv     rows, for tables
//! Connections                 ─┤    │
//! Counts    tables            ─┘    │
//!             trait Subject         └─ …       trait Report
//! ```
//!
//! Each command has a [`Subject`], which names its results, and one table of
//! [`Format`]s. A [`Report`] is an instance of a format: it appends bytes to a
//! buffer. Selecting happens before it; writing the buffer out (to a file, a pipe, a
//! terminal) happens after it. So every format is tested by *give it this, expect
//! these bytes*.
//!
//! Other people's scripts rely on the formats; they are documented in
//! `docs/formats.md`.
//!
//! # Adding a format
//!
//! 1. A file with a type that implements [`Report`] for the subject, and a
//!    `static` [`Format`] that makes one.
//! 2. `mod <name>;` and an entry in the table of the subject, which feeds
//!    `--format`, its help and the completions.
//! 3. Its documentation in `docs/formats.md`.
//!
//! # Text from the wire
//!
//! Topics, payloads, client identifiers, file names and error messages are
//! hostile until escaped. There are three writers, one for each kind of output:
//! `escape` for text, `json` for everything that is JSON, `cells` for tables.
//! `tests/escaping.rs` puts the same hostile strings through every format of
//! every command. A password is written only with [`Options::show_secrets`].

mod cells;
mod csv;
mod escape;
mod eve;
pub mod findings;
mod json;
mod layer;
mod message;
mod ndjson;
mod otlp;
pub mod overhead;
mod payload;
mod payload_bytes;
mod prefix;
mod put;
#[cfg(test)]
#[allow(dead_code)]
mod sample;
mod secret;
pub mod sessions;
pub mod stats;
mod text;
mod utc;
mod wrap;
mod zeek;

use jiff::tz::TimeZone;

use crate::event::Event;
use crate::facts::{ExchangeFact, Needs};
use crate::frame::MQTTFrame;
use crate::payload::Decoded;
use crate::rules::FailOn;

pub use csv::CSV;
pub use escape::visible;
pub use eve::EVE;
pub use ndjson::{NDJSON, put_properties};
pub use otlp::OTLP;
pub use payload_bytes::PAYLOAD_BYTES;
pub use put::exchange_uid as put_exchange_uid;
pub use text::{Detail, Dump, Style, TEXT, TextOptions, TextReport, TimeStyle};
pub use zeek::ZEEK;

/// What a command reports.
pub trait Subject: Sized + 'static {
    /// One result. Results arrive in the order in which they are reported.
    type Item<'a>;
    /// What a format needs from the command.
    type Needs: 'static;
}

/// An instance of a format. It appends bytes and keeps only what later results need.
pub trait Report<S: Subject>: Send {
    /// Appends what precedes all results, such as the heading of a table.
    fn begin(&mut self, _out: &mut Vec<u8>) {}

    /// Appends a result, or keeps it for the end.
    fn put(&mut self, item: &S::Item<'_>, out: &mut Vec<u8>);

    /// Appends what follows all results.
    fn finish(&mut self, _out: &mut Vec<u8>) {}
}

/// A format, selected by name.
pub struct Format<S: Subject> {
    /// The name, as in `--format NAME`.
    pub name: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// What it needs from the command.
    pub needs: S::Needs,
    /// Makes a report of this format.
    pub new: fn(&Options) -> Box<dyn Report<S>>,
}

/// Options of the formats; each format uses those that apply.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names of the capture's parts, by the index in `PacketRef::file`. With
    /// fewer than two, no frame or event names a file.
    pub files: Vec<String>,
    /// The command reads several captures and reports each separately; results carry
    /// the name of their capture.
    pub many: bool,
    /// Write passwords, authentication data and tokens, which otherwise appear
    /// as `***`.
    pub show_secrets: bool,
    /// Put `'` before cells of CSV that a spreadsheet would run as a formula.
    pub csv_safe: bool,
    /// Terminal colours.
    pub colour: bool,
    /// Columns of the terminal, if the output is one.
    pub width: Option<usize>,
    /// Time zone of local times.
    pub zone: TimeZone,
    /// Details of findings; connections and all topics of accounts.
    pub verbose: bool,
    /// Results are reported as they arise, where the format can.
    pub live: bool,
    /// Which findings fail.
    pub fail_on: FailOn,
    /// Options of the text format of frames.
    pub text: TextOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            many: false,
            show_secrets: false,
            csv_safe: false,
            colour: false,
            width: None,
            zone: TimeZone::UTC,
            verbose: false,
            live: false,
            fail_on: FailOn::default(),
            text: TextOptions::default(),
        }
    }
}

impl Options {
    /// The name of a part of the capture, when there are several.
    fn file(&self, packet: crate::packet::PacketRef) -> Option<&str> {
        if self.files.len() < 2 {
            return None;
        }
        let index = usize::try_from(packet.file).ok()?;
        self.files.get(index).map(String::as_str)
    }
}

/// The control packets and events of a capture: the subject of reading.
#[derive(Debug)]
pub enum Frames {}

impl Subject for Frames {
    type Item<'a> = FrameItem<'a>;
    type Needs = FrameNeeds;
}

/// Results of reading a capture.
#[derive(Clone, Copy, Debug)]
pub enum FrameItem<'a> {
    /// A frame. `topic_unknown` marks one that was kept by a topic selection
    /// only because its topic is not known.
    Frame {
        /// The frame.
        frame: &'a MQTTFrame<'a>,
        /// Its role in its exchange, if the format needs it.
        exchange: Option<&'a ExchangeFact>,
        /// The topic is unknown: the frame may not match the selection.
        topic_unknown: bool,
        /// Its decoded payload, if requested.
        payload: Option<&'a Decoded>,
    },
    /// Something that is not a frame.
    Event(&'a Event<'a>),
    /// No more comes of the connection with this number.
    Ended(u64),
    /// Text about the link header (`-e`) of the packet that completes the following
    /// frames, until it is set again; empty for none. Formats for programs ignore
    /// it.
    LinkHeader(&'a str),
}

/// What a format of frames needs from the command.
#[derive(Clone, Copy, Debug)]
pub struct FrameNeeds {
    /// The format prints events. Otherwise the command prints them with a
    /// [`TextReport`] on standard error.
    pub events: bool,
    /// The facts that the format prints, with these options.
    pub facts: fn(&Options) -> Needs,
}

/// Appends an event in a sentence, without passwords.
pub fn put_event(event: &Event<'_>, out: &mut Vec<u8>) {
    message::event(event, false, out);
}

/// All formats of frames; the first is the default.
pub static REPORTS: &[&Format<Frames>] = &[&TEXT, &NDJSON, &CSV, &ZEEK, &EVE, &OTLP];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// One of every packet type gives a line in every format, and no format
    /// lets a control character or a password through.
    #[test]
    fn every_packet_type_gives_one_line() {
        // Of the others, a line is an exchange.
        for format in [&TEXT, &NDJSON, &CSV] {
            let mut report = (format.new)(&Options::default());
            for (name, sample) in sample::all() {
                let mut out = Vec::new();
                sample.with(|frame| {
                    let topic_unknown = false;
                    let item = FrameItem::Frame {
                        frame,
                        payload: None,
                        exchange: None,
                        topic_unknown,
                    };
                    report.put(&item, &mut out);
                });
                let line = String::from_utf8(out).expect("reports are UTF-8");
                let body = line.strip_suffix('\n').expect("a line ends");
                assert!(
                    !body.contains(char::is_control),
                    "{} {name}: {line}",
                    format.name
                );
                assert!(!body.contains("S3CRET"), "{} {name}: {line}", format.name);
                if format.name == "ndjson" {
                    let object: serde_json::Value = serde_json::from_str(body).expect(name);
                    assert!(object["type"].is_string() && object["length"].is_u64());
                }
            }
        }
    }

    fn is_well_described<S: Subject>(formats: &[&Format<S>]) {
        let names: BTreeSet<_> = formats.iter().map(|format| format.name).collect();
        assert_eq!(names.len(), formats.len());
        for format in formats {
            assert!(
                format
                    .name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'-')
            );
            assert!(!format.help.is_empty() && !format.help.contains('\n'));
        }
        assert_eq!(formats.first().map(|format| format.name), Some("text"));
    }

    #[test]
    fn formats_have_distinct_names_and_help() {
        is_well_described(REPORTS);
        is_well_described(findings::FINDINGS_REPORTS);
        is_well_described(overhead::OVERHEAD_REPORTS);
        is_well_described(sessions::SESSIONS_REPORTS);
        is_well_described(stats::STATS_REPORTS);
    }
}
